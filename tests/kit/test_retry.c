/*
 * Retry: attempts, schedules and jitter, deadlines, retry-after, which errors, budgets, events,
 * configuration. Schedules of hours run in virtual time.
 */
#include "core.h"
#include "kit/dump_text.h"
#include "kit/manual_clock.h"
#include "test.h"

#include <runnel/retry.h>

#define TIMES_MAX 64

/* A service that fails so many times, and notes when it was called. */
struct service {
    int failures;
    int err;
    rn_duration takes;
    rn_duration retry_after;
    int called;
    rn_time at[TIMES_MAX];
    rn_attempt last;
};

static int serve(rn_ctx *ctx, void *arg, rn_attempt *attempt)
{
    struct service *s = arg;
    int err;

    if (s->called < TIMES_MAX)
        s->at[s->called] = rn_now();
    s->called++;
    EXPECT_EQ(attempt->number, s->called);
    EXPECT_EQ(attempt->retry_after, 0);
    EXPECT_EQ(attempt->last_err, s->called == 1 ? 0 : s->err);
    s->last = *attempt;
    if (s->takes != 0 && (err = rn_sleep(ctx, s->takes)) != 0)
        return err;
    attempt->retry_after = s->retry_after;
    return s->called <= s->failures ? s->err : 40 + s->called;
}

static rn_retry *retry_with(const rn_retry_config *config)
{
    rn_retry *r = NULL;

    EXPECT_EQ(rn_retry_new(&r, config), 0);
    return r;
}

static rn_retry_stats stats_of(rn_retry *r)
{
    rn_retry_stats stats;

    rn_retry_stats_read(r, &stats);
    return stats;
}

/* ---- attempts ---- */

TEST(what_succeeds_is_not_repeated)
{
    struct service s = {0};
    rn_retry *r = retry_with(NULL);

    EXPECT_EQ(rn_retry_execute(NULL, r, serve, &s), 41); /* any result from 0 on is a success */
    EXPECT_EQ(s.called, 1);
    EXPECT_EQ(stats_of(r).calls, 1);
    EXPECT_EQ(stats_of(r).attempts, 1);
    EXPECT_EQ(stats_of(r).succeeded, 1);
    EXPECT_EQ(stats_of(r).succeeded_late, 0);
    rn_retry_free(r);
}

TEST_VIRTUAL(delays_double_until_it_succeeds)
{
    struct service s = {.failures = 5, .err = -EIO};
    rn_retry *r = retry_with(
        &(rn_retry_config){.attempts = 10, .delay = RN_SECOND, .jitter = RN_RETRY_JITTER_NONE});

    EXPECT_EQ(rn_retry_execute(NULL, r, serve, &s), 46);
    for (int i = 0; i < 6; i++)
        EXPECT_EQ(s.at[i], ((1 << i) - 1) * RN_SECOND); /* 0, 1, 3, 7, ... */
    EXPECT_EQ(s.last.elapsed, 31 * RN_SECOND);
    EXPECT_EQ(stats_of(r).succeeded_late, 1);
    EXPECT_EQ(stats_of(r).attempts, 6);
    rn_retry_free(r);
}

TEST_VIRTUAL(the_last_error_comes_back_when_attempts_are_used_up)
{
    struct service s = {.failures = 100, .err = -EIO};
    rn_retry *r = retry_with(&(rn_retry_config){.attempts = 4});

    EXPECT_EQ(rn_retry_execute(NULL, r, serve, &s), -EIO);
    EXPECT_EQ(s.called, 4);
    EXPECT_EQ(stats_of(r).failed, 1);
    EXPECT_EQ(stats_of(r).ended_attempts, 1);
    rn_retry_free(r);
    s = (struct service){.failures = 100, .err = -EIO};
    r = retry_with(NULL); /* three, by default */
    EXPECT_EQ(rn_retry_execute(NULL, r, serve, &s), -EIO);
    EXPECT_EQ(s.called, 3);
    rn_retry_free(r);
}

TEST_VIRTUAL(delays_stop_growing_at_their_maximum)
{
    struct service s = {.failures = 40, .err = -EIO};
    rn_retry *r = retry_with(&(rn_retry_config){.attempts = 50,
                                                .delay = RN_SECOND,
                                                .multiplier = 3,
                                                .max_delay = RN_HOUR,
                                                .jitter = RN_RETRY_JITTER_NONE});
    rn_duration delay = RN_SECOND;

    EXPECT_EQ(rn_retry_execute(NULL, r, serve, &s), 81);
    for (int i = 1; i <= 40; i++) {
        EXPECT_EQ(s.at[i] - s.at[i - 1], delay);
        delay = delay * 3 > RN_HOUR ? RN_HOUR : delay * 3;
    }
    EXPECT(rn_now() > 30 * RN_HOUR);
    rn_retry_free(r);
}

/* ---- jitter ---- */

TEST_VIRTUAL(full_jitter_takes_any_time_up_to_the_delay)
{
    rn_retry *r = retry_with(
        &(rn_retry_config){.attempts = 11, .delay = RN_SECOND, .max_delay = RN_MINUTE, .seed = 1});
    rn_duration sum[10] = {0}, most = 0;

    for (int round = 0; round < 1000; round++) {
        struct service s = {.failures = 10, .err = -EIO};
        rn_duration limit = RN_SECOND;
        EXPECT_EQ(rn_retry_execute(NULL, r, serve, &s), 51);
        for (int i = 0; i < 10; i++) {
            rn_duration d = s.at[i + 1] - s.at[i];
            EXPECT(d >= 0 && d <= limit);
            sum[i] += d;
            most = d > most ? d : most;
            limit = limit * 2 > RN_MINUTE ? RN_MINUTE : limit * 2;
        }
    }
    EXPECT(most > 59 * RN_SECOND);
    EXPECT(sum[0] > 450 * RN_SECOND && sum[0] < 550 * RN_SECOND); /* half of it on average */
    EXPECT(sum[9] > 450 * RN_MINUTE && sum[9] < 550 * RN_MINUTE);
    rn_retry_free(r);
}

TEST_VIRTUAL(decorrelated_jitter_follows_the_delay_before)
{
    rn_retry *r = retry_with(&(rn_retry_config){.attempts = 31,
                                                .delay = RN_SECOND,
                                                .max_delay = RN_MINUTE,
                                                .jitter = RN_RETRY_JITTER_DECORRELATED,
                                                .seed = 2});
    int at_maximum = 0, fell = 0;

    for (int round = 0; round < 100; round++) {
        struct service s = {.failures = 30, .err = -EIO};
        rn_duration before = RN_SECOND;
        EXPECT_EQ(rn_retry_execute(NULL, r, serve, &s), 71);
        for (int i = 0; i < 30; i++) {
            rn_duration d = s.at[i + 1] - s.at[i];
            EXPECT(d >= RN_SECOND && d <= RN_MINUTE && d <= 3 * before);
            at_maximum += d == RN_MINUTE;
            fell += d < before;
            before = d;
        }
    }
    EXPECT(at_maximum > 100 && fell > 100);
    rn_retry_free(r);
}

TEST_VIRTUAL(a_seed_gives_the_same_schedule_again)
{
    struct service s[2] = {{.failures = 20, .err = -EIO}, {.failures = 20, .err = -EIO}};
    rn_time began[2];

    for (int i = 0; i < 2; i++) {
        rn_retry *r = retry_with(&(rn_retry_config){.attempts = 21, .seed = 77});
        began[i] = rn_now();
        EXPECT_EQ(rn_retry_execute(NULL, r, serve, &s[i]), 61);
        rn_retry_free(r);
    }
    for (int i = 0; i < 21; i++)
        EXPECT_EQ(s[0].at[i] - began[0], s[1].at[i] - began[1]);
}

/* ---- deadlines ---- */

TEST_VIRTUAL(no_delay_begins_that_the_total_would_not_outlast)
{
    struct service s = {.failures = 100, .err = -EIO};
    rn_retry *r = retry_with(&(rn_retry_config){.attempts = 100,
                                                .delay = RN_SECOND,
                                                .jitter = RN_RETRY_JITTER_NONE,
                                                .total = 10 * RN_SECOND});

    EXPECT_EQ(rn_retry_execute(NULL, r, serve, &s), -EIO);
    EXPECT_EQ(s.called, 4); /* at 0, 1, 3 and 7 s; 15 s would be too late */
    EXPECT_EQ(rn_now(), 7 * RN_SECOND);
    EXPECT_EQ(stats_of(r).ended_deadline, 1);
    rn_retry_free(r);
}

TEST_VIRTUAL(the_total_ends_an_attempt_that_runs)
{
    struct service s = {.takes = RN_HOUR};
    rn_retry *r = retry_with(&(rn_retry_config){.total = 10 * RN_SECOND});

    EXPECT_EQ(rn_retry_execute(NULL, r, serve, &s), -ETIMEDOUT);
    EXPECT_EQ(s.called, 1);
    EXPECT_EQ(rn_now(), 10 * RN_SECOND);
    EXPECT_EQ(stats_of(r).ended_deadline, 1);
    rn_retry_free(r);
}

TEST_VIRTUAL(an_attempt_that_times_out_is_tried_again)
{
    struct service s = {.takes = RN_HOUR, .err = -ETIMEDOUT};
    rn_retry *r = retry_with(&(rn_retry_config){
        .delay = RN_SECOND, .jitter = RN_RETRY_JITTER_NONE, .attempt_timeout = 5 * RN_SECOND});

    EXPECT_EQ(rn_retry_execute(NULL, r, serve, &s), -ETIMEDOUT);
    EXPECT_EQ(s.called, 3);
    EXPECT_EQ(rn_now(), (5 + 1 + 5 + 2 + 5) * RN_SECOND);
    rn_retry_free(r);
}

TEST_VIRTUAL(a_context_whose_deadline_is_near_gets_the_error_at_once)
{
    struct service s = {.failures = 100, .err = -EIO};
    rn_retry *r = retry_with(
        &(rn_retry_config){.delay = RN_MINUTE, .jitter = RN_RETRY_JITTER_NONE});
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, RN_SECOND);

    EXPECT_EQ(rn_retry_execute(ctx, r, serve, &s), -EIO);
    EXPECT_EQ(rn_now(), 0);
    EXPECT_EQ(stats_of(r).ended_deadline, 1);
    rn_ctx_release(ctx);
    rn_retry_free(r);
}

static void cancel_later(void *arg)
{
    EXPECT_EQ(rn_sleep(NULL, 5 * RN_SECOND), 0);
    rn_ctx_cancel(arg, 0);
}

TEST_VIRTUAL(a_cancelled_context_ends_a_delay)
{
    struct service s = {.failures = 100, .err = -EIO};
    rn_retry *r = retry_with(&(rn_retry_config){
        .delay = RN_MINUTE, .max_delay = RN_HOUR, .jitter = RN_RETRY_JITTER_NONE});
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);

    EXPECT_EQ(rn_go(cancel_later, ctx), 0);
    EXPECT_EQ(rn_retry_execute(ctx, r, serve, &s), -ECANCELED);
    EXPECT_EQ(rn_now(), 5 * RN_SECOND);
    EXPECT_EQ(stats_of(r).waiting, 0);
    EXPECT_EQ(rn_retry_execute(ctx, r, serve, &s), -ECANCELED); /* ended before: no attempt */
    EXPECT_EQ(s.called, 1);
    EXPECT_EQ(stats_of(r).calls, 1);
    rn_ctx_release(ctx);
    ctx = rn_ctx_with_timeout(NULL, 0);
    EXPECT_EQ(rn_retry_execute(ctx, r, serve, &s), -ETIMEDOUT);
    rn_ctx_release(ctx);
    rn_retry_free(r);
}

TEST(a_clock_of_ones_own_is_waited_on)
{
    struct manual m = {.now = RN_HOUR};
    struct service s = {.failures = 100, .err = -EIO};
    rn_retry *r = retry_with(&(rn_retry_config){.attempts = 100,
                                                .delay = RN_SECOND,
                                                .jitter = RN_RETRY_JITTER_NONE,
                                                .total = RN_MINUTE,
                                                .clock = MANUAL(&m)});

    EXPECT_EQ(rn_retry_execute(NULL, r, serve, &s), -EIO);
    EXPECT_EQ(s.called, 6); /* at 0, 1, 3, 7, 15 and 31 s */
    EXPECT_EQ(m.now, RN_HOUR + 31 * RN_SECOND);
    rn_retry_free(r);
}

/* ---- what the call says ---- */

TEST_VIRTUAL(a_retry_after_is_honoured)
{
    struct service s = {.failures = 3, .err = -EAGAIN, .retry_after = RN_MINUTE};
    rn_retry *r = retry_with(&(rn_retry_config){.attempts = 10,
                                                .delay = RN_SECOND,
                                                .max_delay = 2 * RN_SECOND,
                                                .jitter = RN_RETRY_JITTER_NONE});

    EXPECT_EQ(rn_retry_execute(NULL, r, serve, &s), 44);
    for (int i = 0; i < 4; i++)
        EXPECT_EQ(s.at[i], i * RN_MINUTE); /* also beyond the maximum */
    rn_retry_free(r);
}

TEST_VIRTUAL(a_short_retry_after_does_not_shorten_the_delay)
{
    struct service s = {.failures = 1, .err = -EAGAIN, .retry_after = 1};
    rn_retry *r = retry_with(
        &(rn_retry_config){.delay = RN_SECOND, .jitter = RN_RETRY_JITTER_NONE});

    EXPECT_EQ(rn_retry_execute(NULL, r, serve, &s), 42);
    EXPECT_EQ(s.at[1], RN_SECOND);
    rn_retry_free(r);
}

TEST_VIRTUAL(a_negative_retry_after_ends_it)
{
    struct service s = {.failures = 100, .err = -EAGAIN, .retry_after = -1};
    rn_retry *r = retry_with(&(rn_retry_config){.attempts = 10});

    EXPECT_EQ(rn_retry_execute(NULL, r, serve, &s), -EAGAIN);
    EXPECT_EQ(s.called, 1);
    rn_retry_free(r);
}

static bool is_busy(void *arg, int err)
{
    ++*(int *)arg;
    return err == -EBUSY;
}

TEST_VIRTUAL(some_errors_are_not_tried_again)
{
    const int hopeless[] = {-ECANCELED, -EINVAL, RN_ECLOSED, RN_ESHUTDOWN, RN_ERATE, RN_EBURST};
    rn_retry *r = retry_with(NULL);
    int asked = 0;

    for (size_t i = 0; i < sizeof hopeless / sizeof hopeless[0]; i++) {
        struct service s = {.failures = 100, .err = hopeless[i]};
        EXPECT_EQ(rn_retry_execute(NULL, r, serve, &s), hopeless[i]);
        EXPECT_EQ(s.called, 1);
    }
    rn_retry_free(r);
    r = retry_with(&(rn_retry_config){.should_retry = is_busy, .should_retry_arg = &asked});
    struct service busy = {.failures = 100, .err = -EBUSY}, other = {.failures = 100, .err = -EIO};
    EXPECT_EQ(rn_retry_execute(NULL, r, serve, &busy), -EBUSY);
    EXPECT_EQ(busy.called, 3);
    EXPECT_EQ(rn_retry_execute(NULL, r, serve, &other), -EIO);
    EXPECT_EQ(other.called, 1);
    EXPECT_EQ(asked, 4);
    rn_retry_free(r);
}

/* ---- budgets ---- */

TEST(a_budget_holds_a_burst_and_a_share_of_the_calls)
{
    rn_retry_budget *budget;
    rn_retry_budget_stats stats;
    int retries = 0;

    EXPECT_EQ(rn_retry_budget_new(&budget, &(rn_retry_budget_config){.ratio = 0.2, .tokens = 5}),
              0);
    for (int i = 0; i < 5; i++)
        EXPECT(rn_retry_budget_withdraw(budget));
    EXPECT(!rn_retry_budget_withdraw(budget));
    for (int i = 0; i < 1000; i++) {
        rn_retry_budget_deposit(budget);
        retries += rn_retry_budget_withdraw(budget);
    }
    EXPECT_EQ(retries, 200);
    for (int i = 0; i < 1000; i++)
        rn_retry_budget_deposit(budget);
    rn_retry_budget_stats_read(budget, &stats);
    EXPECT(stats.tokens == 5); /* no more than it holds */
    EXPECT_EQ(stats.withdrawn, 205);
    EXPECT_EQ(stats.refused, 801);
    rn_retry_budget_free(budget);
    EXPECT_EQ(rn_retry_budget_new(&budget, NULL), 0);
    rn_retry_budget_stats_read(budget, &stats);
    EXPECT(stats.tokens == 10);
    rn_retry_budget_free(budget);
}

static void count_up(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
}

TEST_VIRTUAL(a_dead_service_gets_a_tenth_more_calls_not_three_times_as_many)
{
    atomic_int refused = 0;
    rn_retry_budget *budget;
    rn_retry *r[2];
    int called = 0;

    EXPECT_EQ(rn_retry_budget_new(&budget, &(rn_retry_budget_config){.ratio = 0.1,
                                                                     .tokens = 10,
                                                                     .on_empty = count_up,
                                                                     .events_arg = &refused}),
              0);
    for (int i = 0; i < 2; i++)
        r[i] = retry_with(&(rn_retry_config){.budget = budget});
    for (int i = 0; i < 1000; i++) {
        struct service s = {.failures = 100, .err = -EIO};
        EXPECT_EQ(rn_retry_execute(NULL, r[i % 2], serve, &s), -EIO);
        called += s.called;
    }
    EXPECT(called >= 1105 && called <= 1110); /* 10 at first, then a tenth; none for the first 10 */
    EXPECT_EQ(stats_of(r[0]).ended_budget + stats_of(r[1]).ended_budget, atomic_load(&refused));
    rn_retry_free(r[0]);
    rn_retry_free(r[1]);
    rn_retry_budget_free(budget);
}

/* ---- events and dumps ---- */

struct log {
    char text[300];
};

static void note_retry(void *arg, const rn_attempt *attempt, int err, rn_duration delay)
{
    char *end = strchr(((struct log *)arg)->text, '\0');

    sprintf(end, "%u:%d,%llds ", attempt->number, err, (long long)(delay / RN_SECOND));
}

static void note_end(void *arg, const rn_attempt *attempt, int err, rn_retry_end why)
{
    char *end = strchr(((struct log *)arg)->text, '\0');

    sprintf(end, "%u:%d end %d", attempt->number, err, (int)why);
}

TEST_VIRTUAL(events_tell_each_delay_and_the_end)
{
    struct log log = {""};
    struct service s = {.failures = 100, .err = -7};
    rn_retry *r = retry_with(&(rn_retry_config){.delay = RN_SECOND,
                                                .jitter = RN_RETRY_JITTER_NONE,
                                                .on_retry = note_retry,
                                                .on_give_up = note_end,
                                                .events_arg = &log});

    EXPECT_EQ(rn_retry_execute(NULL, r, serve, &s), -7);
    EXPECT_STR(log.text, "1:-7,1s 2:-7,2s 3:-7 end 1");
    rn_retry_free(r);
}

TEST(named_ones_are_in_dumps)
{
    struct service s = {0};
    rn_retry_budget *budget;
    rn_retry *r;
    char text[4000];

    EXPECT_EQ(rn_retry_budget_new(&budget, &(rn_retry_budget_config){.name = "shared"}), 0);
    r = retry_with(&(rn_retry_config){.name = "orders", .budget = budget});
    EXPECT_EQ(rn_retry_execute(NULL, r, serve, &s), 41);
    dump_text(text, sizeof text);
    EXPECT(strstr(text, "retry \"orders\" [1 calls, 1 attempts, 0 failed, 0 waiting]") != NULL);
    EXPECT(strstr(text, "retry budget \"shared\" [10 of 10 tokens]") != NULL);
    rn_retry_free(r);
    rn_retry_budget_free(budget);
}

/* ---- configuration ---- */

static void expect_wrong(const rn_retry_config *config, const char *sentence)
{
    rn_retry *r = (rn_retry *)config;

    EXPECT_EQ(rn_retry_new(&r, config), -EINVAL);
    EXPECT(r == NULL);
    EXPECT_STR(rn_error_detail(), sentence);
    rn_retry_free(r);
}

#define EXPECT_WRONG(sentence, ...) expect_wrong(&(rn_retry_config){__VA_ARGS__}, sentence)

TEST(a_wrong_field_is_named)
{
    EXPECT_WRONG("retry: .delay is -1: a duration is not negative", .delay = -1);
    EXPECT_WRONG("retry: .max_delay is -1: a duration is not negative", .max_delay = -1);
    EXPECT_WRONG("retry: .total is -1: a duration is not negative", .total = -1);
    EXPECT_WRONG("retry: .attempt_timeout is -1: a duration is not negative",
                 .attempt_timeout = -1);
    EXPECT_WRONG("retry: .attempts is 1000001: allowed are 1 to 1000000", .attempts = 1000001);
    EXPECT_WRONG("retry: .multiplier is 0.5: allowed are 1 to 100", .multiplier = 0.5);
    EXPECT_WRONG("retry: .multiplier is nan: allowed are 1 to 100",
                 .multiplier = __builtin_nan(""));
    EXPECT_WRONG("retry: .jitter is 9: no such jitter", .jitter = (rn_retry_jitter)9);
    EXPECT_WRONG("retry: .max_delay is shorter than .delay", .delay = RN_MINUTE,
                 .max_delay = RN_SECOND);
    EXPECT_WRONG("retry: .attempt_timeout is set beside .clock: only the runtime's ends attempts",
                 .attempt_timeout = 1, .clock = MANUAL(NULL));
}

TEST(a_wrong_field_of_a_budget_is_named)
{
    rn_retry_budget *budget = (rn_retry_budget *)"";

    EXPECT_EQ(rn_retry_budget_new(&budget, &(rn_retry_budget_config){.ratio = 2}), -EINVAL);
    EXPECT(budget == NULL);
    EXPECT_STR(rn_error_detail(), "retry budget: .ratio is 2: allowed are 0.001 to 1");
    EXPECT_EQ(rn_retry_budget_new(&budget, &(rn_retry_budget_config){.tokens = 1000001}), -EINVAL);
    EXPECT_STR(rn_error_detail(), "retry budget: .tokens is 1000001: allowed are 1 to 1000000");
    rn_retry_budget_free(budget);
}
