/*
 * Single flight: a hash table of the calls that run, in shards, each under a mutex of its own.
 *
 * A flight is one call of the function. Invariants:
 *   - It is in its shard's table from its start to its end. Who asks finds it there unless it is
 *     closed: forgotten, or abandoned by all.
 *   - claims counts the callers that have neither taken the result nor left. Until the flight has
 *     ended it changes under the shard's lock, and grows only while the flight is not closed; from
 *     then on it only falls, without the lock. Who brings it to 0 disposes of the result; the
 *     flight itself does, if it is 0 at the end.
 *   - refs counts the claims and whoever runs the function: the memory's.
 *   - done is a wait group that the end of the flight brings to 0.
 *
 * Where the first caller has a context the function runs on a fiber of its own, since that caller
 * may leave; otherwise on the caller's.
 *
 * Rejected: a context of the first caller for the function (its values would have to outlive it);
 * a function for each do, as in Go (its argument is on the stack of a caller that may leave).
 *
 * Compiled with the public headers only.
 */
#include <runnel/debug.h>
#include <runnel/fiber.h>
#include <runnel/single_flight.h>
#include <runnel/wait_group.h>

#include "random.h"
#include "mutex_class.h"
#include "stack_size.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHARDS 16 /* a power of two */
#define BUCKETS_FIRST 8
#define ALIGNMENT 16 /* of results */

struct flight {
    struct flight *next; /* in its bucket; under the shard's lock, as all down to ended */
    uint64_t hash;
    bool closed; /* nobody may join */
    bool ended;
    _Atomic(size_t) claims;
    _Atomic(size_t) refs;
    _Atomic(uint64_t) runner; /* who runs the function; 0 before */
    struct rn_single_flight *owner;
    rn_ctx *ctx;        /* NULL: the owner's */
    rn_wait_group done; /* the rest is written by the runner, before */
    int err;
    size_t key_size;
    char *key; /* behind the result */
    _Alignas(ALIGNMENT) char result[];
};

struct shard {
    _Alignas(64) MUTEX(lock, single_flight_lock); /* guards the rest; no callback runs under it */
    struct flight **buckets;
    size_t room; /* buckets, a power of two */
    size_t count;
    /* Written under the lock, read without. */
    _Atomic(uint64_t) started, shared, left, abandoned, failed, forgotten, ended;
};

struct rn_single_flight {
    rn_single_flight_fn *fn;
    void *arg;
    rn_single_flight_config config;
    size_t result_size;
    uint64_t seed;
    rn_ctx *ctx;        /* parent of all flights' */
    rn_wait_group live; /* fibers */
    rn_exhibit exhibit;
    struct shard shards[SHARDS];
};

/* ---- keys ---- */

/* Multiplies to twice the width and folds: each bit of both depends on all. */
static uint64_t mix(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash_of(const struct rn_single_flight *sf, const void *key, size_t size)
{
    const char *at = key;
    uint64_t hash = sf->seed ^ size, word;

    for (; size >= sizeof word; at += sizeof word, size -= sizeof word) {
        memcpy(&word, at, sizeof word);
        hash = mix(hash ^ word, UINT64_C(0x9E3779B97F4A7C15));
    }
    word = 0;
    memcpy(&word, at, size);
    return mix(hash ^ word, UINT64_C(0xD1342543DE82EF95));
}

static struct shard *shard_of(struct rn_single_flight *sf, uint64_t hash)
{
    return &sf->shards[hash >> 60 & (SHARDS - 1)];
}

/* Who is calling: the fiber's number, or an address of the plain thread. */
static uint64_t self(void)
{
    static _Thread_local char thread;
    uint64_t fiber = rn_fiber_id();

    return fiber != 0 ? fiber : (uint64_t)(uintptr_t)&thread;
}

/* ---- the table ---- */

static struct flight **bucket_locked(struct shard *s, uint64_t hash)
{
    return &s->buckets[hash & (s->room - 1)];
}

static struct flight *find_locked(struct shard *s, uint64_t hash, const void *key, size_t key_size)
{
    struct flight *f = *bucket_locked(s, hash);

    while (f != NULL && !(f->hash == hash && !f->closed && f->key_size == key_size &&
                          memcmp(f->key, key, key_size) == 0))
        f = f->next;
    return f;
}

/* Doubles the buckets; without memory they stay. */
static void grow_locked(struct shard *s)
{
    struct flight **old = s->buckets, **buckets = calloc(s->room * 2, sizeof(struct flight *));
    size_t room = s->room;

    if (buckets == NULL)
        return;
    s->buckets = buckets;
    s->room *= 2;
    for (size_t i = 0; i < room; i++) {
        for (struct flight *f = old[i], *next; f != NULL; f = next) {
            struct flight **bucket = bucket_locked(s, f->hash);
            next = f->next;
            f->next = *bucket;
            *bucket = f;
        }
    }
    free(old);
}

static void insert_locked(struct shard *s, struct flight *f)
{
    struct flight **bucket;

    if (++s->count > s->room)
        grow_locked(s);
    bucket = bucket_locked(s, f->hash);
    f->next = *bucket;
    *bucket = f;
}

static void remove_locked(struct shard *s, struct flight *f)
{
    struct flight **at = bucket_locked(s, f->hash);

    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    s->count--;
}

/* A counter that is written under the lock only. */
static void count_locked(_Atomic(uint64_t) *counter)
{
    uint64_t n = atomic_load_explicit(counter, memory_order_relaxed);

    atomic_store_explicit(counter, n + 1, memory_order_relaxed);
}

/* ---- flights ---- */

static void unref(struct flight *f)
{
    if (atomic_fetch_sub(&f->refs, 1) != 1)
        return;
    rn_ctx_drop(f->ctx);
    free(f);
}

static void dispose(struct flight *f)
{
    const rn_single_flight_config *c = &f->owner->config;

    if (f->err == 0 && c->drop != NULL)
        c->drop(f->result);
}

/* One claim, made already, and the runner's reference. */
static struct flight *flight_make(struct rn_single_flight *sf, rn_ctx *ctx, uint64_t hash,
                                  const void *key, size_t key_size)
{
    size_t fixed = sizeof(struct flight) + sf->result_size;
    struct flight *f = key_size > PTRDIFF_MAX - fixed ? NULL : malloc(fixed + key_size);

    if (f == NULL)
        return NULL;
    memset(f, 0, fixed); /* not by calloc, which in glibc does without the thread's cache */
    f->hash = hash;
    f->owner = sf;
    f->key_size = key_size;
    f->key = f->result + sf->result_size;
    memcpy(f->key, key, key_size);
    atomic_init(&f->claims, 1);
    atomic_init(&f->refs, 2);
    rn_wait_group_add(&f->done, 1);
    if (ctx == NULL) {
        atomic_init(&f->runner, self());
        return f;
    }
    f->ctx = rn_ctx_with_cancel(sf->ctx);
    if (f->ctx == NULL) {
        free(f);
        return NULL;
    }
    return f;
}

/* The end of a flight; the runner's reference goes. */
static void flight_end(struct flight *f, int err)
{
    struct rn_single_flight *sf = f->owner;
    struct shard *s = shard_of(sf, f->hash);
    size_t waiting;

    f->err = err;
    rn_mutex_lock(&s->lock);
    remove_locked(s, f);
    f->ended = true;
    waiting = atomic_load(&f->claims);
    count_locked(&s->ended);
    if (err != 0)
        count_locked(&s->failed);
    rn_mutex_unlock(&s->lock);
    if (f->ctx != NULL)
        rn_ctx_cancel(f->ctx, 0);
    if (sf->config.on_end != NULL)
        sf->config.on_end(sf->config.events_arg, f->key, f->key_size, err, waiting);
    if (waiting == 0)
        dispose(f);
    rn_wait_group_done(&f->done);
    unref(f);
}

static void flight_run(struct flight *f)
{
    struct rn_single_flight *sf = f->owner;

    if (sf->config.on_begin != NULL)
        sf->config.on_begin(sf->config.events_arg, f->key, f->key_size);
    flight_end(f,
               sf->fn(f->ctx != NULL ? f->ctx : sf->ctx, sf->arg, f->key, f->key_size, f->result));
}

static void run_on_fiber(void *arg)
{
    struct flight *f = arg;
    struct rn_single_flight *sf = f->owner;

    /* Relaxed: only this fiber has to find its own number. */
    atomic_store_explicit(&f->runner, self(), memory_order_relaxed);
    flight_run(f);
    rn_wait_group_done(&sf->live);
}

/* The fiber does not live in the flight's context: to end that would cost a fence each time. */
static void flight_start(struct flight *f)
{
    struct rn_single_flight *sf = f->owner;
    const rn_go_options opt = {.name = sf->config.name, .stack_size = sf->config.stack_size};
    int err;

    rn_wait_group_add(&sf->live, 1);
    err = rn_go_with(&opt, run_on_fiber, f);
    if (err == 0)
        return;
    flight_end(f, err);
    rn_wait_group_done(&sf->live);
}

/* ---- asking ---- */

/* The claim goes, the result has gone to the caller or not. */
static void give_claim_back(struct flight *f)
{
    if (atomic_fetch_sub(&f->claims, 1) == 1)
        dispose(f);
}

/* Takes the result of an ended flight. The claim and its reference go. */
static int take(struct flight *f, void *result)
{
    const struct rn_single_flight *sf = f->owner;
    int err = f->err;

    if (err == 0 && atomic_load(&f->claims) == 1) {
        memcpy(result, f->result, sf->result_size); /* the original: nobody else will want it */
    } else {
        if (err == 0 && sf->config.copy != NULL)
            err = sf->config.copy(result, f->result);
        else if (err == 0)
            memcpy(result, f->result, sf->result_size);
        give_claim_back(f);
    }
    unref(f);
    return err;
}

/* The caller's context has ended. The claim and its reference go. */
static void leave(struct flight *f)
{
    struct shard *s = shard_of(f->owner, f->hash);
    bool ended, abandoned = false;

    rn_mutex_lock(&s->lock);
    count_locked(&s->left);
    ended = f->ended;
    if (!ended && atomic_fetch_sub(&f->claims, 1) == 1) {
        abandoned = true;
        f->closed = true;
        count_locked(&s->abandoned);
    }
    rn_mutex_unlock(&s->lock);
    if (ended)
        give_claim_back(f);
    if (abandoned)
        rn_ctx_cancel(f->ctx, 0);
    unref(f);
}

/* Joins the flight for a key, or makes one that *starts says is to be started. */
static int board(struct rn_single_flight *sf, rn_ctx *ctx, const void *key, size_t key_size,
                 struct flight **out, bool *starts)
{
    uint64_t hash = hash_of(sf, key, key_size);
    struct shard *s = shard_of(sf, hash);
    struct flight *f;
    int err = 0;

    rn_mutex_lock(&s->lock);
    f = find_locked(s, hash, key, key_size);
    *starts = f == NULL;
    if (f == NULL) {
        f = flight_make(sf, ctx, hash, key, key_size);
        if (f != NULL) {
            insert_locked(s, f);
            count_locked(&s->started);
        }
        err = f == NULL ? -ENOMEM : 0;
    } else if (atomic_load_explicit(&f->runner, memory_order_relaxed) == self()) {
        err = -EDEADLK;
    } else {
        atomic_fetch_add(&f->claims, 1);
        atomic_fetch_add(&f->refs, 1);
        count_locked(&s->shared);
    }
    rn_mutex_unlock(&s->lock);
    *out = f;
    return err;
}

int rn_single_flight_do_untyped(rn_ctx *ctx, struct rn_single_flight *sf, const void *key,
                                size_t key_size, void *result)
{
    struct flight *f;
    bool starts;
    int err = rn_ctx_err(ctx);

    if (err == 0)
        err = board(sf, ctx, key, key_size, &f, &starts);
    if (err != 0)
        return err;
    if (starts && ctx == NULL)
        flight_run(f);
    else if (starts)
        flight_start(f);
    err = rn_wait_group_wait(ctx, &f->done);
    if (err == 0)
        return take(f, result);
    leave(f);
    return err;
}

bool(rn_single_flight_forget)(struct rn_single_flight *sf, const void *key, size_t key_size)
{
    uint64_t hash = hash_of(sf, key, key_size);
    struct shard *s = shard_of(sf, hash);
    struct flight *f;

    rn_mutex_lock(&s->lock);
    f = find_locked(s, hash, key, key_size);
    if (f != NULL) {
        f->closed = true;
        count_locked(&s->forgotten);
    }
    rn_mutex_unlock(&s->lock);
    return f != NULL;
}

/* ---- looking at it ---- */

void(rn_single_flight_stats_read)(struct rn_single_flight *sf, rn_single_flight_stats *out)
{
    *out = (rn_single_flight_stats){0};
    for (int i = 0; i < SHARDS; i++) {
        struct shard *s = &sf->shards[i];
        uint64_t ended = atomic_load(&s->ended); /* before started: running is never negative */
        out->failed += atomic_load(&s->failed);
        out->shared += atomic_load(&s->shared);
        out->left += atomic_load(&s->left);
        out->abandoned += atomic_load(&s->abandoned);
        out->forgotten += atomic_load(&s->forgotten);
        out->started += atomic_load(&s->started);
        out->running += atomic_load(&s->started) - ended;
    }
    out->asked = out->started + out->shared;
}

static void describe(const rn_exhibit *exhibit, char *text, size_t size)
{
    rn_single_flight_stats stats;

    (rn_single_flight_stats_read)(
        (struct rn_single_flight *)((char *)(uintptr_t)exhibit -
                                    offsetof(struct rn_single_flight, exhibit)),
        &stats);
    snprintf(text, size, "%llu running, %llu started, %llu shared",
             (unsigned long long)stats.running, (unsigned long long)stats.started,
             (unsigned long long)stats.shared);
}

/* ---- making and freeing ---- */

static int make_parts(struct rn_single_flight *sf)
{
    for (int i = 0; i < SHARDS; i++) {
        struct shard *s = &sf->shards[i];
        s->buckets = calloc(BUCKETS_FIRST, sizeof(struct flight *));
        if (s->buckets == NULL)
            return -ENOMEM;
        s->room = BUCKETS_FIRST;
    }
    sf->ctx = rn_ctx_with_cancel(sf->config.ctx);
    return sf->ctx == NULL ? -ENOMEM : 0;
}

static void free_parts(struct rn_single_flight *sf)
{
    rn_ctx_release(sf->ctx);
    for (int i = 0; i < SHARDS; i++)
        free(sf->shards[i].buckets);
    free(sf);
}

static int check(const rn_single_flight_config *c, size_t result_size)
{
    if (result_size > PTRDIFF_MAX / 2)
        return rn_error_with(-EINVAL, "single flight: a result of %zu bytes is too large",
                             result_size);
    if (c->drop != NULL && c->copy == NULL)
        return rn_error_with(-EINVAL, "single flight: .drop is set, but not .copy: callers would "
                                      "share what each of them drops");
    return stack_size_check("single flight", c->stack_size);
}

int rn_single_flight_new_untyped(struct rn_single_flight **out, size_t result_size,
                                 rn_single_flight_fn *fn, void *arg,
                                 const rn_single_flight_config *config)
{
    rn_single_flight_config c = config == NULL ? (rn_single_flight_config){0} : *config;
    int err = check(&c, result_size);
    struct rn_single_flight *sf;
    struct random random;

    *out = NULL;
    if (err != 0)
        return err;
    sf = aligned_alloc(_Alignof(struct rn_single_flight), sizeof *sf);
    if (sf == NULL)
        return -ENOMEM;
    memset(sf, 0, sizeof *sf);
    sf->fn = fn;
    sf->arg = arg;
    sf->config = c;
    sf->result_size = result_size;
    random_seed(&random, 0);
    sf->seed = atomic_load(&random.state) * UINT64_C(0x9E3779B97F4A7C15);
    if (make_parts(sf) != 0) {
        free_parts(sf);
        return -ENOMEM;
    }
    if (c.name != NULL) {
        sf->exhibit = (rn_exhibit){.kind = "single flight", .name = c.name, .describe = describe};
        rn_exhibit_show(&sf->exhibit);
    }
    *out = sf;
    return 0;
}

/* Whether the caller is the function of some flight. */
static bool called_by_function(struct rn_single_flight *sf)
{
    uint64_t me = self();
    bool found = false;

    for (int i = 0; i < SHARDS; i++) {
        struct shard *s = &sf->shards[i];
        rn_mutex_lock(&s->lock);
        for (size_t b = 0; b < s->room; b++)
            for (struct flight *f = s->buckets[b]; f != NULL; f = f->next)
                found = found || atomic_load_explicit(&f->runner, memory_order_relaxed) == me;
        rn_mutex_unlock(&s->lock);
    }
    return found;
}

void(rn_single_flight_free)(struct rn_single_flight *sf)
{
    if (sf == NULL)
        return;
    if (called_by_function(sf)) {
        fputs("runnel: rn_single_flight_free was called from the function\n", stderr);
        abort();
    }
    rn_ctx_cancel(sf->ctx, 0);
    rn_wait_group_wait(NULL, &sf->live);
    if (sf->exhibit.name != NULL)
        rn_exhibit_hide(&sf->exhibit);
    free_parts(sf);
}
