/* The rare side of the asymmetric fences; see base/asym.h. */
#include "base/asym.h"

#include "pause.h"

atomic_u8 asym_fenced = 1;

void fence_full(void)
{
    arch_fence();
}

void bias_enter_slow(struct bias_lock *lock)
{
    do {
        store_release(&lock->owner, 0);                                      /* E2 */
        for (unsigned spins = 0; load_acquire(&lock->visitor) != 0; spins++) /* E1 */
            spin_wait(spins);
        store_relaxed(&lock->owner, 1);
        fence_full(); /* E11 */
    } while (load_acquire(&lock->visitor) != 0);
}

static void bias_claim(struct bias_lock *lock)
{
    store_relaxed(&lock->visitor, 1);
    fence_heavy();                                                     /* E11 */
    for (unsigned spins = 0; load_acquire(&lock->owner) != 0; spins++) /* pairs with E2 */
        spin_wait(spins);
}

void(bias_visit)(struct bias_lock *lock)
{
    spin_lock(&lock->visitors);
    bias_claim(lock);
}

bool(bias_try_visit)(struct bias_lock *lock)
{
    if (!spin_try_lock(&lock->visitors))
        return false;
    bias_claim(lock);
    return true;
}

void(bias_leave)(struct bias_lock *lock)
{
    store_release(&lock->visitor, 0); /* pairs with E1 */
    spin_unlock(&lock->visitors);
}
