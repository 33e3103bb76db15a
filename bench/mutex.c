/*
 * Mutexes. The twin of go/mutex.go.
 */
#include "common.h"

#include <runnel.h>

enum { CONTENDERS = 8 };

struct guarded {
    rn_mutex mutex;
    long count; /* guarded by mutex */
};

struct contender {
    struct guarded *guarded;
    rn_wait_group *wg;
    long times;
};

static void add(struct guarded *g, long times)
{
    for (long i = 0; i < times; i++) {
        rn_mutex_lock(&g->mutex);
        g->count++;
        rn_mutex_unlock(&g->mutex);
    }
}

static void mutex_round(long n)
{
    struct guarded g = {0};

    add(&g, n);
    bench_check(g.count == n);
}

/* One fiber locks and unlocks. */
void case_mutex(void)
{
    bench_report("mutex", bench_measure(1, mutex_round));
}

static void contend(void *arg)
{
    struct contender *c = arg;

    add(c->guarded, c->times);
    rn_wait_group_done(c->wg);
}

static void contended_round(long n)
{
    struct guarded g = {0};
    rn_wait_group wg = {0};

    rn_wait_group_add(&wg, CONTENDERS);
    for (int i = 0; i < CONTENDERS; i++)
        bench_check(rn_go_copy(contend, &(struct contender){&g, &wg, n / CONTENDERS}) == 0);
    bench_check(rn_wait_group_wait(NULL, &wg) == 0);
    bench_check(g.count == n);
}

/* Eight fibers lock and unlock the same mutex. */
void case_mutex_8(void)
{
    bench_report("mutex_8", bench_measure(CONTENDERS, contended_round));
}
