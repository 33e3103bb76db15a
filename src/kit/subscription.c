/*
 * Subscriptions: subscribing, receiving, ending. The parts are in pubsub_parts.h.
 *
 * While messages wait, a receiver reads the next slot and writes `taken`, and that is all. Only
 * when it finds nothing, or when something out of the ordinary is to be done (SLOW_ bits), does it
 * take the publishers' lock. To wait it leaves word there and receives from its bell.
 *
 * Compiled with the public headers only.
 */
#include "pubsub_parts.h"

#include <runnel/fiber.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER_MAX 16777216
#define BUFFER_DEFAULT 64
#define COURTESY 64 /* a fiber that receives without a pause lets others run each so many times */

/* ---- receiving ---- */

static void give(rn_message *out, const struct message *m, uint64_t missed, bool replayed)
{
    out->topic = m->topic->text;
    out->data = m->data;
    out->size = m->size;
    out->payload = m->payload;
    out->number = m->number;
    out->missed = missed;
    out->replayed = replayed;
}

static unsigned slow_of(rn_subscription *sub)
{
    return atomic_load_explicit(&sub->slow, memory_order_relaxed);
}

static void slow_set(rn_subscription *sub, unsigned bit)
{
    atomic_fetch_or_explicit(&sub->slow, bit, memory_order_relaxed);
}

static void slow_clear(rn_subscription *sub, unsigned bit)
{
    atomic_fetch_and_explicit(&sub->slow, ~bit, memory_order_relaxed);
}

__attribute__((noinline)) static void tell_blocked(rn_subscription *sub)
{
    rn_mutex_lock(&sub->ps->lock);
    subscription_room_locked(sub);
    pubsub_leave(sub->ps);
}

/*
 * The next message, if one waits and nothing else is to be done. The slots up to taken are the
 * publishers' again but for the last, which is the one that is given here.
 */
static inline bool take_quickly(rn_subscription *sub, rn_message *out)
{
    uint64_t taken = atomic_load_explicit(&sub->taken, memory_order_relaxed);
    struct slot *slot;

    if (slow_of(sub) != 0)
        return false;
    if (taken == sub->tail_seen) {
        sub->tail_seen = atomic_load_explicit(&sub->tail, memory_order_acquire);
        if (taken == sub->tail_seen)
            return false;
    }
    slot = subscription_slot(sub, taken);
    give(out, slot->message, slot->missed, false);
    if (sub->when_full != RN_BLOCK_PUBLISHER) {
        atomic_store_explicit(&sub->taken, taken + 1, memory_order_release);
    } else { /* sequentially consistent: see await_room_locked */
        atomic_store(&sub->taken, taken + 1);
        if (atomic_load(&sub->blocking))
            tell_blocked(sub);
    }
    if (taken % COURTESY == COURTESY - 1 && rn_fiber_id() != 0)
        rn_yield();
    return true;
}

/* All that was received is finished with: the receiver has come again. */
static void finish_received_locked(rn_subscription *sub)
{
    uint64_t taken = subscription_clean_locked(sub);

    if (sub->clean != taken)
        message_drop_locked(sub->ps, subscription_slot(sub, sub->clean++)->message);
    if (sub->borrowed != NULL)
        message_drop_locked(sub->ps, sub->borrowed);
    sub->borrowed = NULL;
}

static bool has_more_locked(rn_subscription *sub)
{
    return sub->replay_next != sub->replay_count ||
           atomic_load_explicit(&sub->taken, memory_order_relaxed) !=
               atomic_load_explicit(&sub->tail, memory_order_relaxed);
}

static void replay_free_locked(rn_subscription *sub)
{
    while (sub->replay_next < sub->replay_count)
        message_drop_locked(sub->ps, sub->replay[sub->replay_next++]);
    free(sub->replay);
    sub->replay = NULL;
    sub->replay_next = sub->replay_count = 0;
    slow_clear(sub, SLOW_REPLAY);
}

static void take_replayed_locked(rn_subscription *sub, rn_message *out)
{
    sub->borrowed = sub->replay[sub->replay_next++];
    sub->replayed++;
    give(out, sub->borrowed, 0, true);
    if (sub->replay_next == sub->replay_count)
        replay_free_locked(sub);
}

static void take_buffered_locked(rn_subscription *sub, rn_message *out)
{
    uint64_t taken = atomic_load_explicit(&sub->taken, memory_order_relaxed);
    struct slot *slot = subscription_slot(sub, taken);

    sub->borrowed = slot->message;
    give(out, slot->message, slot->missed, false);
    if (sub->limit_bytes != 0)
        sub->bytes -= slot->message->size;
    sub->clean = sub->counted = taken + 1;
    sub->tail_seen = atomic_load_explicit(&sub->tail, memory_order_relaxed);
    atomic_store(&sub->taken, taken + 1);
}

/* Nobody will receive what is buffered. */
static void discard_locked(rn_subscription *sub)
{
    uint64_t tail = atomic_load_explicit(&sub->tail, memory_order_relaxed);

    finish_received_locked(sub);
    replay_free_locked(sub);
    sub->discarded += tail - sub->clean;
    while (sub->clean != tail)
        message_drop_locked(sub->ps, subscription_slot(sub, sub->clean++)->message);
    sub->counted = sub->tail_seen = tail;
    sub->bytes = 0;
    atomic_store(&sub->taken, tail);
}

/* Keeps the bell right for a select: rung when there is something, quiet when there is nothing. */
static void settle_bell_locked(rn_subscription *sub)
{
    if (has_more_locked(sub)) {
        (void)rn_chan_try_send(sub->bell, "");
        return;
    }
    (void)rn_chan_try_recv(sub->bell, (void *)"");
    sub->waiting = true;
}

/* 0, the code of the end, or -EAGAIN. */
static int take_locked(rn_subscription *sub, rn_message *out)
{
    int err = 0;

    if (slow_of(sub) & SLOW_DISCARD)
        discard_locked(sub);
    else
        finish_received_locked(sub);
    if (sub->replay_next != sub->replay_count)
        take_replayed_locked(sub, out);
    else if (has_more_locked(sub))
        take_buffered_locked(sub, out);
    else
        err = atomic_load_explicit(&sub->ended, memory_order_relaxed);
    if (err == 0 && sub->borrowed == NULL)
        err = -EAGAIN;
    subscription_room_locked(sub);
    if (slow_of(sub) & SLOW_SELECTED)
        settle_bell_locked(sub);
    return err;
}

static void check_alone(rn_subscription *sub)
{
    if (!(slow_of(sub) & SLOW_RECEIVING))
        return;
    fprintf(stderr, "runnel: two receive at once from the subscription to \"%s\"\n", sub->text);
    abort();
}

/* With the lock. */
static int take_slowly(rn_subscription *sub, rn_message *out, bool waits)
{
    int err;

    rn_mutex_lock(&sub->ps->lock);
    check_alone(sub);
    err = take_locked(sub, out);
    if (err == -EAGAIN && waits) {
        sub->waiting = true;
        slow_set(sub, SLOW_RECEIVING);
    }
    pubsub_leave(sub->ps);
    return err;
}

/* Waits for the bell. RN_ECLOSED of it means that the subscription has ended: a reason to look. */
static int await_bell(rn_ctx *ctx, rn_subscription *sub)
{
    int err = rn_chan_recv(ctx, sub->bell, (void *)"");

    slow_clear(sub, SLOW_RECEIVING);
    return err == RN_ECLOSED ? 0 : err;
}

int rn_subscription_recv(rn_ctx *ctx, rn_subscription *sub, rn_message *message)
{
    int err = ctx == NULL ? 0 : rn_ctx_err(ctx);

    while (err == 0 && !take_quickly(sub, message)) {
        err = take_slowly(sub, message, true);
        if (err != -EAGAIN)
            return err;
        err = await_bell(ctx, sub);
    }
    return err;
}

int rn_subscription_try_recv(rn_subscription *sub, rn_message *message)
{
    return take_quickly(sub, message) ? 0 : take_slowly(sub, message, false);
}

/*
 * The bell is right when nothing waits: `waiting` is set, and who publishes rings it. When
 * something does, a select may have heard the bell and received nothing.
 */
struct rn_chan *rn_subscription_ready(rn_subscription *sub)
{
    uint64_t taken = atomic_load_explicit(&sub->taken, memory_order_relaxed);

    if (slow_of(sub) == SLOW_SELECTED &&
        atomic_load_explicit(&sub->tail, memory_order_relaxed) == taken)
        return sub->bell;
    rn_mutex_lock(&sub->ps->lock);
    slow_set(sub, SLOW_SELECTED);
    settle_bell_locked(sub);
    pubsub_leave(sub->ps);
    return sub->bell;
}

/* ---- making ---- */

static int check_buffer(const rn_subscription_config *c)
{
    if (c->buffer > BUFFER_MAX)
        return rn_error_with(-EINVAL, "subscription: .buffer is %zu: allowed are 1 to %d",
                             c->buffer, BUFFER_MAX);
    if ((unsigned)c->when_full > RN_DISCONNECT)
        return rn_error_with(-EINVAL, "subscription: .when_full is %d: it is none of the four",
                             (int)c->when_full);
    if (c->block_for < 0)
        return rn_error_with(
            -EINVAL, "subscription: .block_for is %" PRId64 ": allowed are 1 ns to RN_FOREVER",
            c->block_for);
    if (c->block_for != 0 && c->when_full != RN_BLOCK_PUBLISHER)
        return rn_error_with(-EINVAL, "subscription: .block_for is for RN_BLOCK_PUBLISHER only");
    return 0;
}

static int check_config(const rn_pubsub *ps, const rn_subscription_config *c)
{
    int err = check_buffer(c);

    if (err != 0)
        return err;
    if (c->replay > ps->config.retain)
        return rn_error_with(-EINVAL, "subscription: .replay is %zu: the pubsub's .retain is %zu",
                             c->replay, ps->config.retain);
    if (c->replay != 0 && c->queue != NULL)
        return rn_error_with(-EINVAL, "subscription: .replay is not for members of a .queue");
    if (c->queue != NULL && c->queue[0] == '\0')
        return rn_error_with(-EINVAL, "subscription: .queue is empty: allowed is any other text");
    return 0;
}

static void describe(const rn_exhibit *exhibit, char *text, size_t size)
{
    rn_subscription *sub = (rn_subscription *)((char *)(uintptr_t)exhibit -
                                               offsetof(rn_subscription, exhibit));
    uint64_t taken = atomic_load_explicit(&sub->taken, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&sub->tail, memory_order_relaxed);

    snprintf(text, size, "%.100s: %" PRIu64 " of %zu buffered, %" PRIu64 " dropped", sub->text,
             tail > taken ? tail - taken : 0, sub->limit, count_read(&sub->dropped));
}

/* The memory alone. */
static void subscription_destroy(rn_subscription *sub)
{
    rn_chan_release(sub->bell);
    free(sub->slots);
    free(sub);
}

void subscription_drop_locked(rn_subscription *sub)
{
    if (--sub->uses == 0)
        subscription_destroy(sub);
}

/* A power of 2 that leaves one to spare. */
static uint64_t slots_for(size_t limit)
{
    uint64_t slots = 2;

    while (slots < (uint64_t)limit + 1)
        slots *= 2;
    return slots;
}

static void configure(rn_subscription *sub, const rn_subscription_config *c)
{
    sub->limit = c->buffer == 0 ? BUFFER_DEFAULT : c->buffer;
    sub->slot_mask = slots_for(sub->limit) - 1;
    sub->limit_bytes = c->buffer_bytes;
    sub->when_full = c->when_full;
    sub->block_for = c->block_for == 0 ? RN_SECOND : c->block_for;
    sub->name = c->name;
    sub->exhibit = (rn_exhibit){.kind = "subscription", .name = c->name, .describe = describe};
    atomic_init(&sub->slow, c->when_full == RN_DROP_OLDEST ? SLOW_LOCKED : 0);
}

static rn_subscription *subscription_make(rn_pubsub *ps, const struct topic_text *pattern,
                                          const rn_subscription_config *c)
{
    size_t size = offsetof(rn_subscription, text) + pattern->length + 1;
    size_t lines = (size + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
    rn_subscription *sub;

    if (lines < sizeof *sub)
        lines = sizeof *sub;
    sub = aligned_alloc(LINE_BYTES, lines);
    if (sub == NULL)
        return NULL;
    memset(sub, 0, lines);
    sub->ps = ps;
    sub->uses = 1;
    memcpy(sub->text, pattern->text, pattern->length);
    sub->pattern = *pattern;
    sub->pattern.text = sub->text;
    configure(sub, c);
    sub->slots = calloc(sub->slot_mask + 1, sizeof *sub->slots);
    if (sub->slots != NULL &&
        rn_chan_new(&sub->bell, 0, &(rn_chan_options){.capacity = 1, .name = c->name}) == 0)
        return sub;
    subscription_destroy(sub);
    return NULL;
}

/* ---- queue groups; under changes ---- */

static struct queue_group *group_join(rn_pubsub *ps, const char *name)
{
    struct queue_group *group = ps->groups;

    while (group != NULL && strcmp(group->name, name) != 0)
        group = group->next;
    if (group == NULL) {
        group = calloc(1, sizeof *group + strlen(name) + 1);
        if (group == NULL)
            return NULL;
        memcpy(group->name, name, strlen(name));
        group->next = ps->groups;
        ps->groups = group;
    }
    group->members++;
    return group;
}

static void group_leave(rn_pubsub *ps, struct queue_group *group)
{
    struct queue_group **at = &ps->groups;

    if (group == NULL || --group->members != 0)
        return;
    while (*at != group)
        at = &(*at)->next;
    *at = group->next;
    free(group);
}

/* ---- subscribing ---- */

/* The moment from which on messages are received. */
static void begin_locked(rn_pubsub *ps, rn_subscription *sub, struct tree_change *change)
{
    tree_commit(change);
    ps->changed++;
    sub->since = count_read(&ps->published);
    sub->next = ps->subscriptions;
    if (sub->next != NULL)
        sub->next->prev = sub;
    ps->subscriptions = sub;
    count_up(&ps->subscription_count, 1);
    atomic_fetch_add_explicit(&ps->uses, 1, memory_order_relaxed);
    if (ps->closed)
        subscription_end_locked(sub, RN_ECLOSED);
}

/* Under changes: hangs it into the tree. *dead is for after them. */
static int link_in(rn_pubsub *ps, rn_subscription *sub, const char *queue, struct message **dead)
{
    struct tree_change change;

    if (queue != NULL && (sub->group = group_join(ps, queue)) == NULL)
        return -ENOMEM;
    if (tree_add(&ps->tree, &sub->pattern, sub, &change) != 0) {
        group_leave(ps, sub->group);
        return -ENOMEM;
    }
    rn_mutex_lock(&ps->lock);
    begin_locked(ps, sub, &change);
    *dead = pubsub_unlock(ps);
    tree_finish(&change);
    return 0;
}

/* Gets the retained messages from before it began; what came since waits in the buffer. */
static int get_replay(rn_pubsub *ps, rn_subscription *sub, size_t n)
{
    struct message **messages;
    size_t count;
    int err = table_replay(ps, &sub->pattern, n, sub->since, &messages, &count);

    rn_mutex_lock(&ps->lock);
    sub->replay = messages;
    sub->replay_count = count;
    if (count != 0)
        slow_set(sub, SLOW_REPLAY);
    pubsub_leave(ps);
    return err;
}

/* What is left to do when it is in the tree. */
static int begin(rn_pubsub *ps, rn_subscription *sub, size_t replay)
{
    if (sub->name != NULL)
        rn_exhibit_show(&sub->exhibit);
    if (atomic_load_explicit(&sub->ended, memory_order_relaxed) != 0)
        return RN_ECLOSED;
    return replay == 0 ? 0 : get_replay(ps, sub, replay);
}

int rn_subscribe(rn_pubsub *ps, const char *pattern, const rn_subscription_config *config,
                 rn_subscription **out)
{
    static const rn_subscription_config defaults;
    const rn_subscription_config *c = config == NULL ? &defaults : config;
    struct message *dead = NULL;
    struct topic_text text;
    rn_subscription *sub;
    int err = topic_read(&text, pattern, true);

    *out = NULL;
    if (err == 0)
        err = check_config(ps, c);
    if (err != 0)
        return err;
    sub = subscription_make(ps, &text, c);
    if (sub == NULL)
        return -ENOMEM;
    rn_mutex_lock(&ps->changes);
    err = link_in(ps, sub, c->queue, &dead);
    rn_mutex_unlock(&ps->changes);
    messages_free(dead);
    if (err != 0) {
        subscription_destroy(sub);
        return err;
    }
    err = begin(ps, sub, c->replay);
    if (err == 0)
        *out = sub;
    else
        rn_subscription_free(sub);
    return err;
}

/* ---- ending ---- */

static int end_with(rn_subscription *sub, bool discard)
{
    int before;

    rn_mutex_lock(&sub->ps->lock);
    before = atomic_load_explicit(&sub->ended, memory_order_relaxed);
    subscription_end_locked(sub, RN_ECLOSED);
    if (discard)
        slow_set(sub, SLOW_DISCARD);
    pubsub_leave(sub->ps);
    return before;
}

int rn_unsubscribe(rn_subscription *sub)
{
    return end_with(sub, true);
}

int rn_subscription_drain(rn_subscription *sub)
{
    return end_with(sub, false);
}

static void unlink_locked(rn_pubsub *ps, rn_subscription *sub, struct tree_change *change)
{
    tree_commit(change);
    ps->changed++;
    *(sub->prev == NULL ? &ps->subscriptions : &sub->prev->next) = sub->next;
    if (sub->next != NULL)
        sub->next->prev = sub->prev;
    count_up(&ps->subscription_count, UINT64_MAX);
    discard_locked(sub);
}

void rn_subscription_free(rn_subscription *sub)
{
    struct tree_change change;
    struct message *dead;
    rn_pubsub *ps;

    if (sub == NULL)
        return;
    ps = sub->ps;
    rn_unsubscribe(sub);
    if (sub->name != NULL)
        rn_exhibit_hide(&sub->exhibit);
    rn_mutex_lock(&ps->changes);
    tree_remove(&ps->tree, &sub->pattern, sub, &change);
    rn_mutex_lock(&ps->lock);
    unlink_locked(ps, sub, &change);
    group_leave(ps, sub->group);
    subscription_drop_locked(sub);
    dead = pubsub_unlock(ps);
    tree_finish(&change);
    rn_mutex_unlock(&ps->changes);
    messages_free(dead);
    pubsub_drop(ps);
}

void rn_subscription_stats_read(rn_subscription *sub, rn_subscription_stats *out)
{
    uint64_t taken, tail;

    rn_mutex_lock(&sub->ps->lock);
    tail = atomic_load_explicit(&sub->tail, memory_order_relaxed);
    taken = atomic_load_explicit(&sub->taken, memory_order_relaxed);
    *out = (rn_subscription_stats){
        .offered = count_read(&sub->offered),
        .replayed = sub->replayed,
        .dropped = count_read(&sub->dropped),
        .discarded = sub->discarded + sub->turned_away,
        .lags = count_read(&sub->lags),
        .buffered = tail - taken,
        .awaited = sub->awaited,
        .ended = atomic_load_explicit(&sub->ended, memory_order_relaxed),
    };
    out->received = taken - sub->dropped_oldest - sub->discarded;
    for (; taken != tail; taken++)
        out->buffered_bytes += subscription_slot(sub, taken)->message->size;
    pubsub_leave(sub->ps);
}
