/*
 * Read sections, and freeing memory once no section can see it.
 *
 * A section is a few dozen instructions that follow shared pointers without a lock. Entering writes
 * the current epoch into the thread's own slot, leaving writes 0: two plain stores and no shared
 * cache line. Who takes an object out of a structure retires it: it goes to its reclaim function
 * when every section that was open at that moment has ended. The heavy side of the fences is the
 * retiring one's, so small objects are retired in batches.
 *
 * Invariants:
 *   - nothing in a section parks or runs the program's code; so it ends on the thread it began on.
 *   - what is retired has been unlinked, so a section that begins later cannot reach it.
 *   - who leaves a section holds no lock: it may have to reclaim, which runs the program's code.
 *
 * What waits to be reclaimed is bounded: BATCH_COUNT objects or BATCH_BYTES for each thread, and
 * what was retired while a thread was suspended by the kernel inside a section. That one reclaims
 * it when it leaves.
 */
#ifndef RN_SYNC_EPOCH_H
#define RN_SYNC_EPOCH_H

#include "sync/slot.h"

#include <stddef.h>

#define BATCH_COUNT 128
#define BATCH_BYTES (64 * 1024)

/* The head of what can be retired. */
struct retired {
    struct retired *next;
    void (*reclaim)(struct retired *retired);
};

extern atomic_u64 epoch_now; /* from 1 up */

void read_enter_shared(struct slot *slot);
void read_exit_wanted(struct slot *slot);

/* No park, no code of the program's until read_exit. Never nested. */
static inline struct slot *read_enter(void)
{
    struct slot *slot = slot_here();

    if (slot_is_shared(slot))
        read_enter_shared(slot);
    /* E64: what was unlinked before this epoch is seen; E61: the last section has ended */
    store_release(&slot->entered, load_acquire(&epoch_now));
    fence_light(); /* E60: who retires sees this section, or the section what was unlinked */
    return slot;
}

/* Holding no lock. */
static inline void read_exit(struct slot *slot)
{
    store_release(&slot->entered, 0); /* E61: what was read is read before it is reclaimed */
    fence_light();                    /* E62: sees wanted, or who waits sees 0 */
    if (unlikely(load_relaxed(&slot->wanted) != 0))
        read_exit_wanted(slot);
}

/* Reclaims it some time, with a batch; bytes is its size. Under no lock, outside of sections. */
void retire(struct retired *retired, size_t bytes);

/* Reclaims it at once or, when a section is held up, as that ends. Under no lock, as above. */
void retire_now(struct retired *retired);

/* Gives the thread's batch to reclaim. */
void epoch_flush(struct slot *slot);

/* Reclaims what has become free of readers. */
void epoch_collect(void);

#endif
