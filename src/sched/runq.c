/* The rare sides of the run queue: spilling and stealing; see runq.h. */
#include "sched/runq.h"

#define STEAL_MAX 128

void runq_spill_locked(struct runq *q, struct chain *out)
{
    uint32_t head = load_relaxed(&q->head);

    for (uint32_t i = 0; i < RUNQ_SPILL; i++) {
        const struct seed *seed;
        struct fiber *fiber = runq_entry_take(q, head + i, &seed);
        if (seed != NULL)
            fiber_plant(fiber, seed, runq_seed_copy(q, seed));
        chain_push(out, fiber);
    }
    store_relaxed(&q->head, head + RUNQ_SPILL);
}

/* What a thief carries out of the lock, so that its owner does not wait for seeds to be planted. */
struct loot {
    uint32_t count;
    struct fiber *fibers[STEAL_MAX];
    bool is_seed[STEAL_MAX];
    struct seed seeds[STEAL_MAX];
    unsigned char copies[STEAL_MAX][SEED_COPY_MAX];
};

static void grab_oldest(struct runq *q, struct loot *loot, uint32_t count)
{
    uint32_t head = load_relaxed(&q->head);

    for (uint32_t i = 0; i < count; i++) {
        const struct seed *seed;
        loot->fibers[i] = runq_entry_take(q, head + i, &seed);
        loot->is_seed[i] = seed != NULL;
        if (seed == NULL)
            continue;
        loot->seeds[i] = *seed;
        if (seed->copy_bytes != 0)
            memcpy(loot->copies[i], runq_seed_copy(q, seed), seed->copy_bytes);
    }
    loot->count = count;
    store_relaxed(&q->head, head + count);
}

static void deliver(struct loot *loot, struct chain *out)
{
    for (uint32_t i = 0; i < loot->count; i++) {
        if (loot->is_seed[i])
            fiber_plant(loot->fibers[i], &loot->seeds[i], loot->copies[i]);
        chain_push(out, loot->fibers[i]);
    }
}

uint32_t runq_steal(struct runq *victim, struct chain *out, bool take_slot)
{
    uint32_t before = out->count;
    struct loot loot;

    if (runq_length(victim) == 0 && !(take_slot && load_relaxed(&victim->slot) != NULL))
        return 0;
    if (!bias_try_visit(&victim->lock))
        return 0; /* another thief is there */
    uint32_t length = runq_length(victim);
    uint32_t half = (length + 1) / 2;
    grab_oldest(victim, &loot, half < STEAL_MAX ? half : STEAL_MAX);
    struct fiber *slot = load_relaxed(&victim->slot);
    if (take_slot && length == 0 && slot != NULL) {
        store_relaxed(&victim->slot, NULL);
        chain_push(out, slot);
    }
    WALK(runq_length(victim), runq_walk(victim));
    bias_leave(&victim->lock);
    deliver(&loot, out);
    return out->count - before;
}

void runq_each_seed(struct runq *q, void (*fn)(const struct seed *seed, void *arg), void *arg)
{
    uint32_t head = load_acquire(&q->head);          /* before the tail, which is never behind it */
    uint32_t length = load_acquire(&q->tail) - head; /* E80 */

    for (uint32_t i = head; length <= RUNQ_SLOTS && i != head + length; i++)
        if (load_relaxed(&q->ring[i & RUNQ_MASK]) & RUNQ_SEED)
            fn(&q->seeds[i & RUNQ_MASK], arg);
}
