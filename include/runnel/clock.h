/*
 * rn_clock - where a pattern reads the time, and how it waits; and virtual time for tests.
 *
 * Patterns that measure time (rate limiter, circuit breaker, retry, object pool, ...) take a clock
 * in their configuration; NULL is the runtime's own. A test that wants to run hours in milliseconds
 * makes the runtime's clock virtual: then every wait of the program, in sleeps, timers, tickers,
 * contexts and patterns, takes no time at all.
 *
 *     rn_clock_virtual(0);                       before the runtime starts
 *     return rn_run(app, argc, argv);            in app: rn_sleep(NULL, RN_HOUR) returns at once,
 *                                                and rn_now() is an hour later
 *
 * Lifetime
 * 1. An rn_clock belongs to the program and must outlive what was configured with it.
 *
 * At once  the functions of an rn_clock are called by any number of fibers and threads.
 */
#ifndef RUNNEL_CLOCK_H
#define RUNNEL_CLOCK_H

#include <runnel/ctx.h>
#include <runnel/error.h>
#include <runnel/time.h>

RN_BEGIN_DECLS

/* A clock of the program's own. Both functions are called with arg. */
typedef struct rn_clock {
    rn_time (*now)(void *arg); /* never falls; nanoseconds since whenever */
    /* Waits until d has passed on this clock, or ctx has ended; as rn_sleep. */
    int (*sleep)(rn_ctx *ctx, void *arg, rn_duration d);
    void *arg;
} rn_clock;

/*
 * rn_clock_now - the time on a clock; NULL is the runtime's.
 *
 * Caller   any thread or fiber.
 */
static inline rn_time rn_clock_now(const rn_clock *clock)
{
    return clock == NULL ? rn_now() : clock->now(clock->arg);
}

/*
 * rn_clock_sleep - wait on a clock; NULL is the runtime's.
 *
 * Caller   any thread or fiber.
 * Blocks   the fiber, as the clock does.
 * Returns  as rn_sleep
 */
static inline int rn_clock_sleep(rn_ctx *ctx, const rn_clock *clock, rn_duration d)
{
    return clock == NULL ? rn_sleep(ctx, d) : clock->sleep(ctx, clock->arg, d);
}

/*
 * rn_clock_virtual - make the runtime's clock virtual, beginning at start.
 *
 * Virtual time stands still while any fiber can run, and when none can it jumps to the next timer.
 * So a program's waits take no time, in the order and at the times that they are due. The runtime
 * runs with one worker, whatever RUNNEL_WORKERS says. A fiber inside rn_blocking holds time still;
 * the world outside does not: a fiber that waits for a descriptor may find hours gone by.
 *
 * Caller   any thread, before the runtime starts; it holds until rn_clock_real.
 * Returns  0         from the next start on the clock is virtual
 *          -EINVAL   start is negative or RN_FOREVER
 *          -EBUSY    the runtime runs
 */
RN_API int rn_clock_virtual(rn_time start);

/*
 * rn_clock_real - go back to CLOCK_MONOTONIC, as at first.
 *
 * Caller   any thread, while the runtime does not run.
 * Returns  0        done
 *          -EBUSY   the runtime runs
 */
RN_API int rn_clock_real(void);

RN_END_DECLS

#endif
