/* The runtime's clock, real or virtual: what the scheduler needs of it beside rn_now. */
#ifndef RN_SCHED_CLOCK_H
#define RN_SCHED_CLOCK_H

#include "base/atomic.h"

#include <runnel/time.h>

struct worker;

extern atomic_u32 clock_is_virtual;

rn_time clock_now(void);

/* How long an idle worker may sleep, in real nanoseconds, when the next timer is due at until. */
int64_t clock_sleep_ns(const struct worker *worker, rn_time until);

/* An idle worker found nothing to do: virtual time goes on to the next timer. */
void clock_jump(const struct worker *worker);

/* The runtime starts: virtual time begins anew. */
void clock_start(void);

#endif
