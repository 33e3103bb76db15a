/*
 * rn_fiber - light threads, run by a few worker threads.
 *
 * A fiber costs one page of stack while it waits and tens of nanoseconds to switch; programs have
 * hundreds of thousands. Blocking calls of this library park the fiber, never its worker.
 *
 *     static void serve(void *arg) { ... }
 *
 *     static int app(int argc, char **argv)
 *     {
 *         return rn_go(serve, conn);
 *     }
 *     int main(int argc, char **argv) { return rn_run(app, argc, argv); }
 *
 * Lifetime
 * 1. A fiber started by rn_go is detached: nobody waits for it. Prefer a group (runnel/group.h).
 * 2. When the function given to rn_run returns, fibers that still run are dropped at their next
 *    park. What such a fiber waited for, with or held (a channel, a context, a mutex) must not be
 *    used or released afterwards. A plain thread that is inside a call of this library then may
 *    wait for ever: join such threads first. A thread-local destructor of a worker must not wait.
 * 3. A fiber may resume on another thread after any blocking call: errno, thread-locals and pthread
 *    mutexes must not be held across one. The .pinned option keeps a fiber on its worker.
 *
 * Environment
 *   RUNNEL_WORKERS=n    worker threads (default: the CPUs that affinity and cgroup quota leave)
 *   RUNNEL_STACK=size   stack of a fiber, guard included, with K or M (default 256K)
 */
#ifndef RUNNEL_FIBER_H
#define RUNNEL_FIBER_H

#include <runnel/error.h>
#include <stdbool.h>
#include <stdint.h>

RN_BEGIN_DECLS

typedef struct rn_ctx rn_ctx;

/* Where a fiber was started: made by the macros below, shown in dumps. */
typedef struct rn_site {
    const char *file;
    int line;
    const char *function; /* the started function's name; the fiber's name unless one is given */
} rn_site;

#define RN_SITE(fn_)                                                                               \
    __extension__({                                                                                \
        static const rn_site rn_site_ = {__FILE__, __LINE__, #fn_};                                \
        &rn_site_;                                                                                 \
    })

/* The last but one argument: the function, however many commas the literal before it has. */
#define RN_LAST_BUT_ONE(...) RN_NTH_(__VA_ARGS__, 8, 7, 6, 5, 4, 3, 2, 1)(__VA_ARGS__)
#define RN_NTH_(a, b, c, d, e, f, g, h, n, ...) RN_LAST_BUT_ONE_##n
#define RN_LAST_BUT_ONE_3(a, fn_, ...) fn_
#define RN_LAST_BUT_ONE_4(a, ...) RN_LAST_BUT_ONE_3(__VA_ARGS__)
#define RN_LAST_BUT_ONE_5(a, ...) RN_LAST_BUT_ONE_4(__VA_ARGS__)
#define RN_LAST_BUT_ONE_6(a, ...) RN_LAST_BUT_ONE_5(__VA_ARGS__)
#define RN_LAST_BUT_ONE_7(a, ...) RN_LAST_BUT_ONE_6(__VA_ARGS__)
#define RN_LAST_BUT_ONE_8(a, ...) RN_LAST_BUT_ONE_7(__VA_ARGS__)
#define RN_SITE_OF(fn_) RN_SITE(fn_)

/* Bytes of a stack that can be asked for; where pages are large, the smallest are rounded up. */
#define RN_STACK_MIN (32u << 10)
#define RN_STACK_MAX (1u << 30)

/* How to start a fiber; zero is the default of each field. */
typedef struct rn_go_options {
    const char *name;  /* shown in dumps; must outlive the fiber; default: the function's name */
    size_t stack_size; /* bytes, guard included, RN_STACK_MIN to _MAX; rounded up; default
                          RUNNEL_STACK */
    bool pinned;       /* stays on the worker that first runs it */
    rn_ctx *ctx;       /* the fiber's own context: waiting with it costs nothing extra; retained */
} rn_go_options;

/*
 * rn_run - run app on a fiber of a new runtime and return what it returns.
 *
 * Starts the workers, makes the caller wait, and tears all down: when it returns no thread of the
 * runtime is left and its memory is given back. When every fiber waits for another and nothing
 * outside can wake one, it reports each fiber on stderr and exits with status 2, as Go does.
 *
 * Caller   a plain thread, not a fiber, with no runtime running.
 * Blocks   the thread.
 * Returns  what app returned; 1 when the runtime could not start (said on stderr).
 */
RN_API int rn_run(int (*app)(int argc, char **argv), int argc, char **argv);

/*
 * rn_start - start the runtime without rn_run, from a plain thread.
 *
 * Not required: the first call that needs it starts it. Use it to learn of failure.
 *
 * Caller   any thread.
 * Returns  0         running (also when it already was)
 *          -ENOMEM   out of memory
 *          -EAGAIN   a thread could not be made
 *          -EINVAL   RUNNEL_WORKERS or RUNNEL_STACK cannot be understood (see rn_error_detail)
 */
RN_API int rn_start(void);

/*
 * rn_stop - stop a runtime that rn_start or a first use began.
 *
 * Caller   a plain thread; no other thread may be inside a call of this library.
 * Blocks   the thread until every worker has ended.
 * Returns  0        nothing runs any more (also when nothing ran)
 *          -EBUSY   called from a fiber, or rn_run owns the runtime
 */
RN_API int rn_stop(void);

/*
 * rn_go, rn_go_copy, rn_go_with - start fn(arg) on a new fiber.
 *
 * rn_go_copy(fn, &value) copies the value to the new fiber's stack and passes the copy's address,
 * which lives as long as the fiber. rn_go_with(&(rn_go_options){ ... }, fn, arg) chooses name,
 * stack, pinning and context. The caller goes on; the new fiber runs when a worker takes it.
 *
 * Caller   any thread or fiber.
 * Blocks   never.
 * Order    what the caller did before happens before fn begins.
 * Returns  0         started
 *          -ENOMEM   no stack could be had (rn_error_detail says whether a mapping limit was hit)
 *          -EINVAL   the copy does not fit a quarter of the stack, or the stack size is out of
 *                    range
 *          others    as rn_start: the call had to start the runtime, and could not
 * Cost     no allocation while stacks are pooled.
 */
#define rn_go(fn, arg) rn_go_at(RN_SITE(fn), NULL, (fn), (arg), 0)
#define rn_go_with(...) rn_go_with_at(RN_SITE_OF(RN_LAST_BUT_ONE(__VA_ARGS__)), __VA_ARGS__)
#define rn_go_copy(fn, ...) rn_go_at(RN_SITE(fn), NULL, (fn), (__VA_ARGS__), sizeof(*(__VA_ARGS__)))

/*
 * rn_go_at - the function under rn_go: site and opt may be NULL; copy_size 0 passes arg as it is.
 *
 * Caller   any thread or fiber.
 * Returns  as rn_go.
 */
RN_API int rn_go_at(const rn_site *site, const rn_go_options *opt, void (*fn)(void *arg),
                    const void *arg, size_t copy_size);

static inline int rn_go_with_at(const rn_site *site, const rn_go_options *opt,
                                void (*fn)(void *arg), const void *arg)
{
    return rn_go_at(site, opt, fn, arg, 0);
}

/*
 * rn_yield - let other fibers run first.
 *
 * Caller   any thread or fiber (on a plain thread, sched_yield).
 */
RN_API void rn_yield(void);

/*
 * rn_blocking - run fn(arg), which may block its thread, without holding up other fibers.
 *
 * Another worker takes over meanwhile. For calls into libraries that know nothing of fibers; fn
 * itself must not wait by this library's calls.
 *
 * Caller   any thread or fiber.
 * Blocks   the worker; the runtime compensates.
 * Returns  what fn returned.
 */
RN_API int rn_blocking(int (*fn)(void *arg), void *arg);

/*
 * rn_fiber_id, rn_fiber_name - the running fiber's number (1 is the first; 0 on a plain thread) and
 * name.
 *
 * Caller   any thread or fiber.
 */
RN_API uint64_t rn_fiber_id(void);
RN_API const char *rn_fiber_name(void);

/*
 * rn_workers - how many workers the runtime has, compensation not counted. Starts the runtime.
 *
 * Caller   any thread or fiber.
 */
RN_API int rn_workers(void);

/* A fiber-local variable; a plain thread has its own values too. */
typedef struct rn_local {
    uint32_t slot; /* 0: not made */
} rn_local;

/*
 * rn_local_new - make a fiber-local variable, NULL in every fiber.
 *
 * destroy, when not NULL, is called on the fiber as it ends, for each value that is not NULL.
 *
 * Caller   any thread or fiber.
 * Returns  0         *out is the variable; it lives until the process ends
 *          -ENOSPC   64 variables exist already
 */
RN_API int rn_local_new(rn_local *out, void (*destroy)(void *value));

/*
 * rn_local_get, rn_local_set - read and write this fiber's value.
 *
 * Caller   any thread or fiber.
 * Returns  get: the value, NULL when never set. set: 0, -EINVAL (not made) or -ENOMEM.
 */
RN_API void *rn_local_get(rn_local local);
RN_API int rn_local_set(rn_local local, void *value);

RN_END_DECLS

#endif
