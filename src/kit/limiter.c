/*
 * Rate limiter: a bucket in one 64-bit word (gcra.h), moved on by compare-and-swap.
 *
 * The word holds `until`, the tick when the bucket is full again, and in its last four bits the
 * generation of the setting by which ticks and tokens are counted. Changing rate or burst writes a
 * new setting into the next of 16 places and swaps in a converted `until` with the next generation.
 * Who has computed with the old setting meanwhile fails to swap: no call mixes two settings.
 *
 * A call may sleep through 16 changes and find its place in force again. What it reads then it
 * throws away, since `generation` has moved on by 15 or more; and should it sleep just before it
 * swaps, the word is still not the one that it knew: each setting counts its ticks from another
 * base, 40 bits of a hash of its generation.
 *
 * `last` is the latest time that any call has read. It is loaded before the clock is read, so a
 * time below it proves that the clock has jumped back. Then, and before ticks overflow, the setting
 * is renewed with another origin.
 *
 * Invariants: the word's generation is `generation` or, for a moment under lock, the one after;
 * settings[generation % 16] is that one's.
 *
 * Rejected: a mutex, whose holder may be suspended while everybody else waits; counting allowed
 * calls, which would be a second locked instruction for each.
 *
 * Compiled with the public headers only.
 */
#include "gcra.h"
#include "mutex_class.h"

#include <runnel/debug.h>
#include <runnel/limiter.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define GENERATION_BITS 4
#define SETTINGS (1 << GENERATION_BITS)

/* A struct gcra that may be overwritten while it is read. */
struct setting {
    _Atomic(int64_t) since, token, speed, full, age_max, burst, base;
    rn_time replaced; /* under lock: when the next one took over, on the clock of this one */
} __attribute__((aligned(64)));

struct rn_limiter {
    _Atomic(int64_t) word;
    _Atomic(rn_time) last;
    const rn_clock *clock;
    _Atomic(uint64_t) generation; /* written under lock */
    rn_exhibit exhibit;           /* shown when there is a name */
    rn_limiter_config config;
    struct setting settings[SETTINGS];

    _Atomic(uint64_t) denied, waits, gave_up, waited;

    MUTEX(lock, limiter_lock); /* guards the rest, and the writing of settings */
    double per_second;
};

/* What a call has seen: the word, its setting and the time, as they were at that time. */
struct view {
    int64_t word;
    struct gcra g;
    rn_time now;
    uint64_t generation; /* before it looked; the word's is this one or one of the 15 after */
};

/* What a call took. */
struct claim {
    int64_t until;
    uint64_t generation;
    rn_time now;
    rn_duration delay;
};

/* ---- the word ---- */

static int64_t word_of(int64_t until, uint64_t generation)
{
    return (int64_t)((uint64_t)until << GENERATION_BITS | generation % SETTINGS);
}

static int64_t until_of(int64_t word)
{
    return word >> GENERATION_BITS;
}

static inline struct setting *setting_of(rn_limiter *l, int64_t word)
{
    return &l->settings[(uint64_t)word % SETTINGS];
}

/* Acquire and release: who reads what a later change has written sees its generation too. */
static inline struct gcra setting_read(struct setting *s)
{
    return (struct gcra){
        .since = atomic_load_explicit(&s->since, memory_order_acquire),
        .token = atomic_load_explicit(&s->token, memory_order_acquire),
        .speed = atomic_load_explicit(&s->speed, memory_order_acquire),
        .full = atomic_load_explicit(&s->full, memory_order_acquire),
        .age_max = atomic_load_explicit(&s->age_max, memory_order_acquire),
        .burst = atomic_load_explicit(&s->burst, memory_order_acquire),
        .base = atomic_load_explicit(&s->base, memory_order_acquire),
    };
}

static void setting_write(struct setting *s, const struct gcra *g)
{
    atomic_store_explicit(&s->since, g->since, memory_order_release);
    atomic_store_explicit(&s->token, g->token, memory_order_release);
    atomic_store_explicit(&s->speed, g->speed, memory_order_release);
    atomic_store_explicit(&s->full, g->full, memory_order_release);
    atomic_store_explicit(&s->age_max, g->age_max, memory_order_release);
    atomic_store_explicit(&s->burst, g->burst, memory_order_release);
    atomic_store_explicit(&s->base, g->base, memory_order_release);
}

static inline uint64_t generation_of(rn_limiter *l)
{
    return atomic_load_explicit(&l->generation, memory_order_acquire);
}

/* Whether no place has been written twice since then: what it held is what it holds. */
static inline bool is_recent(rn_limiter *l, uint64_t generation)
{
    return generation_of(l) - generation < SETTINGS - 1;
}

/* Fibonacci hashing: no two generations within reach of each other have the same base. */
static int64_t base_of(uint64_t generation)
{
    return (int64_t)(generation * 0x9e3779b97f4a7c15u / (UINT64_MAX / GCRA_BASE_END + 1));
}

/* ---- changing the setting ---- */

static struct setting *current_locked(rn_limiter *l)
{
    return &l->settings[generation_of(l) % SETTINGS];
}

/* Puts a setting in force. The bucket keeps the tokens that it had at the time `then`. */
static void change_locked(rn_limiter *l, struct gcra *to, rn_time then)
{
    struct setting *old = current_locked(l);
    struct gcra from = setting_read(old);
    uint64_t next = generation_of(l) + 1;
    int64_t word = atomic_load_explicit(&l->word, memory_order_acquire);

    to->base = base_of(next);
    old->replaced = then;
    setting_write(&l->settings[next % SETTINGS], to);
    atomic_store_explicit(&l->last, to->since, memory_order_release);
    while (!atomic_compare_exchange_weak_explicit(
        &l->word, &word, word_of(gcra_convert(&from, to, until_of(word), then), next),
        memory_order_acq_rel, memory_order_acquire))
        continue;
    atomic_store_explicit(&l->generation, next, memory_order_release);
}

static rn_time later(rn_time a, rn_time b)
{
    return a > b ? a : b;
}

/* The clock has jumped back, or the setting's ticks are about to overflow: takes a new origin. */
__attribute__((noinline)) static void renew(rn_limiter *l)
{
    struct gcra g;
    rn_time last, now;

    rn_mutex_lock(&l->lock);
    g = setting_read(current_locked(l));
    last = atomic_load_explicit(&l->last, memory_order_acquire);
    now = rn_clock_now(l->clock);
    if (now < last || now - g.since > g.age_max) {
        g.since = now;
        change_locked(l, &g, later(now, last));
    }
    rn_mutex_unlock(&l->lock);
}

static int set(rn_limiter *l, const double *per_second, const size_t *burst)
{
    struct gcra g;
    rn_time last, now;
    double rate;
    int err;

    rn_mutex_lock(&l->lock);
    last = atomic_load_explicit(&l->last, memory_order_acquire);
    now = rn_clock_now(l->clock);
    g = setting_read(current_locked(l));
    rate = per_second != NULL ? *per_second : l->per_second;
    err = gcra_make(&g, "limiter", rate, burst != NULL ? *burst : (size_t)g.burst, now);
    if (err == 0) {
        l->per_second = rate;
        change_locked(l, &g, later(now, last));
    }
    rn_mutex_unlock(&l->lock);
    return err;
}

int rn_limiter_set_rate(rn_limiter *l, double per_second)
{
    return set(l, &per_second, NULL);
}

int rn_limiter_set_burst(rn_limiter *l, size_t burst)
{
    return set(l, NULL, &burst);
}

/* ---- making ---- */

static const char *name_of(const rn_limiter *l)
{
    return l->config.name == NULL ? "" : l->config.name;
}

/* As of the last call: a dump does not read clocks that are the program's. */
static void describe(const rn_exhibit *exhibit, char *text, size_t size)
{
    rn_limiter *l = (rn_limiter *)((char *)exhibit - offsetof(rn_limiter, exhibit));
    int64_t word = atomic_load_explicit(&l->word, memory_order_acquire);
    struct gcra g = setting_read(setting_of(l, word));
    int64_t tick = gcra_tick(&g, atomic_load_explicit(&l->last, memory_order_relaxed));

    snprintf(text, size, "%.1f of %lld left", gcra_tokens(&g, until_of(word), tick),
             (long long)g.burst);
}

int rn_limiter_new(rn_limiter **out, const rn_limiter_config *config)
{
    const rn_limiter_config defaults = {0};
    const rn_limiter_config *c = config == NULL ? &defaults : config;
    rn_time now = rn_clock_now(c->clock);
    struct gcra g;
    double per_second;
    rn_limiter *l;
    int err;

    *out = NULL;
    err = gcra_rate(&per_second, "limiter", c->per_second, c->every);
    if (err == 0)
        err = gcra_make(&g, "limiter", per_second, c->burst == 0 ? 1 : c->burst, now);
    if (err != 0)
        return err;
    l = aligned_alloc(_Alignof(rn_limiter), sizeof *l);
    if (l == NULL)
        return -ENOMEM;
    *l = (rn_limiter){.clock = c->clock, .config = *c, .per_second = per_second};
    atomic_init(&l->last, now);
    setting_write(&l->settings[0], &g);
    l->exhibit = (rn_exhibit){.kind = "limiter", .name = c->name, .describe = describe};
    if (c->name != NULL)
        rn_exhibit_show(&l->exhibit);
    *out = l;
    return 0;
}

void rn_limiter_free(rn_limiter *l)
{
    if (l != NULL && l->config.name != NULL)
        rn_exhibit_hide(&l->exhibit);
    free(l);
}

/* ---- taking ---- */

/* The time on the limiter's clock; RN_FOREVER when the setting must be renewed first. */
static inline rn_time read_clock(rn_limiter *l, const struct gcra *g)
{
    rn_time last = atomic_load_explicit(&l->last, memory_order_acquire);
    rn_time now = rn_clock_now(l->clock);

    if (__builtin_expect(now < last || now - g->since > g->age_max, 0))
        return RN_FOREVER;
    if (now != last)
        atomic_store_explicit(&l->last, now, memory_order_release);
    return now;
}

/*
 * A setting that was replaced while the clock was read may have an origin after that time; then
 * ticks stand at its base.
 */
static inline void observe(rn_limiter *l, struct view *v)
{
    for (;;) {
        v->generation = generation_of(l);
        v->word = atomic_load_explicit(&l->word, memory_order_acquire);
        v->g = setting_read(setting_of(l, v->word));
        v->now = read_clock(l, &v->g);
        if (__builtin_expect(v->now == RN_FOREVER, 0))
            renew(l);
        else if (__builtin_expect(is_recent(l, v->generation), 1))
            return;
    }
}

/* Another call was first: looks again, but not at the clock while the setting is the same. */
static inline void look_again(rn_limiter *l, struct view *v, int64_t found)
{
    if ((found ^ v->word) % SETTINGS == 0 && is_recent(l, v->generation))
        v->word = found;
    else
        observe(l, v);
}

/*
 * Takes n tokens if they come within patience; says in *out when, also if it does not take them.
 */
static inline int claim(rn_limiter *l, size_t n, rn_duration patience, struct claim *out)
{
    struct view v;

    observe(l, &v);
    for (;;) {
        int64_t tick = gcra_tick(&v.g, v.now), found = v.word;
        *out = (struct claim){
            .generation = v.generation + ((uint64_t)v.word - v.generation) % SETTINGS,
            .now = v.now,
        };
        if (v.g.token == 0)
            return 0;
        if (n > (size_t)v.g.burst)
            return RN_EBURST;
        out->until = gcra_take(&v.g, until_of(v.word), tick, n);
        out->delay = gcra_delay(&v.g, out->until, tick);
        if (out->delay > patience || out->delay == RN_FOREVER)
            return RN_ERATE;
        if (atomic_compare_exchange_weak_explicit(&l->word, &found,
                                                  word_of(out->until, (uint64_t)v.word),
                                                  memory_order_acq_rel, memory_order_acquire))
            return 0;
        look_again(l, &v, found);
    }
}

static void count(_Atomic(uint64_t) *counter, uint64_t by)
{
    atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

__attribute__((noinline)) static int denied(rn_limiter *l, size_t n, rn_duration retry_after)
{
    count(&l->denied, 1);
    if (l->config.on_denied != NULL)
        l->config.on_denied(l->config.events_arg, n, retry_after);
    return RN_ERATE;
}

int rn_limiter_allow(rn_limiter *l, size_t n)
{
    struct claim c;
    int err = claim(l, n, 0, &c);

    return __builtin_expect(err == RN_ERATE, 0) ? denied(l, n, c.delay) : err;
}

rn_duration rn_limiter_delay(rn_limiter *l, size_t n)
{
    struct view v;
    int64_t tick;

    observe(l, &v);
    tick = gcra_tick(&v.g, v.now);
    if (v.g.token != 0 && n > (size_t)v.g.burst)
        return RN_FOREVER;
    return gcra_delay(&v.g, gcra_take(&v.g, until_of(v.word), tick, n), tick);
}

double rn_limiter_available(rn_limiter *l)
{
    struct view v;

    observe(l, &v);
    return gcra_tokens(&v.g, until_of(v.word), gcra_tick(&v.g, v.now));
}

/* ---- reservations ---- */

/* What is behind rn_reservation. */
struct __attribute__((may_alias)) reservation {
    rn_duration delay;
    int64_t until;
    uint64_t generation;
    uint64_t n;  /* 0: nothing to give back */
    rn_time act; /* when its time comes */
};

_Static_assert(sizeof(struct reservation) == sizeof(rn_reservation), "rn_reservation's size");

static int reserve(rn_limiter *l, size_t n, rn_duration patience, struct reservation *r)
{
    struct claim c;
    int err = claim(l, n, patience, &c);

    *r = (struct reservation){.delay = c.delay};
    if (err != 0)
        return err == RN_ERATE ? denied(l, n, c.delay) : err;
    r->until = c.until;
    r->generation = c.generation;
    r->n = n;
    r->act = rn_time_add(c.now, c.delay);
    return 0;
}

int rn_limiter_reserve(rn_limiter *l, size_t n, rn_reservation *out)
{
    return reserve(l, n, RN_FOREVER, (struct reservation *)out);
}

/* The reservation's `until`, by the setting that is now in force. */
static int64_t translate_locked(rn_limiter *l, const struct reservation *r)
{
    int64_t until = r->until;

    for (uint64_t i = r->generation; i != generation_of(l); i++) {
        struct setting *old = &l->settings[i % SETTINGS];
        struct gcra from = setting_read(old), to = setting_read(&l->settings[(i + 1) % SETTINGS]);
        until = gcra_convert(&from, &to, until, old->replaced);
    }
    return until;
}

static void give_back_locked(rn_limiter *l, const struct reservation *r)
{
    struct gcra g = setting_read(current_locked(l));
    int64_t mine, word = atomic_load_explicit(&l->word, memory_order_acquire), next;

    if (r->act < rn_clock_now(l->clock) || generation_of(l) - r->generation >= SETTINGS)
        return;
    mine = translate_locked(l, r);
    do {
        int64_t until = until_of(word);
        next = word_of(until - gcra_unused(&g, mine, until, r->n), (uint64_t)word);
    } while (!atomic_compare_exchange_weak_explicit(&l->word, &word, next, memory_order_acq_rel,
                                                    memory_order_acquire));
}

static void cancel(rn_limiter *l, struct reservation *r)
{
    if (r->n == 0)
        return;
    rn_mutex_lock(&l->lock);
    give_back_locked(l, r);
    rn_mutex_unlock(&l->lock);
    r->n = 0;
}

void rn_limiter_cancel(rn_limiter *l, rn_reservation *r)
{
    cancel(l, (struct reservation *)r);
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

static int too_late(const rn_limiter *l, size_t n, rn_duration delay)
{
    if (delay == RN_FOREVER)
        return rn_error_with(RN_ERATE, "limiter \"%s\": %zu more will never come", name_of(l), n);
    return rn_error_with(RN_ERATE, "limiter \"%s\": %zu more come in %.3f s, after the deadline",
                         name_of(l), n, (double)delay / 1e9);
}

static int await(rn_ctx *ctx, rn_limiter *l, size_t n, struct reservation *r)
{
    int err;

    count(&l->waits, 1);
    count(&l->waited, (uint64_t)r->delay);
    err = rn_clock_sleep(ctx, l->clock, r->delay);
    if (err != 0) {
        count(&l->gave_up, 1);
        cancel(l, r);
    }
    if (l->config.on_waited != NULL)
        l->config.on_waited(l->config.events_arg, n, r->delay, err);
    return err;
}

int rn_limiter_wait(rn_ctx *ctx, rn_limiter *l, size_t n)
{
    int err = rn_ctx_err(ctx);
    struct reservation r;

    if (err != 0)
        return err;
    err = reserve(l, n, patience_of(ctx), &r);
    if (err == RN_ERATE)
        return too_late(l, n, r.delay);
    return err != 0 || r.delay == 0 ? err : await(ctx, l, n, &r);
}

void rn_limiter_stats_read(rn_limiter *l, rn_limiter_stats *out)
{
    *out = (rn_limiter_stats){
        .available = rn_limiter_available(l),
        .denied = atomic_load_explicit(&l->denied, memory_order_relaxed),
        .gave_up = atomic_load_explicit(&l->gave_up, memory_order_relaxed),
        .waits = atomic_load_explicit(&l->waits, memory_order_relaxed),
        .waited = atomic_load_explicit(&l->waited, memory_order_relaxed),
    };
    rn_mutex_lock(&l->lock);
    out->per_second = l->per_second;
    out->burst = (uint64_t)setting_read(current_locked(l)).burst;
    rn_mutex_unlock(&l->lock);
}
