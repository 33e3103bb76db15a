/*
 * rn_group - fibers that belong together: started, cancelled and waited for as one.
 *
 *     rn_group *g = rn_group_new(ctx);
 *
 *     for (int i = 0; i < n; i++)
 *         rn_group_go_copy(g, fetch, &(struct fetch){ .url = urls[i] });
 *     err = rn_group_wait(g);                joins all, frees, returns the first error
 *
 *     static int fetch(rn_ctx *ctx, void *arg) { ... }    not 0: the others are cancelled
 *
 * Lifetime
 * 1. A group owns what it started. When rn_group_wait returns, every function has returned, the
 *    deferred clean-ups have run (last in, first out), and the group is freed. Each group is waited
 *    for once.
 * 2. The group's context is a child of the parent's. It ends with the first error, by
 *    rn_group_cancel, or with the parent; then nothing new starts. Fibers get it as their own:
 *    waiting with it costs nothing extra. It lives as long as the group.
 * 3. Only the last result needs a look. A function for which no fiber could be had counts as the
 *    group's error, as if it had returned that code, but cancels nothing: who starts something else
 *    instead loses nothing. NULL is a group for which there was no memory: calls return -ENOMEM.
 * 4. What rn_on_group waits for (runnel/select.h) is made when it is first asked for, and ends once
 *    no fiber is left; it stays so, although more may be started. Without memory for it the group
 *    is cancelled with -ENOMEM, which ends that wait too.
 *
 * At once  go, try_go, defer, cancel, ctx and rn_on_group, from any number of fibers and threads,
 *          also from the group's own; set_limit only while none of the group's fibers runs and
 *          nobody starts one; wait once, by one.
 */
#ifndef RUNNEL_GROUP_H
#define RUNNEL_GROUP_H

#include <runnel/ctx.h>
#include <runnel/error.h>
#include <runnel/fiber.h>
#include <runnel/select.h>
#include <stddef.h>
#include <stdint.h>

RN_BEGIN_DECLS

typedef struct rn_group rn_group;

#define RN_GROUP_UNLIMITED SIZE_MAX /* as a limit: any number at once */

/* When a group ends early, and what rn_group_wait returns. */
typedef enum rn_group_mode {
    RN_GROUP_FIRST_ERROR, /* the first error cancels the others and is returned */
    RN_GROUP_COLLECT_ALL, /* errors cancel nobody; the first is returned, .failed is told of each */
    /* The first success cancels the others; 0 if any succeeded, otherwise the first error. */
    RN_GROUP_FIRST_SUCCESS
} rn_group_mode;

/* How to make a group; zero is the default of each field. */
typedef struct rn_group_options {
    size_t limit; /* fibers at once; 0: RN_GROUP_UNLIMITED */
    /* Of the fibers and the group, in dumps; must outlive them; default: the function's name. */
    const char *name;
    size_t stack_size;  /* of each fiber; default RUNNEL_STACK */
    rn_group_mode mode; /* default: RN_GROUP_FIRST_ERROR */
    /* Called on each fiber that fails, as it ends, with the fiber's name and its error. */
    void (*failed)(void *arg, const char *fiber_name, int err);
    void *failed_arg;
} rn_group_options;

/*
 * rn_group_new - make a group below a context.
 *
 * parent may be NULL.
 *
 * Caller   any thread or fiber.
 * Returns  the group, freed by rn_group_wait, or NULL when out of memory.
 */
RN_API rn_group *rn_group_new(rn_ctx *parent);

/*
 * rn_group_new_with - make a group with options; opt may be NULL.
 *
 * Caller   any thread or fiber.
 * Returns  0         *out is the group, freed by rn_group_wait
 *          -EINVAL   an unknown .mode (rn_error_detail says so)
 *          -ENOMEM   out of memory
 *          On every error *out is NULL, which rn_group_wait takes.
 */
RN_API int rn_group_new_with(rn_group **out, rn_ctx *parent, const rn_group_options *opt);

/*
 * rn_group_ctx - the group's context, which its fibers get; the group's own, not to be released.
 *
 * Caller   any thread or fiber.
 * Returns  the context; NULL for NULL.
 */
RN_API rn_ctx *rn_group_ctx(rn_group *g);

/*
 * rn_group_go, rn_group_go_copy - start fn(ctx, arg) on a new fiber of the group.
 *
 * rn_group_go_copy(g, fn, &value) copies the value to the new fiber's stack and passes the copy's
 * address. When the group is limited and full, both wait for room with the group's context.
 *
 * Caller   any thread or fiber; also the group's own fibers.
 * Blocks   the fiber, only while the limit is reached, until there is room or the group's context
 *          ends.
 * Order    what the caller did before happens before fn begins.
 * Returns  0            started
 *          -ECANCELED   the group's context has ended: by an error, rn_group_cancel or its parent
 *          -ETIMEDOUT   it ended so because a deadline passed
 *          -ENOMEM      no memory or no stack, or g is NULL
 *          -EINVAL      the copy does not fit a quarter of the stack, or .stack_size is out of
 *                       range
 *          -EAGAIN      a thread could not be made
 *          others       as rn_start: the call had to start the runtime, and could not
 *          On every error fn does not run, and the group goes on; but for -ECANCELED and
 *          -ETIMEDOUT rn_group_wait returns the code, unless the group had an error before.
 * Cost     no allocation while stacks are pooled and copies are small.
 * See      rn_go
 */
#define rn_group_go(g, fn, arg) rn_group_go_at(RN_SITE(fn), (g), 0, (fn), (arg), 0)
#define rn_group_go_copy(g, fn, ...)                                                               \
    rn_group_go_at(RN_SITE(fn), (g), 0, (fn), (__VA_ARGS__), sizeof(*(__VA_ARGS__)))

/*
 * rn_group_try_go, rn_group_try_go_copy - start it if that needs no waiting.
 *
 * Caller   any thread or fiber; also the group's own fibers.
 * Blocks   never.
 * Returns  as rn_group_go, and
 *          -EAGAIN      the limit is reached; this leaves no error in the group
 */
#define rn_group_try_go(g, fn, arg) rn_group_go_at(RN_SITE(fn), (g), RN_GROUP_TRY, (fn), (arg), 0)
#define rn_group_try_go_copy(g, fn, ...)                                                           \
    rn_group_go_at(RN_SITE(fn), (g), RN_GROUP_TRY, (fn), (__VA_ARGS__), sizeof(*(__VA_ARGS__)))

/* Flags of rn_group_go_at. */
#define RN_GROUP_TRY 1u /* do not wait for room */

/*
 * rn_group_go_at - the function under rn_group_go.
 *
 * site may be NULL; copy_size 0 passes arg as it is.
 *
 * Caller   any thread or fiber.
 * Returns  as rn_group_go and rn_group_try_go; -EINVAL also for an unknown flag.
 */
RN_API int rn_group_go_at(const rn_site *site, rn_group *g, unsigned flags,
                          int (*fn)(rn_ctx *ctx, void *arg), const void *arg, size_t copy_size);

/*
 * rn_group_set_limit - at most n fibers at once.
 *
 * 0: nothing may start; RN_GROUP_UNLIMITED: no limit.
 *
 * Caller   any thread or fiber, while none of the group's fibers runs.
 * Returns  0         set
 *          -EBUSY    fibers of the group run
 *          -ENOMEM   g is NULL
 */
RN_API int rn_group_set_limit(rn_group *g, size_t n);

/*
 * rn_group_defer - have rn_group_wait call fn(arg) after the last fiber has ended.
 *
 * Last in, first out. The group's context has ended by then.
 *
 * Caller   any thread or fiber; also the group's own fibers.
 * Returns  0         noted
 *          -ENOMEM   out of memory, or g is NULL: fn will not be called
 */
RN_API int rn_group_defer(rn_group *g, void (*fn)(void *arg), void *arg);

/*
 * rn_group_cancel - end the group's context; nothing new starts.
 *
 * cause counts as the group's error if it has none yet; 0 stands for -ECANCELED.
 *
 * Caller   any thread or fiber.
 */
RN_API void rn_group_cancel(rn_group *g, int cause);

/*
 * rn_group_wait - join every fiber, run the deferred clean-ups, free the group.
 *
 * Fibers may go on starting others meanwhile.
 *
 * Caller   any thread or fiber that is not of the group, while no other of these is in a call on
 *          it.
 * Blocks   until all have ended; no context shortens that: cancel the group to hurry them.
 * Order    everything the fibers did happens before it returns.
 * Returns  0         every function returned 0 (RN_GROUP_FIRST_SUCCESS: one did, or none was
 *                    started)
 *          -ENOMEM   g is NULL
 *          otherwise the first function's result that was not 0, the cause of rn_group_cancel, or
 *                    why a function could not be started.
 */
RN_API int rn_group_wait(rn_group *g);

/* Counters of a group. */
typedef struct rn_group_stats {
    uint64_t started; /* functions that were given a fiber */
    uint64_t running; /* gauge: of these, not returned */
    uint64_t failed;  /* returned something else than 0 */
} rn_group_stats;

/*
 * rn_group_stats_read - fill in *out; all zero for NULL.
 *
 * Caller   any thread or fiber, before rn_group_wait has returned.
 */
RN_API void rn_group_stats_read(rn_group *g, rn_group_stats *out);

RN_END_DECLS

#endif
