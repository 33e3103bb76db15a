/*
 * Circuit breaker: its states, each rule and window, the length of openings. Time is virtual, or a
 * clock of the test's own. test_breaker_probes.c has the rest.
 */
#include "core.h"
#include "kit/breakers.h"
#include "kit/manual_clock.h"
#include "test.h"

/* ---- the three states ---- */

TEST_VIRTUAL(it_opens_half_opens_and_closes)
{
    rn_breaker *b = breaker_with(&(rn_breaker_config){
        .failure_threshold = 3, .success_threshold = 2, .open_for = 30 * RN_SECOND});
    rn_permit permit;

    calls(b, 2, -EIO);
    EXPECT_STATE(b, RN_BREAKER_CLOSED);
    calls(b, 1, -EIO);
    EXPECT_STATE(b, RN_BREAKER_OPEN);
    EXPECT_EQ(rn_sleep(NULL, 10 * RN_SECOND), 0);
    EXPECT_EQ(rn_breaker_allow(b, &permit), RN_EOPEN);
    EXPECT_EQ(permit.state, RN_BREAKER_OPEN);
    EXPECT_EQ(permit.retry_after, 20 * RN_SECOND);
    EXPECT_EQ(rn_breaker_retry_after(b), 20 * RN_SECOND);
    EXPECT_EQ(rn_sleep(NULL, 20 * RN_SECOND), 0);
    EXPECT_STATE(b, RN_BREAKER_OPEN); /* until somebody calls */
    EXPECT_EQ(rn_breaker_retry_after(b), 0);
    calls(b, 1, 0);
    EXPECT_STATE(b, RN_BREAKER_HALF_OPEN);
    calls(b, 1, 0);
    EXPECT_STATE(b, RN_BREAKER_CLOSED);
    EXPECT_EQ(rn_breaker_retry_after(b), 0);
    rn_breaker_free(b);
}

TEST_VIRTUAL(one_failed_probe_opens_it_again)
{
    rn_breaker *b = breaker_with(&(rn_breaker_config){
        .failure_threshold = 1, .success_threshold = 3, .open_for = RN_SECOND});

    calls(b, 1, -EIO);
    EXPECT_EQ(rn_sleep(NULL, RN_SECOND), 0);
    calls(b, 2, 0);
    EXPECT_STATE(b, RN_BREAKER_HALF_OPEN);
    calls(b, 1, -EIO);
    EXPECT_STATE(b, RN_BREAKER_OPEN);
    EXPECT_EQ(call(b, 0), RN_EOPEN);
    EXPECT_EQ(rn_breaker_retry_after(b), RN_SECOND);
    EXPECT_EQ(stats_of(b).opened, 2);
    rn_breaker_free(b);
}

TEST(a_success_ends_failures_in_a_row)
{
    rn_breaker *b = breaker_with(&(rn_breaker_config){.failure_threshold = 3});

    for (int i = 0; i < 100; i++) {
        calls(b, 2, -EIO);
        EXPECT_EQ(stats_of(b).window.consecutive_failures, 2);
        calls(b, 1, i); /* any result from 0 on is a success */
        EXPECT_EQ(stats_of(b).window.consecutive_failures, 0);
    }
    EXPECT_STATE(b, RN_BREAKER_CLOSED);
    calls(b, 3, -EIO);
    EXPECT_STATE(b, RN_BREAKER_OPEN);
    EXPECT_EQ(stats_of(b).successes, 100);
    EXPECT_EQ(stats_of(b).failures, 203);
    rn_breaker_free(b);
}

TEST(by_default_five_failures_open_it_for_thirty_seconds)
{
    struct manual m = {.now = RN_HOUR};
    rn_breaker *b = breaker_with(&(rn_breaker_config){.clock = MANUAL(&m)});
    rn_breaker *plain = breaker_with(NULL);

    calls(b, 4, -EIO);
    EXPECT_STATE(b, RN_BREAKER_CLOSED);
    calls(b, 1, -EIO);
    EXPECT_EQ(rn_breaker_retry_after(b), 30 * RN_SECOND);
    calls(plain, 5, -EIO);
    EXPECT_STATE(plain, RN_BREAKER_OPEN);
    rn_breaker_free(plain);
    rn_breaker_free(b);
}

TEST(a_good_call_reads_no_clock)
{
    struct manual m = {0};
    rn_breaker *b = breaker_with(&(rn_breaker_config){.failure_ratio = 0.5, .clock = MANUAL(&m)});
    int reads = m.reads;

    calls(b, 1000, 0);
    EXPECT_EQ(m.reads, reads);
    rn_breaker_free(b);
}

/* ---- ratios over the last calls ---- */

TEST(the_failure_ratio_counts_the_last_calls_only)
{
    rn_breaker *b = breaker_with(&(rn_breaker_config){.failure_ratio = 0.5, .window_calls = 10});

    calls(b, 1000, 0);
    calls(b, 4, -EIO);
    EXPECT_EQ(stats_of(b).window.failures, 4);
    calls(b, 6, 0);
    EXPECT_EQ(stats_of(b).window.failures, 4);
    calls(b, 3, 0); /* three of the four failures are forgotten */
    EXPECT_EQ(stats_of(b).window.calls, 10);
    EXPECT_EQ(stats_of(b).window.failures, 1);
    calls(b, 4, -EIO); /* and now the last of them */
    EXPECT_EQ(stats_of(b).window.failures, 4);
    EXPECT_STATE(b, RN_BREAKER_CLOSED);
    calls(b, 1, -EIO);
    EXPECT_STATE(b, RN_BREAKER_OPEN); /* five of ten */
    rn_breaker_free(b);
}

TEST(a_ratio_waits_for_its_minimum_of_calls)
{
    rn_breaker *b = breaker_with(
        &(rn_breaker_config){.failure_ratio = 0.1, .window_calls = 50, .minimum_calls = 20});

    calls(b, 10, 0);
    calls(b, 9, -EIO);
    EXPECT_STATE(b, RN_BREAKER_CLOSED);
    calls(b, 1, 0); /* the twentieth call is a success, and completes the minimum */
    EXPECT_STATE(b, RN_BREAKER_OPEN);
    rn_breaker_free(b);
}

TEST(the_default_window_is_a_hundred_calls_and_ten_at_least)
{
    rn_breaker *b = breaker_with(&(rn_breaker_config){.failure_ratio = 0.5});

    calls(b, 9, -EIO);
    EXPECT_STATE(b, RN_BREAKER_CLOSED);
    calls(b, 1, -EIO);
    EXPECT_STATE(b, RN_BREAKER_OPEN);
    rn_breaker_reset(b);
    calls(b, 300, 0);
    calls(b, 49, -EIO);
    EXPECT_EQ(stats_of(b).window.calls, 100);
    EXPECT_STATE(b, RN_BREAKER_CLOSED);
    calls(b, 1, -EIO);
    EXPECT_STATE(b, RN_BREAKER_OPEN);
    rn_breaker_free(b);
}

static int slow_call(rn_breaker *b, struct manual *m, rn_duration length, int result)
{
    rn_permit permit;
    int err = rn_breaker_allow(b, &permit);

    m->now += length;
    if (err == 0)
        rn_breaker_done(b, permit, result);
    return err;
}

TEST(slow_calls_open_it_although_they_succeed)
{
    struct manual m = {0};
    rn_breaker *b = breaker_with(&(rn_breaker_config){
        .slow_ratio = 0.3, .slow_call = RN_SECOND, .window_calls = 10, .clock = MANUAL(&m)});

    for (int i = 0; i < 20; i++)
        EXPECT_EQ(slow_call(b, &m, RN_SECOND - 1, 0), 0);
    EXPECT_EQ(slow_call(b, &m, RN_SECOND, 0), 0);
    EXPECT_EQ(slow_call(b, &m, RN_MINUTE, -EIO), 0); /* failed and slow */
    EXPECT_EQ(stats_of(b).window.slow, 2);
    EXPECT_EQ(stats_of(b).window.failures, 1);
    EXPECT_EQ(slow_call(b, &m, RN_MINUTE, -ECANCELED), 0); /* ignored altogether */
    EXPECT_STATE(b, RN_BREAKER_CLOSED);
    EXPECT_EQ(slow_call(b, &m, RN_SECOND, 0), 0);
    EXPECT_STATE(b, RN_BREAKER_OPEN);
    EXPECT_EQ(stats_of(b).slow, 3);
    rn_breaker_free(b);
}

/* ---- ratios over the last time ---- */

TEST(a_window_of_time_forgets_a_tenth_at_a_time)
{
    struct manual m = {.now = 100 * RN_SECOND};
    rn_breaker *b = breaker_with(
        &(rn_breaker_config){.failure_ratio = 0.5, .window = 10 * RN_SECOND, .clock = MANUAL(&m)});

    for (int second = 0; second < 10; second++) {
        calls(b, 4, 0);
        calls(b, 1, second == 0 ? -EIO : 0);
        m.now += RN_SECOND;
    }
    m.now -= 1; /* still the tenth second */
    EXPECT_EQ(stats_of(b).window.calls, 50);
    EXPECT_EQ(stats_of(b).window.failures, 1);
    m.now += 1;
    EXPECT_EQ(stats_of(b).window.calls, 45);
    EXPECT_EQ(stats_of(b).window.failures, 0);
    m.now += 8 * RN_SECOND;
    EXPECT_EQ(stats_of(b).window.calls, 5);
    m.now += RN_SECOND;
    EXPECT_EQ(stats_of(b).window.calls, 0);
    rn_breaker_free(b);
}

TEST(old_successes_do_not_hide_failures_for_longer_than_the_window)
{
    struct manual m = {0};
    rn_breaker *b = breaker_with(
        &(rn_breaker_config){.failure_ratio = 0.5, .window = 10 * RN_SECOND, .clock = MANUAL(&m)});

    calls(b, 100, 0);
    m.now += 5 * RN_SECOND;
    calls(b, 20, -EIO);
    EXPECT_STATE(b, RN_BREAKER_CLOSED); /* 20 of 120 */
    m.now += 5 * RN_SECOND;
    calls(b, 1, 0); /* 20 of 21 */
    EXPECT_STATE(b, RN_BREAKER_OPEN);
    rn_breaker_free(b);
}

TEST_VIRTUAL(a_few_failures_an_hour_never_open_it)
{
    rn_breaker *b = breaker_with(
        &(rn_breaker_config){.failure_ratio = 0.5, .window = RN_MINUTE, .minimum_calls = 5});

    for (int i = 0; i < 24 * 60; i++) { /* a day: a failure a minute, and now and then four more */
        calls(b, i % 60 == 0 ? 4 : 1, -EIO);
        EXPECT_EQ(rn_sleep(NULL, RN_MINUTE), 0);
    }
    EXPECT_STATE(b, RN_BREAKER_CLOSED);
    calls(b, 5, -EIO);
    EXPECT_STATE(b, RN_BREAKER_OPEN);
    rn_breaker_free(b);
}

/* ---- several rules, and the program's own ---- */

TEST(any_of_several_rules_opens_it)
{
    const rn_breaker_config config = {
        .failure_threshold = 4, .failure_ratio = 0.5, .window_calls = 20, .minimum_calls = 20};
    rn_breaker *b = breaker_with(&config);

    calls(b, 4, -EIO);
    EXPECT_STATE(b, RN_BREAKER_OPEN);
    rn_breaker_reset(b);
    for (int i = 0; i < 9; i++) {
        calls(b, 1, -EIO);
        calls(b, 1, 0);
    }
    calls(b, 1, 0);
    EXPECT_STATE(b, RN_BREAKER_CLOSED);
    calls(b, 1, -EIO); /* ten of twenty */
    EXPECT_STATE(b, RN_BREAKER_OPEN);
    rn_breaker_free(b);
}

struct rule {
    rn_breaker_counts seen;
    int asked;
};

static bool more_than_a_third(void *arg, const rn_breaker_counts *counts)
{
    struct rule *rule = arg;

    rule->seen = *counts;
    rule->asked++;
    return counts->calls >= 6 && counts->failures * 3 > counts->calls;
}

TEST(the_programs_rule_decides)
{
    struct rule rule = {0};
    rn_breaker *b = breaker_with(
        &(rn_breaker_config){.should_open = more_than_a_third, .should_open_arg = &rule});

    calls(b, 5, 0);
    EXPECT_EQ(rule.asked, 0); /* only failures and slow calls ask it */
    calls(b, 2, -EIO);
    EXPECT_EQ(rule.asked, 2);
    EXPECT_EQ(rule.seen.calls, 7);
    EXPECT_EQ(rule.seen.failures, 2);
    EXPECT_EQ(rule.seen.consecutive_failures, 2);
    calls(b, 1, -EIO);
    EXPECT_STATE(b, RN_BREAKER_OPEN); /* three of eight */
    rn_breaker_reset(b);
    calls(b, 1, -EIO);
    EXPECT_EQ(rule.seen.calls, 1); /* since it closed */
    rn_breaker_free(b);
}

TEST(the_programs_rule_may_have_a_window)
{
    struct rule rule = {0};
    rn_breaker *b = breaker_with(&(rn_breaker_config){
        .should_open = more_than_a_third, .should_open_arg = &rule, .window_calls = 7});

    calls(b, 50, 0);
    calls(b, 2, -EIO);
    EXPECT_EQ(rule.seen.calls, 7);
    EXPECT_STATE(b, RN_BREAKER_CLOSED);
    calls(b, 1, -EIO);
    EXPECT_STATE(b, RN_BREAKER_OPEN);
    rn_breaker_free(b);
}

/* ---- openings ---- */

/* Opens it by a failed probe, and returns how long it stays open. */
static rn_duration open_again(rn_breaker *b, struct manual *m)
{
    m->now += rn_breaker_retry_after(b);
    calls(b, 1, -EIO);
    EXPECT_STATE(b, RN_BREAKER_OPEN);
    return rn_breaker_retry_after(b);
}

TEST(openings_last_longer_each_time_up_to_a_limit)
{
    struct manual m = {0};
    rn_breaker *b = breaker_with(&(rn_breaker_config){.failure_threshold = 1,
                                                      .open_for = RN_SECOND,
                                                      .open_backoff = 2,
                                                      .open_max = 10 * RN_SECOND,
                                                      .clock = MANUAL(&m)});

    for (int round = 0; round < 2; round++) {
        const int seconds[] = {1, 2, 4, 8, 10, 10};
        for (int i = 0; i < 6; i++)
            EXPECT_EQ(open_again(b, &m), seconds[i] * RN_SECOND);
        m.now += 10 * RN_SECOND;
        calls(b, 1, 0); /* a closing: the next opening is a first one */
        EXPECT_STATE(b, RN_BREAKER_CLOSED);
    }
    for (int i = 0; i < 3; i++)
        open_again(b, &m);
    rn_breaker_reset(b);
    EXPECT_EQ(open_again(b, &m), RN_SECOND);
    rn_breaker_free(b);
}

TEST(without_backoff_openings_are_alike)
{
    struct manual m = {0};
    rn_breaker *b = breaker_with(&(rn_breaker_config){.failure_threshold = 1, .clock = MANUAL(&m)});

    for (int i = 0; i < 50; i++)
        EXPECT_EQ(open_again(b, &m), 30 * RN_SECOND);
    rn_breaker_free(b);
}

TEST(jitter_only_lengthens_and_follows_the_seed)
{
    struct manual m = {0}, same_m = {0};
    rn_breaker_config config = {.failure_threshold = 1,
                                .open_for = 10 * RN_SECOND,
                                .open_jitter = 0.5,
                                .seed = 7,
                                .clock = MANUAL(&m)};
    rn_breaker *b = breaker_with(&config), *same;
    rn_duration least = RN_FOREVER, most = 0;

    config.clock = MANUAL(&same_m);
    same = breaker_with(&config);
    for (int i = 0; i < 1000; i++) {
        rn_duration d = open_again(b, &m);
        EXPECT_EQ(open_again(same, &same_m), d);
        EXPECT(d >= 10 * RN_SECOND && d <= 15 * RN_SECOND);
        least = d < least ? d : least;
        most = d > most ? d : most;
    }
    EXPECT(least < 10100 * RN_MILLISECOND && most > 14900 * RN_MILLISECOND);
    rn_breaker_free(same);
    rn_breaker_free(b);
}

TEST(it_may_stay_open_for_ever)
{
    struct manual m = {0};
    rn_breaker *b = breaker_with(
        &(rn_breaker_config){.failure_threshold = 1, .open_for = RN_FOREVER, .clock = MANUAL(&m)});
    rn_permit permit;

    calls(b, 1, -EIO);
    m.now = RN_FOREVER - 1;
    EXPECT_EQ(rn_breaker_allow(b, &permit), RN_EOPEN);
    EXPECT_EQ(permit.retry_after, RN_FOREVER);
    EXPECT_EQ(rn_breaker_retry_after(b), RN_FOREVER);
    rn_breaker_reset(b);
    calls(b, 1, 0);
    rn_breaker_free(b);
}
