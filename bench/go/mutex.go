// Mutexes.
package main

import "sync"

type guarded struct {
	mutex sync.Mutex
	count int
}

func (g *guarded) add(n int) {
	for i := 0; i < n; i++ {
		g.mutex.Lock()
		g.count++
		g.mutex.Unlock()
	}
}

// One goroutine locks and unlocks.
func caseMutex() {
	report("mutex", measure(1, func(n int) {
		g := new(guarded)
		g.add(n)
		check(g.count == n, "the mutex lost counts")
	}))
}

const contenders = 8

// Eight goroutines lock and unlock the same mutex.
func caseMutex8() {
	report("mutex_8", measure(contenders, func(n int) {
		g := new(guarded)
		var wg sync.WaitGroup
		wg.Add(contenders)
		for i := 0; i < contenders; i++ {
			go func() {
				g.add(n / contenders)
				wg.Done()
			}()
		}
		wg.Wait()
		check(g.count == n, "the mutex lost counts")
	}))
}
