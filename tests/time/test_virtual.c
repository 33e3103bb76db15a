/* Virtual time: waits take no time, and come in order. */
/* ctest: WORKERS=1 8 */
#include "core.h"
#include "test.h"

#include <runnel/clock.h>
#include <stdatomic.h>

TEST_VIRTUAL(a_sleep_of_a_year_ends_to_the_nanosecond)
{
    EXPECT_EQ(rn_now(), 0);
    EXPECT_EQ(rn_sleep(NULL, 365 * 24 * RN_HOUR), 0);
    EXPECT_EQ(rn_now(), 365 * 24 * RN_HOUR);
}

TEST_VIRTUAL(time_stands_still_while_a_fiber_can_run)
{
    for (int i = 0; i < 1000; i++)
        rn_yield();
    EXPECT_EQ(rn_now(), 0);
}

struct sleeper {
    rn_chan(int) woken;
    int seconds;
};

static void sleep_then_tell(void *arg)
{
    struct sleeper *s = arg;

    EXPECT_EQ(rn_sleep(NULL, s->seconds * RN_SECOND), 0);
    EXPECT_EQ(rn_send(NULL, s->woken, s->seconds), 0);
}

TEST_VIRTUAL(sleepers_wake_in_the_order_of_their_times)
{
    rn_chan(int) woken = rn_chan_make(int, 0);
    int seconds = 0;

    for (int i = 50; i > 0; i--)
        EXPECT_EQ(rn_go_copy(sleep_then_tell, &(struct sleeper){woken, i}), 0);
    for (int i = 1; i <= 50; i++) {
        EXPECT_EQ(rn_recv(NULL, woken, &seconds), 0);
        EXPECT_EQ(seconds, i);
        EXPECT_EQ(rn_now(), i * RN_SECOND);
    }
    rn_chan_release(woken);
}

TEST_VIRTUAL(deadlines_and_tickers_follow)
{
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, RN_HOUR);
    rn_ticker *ticker = NULL;
    rn_time at;
    int ticks = 0;

    EXPECT_EQ(rn_ticker_new(&ticker, RN_SECOND), 0);
    while (rn_recv(ctx, rn_ticker_chan(ticker), &at) == 0) {
        ticks++;
        EXPECT_EQ(at, ticks * RN_SECOND);
    }
    EXPECT(ticks == 3599 || ticks == 3600); /* both end in the same instant */
    EXPECT_EQ(rn_now(), RN_HOUR);
    EXPECT_EQ(rn_ctx_err(ctx), -ETIMEDOUT);
    rn_ticker_free(ticker);
    rn_ctx_release(ctx);
}

static int look_at_time(void *arg)
{
    rn_time *seen = arg;
    *seen = rn_now();
    return 0;
}

static void block_a_thread(void *arg)
{
    rn_time seen = -1;
    for (int i = 0; i < 100; i++) {
        EXPECT_EQ(rn_blocking(look_at_time, &seen), 0);
        EXPECT_EQ(seen, 0);
    }
    rn_close(*(rn_chan(int) *)arg);
}

TEST_VIRTUAL(a_blocking_section_holds_time)
{
    rn_chan(int) done = rn_chan_make(int, 0);
    int value;

    EXPECT_EQ(rn_go_copy(block_a_thread, &done), 0);
    EXPECT_EQ(rn_select(NULL, rn_on_recv(done, &value), rn_on_timeout(RN_HOUR)), 0);
    EXPECT_EQ(rn_now(), 0);
    rn_chan_release(done);
}

TEST_FIBER(it_cannot_change_while_the_runtime_runs)
{
    EXPECT_EQ(rn_clock_virtual(0), -EBUSY);
    EXPECT_EQ(rn_clock_real(), -EBUSY);
}

TEST(a_bad_start_is_einval)
{
    EXPECT_EQ(rn_clock_virtual(-1), -EINVAL);
    EXPECT_EQ(rn_clock_virtual(RN_FOREVER), -EINVAL);
}

TEST(the_real_clock_comes_back)
{
    EXPECT_EQ(rn_clock_virtual(7), 0);
    EXPECT_EQ(rn_now(), 7);
    EXPECT_EQ(rn_clock_real(), 0);
    EXPECT(rn_now() != 7);
}

static rn_time own_now(void *arg)
{
    return *(rn_time *)arg;
}

static int own_sleep(rn_ctx *ctx, void *arg, rn_duration d)
{
    *(rn_time *)arg += d;
    return rn_ctx_err(ctx);
}

TEST_FIBER(a_clock_of_ones_own)
{
    rn_time time = 5;
    rn_clock clock = {own_now, own_sleep, &time};

    EXPECT_EQ(rn_clock_sleep(NULL, &clock, RN_HOUR), 0);
    EXPECT_EQ(rn_clock_now(&clock), RN_HOUR + 5);
    EXPECT_EQ(rn_clock_sleep(NULL, NULL, 1), 0);
}
