/*
 * The check of docs/locks.txt at run time; see base/lock_class.h. Empty in other builds.
 *
 * Whatever is held must come before what is taken, by some chain of the file's lines: `allowed` is
 * the transitive closure, made before main. Only locks that one thread has, or one fiber, are
 * looked at, so nothing here is shared but what never changes.
 */
#include "base/lock_class.h"

#ifdef RUNNEL_LOCK_ORDER

#include "base/check.h"

#include <stddef.h>

#define NAME(class_, text) [LOCK_CLASS_##class_] = text,
static const char *const names[LOCK_CLASS_COUNT] = {LOCK_CLASSES(NAME)};

_Static_assert(LOCK_CLASS_COUNT <= 64, "a set of classes is one word");

static uint64_t allowed[LOCK_CLASS_COUNT]; /* of each class: what may be taken under it */

/* What this thread holds. */
static __thread struct {
    uint64_t held;                    /* spin locks and biased locks */
    uint32_t count[LOCK_CLASS_COUNT]; /* of each class of those: a select has many channels' */
    const void *last;                 /* the last that was taken in the order of addresses */
    lock_set mutexes;                 /* of a thread that is no worker */
    unsigned next;                    /* the class of the mutex that is asked for next */
    bool between;                     /* two fibers */
} mine;

static uint64_t bit(unsigned class)
{
    return (uint64_t)1 << class;
}

__attribute__((constructor(101))) static void close_order(void)
{
#define PAIR(first, then) allowed[LOCK_CLASS_##first] |= bit(LOCK_CLASS_##then);
    LOCK_PAIRS(PAIR)
    for (unsigned over = 0; over < LOCK_CLASS_COUNT; over++)
        for (unsigned from = 0; from < LOCK_CLASS_COUNT; from++)
            if (allowed[from] & bit(over))
                allowed[from] |= allowed[over];
}

static lock_set *mutexes(void)
{
    lock_set *set = lock_class_fiber();

    return set == NULL ? &mine.mutexes : set;
}

/* All that counts as held here. */
static uint64_t held(void)
{
    return mine.between ? mine.held : mine.held | mutexes()->bits;
}

static const char *name_of(unsigned class)
{
    return class == 0 ? "a mutex of no class" : names[class];
}

__attribute__((noreturn)) static void violated(unsigned class, unsigned under)
{
    fatal_context = NULL; /* it takes locks, too, and might wait for one that is held here */
    fatal("lock order: %s is taken under %s, which docs/locks.txt does not allow", name_of(class),
          names[under]);
}

/* Whether each class of those is allowed above this one. */
static void check(uint64_t above, unsigned class)
{
    for (unsigned under = 1; under < LOCK_CLASS_COUNT; under++)
        if ((above & bit(under)) && !(allowed[under] & bit(class)))
            violated(class, under);
}

/* ---- spin locks and biased locks ---- */

void lock_class_take(unsigned class, const void *in_order)
{
    uint64_t above = held();

    if (in_order != NULL && in_order > mine.last)
        above &= ~bit(class);
    check(above, class);
}

void lock_class_taken(unsigned class, const void *in_order)
{
    mine.held |= bit(class);
    mine.count[class]++;
    mine.last = in_order;
}

void lock_class_left(unsigned class)
{
    if (mine.count[class] == 0)
        fatal("lock order: %s is released by a thread that did not take it", name_of(class));
    if (--mine.count[class] == 0)
        mine.held &= ~bit(class);
}

void lock_class_expect_none(const char *when)
{
    for (unsigned class = 1; class < LOCK_CLASS_COUNT; class ++)
        if (mine.held & bit(class)) {
            fatal_context = NULL;
            fatal("lock order: %s is held when %s", names[class], when);
        }
}

void lock_class_between(bool is)
{
    mine.between = is;
}

/* ---- mutexes ---- */

/* One that has no class may be taken under others of the kind, but under no spin lock. */
void lock_class_take_mutex(unsigned class)
{
    check(class == 0 ? mine.held : held(), class);
}

void lock_class_mutex_taken(unsigned class)
{
    if (class != 0)
        mutexes()->bits |= bit(class);
}

void lock_class_mutex_left(unsigned class)
{
    mutexes()->bits &= ~bit(class);
}

void lock_class_name_next(unsigned class)
{
    mine.next = class;
}

unsigned lock_class_claim(void)
{
    unsigned class = mine.next;

    mine.next = 0;
    return class;
}

#endif
