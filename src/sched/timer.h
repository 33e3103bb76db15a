/*
 * Timers of the scheduler: an intrusive timer in somebody's memory, a heap for each worker.
 *
 * Arming and cancelling take one spin lock. fire runs on a worker, outside every lock, not on a
 * fiber: it must not park. After timer_stop returns, fire neither runs nor will run.
 */
#ifndef RN_SCHED_TIMER_H
#define RN_SCHED_TIMER_H

#include "base/atomic.h"

#include <runnel/time.h>

struct timer_heap;

struct timer {
    rn_time when;
    void (*fire)(struct timer *timer); /* timer may be freed or armed again inside */
    struct timer_heap *heap;           /* where it was last armed; NULL: never */
    /* in heap, from 1; 0: not armed; guarded by the heap's lock */
    uint32_t index;
};

/*
 * Arms a timer that is not armed. A time in the past fires soon. RN_FOREVER never fires (armed all
 * the same).
 */
int timer_arm(struct timer *timer, rn_time when); /* 0 or -ENOMEM */

/* Disarms it; waits while fire is running on another thread. True when it had not fired yet. */
bool timer_stop(struct timer *timer);

#endif
