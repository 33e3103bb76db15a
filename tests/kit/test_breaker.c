/*
 * Circuit breaker: its states, each rule and window, openings, probes and leases, generations,
 * events, misuse, configuration. Time is virtual, or a clock of the test's own.
 */
#include "core.h"
#include "kit/dump_text.h"
#include "kit/manual_clock.h"
#include "test.h"

#include <runnel/breaker.h>

static rn_breaker *breaker_with(const rn_breaker_config *config)
{
    rn_breaker *b = NULL;

    EXPECT_EQ(rn_breaker_new(&b, config), 0);
    return b;
}

/* One call with this result; what allow said. */
static int call(rn_breaker *b, int result)
{
    rn_permit permit;
    int err = rn_breaker_allow(b, &permit);

    if (err == 0)
        rn_breaker_done(b, permit, result);
    return err;
}

static void calls(rn_breaker *b, int n, int result)
{
    for (int i = 0; i < n; i++)
        EXPECT_EQ(call(b, result), 0);
}

static rn_breaker_stats stats_of(rn_breaker *b)
{
    rn_breaker_stats stats;

    rn_breaker_stats_read(b, &stats);
    return stats;
}

#define EXPECT_STATE(b, state) EXPECT_EQ(rn_breaker_state_now(b), state)

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

/* ---- probes ---- */

/* A breaker that is open, and whose time is over; its clock is the shared one. */
static rn_clock shared_clock;
static struct manual shared_manual;

static rn_breaker *ripe_with(rn_breaker_config config)
{
    rn_breaker *b;

    shared_clock = (rn_clock){.now = manual_now, .sleep = manual_sleep, .arg = &shared_manual};
    config.failure_threshold = 1;
    config.open_for = RN_SECOND;
    config.clock = &shared_clock;
    b = breaker_with(&config);
    calls(b, 1, -EIO);
    shared_manual.now += RN_SECOND;
    return b;
}

TEST(half_open_lets_so_many_probes_through_at_once)
{
    rn_breaker *b = ripe_with(
        (rn_breaker_config){.probes = 3, .success_threshold = 5, .probe_lease = RN_MINUTE});
    rn_permit probe[3], extra;

    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(rn_breaker_allow(b, &probe[i]), 0);
        EXPECT_EQ(probe[i].state, RN_BREAKER_HALF_OPEN);
        shared_manual.now += RN_SECOND;
    }
    EXPECT_EQ(rn_breaker_allow(b, &extra), RN_EOPEN);
    EXPECT_EQ(extra.state, RN_BREAKER_HALF_OPEN);
    EXPECT_EQ(extra.retry_after, 57 * RN_SECOND); /* the first lease */
    EXPECT_EQ(rn_breaker_retry_after(b), 57 * RN_SECOND);
    EXPECT_EQ(stats_of(b).probes, 3);
    rn_breaker_done(b, probe[1], 0);
    EXPECT_EQ(rn_breaker_retry_after(b), 0);
    EXPECT_EQ(rn_breaker_allow(b, &extra), 0);
    rn_breaker_done(b, extra, 0);
    rn_breaker_done(b, probe[0], 0);
    rn_breaker_done(b, probe[2], 0);
    EXPECT_STATE(b, RN_BREAKER_HALF_OPEN);
    calls(b, 1, 0); /* the fifth */
    EXPECT_STATE(b, RN_BREAKER_CLOSED);
    rn_breaker_free(b);
}

TEST(a_hung_probe_loses_its_place)
{
    rn_breaker *b = ripe_with((rn_breaker_config){.probe_lease = 5 * RN_SECOND});
    rn_permit hung, next, extra;

    EXPECT_EQ(rn_breaker_allow(b, &hung), 0);
    shared_manual.now += 5 * RN_SECOND - 1;
    EXPECT_EQ(rn_breaker_allow(b, &extra), RN_EOPEN);
    EXPECT_EQ(extra.retry_after, 1);
    shared_manual.now += 1;
    EXPECT_EQ(rn_breaker_allow(b, &next), 0);
    EXPECT_EQ(stats_of(b).leases_expired, 1);
    rn_breaker_done(b, hung, -EIO); /* too late to say anything */
    EXPECT_STATE(b, RN_BREAKER_HALF_OPEN);
    EXPECT_EQ(stats_of(b).dropped, 1);
    rn_breaker_done(b, next, 0);
    EXPECT_STATE(b, RN_BREAKER_CLOSED);
    rn_breaker_free(b);
}

TEST(a_result_behind_its_lease_is_dropped_also_when_nobody_took_the_place)
{
    rn_breaker *b = ripe_with((rn_breaker_config){.probe_lease = 5 * RN_SECOND});
    rn_permit hung;

    EXPECT_EQ(rn_breaker_allow(b, &hung), 0);
    shared_manual.now += 5 * RN_SECOND;
    rn_breaker_done(b, hung, 0);
    EXPECT_STATE(b, RN_BREAKER_HALF_OPEN);
    EXPECT_EQ(stats_of(b).dropped, 1);
    calls(b, 1, 0);
    EXPECT_STATE(b, RN_BREAKER_CLOSED);
    rn_breaker_free(b);
}

TEST_VIRTUAL(a_service_whose_probes_all_hang_is_asked_once_a_lease)
{
    rn_breaker *b = breaker_with(&(rn_breaker_config){
        .failure_threshold = 1, .open_for = RN_SECOND, .probe_lease = 10 * RN_SECOND});
    rn_permit permit;
    int probes = 0;

    calls(b, 1, -EIO);
    EXPECT_EQ(rn_sleep(NULL, RN_SECOND), 0);
    for (int second = 0; second < 3600; second++) {
        probes += rn_breaker_allow(b, &permit) == 0; /* and never done */
        EXPECT_EQ(rn_sleep(NULL, RN_SECOND), 0);
    }
    EXPECT_EQ(probes, 360);
    calls(b, 1, 0);
    EXPECT_STATE(b, RN_BREAKER_CLOSED);
    rn_breaker_free(b);
}

TEST(an_ignored_probe_gives_its_place_back_and_decides_nothing)
{
    rn_breaker *b = ripe_with((rn_breaker_config){0});

    for (int i = 0; i < 10; i++) {
        calls(b, 1, -ECANCELED);
        EXPECT_STATE(b, RN_BREAKER_HALF_OPEN);
    }
    EXPECT_EQ(stats_of(b).ignored, 10);
    calls(b, 1, 0);
    EXPECT_STATE(b, RN_BREAKER_CLOSED);
    rn_breaker_free(b);
}

/* ---- generations ---- */

TEST(results_of_an_earlier_generation_are_dropped)
{
    struct manual m = {0};
    rn_breaker *b;
    rn_permit old[8], probe;

    b = breaker_with(
        &(rn_breaker_config){.failure_threshold = 2, .open_for = RN_SECOND, .clock = MANUAL(&m)});
    for (int i = 0; i < 8; i++)
        EXPECT_EQ(rn_breaker_allow(b, &old[i]), 0);
    calls(b, 2, -EIO);
    rn_breaker_done(b, old[0], -EIO); /* into open */
    rn_breaker_done(b, old[1], 0);
    m.now += RN_SECOND;
    EXPECT_EQ(rn_breaker_allow(b, &probe), 0);
    rn_breaker_done(b, old[2], -EIO); /* into half-open */
    rn_breaker_done(b, old[3], 0);
    EXPECT_STATE(b, RN_BREAKER_HALF_OPEN);
    rn_breaker_done(b, probe, 0);
    for (int i = 4; i < 8; i++)
        rn_breaker_done(b, old[i], -EIO); /* into a later closed */
    EXPECT_STATE(b, RN_BREAKER_CLOSED);
    EXPECT_EQ(stats_of(b).dropped, 8);
    EXPECT_EQ(stats_of(b).failures, 2);
    EXPECT_EQ(stats_of(b).successes, 1);
    rn_breaker_free(b);
}

TEST(an_old_success_does_not_end_new_failures_nor_enter_the_window)
{
    rn_breaker *b = breaker_with(
        &(rn_breaker_config){.failure_threshold = 3, .failure_ratio = 1, .window_calls = 50});
    rn_permit old;

    EXPECT_EQ(rn_breaker_allow(b, &old), 0);
    rn_breaker_reset(b);
    calls(b, 2, -EIO);
    rn_breaker_done(b, old, 0);
    EXPECT_EQ(stats_of(b).window.calls, 2);
    EXPECT_EQ(stats_of(b).window.consecutive_failures, 2);
    calls(b, 1, -EIO);
    EXPECT_STATE(b, RN_BREAKER_OPEN);
    rn_breaker_free(b);
}

/* ---- errors that are ignored ---- */

static bool client_mistake(void *arg, int err)
{
    ++*(int *)arg;
    return err == -EINVAL;
}

TEST(some_errors_say_nothing_of_the_service)
{
    int asked = 0;
    rn_breaker *b = breaker_with(&(rn_breaker_config){.failure_threshold = 1});

    calls(b, 1, -ECANCELED);
    calls(b, 1, RN_EOPEN);
    calls(b, 1, RN_ERATE);
    calls(b, 1, RN_EBURST);
    EXPECT_EQ(stats_of(b).ignored, 4);
    calls(b, 1, -ETIMEDOUT);
    EXPECT_STATE(b, RN_BREAKER_OPEN);
    rn_breaker_free(b);

    b = breaker_with(&(rn_breaker_config){
        .failure_threshold = 1, .ignore = client_mistake, .ignore_arg = &asked});
    calls(b, 5, -EINVAL);
    calls(b, 5, 0);
    EXPECT_EQ(asked, 5); /* successes are not asked about */
    EXPECT_EQ(stats_of(b).ignored, 5);
    calls(b, 1, -ECANCELED); /* the program decides alone */
    EXPECT_STATE(b, RN_BREAKER_OPEN);
    rn_breaker_free(b);
}

TEST(an_ignored_result_leaves_failures_in_a_row)
{
    rn_breaker *b = breaker_with(&(rn_breaker_config){.failure_threshold = 3});

    calls(b, 2, -EIO);
    calls(b, 3, -ECANCELED);
    EXPECT_STATE(b, RN_BREAKER_CLOSED);
    calls(b, 1, -EIO);
    EXPECT_STATE(b, RN_BREAKER_OPEN);
    rn_breaker_free(b);
}

/* ---- by hand ---- */

TEST(it_can_be_forced_open_disabled_and_reset)
{
    struct manual m = {0};
    rn_breaker *b = breaker_with(
        &(rn_breaker_config){.failure_threshold = 2, .open_for = RN_SECOND, .clock = MANUAL(&m)});
    rn_permit permit;

    rn_breaker_force_open(b);
    m.now += RN_HOUR;
    EXPECT_EQ(rn_breaker_allow(b, &permit), RN_EOPEN);
    EXPECT_EQ(permit.state, RN_BREAKER_FORCED_OPEN);
    EXPECT_EQ(permit.retry_after, RN_FOREVER);
    EXPECT_EQ(rn_breaker_retry_after(b), RN_FOREVER);
    rn_breaker_disable(b);
    calls(b, 100, -EIO);
    calls(b, 1, 0);
    calls(b, 1, -ECANCELED);
    EXPECT_STATE(b, RN_BREAKER_DISABLED);
    EXPECT_EQ(stats_of(b).failures, 100);
    EXPECT_EQ(stats_of(b).successes, 1);
    EXPECT_EQ(stats_of(b).ignored, 1);
    rn_breaker_reset(b);
    EXPECT_STATE(b, RN_BREAKER_CLOSED);
    calls(b, 1, -EIO);
    rn_breaker_reset(b); /* closed already: but nothing is counted any more */
    calls(b, 1, -EIO);
    EXPECT_STATE(b, RN_BREAKER_CLOSED);
    EXPECT_EQ(stats_of(b).opened, 0);
    rn_breaker_free(b);
}

TEST(each_state_has_a_name)
{
    EXPECT_STR(rn_breaker_state_name(RN_BREAKER_CLOSED), "closed");
    EXPECT_STR(rn_breaker_state_name(RN_BREAKER_OPEN), "open");
    EXPECT_STR(rn_breaker_state_name(RN_BREAKER_HALF_OPEN), "half-open");
    EXPECT_STR(rn_breaker_state_name(RN_BREAKER_FORCED_OPEN), "forced open");
    EXPECT_STR(rn_breaker_state_name(RN_BREAKER_DISABLED), "disabled");
    EXPECT_STR(rn_breaker_state_name((rn_breaker_state)99), "unknown");
}

/* ---- execute ---- */

static int return_arg(rn_ctx *ctx, void *arg)
{
    (void)ctx;
    return *(int *)arg;
}

TEST(execute_calls_and_hands_in_the_result)
{
    rn_breaker *b = breaker_with(&(rn_breaker_config){.failure_threshold = 1});
    rn_ctx *ended = rn_ctx_with_cancel(NULL), *late = rn_ctx_with_timeout(NULL, 0);

    EXPECT_EQ(rn_breaker_execute(NULL, b, return_arg, &(int){7}), 7);
    rn_ctx_cancel(ended, 0);
    EXPECT_EQ(rn_breaker_execute(ended, b, return_arg, &(int){0}), -ECANCELED);
    EXPECT_EQ(rn_breaker_execute(late, b, return_arg, &(int){0}), -ETIMEDOUT);
    EXPECT_EQ(stats_of(b).successes, 1); /* the last two made no call */
    EXPECT_EQ(rn_breaker_execute(NULL, b, return_arg, &(int){-EIO}), -EIO);
    EXPECT_EQ(rn_breaker_execute(NULL, b, return_arg, &(int){0}), RN_EOPEN);
    EXPECT_EQ(stats_of(b).rejected, 1);
    rn_ctx_release(late);
    rn_ctx_release(ended);
    rn_breaker_free(b);
    EXPECT_EQ(rn_stop(), 0);
}

/* ---- events ---- */

struct log {
    rn_breaker *breaker;
    char text[400];
    int nested; /* how many times the callback takes it in hand */
};

static void note(void *arg, rn_breaker_state from, rn_breaker_state to)
{
    struct log *log = arg;
    size_t used = strlen(log->text);

    rn_breaker_stats_read(log->breaker, &(rn_breaker_stats){0}); /* takes the lock: it is free */
    snprintf(log->text + used, sizeof log->text - used, "%s>%s ", rn_breaker_state_name(from),
             rn_breaker_state_name(to));
    if (log->nested-- > 0)
        rn_breaker_reset(log->breaker);
}

TEST(changes_are_told_in_order_outside_the_lock)
{
    struct manual m = {0};
    struct log log = {0};

    log.breaker = breaker_with(&(rn_breaker_config){.failure_threshold = 1,
                                                    .open_for = RN_SECOND,
                                                    .clock = MANUAL(&m),
                                                    .on_change = note,
                                                    .events_arg = &log});
    calls(log.breaker, 1, -EIO);
    m.now += RN_SECOND;
    calls(log.breaker, 1, 0);
    rn_breaker_force_open(log.breaker);
    rn_breaker_force_open(log.breaker); /* no change */
    rn_breaker_disable(log.breaker);
    rn_breaker_reset(log.breaker);
    EXPECT_STR(log.text, "closed>open open>half-open half-open>closed closed>forced open "
                         "forced open>disabled disabled>closed ");
    rn_breaker_free(log.breaker);
}

TEST(a_callback_may_change_the_state_and_is_told_afterwards)
{
    struct log log = {.nested = 1};

    log.breaker = breaker_with(
        &(rn_breaker_config){.failure_threshold = 1, .on_change = note, .events_arg = &log});
    calls(log.breaker, 1, -EIO);
    EXPECT_STATE(log.breaker, RN_BREAKER_CLOSED);
    EXPECT_STR(log.text, "closed>open open>closed ");
    rn_breaker_free(log.breaker);
}

static void note_slowly(void *arg, rn_breaker_state from, rn_breaker_state to)
{
    struct log *log = arg;
    size_t used = strlen(log->text);

    snprintf(log->text + used, sizeof log->text - used, "%d%d ", (int)from, (int)to);
    if (log->nested-- <= 0)
        return;
    for (int i = 0; i < 20; i++) { /* 40 changes wait while this one is told */
        rn_breaker_disable(log->breaker);
        rn_breaker_force_open(log->breaker);
    }
}

TEST(when_too_many_changes_wait_the_latest_become_one)
{
    struct log log = {.nested = 1};

    log.breaker = breaker_with(&(rn_breaker_config){.on_change = note_slowly, .events_arg = &log});
    rn_breaker_force_open(log.breaker);
    /* 0>3, then 16 from 3>4 on: the last of them is 4>3 and stays so however many follow. */
    EXPECT_STR(log.text, "03 34 43 34 43 34 43 34 43 34 43 34 43 34 43 34 43 ");
    rn_breaker_free(log.breaker);
}

/* ---- dumps ---- */

TEST(a_named_breaker_is_in_dumps)
{
    char text[4000];
    rn_breaker *b = breaker_with(&(rn_breaker_config){.failure_threshold = 2, .name = "payments"});

    calls(b, 3, 0);
    calls(b, 2, -EIO);
    EXPECT_EQ(call(b, 0), RN_EOPEN);
    dump_text(text, sizeof text);
    EXPECT(strstr(text, "breaker \"payments\" [open, 3 succeeded, 2 failed, 1 rejected]") != NULL);
    rn_breaker_free(b);
}

/* ---- misuse ---- */

TEST_DIES(a_permit_used_twice_ends_the_process, "permit was used before, or never given", SIGABRT)
{
    rn_breaker *b = breaker_with(NULL);
    rn_permit permit;

    EXPECT_EQ(rn_breaker_allow(b, &permit), 0);
    rn_breaker_done(b, permit, 0);
    rn_breaker_done(b, permit, 0);
}

TEST_DIES(a_permit_that_was_refused_ends_the_process, "permit was used before, or never given",
          SIGABRT)
{
    rn_breaker *b = breaker_with(NULL);
    rn_permit permit;

    rn_breaker_force_open(b);
    EXPECT_EQ(rn_breaker_allow(b, &permit), RN_EOPEN);
    rn_breaker_done(b, permit, 0);
}

TEST_DIES(a_permit_of_another_breaker_ends_the_process, "permit is another breaker's", SIGABRT)
{
    rn_breaker *b = breaker_with(NULL), *other = breaker_with(NULL);
    rn_permit permit;

    EXPECT_EQ(rn_breaker_allow(b, &permit), 0);
    rn_breaker_done(other, permit, 0);
}

TEST(a_copy_of_a_probes_permit_counts_once)
{
    rn_breaker *b = ripe_with((rn_breaker_config){.success_threshold = 2});
    rn_permit permit, copy;

    EXPECT_EQ(rn_breaker_allow(b, &permit), 0);
    copy = permit;
    rn_breaker_done(b, permit, 0);
    rn_breaker_done(b, copy, 0);
    EXPECT_STATE(b, RN_BREAKER_HALF_OPEN);
    EXPECT_EQ(stats_of(b).dropped, 1);
    rn_breaker_free(b);
}

/* ---- configuration ---- */

static void expect_wrong(const rn_breaker_config *config, const char *sentence)
{
    rn_breaker *b = (rn_breaker *)config;

    EXPECT_EQ(rn_breaker_new(&b, config), -EINVAL);
    EXPECT(b == NULL);
    EXPECT_STR(rn_error_detail(), sentence);
    rn_breaker_free(b);
}

#define EXPECT_WRONG(sentence, ...) expect_wrong(&(rn_breaker_config){__VA_ARGS__}, sentence)

TEST(a_wrong_field_is_named)
{
    EXPECT_WRONG("breaker: .failure_threshold is 1000001: allowed are 1 to 1000000",
                 .failure_threshold = 1000001);
    EXPECT_WRONG("breaker: .failure_ratio is 1.5: allowed are 0 to 1", .failure_ratio = 1.5);
    EXPECT_WRONG("breaker: .failure_ratio is nan: allowed are 0 to 1",
                 .failure_ratio = __builtin_nan(""));
    EXPECT_WRONG("breaker: .slow_ratio is -0.1: allowed are 0 to 1", .slow_ratio = -0.1);
    EXPECT_WRONG("breaker: .slow_call is -1: a duration is not negative", .slow_call = -1);
    EXPECT_WRONG("breaker: .window_calls is 1000001: allowed are 1 to 1000000",
                 .window_calls = 1000001);
    EXPECT_WRONG("breaker: .window is -1: a duration is not negative", .window = -1);
    EXPECT_WRONG("breaker: .minimum_calls is 1000001: allowed are 1 to 1000000",
                 .minimum_calls = 1000001);
    EXPECT_WRONG("breaker: .open_for is -5: a duration is not negative", .open_for = -5);
    EXPECT_WRONG("breaker: .open_max is -5: a duration is not negative", .open_max = -5);
    EXPECT_WRONG("breaker: .open_jitter is 2: allowed are 0 to 1", .open_jitter = 2);
    EXPECT_WRONG("breaker: .probes is 1001: allowed are 1 to 1000", .probes = 1001);
    EXPECT_WRONG("breaker: .success_threshold is 1000001: allowed are 1 to 1000000",
                 .success_threshold = 1000001);
    EXPECT_WRONG("breaker: .probe_lease is -1: a duration is not negative", .probe_lease = -1);
    EXPECT_WRONG("breaker: .open_backoff is 0.5: allowed are 1 to 100", .open_backoff = 0.5);
}

TEST(fields_that_contradict_each_other_are_named)
{
    EXPECT_WRONG("breaker: .window and .window_calls are both set: a window is of one kind",
                 .failure_ratio = 0.5, .window = RN_SECOND, .window_calls = 10);
    EXPECT_WRONG("breaker: .slow_ratio is set, but not .slow_call, which says what is slow",
                 .slow_ratio = 0.5);
    EXPECT_WRONG("breaker: .should_open is set beside another rule, which it would replace",
                 .should_open = more_than_a_third, .failure_threshold = 5);
    EXPECT_WRONG("breaker: a window is set, but neither .failure_ratio, .slow_ratio nor "
                 ".should_open",
                 .window_calls = 10);
    EXPECT_WRONG("breaker: .minimum_calls is 20, but .window_calls only 10", .failure_ratio = 0.5,
                 .window_calls = 10, .minimum_calls = 20);
    EXPECT_WRONG("breaker: .minimum_calls is 200, but .window_calls only 100", .failure_ratio = 0.5,
                 .minimum_calls = 200);
    EXPECT_WRONG("breaker: .open_max is shorter than .open_for", .open_for = RN_MINUTE,
                 .open_max = RN_SECOND);
}
