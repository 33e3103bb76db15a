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
 * A fiber that was started without options is only a seed at first: its function, a small copy and
 * what else it begins with lie beside the ring, and its stack is reserved, but not written to. Its
 * control block is made when it is about to run, on the hottest stack there is (sprout), or when it
 * leaves the ring otherwise. So a thousand that end at once run on one stack.
 *
 * Guard: the biased lock. The owner pays two plain stores and a load; thieves a membarrier. The
 * fields are atomic only so that others may peek (head != tail, slot != NULL) without the lock.
 *
 * Tried: a ring with a compare-and-swap on each pop costs 22 ns for a yield where this costs half.
 */
#ifndef RN_SCHED_RUNQ_H
#define RN_SCHED_RUNQ_H

#include "base/asym.h"
#include "base/walk.h"
#include "fiber/fiber.h"

#include <string.h>

#ifndef RUNQ_SLOTS
#define RUNQ_SLOTS 2048 /* a power of two */
#endif
#define RUNQ_MASK (RUNQ_SLOTS - 1)
#define RUNQ_SPILL (RUNQ_SLOTS / 2) /* fibers moved to the inject queue when the ring is full */
#define FRESH_RUN_MAX 64
#define FRESH_RUN_LONG 8192
#define SLOT_RUN_MAX 64
#define SEED_COPY_MAX 64 /* bytes that a seed may carry */

/* What a fiber begins with. Written by the owner; site and id are read by dumps. */
struct seed {
    void (*fn)(void *arg);
    void *arg;
    _Atomic(const rn_site *) site;
    atomic_u64 id;
    uint64_t modes;    /* its maker's floating-point modes */
    size_t copy_bytes; /* what arg points to is in the ring's copies; 0: it is passed as it is */
};

enum { RUNQ_FRESH = 1, RUNQ_SEED = 2, RUNQ_TAGS = 3 };

struct runq {
    BIAS_LOCK(lock, runq_lock);
    atomic_u32 head; /* the oldest; moved by owner and thieves */
    atomic_u32 tail; /* one past the newest; moved by the owner */
    _Atomic(struct fiber *) slot;
    uint32_t slot_run;             /* slot fibers run in a row; the owner's */
    uint32_t fresh_run;            /* fresh fibers run in a row; the owner's */
    atomic_uptr ring[RUNQ_SLOTS];  /* fiber pointers, with RUNQ_ tags */
    struct seed seeds[RUNQ_SLOTS]; /* of the entries with RUNQ_SEED */
    unsigned char copies[RUNQ_SLOTS][SEED_COPY_MAX];
};

static inline void *runq_seed_copy(struct runq *q, const struct seed *seed)
{
    return q->copies[seed - q->seeds];
}

/* Gives a seed life on a stack; given by worker.c. */
void fiber_plant(struct fiber *fiber, const struct seed *seed, const void *copy);

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

/* Checks the queue whole; see base/walk.h. Inside the lock. */
void runq_walk(struct runq *q);

/* Moves the oldest RUNQ_SPILL to a chain. Owner, inside the lock, ring full. */
void runq_spill_locked(struct runq *q, struct chain *out);

static inline uint32_t runq_reserve_locked(struct runq *q, struct chain *spill)
{
    uint32_t tail = load_relaxed(&q->tail);
    if (unlikely(tail - load_relaxed(&q->head) == RUNQ_SLOTS))
        runq_spill_locked(q, spill);
    return tail;
}

static inline void runq_append_locked(struct runq *q, struct fiber *fiber, struct chain *spill)
{
    uint32_t tail = runq_reserve_locked(q, spill);
    store_relaxed(&q->ring[tail & RUNQ_MASK], (uintptr_t)fiber | (fiber->fresh ? RUNQ_FRESH : 0));
    store_relaxed(&q->tail, tail + 1);
}

static inline struct fiber *runq_entry_fiber(uintptr_t entry)
{
    return (struct fiber *)(entry & ~(uintptr_t)RUNQ_TAGS);
}

/* How many fresh fibers may run in a row before the one at the head. */
static inline uint32_t runq_fresh_limit(const struct runq *q, uint32_t head)
{
    return load_relaxed(&q->ring[head & RUNQ_MASK]) & RUNQ_FRESH ? FRESH_RUN_LONG : FRESH_RUN_MAX;
}

static inline struct fiber *runq_entry_take(const struct runq *q, uint32_t i,
                                            const struct seed **seed)
{
    uintptr_t entry = load_relaxed(&q->ring[i & RUNQ_MASK]);
    *seed = entry & RUNQ_SEED ? &q->seeds[i & RUNQ_MASK] : NULL;
    return runq_entry_fiber(entry);
}

/*
 * From the ring: the newest while it is fresh, else the oldest; NULL when empty. Owner, inside the
 * lock.
 */
static inline struct fiber *runq_pop_locked(struct runq *q, const struct seed **seed)
{
    uint32_t head = load_relaxed(&q->head), tail = load_relaxed(&q->tail);
    if (head == tail)
        return NULL;
    uintptr_t newest = load_relaxed(&q->ring[(tail - 1) & RUNQ_MASK]);
    if ((newest & RUNQ_FRESH) && q->fresh_run < runq_fresh_limit(q, head)) {
        q->fresh_run++;
        store_relaxed(&q->tail, tail - 1);
        return runq_entry_take(q, tail - 1, seed);
    }
    q->fresh_run = 0;
    store_relaxed(&q->head, head + 1);
    return runq_entry_take(q, head, seed);
}

/*
 * The next fiber to run, or NULL. Owner. When it is a seed, *seed is its place beside the ring,
 * which stays as it is until the owner appends; otherwise NULL.
 */
static inline struct fiber *runq_next(struct runq *q, const struct seed **seed)
{
    struct fiber *fiber;

    *seed = NULL;
    bias_enter(&q->lock);
    fiber = load_relaxed(&q->slot);
    if (fiber != NULL && (q->slot_run < SLOT_RUN_MAX || runq_length(q) == 0)) {
        q->slot_run++;
        store_relaxed(&q->slot, NULL);
    } else {
        q->slot_run = 0;
        fiber = runq_pop_locked(q, seed);
    }
    WALK(runq_length(q), runq_walk(q));
    bias_exit(&q->lock);
    return fiber;
}

/*
 * Adding a seed at the tail: enter gives its place, to be filled in; exit adds it, with the stack
 * reserved for it. Owner.
 */
static inline struct seed *runq_seed_enter(struct runq *q, struct chain *spill)
{
    bias_enter(&q->lock);
    return &q->seeds[runq_reserve_locked(q, spill) & RUNQ_MASK];
}

static inline void runq_seed_exit(struct runq *q, struct fiber *stack)
{
    uint32_t tail = load_relaxed(&q->tail);
    store_relaxed(&q->ring[tail & RUNQ_MASK], (uintptr_t)stack | RUNQ_FRESH | RUNQ_SEED);
    store_release(&q->tail, tail + 1); /* E80: the seed, for dumps */
    WALK(runq_length(q), runq_walk(q));
    bias_exit(&q->lock);
}

/* Calls fn for each seed; a racy look, from any thread. */
void runq_each_seed(struct runq *q, void (*fn)(const struct seed *seed, void *arg), void *arg);

/* Adds at the tail. Owner. What did not fit is in *spill. */
static inline void runq_append(struct runq *q, struct fiber *fiber, struct chain *spill)
{
    bias_enter(&q->lock);
    runq_append_locked(q, fiber, spill);
    WALK(runq_length(q), runq_walk(q));
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
    WALK(runq_length(q), runq_walk(q));
    bias_exit(&q->lock);
    return before != NULL;
}

/*
 * Takes half of the ring, rounded up, and, with take_slot, the slot's fiber when the ring has none.
 * Any thread but the owner's. Returns how many.
 */
uint32_t runq_steal(struct runq *victim, struct chain *out, bool take_slot);

#endif
