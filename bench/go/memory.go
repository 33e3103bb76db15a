// What a parked goroutine costs.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

const parkedCount = 1000000

// statusKB reads one field of /proc/self/status, in KiB.
func statusKB(field string) float64 {
	f, err := os.Open("/proc/self/status")
	check(err == nil, "/proc/self/status cannot be read")
	defer f.Close()
	var kb float64
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), field+":") {
			fmt.Sscanf(lines.Text()[len(field)+1:], "%f", &kb)
		}
	}
	return kb
}

// A million goroutines wait on one channel. The clock stops when all have reached it.
func caseParked() {
	ch := make(chan int)
	var parked, ended sync.WaitGroup
	rss, tables := statusKB("VmRSS"), statusKB("VmPTE")

	start := time.Now()
	parked.Add(parkedCount)
	ended.Add(parkedCount)
	for i := 0; i < parkedCount; i++ {
		go func() {
			parked.Done()
			<-ch
			ended.Done()
		}()
	}
	parked.Wait()
	elapsed := time.Since(start)

	rss, tables = statusKB("VmRSS")-rss, statusKB("VmPTE")-tables
	report("parked_ms", float64(elapsed.Nanoseconds())/1e6)
	report("parked_bytes", rss*1024/parkedCount)
	report("parked_bytes_tables", (rss+tables)*1024/parkedCount)
	close(ch)
	ended.Wait()
}
