/*
 * The concurrent map under fibers and plain threads at once: what is stored is found or was
 * deleted, each value is dropped once, and nobody sees a value of another key.
 */
#include "core.h"
#include "sync/map_table.h"
#include "test.h"

#include <pthread.h>
#include <runnel/map.h>
#include <runnel/wait_group.h>
#include <sched.h>

#define FIBERS 8
#define THREADS 3
#define OPERATIONS 20000

struct owner {
    uint64_t *memory; /* holds the key */
};

typedef rn_map(uint64_t, struct owner) owner_map;

static struct {
    owner_map map;
    rn_wait_group wg;
    uint32_t keys;
    atomic_long made, dropped, came, went;
    atomic_int clears;
} shared;

static struct owner own(uint64_t key)
{
    struct owner o = {malloc(sizeof(uint64_t))};

    *o.memory = key;
    atomic_fetch_add(&shared.made, 1);
    return o;
}

static void disown(struct owner *o)
{
    *o->memory = UINT64_MAX;
    free(o->memory);
    atomic_fetch_add(&shared.dropped, 1);
}

static void drop(void *arg, void *value)
{
    (void)arg;
    disown(value);
}

static uint32_t draw(uint64_t *random, uint32_t below)
{
    *random = *random * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)((*random >> 33) % below);
}

static void store(uint64_t key)
{
    int replaced = rn_map_swap(shared.map, key, own(key), NULL);

    EXPECT(replaced >= 0);
    atomic_fetch_add(&shared.came, replaced == 0);
}

static void store_new(uint64_t key)
{
    struct owner o = own(key);
    const struct owner *held;
    int err = rn_map_acquire_or_store(shared.map, key, o, &held);

    EXPECT_EQ(*held->memory, key);
    rn_map_release(shared.map, held);
    if (err == 0)
        atomic_fetch_add(&shared.came, 1);
    else
        disown(&o);
}

static void look(uint64_t key, bool waits)
{
    const struct owner *held = rn_map_acquire(shared.map, key);

    if (held == NULL)
        return;
    if (waits)
        rn_yield();
    EXPECT_EQ(*held->memory, key);
    rn_map_release(shared.map, held);
}

static int compute(void *arg, const struct owner *old, struct owner *value)
{
    uint64_t key = *(uint64_t *)arg;

    if (old != NULL) {
        EXPECT_EQ(*old->memory, key);
        return RN_MAP_DELETE;
    }
    *value = own(key);
    return RN_MAP_STORE;
}

static void toggle(uint64_t key)
{
    int result = rn_map_compute(shared.map, key, compute, &key);

    EXPECT(result > 0);
    atomic_fetch_add(result == RN_MAP_STORE ? &shared.came : &shared.went, 1);
}

static int visit(void *arg, const uint64_t *key, const struct owner *value)
{
    (void)arg;
    EXPECT_EQ(*value->memory, *key);
    return 0;
}

static void work(uint64_t random, bool waits)
{
    for (int i = 0; i < rounds(OPERATIONS); i++) {
        uint64_t key = draw(&random, shared.keys);
        uint32_t what = draw(&random, 1000);

        if (what < 600)
            look(key, waits && what < 100);
        else if (what < 700)
            store(key);
        else if (what < 800)
            store_new(key);
        else if (what < 850)
            toggle(key);
        else if (what < 998)
            atomic_fetch_add(&shared.went, rn_map_delete(shared.map, key) == 0);
        else if (what < 999)
            EXPECT_EQ(rn_map_range(shared.map, visit, NULL), 0);
        else if (waits && draw(&random, 20) == 0)
            atomic_fetch_add(&shared.clears, rn_map_clear(shared.map) == 0);
        if (waits && i % 64 == 0)
            rn_yield();
    }
}

static void work_on_fiber(void *arg)
{
    work((uint64_t)(uintptr_t)arg, true);
    rn_wait_group_done(&shared.wg);
}

static void *work_on_thread(void *arg)
{
    work((uint64_t)(uintptr_t)arg, false);
    return NULL;
}

static void stress(uint32_t keys)
{
    pthread_t threads[THREADS];
    rn_map_stats stats;

    shared.keys = keys;
    EXPECT_EQ(rn_map_new(&shared.map, &(rn_map_config){.drop = drop}), 0);
    rn_wait_group_add(&shared.wg, FIBERS);
    for (uintptr_t i = 0; i < FIBERS; i++)
        EXPECT_EQ(rn_go(work_on_fiber, (void *)(i * 77 + 1)), 0);
    for (uintptr_t i = 0; i < THREADS; i++)
        EXPECT_EQ(pthread_create(&threads[i], NULL, work_on_thread, (void *)(i * 99 + 5)), 0);
    EXPECT_EQ(rn_wait_group_wait(NULL, &shared.wg), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    EXPECT_EQ(table_check((struct table *)rn_map_untyped(shared.map)), 0);
    rn_map_stats_read(shared.map, &stats);
    EXPECT_EQ(stats.keys, rn_map_len(shared.map));
    EXPECT_EQ(stats.stored, atomic_load(&shared.came));
    if (atomic_load(&shared.clears) == 0)
        EXPECT_EQ(stats.deleted, atomic_load(&shared.went));
    EXPECT_EQ(stats.undropped, 0);
    rn_map_free(shared.map);
    EXPECT_EQ(atomic_load(&shared.made), atomic_load(&shared.dropped));
}

TEST_FIBER(a_few_hot_keys)
{
    stress(5);
}

TEST_FIBER(many_keys)
{
    stress(20000);
}

/* ---- readers while it grows and shrinks: keys that stay are always found ---- */

#define STAYING 500
#define PASSING 5000

typedef rn_map(uint64_t, uint64_t) number_map;

static struct {
    number_map map;
    atomic_int readers;
} growth;

static int count_staying(void *arg, const uint64_t *key, const uint64_t *value)
{
    EXPECT_EQ(*key * 3, *value);
    *(int *)arg += *key < STAYING;
    return 0;
}

static void *read_staying(void *arg)
{
    uint64_t v;

    (void)arg;
    for (int i = 0; i < rounds(400); i++) {
        int found = 0;
        for (uint64_t key = 0; key < STAYING; key++) {
            EXPECT_EQ(rn_map_load(growth.map, key, &v), 0);
            EXPECT_EQ(v, key * 3);
        }
        EXPECT_EQ(rn_map_range(growth.map, count_staying, &found), 0);
        EXPECT_EQ(found, STAYING);
    }
    atomic_fetch_sub(&growth.readers, 1);
    return NULL;
}

static void read_on_fiber(void *arg)
{
    read_staying(arg);
}

TEST_FIBER(keys_that_stay_are_always_found)
{
    pthread_t thread;

    EXPECT_EQ(rn_map_new(&growth.map, NULL), 0);
    for (uint64_t key = 0; key < STAYING; key++)
        EXPECT_EQ(rn_map_store(growth.map, key, key * 3), 0);
    atomic_store(&growth.readers, 3);
    EXPECT_EQ(pthread_create(&thread, NULL, read_staying, NULL), 0);
    for (int i = 0; i < 2; i++)
        EXPECT_EQ(rn_go(read_on_fiber, NULL), 0);
    while (atomic_load(&growth.readers) > 0) {
        for (uint64_t key = STAYING; key < PASSING; key++)
            EXPECT_EQ(rn_map_store(growth.map, key, key * 3), 0);
        rn_yield();
        for (uint64_t key = 0; key < PASSING; key++)
            if (key < STAYING)
                EXPECT_EQ(rn_map_store(growth.map, key, key * 3), 0);
            else
                EXPECT_EQ(rn_map_delete(growth.map, key), 0);
        rn_yield();
    }
    pthread_join(thread, NULL);
    rn_map_free(growth.map);
}

/* ---- garbage is bounded ---- */

#define LARGE_BYTES 4096

struct large {
    char bytes[LARGE_BYTES];
};

static size_t resident(void)
{
    size_t size = 0, pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    EXPECT(file != NULL && fscanf(file, "%zu %zu", &size, &pages) == 2);
    fclose(file);
    return pages * 4096;
}

TEST(replaced_values_do_not_pile_up)
{
    static struct large large;
    rn_map(int, struct large) m;
    size_t before;

    EXPECT_EQ(rn_map_new(&m, NULL), 0);
    EXPECT_EQ(rn_map_store(m, 1, large), 0);
    before = resident();
    for (int i = 0; i < 50000; i++) /* 200 MB in all */
        EXPECT_EQ(rn_map_store(m, 1, large), 0);
    EXPECT(UNDER_ASAN || resident() < before + 20 * 1024 * 1024);
    rn_map_free(m);
}

/* More threads than the slots of their own, all alive at once. */
#ifndef SLOTS_MAX
#error "this test counts slots"
#endif

static atomic_int together;

static void *use_at_once(void *arg)
{
    number_map *m = arg;
    uint64_t v;

    atomic_fetch_add(&together, 1);
    EXPECT_EQ(rn_map_store(*m, (uint64_t)atomic_load(&together), 1), 0);
    while (atomic_load(&together) < SLOTS_MAX + 20) {
        rn_map_load(*m, 1, &v);
        sched_yield();
    }
    EXPECT_EQ(rn_map_store(*m, 1, 1), 0);
    return NULL;
}

TEST(threads_beyond_the_slots_share_one)
{
    static pthread_t threads[SLOTS_MAX + 20];
    pthread_attr_t small;
    number_map m;

    if (UNDER_TSAN || UNDER_ASAN)
        return; /* they do not bear so many threads */
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 64 * 1024);
    EXPECT_EQ(rn_map_new(&m, NULL), 0);
    for (int i = 0; i < SLOTS_MAX + 20; i++)
        EXPECT_EQ(pthread_create(&threads[i], &small, use_at_once, &m), 0);
    for (int i = 0; i < SLOTS_MAX + 20; i++)
        pthread_join(threads[i], NULL);
    EXPECT_EQ(rn_map_load(m, 1, NULL), 0);
    rn_map_free(m);
}
