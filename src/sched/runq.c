/* The rare sides of the run queue: spilling and stealing; see runq.h. */
#include "sched/runq.h"

#define STEAL_MAX 128

static void take_oldest(struct runq *q, struct chain *out, uint32_t count)
{
    uint32_t head = load_relaxed(&q->head);
    for (uint32_t i = 0; i < count; i++)
        chain_push(out, runq_entry_fiber(q->ring[(head + i) & RUNQ_MASK]));
    store_relaxed(&q->head, head + count);
}

void runq_spill_locked(struct runq *q, struct chain *out)
{
    take_oldest(q, out, RUNQ_SPILL);
}

uint32_t runq_steal(struct runq *victim, struct chain *out, bool take_slot)
{
    uint32_t before = out->count;

    if (runq_length(victim) == 0 && !(take_slot && load_relaxed(&victim->slot) != NULL))
        return 0;
    if (!bias_try_visit(&victim->lock))
        return 0; /* another thief is there */
    uint32_t length = runq_length(victim);
    uint32_t half = (length + 1) / 2;
    take_oldest(victim, out, half < STEAL_MAX ? half : STEAL_MAX);
    struct fiber *slot = load_relaxed(&victim->slot);
    if (take_slot && length == 0 && slot != NULL) {
        store_relaxed(&victim->slot, NULL);
        chain_push(out, slot);
    }
    bias_leave(&victim->lock);
    return out->count - before;
}
