/*
 * Mutex: barging with a short spin, then a FIFO queue; who lost too often is handed the lock.
 *
 * `locked` alone decides who holds the mutex. What an unlock must do besides storing 0 is in
 * `mode`:
 *
 *   PLAIN      nobody contends. Unlock is a store and a look back at mode, without a locked
 *              instruction: the first contender sets the mode and makes every thread pass a fence
 *              (base/asym.h), so either it sees the mutex free or the unlock sees the mode.
 *   CONTENDED  unlock is an exchange; nobody waits, or one is on its way.
 *   WAITED     unlock is an exchange, and wakes the oldest waiter.
 *   HANDOFF    the one that was woken LOSSES_MAX times and lost wants the mutex itself: unlock
 *              leaves it locked and gives it away.
 *
 * Back to PLAIN it goes after QUIET_MAX unlocks without a waiter, so that the heavy fence of the
 * next contender is paid for.
 *
 * Invariants, under the spin lock:
 *   - woken: exactly one waiter was popped and woken, and has not been back under the spin lock.
 *   - somebody is queued and not woken: mode is WAITED or HANDOFF, so the next unlock does
 *     something.
 *   - losers holds at most one waiter, because only the woken one can lose; it is older than all
 *     others.
 *
 * Rejected: one word with a compare-and-swap on both sides (two locked instructions); FIFO hand-off
 * always (a switch for each section).
 */
#include "base/asym.h"
#include "base/check.h"
#include "sched/held.h"
#include "wait/waitq.h"

#include <runnel/ctx.h>
#include <runnel/mutex.h>

#define SPINS_MAX 6
#define LOSSES_MAX 2
#define QUIET_MAX 512

enum mutex_mode { MODE_PLAIN, MODE_CONTENDED, MODE_WAITED, MODE_HANDOFF };

enum { WOKEN, HANDED }; /* results of a wait */

struct __attribute__((may_alias)) mutex {
    atomic_u32 locked; /* 1: somebody holds the mutex */
    atomic_u32 mode;   /* enum mutex_mode; written under lock */
    SPINLOCK(lock,
             mutex_lock); /* guards what follows but quiet and owner; nothing under it may block */
    uint16_t quiet;       /* contended unlocks in a row without a waiter; the holder's */
    bool woken;
    bool starving; /* who waits in losers has lost LOSSES_MAX times */
    struct waitq waiters;
    struct waitq losers;
    _Atomic(struct fiber *) owner; /* RUNNEL_DEBUG=lock: who holds it, NULL: nobody */
};

_Static_assert(sizeof(struct mutex) == sizeof(rn_mutex), "rn_mutex has the wrong size");
_Static_assert(_Alignof(struct mutex) == _Alignof(rn_mutex), "rn_mutex has the wrong alignment");

static struct mutex *mutex_of(rn_mutex *mutex)
{
    return (struct mutex *)mutex;
}

/* ---- debug checks ---- */

/* With a context a second lock is odd, but ends. */
__attribute__((noinline)) static void debug_lock(rn_ctx *ctx, struct mutex *m)
{
    if (ctx == NULL)
        CHECK(load_relaxed(&m->owner) != fiber_here(), "mutex %p locked twice by the same fiber",
              (void *)m);
    held_order(m, HELD_MUTEX);
}

__attribute__((noinline)) static void debug_note(struct mutex *m)
{
    store_relaxed(&m->owner, fiber_here());
    held_add(m, HELD_MUTEX);
}

static inline void debug_locked(struct mutex *m)
{
    if (held_wanted())
        debug_note(m);
}

__attribute__((noinline)) static void debug_forget(struct mutex *m)
{
    struct fiber *owner = load_relaxed(&m->owner);

    CHECK(owner == NULL || owner == fiber_here(), "mutex %p unlocked by who did not lock it",
          (void *)m);
    store_relaxed(&m->owner, NULL);
    held_remove(m);
}

static inline void debug_unlock(struct mutex *m)
{
    if (held_wanted())
        debug_forget(m);
}

/* ---- mode; all of it under the spin lock ---- */

/* The mode that the queues ask for; joining: the caller is about to enter one. */
static enum mutex_mode mode_wanted(const struct mutex *m, bool joining)
{
    if (m->woken)
        return MODE_CONTENDED;
    if (m->starving)
        return MODE_HANDOFF;
    if (joining || !waitq_empty(&m->losers) || !waitq_empty(&m->waiters))
        return MODE_WAITED;
    return MODE_CONTENDED;
}

static void mode_settle(struct mutex *m)
{
    store_seq(&m->mode, mode_wanted(m, false));
}

/*
 * Announces the caller and then tries: together with unlock's "release, then look at the mode"
 * either this gets the mutex or that unlock sees the announcement. True when the mutex was got.
 */
static bool contend_locked(struct mutex *m)
{
    bool plain = load_relaxed(&m->mode) == MODE_PLAIN;

    store_seq(&m->mode,
              mode_wanted(m, true)); /* E40: seen by the unlock that the swap below misses */
    if (plain)
        fence_heavy(); /* pairs with the light fence of unlock */
    if (swap_seq(&m->locked, 1) != 0)
        return false;
    m->starving = false;
    mode_settle(m);
    return true;
}

/* ---- lock ---- */

/* Helps only while the holder can run on another worker. */
static bool spin_for(struct mutex *m)
{
    if (rn_workers() < 2)
        return false;
    for (unsigned spins = 0; spins < SPINS_MAX; spins++) {
        if (load_relaxed(&m->mode) == MODE_HANDOFF)
            return false;
        if (load_relaxed(&m->locked) == 0 && swap_acquire(&m->locked, 1) == 0)
            return true;
        spin_wait(spins);
    }
    return false;
}

/* Takes a waiter out whose context ended: it may have been the reason for the mode. */
static int give_up(struct mutex *m, bool loser, int err)
{
    spin_lock(&m->lock);
    if (loser)
        m->starving = false;
    mode_settle(m);
    spin_unlock(&m->lock);
    return err;
}

/* Queues until the mutex is ours or ctx ends. */
static int lock_queued(rn_ctx *ctx, struct mutex *m)
{
    struct waiter waiter;
    unsigned losses = 0;

    spin_lock(&m->lock);
    for (;;) {
        bool loser = losses > 0;
        int result;

        if (loser && losses >= LOSSES_MAX)
            m->starving = true;
        if (contend_locked(m)) {
            spin_unlock(&m->lock);
            return 0;
        }
        result = waitq_wait(ctx, loser ? &m->losers : &m->waiters, &m->lock, &waiter, WAIT_MUTEX);
        if (result == HANDED)
            return 0;
        if (result != WOKEN)
            return give_up(m, loser, result);
        losses++;
        spin_lock(&m->lock);
        m->woken = false;
    }
}

__attribute__((noinline)) static int lock_slow(rn_ctx *ctx, struct mutex *m)
{
    (void)fiber_here(); /* before the lock; also settles what a heavy fence is */
    if (spin_for(m))
        return 0;
    return lock_queued(ctx, m);
}

/*
 * One locked instruction. Where others contend it counts as an operation: a hog must let them run.
 */
static inline int lock(rn_ctx *ctx, struct mutex *m)
{
    unsigned class = lock_class_claim();
    int err = 0;

    lock_class_take_mutex(class);
    if (held_wanted())
        debug_lock(ctx, m);
    if (unlikely(load_relaxed(&m->mode) != MODE_PLAIN))
        budget_spend();
    if (unlikely(swap_acquire(&m->locked, 1) != 0)) /* pairs with E41, E42 */
        err = lock_slow(ctx, m);
    if (likely(err == 0)) {
        lock_class_mutex_taken(class);
        debug_locked(m);
    }
    return err;
}

RN_API void rn_mutex_lock(rn_mutex *mutex)
{
    lock(NULL, mutex_of(mutex));
}

RN_API int rn_mutex_lock_ctx(rn_ctx *ctx, rn_mutex *mutex)
{
    int err = rn_ctx_err(ctx);

    if (err != 0)
        lock_class_name_next(0);
    return err != 0 ? err : lock(ctx, mutex_of(mutex));
}

RN_API int rn_mutex_try_lock(rn_mutex *mutex)
{
    struct mutex *m = mutex_of(mutex);
    unsigned class = lock_class_claim();

    if (load_relaxed(&m->locked) != 0 || swap_acquire(&m->locked, 1) != 0)
        return -EBUSY;
    lock_class_mutex_taken(class);
    debug_locked(m);
    return 0;
}

/* ---- unlock ---- */

/* The oldest waiter: a loser has been woken before all who are in waiters. */
static struct waiter *pop_oldest_locked(struct mutex *m)
{
    struct waiter *waiter = waitq_pop(&m->losers);

    return waiter != NULL ? waiter : waitq_pop(&m->waiters);
}

/* Wakes one waiter after the mutex was released, unless somebody has it again: that unlock will. */
static void wake_one(struct mutex *m)
{
    struct waiter *waiter = NULL;

    spin_lock(&m->lock);
    if (!m->woken && load_relaxed(&m->locked) == 0) {
        waiter = pop_oldest_locked(m);
        m->woken = waiter != NULL;
        mode_settle(m);
    }
    spin_unlock(&m->lock);
    if (waiter != NULL)
        waiter_wake(waiter, WOKEN);
}

/* Gives the locked mutex to the starving waiter. False when it has given up meanwhile. */
static bool hand_over(struct mutex *m)
{
    struct waiter *waiter;

    spin_lock(&m->lock);
    waiter = waitq_pop(&m->losers);
    m->starving = false;
    mode_settle(m);
    spin_unlock(&m->lock);
    if (waiter == NULL)
        return false;
    waiter_wake(waiter, HANDED);
    return true;
}

/* Counts unlocks that nobody waited for, and goes back to the plain mode after many. */
static void quieten(struct mutex *m, enum mutex_mode mode)
{
    if (mode != MODE_CONTENDED) {
        m->quiet = 0;
        return;
    }
    if (++m->quiet < QUIET_MAX)
        return;
    m->quiet = 0;
    spin_lock(&m->lock);
    if (!m->woken && waitq_empty(&m->losers) && waitq_empty(&m->waiters))
        store_seq(&m->mode, MODE_PLAIN);
    spin_unlock(&m->lock);
}

__attribute__((noinline)) static void unlock_contended(struct mutex *m, enum mutex_mode mode)
{
    quieten(m, mode);
    if (mode == MODE_HANDOFF && hand_over(m))
        return;
    swap_seq(&m->locked, 0); /* E42: publishes the section; ordered before the look at mode */
    if (load_seq(&m->mode) >= MODE_WAITED)
        wake_one(m);
}

/*
 * The mode changed during a plain unlock. Only the step away from PLAIN passes a heavy fence: for
 * whoever announced itself after it, the release needs a real one before the look at mode.
 */
__attribute__((noinline)) static void unlock_overtaken(struct mutex *m)
{
    fence_full();
    if (load_seq(&m->mode) >= MODE_WAITED)
        wake_one(m);
}

RN_API void rn_mutex_unlock(rn_mutex *mutex)
{
    struct mutex *m = mutex_of(mutex);
    enum mutex_mode mode = load_relaxed(&m->mode);

    CHECK(load_relaxed(&m->locked) == 1, "unlock of an unlocked mutex %p", (void *)m);
    lock_class_mutex_left(lock_class_claim());
    debug_unlock(m);
    if (unlikely(mode != MODE_PLAIN)) {
        unlock_contended(m, mode);
        return;
    }
    store_release(&m->locked, 0); /* E41: publishes the section to the next holder */
    fence_light();
    if (unlikely(load_relaxed(&m->mode) != MODE_PLAIN)) /* pairs with E40 */
        unlock_overtaken(m);
}
