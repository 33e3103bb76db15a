// Network: an echo server of 64-byte messages on 100 connections, driven by bench-echo-peer.
package main

import (
	"net"
	"os"
	"os/exec"
	"sort"
	"strconv"
	"sync"
	"syscall"
)

const (
	connections   = 100
	roundTrips    = 100000
	networkRounds = 3
)

func echo(conn net.Conn) {
	buffer := make([]byte, 4096)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			break
		}
		_, err = conn.Write(buffer[:n])
		check(err == nil, "the echo could not be written")
	}
	conn.Close()
}

// cpuNow is the processor time of this process in microseconds, children not counted.
func cpuNow() float64 {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1000
}

// echoRound returns the processor microseconds for each round trip.
func echoRound(listener net.Listener) float64 {
	port := listener.Addr().(*net.TCPAddr).Port
	peer := exec.Command(os.Getenv("BENCH_ECHO_PEER"), "client", strconv.Itoa(port),
		strconv.Itoa(connections), strconv.Itoa(roundTrips))
	check(peer.Start() == nil, "BENCH_ECHO_PEER could not be started")
	before := cpuNow()
	var wg sync.WaitGroup
	for i := 0; i < connections; i++ {
		conn, err := listener.Accept()
		check(err == nil, "accept failed")
		wg.Add(1)
		go func() {
			echo(conn)
			wg.Done()
		}()
	}
	wg.Wait()
	us := (cpuNow() - before) / roundTrips
	check(peer.Wait() == nil, "the client failed")
	return us
}

func caseTCPEcho() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err == nil, "listen failed")
	var each [networkRounds]float64
	for i := range each {
		each[i] = echoRound(listener)
	}
	sort.Float64s(each[:])
	report("tcp_echo_cpu", each[networkRounds/2])
}
