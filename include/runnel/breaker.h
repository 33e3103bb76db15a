/*
 * rn_breaker - a circuit breaker: stops calls to what fails, and tries again by and by.
 *
 *     rn_breaker *b;
 *     int err = rn_breaker_new(&b, &(rn_breaker_config){
 *         .failure_threshold = 5, .success_threshold = 2, .open_for = 30 * RN_SECOND });
 *
 *     err = rn_breaker_execute(ctx, b, call_the_service, &request);
 *
 *     rn_permit permit;                                       the same in two steps
 *     if ((err = rn_breaker_allow(b, &permit)) == 0)
 *         rn_breaker_done(b, permit, err = call_the_service(ctx, &request));
 *
 * Closed, it lets every call through and watches the results. It opens after .failure_threshold
 * failures in a row; or when, of the last .window_calls calls or of those of the last .window, the
 * share of failures reaches .failure_ratio or the share of slow calls .slow_ratio; or when the
 * program's own rule says so. Open, it rejects every call with RN_EOPEN for .open_for. Then it is
 * half-open: up to .probes calls at once are let through; .success_threshold successes close it,
 * one failure opens it again, for longer if .open_backoff says so.
 *
 * A result is 0 or more for a success, negative for a failure. Some errors say nothing of the
 * service and are ignored: by default -ECANCELED and what other guards return (RN_EOPEN, RN_ERATE,
 * RN_EBURST); with .ignore the program decides.
 *
 * Each change of state begins a new generation. The result of a call that was let through in an
 * earlier one is dropped, and so is that of a probe which took longer than .probe_lease: its place
 * goes to another, so that a hung probe cannot reject for ever.
 *
 * Lifetime
 * 1. A breaker belongs to who made it, who frees it when no call on it runs.
 * 2. A permit is a value, used for one done. A second done with it, one without an allow, and one
 *    for another breaker end the process with a message. A copy of a permit evades that check: a
 *    probe's then counts once, another's twice.
 * 3. Who is let through and never calls done leaves no trace; a probe's place comes free with its
 *    lease.
 *
 * At once  every call but free, from any number of fibers and threads, also from the callbacks.
 */
#ifndef RUNNEL_BREAKER_H
#define RUNNEL_BREAKER_H

#include <runnel/clock.h>
#include <runnel/ctx.h>
#include <runnel/error.h>
#include <runnel/time.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

RN_BEGIN_DECLS

typedef struct rn_breaker rn_breaker;

/* What a breaker does with calls. */
typedef enum rn_breaker_state {
    RN_BREAKER_CLOSED,      /* lets them through and watches */
    RN_BREAKER_OPEN,        /* rejects them; the first call after its time makes it half-open */
    RN_BREAKER_HALF_OPEN,   /* lets probes through */
    RN_BREAKER_FORCED_OPEN, /* rejects them until rn_breaker_reset or rn_breaker_disable */
    RN_BREAKER_DISABLED     /* lets them through and draws no conclusions, until reset or force */
} rn_breaker_state;

/* What rn_breaker_allow tells, and rn_breaker_done takes. */
typedef struct rn_permit {
    rn_breaker_state state;     /* in which the call was let through, or rejected */
    rn_duration retry_after;    /* when rejected: how long to wait at least; RN_FOREVER if forced */
    const rn_breaker *rn_owner; /* the rest is the breaker's */
    uint64_t rn_generation;
    uint64_t rn_probe;
    rn_time rn_began;
} rn_permit;

/* What a breaker knows of the calls of its window; without one, of those since it closed. */
typedef struct rn_breaker_counts {
    uint64_t calls; /* that ended, ignored ones left out */
    uint64_t failures;
    uint64_t slow;                 /* that took .slow_call or longer, failures among them */
    uint64_t consecutive_failures; /* since the last success */
} rn_breaker_counts;

/* How to make a breaker; zero is the default of each field. */
typedef struct rn_breaker_config {
    /* Failures in a row that open it, to 1,000,000; default 5, or no such rule beside another. */
    size_t failure_threshold;

    /* Rules on a window; several may be set, also beside .failure_threshold: any one opens it. */
    double failure_ratio;  /* opens from this share of failures on, to 1 */
    double slow_ratio;     /* opens from this share of slow calls on, to 1; needs .slow_call */
    rn_duration slow_call; /* a call of this length or longer is slow */
    size_t window_calls;   /* the window is the last so many calls, to 1,000,000; default 100 */
    rn_duration window;    /* or the last so much time; it moves on a tenth at a time */
    size_t minimum_calls;  /* in the window before a ratio counts; default 10, or .window_calls */

    /*
     * The program's own rule, instead of the others: true opens the breaker. Asked after each
     * failed or slow call.
     */
    bool (*should_open)(void *arg, const rn_breaker_counts *counts);
    void *should_open_arg;

    rn_duration open_for; /* default 30 s; RN_FOREVER: until reset */
    double open_backoff;  /* each opening without a closing before lasts so many times longer than
                             the last; 1 to 100; default 1 */
    rn_duration open_max; /* but no longer than this; default 10 times .open_for */
    double open_jitter;   /* each opening lasts up to this share longer, at random; to 1 */

    size_t probes;            /* at once, while half-open; to 1,000; default 1 */
    size_t success_threshold; /* successful probes that close it, to 1,000,000; default 1 */
    rn_duration probe_lease;  /* default 30 s */

    /* Whether an error, always negative, says nothing of the service. */
    bool (*ignore)(void *arg, int err);
    void *ignore_arg;

    /*
     * Told of each change of state, one at a time, in order, on the fiber of a call that found the
     * change or of one that came while another event was delivered. When more than 16 changes wait
     * for a slow callback, the latest become one.
     */
    void (*on_change)(void *arg, rn_breaker_state from, rn_breaker_state to);
    void *events_arg;

    const char *name;      /* in dumps; must outlive the breaker; default: not shown */
    const rn_clock *clock; /* default: the runtime's */
    uint64_t seed;         /* of the jitter; default: one of its own */
} rn_breaker_config;

/*
 * rn_breaker_new - make a breaker, closed; config may be NULL.
 *
 * Caller   any thread or fiber.
 * Returns  0         *out is the breaker
 *          -EINVAL   a field is out of range, or two do not go together; rn_error_detail says which
 *          -ENOMEM   out of memory
 *          On every error *out is NULL, which rn_breaker_free takes.
 */
RN_API int rn_breaker_new(rn_breaker **out, const rn_breaker_config *config);

/*
 * rn_breaker_free - free a breaker. NULL is fine.
 *
 * Caller   any thread or fiber, while no call on the breaker runs.
 */
RN_API void rn_breaker_free(rn_breaker *b);

/*
 * rn_breaker_allow - ask whether a call may be made now.
 *
 * When it may, make it and hand its result to rn_breaker_done. On RN_EOPEN permit->state says why,
 * and permit->retry_after how long to wait before asking again is of use.
 *
 * Caller   any thread or fiber.
 * Blocks   never.
 * Returns  0          make the call; *permit is for its done
 *          RN_EOPEN   make none
 * Cost     closed: one load. Open: one clock read. No lock in either.
 */
RN_API int rn_breaker_allow(rn_breaker *b, rn_permit *permit);

/*
 * rn_breaker_done, rn_breaker_done_with - hand in the result of a call that was allowed.
 *
 * permit is the variable that allow filled in, which is marked as used: rn_breaker_done(b, permit,
 * err) is rn_breaker_done_with(b, &permit, err). Who was allowed and then made no call hands in
 * -ECANCELED.
 *
 * Caller   any thread or fiber, not only the one that was allowed.
 * Blocks   never.
 * Cost     a success while closed: no lock, and one atomic addition to a counter that fibers rarely
 *          share; behind a failure a compare-and-swap more. With .window_calls one more, and a lock
 *          where the call takes the place of a failed or slow one. With .window one more, a clock
 *          read, and a lock for the first call of each tenth. With .slow_call a clock read here and
 *          in allow. While the window holds a failed or slow call but less than .minimum_calls, and
 *          for everything but a success while closed: a lock.
 */
#define rn_breaker_done(b, permit, err) rn_breaker_done_with((b), &(permit), (err))
RN_API void rn_breaker_done_with(rn_breaker *b, rn_permit *permit, int err);

/*
 * rn_breaker_execute - call fn(ctx, arg) if the breaker lets it through, and hand in its result.
 *
 * Caller   any thread or fiber.
 * Blocks   as fn does.
 * Returns  what fn returned, or, with fn not called:
 *          RN_EOPEN     rejected; see rn_breaker_retry_after
 *          -ECANCELED   ctx was cancelled before
 *          -ETIMEDOUT   ctx's deadline passed before
 * See      rn_breaker_allow, rn_policy, examples/circuit_breaker.c
 */
RN_API int rn_breaker_execute(rn_ctx *ctx, rn_breaker *b, int (*fn)(rn_ctx *ctx, void *arg),
                              void *arg);

/*
 * rn_breaker_state_now - the state, a snapshot.
 *
 * An open breaker is open until the first call after its time.
 *
 * Caller   any thread or fiber.
 */
RN_API rn_breaker_state rn_breaker_state_now(const rn_breaker *b);

/*
 * rn_breaker_state_name - "closed", "open", "half-open", "forced open", "disabled".
 *
 * Caller   any thread or fiber.
 * Returns  a static string; "unknown" for anything else.
 */
RN_API const char *rn_breaker_state_name(rn_breaker_state state);

/*
 * rn_breaker_retry_after - how long it rejects calls from now on, if nothing happens.
 *
 * Caller   any thread or fiber.
 * Returns  0 when a call would be let through now; while open, the rest of its time; while every
 *          probe is out, the time until the first lease ends; RN_FOREVER when forced open.
 */
RN_API rn_duration rn_breaker_retry_after(rn_breaker *b);

/*
 * rn_breaker_force_open, rn_breaker_disable, rn_breaker_reset - take it in hand.
 *
 * force_open rejects every call until further notice, disable lets every call through; reset closes
 * it, with nothing counted and no memory of earlier openings. Each begins a new generation, also
 * when the state stays the same, which is no event.
 *
 * Caller   any thread or fiber.
 * Blocks   never.
 */
RN_API void rn_breaker_force_open(rn_breaker *b);
RN_API void rn_breaker_disable(rn_breaker *b);
RN_API void rn_breaker_reset(rn_breaker *b);

/* Counters of a breaker, since it was made; gauges say so. */
typedef struct rn_breaker_stats {
    rn_breaker_state state;   /* gauge */
    uint64_t successes;       /* results that counted, in each state */
    uint64_t failures;        /* the same */
    uint64_t slow;            /* of both, those that took .slow_call or longer */
    uint64_t ignored;         /* results that .ignore, or the default, left out */
    uint64_t dropped;         /* results of an earlier generation, or behind their lease */
    uint64_t rejected;        /* calls */
    uint64_t opened;          /* times it opened by itself */
    uint64_t probes;          /* gauge: probes out */
    uint64_t leases_expired;  /* places taken back from probes */
    rn_breaker_counts window; /* gauge: what the rules look at */
} rn_breaker_stats;

/*
 * rn_breaker_stats_read - fill in *out; each number is exact, all of them together are not one
 * instant.
 *
 * Caller   any thread or fiber.
 */
RN_API void rn_breaker_stats_read(rn_breaker *b, rn_breaker_stats *out);

RN_END_DECLS

#endif
