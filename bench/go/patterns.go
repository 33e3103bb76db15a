// Patterns made of channels: a pipeline and a worker pool.
package main

import "sync"

func generate(out chan<- int, n int) {
	for i := 0; i < n; i++ {
		out <- i
	}
	close(out)
}

func square(in <-chan int, out chan<- int) {
	for v := range in {
		out <- v * v
	}
	close(out)
}

func evenOnly(in <-chan int, out chan<- int) {
	for v := range in {
		if v%2 == 0 {
			out <- v
		}
	}
	close(out)
}

// Three stages and a consumer joined by unbuffered channels; half of the values pass the filter.
func casePipeline() {
	report("pipeline", measure(2, func(n int) {
		numbers, squares, evens := make(chan int), make(chan int), make(chan int)
		go generate(numbers, n)
		go square(numbers, squares)
		go evenOnly(squares, evens)
		seen := 0
		for range evens {
			seen++
		}
		check(seen == n/2, "the pipeline lost values")
	}))
}

type job struct {
	id, input int
}

type result struct {
	id, output int
}

const poolWorkers = 8

func work(jobs <-chan job, results chan<- result, wg *sync.WaitGroup) {
	for j := range jobs {
		results <- result{j.id, j.input * 2}
	}
	wg.Done()
}

func feed(jobs chan<- job, n int) {
	for i := 0; i < n; i++ {
		jobs <- job{i, i}
	}
	close(jobs)
}

// Eight workers between a channel of jobs and a channel of results.
func casePool() { reportPool("pool") }

// The C side uses runnel's worker pool here; Go has none, so its twin is the pool of channels.
func casePoolKit() { reportPool("pool_kit") }

func reportPool(metric string) {
	report(metric, measure(1, func(n int) {
		jobs, results := make(chan job, bufferSlots), make(chan result, bufferSlots)
		var wg sync.WaitGroup
		wg.Add(poolWorkers)
		for i := 0; i < poolWorkers; i++ {
			go work(jobs, results, &wg)
		}
		go feed(jobs, n)
		go func() {
			wg.Wait()
			close(results)
		}()
		seen := 0
		for r := range results {
			if r.output == r.id*2 {
				seen++
			}
		}
		check(seen == n, "the worker pool lost results")
	}))
}
