/*
 * Select: waiting in every queue at once, and leaving no trace.
 *
 * Whoever sets winner first has woken the select. A channel's peer does so under the channel's
 * lock, which the select holds until it has left its stack. Timers and contexts hold no such lock:
 * they wait for `parked`, which is set last thing on the other side; so does the select before it
 * goes on, for the unlocking reads its stack.
 */
#include "chan/select.h"

#include "chan/lock_order.h"

/* ---- locks ---- */

void select_lock(struct select_run *run)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < run->n; i++)
        if (case_is_channel(&run->cases[i]))
            run->locks[count++] = &run->cases[i].chan->lock;
    run->lock_count = lock_order(run->locks, count);
    for (uint32_t i = 0; i < run->lock_count; i++)
        spin_lock_in_order(run->locks[i], chan_lock);
}

void select_unlock(struct select_run *run)
{
    uint32_t count = run->lock_count;
    for (uint32_t i = 0; i < count; i++) {
        WALK(count, chan_walk(container_of(run->locks[i], struct rn_chan, lock)));
        spin_unlock(run->locks[i]);
    }
}

static void commit(void *arg)
{
    struct select_run *run = arg;
    select_unlock(run);
    store_release(&run->wait.parked, 1); /* E9: nothing of run is read after this */
}

/* ---- wakers that hold no lock of the select ---- */

static void wake_from_outside(struct select_wait *wait, int32_t winner)
{
    if (select_claim(wait, winner)) {
        select_wait_parked(wait);
        ready(wait->fiber);
    }
}

static void interrupt(struct wait *wait, int err)
{
    wake_from_outside(container_of(wait, struct select_wait, wait), err);
}

static void timer_fire(struct timer *timer)
{
    struct select_run *run = container_of(timer, struct select_run, timer);
    wake_from_outside(&run->wait, run->timeout_index);
}

static void done_fire(struct watch *watch, int err)
{
    struct select_done *done = container_of(watch, struct select_done, watch);
    (void)err;
    wake_from_outside(&done->run->wait, (int32_t)done->index);
    watch_fired(watch);
}

/* ---- entering and leaving the queues ---- */

static void enqueue(struct select_run *run, struct fiber *self)
{
    for (uint32_t i = 0; i < run->n; i++) {
        rn_case *c = &run->cases[i];
        struct waiter *w = &run->waiters[i];
        if (!case_is_channel(c))
            continue;
        w->fiber = self;
        w->lock = &c->chan->lock;
        w->value = select_place(run, i);
        w->select = &run->wait;
        w->index = i;
        waitq_enqueue(c->kind == RN_CASE_SEND ? &c->chan->senders : &c->chan->receivers, w);
        chan_publish_ready(c->chan);
    }
}

static void dequeue(struct select_run *run, int winner)
{
    for (uint32_t i = 0; i < run->n; i++) {
        rn_case *c = &run->cases[i];
        struct waiter *w = &run->waiters[i];
        if (!case_is_channel(c) || (int)i == winner)
            continue;
        spin_lock(&c->chan->lock);
        if (w->linked)
            waitq_remove(w);
        chan_unlock(c->chan);
    }
}

/*
 * Watches the contexts of done cases. Returns the index of one that has ended already, or
 * SELECT_NONE.
 */
static int watch_dones(struct select_run *run)
{
    int ended = SELECT_NONE;

    for (uint32_t i = 0; run->dones != NULL && i < run->n; i++) {
        struct select_done *done = &run->dones[i];
        rn_case *c = &run->cases[i];
        done->run = run;
        done->index = i;
        done->watched = false;
        if (c->kind != RN_CASE_DONE || c->ctx == NULL)
            continue;
        done->watched = ctx_watch(c->ctx, &done->watch, done_fire) == 0;
        if (!done->watched)
            ended = (int)i;
    }
    return ended;
}

static void unwatch_dones(struct select_run *run)
{
    for (uint32_t i = 0; run->dones != NULL && i < run->n; i++)
        if (run->dones[i].watched)
            ctx_unwatch(&run->dones[i].watch);
}

static int arm(struct select_run *run)
{
    return run->until == RN_FOREVER ? 0 : timer_arm(&run->timer, run->until);
}

int select_park(struct select_run *run, rn_ctx *ctx)
{
    struct fiber *self = fiber_here();
    struct ctx_wait cw;
    enum wait_reason reason = run->n == 0 ? WAIT_SELECT_EMPTY : WAIT_SELECT;

    run->wait.wait.interrupt = interrupt;
    run->wait.fiber = self;
    store_relaxed(&run->wait.winner, SELECT_PENDING);
    store_relaxed(&run->wait.parked, 0);
    run->timer = (struct timer){.fire = timer_fire};
    enqueue(run, self);
    int now = run->has_fd ? select_fd_enqueue(run, self) : SELECT_NONE;
    int ended = watch_dones(run);
    if (ended != SELECT_NONE)
        now = ended;
    int err = ctx_wait_begin(&cw, ctx, self, &run->wait.wait);
    if (err == 0)
        err = arm(run);
    if (err == 0)
        err = now == SELECT_NONE ? 0 : SELECT_PENDING;
    if (err != 0 && select_claim(&run->wait, err == SELECT_PENDING ? now : err))
        commit(run); /* over before it began: nobody will wake us */
    else
        park(commit, run, reason);
    select_wait_parked(&run->wait);
    int winner = load_relaxed(&run->wait.winner);
    dequeue(run, winner);
    if (run->has_fd)
        select_fd_dequeue(run, winner);
    timer_stop(&run->timer);
    unwatch_dones(run);
    ctx_wait_end(&cw);
    if (winner >= 0 && case_is_channel(&run->cases[winner]))
        select_fired(run, (uint32_t)winner, run->waiters[winner].result);
    return winner;
}
