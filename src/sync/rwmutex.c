/*
 * Reader-writer lock: one word of flags and readers.
 *
 * A reader adds itself with one instruction and looks at what was there. When the lock was closed
 * to new readers it must take itself off again, under the spin lock: until then it is in the count
 * but never believes that it holds the lock ("in transit").
 *
 *   WRITER   a writer holds the lock
 *   CLOSED   a writer holds it or waits: new readers queue
 *   QUEUED   somebody may be in a queue: a writer's unlock must look
 *
 * Invariants:
 *   - the flags change under the spin lock, but for a free lock taken and given back by a writer: 0
 *     to WRITER|CLOSED and back, by a compare-and-swap that anybody in transit or queued makes
 *     fail.
 *   - under the spin lock: WRITER implies CLOSED; somebody queued implies CLOSED and QUEUED.
 *   - CLOSED without WRITER: the reader that brings the count to 0 passes the lock to the oldest
 *     writer.
 *
 * Rejected: a count for each worker, which makes readers scale but lets a writer touch every cache
 * line.
 */
#include "base/check.h"
#include "sched/held.h"
#include "sync/wake.h"

#include <runnel/ctx.h>
#include <runnel/rwmutex.h>

#define WRITER ((uint64_t)1)
#define CLOSED ((uint64_t)2)
#define QUEUED ((uint64_t)4)
#define READER ((uint64_t)8)

struct __attribute__((may_alias)) rwmutex {
    atomic_u64 word;
    SPINLOCK(lock, rwmutex_lock); /* guards the queues and the flags; nothing under it may block */
    struct waitq readers;
    struct waitq writers;
    _Atomic(struct fiber *) writer; /* RUNNEL_DEBUG=lock: who has it locked, NULL: nobody */
};

_Static_assert(sizeof(struct rwmutex) == sizeof(rn_rwmutex), "rn_rwmutex has the wrong size");
_Static_assert(_Alignof(struct rwmutex) == _Alignof(rn_rwmutex), "its alignment is wrong");

static struct rwmutex *rwmutex_of(rn_rwmutex *rw)
{
    return (struct rwmutex *)rw;
}

static inline uint64_t readers(uint64_t word)
{
    return word / READER;
}

/* ---- debug checks ---- */

/* With a context a wait for oneself is odd, but ends. */
__attribute__((noinline)) static void debug_rlock(rn_ctx *ctx, struct rwmutex *rw)
{
    if (ctx == NULL)
        CHECK(load_relaxed(&rw->writer) != fiber_here(),
              "rwmutex %p locked for reading by the fiber that writes", (void *)rw);
    if (held_has(rw, HELD_READ))
        held_read_again(rw);
    held_order(rw, HELD_READ);
}

__attribute__((noinline)) static void debug_lock(rn_ctx *ctx, struct rwmutex *rw)
{
    if (ctx == NULL) {
        CHECK(load_relaxed(&rw->writer) != fiber_here(),
              "rwmutex %p locked twice by the same fiber", (void *)rw);
        CHECK(!held_has(rw, HELD_READ), "rwmutex %p locked by a fiber that reads", (void *)rw);
    }
    held_order(rw, HELD_WRITE);
}

__attribute__((noinline)) static void debug_note_reader(struct rwmutex *rw)
{
    held_add(rw, HELD_READ);
}

__attribute__((noinline)) static void debug_note_writer(struct rwmutex *rw)
{
    store_relaxed(&rw->writer, fiber_here());
    held_add(rw, HELD_WRITE);
}

__attribute__((noinline)) static void debug_forget_writer(struct rwmutex *rw)
{
    struct fiber *writer = load_relaxed(&rw->writer);

    CHECK(writer == NULL || writer == fiber_here(), "rwmutex %p unlocked by who did not lock it",
          (void *)rw);
    store_relaxed(&rw->writer, NULL);
    held_remove(rw);
}

/* ---- passing the lock on; all under the spin lock, waking what is in the list after it ---- */

static void clear_locked(struct rwmutex *rw, uint64_t flags)
{
    and_seq(&rw->word, ~flags); /* E45: publishes the section of who leaves */
}

/* Invariant kept: with nobody queued a free lock's word is 0, so that a writer takes it at once. */
static void unqueue_if_empty_locked(struct rwmutex *rw)
{
    if (waitq_empty(&rw->readers) && waitq_empty(&rw->writers))
        clear_locked(rw, QUEUED);
}

/* No writer holds the lock: lets every queued reader in. */
static void admit_readers_locked(struct rwmutex *rw, struct list *woken)
{
    uint32_t count = waitq_take_all(&rw->readers, woken);

    add_seq(&rw->word, count * READER);
}

/* A closed lock that nobody holds goes to the oldest writer. */
static void pass_to_writer_locked(struct rwmutex *rw, struct list *woken)
{
    uint64_t word = load_seq(&rw->word);
    struct waiter *writer;

    if (readers(word) != 0 || (word & CLOSED) == 0 || (word & WRITER) != 0)
        return;
    writer = waitq_pop(&rw->writers);
    if (writer == NULL) /* it gave up, and is about to open the lock */
        return;
    or_seq(&rw->word, WRITER);
    list_push_back(woken, &writer->node);
}

/* ---- readers ---- */

/* Takes a reader in transit off the count. False when the lock has opened: then it is a reader. */
static bool step_back_locked(struct rwmutex *rw, struct list *woken)
{
    if ((load_seq(&rw->word) & CLOSED) == 0)
        return false;
    or_seq(&rw->word, QUEUED); /* first: from here on a writer's unlock needs the spin lock */
    sub_seq(&rw->word, READER);
    pass_to_writer_locked(rw, woken);
    return true;
}

__attribute__((noinline)) static int rlock_slow(rn_ctx *ctx, struct rwmutex *rw)
{
    struct waiter waiter;
    struct list woken = {NULL, NULL};

    (void)fiber_here(); /* before the lock */
    spin_lock(&rw->lock);
    if (!step_back_locked(rw, &woken)) {
        spin_unlock(&rw->lock);
        return 0;
    }
    wake_all(&woken, 0); /* one writer at most; letting go of the lock would lose our place */
    return waitq_wait(ctx, &rw->readers, &rw->lock, &waiter, WAIT_RWMUTEX_READ);
}

static inline int rlock(rn_ctx *ctx, struct rwmutex *rw)
{
    int err = 0;

    if (held_wanted())
        debug_rlock(ctx, rw);
    uint64_t before = add_seq(&rw->word, READER); /* pairs with E45 */
    if (unlikely((before & CLOSED) != 0))
        err = rlock_slow(ctx, rw);
    if (held_wanted() && err == 0)
        debug_note_reader(rw);
    return err;
}

RN_API void rn_rwmutex_rlock(rn_rwmutex *rw)
{
    rlock(NULL, rwmutex_of(rw));
}

RN_API int rn_rwmutex_rlock_ctx(rn_ctx *ctx, rn_rwmutex *rw)
{
    int err = rn_ctx_err(ctx);

    return err != 0 ? err : rlock(ctx, rwmutex_of(rw));
}

RN_API int rn_rwmutex_try_rlock(rn_rwmutex *rwmutex)
{
    struct rwmutex *rw = rwmutex_of(rwmutex);
    uint64_t word = load_relaxed(&rw->word);

    do {
        if ((word & CLOSED) != 0)
            return -EBUSY;
    } while (!cas_seq(&rw->word, &word, word + READER));
    if (held_wanted())
        debug_note_reader(rw);
    return 0;
}

/* The last reader before a waiting writer. */
__attribute__((noinline)) static void runlock_slow(struct rwmutex *rw)
{
    struct list woken = {NULL, NULL};

    spin_lock(&rw->lock);
    pass_to_writer_locked(rw, &woken);
    unqueue_if_empty_locked(rw);
    spin_unlock(&rw->lock);
    wake_all(&woken, 0);
}

RN_API void rn_rwmutex_runlock(rn_rwmutex *rwmutex)
{
    struct rwmutex *rw = rwmutex_of(rwmutex);

    if (held_wanted())
        held_remove(rw);
    uint64_t before = sub_seq(&rw->word,
                              READER); /* E46: what was read is read before a writer comes */
    CHECK(readers(before) != 0, "runlock of rwmutex %p, which no reader holds", (void *)rw);
    if (unlikely((before & CLOSED) != 0 && readers(before) == 1))
        runlock_slow(rw);
}

/* ---- writers ---- */

/*
 * A writer gave up: when it was the last, the readers that it held up go in. If the lock has opened
 * meanwhile it may be free, and a writer take it without the spin lock: then the flags are that
 * one's.
 */
static int give_up(struct rwmutex *rw, int err)
{
    struct list woken = {NULL, NULL};

    spin_lock(&rw->lock);
    if (waitq_empty(&rw->writers) && (load_seq(&rw->word) & (WRITER | CLOSED)) == CLOSED) {
        admit_readers_locked(rw, &woken);
        clear_locked(rw, CLOSED | QUEUED);
    }
    spin_unlock(&rw->lock);
    wake_all(&woken, 0);
    return err;
}

__attribute__((noinline)) static int lock_slow(rn_ctx *ctx, struct rwmutex *rw)
{
    struct waiter waiter;
    uint64_t before;
    int result;

    (void)fiber_here(); /* before the lock */
    spin_lock(&rw->lock);
    before = or_seq(&rw->word, CLOSED | QUEUED);
    if (readers(before) == 0 && (before & WRITER) == 0 && waitq_empty(&rw->writers)) {
        or_seq(&rw->word, WRITER);
        unqueue_if_empty_locked(rw);
        spin_unlock(&rw->lock);
        return 0;
    }
    result = waitq_wait(ctx, &rw->writers, &rw->lock, &waiter, WAIT_RWMUTEX_WRITE);
    return result == 0 ? 0 : give_up(rw, result);
}

static inline int lock(rn_ctx *ctx, struct rwmutex *rw)
{
    uint64_t expected = 0;
    int err = 0;

    if (held_wanted())
        debug_lock(ctx, rw);
    if (unlikely(!cas_seq(&rw->word, &expected, WRITER | CLOSED))) /* pairs with E45, E46 */
        err = lock_slow(ctx, rw);
    if (held_wanted() && err == 0)
        debug_note_writer(rw);
    return err;
}

RN_API void rn_rwmutex_lock(rn_rwmutex *rw)
{
    lock(NULL, rwmutex_of(rw));
}

RN_API int rn_rwmutex_lock_ctx(rn_ctx *ctx, rn_rwmutex *rw)
{
    int err = rn_ctx_err(ctx);

    return err != 0 ? err : lock(ctx, rwmutex_of(rw));
}

RN_API int rn_rwmutex_try_lock(rn_rwmutex *rwmutex)
{
    struct rwmutex *rw = rwmutex_of(rwmutex);
    uint64_t expected = 0;

    if (!cas_seq(&rw->word, &expected, WRITER | CLOSED))
        return -EBUSY;
    if (held_wanted())
        debug_note_writer(rw);
    return 0;
}

/*
 * Readers that waited go in; a waiting writer keeps the lock closed behind them, or gets it at
 * once.
 */
static void pass_on_locked(struct rwmutex *rw, struct list *woken)
{
    admit_readers_locked(rw, woken);
    clear_locked(rw, waitq_empty(&rw->writers) ? WRITER | CLOSED : WRITER);
    pass_to_writer_locked(rw, woken);
    unqueue_if_empty_locked(rw);
}

__attribute__((noinline)) static void unlock_slow(struct rwmutex *rw)
{
    struct list woken = {NULL, NULL};

    CHECK((load_relaxed(&rw->word) & WRITER) != 0, "unlock of rwmutex %p, which no writer holds",
          (void *)rw);
    spin_lock(&rw->lock);
    pass_on_locked(rw, &woken);
    spin_unlock(&rw->lock);
    wake_all(&woken, 0);
}

RN_API void rn_rwmutex_unlock(rn_rwmutex *rwmutex)
{
    struct rwmutex *rw = rwmutex_of(rwmutex);
    uint64_t expected = WRITER | CLOSED;

    if (held_wanted())
        debug_forget_writer(rw);
    if (unlikely(!cas_seq(&rw->word, &expected, 0))) /* E45 */
        unlock_slow(rw);
}
