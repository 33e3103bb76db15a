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
#include "base/lock_class.h"

struct spinlock {
    atomic_u16 held;
    atomic_u8 starving; /* 1: a waiter is next, whoever else comes */
    atomic_u8 class;    /* RUNNEL_LOCK_ORDER: written by who holds it */
};

/* Declare a spin lock of a class of docs/locks.txt. */
#define SPINLOCK(name, class_) LOCK_OF_CLASS(, struct spinlock, name, class_)
#define STATIC_SPINLOCK(name, class_) LOCK_OF_CLASS(extern, static struct spinlock, name, class_)

/* One step of waiting: pauses, growing, then yields of the processor. Given by os/. */
void spin_wait(unsigned spins);
void spin_lock_slow(struct spinlock *lock);

static inline bool spin_try_lock_any(struct spinlock *lock)
{
    return load_relaxed(&lock->starving) == 0 && load_relaxed(&lock->held) == 0 &&
           swap_acquire(&lock->held, 1) == 0; /* E3 */
}

static inline void spin_lock_any(struct spinlock *lock)
{
    if (unlikely(load_relaxed(&lock->starving) != 0) || unlikely(swap_acquire(&lock->held, 1) != 0))
        spin_lock_slow(lock);
}

#ifdef RUNNEL_LOCK_ORDER

static inline void spin_lock_as(struct spinlock *lock, unsigned class, const void *in_order)
{
    lock_class_take(class, in_order);
    spin_lock_any(lock);
    store_relaxed(&lock->class, (uint8_t) class);
    lock_class_taken(class, in_order);
}

/* Who does not wait can wait for nobody: only what comes after is checked. */
static inline bool spin_try_lock_as(struct spinlock *lock, unsigned class)
{
    if (!spin_try_lock_any(lock))
        return false;
    store_relaxed(&lock->class, (uint8_t) class);
    lock_class_taken(class, NULL);
    return true;
}

static inline void spin_unlock(struct spinlock *lock)
{
    lock_class_left(load_relaxed(&lock->class));
    store_release(&lock->held, 0); /* E3 */
}

#define spin_lock(lock) spin_lock_as((lock), LOCK_CLASS_OF(lock), NULL)
#define spin_try_lock(lock) spin_try_lock_as((lock), LOCK_CLASS_OF(lock))
#define spin_lock_in_order(lock, class_) spin_lock_as((lock), LOCK_CLASS_##class_, (lock))
#define spin_lock_known(lock) spin_lock_as((lock), load_relaxed(&(lock)->class), NULL)

#else

static inline void spin_unlock(struct spinlock *lock)
{
    store_release(&lock->held, 0); /* E3: publishes what was done under the lock */
}

#define spin_lock(lock) spin_lock_any(lock)
#define spin_try_lock(lock) spin_try_lock_any(lock)
/* One of several of a class, which are taken in the order of their addresses. */
#define spin_lock_in_order(lock, class_) spin_lock_any(lock)
/* Through a pointer: one that its owner has locked before. */
#define spin_lock_known(lock) spin_lock_any(lock)

#endif
#endif
