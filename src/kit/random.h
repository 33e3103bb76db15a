/*
 * Random numbers for jitter: splitmix64, whose state is one counter, so that any number of fibers
 * draw from it with one atomic addition, and a seed gives the same numbers again.
 */
#ifndef RUNNEL_KIT_RANDOM_H
#define RUNNEL_KIT_RANDOM_H

#include <runnel/time.h>

#include <stdatomic.h>
#include <stdint.h>

struct random {
    _Atomic(uint64_t) state;
};

/* seed 0: one that differs from object to object and from run to run. */
static inline void random_seed(struct random *r, uint64_t seed)
{
    uint64_t own = (uint64_t)(uintptr_t)r * UINT64_C(0xD1342543DE82EF95) + (uint64_t)rn_now();

    atomic_init(&r->state, seed != 0 ? seed : own);
}

/* From 0 up to, and without, 1. */
static inline double random_unit(struct random *r)
{
    uint64_t step = UINT64_C(0x9E3779B97F4A7C15);
    uint64_t x = atomic_fetch_add_explicit(&r->state, step, memory_order_relaxed) + step;

    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    x ^= x >> 31;
    return (double)(x >> 11) * 0x1p-53;
}

/* From 0 to d, both possible. */
static inline rn_duration random_up_to(struct random *r, rn_duration d)
{
    return (rn_duration)(random_unit(r) * (double)d);
}

/* d as a duration; what no duration can hold is RN_FOREVER. */
static inline rn_duration duration_of(double d)
{
    return d >= (double)RN_FOREVER ? RN_FOREVER : (rn_duration)d;
}

#endif
