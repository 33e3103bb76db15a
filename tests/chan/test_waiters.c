/* Many waiters on one channel: counting them, and taking single ones out. */
#include "core.h"
#include "test.h"

#define WAITERS 10000
#define IN_ORDER 400 /* waiters that are let in one after the other: counting them takes long */

struct patient {
    int_chan ch;
    rn_ctx *ctx;
    int number;
    bool ordered;
    atomic_int *cancelled, *served;
};

static void wait_for_value(void *arg)
{
    struct patient *p = arg;
    int value = -1, err = rn_recv(p->ctx, p->ch, &value);

    if (err == -ECANCELED) {
        EXPECT_EQ(value, -1);
        EXPECT_EQ(p->number % 2, 1);
        atomic_fetch_add(p->cancelled, 1);
        return;
    }
    EXPECT_EQ(err, 0);
    if (p->ordered)
        EXPECT_EQ(p->number, 2 * value); /* the survivors are the even ones, oldest first */
    atomic_fetch_add(p->served, 1);
}

static void wait_to_send(void *arg)
{
    struct patient *p = arg;
    int err = rn_send(p->ctx, p->ch, p->number);

    EXPECT_EQ(err, p->number % 2 == 1 ? -ECANCELED : 0);
    atomic_fetch_add(err == 0 ? p->served : p->cancelled, 1);
}

/*
 * Starts n fibers that wait, in turn if ordered, and cancels the odd ones from the middle outwards.
 */
static void make_wait_and_cancel_odd(int_chan ch, void (*fn)(void *arg), int n, rn_ctx **ctx,
                                     atomic_int *cancelled, atomic_int *served)
{
    bool ordered = n <= IN_ORDER;

    for (int i = 0; i < n; i++) {
        ctx[i] = rn_ctx_with_cancel(NULL);
        EXPECT(ctx[i] != NULL);
        EXPECT_EQ(rn_go_copy(fn, &(struct patient){ch, ctx[i], i, ordered, cancelled, served}), 0);
        if (ordered)
            await_waiters(ch, (size_t)i + 1);
    }
    await_waiters(ch, (size_t)n);
    EXPECT_EQ(rn_waiters(ch), n);
    for (int i = n / 2 + 1; i < n; i += 2)
        rn_ctx_cancel(ctx[i], 0);
    for (int i = n / 2 - 1; i > 0; i -= 2)
        rn_ctx_cancel(ctx[i], 0);
    await_count(cancelled, n / 2);
    EXPECT_EQ(rn_waiters(ch), n / 2);
}

static void release_all(rn_ctx **ctx, int n)
{
    for (int i = 0; i < n; i++)
        rn_ctx_release(ctx[i]);
    free(ctx);
}

static void cancel_half_of_receivers(int n)
{
    int_chan ch = rn_chan_make(int, 0);
    rn_ctx **ctx = calloc((size_t)n, sizeof *ctx);
    atomic_int cancelled = 0, served = 0;

    make_wait_and_cancel_odd(ch, wait_for_value, n, ctx, &cancelled, &served);
    for (int i = 0; i < n / 2; i++)
        EXPECT_EQ(rn_send(NULL, ch, i), 0);
    await_count(&served, n / 2);
    EXPECT_EQ(rn_waiters(ch), 0);
    await_live(1);
    release_all(ctx, n);
    rn_chan_release(ch);
}

static void cancel_half_of_senders(int n)
{
    int_chan ch = rn_chan_make(int, 0);
    rn_ctx **ctx = calloc((size_t)n, sizeof *ctx);
    atomic_int cancelled = 0, served = 0;
    int value;

    make_wait_and_cancel_odd(ch, wait_to_send, n, ctx, &cancelled, &served);
    for (int i = 0; i < n / 2; i++) {
        EXPECT_EQ(rn_recv(NULL, ch, &value), 0);
        EXPECT_EQ(value % 2, 0);
        if (n <= IN_ORDER)
            EXPECT_EQ(value, 2 * i);
    }
    await_count(&served, n / 2);
    EXPECT_EQ(rn_waiters(ch), 0);
    await_live(1);
    release_all(ctx, n);
    rn_chan_release(ch);
}

TEST_FIBER(of_many_receivers_the_cancelled_leave_and_the_rest_are_served_in_order)
{
    cancel_half_of_receivers(IN_ORDER / shorter());
}

TEST_FIBER(of_many_senders_the_cancelled_leave_and_the_rest_are_received_in_order)
{
    cancel_half_of_senders(IN_ORDER / shorter());
}

TEST_FIBER(of_10000_receivers_single_ones_are_cancelled)
{
    cancel_half_of_receivers(fibers_at_once(WAITERS));
}

TEST_FIBER(of_10000_senders_single_ones_are_cancelled)
{
    cancel_half_of_senders(fibers_at_once(WAITERS));
}

TEST_FIBER(one_context_cancels_10000_waiters)
{
    int n = fibers_at_once(WAITERS);
    int_chan ch = rn_chan_make(int, 0);
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    atomic_int cancelled = 0, served = 0;

    for (int i = 0; i < n; i++)
        EXPECT_EQ(
            rn_go_copy(wait_for_value, &(struct patient){ch, ctx, 1, false, &cancelled, &served}),
            0);
    await_waiters(ch, (size_t)n);
    rn_ctx_cancel(ctx, 0);
    await_count(&cancelled, n);
    EXPECT_EQ(rn_waiters(ch), 0);
    await_live(1);
    rn_ctx_release(ctx);
    rn_chan_release(ch);
}

struct racer {
    int_chan ch;
    rn_ctx *ctx;
    atomic_int *received, *cancelled;
};

static void receive_or_be_cancelled(void *arg)
{
    struct racer *r = arg;
    int value, err = rn_recv(r->ctx, r->ch, &value);
    EXPECT(err == 0 || err == -ECANCELED);
    atomic_fetch_add(err == 0 ? r->received : r->cancelled, 1);
}

static void cancel_now(void *arg)
{
    rn_ctx_cancel(*(rn_ctx **)arg, 0);
}

TEST_FIBER(a_cancel_and_a_value_race_and_exactly_one_wins)
{
    for (int round = 0; round < rounds(3000); round++) {
        atomic_int received = 0, cancelled = 0;
        int_chan ch = rn_chan_make(int, 0);
        rn_ctx *ctx = rn_ctx_with_cancel(NULL);

        EXPECT_EQ(
            rn_go_copy(receive_or_be_cancelled, &(struct racer){ch, ctx, &received, &cancelled}),
            0);
        await_waiters(ch, 1);
        EXPECT_EQ(rn_go_copy(cancel_now, &ctx), 0);
        int sent = rn_try_send(ch, 1);
        await_live(1);
        EXPECT_EQ(atomic_load(&received), sent == 0);
        EXPECT_EQ(atomic_load(&cancelled), sent != 0);
        rn_ctx_release(ctx);
        rn_chan_release(ch);
    }
}
