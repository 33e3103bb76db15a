/*
 * rn_retry - call again what failed, after growing delays, within limits.
 *
 *     static int fetch(rn_ctx *ctx, void *arg, rn_attempt *attempt)
 *     {
 *         struct reply r = get(ctx, arg);
 *         attempt->retry_after = r.retry_after;         if the service asked for a pause
 *         return r.err;
 *     }
 *
 *     rn_retry *retry;
 *     err = rn_retry_new(&retry, &(rn_retry_config){ .attempts = 5, .total = 10 * RN_SECOND });
 *     err = rn_retry_execute(ctx, retry, fetch, url);
 *
 * The n-th delay is .delay times .multiplier to the power of n - 1, at most .max_delay, and with
 * full jitter, the default, a random time from 0 to that: so that those who failed together do not
 * come back together. Decorrelated jitter takes a random time from .delay to three times the delay
 * before.
 *
 * A budget, shared by all who call the same service, keeps retries a small share of the calls, so
 * that a service in trouble is not buried by them:
 *
 *     rn_retry_budget_new(&budget, &(rn_retry_budget_config){ .ratio = 0.1, .tokens = 20 });
 *
 * A call deposits .ratio of a token, a retry takes a whole one, and without one there is no retry:
 * so in the long run retries are at most that share of the calls, and .tokens more in a burst.
 *
 * Lifetime
 * 1. A retry, and a budget, belong to who made them, who frees them when no call on them runs. The
 *    budget must outlive the retries, and hedges, that share it.
 * 2. An attempt is valid until the function that got it returns.
 *
 * At once  every call but free, from any number of fibers and threads.
 */
#ifndef RUNNEL_RETRY_H
#define RUNNEL_RETRY_H

#include <runnel/clock.h>
#include <runnel/ctx.h>
#include <runnel/error.h>
#include <runnel/time.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

RN_BEGIN_DECLS

typedef struct rn_retry rn_retry;
typedef struct rn_retry_budget rn_retry_budget;

/* What a call knows of the attempt that it is, and may say. */
typedef struct rn_attempt {
    unsigned number;     /* 1 for the first */
    int last_err;        /* what the attempt before returned; 0 in the first */
    rn_duration elapsed; /* since the first began */
    /*
     * The call's to set, 0 beforehand: the next attempt waits at least so long, also beyond
     * .max_delay. Negative, or RN_FOREVER: there is to be no next one.
     */
    rn_duration retry_after;
} rn_attempt;

typedef int rn_attempt_fn(rn_ctx *ctx, void *arg, rn_attempt *attempt);

/* How delays are spread. */
typedef enum rn_retry_jitter {
    RN_RETRY_JITTER_FULL,         /* from 0 to the delay */
    RN_RETRY_JITTER_DECORRELATED, /* from .delay to three times the delay before */
    RN_RETRY_JITTER_NONE
} rn_retry_jitter;

/* Why a call was not tried again. */
typedef enum rn_retry_end {
    RN_RETRY_NOT_RETRIED, /* .should_retry, or the default, or a negative retry_after, said so */
    RN_RETRY_ATTEMPTS,    /* all were used */
    RN_RETRY_DEADLINE,    /* the delay would outlast .total, or the deadline of ctx */
    RN_RETRY_BUDGET,      /* the budget was used up */
    RN_RETRY_CTX          /* ctx ended during an attempt or a delay */
} rn_retry_end;

/* How to make a retry; zero is the default of each field. */
typedef struct rn_retry_config {
    unsigned attempts;     /* in all, to 1,000,000; default 3 */
    rn_duration delay;     /* the first; default 100 ms */
    double multiplier;     /* 1 to 100; default 2 */
    rn_duration max_delay; /* default 30 s, or .delay if that is longer */
    rn_retry_jitter jitter;
    /*
     * Everything together: attempts get a context that ends then, and no delay begins that would
     * end later. Default: no limit.
     */
    rn_duration total;
    rn_duration attempt_timeout; /* each attempt's context ends after this; default: none */

    /*
     * Which errors, always negative, are tried again. Default: all but those which trying again
     * does not mend: -ECANCELED, -EINVAL, RN_ECLOSED, RN_ESHUTDOWN, RN_ERATE and RN_EBURST.
     */
    bool (*should_retry)(void *arg, int err);
    void *should_retry_arg;

    rn_retry_budget *budget; /* default: none */

    /* Before each delay: the attempt that failed with err, and the delay. */
    void (*on_retry)(void *arg, const rn_attempt *attempt, int err, rn_duration delay);
    /* When a call fails for good. */
    void (*on_give_up)(void *arg, const rn_attempt *attempt, int err, rn_retry_end why);
    void *events_arg;

    const char *name; /* in dumps; must outlive the retry; default: not shown */
    /*
     * Where delays are waited and .total is measured; default: the runtime's, which alone can end
     * attempts (.total, .attempt_timeout) and know the deadline of ctx beforehand.
     */
    const rn_clock *clock;
    uint64_t seed; /* of the jitter; default: one of its own */
} rn_retry_config;

/*
 * rn_retry_new - make a retry; config may be NULL.
 *
 * Caller   any thread or fiber.
 * Returns  0         *out is the retry
 *          -EINVAL   a field is out of range, or .attempt_timeout is set beside .clock;
 *                    rn_error_detail says which
 *          -ENOMEM   out of memory
 *          On every error *out is NULL, which rn_retry_free takes.
 */
RN_API int rn_retry_new(rn_retry **out, const rn_retry_config *config);

/*
 * rn_retry_free - free a retry. NULL is fine.
 *
 * Caller   any thread or fiber, while no call on the retry runs.
 */
RN_API void rn_retry_free(rn_retry *r);

/*
 * rn_retry_execute - call fn(ctx, arg, &attempt) until it succeeds or there is no use in going on.
 *
 * A result of 0 or more is a success. fn's ctx is a child of ctx where .total or .attempt_timeout
 * is set.
 *
 * Caller   any thread or fiber.
 * Blocks   as fn does, and during the delays.
 * Returns  what the last attempt returned; or
 *          -ECANCELED   ctx was cancelled before the first attempt, or during a delay
 *          -ETIMEDOUT   ctx's deadline passed there
 *          -ENOMEM      no memory for the context of an attempt
 * Cost     no allocation without .total and .attempt_timeout.
 * See      rn_policy
 */
RN_API int rn_retry_execute(rn_ctx *ctx, rn_retry *r, rn_attempt_fn *fn, void *arg);

/* Counters of a retry. */
typedef struct rn_retry_stats {
    uint64_t calls;
    uint64_t attempts;
    uint64_t succeeded;      /* calls, at whichever attempt */
    uint64_t succeeded_late; /* of these, not at the first */
    uint64_t failed;         /* calls */
    uint64_t ended_attempts; /* of these, for want of attempts */
    uint64_t ended_deadline; /* of these, for want of time */
    uint64_t ended_budget;   /* of these, by the budget */
    uint64_t waiting;        /* gauge: calls in a delay */
} rn_retry_stats;

/*
 * rn_retry_stats_read - fill in *out; each number is exact, all of them together are not one
 * instant.
 *
 * Caller   any thread or fiber.
 */
RN_API void rn_retry_stats_read(rn_retry *r, rn_retry_stats *out);

/* How to make a budget; zero is the default of each field. */
typedef struct rn_retry_budget_config {
    double ratio;     /* of a token that a call deposits, 0.001 to 1; default 0.1 */
    size_t tokens;    /* that it holds at most, and at first; to 1,000,000; default 10 */
    const char *name; /* in dumps; must outlive the budget; default: not shown */
    /* A retry was refused. */
    void (*on_empty)(void *arg);
    void *events_arg;
} rn_retry_budget_config;

/*
 * rn_retry_budget_new - make a budget, full; config may be NULL.
 *
 * Caller   any thread or fiber.
 * Returns  0         *out is the budget
 *          -EINVAL   a field is out of range; rn_error_detail says which
 *          -ENOMEM   out of memory
 *          On every error *out is NULL, which rn_retry_budget_free takes.
 */
RN_API int rn_retry_budget_new(rn_retry_budget **out, const rn_retry_budget_config *config);

/*
 * rn_retry_budget_free - free a budget. NULL is fine.
 *
 * Caller   any thread or fiber, when nothing uses the budget any more.
 */
RN_API void rn_retry_budget_free(rn_retry_budget *budget);

/*
 * rn_retry_budget_deposit, rn_retry_budget_withdraw - what rn_retry and rn_hedge do, for the
 * program's own retries: deposit for each call, withdraw for each further attempt.
 *
 * Caller   any thread or fiber.
 * Blocks   never.
 * Returns  withdraw: true when there was a token.
 * Cost     one compare-and-swap; a load where the budget is full, or empty.
 */
RN_API void rn_retry_budget_deposit(rn_retry_budget *budget);
RN_API bool rn_retry_budget_withdraw(rn_retry_budget *budget);

/* Counters of a budget. */
typedef struct rn_retry_budget_stats {
    double tokens;      /* gauge */
    uint64_t withdrawn; /* tokens */
    uint64_t refused;   /* withdrawals */
} rn_retry_budget_stats;

/*
 * rn_retry_budget_stats_read - fill in *out.
 *
 * Caller   any thread or fiber.
 */
RN_API void rn_retry_budget_stats_read(rn_retry_budget *budget, rn_retry_budget_stats *out);

RN_END_DECLS

#endif
