/*
 * Circuit breaker and single flight. The twin of go/guards.go: github.com/sony/gobreaker and
 * golang.org/x/sync/singleflight.
 */
#include "common.h"

#include <runnel.h>

enum { CALLERS = 8 };

static int succeed(rn_ctx *ctx, void *arg)
{
    (void)ctx;
    ++*(long *)arg;
    return 0;
}

static rn_breaker *breaker_with(const rn_breaker_config *config)
{
    rn_breaker *b;

    bench_check(rn_breaker_new(&b, config) == 0);
    return b;
}

static void execute(rn_breaker *b, long n)
{
    long calls = 0;

    for (long i = 0; i < n; i++)
        bench_check(rn_breaker_execute(NULL, b, succeed, &calls) == 0);
    bench_check(calls == n);
}

static void breaker_round(long n)
{
    rn_breaker *b = breaker_with(NULL);

    execute(b, n);
    rn_breaker_free(b);
}

/* Closed, every call succeeds: what a program pays when all is well. */
void case_breaker(void)
{
    bench_report("breaker", bench_measure(1, breaker_round));
}

static void window_round(long n)
{
    rn_breaker *b = breaker_with(&(rn_breaker_config){.failure_ratio = 0.5});

    execute(b, n);
    rn_breaker_free(b);
}

static void time_window_round(long n)
{
    rn_breaker *b = breaker_with(
        &(rn_breaker_config){.failure_ratio = 0.5, .window = 10 * RN_SECOND});

    execute(b, n);
    rn_breaker_free(b);
}

/* The same with a window of the last 100 calls, and with one of the last 10 s. */
void case_breaker_window(void)
{
    bench_report("breaker_calls", bench_measure(1, window_round));
    bench_report("breaker_time", bench_measure(1, time_window_round));
}

static void open_round(long n)
{
    rn_breaker *b = breaker_with(&(rn_breaker_config){.open_for = RN_HOUR});
    rn_permit permit;

    for (int i = 0; i < 5; i++) {
        bench_check(rn_breaker_allow(b, &permit) == 0);
        rn_breaker_done(b, permit, -EIO);
    }
    for (long i = 0; i < n; i++)
        bench_check(rn_breaker_allow(b, &permit) == RN_EOPEN);
    rn_breaker_free(b);
}

/* Open: every call is rejected. */
void case_breaker_open(void)
{
    bench_report("breaker_open", bench_measure(1, open_round));
}

struct caller {
    rn_breaker *b;
    rn_wait_group *wg;
    long times;
};

static void call_often(void *arg)
{
    struct caller *c = arg;

    execute(c->b, c->times);
    rn_wait_group_done(c->wg);
}

static void callers_round(long n)
{
    rn_breaker *b = breaker_with(NULL);
    rn_wait_group wg = {0};

    rn_wait_group_add(&wg, CALLERS);
    for (int i = 0; i < CALLERS; i++)
        bench_check(rn_go_copy(call_often, &(struct caller){b, &wg, n / CALLERS}) == 0);
    bench_check(rn_wait_group_wait(NULL, &wg) == 0);
    rn_breaker_free(b);
}

/* Eight fibers share one breaker. */
void case_breaker_8(void)
{
    bench_report("breaker_8", bench_measure(CALLERS, callers_round));
}

/* ---- single flight ---- */

static int load(rn_ctx *ctx, void *arg, const void *key, size_t key_size, long *result)
{
    (void)ctx, (void)key, (void)key_size;
    *result = ++*(long *)arg;
    return 0;
}

typedef rn_single_flight(long) flight;

static void ask(rn_ctx *ctx, long n)
{
    long calls = 0, result = 0;
    flight sf;

    bench_check(rn_single_flight_new(&sf, load, &calls, NULL) == 0);
    for (long i = 0; i < n; i++)
        bench_check(rn_single_flight_do(ctx, sf, "a key", 5, &result) == 0);
    bench_check(calls == n && result == n);
    rn_single_flight_free(sf);
}

static void single_flight_round(long n)
{
    ask(NULL, n);
}

/* One caller, who never finds anybody to share with. */
void case_single_flight(void)
{
    bench_report("single_flight", bench_measure(1, single_flight_round));
}

static void single_flight_ctx_round(long n)
{
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);

    ask(ctx, n);
    rn_ctx_release(ctx);
}

/* The same for a caller who may leave: the work gets a fiber of its own. */
void case_single_flight_ctx(void)
{
    bench_report("single_flight_ctx", bench_measure(1, single_flight_ctx_round));
}
