/*
 * Switching and starting. The twin of go/fiber.go.
 */
#include "common.h"

#include <runnel.h>

struct yielder {
    rn_wait_group *wg;
    long yields;
};

static void yield_often(void *arg)
{
    struct yielder *y = arg;

    for (long i = 0; i < y->yields; i++)
        rn_yield();
    rn_wait_group_done(y->wg);
}

static void switch_round(long n)
{
    rn_wait_group wg = {0};

    rn_wait_group_add(&wg, 2);
    for (int i = 0; i < 2; i++)
        bench_check(rn_go_copy(yield_often, &(struct yielder){&wg, n / 2}) == 0);
    bench_check(rn_wait_group_wait(NULL, &wg) == 0);
}

/* Two fibers that only yield. */
void case_switch(void)
{
    bench_report("switch", bench_measure(2, switch_round));
}

enum { SPAWN_BATCH = 1000 };

static void end_at_once(void *arg)
{
    rn_wait_group_done(arg);
}

static void spawn_round(long n)
{
    for (long left = n; left > 0; left -= SPAWN_BATCH) {
        rn_wait_group wg = {0};

        rn_wait_group_add(&wg, SPAWN_BATCH);
        for (int i = 0; i < SPAWN_BATCH; i++)
            bench_check(rn_go(end_at_once, &wg) == 0);
        bench_check(rn_wait_group_wait(NULL, &wg) == 0);
    }
}

/* Starts a batch of fibers that end at once, and waits for them. */
void case_spawn(void)
{
    bench_report("spawn", bench_measure(SPAWN_BATCH, spawn_round));
}
