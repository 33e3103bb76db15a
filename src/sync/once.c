/*
 * Once: the first caller runs the function, the others wait for it, and later ones read the result.
 *
 * Invariant: result, and the value in the caller's memory, are written before state becomes DONE
 * and never after.
 */
#include "base/check.h"
#include "sync/wake.h"

#include <runnel/once.h>

enum once_state { ONCE_NEW, ONCE_DONE, ONCE_RUNNING }; /* ONCE_DONE: the header knows it as 1 */

struct __attribute__((may_alias)) once {
    atomic_u32 state;          /* enum once_state; written under lock */
    SPINLOCK(lock, once_lock); /* guards waiters, runner and changes of state; never held over fn */
    int result;                /* published by state */
    struct waitq waiters;
    struct fiber *runner; /* who runs fn */
};

_Static_assert(sizeof(struct once) == sizeof(rn_once), "rn_once has the wrong size");
_Static_assert(_Alignof(struct once) == _Alignof(rn_once), "rn_once has the wrong alignment");
_Static_assert(offsetof(struct once, state) == offsetof(rn_once, rn_done_), "not where it is read");
_Static_assert(offsetof(struct once, result) == offsetof(rn_once, rn_result_), "nor this");
_Static_assert(ONCE_DONE == 1, "the header reads it as 1");

static struct once *once_of(rn_once *o)
{
    return (struct once *)o;
}

static inline bool done(struct once *o)
{
    return likely(load_acquire(&o->state) == ONCE_DONE); /* pairs with E43 */
}

/*
 * True when the caller is to run the function and then to call finish; false when somebody else
 * has, for which it waits.
 */
static bool begin(struct once *o)
{
    struct fiber *me = fiber_here();
    struct waiter waiter;

    spin_lock(&o->lock);
    if (load_relaxed(&o->state) == ONCE_NEW) {
        store_relaxed(&o->state, ONCE_RUNNING);
        o->runner = me;
        spin_unlock(&o->lock);
        return true;
    }
    if (load_relaxed(&o->state) == ONCE_DONE) {
        spin_unlock(&o->lock);
        return false;
    }
    CHECK(o->runner != me, "once %p done again from inside its own function", (void *)o);
    waitq_wait(NULL, &o->waiters, &o->lock, &waiter, WAIT_ONCE);
    return false;
}

static void finish(struct once *o)
{
    struct list woken = {NULL, NULL};

    spin_lock(&o->lock);
    o->runner = NULL;
    store_release(&o->state, ONCE_DONE); /* E43: publishes result, and the value */
    waitq_take_all(&o->waiters, &woken);
    spin_unlock(&o->lock);
    wake_all(&woken, 0);
}

RN_API int rn_once_run(rn_once *once, int (*fn)(void *arg), void *arg)
{
    struct once *o = once_of(once);

    if (!done(o) && begin(o)) {
        o->result = fn(arg);
        finish(o);
    }
    return o->result;
}

RN_API int rn_once_run_into(rn_once *once, int (*fn)(void *arg, void *value), void *arg,
                            void *value)
{
    struct once *o = once_of(once);

    if (!done(o) && begin(o)) {
        o->result = fn(arg, value);
        finish(o);
    }
    return o->result;
}
