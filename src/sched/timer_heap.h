/*
 * The heap behind sched/timer.h: one for each worker, 4-ary, entries of 16 bytes so that four
 * children share a cache line.
 *
 * Invariant (lock held): entries[i].timer->index == i for 1 <= i <= count; a parent is not later
 * than its children; next == entries[1].when, or RN_FOREVER when empty.
 */
#ifndef RN_SCHED_TIMER_HEAP_H
#define RN_SCHED_TIMER_HEAP_H

#include "base/spinlock.h"
#include "base/walk.h"
#include "sched/timer.h"

struct worker;

struct timer_entry {
    rn_time when;
    struct timer *timer;
};

struct timer_heap {
    SPINLOCK(lock, timer_heap_lock); /* guards all below; nothing else is taken under it */
    atomic_i64 next;                 /* when the earliest is due; read without the lock */
    _Atomic(struct timer *) firing;  /* its fire is running outside the lock */
    _Atomic(struct worker *) firer;  /* who runs that fire: it does not wait for itself */
    bool running;                    /* somebody fires from this heap */
    uint32_t count;
    uint32_t room;
    struct timer_entry *entries; /* from 1 */
};

/*
 * The heap of a worker. It is static and outlives the worker, because a timer remembers the heap
 * where it was last armed, and may be stopped after the runtime was.
 */
struct timer_heap *timer_heap_of(uint32_t worker);
/* Disarms all, and frees the memory. Nothing else may be using it. */
void timer_heap_empty(struct timer_heap *heap);
/* Checks the heap whole; see base/walk.h. With the lock held. */
void timer_heap_walk(struct timer_heap *heap);
/* Fires what is due at `now`; returns how many. Returns at once when another thread is doing it. */
uint32_t timer_heap_run(struct timer_heap *heap, rn_time now);

#endif
