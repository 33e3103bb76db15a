/* Once: exactly one run, whatever comes of it; everybody learns its result. */
#include "core.h"
#include "sync/waiting.h"
#include "test.h"

#include <pthread.h>
#include <runnel/once.h>
#include <runnel/wait_group.h>
#include <signal.h>

#define PEERS 8

static int count(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
    return 0;
}

static int fail(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
    return -EIO;
}

TEST(it_runs_once)
{
    rn_once o = {0};
    atomic_int runs = 0;

    for (int i = 0; i < 3; i++)
        EXPECT_EQ(rn_once_do(&o, count, &runs), 0);
    EXPECT_EQ(atomic_load(&runs), 1);
}

TEST(a_failure_is_remembered_and_not_tried_again)
{
    rn_once o = {0};
    atomic_int runs = 0;

    for (int i = 0; i < 3; i++)
        EXPECT_EQ(rn_once_do(&o, fail, &runs), -EIO);
    EXPECT_EQ(rn_once_do(&o, count, &runs), -EIO); /* another function changes nothing */
    EXPECT_EQ(atomic_load(&runs), 1);
}

struct point {
    int x, y;
    void *from;
};

typedef rn_once_value(struct point) once_point;

static int make(void *arg, struct point *value)
{
    EXPECT(value->x == 0 && value->from == NULL);
    *value = (struct point){1, 2, arg};
    return 0;
}

static int make_badly(void *arg, struct point *value)
{
    make(arg, value);
    return -EIO;
}

TEST(the_value_form_hands_out_the_first_value)
{
    once_point o = {0};
    int first, second;
    struct point p = {0};

    EXPECT_EQ(rn_once_value_get(&o, make, &first, &p), 0);
    EXPECT(p.from == &first && p.x == 1 && p.y == 2);
    p = (struct point){0};
    EXPECT_EQ(rn_once_value_get(&o, make, &second, &p), 0);
    EXPECT(p.from == &first && p.x == 1);
    EXPECT_EQ(rn_once_value_get(&o, make_badly, &second, NULL), 0);
}

TEST(the_value_form_gives_code_and_value_of_a_failure)
{
    once_point o = {0};
    int first;
    struct point p = {0};

    EXPECT_EQ(rn_once_value_get(&o, make_badly, &first, NULL), -EIO);
    EXPECT_EQ(rn_once_value_get(&o, make, NULL, &p), -EIO);
    EXPECT(p.from == &first);
}

struct getter {
    once_point *once;
    rn_wait_group *wg;
    atomic_int *runs;
};

static int make_slowly_for_getters(void *arg, struct point *value)
{
    struct getter *g = arg;

    await_waiting("once", PEERS - 1);
    atomic_fetch_add(g->runs, 1);
    return make(g, value) + 7;
}

static void get(void *arg)
{
    struct getter *g = arg;
    struct point p;

    EXPECT_EQ(rn_once_value_get(g->once, make_slowly_for_getters, g, &p), 7);
    EXPECT(p.x == 1 && p.y == 2);
    rn_wait_group_done(g->wg);
}

TEST_FIBER(getters_wait_for_the_value)
{
    once_point o = {0};
    rn_wait_group wg = {0};
    atomic_int runs = 0;
    struct getter g = {&o, &wg, &runs};

    rn_wait_group_add(&wg, PEERS);
    for (int i = 0; i < PEERS; i++)
        EXPECT_EQ(rn_go(get, &g), 0);
    EXPECT_EQ(rn_wait_group_wait(NULL, &wg), 0);
    EXPECT_EQ(atomic_load(&runs), 1);
}

struct caller {
    rn_once *once;
    rn_wait_group *wg;
    int *made;             /* written by who runs the function, without a lock */
    atomic_int *runs, *go; /* the function ends when go is not 0 */
};

static int make_slowly(void *arg)
{
    struct caller *c = arg;

    while (atomic_load(c->go) == 0)
        rn_yield();
    *c->made = 42;
    atomic_fetch_add(c->runs, 1);
    return -EIO;
}

static void call(void *arg)
{
    struct caller *c = arg;

    EXPECT_EQ(rn_once_do(c->once, make_slowly, c), -EIO);
    EXPECT_EQ(*c->made, 42);
    rn_wait_group_done(c->wg);
}

static void *call_on_thread(void *arg)
{
    call(arg);
    return NULL;
}

TEST_FIBER(callers_wait_for_the_one_that_runs)
{
    rn_once o = {0};
    rn_wait_group wg = {0};
    int made = 0;
    atomic_int runs = 0, go = 0;
    struct caller c = {&o, &wg, &made, &runs, &go};

    rn_wait_group_add(&wg, PEERS);
    for (int i = 0; i < PEERS; i++)
        EXPECT_EQ(rn_go(call, &c), 0);
    await_waiting("once", PEERS - 1);
    atomic_store(&go, 1);
    EXPECT_EQ(rn_wait_group_wait(NULL, &wg), 0);
    EXPECT_EQ(atomic_load(&runs), 1);
}

TEST(threads_and_fibers_share_one)
{
    rn_once o = {0};
    rn_wait_group wg = {0};
    int made = 0;
    atomic_int runs = 0, go = 1;
    struct caller c = {&o, &wg, &made, &runs, &go};
    pthread_t threads[PEERS];

    rn_wait_group_add(&wg, 2 * PEERS);
    for (int i = 0; i < PEERS; i++) {
        EXPECT_EQ(rn_go(call, &c), 0);
        EXPECT_EQ(pthread_create(&threads[i], NULL, call_on_thread, &c), 0);
    }
    EXPECT_EQ(rn_wait_group_wait(NULL, &wg), 0);
    for (int i = 0; i < PEERS; i++)
        pthread_join(threads[i], NULL);
    EXPECT_EQ(atomic_load(&runs), 1);
    EXPECT_EQ(rn_stop(), 0);
}

static int again(void *once)
{
    return rn_once_do(once, again, once);
}

TEST_DIES(once_from_inside_once_dies, "from inside its own function", SIGABRT)
{
    rn_once o = {0};
    rn_once_do(&o, again, &o);
}
