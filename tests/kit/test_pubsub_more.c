/*
 * Publish-subscribe: queue groups, retained messages, select.
 */
#include "kit/pubsub.h"

/* ---- queue groups ---- */

TEST_FIBER(one_member_of_a_queue_group_gets_it)
{
    rn_pubsub *ps = pubsub(NULL);
    rn_subscription_config config = {.queue = "workers", .buffer = 10};
    rn_subscription *members[3], *all = subscribe(ps, "jobs", NULL), *other;

    for (int i = 0; i < 3; i++) /* also those who joined with another pattern */
        members[i] = subscribe(ps, i == 2 ? "*" : "jobs", &config);
    config.queue = "others";
    config.buffer = 64;
    other = subscribe(ps, "jobs", &config);
    publish_range(ps, "jobs", 1, 30);
    expect_range(all, 1, 30);
    expect_range(other, 1, 30); /* a group of its own */
    for (int i = 0; i < 3; i++) {
        int before = 0;
        EXPECT_EQ(stats_of(members[i]).buffered, 10); /* in turn */
        for (int n = 0; n < 10; n++) {
            int value = next(members[i]);
            EXPECT(value > before);
            before = value;
        }
    }
    rn_subscription_free(members[1]);
    publish_range(ps, "jobs", 1, 20);
    EXPECT_EQ(stats_of(members[0]).buffered, 10);
    EXPECT_EQ(stats_of(members[2]).buffered, 10);
    rn_subscription_free(members[0]);
    rn_subscription_free(members[2]);
    rn_subscription_free(all);
    rn_subscription_free(other);
    rn_pubsub_free(ps);
}

TEST_FIBER(a_member_with_room_is_found)
{
    rn_pubsub *ps = pubsub(NULL);
    rn_subscription *small = subscribe(ps, "a",
                                       &(rn_subscription_config){.queue = "q", .buffer = 1});
    rn_subscription *ended = subscribe(ps, "a", &(rn_subscription_config){.queue = "q"});
    rn_subscription *large = subscribe(ps, "a",
                                       &(rn_subscription_config){.queue = "q", .buffer = 9});

    EXPECT_EQ(rn_subscription_drain(ended), 0);
    publish_range(ps, "a", 1, 10);
    EXPECT_EQ(pubsub_stats(ps).dropped, 0);
    EXPECT_EQ(stats_of(small).buffered, 1);
    EXPECT_EQ(stats_of(large).buffered, 9);
    publish_range(ps, "a", 11, 14);
    EXPECT_EQ(pubsub_stats(ps).dropped, 4);
    rn_subscription_free(small);
    rn_subscription_free(large);
    publish(ps, "a", 15); /* nobody is left */
    EXPECT_EQ(stats_of(ended).offered, 0);
    rn_subscription_free(ended);
    rn_pubsub_free(ps);
}

/* ---- retained messages ---- */

TEST_FIBER(the_last_message_of_each_topic_is_retained)
{
    rn_pubsub *ps = pubsub(&(rn_pubsub_config){.retain = 1});
    rn_subscription *sub;
    rn_message m;

    publish_range(ps, "a.x", 1, 3);
    publish(ps, "a.y", 4);
    publish(ps, "b", 5);
    publish(ps, "a.x", 6);
    sub = subscribe(ps, "a.*", &(rn_subscription_config){.replay = 1});
    publish(ps, "a.x", 7);
    EXPECT_EQ(rn_subscription_try_recv(sub, &m), 0);
    EXPECT_EQ(value_of(&m), 4); /* in the order in which they were published */
    EXPECT_EQ(m.replayed, true);
    EXPECT_STR(m.topic, "a.y");
    EXPECT_EQ(rn_subscription_recv(NULL, sub, &m), 0);
    EXPECT_EQ(value_of(&m), 6);
    EXPECT_EQ(rn_subscription_recv(NULL, sub, &m), 0);
    EXPECT_EQ(value_of(&m), 7);
    EXPECT_EQ(m.replayed, false);
    expect_code(sub, -EAGAIN);
    EXPECT_EQ(stats_of(sub).replayed, 2);
    EXPECT_EQ(stats_of(sub).received, 1);
    rn_subscription_free(sub);
    sub = subscribe(ps, "a.*", NULL); /* who does not ask gets none */
    expect_code(sub, -EAGAIN);
    rn_subscription_free(sub);
    rn_pubsub_free(ps);
}

TEST_FIBER(the_last_n_are_replayed)
{
    rn_pubsub *ps = pubsub(&(rn_pubsub_config){.retain = 5});

    publish_range(ps, "a", 1, 8);
    for (int n = 1; n <= 5; n++) {
        rn_subscription *sub = subscribe(
            ps, "a", &(rn_subscription_config){.replay = (size_t)n, .buffer = 1});
        expect_range(sub, 9 - n, 8); /* more than the buffer holds */
        expect_code(sub, -EAGAIN);
        rn_subscription_free(sub);
    }
    EXPECT_EQ(rn_pubsub_forget(ps, "b"), 0);
    EXPECT_EQ(rn_pubsub_forget(ps, ">"), 0);
    publish(ps, "a", 9);
    rn_subscription *sub = subscribe(ps, ">", &(rn_subscription_config){.replay = 5});
    EXPECT_EQ(next(sub), 9);
    EXPECT_EQ(rn_unsubscribe(sub), 0);
    expect_code(sub, RN_ECLOSED);
    rn_subscription_free(sub);
    rn_pubsub_free(ps);
}

TEST_FIBER(topics_published_to_longest_ago_are_forgotten)
{
    rn_pubsub *ps = pubsub(&(rn_pubsub_config){.retain = 1, .topics = 2});
    rn_subscription *sub;

    publish(ps, "a", 1);
    publish(ps, "b", 2);
    publish(ps, "a", 3);
    publish(ps, "c", 4);
    EXPECT_EQ(pubsub_stats(ps).topics, 2);
    sub = subscribe(ps, ">", &(rn_subscription_config){.replay = 1});
    EXPECT_EQ(next(sub), 3);
    EXPECT_EQ(next(sub), 4);
    expect_code(sub, -EAGAIN);
    publish(ps, "b", 5);
    publish(ps, "d", 6);
    EXPECT_EQ(next(sub), 5);
    EXPECT_EQ(next(sub), 6);
    rn_subscription_free(sub);
    rn_pubsub_free(ps);
}

/* ---- select ---- */

TEST_FIBER(a_subscription_is_a_case_of_a_select)
{
    rn_pubsub *ps = pubsub(NULL);
    rn_subscription *a = subscribe(ps, "a", NULL), *b = subscribe(ps, "b", NULL);
    rn_case cases_again[] = {rn_on_message(a), rn_on_message(b), rn_default};

    EXPECT_EQ(rn_select(NULL, rn_on_message(a), rn_on_message(b), rn_default), 2);
    publish_range(ps, "a", 1, 3);
    EXPECT_EQ(rn_select(NULL, rn_on_message(a), rn_on_message(b), rn_default), 0);
    EXPECT_EQ(next(a), 1);
    EXPECT_EQ(rn_select_n(NULL, cases_again, 3, 0), 0); /* more wait, and the case is as good */
    expect_range(a, 2, 3);
    EXPECT_EQ(rn_select_n(NULL, cases_again, 3, 0), 2);
    publish(ps, "b", 4);
    EXPECT_EQ(rn_select_n(NULL, cases_again, 3, 0), 1);
    EXPECT_EQ(next(b), 4);
    EXPECT_EQ(rn_select_n(NULL, cases_again, 3, 0), 2);
    EXPECT_EQ(rn_subscription_drain(b), 0); /* the end fires too, for ever */
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(rn_select_n(NULL, cases_again, 3, 0), 1);
    expect_code(b, RN_ECLOSED);
    rn_subscription_free(a);
    rn_subscription_free(b);
    rn_pubsub_free(ps);
}

static void publish_both(void *arg)
{
    for (int i = 0; i < 500; i++)
        publish(arg, i % 2 == 0 ? "a" : "b", i);
}

TEST_FIBER(a_select_parks_until_a_message_comes)
{
    rn_pubsub *ps = pubsub(NULL);
    rn_subscription_config config = {.buffer = 250};
    rn_subscription *subs[2] = {subscribe(ps, "a", &config), subscribe(ps, "b", &config)};
    int wanted[2] = {0, 1};

    EXPECT_EQ(rn_go(publish_both, ps), 0);
    while (wanted[0] < 500 || wanted[1] < 500) {
        int i = rn_select(NULL, rn_on_message(subs[0]), rn_on_message(subs[1]));
        rn_message m;
        EXPECT_EQ(rn_subscription_try_recv(subs[i], &m), 0);
        EXPECT_EQ(value_of(&m), wanted[i]);
        wanted[i] += 2;
    }
    rn_subscription_free(subs[0]);
    rn_subscription_free(subs[1]);
    rn_pubsub_free(ps);
}

TEST_FIBER(a_case_fires_again_until_its_message_is_received)
{
    rn_pubsub *ps = pubsub(NULL);
    rn_subscription *sub = subscribe(ps, "a", NULL);

    publish(ps, "a", 1);
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(rn_select(NULL, rn_on_message(sub), rn_default), 0);
    publish(ps, "a", 2);
    EXPECT_EQ(rn_select(NULL, rn_on_message(sub), rn_default), 0);
    expect_range(sub, 1, 2);
    EXPECT_EQ(rn_select(NULL, rn_on_message(sub), rn_default), 1);
    publish(ps, "a", 3);
    EXPECT_EQ(rn_select(NULL, rn_on_message(sub), rn_default), 0);
    rn_subscription_free(sub);
    rn_pubsub_free(ps);
}
