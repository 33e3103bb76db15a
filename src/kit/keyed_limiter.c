/*
 * Keyed limiter: hash tables of buckets (gcra.h), each table under a mutex of its own.
 *
 * A key is in the table that the upper bits of its hash choose, and takes tokens there under the
 * lock, with plain arithmetic. The hash is keyed (SipHash-1-3), so that nobody who chooses keys can
 * choose collisions.
 *
 * Invariants of a table, under its lock:
 *   - Its entries are also in a list, in the order in which they were last used; with
 *     RN_KEYS_REFUSE those that were looked at in vain count as used.
 *   - An entry's `until` is by the table's own setting; all are converted when it changes. So are
 *     those of waits that sleep, which give back if their context ends.
 *   - count <= room. Each new key looks at the two longest unused, and forgets those that are full
 *     again. So keys that are unused for as long as a bucket takes to fill go, and with each new
 *     key faster than they come.
 *
 * Compiled with the public headers only.
 */
#include "gcra.h"
#include "mutex_class.h"

#include <runnel/debug.h>
#include <runnel/keyed_limiter.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEYS_DEFAULT 65536
#define KEYS_MAX ((size_t)1 << 32)
#define KEYS_OF_TABLE_MIN 1024 /* fewer keys than twice this have one table */
#define TABLES_MAX 64
#define BUCKETS_MIN 16
#define SWEEP_KEYS 2  /* looked at for each new key */
#define SEARCH_KEYS 8 /* looked at when there is no place */

struct entry {
    struct entry *chain;         /* the next of the same hash bucket */
    struct entry *older, *newer; /* in the order of use */
    uint64_t hash;
    uint64_t serial; /* tells it from one of the same key that came after it */
    int64_t until;
    size_t size;
    unsigned char key[];
};

/* A wait that sleeps, on its fiber's stack. */
struct pending {
    struct pending *next, *prev;
    uint64_t hash;
    uint64_t serial; /* of the entry */
    int64_t until;
    rn_duration delay;
    rn_time act; /* when its time comes */
};

struct table {
    MUTEX(lock, keyed_limiter_table); /* guards the rest */
    struct gcra setting;
    rn_time last; /* the latest time seen */
    struct entry **buckets;
    size_t bucket_count; /* a power of two */
    size_t count, room;
    struct entry *oldest, *newest;
    struct pending *pending;
    uint64_t serial;    /* of the last entry */
    struct entry *gone; /* displaced by the call that has the lock, which frees it afterwards */
    uint64_t allowed, denied, refused, forgotten, displaced, waits, gave_up;
} __attribute__((aligned(64)));

struct rn_keyed_limiter {
    rn_exhibit exhibit; /* shown when there is a name */
    rn_keyed_limiter_config config;
    uint64_t seed[2];
    struct table *tables;
    size_t table_count;   /* a power of two */
    _Atomic(size_t) keys; /* of all tables, for dumps */
    /* One change of the setting at a time; taken before a table's lock. Guards the rest. */
    MUTEX(control, keyed_limiter_control);
    double per_second;
    size_t burst;
};

/* ---- hashing ---- */

static uint64_t rotated(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1], v[2] += v[3];
    v[1] = rotated(v[1], 13) ^ v[0], v[3] = rotated(v[3], 16) ^ v[2];
    v[0] = rotated(v[0], 32);
    v[2] += v[1], v[0] += v[3];
    v[1] = rotated(v[1], 17) ^ v[2], v[3] = rotated(v[3], 21) ^ v[0];
    v[2] = rotated(v[2], 32);
}

static void sip_word(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
}

/* SipHash-1-3; the order of bytes in a word is the machine's, for it stays in this process. */
static uint64_t hash_of(const rn_keyed_limiter *k, const void *key, size_t size)
{
    uint64_t v[4] = {k->seed[0] ^ 0x736f6d6570736575, k->seed[1] ^ 0x646f72616e646f6d,
                     k->seed[0] ^ 0x6c7967656e657261, k->seed[1] ^ 0x7465646279746573};
    const unsigned char *at = key;
    uint64_t word;
    size_t left = size;

    for (; left >= sizeof word; left -= sizeof word, at += sizeof word) {
        memcpy(&word, at, sizeof word);
        sip_word(v, word);
    }
    word = 0;
    if (left != 0)
        memcpy(&word, at, left);
    sip_word(v, word ^ (uint64_t)size << 56);
    v[2] ^= 0xff;
    sip_round(v);
    sip_round(v);
    sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static struct table *table_of(rn_keyed_limiter *k, uint64_t hash)
{
    return &k->tables[(hash >> 32) & (k->table_count - 1)];
}

/* ---- entries ---- */

static struct entry **bucket_of(struct table *t, uint64_t hash)
{
    return &t->buckets[hash & (t->bucket_count - 1)];
}

static struct entry *find_locked(struct table *t, uint64_t hash, const void *key, size_t size)
{
    struct entry *e = *bucket_of(t, hash);

    while (e != NULL &&
           (e->hash != hash || e->size != size || (size != 0 && memcmp(e->key, key, size) != 0)))
        e = e->chain;
    return e;
}

static void use_unlink(struct table *t, struct entry *e)
{
    *(e->older == NULL ? &t->oldest : &e->older->newer) = e->newer;
    *(e->newer == NULL ? &t->newest : &e->newer->older) = e->older;
}

static void use_append(struct table *t, struct entry *e)
{
    e->older = t->newest;
    e->newer = NULL;
    *(t->newest == NULL ? &t->oldest : &t->newest->newer) = e;
    t->newest = e;
}

static void use_locked(struct table *t, struct entry *e)
{
    if (e == t->newest)
        return;
    use_unlink(t, e);
    use_append(t, e);
}

static void unlink_locked(rn_keyed_limiter *k, struct table *t, struct entry *e)
{
    struct entry **at = bucket_of(t, e->hash);

    while (*at != e)
        at = &(*at)->chain;
    *at = e->chain;
    use_unlink(t, e);
    t->count--;
    atomic_fetch_sub_explicit(&k->keys, 1, memory_order_relaxed);
}

static void remove_locked(rn_keyed_limiter *k, struct table *t, struct entry *e)
{
    unlink_locked(k, t, e);
    free(e);
}

/* Twice the buckets; without memory the chains just get longer. */
static void grow_locked(struct table *t)
{
    struct entry **buckets = calloc(t->bucket_count * 2, sizeof(struct entry *));

    if (buckets == NULL)
        return;
    free(t->buckets);
    t->buckets = buckets;
    t->bucket_count *= 2;
    for (struct entry *e = t->oldest; e != NULL; e = e->newer) {
        struct entry **at = bucket_of(t, e->hash);
        e->chain = *at;
        *at = e;
    }
}

static void sweep_locked(rn_keyed_limiter *k, struct table *t, int64_t tick)
{
    for (int i = 0; i < SWEEP_KEYS && t->oldest != NULL && t->oldest->until <= tick; i++) {
        t->forgotten++;
        remove_locked(k, t, t->oldest);
    }
}

/* All places are taken. False: and none can be had. */
static bool make_room_locked(rn_keyed_limiter *k, struct table *t, int64_t tick)
{
    struct entry *e = t->oldest, *next;
    bool refuses = k->config.when_full == RN_KEYS_REFUSE;

    for (int i = 0; i < SEARCH_KEYS && e != NULL; i++, e = next) {
        next = e->newer;
        if (e->until <= tick) {
            t->forgotten++;
            remove_locked(k, t, e);
            return true;
        }
        if (refuses)
            use_locked(t, e); /* the next attempt looks at others */
    }
    if (refuses)
        return false;
    t->displaced++;
    t->gone = t->oldest;
    unlink_locked(k, t, t->gone);
    return true;
}

/* Makes an entry for a key that has none, its bucket full. Returns 0, -ENOSPC or -ENOMEM. */
static int add_locked(rn_keyed_limiter *k, struct table *t, struct entry **out, uint64_t hash,
                      const void *key, size_t size, int64_t tick)
{
    struct entry *e, **at;

    sweep_locked(k, t, tick);
    if (t->count >= t->room && !make_room_locked(k, t, tick)) {
        t->refused++;
        return -ENOSPC;
    }
    e = malloc(sizeof *e + size);
    if (e == NULL)
        return -ENOMEM;
    if (t->count >= t->bucket_count)
        grow_locked(t);
    at = bucket_of(t, hash);
    *e = (struct entry){
        .chain = *at, .hash = hash, .serial = ++t->serial, .until = tick, .size = size};
    if (size != 0)
        memcpy(e->key, key, size);
    *at = e;
    use_append(t, e);
    t->count++;
    atomic_fetch_add_explicit(&k->keys, 1, memory_order_relaxed);
    *out = e;
    return 0;
}

/* ---- time ---- */

/* Puts a setting in force, as of a time on the clock as it was until now. */
static void change_locked(struct table *t, const struct gcra *to, rn_time then)
{
    for (struct entry *e = t->oldest; e != NULL; e = e->newer)
        e->until = gcra_convert(&t->setting, to, e->until, then);
    for (struct pending *p = t->pending; p != NULL; p = p->next)
        p->until = gcra_convert(&t->setting, to, p->until, then);
    t->setting = *to;
    t->last = to->since;
}

/* The time. A clock that has jumped back, and ticks about to overflow, need another origin. */
static rn_time time_locked(rn_keyed_limiter *k, struct table *t)
{
    rn_time now = rn_clock_now(k->config.clock);

    if (now < t->last || now - t->setting.since > t->setting.age_max) {
        struct gcra renewed = t->setting;
        renewed.since = now;
        change_locked(t, &renewed, now < t->last ? t->last : now);
    }
    t->last = now;
    return now;
}

static int set(rn_keyed_limiter *k, const double *per_second, const size_t *burst)
{
    double rate;
    size_t size;
    struct gcra g;
    int err;

    rn_mutex_lock(&k->control);
    rate = per_second != NULL ? *per_second : k->per_second;
    size = burst != NULL ? *burst : k->burst;
    err = gcra_make(&g, "keyed limiter", rate, size, 0);
    for (size_t i = 0; err == 0 && i < k->table_count; i++) {
        struct table *t = &k->tables[i];
        rn_mutex_lock(&t->lock);
        g.since = time_locked(k, t);
        change_locked(t, &g, g.since);
        rn_mutex_unlock(&t->lock);
    }
    if (err == 0) {
        k->per_second = rate;
        k->burst = size;
    }
    rn_mutex_unlock(&k->control);
    return err;
}

int rn_keyed_limiter_set_rate(rn_keyed_limiter *k, double per_second)
{
    return set(k, &per_second, NULL);
}

int rn_keyed_limiter_set_burst(rn_keyed_limiter *k, size_t burst)
{
    return set(k, NULL, &burst);
}

/* ---- making ---- */

static void describe(const rn_exhibit *exhibit, char *text, size_t size)
{
    rn_keyed_limiter *k = (rn_keyed_limiter *)exhibit;

    snprintf(text, size, "%zu of %zu keys", atomic_load_explicit(&k->keys, memory_order_relaxed),
             k->config.keys_max);
}

static int check(const rn_keyed_limiter_config *c, struct gcra *g, double *per_second)
{
    int err = gcra_rate(per_second, "keyed limiter", c->per_second, c->every);

    if (err == 0)
        err = gcra_make(g, "keyed limiter", *per_second, c->burst, rn_clock_now(c->clock));
    if (err == 0 && c->keys_max > KEYS_MAX)
        return rn_error_with(-EINVAL, "keyed limiter: .keys_max is %lld: allowed are 1 to %zu",
                             (long long)c->keys_max, KEYS_MAX);
    if (err == 0 && (unsigned)c->when_full > RN_KEYS_REFUSE)
        return rn_error_with(-EINVAL,
                             "keyed limiter: .when_full is %d: allowed are RN_KEYS_FORGET and "
                             "RN_KEYS_REFUSE",
                             (int)c->when_full);
    return err;
}

static bool make_tables(rn_keyed_limiter *k, const struct gcra *g)
{
    size_t keys_max = k->config.keys_max;

    k->table_count = 1;
    while (k->table_count < TABLES_MAX && keys_max / k->table_count >= 2 * KEYS_OF_TABLE_MIN)
        k->table_count *= 2;
    k->tables = aligned_alloc(_Alignof(struct table), k->table_count * sizeof(struct table));
    if (k->tables == NULL)
        return false;
    for (size_t i = 0; i < k->table_count; i++) {
        k->tables[i] = (struct table){.setting = *g, .last = g->since};
        k->tables[i].room = keys_max / k->table_count + (i < keys_max % k->table_count);
        k->tables[i].bucket_count = BUCKETS_MIN;
        k->tables[i].buckets = calloc(BUCKETS_MIN, sizeof(struct entry *));
        if (k->tables[i].buckets == NULL) {
            k->table_count = i;
            return false;
        }
    }
    return true;
}

/* Without entropy the hash is only as good as addresses are random. */
static void choose_seed(rn_keyed_limiter *k)
{
    if (getentropy(k->seed, sizeof k->seed) == 0)
        return;
    k->seed[0] = (uint64_t)(uintptr_t)k * 0x9e3779b97f4a7c15;
    k->seed[1] = (uint64_t)(uintptr_t)&k ^ (uint64_t)rn_now();
}

int rn_keyed_limiter_new(rn_keyed_limiter **out, const rn_keyed_limiter_config *config)
{
    rn_keyed_limiter_config c = config == NULL ? (rn_keyed_limiter_config){0} : *config;
    struct gcra g;
    double per_second;
    rn_keyed_limiter *k;
    int err;

    *out = NULL;
    c.burst = c.burst == 0 ? 1 : c.burst;
    c.keys_max = c.keys_max == 0 ? KEYS_DEFAULT : c.keys_max;
    err = check(&c, &g, &per_second);
    if (err != 0)
        return err;
    k = calloc(1, sizeof *k);
    if (k == NULL)
        return -ENOMEM;
    k->config = c;
    k->per_second = per_second;
    k->burst = c.burst;
    k->exhibit = (rn_exhibit){.kind = "keyed limiter", .name = c.name, .describe = describe};
    choose_seed(k);
    if (c.name != NULL)
        rn_exhibit_show(&k->exhibit);
    if (!make_tables(k, &g)) {
        rn_keyed_limiter_free(k);
        return -ENOMEM;
    }
    *out = k;
    return 0;
}

void rn_keyed_limiter_free(rn_keyed_limiter *k)
{
    if (k == NULL)
        return;
    if (k->config.name != NULL)
        rn_exhibit_hide(&k->exhibit);
    for (size_t i = 0; k->tables != NULL && i < k->table_count; i++) {
        while (k->tables[i].oldest != NULL)
            remove_locked(k, &k->tables[i], k->tables[i].oldest);
        free(k->tables[i].buckets);
    }
    free(k->tables);
    free(k);
}

/* ---- taking ---- */

/* Takes n tokens of the key if they come within patience; says when, also if it does not. */
static int take_locked(rn_keyed_limiter *k, struct table *t, const void *key, size_t size, size_t n,
                       rn_duration patience, struct pending *out)
{
    const struct gcra *g = &t->setting;
    rn_time now = time_locked(k, t);
    int64_t tick = gcra_tick(g, now);
    struct entry *e;
    int err;

    out->act = now;
    if (g->token == 0)
        return 0;
    if (n > (size_t)g->burst)
        return RN_EBURST;
    e = find_locked(t, out->hash, key, size);
    if (e == NULL && (err = add_locked(k, t, &e, out->hash, key, size, tick)) != 0)
        return err;
    use_locked(t, e);
    out->until = gcra_take(g, e->until, tick, n);
    out->delay = gcra_delay(g, out->until, tick);
    if (out->delay > patience || out->delay == RN_FOREVER)
        return RN_ERATE;
    out->act = rn_time_add(now, out->delay);
    out->serial = e->serial;
    e->until = out->until;
    return 0;
}

/* Among those who wait. */
static void list_locked(struct table *t, struct pending *p)
{
    t->waits++;
    p->next = t->pending;
    if (t->pending != NULL)
        t->pending->prev = p;
    t->pending = p;
}

/* Under no lock. */
static void tell_displaced(const rn_keyed_limiter *k, struct entry *gone)
{
    if (k->config.on_displaced != NULL)
        k->config.on_displaced(k->config.events_arg, gone->key, gone->size);
    free(gone);
}

/* The same, counted and, when it is to wait, listed among those who do. */
static int take(rn_keyed_limiter *k, const void *key, size_t size, size_t n, rn_duration patience,
                struct pending *out)
{
    struct entry *gone;
    struct table *t;
    int err;

    if (size > RN_KEY_BYTES_MAX)
        return rn_error_with(-EINVAL, "keyed limiter: a key of %zu bytes: allowed are up to %zu",
                             size, RN_KEY_BYTES_MAX);
    *out = (struct pending){.hash = hash_of(k, key, size)};
    t = table_of(k, out->hash);
    rn_mutex_lock(&t->lock);
    err = take_locked(k, t, key, size, n, patience, out);
    t->allowed += err == 0;
    t->denied += err == RN_ERATE;
    if (err == 0 && out->delay > 0)
        list_locked(t, out);
    gone = t->gone;
    t->gone = NULL;
    rn_mutex_unlock(&t->lock);
    if (gone != NULL)
        tell_displaced(k, gone);
    if (err == RN_ERATE && k->config.on_denied != NULL)
        k->config.on_denied(k->config.events_arg, key, size, n, out->delay);
    return err;
}

int rn_keyed_limiter_allow(rn_keyed_limiter *k, const void *key, size_t size, size_t n)
{
    struct pending taken;

    return take(k, key, size, n, 0, &taken);
}

rn_duration rn_keyed_limiter_delay(rn_keyed_limiter *k, const void *key, size_t size, size_t n)
{
    uint64_t hash = hash_of(k, key, size);
    struct table *t = table_of(k, hash);
    rn_duration delay = RN_FOREVER;
    struct entry *e;
    int64_t tick;

    rn_mutex_lock(&t->lock);
    tick = gcra_tick(&t->setting, time_locked(k, t));
    e = find_locked(t, hash, key, size);
    if (t->setting.token == 0)
        delay = 0;
    else if (n <= (size_t)t->setting.burst)
        delay = gcra_delay(&t->setting,
                           gcra_take(&t->setting, e == NULL ? tick : e->until, tick, n), tick);
    rn_mutex_unlock(&t->lock);
    return delay;
}

/* ---- waiting ---- */

/* A duration, since ctx's deadline is on the runtime's clock, the limiter perhaps on another. */
static rn_duration patience_of(rn_ctx *ctx)
{
    rn_time deadline, now;

    if (!rn_ctx_deadline(ctx, &deadline))
        return RN_FOREVER;
    now = rn_now();
    return deadline > now ? deadline - now : 0;
}

static int too_late(const rn_keyed_limiter *k, size_t n, rn_duration delay)
{
    const char *name = k->config.name == NULL ? "" : k->config.name;

    if (delay == RN_FOREVER)
        return rn_error_with(RN_ERATE, "keyed limiter \"%s\": %zu more will never come", name, n);
    return rn_error_with(RN_ERATE,
                         "keyed limiter \"%s\": %zu more come in %.3f s, after the deadline", name,
                         n, (double)delay / 1e9);
}

/* Ends a wait, with its tokens or not. */
static void settle(rn_keyed_limiter *k, const void *key, size_t size, size_t n, struct pending *p,
                   bool give_back)
{
    struct table *t = table_of(k, p->hash);
    struct entry *e;

    rn_mutex_lock(&t->lock);
    t->gave_up += give_back;
    if (give_back && time_locked(k, t) <= p->act &&
        (e = find_locked(t, p->hash, key, size)) != NULL && e->serial == p->serial)
        e->until -= gcra_unused(&t->setting, p->until, e->until, n);
    *(p->prev == NULL ? &t->pending : &p->prev->next) = p->next;
    if (p->next != NULL)
        p->next->prev = p->prev;
    rn_mutex_unlock(&t->lock);
}

int rn_keyed_limiter_wait(rn_ctx *ctx, rn_keyed_limiter *k, const void *key, size_t size, size_t n)
{
    int err = rn_ctx_err(ctx);
    struct pending p;

    if (err != 0)
        return err;
    err = take(k, key, size, n, patience_of(ctx), &p);
    if (err == RN_ERATE)
        return too_late(k, n, p.delay);
    if (err != 0 || p.delay == 0)
        return err;
    err = rn_clock_sleep(ctx, k->config.clock, p.delay);
    settle(k, key, size, n, &p, err != 0);
    if (k->config.on_waited != NULL)
        k->config.on_waited(k->config.events_arg, key, size, n, p.delay, err);
    return err;
}

/* ---- the rest ---- */

int rn_keyed_limiter_forget(rn_keyed_limiter *k, const void *key, size_t size)
{
    uint64_t hash = hash_of(k, key, size);
    struct table *t = table_of(k, hash);
    struct entry *e;

    rn_mutex_lock(&t->lock);
    e = find_locked(t, hash, key, size);
    if (e != NULL)
        remove_locked(k, t, e);
    rn_mutex_unlock(&t->lock);
    return e == NULL ? -ENOENT : 0;
}

void rn_keyed_limiter_stats_read(rn_keyed_limiter *k, rn_keyed_limiter_stats *out)
{
    *out = (rn_keyed_limiter_stats){0};
    rn_mutex_lock(&k->control);
    out->per_second = k->per_second;
    out->burst = k->burst;
    rn_mutex_unlock(&k->control);
    for (size_t i = 0; i < k->table_count; i++) {
        struct table *t = &k->tables[i];
        rn_mutex_lock(&t->lock);
        out->keys += t->count;
        out->allowed += t->allowed;
        out->denied += t->denied;
        out->refused += t->refused;
        out->forgotten += t->forgotten;
        out->displaced += t->displaced;
        out->waits += t->waits;
        out->gave_up += t->gave_up;
        rn_mutex_unlock(&t->lock);
    }
}
