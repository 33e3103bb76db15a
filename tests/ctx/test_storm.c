/* Contexts ended from many threads and fibers at once, at any level of a tree. */
#include "core.h"
#include "test.h"

#include <pthread.h>

#define NODES 64
#define THREADS 4

struct tree {
    rn_ctx *nodes[NODES];
    atomic_int ready, waiting, ended;
};

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 16;
}

static void plant(struct tree *tree, uint32_t seed)
{
    memset(tree, 0, sizeof *tree);
    tree->nodes[0] = rn_ctx_with_cancel(NULL);
    for (uint32_t i = 1; i < NODES; i++) {
        rn_ctx *parent = tree->nodes[next_random(&seed) % i];
        tree->nodes[i] = i % 4 == 0 ? rn_ctx_with_timeout(parent, next_random(&seed) % 200 * 1000)
                                    : rn_ctx_with_cancel(parent);
        EXPECT(tree->nodes[i] != NULL);
    }
}

struct storm {
    struct tree *tree;
    uint32_t seed;
};

static void *cancel_anywhere(void *arg)
{
    struct storm *s = arg;

    atomic_fetch_add(&s->tree->ready, 1);
    await_count(&s->tree->ready, THREADS);
    for (int i = 0; i < NODES; i++) {
        rn_ctx *node = s->tree->nodes[next_random(&s->seed) % NODES];
        rn_ctx_cancel(node, -1 - (int)(next_random(&s->seed) % 100));
        EXPECT(rn_ctx_err(node) != 0);
    }
    return NULL;
}

static void wait_for_node(void *arg)
{
    struct storm *s = arg;
    atomic_fetch_add(&s->tree->waiting, 1);
    EXPECT(rn_ctx_wait(s->tree->nodes[s->seed]) < 0);
    atomic_fetch_add(&s->tree->ended, 1);
}

TEST(cancels_from_many_threads_at_any_level_never_deadlock)
{
    for (uint32_t round = 0; round < (uint32_t)rounds(300); round++) {
        struct tree tree;
        struct storm storms[THREADS];
        pthread_t threads[THREADS];

        plant(&tree, round);
        for (uint32_t i = 0; i < NODES; i++)
            EXPECT_EQ(rn_go_copy(wait_for_node, &(struct storm){&tree, i}), 0);
        for (uint32_t i = 0; i < THREADS; i++) {
            storms[i] = (struct storm){&tree, round * 31 + i};
            EXPECT_EQ(pthread_create(&threads[i], NULL, cancel_anywhere, &storms[i]), 0);
        }
        for (int i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
        rn_ctx_cancel(tree.nodes[0], 0);
        for (int i = 0; i < NODES; i++)
            EXPECT(rn_ctx_err(tree.nodes[i]) != 0);
        await_count(&tree.ended, NODES);
        for (int i = 0; i < NODES; i++)
            rn_ctx_release(tree.nodes[i]);
    }
    await_live(0);
    EXPECT_EQ(rn_stop(), 0);
}

struct race {
    rn_ctx *ctx;
    int cause;
    atomic_int *ready;
};

static void *cancel_together(void *arg)
{
    struct race *r = arg;
    atomic_fetch_add(r->ready, 1);
    await_count(r->ready, THREADS);
    rn_ctx_cancel(r->ctx, r->cause);
    int seen = rn_ctx_cause(r->ctx);
    for (int i = 0; i < 10; i++)
        EXPECT_EQ(rn_ctx_cause(r->ctx), seen);
    return (void *)(intptr_t)seen;
}

TEST(of_cancels_at_once_one_cause_wins_for_everybody)
{
    for (int round = 0; round < 100; round++) {
        atomic_int ready = 0;
        rn_ctx *ctx = rn_ctx_with_cancel(NULL), *below = rn_ctx_with_cancel(ctx);
        struct race races[THREADS];
        pthread_t threads[THREADS];
        void *seen;

        for (int i = 0; i < THREADS; i++) {
            races[i] = (struct race){ctx, -1 - i, &ready};
            EXPECT_EQ(pthread_create(&threads[i], NULL, cancel_together, &races[i]), 0);
        }
        for (int i = 0; i < THREADS; i++) {
            pthread_join(threads[i], &seen);
            EXPECT_EQ((intptr_t)seen, rn_ctx_cause(ctx));
        }
        EXPECT_EQ(rn_ctx_cause(below), rn_ctx_cause(ctx));
        rn_ctx_release(below);
        rn_ctx_release(ctx);
    }
    EXPECT_EQ(rn_stop(), 0);
}

struct family {
    rn_ctx *parent;
    int children;
    atomic_int *ended;
};

static void bear_and_bury(void *arg)
{
    struct family *f = arg;

    for (int i = 0; i < f->children; i++) {
        rn_ctx *child = rn_ctx_with_timeout(f->parent, i % 20 * RN_MICROSECOND);
        rn_ctx *grandchild = rn_ctx_with_cancel(child);

        if (i % 2)
            rn_ctx_cancel(child, 0);
        if (i % 3)
            rn_ctx_wait(grandchild);
        rn_ctx_release(i % 2 ? child : grandchild);
        rn_ctx_release(i % 2 ? grandchild : child);
    }
    atomic_fetch_add(f->ended, 1);
}

TEST_FIBER(children_come_and_go_while_their_parent_ends)
{
    for (int round = 0; round < rounds(100); round++) {
        atomic_int ended = 0;
        struct family f = {rn_ctx_with_cancel(NULL), 50, &ended};

        for (int i = 0; i < 8; i++)
            EXPECT_EQ(rn_go(bear_and_bury, &f), 0);
        for (int i = 0; i < round; i++)
            rn_yield();
        rn_ctx_cancel(f.parent, 0);
        await_count(&ended, 8);
        await_live(1);
        rn_ctx_release(f.parent);
    }
    EXPECT_EQ(stats_now().timers, 0);
}
