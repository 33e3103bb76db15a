/*
 * Slots: each thread that uses a map or an object pool, worker or not, has a number of its own for
 * as long as it lives. So tables with a line for each thread are written without locked
 * instructions.
 *
 * A fiber may use the slot of the thread it runs on until it may park; nothing is kept longer.
 *
 * Invariant: a slot has one thread, but the last one, which all threads share that found none
 * free. It is handed on under a lock, so the next thread sees what the last one left.
 */
#ifndef RN_SYNC_SLOT_H
#define RN_SYNC_SLOT_H

#include "base/asym.h"
#include "here.h"

#include <stddef.h>

#ifndef SLOTS_MAX
#define SLOTS_MAX 1024
#endif

struct retired;

struct slot {
    /* Read sections: see sync/epoch.h. */
    cache_aligned atomic_u64 entered; /* the epoch on entry; 0: outside */
    atomic_u32 wanted;                /* 1: who leaves the section is to collect */
    uint32_t batch_count;
    struct retired *batch; /* retired by this thread, and not yet given to reclaim */
    size_t batch_bytes;
    struct slot *next; /* in the list of free ones; guarded by its lock */
};

extern struct slot slots[SLOTS_MAX + 1];
extern atomic_u32 slots_count; /* slots that were ever used, the shared one not counted */

static inline uint32_t slot_index(const struct slot *slot)
{
    return (uint32_t)(slot - slots);
}

static inline bool slot_is_shared(const struct slot *slot)
{
    return unlikely(slot == &slots[SLOTS_MAX]);
}

/* Gives the thread a slot. */
struct slot *slot_take(void);

static inline struct slot *slot_here(void)
{
    struct slot *slot = slot_of_thread();

    return likely(slot != NULL) ? slot : slot_take();
}

#endif
