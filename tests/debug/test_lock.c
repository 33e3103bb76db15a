/* RUNNEL_DEBUG=lock: double locks, foreign unlocks, waits under a lock, the order of locking. */
#include "core.h"
#include "test.h"

#include <runnel/cond.h>
#include <runnel/group.h>
#include <runnel/mutex.h>
#include <runnel/rwmutex.h>
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
          "^runnel: fiber 1 \"main\", started by rn_run, waits \\(sleep\\) while it holds mutex "
          "[^\n]*\n$",
          0)
{
    run_checked(sleep_under_lock);
}

TEST_DIES(a_sleep_of_a_plain_thread_under_a_lock_is_reported,
          "^runnel: fiber 0 \"thread\", started by the program, waits \\(sleep\\) while [^\n]*\n$",
          0)
{
    rn_mutex m = {0};

    setenv("RUNNEL_DEBUG", "lock", 1);
    EXPECT_EQ(rn_start(), 0);
    rn_mutex_lock(&m);
    rn_sleep(NULL, 1);
    rn_mutex_unlock(&m);
    EXPECT_EQ(rn_stop(), 0);
    exit(0);
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

/* ---- reader-writer locks ---- */

static int write_twice(int argc, char **argv)
{
    rn_rwmutex rw = {0};

    (void)argc, (void)argv;
    rn_rwmutex_lock(&rw);
    rn_rwmutex_lock(&rw);
    return 0;
}

TEST_DIES(a_second_lock_of_a_writer_dies, "rwmutex .* locked twice by the same fiber", SIGABRT)
{
    run_checked(write_twice);
}

static int write_and_read(int argc, char **argv)
{
    rn_rwmutex rw = {0};

    (void)argc, (void)argv;
    EXPECT_EQ(rn_rwmutex_try_lock(&rw), 0);
    rn_rwmutex_rlock(&rw);
    return 0;
}

TEST_DIES(a_writer_that_reads_dies, "locked for reading by the fiber that writes", SIGABRT)
{
    run_checked(write_and_read);
}

static int read_and_write(int argc, char **argv)
{
    rn_rwmutex rw = {0};

    (void)argc, (void)argv;
    rn_rwmutex_rlock(&rw);
    rn_rwmutex_lock(&rw);
    return 0;
}

TEST_DIES(a_reader_that_writes_dies, "locked by a fiber that reads", SIGABRT)
{
    run_checked(read_and_write);
}

static int unlock_rwmutex(rn_ctx *ctx, void *rw)
{
    (void)ctx;
    rn_rwmutex_unlock(rw);
    return 0;
}

static int unlock_rwmutex_elsewhere(int argc, char **argv)
{
    rn_rwmutex rw = {0};
    rn_group *g = rn_group_new(NULL);

    (void)argc, (void)argv;
    rn_rwmutex_lock(&rw);
    rn_group_go(g, unlock_rwmutex, &rw);
    return rn_group_wait(g);
}

TEST_DIES(an_unlock_of_another_writer_dies, "rwmutex .* unlocked by who did not lock it", SIGABRT)
{
    run_checked(unlock_rwmutex_elsewhere);
}

static int read_again(int argc, char **argv)
{
    rn_rwmutex rw = {0};

    (void)argc, (void)argv;
    for (int i = 0; i < 3; i++) {
        rn_rwmutex_rlock(&rw);
        rn_rwmutex_rlock(&rw);
        rn_rwmutex_runlock(&rw);
        rn_rwmutex_runlock(&rw);
    }
    return 0;
}

TEST_DIES(a_second_lock_for_reading_is_reported_once,
          "^runnel: fiber 1 [^\n]* locks rwmutex [^\n]* for reading again: [^\n]*\n$", 0)
{
    run_checked(read_again);
}

static int sleep_as_reader(int argc, char **argv)
{
    rn_rwmutex rw = {0};

    (void)argc, (void)argv;
    rn_rwmutex_rlock(&rw);
    rn_sleep(NULL, 1);
    rn_rwmutex_runlock(&rw);
    rn_sleep(NULL, 1);
    return 0;
}

TEST_DIES(a_sleep_of_a_reader_is_reported,
          "^runnel: fiber 1 [^\n]*waits \\(sleep\\) while it holds rwmutex [^\n]*\n$", 0)
{
    run_checked(sleep_as_reader);
}

static int sleep_as_writer(int argc, char **argv)
{
    rn_rwmutex rw = {0};

    (void)argc, (void)argv;
    rn_rwmutex_lock(&rw);
    rn_sleep(NULL, 1);
    rn_rwmutex_unlock(&rw);
    rn_sleep(NULL, 1);
    return 0;
}

TEST_DIES(a_sleep_of_a_writer_is_reported,
          "^runnel: fiber 1 [^\n]*waits \\(sleep\\) while it holds rwmutex [^\n]*\n$", 0)
{
    run_checked(sleep_as_writer);
}

static int lock_in_both_orders(int argc, char **argv)
{
    rn_rwmutex rw = {0};
    rn_mutex m = {0};

    (void)argc, (void)argv;
    for (int i = 0; i < 3; i++) {
        rn_mutex_lock(&m);
        rn_rwmutex_rlock(&rw);
        rn_rwmutex_runlock(&rw);
        rn_mutex_unlock(&m);
        rn_rwmutex_lock(&rw);
        rn_mutex_lock(&m);
        rn_mutex_unlock(&m);
        rn_rwmutex_unlock(&rw);
    }
    return 0;
}

TEST_DIES(an_order_of_mutex_and_rwmutex_is_reported_once,
          "^runnel: lock order: fiber 1 [^\n]* locks mutex [^\n]* holds rwmutex [^\n]*\n$", 0)
{
    run_checked(lock_in_both_orders);
}

/* Readers beside each other, with a lock of somebody else; a writer that waits with a context. */
static int read_well(rn_ctx *ctx, void *rw)
{
    for (int i = 0; i < 100; i++) {
        EXPECT_EQ(rn_rwmutex_rlock_ctx(ctx, rw), 0);
        rn_yield();
        rn_rwmutex_runlock(rw);
        EXPECT_EQ(rn_rwmutex_lock_ctx(ctx, rw), 0);
        rn_rwmutex_unlock(rw);
    }
    return 0;
}

static int behave_with_rwmutexes(int argc, char **argv)
{
    rn_rwmutex rw = {0}, other = {0};
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, 1000);
    rn_group *g = rn_group_new(NULL);

    (void)argc, (void)argv;
    for (int i = 0; i < 4; i++)
        EXPECT_EQ(rn_group_go(g, read_well, &rw), 0);
    EXPECT_EQ(rn_group_wait(g), 0);
    rn_rwmutex_rlock(&rw);
    EXPECT_EQ(rn_rwmutex_lock_ctx(ctx, &rw), -ETIMEDOUT); /* odd, but it ends */
    rn_rwmutex_rlock(&other);
    rn_rwmutex_runlock(&other);
    rn_rwmutex_runlock(&rw);
    EXPECT_EQ(rn_rwmutex_try_rlock(&rw), 0);
    rn_rwmutex_runlock(&rw);
    rn_ctx_release(ctx);
    return 0;
}

TEST_DIES(who_behaves_with_rwmutexes_reads_nothing, "^$", 0)
{
    run_checked(behave_with_rwmutexes);
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
