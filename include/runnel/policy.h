/*
 * rn_policy - how calls to a service are protected: layers around a call, in an order one can read.
 *
 *     rn_policy *policy;
 *     err = rn_policy_new(&policy, &(rn_policy_config){
 *         .name = "orders",
 *         .layers = { rn_layer_retry(retry), rn_layer_breaker(breaker),
 *                     rn_layer_limiter(limiter, 1), rn_layer_semaphore(connections, 1) } });
 *
 *     err = rn_policy_execute(ctx, policy, place_order, &order);
 *
 * The first layer is the outermost: here each attempt of the retry asks the breaker, waits for the
 * limiter, and holds a unit of the semaphore while place_order runs. rn_policy_order says so:
 * "retry > breaker > limiter > semaphore".
 *
 * Each part is an object of its own, and may be in any number of policies and used without one. A
 * layer that refuses the call returns its code without going further in: RN_EOPEN, RN_ERATE, ... A
 * breaker that does tells the retry around it for how long.
 *
 * Lifetime
 * 1. A policy belongs to who made it, who frees it when no call on it runs.
 * 2. It never changes, and does not own its parts, which must outlive it.
 *
 * At once  every call but free, from any number of fibers and threads.
 */
#ifndef RUNNEL_POLICY_H
#define RUNNEL_POLICY_H

#include <runnel/breaker.h>
#include <runnel/clock.h>
#include <runnel/ctx.h>
#include <runnel/error.h>
#include <runnel/limiter.h>
#include <runnel/retry.h>
#include <runnel/semaphore.h>
#include <runnel/time.h>
#include <stddef.h>
#include <stdint.h>

RN_BEGIN_DECLS

#define RN_POLICY_LAYERS_MAX 12

typedef struct rn_policy rn_policy;
typedef struct rn_next rn_next;

/* A layer of the program's own: does its part, and calls rn_policy_next any number of times. */
typedef int rn_layer_fn(rn_ctx *ctx, void *arg, rn_attempt *attempt, const rn_next *next);

typedef enum rn_layer_kind {
    RN_LAYER_NONE, /* behind the last one */
    RN_LAYER_RETRY,
    RN_LAYER_BREAKER,
    RN_LAYER_LIMITER,
    RN_LAYER_SEMAPHORE,
    RN_LAYER_TIMEOUT,
    RN_LAYER_CUSTOM
} rn_layer_kind;

/* One layer. Made by the macros below. */
typedef struct rn_layer {
    rn_layer_kind kind;
    rn_retry *retry;
    rn_breaker *breaker;
    rn_limiter *limiter;
    rn_semaphore *semaphore;
    size_t n;            /* tokens or units for each call */
    rn_duration timeout; /* of what is inside, for each call */
    const char *name;    /* RN_LAYER_CUSTOM; must outlive the policy */
    rn_layer_fn *fn;
    void *arg;
} rn_layer;

/*
 * rn_layer_retry, rn_layer_breaker, rn_layer_limiter, rn_layer_semaphore, rn_layer_timeout,
 * rn_layer_custom - a layer, for an rn_policy_config.
 *
 * The limiter's n tokens are waited for; so are the semaphore's n units, held while what is inside
 * runs. timeout gives what is inside a context that ends after d. custom calls fn(ctx, arg,
 * attempt, next), and is shown by its name.
 */
#define rn_layer_retry(r) ((rn_layer){.kind = RN_LAYER_RETRY, .retry = (r)})
#define rn_layer_breaker(b) ((rn_layer){.kind = RN_LAYER_BREAKER, .breaker = (b)})
#define rn_layer_limiter(l, n_) ((rn_layer){.kind = RN_LAYER_LIMITER, .limiter = (l), .n = (n_)})
#define rn_layer_semaphore(s, n_)                                                                  \
    ((rn_layer){.kind = RN_LAYER_SEMAPHORE, .semaphore = (s), .n = (n_)})
#define rn_layer_timeout(d) ((rn_layer){.kind = RN_LAYER_TIMEOUT, .timeout = (d)})
#define rn_layer_custom(name_, fn_, arg_)                                                          \
    ((rn_layer){.kind = RN_LAYER_CUSTOM, .name = (name_), .fn = (fn_), .arg = (arg_)})

/* How to make a policy; zero is the default of each field. */
typedef struct rn_policy_config {
    rn_layer layers[RN_POLICY_LAYERS_MAX]; /* outermost first; default: none */
    const char *name;                      /* in dumps; must outlive the policy */
    /* A call has ended, with err, after took. */
    void (*on_done)(void *arg, int err, rn_duration took);
    void *events_arg;
    const rn_clock *clock; /* for took; default: the runtime's */
} rn_policy_config;

/*
 * rn_policy_new - make a policy; config may be NULL.
 *
 * Caller   any thread or fiber.
 * Returns  0         *out is the policy
 *          -EINVAL   a layer is not as it should be; rn_error_detail says which and why
 *          -ENOMEM   out of memory
 *          On every error *out is NULL, which rn_policy_free takes.
 */
RN_API int rn_policy_new(rn_policy **out, const rn_policy_config *config);

/*
 * rn_policy_free - free a policy, not its parts. NULL is fine.
 *
 * Caller   any thread or fiber, while no call on the policy runs.
 */
RN_API void rn_policy_free(rn_policy *p);

/*
 * rn_policy_execute - call fn(ctx, arg, &attempt) inside the policy's layers.
 *
 * The attempt is that of the innermost retry; without one it is the first and only. fn's ctx is the
 * one that the layers have left it, never longer than the caller's.
 *
 * Caller   any thread or fiber.
 * Blocks   as the layers and fn do.
 * Returns  what fn returned; or what a layer returned that let nothing through:
 *          RN_EOPEN     the breaker
 *          RN_ERATE     the limiter: the deadline is too near
 *          RN_EBURST    the limiter: it never holds so many tokens
 *          -EINVAL      the semaphore: it has fewer units
 *          -ECANCELED   ctx was cancelled, before fn or during a wait
 *          -ETIMEDOUT   ctx's deadline passed there
 *          -ENOMEM      no memory for a context
 * Cost     no allocation of its own but in a timeout layer; an atomic addition for each layer.
 */
RN_API int rn_policy_execute(rn_ctx *ctx, rn_policy *p, rn_attempt_fn *fn, void *arg);

/*
 * rn_policy_next - in a layer of the program's own: go on with what is inside.
 *
 * Caller   the rn_layer_fn that got next, on the same fiber, before it returns.
 * Returns  what came of it.
 */
RN_API int rn_policy_next(rn_ctx *ctx, const rn_next *next);

/*
 * rn_policy_order - write the layers' names in their order: "retry > breaker > semaphore".
 *
 * Caller   any thread or fiber.
 * Returns  the length of the whole text; size bytes of it, with the NUL, are written, as by
 *          snprintf.
 */
RN_API size_t rn_policy_order(const rn_policy *p, char *text, size_t size);

/*
 * rn_policy_layer - the i-th layer, from 0 for the outermost.
 *
 * Caller   any thread or fiber.
 * Returns  the layer, the policy's own; NULL behind the last.
 */
RN_API const rn_layer *rn_policy_layer(const rn_policy *p, size_t i);

/* Counters of a policy. */
typedef struct rn_policy_stats {
    uint64_t calls;
    uint64_t failed; /* of these */
    struct {
        uint64_t entered; /* times that a call came to the layer */
        uint64_t refused; /* times that it let nothing through */
    } layers[RN_POLICY_LAYERS_MAX];
} rn_policy_stats;

/*
 * rn_policy_stats_read - fill in *out; each number is exact, all of them together are not one
 * instant.
 *
 * Caller   any thread or fiber.
 */
RN_API void rn_policy_stats_read(rn_policy *p, rn_policy_stats *out);

RN_END_DECLS

#endif
