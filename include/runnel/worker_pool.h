/*
 * rn_worker_pool - a number of fibers that work off one bounded queue of jobs.
 *
 * rn_worker_pool(J, R) is the type of a pool whose jobs are J and whose results are R; any types
 * but arrays, and R void for a pool that discards results. Submitting the wrong type does not
 * compile.
 *
 *     static int resolve(rn_ctx *ctx, void *arg, struct job *job, struct address *result) { ... }
 *
 *     rn_worker_pool(struct job, struct address) pool;
 *     rn_worker_result(struct address) r;
 *
 *     err = rn_worker_pool_new(&pool, resolve, NULL, &(rn_worker_pool_config){ .workers = 8 });
 *     err = rn_worker_pool_submit(ctx, pool, (struct job){ .name = "example.org" });
 *     rn_worker_pool_drain(pool);                         no more jobs
 *     while (rn_worker_pool_recv(ctx, pool, &r) == 0)     then RN_ECLOSED
 *         print(r.info.job, r.info.err, &r.value);
 *     rn_worker_pool_free(pool);
 *
 * Jobs start in the order in which they were submitted. Results come as the jobs end or, with
 * .ordered, in the order of submission. They wait in a bounded channel: when nobody receives them,
 * the workers, and then those who submit, wait. So submit and receive on different fibers, or give
 * .results room for all.
 *
 * A job may submit to its own pool, and so may the fibers that it starts, when they pass its
 * context or one below. Where others would wait for room they do not: the queue grows, since
 * waiting for one's own worker could last for ever.
 *
 * Lifetime
 * 1. A pool belongs to who made it, who frees it. free abandons what was not stopped, and waits for
 *    running jobs.
 * 2. Jobs and results are copied. A job that will never run goes to .drop_job or to who abandons;
 *    the result of a job that returned 0 and that nobody will receive goes to .drop_result.
 * 3. The context that jobs get is the pool's: a child of .ctx, cancelled by abandon and free. When
 *    .ctx ends, jobs go on being taken and see an ended context.
 * 4. Workers are numbered from 0; a pool of n uses 0 to n-1. Resizing down ends the highest ones,
 *    each after the job that it runs.
 *
 * At once  every call but free, from any number of fibers and threads, also from jobs.
 */
#ifndef RUNNEL_WORKER_POOL_H
#define RUNNEL_WORKER_POOL_H

#include <runnel/chan.h>
#include <runnel/clock.h>
#include <runnel/ctx.h>
#include <runnel/error.h>
#include <runnel/select.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

RN_BEGIN_DECLS

struct rn_worker_pool;

/* What is known of a job that has run. */
typedef struct rn_job_info {
    uint64_t job;    /* its number: 1 for the first that was submitted */
    uint32_t worker; /* who ran it, from 0 */
    int err;         /* what its function returned; only for 0 the value counts */
} rn_job_info;

/* The type of what is received: .info, and .value of type R. */
#define rn_worker_result(R)                                                                        \
    struct {                                                                                       \
        rn_job_info info;                                                                          \
        __typeof__(R) value;                                                                       \
    } __attribute__((aligned(16)))

/* The size of that struct. */
#define RN_WORKER_RESULT_SIZE(R) (sizeof(rn_job_info) + (sizeof(R) + 15) / 16 * 16)

/*
 * The type of a pool: a pointer to a function that is never called. J can be had back from what it
 * returns, the size of a result from the array's length; R is in the type for checking.
 */
#define rn_worker_pool(J, R)                                                                       \
    __typeof__(__typeof__(J) *(                                                                    \
        *(*)(struct rn_worker_pool *, int (*)(rn_ctx *, void *, __typeof__(J) *,                   \
                                              __typeof__(R) *)))[RN_WORKER_RESULT_SIZE(R)])

/* The untyped pool under a typed one, the type of its jobs, and the size of its results. */
#define rn_worker_pool_untyped(pool) (__extension__(struct rn_worker_pool *)(pool))
#define RN_POOL_JOB(pool) __typeof__(***(pool)((struct rn_worker_pool *)0, 0))
#define RN_POOL_RESULT_SIZE(pool) (sizeof(*(pool)((struct rn_worker_pool *)0, 0)) / sizeof(void *))

/* Evaluates to ptr as void *, and fails to compile unless the condition holds. */
#define RN_POOL_CHECKED(ptr, condition, message)                                                   \
    ((void *)((char *)(ptr) + 0 * sizeof(struct {                                                  \
                                  int rn_unused_;                                                  \
                                  _Static_assert(condition, message);                              \
                              })))

#define RN_POOL_RESULT(pool, ptr)                                                                  \
    RN_POOL_CHECKED(                                                                               \
        ptr,                                                                                       \
        __builtin_types_compatible_p(                                                              \
            __typeof__(pool), rn_worker_pool(RN_POOL_JOB(pool), __typeof__((ptr)->value))) &&      \
            __builtin_offsetof(__typeof__(*(ptr)), value) == sizeof(rn_job_info) &&                \
            sizeof(*(ptr)) == RN_POOL_RESULT_SIZE(pool),                                           \
        "the pointer is not to an rn_worker_result of the pool's result type")

#define RN_POOL_CHECK_FUNCTION(pool, fn)                                                           \
    _Static_assert(                                                                                \
        __builtin_types_compatible_p(                                                              \
            __typeof__(pool),                                                                      \
            __typeof__(RN_POOL_JOB(pool) * (*(*)(struct rn_worker_pool *,                          \
                                                 __typeof__(fn)))[RN_POOL_RESULT_SIZE(pool)])),    \
        "the function's types are not the pool's");                                                \
    _Static_assert(_Alignof(RN_POOL_JOB(pool)) <= 16, "jobs are aligned to 16 at most")

typedef int rn_job_fn(rn_ctx *ctx, void *arg, void *job, void *result);

/* How to make a pool; zero is the default of each field. */
typedef struct rn_worker_pool_config {
    size_t workers; /* default: as many as the runtime has */
    size_t queue;   /* jobs that may wait for a worker; default 64 */
    size_t results; /* results that may wait for a receiver; default 64 */
    /*
     * Results in the order of submission. At most the larger of .results and .workers jobs are
     * then running or waiting for their turn.
     */
    bool ordered;
    bool discard;      /* no results; recv returns -EINVAL */
    rn_ctx *ctx;       /* parent of the context that jobs get; retained; default: none */
    const char *name;  /* of the workers, in dumps; must outlive the pool */
    size_t stack_size; /* of each worker; default RUNNEL_STACK */
    /* Called for each job that will not run and that nobody takes back. */
    void (*drop_job)(void *job);
    /* Called for each result, a pointer to R, that nobody will receive. */
    void (*drop_result)(void *result);
    /*
     * Events, under no lock; they must not free the pool. on_failed: a job's function returned an
     * error; on its worker, before the result can be received. on_waited: a submit found the queue
     * full and waited; on the caller's fiber, with what submit is going to return.
     */
    void (*on_failed)(void *arg, const rn_job_info *info);
    void (*on_waited)(void *arg, rn_duration waited, int err);
    void *events_arg;
    const rn_clock *clock; /* measures waits for on_waited; default: the runtime's */
} rn_worker_pool_config;

/*
 * rn_worker_pool_new, rn_worker_pool_new_untyped - make a pool.
 *
 * It calls fn(ctx, arg, &job, &result) for each job.
 * rn_worker_pool_new(&pool, fn, arg, &(rn_worker_pool_config){ ... }) is typed; config may be NULL.
 * fn's job is the worker's copy, its result is zeroed beforehand. Anything but 0 that it returns is
 * the job's error, handed on in info.err.
 *
 * Caller   any thread or fiber.
 * Returns  0         *out is the pool, its workers running
 *          -EINVAL   a size overflows, .workers is beyond 1,000,000, .stack_size is out of range,
 *                    or .ordered and .discard together
 *          -ENOMEM   out of memory or stacks
 *          On every error *out is NULL, which rn_worker_pool_free takes.
 */
#define rn_worker_pool_new(out, fn, arg, ...)                                                      \
    __extension__({                                                                                \
        RN_POOL_CHECK_FUNCTION(*(out), fn);                                                        \
        struct rn_worker_pool *rn_pool_ = NULL;                                                    \
        int rn_err_ = rn_worker_pool_new_untyped(&rn_pool_, sizeof(RN_POOL_JOB(*(out))),           \
                                                 RN_POOL_RESULT_SIZE(*(out)) -                     \
                                                     sizeof(rn_job_info),                          \
                                                 (rn_job_fn *)(fn), (arg), (__VA_ARGS__));         \
        *(out) = (__typeof__(*(out)))rn_pool_;                                                     \
        rn_err_;                                                                                   \
    })
RN_API int rn_worker_pool_new_untyped(struct rn_worker_pool **out, size_t job_size,
                                      size_t result_size, rn_job_fn *fn, void *arg,
                                      const rn_worker_pool_config *config);

/*
 * rn_worker_pool_submit, rn_worker_pool_submit_untyped - put a job in the queue, waiting for room.
 *
 * rn_worker_pool_submit(ctx, pool, job) is typed; the untyped form copies job_size bytes. From a
 * job of the same pool, or with a context that comes from one, it never waits: the queue grows.
 *
 * Caller   any thread or fiber; also a job of the pool.
 * Blocks   the fiber while the queue is full, until the pool is stopped or ctx ends.
 * Order    the submit happens before the job's function begins.
 * Returns  0              queued
 *          RN_ESHUTDOWN   drain, abandon or free was called, before or during the wait
 *          -ECANCELED     ctx was cancelled
 *          -ETIMEDOUT     ctx's deadline passed
 *          -ENOMEM        from a job only: the queue could not grow
 *          On every error the job was not taken.
 * Cost     no allocation; one lock.
 */
#define rn_worker_pool_submit(ctx, pool, ...)                                                      \
    __extension__({                                                                                \
        RN_POOL_JOB(pool) rn_job_ = (__VA_ARGS__);                                                 \
        rn_worker_pool_submit_untyped((ctx), rn_worker_pool_untyped(pool), &rn_job_);              \
    })
RN_API int rn_worker_pool_submit_untyped(rn_ctx *ctx, struct rn_worker_pool *pool, const void *job);

/*
 * rn_worker_pool_try_submit, rn_worker_pool_try_submit_untyped - put a job in if there is room.
 *
 * From a job of the same pool too it fails when the queue is full.
 *
 * Caller   any thread or fiber; also a job of the pool.
 * Returns  0              queued
 *          -EAGAIN        the queue is full
 *          RN_ESHUTDOWN   drain, abandon or free was called
 */
#define rn_worker_pool_try_submit(pool, ...)                                                       \
    __extension__({                                                                                \
        RN_POOL_JOB(pool) rn_job_ = (__VA_ARGS__);                                                 \
        rn_worker_pool_try_submit_untyped(rn_worker_pool_untyped(pool), &rn_job_);                 \
    })
RN_API int rn_worker_pool_try_submit_untyped(struct rn_worker_pool *pool, const void *job);

/*
 * rn_worker_pool_recv, rn_worker_pool_recv_untyped - take the next result, waiting for one.
 *
 * rn_worker_pool_recv(ctx, pool, &r) is typed: r is an rn_worker_result(R). The untyped form takes
 * the place of an rn_job_info with the result right behind it, result_size rounded up to a multiple
 * of 16.
 *
 * Caller   any thread or fiber.
 * Blocks   the fiber until there is a result, or the pool was stopped and all are received, or ctx
 *          ends.
 * Order    the end of the job's function happens before it returns.
 * Returns  0            *r is a result; whether the job succeeded is in r->info.err
 *          RN_ECLOSED   the pool was stopped, and every result was received
 *          -ECANCELED   ctx was cancelled
 *          -ETIMEDOUT   ctx's deadline passed
 *          -EINVAL      the pool discards results
 * See      rn_on_result
 */
#define rn_worker_pool_recv(ctx, pool, r)                                                          \
    rn_worker_pool_recv_untyped((ctx), rn_worker_pool_untyped(pool), RN_POOL_RESULT(pool, r))
RN_API int rn_worker_pool_recv_untyped(rn_ctx *ctx, struct rn_worker_pool *pool, void *r);

/*
 * rn_worker_pool_try_recv, rn_worker_pool_try_recv_untyped - take the next result if there is one.
 *
 * Caller   any thread or fiber.
 * Returns  0            *r is a result
 *          -EAGAIN      there is none yet
 *          RN_ECLOSED   the pool was stopped, and every result was received
 *          -EINVAL      the pool discards results
 */
#define rn_worker_pool_try_recv(pool, r)                                                           \
    rn_worker_pool_try_recv_untyped(rn_worker_pool_untyped(pool), RN_POOL_RESULT(pool, r))
RN_API int rn_worker_pool_try_recv_untyped(struct rn_worker_pool *pool, void *r);

/*
 * rn_on_result, rn_on_result_code - a select case that receives a result into *r.
 *
 * Fires on a result and when there will be no more; the second form stores 0 or RN_ECLOSED in
 * *code.
 */
#define rn_on_result(pool, r)                                                                      \
    ((rn_case){.kind = RN_CASE_RECV,                                                               \
               .chan = rn_worker_pool_results(rn_worker_pool_untyped(pool)),                       \
               .value = RN_POOL_RESULT(pool, r)})
#define rn_on_result_code(pool, r, code_)                                                          \
    ((rn_case){.kind = RN_CASE_RECV,                                                               \
               .chan = rn_worker_pool_results(rn_worker_pool_untyped(pool)),                       \
               .value = RN_POOL_RESULT(pool, r),                                                   \
               .code = (code_)})

/*
 * rn_worker_pool_results - the channel under recv: its elements are as rn_worker_pool_recv says.
 *
 * It is the pool's; who uses it after the pool is freed retains it. Only the pool sends and closes.
 *
 * Caller   any thread or fiber.
 * Returns  the channel; NULL when the pool discards results.
 */
RN_API struct rn_chan *rn_worker_pool_results(struct rn_worker_pool *pool);

/*
 * rn_worker_pool_resize - have n workers from now on.
 *
 * Surplus workers end when they have finished the job that they run.
 *
 * Caller   any thread or fiber; also a job of the pool.
 * Blocks   never.
 * Returns  0              set
 *          -EINVAL        n is 0 or beyond 1,000,000
 *          -ENOMEM        no memory or stack for all of them: there are as many as could be had
 *          RN_ESHUTDOWN   drain, abandon or free was called
 */
RN_API int rn_worker_pool_resize(struct rn_worker_pool *pool, size_t n);

/*
 * rn_worker_pool_drain - take no more jobs; finish those that are queued.
 *
 * Results can be received until RN_ECLOSED.
 *
 * Caller   any thread or fiber; also a job of the pool.
 * Blocks   never; rn_worker_pool_wait does.
 * Returns  0              stopped by this call
 *          RN_ESHUTDOWN   it was stopped already
 */
RN_API int rn_worker_pool_drain(struct rn_worker_pool *pool);

/*
 * rn_worker_pool_abandon - take no more jobs, hand back those that never ran, cancel the others.
 *
 * give(job, arg) is called for each, in the order of submission, on the caller's fiber; the job is
 * the program's again. With give NULL, .drop_job gets them. What was finished can be received until
 * RN_ECLOSED. It may follow a drain that takes too long.
 *
 * Caller   any thread or fiber; also a job of the pool.
 * Blocks   never; rn_worker_pool_wait does.
 * Returns  how many jobs were handed back.
 */
RN_API size_t rn_worker_pool_abandon(struct rn_worker_pool *pool,
                                     void (*give)(void *job, void *arg), void *arg);

/*
 * rn_worker_pool_wait - wait until the pool is stopped and no job runs any more.
 *
 * Somebody else must receive the results that do not fit the channel.
 *
 * Caller   any thread or fiber that is not a job of the pool.
 * Blocks   the fiber until every worker has ended, or ctx ends.
 * Returns  0            they have
 *          -ECANCELED   ctx was cancelled
 *          -ETIMEDOUT   ctx's deadline passed
 *          -EDEADLK     called from a job of the pool
 */
RN_API int rn_worker_pool_wait(rn_ctx *ctx, struct rn_worker_pool *pool);

/*
 * rn_worker_pool_free - stop the pool and free it. NULL is fine.
 *
 * Cancels and waits for running jobs; jobs that never ran and results that nobody received are
 * dropped (.drop_job, .drop_result). Ends the process when called from a job of the pool.
 *
 * Caller   any thread or fiber that is not a job of the pool. Nobody may begin another call, or
 *          wait in recv; a submit, resize or drain that is just returning elsewhere is waited for.
 * Blocks   the fiber until running jobs have ended.
 */
RN_API void rn_worker_pool_free(struct rn_worker_pool *pool);

/* Counters of a pool. */
typedef struct rn_worker_pool_stats {
    uint64_t workers; /* gauge: alive, surplus ones included */
    uint64_t queued;  /* gauge: jobs that wait for a worker */
    uint64_t running; /* gauge: jobs whose function runs */
    uint64_t done;    /* jobs whose function has returned */
    uint64_t failed;  /* of these, with an error */
    uint64_t waits;   /* submits that found the queue full and waited */
} rn_worker_pool_stats;

/*
 * rn_worker_pool_stats_read - fill in *out. A job counts as done before its result can be received.
 *
 * Caller   any thread or fiber.
 */
RN_API void rn_worker_pool_stats_read(struct rn_worker_pool *pool, rn_worker_pool_stats *out);

/*
 * rn_worker_pool_worker - the number of the worker that the caller is.
 *
 * Caller   any thread or fiber.
 * Returns  0 to the number of workers - 1 in a job of this pool; -1 elsewhere.
 */
RN_API int rn_worker_pool_worker(struct rn_worker_pool *pool);

/* The same calls on typed pools. */
#define rn_worker_pool_resize(pool, n) rn_worker_pool_resize(rn_worker_pool_untyped(pool), (n))
#define rn_worker_pool_drain(pool) rn_worker_pool_drain(rn_worker_pool_untyped(pool))
#define rn_worker_pool_abandon(pool, give, arg)                                                    \
    rn_worker_pool_abandon(rn_worker_pool_untyped(pool), (give), (arg))
#define rn_worker_pool_wait(ctx, pool) rn_worker_pool_wait((ctx), rn_worker_pool_untyped(pool))
#define rn_worker_pool_free(pool) rn_worker_pool_free(rn_worker_pool_untyped(pool))
#define rn_worker_pool_stats_read(pool, out)                                                       \
    rn_worker_pool_stats_read(rn_worker_pool_untyped(pool), (out))
#define rn_worker_pool_worker(pool) rn_worker_pool_worker(rn_worker_pool_untyped(pool))

RN_END_DECLS

#endif
