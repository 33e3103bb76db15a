// Switching and starting.
package main

import (
	"runtime"
	"sync"
)

// Two goroutines that only yield.
func caseSwitch() {
	report("switch", measure(2, func(n int) {
		var wg sync.WaitGroup
		wg.Add(2)
		for i := 0; i < 2; i++ {
			go func() {
				for j := 0; j < n/2; j++ {
					runtime.Gosched()
				}
				wg.Done()
			}()
		}
		wg.Wait()
	}))
}

const spawnBatch = 1000

// Starts a batch of goroutines that end at once, and waits for them.
func caseSpawn() {
	report("spawn", measure(spawnBatch, func(n int) {
		for left := n; left > 0; left -= spawnBatch {
			var wg sync.WaitGroup
			wg.Add(spawnBatch)
			for i := 0; i < spawnBatch; i++ {
				go wg.Done()
			}
			wg.Wait()
		}
	}))
}
