/*
 * rn_single_flight - one call for a key at a time, whose result all who ask for the key share.
 *
 * rn_single_flight(T) is the type of one whose results are T; any type but an array. Asking for
 * another type does not compile.
 *
 *     static int load(rn_ctx *ctx, void *arg, const void *key, size_t key_size, struct user *u)
 *
 *     rn_single_flight(struct user) users;
 *     struct user u;
 *
 *     err = rn_single_flight_new(&users, load, db, NULL);
 *     err = rn_single_flight_do(ctx, users, "ada", 3, &u);    from many fibers: one load
 *     rn_single_flight_free(users);
 *
 * The first who asks for a key starts the function for it, on a fiber of its own; who asks for the
 * same key before it has returned waits for that result. A caller's context ends that caller's wait
 * and nothing else; when the last who waited has left, the function's context is cancelled, and the
 * next who asks starts anew. A caller without a context never leaves: where the first has none, the
 * function runs on that caller's own fiber, which is cheaper.
 *
 * Results are copied to those who asked. For a result that owns something, .copy makes a copy for a
 * caller, and .drop disposes of one. A caller that is the last to take a result gets the original;
 * an original that nobody got is dropped.
 *
 * Lifetime
 * 1. It belongs to who made it, who frees it; free cancels what still runs, and waits for it.
 * 2. Keys are copied. arg must outlive it.
 *
 * At once  every call but free, from any number of fibers and threads, also from the function; one
 *          that asks for its own key gets -EDEADLK.
 */
#ifndef RUNNEL_SINGLE_FLIGHT_H
#define RUNNEL_SINGLE_FLIGHT_H

#include <runnel/ctx.h>
#include <runnel/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

RN_BEGIN_DECLS

struct rn_single_flight;

/* The type: a pointer to a function that is never called; its result tells what T is. */
#define rn_single_flight(T) __typeof__(__typeof__(T) *(*)(struct rn_single_flight *))

/* The untyped one under a typed one, and the type of its results. */
#define rn_single_flight_untyped(sf) (__extension__(struct rn_single_flight *)(sf))
#define RN_FLIGHT_RESULT(sf) __typeof__(*(sf)((struct rn_single_flight *)0))

typedef int rn_single_flight_fn(rn_ctx *ctx, void *arg, const void *key, size_t key_size,
                                void *result);

#define RN_FLIGHT_CHECK_FUNCTION(sf, fn)                                                           \
    _Static_assert(                                                                                \
        __builtin_types_compatible_p(__typeof__(fn), int(rn_ctx *, void *, const void *, size_t,   \
                                                         RN_FLIGHT_RESULT(sf) *)) ||               \
            __builtin_types_compatible_p(__typeof__(fn), int (*)(rn_ctx *, void *, const void *,   \
                                                                 size_t, RN_FLIGHT_RESULT(sf) *)), \
        "the function's result is not the single flight's");                                       \
    _Static_assert(_Alignof(RN_FLIGHT_RESULT(sf)) <= 16, "results are aligned to 16 at most")

/* Evaluates to ptr as void *, and fails to compile unless it points to a result. */
#define RN_FLIGHT_RESULT_PTR(sf, ptr)                                                              \
    ((void *)((char *)(ptr) + 0 * sizeof(struct {                                                  \
                                  int rn_unused_;                                                  \
                                  _Static_assert(                                                  \
                                      __builtin_types_compatible_p(__typeof__(ptr),                \
                                                                   RN_FLIGHT_RESULT(sf) *),        \
                                      "the pointer is not to the single flight's result type");    \
                              })))

/* How to make one; zero is the default of each field. */
typedef struct rn_single_flight_config {
    /* Copies a result to a caller; not 0: that caller gets this code. Default: its bytes. */
    int (*copy)(void *to, const void *from);
    void (*drop)(void *result); /* needs .copy, so that no two callers own the same */
    rn_ctx *ctx;       /* parent of the contexts that the function gets; retained; default: none */
    const char *name;  /* of its fibers, and in dumps; must outlive it; default: not shown */
    size_t stack_size; /* of its fibers; default RUNNEL_STACK */
    /* The function begins for a key; it has returned err, with so many waiting. */
    void (*on_begin)(void *arg, const void *key, size_t key_size);
    void (*on_end)(void *arg, const void *key, size_t key_size, int err, size_t waiting);
    void *events_arg;
} rn_single_flight_config;

/*
 * rn_single_flight_new, rn_single_flight_new_untyped - make one.
 *
 * For each key that is asked for it calls fn(ctx, arg, key, key_size, &result), result zeroed
 * beforehand. What fn returns is what the callers get; with anything but 0 the result is not looked
 * at. rn_single_flight_new(&sf, fn, arg, &(rn_single_flight_config){ ... }) is typed; config may be
 * NULL.
 *
 * Caller   any thread or fiber.
 * Returns  0         *out is it
 *          -EINVAL   .drop without .copy, or a size overflows; rn_error_detail says which
 *          -ENOMEM   out of memory
 *          On every error *out is NULL, which rn_single_flight_free takes.
 */
#define rn_single_flight_new(out, fn, arg, ...)                                                    \
    __extension__({                                                                                \
        RN_FLIGHT_CHECK_FUNCTION(*(out), fn);                                                      \
        struct rn_single_flight *rn_flight_ = NULL;                                                \
        int rn_err_ = rn_single_flight_new_untyped(&rn_flight_, sizeof(RN_FLIGHT_RESULT(*(out))),  \
                                                   (rn_single_flight_fn *)(fn), (arg),             \
                                                   (__VA_ARGS__));                                 \
        *(out) = (__typeof__(*(out)))rn_flight_;                                                   \
        rn_err_;                                                                                   \
    })
RN_API int rn_single_flight_new_untyped(struct rn_single_flight **out, size_t result_size,
                                        rn_single_flight_fn *fn, void *arg,
                                        const rn_single_flight_config *config);

/*
 * rn_single_flight_free - cancel what still runs, wait for it, free. NULL is fine.
 *
 * Ends the process when called from the function.
 *
 * Caller   any thread or fiber; nobody may be in another call, and nobody may wait.
 * Blocks   until every function has returned.
 */
RN_API void rn_single_flight_free(struct rn_single_flight *sf);

/*
 * rn_single_flight_do, rn_single_flight_do_untyped - get the result for a key.
 *
 * rn_single_flight_do(ctx, sf, key, key_size, &result) is typed.
 *
 * Caller   any thread or fiber; also the function, for another key.
 * Blocks   the fiber until the function has returned, or ctx ends.
 * Order    what the first who asked did before happens before the function begins, and its end
 *          before do returns.
 * Returns  what the function returned; only for 0 there is a result, the caller's; or
 *          -ECANCELED   ctx was cancelled
 *          -ETIMEDOUT   ctx's deadline passed
 *          -ENOMEM      no memory, or no stack for the function
 *          -EDEADLK     called by the function that runs for this very key
 *          otherwise what .copy returned
 * Cost     one allocation, and a fiber where ctx is not NULL, for the first who asks; for others a
 *          lock.
 */
#define rn_single_flight_do(ctx, sf, key, key_size, result)                                        \
    rn_single_flight_do_untyped((ctx), rn_single_flight_untyped(sf), (key), (key_size),            \
                                RN_FLIGHT_RESULT_PTR(sf, result))
RN_API int rn_single_flight_do_untyped(rn_ctx *ctx, struct rn_single_flight *sf, const void *key,
                                       size_t key_size, void *result);

/*
 * rn_single_flight_forget - let the next who asks for a key start anew.
 *
 * Who waits already goes on waiting for the old result.
 *
 * Caller   any thread or fiber; also the function.
 * Blocks   never.
 * Returns  true when the function was running for that key.
 */
RN_API bool rn_single_flight_forget(struct rn_single_flight *sf, const void *key, size_t key_size);

/* Counters of a single flight. */
typedef struct rn_single_flight_stats {
    uint64_t asked;     /* calls of do */
    uint64_t started;   /* calls of the function */
    uint64_t shared;    /* calls of do that joined one */
    uint64_t left;      /* callers whose context ended first */
    uint64_t abandoned; /* calls of the function that everybody left */
    uint64_t failed;    /* calls of the function that did not return 0 */
    uint64_t forgotten; /* keys, by forget */
    uint64_t running;   /* gauge: calls of the function */
} rn_single_flight_stats;

/*
 * rn_single_flight_stats_read - fill in *out; each number is exact, all of them together are not
 * one instant.
 *
 * Caller   any thread or fiber.
 */
RN_API void rn_single_flight_stats_read(struct rn_single_flight *sf, rn_single_flight_stats *out);

/* The same calls on typed ones. */
#define rn_single_flight_free(sf) rn_single_flight_free(rn_single_flight_untyped(sf))
#define rn_single_flight_forget(sf, key, key_size)                                                 \
    rn_single_flight_forget(rn_single_flight_untyped(sf), (key), (key_size))
#define rn_single_flight_stats_read(sf, out)                                                       \
    rn_single_flight_stats_read(rn_single_flight_untyped(sf), (out))

RN_END_DECLS

#endif
