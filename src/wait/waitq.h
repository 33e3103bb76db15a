/*
 * Wait queues: the one way in which fibers and threads wait for each other.
 *
 * A waiter lives on the waiting stack. It is in the queue exactly while its wake-up has not been
 * claimed: whoever unlinks it, under the lock that guards the queue, owns the wake-up. So a wake, a
 * timeout and a cancellation can race and exactly one wins.
 */
#ifndef RN_WAIT_WAITQ_H
#define RN_WAIT_WAITQ_H

#include "base/list.h"
#include "base/spinlock.h"
#include "fiber/watch.h"
#include "sched/park.h"

#include <runnel/ctx.h>

/*
 * A select waits in several queues at once: whoever sets winner first has woken it.
 *
 * parked is set last thing when the fiber has left its stack. Who wakes it through something that
 * is not guarded by a lock held until then (a timer, a context) waits for parked first; and the
 * select itself does before it goes on.
 */
#define SELECT_PENDING INT32_MIN

struct select_wait {
    struct wait wait; /* how a context interrupts it */
    struct fiber *fiber;
    atomic_i32 winner; /* SELECT_PENDING, a case's index, or a negative code */
    atomic_u32 parked;
};

struct waiter {
    struct list_node node; /* guarded by lock */
    struct wait wait;      /* how a context interrupts it */
    struct fiber *fiber;   /* who waits */
    struct waitq *queue;
    struct spinlock *lock;      /* guards queue */
    bool linked;                /* in queue; guarded by lock */
    int result;                 /* what waitq_wait returns; written by who unlinks it */
    void *value;                /* the owner's business (a channel: the element's place) */
    struct select_wait *select; /* NULL unless one case of a select; see chan/select.c */
    uint32_t index;             /* the case's number */
};

/*
 * Waits in queue. Called with lock held, which it releases; on a thread that can park (see
 * fiber_here). Returns the result given to
 * waiter_wake, or -ECANCELED or -ETIMEDOUT when ctx ended first (then the waiter is out of the
 * queue). waiter->value, ->select and ->index are the caller's to set before; the rest is set here.
 */
int waitq_wait(rn_ctx *ctx, struct waitq *queue, struct spinlock *lock, struct waiter *waiter,
               enum wait_reason reason);

/*
 * The same, waiting until `until` at most (RN_FOREVER: no limit): -EAGAIN when that time came
 * first.
 */
int waitq_wait_until(rn_ctx *ctx, struct waitq *queue, struct spinlock *lock, struct waiter *waiter,
                     rn_time until, enum wait_reason reason);

/*
 * For who learns only under the lock that it must wait: on a plain thread that cannot park yet lets
 * go of the lock and makes it able to. True: the caller looks again from the beginning.
 */
static inline bool waitq_not_ready(struct spinlock *lock)
{
    if (likely(park_possible()))
        return false;
    spin_unlock(lock);
    (void)fiber_here();
    return true;
}

/*
 * Unlinks the oldest waiter whose wake-up could be had (a select may have been woken by another
 * case), or returns NULL. With the lock held. The caller now owns the wake-up: waiter_wake.
 */
struct waiter *waitq_pop(struct waitq *queue);

/* Adds a select's waiter, whose fields the caller has set. With the lock held. */
void waitq_enqueue(struct waitq *queue, struct waiter *waiter);

/* Claims a select for a case or a negative code; true when nobody had before. */
bool select_claim(struct select_wait *select, int32_t winner);
/* Waits, a moment at most, until a select that was claimed has left its stack. */
void select_wait_parked(struct select_wait *select);

/* Unlinks one waiter. With the lock held; it must be linked. */
void waitq_remove(struct waiter *waiter);

/*
 * Wakes a waiter that waitq_pop gave; best after releasing the lock. The waiter is gone afterwards.
 */
void waiter_wake(struct waiter *waiter, int result);

/* Checks the queue whole; see base/walk.h. With the lock held. */
void waitq_walk(const struct waitq *queue);

/* Waits until ctx ends, for ever when it is NULL. Returns ctx's error. */
int wait_forever(rn_ctx *ctx, enum wait_reason reason);

static inline bool waitq_empty(const struct waitq *queue)
{
    return list_empty(&queue->waiters);
}

#endif
