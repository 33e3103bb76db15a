/*
 * A spin lock for sections of a few dozen instructions. One locked instruction to take, a store to
 * release.
 *
 * Whoever comes first gets it, but a waiter that has lost for long raises `starving`: newcomers
 * then queue up behind it. It must not be held over anything that may block. A holder can be
 * descheduled by the kernel; waiters then give up their time slice rather than burn it (spin_wait).
 */
#ifndef RN_BASE_SPINLOCK_H
#define RN_BASE_SPINLOCK_H

#include "base/atomic.h"

struct spinlock {
    atomic_u16 held;
    atomic_u16 starving; /* 1: a waiter is next, whoever else comes */
};

/* One step of waiting: pauses, growing, then yields of the processor. Given by os/. */
void spin_wait(unsigned spins);
void spin_lock_slow(struct spinlock *lock);

static inline bool spin_try_lock(struct spinlock *lock)
{
    return load_relaxed(&lock->starving) == 0 && load_relaxed(&lock->held) == 0 &&
           swap_acquire(&lock->held, 1) == 0; /* E3 */
}

static inline void spin_lock(struct spinlock *lock)
{
    if (unlikely(load_relaxed(&lock->starving) != 0) || unlikely(swap_acquire(&lock->held, 1) != 0))
        spin_lock_slow(lock);
}

static inline void spin_unlock(struct spinlock *lock)
{
    store_release(&lock->held, 0); /* E3: publishes what was done under the lock */
}

#endif
