/*
 * Publish-subscribe: the object, and publishing. The parts are in pubsub_parts.h.
 *
 * Publishers take one lock in turn. What they do under it is a few plain instructions for each
 * subscriber: a push needs no locked instruction, because publishers exclude each other and a
 * receiver that has something to take does not come here. A topic's subscribers are found once,
 * and again only after somebody subscribed or left.
 *
 * Rejected: a channel for each subscription (two locks and a reference count for each message and
 * subscriber; no limit in bytes; the oldest cannot be taken out in order with several receivers).
 *
 * Compiled with the public headers only.
 */
#include "pubsub_parts.h"

#include <runnel/fiber.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETAIN_MAX 65536
#define TOPICS_MAX 16777216
#define TOPICS_DEFAULT 4096
#define COURTESY 64 /* a fiber that publishes without a pause lets others run each so many times */

/* Something to tell the user once the lock is free. */
struct event {
    struct event *next;
    rn_subscription *sub;
    void (*tell)(void *arg, const rn_subscription_event *event);
    rn_subscription_event what;
};

/* One call of rn_publish. */
struct publishing {
    rn_pubsub *ps;
    struct topic *topic;
    struct message *message;
    struct event *events;
    struct blocked *full; /* whose room is to be waited for */
    size_t full_count;
    rn_cond turn;  /* one of them may have room, or has ended */
    rn_time began; /* the wait */
    uint64_t offered;
    bool unheard;
};

/* ---- messages ---- */

void messages_free(struct message *m)
{
    while (m != NULL) {
        struct message *next = m->next_dead;
        rn_payload_release(m->payload);
        free(m);
        m = next;
    }
}

void message_drop_locked(rn_pubsub *ps, struct message *message)
{
    if (--message->pending != 0)
        return;
    topic_drop_locked(message->topic);
    message->next_dead = ps->dead;
    ps->dead = message;
}

struct message *pubsub_unlock(rn_pubsub *ps)
{
    struct message *dead = ps->dead;

    ps->dead = NULL;
    rn_mutex_unlock(&ps->lock);
    return dead;
}

void pubsub_leave(rn_pubsub *ps)
{
    messages_free(pubsub_unlock(ps));
}

static struct message *message_make(rn_pubsub *ps, struct topic *topic, rn_payload *payload)
{
    struct message *m = malloc(sizeof *m);

    if (m == NULL)
        return NULL;
    m->pending = 1;
    m->number = count_read(&ps->published) + 1;
    m->payload = rn_payload_retain(payload);
    m->data = rn_payload_data(payload);
    m->size = rn_payload_size(payload);
    m->topic = topic;
    topic->uses++;
    return m;
}

/* ---- the buffer of a subscription, as publishers see it ---- */

static uint64_t tail_of(rn_subscription *sub)
{
    return atomic_load_explicit(&sub->tail, memory_order_relaxed);
}

/* seq_cst, for await_room; on most machines that costs a load nothing. */
static uint64_t taken_of(rn_subscription *sub)
{
    return atomic_load_explicit(&sub->taken, memory_order_seq_cst);
}

/* Takes what was received off the bytes, before its messages go. */
static void count_bytes_locked(rn_subscription *sub, uint64_t taken)
{
    for (; sub->counted < taken; sub->counted++)
        sub->bytes -= subscription_slot(sub, sub->counted)->message->size;
}

uint64_t subscription_clean_locked(rn_subscription *sub)
{
    uint64_t taken = taken_of(sub);

    if (taken == sub->clean)
        return taken;
    if (sub->limit_bytes != 0)
        count_bytes_locked(sub, taken);
    if (sub->borrowed != NULL) {
        message_drop_locked(sub->ps, sub->borrowed);
        sub->borrowed = NULL;
    }
    while (sub->clean + 1 < taken)
        message_drop_locked(sub->ps, subscription_slot(sub, sub->clean++)->message);
    return taken;
}

/*
 * Whether there is room after what had been taken at a clean, which brings the bytes up to date. A
 * later look at `taken` would count a slot as free whose message is still to be let go of.
 */
static bool has_room_locked(rn_subscription *sub, uint64_t cleaned, size_t size)
{
    if (tail_of(sub) - cleaned >= sub->limit)
        return false;
    return sub->limit_bytes == 0 || size <= sub->limit_bytes - sub->bytes;
}

static void ring_locked(rn_subscription *sub)
{
    sub->waiting = false;
    (void)rn_chan_try_send(sub->bell, ""); /* full: it has been rung */
}

static void push_locked(rn_subscription *sub, struct message *message)
{
    uint64_t tail = tail_of(sub);
    struct slot *slot = subscription_slot(sub, tail);

    slot->message = message;
    slot->missed = sub->missed;
    sub->missed = 0;
    if (sub->limit_bytes != 0)
        sub->bytes += message->size;
    message->pending++;
    atomic_store_explicit(&sub->tail, tail + 1, memory_order_release);
    if (sub->waiting)
        ring_locked(sub);
}

void subscription_room_locked(rn_subscription *sub)
{
    if (sub->blocked != NULL)
        rn_cond_signal(sub->blocked->turn);
}

bool subscription_end_locked(rn_subscription *sub, int code)
{
    if (atomic_load_explicit(&sub->ended, memory_order_relaxed) != 0)
        return false;
    atomic_store_explicit(&sub->ended, code, memory_order_relaxed);
    rn_chan_close(sub->bell);
    for (struct blocked *b = sub->blocked; b != NULL; b = b->next)
        rn_cond_signal(b->turn);
    return true;
}

/* ---- overflow ---- */

static void note_event(struct publishing *p, rn_subscription *sub,
                       void (*tell)(void *arg, const rn_subscription_event *event))
{
    struct event *event = tell == NULL ? NULL : malloc(sizeof *event);

    if (event == NULL) /* without memory it is in the counters only */
        return;
    sub->uses++;
    event->sub = sub;
    event->tell = tell;
    event->what = (rn_subscription_event){
        .pattern = sub->text,
        .name = sub->name,
        .dropped = count_read(&sub->dropped),
        .buffered = tail_of(sub) - taken_of(sub),
    };
    event->next = p->events;
    p->events = event;
}

/* Counts one that was dropped; the first of an episode is an event. */
static void note_drop_locked(struct publishing *p, rn_subscription *sub)
{
    count_up(&sub->dropped, 1);
    count_up(&p->ps->dropped, 1);
    if (sub->lagging)
        return;
    sub->lagging = true;
    count_up(&sub->lags, 1);
    p->ps->lags++;
    note_event(p, sub, p->ps->config.on_lag);
}

static void drop_newest_locked(struct publishing *p, rn_subscription *sub)
{
    sub->missed++;
    note_drop_locked(p, sub);
}

/* Takes the oldest out. The receiver of such a subscription takes the lock too. */
static void drop_oldest_locked(struct publishing *p, rn_subscription *sub)
{
    uint64_t taken = taken_of(sub);
    struct slot *slot = subscription_slot(sub, taken);
    uint64_t missed = slot->missed + 1;

    if (sub->limit_bytes != 0)
        sub->bytes -= slot->message->size;
    sub->counted = sub->clean = taken + 1;
    atomic_store_explicit(&sub->taken, taken + 1, memory_order_relaxed);
    sub->dropped_oldest++;
    message_drop_locked(p->ps, slot->message);
    if (taken + 1 == tail_of(sub))
        sub->missed += missed;
    else
        subscription_slot(sub, taken + 1)->missed += missed;
    note_drop_locked(p, sub);
}

static void make_room_locked(struct publishing *p, rn_subscription *sub)
{
    while (!has_room_locked(sub, taken_of(sub), p->message->size))
        drop_oldest_locked(p, sub);
    push_locked(sub, p->message);
}

/* Notes that the publisher is to wait for room. */
static void wait_later_locked(struct publishing *p, rn_subscription *sub)
{
    bool hung = sub->hung && taken_of(sub) == sub->hung_at;

    if (p->full == NULL && !hung)
        p->full = malloc(p->topic->match.count * sizeof(*p->full));
    if (p->full == NULL || hung) {
        drop_newest_locked(p, sub);
        return;
    }
    sub->uses++;
    sub->awaited++;
    p->full[p->full_count++] = (struct blocked){.sub = sub, .turn = &p->turn};
}

static void disconnect_locked(struct publishing *p, rn_subscription *sub)
{
    drop_newest_locked(p, sub);
    subscription_end_locked(sub, RN_ESLOW);
    p->ps->disconnected++;
    note_event(p, sub, p->ps->config.on_disconnect);
}

static void overflow_locked(struct publishing *p, rn_subscription *sub)
{
    bool never_fits = sub->limit_bytes != 0 && p->message->size > sub->limit_bytes;

    if (sub->when_full == RN_DISCONNECT)
        disconnect_locked(p, sub);
    else if (sub->when_full == RN_DROP_NEWEST || never_fits)
        drop_newest_locked(p, sub);
    else if (sub->when_full == RN_DROP_OLDEST)
        make_room_locked(p, sub);
    else
        wait_later_locked(p, sub);
}

/* ---- delivering ---- */

static bool is_live(rn_subscription *sub)
{
    return atomic_load_explicit(&sub->ended, memory_order_relaxed) == 0;
}

/* Whether a publisher may push at once: those who wait for room come first. */
static bool takes_locked(rn_subscription *sub, size_t size)
{
    return has_room_locked(sub, subscription_clean_locked(sub), size) && sub->blocked == NULL;
}

/*
 * What nearly every push is: there is room, and nothing else to think of. It does what
 * takes_locked and push_locked do, with one look at `taken`, the receiver's line.
 */
static inline bool push_quickly_locked(rn_subscription *sub, struct message *message)
{
    uint64_t taken = taken_of(sub), tail = tail_of(sub);
    struct slot *slot = subscription_slot(sub, tail);

    if (tail - taken >= sub->limit || sub->limit_bytes != 0 || sub->lagging ||
        sub->borrowed != NULL || sub->blocked != NULL)
        return false;
    while (sub->clean + 1 < taken)
        message_drop_locked(sub->ps, subscription_slot(sub, sub->clean++)->message);
    slot->message = message;
    slot->missed = 0;
    message->pending++;
    atomic_store_explicit(&sub->tail, tail + 1, memory_order_release);
    if (sub->waiting)
        ring_locked(sub);
    return true;
}

static void offer_carefully_locked(struct publishing *p, rn_subscription *sub)
{
    bool takes = takes_locked(sub, p->message->size);

    if (sub->lagging && tail_of(sub) == taken_of(sub))
        sub->lagging = false;
    if (takes)
        push_locked(sub, p->message);
    else
        overflow_locked(p, sub);
}

static inline void offer_locked(struct publishing *p, rn_subscription *sub)
{
    count_up(&sub->offered, 1);
    p->offered++;
    if (!push_quickly_locked(sub, p->message))
        offer_carefully_locked(p, sub);
}

/* The member whose turn it is and that has room; or any live one; or NULL. */
static rn_subscription *choose_locked(struct publishing *p, const struct span *span)
{
    rn_subscription **members = p->topic->match.subscriptions + span->first, *live = NULL;
    size_t turn = span->group->turn;

    for (size_t i = 0; i < span->count; i++) {
        rn_subscription *member = members[(turn + i) % span->count];
        if (!is_live(member))
            continue;
        if (takes_locked(member, p->message->size)) {
            span->group->turn = (turn + i + 1) % span->count;
            return member;
        }
        if (live == NULL)
            live = member;
    }
    span->group->turn = (turn + 1) % span->count;
    return live;
}

static void deliver_locked(struct publishing *p)
{
    const struct match *match = &p->topic->match;

    for (size_t i = 0; i < match->plain; i++)
        if (is_live(match->subscriptions[i]))
            offer_locked(p, match->subscriptions[i]);
    for (size_t i = 0; i < match->span_count; i++) {
        rn_subscription *chosen = choose_locked(p, &match->spans[i]);
        if (chosen != NULL)
            offer_locked(p, chosen);
    }
    p->ps->offered += p->offered;
}

/* ---- waiting for room ---- */

static void blocked_add(rn_subscription *sub, struct blocked *self)
{
    struct blocked **end = &sub->blocked;

    while (*end != NULL)
        end = &(*end)->next;
    *end = self;
    atomic_store_explicit(&sub->blocking, true, memory_order_seq_cst);
}

static void blocked_remove(rn_subscription *sub, struct blocked *self)
{
    struct blocked **at = &sub->blocked;

    while (*at != self)
        at = &(*at)->next;
    *at = self->next;
    if (sub->blocked == NULL)
        atomic_store_explicit(&sub->blocking, false, memory_order_relaxed);
}

/* It has the message, or will not get it: the next in turn. */
static void blocked_done_locked(struct blocked *self)
{
    rn_subscription *sub = self->sub;

    blocked_remove(sub, self);
    subscription_room_locked(sub);
    sub->awaited--;
    subscription_drop_locked(sub);
    self->sub = NULL;
}

static rn_time deadline_of(const rn_subscription *sub, rn_time began)
{
    return sub->block_for == RN_FOREVER ? RN_FOREVER : rn_time_add(began, sub->block_for);
}

/*
 * Delivers to one that was full, or drops the message when its deadline has expired. False: neither
 * yet. Either the receiver sees `blocking` after it has taken a message, or the clean here sees
 * what it took: both sides write theirs and then read the other's, sequentially consistent.
 */
static bool deliver_late_locked(struct publishing *p, struct blocked *self, bool expired)
{
    rn_subscription *sub = self->sub;
    uint64_t cleaned = subscription_clean_locked(sub);

    if (!is_live(sub)) {
        sub->turned_away++;
    } else if (sub->blocked == self && has_room_locked(sub, cleaned, p->message->size)) {
        push_locked(sub, p->message);
    } else if (expired) {
        sub->hung = true;
        sub->hung_at = cleaned;
        drop_newest_locked(p, sub);
    } else {
        return false;
    }
    blocked_done_locked(self);
    return true;
}

/* Looks at all that were full. Whether some are still to be waited for, until *next at most. */
static bool look_again_locked(struct publishing *p, rn_time expired, rn_time *next)
{
    bool some = false;

    *next = RN_FOREVER;
    for (size_t i = 0; i < p->full_count; i++) {
        struct blocked *self = &p->full[i];
        rn_time deadline;
        if (self->sub == NULL)
            continue;
        deadline = deadline_of(self->sub, p->began);
        if (deliver_late_locked(p, self, deadline <= expired))
            continue;
        some = true;
        if (deadline < *next)
            *next = deadline;
    }
    return some;
}

/* Waits until one of them may have room, the moment has come, or ctx has ended. */
static int await_turn_locked(rn_ctx *ctx, struct publishing *p, rn_time until)
{
    rn_ctx *limited = until == RN_FOREVER ? ctx : rn_ctx_with_deadline(ctx, until);
    int err;

    if (until != RN_FOREVER && limited == NULL)
        return -ENOMEM;
    err = rn_cond_wait(limited, &p->turn, &p->ps->lock);
    if (limited != ctx)
        rn_ctx_release(limited);
    return err;
}

/* They are not waited for any more. */
static void give_up_locked(struct publishing *p)
{
    for (size_t i = 0; i < p->full_count; i++) {
        if (p->full[i].sub == NULL)
            continue;
        drop_newest_locked(p, p->full[i].sub);
        blocked_done_locked(&p->full[i]);
    }
}

/*
 * Waits for all that were full at the same time, so that none waits for another. Returns ctx's
 * error when it was dropped for that.
 */
static int wait_for_full_locked(rn_ctx *ctx, struct publishing *p)
{
    rn_time expired, next;
    int err = 0;

    p->began = expired = rn_now();
    for (size_t i = 0; i < p->full_count; i++)
        blocked_add(p->full[i].sub, &p->full[i]);
    while (look_again_locked(p, expired, &next)) {
        if (err != 0) {
            give_up_locked(p);
            free(p->full);
            return err;
        }
        if (await_turn_locked(ctx, p, next) == 0)
            continue;
        err = rn_ctx_err(ctx);
        if (err == 0)
            expired = next;
    }
    free(p->full);
    return 0;
}

/* ---- publishing ---- */

static int publish_locked(rn_ctx *ctx, struct publishing *p, const struct topic_text *text,
                          rn_payload *payload)
{
    rn_pubsub *ps = p->ps;
    int err = 0;

    if (ps->closed)
        return RN_ECLOSED;
    p->topic = table_topic_locked(ps, text);
    if (p->topic == NULL)
        return -ENOMEM;
    p->unheard = p->topic->match.count == 0;
    if (!p->unheard || ps->config.retain != 0) {
        p->message = message_make(ps, p->topic, payload);
        if (p->message == NULL)
            return -ENOMEM;
        err = table_retain_locked(ps, p->topic, p->message);
    }
    if (err == 0) {
        count_up(&ps->published, 1);
        ps->unheard += p->unheard;
        deliver_locked(p);
        if (p->full_count != 0)
            err = wait_for_full_locked(ctx, p);
    }
    if (p->message != NULL)
        message_drop_locked(ps, p->message);
    return err;
}

/* Calls those who want to know. Under no lock. */
static void tell(rn_pubsub *ps, struct event *events)
{
    struct event *in_order = NULL;

    while (events != NULL) {
        struct event *event = events;
        events = event->next;
        event->next = in_order;
        in_order = event;
    }
    while (in_order != NULL) {
        struct event *event = in_order;
        in_order = event->next;
        event->tell(ps->config.events_arg, &event->what);
        rn_mutex_lock(&ps->lock);
        subscription_drop_locked(event->sub);
        pubsub_leave(ps);
        free(event);
    }
}

/* A publisher that never waits must not keep its worker from those who are to receive. */
static void be_courteous(uint64_t published)
{
    if (published % COURTESY == 0 && rn_fiber_id() != 0)
        rn_yield();
}

int rn_publish(rn_ctx *ctx, rn_pubsub *ps, const char *topic, rn_payload *payload)
{
    struct publishing p = {.ps = ps};
    struct topic_text text;
    uint64_t published;
    int err = ctx == NULL ? 0 : rn_ctx_err(ctx);

    if (err == 0)
        err = topic_read(&text, topic, false);
    if (err != 0)
        return err;
    if (payload == NULL)
        return -ENOMEM;
    rn_mutex_lock(&ps->lock);
    err = publish_locked(ctx, &p, &text, payload);
    published = count_read(&ps->published);
    pubsub_leave(ps);
    if (p.events != NULL)
        tell(ps, p.events);
    be_courteous(published);
    return err;
}

int rn_publish_bytes(rn_ctx *ctx, rn_pubsub *ps, const char *topic, const void *bytes, size_t size)
{
    rn_payload *payload = rn_payload_copy(bytes, size);
    int err = rn_publish(ctx, ps, topic, payload);

    rn_payload_release(payload);
    return err;
}

/* ---- the object ---- */

static int check_config(const rn_pubsub_config *config)
{
    if (config->retain > RETAIN_MAX)
        return rn_error_with(-EINVAL, "pubsub: .retain is %zu: allowed are 0 to %d", config->retain,
                             RETAIN_MAX);
    if (config->topics > TOPICS_MAX)
        return rn_error_with(-EINVAL, "pubsub: .topics is %zu: allowed are 1 to %d", config->topics,
                             TOPICS_MAX);
    return 0;
}

static void describe(const rn_exhibit *exhibit, char *text, size_t size)
{
    rn_pubsub *ps = (rn_pubsub *)((char *)(uintptr_t)exhibit - offsetof(rn_pubsub, exhibit));

    snprintf(text, size, "%" PRIu64 " subscriptions, %" PRIu64 " published, %" PRIu64 " dropped",
             count_read(&ps->subscription_count), count_read(&ps->published),
             count_read(&ps->dropped));
}

static void pubsub_destroy(rn_pubsub *ps)
{
    table_free(ps);
    messages_free(ps->dead);
    tree_free(&ps->tree);
    free(ps);
}

static size_t bucket_count(size_t topics)
{
    size_t count = 64;

    while (count < topics)
        count *= 2;
    return count;
}

static rn_pubsub *pubsub_make(const rn_pubsub_config *config)
{
    rn_pubsub *ps = aligned_alloc(LINE_BYTES, sizeof *ps);

    if (ps == NULL)
        return NULL;
    memset(ps, 0, sizeof *ps);
    ps->config = *config;
    if (ps->config.topics == 0)
        ps->config.topics = TOPICS_DEFAULT;
    atomic_init(&ps->uses, 1);
    ps->bucket_count = bucket_count(ps->config.topics);
    ps->buckets = calloc(ps->bucket_count, sizeof *ps->buckets);
    if (ps->buckets == NULL || tree_make(&ps->tree) != 0) {
        pubsub_destroy(ps);
        return NULL;
    }
    return ps;
}

int rn_pubsub_new(rn_pubsub **out, const rn_pubsub_config *config)
{
    static const rn_pubsub_config defaults;
    int err = check_config(config == NULL ? &defaults : config);

    *out = NULL;
    if (err != 0)
        return err;
    *out = pubsub_make(config == NULL ? &defaults : config);
    if (*out == NULL)
        return -ENOMEM;
    (*out)->exhibit = (rn_exhibit){
        .kind = "pubsub", .name = (*out)->config.name, .describe = describe};
    if ((*out)->config.name != NULL)
        rn_exhibit_show(&(*out)->exhibit);
    return 0;
}

int rn_pubsub_close(rn_pubsub *ps)
{
    int err = RN_ECLOSED;

    rn_mutex_lock(&ps->lock);
    if (!ps->closed) {
        ps->closed = true;
        for (rn_subscription *sub = ps->subscriptions; sub != NULL; sub = sub->next)
            subscription_end_locked(sub, RN_ECLOSED);
        err = 0;
    }
    pubsub_leave(ps);
    return err;
}

void pubsub_drop(rn_pubsub *ps)
{
    if (atomic_fetch_sub_explicit(&ps->uses, 1, memory_order_acq_rel) == 1)
        pubsub_destroy(ps);
}

void rn_pubsub_free(rn_pubsub *ps)
{
    if (ps == NULL)
        return;
    rn_pubsub_close(ps);
    if (ps->config.name != NULL)
        rn_exhibit_hide(&ps->exhibit);
    pubsub_drop(ps);
}

void rn_pubsub_stats_read(rn_pubsub *ps, rn_pubsub_stats *out)
{
    rn_mutex_lock(&ps->lock);
    *out = (rn_pubsub_stats){
        .published = count_read(&ps->published),
        .unheard = ps->unheard,
        .offered = ps->offered,
        .dropped = count_read(&ps->dropped),
        .lags = ps->lags,
        .disconnected = ps->disconnected,
        .subscriptions = count_read(&ps->subscription_count),
        .topics = ps->topic_count,
    };
    pubsub_leave(ps);
}
