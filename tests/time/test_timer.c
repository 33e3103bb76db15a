/* Timers: firing, stopping, resetting, and that nothing stale is received. rn_after. */
#include "core.h"
#include "test.h"

#include <pthread.h>

TEST_FIBER(a_timer_sends_the_time_once)
{
    rn_time start = rn_now(), at = 0;
    rn_timer *t = rn_timer_new(2 * RN_MILLISECOND);

    EXPECT_EQ(rn_cap(rn_timer_chan(t)), 1);
    EXPECT_EQ(rn_recv(NULL, rn_timer_chan(t), &at), 0);
    EXPECT(at - start >= 2 * RN_MILLISECOND);
    EXPECT(at <= rn_now());
    EXPECT_EQ(rn_sleep(NULL, 3 * RN_MILLISECOND), 0);
    EXPECT_EQ(rn_try_recv(rn_timer_chan(t), &at), -EAGAIN);
    rn_timer_free(t);
}

TEST_FIBER(a_timer_of_zero_or_less_fires_at_once)
{
    rn_timer *zero = rn_timer_new(0), *past = rn_timer_new(INT64_MIN);
    rn_time at;

    EXPECT_EQ(rn_recv(NULL, rn_timer_chan(zero), &at), 0);
    EXPECT_EQ(rn_recv(NULL, rn_timer_chan(past), &at), 0);
    rn_timer_free(zero);
    rn_timer_free(past);
}

TEST_FIBER(a_huge_timer_is_not_a_short_one)
{
    rn_timer *t = rn_timer_new(RN_FOREVER), *u = rn_timer_new(RN_FOREVER - 1);

    EXPECT_EQ(rn_sleep(NULL, 2 * RN_MILLISECOND), 0);
    EXPECT_EQ(rn_len(rn_timer_chan(t)), 0);
    EXPECT_EQ(rn_len(rn_timer_chan(u)), 0);
    EXPECT_EQ(rn_timer_stop(t), 1);
    rn_timer_free(t);
    rn_timer_free(u);
    EXPECT_EQ(stats_now().timers, 0);
}

/* Returns when the timer has fired; leaves the value in the channel. */
static void await_fired(rn_timer *t)
{
    while (rn_len(rn_timer_chan(t)) == 0)
        rn_yield();
}

TEST_FIBER(stop_says_whether_the_timer_was_running)
{
    rn_timer *t = rn_timer_new(RN_HOUR);
    rn_time at;

    EXPECT_EQ(rn_timer_stop(t), 1);
    EXPECT_EQ(rn_timer_stop(t), 0);
    EXPECT_EQ(rn_timer_reset(t, 0), 0);
    await_fired(t);
    EXPECT_EQ(rn_timer_stop(t), 1); /* fired, but unreceived */
    EXPECT_EQ(rn_timer_stop(t), 0);
    EXPECT_EQ(rn_timer_reset(t, 0), 0);
    EXPECT_EQ(rn_recv(NULL, rn_timer_chan(t), &at), 0);
    EXPECT_EQ(rn_timer_stop(t), 0); /* received before */
    EXPECT_EQ(rn_timer_reset(t, RN_HOUR), 0);
    EXPECT_EQ(rn_timer_reset(t, RN_HOUR), 1);
    rn_timer_free(t);
    EXPECT_EQ(stats_now().timers, 0);
}

TEST_FIBER(after_stop_nothing_stale_is_received)
{
    rn_timer *t = rn_timer_new(0);
    rn_time at;

    await_fired(t);
    EXPECT_EQ(rn_timer_stop(t), 1);
    EXPECT_EQ(rn_try_recv(rn_timer_chan(t), &at), -EAGAIN);
    for (int i = 0; i < rounds(3000); i++) {
        rn_timer_reset(t, i % 60 * RN_MICROSECOND);
        if (i % 3)
            rn_sleep(NULL, i % 60 * RN_MICROSECOND);
        rn_timer_stop(t);
        EXPECT_EQ(rn_try_recv(rn_timer_chan(t), &at), -EAGAIN);
        rn_yield();
        EXPECT_EQ(rn_try_recv(rn_timer_chan(t), &at), -EAGAIN);
    }
    rn_timer_free(t);
}

TEST_FIBER(after_reset_nothing_stale_is_received)
{
    rn_timer *t = rn_timer_new(0);
    rn_time at;

    for (int i = 0; i < rounds(3000); i++) {
        rn_time start = rn_now();
        rn_duration d = (20 + i % 60) * RN_MICROSECOND;
        rn_timer_reset(t, d);
        EXPECT_EQ(rn_recv(NULL, rn_timer_chan(t), &at), 0);
        EXPECT(at >= start + d);
        rn_timer_reset(t, i % 50 * RN_MICROSECOND); /* may have fired by the next reset */
    }
    rn_timer_free(t);
}

TEST_FIBER(a_timer_that_is_null_is_an_error_code)
{
    EXPECT_EQ(rn_timer_stop(NULL), -EINVAL);
    EXPECT_EQ(rn_timer_reset(NULL, 1), -EINVAL);
    EXPECT(rn_timer_chan(NULL) == NULL);
    rn_timer_free(NULL);
}

TEST_FIBER(free_stops_the_timer_and_a_retained_channel_stays)
{
    rn_timer *t = rn_timer_new(0);
    time_chan ch = rn_chan_retain(rn_timer_chan(t));
    rn_time at;

    await_fired(t);
    rn_timer_free(t);
    EXPECT_EQ(rn_try_recv(ch, &at), -EAGAIN);
    EXPECT_EQ(rn_send(NULL, ch, 5), 0);
    EXPECT_EQ(rn_recv(NULL, ch, &at), 0);
    EXPECT_EQ(at, 5);
    rn_chan_release(ch);
}

static atomic_int calls;

static void call(void *arg)
{
    EXPECT(rn_fiber_id() != 0);
    EXPECT_EQ(*(int *)arg, 31);
    EXPECT_EQ(rn_sleep(NULL, 1), 0); /* may wait: it is a fiber */
    atomic_fetch_add(&calls, 1);
}

static int argument = 31;

TEST_FIBER(a_function_timer_calls_it_on_a_fiber_of_its_own)
{
    rn_timer *t = rn_timer_new_func(RN_MILLISECOND, call, &argument);

    EXPECT(rn_timer_chan(t) == NULL);
    await_count(&calls, 1);
    EXPECT_EQ(rn_timer_stop(t), 0);
    EXPECT_EQ(rn_timer_reset(t, 0), 0);
    await_count(&calls, 2);
    await_live(1);
    rn_timer_free(t);
    EXPECT_EQ(atomic_load(&calls), 2);
}

TEST_FIBER(a_stopped_function_timer_does_not_call)
{
    rn_timer *t = rn_timer_new_func(RN_HOUR, call, &argument);

    EXPECT_EQ(rn_timer_stop(t), 1);
    EXPECT_EQ(rn_timer_stop(t), 0);
    EXPECT_EQ(rn_timer_reset(t, RN_HOUR), 0);
    EXPECT_EQ(rn_timer_reset(t, RN_HOUR), 1);
    rn_timer_free(t);
    for (int i = 0; i < 100; i++)
        rn_yield();
    await_live(1);
    EXPECT_EQ(atomic_load(&calls), 0);
    EXPECT_EQ(stats_now().timers, 0);
}

TEST_FIBER(of_a_function_timers_runs_and_stops_each_start_has_one)
{
    rn_timer *t = rn_timer_new_func(0, call, &argument);
    int starts = 1, prevented = 0;

    for (int i = 0; i < rounds(3000); i++) {
        prevented += rn_timer_reset(t, i % 40 * RN_MICROSECOND);
        starts++;
        if (i % 4 == 0)
            rn_yield();
    }
    prevented += rn_timer_stop(t);
    await_live(1);
    EXPECT_EQ(atomic_load(&calls) + prevented, starts);
    rn_timer_free(t);
}

struct abuse {
    rn_timer *timer;
    atomic_int *starts, *prevented, *received;
    int rounds;
};

static void *stop_and_reset(void *arg)
{
    struct abuse *a = arg;

    for (int i = 0; i < a->rounds; i++) {
        if (i % 3 == 0) {
            atomic_fetch_add(a->prevented, rn_timer_stop(a->timer));
        } else {
            atomic_fetch_add(a->prevented, rn_timer_reset(a->timer, i % 30 * RN_MICROSECOND));
            atomic_fetch_add(a->starts, 1);
        }
    }
    return NULL;
}

static void receive_ticks(void *arg)
{
    struct abuse *a = arg;
    rn_time at;
    while (rn_recv(NULL, rn_timer_chan(a->timer), &at) == 0 && at != 0)
        atomic_fetch_add(a->received, 1);
}

TEST(many_threads_stop_and_reset_and_each_start_is_received_or_prevented)
{
    atomic_int starts = 1, prevented = 0, received = 0;
    struct abuse a = {rn_timer_new(0), &starts, &prevented, &received, rounds(3000)};
    pthread_t threads[4];

    EXPECT_EQ(rn_go(receive_ticks, &a), 0);
    for (int i = 0; i < 4; i++)
        EXPECT_EQ(pthread_create(&threads[i], NULL, stop_and_reset, &a), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    atomic_fetch_add(&prevented, rn_timer_stop(a.timer));
    EXPECT_EQ(rn_send(NULL, rn_timer_chan(a.timer), 0), 0); /* tells the receiver to end */
    await_live(0);
    EXPECT_EQ(atomic_load(&received) + atomic_load(&prevented), atomic_load(&starts));
    rn_timer_free(a.timer);
    EXPECT_EQ(rn_stop(), 0);
}

TEST_FIBER(after_gives_a_channel_that_receives_the_time_once)
{
    rn_time start = rn_now(), at = 0;
    time_chan ch = rn_after(2 * RN_MILLISECOND);

    EXPECT_EQ(rn_cap(ch), 1);
    EXPECT_EQ(rn_recv(NULL, ch, &at), 0);
    EXPECT(at - start >= 2 * RN_MILLISECOND);
    EXPECT_EQ(rn_try_recv(ch, &at), -EAGAIN);
    rn_chan_release(ch);
}

TEST_FIBER(the_timer_of_after_goes_with_its_channel)
{
    for (int i = 0; i < 1000; i++)
        rn_chan_release(rn_after(RN_HOUR));
    EXPECT_EQ(stats_now().timers, 0);
    for (int i = 0; i < rounds(3000); i++) {
        time_chan ch = rn_after(i % 50 * RN_MICROSECOND);
        if (i % 3 == 0)
            rn_sleep(NULL, i % 50 * RN_MICROSECOND);
        rn_chan_release(ch);
    }
    EXPECT_EQ(stats_now().timers, 0);
}

TEST_FIBER(after_serves_in_a_select)
{
    int_chan never = rn_chan_make(int, 0);
    time_chan ch = rn_after(RN_MILLISECOND);
    rn_time at;
    int value;

    EXPECT_EQ(rn_select(NULL, rn_on_recv(never, &value), rn_on_recv(ch, &at)), 1);
    rn_chan_release(ch);
    rn_chan_release(never);
}

TEST(a_timer_may_outlive_the_runtime_that_it_was_made_in)
{
    rn_timer *t = rn_timer_new(RN_HOUR), *fired = rn_timer_new(0);
    rn_time at;

    EXPECT_EQ(rn_recv(NULL, rn_timer_chan(fired), &at), 0);
    EXPECT_EQ(rn_stop(), 0);
    EXPECT(rn_timer_stop(t) >= 0);
    EXPECT_EQ(rn_timer_stop(fired), 0);
    EXPECT(rn_timer_reset(fired, 0) >= 0); /* starts the runtime again */
    EXPECT_EQ(rn_recv(NULL, rn_timer_chan(fired), &at), 0);
    rn_timer_free(t);
    rn_timer_free(fired);
    EXPECT_EQ(rn_stop(), 0);
}
