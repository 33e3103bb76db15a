/*
 * Spare workers: somebody to run fibers while a worker is stuck in a call that blocks its thread,
 * or with a fiber that does not switch. The kernel does the preemption.
 *
 * sched.active counts the workers that are neither stuck nor retired. With those whose fibers
 * compute it should be sched.target, for so many processors there are; and one at least must be
 * left for everybody else. When a worker gets stuck it falls, and a spare is woken or started; when
 * the stuck one comes back it rises above, and the next spare that passes its loop retires.
 */
#include "base/check.h"
#include "sched/sched.h"

#include <errno.h>

STATIC_SPINLOCK(spares, spares); /* guards the choice and the making of spares */

int worker_spawn_thread(struct worker *worker)
{
    return os_thread_start(&worker->thread, worker_main, worker, "runnel-worker");
}

/* How many workers that are not stuck there should be. */
static uint32_t wanted(void)
{
    int hogs = (int)load_relaxed(&sched.hogs); /* -1 when it is being counted */

    return (uint32_t)(hogs <= 0 ? sched.target : hogs < sched.target ? sched.target - hogs : 1);
}

bool spare_missing(void)
{
    return load_relaxed(&sched.active) < wanted();
}

static struct worker *find_retired_locked(void)
{
    uint32_t count = load_acquire(&sched.count);
    for (uint32_t i = (uint32_t)sched.target; i < count; i++)
        if (load_acquire(&sched.workers[i]->mode) == WORKER_SPARE) /* E18 */
            return sched.workers[i];
    return NULL;
}

static void start_new_locked(void)
{
    uint32_t count = load_relaxed(&sched.count);
    if (count >= WORKERS_MAX || count >= (uint32_t)sched.target + SPARES_MAX)
        return; /* the limit: work waits until a stuck worker comes back */
    struct worker *worker = worker_new(count);
    if (worker == NULL)
        return;
    sched.workers[count] = worker;
    add_seq(&sched.active, 1);
    if (worker_spawn_thread(worker) != 0) {
        sub_seq(&sched.active, 1);
        sched.workers[count] = NULL;
        worker_free(worker);
        return;
    }
    store_release(&sched.count, count + 1); /* E6: the slot is written before the count */
    add_relaxed(&sched.compensations, 1);
}

void spare_wake(void)
{
    spin_lock(&spares);
    if (load_acquire(&sched.state) == SCHED_ON && spare_missing()) {
        struct worker *worker = find_retired_locked();
        if (worker == NULL) {
            start_new_locked();
        } else {
            add_seq(&sched.active, 1);
            add_relaxed(&sched.compensations, 1);
            store_relaxed(&worker->mode, WORKER_BUSY);
            store_release(&worker->sleep, 0);
            os_futex_wake(&worker->sleep, 1);
        }
    }
    spin_unlock(&spares);
}

void worker_stick(struct worker *worker, enum stuck why)
{
    uint32_t not = STUCK_NOT;

    if (!cas_seq(&worker->stuck, &not, why)) {
        if (why == STUCK_BLOCKED)
            worker_stuck_otherwise(worker, STUCK_HOG, STUCK_BLOCKED);
        return;
    }
    sub_seq(&sched.active, 1); /* first: rather a spare too many for a moment than one too few */
    if (why == STUCK_HOG)
        add_seq(&sched.hogs, 1);
    if (load_relaxed(&idle_count) == 0)
        spare_wake();
    else if (idle_poller_missing())
        idle_wake_one(); /* it was this worker that asked the poller */
    else
        idle_work_added(); /* its queue is everybody's now, the slot too */
    idle_timers_orphaned(worker);
}

void worker_stuck_otherwise(struct worker *worker, enum stuck before, enum stuck now)
{
    uint32_t expected = before;

    if (!cas_seq(&worker->stuck, &expected, now))
        return;
    if (now == STUCK_HOG) {
        add_seq(&sched.hogs, 1);
        return;
    }
    sub_seq(&sched.hogs, 1);
    if (load_relaxed(&idle_count) == 0)
        spare_wake();
}

void worker_unstick(struct worker *worker)
{
    uint32_t why = swap_seq(&worker->stuck, STUCK_NOT);

    if (why == STUCK_HOG)
        sub_seq(&sched.hogs, 1);
    if (why != STUCK_NOT)
        add_seq(&sched.active, 1);
}

bool spare_should_retire(struct worker *worker)
{
    return worker->index >= (uint32_t)sched.target && worker->pinned == 0 &&
           load_relaxed(&sched.active) > wanted();
}

/* Gives away all it has. */
static void hand_over(struct worker *worker)
{
    struct chain chain = {0};
    struct fiber *fiber;

    while ((fiber = worker_next(worker)) != NULL)
        chain_push(&chain, fiber);
    inject_push(&chain);
    stack_cache_flush(&worker->stacks);
    idle_work_added();
    idle_timers_orphaned(worker);
}

bool spare_retire(struct worker *worker)
{
    spin_lock(&spares);
    bool retire = spare_should_retire(worker);
    if (retire)
        sub_seq(&sched.active, 1);
    spin_unlock(&spares);
    if (!retire)
        return true;
    spin_end(worker);
    hand_over(worker); /* before the mode says that nothing is left here */
    spin_lock(&spares);
    store_relaxed(&worker->sleep, 1);
    store_release(&worker->mode, WORKER_SPARE); /* E18: sleep is set: it can be woken */
    spin_unlock(&spares);
    while (load_acquire(&worker->sleep) != 0 && load_acquire(&sched.state) == SCHED_ON)
        os_futex_wait(&worker->sleep, 1, -1);
    return load_acquire(&sched.state) == SCHED_ON;
}

int rn_blocking(int (*fn)(void *arg), void *arg)
{
    struct worker *worker = worker_here();
    struct fiber *self;

    if (worker == NULL) {
        check_not_forked();
        return fn(arg);
    }
    self = worker->current;
    add_seq(&sched.blocking, 1);
    store_relaxed(&worker->mode, WORKER_BLOCKED);
    worker_stick(worker, STUCK_BLOCKED);
    int result = fn(arg);
    CHECK(worker_here() == worker && worker->current == self,
          "a function run by rn_blocking waited for other fibers: it may only block its thread");
    worker_unstick(worker);
    store_relaxed(&worker->mode, WORKER_BUSY);
    sub_seq(&sched.blocking, 1);
    return result;
}

void spare_quiesce(void)
{
    spin_lock(&spares); /* who was making a spare has finished; state keeps others from beginning */
    spin_unlock(&spares);
}
