/* Fiber-local variables. */
#include "core.h"
#include "test.h"

#include <pthread.h>

static rn_local first, second;
static atomic_int destroyed, destroyed_sum;

static void destroy(void *value)
{
    EXPECT(value != NULL);
    atomic_fetch_add(&destroyed, 1);
    atomic_fetch_add(&destroyed_sum, (int)(intptr_t)value);
}

static void make_locals(void)
{
    EXPECT_EQ(rn_local_new(&first, destroy), 0);
    EXPECT_EQ(rn_local_new(&second, NULL), 0);
    EXPECT(first.slot != second.slot);
}

struct user {
    int number;
    int_chan hold;
    atomic_int *ready;
};

static void use_locals(void *arg)
{
    struct user *u = arg;
    int value;

    EXPECT(rn_local_get(first) == NULL);
    EXPECT_EQ(rn_local_set(first, (void *)(intptr_t)u->number), 0);
    EXPECT_EQ(rn_local_set(second, u), 0);
    EXPECT_EQ(rn_recv(NULL, u->hold, &value), RN_ECLOSED); /* may resume on another thread */
    EXPECT_EQ((intptr_t)rn_local_get(first), u->number);
    EXPECT(rn_local_get(second) == u);
}

TEST_FIBER(each_fiber_has_its_own_values_and_they_are_destroyed_as_it_ends)
{
    enum { FIBERS = 100 };
    int_chan hold = rn_chan_make(int, 0);

    make_locals();
    for (int i = 1; i <= FIBERS; i++)
        EXPECT_EQ(rn_go_copy(use_locals, &(struct user){i, hold, NULL}), 0);
    await_waiters(hold, FIBERS);
    EXPECT(rn_local_get(first) == NULL);
    EXPECT_EQ(atomic_load(&destroyed), 0);
    EXPECT_EQ(rn_close(hold), 0);
    await_live(1);
    EXPECT_EQ(atomic_load(&destroyed), FIBERS);
    EXPECT_EQ(atomic_load(&destroyed_sum), FIBERS * (FIBERS + 1) / 2);
    rn_chan_release(hold);
}

static void set_and_unset(void *arg)
{
    (void)arg;
    EXPECT_EQ(rn_local_set(first, &destroyed), 0);
    EXPECT_EQ(rn_local_set(first, NULL), 0);
}

TEST_FIBER(a_value_of_null_is_not_destroyed)
{
    make_locals();
    EXPECT_EQ(rn_go(set_and_unset, NULL), 0);
    await_live(1);
    EXPECT_EQ(atomic_load(&destroyed), 0);
}

static rn_local again;

static void set_again(void *value)
{
    atomic_fetch_add(&destroyed, 1);
    rn_yield(); /* on the fiber itself: it may wait */
    if ((intptr_t)value > 1)
        EXPECT_EQ(rn_local_set(again, (void *)((intptr_t)value - 1)), 0);
}

static void set_three(void *arg)
{
    (void)arg;
    EXPECT_EQ(rn_local_set(again, (void *)3), 0);
}

TEST_FIBER(a_destroyer_may_set_a_value_again)
{
    EXPECT_EQ(rn_local_new(&again, set_again), 0);
    EXPECT_EQ(rn_go(set_three, NULL), 0);
    await_live(1);
    EXPECT_EQ(atomic_load(&destroyed), 3);
}

TEST_FIBER(a_variable_that_was_not_made_is_null_and_einval)
{
    rn_local none = {0}, wild = {1000000};

    EXPECT(rn_local_get(none) == NULL);
    EXPECT(rn_local_get(wild) == NULL);
    EXPECT_EQ(rn_local_set(none, &none), -EINVAL);
    EXPECT_EQ(rn_local_set(wild, &none), -EINVAL);
}

TEST_FIBER(the_65th_variable_is_enospc)
{
    rn_local local;

    for (int i = 0; i < 64; i++)
        EXPECT_EQ(rn_local_new(&local, NULL), 0);
    EXPECT_EQ(rn_local_set(local, &local), 0);
    EXPECT(rn_local_get(local) == &local);
    EXPECT_EQ(rn_local_new(&local, NULL), -ENOSPC);
}

static void *thread_main(void *arg)
{
    (void)arg;
    EXPECT(rn_local_get(first) == NULL);
    EXPECT_EQ(rn_local_set(first, (void *)5), 0);
    EXPECT_EQ((intptr_t)rn_local_get(first), 5);
    return NULL;
}

TEST(a_plain_thread_has_its_own_values_too)
{
    pthread_t thread;

    make_locals();
    EXPECT_EQ(rn_local_set(first, (void *)9), 0);
    EXPECT_EQ(pthread_create(&thread, NULL, thread_main, NULL), 0);
    pthread_join(thread, NULL);
    EXPECT_EQ(atomic_load(&destroyed_sum), 5);
    EXPECT_EQ((intptr_t)rn_local_get(first), 9);
    EXPECT_EQ(rn_local_set(first, NULL), 0);
    EXPECT_EQ(rn_stop(), 0);
}
