/*
 * The walkers of run queues, timer heaps and the poller's table; see base/walk.h. Empty in other
 * builds.
 */
#include "sched/sched.h"
#include "sched/poller.h"
#include "sched/timer_heap.h"

#ifdef RUNNEL_LOCK_ORDER

#include "base/check.h"

#define HEAP_ARITY 4

static void check_runnable(const struct runq *q, const struct fiber *fiber)
{
    CHECK(fiber->kind == FIBER_STACK, "walk: run queue %p: %p in it is no fiber", (const void *)q,
          (const void *)fiber);
    CHECK(load_relaxed(&((struct fiber *)fiber)->state) == FIBER_LIVE,
          "walk: run queue %p: fiber %llu in it has ended", (const void *)q,
          (unsigned long long)fiber->id);
}

static void check_entry(struct runq *q, uint32_t at, const struct fiber *slot)
{
    uintptr_t entry = load_relaxed(&q->ring[at & RUNQ_MASK]);
    const struct fiber *fiber = runq_entry_fiber(entry);

    CHECK(fiber != NULL && fiber != slot, "walk: run queue %p: entry %u is %s", (void *)q, at,
          fiber == NULL ? "empty" : "in the slot, too");
    if (entry & RUNQ_SEED) {
        CHECK((entry & RUNQ_FRESH) && q->seeds[at & RUNQ_MASK].fn != NULL,
              "walk: run queue %p: entry %u is no seed that could begin", (void *)q, at);
        return;
    }
    check_runnable(q, fiber);
    CHECK(((entry & RUNQ_FRESH) != 0) == fiber->fresh,
          "walk: run queue %p: fiber %llu is marked wrongly as %s", (void *)q,
          (unsigned long long)fiber->id, fiber->fresh ? "one that has run" : "fresh");
}

void runq_walk(struct runq *q)
{
    uint32_t head = load_relaxed(&q->head), length = load_relaxed(&q->tail) - head;
    const struct fiber *slot = load_relaxed(&q->slot);

    CHECK(length <= RUNQ_SLOTS, "walk: run queue %p: %u entries in room for %d", (void *)q, length,
          RUNQ_SLOTS);
    for (uint32_t i = 0; i < length; i++)
        check_entry(q, head + i, slot);
    if (slot != NULL)
        check_runnable(q, slot);
}

void timer_heap_walk(struct timer_heap *heap)
{
    rn_time next = heap->count > 0 ? heap->entries[1].when : RN_FOREVER;

    CHECK(heap->count <= heap->room, "walk: timer heap %p: %u timers in room for %u", (void *)heap,
          heap->count, heap->room);
    CHECK(load_relaxed(&heap->next) == next,
          "walk: timer heap %p: the earliest is said to be due at %lld, and is at %lld",
          (void *)heap, (long long)load_relaxed(&heap->next), (long long)next);
    for (uint32_t i = 1; i <= heap->count; i++) {
        const struct timer *timer = heap->entries[i].timer;
        CHECK(timer->index == i && timer->heap == heap && timer->when == heap->entries[i].when,
              "walk: timer heap %p: timer %u believes that it is elsewhere", (void *)heap, i);
        CHECK(i == 1 ||
                  heap->entries[(i + HEAP_ARITY - 2) / HEAP_ARITY].when <= heap->entries[i].when,
              "walk: timer heap %p: timer %u is due before the one above it", (void *)heap, i);
    }
}

void poll_walk_free(const struct poll_entry *first, uint32_t entries)
{
    uint32_t count = 0;

    for (const struct poll_entry *e = first; e != NULL; e = e->next_free) {
        CHECK(++count <= entries, "walk: descriptors: the free entries are linked in a ring");
        CHECK(e->index < entries, "walk: descriptors: free entry %u of %u", e->index, entries);
        CHECK(e->references == 0 && e->generation % 2 == 0,
              "walk: descriptors: entry %u is free, and in use", e->index);
    }
}

#endif
