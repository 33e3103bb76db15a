// Sleeping and timers.
package main

import (
	"sort"
	"sync"
	"time"
)

const sleepMaxNs = 1000000000

// sleepNs is the i-th sleep, spread evenly over 0 to 1000 ms; the C side computes the same numbers.
func sleepNs(i int) time.Duration {
	x := (uint64(i) + 1) * 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	x ^= x >> 31
	return time.Duration(x % sleepMaxNs)
}

func caseSleepers1M() {
	const count = 1000000
	var wg sync.WaitGroup
	wg.Add(count)
	start := time.Now()
	for i := 0; i < count; i++ {
		d := sleepNs(i)
		go func() {
			time.Sleep(d)
			wg.Done()
		}()
	}
	wg.Wait()
	report("sleepers_1m", float64(time.Since(start).Nanoseconds())/1e6)
}

// How much later than asked each of 100,000 sleepers wakes, by its own clock.
func caseSleepers100k() {
	const count = 100000
	late := make([]int64, count)
	var wg sync.WaitGroup
	wg.Add(count)
	for i := 0; i < count; i++ {
		i := i
		go func() {
			d := sleepNs(i)
			start := time.Now()
			time.Sleep(d)
			late[i] = int64(time.Since(start) - d)
			wg.Done()
		}()
	}
	wg.Wait()
	sort.Slice(late, func(a, b int) bool { return late[a] < late[b] })
	report("sleepers_100k_p99", float64(late[count/100*99])/1e6)
}

func caseTimer() {
	report("timer_new_stop", measure(1, func(n int) {
		for i := 0; i < n; i++ {
			t := time.NewTimer(time.Hour)
			check(t.Stop(), "a timer was not running")
		}
	}))
	t := time.NewTimer(time.Hour)
	report("timer_reset", measure(1, func(n int) {
		for i := 0; i < n; i++ {
			check(t.Reset(time.Hour), "a timer was not running")
		}
	}))
}
