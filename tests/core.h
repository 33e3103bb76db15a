/*
 * What the tests of the core share: sizes that the sanitizers can bear, and ways to know, without
 * sleeping, that somebody waits.
 */
#ifndef RN_TESTS_CORE_H
#define RN_TESTS_CORE_H

#include <runnel/chan.h>
#include <runnel/ctx.h>
#include <runnel/debug.h>
#include <runnel/error.h>
#include <runnel/fiber.h>
#include <runnel/select.h>
#include <runnel/time.h>

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#elif __has_feature(address_sanitizer)
#define UNDER_ASAN 1
#endif
#endif
#ifdef __SANITIZE_THREAD__
#define UNDER_TSAN 1
#endif
#ifdef __SANITIZE_ADDRESS__
#define UNDER_ASAN 1
#endif
#ifndef UNDER_TSAN
#define UNDER_TSAN 0
#endif
#ifndef UNDER_ASAN
#define UNDER_ASAN 0
#endif

#define FIBERS_SANITIZED_MAX 2000 /* TSan knows about 8,000 stacks; for others it takes long */
#define SHORTER 10

typedef rn_chan(int) int_chan;
typedef rn_chan(rn_time) time_chan;

/* How many times shorter a test is with TEST_SHORT set, when all of it is repeated often. */
static inline int shorter(void)
{
    return getenv("TEST_SHORT") != NULL ? SHORTER : 1;
}

/* How many fibers may live at once, at most wanted. */
static inline int fibers_at_once(int wanted)
{
    int most = UNDER_TSAN || UNDER_ASAN ? FIBERS_SANITIZED_MAX : INT_MAX;
    return (wanted < most ? wanted : most) / shorter();
}

/* How many rounds of a loop a sanitizer's slowness allows. */
static inline int rounds(int wanted)
{
    int by = (UNDER_TSAN || UNDER_ASAN ? SHORTER : 1) * shorter();
    return by == 1 ? wanted : wanted / by + 1;
}

/*
 * Returns when n fibers or threads wait on ch. Counting takes the channel's lock, for long when
 * many wait: so it counts more and more seldom, to let them in.
 */
static inline void await_waiters_untyped(struct rn_chan *ch, size_t n)
{
    for (int yields = 1; rn_chan_waiters(ch) < n; yields += yields < 4000 ? yields : 0)
        for (int i = 0; i < yields; i++)
            rn_yield();
}
#define await_waiters(ch, n) await_waiters_untyped(rn_chan_untyped(ch), (n))

/* Returns when *count has reached n. */
static inline void await_count(atomic_int *count, int n)
{
    while (atomic_load(count) < n)
        rn_yield();
}

static inline rn_stats stats_now(void)
{
    rn_stats stats;
    rn_stats_read(&stats);
    return stats;
}

/* Returns when no more than n fibers live. */
static inline void await_live(uint64_t n)
{
    while (stats_now().fibers_live > n)
        rn_yield();
}

/* A fiber for tests: ends ctx, once `await` has n waiters. */
struct canceller {
    rn_ctx *ctx;
    struct rn_chan *await;
    size_t waiters;
};

static inline void cancel_when_waiting(void *arg)
{
    struct canceller *c = arg;
    await_waiters_untyped(c->await, c->waiters);
    rn_ctx_cancel(c->ctx, 0);
}

#endif
