/*
 * The circuit breaker takes no lock where its header says so: its source is compiled here, with a
 * lock that counts.
 */
#include "core.h"
#include "kit/manual_clock.h"
#include "test.h"

#include <runnel/mutex.h>

static int locks;

#define rn_mutex_lock(m) (locks++, (rn_mutex_lock)(m))
#include "kit/breaker.c"

static int call(rn_breaker *b, int result)
{
    rn_permit permit;
    int err = rn_breaker_allow(b, &permit);

    if (err == 0)
        rn_breaker_done(b, permit, result);
    return err;
}

/* How often n calls with this result take the lock. */
static int locks_of(rn_breaker *b, int n, int result)
{
    int before = locks;

    for (int i = 0; i < n; i++)
        EXPECT_EQ(call(b, result), 0);
    return locks - before;
}

static rn_breaker *breaker_with(const rn_breaker_config *config)
{
    rn_breaker *b;

    EXPECT_EQ(rn_breaker_new(&b, config), 0);
    return b;
}

TEST(a_success_while_closed_takes_no_lock)
{
    rn_breaker *b = breaker_with(NULL);

    EXPECT_EQ(locks_of(b, 1000, 0), 0);
    EXPECT_EQ(locks_of(b, 3, -EIO), 3); /* a failure does */
    EXPECT_EQ(locks_of(b, 1000, 0), 0); /* and the success behind it not */
    EXPECT_EQ(locks_of(b, 4, -EIO), 4);
    rn_breaker_free(b);
}

TEST(nor_with_a_window_of_calls_but_where_it_forgets_a_failure)
{
    rn_breaker *b = breaker_with(
        &(rn_breaker_config){.failure_ratio = 0.5, .window_calls = 10, .minimum_calls = 5});

    EXPECT_EQ(locks_of(b, 1000, 0), 0);
    EXPECT_EQ(locks_of(b, 2, -EIO), 2);
    EXPECT_EQ(locks_of(b, 8, 0), 0);
    EXPECT_EQ(locks_of(b, 1000, 0), 2);
    rn_breaker_reset(b);
    EXPECT_EQ(locks_of(b, 1, -EIO), 1);
    EXPECT_EQ(locks_of(b, 1000, 0), 5); /* four to the minimum, and one where it is forgotten */
    rn_breaker_free(b);
}

TEST(with_a_window_of_time_the_first_call_of_each_tenth_does)
{
    struct manual m = {.now = RN_HOUR};
    rn_breaker *b = breaker_with(
        &(rn_breaker_config){.failure_ratio = 0.5, .window = 10 * RN_SECOND, .clock = MANUAL(&m)});

    for (int second = 0; second < 100; second++) {
        EXPECT_EQ(locks_of(b, 100, 0), 1);
        m.now += RN_SECOND;
    }
    rn_breaker_free(b);
}

TEST(a_rejection_while_open_takes_no_lock)
{
    rn_breaker *b = breaker_with(&(rn_breaker_config){.failure_threshold = 1});
    int before;

    EXPECT_EQ(locks_of(b, 1, -EIO), 1);
    before = locks;
    for (int i = 0; i < 1000; i++)
        EXPECT_EQ(call(b, 0), RN_EOPEN);
    EXPECT_EQ(locks, before);
    rn_breaker_free(b);
}
