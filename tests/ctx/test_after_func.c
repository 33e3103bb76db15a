/* after_func: what runs when a context has ended; and shield, what runs although it has. */
#include "core.h"
#include "test.h"

#include <sys/resource.h>

static atomic_int calls;

static void call(void *arg)
{
    EXPECT(rn_fiber_id() != 0);
    EXPECT_EQ(*(int *)arg, 17);
    atomic_fetch_add(&calls, 1);
}

static int argument = 17;

TEST_FIBER(it_runs_once_after_the_end_on_a_fiber_of_its_own)
{
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    rn_ctx_stop *stop = NULL;

    EXPECT_EQ(rn_ctx_after_func(ctx, call, &argument, &stop), 0);
    for (int i = 0; i < 10; i++)
        rn_yield();
    EXPECT_EQ(atomic_load(&calls), 0);
    rn_ctx_cancel(ctx, 0);
    await_count(&calls, 1);
    EXPECT(!rn_ctx_stop_func(stop));
    rn_ctx_release(ctx);
    await_live(1);
    EXPECT_EQ(atomic_load(&calls), 1);
}

TEST_FIBER(it_runs_when_a_parent_ends)
{
    rn_ctx *parent = rn_ctx_with_cancel(NULL), *child = rn_ctx_with_cancel(parent);

    EXPECT_EQ(rn_ctx_after_func(child, call, &argument, NULL), 0);
    rn_ctx_cancel(parent, 0);
    await_count(&calls, 1);
    rn_ctx_release(child);
    rn_ctx_release(parent);
    await_live(1);
}

TEST_FIBER(it_runs_at_a_deadline)
{
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, RN_MILLISECOND);

    EXPECT_EQ(rn_ctx_after_func(ctx, call, &argument, NULL), 0);
    await_count(&calls, 1);
    rn_ctx_release(ctx);
    await_live(1);
}

TEST_FIBER(of_an_ended_context_it_runs_at_once)
{
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    rn_ctx_stop *stop = NULL;

    rn_ctx_cancel(ctx, 0);
    EXPECT_EQ(rn_ctx_after_func(ctx, call, &argument, &stop), 0);
    await_count(&calls, 1);
    EXPECT(!rn_ctx_stop_func(stop));
    EXPECT_EQ(rn_ctx_after_func(ctx, call, &argument, NULL), 0);
    await_count(&calls, 2);
    rn_ctx_release(ctx);
    await_live(1);
}

TEST_FIBER(stop_says_that_it_prevented_the_run)
{
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    rn_ctx_stop *stop = NULL;

    EXPECT_EQ(rn_ctx_after_func(ctx, call, &argument, &stop), 0);
    EXPECT(rn_ctx_stop_func(stop));
    rn_ctx_cancel(ctx, 0);
    for (int i = 0; i < 10; i++)
        rn_yield();
    await_live(1);
    EXPECT_EQ(atomic_load(&calls), 0);
    rn_ctx_release(ctx);
}

TEST_FIBER(without_a_place_for_stop_it_lasts_as_long_as_the_context)
{
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);

    for (int i = 0; i < 5; i++)
        EXPECT_EQ(rn_ctx_after_func(ctx, call, &argument, NULL), 0);
    rn_ctx_release(ctx); /* ends it */
    await_count(&calls, 5);
    await_live(1);
}

TEST_FIBER(without_a_context_or_a_function_it_is_einval)
{
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    rn_ctx_stop *stop = NULL;

    EXPECT_EQ(rn_ctx_after_func(NULL, call, &argument, &stop), -EINVAL);
    EXPECT_EQ(rn_ctx_after_func(ctx, NULL, NULL, &stop), -EINVAL);
    rn_ctx_release(ctx);
}

static void cancel_now(void *arg)
{
    rn_ctx_cancel(*(rn_ctx **)arg, 0);
}

TEST_FIBER(stop_and_the_end_race_and_exactly_one_wins)
{
    int runs = 0;

    for (int i = 0; i < rounds(3000); i++) {
        rn_ctx *ctx = rn_ctx_with_cancel(NULL);
        rn_ctx_stop *stop = NULL;

        EXPECT_EQ(rn_ctx_after_func(ctx, call, &argument, &stop), 0);
        EXPECT_EQ(rn_go_copy(cancel_now, &ctx), 0);
        if (i % 2)
            rn_yield();
        if (!rn_ctx_stop_func(stop))
            runs++;
        await_live(1);
        EXPECT_EQ(atomic_load(&calls), runs);
        rn_ctx_release(ctx);
    }
}

static int in_shield(rn_ctx *ctx, void *arg)
{
    rn_ctx *parent = arg;

    EXPECT_EQ(rn_ctx_err(ctx), 0);
    rn_ctx_cancel(parent, 0);
    EXPECT_EQ(rn_ctx_err(ctx), 0);
    EXPECT_EQ(rn_sleep(ctx, RN_MILLISECOND), 0);
    return 42;
}

TEST_FIBER(a_shield_goes_on_although_the_parent_ends)
{
    rn_ctx *parent = rn_ctx_with_cancel(NULL);

    EXPECT_EQ(rn_ctx_shield(parent, RN_HOUR, in_shield, parent), 42);
    EXPECT_EQ(rn_ctx_err(parent), -ECANCELED);
    EXPECT_EQ(rn_ctx_shield(parent, RN_HOUR, in_shield, parent), 42); /* has ended already */
    EXPECT_EQ(stats_now().timers, 0);
    rn_ctx_release(parent);
}

static int wait_in_shield(rn_ctx *ctx, void *arg)
{
    EXPECT(rn_ctx_value(ctx, &argument) == arg);
    return rn_ctx_wait(ctx);
}

TEST_FIBER(a_shield_lasts_no_longer_than_its_grace_and_sees_the_values)
{
    rn_ctx *parent = rn_ctx_with_cancel(NULL),
           *valued = rn_ctx_with_value(parent, &argument, &calls);

    EXPECT_EQ(rn_ctx_shield(valued, 2 * RN_MILLISECOND, wait_in_shield, &calls), -ETIMEDOUT);
    rn_ctx_cancel(parent, 0);
    EXPECT_EQ(rn_ctx_shield(valued, 2 * RN_MILLISECOND, wait_in_shield, &calls), -ETIMEDOUT);
    rn_ctx_release(valued);
    rn_ctx_release(parent);
}

/* Where there is no stack for it: it waits for one, and the end does not wait for it. */
#if !UNDER_ASAN && !UNDER_TSAN /* they need a great deal of address space */
static int_chan room;

static void hold(void *arg)
{
    int value;
    (void)arg;
    EXPECT_EQ(rn_recv(NULL, room, &value), RN_ECLOSED);
}

/* Until no fiber can be started. It gives way now and then, so that no spare worker comes. */
static void use_up_stacks(void)
{
    struct rlimit scarce = {(rlim_t)1 << 30, RLIM_INFINITY};
    int err;

    room = rn_chan_make(int, 0);
    EXPECT_EQ(setrlimit(RLIMIT_AS, &scarce), 0);
    for (int n = 0; (err = rn_go(hold, NULL)) == 0; n++)
        if (n % 64 == 0)
            rn_yield();
    EXPECT_EQ(err, -ENOMEM);
}

static void cancel_the_same(void *arg)
{
    EXPECT(rn_fiber_id() != 0);
    rn_ctx_cancel(arg, 0);
    EXPECT_EQ(rn_sleep(NULL, 1), 0);
    atomic_fetch_add(&calls, 1);
}

static int wait_for_a_stack(int argc, char **argv)
{
    rn_ctx *ctx = rn_ctx_with_cancel(NULL), *timed;
    rn_ctx_stop *stop = NULL;

    (void)argc, (void)argv;
    EXPECT_EQ(rn_ctx_after_func(ctx, cancel_the_same, ctx, &stop), 0);
    use_up_stacks();
    EXPECT((timed = rn_ctx_with_timeout(NULL, RN_MILLISECOND)) != NULL);
    EXPECT_EQ(rn_ctx_after_func(timed, cancel_the_same, timed, NULL), 0);
    rn_ctx_cancel(ctx, 0);
    EXPECT_EQ(rn_ctx_after_func(ctx, cancel_the_same, ctx, NULL), 0);
    EXPECT_EQ(rn_ctx_wait(timed), -ETIMEDOUT);
    EXPECT(!rn_ctx_stop_func(stop));
    EXPECT(atomic_load(&calls) == 0 || stats_now().compensations > 0);
    rn_close(room);
    await_count(&calls, 3);
    await_live(1);
    rn_ctx_release(timed);
    rn_ctx_release(ctx);
    rn_chan_release(room);
    return 0;
}

/* With one worker: others would have a stack left in their caches. */
TEST(without_a_stack_it_waits_for_one)
{
    if (getenv("TEST_EMULATOR") != NULL)
        return; /* qemu's user mode does not hold the program to RLIMIT_AS */
    setenv("RUNNEL_WORKERS", "1", 1);
    EXPECT_EQ(rn_run(wait_for_a_stack, 0, NULL), 0);
}
#endif
