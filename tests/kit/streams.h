/*
 * What the tests of pipelines and fans share: elements that know whether they were let go of.
 *
 * A token is made by token_new, and must be let go of exactly once: by token_done, in the function
 * that used it, or by token_drop, by whoever lost it. tokens_settled says that all were.
 */
#ifndef RN_TESTS_KIT_STREAMS_H
#define RN_TESTS_KIT_STREAMS_H

#include "core.h"
#include "test.h"

#include <runnel/pipeline.h>

struct token {
    int id;
    bool *live; /* on the heap, so that a leak is one for ASan too */
};

static atomic_int tokens_made, tokens_done, tokens_dropped;

static inline struct token token_new(int id)
{
    struct token t = {id, malloc(sizeof(bool))};

    EXPECT(t.live != NULL);
    *t.live = true;
    atomic_fetch_add(&tokens_made, 1);
    return t;
}

static inline void token_end(struct token *t, atomic_int *count)
{
    EXPECT(*t->live);
    *t->live = false;
    free(t->live);
    atomic_fetch_add(count, 1);
}

static inline void token_done(struct token *t)
{
    token_end(t, &tokens_done);
}

static inline void token_drop(void *t)
{
    token_end(t, &tokens_dropped);
}

/* For a tee: a token of its own. */
static inline int token_copy(void *element)
{
    struct token *t = element;

    *t = token_new(t->id);
    return 0;
}

/* Every token was let go of once; begins anew. */
static inline void expect_tokens_settled(void)
{
    EXPECT_EQ(atomic_load(&tokens_made), atomic_load(&tokens_done) + atomic_load(&tokens_dropped));
    atomic_store(&tokens_made, 0);
    atomic_store(&tokens_done, 0);
    atomic_store(&tokens_dropped, 0);
}

/* What left each stage came into those behind it, or was dropped on the way; for a line of stages.
 */
static inline void expect_conserved(rn_pipeline *p)
{
    rn_stage_stats before, stage;

    EXPECT_EQ(rn_pipeline_stage_stats_read(p, 0, &before), 0);
    for (size_t i = 1; rn_pipeline_stage_stats_read(p, i, &stage) == 0; i++) {
        EXPECT_EQ(stage.in + stage.dropped, before.out);
        EXPECT_EQ(stage.waiting, 0);
        before = stage;
    }
}

#endif
