/*
 * Subscriptions to signals, and what is sent to them.
 *
 * The handler only counts (os/). The poller's turn calls deliver, which sends to the channels under
 * the lock: so when a subscription has been ended, nothing more arrives. Contexts are ended after
 * the lock was released, because that wakes others and may start fibers; their subscriptions were
 * taken out under it.
 *
 * Invariants: a signal has our handler exactly while a subscription wants it; poll_waiting counts 1
 * for each subscription until its last effect, so that a program that waits for a signal is not
 * taken for a dead one.
 *
 * A context's subscription keeps the context alive until the context has ended, or the runtime has.
 */
#include "chan/chan.h"
#include "sched/detail.h"
#include "sched/park.h"
#include "sched/poller.h"
#include "wait/ctx.h"

#include <errno.h>
#include <runnel/signal.h>
#include <stdlib.h>

struct subscription {
    struct list_node node; /* in signals.list while linked */
    bool linked;           /* guarded by signals.lock, as the next two */
    bool firing;           /* on_signals ends ctx, and frees this afterwards */
    uint64_t wanted;       /* bit n - 1 for signal n */
    struct rn_chan *chan;  /* retained; or NULL, and then */
    rn_ctx *ctx;           /* retained */
    struct watch watch;    /* ends the subscription with ctx */
    int number;            /* the signal that ends ctx */
};

static struct {
    SPINLOCK(lock, signals_lock); /* guards all of this; taken before a channel's and a context's */
    struct list list;
    uint64_t handle; /* the poller's, of the descriptor that wakes it; 0: not open */
} signals;

/* ---- sets ---- */

static uint64_t bit(int number)
{
    return 1ull << (number - 1);
}

/* 0 when the list is not one that can be subscribed to; a detail says why. */
static uint64_t set_of(const int *list, size_t n)
{
    uint64_t set = 0;

    if (n == 0)
        error_detail_set("no signal is named");
    for (size_t i = 0; i < n; i++) {
        if (!os_signal_valid(list[i])) {
            error_detail_set("signal %d cannot be taken", list[i]);
            return 0;
        }
        set |= bit(list[i]);
    }
    return set;
}

static uint64_t wanted_locked(void)
{
    uint64_t set = 0;
    for (struct list_node *node = signals.list.first; node != NULL; node = node->next)
        set |= container_of(node, struct subscription, node)->wanted;
    return set;
}

static void each(uint64_t set, void (*fn)(int number))
{
    for (int number = 1; number <= OS_SIGNAL_MAX; number++)
        if (set & bit(number))
            fn(number);
}

/* ---- one subscription ---- */

static void link_locked(struct subscription *s)
{
    each(s->wanted & ~wanted_locked(), os_signal_take);
    list_push_back(&signals.list, &s->node);
    s->linked = true;
    add_seq(&poll_waiting, 1);
}

/* Takes it out, and gives back what nobody else wants. poll_waiting still counts it. */
static void take_out_locked(struct subscription *s)
{
    list_remove(&signals.list, &s->node);
    s->linked = false;
    each(s->wanted & ~wanted_locked(), os_signal_give_back);
}

static void unlink_locked(struct subscription *s)
{
    take_out_locked(s);
    sub_seq(&poll_waiting, 1);
}

static void subscription_free(struct subscription *s)
{
    rn_chan_release(s->chan);
    rn_ctx_drop(s->ctx);
    free(s);
}

static struct subscription *find_locked(const struct rn_chan *chan)
{
    for (struct list_node *node = signals.list.first; node != NULL; node = node->next) {
        struct subscription *s = container_of(node, struct subscription, node);
        if (s->chan == chan)
            return s;
    }
    return NULL;
}

/* ---- delivery ---- */

/* Sends one signal to every channel; moves the contexts it ends to `ended`. */
static void deliver_one(int number, uint32_t times, struct list *ended)
{
    struct list_node *next;

    spin_lock(&signals.lock);
    for (struct list_node *node = signals.list.first; node != NULL; node = next) {
        struct subscription *s = container_of(node, struct subscription, node);
        next = node->next;
        if (!(s->wanted & bit(number)))
            continue;
        for (uint32_t i = 0; s->chan != NULL && i < times; i++)
            if (rn_chan_try_send(s->chan, &number) != 0)
                break; /* no room, or closed: this channel misses it */
        if (s->ctx != NULL) {
            take_out_locked(s);
            s->firing = true;
            s->number = number;
            list_push_back(ended, &s->node);
        }
    }
    spin_unlock(&signals.lock);
}

static void end_contexts(struct list *ended)
{
    struct list_node *node;

    while ((node = list_pop_front(ended)) != NULL) {
        struct subscription *s = container_of(node, struct subscription, node);
        rn_ctx_cancel(s->ctx, RN_ESIGNAL - s->number); /* when it returns, the watch has fired */
        sub_seq(&poll_waiting, 1); /* not before: who waits for ctx would look dead */
        subscription_free(s);
    }
}

static void stop_all(void)
{
    struct list_node *node;

    os_signal_detach();
    signals.handle = 0;
    while ((node = list_pop_front(&signals.list)) != NULL) {
        struct subscription *s = container_of(node, struct subscription, node);
        if (s->ctx != NULL)
            ctx_unwatch(&s->watch);
        subscription_free(s);
    }
}

/* Called by the poller; at the end of the runtime with stopping, when no worker runs any more. */
static void on_signals(bool stopping)
{
    struct list ended = {0};

    if (stopping) {
        stop_all();
        return;
    }
    os_signal_drain();
    for (int number = 1; number <= OS_SIGNAL_MAX; number++) {
        uint32_t times = os_signal_count(number);
        if (times != 0)
            deliver_one(number, times, &ended);
    }
    end_contexts(&ended);
}

/* ---- subscribing ---- */

/* Makes sure that signals wake the poller. */
static int open_event(void)
{
    int err = 0;

    fiber_here(); /* starts the runtime, and with it the poller */
    spin_lock(&signals.lock);
    if (signals.handle == 0) {
        int fd = os_signal_open();
        err = fd < 0 ? fd : poll_open(&signals.handle, fd, 0, on_signals);
        if (fd >= 0 && err != 0) {
            signals.handle = 0;
            os_signal_detach();
            os_fd_close(fd);
        }
    }
    spin_unlock(&signals.lock);
    if (err != 0)
        error_detail_set("signals cannot be watched: %s", rn_strerror(err));
    return err;
}

static int prepare(uint64_t *set, const int *list, size_t n, struct subscription **out)
{
    *set = set_of(list, n);
    if (*set == 0)
        return -EINVAL;
    int err = open_event();
    if (err != 0)
        return err;
    *out = calloc(1, sizeof **out);
    return *out == NULL ? -ENOMEM : 0;
}

int rn_signal_notify_n(struct rn_chan *ch, const int *list, size_t n)
{
    struct subscription *s;
    uint64_t set;

    if (ch == NULL)
        return -EINVAL;
    if (ch->element_size != sizeof(int)) {
        error_detail_set("signals are sent to a channel of int");
        return -EINVAL;
    }
    int err = prepare(&set, list, n, &s);
    if (err != 0)
        return err;
    spin_lock(&signals.lock);
    struct subscription *old = find_locked(ch);
    if (old != NULL) {
        each(set & ~wanted_locked(), os_signal_take);
        old->wanted |= set;
    } else {
        s->chan = rn_chan_retain(ch);
        s->wanted = set;
        link_locked(s);
    }
    spin_unlock(&signals.lock);
    if (old != NULL)
        free(s);
    return 0;
}

int rn_signal_stop_untyped(struct rn_chan *ch)
{
    spin_lock(&signals.lock);
    struct subscription *s = ch != NULL ? find_locked(ch) : NULL;
    if (s != NULL)
        unlink_locked(s);
    spin_unlock(&signals.lock);
    if (s == NULL)
        return -ENOENT;
    subscription_free(s);
    return 0;
}

/* ---- ignoring and resetting ---- */

/*
 * Takes signals from every subscription. Who wants nothing any more goes, a context's when it ends.
 */
static void withdraw_locked(uint64_t set, struct list *gone)
{
    struct list_node *next;

    for (struct list_node *node = signals.list.first; node != NULL; node = next) {
        struct subscription *s = container_of(node, struct subscription, node);
        next = node->next;
        s->wanted &= ~set;
        if (s->wanted == 0) {
            unlink_locked(s);
            if (s->chan != NULL)
                list_push_back(gone, &s->node);
        }
    }
}

static int withdraw(const int *list, size_t n, void (*then)(int number))
{
    struct list gone = {0};
    struct list_node *node;
    uint64_t set = set_of(list, n);

    if (set == 0)
        return -EINVAL;
    spin_lock(&signals.lock);
    withdraw_locked(set, &gone);
    each(set, then);
    spin_unlock(&signals.lock);
    while ((node = list_pop_front(&gone)) != NULL)
        subscription_free(container_of(node, struct subscription, node));
    return 0;
}

int rn_signal_ignore_n(const int *list, size_t n)
{
    return withdraw(list, n, os_signal_ignore);
}

int rn_signal_reset_n(const int *list, size_t n)
{
    return withdraw(list, n, os_signal_give_back);
}

/* ---- contexts ---- */

/* ctx has ended, by a signal or otherwise. */
static void context_ended(struct watch *watch, int err)
{
    struct subscription *s = container_of(watch, struct subscription, watch);

    (void)err;
    spin_lock(&signals.lock);
    if (s->linked)
        unlink_locked(s);
    bool firing = s->firing;
    spin_unlock(&signals.lock);
    if (!firing)
        subscription_free(s);
}

/* Both under one lock: neither a signal nor the end of ctx finds half a subscription. */
static void subscribe_context(struct subscription *s)
{
    spin_lock(&signals.lock);
    bool runs = ctx_watch(s->ctx, &s->watch, context_ended) == 0;
    if (runs)
        link_locked(s);
    spin_unlock(&signals.lock);
    if (!runs)
        subscription_free(s); /* it was born ended */
}

rn_ctx *rn_ctx_with_signals_n(rn_ctx *parent, const int *list, size_t n)
{
    struct subscription *s;
    uint64_t set;

    int err = prepare(&set, list, n, &s);
    if (err != 0)
        return NULL;
    rn_ctx *ctx = rn_ctx_with_cancel(parent);
    if (ctx == NULL) {
        free(s);
        return NULL;
    }
    s->ctx = rn_ctx_retain(ctx);
    s->wanted = set;
    subscribe_context(s);
    return ctx;
}
