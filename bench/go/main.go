// The Go twins of the benchmark cases: the same work in the same shape as the C files one folder up,
// file by file (fiber.go beside fiber.c, and so on), written as a Go programmer writes it and with
// the standard library, or with the module that Go programs use for it.
//
// Usage: bench-go CASE. Each result is one line on standard output: "metric value".
package main

import (
	"fmt"
	"os"
	"sort"
	"time"
)

const (
	roundNs = 100 * int64(time.Millisecond) // one timed round lasts about this long
	rounds  = 5                             // timed rounds in a process; the median counts
)

var cases = []struct {
	name string
	run  func()
}{
	{"switch", caseSwitch},
	{"spawn", caseSpawn},
	{"pingpong", casePingpong},
	{"buffered_1to1", caseBuffered1to1},
	{"buffered_4to4", caseBuffered4to4},
	{"select4", caseSelect4},
	{"mutex", caseMutex},
	{"mutex_8", caseMutex8},
	{"pipeline", casePipeline},
	{"pipeline_kit", casePipelineKit},
	{"pipeline_fibers", casePipelineFibers},
	{"fan_in", caseFanIn},
	{"pool", casePool},
	{"pool_kit", casePoolKit},
	{"breaker", caseBreaker},
	{"breaker_window", caseBreakerWindow},
	{"breaker_open", caseBreakerOpen},
	{"breaker_8", caseBreaker8},
	{"single_flight", caseSingleFlight},
	{"single_flight_ctx", caseSingleFlightCtx},
	{"context", caseContext},
	{"group", caseGroup},
	{"select_default", caseSelectDefault},
	{"pubsub", casePubsub},
	{"skynet", caseSkynet},
	{"parked", caseParked},
	{"sleepers_1m", caseSleepers1M},
	{"sleepers_100k", caseSleepers100k},
	{"timer", caseTimer},
	{"once", caseOnce},
	{"object_pool", caseObjectPool},
	{"map_load", caseMapLoad},
	{"map_mixed", caseMapMixed},
	{"map_store", caseMapStore},
	{"map_new", caseMapNew},
	{"rwmutex", caseRWMutex},
	{"rwmutex_2", caseRWMutex2},
	{"semaphore", caseSemaphore},
	{"semaphore_8", caseSemaphore8},
	{"limiter", caseLimiter},
	{"limiter_keyed", caseLimiterKeyed},
	{"tcp_echo", caseTCPEcho},
}

// measure returns the nanoseconds per operation of round, which does n operations, a multiple of
// unit. The search for a suitable n is the warm-up.
func measure(unit int, round func(n int)) float64 {
	n := unit
	for {
		start := time.Now()
		round(n)
		elapsed := time.Since(start).Nanoseconds()
		if elapsed >= roundNs/8 {
			n = int(float64(n) * float64(roundNs) / float64(elapsed))
			break
		}
		n *= 2
	}
	n = (n + unit - 1) / unit * unit

	var each [rounds]float64
	for i := range each {
		start := time.Now()
		round(n)
		each[i] = float64(time.Since(start).Nanoseconds()) / float64(n)
	}
	sort.Float64s(each[:])
	return each[rounds/2]
}

func report(metric string, value float64) {
	fmt.Printf("%s %.3f\n", metric, value)
}

func check(ok bool, what string) {
	if !ok {
		fmt.Fprintf(os.Stderr, "bench-go: %s\n", what)
		os.Exit(1)
	}
}

func main() {
	if len(os.Args) == 2 {
		for _, c := range cases {
			if c.name == os.Args[1] {
				c.run()
				return
			}
		}
	}
	fmt.Fprint(os.Stderr, "usage: bench-go CASE\ncases:")
	for _, c := range cases {
		fmt.Fprint(os.Stderr, " ", c.name)
	}
	fmt.Fprintln(os.Stderr)
	os.Exit(2)
}
