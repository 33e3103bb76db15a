// Skynet: a tree of goroutines, ten children each, that adds up the numbers of its leaves.
package main

import (
	"sort"
	"time"
)

const (
	skynetLeaves   = 1000000
	skynetChildren = 10
	skynetRounds   = 3
)

func skynet(out chan<- int, first, size int) {
	if size == 1 {
		out <- first
		return
	}
	sums := make(chan int)
	part := size / skynetChildren
	for i := 0; i < skynetChildren; i++ {
		go skynet(sums, first+i*part, part)
	}
	sum := 0
	for i := 0; i < skynetChildren; i++ {
		sum += <-sums
	}
	out <- sum
}

func skynetOnce() float64 {
	start := time.Now()
	out := make(chan int)
	go skynet(out, 0, skynetLeaves)
	sum := <-out
	elapsed := time.Since(start)
	check(sum == skynetLeaves/2*(skynetLeaves-1), "skynet added up wrongly")
	return float64(elapsed.Nanoseconds()) / 1e6
}

func caseSkynet() {
	var ms [skynetRounds]float64
	skynetOnce()
	for i := range ms {
		ms[i] = skynetOnce()
	}
	sort.Float64s(ms[:])
	report("skynet", ms[skynetRounds/2])
}
