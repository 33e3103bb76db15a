/*
 * rn_mutex - a lock that parks the fiber, not its worker.
 *
 *     struct counter { rn_mutex lock; long n; };
 *     struct counter c = {0};                the zero value is ready; there is no destroy
 *
 *     rn_mutex_lock(&c.lock);
 *     c.n++;
 *     rn_mutex_unlock(&c.lock);
 *
 * A free mutex goes to whoever comes first, also past those who wait: that is fastest. But a waiter
 * that was woken and found the mutex taken again a few times is handed it by the next unlock, so
 * that nobody starves. Waiting across any park is fine: a fiber may hold a mutex while it sleeps or
 * receives.
 *
 * Lifetime
 * 1. The zero value is an unlocked mutex. It must not be copied or moved while in use.
 * 2. Its memory must stay until every unlock has returned, not only until the next lock has: do not
 *    free the object that holds the mutex after "lock, drop the last reference, unlock" while
 *    another unlock may still be returning. Count references outside the mutex.
 * 3. It is not recursive: a second lock by its holder waits for ever.
 * 4. The holder unlocks it. Unlocking an unlocked mutex ends the process with a message;
 *    RUNNEL_DEBUG=lock also ends it when somebody else than the holder unlocks, and on a second
 *    lock by the holder.
 *
 * At once  every call, from any number of fibers and threads.
 */
#ifndef RUNNEL_MUTEX_H
#define RUNNEL_MUTEX_H

#include <runnel/error.h>
#include <stdint.h>

RN_BEGIN_DECLS

typedef struct rn_ctx rn_ctx;

typedef struct rn_mutex {
    uint64_t rn_private_[9];
} rn_mutex;

/*
 * rn_mutex_lock - take the mutex, waiting until it is free.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   the fiber while another holds the mutex.
 * Order    the unlock before happens before lock returns.
 * Cost     one locked instruction when free.
 * See      rn_mutex_lock_ctx, rn_mutex_try_lock
 */
RN_API void rn_mutex_lock(rn_mutex *m);

/*
 * rn_mutex_lock_ctx - take the mutex, waiting until it is free or ctx ends.
 *
 * An ended ctx fails also when the mutex is free.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   the fiber while another holds the mutex, until ctx ends.
 * Returns  0            the mutex is the caller's
 *          -ECANCELED   ctx was cancelled
 *          -ETIMEDOUT   ctx's deadline passed
 *          On every error the mutex was not taken.
 */
RN_API int rn_mutex_lock_ctx(rn_ctx *ctx, rn_mutex *m);

/*
 * rn_mutex_try_lock - take the mutex if it is free.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Returns  0        the mutex is the caller's
 *          -EBUSY   somebody holds it
 */
RN_API int rn_mutex_try_lock(rn_mutex *m);

/*
 * rn_mutex_unlock - give the mutex back, and wake the oldest waiter if there is one.
 *
 * Caller   the fiber or thread that locked it.
 * Blocks   never.
 * Cost     no locked instruction while nobody contends.
 */
RN_API void rn_mutex_unlock(rn_mutex *m);

RN_END_DECLS

#endif
