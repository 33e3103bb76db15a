/* Closing a channel: its codes, what drains, who wakes, and the cause. */
#include "core.h"
#include "test.h"

#include <pthread.h>

TEST_FIBER(the_first_close_is_0_and_a_later_one_is_eclosed)
{
    int_chan ch = rn_chan_make(int, 1);

    EXPECT_EQ(rn_close(ch), 0);
    EXPECT_EQ(rn_close(ch), RN_ECLOSED);
    EXPECT_EQ(rn_close_with(ch, -EIO), RN_ECLOSED);
    rn_chan_release(ch);
}

TEST_FIBER(a_closed_channel_takes_no_values)
{
    int_chan ch = rn_chan_make(int, 4);
    int values[] = {1, 2};

    EXPECT_EQ(rn_close(ch), 0);
    EXPECT_EQ(rn_send(NULL, ch, 1), RN_ECLOSED);
    EXPECT_EQ(rn_try_send(ch, 1), RN_ECLOSED);
    EXPECT_EQ(rn_send_n(NULL, ch, values, 2), RN_ECLOSED);
    EXPECT_EQ(rn_len(ch), 0);
    rn_chan_release(ch);
}

TEST_FIBER(buffered_values_drain_before_eclosed)
{
    int_chan ch = rn_chan_make(int, 4);
    int values[4], value = 0;

    for (int i = 1; i <= 4; i++)
        EXPECT_EQ(rn_send(NULL, ch, i), 0);
    EXPECT_EQ(rn_close(ch), 0);
    EXPECT_EQ(rn_recv(NULL, ch, &value), 0);
    EXPECT_EQ(value, 1);
    EXPECT_EQ(rn_try_recv(ch, &value), 0);
    EXPECT_EQ(value, 2);
    EXPECT_EQ(rn_recv_n(NULL, ch, values, 4), 2);
    EXPECT_EQ(values[0], 3);
    EXPECT_EQ(values[1], 4);
    EXPECT_EQ(rn_recv(NULL, ch, &value), RN_ECLOSED);
    EXPECT_EQ(rn_try_recv(ch, &value), RN_ECLOSED);
    EXPECT_EQ(rn_recv_n(NULL, ch, values, 4), RN_ECLOSED);
    EXPECT_EQ(value, 2);
    rn_chan_release(ch);
}

struct waiting {
    int_chan ch, done;
    int number;
};

static void receive_until_closed(void *arg)
{
    struct waiting *w = arg;
    int value = 77;
    EXPECT_EQ(rn_recv(NULL, w->ch, &value), RN_ECLOSED);
    EXPECT_EQ(value, 77);
    EXPECT_EQ(rn_send(NULL, w->done, w->number), 0);
}

static void send_until_closed(void *arg)
{
    struct waiting *w = arg;
    EXPECT_EQ(rn_send(NULL, w->ch, w->number), RN_ECLOSED);
    EXPECT_EQ(rn_send(NULL, w->done, w->number), 0);
}

TEST_FIBER(close_wakes_every_receiver_and_leaves_their_values_alone)
{
    enum { FIBERS = 100 };
    int_chan ch = rn_chan_make(int, 0), done = rn_chan_make(int, 0);
    int value;

    for (int i = 0; i < FIBERS; i++)
        EXPECT_EQ(rn_go_copy(receive_until_closed, &(struct waiting){ch, done, i}), 0);
    await_waiters(ch, FIBERS);
    EXPECT_EQ(rn_close(ch), 0);
    EXPECT_EQ(rn_waiters(ch), 0);
    for (int i = 0; i < FIBERS; i++)
        EXPECT_EQ(rn_recv(NULL, done, &value), 0);
    rn_chan_release(ch);
    rn_chan_release(done);
}

TEST_FIBER(senders_blocked_at_the_close_get_eclosed_and_their_values_are_not_received)
{
    enum { FIBERS = 20 };
    int_chan ch = rn_chan_make(int, 1), done = rn_chan_make(int, 0);
    int value;

    EXPECT_EQ(rn_send(NULL, ch, 1000), 0);
    for (int i = 0; i < FIBERS; i++)
        EXPECT_EQ(rn_go_copy(send_until_closed, &(struct waiting){ch, done, i}), 0);
    await_waiters(ch, FIBERS);
    EXPECT_EQ(rn_close(ch), 0);
    for (int i = 0; i < FIBERS; i++)
        EXPECT_EQ(rn_recv(NULL, done, &value), 0);
    EXPECT_EQ(rn_recv(NULL, ch, &value), 0);
    EXPECT_EQ(value, 1000);
    EXPECT_EQ(rn_recv(NULL, ch, &value), RN_ECLOSED);
    rn_chan_release(ch);
    rn_chan_release(done);
}

static atomic_int dropped;

static void count_drop(void *element)
{
    (void)element;
    atomic_fetch_add(&dropped, 1);
}

TEST_FIBER(a_sender_blocked_at_the_close_keeps_its_value_and_drop_does_not_get_it)
{
    int_chan ch = rn_chan_make_with(int, &(rn_chan_options){.drop = count_drop});
    int_chan done = rn_chan_make(int, 0);
    int value;

    EXPECT_EQ(rn_go_copy(send_until_closed, &(struct waiting){ch, done, 1}), 0);
    await_waiters(ch, 1);
    EXPECT_EQ(rn_close(ch), 0);
    EXPECT_EQ(rn_recv(NULL, done, &value), 0);
    rn_chan_release(ch);
    EXPECT_EQ(atomic_load(&dropped), 0);
    rn_chan_release(done);
}

TEST_FIBER(a_cause_is_read_by_both_sides)
{
    int_chan ch = rn_chan_make(int, 1);
    int value;

    EXPECT_EQ(rn_close_cause(ch), 0);
    EXPECT_EQ(rn_send(NULL, ch, 1), 0);
    EXPECT_EQ(rn_close_with(ch, -EIO), 0);
    EXPECT_EQ(rn_send(NULL, ch, 2), RN_ECLOSED);
    EXPECT_EQ(rn_close_cause(ch), -EIO);
    EXPECT_EQ(rn_recv(NULL, ch, &value), 0);
    EXPECT_EQ(rn_recv(NULL, ch, &value), RN_ECLOSED);
    EXPECT_EQ(rn_close_cause(ch), -EIO);
    rn_chan_release(ch);
}

TEST_FIBER(the_cause_of_a_plain_close_is_eclosed)
{
    int_chan ch = rn_chan_make(int, 0);

    EXPECT_EQ(rn_close(ch), 0);
    EXPECT_EQ(rn_close_cause(ch), RN_ECLOSED);
    rn_chan_release(ch);
}

TEST_FIBER(the_first_cause_stays)
{
    int_chan ch = rn_chan_make(int, 0);

    EXPECT_EQ(rn_close_with(ch, -EIO), 0);
    EXPECT_EQ(rn_close_with(ch, -EPIPE), RN_ECLOSED);
    EXPECT_EQ(rn_close(ch), RN_ECLOSED);
    EXPECT_EQ(rn_close_cause(ch), -EIO);
    rn_chan_release(ch);
}

struct closing {
    int_chan ch;
    atomic_int *ready, *firsts;
    int cause;
};

static void *close_together(void *arg)
{
    struct closing *c = arg;
    atomic_fetch_add(c->ready, 1);
    while (atomic_load(c->ready) < 4)
        rn_yield();
    int err = rn_close_with(c->ch, c->cause);
    EXPECT(err == 0 || err == RN_ECLOSED);
    EXPECT(rn_close_cause(c->ch) < 0);
    if (err == 0) {
        EXPECT_EQ(rn_close_cause(c->ch), c->cause);
        atomic_fetch_add(c->firsts, 1);
    }
    return NULL;
}

TEST(of_closes_at_once_exactly_one_is_first)
{
    for (int round = 0; round < 50; round++) {
        int_chan ch = rn_chan_make(int, 0);
        atomic_int ready = 0, firsts = 0;
        pthread_t threads[4];
        struct closing closing[4];

        for (int i = 0; i < 4; i++) {
            closing[i] = (struct closing){ch, &ready, &firsts, -1 - i};
            EXPECT_EQ(pthread_create(&threads[i], NULL, close_together, &closing[i]), 0);
        }
        for (int i = 0; i < 4; i++)
            pthread_join(threads[i], NULL);
        EXPECT_EQ(atomic_load(&firsts), 1);
        rn_chan_release(ch);
    }
    rn_stop();
}

TEST_FIBER(a_try_never_misses_a_close_that_happened_before_it)
{
    int value;

    for (int i = 0; i < 1000; i++) {
        int_chan ch = rn_chan_make(int, (size_t)(i % 3));
        rn_close(ch);
        EXPECT_EQ(rn_try_recv(ch, &value), RN_ECLOSED);
        EXPECT_EQ(rn_try_send(ch, 1), RN_ECLOSED);
        rn_chan_release(ch);
    }
}
