/*
 * Publish-subscribe: what happens when a buffer is full, and who is told.
 */
#include "kit/pubsub.h"

/* ---- full buffers ---- */

TEST_FIBER(the_newest_is_dropped_by_default)
{
    rn_pubsub *ps = pubsub(NULL);
    rn_subscription *sub = subscribe(ps, "a", &(rn_subscription_config){.buffer = 3});
    rn_message m;

    publish_range(ps, "a", 1, 5);
    expect_range(sub, 1, 3);
    expect_code(sub, -EAGAIN);
    publish(ps, "a", 6);
    EXPECT_EQ(rn_subscription_try_recv(sub, &m), 0);
    EXPECT_EQ(value_of(&m), 6);
    EXPECT_EQ(m.missed, 2);
    EXPECT_EQ(m.number, 6);
    EXPECT_EQ(stats_of(sub).dropped, 2);
    EXPECT_EQ(pubsub_stats(ps).dropped, 2);
    rn_subscription_free(sub);
    sub = subscribe(ps, "b", NULL);
    publish_range(ps, "b", 1, 100);
    EXPECT_EQ(stats_of(sub).buffered, 64); /* the default */
    rn_subscription_free(sub);
    rn_pubsub_free(ps);
}

TEST_FIBER(what_is_received_makes_room_at_once)
{
    static const rn_when_full policies[] = {RN_DROP_NEWEST, RN_DROP_OLDEST, RN_BLOCK_PUBLISHER,
                                            RN_DISCONNECT};

    for (int i = 0; i < 4; i++) {
        rn_pubsub *ps = pubsub(NULL);
        rn_subscription *sub = subscribe(
            ps, "a",
            &(rn_subscription_config){.buffer = 1, .buffer_bytes = 4, .when_full = policies[i]});
        for (int n = 0; n < 1000; n++) {
            publish(ps, "a", n);
            EXPECT_EQ(next(sub), n);
        }
        EXPECT_EQ(stats_of(sub).dropped, 0);
        EXPECT_EQ(stats_of(sub).received, 1000);
        rn_subscription_free(sub);
        rn_pubsub_free(ps);
    }
}

TEST_FIBER(the_oldest_is_dropped_on_request)
{
    rn_pubsub *ps = pubsub(NULL);
    rn_subscription *sub = subscribe(
        ps, "a", &(rn_subscription_config){.buffer = 3, .when_full = RN_DROP_OLDEST});
    rn_message m;

    publish_range(ps, "a", 1, 3);
    EXPECT_EQ(rn_subscription_try_recv(sub, &m), 0);
    publish_range(ps, "a", 4, 7);
    EXPECT_EQ(value_of(&m), 1); /* still the receiver's */
    EXPECT_EQ(rn_subscription_try_recv(sub, &m), 0);
    EXPECT_EQ(value_of(&m), 5);
    EXPECT_EQ(m.missed, 3);
    expect_range(sub, 6, 7);
    expect_code(sub, -EAGAIN);
    EXPECT_EQ(stats_of(sub).dropped, 3);
    EXPECT_EQ(stats_of(sub).received, 4);
    rn_subscription_free(sub);
    rn_pubsub_free(ps);
}

TEST_FIBER(a_slow_subscriber_is_disconnected_on_request)
{
    rn_pubsub *ps = pubsub(NULL);
    rn_subscription *sub = subscribe(
        ps, "a", &(rn_subscription_config){.buffer = 3, .when_full = RN_DISCONNECT});
    rn_message m;

    publish_range(ps, "a", 1, 10);
    expect_range(sub, 1, 3); /* what was buffered comes first */
    expect_code(sub, RN_ESLOW);
    EXPECT_EQ(rn_subscription_recv(NULL, sub, &m), RN_ESLOW);
    EXPECT_EQ(stats_of(sub).dropped, 1);
    EXPECT_EQ(stats_of(sub).ended, RN_ESLOW);
    EXPECT_EQ(pubsub_stats(ps).disconnected, 1);
    EXPECT_EQ(rn_subscription_drain(sub), RN_ESLOW);
    EXPECT_EQ(rn_unsubscribe(sub), RN_ESLOW);
    rn_subscription_free(sub);
    rn_pubsub_free(ps);
}

TEST_FIBER(bytes_are_bounded_too)
{
    rn_pubsub *ps = pubsub(NULL);
    rn_subscription_config config = {.buffer = 10, .buffer_bytes = 100};
    rn_subscription *newest = subscribe(ps, "a", &config), *oldest;
    char bytes[101] = {0};
    rn_message m;

    config.when_full = RN_DROP_OLDEST;
    oldest = subscribe(ps, "a", &config);
    for (int i = 0; i < 4; i++)
        EXPECT_EQ(rn_publish_bytes(NULL, ps, "a", bytes, 30), 0);
    EXPECT_EQ(stats_of(newest).buffered_bytes, 90);
    EXPECT_EQ(stats_of(newest).dropped, 1);
    EXPECT_EQ(stats_of(oldest).buffered_bytes, 90);
    EXPECT_EQ(stats_of(oldest).dropped, 1);
    EXPECT_EQ(rn_publish_bytes(NULL, ps, "a", bytes, 10), 0); /* it fits beside them */
    EXPECT_EQ(stats_of(newest).buffered_bytes, 100);
    EXPECT_EQ(rn_publish_bytes(NULL, ps, "a", bytes, 101), 0); /* never: nothing goes for it */
    EXPECT_EQ(stats_of(oldest).buffered_bytes, 100);
    EXPECT_EQ(stats_of(oldest).dropped, 2);
    EXPECT_EQ(rn_publish_bytes(NULL, ps, "a", bytes, 100), 0);
    EXPECT_EQ(stats_of(oldest).buffered, 1);
    EXPECT_EQ(stats_of(newest).buffered, 4);
    for (int i = 0; i < 4; i++)
        EXPECT_EQ(rn_subscription_try_recv(newest, &m), 0);
    EXPECT_EQ(rn_publish_bytes(NULL, ps, "a", bytes, 100), 0);
    EXPECT_EQ(stats_of(newest).buffered_bytes, 100);
    EXPECT_EQ(stats_of(newest).dropped, 3);
    rn_subscription_free(newest);
    rn_subscription_free(oldest);
    rn_pubsub_free(ps);
}

/* ---- publishers that wait ---- */

struct publisher {
    rn_pubsub *ps;
    rn_ctx *ctx;
    const char *topic;
    int first, last;
    int code;
    atomic_int *done;
};

static void publish_many(void *arg)
{
    struct publisher *p = arg;

    for (int i = p->first; i <= p->last; i++)
        EXPECT_EQ(rn_publish_copy(p->ctx, p->ps, p->topic, &i), p->code);
    atomic_fetch_add(p->done, 1);
}

TEST_FIBER(a_publisher_waits_for_room)
{
    rn_pubsub *ps = pubsub(NULL);
    rn_subscription *sub = subscribe(ps, "a",
                                     &(rn_subscription_config){.buffer = 2,
                                                               .when_full = RN_BLOCK_PUBLISHER,
                                                               .block_for = RN_FOREVER});
    atomic_int done = 0;
    rn_message m;

    EXPECT_EQ(rn_go_copy(publish_many, &(struct publisher){ps, NULL, "a", 1, 100, 0, &done}), 0);
    await_waiting("cond wait", 1);
    for (int i = 1; i <= 100; i++) {
        EXPECT_EQ(rn_subscription_recv(NULL, sub, &m), 0);
        EXPECT_EQ(value_of(&m), i);
    }
    await_count(&done, 1);
    EXPECT_EQ(stats_of(sub).dropped, 0);
    rn_subscription_free(sub);
    rn_pubsub_free(ps);
}

TEST_FIBER(publishers_that_wait_get_room_in_turn)
{
    rn_pubsub *ps = pubsub(NULL);
    rn_subscription *sub = subscribe(ps, "a",
                                     &(rn_subscription_config){.buffer = 1,
                                                               .when_full = RN_BLOCK_PUBLISHER,
                                                               .block_for = RN_FOREVER});
    atomic_int done = 0;
    rn_message m;

    publish(ps, "a", 0);
    for (int i = 1; i <= 5; i++) {
        EXPECT_EQ(rn_go_copy(publish_many, &(struct publisher){ps, NULL, "a", i, i, 0, &done}), 0);
        await_waiting("cond wait", i);
    }
    for (int i = 0; i <= 5; i++) {
        EXPECT_EQ(rn_subscription_recv(NULL, sub, &m), 0);
        EXPECT_EQ(value_of(&m), i);
    }
    await_count(&done, 5);
    rn_subscription_free(sub);
    rn_pubsub_free(ps);
}

TEST_FIBER(a_wait_for_room_ends_with_the_subscription)
{
    rn_pubsub *ps = pubsub(NULL);
    rn_subscription_config config = {
        .buffer = 1, .when_full = RN_BLOCK_PUBLISHER, .block_for = RN_FOREVER};
    rn_subscription *sub = subscribe(ps, "a", &config), *other = subscribe(ps, "a", NULL);
    atomic_int done = 0;

    publish(ps, "a", 0);
    for (int i = 1; i <= 3; i++)
        EXPECT_EQ(rn_go_copy(publish_many, &(struct publisher){ps, NULL, "a", i, i, 0, &done}), 0);
    await_waiting("cond wait", 3);
    EXPECT_EQ(stats_of(other).buffered, 4); /* the others have it already */
    rn_subscription_free(sub);
    await_count(&done, 3);
    rn_subscription_free(other);
    rn_pubsub_free(ps);
}

TEST_VIRTUAL(a_wait_for_room_ends_with_its_context)
{
    rn_pubsub *ps = pubsub(NULL);
    rn_subscription_config config = {
        .buffer = 1, .when_full = RN_BLOCK_PUBLISHER, .block_for = RN_FOREVER};
    rn_subscription *first = subscribe(ps, "a", &config), *second = subscribe(ps, "a", &config);
    rn_subscription *other = subscribe(ps, "a", NULL);
    rn_ctx *ctx = rn_ctx_with_cancel(NULL), *late = rn_ctx_with_timeout(NULL, RN_MILLISECOND);
    struct publisher p = {ps, ctx, "a", 1, 1, -ECANCELED, NULL};
    atomic_int done = 0;

    p.done = &done;
    publish(ps, "a", 0);
    EXPECT_EQ(rn_go_copy(publish_many, &p), 0);
    await_waiting("cond wait", 1);
    rn_ctx_cancel(ctx, 0);
    await_count(&done, 1);
    EXPECT_EQ(rn_publish_bytes(late, ps, "a", "late", 4), -ETIMEDOUT);
    EXPECT_EQ(stats_of(first).dropped, 2);
    EXPECT_EQ(stats_of(second).dropped, 2);
    EXPECT_EQ(stats_of(other).buffered, 3);
    rn_subscription_free(first);
    rn_subscription_free(second);
    rn_subscription_free(other);
    rn_pubsub_free(ps);
    rn_ctx_release(ctx);
    rn_ctx_release(late);
}

TEST_VIRTUAL(a_publisher_waits_until_the_deadline)
{
    rn_pubsub *ps = pubsub(NULL);
    rn_subscription_config config = {
        .buffer = 1, .when_full = RN_BLOCK_PUBLISHER, .block_for = 5 * RN_SECOND};
    rn_subscription *five = subscribe(ps, "a", &config), *one;

    config.block_for = 0; /* a second */
    one = subscribe(ps, "a", &config);
    publish(ps, "a", 0);
    EXPECT_EQ(rn_now(), 0);
    publish(ps, "a", 1);
    EXPECT_EQ(rn_now(), 5 * RN_SECOND); /* both at the same time */
    EXPECT_EQ(stats_of(one).dropped, 1);
    EXPECT_EQ(stats_of(five).dropped, 1);
    publish_range(ps, "a", 2, 9); /* it hangs: nobody waits again */
    EXPECT_EQ(rn_now(), 5 * RN_SECOND);
    EXPECT_EQ(stats_of(five).dropped, 9);
    EXPECT_EQ(next(one), 0); /* it lives */
    publish(ps, "a", 10);
    EXPECT_EQ(rn_now(), 5 * RN_SECOND);
    publish(ps, "a", 11);
    EXPECT_EQ(rn_now(), 6 * RN_SECOND);
    EXPECT_EQ(next(one), 10);
    EXPECT_EQ(next(five), 0);
    rn_subscription_free(one);
    rn_subscription_free(five);
    rn_pubsub_free(ps);
}

TEST_VIRTUAL(one_that_hangs_keeps_nothing_from_others_that_are_full)
{
    rn_pubsub *ps = pubsub(NULL);
    rn_subscription_config config = {
        .buffer = 1, .when_full = RN_BLOCK_PUBLISHER, .block_for = RN_FOREVER};
    rn_subscription *hung = subscribe(ps, "a", &config), *quick = subscribe(ps, "a", &config);
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    atomic_int done = 0;
    rn_message m;

    publish(ps, "a", 0);
    EXPECT_EQ(rn_go_copy(publish_many, &(struct publisher){ps, ctx, "a", 1, 1, -ECANCELED, &done}),
              0);
    await_waiting("cond wait", 1);
    for (int i = 0; i < 2; i++) {
        EXPECT_EQ(rn_subscription_recv(NULL, quick, &m), 0);
        EXPECT_EQ(value_of(&m), i);
    }
    EXPECT_EQ(atomic_load(&done), 0);
    rn_ctx_cancel(ctx, 0);
    await_count(&done, 1);
    EXPECT_EQ(stats_of(hung).dropped, 1);
    EXPECT_EQ(stats_of(quick).dropped, 0);
    rn_subscription_free(hung);
    rn_subscription_free(quick);
    rn_pubsub_free(ps);
    rn_ctx_release(ctx);
}

TEST_VIRTUAL(bytes_make_publishers_wait_too)
{
    rn_pubsub *ps = pubsub(NULL);
    rn_subscription *sub = subscribe(
        ps, "a", &(rn_subscription_config){.buffer_bytes = 8, .when_full = RN_BLOCK_PUBLISHER});
    atomic_int done = 0;

    EXPECT_EQ(rn_go_copy(publish_many, &(struct publisher){ps, NULL, "a", 1, 4, 0, &done}), 0);
    await_waiting("cond wait", 1);
    EXPECT_EQ(stats_of(sub).buffered_bytes, 8);
    EXPECT_EQ(next(sub), 1);
    await_waiting("cond wait", 1);
    EXPECT_EQ(next(sub), 2);
    await_count(&done, 1);
    EXPECT_EQ(rn_publish_bytes(NULL, ps, "a", "123456789", 9), 0); /* never fits: no wait */
    EXPECT_EQ(rn_now(), 0);
    EXPECT_EQ(stats_of(sub).dropped, 1);
    rn_subscription_free(sub);
    rn_pubsub_free(ps);
}

TEST_FIBER(a_slow_subscriber_slows_nobody)
{
    rn_pubsub *ps = pubsub(NULL);
    rn_subscription *slow[3];
    rn_subscription *fast = subscribe(ps, "a", NULL);

    for (int i = 0; i < 3; i++)
        slow[i] = subscribe(
            ps, "a",
            &(rn_subscription_config){
                .buffer = 1,
                .when_full = (rn_when_full[]){RN_DROP_NEWEST, RN_DROP_OLDEST, RN_DISCONNECT}[i]});
    for (int i = 0; i < 10000; i++) {
        publish(ps, "a", i);
        EXPECT_EQ(next(fast), i);
    }
    EXPECT_EQ(stats_of(fast).dropped, 0);
    for (int i = 0; i < 3; i++)
        rn_subscription_free(slow[i]);
    rn_subscription_free(fast);
    rn_pubsub_free(ps);
}

/* ---- events ---- */

struct seen {
    int lags, disconnects;
    uint64_t dropped, buffered;
    char pattern[16], name[16];
    rn_pubsub *ps; /* called, because no lock is held */
};

static void see(struct seen *seen, const rn_subscription_event *event)
{
    seen->dropped = event->dropped;
    seen->buffered = event->buffered;
    snprintf(seen->pattern, sizeof seen->pattern, "%s", event->pattern);
    snprintf(seen->name, sizeof seen->name, "%s", event->name == NULL ? "-" : event->name);
    EXPECT(pubsub_stats(seen->ps).published > 0);
}

static void on_lag(void *arg, const rn_subscription_event *event)
{
    struct seen *seen = arg;

    seen->lags++;
    see(seen, event);
}

static void on_disconnect(void *arg, const rn_subscription_event *event)
{
    struct seen *seen = arg;

    seen->disconnects++;
    see(seen, event);
}

TEST_FIBER(an_episode_of_lag_is_one_event)
{
    struct seen seen = {0};
    rn_pubsub *ps = pubsub(
        &(rn_pubsub_config){.on_lag = on_lag, .on_disconnect = on_disconnect, .events_arg = &seen});
    rn_subscription *sub = subscribe(ps, "a.*",
                                     &(rn_subscription_config){.buffer = 2, .name = "slow"});

    seen.ps = ps;
    publish_range(ps, "a.b", 1, 2);
    EXPECT_EQ(seen.lags, 0);
    publish_range(ps, "a.b", 3, 9);
    EXPECT_EQ(seen.lags, 1);
    EXPECT_EQ(seen.dropped, 1);
    EXPECT_EQ(seen.buffered, 2);
    EXPECT_STR(seen.pattern, "a.*");
    EXPECT_STR(seen.name, "slow");
    EXPECT_EQ(next(sub), 1); /* not caught up: the same episode */
    publish_range(ps, "a.b", 10, 12);
    EXPECT_EQ(seen.lags, 1);
    EXPECT_EQ(next(sub), 2);
    EXPECT_EQ(next(sub), 10);
    publish_range(ps, "a.b", 20, 22);
    EXPECT_EQ(seen.lags, 2);
    EXPECT_EQ(seen.dropped, 10);
    EXPECT_EQ(stats_of(sub).lags, 2);
    EXPECT_EQ(pubsub_stats(ps).lags, 2);
    rn_subscription_free(sub);
    sub = subscribe(ps, ">", &(rn_subscription_config){.buffer = 1, .when_full = RN_DISCONNECT});
    publish_range(ps, "a.b", 1, 5);
    EXPECT_EQ(seen.lags, 3);
    EXPECT_EQ(seen.disconnects, 1);
    EXPECT_STR(seen.pattern, ">");
    EXPECT_STR(seen.name, "-");
    rn_subscription_free(sub);
    rn_pubsub_free(ps);
}
