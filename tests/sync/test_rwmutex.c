/* Reader-writer lock: who may be in together, who goes first, and that nobody is lost. */
#include "core.h"
#include "sync/waiting.h"
#include "test.h"

#include <pthread.h>
#include <runnel/rwmutex.h>
#include <runnel/wait_group.h>
#include <signal.h>

#define PEERS 4

#define READER "rwmutex rlock"
#define WRITER "rwmutex lock"

TEST(a_zero_lock_is_free_for_both)
{
    rn_rwmutex rw = {0};

    rn_rwmutex_rlock(&rw);
    rn_rwmutex_runlock(&rw);
    rn_rwmutex_lock(&rw);
    rn_rwmutex_unlock(&rw);
}

TEST(readers_are_in_together)
{
    rn_rwmutex rw = {0};

    rn_rwmutex_rlock(&rw);
    EXPECT_EQ(rn_rwmutex_try_rlock(&rw), 0);
    EXPECT_EQ(rn_rwmutex_try_lock(&rw), -EBUSY);
    rn_rwmutex_runlock(&rw);
    EXPECT_EQ(rn_rwmutex_try_lock(&rw), -EBUSY);
    rn_rwmutex_runlock(&rw);
    EXPECT_EQ(rn_rwmutex_try_lock(&rw), 0);
}

TEST(a_writer_is_alone)
{
    rn_rwmutex rw = {0};

    rn_rwmutex_lock(&rw);
    EXPECT_EQ(rn_rwmutex_try_rlock(&rw), -EBUSY);
    EXPECT_EQ(rn_rwmutex_try_lock(&rw), -EBUSY);
    rn_rwmutex_unlock(&rw);
    EXPECT_EQ(rn_rwmutex_try_rlock(&rw), 0);
}

struct visitor {
    rn_rwmutex *rw;
    rn_ctx *ctx;
    bool writes;
    atomic_int *in;    /* how many have been in */
    atomic_int *at;    /* which of them this one was, from 1 */
    atomic_int *go;    /* leaves when it is not 0; NULL: at once */
    atomic_int *err;   /* when done */
    atomic_int *ended; /* how many touch none of this any more */
};

static void visit(void *arg)
{
    struct visitor *v = arg;
    int err = v->writes ? rn_rwmutex_lock_ctx(v->ctx, v->rw) : rn_rwmutex_rlock_ctx(v->ctx, v->rw);

    if (err == 0) {
        int nth = atomic_fetch_add(v->in, 1) + 1;
        if (v->at != NULL)
            atomic_store(v->at, nth);
        while (v->go != NULL && atomic_load(v->go) == 0)
            rn_yield();
        if (v->writes)
            rn_rwmutex_unlock(v->rw);
        else
            rn_rwmutex_runlock(v->rw);
    }
    if (v->err != NULL)
        atomic_store(v->err, err);
    atomic_fetch_add(v->ended, 1);
}

TEST_FIBER(a_waiting_writer_stops_new_readers)
{
    rn_rwmutex rw = {0};
    atomic_int in = 0, ended = 0, writer_at = 0, reader_at = 0;

    rn_rwmutex_rlock(&rw);
    EXPECT_EQ(
        rn_go_copy(visit,
                   &(struct visitor){
                       .rw = &rw, .writes = true, .in = &in, .ended = &ended, .at = &writer_at}),
        0);
    await_waiting(WRITER, 1);
    EXPECT_EQ(rn_rwmutex_try_rlock(&rw), -EBUSY);
    EXPECT_EQ(
        rn_go_copy(visit,
                   &(struct visitor){.rw = &rw, .in = &in, .ended = &ended, .at = &reader_at}),
        0);
    await_waiting(READER, 1);
    EXPECT_EQ(atomic_load(&in), 0);
    rn_rwmutex_runlock(&rw);
    await_count(&in, 2);
    await_count(&reader_at, 1);
    EXPECT_EQ(atomic_load(&writer_at), 1);
    EXPECT_EQ(atomic_load(&reader_at), 2);
    await_count(&ended, 2);
}

TEST_FIBER(readers_that_waited_go_in_together_before_the_next_writer)
{
    rn_rwmutex rw = {0};
    atomic_int in = 0, ended = 0, go = 0, writer_at = 0;

    rn_rwmutex_lock(&rw);
    EXPECT_EQ(
        rn_go_copy(visit,
                   &(struct visitor){
                       .rw = &rw, .writes = true, .in = &in, .ended = &ended, .at = &writer_at}),
        0);
    await_waiting(WRITER, 1);
    for (int i = 0; i < PEERS; i++)
        EXPECT_EQ(
            rn_go_copy(visit, &(struct visitor){.rw = &rw, .in = &in, .ended = &ended, .go = &go}),
            0);
    await_waiting(READER, PEERS);
    rn_rwmutex_unlock(&rw);
    await_count(&in, PEERS); /* all in at once: each waits for go */
    EXPECT_EQ(waiting_for(WRITER), 1);
    EXPECT_EQ(rn_rwmutex_try_rlock(&rw), -EBUSY);
    atomic_store(&go, 1);
    await_count(&writer_at, 1);
    EXPECT_EQ(atomic_load(&writer_at), PEERS + 1);
    await_count(&ended, PEERS + 1);
}

TEST_FIBER(writers_are_served_in_order)
{
    rn_rwmutex rw = {0};
    atomic_int in = 0, ended = 0, at[PEERS] = {0};

    rn_rwmutex_lock(&rw);
    for (int i = 0; i < PEERS; i++) {
        struct visitor v = {.rw = &rw, .writes = true, .in = &in, .ended = &ended, .at = &at[i]};
        EXPECT_EQ(rn_go_copy(visit, &v), 0);
        await_waiting(WRITER, i + 1);
    }
    rn_rwmutex_unlock(&rw);
    for (int i = 0; i < PEERS; i++) {
        await_count(&at[i], 1);
        EXPECT_EQ(atomic_load(&at[i]), i + 1);
    }
    await_count(&ended, PEERS);
}

TEST_FIBER(a_writer_that_gives_up_lets_the_readers_in)
{
    rn_rwmutex rw = {0};
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    atomic_int in = 0, ended = 0, err = 1;
    struct visitor writer = {
        .rw = &rw, .ctx = ctx, .writes = true, .in = &in, .ended = &ended, .err = &err};

    rn_rwmutex_rlock(&rw);
    EXPECT_EQ(rn_go_copy(visit, &writer), 0);
    await_waiting(WRITER, 1);
    EXPECT_EQ(rn_go_copy(visit, &(struct visitor){.rw = &rw, .in = &in, .ended = &ended}), 0);
    await_waiting(READER, 1);
    rn_ctx_cancel(ctx, 0);
    await_count(&in, 1); /* while this one still reads */
    while (atomic_load(&err) == 1)
        rn_yield();
    EXPECT_EQ(atomic_load(&err), -ECANCELED);
    rn_rwmutex_runlock(&rw);
    await_count(&ended, 2);
    EXPECT_EQ(rn_rwmutex_try_lock(&rw), 0);
    rn_ctx_release(ctx);
}

TEST_FIBER(a_reader_that_gives_up_leaves_no_trace)
{
    rn_rwmutex rw = {0};
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    atomic_int in = 0, ended = 0, err = 1;

    rn_rwmutex_lock(&rw);
    EXPECT_EQ(rn_go_copy(visit,
                         &(struct visitor){
                             .rw = &rw, .ctx = ctx, .in = &in, .ended = &ended, .err = &err}),
              0);
    await_waiting(READER, 1);
    rn_ctx_cancel(ctx, 0);
    await_count(&ended, 1);
    EXPECT_EQ(atomic_load(&err), -ECANCELED);
    rn_rwmutex_unlock(&rw);
    EXPECT_EQ(rn_rwmutex_try_lock(&rw), 0);
    rn_ctx_release(ctx);
}

TEST_FIBER(an_ended_context_fails_although_it_is_free)
{
    rn_rwmutex rw = {0};
    rn_ctx *cancelled = rn_ctx_with_cancel(NULL), *late = rn_ctx_with_timeout(NULL, 0);

    rn_ctx_cancel(cancelled, 0);
    EXPECT_EQ(rn_rwmutex_rlock_ctx(cancelled, &rw), -ECANCELED);
    EXPECT_EQ(rn_rwmutex_lock_ctx(cancelled, &rw), -ECANCELED);
    EXPECT_EQ(rn_rwmutex_rlock_ctx(late, &rw), -ETIMEDOUT);
    EXPECT_EQ(rn_rwmutex_lock_ctx(late, &rw), -ETIMEDOUT);
    EXPECT_EQ(rn_rwmutex_try_lock(&rw), 0);
    rn_ctx_release(cancelled);
    rn_ctx_release(late);
}

TEST_FIBER(a_deadline_ends_the_wait)
{
    rn_rwmutex rw = {0};
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, RN_MILLISECOND);

    rn_rwmutex_rlock(&rw);
    EXPECT_EQ(rn_rwmutex_lock_ctx(ctx, &rw), -ETIMEDOUT);
    rn_ctx_release(ctx);
    rn_rwmutex_runlock(&rw);
    rn_rwmutex_lock(&rw);
    ctx = rn_ctx_with_timeout(NULL, RN_MILLISECOND);
    EXPECT_EQ(rn_rwmutex_rlock_ctx(ctx, &rw), -ETIMEDOUT);
    rn_rwmutex_unlock(&rw);
    EXPECT_EQ(rn_rwmutex_try_lock(&rw), 0);
    rn_ctx_release(ctx);
}

struct pair {
    rn_rwmutex rw;
    long a, b; /* equal, except while a writer is in */
    atomic_int wrong;
    rn_wait_group wg;
};

struct mixer {
    struct pair *pair;
    int times, seed;
};

static void write_pair(struct pair *p, bool slowly)
{
    p->a++;
    if (slowly)
        rn_yield();
    p->b++;
    rn_rwmutex_unlock(&p->rw);
}

static void read_pair(struct pair *p, bool slowly)
{
    long a = p->a;
    if (slowly)
        rn_yield();
    if (p->b != a)
        atomic_fetch_add(&p->wrong, 1);
    rn_rwmutex_runlock(&p->rw);
}

/* One writer in four; contexts, tries, and yields inside in between. */
static void mix(void *arg)
{
    struct mixer *m = arg;
    struct pair *p = m->pair;

    for (int i = m->seed; i < m->seed + m->times; i++) {
        rn_ctx *ctx = i % 5 == 0 ? rn_ctx_with_timeout(NULL, (i % 7) * 1000) : NULL;
        if (i % 4 == 0) {
            if ((i % 3 == 0 ? rn_rwmutex_try_lock(&p->rw) : rn_rwmutex_lock_ctx(ctx, &p->rw)) == 0)
                write_pair(p, i % 8 == 0);
        } else if ((i % 3 == 0 ? rn_rwmutex_try_rlock(&p->rw)
                               : rn_rwmutex_rlock_ctx(ctx, &p->rw)) == 0) {
            read_pair(p, i % 8 == 1);
        }
        rn_ctx_release(ctx);
    }
    rn_wait_group_done(&p->wg);
}

static void *mix_on_thread(void *arg)
{
    mix(arg);
    return NULL;
}

TEST_FIBER(readers_see_what_writers_finished)
{
    struct pair p = {.a = 0};

    for (int i = 0; i < 2 * PEERS; i++) {
        rn_wait_group_add(&p.wg, 1);
        EXPECT_EQ(rn_go_copy(mix, &(struct mixer){&p, rounds(4000), i}), 0);
    }
    EXPECT_EQ(rn_wait_group_wait(NULL, &p.wg), 0);
    EXPECT_EQ(atomic_load(&p.wrong), 0);
    EXPECT_EQ(p.a, p.b);
    EXPECT_EQ(rn_rwmutex_try_lock(&p.rw), 0);
}

TEST(threads_and_fibers_share_one_lock)
{
    struct pair p = {.a = 0};
    struct mixer mixers[PEERS];
    pthread_t threads[PEERS];

    rn_wait_group_add(&p.wg, 2 * PEERS);
    for (int i = 0; i < PEERS; i++) {
        mixers[i] = (struct mixer){&p, rounds(1000), i};
        EXPECT_EQ(pthread_create(&threads[i], NULL, mix_on_thread, &mixers[i]), 0);
        EXPECT_EQ(rn_go(mix, &mixers[i]), 0);
    }
    EXPECT_EQ(rn_wait_group_wait(NULL, &p.wg), 0);
    for (int i = 0; i < PEERS; i++)
        pthread_join(threads[i], NULL);
    EXPECT_EQ(atomic_load(&p.wrong), 0);
    EXPECT_EQ(rn_stop(), 0);
}

/* Most give up soon; who is in lets the others run, so that they wait. */
static void *give_up_often(void *arg)
{
    struct mixer *m = arg;
    struct pair *p = m->pair;

    for (int i = 0; i < m->times; i++) {
        rn_ctx *ctx = rn_ctx_with_timeout(NULL, (i + m->seed) % 3 * 1000);
        if (m->seed % 2 == 0 && rn_rwmutex_lock_ctx(ctx, &p->rw) == 0)
            write_pair(p, true);
        if (m->seed % 2 == 1 && rn_rwmutex_rlock_ctx(ctx, &p->rw) == 0)
            read_pair(p, true);
        rn_ctx_release(ctx);
    }
    return NULL;
}

TEST(writers_that_give_up_do_not_open_a_lock_that_another_has_taken)
{
    struct pair p = {.a = 0};
    struct mixer mixers[PEERS];
    pthread_t threads[PEERS];

    for (int i = 0; i < PEERS; i++) {
        mixers[i] = (struct mixer){&p, rounds(2000), i};
        EXPECT_EQ(pthread_create(&threads[i], NULL, give_up_often, &mixers[i]), 0);
    }
    for (int i = 0; i < PEERS; i++)
        pthread_join(threads[i], NULL);
    EXPECT_EQ(atomic_load(&p.wrong), 0);
    EXPECT_EQ(p.a, p.b);
    EXPECT_EQ(rn_rwmutex_try_lock(&p.rw), 0);
    EXPECT_EQ(rn_stop(), 0);
}

TEST_DIES(runlock_of_a_free_lock_dies, "runlock of rwmutex", SIGABRT)
{
    rn_rwmutex rw = {0};
    rn_rwmutex_runlock(&rw);
}

TEST_DIES(unlock_of_a_free_lock_dies, "unlock of rwmutex", SIGABRT)
{
    rn_rwmutex rw = {0};
    rn_rwmutex_unlock(&rw);
}

TEST_DIES(unlock_by_a_reader_dies, "unlock of rwmutex", SIGABRT)
{
    rn_rwmutex rw = {0};
    rn_rwmutex_rlock(&rw);
    rn_rwmutex_unlock(&rw);
}

TEST_DIES(runlock_by_a_writer_dies, "runlock of rwmutex", SIGABRT)
{
    rn_rwmutex rw = {0};
    rn_rwmutex_lock(&rw);
    rn_rwmutex_runlock(&rw);
}
