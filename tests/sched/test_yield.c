/* Yielding, order, and the budget that keeps a busy fiber from starving others. */
#include "core.h"
#include "test.h"

struct turns {
    atomic_int *turn;
    int number, fibers, rounds;
};

/* Goes on only when all others have had their turn. */
static void take_turns(void *arg)
{
    struct turns *t = arg;

    for (int i = 0; i < t->rounds; i++) {
        while (atomic_load(t->turn) % t->fibers != t->number)
            rn_yield();
        atomic_fetch_add(t->turn, 1);
    }
}

static int yield_in_turn(int argc, char **argv)
{
    enum { FIBERS = 10, ROUNDS = 200 };
    atomic_int turn = 0;

    (void)argc, (void)argv;
    for (int i = 0; i < FIBERS; i++)
        EXPECT_EQ(rn_go_copy(take_turns, &(struct turns){&turn, i, FIBERS, ROUNDS}), 0);
    await_count(&turn, FIBERS * ROUNDS);
    await_live(1);
    return 0;
}

TEST(fibers_of_one_worker_that_yield_take_turns)
{
    setenv("RUNNEL_WORKERS", "1", 1);
    EXPECT_EQ(rn_run(yield_in_turn, 0, NULL), 0);
}

static void set_flag(void *arg)
{
    atomic_store(*(atomic_int **)arg, 1);
}

TEST_FIBER(a_yield_lets_others_run_first)
{
    atomic_int flag = 0, *place = &flag;

    EXPECT_EQ(rn_go_copy(set_flag, &place), 0);
    while (atomic_load(&flag) == 0)
        rn_yield();
    await_live(1);
}

TEST(a_plain_thread_may_yield)
{
    rn_yield();
    EXPECT_EQ(rn_fiber_id(), 0);
}

#define BUDGET 256 /* operations without a park before a fiber yields */

struct busy {
    int_chan ch;
    atomic_int *stop;
    long rounds; /* how many it took until it was stopped */
};

/* Never blocks: its own channel always has room, then a value. */
static void ping_pong_alone(void *arg)
{
    struct busy *b = arg;
    int value;

    for (; atomic_load(b->stop) == 0; b->rounds++) {
        EXPECT_EQ(rn_send(NULL, b->ch, 1), 0);
        EXPECT_EQ(rn_recv(NULL, b->ch, &value), 0);
    }
}

static void select_alone(void *arg)
{
    struct busy *b = arg;
    int value;

    for (; atomic_load(b->stop) == 0; b->rounds++)
        EXPECT(rn_select(NULL, rn_on_send(b->ch, 1), rn_on_recv(b->ch, &value)) >= 0);
}

static void stop_others(void *arg)
{
    atomic_store(*(atomic_int **)arg, 1);
}

static int run_busy(void (*fn)(void *arg))
{
    atomic_int stop = 0, *place = &stop;
    struct busy b = {rn_chan_make(int, 1), &stop, 0};
    rn_stats before = stats_now();

    EXPECT_EQ(rn_go(fn, &b), 0);
    EXPECT_EQ(rn_go_copy(stop_others, &place), 0);
    await_live(1);
    /* it yielded by itself, unless the monitor came first because the machine is slow */
    EXPECT(b.rounds <= BUDGET || stats_now().compensations != before.compensations);
    rn_chan_release(b.ch);
    return 0;
}

static int busy_with_channel(int argc, char **argv)
{
    (void)argc, (void)argv;
    return run_busy(ping_pong_alone);
}

static int busy_with_select(int argc, char **argv)
{
    (void)argc, (void)argv;
    return run_busy(select_alone);
}

TEST(a_fiber_that_never_blocks_on_its_channel_does_not_starve_others)
{
    setenv("RUNNEL_WORKERS", "1", 1);
    EXPECT_EQ(rn_run(busy_with_channel, 0, NULL), 0);
}

TEST(a_fiber_whose_selects_never_block_does_not_starve_others)
{
    setenv("RUNNEL_WORKERS", "1", 1);
    EXPECT_EQ(rn_run(busy_with_select, 0, NULL), 0);
}

struct pair {
    int_chan there, back;
    atomic_int *stop;
};

static void serve(void *arg)
{
    struct pair *p = arg;
    int value;
    while (rn_recv(NULL, p->there, &value) == 0)
        EXPECT_EQ(rn_send(NULL, p->back, value), 0);
}

static void call(void *arg)
{
    struct pair *p = arg;
    int value;
    while (atomic_load(p->stop) == 0) {
        EXPECT_EQ(rn_send(NULL, p->there, 1), 0);
        EXPECT_EQ(rn_recv(NULL, p->back, &value), 0);
    }
    EXPECT_EQ(rn_close(p->there), 0);
}

static int play_and_stop(int argc, char **argv)
{
    atomic_int stop = 0, *place = &stop;
    struct pair p = {rn_chan_make(int, 0), rn_chan_make(int, 0), &stop};

    (void)argc, (void)argv;
    EXPECT_EQ(rn_go(serve, &p), 0);
    EXPECT_EQ(rn_go(call, &p), 0);
    for (int i = 0; i < 100; i++)
        rn_yield();
    EXPECT_EQ(rn_go_copy(stop_others, &place), 0);
    await_live(1);
    rn_chan_release(p.there);
    rn_chan_release(p.back);
    return 0;
}

TEST(a_pair_that_wakes_each_other_does_not_starve_others)
{
    setenv("RUNNEL_WORKERS", "1", 1);
    EXPECT_EQ(rn_run(play_and_stop, 0, NULL), 0);
}
