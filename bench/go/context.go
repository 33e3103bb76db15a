// Contexts, groups of tasks, and selects that do not wait.
package main

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const groupTasks = 100

// Making a context and cancelling it.
func caseContext() {
	report("with_cancel", measure(1, func(n int) {
		for i := 0; i < n; i++ {
			_, cancel := context.WithCancel(context.Background())
			cancel()
		}
	}))
	report("with_timeout", measure(1, func(n int) {
		for i := 0; i < n; i++ {
			_, cancel := context.WithTimeout(context.Background(), time.Hour)
			cancel()
		}
	}))
}

// A group of a hundred tasks that each count one.
func caseGroup() {
	report("group", measure(1, func(n int) {
		var count atomic.Int64
		for i := 0; i < n; i++ {
			g, _ := errgroup.WithContext(context.Background())
			for t := 0; t < groupTasks; t++ {
				g.Go(func() error {
					count.Add(1)
					return nil
				})
			}
			check(g.Wait() == nil, "a group failed")
		}
		check(count.Load() == int64(n)*groupTasks, "a group lost tasks")
	}))
}

// A select that takes its default, because no channel is ready.
func caseSelectDefault() {
	a, b := make(chan int, 1), make(chan int, 1)
	report("select_default_1", measure(1, func(n int) {
		ready := 0
		for i := 0; i < n; i++ {
			select {
			case <-a:
				ready++
			default:
			}
		}
		check(ready == 0, "an empty channel was ready")
	}))
	report("select_default_2", measure(1, func(n int) {
		ready := 0
		for i := 0; i < n; i++ {
			select {
			case <-a:
				ready++
			case <-b:
				ready++
			default:
			}
		}
		check(ready == 0, "an empty channel was ready")
	}))
}
