/*
 * What the benchmark cases share: the clock, the repetition, the report.
 *
 * A case runs as the main fiber of a runtime of its own, in a process of its own, and reports one
 * line "metric value" for each result. It does the same work as its Go twin (go/, file by file),
 * through the public headers only.
 *
 * Invariant: a round returns only when every fiber that it started is done with the round's
 * memory.
 */
#ifndef RUNNEL_BENCH_COMMON_H
#define RUNNEL_BENCH_COMMON_H

#include <stdint.h>

enum {
    BENCH_BUFFER_SLOTS = 128, /* capacity of every buffered channel */
    BENCH_ROUNDS = 5          /* timed rounds in a process; the median counts */
};

/* The cases; each is listed in main.c. */
void case_switch(void);
void case_spawn(void);
void case_pingpong(void);
void case_buffered_1to1(void);
void case_buffered_4to4(void);
void case_select4(void);
void case_mutex(void);
void case_mutex_8(void);
void case_pipeline(void);
void case_pipeline_kit(void);
void case_pipeline_fibers(void);
void case_fan_in(void);
void case_pool(void);
void case_pool_kit(void);
void case_breaker(void);
void case_breaker_window(void);
void case_breaker_open(void);
void case_breaker_8(void);
void case_single_flight(void);
void case_single_flight_ctx(void);
void case_context(void);
void case_group(void);
void case_select_default(void);
void case_pubsub(void);
void case_skynet(void);
void case_parked(void);
void case_sleepers_1m(void);
void case_sleepers_100k(void);
void case_timer(void);
void case_once(void);
void case_object_pool(void);
void case_map_load(void);
void case_map_mixed(void);
void case_map_store(void);
void case_map_new(void);
void case_rwmutex(void);
void case_rwmutex_2(void);
void case_semaphore(void);
void case_semaphore_8(void);
void case_limiter(void);
void case_limiter_keyed(void);
void case_tcp_echo(void);

/* The monotonic clock, in nanoseconds: libc's, not the library's, which is what is measured. */
int64_t bench_now(void);

/*
 * The nanoseconds per operation of round, which does n operations, a multiple of unit. The search
 * for a suitable n is the warm-up.
 */
double bench_measure(long unit, void (*round)(long n));

/* The middle one of n values; sorts them. */
double bench_median(double *values, int n);

void bench_report(const char *metric, double value);

/* Ends the process when a benchmark did not do the work that it claims to time. */
#define bench_check(ok) ((ok) ? (void)0 : bench_fail(#ok, __FILE__, __LINE__))
__attribute__((noreturn, cold)) void bench_fail(const char *what, const char *file, int line);

#endif
