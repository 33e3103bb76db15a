/* Wait group: the count, reuse, contexts, and that its memory may go once a wait has returned. */
#include "core.h"
#include "sync/waiting.h"
#include "test.h"

#include <pthread.h>
#include <runnel/wait_group.h>
#include <signal.h>

#define PEERS 8

TEST(nothing_to_wait_for)
{
    rn_wait_group wg = {0};
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);

    rn_ctx_cancel(ctx, 0);
    EXPECT_EQ(rn_wait_group_wait(NULL, &wg), 0);
    EXPECT_EQ(rn_wait_group_wait(ctx, &wg), 0); /* whatever the context is */
    EXPECT_EQ(rn_wait_group_count(&wg), 0);
    rn_ctx_release(ctx);
}

TEST(the_count_goes_both_ways)
{
    rn_wait_group wg = {0};

    rn_wait_group_add(&wg, 5);
    EXPECT_EQ(rn_wait_group_count(&wg), 5);
    rn_wait_group_done(&wg);
    EXPECT_EQ(rn_wait_group_count(&wg), 4);
    rn_wait_group_add(&wg, -4);
    EXPECT_EQ(rn_wait_group_count(&wg), 0);
    EXPECT_EQ(rn_wait_group_wait(NULL, &wg), 0);
}

struct member {
    rn_wait_group *wg;
    int *place; /* written without a lock, read after the wait */
};

static void work(void *arg)
{
    struct member *m = arg;

    rn_yield();
    *m->place = 1;
    rn_wait_group_done(m->wg);
}

static void one_round(rn_wait_group *wg)
{
    int places[PEERS] = {0};

    for (int i = 0; i < PEERS; i++) {
        rn_wait_group_add(wg, 1);
        EXPECT_EQ(rn_go_copy(work, &(struct member){wg, &places[i]}), 0);
    }
    EXPECT_EQ(rn_wait_group_wait(NULL, wg), 0);
    for (int i = 0; i < PEERS; i++)
        EXPECT_EQ(places[i], 1);
}

TEST_FIBER(a_wait_sees_what_all_have_done)
{
    rn_wait_group wg = {0};
    one_round(&wg);
}

TEST_FIBER(it_can_be_used_again)
{
    rn_wait_group wg = {0};

    for (int i = 0; i < rounds(1000); i++)
        one_round(&wg);
}

TEST(a_plain_thread_waits_too)
{
    rn_wait_group wg = {0};

    for (int i = 0; i < rounds(100); i++)
        one_round(&wg);
    EXPECT_EQ(rn_stop(), 0);
}

struct waiting {
    rn_wait_group *wg;
    rn_ctx *ctx;
    atomic_int *back, *err;
};

static void wait_for(void *arg)
{
    struct waiting *w = arg;
    int err = rn_wait_group_wait(w->ctx, w->wg);

    if (w->err != NULL)
        atomic_store(w->err, err);
    atomic_fetch_add(w->back, 1);
}

TEST_FIBER(the_last_done_lets_all_waiters_go)
{
    rn_wait_group wg = {0};
    atomic_int back = 0;

    rn_wait_group_add(&wg, 2);
    for (int i = 0; i < PEERS; i++)
        EXPECT_EQ(rn_go_copy(wait_for, &(struct waiting){&wg, NULL, &back, NULL}), 0);
    await_waiting("wait group", PEERS);
    rn_wait_group_done(&wg);
    rn_yield();
    EXPECT_EQ(atomic_load(&back), 0);
    rn_wait_group_done(&wg);
    await_count(&back, PEERS);
}

TEST_FIBER(a_cancel_ends_one_wait_only)
{
    rn_wait_group wg = {0};
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    atomic_int back = 0, err = 1, other = 1;

    rn_wait_group_add(&wg, 1);
    EXPECT_EQ(rn_go_copy(wait_for, &(struct waiting){&wg, ctx, &back, &err}), 0);
    EXPECT_EQ(rn_go_copy(wait_for, &(struct waiting){&wg, NULL, &back, &other}), 0);
    await_waiting("wait group", 2);
    rn_ctx_cancel(ctx, 0);
    await_count(&back, 1);
    EXPECT_EQ(atomic_load(&err), -ECANCELED);
    EXPECT_EQ(rn_wait_group_wait(ctx, &wg), -ECANCELED); /* an ended one does not wait */
    rn_wait_group_done(&wg);
    await_count(&back, 2);
    EXPECT_EQ(atomic_load(&other), 0);
    rn_ctx_release(ctx);
}

TEST_FIBER(a_deadline_ends_the_wait_and_the_next_goes_on)
{
    rn_wait_group wg = {0};
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, RN_MILLISECOND);
    int place = 0;

    rn_wait_group_add(&wg, 1);
    EXPECT_EQ(rn_wait_group_wait(ctx, &wg), -ETIMEDOUT);
    EXPECT_EQ(rn_wait_group_count(&wg), 1);
    EXPECT_EQ(rn_go_copy(work, &(struct member){&wg, &place}), 0);
    EXPECT_EQ(rn_wait_group_wait(NULL, &wg), 0);
    EXPECT_EQ(place, 1);
    rn_ctx_release(ctx);
}

static void done(void *wg)
{
    rn_wait_group_done(wg);
}

/* Freed at once after the wait: a done that still touched it would be seen by AddressSanitizer. */
TEST_FIBER(the_memory_may_go_after_the_wait)
{
    for (int i = 0; i < rounds(5000); i++) {
        rn_wait_group *wg = calloc(1, sizeof *wg);

        EXPECT(wg != NULL);
        rn_wait_group_add(wg, 2);
        EXPECT_EQ(rn_go(done, wg), 0);
        EXPECT_EQ(rn_go(done, wg), 0);
        EXPECT_EQ(rn_wait_group_wait(NULL, wg), 0);
        memset(wg, 0xff, sizeof *wg);
        free(wg);
    }
}

/* The same when a wait was cancelled while the last done was on its way. */
TEST_FIBER(the_memory_may_go_after_a_cancelled_wait_and_another)
{
    for (int i = 0; i < rounds(2000); i++) {
        rn_wait_group *wg = calloc(1, sizeof *wg);
        rn_ctx *ctx = rn_ctx_with_timeout(NULL, i % 20 * 500);

        EXPECT(wg != NULL);
        rn_wait_group_add(wg, 2);
        EXPECT_EQ(rn_go(done, wg), 0);
        EXPECT_EQ(rn_go(done, wg), 0);
        if (rn_wait_group_wait(ctx, wg) != 0)
            EXPECT_EQ(rn_wait_group_wait(NULL, wg), 0);
        memset(wg, 0xff, sizeof *wg);
        free(wg);
        rn_ctx_release(ctx);
    }
}

TEST_DIES(a_count_below_zero_dies, "counter would fall below 0", SIGABRT)
{
    rn_wait_group wg = {0};
    rn_wait_group_done(&wg);
}

TEST_DIES(an_add_below_zero_dies, "counter would fall below 0", SIGABRT)
{
    rn_wait_group wg = {0};
    rn_wait_group_add(&wg, 2);
    rn_wait_group_add(&wg, -3);
}
