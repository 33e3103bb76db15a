/* Contexts that end by themselves. */
#include "core.h"
#include "test.h"

TEST_FIBER(a_timeout_ends_the_context_with_etimedout)
{
    rn_time start = rn_now();
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, 3 * RN_MILLISECOND);

    EXPECT_EQ(rn_ctx_wait(ctx), -ETIMEDOUT);
    EXPECT(rn_now() - start >= 3 * RN_MILLISECOND);
    EXPECT_EQ(rn_ctx_err(ctx), -ETIMEDOUT);
    EXPECT_EQ(rn_ctx_cause(ctx), -ETIMEDOUT);
    rn_ctx_release(ctx);
}

TEST_FIBER(a_deadline_in_the_past_is_over_at_once)
{
    rn_ctx *past = rn_ctx_with_deadline(NULL, rn_now() - 1), *zero = rn_ctx_with_timeout(NULL, 0);
    rn_ctx *negative = rn_ctx_with_timeout(NULL, INT64_MIN);
    rn_ctx *first = rn_ctx_with_deadline(NULL, INT64_MIN);
    rn_ctx *all[] = {past, zero, negative, first};

    for (int i = 0; i < 4; i++) {
        EXPECT_EQ(rn_ctx_err(all[i]), -ETIMEDOUT);
        EXPECT_EQ(rn_ctx_wait(all[i]), -ETIMEDOUT);
        rn_ctx_release(all[i]);
    }
}

TEST_FIBER(an_earlier_deadline_of_the_parent_is_the_childs)
{
    rn_time earlier = rn_now() + RN_MINUTE, when = 0;
    rn_ctx *parent = rn_ctx_with_deadline(NULL, earlier),
           *child = rn_ctx_with_timeout(parent, RN_HOUR);

    EXPECT(rn_ctx_deadline(child, &when));
    EXPECT_EQ(when, earlier);
    rn_ctx_release(child);
    rn_ctx_release(parent);
}

TEST_FIBER(an_earlier_deadline_of_the_parent_wins)
{
    rn_ctx *parent = rn_ctx_with_timeout(NULL, 3 * RN_MILLISECOND),
           *child = rn_ctx_with_timeout(parent, RN_HOUR);

    EXPECT_EQ(rn_ctx_wait(child), -ETIMEDOUT);
    EXPECT_EQ(rn_ctx_cause(child), -ETIMEDOUT);
    rn_ctx_release(child);
    rn_ctx_release(parent);
}

TEST_FIBER(an_earlier_deadline_of_the_child_leaves_the_parent_running)
{
    rn_time late = rn_now() + RN_HOUR, when = 0;
    rn_ctx *parent = rn_ctx_with_deadline(NULL, late);
    rn_ctx *child = rn_ctx_with_timeout(parent, RN_MILLISECOND);

    EXPECT_EQ(rn_ctx_wait(child), -ETIMEDOUT);
    EXPECT_EQ(rn_ctx_err(parent), 0);
    EXPECT(rn_ctx_deadline(parent, &when));
    EXPECT_EQ(when, late);
    rn_ctx_release(child);
    rn_ctx_release(parent);
}

TEST_FIBER(a_deadline_is_seen_from_below_and_absent_without_one)
{
    rn_time late = rn_now() + RN_HOUR, when = 7;
    rn_ctx *plain = rn_ctx_with_cancel(NULL), *timed = rn_ctx_with_deadline(plain, late);
    rn_ctx *below = rn_ctx_with_cancel(timed);

    EXPECT(!rn_ctx_deadline(plain, &when));
    EXPECT(rn_ctx_deadline(below, &when));
    EXPECT_EQ(when, late);
    rn_ctx_release(below);
    rn_ctx_release(timed);
    rn_ctx_release(plain);
}

TEST_FIBER(a_context_that_was_over_at_once_has_its_deadline_too)
{
    rn_time past = rn_now() - RN_SECOND, later = rn_now() + RN_HOUR, when = 0;
    rn_ctx *over = rn_ctx_with_deadline(NULL, past), *below = rn_ctx_with_deadline(over, later);
    rn_ctx *cancelled = rn_ctx_with_cancel(NULL), *born_ended;

    EXPECT(rn_ctx_deadline(over, &when));
    EXPECT_EQ(when, past);
    EXPECT(rn_ctx_deadline(below, &when));
    EXPECT_EQ(when, past);
    rn_ctx_cancel(cancelled, 0);
    born_ended = rn_ctx_with_deadline(cancelled, later);
    EXPECT(rn_ctx_deadline(born_ended, &when));
    EXPECT_EQ(when, later);
    EXPECT_EQ(rn_ctx_err(born_ended), -ECANCELED);
    rn_ctx_release(born_ended);
    rn_ctx_release(cancelled);
    rn_ctx_release(below);
    rn_ctx_release(over);
}

TEST_FIBER(a_huge_timeout_is_not_a_short_one)
{
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, RN_FOREVER);
    rn_ctx *child = rn_ctx_with_timeout(ctx, RN_FOREVER - 1);

    EXPECT_EQ(rn_sleep(child, 2 * RN_MILLISECOND), 0);
    EXPECT_EQ(rn_ctx_err(ctx), 0);
    EXPECT_EQ(rn_ctx_err(child), 0);
    rn_ctx_release(child);
    rn_ctx_release(ctx);
}

TEST_FIBER(a_cancel_before_the_deadline_is_the_cause)
{
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, RN_HOUR);

    rn_ctx_cancel(ctx, -EIO);
    EXPECT_EQ(rn_ctx_err(ctx), -ECANCELED);
    EXPECT_EQ(rn_ctx_cause(ctx), -EIO);
    rn_ctx_release(ctx);
    EXPECT_EQ(stats_now().timers, 0);
}

TEST_FIBER(a_released_context_leaves_no_timer)
{
    for (int i = 0; i < 1000; i++)
        rn_ctx_release(rn_ctx_with_timeout(NULL, RN_HOUR));
    EXPECT_EQ(stats_now().timers, 0);
}

TEST_FIBER(the_deadline_ends_the_subtree)
{
    rn_ctx *top = rn_ctx_with_timeout(NULL, 2 * RN_MILLISECOND), *mid = rn_ctx_with_cancel(top);
    rn_ctx *low = rn_ctx_with_cancel(mid);

    EXPECT_EQ(rn_ctx_wait(low), -ETIMEDOUT);
    EXPECT_EQ(rn_ctx_err(mid), -ETIMEDOUT);
    EXPECT_EQ(rn_ctx_err(top), -ETIMEDOUT);
    rn_ctx_release(low);
    rn_ctx_release(mid);
    rn_ctx_release(top);
}

TEST_FIBER(deadlines_race_with_cancels_and_releases)
{
    for (int i = 0; i < rounds(5000); i++) {
        rn_ctx *top = rn_ctx_with_timeout(NULL, i % 50 * RN_MICROSECOND);
        rn_ctx *low = rn_ctx_with_timeout(top, (i + 7) % 50 * RN_MICROSECOND);

        if (i % 3 == 0)
            rn_ctx_cancel(low, -EIO);
        if (i % 4 == 0)
            rn_yield();
        if (i % 5 == 0)
            rn_ctx_cancel(top, -EIO);
        EXPECT(rn_ctx_wait(low) < 0);
        rn_ctx_release(low);
        rn_ctx_release(top);
    }
    EXPECT_EQ(stats_now().timers, 0);
}
