/*
 * Walkers: a structure that much depends on has a function that checks it whole, and that ends the
 * process with a sentence where it is not as its invariants say. A build with RUNNEL_LOCK_ORDER
 * runs it after every change, under the lock that guards the structure; in any other build WALK is
 * nothing, and the walkers are not compiled.
 *
 * What is long is walked once in so many changes as it is longer than WALK_ALWAYS: so a change
 * costs no more than a few dozen steps, however large the structure.
 */
#ifndef RN_BASE_WALK_H
#define RN_BASE_WALK_H

#ifdef RUNNEL_LOCK_ORDER

#include <stdbool.h>
#include <stddef.h>

#define WALK_ALWAYS 32

/* Whether a structure of this length is to be walked after this change. */
static inline bool walk_due(size_t length)
{
    static __thread size_t changes;

    return length <= WALK_ALWAYS || ++changes % (length / WALK_ALWAYS) == 0;
}

#define WALK(length, walk)                                                                         \
    do {                                                                                           \
        if (walk_due(length))                                                                      \
            walk;                                                                                  \
    } while (0)

#else

#define WALK(length, walk) ((void)0)

#endif
#endif
