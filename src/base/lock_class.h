/*
 * Classes of locks, and the check that they are taken in the order of docs/locks.txt.
 *
 * Where a lock is declared its class is named: SPINLOCK(lock, chan_lock) in place of struct
 * spinlock lock, for the class that docs/locks.txt writes as chan.lock. A build with
 * RUNNEL_LOCK_ORDER checks each acquisition against everything that the thread, and the fiber on
 * it, holds already, and ends the process when no chain of the file's lines allows it. In any other
 * build all of this is nothing.
 *
 * A class travels in the type: beside the lock lies an array of no elements, whose element has the
 * class as its size. spin_lock(&ch->lock) finds it by pasting `_class` to the field's name. So a
 * lock without a class does not compile, and a class that is not in the file neither.
 *
 * Spin locks and biased locks belong to the thread that took them, for nobody keeps one over a
 * park but to have it released on the other side. Mutexes belong to the fiber; where there is none,
 * to the thread.
 */
#ifndef RN_BASE_LOCK_CLASS_H
#define RN_BASE_LOCK_CLASS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef RUNNEL_LOCK_ORDER

#include <lock_classes.h> /* made from docs/locks.txt */

#define LOCK_OF_CLASS(where, type, name, class_)                                                   \
    where char name##_class[0][LOCK_CLASS_##class_];                                               \
    type name
#define LOCK_CLASS_OF(lock) sizeof((lock##_class)[0][0])
#define LOCK_CLASS_NEXT(class_) lock_class_name_next(LOCK_CLASS_##class_)

/* The classes of mutexes that one fiber holds: a bit each. */
typedef struct lock_set {
    uint64_t bits;
} lock_set;

static inline void lock_set_clear(lock_set *set)
{
    set->bits = 0;
}

/* Given by sched/: the set of the running fiber; NULL: this is no worker. */
lock_set *lock_class_fiber(void);

/*
 * A spin lock or biased lock of this class is about to be taken, has been, has been released.
 * in_order: among locks of its class it is taken in the order of addresses; otherwise NULL.
 */
void lock_class_take(unsigned class, const void *in_order);
void lock_class_taken(unsigned class, const void *in_order);
void lock_class_left(unsigned class);

/* For a mutex: 0 is one that has no class, as the program's. */
void lock_class_take_mutex(unsigned class);
void lock_class_mutex_taken(unsigned class);
void lock_class_mutex_left(unsigned class);

/*
 * How a class comes from where a mutex is declared to the mutex: kit/ names it right before the
 * call, on the same thread, and the call claims it, once.
 */
void lock_class_name_next(unsigned class);
unsigned lock_class_claim(void);

/* Between two fibers: what runs here has nothing to do with the mutexes of either. */
void lock_class_between(bool is);

/* Nothing but mutexes may be held here: when a fiber parks, when the runtime starts. */
void lock_class_expect_none(const char *when);

#else

#define LOCK_OF_CLASS(where, type, name, class_) type name
#define LOCK_CLASS_NEXT(class_) ((void)0)

typedef struct lock_set {
} lock_set;

static inline void lock_set_clear(lock_set *set)
{
    (void)set;
}

static inline void lock_class_take_mutex(unsigned class)
{
    (void)class;
}

static inline void lock_class_mutex_taken(unsigned class)
{
    (void)class;
}

static inline void lock_class_mutex_left(unsigned class)
{
    (void)class;
}

static inline void lock_class_name_next(unsigned class)
{
    (void)class;
}

static inline unsigned lock_class_claim(void)
{
    return 0;
}

static inline void lock_class_between(bool is)
{
    (void)is;
}

static inline void lock_class_expect_none(const char *when)
{
    (void)when;
}

#endif
#endif
