/*
 * Publish-subscribe under load: fibers and plain threads publish while others subscribe and leave.
 *
 * At the end: every message reached every subscriber once, in its publisher's order, or was counted
 * as dropped; a queue group got each once; no payload is left.
 */
#include "kit/pubsub.h"

#include <pthread.h>
#include <runnel/group.h>

#define PUBLISHERS 4 /* every second one a plain thread */
#define VISITORS 4
#define MEMBERS 3

struct report {
    int publisher, number; /* the number counts from 1 for each publisher */
};

struct load {
    rn_pubsub *ps;
    int messages; /* of each publisher */
    atomic_int payloads, publishing;
    atomic_int member_got;
};

struct party {
    struct load *load;
    int index;
    rn_subscription *sub;
};

static void report_gone(void *arg)
{
    struct party *p = ((struct party **)arg)[0];

    atomic_fetch_sub(&p->load->payloads, 1);
    free(arg);
}

/* A payload that knows whose it is, in memory of its own. */
static rn_payload *report_make(struct party *p, int number)
{
    struct {
        struct party *party;
        struct report report;
    } *memory = malloc(sizeof *memory);
    rn_payload *payload;

    EXPECT(memory != NULL);
    memory->party = p;
    memory->report = (struct report){p->index, number};
    atomic_fetch_add(&p->load->payloads, 1);
    payload = rn_payload_wrap(&memory->report, sizeof memory->report, report_gone, memory);
    EXPECT(payload != NULL);
    return payload;
}

static void publish_all(struct party *p)
{
    static const char *const topics[] = {"load.a", "load.b", "load.c.d"};

    for (int i = 1; i <= p->load->messages; i++) {
        rn_payload *payload = report_make(p, i);
        EXPECT_EQ(rn_publish(NULL, p->load->ps, topics[i % 3], payload), 0);
        rn_payload_release(payload);
    }
    if (atomic_fetch_sub(&p->load->publishing, 1) == 1)
        EXPECT_EQ(rn_pubsub_close(p->load->ps), 0);
}

static int publish_on_fiber(rn_ctx *ctx, void *arg)
{
    (void)ctx;
    publish_all(arg);
    return 0;
}

static void *publish_on_thread(void *arg)
{
    publish_all(arg);
    return NULL;
}

/* What one subscriber has seen. */
struct seen {
    int last[PUBLISHERS];
    uint64_t received, missed;
};

static void see(struct seen *seen, const rn_message *m)
{
    const struct report *r = m->data;

    EXPECT(r->number > seen->last[r->publisher]);
    seen->last[r->publisher] = r->number;
    seen->received++;
    seen->missed += m->missed;
}

/* Gets everything: publishers wait for it. */
static int receive_all(rn_ctx *ctx, void *arg)
{
    struct party *p = arg;
    struct seen seen = {0};
    rn_message m;

    (void)ctx;
    while (rn_subscription_recv(NULL, p->sub, &m) == 0) {
        const struct report *r = m.data;
        EXPECT_EQ(r->number, seen.last[r->publisher] + 1);
        see(&seen, &m);
    }
    EXPECT_EQ(seen.received, (uint64_t)p->load->messages * PUBLISHERS);
    EXPECT_EQ(stats_of(p->sub).dropped, 0);
    return 0;
}

/* Gets some, by select, and is told how many it missed. */
static int receive_some(rn_ctx *ctx, void *arg)
{
    struct party *p = arg;
    struct seen seen = {0};
    rn_subscription_stats stats;
    rn_message m;
    int err;

    (void)ctx;
    do {
        EXPECT_EQ(rn_select(NULL, rn_on_message(p->sub)), 0);
        while ((err = rn_subscription_try_recv(p->sub, &m)) == 0) {
            see(&seen, &m);
            if (seen.received % 16 == 0)
                rn_yield();
        }
    } while (err == -EAGAIN);
    EXPECT(err == RN_ECLOSED || err == RN_ESLOW);
    stats = stats_of(p->sub);
    EXPECT_EQ(stats.received, seen.received);
    EXPECT(seen.missed <= stats.dropped);
    if (err == RN_ECLOSED)
        EXPECT_EQ(stats.offered, (uint64_t)p->load->messages * PUBLISHERS);
    return 0;
}

static int receive_as_member(rn_ctx *ctx, void *arg)
{
    struct party *p = arg;
    struct seen seen = {0};
    rn_message m;

    (void)ctx;
    while (rn_subscription_recv(NULL, p->sub, &m) == 0)
        see(&seen, &m);
    atomic_fetch_add(&p->load->member_got, (int)seen.received);
    return 0;
}

/* Comes and goes, and leaves in every way. */
static int visit(rn_ctx *ctx, void *arg)
{
    static const char *const patterns[] = {"load.>", "load.*", "load.a", "*.c.d"};
    struct party *p = arg;

    (void)ctx;
    for (int i = 0; atomic_load(&p->load->publishing) > 0; i++) {
        const rn_subscription_config config = {.buffer = 4, .when_full = (rn_when_full)(i % 4)};
        struct seen seen = {0};
        rn_message m;
        int err = rn_subscribe(p->load->ps, patterns[(i + p->index) % 4], &config, &p->sub);
        EXPECT(err == 0 || err == RN_ECLOSED);
        if (err != 0)
            break;
        for (int n = 0; n < i % 7 && rn_subscription_recv(NULL, p->sub, &m) == 0; n++)
            see(&seen, &m);
        if (i % 3 == 0)
            rn_unsubscribe(p->sub);
        else if (i % 3 == 1)
            rn_subscription_drain(p->sub);
        while (i % 3 != 2 && rn_subscription_recv(NULL, p->sub, &m) == 0)
            see(&seen, &m);
        stats_of(p->sub);
        rn_subscription_free(p->sub);
        rn_yield();
    }
    return 0;
}

static void join(struct load *load, rn_group *g, struct party *party, int index,
                 int (*receive)(rn_ctx *, void *), const rn_subscription_config *config)
{
    *party = (struct party){load, index, NULL};
    if (config != NULL)
        EXPECT_EQ(rn_subscribe(load->ps, "load.>", config, &party->sub), 0);
    EXPECT_EQ(rn_group_go(g, receive, party), 0);
}

static void start_publishers(struct load *load, rn_group *g, struct party *parties,
                             pthread_t *threads)
{
    for (int i = 0; i < PUBLISHERS; i++) {
        parties[i] = (struct party){load, i, NULL};
        if (i % 2 == 0)
            EXPECT_EQ(rn_group_go(g, publish_on_fiber, &parties[i]), 0);
        else
            EXPECT_EQ(pthread_create(&threads[i], NULL, publish_on_thread, &parties[i]), 0);
    }
}

TEST_FIBER(every_message_has_one_fate)
{
    static const rn_subscription_config
        all = {.buffer = 16, .when_full = RN_BLOCK_PUBLISHER, .block_for = RN_FOREVER},
        newest = {.buffer = 16},
        oldest = {.buffer = 16, .when_full = RN_DROP_OLDEST, .buffer_bytes = 100},
        slow = {.buffer = 500, .when_full = RN_DISCONNECT},
        member = {
            .queue = "q", .when_full = RN_BLOCK_PUBLISHER, .block_for = RN_FOREVER, .buffer = 8};
    struct load load = {.messages = rounds(3000)};
    struct party publishers[PUBLISHERS], fixed[4], members[MEMBERS], visitors[VISITORS];
    pthread_t threads[PUBLISHERS];
    rn_group *g = rn_group_new(NULL);

    EXPECT_EQ(rn_pubsub_new(&load.ps, NULL), 0);
    atomic_store(&load.publishing, PUBLISHERS);
    join(&load, g, &fixed[0], 0, receive_all, &all);
    join(&load, g, &fixed[1], 1, receive_some, &newest);
    join(&load, g, &fixed[2], 2, receive_some, &oldest);
    join(&load, g, &fixed[3], 3, receive_some, &slow);
    for (int i = 0; i < MEMBERS; i++)
        join(&load, g, &members[i], i, receive_as_member, &member);
    for (int i = 0; i < VISITORS; i++)
        join(&load, g, &visitors[i], i, visit, NULL);
    start_publishers(&load, g, publishers, threads);
    EXPECT_EQ(rn_group_wait(g), 0);
    for (int i = 1; i < PUBLISHERS; i += 2)
        EXPECT_EQ(pthread_join(threads[i], NULL), 0);
    EXPECT_EQ(atomic_load(&load.member_got), load.messages * PUBLISHERS);
    for (int i = 0; i < 4; i++)
        rn_subscription_free(fixed[i].sub);
    for (int i = 0; i < MEMBERS; i++)
        rn_subscription_free(members[i].sub);
    rn_pubsub_free(load.ps);
    EXPECT_EQ(atomic_load(&load.payloads), 0);
}

static void *receive_fast(void *arg)
{
    struct party *p = arg;
    struct seen seen = {0};
    rn_message m;

    while (rn_subscription_recv(NULL, p->sub, &m) == 0)
        see(&seen, &m);
    return NULL;
}

/* Publisher and receiver meet at the last slot of a ring that has none to spare but one. */
TEST_FIBER(a_slot_is_not_reused_before_its_message_is_let_go_of)
{
    static const size_t limits[] = {1, 2, 3, 7, 15};

    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        struct load load = {.messages = rounds(40000)};
        struct party party = {&load, 0, NULL};
        pthread_t thread;
        EXPECT_EQ(rn_pubsub_new(&load.ps, NULL), 0);
        party.sub = subscribe(load.ps, ">", &(rn_subscription_config){.buffer = limits[i]});
        atomic_store(&load.publishing, 1);
        EXPECT_EQ(pthread_create(&thread, NULL, receive_fast, &party), 0);
        publish_all(&party);
        EXPECT_EQ(pthread_join(thread, NULL), 0);
        stats_of(party.sub);
        rn_subscription_free(party.sub);
        rn_pubsub_free(load.ps);
        EXPECT_EQ(atomic_load(&load.payloads), 0);
    }
}
