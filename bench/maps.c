/*
 * Once, object pool, concurrent map and reader-writer lock. The twin of go/maps.go.
 *
 * The map has a thousand integer keys, as has Go's; each operation draws its key with the same
 * generator on both sides. map_mixed is one fiber for each worker: nine loads and a store.
 */
#include "common.h"

#include <runnel.h>

#include <string.h>

enum {
    KEYS = 1024,
    SHARE = 10,       /* one operation in so many of map_mixed is a store */
    NEW_KEYS = 100000 /* in each map that map_new fills */
};

typedef rn_map(uint64_t, uint64_t) number_map;

static uint64_t draw(uint64_t *random)
{
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random % KEYS;
}

/* ---- once ---- */

static int nothing(void *arg)
{
    ++*(long *)arg;
    return 0;
}

static void once_round(long n)
{
    static rn_once once;
    static long runs;

    for (long i = 0; i < n; i++) {
        rn_once_do(&once, nothing, &runs);
        __asm__ volatile("" ::: "memory");
    }
    bench_check(runs == 1);
}

void case_once(void)
{
    bench_report("once", bench_measure(1, once_round));
}

/* ---- object pool ---- */

struct buffer {
    char bytes[1024];
};

static rn_object_pool(struct buffer) buffers;

static void object_pool_round(long n)
{
    struct buffer *b;

    for (long i = 0; i < n; i++) {
        bench_check(rn_object_pool_get(buffers, &b) == 0);
        b->bytes[0]++;
        rn_object_pool_put(buffers, b);
    }
}

void case_object_pool(void)
{
    bench_check(rn_object_pool_new(&buffers, NULL) == 0);
    bench_report("object_pool", bench_measure(1, object_pool_round));
    rn_object_pool_free(buffers);
}

/* ---- map ---- */

static number_map map;

static void fill_map(void)
{
    bench_check(rn_map_new(&map, NULL) == 0);
    for (uint64_t key = 0; key < KEYS; key++)
        bench_check(rn_map_store(map, key, key) == 0);
}

static void load_round(long n)
{
    uint64_t random = 1, value, key;

    for (long i = 0; i < n; i++) {
        key = draw(&random);
        bench_check(rn_map_load(map, key, &value) == 0 && value == key);
    }
}

void case_map_load(void)
{
    fill_map();
    bench_report("map_load", bench_measure(1, load_round));
    rn_map_free(map);
}

static void store_round(long n)
{
    uint64_t random = 1, key;

    for (long i = 0; i < n; i++) {
        key = draw(&random);
        bench_check(rn_map_store(map, key, key) == 0);
    }
}

void case_map_store(void)
{
    fill_map();
    bench_report("map_store", bench_measure(1, store_round));
    rn_map_free(map);
}

static void new_round(long n)
{
    uint64_t actual;

    for (long done = 0; done < n; done += NEW_KEYS) {
        number_map m;
        bench_check(rn_map_new(&m, NULL) == 0);
        for (uint64_t key = 0; key < NEW_KEYS; key++)
            bench_check(rn_map_load_or_store(m, key, key, &actual) == 0 && actual == key);
        rn_map_free(m);
    }
}

void case_map_new(void)
{
    bench_report("map_new", bench_measure(NEW_KEYS, new_round));
}

struct mixer {
    rn_wait_group *wg;
    uint64_t random;
    long times;
};

static void mix(void *arg)
{
    struct mixer *m = arg;
    uint64_t value, key;

    for (long i = 0; i < m->times; i++) {
        key = draw(&m->random);
        if (i % SHARE == 0)
            bench_check(rn_map_store(map, key, key) == 0);
        else
            bench_check(rn_map_load(map, key, &value) == 0 && value == key);
    }
    rn_wait_group_done(m->wg);
}

/* One fiber a worker; n operations in all. */
static void on_each_worker(void (*fn)(void *arg), long n)
{
    rn_wait_group wg = {0};
    int workers = rn_workers();

    rn_wait_group_add(&wg, workers);
    for (int i = 0; i < workers; i++)
        bench_check(rn_go_copy(fn, &(struct mixer){&wg, (uint64_t)i + 1, n / workers}) == 0);
    bench_check(rn_wait_group_wait(NULL, &wg) == 0);
}

static void mixed_round(long n)
{
    on_each_worker(mix, n);
}

void case_map_mixed(void)
{
    fill_map();
    bench_report("map_mixed", bench_measure(rn_workers(), mixed_round));
    rn_map_free(map);
}

/* ---- reader-writer lock ---- */

static rn_rwmutex lock;

static void read_round(long n)
{
    for (long i = 0; i < n; i++) {
        rn_rwmutex_rlock(&lock);
        rn_rwmutex_runlock(&lock);
    }
}

void case_rwmutex(void)
{
    bench_report("rwmutex", bench_measure(1, read_round));
}

static void read_some(void *arg)
{
    struct mixer *m = arg;

    read_round(m->times);
    rn_wait_group_done(m->wg);
}

static void read_2_round(long n)
{
    rn_wait_group wg = {0};

    rn_wait_group_add(&wg, 2);
    for (int i = 0; i < 2; i++)
        bench_check(rn_go_copy(read_some, &(struct mixer){&wg, 1, n / 2}) == 0);
    bench_check(rn_wait_group_wait(NULL, &wg) == 0);
}

/* Two fibers read at once. */
void case_rwmutex_2(void)
{
    bench_report("rwmutex_2", bench_measure(2, read_2_round));
}
