/* Worker pool: events for jobs that failed and submits that waited, and the clock that measures. */
#include "core.h"
#include "kit/manual_clock.h"
#include "sync/waiting.h"
#include "test.h"

#include <runnel/worker_pool.h>

typedef rn_worker_pool(int, int) pool_t;

/* What the events have told; they also look at the pool, which must not be locked. */
struct told {
    pool_t pool;
    atomic_int failures, last_err, waits, wait_err;
    _Atomic(uint64_t) last_job;
    _Atomic(rn_duration) waited;
};

static rn_worker_pool_stats stats_of(pool_t pool)
{
    rn_worker_pool_stats stats;

    rn_worker_pool_stats_read(pool, &stats);
    return stats;
}

static void note_failed(void *arg, const rn_job_info *info)
{
    struct told *t = arg;

    EXPECT_EQ(stats_of(t->pool).failed, atomic_load(&t->failures) + 1);
    EXPECT_EQ(rn_worker_pool_worker(t->pool), info->worker);
    atomic_store(&t->last_err, info->err);
    atomic_store(&t->last_job, info->job);
    atomic_fetch_add(&t->failures, 1);
}

static void note_waited(void *arg, rn_duration waited, int err)
{
    struct told *t = arg;

    EXPECT_EQ(stats_of(t->pool).waits, atomic_load(&t->waits) + 1);
    atomic_store(&t->waited, waited);
    atomic_store(&t->wait_err, err);
    atomic_fetch_add(&t->waits, 1);
}

/* Fails for a negative job; for 0 it waits at the gate. */
static int work(rn_ctx *ctx, void *arg, int *job, int *result)
{
    (void)ctx, (void)result;
    while (*job == 0 && atomic_load((atomic_int *)arg) == 0)
        rn_yield();
    return *job < 0 ? *job : 0;
}

static void make(struct told *t, atomic_int *gate, rn_worker_pool_config config)
{
    config.workers = 1;
    config.on_failed = note_failed;
    config.on_waited = note_waited;
    config.events_arg = t;
    EXPECT_EQ(rn_worker_pool_new(&t->pool, work, gate, &config), 0);
}

TEST_FIBER(jobs_that_fail_are_told_also_without_results)
{
    static struct told t;
    atomic_int gate = 1;

    make(&t, &gate, (rn_worker_pool_config){.discard = true});
    for (int job = 1; job <= 10; job++)
        EXPECT_EQ(rn_worker_pool_submit(NULL, t.pool, job % 5 == 0 ? -job : job), 0);
    EXPECT_EQ(rn_worker_pool_drain(t.pool), 0);
    EXPECT_EQ(rn_worker_pool_wait(NULL, t.pool), 0);
    EXPECT_EQ(atomic_load(&t.failures), 2);
    EXPECT_EQ(atomic_load(&t.last_err), -10);
    EXPECT_EQ(atomic_load(&t.last_job), 10);
    EXPECT_EQ(atomic_load(&t.waits), 0);
    rn_worker_pool_free(t.pool);
}

TEST_FIBER(a_failure_is_told_before_its_result)
{
    static struct told t;
    rn_worker_result(int) r;
    atomic_int gate = 1;

    make(&t, &gate, (rn_worker_pool_config){.ordered = true});
    EXPECT_EQ(rn_worker_pool_submit(NULL, t.pool, -7), 0);
    EXPECT_EQ(rn_worker_pool_recv(NULL, t.pool, &r), 0);
    EXPECT_EQ(r.info.err, -7);
    EXPECT_EQ(atomic_load(&t.failures), 1);
    rn_worker_pool_free(t.pool);
}

struct submitter {
    struct told *t;
    rn_ctx *ctx;
    atomic_int *err;
};

static void submit_one(void *arg)
{
    struct submitter *s = arg;

    atomic_store(s->err, rn_worker_pool_submit(s->ctx, s->t->pool, 2));
}

/* A pool whose worker stands at the gate and whose queue is full, and somebody who waits for it. */
static void submit_to_a_full_pool(struct told *t, atomic_int *gate, rn_ctx *ctx, atomic_int *err,
                                  const rn_clock *clock)
{
    make(t, gate, (rn_worker_pool_config){.queue = 1, .discard = true, .clock = clock});
    EXPECT_EQ(rn_worker_pool_submit(NULL, t->pool, 0), 0);
    while (stats_of(t->pool).running != 1)
        rn_yield();
    EXPECT_EQ(rn_worker_pool_submit(NULL, t->pool, 1), 0);
    EXPECT_EQ(rn_worker_pool_try_submit(t->pool, 1), -EAGAIN);
    EXPECT_EQ(atomic_load(&t->waits), 0);
    EXPECT_EQ(rn_go_copy(submit_one, &(struct submitter){t, ctx, err}), 0);
    await_waiting("cond wait", 1);
    EXPECT_EQ(stats_of(t->pool).waits, 1);
}

static int ended_with(atomic_int *err)
{
    while (atomic_load(err) == 1)
        rn_yield();
    return atomic_load(err);
}

TEST_FIBER(a_submit_that_waited_is_told_with_its_time)
{
    static struct told t;
    atomic_int gate = 0, err = 1;
    struct manual time = {.now = RN_HOUR};

    submit_to_a_full_pool(&t, &gate, NULL, &err, MANUAL(&time));
    time.now += 5 * RN_SECOND;
    atomic_store(&gate, 1);
    EXPECT_EQ(ended_with(&err), 0);
    EXPECT_EQ(atomic_load(&t.waits), 1);
    EXPECT_EQ(atomic_load(&t.wait_err), 0);
    EXPECT_EQ(atomic_load(&t.waited), 5 * RN_SECOND);
    rn_worker_pool_free(t.pool);
}

TEST_FIBER(a_submit_that_gave_up_is_told)
{
    static struct told t;
    atomic_int gate = 0, err = 1;
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);

    submit_to_a_full_pool(&t, &gate, ctx, &err, NULL);
    rn_ctx_cancel(ctx, 0);
    EXPECT_EQ(ended_with(&err), -ECANCELED);
    EXPECT_EQ(atomic_load(&t.waits), 1);
    EXPECT_EQ(atomic_load(&t.wait_err), -ECANCELED);
    atomic_store(&gate, 1);
    rn_worker_pool_free(t.pool);
    rn_ctx_release(ctx);
}
