/*
 * Sleeping and timers. The twin of go/timers.go.
 */
#include "common.h"

#include <runnel.h>
#include <stdlib.h>

enum { MANY = 1000000, FEWER = 100000 };

static const uint64_t SLEEP_MAX_NS = 1000000000;

/* The i-th sleep, spread evenly over 0 to 1000 ms; the Go side computes the same numbers. */
static rn_duration sleep_ns(uint64_t i)
{
    uint64_t x = (i + 1) * 0x9e3779b97f4a7c15u;

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    x ^= x >> 31;
    return (rn_duration)(x % SLEEP_MAX_NS);
}

struct sleeper {
    rn_wait_group *wg;
    rn_duration d;
    rn_duration *late; /* where to leave how much too late it woke, or NULL */
};

static void sleep_only(void *arg)
{
    struct sleeper *s = arg;

    bench_check(rn_sleep(NULL, s->d) == 0);
    rn_wait_group_done(s->wg);
}

void case_sleepers_1m(void)
{
    rn_wait_group wg = {0};
    int64_t start = bench_now();

    rn_wait_group_add(&wg, MANY);
    for (int i = 0; i < MANY; i++) {
        struct sleeper s = {&wg, sleep_ns((uint64_t)i), NULL};
        bench_check(rn_go_copy(sleep_only, &s) == 0);
    }
    bench_check(rn_wait_group_wait(NULL, &wg) == 0);
    bench_report("sleepers_1m", (double)(bench_now() - start) / 1e6);
}

static void sleep_measured(void *arg)
{
    struct sleeper *s = arg;
    int64_t start = bench_now();

    bench_check(rn_sleep(NULL, s->d) == 0);
    *s->late = bench_now() - start - s->d;
    rn_wait_group_done(s->wg);
}

static int compare(const void *a, const void *b)
{
    rn_duration x = *(const rn_duration *)a, y = *(const rn_duration *)b;

    return (x > y) - (x < y);
}

/* How much later than asked each of 100,000 sleepers wakes, by its own clock. */
void case_sleepers_100k(void)
{
    rn_duration *late = calloc(FEWER, sizeof *late);
    rn_wait_group wg = {0};

    bench_check(late != NULL);
    rn_wait_group_add(&wg, FEWER);
    for (int i = 0; i < FEWER; i++) {
        struct sleeper s = {&wg, sleep_ns((uint64_t)i), &late[i]};
        bench_check(rn_go_copy(sleep_measured, &s) == 0);
    }
    bench_check(rn_wait_group_wait(NULL, &wg) == 0);
    qsort(late, FEWER, sizeof *late, compare);
    bench_report("sleepers_100k_p99", (double)late[FEWER / 100 * 99] / 1e6);
    free(late);
}

static void new_stop_round(long n)
{
    for (long i = 0; i < n; i++) {
        rn_timer *t = rn_timer_new(RN_HOUR);

        bench_check(t != NULL);
        bench_check(rn_timer_stop(t) == 1);
        rn_timer_free(t);
    }
}

static rn_timer *shared; /* the timer of reset_round */

static void reset_round(long n)
{
    for (long i = 0; i < n; i++)
        bench_check(rn_timer_reset(shared, RN_HOUR) == 1);
}

/* What most timeouts go through: armed and disarmed, or moved, and never fired. */
void case_timer(void)
{
    bench_report("timer_new_stop", bench_measure(1, new_stop_round));
    shared = rn_timer_new(RN_HOUR);
    bench_check(shared != NULL);
    bench_report("timer_reset", bench_measure(1, reset_round));
    rn_timer_free(shared);
}
