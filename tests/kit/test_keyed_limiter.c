/* Keyed limiter: a bucket for each key, which keys are known, and what happens at the bound. */
#include "core.h"
#include "test.h"

#include <runnel/clock.h>
#include <runnel/keyed_limiter.h>

#include <pthread.h>

/* A clock that stands where the test puts it. */
struct hand {
    rn_clock clock;
    rn_time now;
};

static rn_time hand_now(void *arg)
{
    return ((struct hand *)arg)->now;
}

static struct hand *hand(rn_time start)
{
    static struct hand h;

    h = (struct hand){{hand_now, NULL, &h}, start};
    return &h;
}

static rn_keyed_limiter *keyed(const rn_keyed_limiter_config *config)
{
    rn_keyed_limiter *k = NULL;
    int err = rn_keyed_limiter_new(&k, config);

    if (err != 0)
        test_failed(__FILE__, __LINE__, "rn_keyed_limiter_new: %s", rn_error_detail());
    return k;
}

static int allow(rn_keyed_limiter *k, const char *key, size_t n)
{
    return rn_keyed_limiter_allow(k, key, strlen(key), n);
}

static rn_duration delay(rn_keyed_limiter *k, const char *key, size_t n)
{
    return rn_keyed_limiter_delay(k, key, strlen(key), n);
}

static rn_keyed_limiter_stats stats_of(rn_keyed_limiter *k)
{
    rn_keyed_limiter_stats stats;

    rn_keyed_limiter_stats_read(k, &stats);
    return stats;
}

/* ---- making ---- */

static void expect_refused(const rn_keyed_limiter_config *config, const char *sentence)
{
    rn_keyed_limiter *k = (rn_keyed_limiter *)1;

    EXPECT_EQ(rn_keyed_limiter_new(&k, config), -EINVAL);
    EXPECT(k == NULL);
    EXPECT_STR(rn_error_detail(), sentence);
    rn_keyed_limiter_free(k);
}

TEST(configurations_that_are_refused)
{
    expect_refused(&(rn_keyed_limiter_config){.per_second = -1},
                   "keyed limiter: .per_second is -1: allowed are 0 to 1e+12, and "
                   "RN_RATE_INFINITE");
    expect_refused(&(rn_keyed_limiter_config){.burst = (size_t)-3},
                   "keyed limiter: .burst is -3: allowed are 1 to 1099511627776");
    expect_refused(&(rn_keyed_limiter_config){.per_second = 2, .every = 3},
                   "keyed limiter: .every is 3 and .per_second is 2: give one of them");
    expect_refused(&(rn_keyed_limiter_config){.keys_max = (size_t)-1},
                   "keyed limiter: .keys_max is -1: allowed are 1 to 4294967296");
    expect_refused(&(rn_keyed_limiter_config){.when_full = (rn_keys_full)7},
                   "keyed limiter: .when_full is 7: allowed are RN_KEYS_FORGET and RN_KEYS_REFUSE");
}

TEST(all_defaults_are_one_token_for_each_key)
{
    rn_keyed_limiter *k = keyed(NULL);

    EXPECT_EQ(allow(k, "a", 1), 0);
    EXPECT_EQ(allow(k, "a", 1), RN_ERATE);
    EXPECT_EQ(delay(k, "a", 1), RN_FOREVER);
    EXPECT_EQ(allow(k, "b", 1), 0);
    rn_keyed_limiter_free(k);
}

/* ---- keys ---- */

TEST(each_key_has_its_own_bucket)
{
    struct hand *h = hand(0);
    rn_keyed_limiter *k = keyed(
        &(rn_keyed_limiter_config){.per_second = 10, .burst = 2, .clock = &h->clock});

    EXPECT_EQ(delay(k, "a", 2), 0);
    EXPECT_EQ(allow(k, "a", 2), 0);
    EXPECT_EQ(allow(k, "a", 1), RN_ERATE);
    EXPECT_EQ(delay(k, "a", 1), 100 * RN_MILLISECOND);
    EXPECT_EQ(allow(k, "b", 1), 0);
    EXPECT_EQ(allow(k, "b", 1), 0);
    EXPECT_EQ(allow(k, "b", 1), RN_ERATE);
    h->now += 100 * RN_MILLISECOND;
    EXPECT_EQ(allow(k, "a", 1), 0);
    EXPECT_EQ(allow(k, "a", 1), RN_ERATE);
    EXPECT_EQ(allow(k, "a", 3), RN_EBURST);
    EXPECT_EQ(delay(k, "a", 3), RN_FOREVER);
    EXPECT_EQ(stats_of(k).keys, 2);
    EXPECT_EQ(stats_of(k).allowed, 4);
    EXPECT_EQ(stats_of(k).denied, 3);
    rn_keyed_limiter_free(k);
}

TEST(keys_are_any_bytes)
{
    static char bytes[RN_KEY_BYTES_MAX + 1];
    rn_keyed_limiter *k = keyed(NULL);

    EXPECT_EQ(rn_keyed_limiter_allow(k, NULL, 0, 1), 0);
    EXPECT_EQ(rn_keyed_limiter_allow(k, "", 0, 1), RN_ERATE);
    for (size_t size = 1; size <= RN_KEY_BYTES_MAX; size += size < 40 ? 1 : 8191) {
        EXPECT_EQ(rn_keyed_limiter_allow(k, bytes, size, 1), 0);
        EXPECT_EQ(rn_keyed_limiter_allow(k, bytes, size, 1), RN_ERATE);
        bytes[size - 1] = 1;
        EXPECT_EQ(rn_keyed_limiter_allow(k, bytes, size, 1), 0);
        bytes[size - 1] = 0;
    }
    EXPECT_EQ(rn_keyed_limiter_allow(k, bytes, sizeof bytes, 1), -EINVAL);
    EXPECT_STR(rn_error_detail(), "keyed limiter: a key of 65537 bytes: allowed are up to 65536");
    rn_keyed_limiter_free(k);
}

TEST(a_key_that_is_forgotten_begins_anew)
{
    rn_keyed_limiter *k = keyed(&(rn_keyed_limiter_config){.burst = 3});

    EXPECT_EQ(allow(k, "a", 3), 0);
    EXPECT_EQ(rn_keyed_limiter_forget(k, "a", 1), 0);
    EXPECT_EQ(rn_keyed_limiter_forget(k, "a", 1), -ENOENT);
    EXPECT_EQ(stats_of(k).keys, 0);
    EXPECT_EQ(allow(k, "a", 3), 0);
    rn_keyed_limiter_free(k);
}

/* ---- bounds ---- */

static void key_of(int i, char text[16])
{
    snprintf(text, 16, "key-%d", i);
}

static int allow_number(rn_keyed_limiter *k, int i, size_t n)
{
    char key[16];

    key_of(i, key);
    return allow(k, key, n);
}

TEST(full_buckets_are_forgotten_as_new_keys_come)
{
    struct hand *h = hand(0);
    rn_keyed_limiter *k = keyed(&(rn_keyed_limiter_config){
        .per_second = 1, .burst = 5, .keys_max = 1000, .clock = &h->clock});
    rn_keyed_limiter_stats stats;

    for (int i = 0; i < 1000; i++)
        EXPECT_EQ(allow_number(k, i, 2), 0);
    EXPECT_EQ(stats_of(k).keys, 1000);
    h->now += 2 * RN_SECOND;
    for (int i = 1000; i < 2000; i++)
        EXPECT_EQ(allow_number(k, i, 1), 0);
    stats = stats_of(k);
    EXPECT_EQ(stats.keys, 1000);
    EXPECT_EQ(stats.forgotten, 1000);
    EXPECT_EQ(stats.displaced, 0);
    h->now += 2 * RN_SECOND;
    for (int i = 2000; i < 2500; i++)
        EXPECT_EQ(allow_number(k, i, 5), 0);
    EXPECT_EQ(stats_of(k).keys, 500); /* two go for each that comes */
    EXPECT_EQ(stats_of(k).displaced, 0);
    rn_keyed_limiter_free(k);
}

TEST(at_the_bound_the_longest_unused_key_is_forgotten)
{
    struct hand *h = hand(0);
    rn_keyed_limiter *k = keyed(
        &(rn_keyed_limiter_config){.per_second = 1, .burst = 5, .keys_max = 3, .clock = &h->clock});

    EXPECT_EQ(allow(k, "a", 5), 0);
    EXPECT_EQ(allow(k, "b", 5), 0);
    EXPECT_EQ(allow(k, "c", 5), 0);
    EXPECT_EQ(allow(k, "a", 1), RN_ERATE); /* being denied is use, too */
    EXPECT_EQ(allow(k, "d", 5), 0);        /* b goes */
    EXPECT_EQ(stats_of(k).keys, 3);
    EXPECT_EQ(stats_of(k).displaced, 1);
    EXPECT_EQ(allow(k, "a", 1), RN_ERATE);
    EXPECT_EQ(allow(k, "c", 1), RN_ERATE);
    EXPECT_EQ(allow(k, "d", 1), RN_ERATE);
    EXPECT_EQ(allow(k, "b", 5), 0); /* back, with a full bucket; a goes */
    EXPECT_EQ(allow(k, "c", 1), RN_ERATE);
    EXPECT_EQ(stats_of(k).keys, 3);
    EXPECT_EQ(stats_of(k).displaced, 2);
    rn_keyed_limiter_free(k);
}

TEST(at_the_bound_a_key_that_is_full_again_goes_first)
{
    struct hand *h = hand(0);
    rn_keyed_limiter *k = keyed(
        &(rn_keyed_limiter_config){.per_second = 1, .burst = 5, .keys_max = 3, .clock = &h->clock});

    EXPECT_EQ(allow(k, "a", 5), 0);
    EXPECT_EQ(allow(k, "b", 1), 0);
    EXPECT_EQ(allow(k, "c", 5), 0);
    h->now += RN_SECOND;
    EXPECT_EQ(allow(k, "d", 5), 0); /* b goes, though a is longer unused */
    EXPECT_EQ(allow(k, "a", 2), RN_ERATE);
    EXPECT_EQ(stats_of(k).forgotten, 1);
    EXPECT_EQ(stats_of(k).displaced, 0);
    rn_keyed_limiter_free(k);
}

TEST(at_the_bound_new_keys_may_be_refused)
{
    struct hand *h = hand(0);
    rn_keyed_limiter *k = keyed(&(rn_keyed_limiter_config){.per_second = 1,
                                                           .burst = 5,
                                                           .keys_max = 20,
                                                           .when_full = RN_KEYS_REFUSE,
                                                           .clock = &h->clock});

    for (int i = 0; i < 20; i++)
        EXPECT_EQ(allow_number(k, i, i == 13 ? 1 : 5), 0);
    EXPECT_EQ(allow(k, "new", 1), -ENOSPC);
    EXPECT_EQ(stats_of(k).refused, 1);
    EXPECT_EQ(allow_number(k, 0, 1), RN_ERATE); /* the known ones go on */
    EXPECT_EQ(delay(k, "new", 1), 0);
    h->now += RN_SECOND;
    for (int i = 0; i < 3 && allow(k, "new", 1) != 0; i++) /* 8 are looked at each time */
        continue;
    EXPECT_EQ(stats_of(k).keys, 20);
    EXPECT_EQ(stats_of(k).forgotten, 1);
    EXPECT_EQ(stats_of(k).displaced, 0);
    EXPECT_EQ(allow(k, "new", 4), 0);
    EXPECT_EQ(allow(k, "new", 1), RN_ERATE);
    rn_keyed_limiter_free(k);
}

TEST(the_bound_is_never_exceeded)
{
    rn_keyed_limiter *k = keyed(&(rn_keyed_limiter_config){.keys_max = 5000});

    for (int i = 0; i < 50000; i++) {
        EXPECT_EQ(allow_number(k, i, 1), 0);
        EXPECT_EQ(allow_number(k, i, 1), RN_ERATE);
    }
    EXPECT_EQ(stats_of(k).keys, 5000);
    EXPECT_EQ(stats_of(k).displaced, 45000);
    rn_keyed_limiter_free(k);
}

/* ---- waiting ---- */

TEST_VIRTUAL(a_wait_is_as_long_as_its_own_key_asks_for)
{
    rn_keyed_limiter *k = keyed(&(rn_keyed_limiter_config){.per_second = 10, .name = "clients"});
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, 250 * RN_MILLISECOND);

    for (int i = 0; i < 3; i++)
        EXPECT_EQ(rn_keyed_limiter_wait(ctx, k, "a", 1, 1), 0);
    EXPECT_EQ(rn_now(), 200 * RN_MILLISECOND);
    EXPECT_EQ(rn_keyed_limiter_wait(ctx, k, "b", 1, 1), 0);
    EXPECT_EQ(rn_now(), 200 * RN_MILLISECOND);
    EXPECT_EQ(rn_keyed_limiter_wait(ctx, k, "a", 1, 1), RN_ERATE);
    EXPECT_STR(rn_error_detail(),
               "keyed limiter \"clients\": 1 more come in 0.100 s, after the deadline");
    EXPECT_EQ(rn_keyed_limiter_wait(ctx, k, "a", 1, 2), RN_EBURST);
    EXPECT_EQ(rn_sleep(NULL, RN_SECOND), 0);
    EXPECT_EQ(rn_keyed_limiter_wait(ctx, k, "a", 1, 1), -ETIMEDOUT);
    EXPECT_EQ(allow(k, "a", 1), 0);
    EXPECT_EQ(rn_keyed_limiter_set_rate(k, 0), 0);
    EXPECT_EQ(rn_keyed_limiter_wait(NULL, k, "a", 1, 1), RN_ERATE);
    EXPECT_STR(rn_error_detail(), "keyed limiter \"clients\": 1 more will never come");
    rn_ctx_release(ctx);
    rn_keyed_limiter_free(k);
}

struct waiting {
    rn_keyed_limiter *k;
    rn_ctx *ctx;
    size_t n;
    int err;
    rn_time at;
    atomic_int done;
};

static void wait_for_a(void *arg)
{
    struct waiting *w = arg;

    w->err = rn_keyed_limiter_wait(w->ctx, w->k, "a", 1, w->n);
    w->at = rn_now();
    atomic_store(&w->done, 1);
}

static void start_wait(struct waiting *w)
{
    EXPECT_EQ(rn_go(wait_for_a, w), 0);
    rn_yield();
}

TEST_VIRTUAL(a_cancelled_wait_gives_back_what_later_ones_do_not_use)
{
    rn_keyed_limiter *k = keyed(&(rn_keyed_limiter_config){.per_second = 1, .burst = 10});
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    struct waiting first = {.k = k, .ctx = ctx, .n = 5}, second = {.k = k, .n = 2};

    EXPECT_EQ(allow(k, "a", 10), 0);
    start_wait(&first);
    start_wait(&second);
    EXPECT_EQ(delay(k, "a", 1), 8 * RN_SECOND);
    EXPECT_EQ(rn_keyed_limiter_set_rate(k, 2), 0); /* the promise is converted with the bucket */
    EXPECT_EQ(delay(k, "a", 1), 4 * RN_SECOND);
    rn_ctx_cancel(ctx, 0);
    await_count(&first.done, 1);
    EXPECT_EQ(first.err, -ECANCELED);
    EXPECT_EQ(delay(k, "a", 1), 5 * RN_SECOND / 2);
    while (atomic_load(&second.done) == 0)
        EXPECT_EQ(rn_sleep(NULL, RN_SECOND), 0);
    EXPECT_EQ(second.err, 0);
    EXPECT_EQ(second.at, 7 * RN_SECOND); /* as it was told */
    rn_ctx_release(ctx);
    rn_keyed_limiter_free(k);
}

TEST_VIRTUAL(a_cancelled_wait_gives_nothing_to_a_key_that_came_anew)
{
    rn_keyed_limiter *k = keyed(&(rn_keyed_limiter_config){.per_second = 1, .burst = 10});
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    struct waiting w = {.k = k, .ctx = ctx, .n = 5};

    EXPECT_EQ(allow(k, "a", 10), 0);
    start_wait(&w);
    EXPECT_EQ(rn_keyed_limiter_forget(k, "a", 1), 0);
    EXPECT_EQ(allow(k, "a", 10), 0);
    rn_ctx_cancel(ctx, 0);
    await_count(&w.done, 1);
    EXPECT_EQ(delay(k, "a", 1), RN_SECOND);
    rn_ctx_release(ctx);
    rn_keyed_limiter_free(k);
}

/* ---- changes and clocks ---- */

TEST(rate_and_burst_change_for_all_keys)
{
    struct hand *h = hand(0);
    rn_keyed_limiter *k = keyed(
        &(rn_keyed_limiter_config){.per_second = 1, .burst = 4, .clock = &h->clock});

    EXPECT_EQ(allow(k, "a", 4), 0);
    EXPECT_EQ(allow(k, "b", 2), 0);
    EXPECT_EQ(rn_keyed_limiter_set_burst(k, 6), 0);
    EXPECT_EQ(delay(k, "a", 1), RN_SECOND);
    EXPECT_EQ(delay(k, "b", 3), RN_SECOND);
    EXPECT_EQ(delay(k, "new", 6), 0);
    EXPECT_EQ(rn_keyed_limiter_set_rate(k, 10), 0);
    EXPECT_EQ(delay(k, "a", 1), 100 * RN_MILLISECOND);
    EXPECT_EQ(rn_keyed_limiter_set_rate(k, -1), -EINVAL);
    EXPECT_EQ(rn_keyed_limiter_set_burst(k, 0), -EINVAL);
    EXPECT_STR(rn_error_detail(), "keyed limiter: .burst is 0: allowed are 1 to 1099511627776");
    EXPECT_EQ(stats_of(k).burst, 6);
    EXPECT(stats_of(k).per_second == 10);
    EXPECT_EQ(rn_keyed_limiter_set_rate(k, RN_RATE_INFINITE), 0);
    EXPECT_EQ(allow(k, "a", 1000), 0);
    EXPECT_EQ(delay(k, "a", 1000), 0);
    rn_keyed_limiter_free(k);
}

TEST(its_clock_may_jump_back_and_run_for_centuries)
{
    struct hand *h = hand(1000 * RN_HOUR);
    rn_keyed_limiter *k = keyed(
        &(rn_keyed_limiter_config){.per_second = 7e6, .burst = 4, .clock = &h->clock});

    EXPECT_EQ(allow(k, "a", 4), 0);
    h->now -= RN_HOUR;
    EXPECT_EQ(delay(k, "a", 1), 143);
    for (int years = 0; years < 280; years += 35) {
        h->now += 35 * 8760 * RN_HOUR;
        EXPECT_EQ(allow(k, "a", 4), 0);
        EXPECT_EQ(allow(k, "a", 1), RN_ERATE);
    }
    rn_keyed_limiter_free(k);
}

/* ---- events, dumps ---- */

struct denial {
    rn_keyed_limiter *k;
    char key[8];
    size_t n;
    rn_duration retry_after;
};

static void note_denied(void *arg, const void *key, size_t size, size_t n, rn_duration retry_after)
{
    struct denial *d = arg;

    memcpy(d->key, key, size);
    d->n = n;
    d->retry_after = retry_after;
    EXPECT_EQ(allow(d->k, "other", 1), 0); /* under no lock */
    EXPECT_EQ(rn_keyed_limiter_set_burst(d->k, 4), 0);
}

TEST(denials_are_reported)
{
    struct hand *h = hand(0);
    struct denial d = {0};
    rn_keyed_limiter *k = keyed(&(rn_keyed_limiter_config){.per_second = 10,
                                                           .burst = 4,
                                                           .clock = &h->clock,
                                                           .on_denied = note_denied,
                                                           .events_arg = &d});

    d.k = k;
    EXPECT_EQ(allow(k, "abc", 3), 0);
    EXPECT_EQ(allow(k, "abc", 2), RN_ERATE);
    EXPECT_STR(d.key, "abc");
    EXPECT_EQ(d.n, 2);
    EXPECT_EQ(d.retry_after, 100 * RN_MILLISECOND);
    rn_keyed_limiter_free(k);
}

struct told {
    rn_keyed_limiter *k;
    char key[8];
    int displaced, waits;
    rn_duration waited;
    int err;
};

static void note_displaced(void *arg, const void *key, size_t size)
{
    struct told *t = arg;

    memcpy(t->key, key, size);
    t->displaced++;
    EXPECT_EQ(rn_keyed_limiter_forget(t->k, key, size), -ENOENT); /* under no lock */
}

static void note_key_waited(void *arg, const void *key, size_t size, size_t n, rn_duration waited,
                            int err)
{
    struct told *t = arg;

    EXPECT(size == 1 && memcmp(key, "b", 1) == 0 && n == 2);
    t->waits++;
    t->waited = waited;
    t->err = err;
    EXPECT_EQ(rn_keyed_limiter_set_burst(t->k, 2), 0);
}

TEST_VIRTUAL(displaced_keys_and_waits_are_reported)
{
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    struct told t = {.waits = 0};
    rn_keyed_limiter *k = keyed(&(rn_keyed_limiter_config){.per_second = 1,
                                                           .burst = 2,
                                                           .keys_max = 1,
                                                           .on_displaced = note_displaced,
                                                           .on_waited = note_key_waited,
                                                           .events_arg = &t});

    t.k = k;
    EXPECT_EQ(allow(k, "a", 1), 0);
    EXPECT_EQ(t.displaced, 0);
    EXPECT_EQ(allow(k, "b", 2), 0);
    EXPECT_EQ(t.displaced, 1);
    EXPECT_STR(t.key, "a");
    EXPECT_EQ(rn_keyed_limiter_wait(ctx, k, "b", 1, 2), 0);
    EXPECT(t.waits == 1 && t.err == 0 && t.waited == 2 * RN_SECOND);
    EXPECT_EQ(rn_now(), 2 * RN_SECOND);
    rn_ctx_cancel(ctx, 0);
    EXPECT_EQ(rn_keyed_limiter_wait(ctx, k, "b", 1, 2), -ECANCELED);
    EXPECT_EQ(t.waits, 1); /* it did not begin */
    EXPECT_EQ(stats_of(k).waits, 1);
    EXPECT_EQ(stats_of(k).gave_up, 0);
    rn_ctx_release(ctx);
    rn_keyed_limiter_free(k);
}

static void cancel_in_a_second(void *arg)
{
    EXPECT_EQ(rn_sleep(NULL, RN_SECOND), 0);
    rn_ctx_cancel(arg, 0);
}

TEST_VIRTUAL(a_wait_that_was_given_up_is_reported)
{
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    struct told t = {.waits = 0};
    rn_keyed_limiter *k = keyed(&(rn_keyed_limiter_config){
        .per_second = 1, .burst = 2, .on_waited = note_key_waited, .events_arg = &t});

    t.k = k;
    EXPECT_EQ(allow(k, "b", 2), 0);
    EXPECT_EQ(rn_go(cancel_in_a_second, ctx), 0);
    EXPECT_EQ(rn_keyed_limiter_wait(ctx, k, "b", 1, 2), -ECANCELED);
    EXPECT(t.waits == 1 && t.err == -ECANCELED && t.waited == 2 * RN_SECOND);
    EXPECT_EQ(stats_of(k).waits, 1);
    EXPECT_EQ(stats_of(k).gave_up, 1);
    rn_ctx_release(ctx);
    rn_keyed_limiter_free(k);
}

TEST_DIES(a_dump_shows_a_named_keyed_limiter, "^keyed limiter \"clients\" \\[2 of 100 keys\\]\n$",
          0)
{
    rn_keyed_limiter *k = keyed(&(rn_keyed_limiter_config){.keys_max = 100, .name = "clients"});

    rn_keyed_limiter_free(keyed(&(rn_keyed_limiter_config){.name = "gone"}));
    EXPECT_EQ(allow(k, "a", 1), 0);
    EXPECT_EQ(allow(k, "b", 1), 0);
    rn_dump(1);
    exit(0);
}

/* ---- fibers and threads ---- */

#define CROWD_KEYS 200

struct crowd {
    rn_keyed_limiter *k;
    atomic_int left;
    atomic_int taken[CROWD_KEYS];
    int rounds;
};

static void jostle(struct crowd *c)
{
    for (int i = 0; i < c->rounds; i++) {
        int key = i * 7 % CROWD_KEYS;
        if (allow_number(c->k, key, 1) == 0)
            atomic_fetch_add(&c->taken[key], 1);
        if (i % 1000 == 0)
            EXPECT_EQ(rn_keyed_limiter_set_rate(c->k, i % 2000 == 0 ? 0 : 1e-4), 0);
        if (i % 64 == 0)
            rn_yield();
    }
    atomic_fetch_sub(&c->left, 1);
}

static void jostle_fiber(void *arg)
{
    jostle(arg);
}

static void *jostle_thread(void *arg)
{
    jostle(arg);
    return NULL;
}

TEST_FIBER(a_crowd_gets_each_token_of_each_key_once)
{
    static struct crowd c;
    pthread_t threads[3];

    c.rounds = rounds(20000) > 2000 ? rounds(20000) : 2000; /* enough to ask for too many */
    c.left = 8;
    c.k = keyed(&(rn_keyed_limiter_config){.burst = 50});
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(pthread_create(&threads[i], NULL, jostle_thread, &c), 0);
    for (int i = 0; i < 5; i++)
        EXPECT_EQ(rn_go(jostle_fiber, &c), 0);
    while (atomic_load(&c.left) > 0)
        rn_yield();
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < CROWD_KEYS; i++)
        EXPECT_EQ(atomic_load(&c.taken[i]), 50);
    EXPECT_EQ(stats_of(c.k).allowed, 50 * CROWD_KEYS);
    EXPECT_EQ(stats_of(c.k).denied, 8 * c.rounds - 50 * CROWD_KEYS);
    EXPECT_EQ(stats_of(c.k).keys, CROWD_KEYS);
    rn_keyed_limiter_free(c.k);
}
