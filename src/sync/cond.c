/*
 * Condition variable: a queue, and a spin lock that spans "enter the queue, unlock the mutex,
 * park".
 *
 * Invariant: under the spin lock, waiting is at least the number of queued waiters; one that was
 * cancelled takes itself off a moment later. So a signal that reads 0 has nobody to wake: who waits
 * counted itself before it unlocked the mutex.
 */
#include "base/check.h"
#include "sync/wake.h"

#include <runnel/cond.h>

struct __attribute__((may_alias)) cond {
    SPINLOCK(lock, cond_lock); /* guards the rest; over it only a mutex is unlocked */
    atomic_u32 waiting;        /* written under lock, read without by signal */
    struct waitq waiters;
};

_Static_assert(sizeof(struct cond) == sizeof(rn_cond), "rn_cond has the wrong size");
_Static_assert(_Alignof(struct cond) == _Alignof(rn_cond), "rn_cond has the wrong alignment");

static struct cond *cond_of(rn_cond *c)
{
    return (struct cond *)c;
}

static void count_locked(struct cond *c, int by)
{
    store_relaxed(&c->waiting, load_relaxed(&c->waiting) + (uint32_t)by);
}

RN_API int rn_cond_wait(rn_ctx *ctx, rn_cond *cond, rn_mutex *m)
{
    struct cond *c = cond_of(cond);
    unsigned class = lock_class_claim(); /* of the mutex */
    struct waiter waiter;
    int result;

    (void)fiber_here(); /* before the lock */
    spin_lock(&c->lock);
    count_locked(c, 1);
    lock_class_name_next(class);
    rn_mutex_unlock(
        m); /* a signal from here on waits for the spin lock, and then finds the waiter */
    result = waitq_wait(ctx, &c->waiters, &c->lock, &waiter, WAIT_COND);
    if (result != 0) {
        spin_lock(&c->lock);
        count_locked(c, -1);
        spin_unlock(&c->lock);
    }
    lock_class_name_next(class);
    rn_mutex_lock(m);
    return result;
}

RN_API void rn_cond_signal(rn_cond *cond)
{
    struct cond *c = cond_of(cond);
    struct waiter *waiter;

    if (load_relaxed(&c->waiting) == 0)
        return;
    spin_lock(&c->lock);
    waiter = waitq_pop(&c->waiters);
    if (waiter != NULL)
        count_locked(c, -1);
    spin_unlock(&c->lock);
    if (waiter != NULL)
        waiter_wake(waiter, 0);
}

RN_API void rn_cond_broadcast(rn_cond *cond)
{
    struct cond *c = cond_of(cond);
    struct list woken = {NULL, NULL};

    if (load_relaxed(&c->waiting) == 0)
        return;
    spin_lock(&c->lock);
    count_locked(c, -(int)waitq_take_all(&c->waiters, &woken));
    spin_unlock(&c->lock);
    wake_all(&woken, 0);
}
