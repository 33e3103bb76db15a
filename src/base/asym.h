/*
 * Asymmetric fences and the biased lock.
 *
 * Dekker's pattern (each side stores its own flag, then loads the other's) needs a full fence on
 * both sides, which costs about ten nanoseconds each time. Where one side is hot and the other is
 * rare, the hot side uses fence_light, which only stops the compiler, and the rare side uses
 * fence_heavy, a membarrier system call that makes every running thread of the process pass a full
 * fence. Then for each pair: either the hot side's store is seen by the rare side's load, or the
 * rare side's store by the hot side's load. Where the kernel has no membarrier, both are real
 * fences (asym_fenced).
 *
 * The biased lock builds on it: its owner enters and leaves with plain stores, others pay.
 *
 * Invariant: between bias_enter and bias_exit no thread is between bias_steal and bias_return.
 */
#ifndef RN_BASE_ASYM_H
#define RN_BASE_ASYM_H

#include "base/atomic.h"
#include "base/spinlock.h"

/*
 * 1 when the kernel has no membarrier, or was not asked yet: light fences must be real ones. It
 * falls to 0 when the runtime first starts, or in fence_settle; whoever calls fence_heavy has
 * waited for one of them.
 */
extern atomic_u8 asym_fenced;

void fence_full(void);
void fence_heavy(void); /* given by os/ */
/* Settles for good what fences are, for objects made before the runtime starts. Given by os/. */
void fence_settle(void);

static inline void fence_light(void)
{
    if (unlikely(load_relaxed(&asym_fenced)))
        fence_full();
    else
        __asm__ volatile("" ::: "memory");
}

struct bias_lock {
    atomic_u32 owner;                  /* 1: the owner is inside; written by the owner only */
    atomic_u32 visitor;                /* 1: a visitor is inside or waits; written under visitors */
    SPINLOCK(visitors, bias_visitors); /* one visitor at a time */
};

#define BIAS_LOCK(name, class_) LOCK_OF_CLASS(, struct bias_lock, name, class_)

void bias_enter_slow(struct bias_lock *lock);

/* Owner only; never nested, and nothing inside may block. */
static inline void bias_enter(struct bias_lock *lock)
{
    store_relaxed(&lock->owner, 1);
    fence_light(); /* E11: the visitor sees owner, or the owner sees visitor */
    if (unlikely(load_acquire(&lock->visitor) != 0)) /* E1: sees what the last visitor did */
        bias_enter_slow(lock);
}

static inline void bias_exit(struct bias_lock *lock)
{
    store_release(&lock->owner, 0); /* E2: publishes the owner's changes to the next visitor */
}

/* Any thread but the owner's. */
void bias_visit(struct bias_lock *lock);
bool bias_try_visit(struct bias_lock *lock);
void bias_leave(struct bias_lock *lock);

#ifdef RUNNEL_LOCK_ORDER

static inline void bias_enter_as(struct bias_lock *lock, unsigned class)
{
    lock_class_take(class, NULL);
    bias_enter(lock);
    lock_class_taken(class, NULL);
}

static inline void bias_exit_as(struct bias_lock *lock, unsigned class)
{
    lock_class_left(class);
    bias_exit(lock);
}

static inline void bias_visit_as(struct bias_lock *lock, unsigned class)
{
    lock_class_take(class, NULL);
    bias_visit(lock);
    lock_class_taken(class, NULL);
}

static inline bool bias_try_visit_as(struct bias_lock *lock, unsigned class)
{
    bool got = bias_try_visit(lock);

    if (got)
        lock_class_taken(class, NULL);
    return got;
}

static inline void bias_leave_as(struct bias_lock *lock, unsigned class)
{
    lock_class_left(class);
    bias_leave(lock);
}

#define bias_enter(lock) bias_enter_as((lock), LOCK_CLASS_OF(lock))
#define bias_exit(lock) bias_exit_as((lock), LOCK_CLASS_OF(lock))
#define bias_visit(lock) bias_visit_as((lock), LOCK_CLASS_OF(lock))
#define bias_try_visit(lock) bias_try_visit_as((lock), LOCK_CLASS_OF(lock))
#define bias_leave(lock) bias_leave_as((lock), LOCK_CLASS_OF(lock))

#endif
#endif
