/*
 * xorshift64* (Vigna 2014): fast, not for secrets. One state for each user; seeded from anything
 * but 0.
 */
#ifndef RN_BASE_RANDOM_H
#define RN_BASE_RANDOM_H

#include <stdint.h>

static inline uint64_t random_next(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * 0x2545f4914f6cdd1dull;
}

/* Uniform in 0..n-1 by multiplication (Lemire 2019, without the rejection: n is far below 2^32). */
static inline uint32_t random_below(uint64_t *state, uint32_t n)
{
    return (uint32_t)(((random_next(state) >> 32) * n) >> 32);
}

#endif
