/* Many fibers: parked at once, started from many threads at once, and started by each other. */
#include "core.h"
#include "test.h"

#include <pthread.h>
#include <sys/utsname.h>

#define PARKED 100000

struct parked {
    int_chan hold;
    atomic_int *woken;
};

static void park_until_closed(void *arg)
{
    struct parked *p = arg;
    int value;
    EXPECT_EQ(rn_recv(NULL, p->hold, &value), RN_ECLOSED);
    atomic_fetch_add(p->woken, 1);
}

TEST_FIBER(a_hundred_thousand_fibers_park_at_once)
{
    int n = fibers_at_once(PARKED), started = 0, err = 0;
    atomic_int woken = 0;
    struct parked p = {rn_chan_make(int, 0), &woken};

    while (started < n && (err = rn_go(park_until_closed, &p)) == 0)
        started++;
    if (err != 0) { /* guards that cost mappings, on an old kernel: then it says so */
        EXPECT_EQ(err, -ENOMEM);
        EXPECT(strstr(rn_error_detail(), "map") != NULL);
    }
    await_waiters(p.hold, (size_t)started);
    EXPECT_EQ(rn_waiters(p.hold), started);
    EXPECT_EQ(stats_now().fibers_live, started + 1);
    EXPECT_EQ(rn_close(p.hold), 0);
    await_live(1);
    EXPECT_EQ(atomic_load(&woken), started);
    rn_chan_release(p.hold);
}

struct storm {
    atomic_int *runs;
    int each;
};

static void count_run(void *arg)
{
    atomic_fetch_add(((struct storm *)arg)->runs, 1);
}

/* Before Linux 6.13, and in qemu's user mode, guards cost mappings, of which there are 65,530. */
static bool stacks_are_few(void)
{
    struct utsname system;
    int major = 0, minor = 0;

    EXPECT_EQ(uname(&system), 0);
    EXPECT_EQ(sscanf(system.release, "%d.%d", &major, &minor), 2);
    return getenv("TEST_EMULATOR") != NULL || major < 6 || (major == 6 && minor < 13);
}

static void *start_many(void *arg)
{
    struct storm *s = arg;
    for (int i = 0; i < s->each; i++) {
        int err;
        while ((err = i % 2 ? rn_go(count_run, s) : rn_go_copy(count_run, s)) == -ENOMEM &&
               stacks_are_few())
            rn_yield(); /* until some have run */
        EXPECT_EQ(err, 0);
    }
    return NULL;
}

static void start_many_fiber(void *arg)
{
    start_many(arg);
}

TEST(fibers_started_from_many_threads_all_run_once)
{
    enum { THREADS = 4 };
    atomic_int runs = 0;
    struct storm s = {&runs, rounds(10000) / (UNDER_TSAN ? 4 : 1)};
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++) {
        EXPECT_EQ(pthread_create(&threads[i], NULL, start_many, &s), 0);
        EXPECT_EQ(rn_go(start_many_fiber, &s), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    await_live(0);
    EXPECT_EQ(atomic_load(&runs), 2 * THREADS * s.each);
    EXPECT_EQ(rn_stop(), 0);
}

struct node {
    rn_chan(long) up;
    long from;
    int leaves;
};

static void sum_leaves(void *arg)
{
    struct node *n = arg;
    long sum = 0, part;

    if (n->leaves == 1) {
        EXPECT_EQ(rn_send(NULL, n->up, n->from), 0);
        return;
    }
    struct node child = {rn_chan_make(long, 10), n->from, n->leaves / 10};
    for (int i = 0; i < 10; i++, child.from += child.leaves)
        EXPECT_EQ(rn_go_copy(sum_leaves, &child), 0);
    for (int i = 0; i < 10; i++) {
        EXPECT_EQ(rn_recv(NULL, child.up, &part), 0);
        sum += part;
    }
    rn_chan_release(child.up);
    EXPECT_EQ(rn_send(NULL, n->up, sum), 0);
}

TEST_FIBER(a_tree_of_fibers_adds_up_its_leaves)
{
    int leaves = UNDER_TSAN ? 1000 : UNDER_ASAN ? 10000 : 100000;
    struct node root = {rn_chan_make(long, 1), 0, leaves};
    long sum;

    EXPECT_EQ(rn_go_copy(sum_leaves, &root), 0);
    EXPECT_EQ(rn_recv(NULL, root.up, &sum), 0);
    EXPECT_EQ(sum, (long)leaves * (leaves - 1) / 2);
    await_live(1);
    rn_chan_release(root.up);
}

static void chain_on(void *arg)
{
    struct storm *s = arg;
    if (atomic_fetch_add(s->runs, 1) < s->each)
        EXPECT_EQ(rn_go(chain_on, s), 0);
}

TEST_FIBER(a_fiber_may_start_its_successor_for_ever)
{
    atomic_int runs = 0;
    struct storm s = {&runs, (UNDER_TSAN ? 3000 : 100000) / shorter()};

    EXPECT_EQ(rn_go(chain_on, &s), 0);
    await_live(1);
    EXPECT_EQ(atomic_load(&runs), s.each + 1);
    EXPECT(stats_now().stacks_reserved < 10000);
}

struct ring {
    int_chan in, out;
};

static void pass_on(void *arg)
{
    struct ring *r = arg;
    int value;

    while (rn_recv(NULL, r->in, &value) == 0)
        EXPECT_EQ(rn_send(NULL, r->out, value + 1), 0);
    EXPECT_EQ(rn_close(r->out), 0);
    rn_chan_release(r->in);
    rn_chan_release(r->out);
}

TEST_FIBER(a_token_goes_round_a_ring)
{
    enum { LINKS = 1000 };
    int_chan first = rn_chan_make(int, 0), last = rn_chan_retain(first);
    int value;

    for (int i = 0; i < LINKS; i++) {
        struct ring r = {last, rn_chan_make(int, 0)};
        EXPECT_EQ(rn_go_copy(pass_on, &r), 0); /* our reference to last is the link's now */
        last = rn_chan_retain(r.out);
    }
    for (int round = 0; round < rounds(100); round++) {
        EXPECT_EQ(rn_send(NULL, first, round), 0);
        EXPECT_EQ(rn_recv(NULL, last, &value), 0);
        EXPECT_EQ(value, round + LINKS);
    }
    EXPECT_EQ(rn_close(first), 0);
    EXPECT_EQ(rn_recv(NULL, last, &value), RN_ECLOSED);
    await_live(1);
    rn_chan_release(first);
    rn_chan_release(last);
}
