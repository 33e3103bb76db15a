/*
 * Workers: switching between fibers, parking, waking, and the loop that looks for work.
 *
 * A parking fiber picks the next one and switches straight to it. The worker's own loop (a fiber on
 * the thread's stack) runs only when there is nothing local to run, or for housekeeping: timers,
 * the poller, the inject queue, pinned fibers, stopping.
 *
 * Invariant: worker->current is the fiber whose stack the thread is on. What must wait until that
 * stack is left (`after`) is done first thing on the other side, in arrive.
 *
 * Nothing thread-local survives a switch: the worker is asked for again after each.
 */
#include "base/check.h"
#include "base/random.h"
#include "fiber/annotate.h"
#include "sched/clock.h"
#include "sched/detail.h"
#include "sched/held.h"
#include "sched/local.h"
#include "sched/poller.h"
#include "sched/sched.h"
#include "sched/trace.h"

#include <errno.h>
#include <string.h>

__thread
    __attribute__((tls_model("initial-exec"), visibility("hidden"))) struct worker *here_worker;
static _Thread_local bool has_ended; /* this thread was a worker */

/* ---- switching ---- */

/* First thing on a stack that was switched to. */
static inline void arrive(struct worker *worker)
{
    park_commit *after = worker->after;

    annotate_arrive(worker->current, worker->came_from);
    if (after != NULL) {
        worker->after = NULL;
        lock_class_between(true);
        after(worker->after_arg);
        lock_class_between(false);
    }
    lock_class_expect_none("a fiber has left its stack");
}

__attribute__((always_inline)) static inline void
switch_to(struct worker *worker, struct fiber *to, park_commit *after, void *after_arg, bool dying)
{
    struct fiber *from = worker->current;

    worker->after = after;
    worker->after_arg = after_arg;
    worker->came_from = from;
    store_owned(&worker->current, to);
    worker->budget = BUDGET_OPERATIONS;
    annotate_leave(from, to, dying);
    context_switch(&from->context, &to->context);
    arrive(worker_here());
}

/* The fiber of a seed, with the reserved stack in exchange for a hot one. */
static struct fiber *sprout(struct worker *worker, struct fiber *stack, const struct seed *seed)
{
    struct fiber *fiber = stack_swap(&worker->stacks, stack);
    fiber_plant(fiber, seed, runq_seed_copy(&worker->runq, seed));
    return fiber;
}

struct fiber *worker_next(struct worker *worker)
{
    const struct seed *seed;
    struct fiber *fiber = runq_next(&worker->runq, &seed);
    return seed == NULL ? fiber : sprout(worker, fiber, seed);
}

/* Who runs next on this worker: a local fiber, or the loop. */
static inline struct fiber *next_fiber(struct worker *worker)
{
    uint32_t tick = load_relaxed(&worker->tick) + 1;
    struct fiber *next;

    store_relaxed(&worker->tick, tick);
    if (unlikely(tick % HOUSEKEEPING_TICKS == 0 || load_relaxed(&worker->attention) != 0))
        return &worker->loop;
    next = worker_next(worker);
    return next != NULL ? next : &worker->loop;
}

void park(park_commit *commit, void *arg, enum wait_reason reason)
{
    struct worker *worker = worker_here();

    if (unlikely(worker == NULL)) {
        thread_park(thread_here(), commit, arg, reason);
        return;
    }
    struct fiber *self = worker->current;
    CHECK(self->kind == FIBER_STACK, "a timer or poller callback tried to wait (%s)",
          wait_reason_name(reason));
    if (unlikely(self->held != NULL))
        held_park(self, reason);
    trace_park(worker, self->id, reason);
    store_relaxed(&self->reason, (uint8_t)reason);
    switch_to(worker, next_fiber(worker), commit, arg, false);
    store_relaxed(&self->reason, WAIT_NONE);
}

static void commit_unlock(void *lock)
{
    spin_unlock(lock);
}

void park_unlock(struct spinlock *lock, enum wait_reason reason)
{
    park(commit_unlock, lock, reason);
}

/* ---- making runnable ---- */

/* Work that did not fit the ring goes to everybody. */
static void spilled(struct chain *spill)
{
    if (unlikely(spill->first != NULL))
        inject_push(spill);
}

static void ready_pinned(struct fiber *fiber)
{
    struct worker *home = fiber->pinned;

    check_not_forked();
    spin_lock(&home->inbox_lock);
    chain_push(&home->inbox, fiber);
    spin_unlock(&home->inbox_lock);
    or_seq(&home->attention, ATTENTION_INBOX);
    if (home != worker_here())
        idle_wake_worker(home);
}

static void ready_foreign(struct fiber *fiber)
{
    struct chain chain = {0};

    check_not_forked();
    chain_push(&chain, fiber);
    inject_push(&chain);
    fence_full(); /* E4, where the only worker passes no heavy fence */
    idle_work_added();
}

static void ready_thread(struct fiber *fiber)
{
    check_not_forked();
    store_release(&fiber->woken, 1); /* E13: what the waker did is seen by the woken thread */
    os_futex_wake(&fiber->woken, 1); /* the stand-in may be gone: a wake of nobody does no harm */
}

void ready(struct fiber *fiber)
{
    struct worker *worker = worker_here();
    struct chain spill = {0};

    trace(worker, TRACE_READY, fiber->id);
    if (unlikely(fiber->kind == FIBER_THREAD)) {
        ready_thread(fiber);
    } else if (unlikely(fiber->pinned != NULL)) {
        ready_pinned(fiber);
    } else if (unlikely(worker == NULL)) {
        ready_foreign(fiber);
    } else if (runq_put_slot(&worker->runq, fiber, &spill)) {
        spilled(&spill);
        idle_work_added();
    }
}

/* A fiber that never ran: to the tail. */
void fiber_launch(struct fiber *fiber)
{
    struct worker *worker = worker_here();
    struct chain spill = {0};

    if (unlikely(worker == NULL)) {
        add_relaxed(&sched.foreign_started, 1);
        ready_foreign(fiber);
        return;
    }
    count_up(&worker->started);
    trace(worker, TRACE_SPAWN, fiber->id);
    runq_append(&worker->runq, fiber, &spill);
    spilled(&spill);
    idle_work_added();
}

int fiber_sow(const rn_site *site, void (*fn)(void *arg), void *arg, size_t copy_bytes)
{
    struct worker *worker = worker_here();
    struct chain spill = {0};
    struct fiber *stack;

    if (unlikely(worker == NULL || copy_bytes > SEED_COPY_MAX))
        return -EAGAIN;
    int err = fiber_reserve(worker, &stack, 0);
    if (unlikely(err != 0))
        return err;
    count_up(&worker->started);
    struct seed *seed = runq_seed_enter(&worker->runq, &spill);
    seed->fn = fn;
    seed->arg = arg;
    seed->modes = context_modes();
    seed->copy_bytes = copy_bytes;
    if (copy_bytes != 0)
        memcpy(runq_seed_copy(&worker->runq, seed), arg, copy_bytes);
    store_relaxed(&seed->site, site);
    store_relaxed(&seed->id, fiber_next_id(worker));
    trace(worker, TRACE_SPAWN, load_relaxed(&seed->id));
    runq_seed_exit(&worker->runq, stack);
    spilled(&spill);
    idle_work_added();
    return 0;
}

/* A fiber that gave way: to the tail, after it has left its stack. */
static void commit_yield(void *arg)
{
    struct worker *worker = worker_here();
    struct fiber *fiber = arg;
    struct chain spill = {0};

    if (unlikely(fiber->pinned != NULL)) {
        ready_pinned(fiber);
        return;
    }
    runq_append(&worker->runq, fiber, &spill);
    spilled(&spill);
    idle_work_added();
}

void rn_yield(void)
{
    struct worker *worker = worker_here();

    if (unlikely(worker == NULL)) {
        check_not_forked();
        os_yield();
        return;
    }
    struct fiber *self = worker->current;
    struct fiber *next = next_fiber(worker);
    if (next == &worker->loop && load_relaxed(&worker->attention) == 0 && inject_empty() &&
        load_relaxed(&worker->tick) % HOUSEKEEPING_TICKS != 0) {
        worker->budget = BUDGET_OPERATIONS;
        return; /* nobody else wants this worker */
    }
    trace(worker, TRACE_YIELD, self->id);
    switch_to(worker, next, commit_yield, self, false);
}

void budget_spend(void)
{
    struct worker *worker = worker_here();
    if (worker != NULL && unlikely(--worker->budget == 0) && worker->current->kind == FIBER_STACK)
        rn_yield();
}

uint32_t random_here(uint32_t n)
{
    static atomic_u64 foreign = 0x9e3779b97f4a7c15ull;
    struct worker *worker = worker_here();
    if (worker != NULL)
        return random_below(&worker->random, n);
    uint64_t seed = add_relaxed(&foreign, 0x9e3779b97f4a7c15ull);
    return random_below(&seed, n);
}

/* ---- the life of a fiber ---- */

__attribute__((noreturn)) static void fiber_exit(struct fiber *self);

static void fiber_main(void *arg)
{
    struct fiber *self = arg;

    arrive(worker_here());
    self->fresh = false;
    if (unlikely(self->pin)) {
        self->pinned = worker_here();
        self->pinned->pinned++;
    }
    self->fn(self->arg);
    fiber_exit(self);
}

static void make(struct fiber *fiber, void *top, uint64_t modes)
{
    fiber->fresh = true;
    context_make(&fiber->context, top, fiber_main, fiber);
    context_set_modes(&fiber->context, modes);
    annotate_fiber_begin(fiber);
    store_release(&fiber->state, FIBER_LIVE); /* E12: name, site and id are written */
}

void fiber_make(struct fiber *fiber, void *top)
{
    make(fiber, top, context_modes());
}

void fiber_plant(struct fiber *fiber, const struct seed *seed, const void *copy)
{
    void *top = fiber;

    fiber_clear(fiber, load_relaxed(&seed->id));
    fiber->fn = seed->fn;
    fiber->arg = seed->arg;
    fiber->site = load_relaxed(&seed->site);
    fiber->name = fiber->site->function;
    if (seed->copy_bytes != 0) {
        top = fiber_copy_place(fiber, seed->copy_bytes);
        fiber->arg = memcpy(top, copy, seed->copy_bytes);
    }
    make(fiber, top, seed->modes);
}

/* On the other side: the dead fiber's stack is free for the next. */
static void commit_bury(void *arg)
{
    struct worker *worker = worker_here();
    struct fiber *fiber = arg;

    annotate_fiber_end(fiber);
    store_release(&fiber->state, FIBER_FREE);
    store_release(&worker->ended,
                  load_relaxed(&worker->ended) + 1); /* E23: with what the fiber did */
    stack_give(&worker->stacks, fiber);
}

static void fiber_exit(struct fiber *self)
{
    if (self->leave != NULL)
        self->leave(self);
    if (unlikely(self->locals != NULL))
        locals_destroy(self);
    if (unlikely(self->detail != NULL))
        detail_free(self);
    if (unlikely(self->held != NULL))
        held_free(self);
    struct worker *worker = worker_here();
    if (unlikely(worker == NULL))
        check_not_forked(); /* there is nowhere to go on */
    if (unlikely(self->pinned != NULL))
        worker->pinned--;
    trace(worker, TRACE_EXIT, self->id);
    switch_to(worker, next_fiber(worker), commit_bury, self, true);
    fatal("a fiber that ended was resumed");
}

/* ---- the loop ---- */

void worker_adopt(struct worker *worker, struct chain *chain)
{
    struct chain spill = {0};
    struct fiber *fiber;

    while ((fiber = chain_pop(chain)) != NULL)
        runq_append(&worker->runq, fiber, &spill);
    spilled(&spill);
}

/* With nothing local left: a share of the inject queue. */
static bool take_injected(struct worker *worker)
{
    struct chain chain = {0};

    if (inject_pop(&chain, INJECT_SHARE) == 0)
        return false;
    worker_adopt(worker, &chain);
    return true;
}

/* Some fibers from the inject queue have their turn, although local ones wait: one at once. */
static struct fiber *take_injected_turn(struct worker *worker, bool asked)
{
    struct chain chain = {0};

    if (!asked && load_relaxed(&worker->tick) % HOUSEKEEPING_TICKS != 0)
        return NULL;
    inject_pop(&chain, runq_length(&worker->runq) < RUNQ_SPILL ? INJECT_TURN : 1);
    struct fiber *first = chain_pop(&chain);
    worker_adopt(worker, &chain);
    return first;
}

/* One pinned fiber, or NULL; keeps the attention while more wait. */
static struct fiber *take_pinned(struct worker *worker)
{
    if ((load_relaxed(&worker->attention) & ATTENTION_INBOX) == 0)
        return NULL;
    spin_lock(&worker->inbox_lock);
    struct fiber *fiber = chain_pop(&worker->inbox);
    if (worker->inbox.first == NULL)
        and_seq(&worker->attention, ~(uint32_t)ATTENTION_INBOX);
    spin_unlock(&worker->inbox_lock);
    return fiber;
}

/*
 * Whether all who waited here at the last poll have had their turn. Asked more often, a poller that
 * always has something would fill the ring faster than it is emptied, and what is spilled from it
 * would starve; the kernel lets descriptors wait in turn.
 */
static bool poll_due(const struct worker *worker)
{
    return (int32_t)(load_relaxed(&worker->tick) - worker->next_poll) >= 0 ||
           runq_length(&worker->runq) == 0;
}

/* Timers and descriptors have their turn, although local work waits. */
static void housekeeping(struct worker *worker)
{
    bool asked = (load_relaxed(&worker->attention) & ATTENTION_POLL) != 0;

    if (asked) {
        and_seq(&worker->attention, ~(uint32_t)ATTENTION_POLL);
        timers_run_all();
    } else if (load_relaxed(&worker->timers->next) != RN_FOREVER) {
        timer_heap_run(worker->timers, clock_now());
    }
    if (load_relaxed(&poll_waiting) != 0 && load_relaxed(&idle_poll_until) == 0 &&
        (asked || poll_due(worker))) {
        add_relaxed(&sched.polls, 1);
        poll_once(0);
        worker->next_poll = load_relaxed(&worker->tick) + runq_length(&worker->runq);
    }
}

static bool stopping(void)
{
    return load_acquire(&sched.state) == SCHED_STOPPING;
}

/* The next fiber for this worker; sleeps until there is one. NULL when the runtime stops. */
static struct fiber *find_work(struct worker *worker)
{
    bool asked = (load_relaxed(&worker->attention) & ATTENTION_POLL) != 0;
    struct fiber *fiber;

    if (load_relaxed(&worker->stuck) != STUCK_NOT)
        worker_unstick(worker);
    housekeeping(worker);
    fiber = take_injected_turn(worker, asked); /* the monitor asks: what a hog held up lies there */
    while (fiber == NULL) {
        if (unlikely(load_relaxed(&worker->stuck) != STUCK_NOT))
            worker_unstick(worker); /* it seemed so while it looked for work */
        if (stopping())
            return NULL;
        if (unlikely(load_relaxed(&worker->attention) & ATTENTION_POLL))
            housekeeping(worker); /* or it would stay awake for a request that nobody serves */
        worker->pinned_turn = !worker->pinned_turn;
        if (worker->pinned_turn && (fiber = take_pinned(worker)) != NULL)
            break;
        if (spare_should_retire(worker)) {
            if (!spare_retire(worker))
                return NULL;
            continue;
        }
        if ((fiber = worker_next(worker)) != NULL || (fiber = take_pinned(worker)) != NULL)
            break;
        if (take_injected(worker) || steal_work(worker))
            continue;
        if (!idle_sleep(worker))
            return NULL;
    }
    spin_end(worker);
    return fiber;
}

void worker_main(void *arg)
{
    struct worker *worker = arg;
    struct fiber *fiber;

    for (unsigned spins = 0; load_acquire(&sched.count) <= worker->index; spins++)
        spin_wait(spins); /* E6: until everybody, itself too, finds its queue and its timers */
    here_worker = worker;
    store_owned(&worker->current, &worker->loop);
    annotate_loop(&worker->loop);
    os_fault_stack(&worker->fault_stack);
    while ((fiber = find_work(worker)) != NULL)
        switch_to(worker, fiber, NULL, NULL, false);
    store_release(&worker->mode, WORKER_ABSENT);
    stack_cache_flush(&worker->stacks);
    os_fault_stack_free(worker->fault_stack);
    here_worker = NULL;
    has_ended = true;
}

bool worker_has_ended(void)
{
    return has_ended;
}

struct worker *worker_new(uint32_t index)
{
    struct worker *worker;
    void *memory; /* zeros, of which the seeds cost nothing until they are used */
    if (os_reserve(&memory, sizeof *worker) != 0)
        return NULL;
    worker = memory;
    worker->index = index;
    worker->random = 0x9e3779b97f4a7c15ull * (index + 1);
    worker->spin_ns = SPIN_NS_MAX;
    worker->loop.kind = FIBER_LOOP;
    worker->timers = timer_heap_of(index);
    trace_begin(worker);
    store_relaxed(&worker->mode, WORKER_BUSY);
    return worker;
}

void worker_free(struct worker *worker)
{
    timer_heap_empty(worker->timers);
    trace_end(worker);
    os_unreserve(worker, sizeof *worker);
}
