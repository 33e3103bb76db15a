/*
 * A clock for tests that stands where it is put; sleeping on it moves it. Any fiber may use it.
 */
#ifndef RN_TESTS_KIT_MANUAL_CLOCK_H
#define RN_TESTS_KIT_MANUAL_CLOCK_H

#include <runnel/clock.h>
#include <stdatomic.h>

struct manual {
    _Atomic(rn_time) now;
    atomic_int reads;
};

static rn_time manual_now(void *arg)
{
    struct manual *m = arg;

    m->reads++;
    return m->now;
}

static int manual_sleep(rn_ctx *ctx, void *arg, rn_duration d)
{
    ((struct manual *)arg)->now += d;
    return rn_ctx_err(ctx);
}

/* Lives as long as the block that it is written in. */
#define MANUAL(m) (&(rn_clock){.now = manual_now, .sleep = manual_sleep, .arg = (m)})

#endif
