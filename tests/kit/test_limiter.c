/* Rate limiter: tokens, times, promises, and changes of the rate. */
#include "kit/limiters.h"

#include <pthread.h>

/* ---- making ---- */

static void expect_refused(const rn_limiter_config *config, const char *sentence)
{
    rn_limiter *l = (rn_limiter *)1;

    EXPECT_EQ(rn_limiter_new(&l, config), -EINVAL);
    EXPECT(l == NULL);
    EXPECT_STR(rn_error_detail(), sentence);
    rn_limiter_free(l);
}

TEST(configurations_that_are_refused)
{
    expect_refused(&(rn_limiter_config){.per_second = -1},
                   "limiter: .per_second is -1: allowed are 0 to 1e+12, and RN_RATE_INFINITE");
    expect_refused(&(rn_limiter_config){.per_second = 2e12},
                   "limiter: .per_second is 2e+12: allowed are 0 to 1e+12, and RN_RATE_INFINITE");
    expect_refused(&(rn_limiter_config){.per_second = -RN_RATE_INFINITE},
                   "limiter: .per_second is -inf: allowed are 0 to 1e+12, and RN_RATE_INFINITE");
    expect_refused(&(rn_limiter_config){.per_second = 1, .burst = (size_t)-3},
                   "limiter: .burst is -3: allowed are 1 to 1099511627776");
    expect_refused(&(rn_limiter_config){.per_second = 2, .every = 3},
                   "limiter: .every is 3 and .per_second is 2: give one of them");
    expect_refused(&(rn_limiter_config){.every = -3},
                   "limiter: .every is -3: allowed are durations above 0");
    expect_refused(&(rn_limiter_config){.per_second = 1e-9, .burst = 5},
                   "limiter: .per_second is 1e-09 with a .burst of 5: the bucket must fill up "
                   "within 4 years, or, with 0, never");
    expect_refused(&(rn_limiter_config){.per_second = 1e-320},
                   "limiter: .per_second is 9.99989e-321 with a .burst of 1: the bucket must fill "
                   "up within 4 years, or, with 0, never");
}

TEST(a_rate_that_is_no_number_is_refused)
{
    rn_limiter *l = limiter(&(rn_limiter_config){.per_second = 10, .burst = 5});

    EXPECT_EQ(rn_limiter_set_rate(l, __builtin_nan("")), -EINVAL);
    EXPECT_EQ(rn_limiter_set_rate(l, -0.5), -EINVAL);
    EXPECT_EQ(rn_limiter_set_burst(l, 0), -EINVAL);
    EXPECT_STR(rn_error_detail(), "limiter: .burst is 0: allowed are 1 to 1099511627776");
    EXPECT_EQ(allowed(l), 5);
    rn_limiter_free(l);
}

TEST(all_defaults_are_one_token_once)
{
    rn_limiter *l = limiter(NULL);

    EXPECT_EQ(rn_limiter_allow(l, 1), 0);
    EXPECT_EQ(rn_limiter_allow(l, 1), RN_ERATE);
    EXPECT_EQ(rn_limiter_delay(l, 1), RN_FOREVER);
    rn_limiter_free(l);
}

/* ---- the bucket ---- */

TEST(it_starts_full_and_refills_at_its_rate)
{
    struct hand *h = hand(1000);
    rn_limiter *l = limiter(&(rn_limiter_config){.per_second = 10, .burst = 5, .clock = &h->clock});

    EXPECT_EQ(allowed(l), 5);
    EXPECT_EQ(rn_limiter_delay(l, 1), 100 * RN_MILLISECOND);
    EXPECT_EQ(rn_limiter_delay(l, 5), 500 * RN_MILLISECOND);
    h->now += 100 * RN_MILLISECOND - 1;
    EXPECT_EQ(allowed(l), 0);
    h->now += 1;
    EXPECT_EQ(allowed(l), 1);
    h->now += 250 * RN_MILLISECOND;
    EXPECT_EQ(allowed(l), 2);
    EXPECT(close_to(rn_limiter_available(l), 0.5));
    h->now += RN_HOUR;
    EXPECT(close_to(rn_limiter_available(l), 5));
    EXPECT_EQ(allowed(l), 5);
    rn_limiter_free(l);
}

TEST(several_tokens_are_taken_together_or_not_at_all)
{
    struct hand *h = hand(0);
    rn_limiter *l = limiter(&(rn_limiter_config){.per_second = 10, .burst = 5, .clock = &h->clock});

    EXPECT_EQ(rn_limiter_allow(l, 3), 0);
    EXPECT_EQ(rn_limiter_allow(l, 3), RN_ERATE);
    EXPECT_EQ(rn_limiter_allow(l, 0), 0);
    EXPECT_EQ(rn_limiter_allow(l, 2), 0);
    rn_limiter_free(l);
}

TEST_FIBER(more_than_the_burst_is_an_error_of_its_own)
{
    struct hand *h = hand(0);
    rn_limiter *l = limiter(&(rn_limiter_config){.per_second = 10, .burst = 5, .clock = &h->clock});
    rn_reservation r;

    EXPECT_EQ(rn_limiter_allow(l, 6), RN_EBURST);
    EXPECT_EQ(rn_limiter_wait(NULL, l, 6), RN_EBURST);
    EXPECT_EQ(rn_limiter_reserve(l, (size_t)-1, &r), RN_EBURST);
    rn_limiter_cancel(l, &r);
    EXPECT_EQ(rn_limiter_delay(l, 6), RN_FOREVER);
    EXPECT_EQ(allowed(l), 5);
    rn_limiter_free(l);
}

/* Exactly the burst, and then exactly one a moment: whatever the rate. */
TEST(rates_of_every_kind_are_exact)
{
    static const double rates[] = {1.0 / 86400, 0.3,     1,         3,   7,      10000, 3e6, 7e6,
                                   1e7 / 3,     3141592, 123456789, 1e9, 1.25e9, 3e10,  1e12};
    static const size_t bursts[] = {1, 2, 7, 1000};

    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++)
        for (size_t j = 0; j < sizeof bursts / sizeof *bursts; j++) {
            struct hand *h = hand(12345);
            rn_limiter *l = limiter(&(rn_limiter_config){
                .per_second = rates[i], .burst = bursts[j], .clock = &h->clock});
            double interval = 1e9 / rates[i] * (double)bursts[j], delay;
            EXPECT_EQ(allowed(l), bursts[j]);
            delay = (double)rn_limiter_delay(l, bursts[j]);
            EXPECT(delay >= interval * 0.9995 && delay <= interval * 1.0005 + 1);
            h->now += (rn_time)delay;
            EXPECT_EQ(rn_limiter_allow(l, bursts[j]), 0);
            rn_limiter_free(l);
        }
}

TEST(an_interval_is_a_rate)
{
    struct hand *h = hand(0);
    rn_limiter *l = limiter(
        &(rn_limiter_config){.every = 7 * RN_SECOND, .burst = 2, .clock = &h->clock});

    EXPECT_EQ(allowed(l), 2);
    EXPECT_EQ(rn_limiter_delay(l, 1), 7 * RN_SECOND);
    rn_limiter_free(l);
}

TEST_VIRTUAL(a_rate_of_0_never_refills)
{
    rn_limiter *l = limiter(&(rn_limiter_config){.burst = 3});
    rn_reservation r;

    EXPECT_EQ(rn_limiter_allow(l, 1), 0);
    EXPECT_EQ(rn_limiter_wait(NULL, l, 2), 0);
    EXPECT_EQ(rn_sleep(NULL, 100000 * RN_HOUR), 0);
    EXPECT_EQ(rn_limiter_allow(l, 1), RN_ERATE);
    EXPECT_EQ(rn_limiter_wait(NULL, l, 1), RN_ERATE);
    EXPECT_STR(rn_error_detail(), "limiter \"\": 1 more will never come");
    EXPECT_EQ(rn_limiter_reserve(l, 1, &r), RN_ERATE);
    EXPECT_EQ(r.delay, RN_FOREVER);
    EXPECT_EQ(rn_limiter_set_rate(l, 1), 0);
    EXPECT_EQ(rn_limiter_delay(l, 1), RN_SECOND);
    rn_limiter_free(l);
}

TEST_VIRTUAL(an_infinite_rate_allows_everything)
{
    rn_limiter *l = limiter(&(rn_limiter_config){.per_second = RN_RATE_INFINITE});
    rn_reservation r;

    EXPECT_EQ(rn_limiter_allow(l, 1000000), 0);
    EXPECT_EQ(rn_limiter_wait(NULL, l, (size_t)-1), 0);
    EXPECT_EQ(rn_limiter_reserve(l, 7, &r), 0);
    EXPECT_EQ(r.delay, 0);
    rn_limiter_cancel(l, &r);
    EXPECT_EQ(rn_limiter_delay(l, 100), 0);
    EXPECT_EQ(rn_limiter_set_rate(l, 1), 0);
    EXPECT_EQ(allowed(l), 1);
    EXPECT_EQ(rn_limiter_set_rate(l, RN_RATE_INFINITE), 0);
    EXPECT_EQ(rn_limiter_allow(l, 1000000), 0);
    rn_limiter_free(l);
}

/* ---- waiting ---- */

TEST_VIRTUAL(a_million_waits_do_not_drift)
{
    rn_limiter *l = limiter(&(rn_limiter_config){.per_second = 10000});
    int n = rounds(1000000);

    for (int i = 0; i < n; i++)
        EXPECT_EQ(rn_limiter_wait(NULL, l, 1), 0);
    EXPECT_EQ(rn_now(), (n - 1) * (100 * RN_MICROSECOND)); /* the first was free */
    rn_limiter_free(l);
}

TEST_VIRTUAL(waits_at_odd_rates_do_not_drift_either)
{
    static const double rates[] = {3, 7e6, 3141592, 1.0 / 3600};

    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        rn_limiter *l = limiter(&(rn_limiter_config){.per_second = rates[i]});
        rn_time start = rn_now();
        double wanted;
        int n = rounds(100000);
        for (int j = 0; j <= n; j++)
            EXPECT_EQ(rn_limiter_wait(NULL, l, 1), 0);
        wanted = n * 1e9 / rates[i];
        EXPECT((double)(rn_now() - start) >= wanted * (1 - 1e-6) - 1);
        EXPECT((double)(rn_now() - start) <= wanted * (1 + 1e-6) + 1);
        rn_limiter_free(l);
    }
}

TEST_VIRTUAL(a_wait_that_would_outlast_the_deadline_fails_at_once)
{
    rn_limiter *l = limiter(&(rn_limiter_config){.per_second = 10, .name = "api"});
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, 99 * RN_MILLISECOND);

    EXPECT_EQ(rn_limiter_wait(ctx, l, 1), 0);
    EXPECT_EQ(rn_limiter_wait(ctx, l, 1), RN_ERATE);
    EXPECT_STR(rn_error_detail(), "limiter \"api\": 1 more come in 0.100 s, after the deadline");
    EXPECT_EQ(rn_limiter_delay(l, 1), 100 * RN_MILLISECOND); /* nothing was taken */
    EXPECT_EQ(rn_now(), 0);
    EXPECT_EQ(rn_ctx_err(ctx), 0);
    rn_ctx_release(ctx);
    ctx = rn_ctx_with_timeout(NULL, 101 * RN_MILLISECOND);
    EXPECT_EQ(rn_limiter_wait(ctx, l, 1), 0);
    EXPECT_EQ(rn_now(), 100 * RN_MILLISECOND);
    rn_ctx_release(ctx);
    rn_limiter_free(l);
}

/* The deadline is a time of the runtime's clock; this limiter's shows quite another time. */
TEST_VIRTUAL(deadlines_are_compared_as_durations)
{
    struct hand *h = hand(1000000 * RN_HOUR);
    rn_limiter *l = limiter(&(rn_limiter_config){.per_second = 10, .clock = &h->clock});
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, 150 * RN_MILLISECOND);

    EXPECT_EQ(rn_limiter_wait(ctx, l, 1), 0);
    EXPECT_EQ(rn_limiter_wait(ctx, l, 1), 0);
    EXPECT_EQ(h->now, 1000000 * RN_HOUR + 100 * RN_MILLISECOND);
    EXPECT_EQ(rn_limiter_delay(l, 1), 100 * RN_MILLISECOND);
    EXPECT_EQ(rn_sleep(NULL, 60 * RN_MILLISECOND), 0);
    EXPECT_EQ(rn_limiter_wait(ctx, l, 1), RN_ERATE); /* 90 ms are left */
    rn_ctx_release(ctx);
    rn_limiter_free(l);
}

TEST_FIBER(a_done_context_fails_although_there_are_tokens)
{
    rn_limiter *l = limiter(&(rn_limiter_config){.per_second = 1e-6, .burst = 5});
    rn_ctx *cancelled = rn_ctx_with_cancel(NULL), *late = rn_ctx_with_timeout(NULL, 0);

    rn_ctx_cancel(cancelled, 0);
    EXPECT_EQ(rn_limiter_wait(cancelled, l, 1), -ECANCELED);
    EXPECT_EQ(rn_limiter_wait(late, l, 1), -ETIMEDOUT);
    EXPECT_EQ(allowed(l), 5);
    rn_ctx_release(cancelled);
    rn_ctx_release(late);
    rn_limiter_free(l);
}

static void cancel_in_3_s(void *arg)
{
    EXPECT_EQ(rn_sleep(NULL, 3 * RN_SECOND), 0);
    rn_ctx_cancel(arg, 0);
}

TEST_VIRTUAL(a_cancelled_wait_gives_its_tokens_back)
{
    rn_limiter *l = limiter(&(rn_limiter_config){.every = RN_SECOND, .burst = 10});
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);

    EXPECT_EQ(rn_limiter_allow(l, 10), 0);
    EXPECT_EQ(rn_go(cancel_in_3_s, ctx), 0);
    EXPECT_EQ(rn_limiter_wait(ctx, l, 10), -ECANCELED);
    EXPECT_EQ(rn_now(), 3 * RN_SECOND);
    EXPECT_EQ(allowed(l), 3);
    rn_ctx_release(ctx);
    rn_limiter_free(l);
}

/* A deadline of its own clock cannot be foreseen: the sleep ends with it. */
static int sleep_past_deadline(rn_ctx *ctx, void *arg, rn_duration d)
{
    (void)ctx, (void)arg, (void)d;
    return -ETIMEDOUT;
}

TEST_FIBER(a_wait_that_times_out_gives_its_tokens_back)
{
    struct hand *h = hand(0);
    h->clock.sleep = sleep_past_deadline;
    rn_limiter *l = limiter(&(rn_limiter_config){.per_second = 1, .clock = &h->clock});

    EXPECT_EQ(rn_limiter_wait(NULL, l, 1), 0);
    EXPECT_EQ(rn_limiter_wait(NULL, l, 1), -ETIMEDOUT);
    EXPECT_EQ(rn_limiter_delay(l, 1), RN_SECOND);
    rn_limiter_free(l);
}

struct queuer {
    rn_limiter *l;
    rn_time done;
    atomic_int *count;
};

static void wait_for_one(void *arg)
{
    struct queuer *q = arg;

    EXPECT_EQ(rn_limiter_wait(NULL, q->l, 1), 0);
    q->done = rn_now();
    atomic_fetch_add(q->count, 1);
}

TEST_VIRTUAL(waits_are_served_in_order_one_interval_apart)
{
    rn_limiter *l = limiter(&(rn_limiter_config){.per_second = 10, .burst = 5});
    struct queuer queuers[20];
    atomic_int count = 0;

    for (int i = 0; i < 20; i++) {
        queuers[i] = (struct queuer){.l = l, .count = &count};
        EXPECT_EQ(rn_go(wait_for_one, &queuers[i]), 0);
        rn_yield();
    }
    while (atomic_load(&count) < 20)
        EXPECT_EQ(rn_sleep(NULL, RN_SECOND), 0);
    for (int i = 0; i < 20; i++)
        EXPECT_EQ(queuers[i].done, i < 5 ? 0 : (i - 4) * 100 * RN_MILLISECOND);
    rn_limiter_free(l);
}

/* ---- reservations ---- */

TEST(a_reservation_says_when_to_act)
{
    struct hand *h = hand(0);
    rn_limiter *l = limiter(&(rn_limiter_config){.per_second = 10, .burst = 2, .clock = &h->clock});
    rn_reservation r;

    EXPECT_EQ(rn_limiter_reserve(l, 2, &r), 0);
    EXPECT_EQ(r.delay, 0);
    EXPECT_EQ(rn_limiter_reserve(l, 1, &r), 0);
    EXPECT_EQ(r.delay, 100 * RN_MILLISECOND);
    EXPECT_EQ(rn_limiter_reserve(l, 2, &r), 0);
    EXPECT_EQ(r.delay, 300 * RN_MILLISECOND);
    EXPECT(close_to(rn_limiter_available(l), -3));
    rn_limiter_free(l);
}

TEST(the_last_reservation_is_given_back_whole)
{
    struct hand *h = hand(0);
    rn_limiter *l = limiter(&(rn_limiter_config){.per_second = 10, .burst = 5, .clock = &h->clock});
    rn_reservation first, last;

    EXPECT_EQ(rn_limiter_reserve(l, 5, &first), 0);
    EXPECT_EQ(rn_limiter_reserve(l, 3, &last), 0);
    rn_limiter_cancel(l, &last);
    EXPECT(close_to(rn_limiter_available(l), 0));
    rn_limiter_cancel(l, &last); /* once is enough */
    EXPECT(close_to(rn_limiter_available(l), 0));
    rn_limiter_cancel(l, &first); /* still its time */
    EXPECT(close_to(rn_limiter_available(l), 5));
    rn_limiter_free(l);
}

TEST(what_later_reservations_use_is_not_given_back)
{
    struct hand *h = hand(0);
    rn_limiter *l = limiter(&(rn_limiter_config){.per_second = 10, .burst = 5, .clock = &h->clock});
    rn_reservation early, late;

    EXPECT_EQ(rn_limiter_allow(l, 5), 0);
    EXPECT_EQ(rn_limiter_reserve(l, 5, &early), 0);
    EXPECT_EQ(rn_limiter_reserve(l, 2, &late), 0);
    rn_limiter_cancel(l, &early);
    EXPECT(close_to(rn_limiter_available(l), -4)); /* 3 of 5 */
    EXPECT_EQ(rn_limiter_reserve(l, 5, &late), 0);
    EXPECT_EQ(rn_limiter_reserve(l, 5, &early), 0);
    rn_limiter_cancel(l, &late);
    EXPECT(close_to(rn_limiter_available(l), -14)); /* nothing of it */
    rn_limiter_free(l);
}

TEST(a_reservation_whose_time_has_come_is_not_given_back)
{
    struct hand *h = hand(0);
    rn_limiter *l = limiter(&(rn_limiter_config){.per_second = 10, .burst = 1, .clock = &h->clock});
    rn_reservation r;

    EXPECT_EQ(rn_limiter_allow(l, 1), 0);
    EXPECT_EQ(rn_limiter_reserve(l, 1, &r), 0);
    h->now += 100 * RN_MILLISECOND + 1;
    rn_limiter_cancel(l, &r);
    EXPECT_EQ(rn_limiter_allow(l, 1), RN_ERATE);
    rn_limiter_free(l);
}

TEST(a_reservation_is_given_back_across_changes_of_rate_and_burst)
{
    struct hand *h = hand(0);
    rn_limiter *l = limiter(&(rn_limiter_config){.per_second = 10, .burst = 5, .clock = &h->clock});
    rn_reservation early, late;

    EXPECT_EQ(rn_limiter_allow(l, 5), 0);
    EXPECT_EQ(rn_limiter_reserve(l, 5, &early), 0);
    h->now += 100 * RN_MILLISECOND;
    EXPECT_EQ(rn_limiter_set_rate(l, 3), 0); /* 4 are missing */
    EXPECT(close_to(rn_limiter_available(l), -4));
    EXPECT_EQ(rn_limiter_set_burst(l, 8), 0);
    EXPECT(close_to(rn_limiter_available(l), -4));
    EXPECT_EQ(rn_limiter_reserve(l, 2, &late), 0);
    EXPECT_EQ(rn_limiter_set_rate(l, 700), 0);
    rn_limiter_cancel(l, &early);
    EXPECT(close_to(rn_limiter_available(l), -3));
    for (int i = 0; i < 14; i++)
        EXPECT_EQ(rn_limiter_set_rate(l, 100 + i), 0);
    rn_limiter_cancel(l, &late);
    EXPECT(close_to(rn_limiter_available(l), -1));
    EXPECT_EQ(rn_limiter_reserve(l, 2, &late), 0);
    for (int i = 0; i < 16; i++)
        EXPECT_EQ(rn_limiter_set_rate(l, 100 + i), 0);
    rn_limiter_cancel(l, &late); /* too many to follow */
    EXPECT(close_to(rn_limiter_available(l), -3));
    rn_limiter_free(l);
}

TEST(what_is_reserved_for_years_ahead_is_refused)
{
    struct hand *h = hand(0);
    rn_limiter *l = limiter(
        &(rn_limiter_config){.every = 8760 * RN_HOUR, .burst = 4, .clock = &h->clock});
    rn_reservation r;

    EXPECT_EQ(rn_limiter_reserve(l, 4, &r), 0);
    EXPECT_EQ(rn_limiter_reserve(l, 4, &r), 0);
    EXPECT_EQ(r.delay, 4 * 8760 * RN_HOUR);
    EXPECT_EQ(rn_limiter_reserve(l, 4, &r), RN_ERATE);
    EXPECT_EQ(r.delay, RN_FOREVER);
    h->now += 4 * 8760 * RN_HOUR;
    EXPECT(close_to(rn_limiter_available(l), 0));
    rn_limiter_free(l);
}

/* ---- changes ---- */

TEST(a_new_rate_holds_from_now_on)
{
    struct hand *h = hand(0);
    rn_limiter *l = limiter(&(rn_limiter_config){.per_second = 10, .burst = 5, .clock = &h->clock});

    EXPECT_EQ(allowed(l), 5);
    h->now += 250 * RN_MILLISECOND;
    EXPECT_EQ(rn_limiter_set_rate(l, 1), 0);
    EXPECT(close_to(rn_limiter_available(l), 2.5));
    EXPECT_EQ(rn_limiter_delay(l, 3), 500 * RN_MILLISECOND);
    EXPECT_EQ(rn_limiter_set_rate(l, 0), 0);
    h->now += RN_HOUR;
    EXPECT(close_to(rn_limiter_available(l), 2.5));
    EXPECT_EQ(allowed(l), 2);
    EXPECT_EQ(rn_limiter_set_rate(l, 1000), 0);
    EXPECT_EQ(rn_limiter_delay(l, 1), 500 * RN_MICROSECOND);
    rn_limiter_free(l);
}

TEST(a_new_burst_keeps_the_tokens_that_fit)
{
    struct hand *h = hand(0);
    rn_limiter *l = limiter(&(rn_limiter_config){.per_second = 10, .burst = 5, .clock = &h->clock});

    EXPECT_EQ(rn_limiter_set_burst(l, 8), 0);
    EXPECT(close_to(rn_limiter_available(l), 5));
    h->now += RN_SECOND;
    EXPECT(close_to(rn_limiter_available(l), 8));
    EXPECT_EQ(rn_limiter_allow(l, 2), 0);
    EXPECT_EQ(rn_limiter_set_burst(l, 7), 0);
    EXPECT(close_to(rn_limiter_available(l), 6));
    EXPECT_EQ(rn_limiter_set_burst(l, 2), 0);
    EXPECT_EQ(allowed(l), 2);
    EXPECT_EQ(rn_limiter_allow(l, 3), RN_EBURST);
    rn_limiter_free(l);
}

TEST(the_largest_bucket_may_become_the_smallest)
{
    struct hand *h = hand(0);
    rn_limiter *l = limiter(&(rn_limiter_config){
        .per_second = 1e9 / (2441 + 1 / 4090.0), .burst = (size_t)1 << 40, .clock = &h->clock});

    EXPECT_EQ(rn_limiter_set_burst(l, 1), 0);
    EXPECT(close_to(rn_limiter_available(l), 1));
    EXPECT_EQ(allowed(l), 1);
    rn_limiter_free(l);
}

/* ---- counters, events, dumps ---- */

struct events {
    rn_limiter *l;
    int denied, waited, errors;
    rn_duration retry_after, longest;
};

static void note_denied(void *arg, size_t n, rn_duration retry_after)
{
    struct events *e = arg;

    e->denied += (int)n;
    e->retry_after = retry_after;
    EXPECT_EQ(rn_limiter_set_burst(e->l, 2), 0); /* under no lock */
}

static void note_waited(void *arg, size_t n, rn_duration waited, int err)
{
    struct events *e = arg;

    e->waited += (int)n;
    e->errors += err != 0;
    e->longest = waited;
    EXPECT_EQ(rn_limiter_set_burst(e->l, 2), 0);
}

TEST_VIRTUAL(denials_and_waits_are_counted_and_reported)
{
    struct events e = {0};
    rn_limiter *l = limiter(&(rn_limiter_config){.per_second = 10,
                                                 .burst = 2,
                                                 .on_denied = note_denied,
                                                 .on_waited = note_waited,
                                                 .events_arg = &e});
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, RN_MILLISECOND), *other = rn_ctx_with_cancel(NULL);
    rn_limiter_stats stats;

    e.l = l;
    EXPECT_EQ(rn_limiter_wait(NULL, l, 2), 0);
    EXPECT_EQ(e.waited, 0);
    EXPECT_EQ(rn_limiter_allow(l, 1), RN_ERATE);
    EXPECT_EQ(rn_limiter_wait(ctx, l, 2), RN_ERATE);
    EXPECT_EQ(e.denied, 3);
    EXPECT_EQ(e.retry_after, 200 * RN_MILLISECOND);
    EXPECT_EQ(rn_limiter_wait(NULL, l, 1), 0);
    EXPECT_EQ(e.waited, 1);
    EXPECT_EQ(e.longest, 100 * RN_MILLISECOND);
    for (int i = 0; i < 40; i++)
        EXPECT_EQ(rn_limiter_wait(NULL, l, 1), 0);
    EXPECT_EQ(rn_limiter_set_rate(l, 0.1), 0);
    EXPECT_EQ(rn_go(cancel_in_3_s, other), 0);
    EXPECT_EQ(rn_limiter_wait(other, l, 1), -ECANCELED);
    EXPECT_EQ(e.errors, 1);
    rn_limiter_stats_read(l, &stats);
    EXPECT_EQ(stats.denied, 2);
    EXPECT_EQ(stats.waits, 42);
    EXPECT_EQ(stats.gave_up, 1);
    EXPECT_EQ(stats.waited, 41 * 100 * RN_MILLISECOND + 10 * RN_SECOND);
    EXPECT_EQ(stats.burst, 2);
    EXPECT(close_to(stats.per_second, 0.1));
    EXPECT(close_to(stats.available, 0.3));
    rn_ctx_release(ctx);
    rn_ctx_release(other);
    rn_limiter_free(l);
}

TEST_DIES(a_dump_shows_a_named_limiter, "^limiter \"api\" \\[4.0 of 7 left\\]\n$", 0)
{
    rn_limiter *gone = limiter(&(rn_limiter_config){.name = "gone"});
    rn_limiter *l = limiter(&(rn_limiter_config){.per_second = 1e-6, .burst = 7, .name = "api"});

    rn_limiter_free(gone);
    EXPECT_EQ(rn_limiter_allow(l, 3), 0);
    rn_dump(1);
    exit(0);
}

/* ---- fibers and threads ---- */

struct crowd {
    rn_limiter *l;
    atomic_int left;
    _Atomic(long) taken;
    int rounds;
    bool changing, reserving;
};

static void jostle(struct crowd *c)
{
    for (int i = 0; i < c->rounds; i++) {
        rn_reservation r;
        size_t n = (size_t)i % 3 + 1;
        if (rn_limiter_allow(c->l, n) == 0)
            atomic_fetch_add(&c->taken, (long)n);
        if (c->reserving && i % 4 == 0 && rn_limiter_reserve(c->l, n, &r) == 0)
            rn_limiter_cancel(c->l, &r);
        if (c->changing && i % 16 == 0)
            EXPECT_EQ(rn_limiter_set_rate(c->l, i % 32 == 0 ? 0 : 1e-4), 0);
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

/* Enough to ask for more than there is. */
static int crowd_rounds(void)
{
    return rounds(20000) > 2000 ? rounds(20000) : 2000;
}

static void run_crowd(struct crowd *c)
{
    pthread_t threads[3];

    atomic_store(&c->left, 8);
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(pthread_create(&threads[i], NULL, jostle_thread, c), 0);
    for (int i = 0; i < 5; i++)
        EXPECT_EQ(rn_go(jostle_fiber, c), 0);
    while (atomic_load(&c->left) > 0)
        rn_yield();
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
}

TEST_FIBER(a_crowd_gets_each_token_once)
{
    struct hand *h = hand(0);
    struct crowd c = {.rounds = crowd_rounds()};

    c.l = limiter(&(rn_limiter_config){.per_second = 10, .burst = 10007, .clock = &h->clock});
    run_crowd(&c);
    EXPECT_EQ(atomic_load(&c.taken), 10007);
    EXPECT(close_to(rn_limiter_available(c.l), 0));
    rn_limiter_free(c.l);
}

/*
 * Rates far apart: a call that mixed two settings would take days' worth of tokens, or none. Nobody
 * gets more than there was, but for what comes back meanwhile, which is less than one.
 */
TEST_FIBER(a_crowd_that_changes_the_rate_gets_each_token_once)
{
    struct crowd c = {.rounds = crowd_rounds(), .changing = true};

    c.l = limiter(&(rn_limiter_config){.burst = 5000});
    run_crowd(&c);
    EXPECT_EQ(rn_limiter_set_rate(c.l, 0), 0);
    c.taken += allowed(c.l);
    EXPECT(atomic_load(&c.taken) >= 4999);
    EXPECT(atomic_load(&c.taken) <= 5001);
    rn_limiter_free(c.l);
}

/* Some is lost when reservations overlap, but nothing is made. */
TEST_FIBER(a_crowd_that_gives_back_gets_no_more)
{
    struct crowd c = {.rounds = crowd_rounds(), .changing = true, .reserving = true};

    c.l = limiter(&(rn_limiter_config){.burst = 5000});
    run_crowd(&c);
    EXPECT_EQ(rn_limiter_set_rate(c.l, 0), 0);
    c.taken += allowed(c.l);
    EXPECT(atomic_load(&c.taken) <= 5001);
    rn_limiter_free(c.l);
}
