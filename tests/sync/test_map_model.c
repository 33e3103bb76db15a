/*
 * The concurrent map against an array: thousands of seeds, each a few hundred random operations on
 * a few keys or on many. A seed that fails is printed; MAP_SEED=N runs that one alone.
 */
/* ctest: WORKERS=1 */
#include "core.h"
#include "sync/map_table.h"
#include "test.h"

#include <runnel/map.h>

#define SEEDS 2000
#define KEYS_MAX 3000
#define CHECK_EVERY 64

typedef rn_map(const char *, long) text_map;
typedef rn_map(uint16_t, long) number_map;

static struct model {
    uint64_t seed, random;
    long values[KEYS_MAX]; /* 0: not there */
    bool seen[KEYS_MAX];
    size_t len;
    int keys;
    number_map numbers;
    text_map texts; /* the same, under the number's digits */
} model;

#define AGREE(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            test_failed(__FILE__, __LINE__, "seed %llu: not so: %s",                               \
                        (unsigned long long)model.seed, #condition);                               \
    } while (0)

static uint32_t next(uint32_t below)
{
    model.random = model.random * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)((model.random >> 33) % below);
}

static void set(int key, long value)
{
    model.len += (value != 0) - (model.values[key] != 0);
    model.values[key] = value;
}

static int add(void *arg, const long *old, long *value)
{
    long by = *(long *)arg;

    *value = (old == NULL ? 0 : *old) + by;
    if (*value % 7 == 0)
        return RN_MAP_DELETE;
    return *value % 5 == 0 ? RN_MAP_KEEP : RN_MAP_STORE;
}

static void compute(int key, const char *text, long by)
{
    long expected = model.values[key] + by;
    int wanted = expected % 7 == 0 ? RN_MAP_DELETE : expected % 5 == 0 ? RN_MAP_KEEP : RN_MAP_STORE;

    AGREE(rn_map_compute(model.numbers, key, add, &by) == wanted);
    AGREE(rn_map_compute(model.texts, text, add, &by) == wanted);
    if (wanted != RN_MAP_KEEP)
        set(key, wanted == RN_MAP_STORE ? expected : 0);
}

static void change(int key, const char *text, long value)
{
    long old = 0, other = 0, was = model.values[key];
    int result;

    switch (next(4)) {
    case 0:
        AGREE(rn_map_store(model.numbers, key, value) == 0);
        AGREE(rn_map_store(model.texts, text, value) == 0);
        set(key, value);
        break;
    case 1:
        result = rn_map_load_or_store(model.numbers, key, value, &old);
        AGREE(rn_map_load_or_store(model.texts, text, value, &other) == result && old == other);
        AGREE(result == (was != 0 ? -EEXIST : 0) && old == (was != 0 ? was : value));
        if (result == 0)
            set(key, value);
        break;
    case 2:
        result = rn_map_swap(model.numbers, key, value, &old);
        AGREE(rn_map_swap(model.texts, text, value, &other) == result && old == other);
        AGREE(result == (was != 0) && old == was);
        set(key, value);
        break;
    default:
        other = next(2) ? was : value + 1;
        result = rn_map_compare_and_swap(model.numbers, key, other, value);
        AGREE(rn_map_compare_and_swap(model.texts, text, other, value) == result);
        AGREE(result == (was == 0 ? -ENOENT : was == other ? 0 : -EAGAIN));
        if (result == 0)
            set(key, value);
    }
}

static void take(int key, const char *text)
{
    long old = 0, other = 0, was = model.values[key];
    int result;

    if (next(2)) {
        result = rn_map_load_and_delete(model.numbers, key, &old);
        AGREE(rn_map_load_and_delete(model.texts, text, &other) == result && old == other);
        AGREE(result == (was != 0 ? 0 : -ENOENT) && old == was);
        set(key, 0);
        return;
    }
    other = next(2) ? was : was + 1;
    result = rn_map_compare_and_delete(model.numbers, key, other);
    AGREE(rn_map_compare_and_delete(model.texts, text, other) == result);
    AGREE(result == (was == 0 ? -ENOENT : was == other ? 0 : -EAGAIN));
    if (result == 0)
        set(key, 0);
}

static void look(int key, const char *text)
{
    long value = 0, other = 0, was = model.values[key];
    const long *held = rn_map_acquire(model.numbers, key);

    AGREE(rn_map_load(model.numbers, key, &value) == (was != 0 ? 0 : -ENOENT) && value == was);
    AGREE(rn_map_load(model.texts, text, &other) == (was != 0 ? 0 : -ENOENT) && other == was);
    AGREE((held == NULL ? 0 : *held) == was);
    rn_map_release(model.numbers, held);
}

static int visit(void *arg, const uint16_t *key, const long *value)
{
    AGREE(*key < model.keys && !model.seen[*key] && model.values[*key] == *value);
    model.seen[*key] = true;
    ++*(size_t *)arg;
    return 0;
}

static void check_all(void)
{
    size_t count = 0;

    AGREE(table_check((struct table *)rn_map_untyped(model.numbers)) == 0);
    AGREE(table_check((struct table *)rn_map_untyped(model.texts)) == 0);
    AGREE(rn_map_len(model.numbers) == model.len && rn_map_len(model.texts) == model.len);
    memset(model.seen, 0, sizeof model.seen);
    AGREE(rn_map_range(model.numbers, visit, &count) == 0);
    AGREE(count == model.len);
}

static void clear(void)
{
    AGREE(rn_map_clear(model.numbers) == 0 && rn_map_clear(model.texts) == 0);
    memset(model.values, 0, sizeof model.values);
    model.len = 0;
}

/* Phases lean to storing or to deleting, so that it grows and shrinks. */
static void operate(uint32_t share_of_deletes)
{
    int key = (int)next((uint32_t)model.keys);
    char text[16];
    uint32_t what = next(100);

    snprintf(text, sizeof text, "%d", key);
    if (what < 20)
        look(key, text);
    else if (what < 30)
        compute(key, text, (long)next(1000) + 1);
    else if (what < 30 + share_of_deletes)
        take(key, text);
    else
        change(key, text, (long)next(1000000) + 1);
}

static void run_seed(uint64_t seed)
{
    static const int keys[] = {3, 40, 400, KEYS_MAX};
    int phases;

    model = (struct model){.seed = seed, .random = seed, .keys = keys[seed % 4]};
    phases = 2 + (int)next(4);
    AGREE(rn_map_new(&model.numbers, NULL) == 0 && rn_map_new(&model.texts, NULL) == 0);
    for (int phase = 0; phase < phases; phase++) {
        uint32_t deletes = next(71);
        for (int i = 0; i < model.keys * 2; i++) {
            operate(deletes);
            if (next(CHECK_EVERY * (uint32_t)model.keys) < 40)
                check_all();
        }
        if (next(6) == 0)
            clear();
        check_all();
    }
    rn_map_free(model.numbers);
    rn_map_free(model.texts);
}

TEST(the_map_does_what_an_array_does)
{
    const char *only = getenv("MAP_SEED");

    if (only != NULL) {
        run_seed(strtoull(only, NULL, 10));
        return;
    }
    for (int seed = 0; seed < rounds(SEEDS); seed++)
        run_seed((uint64_t)seed);
}
