/* Mutex: exclusion, order, contexts, and that a hog starves nobody. */
#include "core.h"
#include "sync/waiting.h"
#include "test.h"

#include <pthread.h>
#include <runnel/group.h>
#include <runnel/mutex.h>
#include <runnel/wait_group.h>
#include <signal.h>

#define PEERS 4

TEST(a_zero_mutex_is_unlocked)
{
    rn_mutex m = {0};

    EXPECT_EQ(rn_mutex_try_lock(&m), 0);
    rn_mutex_unlock(&m);
    rn_mutex_lock(&m);
    rn_mutex_unlock(&m);
}

TEST(try_lock_says_busy_while_it_is_held)
{
    rn_mutex m = {0};

    rn_mutex_lock(&m);
    EXPECT_EQ(rn_mutex_try_lock(&m), -EBUSY);
    rn_mutex_unlock(&m);
    EXPECT_EQ(rn_mutex_try_lock(&m), 0);
    EXPECT_EQ(rn_mutex_try_lock(&m), -EBUSY);
    rn_mutex_unlock(&m);
}

struct adder {
    rn_mutex *m;
    rn_wait_group *wg;
    long *n; /* guarded by m */
    int times;
    bool yields; /* inside, so that others find the mutex taken */
};

static void add(void *arg)
{
    struct adder *a = arg;

    for (int i = 0; i < a->times; i++) {
        rn_mutex_lock(a->m);
        long before = *a->n;
        if (a->yields)
            rn_yield();
        *a->n = before + 1;
        rn_mutex_unlock(a->m);
    }
    rn_wait_group_done(a->wg);
}

static void *add_on_thread(void *arg)
{
    add(arg);
    return NULL;
}

static void add_from_fibers(int fibers, int times, bool yields)
{
    rn_mutex m = {0};
    rn_wait_group wg = {0};
    long n = 0;
    struct adder a = {&m, &wg, &n, times, yields};

    for (int i = 0; i < fibers; i++) {
        rn_wait_group_add(&wg, 1);
        EXPECT_EQ(rn_go(add, &a), 0);
    }
    EXPECT_EQ(rn_wait_group_wait(NULL, &wg), 0);
    EXPECT_EQ(n, (long)fibers * times);
    EXPECT_EQ(rn_mutex_try_lock(&m), 0);
}

TEST_FIBER(fibers_exclude_each_other)
{
    add_from_fibers(8, rounds(20000), false);
}

TEST_FIBER(fibers_exclude_each_other_over_a_park)
{
    add_from_fibers(8, rounds(2000), true);
}

TEST(threads_and_fibers_exclude_each_other)
{
    rn_mutex m = {0};
    rn_wait_group wg = {0};
    long n = 0;
    struct adder a = {&m, &wg, &n, rounds(5000), false};
    pthread_t threads[PEERS];

    rn_wait_group_add(&wg, 2 * PEERS);
    for (int i = 0; i < PEERS; i++) {
        EXPECT_EQ(pthread_create(&threads[i], NULL, add_on_thread, &a), 0);
        EXPECT_EQ(rn_go(add, &a), 0);
    }
    EXPECT_EQ(rn_wait_group_wait(NULL, &wg), 0);
    for (int i = 0; i < PEERS; i++)
        pthread_join(threads[i], NULL);
    EXPECT_EQ(n, 2L * PEERS * a.times);
    EXPECT_EQ(rn_stop(), 0);
}

struct taker {
    rn_mutex *m;
    rn_ctx *ctx;
    int *order; /* guarded by m: who got it, in order */
    int *count; /* guarded by m */
    int id;
    atomic_int *ended;
    int *err;
};

/* Takes the mutex once, notes that it had it. */
static void take(void *arg)
{
    struct taker *t = arg;
    int err = rn_mutex_lock_ctx(t->ctx, t->m);

    if (err == 0) {
        if (t->order != NULL)
            t->order[(*t->count)++] = t->id;
        rn_mutex_unlock(t->m);
    }
    if (t->err != NULL)
        *t->err = err;
    atomic_fetch_add(t->ended, 1);
}

TEST_FIBER(who_waits_gets_it_after_the_unlock)
{
    rn_mutex m = {0};
    atomic_int ended = 0;
    int err = 1;

    rn_mutex_lock(&m);
    EXPECT_EQ(rn_go_copy(take, &(struct taker){.m = &m, .ended = &ended, .err = &err}), 0);
    await_waiting("mutex lock", 1);
    EXPECT_EQ(atomic_load(&ended), 0);
    rn_mutex_unlock(&m);
    await_count(&ended, 1);
    EXPECT_EQ(err, 0);
}

TEST_FIBER(waiters_are_served_in_order)
{
    rn_mutex m = {0};
    atomic_int ended = 0;
    int order[PEERS] = {0}, count = 0;

    rn_mutex_lock(&m);
    for (int i = 0; i < PEERS; i++) {
        struct taker t = {.m = &m, .order = order, .count = &count, .id = i + 1, .ended = &ended};
        EXPECT_EQ(rn_go_copy(take, &t), 0);
        await_waiting("mutex lock", i + 1);
    }
    rn_mutex_unlock(&m);
    await_count(&ended, PEERS);
    for (int i = 0; i < PEERS; i++)
        EXPECT_EQ(order[i], i + 1);
}

TEST_FIBER(an_ended_context_fails_although_it_is_free)
{
    rn_mutex m = {0};
    rn_ctx *cancelled = rn_ctx_with_cancel(NULL), *late = rn_ctx_with_timeout(NULL, 0);

    rn_ctx_cancel(cancelled, 0);
    EXPECT_EQ(rn_mutex_lock_ctx(cancelled, &m), -ECANCELED);
    EXPECT_EQ(rn_mutex_lock_ctx(late, &m), -ETIMEDOUT);
    EXPECT_EQ(rn_mutex_try_lock(&m), 0);
    rn_ctx_release(cancelled);
    rn_ctx_release(late);
}

TEST_FIBER(lock_ctx_takes_a_free_mutex)
{
    rn_mutex m = {0};
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);

    EXPECT_EQ(rn_mutex_lock_ctx(ctx, &m), 0);
    EXPECT_EQ(rn_mutex_try_lock(&m), -EBUSY);
    rn_mutex_unlock(&m);
    EXPECT_EQ(rn_mutex_lock_ctx(NULL, &m), 0);
    rn_ctx_release(ctx);
}

TEST_FIBER(a_cancel_ends_the_wait)
{
    rn_mutex m = {0};
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    atomic_int ended = 0;
    int err = 1;
    struct taker t = {.m = &m, .ctx = ctx, .ended = &ended, .err = &err};

    rn_mutex_lock(&m);
    EXPECT_EQ(rn_go(take, &t), 0);
    await_waiting("mutex lock", 1);
    rn_ctx_cancel(ctx, 0);
    await_count(&ended, 1);
    EXPECT_EQ(err, -ECANCELED);
    rn_mutex_unlock(&m);
    EXPECT_EQ(rn_mutex_try_lock(&m), 0);
    rn_ctx_release(ctx);
}

TEST_FIBER(a_deadline_ends_the_wait)
{
    rn_mutex m = {0};
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, RN_MILLISECOND);

    rn_mutex_lock(&m);
    EXPECT_EQ(rn_mutex_lock_ctx(ctx, &m), -ETIMEDOUT);
    rn_mutex_unlock(&m);
    rn_ctx_release(ctx);
}

TEST_FIBER(who_gave_up_leaves_the_others_in_order)
{
    rn_mutex m = {0};
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    atomic_int ended = 0;
    int order[PEERS] = {0}, count = 0;

    rn_mutex_lock(&m);
    for (int i = 0; i < PEERS; i++) {
        struct taker t = {.m = &m, .order = order, .count = &count, .id = i + 1, .ended = &ended};
        t.ctx = i % 2 == 0 ? ctx : NULL;
        EXPECT_EQ(rn_go_copy(take, &t), 0);
        await_waiting("mutex lock", i + 1);
    }
    rn_ctx_cancel(ctx, 0);
    await_count(&ended, PEERS / 2);
    rn_mutex_unlock(&m);
    await_count(&ended, PEERS);
    EXPECT_EQ(count, PEERS / 2);
    EXPECT_EQ(order[0], 2);
    EXPECT_EQ(order[1], 4);
    rn_ctx_release(ctx);
}

struct hog {
    rn_mutex *m;
    atomic_int *had, *done, *stopped;
};

/* Never waits: gives the mutex back and takes it again until somebody else has had it. */
static void hog(void *arg)
{
    struct hog *h = arg;

    while (atomic_load(h->done) == 0) {
        rn_mutex_lock(h->m);
        atomic_fetch_add(h->had, 1);
        rn_mutex_unlock(h->m);
    }
    atomic_store(h->stopped, 1);
}

TEST_FIBER(a_hog_does_not_starve_who_waits)
{
    rn_mutex m = {0};
    atomic_int had = 0, done = 0, stopped = 0, ended = 0;

    rn_mutex_lock(&m);
    for (int i = 0; i < PEERS; i++)
        EXPECT_EQ(rn_go_copy(take, &(struct taker){.m = &m, .ended = &ended}), 0);
    await_waiting("mutex lock", PEERS);
    EXPECT_EQ(rn_go_copy(hog, &(struct hog){&m, &had, &done, &stopped}), 0);
    rn_mutex_unlock(&m);
    await_count(&had, 1);
    await_count(&ended, PEERS);
    atomic_store(&done, 1);
    await_count(&stopped, 1);
}

struct shaker {
    rn_mutex *m;
    rn_wait_group *wg;
    long *n; /* guarded by m */
    atomic_int *taken;
    int times;
};

/* Locks in each way, gives up now and then. */
static void shake(void *arg)
{
    struct shaker *s = arg;

    for (int i = 0; i < s->times; i++) {
        rn_ctx *ctx = i % 3 == 0 ? rn_ctx_with_timeout(NULL, (i % 7) * 1000) : NULL;
        int err = i % 5 == 0 ? rn_mutex_try_lock(s->m) : rn_mutex_lock_ctx(ctx, s->m);
        if (err == 0) {
            long before = *s->n;
            if (i % 4 == 0)
                rn_yield();
            *s->n = before + 1;
            atomic_fetch_add(s->taken, 1);
            rn_mutex_unlock(s->m);
        }
        rn_ctx_release(ctx);
    }
    rn_wait_group_done(s->wg);
}

TEST_FIBER(cancels_and_tries_in_between_lose_nobody)
{
    rn_mutex m = {0};
    rn_wait_group wg = {0};
    atomic_int taken = 0;
    long n = 0;

    for (int i = 0; i < 2 * PEERS; i++) {
        rn_wait_group_add(&wg, 1);
        EXPECT_EQ(rn_go_copy(shake, &(struct shaker){&m, &wg, &n, &taken, rounds(2000)}), 0);
    }
    EXPECT_EQ(rn_wait_group_wait(NULL, &wg), 0);
    EXPECT_EQ(n, atomic_load(&taken));
    EXPECT_EQ(rn_mutex_try_lock(&m), 0);
}

/* More than enough quiet rounds for the mutex to forget that it was contended. */
TEST_FIBER(it_is_contended_again_after_a_quiet_time)
{
    rn_mutex m = {0};

    for (int i = 0; i < 4; i++) {
        atomic_int ended = 0;
        rn_mutex_lock(&m);
        EXPECT_EQ(rn_go_copy(take, &(struct taker){.m = &m, .ended = &ended}), 0);
        await_waiting("mutex lock", 1);
        rn_mutex_unlock(&m);
        await_count(&ended, 1);
        for (int quiet = 0; quiet < 2000; quiet++) {
            rn_mutex_lock(&m);
            rn_mutex_unlock(&m);
        }
    }
}

TEST_DIES(unlock_of_an_unlocked_mutex_dies, "unlock of an unlocked mutex", SIGABRT)
{
    rn_mutex m = {0};
    rn_mutex_unlock(&m);
}

TEST_DIES(a_second_unlock_dies, "unlock of an unlocked mutex", SIGABRT)
{
    rn_mutex m = {0};
    rn_mutex_lock(&m);
    rn_mutex_unlock(&m);
    rn_mutex_unlock(&m);
}
