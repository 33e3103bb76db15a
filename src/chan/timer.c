/*
 * Timers and tickers: a scheduler's timer that sends on a channel.
 *
 * The struct lives in its channel's memory, and as long. So whoever retained the channel may
 * receive after the timer was freed, and rn_after is a timer of which only the channel is given
 * out.
 *
 * Two locks. control makes stop and reset exclude each other; it is held while timer_stop waits for
 * a fire that runs, so fire must not take it. lock guards `running` (a ticker's state) between
 * stop, fire and the receive hook; the timer is armed again only under it and only while running,
 * so that stop, having cleared running, is the only one who touches the timer.
 *
 * Nothing is sent or received under lock. A fire's last touch of the struct is the release of lock,
 * or the send: then timer_stop's wait keeps the struct alive.
 */
#include "base/spinlock.h"
#include "chan/time_chan.h"
#include "sched/timer.h"

#include <runnel/fiber.h>
#include <stdlib.h>

/* until a function timer without memory for its fiber tries again */
#define RETRY_NS RN_MILLISECOND

struct rn_timer {
    SPINLOCK(control, timer_control);
    SPINLOCK(lock, timer_lock);
    struct timer timer;
    bool running;         /* guarded by lock: may be armed again by fire */
    struct rn_chan *chan; /* NULL: calls fn */
    void (*fn)(void *arg);
    void *arg;
};

static void timer_fire_chan(struct timer *timer)
{
    rn_time now = rn_now();
    rn_chan_try_send(container_of(timer, struct rn_timer, timer)->chan, &now);
}

static void timer_fire_func(struct timer *timer)
{
    static const rn_site site = {__FILE__, __LINE__, "rn_timer"};
    struct rn_timer *t = container_of(timer, struct rn_timer, timer);

    if (rn_go_at(&site, NULL, t->fn, t->arg, 0) == 0)
        return;
    spin_lock(&t->lock);
    /* cannot fail but for memory: then the heap's own slot, just left, was taken too */
    if (t->running)
        t->running = timer_arm(timer, rn_time_add(rn_now(), RETRY_NS)) == 0;
    spin_unlock(&t->lock);
}

/*
 * Under control. True when a fire was prevented or its value taken back. One that does not run was
 * halted before, or could not be armed again by a fire that has let go of lock.
 */
static bool timer_halt(struct rn_timer *t)
{
    spin_lock(&t->lock);
    bool running = t->running;
    t->running = false;
    spin_unlock(&t->lock);
    if (!running)
        return false;
    bool armed = timer_stop(&t->timer);
    return (t->chan != NULL && time_chan_take_back(t->chan)) || armed;
}

/* Under control, halted. */
static int timer_begin(struct rn_timer *t, rn_duration d)
{
    t->running = true; /* fire does not run: nobody else looks */
    return timer_arm(&t->timer, rn_time_add(rn_now(), d));
}

static void timer_gone(struct rn_chan *chan)
{
    struct rn_timer *t = chan->owner;
    if (t->running)
        timer_stop(&t->timer); /* rn_after's, released while it was pending */
}

rn_timer *rn_timer_new(rn_duration d)
{
    struct rn_chan *chan;
    struct rn_timer *t = time_chan_new(&chan, sizeof *t, timer_gone, NULL);
    if (t == NULL)
        return NULL;
    t->chan = chan;
    t->timer.fire = timer_fire_chan;
    if (timer_begin(t, d) != 0) {
        rn_chan_release(t->chan);
        return NULL;
    }
    return t;
}

rn_timer *rn_timer_new_func(rn_duration d, void (*fn)(void *arg), void *arg)
{
    struct rn_timer *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    t->timer.fire = timer_fire_func;
    t->fn = fn;
    t->arg = arg;
    if (timer_begin(t, d) != 0) {
        free(t);
        return NULL;
    }
    return t;
}

rn_chan(rn_time) rn_after(rn_duration d)
{
    struct rn_timer *t = rn_timer_new(d);
    return rn_timer_chan(t);
}

rn_chan(rn_time) rn_timer_chan(rn_timer *t)
{
    return (rn_chan(rn_time))(t != NULL ? t->chan : NULL);
}

int rn_timer_stop(rn_timer *t)
{
    if (t == NULL)
        return -EINVAL;
    spin_lock(&t->control);
    bool prevented = timer_halt(t);
    spin_unlock(&t->control);
    return prevented;
}

int rn_timer_reset(rn_timer *t, rn_duration d)
{
    if (t == NULL)
        return -EINVAL;
    (void)fiber_here(); /* before the lock */
    spin_lock(&t->control);
    bool prevented = timer_halt(t);
    int err = timer_begin(t, d);
    spin_unlock(&t->control);
    return err != 0 ? err : prevented;
}

void rn_timer_free(rn_timer *t)
{
    if (t == NULL)
        return;
    rn_timer_stop(t);
    if (t->chan != NULL)
        rn_chan_release(t->chan);
    else
        free(t);
}
