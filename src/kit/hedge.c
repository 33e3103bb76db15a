/*
 * Hedge: a call in progress is a group of attempts, and its caller, who starts them.
 *
 * The caller sleeps on the clock with a context, alarm, that an attempt cancels when it ends. So
 * one kind of wait serves for the delay, for a success, and for a failure that makes the next
 * attempt start early; and a clock of the program's own is waited on like the runtime's.
 *
 * Invariants, under the call's lock:
 *   - winner is the first attempt that succeeded, and never changes once it is not NONE.
 *   - failed counts the attempts that ended without success; first_err is the first one's code.
 *   - alarm is the context of the present sleep; it is replaced by the caller only.
 * When the caller leaves, the group has been waited for: nobody else knows the call any more.
 *
 * Latencies of first attempts lie in a ring that any call writes to without a lock; now and then
 * one of them sorts a copy and sets the delay. The delay need not be exact.
 *
 * Compiled with the public headers only.
 */
#include "mutex_class.h"
#include "stack_size.h"

#include <runnel/debug.h>
#include <runnel/group.h>
#include <runnel/hedge.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ATTEMPTS_MAX 16
#define ATTEMPTS_DEFAULT 2
#define DELAY_DEFAULT (100 * RN_MILLISECOND)
#define SAMPLES 128       /* a power of two */
#define SAMPLES_FIRST 20  /* before there is a percentile */
#define SAMPLES_BETWEEN 8 /* from one sorting to the next */
#define NONE UINT32_MAX   /* as an attempt */
#define ALIGNMENT 16      /* of results */

struct rn_hedge {
    rn_hedge_config config;
    size_t result_size;
    size_t stride; /* from one result to the next */
    _Atomic(rn_duration) delay;
    _Atomic(uint64_t) sampled; /* how many there were so far */
    _Atomic(rn_duration) samples[SAMPLES];
    _Atomic(uint64_t) calls, attempts, hedged, won_late, failed, dropped, refused;
    rn_exhibit exhibit;
};

/* One call in progress, on its caller's stack. */
struct call {
    struct rn_hedge *hedge;
    rn_hedge_fn *fn;
    void *arg;
    rn_ctx *ctx; /* the caller's */
    rn_group *group;
    char *results;  /* a place for each attempt */
    unsigned begun; /* attempts; the caller's own */
    rn_time first_began;

    MUTEX(lock, hedge_lock); /* guards the rest */
    rn_ctx *alarm;
    unsigned winner;
    unsigned ended;
    unsigned failed; /* of these */
    int first_err;
    bool first_counts; /* attempt 0 succeeded, or was cancelled because another did */
    rn_duration first_took;
};

struct attempt {
    struct call *call;
    unsigned number;
};

static void count(_Atomic(uint64_t) *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed); /* a counter orders nothing */
}

static uint64_t total(_Atomic(uint64_t) *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* ---- latencies ---- */

static int compare(const void *a, const void *b)
{
    rn_duration x = *(const rn_duration *)a, y = *(const rn_duration *)b;

    return (x > y) - (x < y);
}

static void set_delay(struct rn_hedge *h, uint64_t sampled)
{
    rn_duration sorted[SAMPLES];
    size_t n = sampled < SAMPLES ? (size_t)sampled : SAMPLES;
    size_t rank = (size_t)(h->config.percentile * (double)n);

    for (size_t i = 0; i < n; i++)
        sorted[i] = atomic_load_explicit(&h->samples[i], memory_order_relaxed);
    qsort(sorted, n, sizeof sorted[0], compare);
    atomic_store(&h->delay, sorted[rank < n ? rank : n - 1]);
}

/* How long a first attempt took, or ran until it was cancelled. */
static void sample(struct rn_hedge *h, rn_duration took)
{
    uint64_t n;

    if (h->config.percentile == 0)
        return;
    n = atomic_fetch_add(&h->sampled, 1);
    atomic_store_explicit(&h->samples[n % SAMPLES], took, memory_order_relaxed);
    if (n + 1 >= SAMPLES_FIRST && (n + 1 - SAMPLES_FIRST) % SAMPLES_BETWEEN == 0)
        set_delay(h, n + 1);
}

rn_duration(rn_hedge_delay)(struct rn_hedge *h)
{
    return atomic_load(&h->delay);
}

/* ---- attempts ---- */

static void *result_of(struct call *call, unsigned attempt)
{
    return call->results + attempt * call->hedge->stride;
}

static void drop(struct rn_hedge *h, void *result)
{
    count(&h->dropped);
    if (h->config.drop != NULL)
        h->config.drop(result);
}

/* Notes how an attempt ended, and wakes the caller. True: it won. */
static bool note_end(struct call *call, unsigned number, int err, rn_duration took)
{
    bool won;

    rn_mutex_lock(&call->lock);
    call->ended++;
    won = err == 0 && call->winner == NONE;
    if (won)
        call->winner = number;
    if (err != 0 && call->failed++ == 0)
        call->first_err = err;
    if (number == 0) {
        call->first_counts = err == 0 || call->winner != NONE;
        call->first_took = took;
    }
    rn_ctx_cancel(call->alarm, 0);
    rn_mutex_unlock(&call->lock);
    return won;
}

static int run(rn_ctx *ctx, void *arg)
{
    struct attempt *a = arg;
    struct call *call = a->call;
    struct rn_hedge *h = call->hedge;
    void *result = result_of(call, a->number);
    int err = call->fn(ctx, call->arg, a->number, result);
    rn_duration took = a->number == 0 ? rn_clock_now(h->config.clock) - call->first_began : 0;

    if (!note_end(call, a->number, err, took) && err == 0)
        drop(h, result);
    return 0;
}

static int begin(struct call *call)
{
    struct attempt a = {.call = call, .number = call->begun};
    int err = rn_group_go_copy(call->group, run, &a);

    if (err != 0)
        return err;
    call->begun++;
    count(&call->hedge->attempts);
    return 0;
}

/* Whether there is to be another attempt, for err of one that failed or, 0, behind a delay. */
static bool may_begin_another(struct call *call, int err)
{
    const rn_hedge_config *c = &call->hedge->config;

    if (call->begun >= c->attempts)
        return false;
    if (c->budget != NULL && !rn_retry_budget_withdraw(c->budget)) {
        count(&call->hedge->refused);
        return false;
    }
    if (c->on_hedge != NULL)
        c->on_hedge(c->events_arg, call->begun, err);
    return true;
}

/* ---- the caller ---- */

/* What the caller sees when it looks. */
struct sight {
    bool won;
    unsigned failed;
    int first_err;
};

/* Looks, and gives the next sleep an alarm of its own if the last one rang. */
static int look(struct call *call, struct sight *sight)
{
    rn_ctx *fresh = NULL, *rung = NULL;
    int err = 0;

    if (rn_ctx_err(call->alarm) != 0) {
        fresh = rn_ctx_with_cancel(call->ctx);
        err = fresh == NULL ? -ENOMEM : 0;
    }
    rn_mutex_lock(&call->lock);
    if (fresh != NULL) {
        rung = call->alarm;
        call->alarm = fresh;
    }
    *sight = (struct sight){call->winner != NONE, call->failed, call->first_err};
    rn_mutex_unlock(&call->lock);
    rn_ctx_release(rung);
    return err;
}

/* Sleeps for d, or until an attempt ends. */
static void sleep_until_alarm(struct call *call, rn_duration d)
{
    if (d == RN_FOREVER)
        rn_ctx_wait(call->alarm);
    else
        rn_clock_sleep(call->alarm, call->hedge->config.clock, d);
}

/* Starts attempts until one has won (0), or there is nothing left to do. */
static int direct(struct call *call)
{
    rn_duration delay = (rn_hedge_delay)(call->hedge);
    bool more = true;
    struct sight sight;
    unsigned failed_before = 0;
    int err = begin(call);

    if (err != 0)
        return err;
    for (;;) {
        if ((err = look(call, &sight)) != 0 || sight.won)
            return err;
        if ((err = rn_ctx_err(call->ctx)) != 0)
            return err;
        if (sight.failed > failed_before) { /* the next one starts early */
            more = more && may_begin_another(call, sight.first_err) && begin(call) == 0;
            failed_before++;
        }
        if (!more && sight.failed == call->begun)
            return sight.first_err;
        if (sight.failed > failed_before)
            continue;
        sleep_until_alarm(call,
                          more && call->begun < call->hedge->config.attempts ? delay : RN_FOREVER);
        if (rn_ctx_err(call->alarm) == 0) /* it was the delay that ended */
            more = may_begin_another(call, 0) && begin(call) == 0;
    }
}

/* Ends every attempt, and takes the winner's result. A success counts however late it came. */
static int finish(struct call *call, void *result, int err)
{
    struct rn_hedge *h = call->hedge;
    rn_time now = rn_clock_now(h->config.clock);
    bool running;

    rn_mutex_lock(&call->lock);
    running = call->ended < call->begun;
    rn_mutex_unlock(&call->lock);
    if (running)
        rn_group_cancel(call->group, 0);
    rn_group_wait(call->group);
    if (call->first_counts) /* up to the cancel, not to the end of what came behind */
        sample(h, call->first_took < now - call->first_began ? call->first_took
                                                             : now - call->first_began);
    if (call->begun > 1)
        count(&h->hedged);
    if (call->winner == NONE) {
        count(&h->failed);
        return err;
    }
    if (call->winner > 0)
        count(&h->won_late);
    memcpy(result, result_of(call, call->winner), h->result_size);
    return 0;
}

static int make_parts(struct call *call)
{
    const rn_hedge_config *c = &call->hedge->config;
    int err = rn_group_new_with(&call->group, call->ctx,
                                &(rn_group_options){.name = c->name, .stack_size = c->stack_size});

    if (err != 0)
        return err;
    call->results = calloc(c->attempts, call->hedge->stride);
    call->alarm = rn_ctx_with_cancel(call->ctx);
    return call->results == NULL || call->alarm == NULL ? -ENOMEM : 0;
}

int rn_hedge_execute_untyped(rn_ctx *ctx, struct rn_hedge *h, rn_hedge_fn *fn, void *arg,
                             void *result)
{
    struct call call = {.hedge = h, .fn = fn, .arg = arg, .ctx = ctx, .winner = NONE};
    int err = rn_ctx_err(ctx);

    if (err != 0)
        return err;
    err = make_parts(&call);
    if (err == 0) {
        count(&h->calls);
        if (h->config.budget != NULL)
            rn_retry_budget_deposit(h->config.budget);
        call.first_began = rn_clock_now(h->config.clock);
        err = finish(&call, result, direct(&call));
    } else {
        rn_group_wait(call.group);
    }
    rn_ctx_release(call.alarm);
    free(call.results);
    return err;
}

/* ---- looking at it ---- */

void(rn_hedge_stats_read)(struct rn_hedge *h, rn_hedge_stats *out)
{
    *out = (rn_hedge_stats){.calls = total(&h->calls),
                            .attempts = total(&h->attempts),
                            .hedged = total(&h->hedged),
                            .won_late = total(&h->won_late),
                            .failed = total(&h->failed),
                            .dropped = total(&h->dropped),
                            .refused = total(&h->refused)};
}

static void describe(const rn_exhibit *exhibit, char *text, size_t size)
{
    struct rn_hedge *h = (struct rn_hedge *)((char *)(uintptr_t)exhibit -
                                             offsetof(struct rn_hedge, exhibit));

    snprintf(text, size, "%llu calls, %llu hedged, delay %lld us",
             (unsigned long long)total(&h->calls), (unsigned long long)total(&h->hedged),
             (long long)(atomic_load(&h->delay) / RN_MICROSECOND));
}

/* ---- making ---- */

static int check(const rn_hedge_config *c, size_t result_size)
{
    if (c->attempts == 1 || c->attempts > ATTEMPTS_MAX)
        return rn_error_with(-EINVAL, "hedge: .attempts is %u: allowed are 2 to %d", c->attempts,
                             ATTEMPTS_MAX);
    if (c->delay < 0)
        return rn_error_with(-EINVAL, "hedge: .delay is %lld: a duration is not negative",
                             (long long)c->delay);
    if (!(c->percentile == 0 || (c->percentile >= 0.5 && c->percentile <= 0.999)))
        return rn_error_with(-EINVAL, "hedge: .percentile is %g: allowed are 0.5 to 0.999",
                             c->percentile);
    if (result_size > PTRDIFF_MAX / ATTEMPTS_MAX - ALIGNMENT)
        return rn_error_with(-EINVAL, "hedge: a result of %zu bytes is too large", result_size);
    return stack_size_check("hedge", c->stack_size);
}

int rn_hedge_new_untyped(struct rn_hedge **out, size_t result_size, const rn_hedge_config *config)
{
    rn_hedge_config c = config == NULL ? (rn_hedge_config){0} : *config;
    int err = check(&c, result_size);
    struct rn_hedge *h;

    *out = NULL;
    if (err != 0)
        return err;
    h = calloc(1, sizeof *h);
    if (h == NULL)
        return -ENOMEM;
    c.attempts = c.attempts == 0 ? ATTEMPTS_DEFAULT : c.attempts;
    c.delay = c.delay == 0 ? DELAY_DEFAULT : c.delay;
    h->config = c;
    h->result_size = result_size;
    h->stride = (result_size + ALIGNMENT) / ALIGNMENT * ALIGNMENT;
    atomic_init(&h->delay, c.delay);
    if (c.name != NULL) {
        h->exhibit = (rn_exhibit){.kind = "hedge", .name = c.name, .describe = describe};
        rn_exhibit_show(&h->exhibit);
    }
    *out = h;
    return 0;
}

void(rn_hedge_free)(struct rn_hedge *h)
{
    if (h == NULL)
        return;
    if (h->exhibit.name != NULL)
        rn_exhibit_hide(&h->exhibit);
    free(h);
}
