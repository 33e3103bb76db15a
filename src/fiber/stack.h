/*
 * Stacks and the fibers on them.
 *
 * Stacks are cut from slabs of address space; only touched pages cost memory. Layout of one,
 * upwards: guard, usable stack, the control block (struct fiber), a coloured gap so that the tops
 * of different stacks do not share cache sets.
 *
 * A free stack is hot (its pages are there; in a worker's cache or in the pool) or cold (no pages,
 * or they were given back; only its slot number is kept, in its slab). Nothing is written to a free
 * stack: a thousand that are taken and given back touch no cache line of their own.
 */
#ifndef RN_FIBER_STACK_H
#define RN_FIBER_STACK_H

#include "fiber/fiber.h"

#define STACK_CACHE_MAX 1024 /* hot stacks a worker keeps */
#define STACK_BATCH 256      /* hot stacks moved between cache and pool at once */
#define STACK_BYTES_MIN RN_STACK_MIN
#define STACK_BYTES_MAX RN_STACK_MAX
#define STACK_BYTES_DEFAULT (256u << 10)

/*
 * Hot stacks of the default size, one for each worker; touched by its worker only. The last one was
 * given last.
 */
struct stack_cache {
    uint32_t count;
    struct fiber *free[STACK_CACHE_MAX + 1];
};

/* Sets the default size, a power of two within the limits. Before the first stack. */
void stack_configure(size_t bytes);
size_t stack_default_bytes(void);

/*
 * A stack of at least bytes (0: the default), its fiber's fields as the last user left them but for
 * slab, slot and context. cache may be NULL. -ENOMEM: *detail says why, when there is more to say
 * than that.
 */
int stack_take(struct fiber **out, struct stack_cache *cache, size_t bytes, const char **detail);
void stack_give(struct stack_cache *cache, struct fiber *fiber);

/* In exchange for a taken stack of the default size that was not used yet: the hottest. */
static inline struct fiber *stack_swap(struct stack_cache *cache, struct fiber *unused)
{
    if (cache->count == 0)
        return unused;
    struct fiber *hottest = cache->free[cache->count - 1];
    cache->free[cache->count - 1] = unused;
    return hottest;
}

/* Empties a cache into the pool. */
void stack_cache_flush(struct stack_cache *cache);

/* Gives the memory of hot stacks in the pool back, but for a few. Returns how many stacks. */
uint32_t stack_trim(void);
/* Frees every slab. No fiber may be alive. */
void stack_release_all(void);

/* Calls fn for each fiber in use; a racy look: fibers may come and go meanwhile. */
void stack_each(void (*fn)(struct fiber *fiber, void *arg), void *arg);
/* The fiber whose guard holds this address, or NULL. Takes no lock: for the fault handler. */
struct fiber *stack_guard_owner(const void *address);
void stack_counts(uint64_t *reserved, uint64_t *pooled);

#endif
