/*
 * The inject queue: fibers that no worker has yet. A list under a lock, moved in chains.
 */
#include "sched/sched.h"

static struct {
    SPINLOCK(lock, inject_lock);
    struct chain chain; /* guarded by lock */
    atomic_u32 count;   /* chain.count, to look at without the lock */
} inject;

void inject_push(struct chain *chain)
{
    if (chain->first == NULL)
        return;
    spin_lock(&inject.lock);
    if (inject.chain.last != NULL)
        inject.chain.last->next = chain->first;
    else
        inject.chain.first = chain->first;
    inject.chain.last = chain->last;
    inject.chain.count += chain->count;
    store_relaxed(&inject.count, inject.chain.count);
    spin_unlock(&inject.lock);
}

uint32_t inject_pop(struct chain *out, uint32_t most)
{
    uint32_t taken = 0;

    if (load_relaxed(&inject.count) == 0)
        return 0;
    spin_lock(&inject.lock);
    for (struct fiber *f; taken < most && (f = chain_pop(&inject.chain)) != NULL; taken++)
        chain_push(out, f);
    store_relaxed(&inject.count, inject.chain.count);
    spin_unlock(&inject.lock);
    return taken;
}

bool inject_empty(void)
{
    return load_relaxed(&inject.count) == 0;
}

void inject_reset(void)
{
    inject.chain = (struct chain){0};
    store_relaxed(&inject.count, 0);
}
