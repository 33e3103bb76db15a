/*
 * Idle workers: looking for work, sleeping, being woken.
 *
 * The lost wake-up is designed out here and only here. A publisher makes work visible, passes
 * fence_light and reads idle_count and spinning_count (idle_work_added). A worker that is about to
 * sleep first enters the idle list and stops counting as spinning, passes fence_heavy, and looks at
 * every queue once more. So either the publisher sees the idle worker and wakes it, or that worker
 * sees the work (E4). A publisher that sees a spinning worker wakes nobody: that worker looks again
 * after it stops spinning (spin_end), or before it sleeps.
 *
 * One idle worker waits in the poller, the others on a futex each, up to their own next timer. A
 * wake-up of a sleeping thread costs more than a thousand switches: at most one worker is woken at
 * a time, and it wakes the next when it has found work and more is left.
 *
 * Invariant: idle_count is the length of the list; a worker is linked only while its mode is
 * WORKER_IDLE.
 */
#include "base/random.h"
#include "sched/clock.h"
#include "sched/poller.h"
#include "sched/sched.h"
#include "sched/trace.h"

#define SPIN_NS_MIN 4000   /* looking for less than that would find nothing */
#define SPIN_STEP 5        /* spin_wait's step between two looks: about a microsecond */
#define STEAL_SLOW_NS 5000 /* what waits behind a fiber that runs so long is taken */
/* and behind fibers that switch, when they do not get done with it */
#define STEAL_FAST_NS 30000
/* one who goes on starting fibers is not robbed of each at once: of many, or now and then */
#define STEAL_PAUSE_NS 20000
#define STEAL_MANY 64
/* after useless wakes, so few chances to wake are taken: 1 in 4096 */
#define WAKE_SKIP_LOG_MAX 12

atomic_u32 idle_count;
atomic_u32 spinning_count;
atomic_i64 idle_poll_until;

/*
 * How often waking was of no use lately: the woken worker found nothing. Each time doubles the
 * number of chances that publishers let pass; a useful wake resets it. Work that is overlooked so
 * is found by the monitor a millisecond later.
 */
static atomic_u32 wake_skip_log;

static struct {
    SPINLOCK(lock, idle_lock);
    struct list list;   /* who waits in the poller is last; guarded by lock */
    atomic_u32 polling; /* 1: somebody waits in the poller, or is about to */
} idle;

/* ---- waking ---- */

/* The caller unlinked it, and under the lock asked where it sleeps. */
static void wake(struct worker *worker, bool in_poller)
{
    add_relaxed(&sched.wakes, 1);
    store_release(&worker->sleep, 0);
    if (in_poller)
        poll_interrupt();
    else
        os_futex_wake(&worker->sleep, 1);
}

static void unlink_locked(struct worker *worker)
{
    list_remove(&idle.list, &worker->idle_node);
    worker->idle_linked = false;
    store_relaxed(&idle_count, load_relaxed(&idle_count) - 1);
}

/* A woken worker counts as spinning from the wake on, so that publishers do not wake a second. */
static void hand_spinning_locked(struct worker *worker)
{
    worker->counted_spinning = true;
    worker->woken = true;
    add_seq(&spinning_count, 1);
}

void idle_wake_maybe(void)
{
    struct worker *worker = worker_here();

    if (worker != NULL) {
        if (worker->wake_skip > 0) {
            worker->wake_skip--;
            return;
        }
        worker->wake_skip = (1u << load_relaxed(&wake_skip_log)) - 1;
    }
    idle_wake_one();
}

/* A woken worker has found something, or has not. */
static void judge_wake(struct worker *worker, bool useful)
{
    uint32_t log = load_relaxed(&wake_skip_log);

    if (!worker->woken)
        return;
    worker->woken = false;
    if (useful)
        log = 0;
    else if (log < WAKE_SKIP_LOG_MAX)
        log++;
    store_relaxed(&wake_skip_log, log);
}

void idle_wake_one(void)
{
    struct worker *worker = NULL;
    bool in_poller = false;

    spin_lock(&idle.lock);
    if (!list_empty(&idle.list)) {
        worker = container_of(idle.list.first, struct worker, idle_node);
        in_poller = worker->in_poller;
        unlink_locked(worker);
        hand_spinning_locked(worker);
    }
    spin_unlock(&idle.lock);
    if (worker != NULL)
        wake(worker, in_poller);
}

void idle_wake_worker(struct worker *worker)
{
    bool linked, in_poller;

    spin_lock(&idle.lock);
    linked = worker->idle_linked;
    in_poller = worker->in_poller;
    if (linked) {
        unlink_locked(worker);
        hand_spinning_locked(worker);
    }
    spin_unlock(&idle.lock);
    if (linked)
        wake(worker, in_poller);
}

/* A plain thread armed a timer in the first worker's heap: who sleeps must not oversleep it. */
void idle_timer_added(rn_time when)
{
    fence_full(); /* E5: pairs with idle_poll_until being set before the heaps are read */
    if (when < load_relaxed(&idle_poll_until))
        poll_interrupt();
}

/*
 * The worker serves its timers no more for a while: whoever is in the poller must, or somebody must
 * go there.
 */
void idle_timers_orphaned(struct worker *worker)
{
    idle_timer_added(load_relaxed(&worker->timers->next));
    if (load_relaxed(&idle.polling) == 0 && load_relaxed(&idle_count) != 0)
        idle_wake_one();
}

/* ---- looking ---- */

static void spin_begin(struct worker *worker)
{
    if (!worker->counted_spinning) {
        worker->counted_spinning = true;
        add_seq(&spinning_count, 1);
    }
}

void spin_end(struct worker *worker)
{
    judge_wake(worker, true);
    if (!worker->counted_spinning)
        return;
    worker->counted_spinning = false;
    if (sub_seq(&spinning_count, 1) == 1 && load_relaxed(&idle_count) != 0) {
        fence_heavy(); /* E4 */
        if (work_anywhere())
            idle_wake_one();
    }
}

bool work_anywhere(void)
{
    uint32_t count = load_acquire(&sched.count);

    if (!inject_empty())
        return true;
    for (uint32_t i = 0; i < count; i++) {
        struct worker *w = sched.workers[i];
        if (runq_length(&w->runq) != 0)
            return true;
        if (load_relaxed(&w->stuck) != 0 && load_relaxed(&w->runq.slot) != NULL)
            return true;
    }
    return false;
}

bool idle_poller_missing(void)
{
    return load_relaxed(&idle_count) != 0 && load_relaxed(&idle_poll_until) == 0;
}

/*
 * What a thief remembers of the victim it looks at. Stealing costs both sides microseconds, so what
 * the victim gets done by itself in less than that is left to it.
 */
struct suspect {
    struct worker *victim;
    uint32_t tick;
    rn_time moved; /* when the victim's tick was last seen to move */
    rn_time since; /* since when it has had work at every look */
};

static bool has_work(const struct worker *victim)
{
    return !runq_idle(&victim->runq);
}

/* Another victim than before, or the same one that has switched since. */
static void look_at(struct suspect *suspect, struct worker *victim, rn_time now)
{
    uint32_t tick = load_relaxed(&victim->tick);

    if (suspect->victim != victim)
        *suspect = (struct suspect){victim, tick, now, now};
    if (suspect->tick != tick) {
        suspect->tick = tick;
        suspect->moved = now;
    }
}

/* How much may be taken from a victim that has work. */
enum loot { LOOT_NOTHING, LOOT_RING, LOOT_ALL };

static enum loot may_take(struct worker *worker, struct suspect *suspect, struct worker *victim,
                          rn_time now)
{
    if (worker->counted_spinning && now - worker->stole < STEAL_PAUSE_NS &&
        runq_length(&victim->runq) < STEAL_MANY)
        return LOOT_NOTHING; /* it goes on looking for longer than that */
    if (load_relaxed(&victim->stuck) != STUCK_NOT)
        return LOOT_ALL;
    look_at(suspect, victim, now);
    if (now - suspect->moved > STEAL_SLOW_NS)
        return LOOT_ALL;
    return now - suspect->since > STEAL_FAST_NS ? LOOT_RING : LOOT_NOTHING;
}

static bool steal_from(struct worker *worker, struct worker *victim, enum loot loot)
{
    struct chain chain = {0};

    if (loot == LOOT_NOTHING || runq_steal(&victim->runq, &chain, loot == LOOT_ALL) == 0)
        return false;
    count_up(&worker->steals);
    worker->stole = os_now();
    trace(worker, TRACE_STEAL, chain.count);
    worker_adopt(worker, &chain);
    return true;
}

static bool steal_once(struct worker *worker, struct suspect *suspect, rn_time now)
{
    uint32_t count = load_acquire(&sched.count);
    uint32_t start = random_below(&worker->random, count);

    if (suspect->victim != NULL && !has_work(suspect->victim))
        suspect->victim = NULL;
    for (uint32_t i = 0; i < count; i++) {
        struct worker *victim = sched.workers[(start + i) % count];
        bool other = suspect->victim != NULL && suspect->victim != victim;
        if (victim == worker || !has_work(victim) || (other && load_relaxed(&victim->stuck) == 0))
            continue;
        if (steal_from(worker, victim, may_take(worker, suspect, victim, now)))
            return true;
    }
    return false;
}

static bool may_spin(const struct worker *worker)
{
    if (load_relaxed(&sched.count) == 1)
        return false; /* nobody to take from */
    return worker->counted_spinning ||
           2 * load_relaxed(&spinning_count) < load_relaxed(&sched.active);
}

/*
 * How long a worker looks while nobody has work adapts to how useful it was: each time in vain
 * halves it; work that was found brings it back, and so does a sleep that a publisher ended so soon
 * that looking on would have found the work. A program that is mostly idle so burns no processor.
 */
static void looked_in_vain(struct worker *worker, rn_time now, bool spin)
{
    worker->looked = now;
    if (spin)
        worker->spin_ns = worker->spin_ns / 2 < SPIN_NS_MIN ? 0 : worker->spin_ns / 2;
}

bool steal_work(struct worker *worker)
{
    struct suspect suspect = {0};
    rn_time start = os_now(), now = start;
    bool spin = may_spin(worker);

    if (spin)
        spin_begin(worker);
    for (;;) {
        if (steal_once(worker, &suspect, now) || !inject_empty()) {
            worker->spin_ns = SPIN_NS_MAX;
            return true;
        }
        if (load_relaxed(&worker->attention) != 0)
            return true;
        rn_time most = suspect.victim != NULL ? SPIN_NS_MAX : worker->spin_ns;
        if (!spin || now - start >= most || load_relaxed(&worker->timers->next) <= now)
            break;
        spin_wait(SPIN_STEP);
        now = os_now();
    }
    looked_in_vain(worker, now, spin);
    return false;
}

/* ---- sleeping ---- */

/*
 * The sleeper's side of E4 and E5. Where there is one worker, the only other publishers are plain
 * threads, who pass a full fence themselves: then a system call is saved on each sleep.
 */
static void fence_sleeper(void)
{
    if (load_relaxed(&sched.count) == 1)
        fence_full();
    else
        fence_heavy();
}

/* The earliest timer of all workers. */
rn_time idle_next_timer(void)
{
    uint32_t count = load_acquire(&sched.count);
    rn_time next = RN_FOREVER;

    for (uint32_t i = 0; i < count; i++) {
        rn_time when = load_relaxed(&sched.workers[i]->timers->next);
        if (when < next)
            next = when;
    }
    return next;
}

void timers_run_all(void)
{
    uint32_t count = load_acquire(&sched.count);
    rn_time now = clock_now();

    for (uint32_t i = 0; i < count; i++)
        if (load_relaxed(&sched.workers[i]->timers->next) <= now)
            timer_heap_run(sched.workers[i]->timers, now);
}

static void enter(struct worker *worker, bool poller)
{
    judge_wake(worker, false);
    if (worker->counted_spinning) {
        worker->counted_spinning = false;
        sub_seq(&spinning_count, 1);
    }
    store_relaxed(&worker->sleep, 1);
    store_release(&worker->mode, WORKER_IDLE); /* E18: its queue is empty, its timers are armed */
    spin_lock(&idle.lock);
    worker->in_poller = poller;
    worker->idle_linked = true;
    if (poller)
        list_push_back(&idle.list, &worker->idle_node);
    else
        list_push_front(&idle.list, &worker->idle_node);
    store_relaxed(&idle_count, load_relaxed(&idle_count) + 1);
    spin_unlock(&idle.lock);
}

static void leave(struct worker *worker)
{
    spin_lock(&idle.lock);
    if (worker->idle_linked)
        unlink_locked(worker);
    spin_unlock(&idle.lock);
    store_relaxed(&worker->mode, WORKER_BUSY);
}

static bool must_stay_awake(struct worker *worker)
{
    return work_anywhere() || load_relaxed(&worker->attention) != 0 ||
           load_relaxed(&sched.state) == SCHED_STOPPING;
}

static void sleep_in_poller(struct worker *worker)
{
    store_relaxed(&idle_poll_until, RN_FOREVER);
    fence_sleeper(); /* E4, E5 */
    if (!must_stay_awake(worker)) {
        rn_time until = idle_next_timer();
        store_relaxed(&idle_poll_until, until);
        deadlock_check();
        add_relaxed(&sched.polls, 1);
        poll_once(clock_sleep_ns(worker, until));
        clock_jump(worker);
    }
    store_relaxed(&idle_poll_until, 0);
    store_release(&idle.polling, 0);
}

static void sleep_on_futex(struct worker *worker)
{
    fence_sleeper(); /* E4 */
    if (must_stay_awake(worker))
        return;
    deadlock_check();
    os_futex_wait(&worker->sleep, 1, clock_sleep_ns(worker, load_relaxed(&worker->timers->next)));
    clock_jump(worker); /* who is in the poller may have gone there before there was a timer */
}

bool idle_sleep(struct worker *worker)
{
    uint32_t nobody = 0;
    bool poller = cas_seq(&idle.polling, &nobody, 1);

    if (worker->stacks.count > STACK_BATCH)
        stack_cache_flush(&worker->stacks);
    trace(worker, TRACE_SLEEP, 0);
    enter(worker, poller);
    if (poller)
        sleep_in_poller(worker);
    else
        sleep_on_futex(worker);
    leave(worker);
    trace(worker, TRACE_WAKE, 0);
    if (worker->woken && os_now() - worker->looked < SPIN_NS_MAX)
        worker->spin_ns = SPIN_NS_MAX; /* too short a sleep to be worth it */
    monitor_wake();
    timers_run_all();
    return load_acquire(&sched.state) != SCHED_STOPPING;
}

void idle_reset(void)
{
    idle.list = (struct list){0};
    store_relaxed(&idle.polling, 0);
    store_relaxed(&idle_count, 0);
    store_relaxed(&spinning_count, 0);
    store_relaxed(&idle_poll_until, 0);
}
