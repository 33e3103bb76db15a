/*
 * Circuit breaker: probes and their leases, generations, ignored errors, taking it in hand, events,
 * misuse, configuration.
 */
#include "core.h"
#include "kit/breakers.h"
#include "kit/dump_text.h"
#include "kit/manual_clock.h"
#include "test.h"

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

static bool always(void *arg, const rn_breaker_counts *counts)
{
    (void)arg, (void)counts;
    return true;
}

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
                 .should_open = always, .failure_threshold = 5);
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
