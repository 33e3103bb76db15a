/* Semaphore: who gets units, in which order, and where they go when a wait fails. */
#include "core.h"
#include "test.h"

#include <runnel/clock.h>
#include <runnel/group.h>
#include <runnel/semaphore.h>

#include <pthread.h>

static rn_semaphore *semaphore(size_t size)
{
    rn_semaphore *s = NULL;

    EXPECT_EQ(rn_semaphore_new(&s, size), 0);
    return s;
}

/* A fiber that acquires n units, notes the result and its place in the order, and keeps them. */
struct taker {
    rn_semaphore *s;
    rn_ctx *ctx;
    size_t n;
    atomic_int *served; /* counts those that are through */
    int place;          /* from 1 */
    int err;
};

static atomic_int places;

static void take(void *arg)
{
    struct taker *t = arg;

    t->err = rn_semaphore_acquire(t->ctx, t->s, t->n);
    t->place = atomic_fetch_add(&places, 1) + 1;
    atomic_fetch_add(t->served, 1);
}

/* Starts a taker, and returns when it waits. */
static void queue_up(struct taker *t)
{
    size_t before = rn_semaphore_waiters(t->s);

    EXPECT_EQ(rn_go(take, t), 0);
    while (rn_semaphore_waiters(t->s) == before)
        rn_yield();
}

/* ---- making ---- */

TEST(sizes_that_are_refused)
{
    rn_semaphore *s = (rn_semaphore *)1;

    EXPECT_EQ(rn_semaphore_new(&s, 0), -EINVAL);
    EXPECT(s == NULL);
    EXPECT_STR(rn_error_detail(), "semaphore: size is 0: allowed are 1 to 1099511627776");
    EXPECT_EQ(rn_semaphore_new(&s, (size_t)-3), -EINVAL);
    EXPECT_STR(rn_error_detail(), "semaphore: size is -3: allowed are 1 to 1099511627776");
    EXPECT_EQ(rn_semaphore_new(&s, RN_SEMAPHORE_SIZE_MAX + 1), -EINVAL);
    rn_semaphore_free(s);
    EXPECT_EQ(rn_semaphore_new(&s, RN_SEMAPHORE_SIZE_MAX), 0);
    EXPECT_EQ(rn_semaphore_resize(s, 0), -EINVAL);
    EXPECT_STR(rn_error_detail(), "semaphore: size is 0: allowed are 1 to 1099511627776");
    EXPECT_EQ(rn_semaphore_acquire(NULL, s, RN_SEMAPHORE_SIZE_MAX), 0);
    EXPECT_EQ(rn_semaphore_available(s), 0);
    rn_semaphore_free(s);
}

/* ---- units ---- */

TEST(units_are_taken_and_given_back)
{
    rn_semaphore *s = semaphore(10);

    EXPECT_EQ(rn_semaphore_available(s), 10);
    EXPECT_EQ(rn_semaphore_acquire(NULL, s, 3), 0);
    EXPECT_EQ(rn_semaphore_try_acquire(s, 7), 0);
    EXPECT_EQ(rn_semaphore_available(s), 0);
    EXPECT_EQ(rn_semaphore_try_acquire(s, 1), -EAGAIN);
    EXPECT_EQ(rn_semaphore_acquire(NULL, s, 0), 0);
    rn_semaphore_release(s, 4);
    EXPECT_EQ(rn_semaphore_try_acquire(s, 5), -EAGAIN);
    EXPECT_EQ(rn_semaphore_try_acquire(s, 4), 0);
    rn_semaphore_release(s, 10);
    EXPECT_EQ(rn_semaphore_available(s), 10);
    rn_semaphore_free(s);
}

TEST(more_than_the_size_is_an_error_at_once)
{
    rn_semaphore *s = NULL;

    EXPECT_EQ(rn_semaphore_new_with(&s, 10, &(rn_semaphore_config){.name = "database"}), 0);
    EXPECT_EQ(rn_semaphore_acquire(NULL, s, 11), -EINVAL);
    EXPECT_STR(rn_error_detail(), "semaphore \"database\": 11 wanted at once: there are 10 in all");
    EXPECT_EQ(rn_semaphore_try_acquire(s, 11), -EINVAL);
    EXPECT_EQ(rn_semaphore_acquire(NULL, s, (size_t)-1), -EINVAL);
    EXPECT_EQ(rn_semaphore_available(s), 10);
    rn_semaphore_free(s);
}

struct counted {
    rn_semaphore *s;
    atomic_int inside, most;
};

static int pass_through(rn_ctx *ctx, void *arg)
{
    struct counted *c = arg;
    int inside, most, err = rn_semaphore_acquire(ctx, c->s, 1);

    if (err != 0)
        return err;
    inside = atomic_fetch_add(&c->inside, 1) + 1;
    most = atomic_load(&c->most);
    while (inside > most && !atomic_compare_exchange_weak(&c->most, &most, inside))
        continue;
    rn_yield();
    atomic_fetch_sub(&c->inside, 1);
    rn_semaphore_release(c->s, 1);
    return 0;
}

/* The idiom of a channel with so many slots: everybody takes one. */
TEST_FIBER(a_counting_semaphore_lets_in_so_many_at_once)
{
    struct counted c = {.s = semaphore(3)};
    rn_group *g = rn_group_new(NULL);

    for (int i = 0; i < 200; i++)
        EXPECT_EQ(rn_group_go(g, pass_through, &c), 0);
    EXPECT_EQ(rn_group_wait(g), 0);
    EXPECT(atomic_load(&c.most) <= 3);
    if (rn_workers() == 1)
        EXPECT_EQ(atomic_load(&c.most), 3);
    EXPECT_EQ(rn_semaphore_available(c.s), 3);
    rn_semaphore_free(c.s);
}

/* ---- order ---- */

TEST_FIBER(waiters_are_served_in_the_order_in_which_they_came)
{
    rn_semaphore *s = semaphore(1);
    atomic_int served = 0;
    struct taker takers[50];

    EXPECT_EQ(rn_semaphore_acquire(NULL, s, 1), 0);
    for (int i = 0; i < 50; i++) {
        takers[i] = (struct taker){.s = s, .n = 1, .served = &served};
        queue_up(&takers[i]);
    }
    EXPECT_EQ(rn_semaphore_waiters(s), 50);
    for (int i = 0; i < 50; i++) {
        rn_semaphore_release(s, 1);
        await_count(&served, i + 1);
        EXPECT_EQ(takers[i].err, 0);
        EXPECT_EQ(takers[i].place, i + 1);
    }
    rn_semaphore_free(s);
}

TEST_FIBER(a_small_request_waits_behind_a_large_one)
{
    rn_semaphore *s = semaphore(10);
    atomic_int served = 0;
    struct taker large = {.s = s, .n = 8, .served = &served};
    struct taker small = {.s = s, .n = 1, .served = &served};

    EXPECT_EQ(rn_semaphore_acquire(NULL, s, 6), 0); /* 4 are free */
    queue_up(&large);
    queue_up(&small);
    EXPECT_EQ(rn_semaphore_waiters(s), 2);
    EXPECT_EQ(rn_semaphore_try_acquire(s, 1), -EAGAIN); /* while anyone waits */
    EXPECT_EQ(rn_semaphore_available(s), 0);
    rn_semaphore_release(s, 3);
    EXPECT_EQ(rn_semaphore_waiters(s), 2); /* 7 are free */
    rn_semaphore_release(s, 1);
    await_count(&served, 1);
    EXPECT_EQ(large.place, 1);
    EXPECT_EQ(large.err, 0);
    EXPECT_EQ(rn_semaphore_waiters(s), 1);
    rn_semaphore_release(s, 2);
    await_count(&served, 2);
    EXPECT_EQ(small.err, 0);
    EXPECT_EQ(rn_semaphore_available(s), 1);
    rn_semaphore_free(s);
}

TEST_FIBER(one_release_serves_all_that_it_suffices_for)
{
    rn_semaphore *s = semaphore(10);
    atomic_int served = 0;
    struct taker takers[5];

    EXPECT_EQ(rn_semaphore_acquire(NULL, s, 10), 0);
    for (int i = 0; i < 5; i++) {
        takers[i] = (struct taker){.s = s, .n = 2, .served = &served};
        queue_up(&takers[i]);
    }
    rn_semaphore_release(s, 9);
    await_count(&served, 4);
    EXPECT_EQ(rn_semaphore_waiters(s), 1);
    rn_semaphore_release(s, 1);
    await_count(&served, 5);
    EXPECT_EQ(rn_semaphore_available(s), 0);
    rn_semaphore_free(s);
}

TEST_FIBER(a_request_for_nothing_waits_its_turn)
{
    rn_semaphore *s = semaphore(2);
    atomic_int served = 0;
    struct taker two = {.s = s, .n = 2, .served = &served};
    struct taker none = {.s = s, .n = 0, .served = &served};

    EXPECT_EQ(rn_semaphore_acquire(NULL, s, 1), 0);
    queue_up(&two);
    queue_up(&none);
    EXPECT_EQ(atomic_load(&served), 0);
    rn_semaphore_release(s, 1);
    await_count(&served, 2);
    EXPECT_EQ(two.err, 0);
    EXPECT_EQ(none.err, 0);
    rn_semaphore_free(s);
}

/* ---- contexts ---- */

TEST_FIBER(a_done_context_fails_although_there_is_room)
{
    rn_semaphore *s = semaphore(1);
    rn_ctx *cancelled = rn_ctx_with_cancel(NULL), *late = rn_ctx_with_timeout(NULL, 0);

    rn_ctx_cancel(cancelled, 0);
    EXPECT_EQ(rn_semaphore_acquire(cancelled, s, 1), -ECANCELED);
    EXPECT_EQ(rn_semaphore_acquire(late, s, 1), -ETIMEDOUT);
    EXPECT_EQ(rn_semaphore_available(s), 1);
    rn_ctx_release(cancelled);
    rn_ctx_release(late);
    rn_semaphore_free(s);
}

TEST_VIRTUAL(a_wait_ends_with_its_deadline)
{
    rn_semaphore *s = semaphore(1);
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, 3 * RN_SECOND);

    EXPECT_EQ(rn_semaphore_acquire(ctx, s, 1), 0);
    EXPECT_EQ(rn_semaphore_acquire(ctx, s, 1), -ETIMEDOUT);
    EXPECT_EQ(rn_now(), 3 * RN_SECOND);
    EXPECT_EQ(rn_semaphore_waiters(s), 0);
    rn_semaphore_release(s, 1);
    EXPECT_EQ(rn_semaphore_available(s), 1);
    rn_ctx_release(ctx);
    rn_semaphore_free(s);
}

TEST_FIBER(a_cancelled_head_lets_the_next_pass)
{
    rn_semaphore *s = semaphore(10);
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    atomic_int served = 0;
    struct taker large = {.s = s, .ctx = ctx, .n = 8, .served = &served};
    struct taker small = {.s = s, .n = 1, .served = &served};
    struct taker medium = {.s = s, .n = 3, .served = &served};

    EXPECT_EQ(rn_semaphore_acquire(NULL, s, 6), 0); /* 4 are free */
    queue_up(&large);
    queue_up(&small);
    queue_up(&medium);
    rn_ctx_cancel(ctx, 0);
    await_count(&served, 3);
    EXPECT_EQ(large.err, -ECANCELED);
    EXPECT_EQ(small.err, 0);
    EXPECT_EQ(medium.err, 0);
    EXPECT_EQ(rn_semaphore_available(s), 0);
    rn_semaphore_release(s, 10);
    EXPECT_EQ(rn_semaphore_available(s), 10);
    rn_ctx_release(ctx);
    rn_semaphore_free(s);
}

TEST_FIBER(a_cancelled_waiter_in_the_middle_leaves_the_order)
{
    rn_semaphore *s = semaphore(1);
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    atomic_int served = 0;
    struct taker takers[3];

    EXPECT_EQ(rn_semaphore_acquire(NULL, s, 1), 0);
    for (int i = 0; i < 3; i++) {
        takers[i] = (struct taker){.s = s, .ctx = i == 1 ? ctx : NULL, .n = 1, .served = &served};
        queue_up(&takers[i]);
    }
    rn_ctx_cancel(ctx, 0);
    await_count(&served, 1);
    EXPECT_EQ(takers[1].err, -ECANCELED);
    EXPECT_EQ(rn_semaphore_waiters(s), 2);
    rn_semaphore_release(s, 1);
    await_count(&served, 2);
    EXPECT_EQ(takers[0].place, 2);
    rn_semaphore_release(s, 1);
    await_count(&served, 3);
    rn_ctx_release(ctx);
    rn_semaphore_free(s);
}

/* With one worker, the waiter runs only after both have happened. */
TEST_VIRTUAL(what_was_granted_to_an_ended_context_goes_to_the_next)
{
    rn_semaphore *s = semaphore(1);
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    atomic_int served = 0;
    struct taker first = {.s = s, .ctx = ctx, .n = 1, .served = &served};
    struct taker second = {.s = s, .n = 1, .served = &served};

    EXPECT_EQ(rn_semaphore_acquire(NULL, s, 1), 0);
    queue_up(&first);
    queue_up(&second);
    rn_semaphore_release(s, 1);
    EXPECT_EQ(rn_semaphore_waiters(s), 1);
    rn_ctx_cancel(ctx, 0);
    await_count(&served, 2);
    EXPECT_EQ(first.err, -ECANCELED);
    EXPECT_EQ(second.err, 0);
    rn_semaphore_release(s, 1);
    EXPECT_EQ(rn_semaphore_available(s), 1);
    rn_ctx_release(ctx);
    rn_semaphore_free(s);
}

/* ---- resizing ---- */

TEST_FIBER(a_larger_size_serves_who_waits)
{
    rn_semaphore *s = semaphore(1);
    atomic_int served = 0;
    struct taker a = {.s = s, .n = 1, .served = &served}, b = a;

    EXPECT_EQ(rn_semaphore_acquire(NULL, s, 1), 0);
    queue_up(&a);
    queue_up(&b);
    EXPECT_EQ(rn_semaphore_resize(s, 2), 0);
    await_count(&served, 1);
    EXPECT_EQ(rn_semaphore_waiters(s), 1);
    EXPECT_EQ(rn_semaphore_resize(s, 5), 0);
    await_count(&served, 2);
    EXPECT_EQ(rn_semaphore_available(s), 2);
    rn_semaphore_release(s, 3);
    EXPECT_EQ(rn_semaphore_available(s), 5);
    rn_semaphore_free(s);
}

TEST_FIBER(a_smaller_size_holds_once_enough_came_back)
{
    rn_semaphore *s = semaphore(10);
    rn_semaphore_stats stats;

    EXPECT_EQ(rn_semaphore_acquire(NULL, s, 9), 0);
    EXPECT_EQ(rn_semaphore_resize(s, 4), 0);
    EXPECT_EQ(rn_semaphore_available(s), 0);
    rn_semaphore_stats_read(s, &stats);
    EXPECT_EQ(stats.size, 4);
    EXPECT_EQ(stats.acquired, 9);
    EXPECT_EQ(rn_semaphore_acquire(NULL, s, 5), -EINVAL);
    rn_semaphore_release(s, 5);
    EXPECT_EQ(rn_semaphore_try_acquire(s, 1), -EAGAIN);
    rn_semaphore_release(s, 1);
    EXPECT_EQ(rn_semaphore_available(s), 1);
    EXPECT_EQ(rn_semaphore_resize(s, 2), 0); /* and again, with 3 out */
    EXPECT_EQ(rn_semaphore_resize(s, 6), 0);
    EXPECT_EQ(rn_semaphore_available(s), 3);
    rn_semaphore_release(s, 3);
    EXPECT_EQ(rn_semaphore_available(s), 6);
    rn_semaphore_free(s);
}

TEST_FIBER(units_that_go_are_taken_before_those_who_wait)
{
    rn_semaphore *s = semaphore(4);
    atomic_int served = 0;
    struct taker a = {.s = s, .n = 1, .served = &served};

    EXPECT_EQ(rn_semaphore_acquire(NULL, s, 4), 0);
    queue_up(&a);
    EXPECT_EQ(rn_semaphore_resize(s, 2), 0);
    rn_semaphore_release(s, 2);
    EXPECT_EQ(rn_semaphore_waiters(s), 1);
    rn_semaphore_release(s, 1);
    await_count(&served, 1);
    EXPECT_EQ(a.err, 0);
    rn_semaphore_release(s, 2);
    EXPECT_EQ(rn_semaphore_available(s), 2);
    rn_semaphore_free(s);
}

TEST_FIBER(who_waits_for_more_than_the_new_size_is_refused)
{
    rn_semaphore *s = semaphore(10);
    atomic_int served = 0;
    struct taker large = {.s = s, .n = 8, .served = &served};
    struct taker small = {.s = s, .n = 2, .served = &served};
    rn_semaphore_stats stats;

    EXPECT_EQ(rn_semaphore_acquire(NULL, s, 3), 0); /* 7 are free */
    queue_up(&large);
    queue_up(&small);
    EXPECT_EQ(rn_semaphore_resize(s, 5), 0); /* 2 are free */
    await_count(&served, 2);
    EXPECT_EQ(large.err, -EINVAL);
    EXPECT_EQ(small.err, 0);
    EXPECT_EQ(rn_semaphore_available(s), 0);
    rn_semaphore_release(s, 5);
    EXPECT_EQ(rn_semaphore_available(s), 5);
    rn_semaphore_stats_read(s, &stats);
    EXPECT_EQ(stats.refused, 1);
    rn_semaphore_free(s);
}

/* ---- counters, events, dumps ---- */

struct waits {
    int calls, errors;
    size_t units;
    rn_duration longest;
    rn_semaphore *s;
};

static void note_wait(void *arg, size_t n, rn_duration waited, int err)
{
    struct waits *w = arg;

    w->calls++;
    w->errors += err != 0;
    w->units += n;
    w->longest = waited > w->longest ? waited : w->longest;
    EXPECT_EQ(rn_semaphore_resize(w->s, 3), 0); /* under no lock */
}

static void release_later(void *arg)
{
    EXPECT_EQ(rn_sleep(NULL, 5 * RN_SECOND), 0);
    rn_semaphore_release(arg, 1);
}

TEST_VIRTUAL(waits_are_counted_and_reported)
{
    struct waits waits = {0};
    rn_semaphore *s = NULL;
    rn_semaphore_stats stats;
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, 2 * RN_SECOND);

    EXPECT_EQ(rn_semaphore_new_with(
                  &s, 3, &(rn_semaphore_config){.on_waited = note_wait, .events_arg = &waits}),
              0);
    waits.s = s;
    EXPECT_EQ(rn_semaphore_acquire(NULL, s, 2), 0);
    EXPECT_EQ(rn_go(release_later, s), 0);
    EXPECT_EQ(rn_semaphore_acquire(ctx, s, 3), -ETIMEDOUT);
    EXPECT_EQ(rn_semaphore_acquire(NULL, s, 2), 0);
    EXPECT_EQ(rn_now(), 5 * RN_SECOND);
    EXPECT_EQ(waits.calls, 2);
    EXPECT_EQ(waits.errors, 1);
    EXPECT_EQ(waits.units, 5);
    EXPECT_EQ(waits.longest, 3 * RN_SECOND);
    rn_semaphore_stats_read(s, &stats);
    EXPECT_EQ(stats.size, 3);
    EXPECT_EQ(stats.acquired, 3);
    EXPECT_EQ(stats.available, 0);
    EXPECT_EQ(stats.waiting, 0);
    EXPECT_EQ(stats.waits, 2);
    EXPECT_EQ(stats.gave_up, 1);
    rn_ctx_release(ctx);
    rn_semaphore_free(s);
}

static rn_time own_now(void *arg)
{
    return *(rn_time *)arg += RN_HOUR;
}

TEST_VIRTUAL(waits_are_measured_on_the_clock_that_was_given)
{
    struct waits waits = {0};
    rn_time time = 0;
    rn_clock clock = {.now = own_now, .arg = &time};
    rn_semaphore *s = NULL;

    EXPECT_EQ(
        rn_semaphore_new_with(
            &s, 3,
            &(rn_semaphore_config){.on_waited = note_wait, .events_arg = &waits, .clock = &clock}),
        0);
    waits.s = s;
    EXPECT_EQ(rn_semaphore_acquire(NULL, s, 3), 0);
    EXPECT_EQ(rn_go(release_later, s), 0);
    EXPECT_EQ(rn_semaphore_acquire(NULL, s, 1), 0);
    EXPECT_EQ(waits.longest, RN_HOUR);
    rn_semaphore_free(s);
}

TEST_DIES(a_dump_shows_a_named_semaphore,
          "^semaphore \"database\" \\[7 of 10 free, 0 waiting\\]\n$", 0)
{
    rn_semaphore *s = NULL, *gone = NULL;
    const rn_semaphore_config config = {.name = "database"};

    EXPECT_EQ(rn_semaphore_new_with(&s, 10, &config), 0);
    EXPECT_EQ(rn_semaphore_new_with(&gone, 10, &config), 0);
    rn_semaphore_free(gone);
    EXPECT_EQ(rn_semaphore_acquire(NULL, s, 3), 0);
    rn_dump(1);
    exit(0);
}

/* ---- misuse ---- */

TEST_DIES(releasing_more_than_acquired, "rn_semaphore_release of 2: so many are not acquired",
          SIGABRT)
{
    rn_semaphore *s = semaphore(10);

    EXPECT_EQ(rn_semaphore_acquire(NULL, s, 1), 0);
    rn_semaphore_release(s, 2);
}

TEST_DIES(releasing_a_huge_number, "rn_semaphore_release of 18446744073709551615: so many", SIGABRT)
{
    rn_semaphore_release(semaphore(10), (size_t)-1);
}

static void release_too_much_while_one_waits(void)
{
    rn_semaphore *s = semaphore(10);
    atomic_int served = 0;
    struct taker t = {.s = s, .n = 9, .served = &served};

    EXPECT_EQ(rn_semaphore_acquire(NULL, s, 4), 0);
    queue_up(&t);
    rn_semaphore_release(s, 5);
}

TEST_DIES(releasing_more_than_acquired_while_somebody_waits, "so many are not acquired", SIGABRT)
{
    test_on_fiber(release_too_much_while_one_waits);
}

TEST_DIES(releasing_more_than_is_out_after_a_resize, "so many are not acquired", SIGABRT)
{
    rn_semaphore *s = semaphore(10);

    EXPECT_EQ(rn_semaphore_acquire(NULL, s, 6), 0);
    EXPECT_EQ(rn_semaphore_resize(s, 3), 0);
    rn_semaphore_release(s, 7);
}

static void free_while_one_waits(void)
{
    rn_semaphore *s = semaphore(1);
    atomic_int served = 0;
    struct taker t = {.s = s, .n = 1, .served = &served};

    EXPECT_EQ(rn_semaphore_acquire(NULL, s, 1), 0);
    queue_up(&t);
    rn_semaphore_free(s);
}

TEST_DIES(freeing_while_somebody_waits, "rn_semaphore_free of \"\": 1 wait for it", SIGABRT)
{
    test_on_fiber(free_while_one_waits);
}

/* ---- fibers and threads ---- */

struct crowd {
    rn_semaphore *s;
    _Atomic(long) out; /* units that are taken, by their own count */
    atomic_int failed;
    long rounds;
    size_t size;
    atomic_int left; /* who has not finished */
};

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

/* Takes and gives back at random, some with a context that ends at once or soon. */
static void jostle(struct crowd *c, uint32_t seed)
{
    for (long i = 0; i < c->rounds; i++) {
        size_t n = next_random(&seed) % c->size + 1;
        bool hasty = next_random(&seed) % 4 == 0;
        rn_ctx *ctx = hasty ? rn_ctx_with_timeout(NULL, next_random(&seed) % 20000) : NULL;
        int err = next_random(&seed) % 8 == 0 ? rn_semaphore_try_acquire(c->s, n)
                                              : rn_semaphore_acquire(ctx, c->s, n);
        if (err == 0) {
            if ((size_t)atomic_fetch_add(&c->out, (long)n) + n > c->size)
                atomic_fetch_add(&c->failed, 1);
            if (next_random(&seed) % 4 == 0)
                rn_yield();
            atomic_fetch_sub(&c->out, (long)n);
            rn_semaphore_release(c->s, n);
        }
        rn_ctx_release(ctx);
    }
    atomic_fetch_sub(&c->left, 1);
}

struct member {
    struct crowd *crowd;
    uint32_t seed;
};

static void jostle_fiber(void *arg)
{
    jostle(((struct member *)arg)->crowd, ((struct member *)arg)->seed);
}

static void *jostle_thread(void *arg)
{
    jostle_fiber(arg);
    return NULL;
}

TEST_FIBER(fibers_and_threads_never_hold_more_than_there_is)
{
    struct crowd c = {.s = semaphore(5), .rounds = rounds(2000), .size = 5, .left = 12};
    struct member members[12];
    pthread_t threads[4];

    for (uint32_t i = 0; i < 12; i++) {
        members[i] = (struct member){&c, i * 7919 + 1};
        if (i < 4)
            EXPECT_EQ(pthread_create(&threads[i], NULL, jostle_thread, &members[i]), 0);
        else
            EXPECT_EQ(rn_go(jostle_fiber, &members[i]), 0);
    }
    while (atomic_load(&c.left) > 0)
        rn_yield();
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    EXPECT_EQ(atomic_load(&c.failed), 0);
    EXPECT_EQ(rn_semaphore_waiters(c.s), 0);
    EXPECT_EQ(rn_semaphore_available(c.s), 5);
    EXPECT_EQ(rn_semaphore_acquire(NULL, c.s, 5), 0);
    rn_semaphore_free(c.s);
}

static void release_one(void *arg)
{
    rn_semaphore_release(arg, 1);
}

static void *release_one_thread(void *arg)
{
    release_one(arg);
    return NULL;
}

/* Frees at once when it has all, while the last releases are still returning. */
static void release_and_free(int times)
{
    for (int i = 0; i < times; i++) {
        rn_semaphore *s = semaphore(4);
        EXPECT_EQ(rn_semaphore_acquire(NULL, s, 4), 0);
        for (int j = 0; j < 4; j++)
            EXPECT_EQ(rn_go(release_one, s), 0);
        EXPECT_EQ(rn_semaphore_acquire(NULL, s, 4), 0);
        rn_semaphore_free(s);
    }
}

TEST_FIBER(who_has_all_may_free)
{
    release_and_free(rounds(3000));
}

static void make_two(void *arg)
{
    EXPECT_EQ(rn_semaphore_resize(arg, 2), 0);
}

/* Also while the size is changed, which a release compares with. */
TEST_FIBER(who_has_all_after_a_resize_may_free)
{
    for (int i = 0; i < rounds(3000); i++) {
        rn_semaphore *s = semaphore(1);
        EXPECT_EQ(rn_semaphore_acquire(NULL, s, 1), 0);
        EXPECT_EQ(rn_go(i % 2 == 0 ? make_two : release_one, s), 0);
        EXPECT_EQ(rn_go(i % 2 == 0 ? release_one : make_two, s), 0);
        while (rn_semaphore_try_acquire(s, 2) != 0) /* too many at first */
            rn_yield();
        rn_semaphore_free(s);
    }
}

TEST(who_has_all_may_free_on_a_thread)
{
    release_and_free(rounds(2000));
    for (int i = 0; i < rounds(200); i++) {
        rn_semaphore *s = semaphore(1);
        pthread_t thread;
        EXPECT_EQ(rn_semaphore_acquire(NULL, s, 1), 0);
        EXPECT_EQ(pthread_create(&thread, NULL, release_one_thread, s), 0);
        EXPECT_EQ(rn_semaphore_acquire(NULL, s, 1), 0);
        rn_semaphore_free(s);
        pthread_join(thread, NULL);
    }
    EXPECT_EQ(rn_stop(), 0);
}
