/*
 * A worker's run queue: a ring of fibers and one slot for the fiber that was woken last.
 *
 * The owner pushes at the tail and takes from the head, so that yielding and woken fibers go in
 * turn; but a fiber that never ran is taken from the tail while it is the newest. So a tree of
 * spawns is run depth first: few stacks are live, and those are hot. After FRESH_RUN_MAX of them in
 * a row the head has its turn when a fiber that ran before waits there, and after FRESH_RUN_LONG in
 * any case, so nothing starves. The slot makes a ping-pong stay on its worker; after SLOT_RUN_MAX
 * in a row it yields too. Thieves take half from the head: the oldest, the largest subtrees.
 *
 * Guard: the biased lock. The owner pays two plain stores and a load; thieves a membarrier. The
 * fields are atomic only so that others may peek (head != tail, slot != NULL) without the lock.
 *
 * Tried: a ring with a compare-and-swap on each pop costs 22 ns for a yield where this costs half.
 */
#ifndef RN_SCHED_RUNQ_H
#define RN_SCHED_RUNQ_H

#include "base/asym.h"
#include "fiber/fiber.h"

#ifndef RUNQ_SLOTS
#define RUNQ_SLOTS 2048 /* a power of two */
#endif
#define RUNQ_MASK (RUNQ_SLOTS - 1)
#define RUNQ_SPILL (RUNQ_SLOTS / 2) /* fibers moved to the inject queue when the ring is full */
#define FRESH_RUN_MAX 64
#define FRESH_RUN_LONG 8192
#define SLOT_RUN_MAX 64

struct runq {
    struct bias_lock lock;
    atomic_u32 head; /* the oldest; moved by owner and thieves */
    atomic_u32 tail; /* one past the newest; moved by the owner */
    _Atomic(struct fiber *) slot;
    uint32_t slot_run;          /* slot fibers run in a row; the owner's */
    uint32_t fresh_run;         /* fresh fibers run in a row; the owner's */
    uintptr_t ring[RUNQ_SLOTS]; /* fiber pointers; bit 0: fresh */
};

/* A chain of fibers linked by next. */
struct chain {
    struct fiber *first, *last;
    uint32_t count;
};

static inline void chain_push(struct chain *chain, struct fiber *fiber)
{
    fiber->next = NULL;
    if (chain->last != NULL)
        chain->last->next = fiber;
    else
        chain->first = fiber;
    chain->last = fiber;
    chain->count++;
}

static inline struct fiber *chain_pop(struct chain *chain)
{
    struct fiber *fiber = chain->first;
    if (fiber == NULL)
        return NULL;
    chain->first = fiber->next;
    if (chain->first == NULL)
        chain->last = NULL;
    chain->count--;
    return fiber;
}

static inline uint32_t runq_length(const struct runq *q)
{
    return load_relaxed(&q->tail) - load_relaxed(&q->head);
}

static inline bool runq_idle(const struct runq *q)
{
    return runq_length(q) == 0 && load_relaxed(&q->slot) == NULL;
}

/* Moves the oldest RUNQ_SPILL to a chain. Owner, inside the lock, ring full. */
void runq_spill_locked(struct runq *q, struct chain *out);

static inline void runq_append_locked(struct runq *q, struct fiber *fiber, struct chain *spill)
{
    uint32_t tail = load_relaxed(&q->tail);
    if (unlikely(tail - load_relaxed(&q->head) == RUNQ_SLOTS))
        runq_spill_locked(q, spill);
    q->ring[tail & RUNQ_MASK] = (uintptr_t)fiber | fiber->fresh;
    store_relaxed(&q->tail, tail + 1);
}

static inline struct fiber *runq_entry_fiber(uintptr_t entry)
{
    return (struct fiber *)(entry & ~(uintptr_t)1);
}

/* How many fresh fibers may run in a row before the one at the head. */
static inline uint32_t runq_fresh_limit(const struct runq *q, uint32_t head)
{
    return q->ring[head & RUNQ_MASK] & 1 ? FRESH_RUN_LONG : FRESH_RUN_MAX;
}

/*
 * From the ring: the newest while it is fresh, else the oldest; NULL when empty. Owner, inside the
 * lock.
 */
static inline struct fiber *runq_pop_locked(struct runq *q)
{
    uint32_t head = load_relaxed(&q->head), tail = load_relaxed(&q->tail);
    if (head == tail)
        return NULL;
    uintptr_t newest = q->ring[(tail - 1) & RUNQ_MASK];
    if ((newest & 1) && q->fresh_run < runq_fresh_limit(q, head)) {
        q->fresh_run++;
        store_relaxed(&q->tail, tail - 1);
        return runq_entry_fiber(newest);
    }
    q->fresh_run = 0;
    store_relaxed(&q->head, head + 1);
    return runq_entry_fiber(q->ring[head & RUNQ_MASK]);
}

/* The next fiber to run, or NULL. Owner. */
static inline struct fiber *runq_next(struct runq *q)
{
    struct fiber *fiber;

    bias_enter(&q->lock);
    fiber = load_relaxed(&q->slot);
    if (fiber != NULL && (q->slot_run < SLOT_RUN_MAX || runq_length(q) == 0)) {
        q->slot_run++;
        store_relaxed(&q->slot, NULL);
    } else {
        q->slot_run = 0;
        fiber = runq_pop_locked(q);
    }
    bias_exit(&q->lock);
    return fiber;
}

/* Adds at the tail. Owner. What did not fit is in *spill. */
static inline void runq_append(struct runq *q, struct fiber *fiber, struct chain *spill)
{
    bias_enter(&q->lock);
    runq_append_locked(q, fiber, spill);
    bias_exit(&q->lock);
}

/*
 * Puts a woken fiber in the slot; who was there goes to the tail. True when the ring grew. Owner.
 */
static inline bool runq_put_slot(struct runq *q, struct fiber *fiber, struct chain *spill)
{
    bias_enter(&q->lock);
    struct fiber *before = load_relaxed(&q->slot);
    if (before != NULL)
        runq_append_locked(q, before, spill);
    store_relaxed(&q->slot, fiber);
    bias_exit(&q->lock);
    return before != NULL;
}

/*
 * Takes half of the ring, rounded up, and, with take_slot, the slot's fiber when the ring has none.
 * Any thread but the owner's. Returns how many.
 */
uint32_t runq_steal(struct runq *victim, struct chain *out, bool take_slot);

#endif
