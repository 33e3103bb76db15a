/* The calls that never wait, and the ones that end with their context. */
#include "core.h"
#include "test.h"

TEST_FIBER(try_send_is_eagain_when_nobody_could_take_the_value)
{
    int_chan unbuffered = rn_chan_make(int, 0), full = rn_chan_make(int, 1);
    int value;

    EXPECT_EQ(rn_try_send(unbuffered, 1), -EAGAIN);
    EXPECT_EQ(rn_try_send(full, 1), 0);
    EXPECT_EQ(rn_try_send(full, 2), -EAGAIN);
    EXPECT_EQ(rn_len(full), 1);
    EXPECT_EQ(rn_try_recv(full, &value), 0);
    EXPECT_EQ(value, 1);
    rn_chan_release(unbuffered);
    rn_chan_release(full);
}

TEST_FIBER(try_recv_is_eagain_on_an_empty_channel_and_touches_nothing)
{
    int_chan ch = rn_chan_make(int, 1);
    int value = 8;

    EXPECT_EQ(rn_try_recv(ch, &value), -EAGAIN);
    EXPECT_EQ(value, 8);
    rn_chan_release(ch);
}

struct peer {
    int_chan ch, done;
};

static void send_five(void *arg)
{
    struct peer *p = arg;
    EXPECT_EQ(rn_send(NULL, p->ch, 5), 0);
    EXPECT_EQ(rn_send(NULL, p->done, 0), 0);
}

static void receive_six(void *arg)
{
    struct peer *p = arg;
    int value = 0;
    EXPECT_EQ(rn_recv(NULL, p->ch, &value), 0);
    EXPECT_EQ(value, 6);
    EXPECT_EQ(rn_send(NULL, p->done, 0), 0);
}

TEST_FIBER(tries_meet_a_waiting_peer)
{
    struct peer p = {rn_chan_make(int, 0), rn_chan_make(int, 0)};
    int value = 0;

    EXPECT_EQ(rn_go(send_five, &p), 0);
    await_waiters(p.ch, 1);
    EXPECT_EQ(rn_try_recv(p.ch, &value), 0);
    EXPECT_EQ(value, 5);
    EXPECT_EQ(rn_recv(NULL, p.done, &value), 0);
    EXPECT_EQ(rn_go(receive_six, &p), 0);
    await_waiters(p.ch, 1);
    EXPECT_EQ(rn_try_send(p.ch, 6), 0);
    EXPECT_EQ(rn_recv(NULL, p.done, &value), 0);
    rn_chan_release(p.ch);
    rn_chan_release(p.done);
}

struct handover {
    int_chan ch;
    atomic_int *sent, *taken;
    int count;
};

static void send_then_publish(void *arg)
{
    struct handover *h = arg;
    for (int i = 0; i < h->count; i++) {
        EXPECT_EQ(rn_send(NULL, h->ch, i), 0);
        atomic_store(h->sent, i + 1);
        await_count(h->taken, i + 1);
    }
}

TEST_FIBER(a_try_never_misses_a_value_that_was_sent_before_it)
{
    atomic_int sent = 0, taken = 0;
    struct handover h = {rn_chan_make(int, 1), &sent, &taken, rounds(2000)};
    int value;

    EXPECT_EQ(rn_go(send_then_publish, &h), 0);
    for (int i = 0; i < h.count; i++) {
        await_count(&sent, i + 1);
        EXPECT_EQ(rn_try_recv(h.ch, &value), 0);
        EXPECT_EQ(value, i);
        atomic_store(&taken, i + 1);
    }
    await_live(1);
    rn_chan_release(h.ch);
}

TEST_FIBER(a_cancelled_receive_returns_ecanceled_and_leaves_the_value_alone)
{
    int_chan ch = rn_chan_make(int, 0);
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    struct canceller c = {ctx, rn_chan_untyped(ch), 1};
    int value = 8;

    EXPECT_EQ(rn_go(cancel_when_waiting, &c), 0);
    EXPECT_EQ(rn_recv(ctx, ch, &value), -ECANCELED);
    EXPECT_EQ(value, 8);
    EXPECT_EQ(rn_waiters(ch), 0);
    EXPECT_EQ(rn_try_send(ch, 1), -EAGAIN);
    await_live(1);
    rn_ctx_release(ctx);
    rn_chan_release(ch);
}

TEST_FIBER(a_cancelled_send_returns_ecanceled_and_sends_nothing)
{
    int_chan ch = rn_chan_make(int, 1);
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    struct canceller c = {ctx, rn_chan_untyped(ch), 1};
    int value = 0;

    EXPECT_EQ(rn_send(NULL, ch, 1), 0);
    EXPECT_EQ(rn_go(cancel_when_waiting, &c), 0);
    EXPECT_EQ(rn_send(ctx, ch, 2), -ECANCELED);
    EXPECT_EQ(rn_waiters(ch), 0);
    EXPECT_EQ(rn_recv(NULL, ch, &value), 0);
    EXPECT_EQ(value, 1);
    EXPECT_EQ(rn_try_recv(ch, &value), -EAGAIN);
    await_live(1);
    rn_ctx_release(ctx);
    rn_chan_release(ch);
}

TEST_FIBER(a_deadline_ends_sends_and_receives_with_etimedout)
{
    int_chan ch = rn_chan_make(int, 0);
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, 2 * RN_MILLISECOND);
    int value = 8;

    EXPECT_EQ(rn_recv(ctx, ch, &value), -ETIMEDOUT);
    EXPECT_EQ(rn_send(ctx, ch, value), -ETIMEDOUT); /* has passed already */
    EXPECT_EQ(value, 8);
    EXPECT_EQ(rn_waiters(ch), 0);
    rn_ctx_release(ctx);
    ctx = rn_ctx_with_timeout(NULL, 2 * RN_MILLISECOND);
    EXPECT_EQ(rn_send(ctx, ch, value), -ETIMEDOUT);
    rn_ctx_release(ctx);
    rn_chan_release(ch);
}
