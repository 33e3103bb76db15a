/*
 * The rare side of read sections: epochs, batches, and what a suspended reader holds up.
 *
 * waiting has two lists with a tag each. The first is reclaimed when no section is open that began
 * at or before its tag; what comes meanwhile goes to the second, whose tag may still rise. So a
 * stream of retirements cannot put off the reclaiming for ever.
 */
#include "sync/epoch.h"

#define SCAN_SPINS_MAX 32 /* steps to wait for a section to end: many times its length */

struct batch {
    struct retired *first, **end; /* end: the last link */
    uint64_t tag;                 /* sections that began at or before it may see what is here */
};

atomic_u64 epoch_now = 1;

STATIC_SPINLOCK(shared_lock, epoch_shared); /* one section at a time in the shared slot */

static struct {
    SPINLOCK(lock, epoch_waiting); /* guards lists; under it nothing but a membarrier */
    struct batch lists[2];
} waiting;

static struct slot *slot_at(uint32_t i, uint32_t count)
{
    return i < count ? &slots[i] : &slots[SLOTS_MAX];
}

static bool blocks(struct slot *slot, uint64_t tag)
{
    uint64_t entered = load_acquire(&slot->entered); /* pairs with E61 */

    return entered != 0 && entered <= tag;
}

/* Whether all sections up to tag have ended; waits a moment for each. After a heavy fence. */
static bool await_sections(uint64_t tag)
{
    uint32_t count = load_acquire(&slots_count); /* pairs with E63 */

    for (uint32_t i = 0; i <= count; i++)
        for (unsigned spins = 0; blocks(slot_at(i, count), tag); spins++) {
            if (spins >= SCAN_SPINS_MAX)
                return false;
            spin_wait(spins);
        }
    return true;
}

/* Asks each section that is open up to tag to collect as it ends. False when there is none. */
static bool mark_sections(uint64_t tag)
{
    uint32_t count = load_acquire(&slots_count); /* pairs with E63 */
    bool any = false;

    for (uint32_t i = 0; i <= count; i++)
        if (blocks(slot_at(i, count), tag)) {
            store_relaxed(&slot_at(i, count)->wanted, 1);
            any = true;
        }
    return any;
}

static bool sections_open(uint64_t tag)
{
    if (!mark_sections(tag))
        return false;
    fence_heavy(); /* E62: who ends now sees wanted, or is seen to have ended */
    return mark_sections(tag);
}

static void reclaim_all(struct retired *first)
{
    while (first != NULL) {
        struct retired *next = first->next;
        first->reclaim(first);
        first = next;
    }
}

static void append(struct batch *to, struct retired *first, uint64_t tag)
{
    struct retired **end = &first->next;

    while (*end != NULL)
        end = &(*end)->next;
    if (to->first == NULL)
        to->end = &to->first;
    *to->end = first;
    to->end = end;
    to->tag = tag;
}

/* The first list, when nobody reads it any more, otherwise NULL; the second takes its place. */
static struct retired *take_free_locked(void)
{
    struct retired *first = waiting.lists[0].first;

    if (first == NULL || sections_open(waiting.lists[0].tag))
        return NULL;
    waiting.lists[0] = waiting.lists[1];
    waiting.lists[1] = (struct batch){NULL, NULL, 0};
    return first;
}

void epoch_collect(void)
{
    struct retired *first;

    do {
        spin_lock(&waiting.lock);
        first = take_free_locked();
        spin_unlock(&waiting.lock);
        reclaim_all(first);
    } while (first != NULL);
}

/* A list of unlinked objects: reclaimed, or left to the sections that hold it up. */
static void retire_list(struct retired *first)
{
    uint64_t tag = add_seq(&epoch_now, 1); /* E64 */

    fence_heavy(); /* E60 */
    if (await_sections(tag)) {
        reclaim_all(first);
        return;
    }
    spin_lock(&waiting.lock);
    append(&waiting.lists[waiting.lists[0].first != NULL], first, tag);
    spin_unlock(&waiting.lock);
    epoch_collect();
}

void retire_now(struct retired *retired)
{
    retired->next = NULL;
    retire_list(retired);
}

void epoch_flush(struct slot *slot)
{
    struct retired *first = slot->batch;

    if (first == NULL) /* as always in the shared slot */
        return;
    slot->batch = NULL;
    slot->batch_count = 0;
    slot->batch_bytes = 0;
    retire_list(first);
}

void retire(struct retired *retired, size_t bytes)
{
    struct slot *slot = slot_here();

    if (slot_is_shared(slot)) {
        retire_now(retired);
        return;
    }
    retired->next = slot->batch;
    slot->batch = retired;
    slot->batch_bytes += bytes;
    if (++slot->batch_count >= BATCH_COUNT || slot->batch_bytes >= BATCH_BYTES)
        epoch_flush(slot);
}

void read_enter_shared(struct slot *slot)
{
    spin_lock(&shared_lock);
    store_relaxed(&slot->wanted, 1); /* so that read_exit comes here to unlock */
}

void read_exit_wanted(struct slot *slot)
{
    if (slot_is_shared(slot))
        spin_unlock(&shared_lock);
    else
        store_relaxed(&slot->wanted, 0);
    epoch_collect();
}
