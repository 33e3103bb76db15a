/*
 * Contexts: a tree, ended from the top down.
 *
 * Ending a context marks it and everything below it first, then wakes what waits. Nothing is called
 * under a lock, and a lock of a context is never held while another's is taken, so cancels at any
 * levels of a tree cannot deadlock. Whoever finds a context ended by somebody else waits until that
 * one has settled it: cancel returns only when the subtree has ended. Such waits go strictly
 * downwards.
 *
 * A fiber's own context needs no registration for each wait: the fiber is linked once, when it
 * starts, and publishes in fiber->wait what may be interrupted. Publishing and reading err pair
 * with marking and reading fiber->wait (Dekker's pattern): the waits are hot and cancels rare, so
 * the canceller pays the fence (E7).
 */
#include "wait/ctx.h"

#include "base/asym.h"
#include "base/check.h"
#include "sched/park.h"
#include "wait/waitq.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- references ---- */

static bool try_retain(rn_ctx *ctx)
{
    uint32_t n = load_relaxed(&ctx->references);
    while (n != 0)
        if (cas_seq(&ctx->references, &n, n + 1))
            return true;
    return false;
}

rn_ctx *rn_ctx_retain(rn_ctx *ctx)
{
    if (ctx != NULL)
        add_relaxed(&ctx->references, 1);
    return ctx;
}

static void unlink_from_parent(rn_ctx *ctx)
{
    rn_ctx *parent = ctx->parent;

    if (parent == NULL || ctx->detached)
        return;
    spin_lock(&parent->lock);
    if (ctx->linked)
        list_remove(&parent->children, &ctx->node);
    ctx->linked = false;
    spin_unlock(&parent->lock);
}

/* Frees a context nobody refers to any more. One that has settled is not in its parent's list. */
static void free_one(rn_ctx *ctx)
{
    if (load_acquire(&ctx->settled) == 0) /* E15 */
        unlink_from_parent(ctx);
    if (ctx->has_deadline)
        timer_stop(&ctx->timer);
    after_funcs_free(ctx);
    free(ctx);
}

void rn_ctx_drop(rn_ctx *ctx)
{
    while (ctx != NULL && sub_seq(&ctx->references, 1) == 1) {
        rn_ctx *parent = ctx->parent;
        free_one(ctx);
        ctx = parent; /* our reference to it */
    }
}

/* ---- ending ---- */

/* The contexts below the one that is being ended, linked by next_ended, each retained. */
struct ending {
    int err, cause;
    rn_ctx *first, *last;
    bool fence; /* a fiber lives in one of them */
};

/* Marks one context and adds its children to the list. False: somebody else had ended it. */
static bool mark(rn_ctx *ctx, struct ending *ending)
{
    struct list_node *node;

    spin_lock(&ctx->lock);
    if (load_relaxed(&ctx->err) != 0) {
        spin_unlock(&ctx->lock);
        return false;
    }
    ctx->cause = ending->cause;
    store_release(&ctx->err, ending->err); /* E14: publishes cause */
    ending->fence |= ctx->fibers != 0;
    ctx->watched = !list_empty(&ctx->watches); /* none is added from here on */
    while ((node = list_pop_front(&ctx->children)) != NULL) {
        rn_ctx *child = container_of(node, rn_ctx, node);
        child->linked = false;
        if (!try_retain(child))
            continue; /* it is being freed, and waits for our lock */
        child->next_ended = NULL;
        if (ending->last != NULL)
            ending->last->next_ended = child;
        else
            ending->first = child;
        ending->last = child;
    }
    spin_unlock(&ctx->lock);
    return true;
}

static void fire_watches(rn_ctx *ctx, int err)
{
    struct list_node *node;

    if (!ctx->watched)
        return;
    spin_lock(&ctx->lock);
    while ((node = list_pop_front(&ctx->watches)) != NULL) {
        struct watch *watch = container_of(node, struct watch, node);
        watch->linked = false;
        store_relaxed(&watch->firing, 1);
        spin_unlock(&ctx->lock);
        watch->fire(watch, err);
        spin_lock(&ctx->lock);
    }
    spin_unlock(&ctx->lock);
}

void watch_fired(struct watch *watch)
{
    store_release(&watch->firing, 0); /* E16: the watch, and what holds it, may go */
}

static void wait_settled(rn_ctx *ctx)
{
    for (unsigned spins = 0; load_acquire(&ctx->settled) == 0; spins++) /* E15 */
        spin_wait(spins);
}

/* Everything on the list is marked: wake what waits there, then let others see that it is done. */
static void settle_below(struct ending *ending)
{
    for (rn_ctx *c = ending->first; c != NULL; c = c->next_ended)
        if (c->ended_here)
            fire_watches(c, ending->err);
    for (rn_ctx *c = ending->first; c != NULL; c = c->next_ended)
        if (c->ended_here)
            store_release(&c->settled, 1); /* E15: every watch of c has fired */
    for (rn_ctx *c = ending->first; c != NULL; c = c->next_ended)
        wait_settled(c);
}

static void drop_below(struct ending *ending)
{
    for (rn_ctx *c = ending->first, *next; c != NULL; c = next) {
        next = c->next_ended;
        rn_ctx_drop(c);
    }
}

/*
 * Ends ctx and all below it. Their timers stay armed until they are dropped: one that fires finds
 * all done.
 */
static void end(rn_ctx *ctx, int err, int cause)
{
    struct ending ending = {.err = err, .cause = cause};

    if (!mark(ctx, &ending)) {
        wait_settled(ctx);
        return;
    }
    for (rn_ctx *c = ending.first; c != NULL; c = c->next_ended)
        c->ended_here = mark(c, &ending);
    if (ending.fence)
        fence_heavy(); /* E7: each fiber's published wait is visible here, or the fiber sees err */
    fire_watches(ctx, err);
    settle_below(&ending);
    unlink_from_parent(ctx);
    store_release(&ctx->settled, 1); /* E15 */
    drop_below(&ending);
}

static void deadline_fire(struct timer *timer)
{
    end(container_of(timer, rn_ctx, timer), -ETIMEDOUT, -ETIMEDOUT);
}

void rn_ctx_cancel(rn_ctx *ctx, int cause)
{
    if (ctx == NULL || load_acquire(&ctx->settled) != 0)
        return;
    end(ctx, cause == -ETIMEDOUT ? -ETIMEDOUT : -ECANCELED, cause == 0 ? -ECANCELED : cause);
}

/*
 * Once it has ended nobody finds it through its parent, so a sole reference stays the only one, and
 * need not be counted down. A canceller that found it before holds a reference of its own.
 */
void rn_ctx_release(rn_ctx *ctx)
{
    if (ctx == NULL)
        return;
    rn_ctx_cancel(ctx, 0);
    if (load_acquire(&ctx->references) != 1) { /* E51: sees what those before did with it */
        rn_ctx_drop(ctx);
        return;
    }
    rn_ctx *parent = ctx->parent;
    free_one(ctx);
    rn_ctx_drop(parent);
}

/* ---- making ---- */

/* Hangs a new context below its parent, or takes over the parent's end. */
static void attach(rn_ctx *ctx, rn_ctx *parent)
{
    ctx->parent = rn_ctx_retain(parent);
    if (parent == NULL || ctx->detached)
        return;
    spin_lock(&parent->lock);
    int err = load_relaxed(&parent->err);
    if (err == 0) {
        list_push_back(&parent->children, &ctx->node);
        ctx->linked = true;
    } else {
        ctx->cause = parent->cause;
        store_release(&ctx->err, err);   /* E14 */
        store_release(&ctx->settled, 1); /* E15 */
    }
    spin_unlock(&parent->lock);
}

static rn_ctx *make(rn_ctx *parent, bool detached)
{
    rn_ctx *ctx = malloc(sizeof *ctx);
    if (ctx == NULL)
        return NULL;
    memset(ctx, 0, sizeof *ctx); /* glibc's calloc does without the thread's cache */
    store_relaxed(&ctx->references, 1);
    ctx->detached = detached;
    attach(ctx, parent);
    return ctx;
}

rn_ctx *rn_ctx_with_cancel(rn_ctx *parent)
{
    return make(parent, false);
}

rn_ctx *rn_ctx_without_cancel(rn_ctx *parent)
{
    return make(parent, true);
}

rn_ctx *rn_ctx_with_value(rn_ctx *parent, const void *key, void *value)
{
    rn_ctx *ctx = make(parent, false);
    if (ctx != NULL) {
        ctx->key = key;
        ctx->value = value;
    }
    return ctx;
}

static rn_ctx *with_deadline(rn_ctx *parent, rn_time t, rn_time now)
{
    rn_ctx *ctx = make(parent, false);
    rn_time earlier;

    if (ctx == NULL || t == RN_FOREVER)
        return ctx;
    ctx->has_deadline = !rn_ctx_deadline(parent, &earlier) || t < earlier;
    ctx->deadline = t;
    if (ctx_err(ctx) != 0)
        return ctx;
    if (t <= now) {
        end(ctx, -ETIMEDOUT, -ETIMEDOUT);
        return ctx;
    }
    if (!ctx->has_deadline)
        return ctx; /* the parent's end comes first, and reaches it */
    ctx->timer.fire = deadline_fire;
    if (timer_arm(&ctx->timer, t) != 0) {
        rn_ctx_release(ctx);
        return NULL;
    }
    return ctx;
}

rn_ctx *rn_ctx_with_deadline(rn_ctx *parent, rn_time t)
{
    return with_deadline(parent, t, rn_now());
}

rn_ctx *rn_ctx_with_timeout(rn_ctx *parent, rn_duration d)
{
    rn_time now = rn_now();

    return with_deadline(parent, d == RN_FOREVER ? RN_FOREVER : rn_time_add(now, d), now);
}

int rn_ctx_shield(rn_ctx *parent, rn_duration grace, int (*fn)(rn_ctx *ctx, void *arg), void *arg)
{
    rn_ctx *outer = rn_ctx_without_cancel(parent);
    rn_ctx *ctx = outer == NULL ? NULL : rn_ctx_with_timeout(outer, grace);
    int err = ctx == NULL ? -ENOMEM : fn(ctx, arg);

    rn_ctx_release(ctx);
    rn_ctx_release(outer);
    return err;
}

/* ---- asking ---- */

int rn_ctx_err(const rn_ctx *ctx)
{
    return ctx_err(ctx);
}

int rn_ctx_cause(const rn_ctx *ctx)
{
    return ctx_err(ctx) == 0 ? 0 : ctx->cause;
}

bool rn_ctx_deadline(const rn_ctx *ctx, rn_time *out)
{
    for (; ctx != NULL; ctx = ctx->detached ? NULL : ctx->parent)
        if (ctx->has_deadline) {
            *out = ctx->deadline;
            return true;
        }
    return false;
}

void *rn_ctx_value(const rn_ctx *ctx, const void *key)
{
    for (; ctx != NULL; ctx = ctx->parent)
        if (ctx->key == key && key != NULL)
            return ctx->value;
    return NULL;
}

int rn_ctx_wait(rn_ctx *ctx)
{
    return wait_forever(ctx, WAIT_CTX);
}

/* ---- watches ---- */

int ctx_watch(rn_ctx *ctx, struct watch *watch, void (*fire)(struct watch *watch, int err))
{
    watch->ctx = ctx;
    watch->fire = fire;
    store_relaxed(&watch->firing, 0);
    spin_lock(&ctx->lock);
    int err = load_relaxed(&ctx->err);
    watch->linked = err == 0;
    if (err == 0)
        list_push_back(&ctx->watches, &watch->node);
    spin_unlock(&ctx->lock);
    return err;
}

static void wait_fired(struct watch *watch)
{
    for (unsigned spins = 0; load_acquire(&watch->firing) != 0; spins++) /* E16 */
        spin_wait(spins);
}

bool ctx_unwatch(struct watch *watch)
{
    rn_ctx *ctx = watch->ctx;

    spin_lock(&ctx->lock);
    bool linked = watch->linked;
    if (linked)
        list_remove(&ctx->watches, &watch->node);
    watch->linked = false;
    spin_unlock(&ctx->lock);
    if (!linked)
        wait_fired(watch);
    return linked;
}

/* ---- waiting ---- */

static void wait_fire(struct watch *watch, int err)
{
    struct ctx_wait *cw = container_of(watch, struct ctx_wait, watch);
    cw->wait->interrupt(cw->wait, err);
    watch_fired(watch);
}

static void fiber_fire(struct watch *watch, int err)
{
    struct fiber *fiber = container_of(watch, struct fiber, watch);
    struct wait *wait = load_acquire(&fiber->wait); /* E7 */
    if (wait != NULL)
        wait->interrupt(wait, err);
    watch_fired(watch);
}

int ctx_wait_begin(struct ctx_wait *cw, rn_ctx *ctx, struct fiber *self, struct wait *wait)
{
    cw->ctx = NULL;
    cw->self = NULL;
    if (ctx == NULL)
        return 0;
    if (self->ctx == ctx) {
        int err = ctx_err(ctx);
        if (err != 0)
            return err;
        cw->ctx = ctx;
        cw->self = self;
        store_release(&self->wait, wait);
        fence_light(); /* E7 */
        return ctx_err(ctx);
    }
    cw->wait = wait;
    int err = ctx_watch(ctx, &cw->watch, wait_fire);
    if (err == 0)
        cw->ctx = ctx;
    return err;
}

void ctx_wait_end(struct ctx_wait *cw)
{
    rn_ctx *ctx = cw->ctx;

    if (ctx == NULL)
        return;
    if (cw->self == NULL) {
        ctx_unwatch(&cw->watch);
        return;
    }
    store_relaxed(&cw->self->wait, NULL);
    fence_light(); /* E7 */
    if (unlikely(ctx_err(ctx) != 0)) {
        spin_lock(&ctx->lock); /* a canceller that comes later sees that nothing is published */
        spin_unlock(&ctx->lock);
        wait_fired(&cw->self->watch);
    }
}

void ctx_adopt(rn_ctx *ctx, struct fiber *fiber)
{
    fiber->ctx = rn_ctx_retain(ctx);
    fiber->watch.ctx = ctx;
    fiber->watch.fire = fiber_fire;
    store_relaxed(&fiber->watch.firing, 0);
    spin_lock(&ctx->lock);
    fiber->watch.linked = load_relaxed(&ctx->err) == 0;
    if (fiber->watch.linked) {
        list_push_back(&ctx->watches, &fiber->watch.node);
        ctx->fibers++;
    }
    spin_unlock(&ctx->lock);
}

void ctx_leave(struct fiber *fiber)
{
    rn_ctx *ctx = fiber->ctx;

    spin_lock(&ctx->lock);
    bool linked = fiber->watch.linked;
    if (linked) {
        list_remove(&ctx->watches, &fiber->watch.node);
        ctx->fibers--;
    }
    spin_unlock(&ctx->lock);
    if (!linked)
        wait_fired(&fiber->watch);
    fiber->ctx = NULL;
    rn_ctx_drop(ctx);
}
