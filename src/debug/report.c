/*
 * Reports about the whole program: a deadlock, fibers left over, counters.
 *
 * A deadlock is certain only when every worker sleeps, no timer is armed, nobody waits for a
 * descriptor or a signal, no fiber is inside rn_blocking, and the process has no thread but ours
 * and the one in rn_run: a thread that somebody else made could still wake a fiber.
 */
#include "debug/dump.h"
#include "fiber/annotate.h"
#include "fiber/stack.h"
#include "os/os.h"
#include "sched/poller.h"
#include "sched/sched.h"

#include <runnel/debug.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEADLOCK_STATUS 2 /* as Go */
#define MAIN_FIBER_ID 1
#define EXTRA_THREADS 2 /* the one in rn_run, the monitor */
#ifdef ANNOTATE_TSAN
#define TOOL_THREADS 1 /* ThreadSanitizer's own */
#else
#define TOOL_THREADS 0
#endif

static void say(const char *text)
{
    os_complain(text, strlen(text));
}

static bool everybody_sleeps(uint32_t *threads)
{
    uint32_t count = load_acquire(&sched.count);

    *threads = EXTRA_THREADS + count;
    for (uint32_t i = 0; i < count; i++) {
        struct worker *w = sched.workers[i];
        uint8_t mode = load_acquire(&w->mode);
        if (mode != WORKER_IDLE && mode != WORKER_SPARE)
            return false;
        if (load_acquire(&w->attention) & ATTENTION_INBOX) /* it is about to wake */
            return false;
        if (!runq_idle(&w->runq) || load_relaxed(&w->timers->next) != RN_FOREVER)
            return false;
    }
    return true;
}

/* Grows with every fiber resumed and every worker woken. */
static uint64_t activity(void)
{
    uint32_t count = load_acquire(&sched.count);
    uint64_t sum = load_seq(&sched.wakes);
    for (uint32_t i = 0; i < count; i++)
        sum += load_seq(&sched.workers[i]->tick);
    return sum;
}

/*
 * The workers are looked at one after the other: one seen asleep may be woken by one seen asleep
 * later, and what the monitor takes from one is for a moment in no queue. So it counts only if
 * nothing happened meanwhile.
 *
 * A worker that was woken and does not run yet still looks asleep, but counts as spinning, and
 * whoever adds work meanwhile wakes nobody else: it asks again before it sleeps.
 */
void deadlock_check(void)
{
    static atomic_u32 reported;
    uint64_t robberies = load_seq(&sched.robberies);
    uint64_t before = activity();
    uint32_t threads;

    if (robberies % 2 != 0 || load_seq(&spinning_count) != 0 || load_seq(&sched.main_alive) == 0 ||
        load_relaxed(&sched.blocking) != 0 || load_seq(&poll_waiting) != 0 ||
        load_seq(&poll_delivering) != 0 || !inject_empty() ||
        load_acquire(&sched.state) != SCHED_ON || !everybody_sleeps(&threads))
        return;
    int all = os_thread_count();
    if (all < 0 || (uint32_t)all > threads + TOOL_THREADS)
        return;
    fence_full(); /* what was looked at above was so before this */
    if (activity() != before || load_seq(&sched.robberies) != robberies)
        return; /* whoever was active asks again before it sleeps */
    if (swap_seq(&reported, 1) != 0)
        return; /* another worker is at it, and about to exit */
    say("runnel: all fibers are asleep - deadlock!\n");
    rn_dump(2);
    if (ftrylockfile(stdout) == 0) { /* what the program had printed is not lost */
        fflush(stdout);
        funlockfile(stdout);
    }
    _exit(DEADLOCK_STATUS);
}

void stall_report(struct worker *worker, unsigned ms)
{
    struct fiber *fiber = peek_owned(&worker->current); /* by now it may run another */
    char text[128];
    int n = snprintf(text, sizeof text,
                     "runnel: worker %u has been held for about %u ms while work waits, by\n",
                     worker->index, ms);

    os_complain(text, (size_t)n);
    if (load_acquire(&fiber->state) != FIBER_FREE) /* as stack_each asks; a loop has no state */
        dump_fiber(2, fiber);
}

/* rn_run's own fiber may still be on its way out: it is not left over. */
static bool left_over(uint64_t id, bool *title)
{
    if (id == MAIN_FIBER_ID)
        return false;
    if (!*title)
        say("runnel: fibers that had not ended when rn_run returned:\n");
    return *title = true;
}

static void report_left(struct fiber *fiber, void *said)
{
    if (left_over(fiber->id, said))
        dump_fiber(2, fiber);
}

static void report_unborn(const struct seed *seed, void *said)
{
    uint64_t id = load_relaxed(&seed->id);
    if (left_over(id, said))
        dump_unborn(2, id, load_relaxed(&seed->site));
}

void leak_report(void)
{
    uint32_t count = load_acquire(&sched.count);
    bool said = false;

    for (uint32_t i = 0; i < count; i++)
        runq_each_seed(&sched.workers[i]->runq, report_unborn, &said);
    stack_each(report_left, &said);
}

void rn_stats_read(rn_stats *out)
{
    uint32_t count = load_acquire(&sched.count);
    uint64_t ended = 0;

    *out = (rn_stats){0};
    for (uint32_t i = 0; i < count; i++) /* before the starts: so no live fiber is ever missed */
        ended += load_acquire(&sched.workers[i]->ended); /* E23 */
    out->fibers_started = load_relaxed(&sched.foreign_started);
    for (uint32_t i = 0; i < count; i++) {
        struct worker *w = sched.workers[i];
        out->fibers_started += load_relaxed(&w->started);
        out->switches += load_relaxed(&w->tick);
        out->steals += load_relaxed(&w->steals);
        spin_lock(&w->timers->lock);
        out->timers += w->timers->count;
        spin_unlock(&w->timers->lock);
    }
    out->fibers_live = out->fibers_started - ended;
    out->wakes = load_relaxed(&sched.wakes);
    out->compensations = load_relaxed(&sched.compensations);
    out->stalls = load_relaxed(&sched.stalls);
    out->polls = load_relaxed(&sched.polls);
    stack_counts(&out->stacks_reserved, &out->stacks_pooled);
}
