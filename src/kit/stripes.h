/*
 * Striped counters: one number kept in several cache lines, so that who counts at the same time
 * rarely shares one.
 *
 * The stripe is chosen by the caller's stack, which a fiber or thread has to itself; nothing breaks
 * when two meet. Reading adds all up.
 */
#ifndef RUNNEL_KIT_STRIPES_H
#define RUNNEL_KIT_STRIPES_H

#include <stdatomic.h>
#include <stdint.h>

#define STRIPE_COUNT 16 /* a power of two, for the shift below */
#define STRIPE_BYTES 64

struct stripe {
    _Alignas(STRIPE_BYTES) _Atomic(uint64_t) n;
};

struct stripes {
    struct stripe each[STRIPE_COUNT];
};

static inline void stripes_count(struct stripes *s)
{
    uint64_t page = (uint64_t)(uintptr_t)__builtin_frame_address(0) >> 12;
    uint64_t spread = page * UINT64_C(0x9E3779B97F4A7C15);

    /* Relaxed: a counter orders nothing. */
    atomic_fetch_add_explicit(&s->each[spread >> 60].n, 1, memory_order_relaxed);
}

static inline uint64_t stripes_sum(const struct stripes *s)
{
    uint64_t sum = 0;

    for (int i = 0; i < STRIPE_COUNT; i++)
        sum += atomic_load_explicit(&s->each[i].n, memory_order_relaxed);
    return sum;
}

#endif
