/*
 * rn_cond - a condition that holders of a mutex wait for.
 *
 *     rn_mutex lock = {0};
 *     rn_cond changed = {0};                 the zero value is ready; there is no destroy
 *
 *     rn_mutex_lock(&lock);
 *     while (err == 0 && queue_empty(q))     always a loop: another may have been faster
 *         err = rn_cond_wait(ctx, &changed, &lock);
 *     ...                                    the mutex is held here, whatever err is
 *     rn_mutex_unlock(&lock);
 *
 * Who changes the state does so under the mutex and then signals, holding the mutex or not.
 *
 * Lifetime
 * 1. The zero value is ready. It must not be copied or moved while in use.
 * 2. All who wait at the same time use the same mutex.
 * 3. Its memory must stay until every call on it has returned.
 *
 * At once  every call, from any number of fibers and threads.
 */
#ifndef RUNNEL_COND_H
#define RUNNEL_COND_H

#include <runnel/error.h>
#include <runnel/mutex.h>

RN_BEGIN_DECLS

typedef struct rn_cond {
    uint64_t rn_private_[4];
} rn_cond;

/*
 * rn_cond_wait - unlock m, wait for a signal, lock m again.
 *
 * No signal given after m is unlocked is missed. A signal that chose this waiter is never lost to a
 * cancellation at the same time: then 0 is returned. There are no wake-ups without a signal, but
 * the state may have changed again before m is locked.
 *
 * Caller   any thread or fiber that holds m.
 * Blocks   the fiber until signalled or ctx ends, and then until m is free.
 * Order    the signal happens before the wait returns.
 * Returns  0            signalled
 *          -ECANCELED   ctx was cancelled
 *          -ETIMEDOUT   ctx's deadline passed
 *          In each case m is locked.
 */
RN_API int rn_cond_wait(rn_ctx *ctx, rn_cond *c, rn_mutex *m);

/*
 * rn_cond_signal - wake the one that has waited longest, if anybody waits.
 *
 * Caller   any thread or fiber, holding the mutex or not.
 * Blocks   never.
 * Cost     a load when nobody waits.
 */
RN_API void rn_cond_signal(rn_cond *c);

/*
 * rn_cond_broadcast - wake all who wait, oldest first.
 *
 * Caller   any thread or fiber, holding the mutex or not.
 * Blocks   never.
 */
RN_API void rn_cond_broadcast(rn_cond *c);

RN_END_DECLS

#endif
