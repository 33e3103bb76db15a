/*
 * The monitor: a thread that looks at the workers every millisecond or so while any is busy.
 *
 * It compensates workers that have not switched while work waits, sends overdue timers and
 * descriptors to somebody, gives the memory of idle stacks back, and sleeps while every worker
 * sleeps.
 */
#include "sched/poller.h"
#include "sched/sched.h"

#include <runnel/debug.h>

#define LOOK_NS_MIN 1000000  /* between two looks, when the last one found something */
#define LOOK_NS_MAX 8000000  /* when nothing is found */
#define HOG_NS 2000000       /* processor time without a switch that makes a hog */
#define BLOCKED_LOOKS 8      /* looks, when it used no processor time either */
#define STUCK_LOOKS 2        /* looks with an unmoved tick that make a worker stuck */
#define TRIM_NS 1000000000ll /* between two trims of the stack pool */

static struct {
    struct os_thread thread;
    atomic_u32 asleep; /* futex: 1 while it sleeps until a worker wakes */
    atomic_u32 tick;   /* futex it naps on; never changes but to stop */
    atomic_u32 dump;   /* 1: every fiber is to be written to standard error */
    bool started;
} monitor;

void monitor_wake(void)
{
    if (unlikely(load_relaxed(&monitor.asleep) != 0)) { /* E17 */
        store_release(&monitor.asleep, 0);
        os_futex_wake(&monitor.asleep, 1);
    }
}

void monitor_ask_dump(void)
{
    store_seq(&monitor.dump, 1); /* E24 */
    store_seq(&monitor.asleep, 0);
    os_futex_wake(&monitor.asleep, 1);
}

static bool work_waits_at(const struct worker *worker)
{
    return !runq_idle(&worker->runq);
}

static void count_stall(struct worker *worker)
{
    add_relaxed(&sched.stalls, 1);
    if (sched.debug & DEBUG_STALL)
        stall_report(worker, worker->seen_for * (LOOK_NS_MIN / 1000000));
}

/*
 * Whether a worker that does not switch is held by its fiber: one that used the processor meanwhile
 * is. One that used none is blocked in a call, or just waits for a processor, which is not worth
 * another thread; so that takes longer to be believed.
 */
static enum stuck held_by(const struct worker *worker)
{
    int64_t cpu = os_thread_cpu_ns(worker->thread);

    if (cpu >= 0 && cpu - worker->seen_cpu >= HOG_NS)
        return STUCK_HOG;
    return cpu < 0 || worker->seen_for >= BLOCKED_LOOKS ? STUCK_BLOCKED : STUCK_NOT;
}

/* A hog that computes no more is in a call that blocks; one that blocked may compute again. */
static void look_again(struct worker *worker, enum stuck why)
{
    int64_t cpu = os_thread_cpu_ns(worker->thread), used = cpu - worker->seen_cpu;

    if (used >= (why == STUCK_HOG ? HOG_NS / BLOCKED_LOOKS : HOG_NS)) {
        worker_stuck_otherwise(worker, STUCK_BLOCKED, STUCK_HOG);
        worker->seen_cpu = cpu;
        worker->hog_for = 0;
    } else if (why == STUCK_HOG && ++worker->hog_for >= BLOCKED_LOOKS) {
        worker_stuck_otherwise(worker, STUCK_HOG, STUCK_BLOCKED);
    }
}

/* What waits behind a stuck worker is put where every worker looks, the busy ones too. */
static void rob(struct worker *worker)
{
    struct chain loot = {0};

    if (runq_idle(&worker->runq))
        return;
    add_seq(&sched.robberies, 1); /* odd: fibers may be in no queue */
    while (runq_steal(&worker->runq, &loot, true) != 0)
        ;
    if (loot.first != NULL)
        inject_push(&loot);
    add_seq(&sched.robberies, 1);
    fence_full(); /* E4 */
    if (loot.first != NULL)
        idle_work_added();
}

/* Others serve what a stuck worker has by now; its fiber may have armed a timer since. */
static void take_over(struct worker *worker)
{
    if (load_relaxed(&worker->timers->next) != RN_FOREVER)
        idle_timers_orphaned(worker);
    rob(worker);
}

/* The tick has not moved for a while: whether that makes the worker stuck. */
static enum stuck why_stuck(struct worker *worker)
{
    if (worker->seen_for < STUCK_LOOKS)
        return STUCK_NOT;
    if (!work_waits_at(worker) && !work_anywhere() && load_relaxed(&poll_waiting) == 0 &&
        idle_next_timer() == RN_FOREVER)
        return STUCK_NOT; /* nobody misses it, wherever the work lies */
    return held_by(worker);
}

static void begin_watch(struct worker *worker, uint32_t tick)
{
    worker->seen_tick = tick;
    worker->seen_for = 0;
    worker->seen_cpu = os_thread_cpu_ns(worker->thread);
}

/* True when this worker holds up work. */
static bool look_at(struct worker *worker)
{
    uint32_t tick = load_relaxed(&worker->tick);
    bool blocked = load_relaxed(&worker->mode) == WORKER_BLOCKED;

    if (!blocked && (load_relaxed(&worker->mode) != WORKER_BUSY || tick != worker->seen_tick)) {
        begin_watch(worker, tick);
        return false;
    }
    if (blocked) {
        begin_watch(worker, tick); /* of the time behind the call */
        take_over(worker);
        return true;
    }
    worker->seen_for++;
    enum stuck why = load_relaxed(&worker->stuck);
    if (why != STUCK_NOT) {
        look_again(worker, why);
    } else {
        why = why_stuck(worker);
        if (why == STUCK_NOT)
            return worker->seen_for >= STUCK_LOOKS && work_waits_at(worker);
        if (work_waits_at(worker))
            count_stall(worker);
        worker->hog_for = 0;
        worker_stick(worker, why);
        or_seq(&worker->attention, ATTENTION_POLL); /* through the loop, to unstick */
    }
    take_over(worker);
    return true;
}

/* Nobody has asked the poller or fired what is due: the next worker that switches does. */
static void look_at_poller(void)
{
    uint32_t count = load_acquire(&sched.count);
    for (uint32_t i = 0; i < count; i++) {
        struct worker *w = sched.workers[i];
        if (load_relaxed(&w->mode) == WORKER_BUSY && load_relaxed(&w->stuck) == 0)
            or_seq(&w->attention, ATTENTION_POLL);
    }
}

static bool look(bool *all_idle)
{
    uint32_t count = load_acquire(&sched.count);
    bool found = false;

    *all_idle = true;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t mode = load_relaxed(&sched.workers[i]->mode);
        if (mode == WORKER_BUSY || mode == WORKER_BLOCKED)
            *all_idle = false;
        found |= look_at(sched.workers[i]);
    }
    if (!*all_idle)
        look_at_poller();
    if (load_relaxed(&idle_count) != 0) {
        if (work_anywhere() || idle_poller_missing())
            idle_wake_one();
    } else if (spare_missing()) {
        spare_wake();
    }
    return found;
}

static void nap(int64_t ns)
{
    os_futex_wait(&monitor.tick, 0, ns);
}

static void sleep_until_busy(void)
{
    store_seq(&monitor.asleep, 1);
    fence_heavy(); /* E17: sees a worker that left the idle list, or that one sees asleep */
    bool idle = load_relaxed(&idle_count) >= load_relaxed(&sched.active);
    while (idle && load_acquire(&monitor.asleep) != 0 && load_relaxed(&monitor.tick) == 0 &&
           load_seq(&monitor.dump) == 0) /* E24: asked for before it was asleep */
        os_futex_wait(&monitor.asleep, 1, -1);
    store_relaxed(&monitor.asleep, 0);
}

static void monitor_main(void *unused)
{
    int64_t pause = LOOK_NS_MIN;
    rn_time trimmed = os_now();
    bool was_idle = false;

    (void)unused;
    while (load_acquire(&monitor.tick) == 0) {
        bool all_idle;
        nap(pause);
        if (load_relaxed(&monitor.dump) != 0 && swap_seq(&monitor.dump, 0) != 0)
            rn_dump(2);
        pause = look(&all_idle) ? LOOK_NS_MIN : pause * 2 > LOOK_NS_MAX ? LOOK_NS_MAX : pause * 2;
        if (all_idle ? was_idle : os_now() - trimmed > TRIM_NS) {
            stack_trim();
            trimmed = os_now();
        }
        if (all_idle && was_idle) {
            deadlock_check();
            sleep_until_busy();
            pause = LOOK_NS_MIN;
        }
        was_idle = all_idle;
    }
}

int monitor_start(void)
{
    store_relaxed(&monitor.tick, 0);
    int err = os_thread_start(&monitor.thread, monitor_main, NULL, "runnel-monitor");
    monitor.started = err == 0;
    return err;
}

void monitor_stop(void)
{
    if (!monitor.started)
        return;
    store_seq(&monitor.tick, 1);
    os_futex_wake(&monitor.tick, 1);
    store_seq(&monitor.asleep, 0);
    os_futex_wake(&monitor.asleep, 1);
    os_thread_join(monitor.thread);
    monitor.started = false;
}
