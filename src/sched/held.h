/*
 * Which mutexes a fiber holds, under RUNNEL_DEBUG=lock: reports a wait for something else while one
 * is held, and an order of locking that can deadlock.
 *
 * Knows mutexes as addresses. Costs a load and a branch when it is off.
 */
#ifndef RN_SCHED_HELD_H
#define RN_SCHED_HELD_H

#include "fiber/fiber.h"
#include "sched/reasons.h"

extern atomic_u32 held_on; /* 1: RUNNEL_DEBUG=lock; changes only while the runtime starts */

static inline bool held_wanted(void)
{
    return unlikely(load_relaxed(&held_on) != 0);
}

/* The running fiber is about to wait for a mutex: does that fit the order seen so far? */
void held_order(const void *mutex);

/* It has locked one; it unlocks one. */
void held_add(const void *mutex);
void held_remove(const void *mutex);

/* It is about to park, perhaps under a spin lock. */
void held_park(struct fiber *self, enum wait_reason reason);

/* The fiber or thread ends. */
void held_free(struct fiber *fiber);

/* A runtime starts: what was seen is forgotten. */
void held_start(bool on);

#endif
