/*
 * Publish-subscribe against a reference that does the same with arrays: random subscriptions,
 * publishes, receives and ends on one fiber, for many seeds. What fails names its seed.
 */
#include "kit/pubsub.h"

#define SEEDS 4000
#define STEPS 150
#define SUBSCRIPTIONS 6
#define BUFFER_MAX 5
#define RETAIN 3
#define REPLAY_MAX 64
#define BYTES_MAX 9 /* of a payload */

static const char *const topics[] = {"a", "b", "a.a", "a.b", "b.a", "a.a.a", "a.b.a", "b.b.b"};
static const char *const patterns[] = {"a",   "*",   ">",     "a.*",   "*.a", "a.>",
                                       "*.>", "a.b", "a.*.a", "*.b.>", "b"};

#define TOPICS (sizeof topics / sizeof topics[0])
#define PATTERNS (sizeof patterns / sizeof patterns[0])

static uint64_t seed;

#define AGREE(a, b)                                                                                \
    do {                                                                                           \
        long long a_ = (long long)(a), b_ = (long long)(b);                                        \
        if (a_ != b_)                                                                              \
            test_failed(__FILE__, __LINE__, "seed %llu: %s is %lld, and %s is %lld",               \
                        (unsigned long long)seed, #a, a_, #b, b_);                                 \
    } while (0)

/* A message as the reference knows it. */
struct item {
    uint64_t number;
    size_t size, topic;
    uint64_t missed;
    bool replayed;
};

struct reference {
    rn_subscription *sub; /* NULL: a free place */
    rn_subscription_config config;
    const char *pattern;
    struct item items[REPLAY_MAX + BUFFER_MAX]; /* replayed ones first */
    size_t replayed, count;                     /* of these, and of the others */
    uint64_t missed, offered, received, dropped, discarded;
    int ended;
};

struct model {
    uint64_t random;
    rn_pubsub *ps;
    struct reference subs[SUBSCRIPTIONS];
    struct item last[TOPICS][RETAIN];
    size_t retained[TOPICS];
    uint64_t published;
    int live; /* payloads */
};

static uint32_t pick(struct model *m, uint32_t n)
{
    m->random = m->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(m->random >> 33) % n;
}

/* ---- the reference ---- */

static size_t bytes_of(const struct reference *r)
{
    size_t bytes = 0;

    for (size_t i = 0; i < r->count; i++)
        bytes += r->items[r->replayed + i].size;
    return bytes;
}

static bool has_room(const struct reference *r, size_t size)
{
    return r->count < r->config.buffer &&
           (r->config.buffer_bytes == 0 || bytes_of(r) + size <= r->config.buffer_bytes);
}

static void take_out(struct reference *r, size_t at)
{
    memmove(r->items + at, r->items + at + 1,
            (r->replayed + r->count - at - 1) * sizeof r->items[0]);
}

static void drop_oldest(struct reference *r)
{
    uint64_t missed = r->items[r->replayed].missed + 1;

    take_out(r, r->replayed);
    r->count--;
    r->dropped++;
    if (r->count == 0)
        r->missed += missed;
    else
        r->items[r->replayed].missed += missed;
}

static void reference_offer(struct reference *r, struct item item)
{
    bool never = r->config.buffer_bytes != 0 && item.size > r->config.buffer_bytes;

    r->offered++;
    while (r->config.when_full == RN_DROP_OLDEST && !never && !has_room(r, item.size))
        drop_oldest(r);
    if (has_room(r, item.size)) {
        item.missed = r->missed;
        r->missed = 0;
        r->items[r->replayed + r->count++] = item;
        return;
    }
    r->missed++;
    r->dropped++;
    if (r->config.when_full == RN_DISCONNECT)
        r->ended = RN_ESLOW;
}

static void reference_retain(struct model *m, struct item item)
{
    size_t t = item.topic;

    if (m->retained[t] == RETAIN) {
        memmove(m->last[t], m->last[t] + 1, (RETAIN - 1) * sizeof item);
        m->retained[t]--;
    }
    m->last[t][m->retained[t]++] = item;
}

static int by_number(const void *a, const void *b)
{
    const struct item *x = a, *y = b;

    return (x->number > y->number) - (x->number < y->number);
}

static void reference_replay(struct model *m, struct reference *r)
{
    for (size_t t = 0; t < TOPICS; t++) {
        size_t n = m->retained[t] < r->config.replay ? m->retained[t] : r->config.replay;
        if (!rn_topic_matches(r->pattern, topics[t]))
            continue;
        memcpy(r->items + r->replayed, m->last[t] + m->retained[t] - n, n * sizeof(struct item));
        r->replayed += n;
    }
    qsort(r->items, r->replayed, sizeof r->items[0], by_number);
    for (size_t i = 0; i < r->replayed; i++)
        r->items[i].replayed = true;
}

/* ---- steps ---- */

static void payload_gone(void *arg)
{
    --*(int *)arg;
}

static void step_publish(struct model *m)
{
    static const char bytes[BYTES_MAX];
    struct item item = {
        .number = ++m->published, .size = pick(m, BYTES_MAX + 1), .topic = pick(m, TOPICS)};
    rn_payload *p = rn_payload_wrap(bytes, item.size, payload_gone, &m->live);

    m->live++;
    AGREE(rn_publish(NULL, m->ps, topics[item.topic], p), 0);
    rn_payload_release(p);
    reference_retain(m, item);
    for (int i = 0; i < SUBSCRIPTIONS; i++) {
        struct reference *r = &m->subs[i];
        if (r->sub != NULL && r->ended == 0 && rn_topic_matches(r->pattern, topics[item.topic]))
            reference_offer(r, item);
    }
}

static void step_subscribe(struct model *m, struct reference *r)
{
    static const rn_when_full policies[] = {RN_DROP_NEWEST, RN_DROP_OLDEST, RN_DISCONNECT};

    *r = (struct reference){.pattern = patterns[pick(m, PATTERNS)],
                            .config = {.buffer = 1 + pick(m, BUFFER_MAX),
                                       .buffer_bytes = pick(m, 2) * (1 + pick(m, 20)),
                                       .when_full = policies[pick(m, 3)],
                                       .replay = pick(m, RETAIN + 1)}};
    reference_replay(m, r);
    AGREE(rn_subscribe(m->ps, r->pattern, &r->config, &r->sub), 0);
}

static void step_receive(struct model *m, struct reference *r)
{
    rn_message got;
    int err;

    if (pick(m, 4) == 0)
        rn_subscription_ready(r->sub); /* as a select does */
    err = rn_subscription_try_recv(r->sub, &got);
    if (r->replayed + r->count == 0) {
        AGREE(err, r->ended == 0 ? -EAGAIN : r->ended);
        return;
    }
    AGREE(err, 0);
    AGREE(got.number, r->items[0].number);
    AGREE(got.size, r->items[0].size);
    AGREE(got.missed, r->items[0].replayed ? 0 : r->items[0].missed);
    AGREE(got.replayed, r->items[0].replayed);
    AGREE(strcmp(got.topic, topics[r->items[0].topic]), 0);
    take_out(r, 0);
    if (r->replayed > 0) {
        r->replayed--;
    } else {
        r->count--;
        r->received++;
    }
}

static void step_end(struct model *m, struct reference *r)
{
    bool now = pick(m, 2) == 0;

    AGREE(now ? rn_unsubscribe(r->sub) : rn_subscription_drain(r->sub), r->ended);
    if (r->ended == 0)
        r->ended = RN_ECLOSED;
    if (!now)
        return;
    step_receive(m, &(struct reference){.sub = r->sub, .ended = r->ended}); /* that discards */
    r->discarded += r->count;
    r->replayed = r->count = 0;
}

static void check_stats(struct reference *r)
{
    rn_subscription_stats stats = stats_of(r->sub);

    AGREE(stats.offered, r->offered);
    AGREE(stats.received, r->received);
    AGREE(stats.dropped, r->dropped);
    AGREE(stats.discarded, r->discarded);
    AGREE(stats.buffered, r->count);
    AGREE(stats.buffered_bytes, bytes_of(r));
    AGREE(stats.ended, r->ended);
}

static void step(struct model *m)
{
    struct reference *r = &m->subs[pick(m, SUBSCRIPTIONS)];
    uint32_t what = pick(m, 100);

    if (what < 40)
        step_publish(m);
    else if (r->sub == NULL)
        step_subscribe(m, r);
    else if (what < 90)
        step_receive(m, r);
    else if (what < 95)
        step_end(m, r);
    else if (what < 99) {
        rn_subscription_free(r->sub);
        r->sub = NULL;
    } else {
        AGREE(rn_pubsub_forget(m->ps, ">"), 0);
        memset(m->retained, 0, sizeof m->retained);
    }
    if (r->sub != NULL)
        check_stats(r);
}

static void run_seed(void)
{
    struct model m = {.random = seed * 2654435761u + 1};

    AGREE(rn_pubsub_new(&m.ps, &(rn_pubsub_config){.retain = RETAIN, .topics = TOPICS}), 0);
    for (int i = 0; i < STEPS; i++)
        step(&m);
    for (int i = 0; i < SUBSCRIPTIONS; i++)
        rn_subscription_free(m.subs[i].sub);
    rn_pubsub_free(m.ps);
    AGREE(m.live, 0);
}

TEST_FIBER(it_does_what_the_reference_does)
{
    int seeds = rounds(SEEDS);

    for (seed = 1; seed <= (uint64_t)seeds; seed++)
        run_seed();
}
