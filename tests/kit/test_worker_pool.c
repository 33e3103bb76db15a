/*
 * Worker pool: submitting, results in both orders, errors, resizing, both ways to stop, counters.
 */
#include "core.h"
#include "sync/waiting.h"
#include "test.h"

#include <runnel/group.h>
#include <runnel/wait_group.h>
#include <runnel/worker_pool.h>

#define JOBS 200

struct job {
    int id;
    atomic_int *gate; /* waits until it is at least .opens; NULL: at once */
    int opens;
};

struct answer {
    int id;
    char text[12];
};

typedef rn_worker_pool(struct job, struct answer) pool_t;
typedef rn_worker_result(struct answer) result_t;

/* Every tenth job fails. */
static int answer(rn_ctx *ctx, void *arg, struct job *job, struct answer *a)
{
    (void)ctx;
    if (arg != NULL)
        atomic_fetch_add((atomic_int *)arg, 1);
    while (job->gate != NULL && atomic_load(job->gate) < job->opens)
        rn_yield();
    a->id = job->id;
    snprintf(a->text, sizeof a->text, "%d", job->id * 2);
    return job->id % 10 == 9 ? -EIO : 0;
}

static pool_t pool_with(const rn_worker_pool_config *config)
{
    pool_t pool;

    EXPECT_EQ(rn_worker_pool_new(&pool, answer, NULL, config), 0);
    return pool;
}

struct feeder {
    pool_t pool;
    int first, jobs;
    bool drains;
};

static void feed(void *arg)
{
    struct feeder *f = arg;

    for (int i = f->first; i < f->first + f->jobs; i++)
        EXPECT_EQ(rn_worker_pool_submit(NULL, f->pool, (struct job){.id = i}), 0);
    if (f->drains)
        EXPECT_EQ(rn_worker_pool_drain(f->pool), 0);
}

/* Receives all results of jobs 0 to JOBS-1, each once. */
static void receive_all(pool_t pool, bool ordered)
{
    bool seen[JOBS] = {false};
    result_t r;
    int n = 0;

    while (rn_worker_pool_recv(NULL, pool, &r) == 0) {
        char text[12];
        int id = (int)r.info.job - 1;
        EXPECT(id >= 0 && id < JOBS && !seen[id]);
        seen[id] = true;
        EXPECT_EQ(r.value.id, id);
        snprintf(text, sizeof text, "%d", id * 2);
        EXPECT_STR(r.value.text, text);
        EXPECT_EQ(r.info.err, id % 10 == 9 ? -EIO : 0);
        if (ordered)
            EXPECT_EQ(id, n);
        n++;
    }
    EXPECT_EQ(n, JOBS);
    EXPECT_EQ(rn_worker_pool_recv(NULL, pool, &r), RN_ECLOSED);
    EXPECT_EQ(rn_worker_pool_try_recv(pool, &r), RN_ECLOSED);
}

static void work_off(const rn_worker_pool_config *config)
{
    pool_t pool = pool_with(config);

    EXPECT_EQ(rn_go_copy(feed, &(struct feeder){pool, 0, JOBS, true}), 0);
    receive_all(pool, config->ordered);
    EXPECT_EQ(rn_worker_pool_wait(NULL, pool), 0);
    rn_worker_pool_free(pool);
}

TEST_FIBER(every_job_gives_one_result)
{
    work_off(&(rn_worker_pool_config){.workers = 4});
    work_off(&(rn_worker_pool_config){.workers = 8, .queue = 1, .results = 1});
    work_off(&(rn_worker_pool_config){.workers = 1, .queue = 300, .results = 300});
    work_off(&(rn_worker_pool_config){0});
}

TEST_FIBER(ordered_results_come_as_submitted)
{
    work_off(&(rn_worker_pool_config){.workers = 4, .ordered = true});
    work_off(&(rn_worker_pool_config){.workers = 8, .queue = 1, .results = 1, .ordered = true});
    work_off(&(rn_worker_pool_config){.workers = 2, .results = 300, .ordered = true});
}

TEST(plain_threads_use_it_too)
{
    pool_t pool = pool_with(&(rn_worker_pool_config){.workers = 3, .results = JOBS});

    feed(&(struct feeder){pool, 0, JOBS, true});
    receive_all(pool, false);
    rn_worker_pool_free(pool);
    EXPECT_EQ(rn_stop(), 0);
}

TEST_FIBER(results_come_as_the_jobs_end)
{
    pool_t pool = pool_with(&(rn_worker_pool_config){.workers = 2});
    atomic_int gate = 0;
    result_t r;

    EXPECT_EQ(rn_worker_pool_submit(NULL, pool, (struct job){0, &gate, 1}), 0);
    EXPECT_EQ(rn_worker_pool_submit(NULL, pool, (struct job){.id = 1}), 0);
    EXPECT_EQ(rn_worker_pool_recv(NULL, pool, &r), 0);
    EXPECT_EQ(r.info.job, 2);
    EXPECT_EQ(rn_worker_pool_try_recv(pool, &r), -EAGAIN);
    atomic_store(&gate, 1);
    EXPECT_EQ(rn_worker_pool_recv(NULL, pool, &r), 0);
    EXPECT_EQ(r.info.job, 1);
    rn_worker_pool_free(pool);
}

TEST_FIBER(ordered_waits_for_the_slow_and_bounds_what_is_in_flight)
{
    pool_t pool = pool_with(
        &(rn_worker_pool_config){.workers = 2, .results = 4, .queue = 100, .ordered = true});
    atomic_int gate = 0;
    rn_worker_pool_stats stats;
    result_t r;

    EXPECT_EQ(rn_worker_pool_submit(NULL, pool, (struct job){0, &gate, 1}), 0);
    for (int i = 1; i < 20; i++)
        EXPECT_EQ(rn_worker_pool_submit(NULL, pool, (struct job){.id = i}), 0);
    do {
        rn_yield();
        rn_worker_pool_stats_read(pool, &stats);
    } while (stats.done < 3);
    for (int i = 0; i < 100; i++)
        rn_yield();
    rn_worker_pool_stats_read(pool, &stats);
    EXPECT_EQ(stats.done, 3); /* four in flight: three finished behind the slow one */
    EXPECT_EQ(stats.queued, 16);
    EXPECT_EQ(rn_worker_pool_try_recv(pool, &r), -EAGAIN);
    atomic_store(&gate, 1);
    for (int i = 0; i < 20; i++) {
        EXPECT_EQ(rn_worker_pool_recv(NULL, pool, &r), 0);
        EXPECT_EQ(r.info.job, i + 1);
    }
    rn_worker_pool_free(pool);
}

TEST_FIBER(a_select_receives_results)
{
    pool_t pool = pool_with(&(rn_worker_pool_config){.workers = 1});
    result_t r;
    int code = 1;

    EXPECT_EQ(rn_select(NULL, rn_on_result(pool, &r), rn_default), 1);
    EXPECT_EQ(rn_worker_pool_submit(NULL, pool, (struct job){.id = 7}), 0);
    EXPECT_EQ(rn_select(NULL, rn_on_result_code(pool, &r, &code)), 0);
    EXPECT_EQ(code, 0);
    EXPECT_EQ(r.value.id, 7);
    EXPECT_EQ(rn_worker_pool_drain(pool), 0);
    EXPECT_EQ(rn_select(NULL, rn_on_result_code(pool, &r, &code)), 0);
    EXPECT_EQ(code, RN_ECLOSED);
    rn_worker_pool_free(pool);
}

/* A pool of one worker that is held at a gate, with a full queue of 2. */
static pool_t full_pool(atomic_int *gate)
{
    pool_t pool = pool_with(&(rn_worker_pool_config){.workers = 1, .queue = 2});
    rn_worker_pool_stats stats;

    EXPECT_EQ(rn_worker_pool_submit(NULL, pool, (struct job){0, gate, 1}), 0);
    do {
        rn_yield();
        rn_worker_pool_stats_read(pool, &stats);
    } while (stats.running != 1);
    EXPECT_EQ(rn_worker_pool_try_submit(pool, (struct job){.id = 1}), 0);
    EXPECT_EQ(rn_worker_pool_try_submit(pool, (struct job){.id = 2}), 0);
    return pool;
}

struct submitter {
    pool_t pool;
    rn_ctx *ctx;
    atomic_int *err;
};

static void submit_one(void *arg)
{
    struct submitter *s = arg;
    atomic_store(s->err, rn_worker_pool_submit(s->ctx, s->pool, (struct job){.id = 3}));
}

static int ended_with(atomic_int *err)
{
    while (atomic_load(err) == 1)
        rn_yield();
    return atomic_load(err);
}

TEST_FIBER(submit_waits_for_room)
{
    atomic_int gate = 0, err = 1;
    pool_t pool = full_pool(&gate);

    EXPECT_EQ(rn_worker_pool_try_submit(pool, (struct job){.id = 3}), -EAGAIN);
    EXPECT_EQ(rn_go_copy(submit_one, &(struct submitter){pool, NULL, &err}), 0);
    await_waiting("cond wait", 1);
    atomic_store(&gate, 1);
    EXPECT_EQ(ended_with(&err), 0);
    rn_worker_pool_free(pool);
}

TEST_FIBER(submit_ends_with_its_context)
{
    atomic_int gate = 0, err = 1;
    pool_t pool = full_pool(&gate);
    rn_ctx *ctx = rn_ctx_with_cancel(NULL), *late = rn_ctx_with_timeout(NULL, RN_MILLISECOND);

    EXPECT_EQ(rn_go_copy(submit_one, &(struct submitter){pool, ctx, &err}), 0);
    await_waiting("cond wait", 1);
    rn_ctx_cancel(ctx, 0);
    EXPECT_EQ(ended_with(&err), -ECANCELED);
    EXPECT_EQ(rn_worker_pool_submit(late, pool, (struct job){.id = 3}), -ETIMEDOUT);
    atomic_store(&gate, 1);
    EXPECT_EQ(rn_worker_pool_submit(ctx, pool, (struct job){.id = 3}), -ECANCELED);
    rn_worker_pool_free(pool);
    rn_ctx_release(ctx);
    rn_ctx_release(late);
}

TEST_FIBER(recv_ends_with_its_context)
{
    pool_t pool = pool_with(NULL);
    rn_ctx *ctx = rn_ctx_with_cancel(NULL), *late = rn_ctx_with_timeout(NULL, RN_MILLISECOND);
    result_t r;

    EXPECT_EQ(rn_worker_pool_recv(late, pool, &r), -ETIMEDOUT);
    rn_ctx_cancel(ctx, 0);
    EXPECT_EQ(rn_worker_pool_recv(ctx, pool, &r), -ECANCELED);
    rn_worker_pool_free(pool);
    rn_ctx_release(ctx);
    rn_ctx_release(late);
}

TEST_FIBER(a_stop_wakes_those_who_submit)
{
    atomic_int gate = 0, err = 1;
    pool_t pool = full_pool(&gate);

    EXPECT_EQ(rn_go_copy(submit_one, &(struct submitter){pool, NULL, &err}), 0);
    await_waiting("cond wait", 1);
    EXPECT_EQ(rn_worker_pool_drain(pool), 0);
    EXPECT_EQ(ended_with(&err), RN_ESHUTDOWN);
    EXPECT_EQ(rn_worker_pool_drain(pool), RN_ESHUTDOWN);
    EXPECT_EQ(rn_worker_pool_submit(NULL, pool, (struct job){.id = 3}), RN_ESHUTDOWN);
    EXPECT_EQ(rn_worker_pool_try_submit(pool, (struct job){.id = 3}), RN_ESHUTDOWN);
    EXPECT_EQ(rn_worker_pool_resize(pool, 3), RN_ESHUTDOWN);
    atomic_store(&gate, 1);
    rn_worker_pool_free(pool);
}

TEST_FIBER(a_drain_finishes_what_is_queued)
{
    atomic_int gate = 0;
    pool_t pool = full_pool(&gate);
    result_t r;

    EXPECT_EQ(rn_worker_pool_drain(pool), 0);
    atomic_store(&gate, 1);
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(rn_worker_pool_recv(NULL, pool, &r), 0);
        EXPECT_EQ(r.value.id, i);
    }
    EXPECT_EQ(rn_worker_pool_recv(NULL, pool, &r), RN_ECLOSED);
    rn_worker_pool_free(pool);
}

struct given {
    int count, ids[8];
};

static void keep(void *job, void *arg)
{
    struct given *g = arg;
    g->ids[g->count++] = ((struct job *)job)->id;
}

TEST_FIBER(abandon_hands_back_what_never_ran)
{
    atomic_int gate = 0;
    pool_t pool = full_pool(&gate);
    struct given given = {0};
    result_t r;

    EXPECT_EQ(rn_worker_pool_abandon(pool, keep, &given), 2);
    EXPECT_EQ(given.count, 2);
    EXPECT_EQ(given.ids[0], 1);
    EXPECT_EQ(given.ids[1], 2);
    EXPECT_EQ(rn_worker_pool_submit(NULL, pool, (struct job){.id = 3}), RN_ESHUTDOWN);
    EXPECT_EQ(rn_worker_pool_abandon(pool, keep, &given), 0);
    atomic_store(&gate, 1);
    EXPECT_EQ(rn_worker_pool_recv(NULL, pool, &r), 0); /* the one that ran is not lost */
    EXPECT_EQ(r.value.id, 0);
    EXPECT_EQ(rn_worker_pool_recv(NULL, pool, &r), RN_ECLOSED);
    rn_worker_pool_free(pool);
}

TEST_FIBER(a_drain_can_be_cut_short_by_abandon)
{
    atomic_int gate = 0;
    pool_t pool = full_pool(&gate);
    struct given given = {0};

    EXPECT_EQ(rn_worker_pool_drain(pool), 0);
    EXPECT_EQ(rn_worker_pool_abandon(pool, keep, &given), 2);
    atomic_store(&gate, 1);
    EXPECT_EQ(rn_worker_pool_wait(NULL, pool), 0);
    rn_worker_pool_free(pool);
}

static int wait_for_end(rn_ctx *ctx, void *arg, int *job, int *result)
{
    atomic_fetch_add((atomic_int *)arg, 1);
    *result = *job;
    return rn_ctx_wait(ctx);
}

TEST_FIBER(abandon_cancels_what_runs)
{
    rn_worker_pool(int, int) pool;
    rn_worker_result(int) r;
    atomic_int running = 0;

    EXPECT_EQ(
        rn_worker_pool_new(&pool, wait_for_end, &running, &(rn_worker_pool_config){.workers = 1}),
        0);
    EXPECT_EQ(rn_worker_pool_submit(NULL, pool, 1), 0);
    await_count(&running, 1);
    EXPECT_EQ(rn_worker_pool_abandon(pool, NULL, NULL), 0);
    EXPECT_EQ(rn_worker_pool_recv(NULL, pool, &r), 0);
    EXPECT_EQ(r.info.err, -ECANCELED);
    rn_worker_pool_free(pool);
}

TEST_FIBER(jobs_see_the_end_of_the_parent)
{
    rn_ctx *parent = rn_ctx_with_cancel(NULL);
    rn_worker_pool(int, int) pool;
    rn_worker_result(int) r;
    atomic_int running = 0;

    EXPECT_EQ(rn_worker_pool_new(&pool, wait_for_end, &running,
                                 &(rn_worker_pool_config){.workers = 1, .ctx = parent}),
              0);
    EXPECT_EQ(rn_worker_pool_submit(NULL, pool, 1), 0);
    EXPECT_EQ(rn_worker_pool_submit(NULL, pool, 2), 0);
    await_count(&running, 1);
    rn_ctx_cancel(parent, 0);
    for (int i = 1; i <= 2; i++) { /* the queued one is taken, too */
        EXPECT_EQ(rn_worker_pool_recv(NULL, pool, &r), 0);
        EXPECT_EQ(r.value, i);
        EXPECT_EQ(r.info.err, -ECANCELED);
    }
    rn_worker_pool_free(pool);
    rn_ctx_release(parent);
}

static atomic_int jobs_dropped, results_dropped;

static void drop_job(void *job)
{
    EXPECT(((struct job *)job)->id > 0);
    atomic_fetch_add(&jobs_dropped, 1);
}

static void drop_result(void *result)
{
    struct answer *a = result;
    EXPECT(a->id % 10 != 9);
    EXPECT_EQ(atoi(a->text), a->id * 2);
    atomic_fetch_add(&results_dropped, 1);
}

static void open_gate(void *gate)
{
    atomic_store((atomic_int *)gate, 1);
}

TEST_FIBER(free_drops_what_nobody_gets)
{
    atomic_int gate = 0, entered = 0;
    pool_t pool;

    EXPECT_EQ(rn_worker_pool_new(&pool, answer, &entered,
                                 &(rn_worker_pool_config){.workers = 1,
                                                          .queue = 20,
                                                          .results = 20,
                                                          .drop_job = drop_job,
                                                          .drop_result = drop_result}),
              0);
    for (int i = 0; i < 10; i++) /* the last of these fails: no result */
        EXPECT_EQ(rn_worker_pool_submit(NULL, pool, (struct job){.id = i}), 0);
    EXPECT_EQ(rn_worker_pool_submit(NULL, pool, (struct job){20, &gate, 1}), 0);
    await_count(&entered, 11);
    for (int i = 1; i <= 5; i++)
        EXPECT_EQ(rn_worker_pool_submit(NULL, pool, (struct job){.id = i}), 0);
    EXPECT_EQ(rn_go(open_gate, &gate), 0);
    rn_worker_pool_free(pool);
    EXPECT_EQ(atomic_load(&jobs_dropped) + atomic_load(&entered), 16);
    EXPECT_EQ(atomic_load(&results_dropped), atomic_load(&entered) - 1);
}

TEST_FIBER(a_pool_that_discards_drops_every_result)
{
    pool_t pool = pool_with(&(rn_worker_pool_config){
        .workers = 2, .queue = 10, .discard = true, .drop_result = drop_result});

    for (int i = 0; i < 20; i++) /* two of these fail: no result */
        EXPECT_EQ(rn_worker_pool_submit(NULL, pool, (struct job){.id = i}), 0);
    EXPECT_EQ(rn_worker_pool_drain(pool), 0);
    EXPECT_EQ(rn_worker_pool_wait(NULL, pool), 0);
    EXPECT_EQ(atomic_load(&results_dropped), 18);
    rn_worker_pool_free(pool);
}

TEST_FIBER(free_does_not_wait_for_a_receiver)
{
    for (int ordered = 0; ordered < 2; ordered++) {
        pool_t pool = pool_with(&(rn_worker_pool_config){.workers = 4,
                                                         .queue = 50,
                                                         .results = 1,
                                                         .ordered = ordered != 0,
                                                         .drop_result = drop_result});
        feed(&(struct feeder){pool, 0, 20, false});
        if (ordered == 0)
            await_waiting("chan send", 4);
        rn_worker_pool_free(pool);
    }
    rn_worker_pool_free((pool_t)NULL);
}

static rn_worker_pool_stats stats_of(pool_t pool)
{
    rn_worker_pool_stats stats;
    rn_worker_pool_stats_read(pool, &stats);
    return stats;
}

TEST_FIBER(counters_tell_what_is_where)
{
    atomic_int gate = 0;
    pool_t pool = full_pool(&gate);
    result_t r;

    EXPECT_EQ(stats_of(pool).workers, 1);
    EXPECT_EQ(stats_of(pool).queued, 2);
    EXPECT_EQ(stats_of(pool).running, 1);
    EXPECT_EQ(stats_of(pool).done, 0);
    atomic_store(&gate, 1);
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(rn_worker_pool_recv(NULL, pool, &r), 0);
        EXPECT(stats_of(pool).done > (uint64_t)i);
    }
    EXPECT_EQ(rn_worker_pool_submit(NULL, pool, (struct job){.id = 9}), 0);
    EXPECT_EQ(rn_worker_pool_recv(NULL, pool, &r), 0);
    EXPECT_EQ(stats_of(pool).queued, 0);
    EXPECT_EQ(stats_of(pool).running, 0);
    EXPECT_EQ(stats_of(pool).done, 4);
    EXPECT_EQ(stats_of(pool).failed, 1);
    rn_worker_pool_free(pool);
}

TEST_FIBER(growing_starts_workers_at_once)
{
    atomic_int gate = 0, entered = 0;
    pool_t pool;

    EXPECT_EQ(rn_worker_pool_new(&pool, answer, &entered, &(rn_worker_pool_config){.workers = 1}),
              0);
    for (int i = 0; i < 4; i++)
        EXPECT_EQ(rn_worker_pool_submit(NULL, pool, (struct job){i, &gate, 1}), 0);
    EXPECT_EQ(rn_worker_pool_resize(pool, 4), 0);
    await_count(&entered, 4);
    EXPECT_EQ(stats_of(pool).running, 4);
    EXPECT_EQ(stats_of(pool).workers, 4);
    atomic_store(&gate, 1);
    rn_worker_pool_free(pool);
}

TEST_FIBER(shrinking_ends_workers_after_their_job)
{
    atomic_int gate = 0, entered = 0;
    pool_t pool;
    result_t r;

    EXPECT_EQ(rn_worker_pool_new(&pool, answer, &entered, &(rn_worker_pool_config){.workers = 4}),
              0);
    for (int i = 0; i < 4; i++)
        EXPECT_EQ(rn_worker_pool_submit(NULL, pool, (struct job){i, &gate, 1}), 0);
    await_count(&entered, 4);
    EXPECT_EQ(rn_worker_pool_resize(pool, 1), 0);
    EXPECT_EQ(stats_of(pool).workers, 4);
    atomic_store(&gate, 1);
    while (stats_of(pool).workers != 1)
        rn_yield();
    for (int i = 0; i < 4; i++)
        EXPECT_EQ(rn_worker_pool_recv(NULL, pool, &r), 0);
    EXPECT_EQ(rn_worker_pool_submit(NULL, pool, (struct job){.id = 5}), 0);
    EXPECT_EQ(rn_worker_pool_recv(NULL, pool, &r), 0);
    EXPECT_EQ(r.info.worker, 0);
    rn_worker_pool_free(pool);
}

TEST_FIBER(idle_workers_shrink_too)
{
    pool_t pool = pool_with(&(rn_worker_pool_config){.workers = 4});

    EXPECT_EQ(rn_worker_pool_resize(pool, 2), 0);
    while (stats_of(pool).workers != 2)
        rn_yield();
    EXPECT_EQ(rn_worker_pool_resize(pool, 0), -EINVAL);
    EXPECT_EQ(rn_worker_pool_resize(pool, SIZE_MAX), -EINVAL);
    rn_worker_pool_free(pool);
}

static void resize_often(void *arg)
{
    struct feeder *f = arg;

    for (int i = 0; i < f->jobs; i++) {
        EXPECT_EQ(rn_worker_pool_resize(f->pool, (size_t)(1 + i * 7 % 9)), 0);
        rn_yield();
    }
    EXPECT_EQ(rn_worker_pool_drain(f->pool), 0);
}

TEST_FIBER(nothing_is_lost_while_it_is_resized)
{
    for (int ordered = 0; ordered < 2; ordered++) {
        pool_t pool = pool_with(
            &(rn_worker_pool_config){.workers = 2, .queue = JOBS, .ordered = ordered != 0});
        feed(&(struct feeder){pool, 0, JOBS, false});
        EXPECT_EQ(rn_go_copy(resize_often, &(struct feeder){pool, 0, rounds(300), true}), 0);
        receive_all(pool, ordered != 0);
        rn_worker_pool_free(pool);
    }
}

/* ---- jobs that submit ---- */

struct tree_job {
    int depth;
};

struct tree_pool {
    rn_worker_pool(struct tree_job, void) pool;
    atomic_int leaves;
    rn_wait_group *wg;
};

/* Submits two more until the depth is used up, without ever waiting for them. */
static int split(rn_ctx *ctx, void *arg, struct tree_job *job, void *result)
{
    struct tree_pool *t = arg;

    (void)result;
    for (int i = 0; job->depth > 0 && i < 2; i++) {
        rn_wait_group_add(t->wg, 1);
        EXPECT_EQ(rn_worker_pool_submit(ctx, t->pool, (struct tree_job){job->depth - 1}), 0);
    }
    if (job->depth == 0)
        atomic_fetch_add(&t->leaves, 1);
    rn_wait_group_done(t->wg);
    return 0;
}

TEST_FIBER(jobs_submit_to_their_own_full_pool)
{
    rn_wait_group wg = {0};
    struct tree_pool t = {.wg = &wg};

    EXPECT_EQ(
        rn_worker_pool_new(&t.pool, split, &t,
                           &(rn_worker_pool_config){.workers = 2, .queue = 1, .discard = true}),
        0);
    rn_wait_group_add(&wg, 1);
    EXPECT_EQ(rn_worker_pool_submit(NULL, t.pool, (struct tree_job){8}), 0);
    EXPECT_EQ(rn_wait_group_wait(NULL, &wg), 0);
    EXPECT_EQ(atomic_load(&t.leaves), 256);
    rn_worker_pool_free(t.pool);
}

struct chain {
    rn_worker_pool(int, int) pool;
    int workers;
};

/* Each job submits the next two numbers below; results in order of submission all the same. */
static int submit_below(rn_ctx *ctx, void *arg, int *job, int *result)
{
    struct chain *c = arg;

    EXPECT(rn_worker_pool_worker(c->pool) >= 0 && rn_worker_pool_worker(c->pool) < c->workers);
    EXPECT_EQ(rn_worker_pool_wait(ctx, c->pool), -EDEADLK);
    if (*job == 1)
        EXPECT_EQ(rn_worker_pool_drain(c->pool), 0);
    else
        EXPECT_EQ(rn_worker_pool_submit(ctx, c->pool, *job - 1), 0);
    *result = *job;
    return 0;
}

TEST_FIBER(jobs_of_an_ordered_pool_submit_and_drain_it)
{
    struct chain c = {.workers = 1};
    rn_worker_result(int) r;

    EXPECT_EQ(rn_worker_pool_new(&c.pool, submit_below, &c,
                                 &(rn_worker_pool_config){
                                     .workers = 1, .queue = 1, .results = 1, .ordered = true}),
              0);
    EXPECT_EQ(rn_worker_pool_worker(c.pool), -1);
    EXPECT_EQ(rn_worker_pool_submit(NULL, c.pool, 50), 0);
    for (int i = 1; i <= 50; i++) {
        EXPECT_EQ(rn_worker_pool_recv(NULL, c.pool, &r), 0);
        EXPECT_EQ(r.info.job, i);
        EXPECT_EQ(r.value, 51 - i);
    }
    EXPECT_EQ(rn_worker_pool_recv(NULL, c.pool, &r), RN_ECLOSED);
    rn_worker_pool_free(c.pool);
}

/* ---- the rest ---- */

static int add_up(rn_ctx *ctx, void *arg, int *job, void *result)
{
    (void)ctx, (void)result;
    atomic_fetch_add((atomic_int *)arg, *job);
    return 0;
}

TEST_FIBER(a_pool_without_results)
{
    rn_worker_pool(int, void) pool;
    atomic_int sum = 0;

    EXPECT_EQ(rn_worker_pool_new(&pool, add_up, &sum,
                                 &(rn_worker_pool_config){.workers = 3, .discard = true}),
              0);
    for (int i = 1; i <= 100; i++)
        EXPECT_EQ(rn_worker_pool_submit(NULL, pool, i), 0);
    EXPECT(rn_worker_pool_results(rn_worker_pool_untyped(pool)) == NULL);
    EXPECT_EQ(rn_worker_pool_recv_untyped(NULL, rn_worker_pool_untyped(pool), NULL), -EINVAL);
    EXPECT_EQ(rn_worker_pool_try_recv_untyped(rn_worker_pool_untyped(pool), NULL), -EINVAL);
    EXPECT_EQ(rn_worker_pool_drain(pool), 0);
    EXPECT_EQ(rn_worker_pool_wait(NULL, pool), 0);
    EXPECT_EQ(atomic_load(&sum), 5050);
    rn_worker_pool_free(pool);
}

TEST_FIBER(a_wait_ends_with_its_context)
{
    pool_t pool = pool_with(NULL);
    rn_ctx *ctx = rn_ctx_with_cancel(NULL), *late = rn_ctx_with_timeout(NULL, RN_MILLISECOND);

    EXPECT_EQ(rn_worker_pool_wait(late, pool), -ETIMEDOUT);
    rn_ctx_cancel(ctx, 0);
    EXPECT_EQ(rn_worker_pool_wait(ctx, pool), -ECANCELED);
    rn_worker_pool_free(pool);
    rn_ctx_release(ctx);
    rn_ctx_release(late);
}

static int untyped_job(rn_ctx *ctx, void *arg, void *job, void *result)
{
    (void)ctx, (void)arg, (void)job, (void)result;
    return 0;
}

TEST_FIBER(configurations_are_checked)
{
    struct rn_worker_pool *pool = (struct rn_worker_pool *)&pool;
    rn_worker_pool_config both = {.ordered = true, .discard = true}, many = {.workers = SIZE_MAX},
                          long_queue = {.queue = SIZE_MAX}, stack = {.stack_size = SIZE_MAX};

    EXPECT_EQ(rn_worker_pool_new_untyped(&pool, 8, 8, untyped_job, NULL, &both), -EINVAL);
    EXPECT(pool == NULL);
    EXPECT_STR(rn_error_detail(), "worker pool: .ordered and .discard exclude each other");
    EXPECT_EQ(rn_worker_pool_new_untyped(&pool, 8, 8, untyped_job, NULL, &many), -EINVAL);
    EXPECT_EQ(rn_worker_pool_new_untyped(&pool, 8, 8, untyped_job, NULL, &long_queue), -EINVAL);
    EXPECT(strncmp(rn_error_detail(), "worker pool: .queue is 1844674", 30) == 0);
    EXPECT_EQ(rn_worker_pool_new_untyped(&pool, 8, 8, untyped_job, NULL, &stack), -EINVAL);
    EXPECT_EQ(rn_worker_pool_new_untyped(&pool, SIZE_MAX, 8, untyped_job, NULL, NULL), -EINVAL);
    EXPECT_EQ(rn_worker_pool_new_untyped(&pool, 8, SIZE_MAX, untyped_job, NULL, NULL), -EINVAL);
    EXPECT_EQ(rn_worker_pool_new_untyped(&pool, 0, 0, untyped_job, NULL, NULL), 0);
    EXPECT_EQ(rn_worker_pool_submit_untyped(NULL, pool, ""), 0);
    rn_worker_pool_free(pool);
}

struct suicide {
    rn_worker_pool(int, void) pool;
};

static int free_own(rn_ctx *ctx, void *arg, int *job, void *result)
{
    (void)ctx, (void)job, (void)result;
    rn_worker_pool_free(((struct suicide *)arg)->pool);
    return 0;
}

TEST_DIES(freeing_a_pool_from_its_job_dies, "called from a job of the pool", SIGABRT)
{
    struct suicide s;

    EXPECT_EQ(rn_worker_pool_new(&s.pool, free_own, &s,
                                 &(rn_worker_pool_config){.workers = 1, .discard = true}),
              0);
    rn_worker_pool_submit(NULL, s.pool, 1);
    rn_worker_pool_wait(NULL, s.pool);
}

static int churn(rn_ctx *ctx, void *arg)
{
    pool_t pool = *(pool_t *)arg;

    for (int i = 0; i < JOBS; i++) {
        int err = rn_worker_pool_submit(ctx, pool, (struct job){.id = i});
        if (err != 0)
            return err == RN_ESHUTDOWN ? 0 : err;
    }
    return 0;
}

/* Many submit, one receives, and it is stopped somewhere in between: every job has one fate. */
TEST_FIBER(every_job_has_one_fate)
{
    for (int round = 0; round < rounds(100); round++) {
        atomic_int entered = 0;
        pool_t pool;
        rn_group *g = rn_group_new(NULL);
        result_t r;
        size_t back;
        int received = 0;

        EXPECT_EQ(rn_worker_pool_new(
                      &pool, answer, &entered,
                      &(rn_worker_pool_config){
                          .workers = 4, .queue = 4, .results = 3, .ordered = round % 2 == 0}),
                  0);
        for (int i = 0; i < 4; i++)
            EXPECT_EQ(rn_group_go_copy(g, churn, &pool), 0);
        for (; received < round * 7; received++)
            EXPECT_EQ(rn_worker_pool_recv(NULL, pool, &r), 0);
        back = rn_worker_pool_abandon(pool, NULL, NULL);
        EXPECT_EQ(rn_group_wait(g), 0);
        while (rn_worker_pool_recv(NULL, pool, &r) == 0)
            received++;
        EXPECT_EQ(received, atomic_load(&entered));
        EXPECT(back <= 4);
        rn_worker_pool_free(pool);
    }
}
