/*
 * The runtime as a whole: starting, stopping, rn_run.
 *
 * sched.state goes OFF, STARTING, ON, STOPPING, OFF. Whoever wins the step from OFF to STARTING
 * starts; the others wait until it is ON or OFF again.
 */
#include "base/check.h"
#include "sched/clock.h"
#include "sched/detail.h"
#include "sched/held.h"
#include "sched/poller.h"
#include "sched/runtime.h"
#include "sched/sched.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct sched sched;

static atomic_u32 once_started; /* 1: what is done once per process has been done */

static void start_once(void)
{
    if (swap_seq(&once_started, 1) != 0)
        return;
    os_init();
    os_at_fork_child(thread_after_fork);
}

/* ---- stopping ---- */

static struct {
    SPINLOCK(lock, stops_lock); /* guards first and what it leads to */
    struct runtime_stop *first;
} stops;

void runtime_at_stop(struct runtime_stop *stop)
{
    spin_lock(&stops.lock);
    if (!stop->noted) {
        stop->noted = true;
        stop->next = stops.first;
        stops.first = stop;
    }
    spin_unlock(&stops.lock);
}

static void tell_layers_above(void)
{
    struct runtime_stop *stop = stops.first;

    stops.first = NULL;
    for (struct runtime_stop *next; stop != NULL; stop = next) {
        next = stop->next;
        stop->noted = false;
        stop->fn();
    }
}

static void wake_everybody(void)
{
    uint32_t count = load_acquire(&sched.count);
    for (uint32_t i = 0; i < count; i++) {
        struct worker *worker = sched.workers[i];
        or_seq(&worker->attention, ATTENTION_STOP);
        idle_wake_worker(worker);
        if (load_acquire(&worker->mode) == WORKER_SPARE) {
            store_release(&worker->sleep, 0);
            os_futex_wake(&worker->sleep, 1);
        }
    }
    poll_interrupt();
}

static void join_workers(void)
{
    uint32_t count = load_acquire(&sched.count);
    for (uint32_t i = 0; i < count; i++)
        os_thread_join(sched.workers[i]->thread);
    for (uint32_t i = 0; i < count; i++) {
        worker_free(sched.workers[i]);
        sched.workers[i] = NULL;
    }
    store_release(&sched.count, 0);
}

static void counters_reset(void)
{
    store_relaxed(&sched.foreign_started, 0);
    store_relaxed(&sched.wakes, 0);
    store_relaxed(&sched.compensations, 0);
    store_relaxed(&sched.stalls, 0);
    store_relaxed(&sched.polls, 0);
}

/* The state stays STOPPING: with OFF another thread may start the next runtime at once. */
static void shut_down(void)
{
    monitor_stop();
    spare_quiesce();
    wake_everybody();
    join_workers();
    tell_layers_above();
    poll_stop();
    inject_reset();
    idle_reset();
    debug_stop();
    stack_release_all();
    counters_reset();
    store_relaxed(&sched.active, 0);
    store_relaxed(&sched.hogs, 0);
    store_relaxed(&sched.blocking, 0);
}

/* ---- starting ---- */

static int start_workers(void)
{
    for (int i = 0; i < sched.target; i++) {
        sched.workers[i] = worker_new((uint32_t)i);
        if (sched.workers[i] == NULL)
            return -ENOMEM;
        add_seq(&sched.active, 1);
        int err = worker_spawn_thread(sched.workers[i]);
        if (err != 0) {
            sub_seq(&sched.active, 1);
            worker_free(sched.workers[i]);
            sched.workers[i] = NULL;
            return err;
        }
        store_release(&sched.count, (uint32_t)i + 1); /* E6 */
    }
    return 0;
}

static int start_up(bool run_owned)
{
    struct env env;
    int err = env_read(&env);

    if (err != 0)
        return err;
    start_once();
    stack_configure(env.stack);
    sched.target = load_relaxed(&clock_is_virtual) ? 1 : env.workers;
    clock_start();
    sched.debug = env.debug;
    held_start((env.debug & DEBUG_LOCK) != 0);
    sched.run_owned = run_owned;
    store_relaxed(&sched.next_id, 1);
    if ((err = poll_start()) != 0)
        return err;
    if ((err = debug_start()) == 0 && (err = start_workers()) == 0)
        err = monitor_start();
    if (err != 0) {
        store_seq(&sched.state, SCHED_STOPPING);
        shut_down();
    }
    return err;
}

static int start(bool run_owned)
{
    uint32_t off = SCHED_OFF;

    lock_class_expect_none("the runtime starts");
    check_not_forked();
    CHECK(!worker_has_ended(), "a thread-local destructor called the library while its runtime was "
                               "being stopped: it must not wait, nor start a fiber");
    while (!cas_seq(&sched.state, &off, SCHED_STARTING)) {
        if (off == SCHED_ON)
            return run_owned ? -EBUSY : 0;
        os_yield();
        off = SCHED_OFF;
    }
    int err = start_up(run_owned);
    store_seq(&sched.state, err == 0 ? SCHED_ON : SCHED_OFF);
    return err;
}

int rn_start(void)
{
    return worker_here() != NULL ? 0 : start(false);
}

int rn_stop(void)
{
    uint32_t on = SCHED_ON;

    if (worker_here() != NULL || sched.run_owned)
        return -EBUSY;
    if (cas_seq(&sched.state, &on, SCHED_STOPPING)) {
        shut_down();
        store_release(&sched.state, SCHED_OFF);
    }
    thread_forget();
    return 0;
}

int rn_workers(void)
{
    fiber_here();
    return sched.target;
}

/* ---- rn_run ---- */

struct run {
    int (*app)(int argc, char **argv);
    int argc;
    char **argv;
    int result;
    atomic_u32 done;
};

static void run_main(void *arg)
{
    struct run *run = arg;
    /* not before it runs: idle workers look for a deadlock already */
    store_seq(&sched.main_alive, 1);
    run->result = run->app(run->argc, run->argv);
    store_seq(&sched.main_alive, 0);
    atomic_u32 *done = &run->done;
    store_release(done, 1); /* E19: the result is written */
    os_futex_wake(done, 1); /* a wake of a stack frame that is gone does no harm */
}

static int run_failed(int err)
{
    const char *detail = rn_error_detail();
    fprintf(stderr, "runnel: the runtime could not start: %s%s%s\n", rn_strerror(err),
            *detail ? ": " : "", detail);
    return 1;
}

int rn_run(int (*app)(int argc, char **argv), int argc, char **argv)
{
    static const rn_site site = {"rn_run", 0, "main"};
    struct run run = {.app = app, .argc = argc, .argv = argv};

    if (worker_here() != NULL)
        return run_failed(-EBUSY);
    int err = start(true);
    if (err != 0)
        return run_failed(err);
    err = rn_go_at(&site, NULL, run_main, &run, 0);
    while (err == 0 && load_acquire(&run.done) == 0) /* E19 */
        os_futex_wait(&run.done, 0, -1);
    if (sched.debug & DEBUG_LEAK)
        leak_report();
    store_seq(&sched.state, SCHED_STOPPING);
    shut_down();
    sched.run_owned = false;
    store_release(&sched.state, SCHED_OFF);
    thread_forget();
    return err != 0 ? run_failed(err) : run.result;
}
