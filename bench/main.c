/*
 * runnel-bench - runs one benchmark case on a runtime of its own and prints its results.
 *
 * Usage: runnel-bench CASE, or runnel-bench --version. The number of workers comes from
 * RUNNEL_WORKERS, as in any program. run.sh repeats the processes, sets them beside the Go twins
 * and writes the table.
 */
#include "common.h"

#include <runnel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* One timed round lasts about this long. */
static const int64_t ROUND_NS = 100 * RN_MILLISECOND;

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
    {"switch", case_switch},
    {"spawn", case_spawn},
    {"pingpong", case_pingpong},
    {"buffered_1to1", case_buffered_1to1},
    {"buffered_4to4", case_buffered_4to4},
    {"select4", case_select4},
    {"mutex", case_mutex},
    {"mutex_8", case_mutex_8},
    {"pipeline", case_pipeline},
    {"pipeline_kit", case_pipeline_kit},
    {"pipeline_fibers", case_pipeline_fibers},
    {"fan_in", case_fan_in},
    {"pool", case_pool},
    {"pool_kit", case_pool_kit},
    {"breaker", case_breaker},
    {"breaker_window", case_breaker_window},
    {"breaker_open", case_breaker_open},
    {"breaker_8", case_breaker_8},
    {"single_flight", case_single_flight},
    {"single_flight_ctx", case_single_flight_ctx},
    {"context", case_context},
    {"group", case_group},
    {"select_default", case_select_default},
    {"pubsub", case_pubsub},
    {"skynet", case_skynet},
    {"parked", case_parked},
    {"sleepers_1m", case_sleepers_1m},
    {"sleepers_100k", case_sleepers_100k},
    {"timer", case_timer},
    {"once", case_once},
    {"object_pool", case_object_pool},
    {"map_load", case_map_load},
    {"map_mixed", case_map_mixed},
    {"map_store", case_map_store},
    {"map_new", case_map_new},
    {"rwmutex", case_rwmutex},
    {"rwmutex_2", case_rwmutex_2},
    {"semaphore", case_semaphore},
    {"semaphore_8", case_semaphore_8},
    {"limiter", case_limiter},
    {"limiter_keyed", case_limiter_keyed},
    {"tcp_echo", case_tcp_echo},
};

static const size_t case_count = sizeof(cases) / sizeof(cases[0]);

int64_t bench_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * RN_SECOND + ts.tv_nsec;
}

static int64_t time_round(void (*round)(long n), long n)
{
    int64_t start = bench_now();

    round(n);
    return bench_now() - start;
}

/* How many operations, a multiple of unit, last about ROUND_NS. */
static long calibrate(long unit, void (*round)(long n))
{
    for (long n = unit;; n *= 2) {
        int64_t elapsed = time_round(round, n);
        if (elapsed >= ROUND_NS / 8) {
            long wanted = (long)((double)n * (double)ROUND_NS / (double)elapsed);
            return (wanted + unit - 1) / unit * unit;
        }
    }
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double bench_median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, compare);
    return values[n / 2];
}

double bench_measure(long unit, void (*round)(long n))
{
    double each[BENCH_ROUNDS];
    long n = calibrate(unit, round);

    for (int i = 0; i < BENCH_ROUNDS; i++)
        each[i] = (double)time_round(round, n) / (double)n;
    return bench_median(each, BENCH_ROUNDS);
}

void bench_report(const char *metric, double value)
{
    printf("%s %.3f\n", metric, value);
}

void bench_fail(const char *what, const char *file, int line)
{
    fprintf(stderr, "runnel-bench: %s:%d: not so: %s\n", file, line, what);
    exit(1);
}

/* One line for the head of the table: a figure means nothing without its compiler. */
static int print_version(void)
{
#ifdef __clang__
    printf("runnel %s, %s\n", rn_version(), __VERSION__);
#else
    printf("runnel %s, gcc %s\n", rn_version(), __VERSION__);
#endif
    return 0;
}

static int usage(void)
{
    fputs("usage: runnel-bench CASE\ncases:", stderr);
    for (size_t i = 0; i < case_count; i++)
        fprintf(stderr, " %s", cases[i].name);
    fputc('\n', stderr);
    return 2;
}

static int app(int argc, char **argv)
{
    for (size_t i = 0; argc == 2 && i < case_count; i++) {
        if (strcmp(cases[i].name, argv[1]) == 0) {
            cases[i].run();
            return 0;
        }
    }
    return usage();
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return print_version();
    return rn_run(app, argc, argv);
}
