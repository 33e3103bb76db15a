/* Under load every value that was sent is received exactly once, and in its sender's order. */
#include "core.h"
#include "test.h"

#define PEERS 4

struct load {
    int_chan ch;
    int items;          /* of each sender */
    atomic_uchar *seen; /* PEERS * items */
    atomic_int senders_left, receivers_left, sent, received;
    bool impatient; /* sends and receives give up now and then */
};

struct hand {
    struct load *load;
    int number;
};

/* Sends one value; when impatient, some attempts are cut short, and must then have sent nothing. */
static void send_surely(struct load *l, int value)
{
    int err;

    if (l->impatient && value % 3 == 0) {
        rn_ctx *ctx = rn_ctx_with_timeout(NULL, value % 5 * RN_MICROSECOND);
        err = rn_send(ctx, l->ch, value);
        rn_ctx_release(ctx);
        EXPECT(err == 0 || err == -ETIMEDOUT);
        if (err == 0)
            return;
    }
    if (l->impatient && value % 3 == 1 && rn_try_send(l->ch, value) == 0)
        return;
    EXPECT_EQ(rn_send(NULL, l->ch, value), 0);
}

static void send_load(void *arg)
{
    struct hand *h = arg;
    struct load *l = h->load;

    for (int i = 0; i < l->items; i++) {
        send_surely(l, h->number * l->items + i);
        atomic_fetch_add(&l->sent, 1);
    }
    if (atomic_fetch_sub(&l->senders_left, 1) == 1)
        EXPECT_EQ(rn_close(l->ch), 0);
}

/* One receive, possibly cut short: a code, or 0. */
static int receive_somehow(struct load *l, int *value, int round)
{
    if (!l->impatient || round % 3 == 2)
        return rn_recv(NULL, l->ch, value);
    if (round % 3 == 1)
        return rn_try_recv(l->ch, value);
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, round % 7 * RN_MICROSECOND);
    int err = rn_recv(ctx, l->ch, value);
    rn_ctx_release(ctx);
    return err;
}

static void receive_load(void *arg)
{
    struct hand *h = arg;
    struct load *l = h->load;
    int last[PEERS] = {-1, -1, -1, -1}, value, err;

    for (int round = 0; (err = receive_somehow(l, &value, round)) != RN_ECLOSED; round++) {
        if (err != 0)
            continue;
        EXPECT(value >= 0 && value < PEERS * l->items);
        EXPECT(value > last[value / l->items]);
        last[value / l->items] = value;
        EXPECT_EQ(atomic_fetch_add(&l->seen[value], 1), 0);
        atomic_fetch_add(&l->received, 1);
    }
    atomic_fetch_sub(&l->receivers_left, 1);
}

static void four_to_four(size_t capacity, int items, bool impatient)
{
    struct load l = {.ch = rn_chan_make(int, capacity), .items = items, .impatient = impatient};

    l.seen = calloc((size_t)(PEERS * items), sizeof *l.seen);
    EXPECT(l.seen != NULL && l.ch != NULL);
    atomic_store(&l.senders_left, PEERS);
    atomic_store(&l.receivers_left, PEERS);
    for (int i = 0; i < PEERS; i++) {
        EXPECT_EQ(rn_go_copy(send_load, &(struct hand){&l, i}), 0);
        EXPECT_EQ(rn_go_copy(receive_load, &(struct hand){&l, i}), 0);
    }
    await_live(1);
    EXPECT_EQ(atomic_load(&l.sent), PEERS * items);
    EXPECT_EQ(atomic_load(&l.received), PEERS * items);
    EXPECT_EQ(rn_waiters(l.ch), 0);
    rn_chan_release(l.ch);
    free(l.seen);
}

TEST_FIBER(unbuffered_loses_and_doubles_nothing)
{
    four_to_four(0, rounds(10000), false);
}

TEST_FIBER(a_buffer_of_1_loses_and_doubles_nothing)
{
    four_to_four(1, rounds(10000), false);
}

TEST_FIBER(a_buffer_of_2_loses_and_doubles_nothing)
{
    four_to_four(2, rounds(10000), false);
}

TEST_FIBER(a_buffer_of_7_loses_and_doubles_nothing)
{
    four_to_four(7, rounds(10000), false);
}

TEST_FIBER(a_buffer_of_128_loses_and_doubles_nothing)
{
    four_to_four(128, rounds(20000), false);
}

TEST_FIBER(attempts_that_time_out_lose_and_double_nothing)
{
    four_to_four(0, rounds(5000), true);
    four_to_four(3, rounds(5000), true);
}

static atomic_int made, dropped;

static void count_drop(void *element)
{
    (void)element;
    atomic_fetch_add(&dropped, 1);
}

struct dropping {
    int_chan ch;
    int items;
    atomic_int *received;
};

static void send_until_closed(void *arg)
{
    struct dropping *d = arg;
    while (rn_send(NULL, d->ch, 1) == 0)
        atomic_fetch_add(&made, 1);
    rn_chan_release(d->ch);
}

static void receive_some(void *arg)
{
    struct dropping *d = arg;
    int value;
    for (int i = 0; i < d->items && rn_recv(NULL, d->ch, &value) == 0; i++)
        atomic_fetch_add(d->received, 1);
    rn_close(d->ch);
    rn_chan_release(d->ch);
}

TEST_FIBER(what_was_sent_is_received_or_dropped)
{
    atomic_int received = 0;
    int_chan ch = rn_chan_make_with(int, &(rn_chan_options){.capacity = 10, .drop = count_drop});

    for (int i = 0; i < PEERS; i++) {
        struct dropping d = {ch, 1000 + i, &received};
        rn_chan_retain(ch);
        EXPECT_EQ(rn_go_copy(send_until_closed, &d), 0);
        rn_chan_retain(ch);
        EXPECT_EQ(rn_go_copy(receive_some, &d), 0);
    }
    rn_chan_release(ch); /* the last of the fibers is the one that drops */
    await_live(1);
    EXPECT_EQ(atomic_load(&made), atomic_load(&received) + atomic_load(&dropped));
}
