/*
 * Publish-subscribe: topics and patterns, configurations, payloads, ends, what can be seen.
 * test_pubsub_full.c has full buffers, test_pubsub_more.c queue groups, retained messages, select.
 */
#include "kit/pubsub.h"

/* ---- topics and patterns ---- */

static const struct {
    const char *pattern, *topic;
    bool matches;
} cases[] = {
    {"a", "a", true},        {"a", "b", false},        {"a", "a.b", false},
    {"a.b", "a", false},     {"a.b.c", "a.b.c", true}, {"a.b.c", "a.b.d", false},
    {"ab", "a", false},      {"a", "ab", false},       {"*", "a", true},
    {"*", "a.b", false},     {"a.*", "a.b", true},     {"a.*", "a", false},
    {"a.*", "a.b.c", false}, {"a.*.c", "a.b.c", true}, {"a.*.c", "a.b.d", false},
    {"*.*", "a.b", true},    {">", "a", true},         {">", "a.b.c.d", true},
    {"a.>", "a.b", true},    {"a.>", "a.b.c", true},   {"a.>", "a", false},
    {"a.>", "b.c", false},   {"*.b.>", "a.b.c", true}, {"*.b.>", "a.b", false},
    {"é.ü", "é.ü", true},
};

#define CASES (sizeof cases / sizeof cases[0])

TEST_FIBER(patterns_match_topics)
{
    rn_message m;

    for (size_t i = 0; i < CASES; i++) {
        rn_pubsub *ps = pubsub(NULL);
        rn_subscription *sub = subscribe(ps, cases[i].pattern, NULL);
        EXPECT_EQ(rn_topic_matches(cases[i].pattern, cases[i].topic), cases[i].matches);
        publish(ps, cases[i].topic, (int)i);
        EXPECT_EQ(rn_subscription_try_recv(sub, &m), cases[i].matches ? 0 : -EAGAIN);
        if (cases[i].matches)
            EXPECT_STR(m.topic, cases[i].topic);
        rn_subscription_free(sub);
        rn_pubsub_free(ps);
    }
}

/* All patterns in one tree: the same answers, and after each leaves, too. */
TEST_FIBER(patterns_share_a_tree)
{
    rn_pubsub *ps = pubsub(NULL);
    rn_subscription *subs[CASES];

    for (size_t i = 0; i < CASES; i++)
        subs[i] = subscribe(ps, cases[i].pattern, NULL);
    for (size_t left = 0; left < CASES; left++) {
        publish(ps, cases[left].topic, (int)left);
        for (size_t i = left; i < CASES; i++) {
            if (rn_topic_matches(cases[i].pattern, cases[left].topic))
                EXPECT_EQ(next(subs[i]), left);
            expect_code(subs[i], -EAGAIN);
        }
        rn_subscription_free(subs[left]);
    }
    EXPECT_EQ(pubsub_stats(ps).subscriptions, 0);
    rn_pubsub_free(ps);
}

static void expect_wrong(rn_pubsub *ps, const char *topic, const char *sentence)
{
    EXPECT_EQ(rn_publish_bytes(NULL, ps, topic, "", 0), -EINVAL);
    EXPECT_STR(rn_error_detail(), sentence);
}

static void expect_wrong_pattern(rn_pubsub *ps, const char *pattern, const char *sentence)
{
    rn_subscription *sub = (rn_subscription *)&sub;

    EXPECT_EQ(rn_subscribe(ps, pattern, NULL, &sub), -EINVAL);
    EXPECT(sub == NULL);
    EXPECT_STR(rn_error_detail(), sentence);
    EXPECT_EQ(rn_pubsub_forget(ps, pattern), -EINVAL);
    EXPECT(!rn_topic_matches(pattern, "a"));
}

TEST_FIBER(wrong_topics_and_patterns_say_why)
{
    rn_pubsub *ps = pubsub(NULL);
    char text[RN_TOPIC_BYTES_MAX + 2], wanted[256];

    expect_wrong(ps, NULL, "pubsub: the topic is NULL");
    expect_wrong(ps, "", "pubsub: topic \"\": it has an empty level");
    expect_wrong(ps, ".a", "pubsub: topic \".a\": it has an empty level");
    expect_wrong(ps, "a.", "pubsub: topic \"a.\": it has an empty level");
    expect_wrong(ps, "a..b", "pubsub: topic \"a..b\": it has an empty level");
    expect_wrong(ps, "a.*", "pubsub: topic \"a.*\": wildcards are for patterns");
    expect_wrong(ps, "a.>", "pubsub: topic \"a.>\": wildcards are for patterns");
    expect_wrong(ps, "a b", "pubsub: topic \"a b\": it has a space or a control character");
    expect_wrong(ps, "a\n", "pubsub: topic \"a\n\": it has a space or a control character");
    expect_wrong_pattern(ps, NULL, "pubsub: the pattern is NULL");
    expect_wrong_pattern(ps, "a..b", "pubsub: pattern \"a..b\": it has an empty level");
    expect_wrong_pattern(ps, "a*", "pubsub: pattern \"a*\": a wildcard stands alone in its level");
    expect_wrong_pattern(ps, "*a", "pubsub: pattern \"*a\": a wildcard stands alone in its level");
    expect_wrong_pattern(ps, "**", "pubsub: pattern \"**\": a wildcard stands alone in its level");
    expect_wrong_pattern(ps, "a.>.b",
                         "pubsub: pattern \"a.>.b\": '>' is allowed as the last level only");
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    snprintf(wanted, sizeof wanted, "pubsub: topic \"%.100s\": it is longer than 1023 bytes", text);
    expect_wrong(ps, text, wanted);
    text[RN_TOPIC_BYTES_MAX] = '\0';
    publish(ps, text, 0);
    for (size_t i = 0; i < 65; i++)
        text[2 * i] = 'x', text[2 * i + 1] = '.';
    text[129] = '\0';
    snprintf(wanted, sizeof wanted, "pubsub: topic \"%.100s\": it has more than 64 levels", text);
    expect_wrong(ps, text, wanted);
    text[127] = '\0';
    publish(ps, text, 0);
    rn_pubsub_free(ps);
}

/* ---- configurations ---- */

static void expect_config(rn_pubsub *ps, const rn_subscription_config *config, const char *sentence)
{
    rn_subscription *sub = (rn_subscription *)&sub;

    EXPECT_EQ(rn_subscribe(ps, "a", config, &sub), -EINVAL);
    EXPECT(sub == NULL);
    EXPECT_STR(rn_error_detail(), sentence);
}

TEST_FIBER(configurations_are_checked)
{
    rn_pubsub *ps = (rn_pubsub *)&ps;

    EXPECT_EQ(rn_pubsub_new(&ps, &(rn_pubsub_config){.retain = 65537}), -EINVAL);
    EXPECT(ps == NULL);
    EXPECT_STR(rn_error_detail(), "pubsub: .retain is 65537: allowed are 0 to 65536");
    EXPECT_EQ(rn_pubsub_new(&ps, &(rn_pubsub_config){.topics = 16777217}), -EINVAL);
    EXPECT_STR(rn_error_detail(), "pubsub: .topics is 16777217: allowed are 1 to 16777216");
    ps = pubsub(&(rn_pubsub_config){.retain = 2});
    expect_config(ps, &(rn_subscription_config){.buffer = 16777217},
                  "subscription: .buffer is 16777217: allowed are 1 to 16777216");
    expect_config(ps, &(rn_subscription_config){.when_full = 4},
                  "subscription: .when_full is 4: it is none of the four");
    expect_config(ps, &(rn_subscription_config){.when_full = RN_BLOCK_PUBLISHER, .block_for = -1},
                  "subscription: .block_for is -1: allowed are 1 ns to RN_FOREVER");
    expect_config(ps, &(rn_subscription_config){.block_for = 1},
                  "subscription: .block_for is for RN_BLOCK_PUBLISHER only");
    expect_config(ps, &(rn_subscription_config){.replay = 3},
                  "subscription: .replay is 3: the pubsub's .retain is 2");
    expect_config(ps, &(rn_subscription_config){.replay = 1, .queue = "q"},
                  "subscription: .replay is not for members of a .queue");
    expect_config(ps, &(rn_subscription_config){.queue = ""},
                  "subscription: .queue is empty: allowed is any other text");
    EXPECT_EQ(pubsub_stats(ps).subscriptions, 0);
    rn_pubsub_free(ps);
    rn_pubsub_free(NULL);
    rn_subscription_free(NULL);
}

/* ---- payloads ---- */

static void count_drop(void *arg)
{
    ++*(int *)arg;
}

TEST(a_payload_is_freed_with_its_last_reference)
{
    int dropped = 0;
    rn_payload *p = rn_payload_wrap("abc", 3, count_drop, &dropped), *q;

    EXPECT(rn_payload_retain(p) == p);
    rn_payload_release(p);
    EXPECT_EQ(dropped, 0);
    EXPECT_STR(rn_payload_data(p), "abc");
    EXPECT_EQ(rn_payload_size(p), 3);
    rn_payload_release(p);
    EXPECT_EQ(dropped, 1);
    q = rn_payload_copy(NULL, 2);
    EXPECT_EQ(memcmp(rn_payload_data(q), "\0\0", 2), 0);
    rn_payload_release(q);
    EXPECT(rn_payload_retain(NULL) == NULL);
    rn_payload_release(NULL);
    EXPECT(rn_payload_copy("", SIZE_MAX) == NULL);
}

struct last_will {
    rn_pubsub *ps;
    rn_subscription *mine, *next;
};

/* Nothing may be locked here that subscribing or leaving needs. */
static void execute_will(void *arg)
{
    struct last_will *will = arg;

    rn_subscription_free(will->mine);
    will->mine = NULL;
    EXPECT_EQ(rn_subscribe(will->ps, "b", NULL, &will->next), 0);
}

TEST_FIBER(the_end_of_a_payload_may_subscribe_and_leave)
{
    rn_pubsub *ps = pubsub(NULL);
    rn_subscription *holder = subscribe(ps, "a", NULL);
    struct last_will will = {.ps = ps, .mine = subscribe(ps, "b", NULL)};
    rn_payload *p = rn_payload_wrap("", 1, execute_will, &will);

    EXPECT_EQ(rn_publish(NULL, ps, "a", p), 0);
    rn_payload_release(p);
    rn_subscription_free(holder);
    EXPECT(will.mine == NULL);
    publish(ps, "b", 1);
    EXPECT_EQ(next(will.next), 1);
    rn_subscription_free(will.next);
    rn_pubsub_free(ps);
}

TEST_FIBER(there_is_one_copy_for_all)
{
    rn_pubsub *ps = pubsub(NULL);
    rn_subscription *subs[5];
    int dropped = 0;
    rn_payload *p = rn_payload_wrap("one", 4, count_drop, &dropped);
    rn_message m;

    for (int i = 0; i < 5; i++)
        subs[i] = subscribe(ps, "a", NULL);
    EXPECT_EQ(rn_publish(NULL, ps, "a", p), 0);
    for (int i = 0; i < 5; i++) {
        EXPECT_EQ(rn_subscription_recv(NULL, subs[i], &m), 0);
        EXPECT(m.payload == p);
        EXPECT(m.data == rn_payload_data(p));
        EXPECT_EQ(m.size, 4);
        EXPECT_EQ(m.number, 1);
    }
    rn_payload_release(p);
    for (int i = 0; i < 5; i++) { /* the last subscriber to move on lets go */
        EXPECT_EQ(dropped, 0);
        expect_code(subs[i], -EAGAIN);
    }
    EXPECT_EQ(dropped, 1);
    for (int i = 0; i < 5; i++)
        rn_subscription_free(subs[i]);
    rn_pubsub_free(ps);
}

/* A message's memory lives until the next receive, its payload for as long as it is retained. */
TEST_FIBER(a_payload_can_be_kept)
{
    rn_pubsub *ps = pubsub(NULL);
    rn_subscription *sub = subscribe(ps, "a", NULL);
    int dropped = 0;
    rn_payload *p = rn_payload_wrap("kept", 5, count_drop, &dropped);
    rn_message m;

    EXPECT_EQ(rn_publish(NULL, ps, "a", p), 0);
    rn_payload_release(p);
    EXPECT_EQ(rn_subscription_recv(NULL, sub, &m), 0);
    p = rn_payload_retain(m.payload);
    publish_range(ps, "a", 1, 64);
    expect_range(sub, 1, 64);
    expect_code(sub, -EAGAIN);
    EXPECT_EQ(dropped, 0);
    EXPECT_STR(rn_payload_data(p), "kept");
    rn_payload_release(p);
    EXPECT_EQ(dropped, 1);
    rn_subscription_free(sub);
    rn_pubsub_free(ps);
}

TEST_FIBER(nobody_keeps_what_nobody_heard)
{
    rn_pubsub *ps = pubsub(NULL);
    int dropped = 0;
    rn_payload *p = rn_payload_wrap("x", 1, count_drop, &dropped);

    EXPECT_EQ(rn_publish(NULL, ps, "a", p), 0);
    rn_payload_release(p);
    EXPECT_EQ(dropped, 1);
    EXPECT_EQ(pubsub_stats(ps).published, 1);
    EXPECT_EQ(pubsub_stats(ps).unheard, 1);
    EXPECT_EQ(rn_publish(NULL, ps, "a", NULL), -ENOMEM);
    rn_pubsub_free(ps);
}

/* Every place in which a message can be when all is freed. */
TEST_FIBER(no_payload_is_lost)
{
    static const rn_subscription_config policies[] = {
        {.buffer = 2},
        {.buffer = 2, .when_full = RN_DROP_OLDEST},
        {.buffer = 2, .when_full = RN_BLOCK_PUBLISHER, .block_for = 1},
        {.buffer = 2, .when_full = RN_DISCONNECT},
        {.buffer = 2, .replay = 3},
        {.buffer = 2, .buffer_bytes = 1},
        {.buffer = 2, .queue = "q"},
    };
    int dropped = 0, made = 0;

    for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++) {
        for (int received = 0; received < 4; received++) {
            rn_pubsub *ps = pubsub(&(rn_pubsub_config){.retain = 3, .topics = 2});
            rn_subscription *sub;
            rn_message m;
            for (int n = 0; n < 8; n++, made++) {
                static const char *const topics[] = {"a", "b", "c"};
                rn_payload *p = rn_payload_wrap("x", 1, count_drop, &dropped);
                if (n == 4)
                    sub = subscribe(ps, "*", &policies[i]);
                EXPECT_EQ(rn_publish(NULL, ps, topics[n % 3], p), 0);
                rn_payload_release(p);
            }
            for (int r = 0; r < received; r++)
                rn_subscription_try_recv(sub, &m);
            if (received % 2 == 0)
                rn_pubsub_free(ps);
            rn_subscription_free(sub);
            if (received % 2 == 1)
                rn_pubsub_free(ps);
            EXPECT_EQ(dropped, made);
        }
    }
}

static void release_again(void *arg)
{
    rn_payload_release(*(rn_payload **)arg);
}

TEST_DIES(a_payload_released_twice_dies, "released more often than it was retained", SIGABRT)
{
    rn_payload *p;

    p = rn_payload_wrap("", 1, release_again, &p);
    rn_payload_release(p);
}

/* ---- ends ---- */

struct waiter {
    rn_subscription *sub;
    rn_ctx *ctx;
    atomic_int *done;
    int code;
};

static void wait_for_code(void *arg)
{
    struct waiter *w = arg;
    rn_message m;

    EXPECT_EQ(rn_subscription_recv(w->ctx, w->sub, &m), w->code);
    atomic_fetch_add(w->done, 1);
}

static void start_waiter(rn_subscription *sub, rn_ctx *ctx, int code, atomic_int *done)
{
    EXPECT_EQ(rn_go_copy(wait_for_code, &(struct waiter){sub, ctx, done, code}), 0);
    await_waiting("chan receive", 1);
}

TEST_FIBER(unsubscribing_closes)
{
    rn_pubsub *ps = pubsub(NULL);
    rn_subscription *sub = subscribe(ps, "a", NULL);
    atomic_int done = 0;

    start_waiter(sub, NULL, RN_ECLOSED, &done);
    EXPECT_EQ(rn_unsubscribe(sub), 0);
    await_count(&done, 1);
    EXPECT_EQ(rn_unsubscribe(sub), RN_ECLOSED);
    publish(ps, "a", 1);
    expect_code(sub, RN_ECLOSED);
    EXPECT_EQ(stats_of(sub).offered, 0);
    rn_subscription_free(sub);
    sub = subscribe(ps, "a", NULL);
    publish_range(ps, "a", 1, 5);
    EXPECT_EQ(next(sub), 1);
    EXPECT_EQ(rn_unsubscribe(sub), 0);
    expect_code(sub, RN_ECLOSED); /* the rest is not received */
    EXPECT_EQ(stats_of(sub).discarded, 4);
    rn_subscription_free(sub);
    rn_pubsub_free(ps);
}

TEST_FIBER(draining_delivers_what_is_buffered)
{
    rn_pubsub *ps = pubsub(NULL);
    rn_subscription *sub = subscribe(ps, "a", NULL);
    atomic_int done = 0;

    publish_range(ps, "a", 1, 5);
    EXPECT_EQ(rn_subscription_drain(sub), 0);
    publish(ps, "a", 6);
    expect_range(sub, 1, 5);
    expect_code(sub, RN_ECLOSED);
    EXPECT_EQ(rn_subscription_drain(sub), RN_ECLOSED);
    EXPECT_EQ(stats_of(sub).ended, RN_ECLOSED);
    rn_subscription_free(sub);
    sub = subscribe(ps, "a", NULL);
    start_waiter(sub, NULL, RN_ECLOSED, &done);
    EXPECT_EQ(rn_subscription_drain(sub), 0);
    await_count(&done, 1);
    rn_subscription_free(sub);
    rn_pubsub_free(ps);
}

TEST_FIBER(a_drained_subscription_can_be_unsubscribed)
{
    rn_pubsub *ps = pubsub(NULL);
    rn_subscription *sub = subscribe(ps, "a", NULL);

    publish_range(ps, "a", 1, 5);
    EXPECT_EQ(rn_subscription_drain(sub), 0);
    EXPECT_EQ(next(sub), 1);
    EXPECT_EQ(rn_unsubscribe(sub), RN_ECLOSED);
    expect_code(sub, RN_ECLOSED);
    rn_subscription_free(sub);
    rn_pubsub_free(ps);
}

TEST_FIBER(the_pubsub_s_end_drains_all)
{
    for (int by_free = 0; by_free < 2; by_free++) {
        rn_pubsub *ps = pubsub(NULL);
        rn_subscription *a = subscribe(ps, "a", NULL), *all = subscribe(ps, ">", NULL), *none;
        publish_range(ps, "a", 1, 3);
        if (by_free == 0) {
            EXPECT_EQ(rn_pubsub_close(ps), 0);
            EXPECT_EQ(rn_pubsub_close(ps), RN_ECLOSED);
            EXPECT_EQ(rn_publish_bytes(NULL, ps, "a", "", 0), RN_ECLOSED);
            EXPECT_EQ(rn_subscribe(ps, "a", NULL, &none), RN_ECLOSED);
            EXPECT(none == NULL);
        }
        rn_pubsub_free(ps);
        expect_range(a, 1, 3);
        expect_code(a, RN_ECLOSED);
        expect_range(all, 1, 2);
        EXPECT_EQ(stats_of(all).buffered, 1);
        rn_subscription_free(a);
        rn_subscription_free(all);
    }
}

TEST_FIBER(waits_end_with_their_context)
{
    rn_pubsub *ps = pubsub(NULL);
    rn_subscription *sub = subscribe(ps, "a", NULL);
    rn_ctx *ctx = rn_ctx_with_cancel(NULL), *late = rn_ctx_with_timeout(NULL, RN_MILLISECOND);
    atomic_int done = 0;
    rn_message m;

    EXPECT_EQ(rn_subscription_recv(late, sub, &m), -ETIMEDOUT);
    start_waiter(sub, ctx, -ECANCELED, &done);
    rn_ctx_cancel(ctx, 0);
    await_count(&done, 1);
    EXPECT_EQ(rn_subscription_recv(ctx, sub, &m), -ECANCELED);
    EXPECT_EQ(rn_publish_bytes(ctx, ps, "a", "", 0), -ECANCELED);
    EXPECT_EQ(rn_publish_bytes(late, ps, "a", "", 0), -ETIMEDOUT);
    publish(ps, "a", 1);
    EXPECT_EQ(rn_subscription_recv(NULL, sub, &m), 0);
    EXPECT_EQ(stats_of(sub).offered, 1);
    rn_subscription_free(sub);
    rn_pubsub_free(ps);
    rn_ctx_release(ctx);
    rn_ctx_release(late);
}

static void receive_forever(void *arg)
{
    rn_message m;

    rn_subscription_recv(NULL, arg, &m);
}

static int receive_twice(int argc, char **argv)
{
    rn_pubsub *ps = pubsub(NULL);
    rn_subscription *sub = subscribe(ps, "a.b", NULL);

    (void)argc, (void)argv;
    EXPECT_EQ(rn_go(receive_forever, sub), 0);
    await_waiting("chan receive", 1);
    receive_forever(sub);
    return 0;
}

TEST_DIES(two_receivers_of_one_subscription_die, "two receive at once .* \"a.b\"", SIGABRT)
{
    rn_run(receive_twice, 0, NULL);
}

/* ---- what can be seen ---- */

static void capture_dump(char *text, size_t size)
{
    int ends[2];
    ssize_t n;

    EXPECT_EQ(pipe(ends), 0);
    rn_dump(ends[1]);
    close(ends[1]);
    n = read(ends[0], text, size - 1);
    EXPECT(n > 0);
    text[n] = '\0';
    close(ends[0]);
}

TEST_FIBER(names_are_shown_in_dumps)
{
    rn_pubsub *ps = pubsub(&(rn_pubsub_config){.name = "events"});
    rn_subscription *sub = subscribe(ps, "a.>",
                                     &(rn_subscription_config){.name = "audit", .buffer = 2});
    char text[4096];

    publish_range(ps, "a.b", 1, 3);
    capture_dump(text, sizeof text);
    EXPECT(strstr(text, "pubsub \"events\" [1 subscriptions, 3 published, 1 dropped]") != NULL);
    EXPECT(strstr(text, "subscription \"audit\" [a.>: 2 of 2 buffered, 1 dropped]") != NULL);
    rn_subscription_free(sub);
    rn_pubsub_free(ps);
    capture_dump(text, sizeof text);
    EXPECT(strstr(text, "events") == NULL && strstr(text, "audit") == NULL);
}

TEST_FIBER(counters_tell_what_is_where)
{
    rn_pubsub *ps = pubsub(NULL);
    rn_subscription *a = subscribe(ps, "a", &(rn_subscription_config){.buffer = 4});
    rn_subscription *all = subscribe(ps, ">", NULL);

    publish_range(ps, "a", 1, 6);
    publish(ps, "b", 7);
    EXPECT_EQ(next(a), 1);
    EXPECT_EQ(pubsub_stats(ps).published, 7);
    EXPECT_EQ(pubsub_stats(ps).offered, 13);
    EXPECT_EQ(pubsub_stats(ps).dropped, 2);
    EXPECT_EQ(pubsub_stats(ps).lags, 1);
    EXPECT_EQ(pubsub_stats(ps).subscriptions, 2);
    EXPECT_EQ(pubsub_stats(ps).topics, 2);
    EXPECT_EQ(stats_of(a).offered, 6);
    EXPECT_EQ(stats_of(a).received, 1);
    EXPECT_EQ(stats_of(a).buffered, 3);
    EXPECT_EQ(stats_of(a).buffered_bytes, 3 * sizeof(int));
    EXPECT_EQ(stats_of(a).ended, 0);
    EXPECT_EQ(stats_of(all).buffered, 7);
    rn_subscription_free(a);
    rn_subscription_free(all);
    rn_pubsub_free(ps);
}
