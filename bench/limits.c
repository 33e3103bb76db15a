/*
 * Semaphores and rate limiters. The twin of go/limits.go.
 */
#include "common.h"

#include <runnel.h>

enum { UNITS = 10, HOLDERS = 8, HELD_AT_ONCE = 4, CLIENTS = 1000 };

static void hold(rn_semaphore *s, long times)
{
    for (long i = 0; i < times; i++) {
        bench_check(rn_semaphore_acquire(NULL, s, 1) == 0);
        rn_semaphore_release(s, 1);
    }
}

static void semaphore_round(long n)
{
    rn_semaphore *s;

    bench_check(rn_semaphore_new(&s, UNITS) == 0);
    hold(s, n);
    bench_check(rn_semaphore_available(s) == UNITS);
    rn_semaphore_free(s);
}

/* One fiber acquires and releases a unit. */
void case_semaphore(void)
{
    bench_report("semaphore", bench_measure(1, semaphore_round));
}

struct holder {
    rn_semaphore *s;
    rn_wait_group *wg;
    long times;
};

static void hold_and_yield(void *arg)
{
    struct holder *h = arg;

    for (long i = 0; i < h->times; i++) {
        bench_check(rn_semaphore_acquire(NULL, h->s, 1) == 0);
        rn_yield();
        rn_semaphore_release(h->s, 1);
    }
    rn_wait_group_done(h->wg);
}

static void contended_round(long n)
{
    rn_semaphore *s;
    rn_wait_group wg = {0};

    bench_check(rn_semaphore_new(&s, HELD_AT_ONCE) == 0);
    rn_wait_group_add(&wg, HOLDERS);
    for (int i = 0; i < HOLDERS; i++)
        bench_check(rn_go_copy(hold_and_yield, &(struct holder){s, &wg, n / HOLDERS}) == 0);
    bench_check(rn_wait_group_wait(NULL, &wg) == 0);
    bench_check(rn_semaphore_available(s) == HELD_AT_ONCE);
    rn_semaphore_free(s);
}

/* Eight fibers share four units and yield while they hold one, so that most have to wait. */
void case_semaphore_8(void)
{
    bench_report("semaphore_8", bench_measure(HOLDERS, contended_round));
}

static void limiter_round(long n)
{
    rn_limiter *l;
    long allowed = 0;

    bench_check(rn_limiter_new(&l, &(rn_limiter_config){.per_second = 1e9, .burst = 1000000000}) ==
                0);
    for (long i = 0; i < n; i++)
        allowed += rn_limiter_allow(l, 1) == 0;
    bench_check(allowed == n);
    rn_limiter_free(l);
}

/* One fiber takes a token that is there. */
void case_limiter(void)
{
    bench_report("limiter", bench_measure(1, limiter_round));
}

static void keyed_round(long n)
{
    rn_keyed_limiter *k;
    long allowed = 0;

    bench_check(rn_keyed_limiter_new(
                    &k, &(rn_keyed_limiter_config){.per_second = 1e9, .burst = 1000000000}) == 0);
    for (long i = 0; i < n; i++) {
        uint64_t client[2] = {(uint64_t)i % CLIENTS, 0};
        allowed += rn_keyed_limiter_allow(k, client, sizeof client, 1) == 0;
    }
    bench_check(allowed == n);
    rn_keyed_limiter_free(k);
}

/* One fiber takes a token of one of a thousand clients, each known by 16 bytes as an address is. */
void case_limiter_keyed(void)
{
    bench_report("limiter_keyed", bench_measure(1, keyed_round));
}
