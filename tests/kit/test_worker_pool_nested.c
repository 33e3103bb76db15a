/* Fibers that a job starts submit to the job's own full pool, and the job waits for them. */
#include "core.h"
#include "test.h"

#include <runnel/group.h>
#include <runnel/worker_pool.h>

#define DEPTH 6

struct forest {
    rn_worker_pool(int, void) pool;
    atomic_int leaves;
};

struct submission {
    struct forest *forest;
    int depth;
};

static int submit_from_a_fiber(rn_ctx *ctx, void *arg)
{
    const struct submission *s = arg;

    return rn_worker_pool_submit(ctx, s->forest->pool, s->depth);
}

static int grow(rn_ctx *ctx, void *arg, int *depth, void *result)
{
    struct forest *forest = arg;
    rn_group *g = rn_group_new(ctx);
    struct submission below = {forest, *depth - 1};

    (void)result;
    if (*depth == 0)
        atomic_fetch_add(&forest->leaves, 1);
    for (int i = 0; i < 2 && *depth > 0; i++)
        EXPECT_EQ(rn_group_go_copy(g, submit_from_a_fiber, &below), 0);
    EXPECT_EQ(rn_group_wait(g), 0);
    if (atomic_load(&forest->leaves) == 1 << DEPTH)
        rn_worker_pool_drain(forest->pool);
    return 0;
}

TEST_FIBER(children_of_jobs_submit_to_the_full_pool)
{
    struct forest forest = {.leaves = 0};

    EXPECT_EQ(
        rn_worker_pool_new(&forest.pool, grow, &forest,
                           &(rn_worker_pool_config){.workers = 2, .queue = 1, .discard = true}),
        0);
    EXPECT_EQ(rn_worker_pool_submit(NULL, forest.pool, DEPTH), 0);
    EXPECT_EQ(rn_worker_pool_wait(NULL, forest.pool), 0);
    EXPECT_EQ(atomic_load(&forest.leaves), 1 << DEPTH);
    rn_worker_pool_free(forest.pool);
}
