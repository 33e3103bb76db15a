/* RUNNEL_DEBUG=lock: double locks, foreign unlocks, waits under a mutex, the order of locking. */
#include "core.h"
#include "test.h"

#include <runnel/cond.h>
#include <runnel/group.h>
#include <runnel/mutex.h>
#include <runnel/time.h>
#include <stdlib.h>

static void run_checked(int (*app)(int argc, char **argv))
{
    setenv("RUNNEL_DEBUG", "lock", 1);
    exit(rn_run(app, 0, NULL));
}

static int lock_twice(int argc, char **argv)
{
    rn_mutex m = {0};

    (void)argc, (void)argv;
    rn_mutex_lock(&m);
    rn_mutex_lock(&m);
    return 0;
}

TEST_DIES(a_second_lock_dies, "locked twice by the same fiber", SIGABRT)
{
    run_checked(lock_twice);
}

TEST_DIES(a_second_lock_on_a_plain_thread_dies, "locked twice by the same fiber", SIGABRT)
{
    setenv("RUNNEL_DEBUG", "lock", 1);
    EXPECT_EQ(rn_start(), 0);
    lock_twice(0, NULL);
}

static int unlock_it(rn_ctx *ctx, void *m)
{
    (void)ctx;
    rn_mutex_unlock(m);
    return 0;
}

static int unlock_elsewhere(int argc, char **argv)
{
    rn_mutex m = {0};
    rn_group *g = rn_group_new(NULL);

    (void)argc, (void)argv;
    rn_mutex_lock(&m);
    rn_group_go(g, unlock_it, &m);
    return rn_group_wait(g);
}

TEST_DIES(an_unlock_by_another_dies, "unlocked by who did not lock it", SIGABRT)
{
    run_checked(unlock_elsewhere);
}

static int sleep_under_lock(int argc, char **argv)
{
    rn_mutex a = {0}, b = {0};

    (void)argc, (void)argv;
    rn_mutex_lock(&b);
    rn_mutex_lock(&a);
    rn_mutex_unlock(&b);
    rn_sleep(NULL, 1);
    rn_sleep(NULL, 1); /* said once */
    rn_mutex_unlock(&a);
    rn_sleep(NULL, 1);
    return 0;
}

TEST_DIES(a_sleep_under_a_lock_is_reported_once,
          "^runnel: fiber 1 \"main\", [^\n]*waits \\(sleep\\) while it holds mutex [^\n]*\n$", 0)
{
    run_checked(sleep_under_lock);
}

static void lock_both(rn_mutex *first, rn_mutex *then)
{
    rn_mutex_lock(first);
    rn_mutex_lock(then);
    rn_mutex_unlock(then);
    rn_mutex_unlock(first);
}

static int lock_in_a_ring(int argc, char **argv)
{
    rn_mutex m[3];

    (void)argc, (void)argv;
    memset(m, 0, sizeof m);
    for (int i = 0; i < 10; i++)
        for (int j = 0; j < 3; j++)
            lock_both(&m[j], &m[(j + 1) % 3]);
    return 0;
}

TEST_DIES(a_ring_of_three_is_reported_once, "^runnel: lock order: fiber 1 [^\n]*\n$", 0)
{
    run_checked(lock_in_a_ring);
}

/* A fair order, a condition's wait and its mutex, more mutexes than are remembered. */
static int behave(int argc, char **argv)
{
    rn_mutex m[40];
    rn_cond c = {0};
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, 1000);

    (void)argc, (void)argv;
    memset(m, 0, sizeof m);
    for (int i = 0; i < 40; i++)
        rn_mutex_lock(&m[i]);
    for (int i = 0; i < 40; i++)
        rn_mutex_unlock(&m[i]);
    for (int i = 0; i < 3; i++)
        lock_both(&m[0], &m[2]);
    rn_mutex_lock(&m[0]);
    EXPECT_EQ(rn_cond_wait(ctx, &c, &m[0]), -ETIMEDOUT);
    rn_mutex_unlock(&m[0]);
    EXPECT_EQ(rn_sleep(NULL, 1), 0);
    rn_ctx_release(ctx);
    return 0;
}

TEST_DIES(who_behaves_reads_nothing, "^$", 0)
{
    run_checked(behave);
}
