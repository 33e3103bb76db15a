/*
 * Which mutexes and reader-writer locks a fiber holds, under RUNNEL_DEBUG=lock: reports a wait for
 * something else while one is held, and an order of locking that can deadlock.
 *
 * Knows them as addresses. Costs a load and a branch when it is off.
 */
#ifndef RN_SCHED_HELD_H
#define RN_SCHED_HELD_H

#include "fiber/fiber.h"
#include "sched/reasons.h"

enum held_kind { HELD_MUTEX, HELD_READ, HELD_WRITE };

extern atomic_u32 held_on; /* 1: RUNNEL_DEBUG=lock; changes only while the runtime starts */

static inline bool held_wanted(void)
{
    return unlikely(load_relaxed(&held_on) != 0);
}

/* The running fiber is about to lock one: does that fit the order seen so far? */
void held_order(const void *lock, enum held_kind kind);

/* It has locked one; it unlocks one. */
void held_add(const void *lock, enum held_kind kind);
void held_remove(const void *lock);

/* Whether it is known to hold this one so. */
bool held_has(const void *lock, enum held_kind kind);
/* It is about to lock for reading what it has locked for reading. */
void held_read_again(const void *lock);

/* It is about to park, perhaps under a spin lock. */
void held_park(struct fiber *self, enum wait_reason reason);

/* The fiber or thread ends. */
void held_free(struct fiber *fiber);

/* A runtime starts: what was seen is forgotten. */
void held_start(bool on);

#endif
