/*
 * Condition variable: who is woken, that no signal is lost, and that the mutex is held afterwards.
 */
#include "core.h"
#include "sync/waiting.h"
#include "test.h"

#include <pthread.h>
#include <runnel/cond.h>
#include <runnel/wait_group.h>
#include <signal.h>

#define PEERS 4

struct sleeper {
    rn_mutex *m;
    rn_cond *c;
    rn_ctx *ctx;
    atomic_int *woken; /* how many have come back, under m */
    atomic_int *at;    /* which of them this one was, from 1 */
    atomic_int *err;
    atomic_int *ended; /* how many touch none of this any more */
};

/* Waits for one signal, and sees that it holds the mutex. */
static void sleep_once(void *arg)
{
    struct sleeper *s = arg;
    int err;

    rn_mutex_lock(s->m);
    err = rn_cond_wait(s->ctx, s->c, s->m);
    EXPECT_EQ(rn_mutex_try_lock(s->m), -EBUSY);
    if (s->err != NULL)
        atomic_store(s->err, err);
    if (s->at != NULL)
        atomic_store(s->at, atomic_load(s->woken) + 1);
    atomic_fetch_add(s->woken, 1);
    rn_mutex_unlock(s->m);
    atomic_fetch_add(s->ended, 1);
}

TEST_FIBER(a_signal_wakes_the_oldest)
{
    rn_mutex m = {0};
    rn_cond c = {0};
    atomic_int woken = 0, ended = 0, at[PEERS] = {0};

    for (int i = 0; i < PEERS; i++) {
        EXPECT_EQ(
            rn_go_copy(sleep_once, &(struct sleeper){&m, &c, NULL, &woken, &at[i], NULL, &ended}),
            0);
        await_waiting("cond wait", i + 1);
    }
    for (int i = 0; i < PEERS; i++) {
        EXPECT_EQ(atomic_load(&woken), i);
        rn_cond_signal(&c);
        await_count(&woken, i + 1);
        EXPECT_EQ(atomic_load(&at[i]), i + 1);
    }
    await_count(&ended, PEERS);
}

TEST_FIBER(a_broadcast_wakes_all)
{
    rn_mutex m = {0};
    rn_cond c = {0};
    atomic_int woken = 0, ended = 0;

    for (int i = 0; i < PEERS; i++)
        EXPECT_EQ(
            rn_go_copy(sleep_once, &(struct sleeper){&m, &c, NULL, &woken, NULL, NULL, &ended}), 0);
    await_waiting("cond wait", PEERS);
    rn_cond_broadcast(&c);
    await_count(&ended, PEERS);
    EXPECT_EQ(atomic_load(&woken), PEERS);
}

TEST_FIBER(a_signal_for_nobody_is_not_kept)
{
    rn_mutex m = {0};
    rn_cond c = {0};
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, RN_MILLISECOND);

    rn_cond_signal(&c);
    rn_cond_broadcast(&c);
    rn_mutex_lock(&m);
    EXPECT_EQ(rn_cond_wait(ctx, &c, &m), -ETIMEDOUT);
    EXPECT_EQ(rn_mutex_try_lock(&m), -EBUSY);
    rn_ctx_release(ctx);
}

TEST_FIBER(an_ended_context_comes_back_with_the_mutex)
{
    rn_mutex m = {0};
    rn_cond c = {0};
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);

    rn_ctx_cancel(ctx, 0);
    rn_mutex_lock(&m);
    EXPECT_EQ(rn_cond_wait(ctx, &c, &m), -ECANCELED);
    EXPECT_EQ(rn_mutex_try_lock(&m), -EBUSY);
    rn_mutex_unlock(&m);
    rn_ctx_release(ctx);
}

TEST_FIBER(a_cancel_ends_the_wait_with_the_mutex_held)
{
    rn_mutex m = {0};
    rn_cond c = {0};
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    atomic_int woken = 0, err = 1, ended = 0;

    EXPECT_EQ(rn_go_copy(sleep_once, &(struct sleeper){&m, &c, ctx, &woken, NULL, &err, &ended}),
              0);
    await_waiting("cond wait", 1);
    rn_mutex_lock(&m);
    rn_ctx_cancel(ctx, 0);
    EXPECT_EQ(atomic_load(&woken), 0); /* it needs the mutex first */
    rn_mutex_unlock(&m);
    await_count(&ended, 1);
    EXPECT_EQ(atomic_load(&err), -ECANCELED);
    rn_ctx_release(ctx);
}

struct canceller_of {
    rn_ctx *ctx;
    atomic_int *ended;
};

static void cancel(void *arg)
{
    struct canceller_of *c = arg;

    rn_ctx_cancel(c->ctx, 0);
    atomic_fetch_add(c->ended, 1);
}

/*
 * A cancel and a signal at the same time: the signal reaches the cancelled waiter or the other one.
 */
TEST_FIBER(a_signal_is_not_lost_to_a_cancel)
{
    for (int round = 0; round < rounds(300); round++) {
        rn_mutex m = {0};
        rn_cond c = {0};
        rn_ctx *ctx = rn_ctx_with_cancel(NULL);
        atomic_int woken = 0, err = 1, other = 1, ended = 0;

        EXPECT_EQ(
            rn_go_copy(sleep_once, &(struct sleeper){&m, &c, ctx, &woken, NULL, &err, &ended}), 0);
        await_waiting("cond wait", 1);
        EXPECT_EQ(
            rn_go_copy(sleep_once, &(struct sleeper){&m, &c, NULL, &woken, NULL, &other, &ended}),
            0);
        await_waiting("cond wait", 2);
        EXPECT_EQ(rn_go_copy(cancel, &(struct canceller_of){ctx, &ended}), 0);
        if (round % 2 == 0)
            rn_yield();
        rn_cond_signal(&c);
        while (atomic_load(&err) == 1)
            rn_yield();
        if (atomic_load(&err) == 0) { /* the signal was its own; the other still waits */
            EXPECT_EQ(atomic_load(&other), 1);
            rn_cond_signal(&c);
        } else {
            EXPECT_EQ(atomic_load(&err), -ECANCELED);
        }
        await_count(&ended, 3);
        EXPECT_EQ(atomic_load(&other), 0);
        rn_ctx_release(ctx);
    }
}

/* A bounded buffer of one, with two conditions: a lost wake-up would leave everybody asleep. */
struct box {
    rn_mutex m;
    rn_cond full, empty;
    bool has;
    int value;
    long sum;
    rn_wait_group wg;
};

struct user {
    struct box *box;
    int times;
};

static void put(void *arg)
{
    struct user *u = arg;
    struct box *b = u->box;

    for (int i = 1; i <= u->times; i++) {
        rn_mutex_lock(&b->m);
        while (b->has)
            EXPECT_EQ(rn_cond_wait(NULL, &b->empty, &b->m), 0);
        b->has = true;
        b->value = i;
        rn_mutex_unlock(&b->m);
        rn_cond_signal(&b->full);
    }
    rn_wait_group_done(&b->wg);
}

static void take(void *arg)
{
    struct user *u = arg;
    struct box *b = u->box;

    for (int i = 1; i <= u->times; i++) {
        rn_mutex_lock(&b->m);
        while (!b->has)
            EXPECT_EQ(rn_cond_wait(NULL, &b->full, &b->m), 0);
        b->has = false;
        b->sum += b->value;
        rn_cond_signal(&b->empty);
        rn_mutex_unlock(&b->m);
    }
    rn_wait_group_done(&b->wg);
}

static void *put_on_thread(void *arg)
{
    put(arg);
    return NULL;
}

static void *take_on_thread(void *arg)
{
    take(arg);
    return NULL;
}

static long sum_to(long n)
{
    return n * (n + 1) / 2;
}

TEST_FIBER(no_wake_up_is_lost_between_fibers)
{
    struct box b = {.has = false};
    struct user u = {&b, rounds(5000)};

    for (int i = 0; i < PEERS; i++) {
        rn_wait_group_add(&b.wg, 2);
        EXPECT_EQ(rn_go(put, &u), 0);
        EXPECT_EQ(rn_go(take, &u), 0);
    }
    EXPECT_EQ(rn_wait_group_wait(NULL, &b.wg), 0);
    EXPECT_EQ(b.sum, PEERS * sum_to(u.times));
}

TEST(no_wake_up_is_lost_between_threads_and_fibers)
{
    struct box b = {.has = false};
    struct user u = {&b, rounds(500)};
    pthread_t putter, taker;

    rn_wait_group_add(&b.wg, 4);
    EXPECT_EQ(pthread_create(&putter, NULL, put_on_thread, &u), 0);
    EXPECT_EQ(rn_go(put, &u), 0);
    EXPECT_EQ(pthread_create(&taker, NULL, take_on_thread, &u), 0);
    EXPECT_EQ(rn_go(take, &u), 0);
    EXPECT_EQ(rn_wait_group_wait(NULL, &b.wg), 0);
    pthread_join(putter, NULL);
    pthread_join(taker, NULL);
    EXPECT_EQ(b.sum, 2 * sum_to(u.times));
    EXPECT_EQ(rn_stop(), 0);
}

TEST_DIES(a_wait_without_the_mutex_dies, "unlock of an unlocked mutex", SIGABRT)
{
    rn_mutex m = {0};
    rn_cond c = {0};
    rn_cond_wait(NULL, &c, &m);
}
