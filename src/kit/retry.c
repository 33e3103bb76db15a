/*
 * Retry: a loop around a call. The object is its configuration, never changed, and counters.
 *
 * What a call in progress knows is a struct run on the caller's stack, so any number of them run at
 * once and share nothing but the counters, the random numbers and the budget.
 *
 * Compiled with the public headers only.
 */
#include <runnel/debug.h>
#include <runnel/retry.h>

#include "random.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define ATTEMPTS_MAX 1000000
#define MULTIPLIER_MAX 100
#define ATTEMPTS_DEFAULT 3
#define DELAY_DEFAULT (100 * RN_MILLISECOND)
#define MULTIPLIER_DEFAULT 2
#define MAX_DELAY_DEFAULT (30 * RN_SECOND)
#define DECORRELATED_FACTOR 3

struct rn_retry {
    rn_retry_config config;
    struct random random;
    _Atomic(uint64_t) calls;
    _Atomic(uint64_t) attempts;
    _Atomic(uint64_t) succeeded;
    _Atomic(uint64_t) succeeded_late;
    _Atomic(uint64_t) failed;
    _Atomic(uint64_t) ended[RN_RETRY_CTX + 1]; /* by reason */
    _Atomic(uint64_t) waiting;
    rn_exhibit exhibit;
};

/* One call in progress. */
struct run {
    rn_retry *retry;
    rn_ctx *caller; /* the caller's context */
    rn_ctx *ctx;    /* ends with the caller's, or when .total is over */
    rn_time began;
    rn_time end; /* of .total and, on the runtime's clock, of ctx; RN_FOREVER: none */
    rn_attempt attempt;
    double backoff;       /* the next delay without jitter */
    rn_duration previous; /* the delay before this one; at first .delay */
};

static void count(_Atomic(uint64_t) *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed); /* a counter orders nothing */
}

static uint64_t total(_Atomic(uint64_t) *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* ---- delays ---- */

static rn_duration at_most(double d, rn_duration max)
{
    return d >= (double)max ? max : (rn_duration)d;
}

static rn_duration decorrelated(struct run *run)
{
    const rn_retry_config *c = &run->retry->config;
    double span = (double)run->previous * DECORRELATED_FACTOR - (double)c->delay;

    return at_most((double)c->delay + random_unit(&run->retry->random) * span, c->max_delay);
}

static rn_duration exponential(struct run *run)
{
    const rn_retry_config *c = &run->retry->config;
    rn_duration d = at_most(run->backoff, c->max_delay);

    if (run->backoff < (double)c->max_delay) /* beyond it, it need not grow */
        run->backoff *= c->multiplier;
    return c->jitter == RN_RETRY_JITTER_FULL ? random_up_to(&run->retry->random, d) : d;
}

static rn_duration next_delay(struct run *run)
{
    rn_duration d = run->retry->config.jitter == RN_RETRY_JITTER_DECORRELATED ? decorrelated(run)
                                                                              : exponential(run);

    run->previous = d;
    return d > run->attempt.retry_after ? d : run->attempt.retry_after;
}

/* ---- whether to go on ---- */

static bool mendable(int err)
{
    return err != -ECANCELED && err != -EINVAL && err != RN_ECLOSED && err != RN_ESHUTDOWN &&
           err != RN_ERATE && err != RN_EBURST;
}

static bool wanted(const struct run *run, int err)
{
    const rn_retry_config *c = &run->retry->config;

    if (run->attempt.retry_after < 0 || run->attempt.retry_after == RN_FOREVER)
        return false;
    return c->should_retry != NULL ? c->should_retry(c->should_retry_arg, err) : mendable(err);
}

/* Fills in the delay and returns true; or says why not to go on. */
static bool goes_on(struct run *run, int err, rn_duration *delay, rn_retry_end *why)
{
    const rn_retry_config *c = &run->retry->config;

    *why = rn_ctx_err(run->caller) != 0 ? RN_RETRY_CTX : RN_RETRY_DEADLINE;
    if (rn_ctx_err(run->ctx) != 0)
        return false;
    *why = RN_RETRY_NOT_RETRIED;
    if (!wanted(run, err))
        return false;
    *why = RN_RETRY_ATTEMPTS;
    if (run->attempt.number >= c->attempts)
        return false;
    *why = RN_RETRY_DEADLINE;
    *delay = next_delay(run);
    if (run->end != RN_FOREVER && rn_time_add(rn_clock_now(c->clock), *delay) >= run->end)
        return false;
    *why = RN_RETRY_BUDGET; /* last, so that no token is taken in vain */
    return c->budget == NULL || rn_retry_budget_withdraw(c->budget);
}

static int give_up(struct run *run, int err, rn_retry_end why)
{
    const rn_retry_config *c = &run->retry->config;

    count(&run->retry->failed);
    count(&run->retry->ended[why]);
    if (c->on_give_up != NULL)
        c->on_give_up(c->events_arg, &run->attempt, err, why);
    return err;
}

/* ---- the loop ---- */

static int attempt_once(struct run *run, rn_attempt_fn *fn, void *arg)
{
    rn_duration timeout = run->retry->config.attempt_timeout;
    rn_ctx *ctx = run->ctx;
    int err;

    count(&run->retry->attempts);
    if (timeout != 0)
        ctx = rn_ctx_with_timeout(run->ctx, timeout);
    if (timeout != 0 && ctx == NULL)
        return -ENOMEM;
    err = fn(ctx, arg, &run->attempt);
    if (timeout != 0)
        rn_ctx_release(ctx);
    return err;
}

static int pause_for(struct run *run, int err, rn_duration delay)
{
    rn_retry *r = run->retry;

    if (r->config.on_retry != NULL)
        r->config.on_retry(r->config.events_arg, &run->attempt, err, delay);
    count(&r->waiting);
    err = rn_clock_sleep(run->ctx, r->config.clock, delay);
    atomic_fetch_sub_explicit(&r->waiting, 1, memory_order_relaxed);
    return err;
}

static void begin_next_attempt(struct run *run, int err)
{
    run->attempt.number++;
    run->attempt.last_err = err;
    run->attempt.retry_after = 0;
    run->attempt.elapsed = rn_clock_now(run->retry->config.clock) - run->began;
}

static int run_attempts(struct run *run, rn_attempt_fn *fn, void *arg)
{
    rn_retry *r = run->retry;
    rn_duration delay;
    rn_retry_end why;
    int err, ended;

    while ((err = attempt_once(run, fn, arg)) < 0) {
        if (!goes_on(run, err, &delay, &why))
            return give_up(run, err, why);
        ended = pause_for(run, err, delay);
        if (ended != 0)
            return give_up(run, ended, RN_RETRY_CTX);
        begin_next_attempt(run, err);
    }
    count(&r->succeeded);
    if (run->attempt.number > 1)
        count(&r->succeeded_late);
    return err;
}

/* Gives the run its end and, where the runtime's clock can end it, a context that does. */
static int limit_run(struct run *run, rn_ctx *ctx)
{
    const rn_retry_config *c = &run->retry->config;
    rn_time deadline;

    if (c->total != 0)
        run->end = rn_time_add(run->began, c->total);
    if (c->clock != NULL)
        return 0;
    if (rn_ctx_deadline(ctx, &deadline) && deadline < run->end)
        run->end = deadline;
    if (c->total == 0)
        return 0;
    run->ctx = rn_ctx_with_deadline(ctx, run->end);
    return run->ctx == NULL ? -ENOMEM : 0;
}

int rn_retry_execute(rn_ctx *ctx, rn_retry *r, rn_attempt_fn *fn, void *arg)
{
    const rn_retry_config *c = &r->config;
    struct run run = {.retry = r,
                      .caller = ctx,
                      .ctx = ctx,
                      .began = rn_clock_now(c->clock),
                      .end = RN_FOREVER,
                      .attempt = {.number = 1},
                      .backoff = (double)c->delay,
                      .previous = c->delay};
    int err = rn_ctx_err(ctx);

    if (err != 0)
        return err;
    err = limit_run(&run, ctx);
    if (err != 0)
        return err;
    count(&r->calls);
    if (c->budget != NULL)
        rn_retry_budget_deposit(c->budget);
    err = run_attempts(&run, fn, arg);
    if (run.ctx != ctx)
        rn_ctx_release(run.ctx);
    return err;
}

/* ---- looking at it ---- */

void rn_retry_stats_read(rn_retry *r, rn_retry_stats *out)
{
    *out = (rn_retry_stats){.calls = total(&r->calls),
                            .attempts = total(&r->attempts),
                            .succeeded = total(&r->succeeded),
                            .succeeded_late = total(&r->succeeded_late),
                            .failed = total(&r->failed),
                            .ended_attempts = total(&r->ended[RN_RETRY_ATTEMPTS]),
                            .ended_deadline = total(&r->ended[RN_RETRY_DEADLINE]),
                            .ended_budget = total(&r->ended[RN_RETRY_BUDGET]),
                            .waiting = total(&r->waiting)};
}

static void describe(const rn_exhibit *exhibit, char *text, size_t size)
{
    rn_retry *r = (rn_retry *)((const char *)exhibit - offsetof(rn_retry, exhibit));

    snprintf(text, size, "%llu calls, %llu attempts, %llu failed, %llu waiting",
             (unsigned long long)total(&r->calls), (unsigned long long)total(&r->attempts),
             (unsigned long long)total(&r->failed), (unsigned long long)total(&r->waiting));
}

/* ---- making ---- */

#define WRONG(...) rn_error_with(-EINVAL, "retry: " __VA_ARGS__)

static int check_duration(const char *field, rn_duration value)
{
    return value >= 0 ? 0
                      : WRONG("%s is %lld: a duration is not negative", field, (long long)value);
}

static int check(const rn_retry_config *c)
{
    int err = check_duration(".delay", c->delay);

    err = err != 0 ? err : check_duration(".max_delay", c->max_delay);
    err = err != 0 ? err : check_duration(".total", c->total);
    err = err != 0 ? err : check_duration(".attempt_timeout", c->attempt_timeout);
    if (err != 0)
        return err;
    if (c->attempts > ATTEMPTS_MAX)
        return WRONG(".attempts is %u: allowed are 1 to %d", c->attempts, ATTEMPTS_MAX);
    if (!(c->multiplier == 0 || (c->multiplier >= 1 && c->multiplier <= MULTIPLIER_MAX)))
        return WRONG(".multiplier is %g: allowed are 1 to %d", c->multiplier, MULTIPLIER_MAX);
    if ((unsigned)c->jitter > RN_RETRY_JITTER_NONE)
        return WRONG(".jitter is %d: no such jitter", (int)c->jitter);
    if (c->max_delay != 0 && c->max_delay < c->delay)
        return WRONG(".max_delay is shorter than .delay");
    if (c->attempt_timeout != 0 && c->clock != NULL)
        return WRONG(".attempt_timeout is set beside .clock: only the runtime's ends attempts");
    return 0;
}

static void set_defaults(rn_retry_config *c)
{
    c->attempts = c->attempts == 0 ? ATTEMPTS_DEFAULT : c->attempts;
    if (c->delay == 0)
        c->delay = c->max_delay != 0 && c->max_delay < DELAY_DEFAULT ? c->max_delay : DELAY_DEFAULT;
    c->multiplier = c->multiplier == 0 ? MULTIPLIER_DEFAULT : c->multiplier;
    if (c->max_delay == 0)
        c->max_delay = c->delay > MAX_DELAY_DEFAULT ? c->delay : MAX_DELAY_DEFAULT;
}

int rn_retry_new(rn_retry **out, const rn_retry_config *config)
{
    rn_retry_config c = config == NULL ? (rn_retry_config){0} : *config;
    int err = check(&c);
    rn_retry *r;

    *out = NULL;
    if (err != 0)
        return err;
    set_defaults(&c);
    r = calloc(1, sizeof *r);
    if (r == NULL)
        return -ENOMEM;
    r->config = c;
    random_seed(&r->random, c.seed);
    if (c.name != NULL) {
        r->exhibit = (rn_exhibit){.kind = "retry", .name = c.name, .describe = describe};
        rn_exhibit_show(&r->exhibit);
    }
    *out = r;
    return 0;
}

void rn_retry_free(rn_retry *r)
{
    if (r != NULL && r->exhibit.name != NULL)
        rn_exhibit_hide(&r->exhibit);
    free(r);
}
