/*
 * Circuit breaker: one word that says all that a good call needs to know, and a mutex for the rest.
 *
 * The word holds the state, the generation, the failures in a row, and a flag, watch. Invariants:
 *   - State and generation change together, under lock, in change_locked only; the generation grows
 *     by one each time. A permit holds the generation in which it was given; a result counts only
 *     while that is the present one.
 *   - Failures in a row are counted up under lock, and set to 0 by any success, without it.
 *   - watch is set while a good call could open the breaker: failures or slow calls are in the
 *     window, and it lacks calls to its minimum. Good calls then take the lock.
 *   - until is the end of the opening, and belongs to the generation that is open.
 *   - Changes are queued under lock in the order in which they are made; one caller at a time
 *     (telling) delivers them, outside the lock, those of others too.
 *
 * So a good call while closed costs a load in allow; and in done a load, the window's step if there
 * is one, and a striped counter. A rejection while open costs a clock read. Neither writes to the
 * word.
 *
 * Rejected: two atomic counters for the window's ratio in place of the window (they cannot forget);
 * a timer for the end of an opening (a breaker that nobody calls needs no attention).
 *
 * Compiled with the public headers only.
 */
#include <runnel/breaker.h>
#include <runnel/debug.h>

#include "breaker_config.h"
#include "breaker_window.h"
#include "random.h"
#include "stripes.h"
#include "mutex_class.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHANGES_WAITING_MAX 16

/* The word: state 3 bits, watch 1, failures in a row 24, generation 36. */
#define STATE_MASK UINT64_C(7)
#define WATCH UINT64_C(8)
#define FAILURE_SHIFT 4
#define ONE_FAILURE (UINT64_C(1) << FAILURE_SHIFT)
#define FAILURES_MAX ((UINT64_C(1) << 24) - 1)
#define FAILURES_MASK (FAILURES_MAX << FAILURE_SHIFT)
#define GENERATION_SHIFT 28

enum outcome { SUCCESS, FAILURE, IGNORED };

/* What is known of a result. */
struct result {
    enum outcome outcome;
    bool slow;
    rn_time now; /* 0 for a good call unless something needs it */
};

struct probe {
    uint64_t number; /* 0: a free place */
    rn_time expires;
};

struct change {
    rn_breaker_state from, to;
};

struct rn_breaker {
    rn_breaker_config config;
    _Atomic(uint64_t) word;
    _Atomic(rn_time) until; /* written under lock */

    struct stripes successes;
    struct stripes rejected;
    _Atomic(uint64_t) failures; /* these, too, are only counted, under lock or not */
    _Atomic(uint64_t) slow;
    _Atomic(uint64_t) ignored;
    _Atomic(uint64_t) dropped;

    MUTEX(lock, breaker_lock); /* guards the rest, and who changes the word */
    struct window window;
    uint64_t openings; /* in a row, without a closing between */
    uint64_t opened;
    uint64_t leases_expired;
    rn_breaker_counts base; /* the totals when it last closed, for a rule without a window */
    uint64_t probe_successes;
    uint64_t probe_last;  /* the number of the latest probe */
    struct probe *probes; /* .probes places */
    struct random random;
    bool telling; /* somebody delivers changes */
    size_t changes_first, changes_count;
    struct change changes[CHANGES_WAITING_MAX];

    rn_exhibit exhibit;
};

/* ---- the word ---- */

static rn_breaker_state state_of(uint64_t word)
{
    return (rn_breaker_state)(word & STATE_MASK);
}

static uint64_t generation_of(uint64_t word)
{
    return word >> GENERATION_SHIFT;
}

static uint64_t failures_of(uint64_t word)
{
    return (word & FAILURES_MASK) >> FAILURE_SHIFT;
}

static rn_time now_of(const rn_breaker *b)
{
    return rn_clock_now(b->config.clock);
}

/* How long it is from now to then. */
static rn_duration time_to(rn_time now, rn_time then)
{
    if (then == RN_FOREVER)
        return RN_FOREVER;
    return then > now ? then - now : 0;
}

static void count(_Atomic(uint64_t) *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed); /* a counter orders nothing */
}

static uint64_t total(const _Atomic(uint64_t) *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* ---- changes of state, and telling of them ---- */

static void queue_change_locked(rn_breaker *b, rn_breaker_state from, rn_breaker_state to)
{
    size_t last = (b->changes_first + b->changes_count - 1) % CHANGES_WAITING_MAX;

    if (b->config.on_change == NULL || from == to)
        return;
    if (b->changes_count == CHANGES_WAITING_MAX) {
        b->changes[last].to = to;
        return;
    }
    b->changes[(last + 1) % CHANGES_WAITING_MAX] = (struct change){from, to};
    b->changes_count++;
}

/* Delivers all changes that wait, unless somebody is at it. The lock is given back. */
static void unlock_and_tell(rn_breaker *b)
{
    bool teller = !b->telling && b->changes_count != 0;

    if (teller)
        b->telling = true;
    while (teller && b->changes_count != 0) {
        struct change c = b->changes[b->changes_first];
        b->changes_first = (b->changes_first + 1) % CHANGES_WAITING_MAX;
        b->changes_count--;
        rn_mutex_unlock(&b->lock);
        if (c.from != c.to) /* it may have changed back while it waited */
            b->config.on_change(b->config.events_arg, c.from, c.to);
        rn_mutex_lock(&b->lock);
    }
    if (teller)
        b->telling = false;
    rn_mutex_unlock(&b->lock);
}

static rn_duration opening_length_locked(rn_breaker *b)
{
    const rn_breaker_config *c = &b->config;
    double length = (double)c->open_for;

    for (uint64_t i = 1; c->open_backoff > 1 && i < b->openings && length < (double)c->open_max;
         i++)
        length *= c->open_backoff;
    if (length > (double)c->open_max)
        length = (double)c->open_max;
    return duration_of(length * (1 + c->open_jitter * random_unit(&b->random)));
}

/* The totals, as a rule without a window counts them. */
static rn_breaker_counts totals(const rn_breaker *b)
{
    rn_breaker_counts t = {.failures = total(&b->failures), .slow = total(&b->slow)};

    t.calls = t.failures + stripes_sum(&b->successes);
    return t;
}

/* The only place where state and generation change. now is needed only to open. */
static void change_locked(rn_breaker *b, rn_breaker_state to, rn_time now)
{
    uint64_t word = atomic_load(&b->word);
    uint64_t generation = generation_of(word) + 1;

    if (to == RN_BREAKER_OPEN) {
        b->openings++;
        b->opened++;
        atomic_store(&b->until, rn_time_add(now, opening_length_locked(b)));
    } else if (to == RN_BREAKER_CLOSED) {
        b->openings = 0;
        b->base = totals(b);
    }
    b->probe_successes = 0;
    memset(b->probes, 0, b->config.probes * sizeof *b->probes);
    atomic_store(&b->word, generation << GENERATION_SHIFT | to);
    window_reset_locked(&b->window, generation);
    queue_change_locked(b, state_of(word), to);
}

static void take_in_hand(rn_breaker *b, rn_breaker_state to)
{
    rn_mutex_lock(&b->lock);
    change_locked(b, to, 0);
    unlock_and_tell(b);
}

void rn_breaker_force_open(rn_breaker *b)
{
    take_in_hand(b, RN_BREAKER_FORCED_OPEN);
}

void rn_breaker_disable(rn_breaker *b)
{
    take_in_hand(b, RN_BREAKER_DISABLED);
}

void rn_breaker_reset(rn_breaker *b)
{
    take_in_hand(b, RN_BREAKER_CLOSED);
}

/* ---- allow ---- */

static int grant(const rn_breaker *b, rn_permit *permit, uint64_t word, uint64_t probe)
{
    *permit = (rn_permit){.state = state_of(word),
                          .rn_owner = b,
                          .rn_generation = generation_of(word),
                          .rn_probe = probe};
    if (b->config.slow_call != 0)
        permit->rn_began = now_of(b);
    return 0;
}

static int reject(rn_breaker *b, rn_permit *permit, rn_breaker_state state, rn_duration retry_after)
{
    stripes_count(&b->rejected);
    *permit = (rn_permit){.state = state, .retry_after = retry_after};
    return RN_EOPEN;
}

/* A free place, or that of a probe whose lease is over; otherwise NULL, and when one may be had. */
static struct probe *find_place_locked(rn_breaker *b, rn_time now, rn_time *next)
{
    *next = RN_FOREVER;
    for (size_t i = 0; i < b->config.probes; i++) {
        struct probe *p = &b->probes[i];
        if (p->number == 0 || p->expires <= now)
            return p;
        if (p->expires < *next)
            *next = p->expires;
    }
    return NULL;
}

static int allow_probe_locked(rn_breaker *b, rn_permit *permit, rn_time now)
{
    rn_time next;
    struct probe *place = find_place_locked(b, now, &next);

    if (place == NULL)
        return reject(b, permit, RN_BREAKER_HALF_OPEN, time_to(now, next));
    b->leases_expired += place->number != 0;
    place->number = ++b->probe_last;
    place->expires = rn_time_add(now, b->config.probe_lease);
    return grant(b, permit, atomic_load(&b->word), place->number);
}

/* Half-open, or the opening is over; unless that has changed meanwhile. */
static int allow_slowly(rn_breaker *b, rn_permit *permit)
{
    rn_time now = now_of(b), until;
    int err;

    rn_mutex_lock(&b->lock);
    until = atomic_load(&b->until);
    if (state_of(atomic_load(&b->word)) == RN_BREAKER_OPEN && time_to(now, until) == 0)
        change_locked(b, RN_BREAKER_HALF_OPEN, now);
    switch (state_of(atomic_load(&b->word))) {
    case RN_BREAKER_OPEN:
        err = reject(b, permit, RN_BREAKER_OPEN, time_to(now, until));
        break;
    case RN_BREAKER_HALF_OPEN:
        err = allow_probe_locked(b, permit, now);
        break;
    case RN_BREAKER_FORCED_OPEN:
        err = reject(b, permit, RN_BREAKER_FORCED_OPEN, RN_FOREVER);
        break;
    default:
        err = grant(b, permit, atomic_load(&b->word), 0);
    }
    unlock_and_tell(b);
    return err;
}

int rn_breaker_allow(rn_breaker *b, rn_permit *permit)
{
    uint64_t word = atomic_load(&b->word);
    rn_time now, until;

    switch (state_of(word)) {
    case RN_BREAKER_CLOSED:
    case RN_BREAKER_DISABLED:
        return grant(b, permit, word, 0);
    case RN_BREAKER_FORCED_OPEN:
        return reject(b, permit, RN_BREAKER_FORCED_OPEN, RN_FOREVER);
    case RN_BREAKER_OPEN:
        now = now_of(b);
        until = atomic_load(&b->until);
        if (time_to(now, until) != 0)
            return reject(b, permit, RN_BREAKER_OPEN, time_to(now, until));
        return allow_slowly(b, permit);
    default:
        return allow_slowly(b, permit);
    }
}

/* ---- done: closed ---- */

/* What the rules look at. */
static rn_breaker_counts counts_locked(rn_breaker *b, rn_time now)
{
    rn_breaker_counts counts = {0};

    if (b->window.kind != WINDOW_NONE) {
        window_counts_locked(&b->window, now, &counts);
    } else {
        counts = totals(b);
        counts.calls -= b->base.calls;
        counts.failures -= b->base.failures;
        counts.slow -= b->base.slow;
    }
    counts.consecutive_failures = failures_of(atomic_load(&b->word));
    return counts;
}

static bool reaches(uint64_t part, uint64_t all, double ratio)
{
    return ratio != 0 && part != 0 && (double)part >= ratio * (double)all;
}

/* Whether a rule of the configuration says to open. Sets or clears watch. */
static bool rules_open_locked(rn_breaker *b, rn_time now)
{
    const rn_breaker_config *c = &b->config;
    rn_breaker_counts counts;

    if (c->failure_threshold != 0 && failures_of(atomic_load(&b->word)) >= c->failure_threshold)
        return true;
    if (b->window.kind == WINDOW_NONE || c->should_open != NULL)
        return false;
    counts = counts_locked(b, now);
    if (counts.calls < c->minimum_calls && (counts.failures != 0 || counts.slow != 0)) {
        atomic_fetch_or(&b->word, WATCH);
        counts = counts_locked(b, now); /* with those who did not see it set */
    } else {
        atomic_fetch_and(&b->word, ~WATCH);
    }
    if (counts.calls < c->minimum_calls)
        return false;
    return reaches(counts.failures, counts.calls, c->failure_ratio) ||
           reaches(counts.slow, counts.calls, c->slow_ratio);
}

/* Sets failures in a row to 0. False: the generation is over. */
static bool end_failures(rn_breaker *b, uint64_t generation)
{
    uint64_t word = atomic_load(&b->word);

    while (generation_of(word) == generation) {
        if (failures_of(word) == 0)
            return true;
        if (atomic_compare_exchange_weak(&b->word, &word, word & ~FAILURES_MASK))
            return true;
    }
    return false;
}

static void settle_closed_locked(rn_breaker *b, const struct result *r)
{
    uint64_t word = atomic_load(&b->word);
    uint64_t generation = generation_of(word);

    if (r->outcome == SUCCESS) {
        stripes_count(&b->successes);
        end_failures(b, generation);
    } else {
        count(&b->failures);
        if (failures_of(word) < FAILURES_MAX)
            atomic_fetch_add(&b->word, ONE_FAILURE);
    }
    if (r->slow)
        count(&b->slow);
    window_record_locked(&b->window, generation, r->now, r->outcome == FAILURE, r->slow);
    if (rules_open_locked(b, r->now))
        change_locked(b, RN_BREAKER_OPEN, r->now);
}

/* A success while closed that changes nothing but counters. False: nothing was done. */
static bool pass(rn_breaker *b, const rn_permit *permit, rn_time now)
{
    uint64_t word = atomic_load(&b->word);

    if (generation_of(word) != permit->rn_generation || state_of(word) != RN_BREAKER_CLOSED ||
        (word & WATCH) != 0)
        return false;
    if (b->window.kind != WINDOW_NONE && !window_pass(&b->window, permit->rn_generation, now))
        return false;
    stripes_count(&b->successes);
    if (failures_of(word) != 0)
        end_failures(b, permit->rn_generation);
    return true;
}

/* watch was set while a call passed: it may be the one that fills the minimum. */
static void look_again(rn_breaker *b, const rn_permit *permit)
{
    rn_time now = now_of(b);

    rn_mutex_lock(&b->lock);
    if (generation_of(atomic_load(&b->word)) == permit->rn_generation && rules_open_locked(b, now))
        change_locked(b, RN_BREAKER_OPEN, now);
    unlock_and_tell(b);
}

/* Asks the program's rule, outside the lock, and obeys if the generation is still that one. */
static void ask_rule(rn_breaker *b, uint64_t generation, const rn_breaker_counts *counts)
{
    rn_time now;

    if (!b->config.should_open(b->config.should_open_arg, counts))
        return;
    now = now_of(b);
    rn_mutex_lock(&b->lock);
    if (generation_of(atomic_load(&b->word)) == generation)
        change_locked(b, RN_BREAKER_OPEN, now);
    unlock_and_tell(b);
}

/* ---- done: half-open, and any ---- */

static struct probe *probe_out_locked(rn_breaker *b, uint64_t number)
{
    for (size_t i = 0; i < b->config.probes; i++)
        if (b->probes[i].number == number)
            return &b->probes[i];
    return NULL;
}

static void settle_probe_locked(rn_breaker *b, uint64_t number, const struct result *r)
{
    struct probe *p = probe_out_locked(b, number);

    if (p == NULL || p->expires <= r->now) { /* its place is, or may be, another's */
        count(&b->dropped);
        return;
    }
    p->number = 0;
    if (r->outcome == IGNORED) {
        count(&b->ignored);
        return;
    }
    if (r->slow)
        count(&b->slow);
    if (r->outcome == FAILURE) {
        count(&b->failures);
        change_locked(b, RN_BREAKER_OPEN, r->now);
        return;
    }
    stripes_count(&b->successes);
    if (++b->probe_successes >= b->config.success_threshold)
        change_locked(b, RN_BREAKER_CLOSED, r->now);
}

static void settle_disabled(rn_breaker *b, const struct result *r)
{
    if (r->outcome == SUCCESS)
        stripes_count(&b->successes);
    else
        count(r->outcome == FAILURE ? &b->failures : &b->ignored);
    if (r->slow)
        count(&b->slow);
}

static void settle(rn_breaker *b, const rn_permit *permit, const struct result *r)
{
    rn_breaker_counts counts = {0};
    bool ask = false;
    uint64_t word;

    rn_mutex_lock(&b->lock);
    word = atomic_load(&b->word);
    if (generation_of(word) != permit->rn_generation) {
        count(&b->dropped);
    } else if (state_of(word) == RN_BREAKER_HALF_OPEN) {
        settle_probe_locked(b, permit->rn_probe, r);
    } else if (state_of(word) == RN_BREAKER_DISABLED) {
        settle_disabled(b, r);
    } else if (r->outcome == IGNORED) {
        count(&b->ignored);
    } else {
        settle_closed_locked(b, r);
        ask = b->config.should_open != NULL && (r->outcome == FAILURE || r->slow);
        if (ask)
            counts = counts_locked(b, r->now);
    }
    unlock_and_tell(b);
    if (ask)
        ask_rule(b, permit->rn_generation, &counts);
}

static bool ignored_by_default(int err)
{
    return err == -ECANCELED || err == RN_EOPEN || err == RN_ERATE || err == RN_EBURST;
}

static enum outcome outcome_of(const rn_breaker *b, int err)
{
    const rn_breaker_config *c = &b->config;

    if (err >= 0)
        return SUCCESS;
    return (c->ignore != NULL ? c->ignore(c->ignore_arg, err) : ignored_by_default(err)) ? IGNORED
                                                                                         : FAILURE;
}

static void check_permit(const rn_breaker *b, const rn_permit *permit)
{
    if (permit->rn_owner == b)
        return;
    fprintf(stderr, "runnel: rn_breaker_done: %s\n",
            permit->rn_owner == NULL ? "the permit was used before, or never given"
                                     : "the permit is another breaker's");
    abort();
}

void rn_breaker_done_with(rn_breaker *b, rn_permit *permit, int err)
{
    const rn_breaker_config *c = &b->config;
    struct result r = {.outcome = outcome_of(b, err)};

    check_permit(b, permit);
    permit->rn_owner = NULL;
    if (c->slow_call != 0 || b->window.kind == WINDOW_TIME)
        r.now = now_of(b);
    r.slow = c->slow_call != 0 && r.outcome != IGNORED && r.now - permit->rn_began >= c->slow_call;
    if (r.outcome != SUCCESS || r.slow || !pass(b, permit, r.now)) {
        r.now = now_of(b);
        settle(b, permit, &r);
    } else if ((atomic_load(&b->word) & WATCH) != 0) {
        look_again(b, permit);
    }
}

int rn_breaker_execute(rn_ctx *ctx, rn_breaker *b, int (*fn)(rn_ctx *ctx, void *arg), void *arg)
{
    rn_permit permit;
    int err = rn_ctx_err(ctx);

    if (err == 0)
        err = rn_breaker_allow(b, &permit);
    if (err != 0)
        return err;
    err = fn(ctx, arg);
    rn_breaker_done_with(b, &permit, err);
    return err;
}

/* ---- looking at it ---- */

rn_breaker_state rn_breaker_state_now(const rn_breaker *b)
{
    return state_of(atomic_load(&b->word));
}

const char *rn_breaker_state_name(rn_breaker_state state)
{
    static const char *const names[] = {[RN_BREAKER_CLOSED] = "closed",
                                        [RN_BREAKER_OPEN] = "open",
                                        [RN_BREAKER_HALF_OPEN] = "half-open",
                                        [RN_BREAKER_FORCED_OPEN] = "forced open",
                                        [RN_BREAKER_DISABLED] = "disabled"};

    return (size_t)state < sizeof names / sizeof names[0] ? names[state] : "unknown";
}

rn_duration rn_breaker_retry_after(rn_breaker *b)
{
    rn_time now = now_of(b), next = now;

    rn_mutex_lock(&b->lock);
    switch (state_of(atomic_load(&b->word))) {
    case RN_BREAKER_OPEN:
        next = atomic_load(&b->until);
        break;
    case RN_BREAKER_FORCED_OPEN:
        next = RN_FOREVER;
        break;
    case RN_BREAKER_HALF_OPEN:
        if (find_place_locked(b, now, &next) != NULL)
            next = now;
        break;
    default:
        break;
    }
    rn_mutex_unlock(&b->lock);
    return time_to(now, next);
}

void rn_breaker_stats_read(rn_breaker *b, rn_breaker_stats *out)
{
    rn_time now = now_of(b);

    *out = (rn_breaker_stats){.successes = stripes_sum(&b->successes),
                              .failures = total(&b->failures),
                              .slow = total(&b->slow),
                              .ignored = total(&b->ignored),
                              .dropped = total(&b->dropped),
                              .rejected = stripes_sum(&b->rejected)};
    rn_mutex_lock(&b->lock);
    out->state = rn_breaker_state_now(b);
    out->opened = b->opened;
    out->leases_expired = b->leases_expired;
    out->window = counts_locked(b, now);
    for (size_t i = 0; i < b->config.probes; i++)
        out->probes += b->probes[i].number != 0;
    rn_mutex_unlock(&b->lock);
}

static void describe(const rn_exhibit *exhibit, char *text, size_t size)
{
    const rn_breaker *b = (const rn_breaker *)((const char *)exhibit -
                                               offsetof(rn_breaker, exhibit));

    snprintf(text, size, "%s, %llu succeeded, %llu failed, %llu rejected",
             rn_breaker_state_name(rn_breaker_state_now(b)),
             (unsigned long long)stripes_sum(&b->successes),
             (unsigned long long)total(&b->failures),
             (unsigned long long)stripes_sum(&b->rejected));
}

/* ---- making ---- */

static rn_breaker *make(const rn_breaker_config *c)
{
    rn_breaker *b = aligned_alloc(_Alignof(rn_breaker), sizeof *b);

    if (b == NULL)
        return NULL;
    memset(b, 0, sizeof *b);
    b->config = *c;
    b->probes = calloc(c->probes, sizeof *b->probes);
    if (b->probes == NULL || window_make(&b->window, c->window_calls, c->window) != 0) {
        rn_breaker_free(b);
        return NULL;
    }
    atomic_init(&b->word, RN_BREAKER_CLOSED);
    window_reset_locked(&b->window, 0);
    random_seed(&b->random, c->seed);
    return b;
}

int rn_breaker_new(rn_breaker **out, const rn_breaker_config *config)
{
    rn_breaker_config c = config == NULL ? (rn_breaker_config){0} : *config;
    int err = breaker_config_complete(&c);

    *out = NULL;
    if (err != 0)
        return err;
    *out = make(&c);
    if (*out == NULL)
        return -ENOMEM;
    if (c.name != NULL) {
        (*out)->exhibit = (rn_exhibit){.kind = "breaker", .name = c.name, .describe = describe};
        rn_exhibit_show(&(*out)->exhibit);
    }
    return 0;
}

void rn_breaker_free(rn_breaker *b)
{
    if (b == NULL)
        return;
    if (b->exhibit.name != NULL)
        rn_exhibit_hide(&b->exhibit);
    window_free(&b->window);
    free(b->probes);
    free(b);
}
