/* Sleeping. */
#include "core.h"
#include "test.h"

#include <pthread.h>

TEST_FIBER(a_sleep_lasts_at_least_its_time)
{
    for (int i = 0; i < 20; i++) {
        rn_duration d = i * 100 * RN_MICROSECOND;
        rn_time start = rn_now();
        EXPECT_EQ(rn_sleep(NULL, d), 0);
        EXPECT(rn_now() - start >= d);
    }
}

TEST_FIBER(zero_and_less_only_yield)
{
    EXPECT_EQ(rn_sleep(NULL, 0), 0);
    EXPECT_EQ(rn_sleep(NULL, -1), 0);
    EXPECT_EQ(rn_sleep(NULL, INT64_MIN), 0);
}

static void set_flag(void *arg)
{
    atomic_store(*(atomic_int **)arg, 1);
}

TEST_FIBER(a_sleep_of_zero_lets_others_run)
{
    atomic_int flag = 0, *place = &flag;

    EXPECT_EQ(rn_go_copy(set_flag, &place), 0);
    while (atomic_load(&flag) == 0)
        EXPECT_EQ(rn_sleep(NULL, 0), 0);
    await_live(1);
}

struct sleeper {
    rn_ctx *ctx;
    rn_duration d;
    int want;
    atomic_int *asleep, *woken;
};

static void sleep_once(void *arg)
{
    struct sleeper *s = arg;
    atomic_fetch_add(s->asleep, 1);
    EXPECT_EQ(rn_sleep(s->ctx, s->d), s->want);
    atomic_fetch_add(s->woken, 1);
}

TEST_FIBER(a_huge_sleep_is_not_a_short_one_and_can_be_cancelled)
{
    static const rn_duration huge[] = {RN_FOREVER, RN_FOREVER - 1, RN_FOREVER / 2,
                                       100 * 365 * 24 * RN_HOUR};
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    atomic_int asleep = 0, woken = 0;

    for (int i = 0; i < 4; i++)
        EXPECT_EQ(
            rn_go_copy(sleep_once, &(struct sleeper){ctx, huge[i], -ECANCELED, &asleep, &woken}),
            0);
    await_count(&asleep, 4);
    EXPECT_EQ(rn_sleep(NULL, 2 * RN_MILLISECOND), 0);
    EXPECT_EQ(atomic_load(&woken), 0);
    rn_ctx_cancel(ctx, 0);
    await_count(&woken, 4);
    await_live(1);
    EXPECT_EQ(stats_now().timers, 0);
    rn_ctx_release(ctx);
}

TEST_FIBER(a_sleep_ends_with_its_context)
{
    rn_ctx *late = rn_ctx_with_timeout(NULL, RN_MILLISECOND), *ended = rn_ctx_with_cancel(NULL);

    rn_ctx_cancel(ended, 0);
    EXPECT_EQ(rn_sleep(late, RN_HOUR), -ETIMEDOUT);
    EXPECT_EQ(rn_sleep(late, RN_HOUR), -ETIMEDOUT);
    EXPECT_EQ(rn_sleep(ended, RN_HOUR), -ECANCELED);
    rn_ctx_release(late);
    rn_ctx_release(ended);
    EXPECT_EQ(stats_now().timers, 0);
}

TEST_FIBER(a_context_that_lives_does_not_cut_a_sleep)
{
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, RN_HOUR);
    rn_time start = rn_now();

    EXPECT_EQ(rn_sleep(ctx, 2 * RN_MILLISECOND), 0);
    EXPECT(rn_now() - start >= 2 * RN_MILLISECOND);
    rn_ctx_release(ctx);
}

TEST_FIBER(thousands_sleep_at_once)
{
    int n = fibers_at_once(10000);
    atomic_int asleep = 0, woken = 0;

    for (int i = 0; i < n; i++)
        EXPECT_EQ(rn_go_copy(sleep_once, &(struct sleeper){NULL, i % 100 * 100 * RN_MICROSECOND, 0,
                                                           &asleep, &woken}),
                  0);
    await_count(&woken, n);
    await_live(1);
    EXPECT_EQ(stats_now().timers, 0);
}

static void *sleep_on_thread(void *arg)
{
    rn_time start = rn_now();
    (void)arg;
    EXPECT_EQ(rn_sleep(NULL, 2 * RN_MILLISECOND), 0);
    EXPECT(rn_now() - start >= 2 * RN_MILLISECOND);
    EXPECT_EQ(rn_sleep(NULL, 0), 0);
    rn_ctx *late = rn_ctx_with_timeout(NULL, RN_MILLISECOND);
    EXPECT_EQ(rn_sleep(late, RN_HOUR), -ETIMEDOUT);
    rn_ctx_release(late);
    return NULL;
}

TEST(plain_threads_sleep_too)
{
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        EXPECT_EQ(pthread_create(&threads[i], NULL, sleep_on_thread, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    EXPECT_EQ(rn_stop(), 0);
}

/* Sleepers are woken although another fiber never waits. */
static void keep_busy(void *arg)
{
    atomic_int *stop = *(atomic_int **)arg;
    while (atomic_load(stop) == 0)
        rn_yield();
}

TEST_FIBER(sleepers_wake_while_others_stay_busy)
{
    atomic_int stop = 0, *place = &stop;

    for (int i = 0; i < 16; i++)
        EXPECT_EQ(rn_go_copy(keep_busy, &place), 0);
    for (int i = 0; i < 20; i++)
        EXPECT_EQ(rn_sleep(NULL, 100 * RN_MICROSECOND), 0);
    atomic_store(&stop, 1);
    await_live(1);
}
