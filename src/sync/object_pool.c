/*
 * Object pool: a cache of idle objects for each slot (sync/slot.h), under a biased lock.
 *
 * The thread whose slot it is gets and puts with plain stores; others come to steal or to age, with
 * a membarrier. Threads without a slot of their own share one cache, which they visit.
 *
 * A cache has two generations. Put pushes to fresh; get pops fresh, then old. An ageing destroys
 * old and makes fresh the old one: so what is destroyed has not been used between two ageings.
 *
 * Invariants:
 *   - an object's owner word says whether it is out (the pool's address) or idle (with bit 0).
 *   - limited: the objects and the allowance of all caches, and budget, add up to what .bytes_max
 *     allows; so the idle ones are never more.
 *   - no function of the program's runs under a cache's lock.
 */
#include "base/check.h"
#include "fiber/annotate.h"
#include "sync/hash.h"
#include "sync/slot.h"

#include <runnel/debug.h>
#include <runnel/object_pool.h>
#include <stdio.h>
#include <stdlib.h>

#define BYTES_MAX ((size_t)1 << 30)
#define CACHES_MAX 512    /* slots with a cache of their own */
#define STEAL_MAX 32      /* objects at once: so long is the lock held */
#define ALLOWANCE_STEP 16 /* objects' worth of the budget that a cache takes or returns, at most */
#define PUTS_BETWEEN_LOOKS 64 /* at the clock; a power of two */
#define POISON 0xa5

/* Before each object; behind it, with poison, the sum of what lies in it. */
struct item {
    struct item *next;
    uintptr_t owner;
};

struct stack {
    struct item *top;
    uint32_t count; /* others peek */
};

struct cache {
    BIAS_LOCK(lock, cache_lock); /* guards the rest */
    struct stack fresh, old;
    uint32_t allowance; /* limited: so many objects may still be put in; others peek */
    atomic_u64 gets, puts;
};

struct rn_object_pool {
    size_t object_size;
    bool poison;
    bool limited;
    bool plain; /* neither: the short way through get and put */
    rn_object_pool_config config;
    rn_exhibit exhibit;
    _Atomic(struct cache *) caches[CACHES_MAX];

    cache_aligned struct cache shared;
    cache_aligned atomic_i64 budget; /* limited: objects that no cache may put in yet */
    atomic_i64 aged_at;
    atomic_u32 ageing; /* 1: a call is at it */
    atomic_u64 made, destroyed, stolen, refused, aged;
};

/* ---- objects ---- */

static const struct hash_key sum_key = {
    {0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb, 0xd6e8feb86659fd93}};

static void *object_of(struct item *item)
{
    return item + 1;
}

static struct item *item_of(void *object)
{
    return (struct item *)object - 1;
}

static size_t item_bytes(const struct rn_object_pool *pool)
{
    return sizeof(struct item) + pool->object_size + (pool->poison ? sizeof(uint64_t) : 0);
}

/* Twice gives back what was there: so what construct made is kept. */
static void scramble(unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] ^= POISON;
}

/* From here on nobody may touch the object. */
static void hide(struct rn_object_pool *pool, struct item *item)
{
    char *object = object_of(item);

    if (unlikely(pool->poison)) {
        scramble((unsigned char *)object, pool->object_size);
        uint64_t sum = hash_bytes(&sum_key, object, pool->object_size);
        memcpy(object + pool->object_size, &sum, sizeof sum);
    }
    item->owner = (uintptr_t)pool | 1;
    annotate_idle(object, pool->object_size);
}

static void *show(struct rn_object_pool *pool, struct item *item)
{
    char *object = object_of(item);

    annotate_used(object, pool->object_size);
    if (unlikely(pool->poison)) {
        uint64_t sum = hash_bytes(&sum_key, object, pool->object_size);
        CHECK(memcmp(object + pool->object_size, &sum, sizeof sum) == 0,
              "object %p was written to after it was put back into its pool", (void *)object);
        scramble((unsigned char *)object, pool->object_size);
    }
    item->owner = (uintptr_t)pool;
    return object;
}

__attribute__((noreturn, cold, noinline)) static void not_out(struct rn_object_pool *pool,
                                                              struct item *item)
{
    if (item->owner == ((uintptr_t)pool | 1))
        fatal("object %p put back twice into pool %p", object_of(item), (void *)pool);
    fatal("object %p put back into pool %p, which it is not of", object_of(item), (void *)pool);
}

static inline void check_out(struct rn_object_pool *pool, struct item *item)
{
    if (unlikely(item->owner != (uintptr_t)pool))
        not_out(pool, item);
}

/* An object that is out. */
static void destroy(struct rn_object_pool *pool, struct item *item)
{
    if (pool->config.destroy != NULL)
        pool->config.destroy(pool->config.arg, object_of(item));
    item->owner = 0;
    free(item);
    add_relaxed(&pool->destroyed, 1);
}

static int make_object(struct rn_object_pool *pool, void **object)
{
    struct item *item = calloc(1, item_bytes(pool));
    int err = 0;

    *object = NULL;
    if (item == NULL)
        return -ENOMEM;
    item->owner = (uintptr_t)pool;
    if (pool->config.construct != NULL)
        err = pool->config.construct(pool->config.arg, object_of(item));
    if (err != 0) {
        free(item);
        return err;
    }
    add_relaxed(&pool->made, 1);
    *object = object_of(item);
    return 0;
}

static int make(struct rn_object_pool *pool, void **object)
{
    int err = make_object(pool, object);

    if (pool->config.on_made != NULL)
        pool->config.on_made(pool->config.events_arg, err);
    return err;
}

/* ---- stacks ---- */

static inline void push(struct stack *stack, struct item *item)
{
    item->next = stack->top;
    stack->top = item;
    store_owned(&stack->count, stack->count + 1);
}

static inline struct item *pop(struct stack *stack)
{
    struct item *item = stack->top;

    if (item != NULL) {
        stack->top = item->next;
        store_owned(&stack->count, stack->count - 1);
    }
    return item;
}

static uint32_t peek(struct stack *stack)
{
    return peek_owned(&stack->count);
}

/* ---- caches ---- */

__attribute__((noinline)) static struct cache *cache_new(struct rn_object_pool *pool,
                                                         uint32_t index)
{
    struct cache *cache = aligned_alloc(CACHE_LINE,
                                        (sizeof *cache + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);

    if (cache == NULL)
        return &pool->shared;
    *cache = (struct cache){.allowance = 0};
    store_release(&pool->caches[index], cache); /* E67: the cache is complete */
    return cache;
}

static inline struct cache *cache_here(struct rn_object_pool *pool)
{
    uint32_t index = slot_index(slot_here());
    struct cache *cache;

    if (unlikely(index >= CACHES_MAX))
        return &pool->shared;
    cache = load_relaxed(&pool->caches[index]);
    return likely(cache != NULL) ? cache : cache_new(pool, index);
}

static inline void enter(struct rn_object_pool *pool, struct cache *cache)
{
    if (likely(cache != &pool->shared))
        bias_enter(&cache->lock);
    else
        bias_visit(&cache->lock);
}

static inline void leave(struct rn_object_pool *pool, struct cache *cache)
{
    if (likely(cache != &pool->shared))
        bias_exit(&cache->lock);
    else
        bias_leave(&cache->lock);
}

/* The i-th cache of all, or NULL; the last one is the shared one. */
static struct cache *cache_at(struct rn_object_pool *pool, uint32_t i)
{
    return i < CACHES_MAX ? load_acquire(&pool->caches[i]) : &pool->shared; /* pairs with E67 */
}

/* Caches after this one exist in no slot. */
static uint32_t caches_count(void)
{
    uint32_t slots_now = load_acquire(&slots_count);

    return slots_now < CACHES_MAX ? slots_now : CACHES_MAX;
}

/* ---- the limit ---- */

/* Under the lock. An object has left the cache; more allowance than it needs goes back. */
static void left_locked(struct rn_object_pool *pool, struct cache *cache, size_t objects)
{
    size_t allowance = cache->allowance + objects;

    if (allowance > 2 * ALLOWANCE_STEP) {
        add_seq(&pool->budget, (int64_t)(allowance - ALLOWANCE_STEP));
        allowance = ALLOWANCE_STEP;
    }
    store_owned(&cache->allowance, (uint32_t)allowance);
}

/* Under the lock. False: the budget is spent. Of a small one a part is left for other caches. */
static bool allow_locked(struct rn_object_pool *pool, struct cache *cache)
{
    int64_t budget = load_seq(&pool->budget), take;
    uint32_t allowance = cache->allowance;

    while (allowance == 0 && budget > 0) {
        take = budget / 4 < ALLOWANCE_STEP ? budget / 4 + 1 : ALLOWANCE_STEP;
        if (cas_seq(&pool->budget, &budget, budget - take))
            allowance = (uint32_t)take;
    }
    if (allowance == 0)
        return false;
    store_owned(&cache->allowance, allowance - 1);
    return true;
}

/* Moves what others may still put in to the budget; nothing, when the pool is full. */
__attribute__((noinline)) static void collect_allowances(struct rn_object_pool *pool)
{
    struct cache *here = cache_here(pool);

    for (uint32_t i = 0, n = caches_count(); i <= n; i++) {
        struct cache *cache = cache_at(pool, i < n ? i : CACHES_MAX);
        if (cache == NULL || cache == here || peek_owned(&cache->allowance) == 0 ||
            !bias_try_visit(&cache->lock))
            continue;
        add_seq(&pool->budget, cache->allowance);
        store_owned(&cache->allowance, 0);
        bias_leave(&cache->lock);
    }
}

/* ---- ageing ---- */

/* What to destroy; with the lock of each cache for a moment only. */
static void age_cache(struct rn_object_pool *pool, struct cache *cache, bool own,
                      struct stack *doomed)
{
    struct item *item;
    struct stack gone;

    if (peek(&cache->fresh) == 0 && peek(&cache->old) == 0)
        return;
    if (own)
        enter(pool, cache);
    else
        bias_visit(&cache->lock);
    gone = cache->old;
    cache->old.top = cache->fresh.top;
    store_owned(&cache->old.count, cache->fresh.count);
    cache->fresh.top = NULL;
    store_owned(&cache->fresh.count, 0);
    if (pool->limited)
        left_locked(pool, cache, gone.count);
    if (own)
        leave(pool, cache);
    else
        bias_leave(&cache->lock);
    while ((item = pop(&gone)) != NULL)
        push(doomed, item);
}

RN_API size_t rn_object_pool_age_untyped(struct rn_object_pool *pool)
{
    struct stack doomed = {NULL, 0};
    struct cache *here;
    struct item *item;
    size_t count;

    if (swap_seq(&pool->ageing, 1) != 0)
        return 0;
    store_relaxed(&pool->aged_at, rn_clock_now(pool->config.clock));
    here = cache_here(pool); /* the program's clock may have moved this fiber to another worker */
    for (uint32_t i = 0, n = caches_count(); i <= n; i++) {
        struct cache *cache = cache_at(pool, i < n ? i : CACHES_MAX);
        if (cache != NULL)
            age_cache(pool, cache, cache == here, &doomed);
    }
    store_seq(&pool->ageing, 0);
    count = doomed.count;
    add_relaxed(&pool->aged, count);
    while ((item = pop(&doomed)) != NULL) {
        show(pool, item);
        destroy(pool, item);
    }
    if (count > 0 && pool->config.on_aged != NULL)
        pool->config.on_aged(pool->config.events_arg, count);
    return count;
}

/* Looks at the clock. Under no lock. */
__attribute__((noinline)) static void age_in_time(struct rn_object_pool *pool)
{
    rn_duration period = pool->config.ageing_period;

    if (period != RN_FOREVER &&
        rn_clock_now(pool->config.clock) - load_relaxed(&pool->aged_at) >= period)
        (void)rn_object_pool_age_untyped(pool);
}

/* ---- get ---- */

/* Moves up to half of one generation over; one object of it is returned. */
static struct item *steal_generation(struct stack *from, struct stack *to)
{
    uint32_t count = (from->count + 1) / 2;
    struct item *item = pop(from), *other;

    for (uint32_t i = 1; i < count && i < STEAL_MAX && (other = pop(from)) != NULL; i++)
        push(to, other);
    return item;
}

/* One object of another cache, and in `loot` some more, by generation. */
static struct item *steal_from(struct rn_object_pool *pool, struct cache *victim,
                               struct stack loot[2])
{
    struct item *item;

    if ((peek(&victim->fresh) == 0 && peek(&victim->old) == 0) || !bias_try_visit(&victim->lock))
        return NULL;
    item = steal_generation(&victim->fresh, &loot[0]);
    if (item == NULL)
        item = steal_generation(&victim->old, &loot[1]);
    if (item != NULL && pool->limited)
        left_locked(pool, victim, 1); /* the others' part of the limit goes with them */
    bias_leave(&victim->lock);
    return item;
}

static struct item *steal(struct rn_object_pool *pool)
{
    struct cache *here = cache_here(pool);
    struct stack loot[2] = {{NULL, 0}, {NULL, 0}};
    uint32_t count = caches_count(), first = slot_index(slot_here());
    struct item *item = NULL, *other;

    for (uint32_t i = 0; item == NULL && i <= count; i++) {
        uint32_t at = (first + 1 + i) % (count + 1);
        struct cache *victim = cache_at(pool, at < count ? at : CACHES_MAX);
        if (victim != NULL && victim != here)
            item = steal_from(pool, victim, loot);
    }
    if (item == NULL)
        return NULL;
    add_relaxed(&pool->stolen, 1 + loot[0].count + loot[1].count);
    enter(pool, here);
    while ((other = pop(&loot[0])) != NULL)
        push(&here->fresh, other);
    while ((other = pop(&loot[1])) != NULL)
        push(&here->old, other);
    leave(pool, here);
    return item;
}

/* The cache has none. */
__attribute__((noinline)) static int get_elsewhere(struct rn_object_pool *pool, void **object)
{
    struct item *item = steal(pool);

    if (item != NULL)
        *object = show(pool, item);
    age_in_time(pool);
    return item != NULL ? 0 : make(pool, object);
}

static inline struct item *take_locked(struct cache *cache)
{
    struct item *item = pop(&cache->fresh);

    if (unlikely(item == NULL))
        item = pop(&cache->old);
    count_up(&cache->gets);
    return item;
}

__attribute__((noinline)) static int get_checked(struct rn_object_pool *pool, struct cache *cache,
                                                 void **object)
{
    struct item *item;

    enter(pool, cache);
    item = take_locked(cache);
    if (pool->limited && item != NULL)
        left_locked(pool, cache, 1);
    leave(pool, cache);
    if (item == NULL)
        return get_elsewhere(pool, object);
    *object = show(pool, item);
    return 0;
}

RN_API int rn_object_pool_get_untyped(struct rn_object_pool *pool, void **object)
{
    struct cache *cache = cache_here(pool);
    struct item *item;

    if (unlikely(!pool->plain || cache == &pool->shared))
        return get_checked(pool, cache, object);
    bias_enter(&cache->lock);
    item = take_locked(cache);
    bias_exit(&cache->lock);
    if (unlikely(item == NULL))
        return get_elsewhere(pool, object);
    annotate_used(object_of(item), pool->object_size);
    item->owner = (uintptr_t)pool;
    *object = object_of(item);
    return 0;
}

/* ---- put ---- */

static void refuse(struct rn_object_pool *pool, struct item *item)
{
    show(pool, item);
    destroy(pool, item);
    add_relaxed(&pool->refused, 1);
    if (pool->config.on_refused != NULL)
        pool->config.on_refused(pool->config.events_arg);
}

/* Returns how many were put into this cache so far. */
static inline uint64_t add_locked(struct cache *cache, struct item *item)
{
    uint64_t puts = load_relaxed(&cache->puts) + 1;

    store_relaxed(&cache->puts, puts);
    if (likely(item != NULL))
        push(&cache->fresh, item);
    return puts;
}

__attribute__((noinline)) static void put_checked(struct rn_object_pool *pool, struct cache *cache,
                                                  struct item *item)
{
    uint64_t puts;
    bool kept;

    hide(pool, item);
    enter(pool, cache);
    kept = !pool->limited || allow_locked(pool, cache);
    if (unlikely(!kept)) {
        leave(pool, cache);
        collect_allowances(pool);
        enter(pool, cache);
        kept = allow_locked(pool, cache);
    }
    puts = add_locked(cache, kept ? item : NULL);
    leave(pool, cache);
    if (!kept)
        refuse(pool, item);
    if (puts % PUTS_BETWEEN_LOOKS == 0)
        age_in_time(pool);
}

RN_API void rn_object_pool_put_untyped(struct rn_object_pool *pool, void *object)
{
    struct cache *cache;
    struct item *item;
    uint64_t puts;

    if (unlikely(object == NULL))
        return;
    item = item_of(object);
    check_out(pool, item);
    if (pool->config.reset != NULL)
        pool->config.reset(pool->config.arg, object);
    cache = cache_here(pool);
    if (unlikely(!pool->plain || cache == &pool->shared)) {
        put_checked(pool, cache, item);
        return;
    }
    item->owner = (uintptr_t)pool | 1;
    annotate_idle(object, pool->object_size);
    bias_enter(&cache->lock);
    puts = add_locked(cache, item);
    bias_exit(&cache->lock);
    if (unlikely(puts % PUTS_BETWEEN_LOOKS == 0))
        age_in_time(pool);
}

RN_API void rn_object_pool_discard_untyped(struct rn_object_pool *pool, void *object)
{
    if (object == NULL)
        return;
    check_out(pool, item_of(object));
    destroy(pool, item_of(object));
}

/* ---- making, freeing, looking ---- */

static uint64_t idle_objects(const struct rn_object_pool *pool)
{
    struct rn_object_pool *p = (struct rn_object_pool *)pool;
    uint64_t idle = 0;

    for (uint32_t i = 0, n = caches_count(); i <= n; i++) {
        struct cache *cache = cache_at(p, i < n ? i : CACHES_MAX);
        if (cache != NULL)
            idle += peek(&cache->fresh) + peek(&cache->old);
    }
    return idle;
}

static void describe(const rn_exhibit *exhibit, char *text, size_t size)
{
    struct rn_object_pool *pool = container_of((rn_exhibit *)exhibit, struct rn_object_pool,
                                               exhibit);
    uint64_t destroyed = load_relaxed(&pool->destroyed), idle = idle_objects(pool);

    snprintf(text, size, "%llu objects, %llu idle",
             (unsigned long long)(load_relaxed(&pool->made) - destroyed), (unsigned long long)idle);
}

static int check_config(size_t object_size, const rn_object_pool_config *config)
{
    if (object_size == 0 || object_size > BYTES_MAX)
        return rn_error_with(-EINVAL, "object pool: the size is %zu: allowed are 1 to %zu",
                             object_size, BYTES_MAX);
    if (config->ageing_period < 0)
        return rn_error_with(-EINVAL, "object pool: .ageing_period is %lld: allowed are 0 and more",
                             (long long)config->ageing_period);
    if (config->bytes_max != 0 && config->bytes_max < config->object_bytes)
        return rn_error_with(-EINVAL,
                             "object pool: .bytes_max is %zu: allowed are 0, and %zu (one object) "
                             "and more",
                             config->bytes_max, config->object_bytes);
    return 0;
}

static bool poison_always(void)
{
#ifdef NDEBUG
    return false;
#else
    return true;
#endif
}

static void set_up(struct rn_object_pool *pool, size_t object_size,
                   const rn_object_pool_config *config)
{
    *pool = (struct rn_object_pool){.object_size = object_size, .config = *config};
    pool->poison = config->poison || poison_always();
    pool->limited = config->bytes_max != 0;
    pool->plain = !pool->poison && !pool->limited;
    if (pool->limited)
        store_relaxed(&pool->budget, (int64_t)(config->bytes_max / config->object_bytes));
    store_relaxed(&pool->aged_at, rn_clock_now(config->clock));
    pool->exhibit = (rn_exhibit){.kind = "object pool", .name = config->name, .describe = describe};
    if (config->name != NULL)
        rn_exhibit_show(&pool->exhibit);
}

RN_API int rn_object_pool_new_untyped(struct rn_object_pool **out, size_t object_size,
                                      const rn_object_pool_config *config)
{
    rn_object_pool_config c = {0};
    struct rn_object_pool *pool;
    int err;

    *out = NULL;
    if (config != NULL)
        c = *config;
    if (c.object_bytes == 0)
        c.object_bytes = object_size;
    if ((err = check_config(object_size, &c)) != 0)
        return err;
    if (c.ageing_period == 0)
        c.ageing_period = RN_MINUTE;
    fence_settle();
    pool = aligned_alloc(CACHE_LINE, sizeof *pool);
    if (pool == NULL)
        return -ENOMEM;
    set_up(pool, object_size, &c);
    *out = pool;
    return 0;
}

static void free_cache(struct rn_object_pool *pool, struct cache *cache)
{
    struct item *item;

    while ((item = pop(&cache->fresh)) != NULL || (item = pop(&cache->old)) != NULL) {
        show(pool, item);
        destroy(pool, item);
    }
    if (cache != &pool->shared)
        free(cache);
}

RN_API void rn_object_pool_free_untyped(struct rn_object_pool *pool)
{
    uint64_t out;

    if (pool == NULL)
        return;
    if (pool->config.name != NULL)
        rn_exhibit_hide(&pool->exhibit);
    out = load_seq(&pool->made) - load_seq(&pool->destroyed) - idle_objects(pool);
    CHECK(out == 0, "pool %p freed while %llu of its objects are not back", (void *)pool,
          (unsigned long long)out);
    for (uint32_t i = 0; i <= CACHES_MAX; i++)
        if (cache_at(pool, i) != NULL)
            free_cache(pool, cache_at(pool, i));
    free(pool);
}

RN_API void rn_object_pool_stats_read_untyped(struct rn_object_pool *pool,
                                              rn_object_pool_stats *out)
{
    *out = (rn_object_pool_stats){.made = load_relaxed(&pool->made),
                                  .destroyed = load_relaxed(&pool->destroyed),
                                  .stolen = load_relaxed(&pool->stolen),
                                  .refused = load_relaxed(&pool->refused),
                                  .aged = load_relaxed(&pool->aged),
                                  .idle = idle_objects(pool)};
    for (uint32_t i = 0; i <= CACHES_MAX; i++) {
        struct cache *cache = cache_at(pool, i);
        if (cache == NULL)
            continue;
        out->gets += load_relaxed(&cache->gets);
        out->puts += load_relaxed(&cache->puts);
    }
}
