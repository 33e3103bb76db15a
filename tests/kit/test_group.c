/* Group: start, first error, cancel, limit, clean-ups, and what a wait guarantees. */
#include "core.h"
#include "sync/waiting.h"
#include "test.h"

#include <runnel/group.h>
#include <runnel/mutex.h>
#include <runnel/wait_group.h>

#define PEERS 5

static int count(rn_ctx *ctx, void *arg)
{
    (void)ctx;
    atomic_fetch_add((atomic_int *)arg, 1);
    return 0;
}

static int fail(rn_ctx *ctx, void *arg)
{
    (void)ctx;
    return *(int *)arg;
}

/* Until its context ends. */
static int linger(rn_ctx *ctx, void *arg)
{
    if (arg != NULL)
        atomic_fetch_add((atomic_int *)arg, 1);
    return rn_ctx_wait(ctx);
}

/* Until *arg is not 0. */
static int hold(rn_ctx *ctx, void *arg)
{
    (void)ctx;
    while (atomic_load((atomic_int *)arg) == 0)
        rn_yield();
    return 0;
}

TEST_FIBER(wait_joins_every_fiber)
{
    rn_group *g = rn_group_new(NULL);
    atomic_int n = 0;

    for (int i = 0; i < 100; i++)
        EXPECT_EQ(rn_group_go(g, count, &n), 0);
    EXPECT_EQ(rn_group_wait(g), 0);
    EXPECT_EQ(atomic_load(&n), 100);
}

TEST_FIBER(an_empty_group_is_waited_for_at_once)
{
    EXPECT_EQ(rn_group_wait(rn_group_new(NULL)), 0);
}

TEST(a_plain_thread_has_a_group)
{
    rn_group *g = rn_group_new(NULL);
    atomic_int n = 0;

    for (int i = 0; i < 100; i++)
        EXPECT_EQ(rn_group_go(g, count, &n), 0);
    EXPECT_EQ(rn_group_wait(g), 0);
    EXPECT_EQ(atomic_load(&n), 100);
    EXPECT_EQ(rn_stop(), 0);
}

TEST_FIBER(the_first_error_is_returned)
{
    rn_group *g = rn_group_new(NULL);
    int first = -EIO, second = -EPIPE;

    EXPECT_EQ(rn_group_go(g, fail, &first), 0);
    EXPECT_EQ(rn_ctx_wait(rn_group_ctx(g)), -ECANCELED);
    EXPECT_EQ(rn_group_go(g, fail, &second), -ECANCELED);
    EXPECT_EQ(rn_group_wait(g), -EIO);
}

TEST_FIBER(an_error_cancels_the_others_with_that_cause)
{
    rn_group *g = rn_group_new(NULL);
    int err = -EIO;

    for (int i = 0; i < PEERS; i++)
        EXPECT_EQ(rn_group_go(g, linger, NULL), 0);
    EXPECT_EQ(rn_ctx_cause(rn_group_ctx(g)), 0);
    EXPECT_EQ(rn_group_go(g, fail, &err), 0);
    EXPECT_EQ(rn_ctx_wait(rn_group_ctx(g)), -ECANCELED);
    EXPECT_EQ(rn_ctx_cause(rn_group_ctx(g)), -EIO);
    EXPECT_EQ(rn_group_wait(g), -EIO);
}

TEST_FIBER(a_cancel_stops_starts_and_its_cause_is_the_error)
{
    rn_group *g = rn_group_new(NULL);
    atomic_int n = 0;

    EXPECT_EQ(rn_group_go(g, linger, NULL), 0);
    rn_group_cancel(g, -EPIPE);
    EXPECT_EQ(rn_group_go(g, count, &n), -ECANCELED);
    EXPECT_EQ(rn_group_try_go(g, count, &n), -ECANCELED);
    EXPECT_EQ(rn_ctx_cause(rn_group_ctx(g)), -EPIPE);
    EXPECT_EQ(rn_group_wait(g), -EPIPE);
    EXPECT_EQ(atomic_load(&n), 0);
    g = rn_group_new(NULL);
    rn_group_cancel(g, 0);
    EXPECT_EQ(rn_group_wait(g), -ECANCELED);
}

TEST_FIBER(the_parents_end_reaches_the_fibers)
{
    rn_ctx *parent = rn_ctx_with_cancel(NULL);
    rn_group *g = rn_group_new(parent);
    atomic_int n = 0;

    EXPECT_EQ(rn_group_go(g, linger, &n), 0);
    await_count(&n, 1);
    rn_ctx_cancel(parent, 0);
    EXPECT_EQ(rn_group_go(g, count, &n), -ECANCELED);
    EXPECT_EQ(rn_group_wait(g), -ECANCELED);
    rn_ctx_release(parent);
}

TEST_FIBER(a_deadline_of_the_parent_stops_starts)
{
    rn_ctx *parent = rn_ctx_with_timeout(NULL, 0);
    rn_group *g = rn_group_new(parent);
    atomic_int n = 0;

    EXPECT_EQ(rn_group_go(g, count, &n), -ETIMEDOUT);
    EXPECT_EQ(rn_group_wait(g), 0);
    rn_ctx_release(parent);
}

TEST_FIBER(the_groups_end_does_not_reach_the_parent)
{
    rn_ctx *parent = rn_ctx_with_cancel(NULL);
    rn_group *g = rn_group_new(parent);
    int err = -EIO;

    EXPECT_EQ(rn_group_go(g, fail, &err), 0);
    EXPECT_EQ(rn_group_wait(g), -EIO);
    EXPECT_EQ(rn_ctx_err(parent), 0);
    rn_ctx_release(parent);
}

struct letter {
    int number;
    atomic_int *sum;
    char text[1000];
};

static int read_letter(rn_ctx *ctx, void *arg)
{
    struct letter *l = arg;
    (void)ctx;
    EXPECT_EQ((uintptr_t)l % 16, 0);
    EXPECT_EQ(l->text[sizeof l->text - 1], l->number);
    atomic_fetch_add(l->sum, l->number);
    return 0;
}

struct note {
    int number;
    atomic_int *sum;
};

static int read_note(rn_ctx *ctx, void *arg)
{
    struct note *note = arg;
    (void)ctx;
    atomic_fetch_add(note->sum, note->number);
    return 0;
}

TEST_FIBER(each_fiber_has_its_copy)
{
    rn_group *g = rn_group_new(NULL);
    atomic_int sum = 0;
    struct letter l = {.sum = &sum};

    for (int i = 1; i <= 10; i++) {
        l.number = i;
        l.text[sizeof l.text - 1] = (char)i;
        EXPECT_EQ(rn_group_go_copy(g, read_letter, &l), 0);
        EXPECT_EQ(rn_group_try_go_copy(g, read_note, &(struct note){i, &sum}), 0);
    }
    l.text[sizeof l.text - 1] = 0;
    EXPECT_EQ(rn_group_wait(g), 0);
    EXPECT_EQ(atomic_load(&sum), 110);
}

static int unreached(rn_ctx *ctx, void *arg)
{
    (void)ctx, (void)arg;
    EXPECT(false);
    return 0;
}

TEST_FIBER(a_copy_too_large_is_refused)
{
    rn_group *g = rn_group_new(NULL);
    size_t size = 16u << 20;
    char *large = calloc(1, size);

    EXPECT_EQ(rn_group_go_at(NULL, g, 0, unreached, large, size), -EINVAL);
    EXPECT_EQ(rn_group_go_at(NULL, g, 0, unreached, large, SIZE_MAX), -EINVAL);
    EXPECT_EQ(rn_ctx_err(rn_group_ctx(g)), 0);
    EXPECT_EQ(rn_group_wait(g), -EINVAL); /* what could not be started counts */
    free(large);
}

TEST_FIBER(an_unknown_flag_is_refused)
{
    rn_group *g = rn_group_new(NULL);

    EXPECT_EQ(rn_group_go_at(NULL, g, 4, unreached, NULL, 0), -EINVAL);
    EXPECT_EQ(rn_group_wait(g), 0);
}

TEST(a_runtime_that_cannot_start_is_the_groups_error)
{
    rn_group *g = rn_group_new(NULL);
    int value = 1;

    setenv("RUNNEL_WORKERS", "none", 1);
    EXPECT_EQ(rn_group_go_copy(g, unreached, &value), -EINVAL);
    EXPECT_EQ(rn_group_go(g, unreached, NULL), -EINVAL);
    EXPECT_EQ(rn_group_wait(g), -EINVAL);
}

static void note_failed(void *arg, const char *name, int err)
{
    EXPECT_STR(name, "fail");
    atomic_fetch_add((atomic_int *)arg, -err);
}

TEST_FIBER(failures_name_the_fiber)
{
    rn_group *g = NULL;
    atomic_int sum = 0;
    int err = -5;

    EXPECT_EQ(
        rn_group_new_with(&g, NULL, &(rn_group_options){.failed = note_failed, .failed_arg = &sum}),
        0);
    EXPECT_EQ(rn_group_go(g, fail, &err), 0);
    EXPECT_EQ(rn_group_wait(g), -5);
    EXPECT_EQ(atomic_load(&sum), 5);
}

static int see_name(rn_ctx *ctx, void *arg)
{
    (void)ctx;
    EXPECT_STR(rn_fiber_name(), arg == NULL ? "see_name" : arg);
    return 0;
}

TEST_FIBER(fibers_are_named_after_function_or_group)
{
    rn_group *g = rn_group_new(NULL);

    EXPECT_EQ(rn_group_go(g, see_name, NULL), 0);
    EXPECT_EQ(rn_group_wait(g), 0);
    EXPECT_EQ(rn_group_new_with(&g, NULL, &(rn_group_options){.name = "crew"}), 0);
    EXPECT_EQ(rn_group_go(g, see_name, (void *)"crew"), 0);
    EXPECT_EQ(rn_group_wait(g), 0);
}

TEST_FIBER(collect_all_cancels_nobody_and_tells_of_each)
{
    rn_group *g = NULL;
    atomic_int sum = 0, n = 0;
    int errs[] = {-1, -2, -4};

    EXPECT_EQ(rn_group_new_with(&g, NULL,
                                &(rn_group_options){.mode = RN_GROUP_COLLECT_ALL,
                                                    .limit = 1,
                                                    .failed = note_failed,
                                                    .failed_arg = &sum}),
              0);
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(rn_group_go(g, fail, &errs[i]), 0);
        EXPECT_EQ(rn_group_go(g, count, &n), 0);
    }
    EXPECT_EQ(rn_group_wait(g), -1);
    EXPECT_EQ(atomic_load(&sum), 7);
    EXPECT_EQ(atomic_load(&n), 3);
}

static rn_group *first_success_group(void)
{
    rn_group *g = NULL;

    EXPECT_EQ(rn_group_new_with(&g, NULL, &(rn_group_options){.mode = RN_GROUP_FIRST_SUCCESS}), 0);
    return g;
}

TEST_FIBER(the_first_success_cancels_the_others)
{
    rn_group *g = first_success_group();
    atomic_int n = 0;
    int err = -EIO;

    EXPECT_EQ(rn_group_go(g, fail, &err), 0);
    EXPECT_EQ(rn_group_go(g, linger, NULL), 0);
    EXPECT_EQ(rn_group_go(g, count, &n), 0);
    EXPECT_EQ(rn_group_wait(g), 0);
}

TEST_FIBER(without_a_success_the_first_error_counts)
{
    rn_group *g = first_success_group();
    int err = -EIO;

    EXPECT_EQ(rn_group_go(g, fail, &err), 0);
    EXPECT_EQ(rn_group_go(g, fail, &err), 0);
    EXPECT_EQ(rn_group_wait(g), -EIO);
    EXPECT_EQ(rn_group_wait(first_success_group()), 0);
}

struct crowd {
    atomic_int in, most;
};

static int crowd(rn_ctx *ctx, void *arg)
{
    struct crowd *c = arg;
    int now = atomic_fetch_add(&c->in, 1) + 1, most = atomic_load(&c->most);

    (void)ctx;
    while (now > most && !atomic_compare_exchange_weak(&c->most, &most, now))
        ;
    rn_yield();
    atomic_fetch_sub(&c->in, 1);
    return 0;
}

TEST_FIBER(no_more_than_the_limit_run_at_once)
{
    rn_group *g = NULL;
    struct crowd c = {0};

    EXPECT_EQ(rn_group_new_with(&g, NULL, &(rn_group_options){.limit = 3}), 0);
    for (int i = 0; i < rounds(2000); i++)
        EXPECT_EQ(rn_group_go(g, crowd, &c), 0);
    EXPECT_EQ(rn_group_wait(g), 0);
    EXPECT(atomic_load(&c.most) <= 3);
}

TEST_FIBER(try_go_fails_at_the_limit)
{
    rn_group *g = rn_group_new(NULL);
    atomic_int go = 0;

    EXPECT_EQ(rn_group_set_limit(g, 2), 0);
    EXPECT_EQ(rn_group_try_go(g, hold, &go), 0);
    EXPECT_EQ(rn_group_try_go(g, hold, &go), 0);
    EXPECT_EQ(rn_group_try_go(g, hold, &go), -EAGAIN);
    atomic_store(&go, 1);
    EXPECT_EQ(rn_group_go(g, hold, &go), 0);
    EXPECT_EQ(rn_group_wait(g), 0);
}

TEST_FIBER(the_limit_stays_while_fibers_run)
{
    rn_group *g = rn_group_new(NULL);
    atomic_int go = 0;

    EXPECT_EQ(rn_group_go(g, hold, &go), 0);
    EXPECT_EQ(rn_group_set_limit(g, 2), -EBUSY);
    atomic_store(&go, 1);
    while (rn_group_set_limit(g, 1) != 0)
        rn_yield();
    EXPECT_EQ(rn_group_set_limit(g, RN_GROUP_UNLIMITED), 0);
    EXPECT_EQ(rn_group_wait(g), 0);
}

struct starter {
    rn_group *g;
    atomic_int *ran, *err;
};

static void start_one(void *arg)
{
    struct starter *s = arg;
    atomic_store(s->err, rn_group_go(s->g, count, s->ran));
}

TEST_FIBER(a_limit_of_0_starts_nothing)
{
    rn_group *g = rn_group_new(NULL);
    atomic_int ran = 0, err = 1;

    EXPECT_EQ(rn_group_set_limit(g, 0), 0);
    EXPECT_EQ(rn_group_try_go(g, count, &ran), -EAGAIN);
    EXPECT_EQ(rn_go_copy(start_one, &(struct starter){g, &ran, &err}), 0);
    await_waiting("cond wait", 1);
    rn_group_cancel(g, 0);
    while (atomic_load(&err) == 1)
        rn_yield();
    EXPECT_EQ(atomic_load(&err), -ECANCELED);
    EXPECT_EQ(rn_group_wait(g), -ECANCELED);
    EXPECT_EQ(atomic_load(&ran), 0);
}

TEST_FIBER(go_waits_for_room_with_the_groups_context)
{
    rn_ctx *parent = rn_ctx_with_cancel(NULL);
    rn_group *g = rn_group_new(parent);
    atomic_int ran = 0, err = 1;

    EXPECT_EQ(rn_group_set_limit(g, 1), 0);
    EXPECT_EQ(rn_group_go(g, linger, NULL), 0);
    EXPECT_EQ(rn_go_copy(start_one, &(struct starter){g, &ran, &err}), 0);
    await_waiting("cond wait", 1);
    rn_ctx_cancel(parent, 0);
    while (atomic_load(&err) == 1)
        rn_yield();
    EXPECT_EQ(atomic_load(&err), -ECANCELED);
    EXPECT_EQ(rn_group_wait(g), -ECANCELED);
    EXPECT_EQ(atomic_load(&ran), 0);
    rn_ctx_release(parent);
}

struct tidier {
    atomic_int *running;
    int *order;
    int id;
};

static int next_place;

static void tidy(void *arg)
{
    struct tidier *t = arg;
    EXPECT_EQ(atomic_load(t->running), 0);
    t->order[next_place++] = t->id;
}

static int run_a_while(rn_ctx *ctx, void *arg)
{
    (void)ctx;
    atomic_fetch_add((atomic_int *)arg, 1);
    for (int i = 0; i < 10; i++)
        rn_yield();
    atomic_fetch_sub((atomic_int *)arg, 1);
    return -EIO;
}

TEST_FIBER(clean_ups_run_after_the_last_fiber_last_in_first_out)
{
    rn_group *g = rn_group_new(NULL);
    atomic_int running = 0;
    int order[3] = {0};
    struct tidier t[3] = {{&running, order, 1}, {&running, order, 2}, {&running, order, 3}};

    for (int i = 0; i < 3; i++)
        EXPECT_EQ(rn_group_defer(g, tidy, &t[i]), 0);
    for (int i = 0; i < PEERS; i++)
        rn_group_go(g, run_a_while, &running);
    EXPECT_EQ(rn_group_wait(g), -EIO);
    EXPECT_EQ(next_place, 3);
    EXPECT_EQ(order[0], 3);
    EXPECT_EQ(order[1], 2);
    EXPECT_EQ(order[2], 1);
}

struct tree {
    rn_group *g;
    atomic_int *leaves;
    int depth;
};

static int grow(rn_ctx *ctx, void *arg)
{
    struct tree *t = arg;

    (void)ctx;
    if (t->depth == 0) {
        atomic_fetch_add(t->leaves, 1);
        return 0;
    }
    for (int i = 0; i < 2; i++) {
        int err = rn_group_go_copy(t->g, grow, &(struct tree){t->g, t->leaves, t->depth - 1});
        if (err != 0)
            return err;
    }
    return 0;
}

TEST_FIBER(fibers_start_others_while_it_is_waited_for)
{
    rn_group *g = rn_group_new(NULL);
    atomic_int leaves = 0;

    EXPECT_EQ(rn_group_go_copy(g, grow, &(struct tree){g, &leaves, 8}), 0);
    EXPECT_EQ(rn_group_wait(g), 0);
    EXPECT_EQ(atomic_load(&leaves), 256);
}

TEST_FIBER(a_select_sees_the_end_of_a_group)
{
    rn_group *g = rn_group_new(NULL);
    atomic_int go = 0;

    EXPECT_EQ(rn_group_go(g, hold, &go), 0);
    EXPECT_EQ(rn_select(NULL, rn_on_group(g), rn_default), 1);
    atomic_store(&go, 1);
    EXPECT_EQ(rn_select(NULL, rn_on_group(g)), 0);
    EXPECT_EQ(rn_select(NULL, rn_on_group(g), rn_default), 0);
    EXPECT_EQ(rn_group_wait(g), 0);
}

TEST_FIBER(a_group_without_fibers_has_ended)
{
    rn_group *g = rn_group_new(NULL);

    EXPECT_EQ(rn_select(NULL, rn_on_group(g)), 0);
    EXPECT_EQ(rn_group_wait(g), 0);
}

TEST_FIBER(an_unused_end_does_no_harm)
{
    rn_group *g = rn_group_new(NULL);
    atomic_int n = 0;

    EXPECT(rn_on_group(g).ctx != NULL);
    EXPECT_EQ(rn_group_go(g, count, &n), 0);
    EXPECT_EQ(rn_group_wait(g), 0);
}

TEST(options_are_checked)
{
    rn_group *g = NULL;

    EXPECT_EQ(rn_group_new_with(&g, NULL, &(rn_group_options){.mode = (rn_group_mode)3}), -EINVAL);
    EXPECT(g == NULL);
    EXPECT_EQ(rn_group_new_with(&g, NULL, NULL), 0);
    EXPECT_EQ(rn_group_wait(g), 0);
}

TEST(null_is_a_group_without_memory)
{
    EXPECT_EQ(rn_group_go(NULL, count, NULL), -ENOMEM);
    EXPECT_EQ(rn_group_try_go(NULL, count, NULL), -ENOMEM);
    EXPECT_EQ(rn_group_set_limit(NULL, 1), -ENOMEM);
    EXPECT_EQ(rn_group_defer(NULL, NULL, NULL), -ENOMEM);
    EXPECT_EQ(rn_group_wait(NULL), -ENOMEM);
    EXPECT(rn_group_ctx(NULL) == NULL);
    EXPECT_EQ(rn_select(NULL, rn_on_group(NULL)), 0);
    EXPECT_EQ(rn_select(NULL, rn_on_timeout(RN_HOUR), rn_on_group(NULL), rn_default), 1);
    rn_group_cancel(NULL, 0);
}

static int maybe_fail(rn_ctx *ctx, void *arg)
{
    int n = *(int *)arg;

    if (n % 3 == 0)
        rn_yield();
    return n == 50 ? -EIO : n % 7 == 0 ? rn_ctx_err(ctx) : 0;
}

TEST_FIBER(many_groups_come_and_go)
{
    for (int round = 0; round < rounds(300); round++) {
        rn_group *g = rn_group_new(NULL);
        for (int i = 0; i < 100; i++)
            rn_group_go_copy(g, maybe_fail, &i);
        EXPECT_EQ(rn_group_wait(g), -EIO);
    }
}

static int fail_if_told(rn_ctx *ctx, void *arg)
{
    (void)ctx;
    return *(int *)arg;
}

TEST_FIBER(counters_tell_what_was_started_and_failed)
{
    rn_group *g = NULL;
    rn_group_stats stats;
    int results[] = {0, -EIO, -EIO};

    EXPECT_EQ(rn_group_new_with(&g, NULL, &(rn_group_options){.mode = RN_GROUP_COLLECT_ALL}), 0);
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(rn_group_go(g, fail_if_told, &results[i]), 0);
    EXPECT_EQ(rn_select(NULL, rn_on_group(g)), 0);
    rn_group_stats_read(g, &stats);
    EXPECT(stats.started == 3 && stats.running == 0 && stats.failed == 2);
    EXPECT_EQ(rn_group_wait(g), -EIO);
    rn_group_stats_read(NULL, &stats);
    EXPECT_EQ(stats.started, 0);
}

static int hold_a_named_group(int argc, char **argv)
{
    rn_group *g = NULL;

    (void)argc, (void)argv;
    EXPECT_EQ(rn_group_new_with(&g, NULL, &(rn_group_options){.name = "fetchers"}), 0);
    rn_dump(1);
    EXPECT_EQ(rn_group_wait(g), 0);
    rn_dump(1);
    return 0;
}

TEST_DIES(a_named_group_is_shown_in_dumps,
          "^[^\n]*\ngroup \"fetchers\" \\[0 running, 0 started, 0 failed\\]\n[^\n]*\n$", 0)
{
    exit(rn_run(hold_a_named_group, 0, NULL));
}
