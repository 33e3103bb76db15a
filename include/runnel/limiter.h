/*
 * rn_limiter - a token bucket: so many events a second, and so many at once after a pause.
 *
 * The bucket holds up to burst tokens, begins full, and gets per_second tokens back in a second.
 *
 *     rn_limiter *api;
 *
 *     err = rn_limiter_new(&api, &(rn_limiter_config){ .per_second = 10, .burst = 5 });
 *     ...
 *     if (rn_limiter_allow(api, 1) != 0)        now or not at all
 *         return too_many_requests(rn_limiter_delay(api, 1));
 *
 *     err = rn_limiter_wait(ctx, api, 1);       when its time has come
 *
 * Three ways to take tokens: rn_limiter_allow takes them if they are there; rn_limiter_wait waits
 * for them, first come, first served; rn_limiter_reserve promises them and says how long to wait.
 *
 * A rate of 0 never refills: burst tokens are all there will be. With RN_RATE_INFINITE everything
 * is allowed and burst means nothing.
 *
 * Lifetime
 * 1. A limiter belongs to who made it, who frees it.
 * 2. Tokens are not given back after use; a wait whose context ends gives back what nobody who came
 *    later counts on.
 * 3. When its clock jumps back, the bucket keeps what it holds and refills from the new time on.
 *
 * At once  every call but free, from any number of fibers and threads.
 */
#ifndef RUNNEL_LIMITER_H
#define RUNNEL_LIMITER_H

#include <runnel/clock.h>
#include <runnel/ctx.h>
#include <runnel/error.h>
#include <stddef.h>
#include <stdint.h>

RN_BEGIN_DECLS

typedef struct rn_limiter rn_limiter;

#define RN_RATE_INFINITE __builtin_inf()

/* How to make a limiter; zero is the default of each field. */
typedef struct rn_limiter_config {
    double per_second; /* 0 to 1e12, or RN_RATE_INFINITE; default 0: never refills */
    rn_duration every; /* instead of per_second: a token comes back every so many ns */
    size_t burst;      /* tokens that the bucket holds: 1 to 2^40; default 1 */
    const char *name;  /* shown in dumps and in errors; must outlive the limiter */
    /*
     * Called on the caller's fiber under no lock: when n tokens were denied by allow or wait, with
     * the time after which they might be had (RN_FOREVER: never); and when a wait has waited, with
     * how long it was to wait and what it is going to return.
     */
    void (*on_denied)(void *arg, size_t n, rn_duration retry_after);
    void (*on_waited)(void *arg, size_t n, rn_duration waited, int err);
    void *events_arg;
    const rn_clock *clock; /* default: the runtime's */
} rn_limiter_config;

/*
 * rn_limiter_new - make a limiter, its bucket full.
 *
 * config NULL is all defaults: a single token, once.
 *
 * Caller   any thread or fiber.
 * Returns  0         *out is the limiter
 *          -EINVAL   a field is out of range, .every and .per_second are both given, or the bucket
 *                    would take more than 4 years to fill; rn_error_detail says which
 *          -ENOMEM   out of memory
 *          On every error *out is NULL, which rn_limiter_free takes.
 */
RN_API int rn_limiter_new(rn_limiter **out, const rn_limiter_config *config);

/*
 * rn_limiter_free - free the limiter. NULL is fine.
 *
 * Caller   any thread or fiber; no other call may be running.
 */
RN_API void rn_limiter_free(rn_limiter *l);

/*
 * rn_limiter_allow - take n tokens if they are there.
 *
 * Caller   any thread or fiber.
 * Blocks   never.
 * Returns  0           taken
 *          RN_ERATE    fewer are there; nothing was taken
 *          RN_EBURST   n is more than the bucket ever holds; nothing was taken
 * Cost     one reading of the clock and one locked instruction; when denied, only the clock.
 * See      rn_limiter_delay for when to try again
 */
RN_API int rn_limiter_allow(rn_limiter *l, size_t n);

/*
 * rn_limiter_wait - take n tokens, waiting for them.
 *
 * An ended ctx fails also when they are there. When they would come only after ctx's deadline it
 * fails at once, and rn_error_detail says how long it would have taken. A later change of the rate
 * does not move the end of a wait that has begun.
 *
 * Caller   any thread or fiber.
 * Blocks   the fiber until the tokens are there, or ctx ends.
 * Returns  0            taken
 *          RN_ERATE     they would come after ctx's deadline, or never; nothing was taken
 *          RN_EBURST    n is more than the bucket ever holds; nothing was taken
 *          -ECANCELED   ctx was cancelled
 *          -ETIMEDOUT   ctx's deadline passed
 *          When ctx ended, what nobody who came later counts on was given back.
 * See      rn_limiter_delay, examples/rate_limiter.c
 */
RN_API int rn_limiter_wait(rn_ctx *ctx, rn_limiter *l, size_t n);

/* A promise of tokens. */
typedef struct rn_reservation {
    rn_duration delay; /* how long to wait before acting on it; 0: act now */
    uint64_t rn_private_[4];
} rn_reservation;

/*
 * rn_limiter_reserve - take n tokens that may come later, and learn when.
 *
 * Caller   any thread or fiber.
 * Blocks   never.
 * Returns  0           *out says how long to wait, from now, before acting
 *          RN_ERATE    they will never come: the rate is 0, or years are reserved already
 *          RN_EBURST   n is more than the bucket ever holds
 *          On every error nothing was taken.
 */
RN_API int rn_limiter_reserve(rn_limiter *l, size_t n, rn_reservation *out);

/*
 * rn_limiter_cancel - give a reservation back.
 *
 * What later reservations count on stays taken, since their delays were told. It does nothing after
 * the reservation's time has come, on a second call, and after the rate or burst were changed more
 * than 15 times since.
 *
 * Caller   any thread or fiber; each reservation by one at a time.
 */
RN_API void rn_limiter_cancel(rn_limiter *l, rn_reservation *r);

/*
 * rn_limiter_delay - how long a wait for n tokens would take now. Takes nothing.
 *
 * Caller   any thread or fiber.
 * Returns  nanoseconds; 0: they are there; RN_FOREVER: they will never be.
 */
RN_API rn_duration rn_limiter_delay(rn_limiter *l, size_t n);

/*
 * rn_limiter_available - tokens that are there now, with fractions.
 *
 * Caller   any thread or fiber.
 * Returns  -x when x tokens more are reserved than are there.
 */
RN_API double rn_limiter_available(rn_limiter *l);

/*
 * rn_limiter_set_rate, rn_limiter_set_burst - change the rate, or how many tokens the bucket holds.
 *
 * The tokens that are there stay, as far as they fit; waits and reservations keep their times.
 * After an infinite rate the bucket is full.
 *
 * Caller   any thread or fiber.
 * Returns  0         set
 *          -EINVAL   out of range; rn_error_detail says what is allowed. Nothing has changed.
 */
RN_API int rn_limiter_set_rate(rn_limiter *l, double per_second);
RN_API int rn_limiter_set_burst(rn_limiter *l, size_t burst);

/* Counters of a limiter. What is allowed at once is not counted: it would slow it. */
typedef struct rn_limiter_stats {
    double per_second; /* gauge */
    uint64_t burst;    /* gauge */
    double available;  /* gauge: as rn_limiter_available */
    uint64_t denied;   /* calls of allow, wait and reserve that returned RN_ERATE */
    uint64_t waits;    /* waits that had to wait */
    uint64_t gave_up;  /* of these, ended by their context */
    uint64_t waited;   /* nanoseconds that they were to wait, in all */
} rn_limiter_stats;

/*
 * rn_limiter_stats_read - fill in *out; each number is exact, all together are not one instant.
 *
 * Caller   any thread or fiber.
 */
RN_API void rn_limiter_stats_read(rn_limiter *l, rn_limiter_stats *out);

RN_END_DECLS

#endif
