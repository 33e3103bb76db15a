/*
 * Tickers: a timer that comes again. Locks and lifetime are those of timer.c.
 *
 * A skipping ticker keeps its timer armed and drops what the channel has no room for. The other two
 * policies have no timer armed while a tick is unreceived: the receive arms it for the next one, in
 * the past if that is late already (burst), or a period from then (delay). So they need no count of
 * ticks owed.
 *
 * A tick's value is the time for which it was due, not the moment at which it came.
 *
 * The receive hook of an old tick may come late, after a stop and a reset. Then it may arm the
 * timer too early; the fire finds the channel full, and the next receive arms it again: a tick is
 * neither lost nor doubled.
 */
#include "base/spinlock.h"
#include "chan/time_chan.h"
#include "sched/timer.h"

#include <errno.h>
#include <runnel/time.h>

enum ticker_state {
    TICKER_STOPPED,
    TICKER_ARMED,
    TICKER_SENDING,  /* fire is between taking the tick and having sent it */
    TICKER_RECEIVED, /* the same, and it has been received already */
    TICKER_SENT      /* not armed: waits for the tick to be received */
};

struct rn_ticker {
    SPINLOCK(control, timer_control); /* one stop or reset at a time; not taken by fire */
    /* guards state and due, and who arms; a leaf but for the timer's heap */
    SPINLOCK(lock, timer_lock);
    struct timer timer;
    enum ticker_state state;
    rn_time due;        /* the next tick, or the one being sent */
    rn_duration period; /* written while stopped, under control */
    rn_tick_policy policy;
    struct rn_chan *chan;
};

/* With lock held. Not being able to tick again is an end, and said so: the channel closes. */
static int arm_next(struct rn_ticker *t)
{
    int err = timer_arm(&t->timer, t->due);
    t->state = err == 0 ? TICKER_ARMED : TICKER_STOPPED;
    return err;
}

static void close_if(struct rn_chan *chan, int err)
{
    if (err != 0)
        rn_chan_close_with(chan, err);
}

/* With lock held: the tick was received. */
static int go_on(struct rn_ticker *t)
{
    if (t->policy == RN_TICK_DELAY)
        t->due = rn_time_add(rn_now(), t->period);
    return arm_next(t);
}

/* The latest time on the grid that is not after now. */
static rn_time grid_at(const struct rn_ticker *t, rn_time now)
{
    return now <= t->due ? t->due : t->due + (now - t->due) / t->period * t->period;
}

static void fire_skip(struct timer *timer)
{
    struct rn_ticker *t = container_of(timer, struct rn_ticker, timer);
    int err = 0;

    spin_lock(&t->lock);
    rn_time due = grid_at(t, rn_now());
    spin_unlock(&t->lock);
    rn_chan_try_send(t->chan, &due);
    spin_lock(&t->lock);
    if (t->state != TICKER_STOPPED) {
        t->due = rn_time_add(due, t->period);
        err = arm_next(t);
    }
    spin_unlock(&t->lock);
    /* then the timer is not armed: t->chan lasts until stop has waited for this fire */
    if (err != 0)
        close_if(t->chan, err);
}

static bool begin_sending(struct rn_ticker *t, rn_time *due)
{
    spin_lock(&t->lock);
    bool running = t->state != TICKER_STOPPED;
    if (running)
        t->state = TICKER_SENDING;
    *due = t->due;
    spin_unlock(&t->lock);
    return running;
}

static void fire_await(struct timer *timer)
{
    struct rn_ticker *t = container_of(timer, struct rn_ticker, timer);
    rn_time due;
    int err = 0;

    if (!begin_sending(t, &due))
        return;
    bool sent = rn_chan_try_send(t->chan, &due) == 0;
    spin_lock(&t->lock);
    if (sent && t->policy == RN_TICK_BURST)
        t->due = rn_time_add(due, t->period);
    if (t->state == TICKER_SENDING)
        t->state = TICKER_SENT;
    else if (t->state == TICKER_RECEIVED)
        err = go_on(t);
    spin_unlock(&t->lock);
    if (err != 0)
        close_if(t->chan, err);
}

/* Somebody received from the channel. */
static void received(struct rn_chan *chan)
{
    struct rn_ticker *t = chan->owner;
    int err = 0;

    spin_lock(&t->lock);
    if (t->state == TICKER_SENDING)
        t->state = TICKER_RECEIVED;
    else if (t->state == TICKER_SENT && rn_chan_len(chan) == 0)
        err = go_on(t);
    spin_unlock(&t->lock);
    close_if(chan, err);
}

/* Under control. */
static void ticker_halt(struct rn_ticker *t)
{
    spin_lock(&t->lock);
    t->state = TICKER_STOPPED;
    spin_unlock(&t->lock);
    timer_stop(&t->timer);
    time_chan_take_back(t->chan);
}

/* Under control, halted. */
static int ticker_begin(struct rn_ticker *t, rn_duration period)
{
    spin_lock(&t->lock);
    t->period = period;
    t->due = rn_time_add(rn_now(), period);
    int err = arm_next(t);
    spin_unlock(&t->lock);
    return err;
}

int rn_ticker_new(rn_ticker **out, rn_duration period)
{
    return rn_ticker_new_with(out, period, RN_TICK_SKIP);
}

int rn_ticker_new_with(rn_ticker **out, rn_duration period, rn_tick_policy policy)
{
    if (period <= 0 || (unsigned)policy > RN_TICK_DELAY)
        return -EINVAL;
    struct rn_chan *chan;
    bool skip = policy == RN_TICK_SKIP;
    struct rn_ticker *t = time_chan_new(&chan, sizeof *t, NULL, skip ? NULL : received);
    if (t == NULL)
        return -ENOMEM;
    t->chan = chan;
    t->policy = policy;
    t->timer.fire = skip ? fire_skip : fire_await;
    int err = ticker_begin(t, period);
    if (err != 0)
        rn_chan_release(t->chan); /* t too */
    else
        *out = t;
    return err;
}

rn_chan(rn_time) rn_ticker_chan(rn_ticker *t)
{
    return (rn_chan(rn_time))(t != NULL ? t->chan : NULL);
}

int rn_ticker_stop(rn_ticker *t)
{
    if (t == NULL)
        return -EINVAL;
    spin_lock(&t->control);
    ticker_halt(t);
    spin_unlock(&t->control);
    return 0;
}

int rn_ticker_reset(rn_ticker *t, rn_duration period)
{
    if (t == NULL || period <= 0)
        return -EINVAL;
    (void)fiber_here(); /* before the lock */
    spin_lock(&t->control);
    ticker_halt(t);
    int err = ticker_begin(t, period);
    spin_unlock(&t->control);
    return err;
}

void rn_ticker_free(rn_ticker *t)
{
    if (t == NULL)
        return;
    rn_ticker_stop(t);
    rn_chan_release(t->chan);
}
