/*
 * Hedge: when further attempts start, who wins, what becomes of the losers, the learnt delay, the
 * budget, contexts, configuration. Time is virtual.
 */
#include "core.h"
#include "kit/dump_text.h"
#include "kit/manual_clock.h"
#include "test.h"

#include <runnel/hedge.h>

#define ATTEMPTS 4

/* How long each attempt takes, and what it comes to. */
struct plan {
    rn_duration takes[ATTEMPTS];
    int err[ATTEMPTS];
    rn_time began[ATTEMPTS];
    atomic_int begun, ended, canceled;
    bool deaf; /* does not notice that it is cancelled */
};

struct value {
    int *number;
};

static atomic_int owned;

static void drop_value(void *v)
{
    free(((struct value *)v)->number);
    atomic_fetch_sub(&owned, 1);
}

static int work(rn_ctx *ctx, void *arg, unsigned attempt, struct value *result)
{
    struct plan *p = arg;
    int err;

    EXPECT(attempt < ATTEMPTS && result->number == NULL);
    atomic_fetch_add(&p->begun, 1);
    p->began[attempt] = rn_now();
    err = rn_sleep(p->deaf ? NULL : ctx, p->takes[attempt]);
    if (rn_ctx_err(ctx) != 0)
        atomic_fetch_add(&p->canceled, 1);
    atomic_fetch_add(&p->ended, 1);
    if (err != 0 || p->err[attempt] != 0)
        return err != 0 ? err : p->err[attempt];
    result->number = malloc(sizeof *result->number);
    *result->number = (int)attempt;
    atomic_fetch_add(&owned, 1);
    return 0;
}

typedef rn_hedge(struct value) hedge_t;

static hedge_t hedge_with(rn_hedge_config config)
{
    hedge_t h;

    config.drop = drop_value;
    EXPECT_EQ(rn_hedge_new(&h, &config), 0);
    return h;
}

static rn_hedge_stats stats_of(hedge_t h)
{
    rn_hedge_stats stats;

    rn_hedge_stats_read(h, &stats);
    return stats;
}

/* Which attempt won. Each that began has ended, and nobody else owns anything. */
static int winner(rn_ctx *ctx, hedge_t h, struct plan *p)
{
    struct value v = {NULL};
    int err = rn_hedge_execute(ctx, h, work, p, &v), number;

    EXPECT_EQ(atomic_load(&p->begun), atomic_load(&p->ended));
    EXPECT_EQ(atomic_load(&owned), err == 0);
    if (err != 0)
        return err;
    number = *v.number;
    drop_value(&v);
    return number;
}

TEST_VIRTUAL(a_quick_answer_needs_no_second_attempt)
{
    struct plan p = {.takes = {49 * RN_MILLISECOND}};
    hedge_t h = hedge_with((rn_hedge_config){.delay = 50 * RN_MILLISECOND});

    EXPECT_EQ(winner(NULL, h, &p), 0);
    EXPECT_EQ(rn_now(), 49 * RN_MILLISECOND);
    EXPECT_EQ(atomic_load(&p.begun), 1);
    EXPECT_EQ(stats_of(h).calls, 1);
    EXPECT_EQ(stats_of(h).attempts, 1);
    EXPECT_EQ(stats_of(h).hedged, 0);
    rn_hedge_free(h);
}

TEST_VIRTUAL(a_slow_one_is_overtaken_cancelled_and_joined)
{
    struct plan p = {.takes = {RN_HOUR, 10 * RN_MILLISECOND}};
    hedge_t h = hedge_with((rn_hedge_config){.delay = 50 * RN_MILLISECOND});

    EXPECT_EQ(winner(NULL, h, &p), 1);
    EXPECT_EQ(p.began[1], 50 * RN_MILLISECOND);
    EXPECT_EQ(rn_now(), 60 * RN_MILLISECOND);
    EXPECT_EQ(atomic_load(&p.canceled), 1);
    EXPECT_EQ(stats_of(h).hedged, 1);
    EXPECT_EQ(stats_of(h).won_late, 1);
    rn_hedge_free(h);
}

TEST_VIRTUAL(the_first_may_still_win)
{
    struct plan p = {.takes = {60 * RN_MILLISECOND, RN_HOUR}};
    hedge_t h = hedge_with((rn_hedge_config){.delay = 50 * RN_MILLISECOND});

    EXPECT_EQ(winner(NULL, h, &p), 0);
    EXPECT_EQ(rn_now(), 60 * RN_MILLISECOND);
    EXPECT_EQ(stats_of(h).won_late, 0);
    rn_hedge_free(h);
}

TEST_VIRTUAL(the_success_of_a_loser_is_dropped)
{
    struct plan p = {.takes = {RN_SECOND, 10 * RN_MILLISECOND}, .deaf = true};
    hedge_t h = hedge_with((rn_hedge_config){.delay = 50 * RN_MILLISECOND});

    EXPECT_EQ(winner(NULL, h, &p), 1);
    EXPECT_EQ(rn_now(), RN_SECOND); /* it is joined although it heeds no cancel */
    EXPECT_EQ(stats_of(h).dropped, 1);
    EXPECT_EQ(atomic_load(&owned), 0);
    rn_hedge_free(h);
}

TEST_VIRTUAL(attempts_follow_one_another_up_to_their_number)
{
    struct plan p = {.takes = {RN_HOUR, RN_HOUR, RN_HOUR, RN_MINUTE}};
    hedge_t h = hedge_with((rn_hedge_config){.attempts = ATTEMPTS, .delay = RN_SECOND});

    EXPECT_EQ(winner(NULL, h, &p), 3);
    for (int i = 0; i < ATTEMPTS; i++)
        EXPECT_EQ(p.began[i], i * RN_SECOND);
    EXPECT_EQ(rn_now(), 63 * RN_SECOND);
    EXPECT_EQ(atomic_load(&p.canceled), 3);
    rn_hedge_free(h);
}

TEST_VIRTUAL(a_failure_starts_the_next_at_once)
{
    struct plan p = {.takes = {1, 1, RN_MILLISECOND}, .err = {-EIO, -EPIPE}};
    hedge_t h = hedge_with((rn_hedge_config){.attempts = 3, .delay = RN_HOUR});

    EXPECT_EQ(winner(NULL, h, &p), 2);
    EXPECT_EQ(p.began[1], 1);
    EXPECT_EQ(p.began[2], 2);
    rn_hedge_free(h);
}

TEST_VIRTUAL(when_all_fail_the_first_error_comes_back)
{
    struct plan p = {.takes = {10 * RN_SECOND, 1, 1}, .err = {-EIO, -EPIPE, -EBUSY}};
    hedge_t h = hedge_with((rn_hedge_config){.attempts = 3, .delay = RN_SECOND});

    EXPECT_EQ(winner(NULL, h, &p), -EPIPE); /* the first to end */
    EXPECT_EQ(rn_now(), 10 * RN_SECOND);
    EXPECT_EQ(stats_of(h).failed, 1);
    rn_hedge_free(h);
}

/* ---- contexts ---- */

TEST_VIRTUAL(the_callers_deadline_ends_every_attempt)
{
    struct plan p = {.takes = {RN_HOUR, RN_HOUR}}, none = {0};
    hedge_t h = hedge_with((rn_hedge_config){.delay = RN_SECOND});
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, 5 * RN_SECOND);

    EXPECT_EQ(winner(ctx, h, &p), -ETIMEDOUT);
    EXPECT_EQ(rn_now(), 5 * RN_SECOND);
    EXPECT_EQ(atomic_load(&p.canceled), 2);
    EXPECT_EQ(winner(ctx, h, &none), -ETIMEDOUT);
    EXPECT_EQ(atomic_load(&none.begun), 0);
    rn_ctx_release(ctx);
    rn_hedge_free(h);
}

static void cancel_later(void *arg)
{
    EXPECT_EQ(rn_sleep(NULL, 5 * RN_SECOND), 0);
    rn_ctx_cancel(arg, 0);
}

TEST_VIRTUAL(a_cancelled_caller_cancels_every_attempt)
{
    struct plan p = {.takes = {RN_HOUR, RN_HOUR}};
    hedge_t h = hedge_with((rn_hedge_config){.delay = RN_SECOND});
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);

    EXPECT_EQ(rn_go(cancel_later, ctx), 0);
    EXPECT_EQ(winner(ctx, h, &p), -ECANCELED);
    EXPECT_EQ(rn_now(), 5 * RN_SECOND);
    rn_ctx_release(ctx);
    rn_hedge_free(h);
}

/* ---- the learnt delay ---- */

TEST_VIRTUAL(the_delay_is_learnt_from_first_attempts)
{
    hedge_t h = hedge_with((rn_hedge_config){.delay = RN_HOUR, .percentile = 0.9});

    EXPECT_EQ(rn_hedge_delay(h), RN_HOUR);
    for (int i = 0; i < 400; i++) { /* 1 to 100 ms, in some order */
        struct plan p = {.takes = {(i * 37 % 100 + 1) * RN_MILLISECOND, RN_HOUR}};
        if (i < 19)
            EXPECT_EQ(rn_hedge_delay(h), RN_HOUR);
        EXPECT_EQ(winner(NULL, h, &p), 0);
    }
    EXPECT(rn_hedge_delay(h) >= 85 * RN_MILLISECOND && rn_hedge_delay(h) <= 95 * RN_MILLISECOND);
    EXPECT(stats_of(h).hedged >= 25 && stats_of(h).hedged <= 55); /* about a tenth */
    rn_hedge_free(h);
}

TEST_VIRTUAL(what_was_cancelled_counts_with_its_time)
{
    hedge_t h = hedge_with((rn_hedge_config){.delay = 40 * RN_MILLISECOND, .percentile = 0.5});

    for (int i = 0; i < 200; i++) { /* firsts never answer: the delay must not fall to nothing */
        struct plan p = {.takes = {RN_HOUR, 10 * RN_MILLISECOND}};
        EXPECT_EQ(winner(NULL, h, &p), 1);
    }
    EXPECT(rn_hedge_delay(h) >= 50 * RN_MILLISECOND);
    rn_hedge_free(h);
}

TEST_VIRTUAL(failures_teach_nothing)
{
    hedge_t h = hedge_with((rn_hedge_config){.delay = RN_SECOND, .percentile = 0.5});

    for (int i = 0; i < 100; i++) {
        struct plan p = {.takes = {1, 1}, .err = {-EIO}};
        EXPECT_EQ(winner(NULL, h, &p), 1);
    }
    EXPECT_EQ(rn_hedge_delay(h), RN_SECOND);
    rn_hedge_free(h);
}

/* ---- budget, clock, events ---- */

TEST_VIRTUAL(a_budget_limits_further_attempts)
{
    rn_retry_budget *budget;
    hedge_t h;

    EXPECT_EQ(rn_retry_budget_new(&budget, &(rn_retry_budget_config){.ratio = 0.1, .tokens = 5}),
              0);
    h = hedge_with((rn_hedge_config){.delay = RN_MILLISECOND, .budget = budget});
    for (int i = 0; i < 1000; i++) {
        struct plan p = {.takes = {RN_SECOND, RN_HOUR}};
        EXPECT_EQ(winner(NULL, h, &p), 0);
    }
    EXPECT(stats_of(h).hedged >= 104 && stats_of(h).hedged <= 105);
    EXPECT_EQ(stats_of(h).refused + stats_of(h).hedged, 1000);
    rn_hedge_free(h);
    rn_retry_budget_free(budget);
}

TEST_FIBER(a_clock_of_ones_own_is_waited_on)
{
    struct manual m = {0};
    struct plan p = {.err = {-EIO, -EIO}};
    hedge_t h = hedge_with((rn_hedge_config){.delay = RN_HOUR, .clock = MANUAL(&m)});
    int err = winner(NULL, h, &p);

    EXPECT_EQ(err, -EIO);
    EXPECT(m.now <= RN_HOUR); /* the delay ended in no time, or a failure came first */
    EXPECT_EQ(atomic_load(&p.begun), 2);
    rn_hedge_free(h);
}

struct log {
    char text[100];
};

static void note(void *arg, unsigned attempt, int err)
{
    char *end = strchr(((struct log *)arg)->text, '\0');

    sprintf(end, "%u:%d ", attempt, err);
}

TEST_VIRTUAL(events_and_dumps_tell_of_further_attempts)
{
    struct log log = {""};
    struct plan p = {.takes = {RN_HOUR, 1, 1}, .err = {0, -7}};
    hedge_t h = hedge_with((rn_hedge_config){
        .attempts = 3, .delay = RN_SECOND, .on_hedge = note, .events_arg = &log, .name = "search"});
    char text[20000];

    EXPECT_EQ(winner(NULL, h, &p), 2);
    EXPECT_STR(log.text, "1:0 2:-7 ");
    dump_text(text, sizeof text);
    EXPECT(strstr(text, "hedge \"search\" [1 calls, 1 hedged, delay 1000000 us]") != NULL);
    rn_hedge_free(h);
}

/* ---- typed results, configuration ---- */

static int number_of(rn_ctx *ctx, void *arg, unsigned attempt, char *result)
{
    (void)ctx, (void)arg;
    *result = (char)('a' + attempt);
    return 0;
}

TEST(small_results_from_a_plain_thread)
{
    rn_hedge(char) h;
    char c = 0;

    EXPECT_EQ(rn_hedge_new(&h, NULL), 0);
    for (int i = 0; i < 100; i++)
        EXPECT_EQ(rn_hedge_execute(NULL, h, number_of, NULL, &c), 0);
    EXPECT_EQ(c, 'a');
    rn_hedge_free(h);
    EXPECT_EQ(rn_stop(), 0);
}

static void expect_wrong(const rn_hedge_config *config, const char *sentence)
{
    hedge_t h = (hedge_t)config;

    EXPECT_EQ(rn_hedge_new(&h, config), -EINVAL);
    EXPECT(h == NULL);
    EXPECT_STR(rn_error_detail(), sentence);
    rn_hedge_free(h);
}

TEST(a_wrong_field_is_named)
{
    struct rn_hedge *untyped;

    expect_wrong(&(rn_hedge_config){.attempts = 1}, "hedge: .attempts is 1: allowed are 2 to 16");
    expect_wrong(&(rn_hedge_config){.attempts = 17}, "hedge: .attempts is 17: allowed are 2 to 16");
    expect_wrong(&(rn_hedge_config){.delay = -1},
                 "hedge: .delay is -1: a duration is not negative");
    expect_wrong(&(rn_hedge_config){.percentile = 0.4},
                 "hedge: .percentile is 0.4: allowed are 0.5 to 0.999");
    expect_wrong(&(rn_hedge_config){.percentile = __builtin_nan("")},
                 "hedge: .percentile is nan: allowed are 0.5 to 0.999");
    expect_wrong(&(rn_hedge_config){.stack_size = 1},
                 "hedge: .stack_size is 1: allowed are 32768 to 1073741824 bytes");
    EXPECT_EQ(rn_hedge_new_untyped(&untyped, SIZE_MAX, NULL), -EINVAL);
    EXPECT(strstr(rn_error_detail(), "bytes is too large") != NULL);
}

/* ---- stress ---- */

static int race(rn_ctx *ctx, void *arg, unsigned attempt, struct value *result)
{
    unsigned seed = *(unsigned *)arg + attempt * 31;

    for (unsigned i = 0; i < seed % 6; i++)
        rn_yield();
    if (seed % 5 == 0)
        return -EIO;
    if (rn_ctx_err(ctx) != 0 && seed % 2 == 0)
        return -ECANCELED;
    result->number = malloc(sizeof *result->number);
    *result->number = (int)attempt;
    atomic_fetch_add(&owned, 1);
    return 0;
}

struct racer {
    hedge_t h;
    unsigned seed;
    int times;
    atomic_int *finished;
};

static void race_often(void *arg)
{
    struct racer *r = arg;

    for (int i = 0; i < r->times; i++) {
        unsigned seed = r->seed * 7919 + (unsigned)i;
        rn_ctx *ctx = i % 3 == 0 ? rn_ctx_with_timeout(NULL, 20 * RN_MICROSECOND) : NULL;
        struct value v = {NULL};
        int err = rn_hedge_execute(ctx, r->h, race, &seed, &v);
        EXPECT((err == 0) == (v.number != NULL));
        if (err == 0)
            drop_value(&v);
        rn_ctx_release(ctx);
    }
    atomic_fetch_add(r->finished, 1);
}

TEST_FIBER(many_races_lose_no_result)
{
    atomic_int finished = 0;
    hedge_t h = hedge_with((rn_hedge_config){.attempts = 3, .delay = RN_MICROSECOND});

    for (unsigned i = 0; i < 20; i++)
        EXPECT_EQ(rn_go_copy(race_often, &(struct racer){h, i, rounds(100), &finished}), 0);
    await_count(&finished, 20);
    EXPECT_EQ(atomic_load(&owned), 0);
    EXPECT_EQ(stats_of(h).calls > 0, true);
    rn_hedge_free(h);
}
