// Channels and select.
package main

import "sync"

const bufferSlots = 128

// Two goroutines throw a value to and fro; each direction counts as one operation.
func casePingpong() {
	report("pingpong", measure(2, func(n int) {
		ping, pong := make(chan int), make(chan int)
		go func() {
			for v := range ping {
				pong <- v + 1
			}
			close(pong)
		}()
		v := 0
		for i := 0; i < n/2; i++ {
			ping <- v
			v = <-pong
		}
		close(ping)
		<-pong
		check(v == n/2, "pingpong lost a value")
	}))
}

// manyToMany sends n values from some producers to as many consumers through one channel.
func manyToMany(n, pairs int) {
	ch := make(chan int, bufferSlots)
	sums := make(chan int, pairs)
	var producers sync.WaitGroup

	for i := 0; i < pairs; i++ {
		go func() {
			sum := 0
			for v := range ch {
				sum += v
			}
			sums <- sum
		}()
	}
	producers.Add(pairs)
	for i := 0; i < pairs; i++ {
		go func() {
			for j := 0; j < n/pairs; j++ {
				ch <- 1
			}
			producers.Done()
		}()
	}
	producers.Wait()
	close(ch)
	total := 0
	for i := 0; i < pairs; i++ {
		total += <-sums
	}
	check(total == n, "a buffered channel lost values")
}

func caseBuffered1to1() {
	report("buffered_1to1", measure(1, func(n int) { manyToMany(n, 1) }))
}

func caseBuffered4to4() {
	report("buffered_4to4", measure(4, func(n int) { manyToMany(n, 4) }))
}

// Four producers with a channel each; one consumer selects over all four.
func caseSelect4() {
	report("select4", measure(4, func(n int) {
		var ch [4]chan int
		for i := range ch {
			c := make(chan int)
			ch[i] = c
			go func() {
				for j := 0; j < n/4; j++ {
					c <- 1
				}
			}()
		}
		a, b, c, d := ch[0], ch[1], ch[2], ch[3]
		sum := 0
		for i := 0; i < n; i++ {
			select {
			case v := <-a:
				sum += v
			case v := <-b:
				sum += v
			case v := <-c:
				sum += v
			case v := <-d:
				sum += v
			}
		}
		check(sum == n, "select lost values")
	}))
}
