/* The waiting side of the spin lock; see base/spinlock.h. */
#include "base/spinlock.h"

#define STARVING_STEPS 60 /* steps of spin_wait, tens of microseconds at least */

static bool try_take(struct spinlock *lock)
{
    return load_relaxed(&lock->held) == 0 && swap_acquire(&lock->held, 1) == 0;
}

/* The only one that does not make way: takes the lock at the next release. */
static void take_starving(struct spinlock *lock)
{
    for (unsigned spins = 0; !try_take(lock); spins++)
        spin_wait(spins % STARVING_STEPS);
    store_relaxed(&lock->starving, 0);
}

/*
 * A loser stays away for longer and longer, so that the winner can do many operations while it has
 * the cache lines: moving them costs ten times as much as a section.
 */
void spin_lock_slow(struct spinlock *lock)
{
    for (unsigned spins = 0;; spins++) {
        spin_wait(spins);
        if (load_relaxed(&lock->starving) == 0 && try_take(lock))
            return;
        if (spins >= STARVING_STEPS && swap_acquire(&lock->starving, 1) == 0) {
            take_starving(lock);
            return;
        }
    }
}
