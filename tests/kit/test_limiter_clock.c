/*
 * Rate limiter: clocks that misbehave, and calls that are held up while they read one.
 */
#include "kit/limiters.h"

TEST(a_clock_that_jumps_back_gives_and_takes_nothing)
{
    struct hand *h = hand(1000 * RN_HOUR);
    rn_limiter *l = limiter(&(rn_limiter_config){.per_second = 10, .burst = 5, .clock = &h->clock});

    EXPECT_EQ(rn_limiter_allow(l, 4), 0);
    for (int i = 0; i < 40; i++) {
        h->now -= RN_HOUR;
        EXPECT(close_to(rn_limiter_available(l), 1));
    }
    EXPECT_EQ(rn_limiter_allow(l, 2), RN_ERATE);
    h->now += 100 * RN_MILLISECOND;
    EXPECT_EQ(rn_limiter_allow(l, 2), 0);
    h->now = -5 * RN_SECOND;
    EXPECT_EQ(rn_limiter_delay(l, 1), 100 * RN_MILLISECOND);
    h->now -= 1;
    EXPECT_EQ(rn_limiter_set_rate(l, 1), 0);
    EXPECT_EQ(rn_limiter_delay(l, 1), RN_SECOND);
    rn_limiter_free(l);
}

TEST(a_limiter_that_idles_for_centuries_goes_on)
{
    static const double rates[] = {0.001, 10, 7e6, 1e12, 0};

    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        struct hand *h = hand(5);
        rn_limiter *l = limiter(
            &(rn_limiter_config){.per_second = rates[i], .burst = 5, .clock = &h->clock});
        for (int years = 0; years < 280; years += 35) {
            EXPECT_EQ(allowed(l), rates[i] != 0 || years == 0 ? 5 : 0);
            h->now += 35 * 8760 * RN_HOUR;
        }
        rn_limiter_free(l);
    }
}

/* Its ticks would overflow many times: a rate whose nanosecond is millions of ticks. */
TEST(a_busy_limiter_takes_new_origins)
{
    struct hand *h = hand(0);
    rn_limiter *l = limiter(
        &(rn_limiter_config){.per_second = 987654321987, .burst = 100, .clock = &h->clock});

    EXPECT_EQ(allowed(l), 100);
    for (int i = 0; i < rounds(100000); i++) {
        h->now += 1;
        if (i % 100 == 0)
            h->now += 10 * RN_SECOND;
        EXPECT_EQ(allowed(l), 100);
    }
    rn_limiter_free(l);
}

/* A clock at which a call is held up while others change the rate `changes` times. */
struct held_up {
    struct hand hand;
    rn_limiter *l;
    int changes;
    double per_second;
};

static rn_time held_up_now(void *arg)
{
    struct held_up *h = arg;
    int changes = h->changes;

    h->changes = 0;
    for (int i = 0; i < changes; i++)
        EXPECT_EQ(rn_limiter_set_rate(h->l, h->per_second), 0);
    return h->hand.now;
}

TEST(a_call_that_sleeps_through_changes_counts_by_the_last)
{
    static const double rates[] = {100, 0};

    for (int changes = 14; changes <= 50; changes++) {
        for (int i = 0; i < 2; i++) {
            struct held_up h = {.per_second = rates[i]};
            h.hand.clock = (rn_clock){held_up_now, hand_sleep, &h};
            h.l = limiter(
                &(rn_limiter_config){.per_second = 100, .burst = 10, .clock = &h.hand.clock});
            h.hand.now = 24 * RN_HOUR;
            h.changes = changes;
            EXPECT_EQ(rn_limiter_allow(h.l, 1), 0);
            EXPECT(close_to(rn_limiter_available(h.l), 9));
            EXPECT_EQ(allowed(h.l), 9);
            rn_limiter_free(h.l);
        }
    }
}
