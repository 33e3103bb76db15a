// Circuit breaker and single flight: github.com/sony/gobreaker and golang.org/x/sync/singleflight,
// which are what Go programs use.
package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"
	"golang.org/x/sync/singleflight"
)

func execute(cb *gobreaker.CircuitBreaker[int], n int) {
	calls := 0
	for i := 0; i < n; i++ {
		_, err := cb.Execute(func() (int, error) {
			calls++
			return 0, nil
		})
		check(err == nil, "the breaker rejected a call")
	}
	check(calls == n, "the breaker lost calls")
}

// Closed, every call succeeds: what a program pays when all is well.
func caseBreaker() {
	report("breaker", measure(1, func(n int) {
		execute(gobreaker.NewCircuitBreaker[int](gobreaker.Settings{}), n)
	}))
}

// gobreaker has no window of calls; of time it has, in buckets.
func caseBreakerWindow() {
	report("breaker_time", measure(1, func(n int) {
		execute(gobreaker.NewCircuitBreaker[int](gobreaker.Settings{
			Interval:     10 * time.Second,
			BucketPeriod: time.Second,
			ReadyToTrip: func(counts gobreaker.Counts) bool {
				return counts.Requests >= 10 && counts.TotalFailures*2 >= counts.Requests
			},
		}), n)
	}))
}

// Open: every call is rejected.
func caseBreakerOpen() {
	report("breaker_open", measure(1, func(n int) {
		cb := gobreaker.NewCircuitBreaker[int](gobreaker.Settings{Timeout: time.Hour})
		failure := errors.New("failure")
		for i := 0; i < 6; i++ {
			cb.Execute(func() (int, error) { return 0, failure })
		}
		for i := 0; i < n; i++ {
			_, err := cb.Execute(func() (int, error) { return 0, nil })
			check(err == gobreaker.ErrOpenState, "the breaker let a call through")
		}
	}))
}

const callers = 8

// Eight goroutines share one breaker.
func caseBreaker8() {
	report("breaker_8", measure(callers, func(n int) {
		cb := gobreaker.NewCircuitBreaker[int](gobreaker.Settings{})
		var wg sync.WaitGroup
		wg.Add(callers)
		for i := 0; i < callers; i++ {
			go func() {
				execute(cb, n/callers)
				wg.Done()
			}()
		}
		wg.Wait()
	}))
}

// One caller, who never finds anybody to share with.
func caseSingleFlight() {
	report("single_flight", measure(1, func(n int) {
		var group singleflight.Group
		calls := 0
		for i := 0; i < n; i++ {
			v, err, _ := group.Do("a key", func() (any, error) {
				calls++
				return calls, nil
			})
			check(err == nil && v.(int) == calls, "a wrong result")
		}
		check(calls == n, "single flight lost calls")
	}))
}

// The same for a caller who may leave: DoChan, and a select with the context.
func caseSingleFlightCtx() {
	report("single_flight_ctx", measure(1, func(n int) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		var group singleflight.Group
		calls := 0
		for i := 0; i < n; i++ {
			ch := group.DoChan("a key", func() (any, error) {
				calls++
				return calls, nil
			})
			select {
			case r := <-ch:
				check(r.Err == nil && r.Val.(int) == i+1, "a wrong result")
			case <-ctx.Done():
				check(false, "the context ended")
			}
		}
	}))
}
