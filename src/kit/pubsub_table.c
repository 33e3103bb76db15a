/*
 * The topics that were published to: who gets their messages, and what is retained of them.
 *
 * A hash table of fixed size, and a list in the order of the last publish. Beyond .topics the
 * oldest is forgotten. A match is made when the topic is published to and the tree has changed
 * since; it holds no references, because whoever frees a subscription changes the tree first.
 *
 * Compiled with the public headers only.
 */
#include "pubsub_parts.h"

#include <stdlib.h>
#include <string.h>

#define BUCKETS_A_TURN 256 /* searched in one go for what is retained */

/* ---- matches ---- */

struct matching {
    struct match *match;
    bool failed;
};

static void match_add(void *arg, void *item)
{
    struct matching *m = arg;
    struct match *match = m->match;

    if (match->count == match->room) {
        size_t room = match->room == 0 ? 4 : match->room * 2;
        rn_subscription **more = realloc(match->subscriptions, room * sizeof *more);
        m->failed |= more == NULL;
        if (m->failed)
            return;
        match->subscriptions = more;
        match->room = room;
    }
    match->subscriptions[match->count++] = item;
}

/* Those without a group first, then group by group. */
static int compare_groups(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)(*(rn_subscription *const *)a)->group;
    uintptr_t y = (uintptr_t)(*(rn_subscription *const *)b)->group;

    return (x > y) - (x < y);
}

/* How many from `first` on are of one group. */
static size_t span_length(const struct match *match, size_t first)
{
    size_t n = first;

    while (n < match->count && match->subscriptions[n]->group == match->subscriptions[first]->group)
        n++;
    return n - first;
}

static bool has_groups(const struct match *match)
{
    for (size_t i = 0; i < match->count; i++)
        if (match->subscriptions[i]->group != NULL)
            return true;
    return false;
}

/* Sorts the match and notes where each group is. */
static int match_groups(struct match *match)
{
    match->plain = match->count;
    match->span_count = 0;
    if (!has_groups(match))
        return 0;
    qsort(match->subscriptions, match->count, sizeof *match->subscriptions, compare_groups);
    match->plain = match->subscriptions[0]->group == NULL ? span_length(match, 0) : 0;
    free(match->spans);
    match->spans = malloc((match->count - match->plain) * sizeof *match->spans);
    if (match->spans == NULL)
        return -ENOMEM;
    for (size_t i = match->plain, n; i < match->count; i += n) {
        n = span_length(match, i);
        match->spans[match->span_count++] = (struct span){match->subscriptions[i]->group, i, n};
    }
    return 0;
}

static int match_make(rn_pubsub *ps, struct topic *topic)
{
    struct matching m = {.match = &topic->match};

    topic->match.count = 0;
    tree_match(&ps->tree, topic->text, match_add, &m);
    if (m.failed || match_groups(&topic->match) != 0)
        return -ENOMEM;
    topic->matched_at = ps->changed;
    return 0;
}

/* ---- topics ---- */

static struct topic **bucket_of(rn_pubsub *ps, uint64_t hash)
{
    return &ps->buckets[hash & (ps->bucket_count - 1)];
}

void topic_drop_locked(struct topic *topic)
{
    if (--topic->uses != 0)
        return;
    free(topic->match.subscriptions);
    free(topic->match.spans);
    free(topic);
}

static void list_remove(rn_pubsub *ps, struct topic *topic)
{
    *(topic->newer == NULL ? &ps->newest : &topic->newer->older) = topic->older;
    *(topic->older == NULL ? &ps->oldest : &topic->older->newer) = topic->newer;
}

static void list_add(rn_pubsub *ps, struct topic *topic)
{
    topic->newer = NULL;
    topic->older = ps->newest;
    *(ps->newest == NULL ? &ps->oldest : &ps->newest->newer) = topic;
    ps->newest = topic;
}

static void forget_retained_locked(rn_pubsub *ps, struct topic *topic)
{
    for (; topic->retained != 0; topic->retained--) {
        message_drop_locked(ps, topic->last[topic->first]);
        topic->first = (topic->first + 1) % ps->config.retain;
    }
    free(topic->last);
    topic->last = NULL;
    topic->first = 0;
}

/* Takes the topic out of the table. Messages may still use its text. */
static void forget_locked(rn_pubsub *ps, struct topic *topic)
{
    struct topic **at = bucket_of(ps, topic->hash);

    while (*at != topic)
        at = &(*at)->chain;
    *at = topic->chain;
    list_remove(ps, topic);
    ps->topic_count--;
    forget_retained_locked(ps, topic);
    topic_drop_locked(topic);
}

static struct topic *topic_make(rn_pubsub *ps, const struct topic_text *text)
{
    struct topic *topic = calloc(1, sizeof *topic + text->length + 1);

    if (topic == NULL)
        return NULL;
    topic->hash = text->hash;
    topic->length = text->length;
    topic->uses = 1;
    topic->matched_at = UINT64_MAX;
    memcpy(topic->text, text->text, text->length);
    if (match_make(ps, topic) == 0)
        return topic;
    topic_drop_locked(topic);
    return NULL;
}

static struct topic *topic_add(rn_pubsub *ps, const struct topic_text *text)
{
    struct topic *topic = topic_make(ps, text), **bucket = bucket_of(ps, text->hash);

    if (topic == NULL)
        return NULL;
    if (ps->topic_count == ps->config.topics)
        forget_locked(ps, ps->oldest);
    topic->chain = *bucket;
    *bucket = topic;
    list_add(ps, topic);
    ps->topic_count++;
    return topic;
}

static struct topic *topic_find(rn_pubsub *ps, const struct topic_text *text)
{
    struct topic *topic = *bucket_of(ps, text->hash);

    while (topic != NULL && (topic->hash != text->hash || topic->length != text->length ||
                             memcmp(topic->text, text->text, text->length) != 0))
        topic = topic->chain;
    return topic;
}

struct topic *table_topic_locked(rn_pubsub *ps, const struct topic_text *text)
{
    struct topic *topic = topic_find(ps, text);

    if (topic == NULL)
        return topic_add(ps, text);
    if (topic != ps->newest) {
        list_remove(ps, topic);
        list_add(ps, topic);
    }
    if (topic->matched_at != ps->changed && match_make(ps, topic) != 0)
        return NULL;
    return topic;
}

void table_free(rn_pubsub *ps)
{
    while (ps->newest != NULL)
        forget_locked(ps, ps->newest);
    free(ps->buckets);
}

/* ---- what is retained ---- */

int table_retain_locked(rn_pubsub *ps, struct topic *topic, struct message *message)
{
    size_t room = ps->config.retain;

    if (room == 0)
        return 0;
    if (topic->last == NULL && (topic->last = malloc(room * sizeof *topic->last)) == NULL)
        return -ENOMEM;
    if (topic->retained == room) {
        message_drop_locked(ps, topic->last[topic->first]);
        topic->first = (topic->first + 1) % room;
        topic->retained--;
    }
    topic->last[(topic->first + topic->retained++) % room] = message;
    message->pending++;
    return 0;
}

/* Messages that are being gathered for a replay. */
struct replay {
    rn_pubsub *ps;
    size_t n;
    uint64_t until;
    struct message **messages;
    size_t count, room;
    int err;
};

static void replay_add(struct replay *r, struct message *message)
{
    if (r->count == r->room) {
        size_t room = r->room == 0 ? 16 : r->room * 2;
        struct message **more = realloc(r->messages, room * sizeof *more);
        if (more == NULL) {
            r->err = -ENOMEM;
            return;
        }
        r->messages = more;
        r->room = room;
    }
    message->pending++;
    r->messages[r->count++] = message;
}

static void replay_topic(void *arg, struct topic *topic)
{
    struct replay *r = arg;
    size_t room = r->ps->config.retain, old = topic->retained;

    /* What came later is received as it comes. */
    while (old != 0 && topic->last[(topic->first + old - 1) % room]->number > r->until)
        old--;
    for (size_t i = old > r->n ? old - r->n : 0; i < old && r->err == 0; i++)
        replay_add(r, topic->last[(topic->first + i) % room]);
}

/* Calls act for each topic that matches the pattern and is in these buckets. */
static void visit_buckets(rn_pubsub *ps, const char *pattern, size_t first, size_t count,
                          void (*act)(void *arg, struct topic *topic), void *arg)
{
    for (size_t i = first; i < first + count && i < ps->bucket_count; i++)
        for (struct topic *t = ps->buckets[i]; t != NULL; t = t->chain)
            if (rn_topic_matches(pattern, t->text))
                act(arg, t);
}

/* The same for all topics. Takes the lock for some buckets at a time, so that publishers go on. */
static void visit_topics(rn_pubsub *ps, const struct topic_text *pattern,
                         void (*act)(void *arg, struct topic *topic), void *arg)
{
    size_t first = pattern->wild ? 0 : pattern->hash & (ps->bucket_count - 1);
    size_t end = pattern->wild ? ps->bucket_count : first + 1;

    for (; first < end; first += BUCKETS_A_TURN) {
        rn_mutex_lock(&ps->lock);
        visit_buckets(ps, pattern->text, first, pattern->wild ? BUCKETS_A_TURN : 1, act, arg);
        pubsub_leave(ps);
    }
}

static int compare_numbers(const void *a, const void *b)
{
    uint64_t x = (*(struct message *const *)a)->number, y = (*(struct message *const *)b)->number;

    return (x > y) - (x < y);
}

int table_replay(rn_pubsub *ps, const struct topic_text *pattern, size_t n, uint64_t until,
                 struct message ***out, size_t *count)
{
    struct replay r = {.ps = ps, .n = n, .until = until};

    visit_topics(ps, pattern, replay_topic, &r);
    if (r.count != 0)
        qsort(r.messages, r.count, sizeof *r.messages, compare_numbers);
    *out = r.messages;
    *count = r.count;
    return r.err;
}

static void forget_topic(void *arg, struct topic *topic)
{
    forget_retained_locked(arg, topic);
}

int rn_pubsub_forget(rn_pubsub *ps, const char *pattern)
{
    struct topic_text text;
    int err = topic_read(&text, pattern, true);

    if (err == 0)
        visit_topics(ps, &text, forget_topic, ps);
    return err;
}
