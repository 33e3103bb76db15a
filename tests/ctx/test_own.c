/*
 * A fiber's own context, given when it is started: waiting with it, and with others, ends as it
 * should.
 */
#include "core.h"
#include "test.h"

struct member {
    rn_ctx *own, *other;
    int_chan ch;
    int want_own, want_other;
    atomic_int *ended;
};

static void wait_with_both(void *arg)
{
    struct member *m = arg;
    int value;

    if (m->want_other != 0)
        EXPECT_EQ(rn_recv(m->other, m->ch, &value), m->want_other);
    if (m->want_own != 0)
        EXPECT_EQ(rn_recv(m->own, m->ch, &value), m->want_own);
    atomic_fetch_add(m->ended, 1);
}

static void start_member(struct member *m)
{
    EXPECT_EQ(rn_go_with(&(rn_go_options){.ctx = m->own}, wait_with_both, m), 0);
}

TEST_FIBER(a_wait_with_the_own_context_ends_with_it)
{
    enum { FIBERS = 100 };
    atomic_int ended = 0;
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    struct member m = {ctx, NULL, rn_chan_make(int, 0), -ECANCELED, 0, &ended};

    for (int i = 0; i < FIBERS; i++)
        start_member(&m);
    await_waiters(m.ch, FIBERS);
    rn_ctx_cancel(ctx, 0);
    await_count(&ended, FIBERS);
    EXPECT_EQ(rn_waiters(m.ch), 0);
    await_live(1);
    rn_ctx_release(ctx);
    rn_chan_release(m.ch);
}

TEST_FIBER(the_end_of_its_own_context_does_not_end_a_wait_with_another)
{
    atomic_int ended = 0;
    rn_ctx *own = rn_ctx_with_cancel(NULL), *other = rn_ctx_with_cancel(NULL);
    struct member m = {own, other, rn_chan_make(int, 0), -ECANCELED, -ECANCELED, &ended};

    start_member(&m);
    await_waiters(m.ch, 1);
    rn_ctx_cancel(own, 0);
    for (int i = 0; i < 100; i++)
        rn_yield();
    EXPECT_EQ(rn_waiters(m.ch), 1);
    EXPECT_EQ(atomic_load(&ended), 0);
    rn_ctx_cancel(other, 0);
    await_count(&ended, 1);
    await_live(1);
    rn_ctx_release(own);
    rn_ctx_release(other);
    rn_chan_release(m.ch);
}

TEST_FIBER(the_end_of_its_own_context_does_not_end_a_wait_with_none)
{
    atomic_int ended = 0;
    rn_ctx *own = rn_ctx_with_cancel(NULL);
    struct member m = {own, NULL, rn_chan_make(int, 0), -ECANCELED, RN_ECLOSED, &ended};

    start_member(&m);
    await_waiters(m.ch, 1);
    rn_ctx_cancel(own, 0);
    for (int i = 0; i < 100; i++)
        rn_yield();
    EXPECT_EQ(rn_waiters(m.ch), 1);
    m.want_own = 0; /* the channel is closed then: either code would be right */
    EXPECT_EQ(rn_close(m.ch), 0);
    await_count(&ended, 1);
    await_live(1);
    rn_ctx_release(own);
    rn_chan_release(m.ch);
}

TEST_FIBER(a_fiber_started_with_an_ended_context_runs_and_its_waits_end)
{
    atomic_int ended = 0;
    rn_ctx *own = rn_ctx_with_cancel(NULL);
    struct member m = {own, NULL, rn_chan_make(int, 0), -ECANCELED, 0, &ended};

    rn_ctx_cancel(own, 0);
    start_member(&m);
    await_count(&ended, 1);
    await_live(1);
    rn_ctx_release(own);
    rn_chan_release(m.ch);
}

TEST_FIBER(a_parents_end_reaches_waits_with_the_own_context)
{
    atomic_int ended = 0;
    rn_ctx *parent = rn_ctx_with_cancel(NULL), *own = rn_ctx_with_timeout(parent, RN_HOUR);
    struct member m = {own, NULL, rn_chan_make(int, 0), -ECANCELED, 0, &ended};

    start_member(&m);
    await_waiters(m.ch, 1);
    rn_ctx_cancel(parent, 0);
    await_count(&ended, 1);
    await_live(1);
    rn_ctx_release(own);
    rn_ctx_release(parent);
    rn_chan_release(m.ch);
}

TEST_FIBER(the_fiber_keeps_its_context_alive)
{
    atomic_int ended = 0;
    rn_ctx *own = rn_ctx_with_cancel(NULL);
    struct member m = {own, NULL, rn_chan_make(int, 0), -ECANCELED, 0, &ended};

    start_member(&m);
    await_waiters(m.ch, 1);
    rn_ctx_release(own); /* cancels; the fiber still uses it */
    await_count(&ended, 1);
    await_live(1);
    rn_chan_release(m.ch);
}

struct every {
    rn_ctx *own;
    int_chan ch;
    atomic_int *ended;
};

/* Every kind of wait, each with the own context, which ends while the first lasts. */
static void wait_in_every_way(void *arg)
{
    struct every *e = arg;
    int value, values[2] = {0, 0};

    EXPECT_EQ(rn_select(e->own, rn_on_recv(e->ch, &value), rn_on_timeout(RN_HOUR)), -ECANCELED);
    EXPECT_EQ(rn_sleep(e->own, RN_HOUR), -ECANCELED);
    EXPECT_EQ(rn_ctx_wait(e->own), -ECANCELED);
    EXPECT_EQ(rn_send(e->own, e->ch, 1), -ECANCELED);
    EXPECT_EQ(rn_recv_n(e->own, e->ch, values, 2), -ECANCELED);
    EXPECT_EQ(rn_send_n(e->own, e->ch, values, 2), -ECANCELED);
    EXPECT_EQ(rn_select_n(e->own, NULL, 0, 0), -ECANCELED);
    atomic_fetch_add(e->ended, 1);
}

TEST_FIBER(every_wait_ends_with_the_own_context)
{
    atomic_int ended = 0;
    struct every e = {rn_ctx_with_cancel(NULL), rn_chan_make(int, 0), &ended};

    EXPECT_EQ(rn_go_with(&(rn_go_options){.ctx = e.own}, wait_in_every_way, &e), 0);
    await_waiters(e.ch, 1);
    rn_ctx_cancel(e.own, 0);
    await_count(&ended, 1);
    await_live(1);
    EXPECT_EQ(stats_now().timers, 0);
    rn_ctx_release(e.own);
    rn_chan_release(e.ch);
}

struct worker {
    rn_ctx *own;
    int_chan ch;
    atomic_int *received, *ended;
};

static void receive_until_cancelled(void *arg)
{
    struct worker *w = arg;
    int value;
    while (rn_recv(w->own, w->ch, &value) == 0)
        atomic_fetch_add(w->received, 1);
    atomic_fetch_add(w->ended, 1);
}

TEST_FIBER(values_and_the_end_of_the_own_context_race_and_nothing_is_lost)
{
    for (int round = 0; round < rounds(300); round++) {
        atomic_int received = 0, ended = 0, sent = 0;
        rn_ctx *own = rn_ctx_with_cancel(NULL);
        struct worker w = {own, rn_chan_make(int, 0), &received, &ended};
        struct canceller canceller = {own, rn_chan_untyped(w.ch), 0};

        for (int i = 0; i < 4; i++)
            EXPECT_EQ(rn_go_with(&(rn_go_options){.ctx = own}, receive_until_cancelled, &w), 0);
        EXPECT_EQ(rn_go_with(&(rn_go_options){.ctx = own}, cancel_when_waiting, &canceller), 0);
        while (rn_send(own, w.ch, 1) == 0)
            sent++;
        await_count(&ended, 4);
        await_live(1);
        EXPECT_EQ(atomic_load(&received), atomic_load(&sent));
        rn_ctx_release(own);
        rn_chan_release(w.ch);
    }
}
