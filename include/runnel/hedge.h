/*
 * rn_hedge - a second attempt when the first has not answered in time; the first success wins.
 *
 * rn_hedge(T) is the type of one whose calls have results of type T; any type but an array.
 *
 *     static int ask(rn_ctx *ctx, void *arg, unsigned attempt, struct reply *reply)
 *     {
 *         return get(ctx, replicas[attempt % 3], arg, reply);
 *     }
 *
 *     rn_hedge(struct reply) hedge;
 *     struct reply reply;
 *
 *     err = rn_hedge_new(&hedge, &(rn_hedge_config){ .delay = 50 * RN_MILLISECOND });
 *     err = rn_hedge_execute(ctx, hedge, ask, &request, &reply);
 *
 * The first attempt, number 0, starts at once. Whenever .delay passes without an end, or an attempt
 * fails, the next one starts, up to .attempts. With the first success the others are cancelled; the
 * call returns when they have all returned, too. What they came to is dropped.
 *
 * With .percentile the delay is learnt: that share of the recent first attempts answered within it.
 * A .budget keeps the further attempts a small share of the calls.
 *
 * The function runs several times at once: what arg points to is shared by its attempts, and they
 * must do no harm twice.
 *
 * Lifetime
 * 1. A hedge belongs to who made it, who frees it when no call on it runs.
 * 2. No attempt outlives its call.
 *
 * At once  every call but free, from any number of fibers and threads.
 */
#ifndef RUNNEL_HEDGE_H
#define RUNNEL_HEDGE_H

#include <runnel/clock.h>
#include <runnel/ctx.h>
#include <runnel/error.h>
#include <runnel/retry.h>
#include <runnel/time.h>
#include <stddef.h>
#include <stdint.h>

RN_BEGIN_DECLS

struct rn_hedge;

/* The type: a pointer to a function that is never called; its result tells what T is. */
#define rn_hedge(T) __typeof__(__typeof__(T) *(*)(struct rn_hedge *))

/* The untyped hedge under a typed one, and the type of its results. */
#define rn_hedge_untyped(h) (__extension__(struct rn_hedge *)(h))
#define RN_HEDGE_RESULT(h) __typeof__(*(h)((struct rn_hedge *)0))

typedef int rn_hedge_fn(rn_ctx *ctx, void *arg, unsigned attempt, void *result);

#define RN_HEDGE_CHECK(h, fn, ptr)                                                                 \
    _Static_assert(                                                                                \
        __builtin_types_compatible_p(__typeof__(fn),                                               \
                                     int(rn_ctx *, void *, unsigned, RN_HEDGE_RESULT(h) *)) ||     \
            __builtin_types_compatible_p(                                                          \
                __typeof__(fn), int (*)(rn_ctx *, void *, unsigned, RN_HEDGE_RESULT(h) *)),        \
        "the function's result is not the hedge's");                                               \
    _Static_assert(__builtin_types_compatible_p(__typeof__(ptr), RN_HEDGE_RESULT(h) *),            \
                   "the pointer is not to the hedge's result type");                               \
    _Static_assert(_Alignof(RN_HEDGE_RESULT(h)) <= 16, "results are aligned to 16 at most")

/* How to make a hedge; zero is the default of each field. */
typedef struct rn_hedge_config {
    unsigned attempts; /* in all, 2 to 16; default 2 */
    rn_duration delay; /* before each further attempt; default 100 ms */
    /*
     * From 0.5 to 0.999: the delay is what this share of the last 128 first attempts took at most.
     * One that was cancelled counts with the time that it had run. .delay holds for the first 20.
     */
    double percentile;
    rn_retry_budget *budget;    /* further attempts take from it; default: none */
    void (*drop)(void *result); /* for the success of an attempt that did not win */
    /* A further attempt starts, number attempt: behind a delay, or for err of another. */
    void (*on_hedge)(void *arg, unsigned attempt, int err);
    void *events_arg;
    const char *name;      /* of the attempts' fibers, and in dumps; must outlive the hedge */
    const rn_clock *clock; /* default: the runtime's */
    size_t stack_size;     /* of the attempts' fibers; default RUNNEL_STACK */
} rn_hedge_config;

/*
 * rn_hedge_new, rn_hedge_new_untyped - make a hedge.
 *
 * rn_hedge_new(&h, &(rn_hedge_config){ ... }) is typed; config may be NULL.
 *
 * Caller   any thread or fiber.
 * Returns  0         *out is the hedge
 *          -EINVAL   a field is out of range; rn_error_detail says which
 *          -ENOMEM   out of memory
 *          On every error *out is NULL, which rn_hedge_free takes.
 */
#define rn_hedge_new(out, ...)                                                                     \
    __extension__({                                                                                \
        struct rn_hedge *rn_hedge_ = NULL;                                                         \
        int rn_err_ = rn_hedge_new_untyped(&rn_hedge_, sizeof(RN_HEDGE_RESULT(*(out))),            \
                                           (__VA_ARGS__));                                         \
        *(out) = (__typeof__(*(out)))rn_hedge_;                                                    \
        rn_err_;                                                                                   \
    })
RN_API int rn_hedge_new_untyped(struct rn_hedge **out, size_t result_size,
                                const rn_hedge_config *config);

/*
 * rn_hedge_free - free a hedge. NULL is fine.
 *
 * Caller   any thread or fiber, while no call on the hedge runs.
 */
RN_API void rn_hedge_free(struct rn_hedge *h);

/*
 * rn_hedge_execute, rn_hedge_execute_untyped - call fn(ctx, arg, attempt, &result) until one
 * succeeds.
 *
 * rn_hedge_execute(ctx, h, fn, arg, &result) is typed. Each attempt runs on a fiber of its own with
 * a place for its result, zeroed; 0 is a success. A child of ctx is the attempts' context.
 *
 * Caller   any thread or fiber.
 * Blocks   the fiber until one has succeeded or all have failed, and every attempt has returned.
 * Returns  0            *result is the winner's
 *          -ECANCELED   ctx was cancelled and no attempt succeeded
 *          -ETIMEDOUT   ctx's deadline passed and no attempt succeeded
 *          -ENOMEM      no memory, or no stack for the first attempt
 *          otherwise, when all failed, what the first of them to end returned
 * Cost     three allocations and a fiber; with a further attempt another allocation and fiber.
 */
#define rn_hedge_execute(ctx, h, fn, arg, result)                                                  \
    __extension__({                                                                                \
        RN_HEDGE_CHECK(h, fn, result);                                                             \
        rn_hedge_execute_untyped((ctx), rn_hedge_untyped(h), (rn_hedge_fn *)(fn), (arg),           \
                                 (result));                                                        \
    })
RN_API int rn_hedge_execute_untyped(rn_ctx *ctx, struct rn_hedge *h, rn_hedge_fn *fn, void *arg,
                                    void *result);

/*
 * rn_hedge_delay - how long a call that begins now waits before its second attempt.
 *
 * Caller   any thread or fiber.
 */
RN_API rn_duration rn_hedge_delay(struct rn_hedge *h);

/* Counters of a hedge. */
typedef struct rn_hedge_stats {
    uint64_t calls;
    uint64_t attempts;
    uint64_t hedged;   /* calls with more than one attempt */
    uint64_t won_late; /* calls that a further attempt won */
    uint64_t failed;   /* calls */
    uint64_t dropped;  /* successes that did not win */
    uint64_t refused;  /* further attempts, by the budget */
} rn_hedge_stats;

/*
 * rn_hedge_stats_read - fill in *out; each number is exact, all of them together are not one
 * instant.
 *
 * Caller   any thread or fiber.
 */
RN_API void rn_hedge_stats_read(struct rn_hedge *h, rn_hedge_stats *out);

/* The same calls on typed hedges. */
#define rn_hedge_free(h) rn_hedge_free(rn_hedge_untyped(h))
#define rn_hedge_delay(h) rn_hedge_delay(rn_hedge_untyped(h))
#define rn_hedge_stats_read(h, out) rn_hedge_stats_read(rn_hedge_untyped(h), (out))

RN_END_DECLS

#endif
