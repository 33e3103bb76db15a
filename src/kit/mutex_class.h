/*
 * Mutexes of the library: their classes, for a build that checks the order of docs/locks.txt.
 *
 * MUTEX(lock, group_lock) declares an rn_mutex of the class that the file writes as group.lock. A
 * build with RUNNEL_LOCK_ORDER then has each call on it name the class first; in any other build
 * this is an rn_mutex and nothing else. How the class is found is told in src/base/lock_class.h.
 */
#ifndef RUNNEL_KIT_MUTEX_CLASS_H
#define RUNNEL_KIT_MUTEX_CLASS_H

#include <runnel/cond.h>
#include <runnel/mutex.h>

#ifdef RUNNEL_LOCK_ORDER

#include <lock_classes.h> /* made from docs/locks.txt */

void lock_class_name_next(unsigned class_);

#define MUTEX(name, class_)                                                                        \
    char name##_class[0][LOCK_CLASS_##class_];                                                     \
    rn_mutex name
#define MUTEX_NAMED(m, call) (lock_class_name_next(sizeof((m##_class)[0][0])), call)

#define rn_mutex_lock(m) MUTEX_NAMED(m, rn_mutex_lock(m))
#define rn_mutex_lock_ctx(ctx, m) MUTEX_NAMED(m, rn_mutex_lock_ctx((ctx), m))
#define rn_mutex_try_lock(m) MUTEX_NAMED(m, rn_mutex_try_lock(m))
#define rn_mutex_unlock(m) MUTEX_NAMED(m, rn_mutex_unlock(m))
#define rn_cond_wait(ctx, c, m) MUTEX_NAMED(m, rn_cond_wait((ctx), (c), m))

#else

#define MUTEX(name, class_) rn_mutex name

#endif
#endif
