/*
 * rn_rwmutex - a lock that many readers hold together, or one writer alone.
 *
 *     rn_rwmutex lock = {0};                 the zero value is ready; there is no destroy
 *
 *     rn_rwmutex_rlock(&lock);               any number of readers at once
 *     value = lookup(key);
 *     rn_rwmutex_runlock(&lock);
 *
 *     rn_rwmutex_lock(&lock);                alone
 *     insert(key, value);
 *     rn_rwmutex_unlock(&lock);
 *
 * A waiting writer stops new readers, so readers cannot starve it. When a writer unlocks, the
 * readers that wait go before the next writer, so writers cannot starve readers either. Writers are
 * served in order.
 *
 * Lifetime
 * 1. The zero value is an unlocked lock. It must not be copied or moved while in use.
 * 2. Its memory must stay until every unlock and runlock has returned.
 * 3. A reader must not take the lock for reading again: a writer that waits in between stops it for
 *    ever.
 * 4. Unlocking what is not locked that way ends the process with a message. RUNNEL_DEBUG=lock also
 *    ends it when somebody else than the writer unlocks, when a writer locks again, and when a
 *    reader becomes a writer; and it reports a second lock for reading, a wait for something else
 *    under the lock, and orders of locking that can deadlock. With it a reader's lock should be
 *    given back by who took it, or what is reported may be wrong.
 *
 * At once  every call, from any number of fibers and threads.
 */
#ifndef RUNNEL_RWMUTEX_H
#define RUNNEL_RWMUTEX_H

#include <runnel/error.h>
#include <stdint.h>

RN_BEGIN_DECLS

typedef struct rn_ctx rn_ctx;

typedef struct rn_rwmutex {
    uint64_t rn_private_[9];
} rn_rwmutex;

/*
 * rn_rwmutex_rlock - take the lock for reading.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   the fiber while a writer holds the lock or waits for it.
 * Order    the last writer's unlock happens before rlock returns.
 * Cost     one locked instruction while no writer is there.
 * See      rn_rwmutex_rlock_ctx, rn_rwmutex_try_rlock
 */
RN_API void rn_rwmutex_rlock(rn_rwmutex *rw);

/*
 * rn_rwmutex_rlock_ctx - take the lock for reading, or stop waiting when ctx ends.
 *
 * An ended ctx fails also when the lock is free.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   the fiber while a writer holds the lock or waits for it, until ctx ends.
 * Returns  0            the caller is a reader
 *          -ECANCELED   ctx was cancelled
 *          -ETIMEDOUT   ctx's deadline passed
 *          On every error the lock was not taken.
 */
RN_API int rn_rwmutex_rlock_ctx(rn_ctx *ctx, rn_rwmutex *rw);

/*
 * rn_rwmutex_try_rlock - take the lock for reading if that needs no waiting.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Returns  0        the caller is a reader
 *          -EBUSY   a writer holds the lock or waits for it
 */
RN_API int rn_rwmutex_try_rlock(rn_rwmutex *rw);

/*
 * rn_rwmutex_runlock - one reader leaves; the last lets a waiting writer in.
 *
 * Caller   any thread or fiber, once for each rlock.
 * Blocks   never.
 * Cost     one locked instruction.
 */
RN_API void rn_rwmutex_runlock(rn_rwmutex *rw);

/*
 * rn_rwmutex_lock - take the lock for writing.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   the fiber while readers or another writer hold the lock.
 * Order    every unlock and runlock before happens before lock returns.
 * See      rn_rwmutex_lock_ctx, rn_rwmutex_try_lock
 */
RN_API void rn_rwmutex_lock(rn_rwmutex *rw);

/*
 * rn_rwmutex_lock_ctx - take the lock for writing, or stop waiting when ctx ends.
 *
 * An ended ctx fails also when the lock is free. A writer that stops waiting lets the readers in
 * that waited behind it.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   the fiber while readers or another writer hold the lock, until ctx ends.
 * Returns  0            the caller is the writer
 *          -ECANCELED   ctx was cancelled
 *          -ETIMEDOUT   ctx's deadline passed
 *          On every error the lock was not taken.
 */
RN_API int rn_rwmutex_lock_ctx(rn_ctx *ctx, rn_rwmutex *rw);

/*
 * rn_rwmutex_try_lock - take the lock for writing if nobody holds it or waits for it.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Returns  0        the caller is the writer
 *          -EBUSY   readers or a writer hold it, or somebody waits
 */
RN_API int rn_rwmutex_try_lock(rn_rwmutex *rw);

/*
 * rn_rwmutex_unlock - the writer leaves; waiting readers go in together, otherwise the next writer.
 *
 * Caller   the fiber or thread that locked it.
 * Blocks   never.
 */
RN_API void rn_rwmutex_unlock(rn_rwmutex *rw);

RN_END_DECLS

#endif
