// What rn_pipeline and rn_fan_in do, of channels, as one writes it in Go.
package main

import "sync"

// Three stages and a consumer; half of the values pass the filter.
func runPipeline(n, capacity int) {
	numbers, squares := make(chan int, capacity), make(chan int, capacity)
	evens := make(chan int, capacity)
	go generate(numbers, n)
	go square(numbers, squares)
	go evenOnly(squares, evens)
	seen := 0
	for range evens {
		seen++
	}
	check(seen == n/2, "the pipeline lost values")
}

func casePipelineKit() {
	report("pipeline_kit", measure(2, func(n int) { runPipeline(n, 0) }))
}

func casePipelineFibers() {
	report("pipeline_fibers", measure(2, func(n int) { runPipeline(n, bufferSlots) }))
}

const fanInputs = 4

func forward(in <-chan int, out chan<- int, wg *sync.WaitGroup) {
	for v := range in {
		out <- v
	}
	wg.Done()
}

// Four channels in one, all of capacity 128.
func caseFanIn() {
	report("fan_in", measure(fanInputs, func(n int) {
		out := make(chan int, bufferSlots)
		var wg sync.WaitGroup
		wg.Add(fanInputs)
		for i := 0; i < fanInputs; i++ {
			in := make(chan int, bufferSlots)
			go generate(in, n/fanInputs)
			go forward(in, out, &wg)
		}
		go func() {
			wg.Wait()
			close(out)
		}()
		seen := 0
		for range out {
			seen++
		}
		check(seen == n, "the fan-in lost values")
	}))
}
