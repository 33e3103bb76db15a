/* send_n and recv_n: how many they move, and in which order. */
#include "core.h"
#include "test.h"

TEST_FIBER(nothing_is_moved_for_n_0)
{
    int_chan ch = rn_chan_make(int, 1);
    int value = 4;

    EXPECT_EQ(rn_send_n(NULL, ch, &value, 0), 0);
    EXPECT_EQ(rn_recv_n(NULL, ch, &value, 0), 0);
    EXPECT_EQ(rn_len(ch), 0);
    EXPECT_EQ(value, 4);
    rn_chan_release(ch);
}

TEST_FIBER(recv_n_takes_what_is_there_and_no_more)
{
    int_chan ch = rn_chan_make(int, 8);
    int in[] = {1, 2, 3, 4, 5}, out[8] = {0};

    EXPECT_EQ(rn_send_n(NULL, ch, in, 5), 5);
    EXPECT_EQ(rn_len(ch), 5);
    EXPECT_EQ(rn_recv_n(NULL, ch, out, 2), 2);
    EXPECT_EQ(out[0], 1);
    EXPECT_EQ(out[1], 2);
    EXPECT_EQ(out[2], 0);
    EXPECT_EQ(rn_recv_n(NULL, ch, out, 8), 3);
    EXPECT_EQ(out[0], 3);
    EXPECT_EQ(out[2], 5);
    EXPECT_EQ(out[3], 0);
    rn_chan_release(ch);
}

TEST_FIBER(batches_go_round_the_end_of_the_buffer)
{
    int_chan ch = rn_chan_make(int, 7);
    int in[7], out[7], sent = 0, received = 0;

    for (int round = 0; round < 60; round++) {
        int n = 1 + round % 7;
        for (int i = 0; i < n; i++)
            in[i] = sent++;
        EXPECT_EQ(rn_send_n(NULL, ch, in, (size_t)n), n);
        while (rn_len(ch) > 0) {
            ptrdiff_t got = rn_recv_n(NULL, ch, out, 3);
            for (ptrdiff_t i = 0; i < got; i++)
                EXPECT_EQ(out[i], received++);
        }
    }
    EXPECT_EQ(received, sent);
    rn_chan_release(ch);
}

static atomic_int dropped, dropped_sum;

static void count_drop(void *element)
{
    atomic_fetch_add(&dropped, 1);
    atomic_fetch_add(&dropped_sum, *(int *)element);
}

TEST_FIBER(recv_n_into_null_throws_away_what_is_there)
{
    int_chan ch = rn_chan_make_with(int, &(rn_chan_options){.capacity = 8, .drop = count_drop});
    int in[] = {1, 2, 3, 4, 5};

    EXPECT_EQ(rn_send_n(NULL, ch, in, 5), 5);
    EXPECT_EQ(rn_chan_recv_n(NULL, rn_chan_untyped(ch), NULL, 3), 3);
    EXPECT_EQ(atomic_load(&dropped), 3);
    EXPECT_EQ(atomic_load(&dropped_sum), 6);
    EXPECT_EQ(rn_chan_recv_n(NULL, rn_chan_untyped(ch), NULL, SIZE_MAX), 2);
    EXPECT_EQ(atomic_load(&dropped), 5);
    EXPECT_EQ(rn_close(ch), 0);
    EXPECT_EQ(rn_chan_recv_n(NULL, rn_chan_untyped(ch), NULL, 3), RN_ECLOSED);
    rn_chan_release(ch);
    EXPECT_EQ(atomic_load(&dropped), 5);
}

struct batch {
    int_chan ch, done;
    rn_ctx *ctx;
    size_t n;
    ptrdiff_t want;
};

static void send_batch(void *arg)
{
    struct batch *b = arg;
    int *values = malloc(b->n * sizeof *values);

    EXPECT(values != NULL);
    for (size_t i = 0; i < b->n; i++)
        values[i] = (int)i;
    EXPECT_EQ(rn_send_n(b->ctx, b->ch, values, b->n), b->want);
    free(values);
    EXPECT_EQ(rn_send(NULL, b->done, 1), 0);
}

static void a_large_batch_arrives_whole(size_t capacity, size_t at_once)
{
    enum { ITEMS = 1000 };
    int_chan ch = rn_chan_make(int, capacity), done = rn_chan_make(int, 1);
    int values[64], next = 0;

    EXPECT_EQ(rn_go_copy(send_batch, &(struct batch){ch, done, NULL, ITEMS, ITEMS}), 0);
    while (next < ITEMS) {
        ptrdiff_t n = rn_recv_n(NULL, ch, values, at_once);
        EXPECT(n >= 1 && n <= (ptrdiff_t)at_once);
        for (ptrdiff_t i = 0; i < n; i++)
            EXPECT_EQ(values[i], next++);
    }
    EXPECT_EQ(rn_recv(NULL, done, &next), 0);
    rn_chan_release(ch);
    rn_chan_release(done);
}

TEST_FIBER(a_batch_larger_than_the_buffer_waits_for_room_and_keeps_its_order)
{
    a_large_batch_arrives_whole(0, 1);
    a_large_batch_arrives_whole(0, 64);
    a_large_batch_arrives_whole(1, 3);
    a_large_batch_arrives_whole(10, 64);
    a_large_batch_arrives_whole(64, 7);
    a_large_batch_arrives_whole(2000, 64);
}

TEST_FIBER(send_n_ended_by_the_close_says_how_many_went)
{
    int_chan ch = rn_chan_make(int, 3), done = rn_chan_make(int, 1);
    int value;

    EXPECT_EQ(rn_go_copy(send_batch, &(struct batch){ch, done, NULL, 10, 4}), 0);
    await_waiters(ch, 1);
    EXPECT_EQ(rn_recv(NULL, ch, &value), 0); /* makes room for a fourth */
    await_waiters(ch, 1);
    EXPECT_EQ(rn_close(ch), 0);
    EXPECT_EQ(rn_recv(NULL, done, &value), 0);
    for (int i = 1; i < 4; i++) {
        EXPECT_EQ(rn_recv(NULL, ch, &value), 0);
        EXPECT_EQ(value, i);
    }
    EXPECT_EQ(rn_recv(NULL, ch, &value), RN_ECLOSED);
    rn_chan_release(ch);
    rn_chan_release(done);
}

TEST_FIBER(send_n_ended_by_its_context_says_how_many_went)
{
    int_chan ch = rn_chan_make(int, 3), done = rn_chan_make(int, 1);
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    int value;

    EXPECT_EQ(rn_go_copy(send_batch, &(struct batch){ch, done, ctx, 10, 3}), 0);
    await_waiters(ch, 1);
    rn_ctx_cancel(ctx, 0);
    EXPECT_EQ(rn_recv(NULL, done, &value), 0);
    EXPECT_EQ(rn_len(ch), 3);
    rn_chan_release(ch);

    ch = rn_chan_make(int, 0); /* none could be sent: then the context's code */
    EXPECT_EQ(rn_go_copy(send_batch, &(struct batch){ch, done, ctx, 10, -ECANCELED}), 0);
    EXPECT_EQ(rn_recv(NULL, done, &value), 0);
    rn_ctx_release(ctx);
    rn_chan_release(ch);
    rn_chan_release(done);
}

TEST_FIBER(recv_n_waits_for_the_first_value_only)
{
    int_chan ch = rn_chan_make(int, 4), done = rn_chan_make(int, 1);
    int values[4], value;

    EXPECT_EQ(rn_go_copy(send_batch, &(struct batch){ch, done, NULL, 1, 1}), 0);
    EXPECT_EQ(rn_recv_n(NULL, ch, values, 4), 1);
    EXPECT_EQ(values[0], 0);
    EXPECT_EQ(rn_recv(NULL, done, &value), 0);
    rn_chan_release(ch);
    rn_chan_release(done);
}

TEST_FIBER(recv_n_ends_with_its_context)
{
    int_chan ch = rn_chan_make(int, 4);
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, RN_MILLISECOND);
    int values[4] = {9, 9, 9, 9};

    EXPECT_EQ(rn_recv_n(ctx, ch, values, 4), -ETIMEDOUT);
    EXPECT_EQ(values[0], 9);
    rn_ctx_release(ctx);
    rn_chan_release(ch);
}

struct crowd {
    int_chan ch;
    atomic_int *ended;
    int items, batch;
};

static void send_crowd(void *arg)
{
    struct crowd *c = arg;
    int ones[16];

    for (int i = 0; i < 16; i++)
        ones[i] = 1;
    for (int left = c->items; left > 0;) {
        int n = left < c->batch ? left : c->batch;
        EXPECT_EQ(rn_send_n(NULL, c->ch, ones, (size_t)n), n);
        left -= n;
    }
    atomic_fetch_add(c->ended, 1);
}

TEST_FIBER(batches_of_many_senders_lose_and_double_nothing)
{
    enum { SENDERS = 4 };
    int items = rounds(5000), got = 0, values[16];
    atomic_int ended = 0;
    int_chan ch = rn_chan_make(int, 5);

    for (int i = 0; i < SENDERS; i++)
        EXPECT_EQ(rn_go_copy(send_crowd, &(struct crowd){ch, &ended, items, 1 + 5 * i}), 0);
    while (got < SENDERS * items)
        got += (int)rn_recv_n(NULL, ch, values, 1 + (size_t)got % 16);
    await_count(&ended, SENDERS);
    EXPECT_EQ(got, SENDERS * items);
    EXPECT_EQ(rn_try_recv(ch, values), -EAGAIN);
    await_live(1);
    rn_chan_release(ch);
}
