/*
 * Semaphore: one signed word of units, with debts, and a queue for those whose debt is not paid.
 *
 * state is the number of free units less what is owed to waiters. Acquiring takes n off it with one
 * fetch-and-sub and has its units if so many were there. Otherwise the word now says how much is
 * missing; as long as it is below 0 nobody else gets past, so who came first stays first. Releasing
 * adds n with one fetch-and-add, and has nothing else to do if the word was not below 0.
 *
 * What goes beyond is done under lock. A unit that pays a debt leaves the word unseen by others
 * and is put in the pool, from which the queue is served:
 *
 *   - owed = n of all who are queued + absorbing. It equals pool + what state is below 0, once
 *     every call that has changed state has also been here (settled).
 *   - Before that, pool lacks what is still on its way, and may be negative.
 *   - absorbing: units that are to vanish because the size was lowered. They go before all others.
 *   - size + absorbing units exist. state + owed of them are not out, less what is owed to acquires
 *     on their way here: so state + owed > size + absorbing proves that too much was released.
 *   - entered counts the calls that took the lock, left those of them that touch the semaphore no
 *     more. A release that owes the pool something keeps it below 0. So free knows whom to wait
 *     for.
 *
 * Each waiter has a wait group of 1 on its own stack, because its memory may go as soon as the wait
 * has returned. A condition would have every woken waiter lock the mutex once more.
 *
 * Compiled with the public headers only.
 */
#include "mutex_class.h"

#include <runnel/debug.h>
#include <runnel/fiber.h>
#include <runnel/semaphore.h>
#include <runnel/wait_group.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum waiter_state { QUEUED, GRANTED, REFUSED };

struct waiter {
    struct waiter *next, *prev; /* in the queue; next: also in a list of those to wake */
    int64_t n;
    enum waiter_state state; /* under the semaphore's lock */
    rn_wait_group turn;      /* 1 until it is granted or refused */
};

struct rn_semaphore {
    rn_exhibit exhibit; /* shown when there is a name */
    _Atomic(int64_t) state;
    _Atomic(int64_t) size; /* written under lock */
    rn_semaphore_config config;

    _Atomic(uint64_t) left; /* the last that a call touches which entered */

    MUTEX(lock, semaphore_lock); /* guards the rest; the atomics are read without it */
    uint64_t entered;
    int64_t pool;
    int64_t absorbing;
    int64_t owed;
    struct waiter *first, *last;
    _Atomic(size_t) waiting;
    uint64_t waits, gave_up, refused;
};

/* ---- making ---- */

static const char *name_of(const rn_semaphore *s)
{
    return s->config.name == NULL ? "" : s->config.name;
}

static int check_size(size_t size)
{
    if (size >= 1 && size <= RN_SEMAPHORE_SIZE_MAX)
        return 0;
    return rn_error_with(-EINVAL, "semaphore: size is %lld: allowed are 1 to %zu", (long long)size,
                         RN_SEMAPHORE_SIZE_MAX);
}

static void describe(const rn_exhibit *exhibit, char *text, size_t size)
{
    rn_semaphore *s = (rn_semaphore *)exhibit;

    snprintf(text, size, "%zu of %lld free, %zu waiting", rn_semaphore_available(s),
             (long long)atomic_load_explicit(&s->size, memory_order_relaxed),
             rn_semaphore_waiters(s));
}

int rn_semaphore_new_with(rn_semaphore **out, size_t size, const rn_semaphore_config *config)
{
    int err = check_size(size);
    rn_semaphore *s;

    *out = NULL;
    if (err != 0)
        return err;
    s = calloc(1, sizeof *s);
    if (s == NULL)
        return -ENOMEM;
    if (config != NULL)
        s->config = *config;
    atomic_init(&s->state, (int64_t)size);
    atomic_init(&s->size, (int64_t)size);
    s->exhibit = (rn_exhibit){.kind = "semaphore", .name = s->config.name, .describe = describe};
    if (s->config.name != NULL)
        rn_exhibit_show(&s->exhibit);
    *out = s;
    return 0;
}

int rn_semaphore_new(rn_semaphore **out, size_t size)
{
    return rn_semaphore_new_with(out, size, NULL);
}

/* ---- under the lock ---- */

static void enter(rn_semaphore *s)
{
    rn_mutex_lock(&s->lock);
    s->entered++;
}

/* The semaphore may be gone afterwards. */
static void leave(rn_semaphore *s)
{
    rn_mutex_unlock(&s->lock);
    atomic_fetch_add_explicit(&s->left, 1, memory_order_release);
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Of n units that were added to the word when it stood at before: those that paid debts. */
static int64_t paid(int64_t before, int64_t n)
{
    return before < 0 ? smaller(n, -before) : 0;
}

/* Of n units that were taken off the word when it stood at before: those that were there. */
static int64_t found(int64_t before, int64_t n)
{
    return before > 0 ? smaller(n, before) : 0;
}

static void enqueue_locked(rn_semaphore *s, struct waiter *w)
{
    w->prev = s->last;
    w->next = NULL;
    *(s->last == NULL ? &s->first : &s->last->next) = w;
    s->last = w;
    s->owed += w->n;
    atomic_fetch_add_explicit(&s->waiting, 1, memory_order_relaxed);
}

static void dequeue_locked(rn_semaphore *s, struct waiter *w)
{
    *(w->prev == NULL ? &s->first : &w->prev->next) = w->next;
    *(w->next == NULL ? &s->last : &w->next->prev) = w->prev;
    s->owed -= w->n;
    atomic_fetch_sub_explicit(&s->waiting, 1, memory_order_relaxed);
}

/* Cancels a debt of n: what had been put in the pool for it goes back to the word. */
static void forgive_locked(rn_semaphore *s, int64_t n)
{
    int64_t before = atomic_fetch_add_explicit(&s->state, n, memory_order_acq_rel);

    s->pool -= n - paid(before, n);
}

/* Those to wake, in a list; the queue is served as far as the pool goes. */
static struct waiter *serve_locked(rn_semaphore *s, struct waiter *woken)
{
    struct waiter **end = &woken;
    int64_t vanishing = s->pool > 0 ? smaller(s->absorbing, s->pool) : 0;

    while (*end != NULL)
        end = &(*end)->next;
    s->absorbing -= vanishing;
    s->owed -= vanishing;
    s->pool -= vanishing;
    while (s->first != NULL && s->absorbing == 0 && s->first->n <= s->pool) {
        struct waiter *w = s->first;
        dequeue_locked(s, w);
        s->pool -= w->n;
        w->state = GRANTED;
        w->next = NULL;
        *end = w;
        end = &w->next;
    }
    return woken;
}

/* Takes out who waits for more than there will ever be. */
static struct waiter *refuse_locked(rn_semaphore *s, int64_t size)
{
    struct waiter *refused = NULL, *next;

    for (struct waiter *w = s->first; w != NULL; w = next) {
        next = w->next;
        if (w->n <= size)
            continue;
        dequeue_locked(s, w);
        forgive_locked(s, w->n);
        w->state = REFUSED;
        w->next = refused;
        refused = w;
        s->refused++;
    }
    return refused;
}

/* Under no lock: a waiter may be gone as soon as its turn has come. */
static void wake(struct waiter *woken)
{
    while (woken != NULL) {
        struct waiter *next = woken->next;
        rn_wait_group_done(&woken->turn);
        woken = next;
    }
}

/* ---- acquiring ---- */

static int too_many(const rn_semaphore *s, size_t n)
{
    return rn_error_with(-EINVAL, "semaphore \"%s\": %zu wanted at once: there are %lld in all",
                         name_of(s), n,
                         (long long)atomic_load_explicit(&s->size, memory_order_relaxed));
}

/* The context ended while it waited. What it was granted in this moment goes to the next. */
static void give_up(rn_semaphore *s, struct waiter *w)
{
    struct waiter *woken = NULL;
    bool queued;

    enter(s);
    queued = w->state == QUEUED;
    s->gave_up++;
    if (queued) {
        dequeue_locked(s, w);
        forgive_locked(s, w->n);
        woken = serve_locked(s, NULL);
    }
    leave(s);
    wake(woken);
    if (queued)
        return;
    rn_wait_group_wait(NULL, &w->turn); /* who granted it is about to say so */
    if (w->state == GRANTED)
        rn_semaphore_release(s, (size_t)w->n);
}

/* Waits for the waiter's turn. */
static int await_turn(rn_ctx *ctx, rn_semaphore *s, struct waiter *w)
{
    int err = rn_wait_group_wait(ctx, &w->turn);

    if (err == 0 && w->state == REFUSED)
        return too_many(s, (size_t)w->n);
    if (err == 0)
        err = rn_ctx_err(ctx);
    if (err != 0)
        give_up(s, w);
    return err;
}

/* The same, with the time that it takes. */
static int await_turn_timed(rn_ctx *ctx, rn_semaphore *s, struct waiter *w)
{
    rn_time began = rn_clock_now(s->config.clock);
    int err = await_turn(ctx, s, w);

    s->config.on_waited(s->config.events_arg, (size_t)w->n, rn_clock_now(s->config.clock) - began,
                        err);
    return err;
}

/* Queues up for n units, which were taken off the word when it stood at before. */
__attribute__((noinline)) static int acquire_queued(rn_ctx *ctx, rn_semaphore *s, int64_t n,
                                                    int64_t before)
{
    struct waiter w = {.n = n}, *woken;
    bool possible;

    rn_wait_group_add(&w.turn, 1);
    enter(s);
    s->pool += found(before, n);
    possible = n <= atomic_load_explicit(&s->size, memory_order_relaxed);
    if (possible)
        enqueue_locked(s, &w);
    else
        forgive_locked(s, n); /* the size was lowered in this moment */
    woken = serve_locked(s, NULL);
    s->waits += possible;
    leave(s);
    wake(woken);
    if (!possible)
        return too_many(s, (size_t)n);
    return s->config.on_waited != NULL ? await_turn_timed(ctx, s, &w) : await_turn(ctx, s, &w);
}

int rn_semaphore_acquire(rn_ctx *ctx, rn_semaphore *s, size_t n)
{
    int err = rn_ctx_err(ctx);
    int64_t before;

    if (err != 0)
        return err;
    if (n > (size_t)atomic_load_explicit(&s->size, memory_order_relaxed))
        return too_many(s, n);
    before = atomic_fetch_sub_explicit(&s->state, (int64_t)n, memory_order_acquire);
    return before >= (int64_t)n ? 0 : acquire_queued(ctx, s, (int64_t)n, before);
}

int rn_semaphore_try_acquire(rn_semaphore *s, size_t n)
{
    int64_t state = atomic_load_explicit(&s->state, memory_order_relaxed);

    if (n > (size_t)atomic_load_explicit(&s->size, memory_order_relaxed))
        return too_many(s, n);
    do {
        if (state < (int64_t)n)
            return -EAGAIN;
    } while (!atomic_compare_exchange_weak_explicit(&s->state, &state, state - (int64_t)n,
                                                    memory_order_acquire, memory_order_relaxed));
    return 0;
}

/* ---- releasing ---- */

__attribute__((noreturn, cold)) static void released_too_much(size_t n)
{
    fprintf(stderr, "runnel: rn_semaphore_release of %zu: so many are not acquired\n", n);
    abort();
}

/* The rest of a release, which found the word at before; leaves. */
static void finish_release(rn_semaphore *s, int64_t n, int64_t before)
{
    struct waiter *woken;
    int64_t not_out;

    not_out = atomic_load_explicit(&s->state, memory_order_relaxed) + s->owed;
    if (not_out > atomic_load_explicit(&s->size, memory_order_relaxed) + s->absorbing)
        released_too_much((size_t)n);
    s->pool += paid(before, n);
    woken = serve_locked(s, NULL);
    leave(s);
    wake(woken);
}

static int64_t add_units(rn_semaphore *s, int64_t n)
{
    return atomic_fetch_add_explicit(&s->state, n, memory_order_release);
}

/* Some of the n units, which were added to the word when it stood at before, pay debts. */
__attribute__((noinline)) static void release_queued(rn_semaphore *s, int64_t n, int64_t before)
{
    enter(s);
    finish_release(s, n, before);
}

/* Enters while the units are out still: once they are back another may free the semaphore. */
__attribute__((noinline)) static void release_suspected(rn_semaphore *s, int64_t n)
{
    enter(s);
    finish_release(s, n, add_units(s, n));
}

void rn_semaphore_release(rn_semaphore *s, size_t n)
{
    int64_t before;

    if (n > RN_SEMAPHORE_SIZE_MAX)
        released_too_much(n);
    if (atomic_load_explicit(&s->state, memory_order_relaxed) + (int64_t)n >
        atomic_load_explicit(&s->size, memory_order_relaxed)) {
        release_suspected(s, (int64_t)n);
        return;
    }
    before = add_units(s, (int64_t)n);
    if (before < 0)
        release_queued(s, (int64_t)n, before);
}

/* ---- the rest ---- */

static void grow_locked(rn_semaphore *s, int64_t by, int64_t size)
{
    atomic_store_explicit(&s->size, size, memory_order_relaxed);
    s->pool += paid(atomic_fetch_add_explicit(&s->state, by, memory_order_acq_rel), by);
}

static void shrink_locked(rn_semaphore *s, int64_t by, int64_t size)
{
    s->pool += found(atomic_fetch_sub_explicit(&s->state, by, memory_order_acq_rel), by);
    s->absorbing += by;
    s->owed += by;
    atomic_store_explicit(&s->size, size, memory_order_relaxed);
}

int rn_semaphore_resize(rn_semaphore *s, size_t size)
{
    int err = check_size(size);
    struct waiter *woken = NULL;
    int64_t by;

    if (err != 0)
        return err;
    enter(s);
    by = (int64_t)size - atomic_load_explicit(&s->size, memory_order_relaxed);
    if (by > 0)
        grow_locked(s, by, (int64_t)size);
    else
        shrink_locked(s, -by, (int64_t)size);
    woken = serve_locked(s, refuse_locked(s, (int64_t)size));
    leave(s);
    wake(woken);
    return 0;
}

size_t rn_semaphore_available(rn_semaphore *s)
{
    int64_t state = atomic_load_explicit(&s->state, memory_order_relaxed);

    return state > 0 ? (size_t)state : 0;
}

size_t rn_semaphore_waiters(rn_semaphore *s)
{
    return atomic_load_explicit(&s->waiting, memory_order_relaxed);
}

void rn_semaphore_stats_read(rn_semaphore *s, rn_semaphore_stats *out)
{
    int64_t state, size, acquired;

    enter(s);
    state = atomic_load_explicit(&s->state, memory_order_relaxed);
    size = atomic_load_explicit(&s->size, memory_order_relaxed);
    acquired = size + s->absorbing - (state + s->owed);
    *out = (rn_semaphore_stats){.size = (uint64_t)size,
                                .available = state > 0 ? (uint64_t)state : 0,
                                .acquired = acquired > 0 ? (uint64_t)acquired : 0,
                                .waiting = rn_semaphore_waiters(s),
                                .waits = s->waits,
                                .gave_up = s->gave_up,
                                .refused = s->refused};
    leave(s);
}

/* Whether every release has come and every call that entered has left. */
static bool settled(rn_semaphore *s)
{
    uint64_t entered;
    bool balanced;

    rn_mutex_lock(&s->lock);
    balanced = s->pool == 0;
    entered = s->entered;
    rn_mutex_unlock(&s->lock);
    return balanced && atomic_load_explicit(&s->left, memory_order_acquire) == entered;
}

void rn_semaphore_free(rn_semaphore *s)
{
    if (s == NULL)
        return;
    if (rn_semaphore_waiters(s) != 0) {
        fprintf(stderr, "runnel: rn_semaphore_free of \"%s\": %zu wait for it\n", name_of(s),
                rn_semaphore_waiters(s));
        abort();
    }
    while (!settled(s))
        rn_yield(); /* it has but a few instructions to go */
    if (s->config.name != NULL)
        rn_exhibit_hide(&s->exhibit);
    free(s);
}
