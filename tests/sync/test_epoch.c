/* Read sections: nothing is reclaimed under a reader, and everything is once it has left. */
#include "sync/epoch.h"
#include "core.h"
#include "test.h"

#include <pthread.h>
#include <runnel/map.h>
#include <sched.h>

#define READERS 3

static atomic_int reclaimed;

struct thing {
    struct retired retired;
    atomic_int alive;
};

static void reclaim(struct retired *retired)
{
    struct thing *thing = container_of(retired, struct thing, retired);

    EXPECT_EQ(atomic_exchange(&thing->alive, 0), 1);
    atomic_fetch_add(&reclaimed, 1);
    free(thing);
}

static struct thing *thing_new(void)
{
    struct thing *thing = calloc(1, sizeof *thing);

    thing->retired.reclaim = reclaim;
    atomic_store(&thing->alive, 1);
    return thing;
}

/* A reader that stays in its section until told: as one that the kernel has suspended. */
struct reader {
    pthread_t thread;
    atomic_int inside, leave;
};

static void *stay(void *arg)
{
    struct reader *r = arg;
    struct slot *section = read_enter();

    atomic_store(&r->inside, 1);
    while (atomic_load(&r->leave) == 0)
        sched_yield();
    read_exit(section);
    return NULL;
}

static void begin(struct reader *r)
{
    *r = (struct reader){0};
    EXPECT_EQ(pthread_create(&r->thread, NULL, stay, r), 0);
    while (atomic_load(&r->inside) == 0)
        sched_yield();
}

static void end(struct reader *r)
{
    atomic_store(&r->leave, 1);
    pthread_join(r->thread, NULL);
}

TEST(without_readers_it_is_reclaimed_at_once)
{
    fence_settle();
    retire_now(&thing_new()->retired);
    EXPECT_EQ(atomic_load(&reclaimed), 1);
}

TEST(the_reader_that_held_it_up_reclaims)
{
    struct reader r;

    fence_settle();
    begin(&r);
    for (int i = 0; i < 5; i++)
        retire_now(&thing_new()->retired);
    EXPECT_EQ(atomic_load(&reclaimed), 0);
    end(&r);
    EXPECT_EQ(atomic_load(&reclaimed), 5);
}

TEST(a_later_reader_holds_up_only_what_is_later)
{
    struct reader a, b;

    fence_settle();
    begin(&a);
    retire_now(&thing_new()->retired);
    begin(&b);
    retire_now(&thing_new()->retired);
    end(&a);
    EXPECT_EQ(atomic_load(&reclaimed), 1);
    retire_now(&thing_new()->retired);
    EXPECT_EQ(atomic_load(&reclaimed), 1);
    end(&b);
    EXPECT_EQ(atomic_load(&reclaimed), 3);
}

static void *retire_some(void *arg)
{
    (void)arg;
    for (int i = 0; i < BATCH_COUNT - 1; i++)
        retire(&thing_new()->retired, 1);
    EXPECT_EQ(atomic_load(&reclaimed), 0);
    return NULL;
}

TEST(a_batch_is_reclaimed_when_it_is_full_or_its_thread_ends)
{
    pthread_t thread;

    fence_settle();
    EXPECT_EQ(pthread_create(&thread, NULL, retire_some, NULL), 0);
    pthread_join(thread, NULL);
    EXPECT_EQ(atomic_load(&reclaimed), BATCH_COUNT - 1);
    atomic_store(&reclaimed, 0);
    retire_some(NULL);
    retire(&thing_new()->retired, 1);
    EXPECT_EQ(atomic_load(&reclaimed), BATCH_COUNT);
    retire(&thing_new()->retired, BATCH_BYTES);
    EXPECT_EQ(atomic_load(&reclaimed), BATCH_COUNT + 1);
}

static void drop(void *arg, void *value)
{
    EXPECT_EQ(*(int *)value, 7);
    atomic_fetch_add((atomic_int *)arg, 1);
}

static void *leave_later(void *arg)
{
    struct reader *r = arg;

    while (atomic_load(&reclaimed) == 0) /* until the map is about to be freed */
        sched_yield();
    for (int i = 0; i < 1000; i++)
        sched_yield();
    end(r);
    return NULL;
}

TEST(a_map_waits_for_its_values_as_it_is_freed)
{
    rn_map(int, int) m;
    atomic_int dropped = 0;
    struct reader r;
    pthread_t thread;

    EXPECT_EQ(rn_map_new(&m, &(rn_map_config){.drop = drop, .arg = &dropped}), 0);
    rn_map_store(m, 1, 7);
    rn_map_store(m, 2, 7);
    begin(&r);
    EXPECT_EQ(rn_map_delete(m, 1), 0);
    EXPECT_EQ(atomic_load(&dropped), 0);
    EXPECT_EQ(pthread_create(&thread, NULL, leave_later, &r), 0);
    atomic_store(&reclaimed, 1);
    rn_map_free(m);
    EXPECT_EQ(atomic_load(&dropped), 2);
    pthread_join(thread, NULL);
}

/* ---- readers and writers at once ---- */

static _Atomic(struct thing *) place;
static atomic_int reading;

static void *read_always(void *arg)
{
    (void)arg;
    for (int i = 0; i < rounds(200000); i++) {
        struct slot *section = read_enter();
        EXPECT_EQ(atomic_load(&atomic_load(&place)->alive), 1);
        read_exit(section);
    }
    atomic_fetch_sub(&reading, 1);
    return NULL;
}

TEST(no_reader_sees_what_was_reclaimed)
{
    pthread_t threads[READERS];
    int retired = 0;

    fence_settle();
    atomic_store(&place, thing_new());
    atomic_store(&reading, READERS);
    for (int i = 0; i < READERS; i++)
        EXPECT_EQ(pthread_create(&threads[i], NULL, read_always, NULL), 0);
    while (atomic_load(&reading) > 0) {
        struct thing *old = atomic_exchange(&place, thing_new());
        if (++retired % 3 == 0)
            retire_now(&old->retired);
        else
            retire(&old->retired, 1);
    }
    for (int i = 0; i < READERS; i++)
        pthread_join(threads[i], NULL);
    epoch_flush(slot_here());
    epoch_collect();
    EXPECT_EQ(atomic_load(&reclaimed), retired);
    free(atomic_load(&place));
}
