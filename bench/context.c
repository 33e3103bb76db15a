/*
 * Contexts, groups of tasks, and selects that do not wait. The twin of go/context.go.
 */
#include "common.h"

#include <runnel.h>
#include <stdatomic.h>

enum { GROUP_TASKS = 100 };

static void with_cancel_round(long n)
{
    for (long i = 0; i < n; i++) {
        rn_ctx *ctx = rn_ctx_with_cancel(NULL);
        bench_check(ctx != NULL);
        rn_ctx_release(ctx); /* cancels it first */
    }
}

static void with_timeout_round(long n)
{
    for (long i = 0; i < n; i++) {
        rn_ctx *ctx = rn_ctx_with_timeout(NULL, RN_HOUR);
        bench_check(ctx != NULL);
        rn_ctx_release(ctx);
    }
}

/* Making a context and cancelling it. */
void case_context(void)
{
    bench_report("with_cancel", bench_measure(1, with_cancel_round));
    bench_report("with_timeout", bench_measure(1, with_timeout_round));
}

static int count_task(rn_ctx *ctx, void *arg)
{
    (void)ctx;
    atomic_fetch_add_explicit((atomic_long *)arg, 1, memory_order_relaxed);
    return 0;
}

static void group_round(long n)
{
    atomic_long count = 0;

    for (long i = 0; i < n; i++) {
        rn_group *g = rn_group_new(NULL);
        for (int t = 0; t < GROUP_TASKS; t++)
            bench_check(rn_group_go(g, count_task, &count) == 0);
        bench_check(rn_group_wait(g) == 0);
    }
    bench_check(atomic_load(&count) == n * GROUP_TASKS);
}

/* A group of a hundred tasks that each count one. */
void case_group(void)
{
    bench_report("group", bench_measure(1, group_round));
}

static void select_default_1_round(long n)
{
    rn_chan(long) a = rn_chan_make(long, 1);
    long v, ready = 0;

    bench_check(a != NULL);
    for (long i = 0; i < n; i++)
        ready += rn_select(NULL, rn_on_recv(a, &v), rn_default) != 1;
    bench_check(ready == 0);
    rn_chan_release(a);
}

static void select_default_2_round(long n)
{
    rn_chan(long) a = rn_chan_make(long, 1), b = rn_chan_make(long, 1);
    long v, ready = 0;

    bench_check(a != NULL && b != NULL);
    for (long i = 0; i < n; i++)
        ready += rn_select(NULL, rn_on_recv(a, &v), rn_on_recv(b, &v), rn_default) != 2;
    bench_check(ready == 0);
    rn_chan_release(a);
    rn_chan_release(b);
}

/* A select that takes its default, because no channel is ready. */
void case_select_default(void)
{
    bench_report("select_default_1", bench_measure(1, select_default_1_round));
    bench_report("select_default_2", bench_measure(1, select_default_2_round));
}
