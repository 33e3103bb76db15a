/*
 * Worker pool: one queue under one mutex, worker fibers, and a channel for the results.
 *
 * Invariants, under lock:
 *   - jobs holds the queued jobs in the order of submission; taken counts those that left it for a
 *     worker, so a job's number is taken + 1 when it is taken.
 *   - jobs.count exceeds queue_limit only by what the pool's own jobs have submitted.
 *   - worker i is alive for each i < target, unless no stack could be had or the pool is stopping.
 *   - ordered: a job is taken only while fewer than window are taken and unreleased, so the result
 *     of job n has the slot n modulo window to itself. One worker at a time (releasing) moves
 *     results from there to the channel, in order.
 *   - the channel is closed by the last worker to end after a stop, or by free.
 *   - entered counts the calls of users that took the lock, left those of them that touch the pool
 *     no more. So free waits for a submit or drain that is just returning, though what it did was
 *     received long ago.
 *
 * Jobs, results and the context's callbacks run under no lock. done and failed are each worker's
 * own counters, so that a job is counted before its result is sent without taking the lock twice.
 *
 * Rejected: a channel for the jobs too, because resizing, handing back and a job's own submit would
 * need to look inside it.
 *
 * Compiled with the public headers only.
 */
#include "ring.h"
#include "mutex_class.h"

#include <runnel/cond.h>
#include <runnel/debug.h>
#include <runnel/fiber.h>
#include <runnel/wait_group.h>
#include <runnel/worker_pool.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORKERS_MAX 1000000
#define QUEUE_DEFAULT 64
#define ELEMENT_ALIGNMENT RING_ALIGNMENT

struct rn_worker_pool;

/* One worker; its struct outlives it, for the next of that number. */
struct worker {
    struct rn_worker_pool *pool;
    uint32_t index;
    bool alive;               /* under lock */
    uint64_t fiber;           /* under lock: its number while alive, 0 before it runs */
    _Atomic(uint64_t) done;   /* written by the worker only */
    _Atomic(uint64_t) failed; /* written by the worker only */
    void *job;                /* this worker's copy of the job that it runs */
    rn_job_info *result;      /* what it sends: the info, and the value behind it */
};

struct rn_worker_pool {
    rn_exhibit exhibit; /* shown while the pool has a name */
    rn_job_fn *fn;
    void *arg;
    rn_worker_pool_config config;
    size_t job_size;
    size_t result_size; /* of a whole element: info and value */
    rn_ctx *ctx;
    struct rn_chan *results; /* NULL: discarded */
    rn_wait_group live;      /* workers; taking itself off is the last thing that one does */

    _Atomic(size_t) shown_queued, shown_alive; /* for dumps, which take no lock */
    _Atomic(uint64_t) left; /* calls that have returned; the last that a call touches */

    MUTEX(lock, worker_pool_lock); /* guards the rest */
    uint64_t entered;
    rn_cond work; /* a job was queued, a slot of the window came free, target fell, or stopping */
    rn_cond room; /* a job left the queue, or stopping */
    struct ring jobs;
    size_t queue_limit;
    uint64_t taken;
    uint64_t waits; /* of submits for room */
    bool stopping;

    struct worker **workers;
    size_t workers_known; /* entries of workers */
    size_t alive;
    size_t target;

    struct ring window; /* ordered: finished results, by number; a slot with job 0 is empty */
    uint64_t released;  /* ordered: results moved to the channel */
    bool releasing;
};

/* ---- what dumps show ---- */

static void describe(const rn_exhibit *exhibit, char *text, size_t size)
{
    struct rn_worker_pool *pool = (struct rn_worker_pool *)exhibit;

    snprintf(text, size, "%zu jobs queued, %zu workers",
             atomic_load_explicit(&pool->shown_queued, memory_order_relaxed),
             atomic_load_explicit(&pool->shown_alive, memory_order_relaxed));
}

static void show_counts_locked(struct rn_worker_pool *pool)
{
    atomic_store_explicit(&pool->shown_queued, pool->jobs.count, memory_order_relaxed);
    atomic_store_explicit(&pool->shown_alive, pool->alive, memory_order_relaxed);
}

static void show(struct rn_worker_pool *pool)
{
    if (pool->config.name == NULL)
        return;
    pool->exhibit = (rn_exhibit){
        .kind = "worker pool", .name = pool->config.name, .describe = describe};
    rn_exhibit_show(&pool->exhibit);
}

/* ---- calls of users ---- */

static void enter(struct rn_worker_pool *pool)
{
    rn_mutex_lock(&pool->lock);
    pool->entered++;
}

/* The pool may be gone afterwards. */
static void leave(struct rn_worker_pool *pool)
{
    atomic_fetch_add_explicit(&pool->left, 1, memory_order_release);
}

/* Once nobody makes new calls: until those that were made have left. */
static void await_calls(struct rn_worker_pool *pool)
{
    uint64_t entered;

    rn_mutex_lock(&pool->lock);
    entered = pool->entered;
    rn_mutex_unlock(&pool->lock);
    while (atomic_load_explicit(&pool->left, memory_order_acquire) != entered)
        rn_yield(); /* it has but a few instructions to go */
}

/* ---- taking jobs ---- */

static bool surplus_locked(const struct worker *w)
{
    return w->index >= w->pool->target;
}

static bool window_open_locked(const struct rn_worker_pool *pool)
{
    return !pool->config.ordered || pool->taken - pool->released < pool->window.room;
}

/* Waits for a job for this worker. False: the worker is to end. */
static bool await_job_locked(struct worker *w)
{
    struct rn_worker_pool *pool = w->pool;

    for (;;) {
        if (surplus_locked(w))
            return false;
        if (pool->jobs.count != 0 && window_open_locked(pool))
            return true;
        if (pool->stopping && pool->jobs.count == 0)
            return false;
        rn_cond_wait(NULL, &pool->work, &pool->lock);
    }
}

/* The worker will end: from here on another may be started with its number. */
static void retire_locked(struct worker *w)
{
    struct rn_worker_pool *pool = w->pool;

    w->alive = false;
    w->fiber = 0;
    pool->alive--;
    show_counts_locked(pool);
    if (pool->alive == 0 && pool->stopping && pool->results != NULL)
        rn_chan_close(pool->results);
}

/* Copies the oldest job to the worker. False: the worker is to end, and must not touch itself. */
static bool take(struct worker *w)
{
    struct rn_worker_pool *pool = w->pool;
    bool taken;

    rn_mutex_lock(&pool->lock);
    taken = await_job_locked(w);
    if (taken) {
        memcpy(w->job, ring_pop(&pool->jobs), pool->job_size);
        w->result->job = ++pool->taken;
        show_counts_locked(pool);
    } else {
        retire_locked(w);
    }
    rn_mutex_unlock(&pool->lock);
    if (taken)
        rn_cond_signal(&pool->room);
    return taken;
}

/* ---- results ---- */

static void *value_of(rn_job_info *info)
{
    return info + 1;
}

/* A result that nobody will receive. */
static void drop(struct rn_worker_pool *pool, rn_job_info *info)
{
    if (pool->config.drop_result != NULL && info->err == 0)
        pool->config.drop_result(value_of(info));
}

/* Waits for room; a channel that free has closed does not take it. */
static void send_result(struct rn_worker_pool *pool, rn_job_info *info)
{
    if (rn_chan_send(NULL, pool->results, info) != 0)
        drop(pool, info);
}

static rn_job_info *window_slot(struct rn_worker_pool *pool, uint64_t job)
{
    return ring_slot(&pool->window, (size_t)(job % pool->window.room));
}

/* Copies the next result in order to `to`. False when that job still runs. */
static bool next_in_order_locked(struct rn_worker_pool *pool, rn_job_info *to)
{
    rn_job_info *slot = window_slot(pool, pool->released + 1);

    if (slot->job != pool->released + 1)
        return false;
    memcpy(to, slot, pool->result_size);
    slot->job = 0;
    pool->released++;
    return true;
}

/*
 * Files the worker's result, and sends all that are next in order, unless another worker is at it.
 */
static void deliver_in_order(struct worker *w)
{
    struct rn_worker_pool *pool = w->pool;

    rn_mutex_lock(&pool->lock);
    memcpy(window_slot(pool, w->result->job), w->result, pool->result_size);
    if (!pool->releasing) {
        pool->releasing = true;
        while (next_in_order_locked(pool, w->result)) {
            rn_mutex_unlock(&pool->lock);
            rn_cond_signal(&pool->work);
            send_result(pool, w->result);
            rn_mutex_lock(&pool->lock);
        }
        pool->releasing = false;
    }
    rn_mutex_unlock(&pool->lock);
}

/* A counter that only its worker writes. */
static void count_up(_Atomic(uint64_t) *counter)
{
    uint64_t n = atomic_load_explicit(counter, memory_order_relaxed);

    atomic_store_explicit(counter, n + 1, memory_order_release);
}

static void deliver(struct worker *w, int err)
{
    struct rn_worker_pool *pool = w->pool;

    w->result->worker = w->index;
    w->result->err = err;
    count_up(&w->done);
    if (err != 0)
        count_up(&w->failed);
    if (err != 0 && pool->config.on_failed != NULL)
        pool->config.on_failed(pool->config.events_arg, w->result);
    if (pool->config.ordered)
        deliver_in_order(w);
    else if (pool->results != NULL)
        send_result(pool, w->result);
    else
        drop(pool, w->result);
}

/* ---- workers ---- */

static void worker_begin(struct worker *w)
{
    rn_mutex_lock(&w->pool->lock);
    w->fiber = rn_fiber_id();
    rn_mutex_unlock(&w->pool->lock);
}

static void worker_run(void *arg)
{
    struct worker *w = arg;
    struct rn_worker_pool *pool = w->pool;

    worker_begin(w);
    while (take(w)) {
        memset(value_of(w->result), 0, pool->result_size - sizeof(rn_job_info));
        deliver(w, pool->fn(pool->ctx, pool->arg, w->job, value_of(w->result)));
    }
    rn_cond_signal(&pool->work); /* a signal that this one may have taken and did not use */
    rn_wait_group_done(&pool->live);
}

static void worker_free(struct worker *w)
{
    if (w != NULL) {
        free(w->job);
        free(w->result);
    }
    free(w);
}

static struct worker *worker_make(struct rn_worker_pool *pool, size_t index)
{
    struct worker *w = calloc(1, sizeof *w);

    if (w == NULL)
        return NULL;
    w->pool = pool;
    w->index = (uint32_t)index;
    w->job = malloc(pool->jobs.stride);
    w->result = malloc(pool->result_size);
    if (w->job == NULL || w->result == NULL) {
        worker_free(w);
        return NULL;
    }
    return w;
}

/* Has entries for n workers, the new ones empty. */
static int know_workers_locked(struct rn_worker_pool *pool, size_t n)
{
    struct worker **workers;

    if (n <= pool->workers_known)
        return 0;
    workers = realloc(pool->workers, n * sizeof(struct worker *));
    if (workers == NULL)
        return -ENOMEM;
    memset(workers + pool->workers_known, 0, (n - pool->workers_known) * sizeof(struct worker *));
    pool->workers = workers;
    pool->workers_known = n;
    return 0;
}

/* Starts worker number index unless it is alive. */
static int start_worker_locked(struct rn_worker_pool *pool, size_t index)
{
    const rn_go_options opt = {
        .name = pool->config.name, .stack_size = pool->config.stack_size, .ctx = pool->ctx};
    struct worker *w = pool->workers[index];
    int err;

    if (w == NULL)
        w = pool->workers[index] = worker_make(pool, index);
    if (w == NULL)
        return -ENOMEM;
    if (w->alive)
        return 0;
    rn_wait_group_add(&pool->live, 1);
    err = rn_go_with(&opt, worker_run, w);
    if (err != 0) {
        rn_wait_group_done(&pool->live);
        return err;
    }
    w->alive = true;
    pool->alive++;
    show_counts_locked(pool);
    return 0;
}

/* Sets the target to n, or to what could be had. */
static int set_workers_locked(struct rn_worker_pool *pool, size_t n)
{
    size_t before = pool->target;
    int err = know_workers_locked(pool, n);

    if (err != 0)
        return err;
    pool->target = n;
    for (size_t i = before; i < n; i++) {
        err = start_worker_locked(pool, i);
        if (err != 0) {
            pool->target = i;
            break;
        }
    }
    return err;
}

int(rn_worker_pool_resize)(struct rn_worker_pool *pool, size_t n)
{
    int err;

    if (n == 0 || n > WORKERS_MAX)
        return -EINVAL;
    enter(pool);
    err = pool->stopping ? RN_ESHUTDOWN : set_workers_locked(pool, n);
    rn_mutex_unlock(&pool->lock);
    rn_cond_broadcast(&pool->work);
    leave(pool);
    return err;
}

/* The calling fiber's worker of this pool, or NULL. */
static struct worker *worker_here_locked(struct rn_worker_pool *pool)
{
    uint64_t fiber = rn_fiber_id();

    for (size_t i = 0; fiber != 0 && i < pool->workers_known; i++)
        if (pool->workers[i] != NULL && pool->workers[i]->fiber == fiber)
            return pool->workers[i];
    return NULL;
}

int(rn_worker_pool_worker)(struct rn_worker_pool *pool)
{
    struct worker *w;
    int index;

    enter(pool);
    w = worker_here_locked(pool);
    index = w == NULL ? -1 : (int)w->index;
    rn_mutex_unlock(&pool->lock);
    leave(pool);
    return index;
}

/* ---- making and freeing ---- */

static rn_worker_pool_config with_defaults(const rn_worker_pool_config *config)
{
    rn_worker_pool_config c = config == NULL ? (rn_worker_pool_config){0} : *config;

    if (c.workers == 0)
        c.workers = rn_workers() > 0 ? (size_t)rn_workers() : 1;
    if (c.queue == 0)
        c.queue = QUEUE_DEFAULT;
    if (c.results == 0)
        c.results = QUEUE_DEFAULT;
    return c;
}

static int check(const rn_worker_pool_config *c)
{
    if (c->workers > WORKERS_MAX)
        return rn_error_with(-EINVAL, "worker pool: .workers is %zu: allowed are 1 to %d",
                             c->workers, WORKERS_MAX);
    if (c->ordered && c->discard)
        return rn_error_with(-EINVAL, "worker pool: .ordered and .discard exclude each other");
    return 0;
}

static int make_results(struct rn_worker_pool *pool)
{
    const rn_worker_pool_config *c = &pool->config;
    size_t window = c->results > c->workers ? c->results : c->workers;
    int err = 0;

    if (c->discard)
        return 0;
    if (c->ordered)
        err = ring_make(&pool->window, pool->result_size, window);
    if (err == 0)
        err = rn_chan_new(&pool->results, pool->result_size,
                          &(rn_chan_options){.capacity = c->results, .name = c->name});
    if (err == -EINVAL)
        return rn_error_with(
            err, "worker pool: .results is %zu: so many results of %zu bytes do not fit",
            c->results, pool->result_size);
    return err;
}

static int make_parts(struct rn_worker_pool *pool)
{
    int err = ring_make(&pool->jobs, pool->job_size, pool->config.queue);

    if (err == -EINVAL)
        return rn_error_with(err,
                             "worker pool: .queue is %zu: so many jobs of %zu bytes do not fit",
                             pool->config.queue, pool->job_size);
    if (err == 0)
        err = make_results(pool);
    if (err != 0)
        return err;
    pool->queue_limit = pool->config.queue;
    pool->ctx = rn_ctx_with_value(pool->config.ctx, pool, pool); /* tells who is a job */
    if (pool->ctx == NULL)
        return -ENOMEM;
    rn_mutex_lock(&pool->lock);
    err = set_workers_locked(pool, pool->config.workers);
    rn_mutex_unlock(&pool->lock);
    return err;
}

int rn_worker_pool_new_untyped(struct rn_worker_pool **out, size_t job_size, size_t result_size,
                               rn_job_fn *fn, void *arg, const rn_worker_pool_config *config)
{
    rn_worker_pool_config c = with_defaults(config);
    struct rn_worker_pool *pool;
    int err;

    *out = NULL;
    if (result_size > PTRDIFF_MAX - sizeof(rn_job_info) - ELEMENT_ALIGNMENT)
        return rn_error_with(-EINVAL, "worker pool: a result of %zu bytes is too large",
                             result_size);
    err = check(&c);
    if (err != 0)
        return err;
    pool = calloc(1, sizeof *pool);
    if (pool == NULL)
        return -ENOMEM;
    pool->fn = fn;
    pool->arg = arg;
    pool->config = c;
    pool->job_size = job_size;
    pool->result_size = sizeof(rn_job_info) + (result_size + ELEMENT_ALIGNMENT - 1) /
                                                  ELEMENT_ALIGNMENT * ELEMENT_ALIGNMENT;
    err = make_parts(pool);
    if (err == 0) {
        show(pool);
        *out = pool;
    } else {
        (rn_worker_pool_free)(pool);
    }
    return err;
}

/* Drops what was not received; nobody sends any more. */
static void free_results(struct rn_worker_pool *pool)
{
    rn_job_info *info = pool->workers_known != 0 && pool->workers[0] != NULL
                            ? pool->workers[0]->result /* its worker has ended */
                            : NULL;

    if (pool->results == NULL)
        return;
    while (info != NULL && rn_chan_try_recv(pool->results, info) == 0)
        drop(pool, info);
    rn_chan_release(pool->results);
}

void(rn_worker_pool_free)(struct rn_worker_pool *pool)
{
    if (pool == NULL)
        return;
    if ((rn_worker_pool_worker)(pool) >= 0) {
        fputs("runnel: rn_worker_pool_free was called from a job of the pool\n", stderr);
        abort();
    }
    if (pool->exhibit.name != NULL)
        rn_exhibit_hide(&pool->exhibit);
    (rn_worker_pool_abandon)(pool, NULL, NULL);
    if (pool->results != NULL)
        rn_chan_close(pool->results); /* those who wait to send drop their results */
    rn_wait_group_wait(NULL, &pool->live);
    await_calls(pool);
    free_results(pool);
    for (size_t i = 0; i < pool->workers_known; i++)
        worker_free(pool->workers[i]);
    free(pool->workers);
    free(pool->window.slots);
    free(pool->jobs.slots);
    rn_ctx_release(pool->ctx);
    free(pool);
}

/* ---- submitting and receiving ---- */

static bool full_locked(const struct rn_worker_pool *pool)
{
    return pool->jobs.count >= pool->queue_limit && !pool->stopping;
}

/* The caller is a job of the pool, or has got its context from one. */
static bool inside_locked(rn_ctx *ctx, struct rn_worker_pool *pool)
{
    return worker_here_locked(pool) != NULL || rn_ctx_value(ctx, pool) != NULL;
}

/*
 * The queue is full: waits until it takes one more; who is inside makes it do so. *began: when the
 * wait began, if somebody is to be told of it.
 */
static int await_room_locked(rn_ctx *ctx, struct rn_worker_pool *pool, rn_time *began)
{
    int err = 0;

    if (inside_locked(ctx, pool))
        return pool->jobs.count < pool->jobs.room ? 0 : ring_grow(&pool->jobs);
    pool->waits++;
    if (pool->config.on_waited != NULL)
        *began = rn_clock_now(pool->config.clock);
    while (err == 0 && full_locked(pool))
        err = rn_cond_wait(ctx, &pool->room, &pool->lock);
    return err;
}

/* For a submit, which has room if err is 0; the caller leaves. Returns what that is to return. */
static int push_and_unlock(struct rn_worker_pool *pool, const void *job, int err)
{
    if (pool->stopping)
        err = RN_ESHUTDOWN;
    if (err == 0)
        ring_push(&pool->jobs, job, pool->job_size);
    show_counts_locked(pool);
    rn_mutex_unlock(&pool->lock);
    if (err == 0)
        rn_cond_signal(&pool->work);
    return err;
}

int rn_worker_pool_submit_untyped(rn_ctx *ctx, struct rn_worker_pool *pool, const void *job)
{
    const rn_worker_pool_config *c = &pool->config;
    rn_time began = RN_FOREVER; /* not at all */
    int err = rn_ctx_err(ctx);

    if (err != 0)
        return err;
    enter(pool);
    if (full_locked(pool))
        err = await_room_locked(ctx, pool, &began);
    err = push_and_unlock(pool, job, err);
    if (began != RN_FOREVER)
        c->on_waited(c->events_arg, rn_clock_now(c->clock) - began, err);
    leave(pool);
    return err;
}

int rn_worker_pool_try_submit_untyped(struct rn_worker_pool *pool, const void *job)
{
    int err;

    enter(pool);
    err = push_and_unlock(pool, job, full_locked(pool) ? -EAGAIN : 0);
    leave(pool);
    return err;
}

struct rn_chan *rn_worker_pool_results(struct rn_worker_pool *pool)
{
    return pool->results;
}

int rn_worker_pool_recv_untyped(rn_ctx *ctx, struct rn_worker_pool *pool, void *r)
{
    return pool->results == NULL ? -EINVAL : rn_chan_recv(ctx, pool->results, r);
}

int rn_worker_pool_try_recv_untyped(struct rn_worker_pool *pool, void *r)
{
    return pool->results == NULL ? -EINVAL : rn_chan_try_recv(pool->results, r);
}

/* ---- stopping ---- */

static void wake_everybody(struct rn_worker_pool *pool)
{
    rn_cond_broadcast(&pool->work);
    rn_cond_broadcast(&pool->room);
}

int(rn_worker_pool_drain)(struct rn_worker_pool *pool)
{
    bool stopped;

    enter(pool);
    stopped = pool->stopping;
    pool->stopping = true;
    rn_mutex_unlock(&pool->lock);
    wake_everybody(pool);
    leave(pool);
    return stopped ? RN_ESHUTDOWN : 0;
}

/* Stops the pool and takes the queued jobs out of it; the caller leaves. */
static struct ring detach_jobs(struct rn_worker_pool *pool)
{
    struct ring jobs;

    enter(pool);
    pool->stopping = true;
    jobs = pool->jobs;
    pool->jobs.slots = NULL; /* nothing is pushed to a pool that stops */
    pool->jobs.count = 0;
    rn_mutex_unlock(&pool->lock);
    wake_everybody(pool);
    return jobs;
}

size_t(rn_worker_pool_abandon)(struct rn_worker_pool *pool, void (*give)(void *job, void *arg),
                               void *arg)
{
    struct ring jobs = detach_jobs(pool);
    size_t count = jobs.count;

    rn_ctx_cancel(pool->ctx, 0);
    while (jobs.count != 0) {
        void *job = ring_pop(&jobs);
        if (give != NULL)
            give(job, arg);
        else if (pool->config.drop_job != NULL)
            pool->config.drop_job(job);
    }
    free(jobs.slots);
    leave(pool);
    return count;
}

int(rn_worker_pool_wait)(rn_ctx *ctx, struct rn_worker_pool *pool)
{
    if ((rn_worker_pool_worker)(pool) >= 0)
        return -EDEADLK;
    return rn_wait_group_wait(ctx, &pool->live);
}

void(rn_worker_pool_stats_read)(struct rn_worker_pool *pool, rn_worker_pool_stats *out)
{
    *out = (rn_worker_pool_stats){0};
    enter(pool);
    out->workers = pool->alive;
    out->queued = pool->jobs.count;
    out->waits = pool->waits;
    for (size_t i = 0; i < pool->workers_known; i++) {
        struct worker *w = pool->workers[i];
        if (w == NULL)
            continue;
        out->failed += atomic_load_explicit(&w->failed, memory_order_acquire); /* first: <= done */
        out->done += atomic_load_explicit(&w->done, memory_order_acquire);
    }
    out->running = pool->taken - out->done;
    rn_mutex_unlock(&pool->lock);
    leave(pool);
}
