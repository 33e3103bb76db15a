/*
 * Slabs, the pool of free stacks, and the layout of one stack; see stack.h.
 *
 * Invariant: a slot is in exactly one place: in use, in a worker's cache, in a magazine of its
 * class, or in its slab's cold list. Guards are set when a slot is first used, for some more slots
 * at once, and stay until the slab goes.
 *
 * Hot stacks are listed in magazines, arrays of pointers, one of which comes with each slab: so
 * there is always room, and moving hundreds touches none of them. All magazines of a class that are
 * in use are full but for the first.
 */
#include "fiber/stack.h"

#include "base/check.h"
#include "base/list.h"
#include "base/spinlock.h"
#include "fiber/annotate.h"
#include "os/os.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLAB_SLOTS_MAX 64
#define SLAB_BYTES_MAX (16u << 20)
#define CLASS_COUNT 16  /* of STACK_BYTES_MIN << order bytes */
#define COLOUR_LINES 12 /* tops are spread over so many cache lines */
#define HOT_KEEP 256    /* hot stacks of a class that trimming leaves */
#define GUARD_PAGES 4   /* a frame larger than this could jump over the guard */
#define GUARD_BYTES_MIN (16u << 10)
/* what a stack has at least beside its guard, whatever the size of a page */
#define USABLE_BYTES_MIN (STACK_BYTES_MIN - GUARD_BYTES_MIN)
#define GUARD_BATCH 16 /* slots that get their guards at once */

struct magazine {
    struct magazine *next;
    uint32_t count;
    struct fiber *fibers[SLAB_SLOTS_MAX];
};

struct slab {
    struct list_node node;      /* in slabs */
    struct list_node cold_node; /* in its class's list while it has cold slots */
    char *base;
    uint32_t order; /* its class: slots of STACK_BYTES_MIN << order bytes */
    uint32_t slots;
    uint32_t cold_count;
    uint64_t guarded; /* a bit for each slot */
    uint8_t cold[SLAB_SLOTS_MAX];
    _Atomic(struct fiber *) fibers[SLAB_SLOTS_MAX]; /* set at first use */
    struct magazine magazine;                       /* holds stacks of any slab of its class */
};

struct stack_class {
    struct magazine *hot, *empty; /* linked by next */
    atomic_u32 hot_count;         /* written under the lock */
    struct list cold_slabs;
};

/* Guards everything in pool. Nothing else is taken under it. */
static struct {
    SPINLOCK(lock, stack_pool);
    struct stack_class classes[CLASS_COUNT];
    struct list slabs;
    uint64_t reserved;
    size_t guard_bytes;
    uint32_t least_class; /* the smallest that has room beside its guard */
    uint32_t default_class;
} pool = {.default_class = 3};

static size_t class_bytes(uint32_t order)
{
    return (size_t)STACK_BYTES_MIN << order;
}

static uint32_t class_for(size_t bytes)
{
    uint32_t order = pool.least_class;
    while (class_bytes(order) < bytes)
        order++;
    return order;
}

void stack_configure(size_t bytes)
{
    size_t page = os_page_size();
    pool.guard_bytes = page * GUARD_PAGES;
    if (pool.guard_bytes > GUARD_BYTES_MIN)
        pool.guard_bytes = page > GUARD_BYTES_MIN ? page : GUARD_BYTES_MIN;
    pool.least_class = 0; /* with pages of 64 KiB even a guard is more than the smallest stack */
    pool.least_class = class_for(pool.guard_bytes + USABLE_BYTES_MIN);
    pool.default_class = class_for(bytes * ANNOTATE_STACK_FACTOR);
}

size_t stack_default_bytes(void)
{
    return class_bytes(pool.default_class);
}

static char *slot_base(const struct slab *slab, uint32_t slot)
{
    return slab->base + slot * class_bytes(slab->order);
}

void *fiber_stack_low(const struct fiber *fiber)
{
    return slot_base(fiber->slab, fiber->slot) + pool.guard_bytes;
}

size_t fiber_stack_bytes(const struct fiber *fiber)
{
    return (size_t)((const char *)fiber - (const char *)fiber_stack_low(fiber));
}

/* The control block's place: below the top by a colour, on a cache line. */
static struct fiber *slot_fiber(const struct slab *slab, uint32_t slot)
{
    uintptr_t top = (uintptr_t)slot_base(slab, slot) + class_bytes(slab->order);
    uintptr_t colour = (slot * 5u % COLOUR_LINES) * CACHE_LINE;
    return (struct fiber *)((top - colour - sizeof(struct fiber)) & ~(uintptr_t)(CACHE_LINE - 1));
}

static struct slab *slab_new(uint32_t order)
{
    struct slab *slab = calloc(1, sizeof *slab);
    size_t slots = SLAB_BYTES_MAX / class_bytes(order);
    void *base;

    if (slab == NULL)
        return NULL;
    slab->slots = slots > SLAB_SLOTS_MAX ? SLAB_SLOTS_MAX : slots == 0 ? 1 : (uint32_t)slots;
    slab->order = order;
    if (os_reserve(&base, slab->slots * class_bytes(order)) != 0) {
        free(slab);
        return NULL;
    }
    annotate_slab_made(base, slab->slots * class_bytes(slab->order));
    slab->base = base;
    for (uint32_t i = 0; i < slab->slots; i++)
        slab->cold[i] = (uint8_t)(slab->slots - 1 - i);
    slab->cold_count = slab->slots;
    return slab;
}

static void cold_push_locked(struct slab *slab, uint32_t slot)
{
    if (slab->cold_count == 0)
        list_push_front(&pool.classes[slab->order].cold_slabs, &slab->cold_node);
    slab->cold[slab->cold_count++] = (uint8_t)slot;
}

static uint32_t cold_pop_locked(struct slab *slab)
{
    uint32_t slot = slab->cold[--slab->cold_count];
    if (slab->cold_count == 0)
        list_remove(&pool.classes[slab->order].cold_slabs, &slab->cold_node);
    return slot;
}

static bool is_guarded(const struct slab *slab, uint32_t slot)
{
    return slab->guarded >> slot & 1;
}

/* Slots that were taken from a slab's cold list, one after the other. */
struct cold_run {
    struct slab *slab;
    uint32_t slot;  /* the first */
    uint32_t count; /* more than one when they need guards */
    bool guarded;
};

static void cold_pop_run_locked(struct slab *slab, struct cold_run *run)
{
    uint32_t most = annotate_emulated() ? 1 : GUARD_BATCH;

    run->slab = slab;
    run->slot = cold_pop_locked(slab);
    run->guarded = is_guarded(slab, run->slot);
    run->count = 1;
    while (!run->guarded && run->count < most && slab->cold_count > 0) {
        uint32_t next = slab->cold[slab->cold_count - 1];
        if (next != run->slot + run->count || is_guarded(slab, next))
            break;
        cold_pop_locked(slab);
        run->count++;
    }
}

/* Cold slots of this class, taken; makes a slab when there is none. */
static int cold_take(uint32_t order, struct cold_run *run)
{
    struct list *list = &pool.classes[order].cold_slabs;

    spin_lock(&pool.lock);
    if (list_empty(list)) {
        spin_unlock(&pool.lock);
        struct slab *slab = slab_new(order);
        if (slab == NULL)
            return -ENOMEM;
        spin_lock(&pool.lock);
        list_push_back(&pool.slabs, &slab->node);
        list_push_front(list, &slab->cold_node);
        slab->magazine.next = pool.classes[order].empty;
        pool.classes[order].empty = &slab->magazine;
        pool.reserved += slab->slots;
    }
    cold_pop_run_locked(container_of(list->first, struct slab, cold_node), run);
    spin_unlock(&pool.lock);
    return 0;
}

/* Guards what was taken, as far as the system does at once, and gives back all but the first. */
static int guard(struct cold_run *run)
{
    struct slab *slab = run->slab;
    int done = os_guard(slot_base(slab, run->slot), pool.guard_bytes, class_bytes(slab->order),
                        run->count);

    spin_lock(&pool.lock);
    for (uint32_t i = run->count; i-- > 0;) {
        if ((int)i < done)
            slab->guarded |= 1ull << (run->slot + i);
        if (i > 0 || done < 0)
            cold_push_locked(slab, run->slot + i);
    }
    spin_unlock(&pool.lock);
    return done < 0 ? done : 0;
}

static const char *guard_detail(void)
{
    static char text[160]; /* the same words whoever writes them */

    snprintf(text, sizeof text,
             "cannot guard one more stack: the limit on mappings, vm.max_map_count = %ld, is "
             "reached (a kernel from 6.13 needs none)",
             os_mapping_limit());
    return text;
}

static int cold_open(struct fiber **out, uint32_t order, const char **detail)
{
    struct cold_run run;

    if (cold_take(order, &run) != 0) {
        *detail = "no address space for one more slab of stacks";
        return -ENOMEM;
    }
    if (!run.guarded && guard(&run) != 0) {
        *detail = guard_detail();
        return -ENOMEM;
    }
    struct slab *slab = run.slab;
    struct fiber *fiber = slot_fiber(slab, run.slot);
    fiber->kind = FIBER_STACK; /* at first use, or trimming zeroed the page */
    fiber->slab = slab;
    fiber->slot = run.slot;
    if (load_relaxed(&slab->fibers[run.slot]) == NULL) {
        annotate_stack_made(fiber, slot_base(slab, run.slot) + pool.guard_bytes, fiber);
        store_release(&slab->fibers[run.slot], fiber); /* E12: publishes it to dumps */
    }
    *out = fiber;
    return 0;
}

/* Up to `most` hot stacks of a class; returns how many. */
static uint32_t hot_take(uint32_t order, struct fiber **out, uint32_t most)
{
    struct stack_class *c = &pool.classes[order];
    uint32_t taken = 0;

    spin_lock(&pool.lock);
    while (taken < most && c->hot != NULL) {
        struct magazine *m = c->hot;
        uint32_t n = m->count < most - taken ? m->count : most - taken;
        m->count -= n;
        memcpy(out + taken, m->fibers + m->count, n * sizeof *out);
        taken += n;
        if (m->count == 0) {
            c->hot = m->next;
            m->next = c->empty;
            c->empty = m;
        }
    }
    store_relaxed(&c->hot_count, load_relaxed(&c->hot_count) - taken);
    spin_unlock(&pool.lock);
    return taken;
}

/* The magazine that has room. */
static struct magazine *hot_room_locked(struct stack_class *c)
{
    struct magazine *m = c->hot;

    if (m == NULL || m->count == SLAB_SLOTS_MAX) {
        m = c->empty;
        CHECK(m != NULL, "more stacks were given back than there are");
        c->empty = m->next;
        m->next = c->hot;
        c->hot = m;
    }
    return m;
}

static void hot_give(uint32_t order, struct fiber *const *fibers, uint32_t count)
{
    struct stack_class *c = &pool.classes[order];

    spin_lock(&pool.lock);
    for (uint32_t given = 0; given < count;) {
        struct magazine *m = hot_room_locked(c);
        uint32_t room = SLAB_SLOTS_MAX - m->count;
        uint32_t n = room < count - given ? room : count - given;
        memcpy(m->fibers + m->count, fibers + given, n * sizeof *fibers);
        m->count += n;
        given += n;
    }
    store_relaxed(&c->hot_count, load_relaxed(&c->hot_count) + count);
    spin_unlock(&pool.lock);
}

int stack_take(struct fiber **out, struct stack_cache *cache, size_t bytes, const char **detail)
{
    uint32_t order = pool.default_class;

    if (unlikely(bytes != 0))
        order = class_for(bytes);
    if (order != pool.default_class || cache == NULL)
        return hot_take(order, out, 1) == 1 ? 0 : cold_open(out, order, detail);
    if (unlikely(cache->count == 0)) {
        cache->count = hot_take(order, cache->free, STACK_BATCH);
        if (cache->count == 0)
            return cold_open(out, order, detail);
    }
    *out = cache->free[--cache->count];
    return 0;
}

/* Gives the oldest away: the others are hotter. */
static void cache_shrink(struct stack_cache *cache, uint32_t batch)
{
    hot_give(pool.default_class, cache->free, batch);
    cache->count -= batch;
    memmove(cache->free, cache->free + batch, cache->count * sizeof *cache->free);
}

void stack_give(struct stack_cache *cache, struct fiber *fiber)
{
    if (cache == NULL || fiber->slab->order != pool.default_class) {
        hot_give(fiber->slab->order, &fiber, 1);
        return;
    }
    cache->free[cache->count++] = fiber;
    if (unlikely(cache->count > STACK_CACHE_MAX))
        cache_shrink(cache, STACK_BATCH);
}

void stack_cache_flush(struct stack_cache *cache)
{
    if (cache->count > 0)
        cache_shrink(cache, cache->count);
}

/* Discards from the whole stack, control block included, what is in pages of its own. */
static void slot_discard(struct slab *slab, uint32_t slot)
{
    os_discard(slot_base(slab, slot) + pool.guard_bytes,
               class_bytes(slab->order) - pool.guard_bytes);
}

static uint32_t class_trim(uint32_t order)
{
    struct fiber *fibers[STACK_BATCH];
    uint32_t trimmed = 0;

    while (load_relaxed(&pool.classes[order].hot_count) > HOT_KEEP) {
        uint32_t count = hot_take(order, fibers, STACK_BATCH);
        for (uint32_t i = 0; i < count; i++, trimmed++) {
            struct slab *slab = fibers[i]->slab;
            uint32_t slot = fibers[i]->slot;
            slot_discard(slab, slot);
            spin_lock(&pool.lock);
            cold_push_locked(slab, slot);
            spin_unlock(&pool.lock);
        }
    }
    return trimmed;
}

uint32_t stack_trim(void)
{
    uint32_t trimmed = 0;
    for (uint32_t order = 0; order < CLASS_COUNT; order++)
        trimmed += class_trim(order);
    return trimmed;
}

static void slab_free(struct slab *slab)
{
    for (uint32_t i = 0; i < slab->slots; i++) {
        struct fiber *fiber = load_relaxed(&slab->fibers[i]);
        if (fiber != NULL)
            annotate_stack_gone(fiber);
    }
    os_unreserve(slab->base, slab->slots * class_bytes(slab->order));
    free(slab);
}

void stack_release_all(void)
{
    struct list_node *node;

    while ((node = list_pop_front(&pool.slabs)) != NULL)
        slab_free(container_of(node, struct slab, node));
    for (uint32_t order = 0; order < CLASS_COUNT; order++)
        memset(&pool.classes[order], 0, sizeof pool.classes[order]);
    pool.reserved = 0;
}

void stack_each(void (*fn)(struct fiber *fiber, void *arg), void *arg)
{
    spin_lock(&pool.lock);
    struct list_node *node = pool.slabs.first;
    spin_unlock(&pool.lock);
    while (node != NULL) {
        struct slab *slab = container_of(node, struct slab, node);
        for (uint32_t i = 0; i < slab->slots; i++) {
            struct fiber *fiber = load_acquire(&slab->fibers[i]);           /* E12 */
            if (fiber != NULL && load_acquire(&fiber->state) != FIBER_FREE) /* E12 */
                fn(fiber, arg);
        }
        spin_lock(&pool.lock); /* slabs are only added while fibers live */
        node = node->next;
        spin_unlock(&pool.lock);
    }
}

struct fiber *stack_guard_owner(const void *address)
{
    for (struct list_node *node = pool.slabs.first; node != NULL; node = node->next) {
        struct slab *slab = container_of(node, struct slab, node);
        uintptr_t offset = (uintptr_t)address - (uintptr_t)slab->base;
        if (offset >= slab->slots * class_bytes(slab->order))
            continue;
        uint32_t slot = (uint32_t)(offset / class_bytes(slab->order));
        if (offset % class_bytes(slab->order) < pool.guard_bytes)
            return load_acquire(&slab->fibers[slot]); /* E12 */
    }
    return NULL;
}

void stack_counts(uint64_t *reserved, uint64_t *pooled)
{
    spin_lock(&pool.lock);
    *reserved = pool.reserved;
    *pooled = 0;
    for (uint32_t order = 0; order < CLASS_COUNT; order++)
        *pooled += load_relaxed(&pool.classes[order].hot_count);
    spin_unlock(&pool.lock);
}
