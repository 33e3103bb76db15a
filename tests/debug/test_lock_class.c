/* A build with RUNNEL_LOCK_ORDER finds locks that are taken against docs/locks.txt. */
/* ctest: LABELS=core LOCK_ORDER */
#include "base/asym.h"
#include "kit/mutex_class.h"
#include "sched/park.h"

#include "core.h"
#include "test.h"

/* One of each kind; chan.lock may be held over timer_heap.lock and ctx.lock, not the other way. */
static struct {
    SPINLOCK(outer, chan_lock);
    SPINLOCK(inner, timer_heap_lock);
    SPINLOCK(innermost, held_order);
    BIAS_LOCK(bias, runq_lock);
    MUTEX(mutex, group_lock);
    MUTEX(other, keyed_limiter_table);
    rn_mutex own;
} locks;

struct channel {
    SPINLOCK(lock, chan_lock);
};

TEST(what_the_file_allows_passes)
{
    spin_lock(&locks.outer);
    spin_lock(&locks.inner);
    spin_unlock(&locks.outer); /* in any order */
    spin_unlock(&locks.inner);
    spin_lock(&locks.inner);
    spin_unlock(&locks.inner);
}

TEST(a_chain_of_lines_passes)
{
    spin_lock(&locks.outer); /* < park < held.order */
    spin_lock(&locks.innermost);
    spin_unlock(&locks.innermost);
    spin_unlock(&locks.outer);
}

TEST_DIES(the_other_order_dies,
          "runnel: lock order: chan.lock is taken under timer_heap.lock, which docs/locks.txt does "
          "not allow\n[^\n]*test_lock_class",
          SIGABRT)
{
    spin_lock(&locks.inner);
    spin_lock(&locks.outer);
}

TEST_DIES(also_after_a_try, "chan.lock is taken under timer_heap.lock", SIGABRT)
{
    EXPECT(spin_try_lock(&locks.inner));
    spin_lock(&locks.outer);
}

TEST_DIES(also_through_a_pointer, "chan.lock is taken under timer_heap.lock", SIGABRT)
{
    struct spinlock *known = &locks.outer;

    spin_lock(&locks.outer);
    spin_unlock(&locks.outer);
    spin_lock(&locks.inner);
    spin_lock_known(known);
}

TEST_DIES(nothing_is_taken_under_a_biased_lock, "timer_heap.lock is taken under runq.lock", SIGABRT)
{
    bias_enter(&locks.bias);
    bias_exit(&locks.bias);
    bias_enter(&locks.bias);
    spin_lock(&locks.inner);
}

TEST_DIES(a_stranger_releases_nothing, "chan.lock is released by a thread that did not take it",
          SIGABRT)
{
    struct spinlock *lock = &locks.outer;

    spin_lock(&locks.outer);
    spin_unlock(lock);
    spin_unlock(lock);
}

/* ---- several of a class ---- */

TEST(several_of_a_class_pass_in_the_order_of_addresses)
{
    static struct channel channels[3];

    for (int i = 0; i < 3; i++)
        spin_lock_in_order(&channels[i].lock, chan_lock);
    spin_lock(&locks.inner);
    spin_unlock(&locks.inner);
    for (int i = 0; i < 3; i++)
        spin_unlock(&channels[i].lock);
}

TEST_DIES(against_the_order_of_addresses_dies, "chan.lock is taken under chan.lock", SIGABRT)
{
    static struct channel channels[2];

    spin_lock_in_order(&channels[1].lock, chan_lock);
    spin_lock_in_order(&channels[0].lock, chan_lock);
}

TEST_DIES(without_saying_so_dies, "chan.lock is taken under chan.lock", SIGABRT)
{
    static struct channel channels[2];

    spin_lock(&channels[0].lock);
    spin_lock(&channels[1].lock);
}

/* ---- parking ---- */

static void park_with_two_locks(void)
{
    static struct channel channels[2];

    for (int i = 0; i < 2; i++)
        spin_lock_in_order(&channels[i].lock, chan_lock);
    park_unlock(&channels[1].lock, WAIT_CHAN_RECV); /* the other stays */
}

TEST_DIES(parking_with_a_spin_lock_dies, "chan.lock is held when a fiber has left its stack",
          SIGABRT)
{
    test_on_fiber(park_with_two_locks);
}

/* ---- mutexes ---- */

TEST_DIES(a_mutex_under_a_spin_lock_dies, "a mutex of no class is taken under chan.lock", SIGABRT)
{
    spin_lock(&locks.outer);
    (rn_mutex_lock)(&locks.own);
}

static void take_in_between(void *arg)
{
    rn_mutex_lock(&locks.other);
    rn_mutex_unlock(&locks.other);
    atomic_store((atomic_int *)arg, 1);
}

/* What another fiber of the same worker holds does not count. */
TEST_FIBER(a_mutex_is_its_fibers)
{
    atomic_int done = 0;

    rn_mutex_lock(&locks.mutex);
    EXPECT_EQ(rn_go(take_in_between, &done), 0);
    await_count(&done, 1);
    rn_mutex_unlock(&locks.mutex);
    rn_mutex_lock(&locks.other);
    rn_mutex_unlock(&locks.other);
}

TEST_DIES(a_mutex_against_the_order_dies, "keyed_limiter.table is taken under group.lock", SIGABRT)
{
    rn_mutex_lock(&locks.mutex);
    rn_mutex_lock(&locks.other);
}
