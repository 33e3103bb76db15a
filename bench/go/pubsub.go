// Publish-subscribe: one topic, eight subscribers, as Go programs do it: a map of channels under an
// RWMutex.
package main

import "sync"

const pubsubSubscribers = 8

type pubsubMessage struct {
	topic string
	data  []byte
}

type pubsub struct {
	mu          sync.RWMutex
	subscribers map[string][]chan pubsubMessage
}

func (ps *pubsub) subscribe(topic string) chan pubsubMessage {
	ch := make(chan pubsubMessage, bufferSlots)
	ps.mu.Lock()
	ps.subscribers[topic] = append(ps.subscribers[topic], ch)
	ps.mu.Unlock()
	return ch
}

func (ps *pubsub) publish(topic string, data []byte) {
	ps.mu.RLock()
	for _, ch := range ps.subscribers[topic] {
		ch <- pubsubMessage{topic, data}
	}
	ps.mu.RUnlock()
}

func (ps *pubsub) close() {
	ps.mu.Lock()
	for _, channels := range ps.subscribers {
		for _, ch := range channels {
			close(ch)
		}
	}
	ps.mu.Unlock()
}

// Publishing to eight subscribers, all of whom receive.
func casePubsub() {
	report("pubsub", measure(1, func(n int) {
		ps := pubsub{subscribers: map[string][]chan pubsubMessage{}}
		var seen [pubsubSubscribers]int
		var wg sync.WaitGroup
		wg.Add(pubsubSubscribers)
		for i := 0; i < pubsubSubscribers; i++ {
			i, ch := i, ps.subscribe("orders.eu")
			go func() {
				count := 0
				for m := range ch {
					if len(m.data) == 5 {
						count++
					}
				}
				seen[i] = count
				wg.Done()
			}()
		}
		payload := []byte("hello")
		for i := 0; i < n; i++ {
			ps.publish("orders.eu", payload)
		}
		ps.close()
		wg.Wait()
		for i := range seen {
			check(seen[i] == n, "the pub/sub lost messages")
		}
	}))
}
