/* Virtual time: waits take no time, and come in order. */
/* ctest: WORKERS=1 8 */
#include "core.h"
#include "test.h"

#include <fcntl.h>
#include <runnel/clock.h>
#include <runnel/fd.h>
#include <runnel/wait_group.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

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

/* ---- through the kernel ---- */

struct player {
    rn_fd in, out;
    rn_ctx *ctx;
    rn_wait_group *done;
};

#define BALLS 60

/* Computes for so long that the monitor wakes another worker, then plays on. */
static void play(void *arg)
{
    struct player *p = arg;
    char ball;

    for (int i = 0; i < BALLS; i++) {
        struct timespec until, now;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &until);
        until.tv_nsec += 3000000 + i * 100000;
        do {
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
        } while ((now.tv_sec - until.tv_sec) * 1000000000ll + now.tv_nsec < until.tv_nsec);
        EXPECT_EQ(rn_fd_write(NULL, p->out, "o", 1), 1);
        EXPECT_EQ(rn_fd_read(p->ctx, p->in, &ball, 1), 1);
    }
    rn_wait_group_done(p->done);
}

TEST_VIRTUAL(time_stands_still_while_a_byte_is_on_its_way)
{
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, RN_HOUR);
    rn_wait_group done = {0};
    rn_fd ends[4];

    for (int i = 0; i < 4; i += 2) {
        int pair[2];
        EXPECT_EQ(pipe2(pair, O_CLOEXEC), 0);
        EXPECT_EQ(rn_fd_open(&ends[i], pair[0]), 0);
        EXPECT_EQ(rn_fd_open(&ends[i + 1], pair[1]), 0);
    }
    rn_wait_group_add(&done, 2);
    EXPECT_EQ(rn_go_copy(play, &(struct player){ends[0], ends[3], ctx, &done}), 0);
    EXPECT_EQ(rn_go_copy(play, &(struct player){ends[2], ends[1], ctx, &done}), 0);
    EXPECT_EQ(rn_wait_group_wait(NULL, &done), 0);
    EXPECT_EQ(rn_now(), 0);
    for (int i = 0; i < 4; i++)
        EXPECT_EQ(rn_fd_close(ends[i]), 0);
    rn_ctx_release(ctx);
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
