/* Contexts as a tree: ending, causes, how far an end reaches, values. */
#include "core.h"
#include "test.h"

TEST_FIBER(null_is_the_background)
{
    EXPECT_EQ(rn_ctx_err(NULL), 0);
    EXPECT_EQ(rn_ctx_cause(NULL), 0);
    EXPECT(rn_ctx_value(NULL, "key") == NULL);
    EXPECT(!rn_ctx_deadline(NULL, &(rn_time){0}));
    EXPECT(rn_ctx_retain(NULL) == NULL);
    rn_ctx_drop(NULL);
    rn_ctx_release(NULL);
}

TEST_FIBER(a_context_runs_until_it_is_cancelled)
{
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);

    EXPECT_EQ(rn_ctx_err(ctx), 0);
    EXPECT_EQ(rn_ctx_cause(ctx), 0);
    rn_ctx_cancel(ctx, 0);
    EXPECT_EQ(rn_ctx_err(ctx), -ECANCELED);
    EXPECT_EQ(rn_ctx_cause(ctx), -ECANCELED);
    rn_ctx_release(ctx);
}

TEST_FIBER(err_is_ecanceled_whatever_the_cause)
{
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);

    rn_ctx_cancel(ctx, -EIO);
    EXPECT_EQ(rn_ctx_err(ctx), -ECANCELED);
    EXPECT_EQ(rn_ctx_cause(ctx), -EIO);
    rn_ctx_release(ctx);
}

TEST_FIBER(a_cause_of_etimedout_is_the_err_too)
{
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);

    rn_ctx_cancel(ctx, -ETIMEDOUT);
    EXPECT_EQ(rn_ctx_err(ctx), -ETIMEDOUT);
    EXPECT_EQ(rn_ctx_cause(ctx), -ETIMEDOUT);
    rn_ctx_release(ctx);
}

TEST_FIBER(the_first_cause_wins_and_stays)
{
    rn_ctx *parent = rn_ctx_with_cancel(NULL), *child = rn_ctx_with_cancel(parent);

    rn_ctx_cancel(child, -EPIPE);
    rn_ctx_cancel(child, -EIO);
    rn_ctx_cancel(parent, -EBUSY);
    EXPECT_EQ(rn_ctx_cause(child), -EPIPE);
    EXPECT_EQ(rn_ctx_cause(parent), -EBUSY);
    rn_ctx_release(child);
    rn_ctx_release(parent);
}

TEST_FIBER(cancelling_reaches_the_whole_subtree_before_it_returns)
{
    enum { WIDTH = 4, NODES = 1 + 4 + 16 + 64 + 256 };
    rn_ctx *nodes[NODES];

    nodes[0] = rn_ctx_with_cancel(NULL);
    for (int i = 1; i < NODES; i++)
        nodes[i] = i % 3 == 0 ? rn_ctx_with_value(nodes[(i - 1) / WIDTH], &nodes, nodes)
                              : rn_ctx_with_cancel(nodes[(i - 1) / WIDTH]);
    rn_ctx_cancel(nodes[1], -EIO);
    for (int i = 0; i < NODES; i++) {
        int at = i; /* below node 1? */
        while (at > 1)
            at = (at - 1) / WIDTH;
        EXPECT_EQ(rn_ctx_err(nodes[i]), at == 1 ? -ECANCELED : 0);
        EXPECT_EQ(rn_ctx_cause(nodes[i]), at == 1 ? -EIO : 0);
    }
    rn_ctx_cancel(nodes[0], -EPIPE);
    for (int i = 0; i < NODES; i++)
        EXPECT_EQ(rn_ctx_err(nodes[i]), -ECANCELED);
    for (int i = NODES - 1; i >= 0; i--)
        rn_ctx_release(nodes[i]);
}

TEST_FIBER(a_child_that_ends_leaves_its_parent_running)
{
    rn_ctx *parent = rn_ctx_with_cancel(NULL), *child = rn_ctx_with_cancel(parent);

    rn_ctx_cancel(child, 0);
    EXPECT_EQ(rn_ctx_err(child), -ECANCELED);
    EXPECT_EQ(rn_ctx_err(parent), 0);
    rn_ctx_release(child);
    EXPECT_EQ(rn_ctx_err(parent), 0);
    rn_ctx_release(parent);
}

TEST_FIBER(a_child_of_an_ended_parent_is_born_ended)
{
    rn_ctx *parent = rn_ctx_with_cancel(NULL);

    rn_ctx_cancel(parent, -EIO);
    rn_ctx *child = rn_ctx_with_cancel(parent), *timed = rn_ctx_with_timeout(parent, RN_HOUR);
    rn_ctx *valued = rn_ctx_with_value(parent, &parent, NULL), *grand = rn_ctx_with_cancel(child);
    rn_ctx *all[] = {child, timed, valued, grand};
    for (int i = 0; i < 4; i++) {
        EXPECT_EQ(rn_ctx_err(all[i]), -ECANCELED);
        EXPECT_EQ(rn_ctx_cause(all[i]), -EIO);
        EXPECT_EQ(rn_ctx_wait(all[i]), -ECANCELED);
        rn_ctx_release(all[i]);
    }
    rn_ctx_release(parent);
}

TEST_FIBER(the_makers_release_cancels_and_a_drop_does_not)
{
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    rn_ctx *again = rn_ctx_retain(ctx);

    EXPECT(again == ctx);
    rn_ctx_retain(ctx);
    rn_ctx_drop(ctx);
    EXPECT_EQ(rn_ctx_err(again), 0);
    rn_ctx_release(ctx);
    EXPECT_EQ(rn_ctx_err(again), -ECANCELED);
    EXPECT_EQ(rn_ctx_cause(again), -ECANCELED);
    rn_ctx_drop(again);
}

TEST_FIBER(the_makers_release_cancels_what_is_below)
{
    rn_ctx *ctx = rn_ctx_with_cancel(NULL), *child = rn_ctx_with_cancel(ctx);

    rn_ctx_release(ctx);
    EXPECT_EQ(rn_ctx_err(child), -ECANCELED);
    rn_ctx_release(child);
}

TEST_FIBER(a_child_keeps_its_parent_alive)
{
    static const char key = 0;
    int value = 5;
    rn_ctx *parent = rn_ctx_with_value(NULL, &key, &value), *child = rn_ctx_without_cancel(parent);

    rn_ctx_release(parent);
    EXPECT(rn_ctx_value(child, &key) == &value);
    EXPECT_EQ(rn_ctx_err(child), 0);
    rn_ctx_release(child);
}

TEST_FIBER(a_value_is_found_from_below_by_its_key)
{
    static const char name, age;
    int one = 1, two = 2, other = 3;
    rn_ctx *top = rn_ctx_with_value(NULL, &name, &one);
    rn_ctx *mid = rn_ctx_with_cancel(top), *low = rn_ctx_with_value(mid, &name, &two);
    rn_ctx *side = rn_ctx_with_value(mid, &age, &other);

    EXPECT(rn_ctx_value(top, &name) == &one);
    EXPECT(rn_ctx_value(mid, &name) == &one);
    EXPECT(rn_ctx_value(low, &name) == &two);
    EXPECT(rn_ctx_value(side, &name) == &one);
    EXPECT(rn_ctx_value(side, &age) == &other);
    EXPECT(rn_ctx_value(low, &age) == NULL);
    rn_ctx_release(side);
    rn_ctx_release(low);
    rn_ctx_release(mid);
    rn_ctx_release(top);
}

TEST_FIBER(without_cancel_keeps_values_and_nothing_else)
{
    static const char key;
    int value = 1;
    rn_ctx *timed = rn_ctx_with_timeout(NULL, RN_HOUR),
           *valued = rn_ctx_with_value(timed, &key, &value);
    rn_ctx *free_one = rn_ctx_without_cancel(valued);
    rn_time when;

    EXPECT(rn_ctx_deadline(valued, &when));
    EXPECT(!rn_ctx_deadline(free_one, &when));
    rn_ctx_cancel(timed, 0);
    EXPECT_EQ(rn_ctx_err(valued), -ECANCELED);
    EXPECT_EQ(rn_ctx_err(free_one), 0);
    EXPECT(rn_ctx_value(free_one, &key) == &value);

    rn_ctx *late = rn_ctx_without_cancel(valued); /* of a parent that has ended */
    EXPECT_EQ(rn_ctx_err(late), 0);
    rn_ctx_cancel(late, -EIO);
    EXPECT_EQ(rn_ctx_cause(late), -EIO);
    EXPECT_EQ(rn_ctx_err(free_one), 0);
    rn_ctx_release(late);
    rn_ctx_release(free_one);
    rn_ctx_release(valued);
    rn_ctx_release(timed);
}

struct waiting {
    rn_ctx *ctx;
    int want;
    atomic_int *started, *ended;
};

static void wait_for_end(void *arg)
{
    struct waiting *w = arg;
    atomic_fetch_add(w->started, 1);
    EXPECT_EQ(rn_ctx_wait(w->ctx), w->want);
    atomic_fetch_add(w->ended, 1);
}

TEST_FIBER(wait_returns_the_err_when_the_context_ends)
{
    rn_ctx *parent = rn_ctx_with_cancel(NULL), *child = rn_ctx_with_cancel(parent);
    atomic_int started = 0, ended = 0;

    for (int i = 0; i < 50; i++)
        EXPECT_EQ(rn_go_copy(wait_for_end, &(struct waiting){i % 2 ? parent : child, -ECANCELED,
                                                             &started, &ended}),
                  0);
    await_count(&started, 50);
    rn_ctx_cancel(child, -EIO);
    await_count(&ended, 25);
    rn_ctx_cancel(parent, 0);
    await_count(&ended, 50);
    EXPECT_EQ(rn_ctx_wait(parent), -ECANCELED);
    await_live(1);
    rn_ctx_release(child);
    rn_ctx_release(parent);
}

TEST(a_plain_thread_waits_for_a_context)
{
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, 2 * RN_MILLISECOND);

    EXPECT_EQ(rn_ctx_wait(ctx), -ETIMEDOUT);
    rn_ctx_release(ctx);
    EXPECT_EQ(rn_stop(), 0);
}

static int wait_for_background(int argc, char **argv)
{
    (void)argc, (void)argv;
    return rn_ctx_wait(NULL);
}

TEST_DIES(waiting_for_the_background_lasts_for_ever, "context wait", 2)
{
    rn_run(wait_for_background, 0, NULL);
}

/* Memory that the process has touched, in KiB. */
static long resident_kib(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    EXPECT(file != NULL);
    EXPECT_EQ(fscanf(file, "%*d %ld", &pages), 1);
    fclose(file);
    return pages * 4;
}

TEST_FIBER(a_million_children_leave_nothing_in_a_long_lived_parent)
{
    rn_ctx *parent = rn_ctx_with_cancel(NULL);
    int children = rounds(1000000);
    long before = 0;

    for (int i = 0; i < children; i++) {
        rn_ctx *child = i % 2 ? rn_ctx_with_cancel(parent) : rn_ctx_with_timeout(parent, RN_HOUR);
        EXPECT(child != NULL);
        if (i % 3 == 0)
            rn_ctx_cancel(child, 0);
        rn_ctx_release(child);
        if (i == children / 10)
            before = resident_kib();
    }
    if (!UNDER_ASAN && !UNDER_TSAN) /* their allocators keep what is freed */
        EXPECT(resident_kib() - before < 8 * 1024);
    EXPECT_EQ(stats_now().timers, 0);
    EXPECT_EQ(rn_ctx_err(parent), 0);
    rn_ctx_release(parent);
}

TEST_FIBER(ended_children_are_not_reached_by_their_parents_end)
{
    enum { CHILDREN = 1000 };
    rn_ctx *parent = rn_ctx_with_cancel(NULL), *child[CHILDREN];

    for (int i = 0; i < CHILDREN; i++) {
        child[i] = rn_ctx_with_cancel(parent);
        rn_ctx_cancel(child[i], -1 - i);
    }
    rn_ctx_cancel(parent, -EIO);
    for (int i = 0; i < CHILDREN; i++) {
        EXPECT_EQ(rn_ctx_cause(child[i]), -1 - i);
        rn_ctx_release(child[i]);
    }
    rn_ctx_release(parent);
}
