/* Wait queues; see waitq.h. */
#include "wait/waitq.h"

#include "base/walk.h"
#include "sched/timer.h"
#include "wait/ctx.h"

#include <errno.h>

bool select_claim(struct select_wait *select, int32_t winner)
{
    int32_t pending = SELECT_PENDING;
    return load_relaxed(&select->winner) == SELECT_PENDING &&
           cas_seq(&select->winner, &pending, winner);
}

static void unlink_waiter(struct waiter *waiter)
{
    list_remove(&waiter->queue->waiters, &waiter->node);
    waiter->queue->count--;
    waiter->linked = false;
    WALK(waiter->queue->count, waitq_walk(waiter->queue));
}

struct waiter *waitq_pop(struct waitq *queue)
{
    while (!list_empty(&queue->waiters)) {
        struct waiter *waiter = container_of(queue->waiters.first, struct waiter, node);
        unlink_waiter(waiter);
        if (likely(waiter->select == NULL) || select_claim(waiter->select, (int32_t)waiter->index))
            return waiter;
    }
    return NULL;
}

void waitq_remove(struct waiter *waiter)
{
    unlink_waiter(waiter);
}

void waitq_enqueue(struct waitq *queue, struct waiter *waiter)
{
    waiter->queue = queue;
    waiter->linked = true;
    queue->count++;
    list_push_back(&queue->waiters, &waiter->node);
    WALK(queue->count, waitq_walk(queue));
}

void select_wait_parked(struct select_wait *select)
{
    for (unsigned spins = 0; load_acquire(&select->parked) == 0; spins++) /* E9 */
        spin_wait(spins);
}

void waiter_wake(struct waiter *waiter, int result)
{
    struct fiber *fiber = waiter->fiber;
    waiter->result = result;
    if (unlikely(waiter->select != NULL))
        select_wait_parked(waiter->select);
    ready(fiber);
}

/* Somebody else than the queue's owner ends the wait, if nobody has yet. */
static void end_wait(struct waiter *waiter, int err)
{
    spin_lock_known(waiter->lock); /* free once the fiber has left its stack */
    bool won = waiter->linked;
    if (won)
        unlink_waiter(waiter);
    spin_unlock(waiter->lock);
    if (won)
        waiter_wake(waiter, err);
}

static void interrupt(struct wait *wait, int err)
{
    end_wait(container_of(wait, struct waiter, wait), err);
}

static void prepare(struct waiter *waiter, struct waitq *queue, struct spinlock *lock,
                    struct fiber *self)
{
    waiter->wait.interrupt = interrupt;
    waiter->fiber = self;
    waiter->lock = lock;
    waiter->queue = queue;
    waiter->linked = false;
    waiter->select = NULL;
}

static int wait_with(rn_ctx *ctx, struct waitq *queue, struct waiter *waiter,
                     enum wait_reason reason)
{
    struct ctx_wait cw;
    int err = ctx_wait_begin(&cw, ctx, waiter->fiber, &waiter->wait);

    if (unlikely(err != 0)) {
        waiter->result = err;
        spin_unlock(waiter->lock);
    } else {
        waitq_enqueue(queue, waiter);
        park_unlock(waiter->lock, reason);
    }
    ctx_wait_end(&cw);
    return waiter->result;
}

int waitq_wait(rn_ctx *ctx, struct waitq *queue, struct spinlock *lock, struct waiter *waiter,
               enum wait_reason reason)
{
    prepare(waiter, queue, lock, fiber_here());
    if (ctx != NULL)
        return wait_with(ctx, queue, waiter, reason);
    waitq_enqueue(queue, waiter);
    park_unlock(lock, reason);
    return waiter->result;
}

struct limit {
    struct timer timer;
    struct waiter *waiter;
};

static void limit_fire(struct timer *timer)
{
    end_wait(container_of(timer, struct limit, timer)->waiter, -EAGAIN);
}

int waitq_wait_until(rn_ctx *ctx, struct waitq *queue, struct spinlock *lock, struct waiter *waiter,
                     rn_time until, enum wait_reason reason)
{
    struct limit limit = {.timer.fire = limit_fire, .waiter = waiter};

    if (until == RN_FOREVER)
        return waitq_wait(ctx, queue, lock, waiter, reason);
    prepare(waiter, queue, lock, fiber_here());
    int err = timer_arm(&limit.timer, until); /* fires into end_wait, which needs our lock */
    if (err != 0) {
        spin_unlock(lock);
        return err;
    }
    wait_with(ctx, queue, waiter, reason);
    timer_stop(&limit.timer);
    return waiter->result;
}

int wait_forever(rn_ctx *ctx, enum wait_reason reason)
{
    SPINLOCK(lock, sleeper_lock) = {0};
    struct waitq queue = {0};
    struct waiter waiter;

    (void)fiber_here(); /* before the lock */
    spin_lock(&lock);
    return waitq_wait(ctx, &queue, &lock, &waiter, reason);
}

int rn_sleep(rn_ctx *ctx, rn_duration d)
{
    SPINLOCK(lock, sleeper_lock) = {0};
    struct waitq queue = {0};
    struct waiter waiter;

    if (ctx_err(ctx) != 0)
        return ctx_err(ctx);
    if (d <= 0) {
        rn_yield();
        return ctx_err(ctx);
    }
    (void)fiber_here(); /* before the lock */
    rn_time until = rn_time_add(rn_now(), d);
    spin_lock(&lock);
    int err = waitq_wait_until(ctx, &queue, &lock, &waiter, until, WAIT_SLEEP);
    return err == -EAGAIN ? 0 : err;
}
