/* The concurrent map: each operation, kinds of keys, the life of values, misuse. */
#include "core.h"
#include "test.h"

#include <pthread.h>
#include <runnel/clock.h>
#include <runnel/map.h>
#include <unistd.h>

#define MANY 20000

typedef rn_map(uint32_t, long) number_map;
typedef rn_map(const char *, int) text_map;

static number_map numbers(void)
{
    number_map m;

    EXPECT_EQ(rn_map_new(&m, NULL), 0);
    return m;
}

TEST(load_gives_what_was_stored)
{
    number_map m = numbers();
    long v = -1;

    EXPECT_EQ(rn_map_load(m, 1, &v), -ENOENT);
    EXPECT_EQ(v, -1);
    EXPECT_EQ(rn_map_store(m, 1, 10), 0);
    EXPECT_EQ(rn_map_load(m, 1, &v), 0);
    EXPECT_EQ(v, 10);
    EXPECT_EQ(rn_map_store(m, 1, 11), 0);
    EXPECT_EQ(rn_map_load(m, 1, &v), 0);
    EXPECT_EQ(v, 11);
    EXPECT_EQ(rn_map_load(m, 1, NULL), 0);
    EXPECT_EQ(rn_map_len(m), 1);
    rn_map_free(m);
}

TEST(load_or_store_tells_who_was_first)
{
    number_map m = numbers();
    long v = -1;

    EXPECT_EQ(rn_map_load_or_store(m, 1, 10, &v), 0);
    EXPECT_EQ(v, 10);
    EXPECT_EQ(rn_map_load_or_store(m, 1, 20, &v), -EEXIST);
    EXPECT_EQ(v, 10);
    EXPECT_EQ(rn_map_load_or_store(m, 1, 20, NULL), -EEXIST);
    EXPECT_EQ(rn_map_load_or_store(m, 2, 20, NULL), 0);
    EXPECT_EQ(rn_map_len(m), 2);
    rn_map_free(m);
}

TEST(swap_and_delete_give_the_value_before)
{
    number_map m = numbers();
    long v = -1;

    EXPECT_EQ(rn_map_swap(m, 1, 10, &v), 0);
    EXPECT_EQ(v, -1);
    EXPECT_EQ(rn_map_swap(m, 1, 11, &v), 1);
    EXPECT_EQ(v, 10);
    EXPECT_EQ(rn_map_swap(m, 1, 12, NULL), 1);
    EXPECT_EQ(rn_map_load_and_delete(m, 1, &v), 0);
    EXPECT_EQ(v, 12);
    EXPECT_EQ(rn_map_load_and_delete(m, 1, &v), -ENOENT);
    EXPECT_EQ(rn_map_delete(m, 1), -ENOENT);
    rn_map_store(m, 1, 1);
    EXPECT_EQ(rn_map_delete(m, 1), 0);
    EXPECT_EQ(rn_map_len(m), 0);
    rn_map_free(m);
}

TEST(compare_changes_only_the_expected_value)
{
    number_map m = numbers();
    long v = -1;

    EXPECT_EQ(rn_map_compare_and_swap(m, 1, 1, 2), -ENOENT);
    EXPECT_EQ(rn_map_compare_and_delete(m, 1, 1), -ENOENT);
    rn_map_store(m, 1, 1);
    EXPECT_EQ(rn_map_compare_and_swap(m, 1, 5, 2), -EAGAIN);
    EXPECT_EQ(rn_map_compare_and_swap(m, 1, 1, 2), 0);
    EXPECT_EQ(rn_map_load(m, 1, &v), 0);
    EXPECT_EQ(v, 2);
    EXPECT_EQ(rn_map_compare_and_delete(m, 1, 1), -EAGAIN);
    EXPECT_EQ(rn_map_compare_and_delete(m, 1, 2), 0);
    EXPECT_EQ(rn_map_len(m), 0);
    rn_map_free(m);
}

static bool same_last_digit(void *arg, const void *a, const void *b)
{
    EXPECT(arg == (void *)7);
    return *(const long *)a % 10 == *(const long *)b % 10;
}

TEST(equal_is_the_programs)
{
    number_map m;

    EXPECT_EQ(rn_map_new(&m, &(rn_map_config){.equal = same_last_digit, .arg = (void *)7}), 0);
    rn_map_store(m, 1, 15);
    EXPECT_EQ(rn_map_compare_and_swap(m, 1, 14, 0), -EAGAIN);
    EXPECT_EQ(rn_map_compare_and_swap(m, 1, 25, 33), 0);
    EXPECT_EQ(rn_map_compare_and_delete(m, 1, 3), 0);
    rn_map_free(m);
}

/* What compute's function is told to do, and sees. */
struct step {
    int wanted, calls;
    long sees; /* -1: nothing */
    number_map also;
};

static int take_step(void *arg, const long *old, long *value)
{
    struct step *s = arg;

    EXPECT_EQ(*value, 0);
    s->calls++;
    s->sees = old == NULL ? -1 : *old;
    *value = s->sees + 100;
    if (s->also != NULL && s->calls == 1)
        rn_map_store(s->also, 1, 1000); /* behind its own back */
    return s->wanted;
}

TEST(compute_stores_deletes_and_keeps)
{
    number_map m = numbers();
    struct step s = {.wanted = RN_MAP_KEEP};
    long v;

    EXPECT_EQ(rn_map_compute(m, 1, take_step, &s), RN_MAP_KEEP);
    EXPECT_EQ(s.sees, -1);
    EXPECT_EQ(rn_map_len(m), 0);
    s.wanted = RN_MAP_DELETE;
    EXPECT_EQ(rn_map_compute(m, 1, take_step, &s), RN_MAP_DELETE);
    s.wanted = RN_MAP_STORE;
    EXPECT_EQ(rn_map_compute(m, 1, take_step, &s), RN_MAP_STORE);
    EXPECT_EQ(rn_map_compute(m, 1, take_step, &s), RN_MAP_STORE);
    EXPECT_EQ(s.sees, 99);
    EXPECT_EQ(rn_map_load(m, 1, &v), 0);
    EXPECT_EQ(v, 199);
    s.wanted = -EIO;
    EXPECT_EQ(rn_map_compute(m, 1, take_step, &s), -EIO);
    s.wanted = -EBUSY;
    EXPECT_EQ(rn_map_compute(m, 1, take_step, &s), -EBUSY);
    s.wanted = 3;
    EXPECT_EQ(rn_map_compute(m, 1, take_step, &s), -EINVAL);
    EXPECT_STR(rn_error_detail(), "map: compute's function returned 3: allowed are 0 to 2");
    s.wanted = RN_MAP_DELETE;
    EXPECT_EQ(rn_map_compute(m, 1, take_step, &s), RN_MAP_DELETE);
    EXPECT_EQ(rn_map_len(m), 0);
    rn_map_free(m);
}

TEST(compute_starts_again_when_another_came_between)
{
    number_map m = numbers();
    struct step s = {.wanted = RN_MAP_STORE, .also = m};
    long v;

    EXPECT_EQ(rn_map_compute(m, 1, take_step, &s), RN_MAP_STORE);
    EXPECT_EQ(s.calls, 2);
    EXPECT_EQ(s.sees, 1000);
    EXPECT_EQ(rn_map_load(m, 1, &v), 0);
    EXPECT_EQ(v, 1100);
    rn_map_free(m);
}

TEST(it_grows_shrinks_and_clears)
{
    number_map m = numbers();
    rn_map_stats stats;
    uint64_t bytes;
    long v;

    for (int i = 0; i < MANY; i++)
        EXPECT_EQ(rn_map_store(m, i, i), 0);
    for (int i = 0; i < MANY; i++) {
        EXPECT_EQ(rn_map_load(m, i, &v), 0);
        EXPECT_EQ(v, i);
    }
    rn_map_stats_read(m, &stats);
    EXPECT_EQ(stats.keys, MANY);
    EXPECT(stats.segments >= MANY / 256 && stats.bytes < MANY * 64);
    bytes = stats.bytes;
    for (int i = 0; i < MANY; i++)
        EXPECT_EQ(rn_map_delete(m, i), 0);
    rn_map_stats_read(m, &stats);
    EXPECT_EQ(stats.keys, 0);
    EXPECT(stats.bytes < bytes / 4);
    for (int i = 0; i < MANY; i++)
        EXPECT_EQ(rn_map_store(m, i, i), 0);
    EXPECT_EQ(rn_map_clear(m), 0);
    EXPECT_EQ(rn_map_len(m), 0);
    EXPECT_EQ(rn_map_load(m, 5, &v), -ENOENT);
    rn_map_stats_read(m, &stats);
    EXPECT(stats.segments < 100);
    EXPECT_EQ(stats.stored, 2 * MANY);
    EXPECT_EQ(stats.replaced, 0);
    EXPECT_EQ(stats.deleted, 2 * MANY);
    rn_map_free(m);
}

TEST(replaced_values_are_counted_also_over_growth_and_clear)
{
    number_map m = numbers();
    rn_map_stats stats;

    for (int turn = 0; turn < 3; turn++) {
        for (int i = 0; i < 1000; i++)
            EXPECT_EQ(rn_map_store(m, i * (turn + 1), i), 0);
        rn_map_stats_read(m, &stats);
        EXPECT_EQ(stats.stored + stats.replaced, (turn + 1) * 1000);
    }
    EXPECT_EQ(rn_map_clear(m), 0);
    rn_map_stats_read(m, &stats);
    EXPECT_EQ(stats.replaced, 3000 - stats.stored);
    EXPECT(stats.replaced > 500);
    rn_map_free(m);
}

struct growth {
    number_map m;
    int events;
    uint64_t segments;
};

static void note_grown(void *arg, uint64_t segments)
{
    struct growth *g = arg;
    rn_map_stats stats;

    rn_map_stats_read(g->m, &stats); /* under no lock */
    EXPECT_EQ(segments, stats.segments);
    EXPECT_EQ(segments, g->segments + 1);
    g->segments = segments;
    g->events++;
    EXPECT_EQ(rn_map_store(g->m, -1, -1), 0);
}

TEST(growing_is_told)
{
    struct growth g = {.events = 0};
    rn_map_stats stats;

    EXPECT_EQ(rn_map_new(&g.m, &(rn_map_config){.on_grown = note_grown, .events_arg = &g}), 0);
    EXPECT_EQ(rn_map_store(g.m, -1, -1), 0);
    for (int turn = 0; turn < 2; turn++) {
        rn_map_stats_read(g.m, &stats);
        g.segments = stats.segments;
        g.events = 0;
        for (int i = 0; i < MANY; i++)
            EXPECT_EQ(rn_map_store(g.m, i, i), 0);
        EXPECT(g.events >= MANY / 256 - 32);
        EXPECT_EQ(rn_map_clear(g.m), 0);
    }
    rn_map_free(g.m);
}

/* ---- keys ---- */

TEST(integers_are_converted_to_the_key_type)
{
    number_map m = numbers();
    rn_map(int8_t, int) small;
    int v;
    long n;

    rn_map_store(m, -1, 5);
    EXPECT_EQ(rn_map_load(m, UINT32_MAX, &n), 0);
    EXPECT_EQ(rn_map_load(m, 0x1ffffffffull, &n), 0);
    EXPECT_EQ(rn_map_new(&small, NULL), 0);
    rn_map_store(small, -1, 1);
    EXPECT_EQ(rn_map_load(small, 255, &v), 0);
    rn_map_free(small);
    rn_map_free(m);
}

TEST(strings_are_compared_by_their_text)
{
    text_map m;
    char key[] = "blue";
    int v;

    EXPECT_EQ(rn_map_new(&m, NULL), 0);
    EXPECT_EQ(rn_map_store(m, key, 1), 0);
    key[0] = 'g';
    EXPECT_EQ(rn_map_load(m, "blue", &v), 0);
    EXPECT_EQ(rn_map_load(m, key, &v), -ENOENT);
    EXPECT_EQ(rn_map_store(m, "", 2), 0);
    EXPECT_EQ(rn_map_load(m, "", &v), 0);
    EXPECT_EQ(v, 2);
    rn_map_free(m);
}

struct pair {
    uint64_t a, b, c;
};

static rn_map_bytes prefix(const char *text, size_t size)
{
    return (rn_map_bytes){text, size};
}

TEST(bytes_structs_and_pointers_are_keys)
{
    rn_map(rn_map_bytes, int) bytes;
    rn_map(struct pair, struct pair) pairs;
    rn_map(int *, int) pointers;
    const char *text = "The quick brown fox jumps over the lazy dog, and back again.";
    struct pair p;
    int v, a = 0, b = 0;

    EXPECT_EQ(rn_map_new(&bytes, NULL), 0);
    for (int i = 0; i <= 60; i++)
        EXPECT_EQ(rn_map_store(bytes, prefix(text, (size_t)i), i), 0);
    for (int i = 0; i <= 60; i++) {
        EXPECT_EQ(rn_map_load(bytes, prefix(text, (size_t)i), &v), 0);
        EXPECT_EQ(v, i);
    }
    rn_map_free(bytes);
    EXPECT_EQ(rn_map_new(&pairs, NULL), 0);
    rn_map_store(pairs, ((struct pair){1, 2, 3}), (struct pair){4, 5, 6});
    EXPECT_EQ(rn_map_load(pairs, ((struct pair){1, 2, 3}), &p), 0);
    EXPECT(p.a == 4 && p.c == 6);
    EXPECT_EQ(rn_map_load(pairs, ((struct pair){1, 2, 4}), &p), -ENOENT);
    rn_map_free(pairs);
    EXPECT_EQ(rn_map_new(&pointers, NULL), 0);
    rn_map_store(pointers, &a, 1);
    EXPECT_EQ(rn_map_load(pointers, &a, &v), 0);
    EXPECT_EQ(rn_map_load(pointers, &b, &v), -ENOENT);
    rn_map_free(pointers);
}

/* ---- range ---- */

struct seen {
    unsigned char times[MANY];
    int count, stop_after;
    number_map mutate;
};

static int see(void *arg, const uint32_t *key, const long *value)
{
    struct seen *s = arg;

    EXPECT(*key < MANY && *value == (long)*key);
    s->times[*key]++;
    if (s->mutate != NULL) { /* odd keys come and go, even ones stay */
        uint32_t odd = (*key * 7919 | 1) % MANY;
        if (rn_map_delete(s->mutate, odd) != 0)
            EXPECT_EQ(rn_map_store(s->mutate, odd, odd), 0);
        rn_yield();
    }
    return ++s->count == s->stop_after ? 42 : 0;
}

TEST_FIBER(range_shows_each_key_once_while_others_come_and_go)
{
    number_map m = numbers();
    static struct seen s;

    for (int mutating = 0; mutating < 2; mutating++) {
        for (int i = 0; i < MANY; i++)
            EXPECT_EQ(rn_map_store(m, i, i), 0);
        s = (struct seen){.mutate = mutating ? m : NULL};
        EXPECT_EQ(rn_map_range(m, see, &s), 0);
        for (int i = 0; i < MANY; i++)
            EXPECT(s.times[i] == 1 || (mutating && i % 2 == 1 && s.times[i] == 0));
    }
    rn_map_free(m);
}

TEST(range_stops_when_told)
{
    number_map m = numbers();
    static struct seen s = {.stop_after = 5};

    for (int i = 0; i < 100; i++)
        rn_map_store(m, i, i);
    EXPECT_EQ(rn_map_range(m, see, &s), 42);
    EXPECT_EQ(s.count, 5);
    rn_map_free(m);
}

static int clear_in_range(void *arg, const uint32_t *key, const long *value)
{
    number_map *m = arg;
    long same = *value;

    EXPECT_EQ(rn_map_clear(*m), 0);
    EXPECT_EQ(*value, same); /* held */
    EXPECT_EQ(*key, same);
    return 0;
}

TEST(range_survives_a_clear)
{
    number_map m = numbers();

    for (int i = 0; i < MANY; i++)
        rn_map_store(m, i, i);
    EXPECT_EQ(rn_map_range(m, clear_in_range, &m), 0);
    EXPECT_EQ(rn_map_len(m), 0);
    rn_map_free(m);
}

static int add_length(void *sum, const char *const *key, const int *value)
{
    EXPECT_EQ(strlen(*key), *value);
    *(int *)sum += *value;
    return 0;
}

static int add_size(void *sum, const rn_map_bytes *key, const int *value)
{
    EXPECT_EQ(key->size, *value);
    *(int *)sum += *value;
    return 0;
}

TEST(range_shows_strings_and_bytes_as_their_type)
{
    text_map m;
    rn_map(rn_map_bytes, int) bytes;
    int sum = 0;

    EXPECT_EQ(rn_map_new(&m, NULL), 0);
    EXPECT_EQ(rn_map_new(&bytes, NULL), 0);
    rn_map_store(m, "one", 3);
    rn_map_store(m, "three", 5);
    rn_map_store(bytes, prefix("ab\0d", 4), 4);
    EXPECT_EQ(rn_map_range(m, add_length, &sum), 0);
    EXPECT_EQ(rn_map_range(bytes, add_size, &sum), 0);
    EXPECT_EQ(sum, 12);
    rn_map_free(m);
    rn_map_free(bytes);
}

/* ---- what is left and held ---- */

struct owner {
    char *memory; /* under ASan a value that is dropped twice or too soon is found */
};

typedef rn_map(int, struct owner) owner_map;

static atomic_int made, dropped;

static struct owner own(int byte)
{
    struct owner o = {malloc(32)};

    memset(o.memory, byte, 32);
    atomic_fetch_add(&made, 1);
    return o;
}

static void drop(void *arg, void *value)
{
    struct owner *o = value;

    EXPECT(arg == &made);
    memset(o->memory, 0xff, 32);
    free(o->memory);
    atomic_fetch_add(&dropped, 1);
}

static owner_map owners(void)
{
    owner_map m;

    EXPECT_EQ(rn_map_new(&m, &(rn_map_config){.drop = drop, .arg = &made}), 0);
    return m;
}

static int replace(void *arg, const struct owner *old, struct owner *value)
{
    owner_map *m = arg;

    if (m != NULL && old != NULL && old->memory[0] == 1)
        EXPECT_EQ(rn_map_store(*m, 1, own(2)), 0); /* the first try is lost */
    *value = own(3);
    return RN_MAP_STORE;
}

TEST(each_value_is_dropped_once)
{
    owner_map m = owners();
    struct owner lost;

    EXPECT_EQ(rn_map_store(m, 1, own(1)), 0);
    EXPECT_EQ(rn_map_store(m, 1, own(1)), 0);
    EXPECT_EQ(atomic_load(&dropped), 1);
    EXPECT_EQ(rn_map_compute(m, 1, replace, &m), RN_MAP_STORE);
    EXPECT_EQ(atomic_load(&made), 5);
    EXPECT_EQ(atomic_load(&dropped), 4);
    lost = own(4);
    EXPECT_EQ(rn_map_load_or_store(m, 1, lost, NULL), -EEXIST);
    EXPECT_EQ(rn_map_compare_and_swap(m, 1, lost, lost), -EAGAIN);
    drop(&made, &lost); /* it stayed ours */
    EXPECT_EQ(rn_map_swap(m, 1, own(5), NULL), 1);
    EXPECT_EQ(rn_map_delete(m, 1), 0);
    EXPECT_EQ(atomic_load(&made), atomic_load(&dropped));
    for (int i = 0; i < 1000; i++)
        EXPECT_EQ(rn_map_store(m, i, own(i)), 0);
    EXPECT_EQ(rn_map_clear(m), 0);
    EXPECT_EQ(atomic_load(&made), atomic_load(&dropped));
    for (int i = 0; i < 1000; i++)
        EXPECT_EQ(rn_map_store(m, i, own(i)), 0);
    rn_map_free(m);
    EXPECT_EQ(atomic_load(&made), atomic_load(&dropped));
}

TEST(a_held_value_outlives_its_key)
{
    owner_map m = owners();
    const struct owner *a, *b;
    rn_map_stats stats;

    EXPECT(rn_map_acquire(m, 1) == NULL);
    EXPECT_EQ(rn_map_acquire_or_store(m, 1, own(1), &a), 0);
    b = rn_map_acquire(m, 1);
    EXPECT(a == b);
    EXPECT_EQ(rn_map_delete(m, 1), 0);
    EXPECT_EQ(atomic_load(&dropped), 0);
    rn_map_stats_read(m, &stats);
    EXPECT_EQ(stats.undropped, 1);
    rn_map_release(m, a);
    EXPECT_EQ(b->memory[31], 1);
    rn_map_release(m, b);
    EXPECT_EQ(atomic_load(&dropped), 1);
    rn_map_stats_read(m, &stats);
    EXPECT_EQ(stats.undropped, 0);
    rn_map_release(m, (const struct owner *)NULL);
    rn_map_free(m);
}

TEST(acquire_or_store_holds_what_is_there)
{
    owner_map m = owners();
    struct owner second = own(2);
    const struct owner *a, *b;

    EXPECT_EQ(rn_map_acquire_or_store(m, 1, own(1), &a), 0);
    EXPECT_EQ(rn_map_acquire_or_store(m, 1, second, &b), -EEXIST);
    EXPECT(a == b && b->memory[0] == 1);
    drop(&made, &second);
    EXPECT_EQ(rn_map_clear(m), 0);
    EXPECT_EQ(atomic_load(&dropped), 1);
    rn_map_release(m, a);
    rn_map_release(m, b);
    EXPECT_EQ(atomic_load(&dropped), 2);
    rn_map_free(m);
}

TEST(a_map_with_drop_copies_nothing_out)
{
    owner_map m = owners();
    const char *sentence = "map: a map with .drop copies no values out: use rn_map_acquire";
    struct owner o = own(1);

    EXPECT_EQ(rn_map_store(m, 1, own(1)), 0);
    EXPECT_EQ(rn_map_load(m, 1, &o), -EINVAL);
    EXPECT_STR(rn_error_detail(), sentence);
    EXPECT_EQ(rn_map_swap(m, 1, o, &o), -EINVAL);
    EXPECT_EQ(rn_map_load_and_delete(m, 1, &o), -EINVAL);
    EXPECT_EQ(rn_map_load_or_store(m, 1, o, &o), -EINVAL);
    EXPECT_EQ(rn_map_load(m, 1, NULL), 0);
    drop(&made, &o);
    rn_map_free(m);
}

static void *hold_and_let_go(void *arg)
{
    owner_map *m = arg;
    const struct owner *o = rn_map_acquire(*m, 1);

    EXPECT_EQ(rn_map_delete(*m, 1), 0);
    EXPECT_EQ(o->memory[5], 1);
    rn_map_release(*m, o);
    return NULL;
}

TEST(plain_threads_without_a_runtime)
{
    owner_map m = owners();
    pthread_t thread;

    EXPECT_EQ(rn_map_store(m, 1, own(1)), 0);
    EXPECT_EQ(pthread_create(&thread, NULL, hold_and_let_go, &m), 0);
    pthread_join(thread, NULL);
    EXPECT_EQ(atomic_load(&dropped), 1);
    rn_map_free(m);
    EXPECT_EQ(rn_clock_virtual(0), 0); /* the runtime was not started */
}

static void store_while_dropping(void *arg, void *value)
{
    rn_map(int, int) *m = arg;

    if (*(int *)value > 0)
        EXPECT_EQ(rn_map_store(*m, 1, *(int *)value - 1), 0);
    rn_yield(); /* no lock is held */
}

TEST_FIBER(drop_may_use_the_map)
{
    rn_map(int, int) m;

    EXPECT_EQ(rn_map_new(&m, &(rn_map_config){.drop = store_while_dropping, .arg = &m}), 0);
    EXPECT_EQ(rn_map_store(m, 1, 10), 0);
    EXPECT_EQ(rn_map_delete(m, 1), 0);
    EXPECT_EQ(rn_map_load(m, 1, NULL), 0);
    EXPECT_EQ(rn_map_delete(m, 1), 0);
    while (rn_map_len(m) != 0)
        EXPECT_EQ(rn_map_delete(m, 1), 0);
    rn_map_free(m);
}

/* ---- configuration, misuse, dumps ---- */

TEST(a_wrong_shape_is_refused)
{
    struct rn_map *m = (struct rn_map *)1;
    rn_map_bytes big = {"", (size_t)2 << 30};

    EXPECT_EQ(rn_map_new_untyped(&m, 4, 8, 8, NULL), -EINVAL);
    EXPECT_STR(rn_error_detail(), "map: kind is 4: allowed are 0 to 3");
    EXPECT(m == NULL);
    EXPECT_EQ(rn_map_new_untyped(&m, RN_MAP_FIXED, 0, 8, NULL), -EINVAL);
    EXPECT_STR(rn_error_detail(), "map: key_size is 0: allowed are 1 to 1073741824");
    EXPECT_EQ(rn_map_new_untyped(&m, RN_MAP_STRING, 0, SIZE_MAX, NULL), -EINVAL);
    EXPECT(strstr(rn_error_detail(), "map: value_size is ") != NULL);
    rn_map_free_untyped(m);
    EXPECT_EQ(rn_map_new_untyped(&m, RN_MAP_FIXED, 4, 0, NULL), 0);
    EXPECT_EQ(rn_map_store_untyped(m, prefix("12345", 5), ""), -EINVAL);
    EXPECT_STR(rn_error_detail(), "map: a key of 5 bytes: its keys have 4");
    EXPECT_EQ(rn_map_load_or_store_untyped(m, prefix("12345", 5), "", NULL), -EINVAL);
    EXPECT_EQ(rn_map_load_untyped(m, prefix("12345", 5), NULL), -ENOENT);
    EXPECT_EQ(rn_map_store_untyped(m, prefix("1234", 4), ""), 0);
    EXPECT_EQ(rn_map_load_untyped(m, prefix("1234", 4), NULL), 0);
    rn_map_free_untyped(m);
    EXPECT_EQ(rn_map_new_untyped(&m, RN_MAP_BYTES, 0, 0, NULL), 0);
    EXPECT_EQ(rn_map_store_untyped(m, big, ""), -EINVAL);
    EXPECT_STR(rn_error_detail(), "map: a key of 2147483648 bytes: allowed are 0 to 1073741824");
    rn_map_free_untyped(m);
}

TEST_DIES(freeing_a_map_while_a_value_is_held_dies, "freed while a value of it is held", SIGABRT)
{
    number_map m = numbers();

    rn_map_store(m, 1, 1);
    (void)rn_map_acquire(m, 1);
    rn_map_free(m);
}

TEST_DIES(freeing_a_map_while_a_deleted_value_is_held_dies, "while a value of it is held", SIGABRT)
{
    owner_map m = owners();
    const struct owner *o;

    rn_map_acquire_or_store(m, 1, own(1), &o);
    rn_map_delete(m, 1);
    rn_map_free(m);
}

TEST_DIES(a_dump_shows_a_named_map, "^map \"sessions\" \\[2 keys\\]\n$", 0)
{
    number_map m;

    EXPECT_EQ(rn_map_new(&m, &(rn_map_config){.name = "sessions"}), 0);
    rn_map_store(m, 1, 1);
    rn_map_store(m, 2, 1);
    rn_dump(1);
    rn_map_free(m);
    rn_dump(1);
    exit(0);
}
