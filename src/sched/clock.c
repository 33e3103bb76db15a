/*
 * The clock that everything above reads, and arithmetic that saturates.
 *
 * It is the monotonic clock or, on demand, a virtual one: a number that an idle worker
 * moves on when nothing can run (clock_jump). What guards the runtime itself (spinning, the
 * monitor, waiting for killed processes) asks the system, whatever the clock.
 */
#include "sched/clock.h"

#include "sched/poller.h"
#include "sched/sched.h"

#include <errno.h>
#include <runnel/clock.h>

#define LOOK_AGAIN_NS 1000000 /* while somebody is busy, virtual time stands still */

atomic_u32 clock_is_virtual; /* changes only while the runtime does not run */
static atomic_i64 virtual_now;
static rn_time virtual_start;

rn_time clock_now(void)
{
    return unlikely(load_relaxed(&clock_is_virtual)) ? load_relaxed(&virtual_now) : os_now();
}

rn_time rn_now(void)
{
    return clock_now();
}

static bool others_busy(const struct worker *worker)
{
    uint32_t count = load_acquire(&sched.count);

    for (uint32_t i = 0; i < count; i++) {
        const struct worker *other = sched.workers[i];
        uint8_t mode = load_acquire(&other->mode);
        if (other != worker && (mode == WORKER_BUSY || mode == WORKER_BLOCKED))
            return true;
    }
    return load_relaxed(&sched.blocking) != 0;
}

int64_t clock_sleep_ns(const struct worker *worker, rn_time until)
{
    if (until == RN_FOREVER)
        return -1;
    if (load_relaxed(&clock_is_virtual) != 0)
        return others_busy(worker) ? LOOK_AGAIN_NS : 0;
    rn_time now = os_now();
    return until > now ? until - now : 0;
}

/* Grows with every fiber that is resumed, and while the monitor has some in its hands. */
static uint64_t activity(void)
{
    uint32_t count = load_acquire(&sched.count);
    uint64_t sum = load_seq(&sched.robberies);

    for (uint32_t i = 0; i < count; i++)
        sum += load_seq(&sched.workers[i]->tick);
    return sum;
}

/* In the order in which work goes: out of the kernel, into a queue, onto a worker. */
static bool nothing_runs(const struct worker *worker)
{
    uint32_t count = load_acquire(&sched.count);

    if (load_seq(&poll_delivering) != 0 || load_seq(&sched.robberies) % 2 != 0 || work_anywhere())
        return false;
    for (uint32_t i = 0; i < count; i++) {
        const struct worker *w = sched.workers[i];
        if (!runq_idle(&w->runq) || (load_acquire(&w->attention) & ATTENTION_INBOX))
            return false;
    }
    return !others_busy(worker);
}

/*
 * Who has stopped being busy has published its work and its timers before: those that are left then
 * are all there are. But what it has sent through the kernel, to a fiber that waits for a
 * descriptor, may have come after this worker's last look there. So nothing must run, the kernel
 * have nothing, and nothing have run in between.
 *
 * Between the looks and the jump the system may take the processor away, while another worker jumps
 * further: so the time is moved on only from what it was before the looks, and never goes back.
 */
void clock_jump(const struct worker *worker)
{
    rn_time until;

    if (load_relaxed(&clock_is_virtual) == 0)
        return;
    rn_time now = load_acquire(&virtual_now);
    uint64_t before = activity();
    if (!nothing_runs(worker) || poll_once(0) != 0 || !nothing_runs(worker) || activity() != before)
        return;
    until = idle_next_timer();
    if (until != RN_FOREVER && now < until)
        cas_seq(&virtual_now, &now, until);
}

void clock_start(void)
{
    store_relaxed(&virtual_now, virtual_start);
}

int rn_clock_virtual(rn_time start)
{
    if (start < 0 || start == RN_FOREVER)
        return -EINVAL;
    if (load_acquire(&sched.state) != SCHED_OFF)
        return -EBUSY;
    virtual_start = start;
    store_relaxed(&virtual_now, start);
    store_relaxed(&clock_is_virtual, 1);
    return 0;
}

int rn_clock_real(void)
{
    if (load_acquire(&sched.state) != SCHED_OFF)
        return -EBUSY;
    store_relaxed(&clock_is_virtual, 0);
    return 0;
}

rn_time rn_time_add(rn_time t, rn_duration d)
{
    rn_time sum;
    if (!__builtin_add_overflow(t, d, &sum))
        return sum;
    return d > 0 ? RN_FOREVER : INT64_MIN;
}
