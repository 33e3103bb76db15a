/*
 * What the tests of the breaker share: making one, calling through it, its counters.
 */
#ifndef RN_TESTS_KIT_BREAKERS_H
#define RN_TESTS_KIT_BREAKERS_H

#include "test.h"

#include <runnel/breaker.h>

static inline rn_breaker *breaker_with(const rn_breaker_config *config)
{
    rn_breaker *b = NULL;

    EXPECT_EQ(rn_breaker_new(&b, config), 0);
    return b;
}

/* One call with this result; what allow said. */
static inline int call(rn_breaker *b, int result)
{
    rn_permit permit;
    int err = rn_breaker_allow(b, &permit);

    if (err == 0)
        rn_breaker_done(b, permit, result);
    return err;
}

static inline void calls(rn_breaker *b, int n, int result)
{
    for (int i = 0; i < n; i++)
        EXPECT_EQ(call(b, result), 0);
}

static inline rn_breaker_stats stats_of(rn_breaker *b)
{
    rn_breaker_stats stats;

    rn_breaker_stats_read(b, &stats);
    return stats;
}

#define EXPECT_STATE(b, state) EXPECT_EQ(rn_breaker_state_now(b), state)

#endif
