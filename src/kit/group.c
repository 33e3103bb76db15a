/*
 * Group: fibers with one context, one result and one end.
 *
 * Invariants:
 *   - live counts the fibers that were promised a start and have not ended. Taking oneself off it
 *     is the last thing that a fiber does with the group: rn_group_wait may free it right after.
 *   - active counts the same, under lock, while the group is limited; otherwise it stays 0.
 *   - first is the first error, and never changes once it is not 0.
 *
 * Compiled with the public headers only.
 */
#include "mutex_class.h"

#include <runnel/cond.h>
#include <runnel/ctx.h>
#include <runnel/debug.h>
#include <runnel/error.h>
#include <runnel/fiber.h>
#include <runnel/group.h>
#include <runnel/wait_group.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TASK_BYTES_ON_STACK 256 /* a larger copy goes through the heap on its way */

struct deferred {
    struct deferred *next;
    void (*fn)(void *arg);
    void *arg;
};

struct rn_group {
    rn_exhibit exhibit; /* shown while the group has a name */
    rn_ctx *ctx;
    rn_wait_group live;
    rn_group_options opt;
    atomic_uint_least64_t started, failed;
    atomic_int first; /* without the lock: also told where the runtime cannot start */
    size_t limit;     /* RN_GROUP_UNLIMITED: none; changes only while no fiber runs */

    MUTEX(lock, group_lock); /* guards the rest */
    rn_cond room;            /* active has fallen */
    size_t active;
    bool succeeded;
    struct deferred *deferred; /* last in, first out */
    rn_ctx *done;              /* ends when no fiber is left; NULL until asked for */
};

/* What a new fiber gets: on its own stack, and behind it the copied value. */
struct task {
    rn_group *group;
    int (*fn)(rn_ctx *ctx, void *arg);
    void *arg; /* NULL with copied: right behind */
    bool copied;
} __attribute__((aligned(16)));

/* ---- making ---- */

static void describe(const rn_exhibit *exhibit, char *text, size_t size)
{
    rn_group *g = (rn_group *)exhibit;
    rn_group_stats stats;

    rn_group_stats_read(g, &stats);
    snprintf(text, size, "%llu running, %llu started, %llu failed",
             (unsigned long long)stats.running, (unsigned long long)stats.started,
             (unsigned long long)stats.failed);
}

static void show(rn_group *g)
{
    if (g->opt.name == NULL)
        return;
    g->exhibit = (rn_exhibit){.kind = "group", .name = g->opt.name, .describe = describe};
    rn_exhibit_show(&g->exhibit);
}

int rn_group_new_with(rn_group **out, rn_ctx *parent, const rn_group_options *opt)
{
    rn_group *g;

    *out = NULL;
    if (opt != NULL && (unsigned)opt->mode > RN_GROUP_FIRST_SUCCESS)
        return rn_error_with(-EINVAL, "group: .mode is %u: no such mode", (unsigned)opt->mode);
    g = calloc(1, sizeof *g);
    if (g == NULL)
        return -ENOMEM;
    if (opt != NULL)
        g->opt = *opt;
    g->limit = g->opt.limit == 0 ? RN_GROUP_UNLIMITED : g->opt.limit;
    g->ctx = rn_ctx_with_cancel(parent);
    if (g->ctx == NULL) {
        free(g);
        return -ENOMEM;
    }
    show(g);
    *out = g;
    return 0;
}

rn_group *rn_group_new(rn_ctx *parent)
{
    rn_group *g = NULL;

    rn_group_new_with(&g, parent, NULL);
    return g;
}

rn_ctx *rn_group_ctx(rn_group *g)
{
    return g == NULL ? NULL : g->ctx;
}

/* ---- results ---- */

static void note_error(rn_group *g, int err)
{
    int none = 0;

    atomic_compare_exchange_strong(&g->first, &none, err);
}

static void note_failure(rn_group *g, int err)
{
    atomic_fetch_add_explicit(&g->failed, 1, memory_order_relaxed);
    note_error(g, err);
    if (g->opt.failed != NULL)
        g->opt.failed(g->opt.failed_arg, rn_fiber_name(), err);
    if (g->opt.mode == RN_GROUP_FIRST_ERROR)
        rn_ctx_cancel(g->ctx, err);
}

static void note_success(rn_group *g)
{
    if (g->opt.mode != RN_GROUP_FIRST_SUCCESS)
        return;
    rn_mutex_lock(&g->lock);
    g->succeeded = true;
    rn_mutex_unlock(&g->lock);
    rn_ctx_cancel(g->ctx, 0);
}

void rn_group_cancel(rn_group *g, int cause)
{
    if (g == NULL)
        return;
    note_error(g, cause == 0 ? -ECANCELED : cause);
    rn_ctx_cancel(g->ctx, cause);
}

/* ---- room ---- */

/* Takes one of the places that the limit leaves, unless the group's context has ended. */
static int enter(rn_group *g, unsigned flags)
{
    int err = rn_ctx_err(g->ctx);

    if (err != 0 || g->limit == RN_GROUP_UNLIMITED)
        return err;
    rn_mutex_lock(&g->lock);
    while (err == 0 && g->active >= g->limit)
        err = (flags & RN_GROUP_TRY) != 0 ? -EAGAIN : rn_cond_wait(g->ctx, &g->room, &g->lock);
    if (err == 0)
        err = rn_ctx_err(g->ctx); /* it may have ended while this one was on its way back */
    if (err == 0)
        g->active++;
    rn_mutex_unlock(&g->lock);
    return err;
}

/* Gives the place back. The group may be gone afterwards. */
static void leave(rn_group *g)
{
    if (g->limit != RN_GROUP_UNLIMITED) {
        rn_mutex_lock(&g->lock);
        g->active--;
        rn_cond_signal(&g->room);
        rn_mutex_unlock(&g->lock);
    }
    rn_wait_group_done(&g->live);
}

int rn_group_set_limit(rn_group *g, size_t n)
{
    if (g == NULL)
        return -ENOMEM;
    if (rn_wait_group_count(&g->live) != 0)
        return -EBUSY;
    g->limit = n;
    return 0;
}

/* ---- starting ---- */

static void run(void *arg)
{
    struct task *task = arg;
    rn_group *g = task->group;
    int err = task->fn(g->ctx, task->copied ? task + 1 : task->arg);

    if (err != 0)
        note_failure(g, err);
    else
        note_success(g);
    leave(g);
}

/* Starts the task with size bytes of value behind it, put together in buffer. */
static int start_copy(const rn_site *site, const rn_go_options *opt, const struct task *task,
                      const void *value, size_t size, void *buffer)
{
    memcpy(buffer, task, sizeof *task);
    memcpy((char *)buffer + sizeof *task, value, size);
    return rn_go_at(site, opt, run, buffer, sizeof *task + size);
}

static int start(const rn_site *site, const struct task *task, const void *value, size_t size)
{
    rn_group *g = task->group;
    const rn_go_options opt = {.name = g->opt.name, .stack_size = g->opt.stack_size, .ctx = g->ctx};
    struct task small[TASK_BYTES_ON_STACK / sizeof(struct task)];
    void *large;
    int err;

    if (!task->copied)
        return rn_go_at(site, &opt, run, task, sizeof *task);
    if (size <= sizeof small - sizeof *task)
        return start_copy(site, &opt, task, value, size, small);
    if (size > PTRDIFF_MAX - sizeof *task)
        return -EINVAL;
    large = malloc(sizeof *task + size);
    if (large == NULL)
        return -ENOMEM;
    err = start_copy(site, &opt, task, value, size, large);
    free(large);
    return err;
}

int rn_group_go_at(const rn_site *site, rn_group *g, unsigned flags,
                   int (*fn)(rn_ctx *ctx, void *arg), const void *arg, size_t copy_size)
{
    int err;

    if (g == NULL)
        return -ENOMEM;
    if ((flags & ~RN_GROUP_TRY) != 0)
        return -EINVAL;
    err = enter(g, flags);
    if (err != 0)
        return err;
    struct task task = {.group = g,
                        .fn = fn,
                        .arg = (void *)arg,
                        .copied = copy_size != 0}; /* arg: as the caller's */
    rn_wait_group_add(&g->live, 1);
    atomic_fetch_add_explicit(&g->started, 1,
                              memory_order_relaxed); /* g may be gone once started */
    err = start(site, &task, arg, copy_size);
    if (err != 0) {
        atomic_fetch_sub_explicit(&g->started, 1, memory_order_relaxed);
        note_error(g, err); /* so that a caller who looks at the last result only learns of it */
        leave(g);
    }
    return err;
}

/* ---- the end ---- */

int rn_group_defer(rn_group *g, void (*fn)(void *arg), void *arg)
{
    struct deferred *deferred = g == NULL ? NULL : malloc(sizeof *deferred);

    if (deferred == NULL)
        return -ENOMEM;
    rn_mutex_lock(&g->lock);
    *deferred = (struct deferred){.next = g->deferred, .fn = fn, .arg = arg};
    g->deferred = deferred;
    rn_mutex_unlock(&g->lock);
    return 0;
}

struct watcher {
    rn_group *group;
    rn_ctx *done;
};

/* Ends done once no fiber is left. From then on it does not touch the group. */
static void watch(void *arg)
{
    struct watcher *watcher = arg;

    rn_wait_group_wait(NULL, &watcher->group->live);
    rn_ctx_cancel(watcher->done, 0);
    rn_ctx_drop(watcher->done);
}

/* Makes done and what ends it. */
static int make_done_locked(rn_group *g)
{
    struct watcher watcher = {.group = g, .done = rn_ctx_with_cancel(NULL)};
    int err;

    if (watcher.done == NULL)
        return -ENOMEM;
    rn_ctx_retain(watcher.done);
    err = rn_go_copy(watch, &watcher);
    if (err != 0) {
        rn_ctx_drop(watcher.done);
        rn_ctx_release(watcher.done);
        return err;
    }
    g->done = watcher.done;
    return 0;
}

rn_case rn_group_case(rn_group *g)
{
    int err = 0;
    rn_ctx *done;

    if (g == NULL)
        return rn_on_timeout(0);
    rn_mutex_lock(&g->lock);
    if (g->done == NULL)
        err = make_done_locked(g);
    done = err == 0 ? g->done : g->ctx;
    rn_mutex_unlock(&g->lock);
    if (err != 0)
        rn_group_cancel(g, err); /* so that whoever waits for done learns of it */
    return rn_on_done(done);
}

static void run_deferred(rn_group *g)
{
    struct deferred *deferred;

    while ((deferred = g->deferred) != NULL) {
        g->deferred = deferred->next;
        deferred->fn(deferred->arg);
        free(deferred);
    }
}

static int result(const rn_group *g)
{
    return g->opt.mode == RN_GROUP_FIRST_SUCCESS && g->succeeded ? 0 : atomic_load(&g->first);
}

int rn_group_wait(rn_group *g)
{
    int err;

    if (g == NULL)
        return -ENOMEM;
    rn_wait_group_wait(NULL, &g->live);
    if (g->done != NULL) {
        rn_ctx_wait(g->done); /* its watcher has let go of the group */
        rn_ctx_release(g->done);
    }
    rn_ctx_cancel(g->ctx, 0); /* a clean-up starts nothing that would outlive the group */
    run_deferred(g);
    if (g->opt.name != NULL)
        rn_exhibit_hide(&g->exhibit);
    err = result(g);
    rn_ctx_release(g->ctx);
    free(g);
    return err;
}

void rn_group_stats_read(rn_group *g, rn_group_stats *out)
{
    *out = (rn_group_stats){0};
    if (g == NULL)
        return;
    out->failed = atomic_load_explicit(&g->failed, memory_order_relaxed);
    out->running = (uint64_t)rn_wait_group_count(&g->live);
    out->started = atomic_load_explicit(&g->started, memory_order_relaxed);
}
