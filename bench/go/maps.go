// Once, object pool, concurrent map and reader-writer lock.
package main

import (
	"runtime"
	"sync"
)

const (
	mapKeys = 1024
	share   = 10     // one operation in so many of map_mixed is a store
	newKeys = 100000 // in each map that map_new fills
)

func draw(random *uint64) uint64 {
	*random ^= *random << 13
	*random ^= *random >> 7
	*random ^= *random << 17
	return *random % mapKeys
}

func caseOnce() {
	var once sync.Once
	runs := 0
	nothing := func() { runs++ }
	report("once", measure(1, func(n int) {
		for i := 0; i < n; i++ {
			once.Do(nothing)
		}
		check(runs == 1, "once ran twice")
	}))
}

type buffer struct {
	bytes [1024]byte
}

func caseObjectPool() {
	pool := sync.Pool{New: func() any { return new(buffer) }}
	report("object_pool", measure(1, func(n int) {
		for i := 0; i < n; i++ {
			b := pool.Get().(*buffer)
			b.bytes[0]++
			pool.Put(b)
		}
	}))
}

func filledMap() *sync.Map {
	m := new(sync.Map)
	for key := uint64(0); key < mapKeys; key++ {
		m.Store(key, key)
	}
	return m
}

func loadOne(m *sync.Map, key uint64) {
	value, ok := m.Load(key)
	check(ok && value.(uint64) == key, "the map lost a key")
}

func caseMapLoad() {
	m := filledMap()
	report("map_load", measure(1, func(n int) {
		random := uint64(1)
		for i := 0; i < n; i++ {
			loadOne(m, draw(&random))
		}
	}))
}

func caseMapStore() {
	m := filledMap()
	report("map_store", measure(1, func(n int) {
		random := uint64(1)
		for i := 0; i < n; i++ {
			key := draw(&random)
			m.Store(key, key)
		}
	}))
}

func caseMapNew() {
	report("map_new", measure(newKeys, func(n int) {
		for done := 0; done < n; done += newKeys {
			m := new(sync.Map)
			for key := uint64(0); key < newKeys; key++ {
				_, loaded := m.LoadOrStore(key, key)
				check(!loaded, "the map had a key")
			}
		}
	}))
}

func mix(m *sync.Map, random uint64, times int) {
	for i := 0; i < times; i++ {
		key := draw(&random)
		if i%share == 0 {
			m.Store(key, key)
		} else {
			loadOne(m, key)
		}
	}
}

// One goroutine for each P; n operations in all.
func caseMapMixed() {
	m := filledMap()
	procs := runtime.GOMAXPROCS(0)
	report("map_mixed", measure(procs, func(n int) {
		var wg sync.WaitGroup
		wg.Add(procs)
		for i := 0; i < procs; i++ {
			go func(random uint64) {
				mix(m, random, n/procs)
				wg.Done()
			}(uint64(i) + 1)
		}
		wg.Wait()
	}))
}

func caseRWMutex() {
	var lock sync.RWMutex
	report("rwmutex", measure(1, func(n int) {
		for i := 0; i < n; i++ {
			lock.RLock()
			lock.RUnlock()
		}
	}))
}

// Two goroutines read at once.
func caseRWMutex2() {
	var lock sync.RWMutex
	report("rwmutex_2", measure(2, func(n int) {
		var wg sync.WaitGroup
		wg.Add(2)
		for i := 0; i < 2; i++ {
			go func() {
				for i := 0; i < n/2; i++ {
					lock.RLock()
					lock.RUnlock()
				}
				wg.Done()
			}()
		}
		wg.Wait()
	}))
}
