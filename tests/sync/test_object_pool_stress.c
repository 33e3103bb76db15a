/*
 * The object pool under fibers and plain threads at once, with ageing and a limit: an object has
 * one user at a time, and each that was constructed is destroyed once.
 */
#include "core.h"
#include "test.h"

#include <pthread.h>
#include <runnel/object_pool.h>
#include <runnel/wait_group.h>

#define FIBERS 8
#define THREADS 3
#define OPERATIONS 200000
#define HELD_MAX 12
#define OBJECTS_MAX 40 /* idle, in the limited pool */

struct object {
    long owner; /* a plain field: a second user would be a race */
    void *memory;
};

typedef rn_object_pool(struct object) object_pool;

static struct {
    object_pool pool;
    bool limited;
    rn_wait_group wg;
    atomic_long constructed, destroyed;
} shared;

static int construct(void *arg, void *object)
{
    struct object *o = object;

    (void)arg;
    o->memory = malloc(1);
    atomic_fetch_add(&shared.constructed, 1);
    return 0;
}

static void destroy(void *arg, void *object)
{
    struct object *o = object;

    (void)arg;
    EXPECT_EQ(o->owner, 0);
    free(o->memory);
    atomic_fetch_add(&shared.destroyed, 1);
}

static void put_back(struct object *o, long me)
{
    EXPECT_EQ(o->owner, me);
    o->owner = 0;
    rn_object_pool_put(shared.pool, o);
}

static void look(void)
{
    rn_object_pool_stats stats;

    rn_object_pool_stats_read(shared.pool, &stats);
    if (shared.limited)
        EXPECT(stats.idle <= OBJECTS_MAX * 2); /* not one instant: some are counted twice */
}

static void work(long me, bool waits)
{
    struct object *held[HELD_MAX];
    uint64_t random = (uint64_t)me;
    int count = 0;

    for (int i = 0; i < rounds(OPERATIONS); i++) {
        random = random * 6364136223846793005ull + 1442695040888963407ull;
        uint32_t what = (uint32_t)(random >> 33) % 1000;
        if (what < 500 && count < HELD_MAX) {
            EXPECT_EQ(rn_object_pool_get(shared.pool, &held[count]), 0);
            EXPECT_EQ(held[count]->owner, 0);
            held[count++]->owner = me;
        } else if (what < 990 && count > 0) {
            put_back(held[--count], me);
        } else if (what < 995 && count > 0) {
            held[--count]->owner = 0;
            rn_object_pool_discard(shared.pool, held[count]);
        } else if (what < 998) {
            look();
        } else if (what == 999) {
            rn_object_pool_age(shared.pool);
        }
        if (waits && what % 50 == 0)
            rn_yield();
    }
    while (count > 0)
        put_back(held[--count], me);
}

static void work_on_fiber(void *arg)
{
    work((long)(intptr_t)arg, true);
    rn_wait_group_done(&shared.wg);
}

static void *work_on_thread(void *arg)
{
    work((long)(intptr_t)arg, false);
    return NULL;
}

static void stress(const rn_object_pool_config *config)
{
    pthread_t threads[THREADS];
    rn_object_pool_stats stats;

    EXPECT_EQ(rn_object_pool_new(&shared.pool, config), 0);
    shared.limited = config->bytes_max != 0;
    rn_wait_group_add(&shared.wg, FIBERS);
    for (intptr_t i = 1; i <= FIBERS; i++)
        EXPECT_EQ(rn_go(work_on_fiber, (void *)i), 0);
    for (intptr_t i = 0; i < THREADS; i++)
        EXPECT_EQ(pthread_create(&threads[i], NULL, work_on_thread, (void *)(i + 100)), 0);
    EXPECT_EQ(rn_wait_group_wait(NULL, &shared.wg), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    rn_object_pool_stats_read(shared.pool, &stats);
    EXPECT_EQ(stats.made - stats.destroyed, stats.idle);
    EXPECT_EQ(stats.made, atomic_load(&shared.constructed));
    if (shared.limited)
        EXPECT(stats.idle <= OBJECTS_MAX);
    rn_object_pool_free(shared.pool);
    EXPECT_EQ(atomic_load(&shared.constructed), atomic_load(&shared.destroyed));
}

TEST_FIBER(without_a_limit)
{
    stress(&(rn_object_pool_config){.construct = construct, .destroy = destroy});
}

TEST_FIBER(with_a_limit_and_poison)
{
    stress(&(rn_object_pool_config){.construct = construct,
                                    .destroy = destroy,
                                    .bytes_max = OBJECTS_MAX * sizeof(struct object),
                                    .poison = true});
}

TEST_FIBER(with_a_clock_that_races)
{
    stress(&(rn_object_pool_config){
        .construct = construct, .destroy = destroy, .ageing_period = 20 * RN_MICROSECOND});
}
