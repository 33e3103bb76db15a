/*
 * What the tests of the rate limiter share.
 */
#ifndef RN_TESTS_KIT_LIMITERS_H
#define RN_TESTS_KIT_LIMITERS_H

#include "core.h"
#include "test.h"

#include <runnel/clock.h>
#include <runnel/limiter.h>

/* A clock that stands where the test puts it, and sleeps by moving on. */
struct hand {
    rn_clock clock;
    rn_time now;
};

static inline rn_time hand_now(void *arg)
{
    return ((struct hand *)arg)->now;
}

static inline int hand_sleep(rn_ctx *ctx, void *arg, rn_duration d)
{
    ((struct hand *)arg)->now += d;
    return rn_ctx_err(ctx);
}

static inline struct hand *hand(rn_time start)
{
    static struct hand h;

    h = (struct hand){{hand_now, hand_sleep, &h}, start};
    return &h;
}

static inline rn_limiter *limiter(const rn_limiter_config *config)
{
    rn_limiter *l = NULL;
    int err = rn_limiter_new(&l, config);

    if (err != 0)
        test_failed(__FILE__, __LINE__, "rn_limiter_new: %s", rn_error_detail());
    return l;
}

/* How many single tokens are allowed now. */
static inline int allowed(rn_limiter *l)
{
    int n = 0;

    while (rn_limiter_allow(l, 1) == 0)
        n++;
    return n;
}

static inline bool close_to(double a, double b)
{
    double difference = a > b ? a - b : b - a;

    return difference <= 1e-6 * (b < 0 ? 1 - b : 1 + b);
}

#endif
