/*
 * Semaphore: random operations beside a model that is a queue and two numbers.
 *
 * Actors are fibers that acquire once. After each operation the semaphore must have served exactly
 * those whom the model serves. A failing seed is printed; MODEL_SEED=n runs it alone.
 */
#include "core.h"
#include "test.h"

#include <runnel/semaphore.h>

#define ACTORS 12
#define STEPS 80
#define SEEDS 10000
#define PATIENCE (30 * RN_SECOND) /* the semaphore must have done then what the model did */

struct actor {
    rn_semaphore *s;
    rn_ctx *ctx;
    size_t n;
    int err;
    atomic_int done;
    bool started;
    int expected; /* by the model; 1: it waits */
};

struct model {
    rn_semaphore *s;
    uint64_t seed, random;
    long size, out;
    struct actor actors[ACTORS];
    int queue[ACTORS], queued; /* indices of actors, oldest first */
    int step;
};

static uint32_t pick(struct model *m, uint32_t below)
{
    m->random = m->random * 6364136223846793005 + 1442695040888963407;
    return (uint32_t)(m->random >> 33) % below;
}

static void expect(const struct model *m, bool ok, const char *what)
{
    if (!ok)
        test_failed(__FILE__, __LINE__, "seed %llu, step %d: %s", (unsigned long long)m->seed,
                    m->step, what);
}

/* ---- the model ---- */

static void model_unqueue(struct model *m, int place, int err)
{
    m->actors[m->queue[place]].expected = err;
    m->queued--;
    for (int i = place; i < m->queued; i++)
        m->queue[i] = m->queue[i + 1];
}

static void model_serve(struct model *m)
{
    while (m->queued > 0 && (long)m->actors[m->queue[0]].n <= m->size - m->out) {
        m->out += (long)m->actors[m->queue[0]].n;
        model_unqueue(m, 0, 0);
    }
}

static void model_acquire(struct model *m, int actor)
{
    if ((long)m->actors[actor].n > m->size) {
        m->actors[actor].expected = -EINVAL;
        return;
    }
    m->actors[actor].expected = 1;
    m->queue[m->queued++] = actor;
    model_serve(m);
}

static int model_try(struct model *m, long n)
{
    if (n > m->size)
        return -EINVAL;
    if (m->queued > 0 || n > m->size - m->out)
        return -EAGAIN;
    m->out += n;
    return 0;
}

static void model_resize(struct model *m, long size)
{
    m->size = size;
    for (int i = m->queued - 1; i >= 0; i--)
        if ((long)m->actors[m->queue[i]].n > size)
            model_unqueue(m, i, -EINVAL);
    model_serve(m);
}

/* ---- beside it ---- */

static void act(void *arg)
{
    struct actor *a = arg;

    a->err = rn_semaphore_acquire(a->ctx, a->s, a->n);
    atomic_store(&a->done, 1);
}

static void acquire(struct model *m)
{
    for (int i = 0; i < ACTORS; i++) {
        struct actor *a = &m->actors[i];
        if (a->started)
            continue;
        *a = (struct actor){.s = m->s, .n = pick(m, 8), .started = true};
        a->ctx = rn_ctx_with_cancel(NULL);
        EXPECT_EQ(rn_go(act, a), 0);
        model_acquire(m, i);
        return;
    }
}

static void try_acquire(struct model *m)
{
    size_t n = pick(m, 8);

    expect(m, rn_semaphore_try_acquire(m->s, n) == model_try(m, (long)n), "try_acquire");
}

static void release(struct model *m)
{
    size_t n = m->out > 0 ? 1 + pick(m, (uint32_t)m->out) : 0;

    m->out -= (long)n;
    model_serve(m);
    rn_semaphore_release(m->s, n);
}

static void cancel(struct model *m)
{
    int place;

    if (m->queued == 0)
        return;
    place = (int)pick(m, (uint32_t)m->queued);
    rn_ctx_cancel(m->actors[m->queue[place]].ctx, 0);
    model_unqueue(m, place, -ECANCELED);
    model_serve(m);
}

static void resize(struct model *m)
{
    size_t size = 1 + pick(m, 10);

    model_resize(m, (long)size);
    EXPECT_EQ(rn_semaphore_resize(m->s, size), 0);
}

/* ---- comparing ---- */

static bool agree(struct model *m)
{
    for (int i = 0; i < ACTORS; i++) {
        struct actor *a = &m->actors[i];
        if (a->started && (a->expected != 1) != (atomic_load(&a->done) != 0))
            return false;
    }
    return rn_semaphore_waiters(m->s) == (size_t)m->queued;
}

/* Those that are through make room for others. */
static void collect(struct model *m)
{
    for (int i = 0; i < ACTORS; i++) {
        struct actor *a = &m->actors[i];
        if (!a->started || atomic_load(&a->done) == 0)
            continue;
        expect(m, a->err == a->expected, "an acquire returned something else");
        rn_ctx_release(a->ctx);
        a->started = false;
    }
}

static void compare(struct model *m)
{
    rn_semaphore_stats stats;
    long available = m->queued > 0 || m->out > m->size ? 0 : m->size - m->out;

    for (rn_time start = rn_now(); !agree(m) && rn_now() - start < PATIENCE;)
        rn_yield();
    expect(m, agree(m), "others wait, or others were served");
    collect(m);
    rn_semaphore_stats_read(m->s, &stats);
    expect(m, (long)rn_semaphore_available(m->s) == available, "available");
    expect(m, (long)stats.acquired == m->out, "units out");
    expect(m, (long)stats.size == m->size, "size");
}

static void step(struct model *m)
{
    switch (pick(m, 12)) {
    case 0:
        try_acquire(m);
        break;
    case 1:
        resize(m);
        break;
    case 2:
    case 3:
        cancel(m);
        break;
    case 4:
    case 5:
    case 6:
    case 7:
        release(m);
        break;
    default:
        acquire(m);
    }
    compare(m);
}

static void run_seed(uint64_t seed)
{
    static struct model m;

    m = (struct model){.seed = seed, .random = seed * 0x9e3779b97f4a7c15 + 1};
    m.size = 1 + pick(&m, 10);
    EXPECT_EQ(rn_semaphore_new(&m.s, (size_t)m.size), 0);
    for (m.step = 0; m.step < STEPS; m.step++)
        step(&m);
    while (m.queued > 0) {
        cancel(&m);
        compare(&m);
    }
    rn_semaphore_free(m.s);
}

TEST_FIBER(random_operations_do_what_the_model_does)
{
    const char *only = getenv("MODEL_SEED");

    if (only != NULL) {
        run_seed(strtoull(only, NULL, 10));
        return;
    }
    for (int i = 0; i < rounds(SEEDS); i++)
        run_seed((uint64_t)i);
}
