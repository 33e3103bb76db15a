/*
 * rn_time - the monotonic clock, sleeping, timers and tickers.
 *
 * Times are int64 nanoseconds of CLOCK_MONOTONIC; durations are int64 nanoseconds. Adding a
 * duration to a time saturates: a huge duration means "never", not "a moment ago".
 *
 *     rn_ticker *every = NULL;
 *     rn_time at;
 *     if (rn_ticker_new(&every, RN_SECOND) == 0) {
 *         while (rn_recv(ctx, rn_ticker_chan(every), &at) == 0)
 *             report();
 *         rn_ticker_free(every);
 *     }
 *
 * Lifetime
 * 1. A timer or ticker belongs to who made it, who frees it; free stops it first.
 * 2. Its channel belongs to it; whoever outlives it retains the channel.
 *
 * At once  any number of fibers and threads may stop, reset and receive; one frees.
 */
#ifndef RUNNEL_TIME_H
#define RUNNEL_TIME_H

#include <runnel/chan.h>
#include <runnel/error.h>
#include <stdint.h>

RN_BEGIN_DECLS

typedef int64_t rn_time;     /* nanoseconds of the monotonic clock */
typedef int64_t rn_duration; /* nanoseconds */

#define RN_NANOSECOND ((rn_duration)1)
#define RN_MICROSECOND (1000 * RN_NANOSECOND)
#define RN_MILLISECOND (1000 * RN_MICROSECOND)
#define RN_SECOND (1000 * RN_MILLISECOND)
#define RN_MINUTE (60 * RN_SECOND)
#define RN_HOUR (60 * RN_MINUTE)
#define RN_FOREVER INT64_MAX /* as a time or duration: never */

typedef struct rn_ctx rn_ctx;
typedef struct rn_timer rn_timer;
typedef struct rn_ticker rn_ticker;

/*
 * rn_now - the monotonic clock, in nanoseconds.
 *
 * Caller   any thread or fiber.
 * Cost     one clock_gettime.
 */
RN_API rn_time rn_now(void);

/*
 * rn_time_add - t + d, saturating at RN_FOREVER and at the smallest time.
 *
 * Caller   any thread or fiber.
 */
RN_API rn_time rn_time_add(rn_time t, rn_duration d);

/*
 * rn_sleep - wait for d nanoseconds.
 *
 * Caller   any thread or fiber.
 * Blocks   the fiber for at least d; d <= 0 only yields.
 * Returns  0            the time has passed
 *          -ECANCELED   ctx was cancelled
 *          -ETIMEDOUT   ctx's deadline passed
 */
RN_API int rn_sleep(rn_ctx *ctx, rn_duration d);

/*
 * rn_after - a channel that receives the time once, d nanoseconds from now.
 *
 * Caller   any thread or fiber.
 * Returns  a channel of capacity 1 that the caller releases, or NULL when out of memory. The
 *          pending timer is dropped when the caller releases the channel.
 * See      rn_on_timeout, which needs no channel.
 */
RN_API rn_chan(rn_time) rn_after(rn_duration d);

/*
 * rn_timer_new - a timer that sends the time on its channel once, d nanoseconds from now.
 *
 * Caller   any thread or fiber.
 * Returns  the timer, running, or NULL when out of memory.
 */
RN_API rn_timer *rn_timer_new(rn_duration d);

/*
 * rn_timer_new_func - a timer that calls fn(arg) on a fiber of its own, d nanoseconds from now.
 *
 * Caller   any thread or fiber.
 * Returns  the timer, running, or NULL when out of memory. rn_timer_chan of it is NULL.
 */
RN_API rn_timer *rn_timer_new_func(rn_duration d, void (*fn)(void *arg), void *arg);

/*
 * rn_timer_chan - the timer's channel: capacity 1, never closed, owned by the timer.
 *
 * Caller   any thread or fiber.
 */
RN_API rn_chan(rn_time) rn_timer_chan(rn_timer *t);

/*
 * rn_timer_stop - keep the timer from firing.
 *
 * After it returns nothing stale is received: a value that was sent but not yet received is taken
 * back.
 *
 * Caller   any thread or fiber.
 * Returns  1         the timer was running, or had fired unreceived
 *          0         it had been stopped, or received, before
 *          -EINVAL   t is NULL
 */
RN_API int rn_timer_stop(rn_timer *t);

/*
 * rn_timer_reset - stop the timer and start it again for d nanoseconds from now.
 *
 * Caller   any thread or fiber.
 * Returns  1, 0, -EINVAL   as rn_timer_stop, for the time before the reset
 *          -ENOMEM         out of memory: the timer is stopped
 */
RN_API int rn_timer_reset(rn_timer *t, rn_duration d);

/*
 * rn_timer_free - stop the timer and free it. NULL is fine.
 *
 * Caller   any thread or fiber; no other call on t may be running.
 */
RN_API void rn_timer_free(rn_timer *t);

/* What a ticker does when its receiver is late. */
typedef enum rn_tick_policy {
    RN_TICK_SKIP,  /* ticks that nobody received are dropped; the grid stays (Go's rule) */
    RN_TICK_BURST, /* every tick is delivered, late ones back to back */
    RN_TICK_DELAY  /* the next tick comes one period after the last was received */
} rn_tick_policy;

/*
 * rn_ticker_new, rn_ticker_new_with - a ticker that sends the time on its channel every period ns.
 *
 * rn_ticker_new skips late ticks; the second form chooses. A tick's value is the time for which it
 * was due: a whole number of periods after the start, but for RN_TICK_DELAY.
 *
 * Caller   any thread or fiber.
 * Returns  0         *out is the ticker, running
 *          -EINVAL   period <= 0, or an unknown policy
 *          -ENOMEM   out of memory
 */
RN_API int rn_ticker_new(rn_ticker **out, rn_duration period);
RN_API int rn_ticker_new_with(rn_ticker **out, rn_duration period, rn_tick_policy policy);

/*
 * rn_ticker_chan - the ticker's channel, owned by the ticker.
 *
 * It has capacity 1 and stays open, but for one case: when there is no memory to tick again it is
 * closed, with -ENOMEM as the cause.
 *
 * Caller   any thread or fiber.
 */
RN_API rn_chan(rn_time) rn_ticker_chan(rn_ticker *t);

/*
 * rn_ticker_stop - send no more ticks; one that was not received is taken back.
 *
 * Caller   any thread or fiber.
 * Returns  0, or -EINVAL when t is NULL.
 */
RN_API int rn_ticker_stop(rn_ticker *t);

/*
 * rn_ticker_reset - stop, then tick every period ns from now.
 *
 * Caller   any thread or fiber.
 * Returns  0         it ticks
 *          -EINVAL   t is NULL or period <= 0; nothing has changed
 *          -ENOMEM   out of memory: the ticker is stopped
 */
RN_API int rn_ticker_reset(rn_ticker *t, rn_duration period);

/*
 * rn_ticker_free - stop the ticker and free it. NULL is fine.
 *
 * Caller   any thread or fiber; no other call on t may be running.
 */
RN_API void rn_ticker_free(rn_ticker *t);

RN_END_DECLS

#endif
