// Semaphores and rate limiters, those of golang.org/x/sync and golang.org/x/time.
package main

import (
	"context"
	"runtime"
	"sync"

	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"
)

const (
	units      = 10
	holders    = 8
	heldAtOnce = 4
	clients    = 1000
)

// One goroutine acquires and releases a unit.
func caseSemaphore() {
	ctx := context.Background()
	report("semaphore", measure(1, func(n int) {
		s := semaphore.NewWeighted(units)
		for i := 0; i < n; i++ {
			check(s.Acquire(ctx, 1) == nil, "acquire failed")
			s.Release(1)
		}
		check(s.TryAcquire(units), "the semaphore lost units")
	}))
}

// Eight goroutines share four units and yield while they hold one, so that most have to wait.
func caseSemaphore8() {
	ctx := context.Background()
	report("semaphore_8", measure(holders, func(n int) {
		s := semaphore.NewWeighted(heldAtOnce)
		var wg sync.WaitGroup
		wg.Add(holders)
		for h := 0; h < holders; h++ {
			go func() {
				for i := 0; i < n/holders; i++ {
					check(s.Acquire(ctx, 1) == nil, "acquire failed")
					runtime.Gosched()
					s.Release(1)
				}
				wg.Done()
			}()
		}
		wg.Wait()
		check(s.TryAcquire(heldAtOnce), "the semaphore lost units")
	}))
}

// One goroutine takes a token that is there.
func caseLimiter() {
	report("limiter", measure(1, func(n int) {
		l := rate.NewLimiter(1e9, 1000000000)
		allowed := 0
		for i := 0; i < n; i++ {
			if l.Allow() {
				allowed++
			}
		}
		check(allowed == n, "the limiter denied")
	}))
}

type client [2]uint64

// A limiter for each key is what a Go programmer writes: a map under a mutex. This one never forgets.
type keyedLimiter struct {
	mutex    sync.Mutex
	limiters map[client]*rate.Limiter
}

func (k *keyedLimiter) allow(c client) bool {
	k.mutex.Lock()
	l := k.limiters[c]
	if l == nil {
		l = rate.NewLimiter(1e9, 1000000000)
		k.limiters[c] = l
	}
	k.mutex.Unlock()
	return l.Allow()
}

// One goroutine takes a token of one of a thousand clients, each known by 16 bytes as an address is.
func caseLimiterKeyed() {
	report("limiter_keyed", measure(1, func(n int) {
		k := &keyedLimiter{limiters: map[client]*rate.Limiter{}}
		allowed := 0
		for i := 0; i < n; i++ {
			if k.allow(client{uint64(i) % clients, 0}) {
				allowed++
			}
		}
		check(allowed == n, "the limiter denied")
	}))
}
