/* Tickers: the grid, the three ways to treat late ticks, stop and reset. */
#include "core.h"
#include "test.h"

#define PERIOD (200 * RN_MICROSECOND)

TEST_FIBER(a_period_of_zero_or_less_and_an_unknown_policy_are_einval)
{
    rn_ticker *t = NULL;

    EXPECT_EQ(rn_ticker_new(&t, 0), -EINVAL);
    EXPECT_EQ(rn_ticker_new(&t, -1), -EINVAL);
    EXPECT_EQ(rn_ticker_new_with(&t, 1, (rn_tick_policy)3), -EINVAL);
    EXPECT(t == NULL);
}

static rn_ticker *ticker(rn_duration period, rn_tick_policy policy)
{
    rn_ticker *t = NULL;
    EXPECT_EQ(rn_ticker_new_with(&t, period, policy), 0);
    return t;
}

static rn_time next_tick(rn_ticker *t)
{
    rn_time at = 0;
    EXPECT_EQ(rn_recv(NULL, rn_ticker_chan(t), &at), 0);
    EXPECT(at <= rn_now());
    return at;
}

TEST_FIBER(ticks_keep_the_grid)
{
    rn_time start = rn_now(), at = 0, last;
    rn_ticker *t = NULL;

    EXPECT_EQ(rn_ticker_new(&t, PERIOD), 0);
    last = next_tick(t);
    EXPECT(last >= start + PERIOD);
    for (int i = 0; i < 50; i++) {
        at = next_tick(t);
        EXPECT(at > last);
        EXPECT_EQ((at - last) % PERIOD, 0);
        last = at;
    }
    rn_ticker_free(t);
    EXPECT_EQ(stats_now().timers, 0);
}

/* Returns when `periods` more periods than now have passed. */
static void be_late(int periods)
{
    EXPECT_EQ(rn_sleep(NULL, periods * PERIOD), 0);
}

/* One wait of many periods: how many lie between the tick that was buffered and the next one. */
static rn_duration skipped(rn_ticker *t)
{
    rn_time first = next_tick(t);

    while (rn_len(rn_ticker_chan(t)) == 0)
        rn_yield();
    be_late(20);
    rn_time buffered = next_tick(t), next = next_tick(t);
    EXPECT_EQ((buffered - first) % PERIOD, 0);
    EXPECT_EQ((next - first) % PERIOD, 0);
    EXPECT(next > buffered);
    return (next - buffered) / PERIOD;
}

TEST_FIBER(skip_drops_what_nobody_received_and_keeps_the_grid)
{
    rn_ticker *t = ticker(PERIOD, RN_TICK_SKIP);
    int tries = 0;

    while (skipped(t) < 19) /* a fire that was interrupted may deliver one that is older */
        EXPECT(++tries < 100);
    rn_ticker_free(t);
}

TEST_FIBER(burst_delivers_every_tick)
{
    rn_ticker *t = ticker(PERIOD, RN_TICK_BURST);
    rn_time last = next_tick(t);

    be_late(20);
    for (int i = 0; i < 40; i++) {
        rn_time at = next_tick(t);
        EXPECT_EQ(at - last, PERIOD);
        last = at;
    }
    rn_ticker_free(t);
    EXPECT_EQ(stats_now().timers, 0);
}

TEST_FIBER(delay_ticks_one_period_after_the_last_was_received)
{
    rn_ticker *t = ticker(PERIOD, RN_TICK_DELAY);

    for (int i = 0; i < 20; i++) {
        if (i % 5 == 0)
            be_late(3);
        rn_time before = rn_now();
        next_tick(t);
        rn_time at = next_tick(t);
        EXPECT(at >= before + PERIOD);
    }
    rn_ticker_free(t);
    EXPECT_EQ(stats_now().timers, 0);
}

static const rn_tick_policy policies[] = {RN_TICK_SKIP, RN_TICK_BURST, RN_TICK_DELAY};

TEST_FIBER(after_stop_no_tick_is_received)
{
    for (int p = 0; p < 3; p++) {
        rn_ticker *t = ticker(PERIOD, policies[p]);
        rn_time at;

        for (int i = 0; i < rounds(300); i++) {
            if (i % 2)
                rn_sleep(NULL, i % 5 * PERIOD / 2);
            EXPECT_EQ(rn_ticker_stop(t), 0);
            EXPECT_EQ(rn_try_recv(rn_ticker_chan(t), &at), -EAGAIN);
            rn_yield();
            EXPECT_EQ(rn_try_recv(rn_ticker_chan(t), &at), -EAGAIN);
            EXPECT_EQ(rn_ticker_reset(t, 1 + i % 7 * RN_MICROSECOND), 0);
        }
        EXPECT_EQ(rn_ticker_stop(t), 0);
        EXPECT_EQ(rn_ticker_stop(t), 0);
        rn_ticker_free(t);
    }
    EXPECT_EQ(stats_now().timers, 0);
}

TEST_FIBER(a_reset_begins_a_new_grid)
{
    for (int p = 0; p < 3; p++) {
        rn_ticker *t = ticker(RN_HOUR, policies[p]);
        rn_time start = rn_now();

        EXPECT_EQ(rn_ticker_reset(t, PERIOD), 0);
        EXPECT(next_tick(t) >= start + PERIOD);
        be_late(5);
        start = rn_now();
        EXPECT_EQ(rn_ticker_reset(t, 2 * PERIOD), 0);
        EXPECT(next_tick(t) >= start + 2 * PERIOD);
        EXPECT_EQ(rn_ticker_stop(t), 0);
        start = rn_now();
        EXPECT_EQ(rn_ticker_reset(t, PERIOD), 0);
        EXPECT(next_tick(t) >= start + PERIOD);
        rn_ticker_free(t);
    }
}

TEST_FIBER(null_and_a_bad_period_are_einval)
{
    rn_ticker *t = ticker(PERIOD, RN_TICK_SKIP);

    EXPECT_EQ(rn_ticker_stop(NULL), -EINVAL);
    EXPECT_EQ(rn_ticker_reset(NULL, 1), -EINVAL);
    EXPECT_EQ(rn_ticker_reset(t, 0), -EINVAL);
    EXPECT_EQ(rn_ticker_reset(t, -5), -EINVAL);
    EXPECT(rn_ticker_chan(NULL) == NULL);
    next_tick(t); /* a refused reset left it running */
    rn_ticker_free(t);
    rn_ticker_free(NULL);
}

TEST_FIBER(a_huge_period_never_ticks)
{
    for (int p = 0; p < 3; p++) {
        rn_ticker *t = ticker(RN_FOREVER, policies[p]);
        rn_time at;

        EXPECT_EQ(rn_sleep(NULL, RN_MILLISECOND), 0);
        EXPECT_EQ(rn_try_recv(rn_ticker_chan(t), &at), -EAGAIN);
        rn_ticker_free(t);
    }
}

TEST_FIBER(a_retained_channel_outlives_its_ticker)
{
    for (int p = 0; p < 3; p++) {
        rn_ticker *t = ticker(PERIOD, policies[p]);
        time_chan ch = rn_chan_retain(rn_ticker_chan(t));
        rn_time at;

        next_tick(t);
        rn_ticker_free(t);
        EXPECT_EQ(rn_try_recv(ch, &at), -EAGAIN);
        EXPECT_EQ(rn_send(NULL, ch, 7), 0);
        EXPECT_EQ(rn_recv(NULL, ch, &at), 0); /* the receive's hook finds its ticker stopped */
        EXPECT_EQ(at, 7);
        EXPECT_EQ(rn_sleep(NULL, 2 * PERIOD), 0);
        EXPECT_EQ(rn_try_recv(ch, &at), -EAGAIN);
        rn_chan_release(ch);
    }
}

struct abuse {
    rn_ticker *ticker;
    rn_ctx *ctx;
    int rounds;
    atomic_int *left;
};

static void stop_and_reset(void *arg)
{
    struct abuse *a = arg;
    for (int i = 0; i < a->rounds; i++) {
        if (i % 4 == 0)
            rn_ticker_stop(a->ticker);
        else
            rn_ticker_reset(a->ticker, (1 + i % 9) * 5 * RN_MICROSECOND);
        if (i % 3 == 0)
            rn_yield();
    }
    atomic_fetch_sub(a->left, 1);
}

static void receive_ticks(void *arg)
{
    struct abuse *a = arg;
    rn_time at;
    while (rn_recv(a->ctx, rn_ticker_chan(a->ticker), &at) == 0)
        ;
}

TEST_FIBER(many_fibers_stop_reset_and_receive_and_it_still_ticks)
{
    for (int p = 0; p < 3; p++) {
        atomic_int left = 4;
        rn_ctx *ctx = rn_ctx_with_cancel(NULL);
        struct abuse a = {ticker(PERIOD, policies[p]), ctx, rounds(2000), &left};

        for (int i = 0; i < 2; i++)
            EXPECT_EQ(rn_go(receive_ticks, &a), 0);
        for (int i = 0; i < 4; i++)
            EXPECT_EQ(rn_go(stop_and_reset, &a), 0);
        while (atomic_load(&left) > 0)
            rn_yield();
        rn_ctx_cancel(ctx, 0);
        await_live(1);
        EXPECT_EQ(rn_ticker_reset(a.ticker, PERIOD), 0);
        for (int i = 0; i < 5; i++)
            next_tick(a.ticker);
        rn_ticker_free(a.ticker);
        rn_ctx_release(ctx);
    }
    EXPECT_EQ(stats_now().timers, 0);
}
