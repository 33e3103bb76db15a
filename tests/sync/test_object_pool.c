/* The object pool: reuse, callbacks, ageing by a clock and by a call, the limit, poison, misuse. */
#include "core.h"
#include "test.h"

#include <pthread.h>
#include <runnel/clock.h>
#include <runnel/object_pool.h>

struct buffer {
    char *memory;
    int uses;
    char text[36];
};

typedef rn_object_pool(struct buffer) buffer_pool;

/* What the callbacks have done; they get it as arg. */
struct counts {
    atomic_int constructed, reset, destroyed;
    int fail_from; /* construct fails when so many are made; 0: never */
};

static int construct(void *arg, void *object)
{
    struct counts *c = arg;
    struct buffer *b = object;

    EXPECT(b->memory == NULL && b->uses == 0);
    if (c->fail_from != 0 && atomic_load(&c->constructed) >= c->fail_from)
        return -EMFILE;
    b->memory = malloc(16);
    atomic_fetch_add(&c->constructed, 1);
    return 0;
}

static void reset(void *arg, void *object)
{
    ((struct buffer *)object)->text[0] = 0;
    atomic_fetch_add(&((struct counts *)arg)->reset, 1);
}

static void destroy(void *arg, void *object)
{
    struct buffer *b = object;

    EXPECT(b->text[0] == 0);
    free(b->memory);
    atomic_fetch_add(&((struct counts *)arg)->destroyed, 1);
}

static buffer_pool buffers(struct counts *c, rn_object_pool_config config)
{
    buffer_pool pool;

    config.construct = construct;
    config.reset = reset;
    config.destroy = destroy;
    config.arg = c;
    EXPECT_EQ(rn_object_pool_new(&pool, &config), 0);
    return pool;
}

static struct buffer *get(buffer_pool pool)
{
    struct buffer *b = NULL;

    EXPECT_EQ(rn_object_pool_get(pool, &b), 0);
    b->uses++;
    return b;
}

static rn_object_pool_stats stats_of(buffer_pool pool)
{
    rn_object_pool_stats stats;

    rn_object_pool_stats_read(pool, &stats);
    return stats;
}

TEST(the_last_object_put_is_the_first_taken)
{
    struct counts c = {0};
    buffer_pool pool = buffers(&c, (rn_object_pool_config){0});
    struct buffer *a = get(pool), *b = get(pool);

    EXPECT(a != b && (uintptr_t)a % 16 == 0);
    strcpy(a->text, "full");
    rn_object_pool_put(pool, a);
    EXPECT_EQ(atomic_load(&c.reset), 1);
    rn_object_pool_put(pool, b);
    EXPECT(get(pool) == b);
    EXPECT_EQ(b->uses, 2);
    EXPECT(get(pool) == a);
    EXPECT_EQ(a->text[0], 0);
    EXPECT_EQ(atomic_load(&c.constructed), 2);
    rn_object_pool_put(pool, a);
    rn_object_pool_put(pool, b);
    rn_object_pool_put(pool, (struct buffer *)NULL);
    EXPECT_EQ(stats_of(pool).idle, 2);
    EXPECT_EQ(stats_of(pool).gets, 4);
    EXPECT_EQ(stats_of(pool).puts, 4);
    rn_object_pool_free(pool);
    EXPECT_EQ(atomic_load(&c.destroyed), 2);
}

TEST(a_failing_construct_is_told)
{
    struct counts c = {.fail_from = 1};
    buffer_pool pool = buffers(&c, (rn_object_pool_config){0});
    struct buffer *a = get(pool), *b = a;

    EXPECT_EQ(rn_object_pool_get(pool, &b), -EMFILE);
    EXPECT(b == NULL);
    rn_object_pool_put(pool, a);
    rn_object_pool_free(pool);
    EXPECT_EQ(atomic_load(&c.destroyed), 1);
}

TEST(a_discarded_object_is_destroyed)
{
    struct counts c = {0};
    buffer_pool pool = buffers(&c, (rn_object_pool_config){0});

    rn_object_pool_discard(pool, get(pool));
    rn_object_pool_discard(pool, (struct buffer *)NULL);
    EXPECT_EQ(atomic_load(&c.destroyed), 1);
    EXPECT_EQ(atomic_load(&c.reset), 0);
    EXPECT_EQ(stats_of(pool).idle, 0);
    rn_object_pool_free(pool);
}

/* ---- ageing ---- */

TEST(unused_for_two_ageings_is_destroyed)
{
    struct counts c = {0};
    buffer_pool pool = buffers(&c, (rn_object_pool_config){0});
    struct buffer *a = get(pool), *b = get(pool);

    rn_object_pool_put(pool, a);
    rn_object_pool_put(pool, b);
    EXPECT_EQ(rn_object_pool_age(pool), 0);
    EXPECT(get(pool) == b); /* used between the two */
    rn_object_pool_put(pool, b);
    EXPECT_EQ(rn_object_pool_age(pool), 1);
    EXPECT_EQ(stats_of(pool).aged, 1);
    EXPECT(get(pool) == b);
    rn_object_pool_put(pool, b);
    EXPECT_EQ(rn_object_pool_age(pool), 0);
    EXPECT_EQ(rn_object_pool_age(pool), 1);
    EXPECT_EQ(atomic_load(&c.destroyed), 2);
    EXPECT_EQ(rn_object_pool_age(pool), 0);
    rn_object_pool_free(pool);
}

static rn_time own_time;

static rn_time tell(void *arg)
{
    return *(rn_time *)arg;
}

static void use_often(buffer_pool pool)
{
    for (int i = 0; i < 64; i++)
        rn_object_pool_put(pool, get(pool));
}

static void age_in_use(buffer_pool pool, struct counts *c, void (*wait)(rn_duration d))
{
    struct buffer *some[3] = {get(pool), get(pool), get(pool)};

    for (int i = 0; i < 3; i++)
        rn_object_pool_put(pool, some[i]);
    wait(RN_SECOND - 1);
    use_often(pool);
    wait(1);
    use_often(pool); /* first ageing */
    EXPECT_EQ(atomic_load(&c->destroyed), 0);
    wait(RN_SECOND - 1);
    use_often(pool);
    EXPECT_EQ(atomic_load(&c->destroyed), 0);
    wait(1);
    use_often(pool); /* second: one object was in use all the time */
    EXPECT_EQ(atomic_load(&c->destroyed), 2);
    EXPECT_EQ(stats_of(pool).idle, 1);
    rn_object_pool_free(pool);
}

static void turn_on(rn_duration d)
{
    own_time += d;
}

TEST(it_ages_by_a_clock_of_the_programs)
{
    struct counts c = {0};
    rn_clock clock = {.now = tell, .arg = &own_time};

    age_in_use(buffers(&c, (rn_object_pool_config){.ageing_period = RN_SECOND, .clock = &clock}),
               &c, turn_on);
}

static void sleep_for(rn_duration d)
{
    EXPECT_EQ(rn_sleep(NULL, d), 0);
}

TEST_VIRTUAL(it_ages_by_the_runtimes_clock)
{
    struct counts c = {0};

    age_in_use(buffers(&c, (rn_object_pool_config){.ageing_period = RN_SECOND}), &c, sleep_for);
}

TEST_VIRTUAL(a_get_that_finds_nothing_looks_at_the_clock)
{
    struct counts c = {0};
    buffer_pool pool = buffers(&c, (rn_object_pool_config){0});
    struct buffer *a = get(pool);

    sleep_for(RN_MINUTE);
    rn_object_pool_put(pool, a);
    EXPECT(get(pool) == a);
    rn_object_pool_put(pool, get(pool)); /* ages, with nothing idle */
    EXPECT_EQ(rn_object_pool_age(pool), 0);
    EXPECT_EQ(rn_object_pool_age(pool), 1);
    rn_object_pool_put(pool, a);
    rn_object_pool_free(pool);
}

TEST_VIRTUAL(for_ever_is_never)
{
    struct counts c = {0};
    buffer_pool pool = buffers(&c, (rn_object_pool_config){.ageing_period = RN_FOREVER});

    use_often(pool);
    sleep_for(1000 * RN_HOUR);
    use_often(pool);
    sleep_for(1000 * RN_HOUR);
    use_often(pool);
    EXPECT_EQ(atomic_load(&c.constructed), 1);
    EXPECT_EQ(stats_of(pool).aged, 0);
    rn_object_pool_free(pool);
}

/* ---- the limit ---- */

TEST(no_more_is_idle_than_bytes_max)
{
    struct counts c = {0};
    buffer_pool pool = buffers(&c,
                               (rn_object_pool_config){.bytes_max = 100000, .object_bytes = 1000});
    struct buffer *some[120];

    for (int turn = 0; turn < 3; turn++) {
        for (int i = 0; i < 120; i++)
            some[i] = get(pool);
        for (int i = 0; i < 120; i++) {
            rn_object_pool_put(pool, some[i]);
            EXPECT(stats_of(pool).idle <= 100);
        }
        EXPECT_EQ(stats_of(pool).idle, 100);
        EXPECT_EQ(stats_of(pool).refused, 20 * (turn + 1));
    }
    EXPECT_EQ(rn_object_pool_age(pool), 0);
    EXPECT_EQ(rn_object_pool_age(pool), 100);
    for (int i = 0; i < 100; i++)
        some[i] = get(pool);
    for (int i = 0; i < 100; i++)
        rn_object_pool_put(pool, some[i]);
    EXPECT_EQ(stats_of(pool).idle, 100);
    rn_object_pool_free(pool);
    EXPECT_EQ(atomic_load(&c.destroyed), atomic_load(&c.constructed));
}

/* ---- events ---- */

struct events {
    buffer_pool pool;
    int made, failed, refused;
    size_t aged;
};

static void note_made(void *arg, int err)
{
    struct events *e = arg;

    e->made += err == 0;
    e->failed += err == -EMFILE;
    (void)stats_of(e->pool); /* under no lock */
}

static void note_refused(void *arg)
{
    struct events *e = arg;

    e->refused++;
    rn_object_pool_put(e->pool, get(e->pool));
}

static void note_aged(void *arg, size_t objects)
{
    struct events *e = arg;

    EXPECT(objects > 0);
    e->aged += objects;
    rn_object_pool_put(e->pool, get(e->pool));
}

TEST(what_a_pool_does_by_itself_is_told)
{
    struct counts c = {.fail_from = 3};
    struct events e = {.made = 0};
    struct buffer *some[3], *none;

    e.pool = buffers(&c, (rn_object_pool_config){.bytes_max = 2,
                                                 .object_bytes = 1,
                                                 .on_made = note_made,
                                                 .on_refused = note_refused,
                                                 .on_aged = note_aged,
                                                 .events_arg = &e});
    for (int i = 0; i < 3; i++)
        some[i] = get(e.pool);
    EXPECT_EQ(rn_object_pool_get(e.pool, &none), -EMFILE);
    EXPECT_EQ(e.made, 3);
    EXPECT_EQ(e.failed, 1);
    for (int i = 0; i < 3; i++)
        rn_object_pool_put(e.pool, some[i]);
    EXPECT_EQ(e.refused, 1);
    EXPECT_EQ(rn_object_pool_age(e.pool), 0);
    EXPECT_EQ(e.aged, 0);
    c.fail_from = 0;
    EXPECT_EQ(rn_object_pool_age(e.pool), 2);
    EXPECT_EQ(e.aged, 2);
    EXPECT_EQ(e.made, 4); /* by note_aged */
    rn_object_pool_free(e.pool);
}

/* ---- threads ---- */

static void *put_on_thread(void *arg)
{
    buffer_pool pool = *(buffer_pool *)arg;
    struct buffer *some[10];

    for (int i = 0; i < 10; i++)
        some[i] = get(pool);
    for (int i = 0; i < 10; i++)
        rn_object_pool_put(pool, some[i]);
    return NULL;
}

TEST(an_empty_cache_takes_from_another)
{
    struct counts c = {0};
    buffer_pool pool = buffers(&c, (rn_object_pool_config){0});
    pthread_t thread;
    struct buffer *some[10];

    rn_object_pool_discard(pool, get(pool)); /* now this thread has a cache, an empty one */
    EXPECT_EQ(pthread_create(&thread, NULL, put_on_thread, &pool), 0);
    pthread_join(thread, NULL);
    for (int i = 0; i < 10; i++)
        some[i] = get(pool);
    EXPECT_EQ(atomic_load(&c.constructed), 11);
    EXPECT_EQ(stats_of(pool).stolen, 10);
    for (int i = 0; i < 10; i++)
        rn_object_pool_put(pool, some[i]);
    rn_object_pool_free(pool);
    EXPECT_EQ(rn_clock_virtual(0), 0); /* the runtime was not started */
}

TEST(no_cache_keeps_a_part_of_the_limit_to_itself)
{
    struct counts c = {0};
    buffer_pool pool = buffers(&c, (rn_object_pool_config){.bytes_max = 10, .object_bytes = 1});
    pthread_t thread;
    struct buffer *some[10];

    rn_object_pool_discard(pool, get(pool)); /* now this thread has a cache, an empty one */
    for (int turn = 0; turn < 3; turn++) {
        EXPECT_EQ(pthread_create(&thread, NULL, put_on_thread, &pool), 0);
        pthread_join(thread, NULL);
        for (int i = 0; i < 10; i++)
            some[i] = get(pool);
        for (int i = 0; i < 10; i++)
            rn_object_pool_put(pool, some[i]);
        EXPECT_EQ(stats_of(pool).idle, 10);
    }
    EXPECT_EQ(stats_of(pool).refused, 0);
    EXPECT_EQ(atomic_load(&c.constructed), 11);
    rn_object_pool_free(pool);
}

/* ---- poison and misuse ---- */

TEST(poison_keeps_what_construct_made)
{
    struct counts c = {0};
    buffer_pool pool = buffers(&c, (rn_object_pool_config){.poison = true});
    struct buffer *a = get(pool);
    char *memory = a->memory;

    rn_object_pool_put(pool, a);
    if (!UNDER_ASAN)
        EXPECT(a->memory != memory);
    EXPECT(get(pool) == a);
    EXPECT(a->memory == memory && a->uses == 2);
    rn_object_pool_put(pool, a);
    rn_object_pool_free(pool);
}

#if UNDER_ASAN
TEST_DIES(a_write_after_put_dies, "use-after-poison", 1)
#else
TEST_DIES(a_write_after_put_dies, "written to after it was put back", SIGABRT)
#endif
{
    struct counts c = {0};
    buffer_pool pool = buffers(&c, (rn_object_pool_config){.poison = true});
    struct buffer *a = get(pool);

    rn_object_pool_put(pool, a);
    a->text[35]++;
    get(pool);
}

TEST_DIES(a_second_put_dies, "put back twice", SIGABRT)
{
    struct counts c = {0};
    buffer_pool pool = buffers(&c, (rn_object_pool_config){0});
    struct buffer *a = get(pool);

    rn_object_pool_put(pool, a);
    rn_object_pool_put(pool, a);
}

TEST_DIES(a_put_into_another_pool_dies, "which it is not of", SIGABRT)
{
    struct counts c = {0};
    buffer_pool pool = buffers(&c, (rn_object_pool_config){0});

    rn_object_pool_put(buffers(&c, (rn_object_pool_config){0}), get(pool));
}

TEST_DIES(freeing_a_pool_with_an_object_out_dies, "1 of its objects are not back", SIGABRT)
{
    struct counts c = {0};
    buffer_pool pool = buffers(&c, (rn_object_pool_config){0});

    get(pool);
    rn_object_pool_free(pool);
}

TEST(a_wrong_configuration_is_refused)
{
    buffer_pool pool = (buffer_pool)1;
    struct rn_object_pool *untyped = NULL;

    EXPECT_EQ(rn_object_pool_new(&pool, &(rn_object_pool_config){.ageing_period = -1}), -EINVAL);
    EXPECT_STR(rn_error_detail(), "object pool: .ageing_period is -1: allowed are 0 and more");
    EXPECT(pool == NULL);
    rn_object_pool_free(pool);
    EXPECT_EQ(rn_object_pool_new(&pool, &(rn_object_pool_config){.bytes_max = 5}), -EINVAL);
    EXPECT_STR(rn_error_detail(), "object pool: .bytes_max is 5: allowed are 0, and 48 (one "
                                  "object) and more");
    EXPECT_EQ(rn_object_pool_new_untyped(&untyped, 0, NULL), -EINVAL);
    EXPECT_STR(rn_error_detail(), "object pool: the size is 0: allowed are 1 to 1073741824");
    EXPECT_EQ(rn_object_pool_new(&pool, NULL), 0);
    rn_object_pool_free(pool);
}

TEST_DIES(a_dump_shows_a_named_pool, "^object pool \"buffers\" \\[2 objects, 1 idle\\]\n$", 0)
{
    struct counts c = {0};
    buffer_pool pool = buffers(&c, (rn_object_pool_config){.name = "buffers"});
    struct buffer *a = get(pool);

    rn_object_pool_put(pool, get(pool));
    rn_dump(1);
    rn_object_pool_put(pool, a);
    rn_object_pool_free(pool);
    rn_dump(1);
    exit(0);
}
