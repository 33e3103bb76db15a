/*
 * rn_keyed_limiter - a rate limiter for each key: each client, user or address has its own.
 *
 *     rn_keyed_limiter *per_client;
 *
 *     err = rn_keyed_limiter_new(&per_client, &(rn_keyed_limiter_config){
 *         .per_second = 10, .burst = 20, .keys_max = 100000 });
 *     ...
 *     if (rn_keyed_limiter_allow(per_client, address, strlen(address), 1) != 0)
 *         return too_many_requests();
 *
 * A key is any bytes. All keys have the same rate and burst, and each a bucket of its own, as in
 * runnel/limiter.h.
 *
 * A key whose bucket is full again is as good as one that was never seen, and is forgotten as new
 * ones come. When keys_max keys are known and none of the longest unused ones is full again,
 * .when_full says what a new key gets:
 *
 *     RN_KEYS_FORGET   its bucket; the key that was longest unused is forgotten, and begins with a
 *                      full bucket should it come back (default)
 *     RN_KEYS_REFUSE   nothing: -ENOSPC, until one of the others is full again
 *
 * Lifetime
 * 1. A keyed limiter belongs to who made it, who frees it. Keys are copied.
 * 2. keys_max is shared out evenly among several tables, by the keys' hashes. So the bound is never
 *    exceeded, but may be met a little earlier; below 2,048 keys there is one table.
 *
 * At once  every call but free, from any number of fibers and threads.
 */
#ifndef RUNNEL_KEYED_LIMITER_H
#define RUNNEL_KEYED_LIMITER_H

#include <runnel/clock.h>
#include <runnel/ctx.h>
#include <runnel/error.h>
#include <runnel/limiter.h>
#include <stddef.h>
#include <stdint.h>

RN_BEGIN_DECLS

typedef struct rn_keyed_limiter rn_keyed_limiter;

#define RN_KEY_BYTES_MAX ((size_t)1 << 16)

/* What a new key gets when all places are taken by keys in use. */
typedef enum rn_keys_full { RN_KEYS_FORGET, RN_KEYS_REFUSE } rn_keys_full;

/* How to make a keyed limiter; zero is the default of each field. */
typedef struct rn_keyed_limiter_config {
    double per_second;      /* of each key: 0 to 1e12, or RN_RATE_INFINITE; default 0 */
    rn_duration every;      /* instead of per_second: a token comes back every so many ns */
    size_t burst;           /* tokens that a bucket holds: 1 to 2^40; default 1 */
    size_t keys_max;        /* keys known at once: 1 to 2^32; default 65,536 */
    rn_keys_full when_full; /* default: RN_KEYS_FORGET */
    const char *name;       /* shown in dumps and in errors; must outlive the limiter */
    /*
     * Called on the caller's fiber under no lock when n tokens were denied to a key by allow or
     * wait, with the time after which they might be had (RN_FOREVER: never).
     */
    void (*on_denied)(void *arg, const void *key, size_t size, size_t n, rn_duration retry_after);
    /* Likewise after a wait that was not over at once: how long it was to be, and wait's result. */
    void (*on_waited)(void *arg, const void *key, size_t size, size_t n, rn_duration waited,
                      int err);
    /* Likewise when a key was forgotten before its bucket was full again, for want of places. */
    void (*on_displaced)(void *arg, const void *key, size_t size);
    void *events_arg;
    const rn_clock *clock; /* default: the runtime's */
} rn_keyed_limiter_config;

/*
 * rn_keyed_limiter_new - make a limiter that knows no key.
 *
 * config NULL is all defaults: each key has one token, once.
 *
 * Caller   any thread or fiber.
 * Returns  0         *out is the limiter
 *          -EINVAL   a field is out of range, .every and .per_second are both given, or a bucket
 *                    would take more than 4 years to fill; rn_error_detail says which
 *          -ENOMEM   out of memory
 *          On every error *out is NULL, which rn_keyed_limiter_free takes.
 */
RN_API int rn_keyed_limiter_new(rn_keyed_limiter **out, const rn_keyed_limiter_config *config);

/*
 * rn_keyed_limiter_free - free the limiter and its keys. NULL is fine.
 *
 * Caller   any thread or fiber; no other call may be running.
 */
RN_API void rn_keyed_limiter_free(rn_keyed_limiter *k);

/*
 * rn_keyed_limiter_allow - take n tokens of a key if they are there.
 *
 * Caller   any thread or fiber.
 * Blocks   never; but for a moment, while another has the table of the key.
 * Returns  0           taken
 *          RN_ERATE    fewer are there; nothing was taken
 *          RN_EBURST   n is more than a bucket ever holds; nothing was taken
 *          -ENOSPC     the key is new and there is no place for it (RN_KEYS_REFUSE)
 *          -EINVAL     size is beyond RN_KEY_BYTES_MAX
 *          -ENOMEM     the key is new and there is no memory for it
 * Cost     one lock and one reading of the clock; an allocation for a new key.
 */
RN_API int rn_keyed_limiter_allow(rn_keyed_limiter *k, const void *key, size_t size, size_t n);

/*
 * rn_keyed_limiter_wait - take n tokens of a key, waiting for them.
 *
 * As rn_limiter_wait.
 *
 * Caller   any thread or fiber.
 * Blocks   the fiber until the tokens are there, or ctx ends.
 * Returns  0            taken
 *          RN_ERATE     they would come after ctx's deadline, or never; nothing was taken
 *          RN_EBURST    n is more than a bucket ever holds; nothing was taken
 *          -ENOSPC      the key is new and there is no place for it (RN_KEYS_REFUSE)
 *          -EINVAL      size is beyond RN_KEY_BYTES_MAX
 *          -ENOMEM      the key is new and there is no memory for it
 *          -ECANCELED   ctx was cancelled
 *          -ETIMEDOUT   ctx's deadline passed
 *          When ctx ended, what nobody who came later counts on was given back.
 */
RN_API int rn_keyed_limiter_wait(rn_ctx *ctx, rn_keyed_limiter *k, const void *key, size_t size,
                                 size_t n);

/*
 * rn_keyed_limiter_delay - how long a wait for n tokens of a key would take now. Takes nothing.
 *
 * Caller   any thread or fiber.
 * Returns  nanoseconds; 0: they are there, as for a key that is not known; RN_FOREVER: they will
 *          never be.
 */
RN_API rn_duration rn_keyed_limiter_delay(rn_keyed_limiter *k, const void *key, size_t size,
                                          size_t n);

/*
 * rn_keyed_limiter_forget - forget a key: should it come back, its bucket is full.
 *
 * Caller   any thread or fiber.
 * Returns  0         forgotten
 *          -ENOENT   it was not known
 */
RN_API int rn_keyed_limiter_forget(rn_keyed_limiter *k, const void *key, size_t size);

/*
 * rn_keyed_limiter_set_rate, rn_keyed_limiter_set_burst - change what holds for every key.
 *
 * The tokens that are there stay, as far as they fit; waits keep their times.
 *
 * Caller   any thread or fiber.
 * Returns  0         set
 *          -EINVAL   out of range; rn_error_detail says what is allowed. Nothing has changed.
 * Cost     all keys are gone through, table by table.
 */
RN_API int rn_keyed_limiter_set_rate(rn_keyed_limiter *k, double per_second);
RN_API int rn_keyed_limiter_set_burst(rn_keyed_limiter *k, size_t burst);

/* Counters of a keyed limiter. */
typedef struct rn_keyed_limiter_stats {
    double per_second;  /* gauge */
    uint64_t burst;     /* gauge */
    uint64_t keys;      /* gauge: known */
    uint64_t allowed;   /* calls of allow and wait that took tokens */
    uint64_t denied;    /* calls that returned RN_ERATE */
    uint64_t refused;   /* calls that returned -ENOSPC */
    uint64_t forgotten; /* keys that were forgotten when their buckets were full again */
    uint64_t displaced; /* keys that were forgotten before that, for want of places */
    uint64_t waits;     /* calls of wait that had to */
    uint64_t gave_up;   /* of these, ended by their contexts */
} rn_keyed_limiter_stats;

/*
 * rn_keyed_limiter_stats_read - fill in *out; the tables are read one after the other.
 *
 * Caller   any thread or fiber.
 */
RN_API void rn_keyed_limiter_stats_read(rn_keyed_limiter *k, rn_keyed_limiter_stats *out);

RN_END_DECLS

#endif
