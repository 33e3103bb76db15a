/* Calls that block their thread, fibers that never switch, and pinned fibers. */
#include "core.h"
#include "test.h"

#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

struct plumbing {
    int ends[2];
    atomic_int *done;
};

static int read_byte(void *arg)
{
    struct plumbing *p = arg;
    char byte = 0;
    EXPECT_EQ(read(p->ends[0], &byte, 1), 1);
    return byte;
}

static void read_declared(void *arg)
{
    struct plumbing *p = arg;
    EXPECT_EQ(rn_blocking(read_byte, p), 'x');
    atomic_fetch_add(p->done, 1);
}

static void read_undeclared(void *arg)
{
    struct plumbing *p = arg;
    EXPECT_EQ(read_byte(p), 'x');
    atomic_fetch_add(p->done, 1);
}

/*
 * Four readers hold threads; the writer is a fiber and must get its turn although there is one
 * worker.
 */
static int read_what_a_fiber_writes(void (*reader)(void *arg))
{
    enum { READERS = 4 };
    atomic_int done = 0;
    struct plumbing p = {.done = &done};

    EXPECT_EQ(pipe(p.ends), 0);
    for (int i = 0; i < READERS; i++)
        EXPECT_EQ(rn_go(reader, &p), 0);
    for (int i = 0; i < READERS; i++) {
        rn_yield();
        EXPECT_EQ(write(p.ends[1], "x", 1), 1);
    }
    await_count(&done, READERS);
    await_live(1);
    close(p.ends[0]);
    close(p.ends[1]);
    return 0;
}

static int declared(int argc, char **argv)
{
    (void)argc, (void)argv;
    return read_what_a_fiber_writes(read_declared);
}

static int undeclared(int argc, char **argv)
{
    (void)argc, (void)argv;
    int err = read_what_a_fiber_writes(read_undeclared);
    EXPECT(stats_now().compensations >= 1);
    return err;
}

TEST(rn_blocking_does_not_hold_up_other_fibers)
{
    setenv("RUNNEL_WORKERS", "1", 1);
    for (int i = 0; i < 5; i++)
        EXPECT_EQ(rn_run(declared, 0, NULL), 0);
}

static atomic_int computing;

static void compute_and_read(void *arg)
{
    while (atomic_load(&computing))
        continue;
    read_undeclared(arg);
}

/*
 * Two fibers that compute hold both workers: a spare is enough for the rest. Then they block, and
 * their processors are free: another spare comes.
 */
static int compute_and_block(int argc, char **argv)
{
    atomic_int done = 0;
    struct plumbing p = {.done = &done};

    (void)argc, (void)argv;
    EXPECT_EQ(pipe(p.ends), 0);
    atomic_store(&computing, 1);
    EXPECT_EQ(rn_go(compute_and_read, &p), 0);
    EXPECT_EQ(rn_go(compute_and_read, &p), 0);
    while (stats_now().compensations < 1)
        rn_yield();
    atomic_store(&computing, 0);
    while (stats_now().compensations < 2)
        rn_yield();
    EXPECT_EQ(write(p.ends[1], "xx", 2), 2);
    await_count(&done, 2);
    await_live(1);
    close(p.ends[0]);
    close(p.ends[1]);
    return 0;
}

TEST(fibers_that_compute_and_then_block_are_compensated)
{
    setenv("RUNNEL_WORKERS", "2", 1);
    EXPECT_EQ(rn_run(compute_and_block, 0, NULL), 0);
}

TEST(a_blocking_call_that_nobody_declared_is_compensated)
{
    setenv("RUNNEL_WORKERS", "1", 1);
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(rn_run(undeclared, 0, NULL), 0);
}

static int return_its_argument(void *arg)
{
    return *(int *)arg;
}

TEST_FIBER(rn_blocking_returns_what_fn_returned)
{
    int value = -17;
    EXPECT_EQ(rn_blocking(return_its_argument, &value), -17);
}

TEST(rn_blocking_works_on_a_plain_thread)
{
    int value = 23;
    EXPECT_EQ(rn_blocking(return_its_argument, &value), 23);
}

static int receive_from(void *arg)
{
    int value = 0;
    EXPECT_EQ(rn_recv(NULL, *(int_chan *)arg, &value), 0);
    return value;
}

static void hold_flag(void *arg)
{
    atomic_int *flag = *(atomic_int **)arg;
    while (atomic_load(flag) == 0)
        ;
}

static void set_flag(void *arg)
{
    atomic_store(*(atomic_int **)arg, 1);
}

static int wait_for_hogs(int argc, char **argv)
{
    atomic_int flag = 0, *place = &flag;

    (void)argv;
    for (int i = 0; i < argc; i++)
        EXPECT_EQ(rn_go_copy(hold_flag, &place), 0);
    rn_yield();
    EXPECT_EQ(rn_go_copy(set_flag, &place), 0);
    await_live(1);
    return 0;
}

TEST(a_fiber_that_never_switches_does_not_stop_the_others)
{
    setenv("RUNNEL_WORKERS", "1", 1);
    EXPECT_EQ(rn_run(wait_for_hogs, 1, NULL), 0);
    EXPECT_EQ(rn_run(wait_for_hogs, 3, NULL), 0);
}

static void fill_slot_and_hog(void *arg)
{
    atomic_int *flag = *(atomic_int **)arg;

    EXPECT_EQ(rn_go_copy(set_flag, &flag), 0); /* in this worker's own queue */
    while (atomic_load(flag) == 0)
        ;
}

struct woken {
    int_chan ch;
    atomic_int *flag;
};

static void set_flag_when_woken(void *arg)
{
    struct woken *w = arg;
    int value;
    EXPECT_EQ(rn_recv(NULL, w->ch, &value), 0);
    atomic_store(w->flag, 1);
}

static void wake_and_hog(void *arg)
{
    struct woken *w = arg;
    await_waiters(w->ch, 1);
    EXPECT_EQ(rn_send(NULL, w->ch, 1), 0); /* the receiver is in this worker's LIFO slot now */
    while (atomic_load(w->flag) == 0)
        ;
}

TEST_FIBER(everything_in_a_stuck_worker_can_be_stolen)
{
    for (int i = 0; i < 5; i++) {
        atomic_int flag = 0, *place = &flag;
        EXPECT_EQ(rn_go_copy(fill_slot_and_hog, &place), 0);
        await_count(&flag, 1);
        await_live(1);
    }
}

TEST_FIBER(the_slot_of_a_stuck_worker_can_be_stolen)
{
    for (int i = 0; i < 5; i++) {
        atomic_int flag = 0;
        struct woken w = {rn_chan_make(int, 0), &flag};
        EXPECT_EQ(rn_go(set_flag_when_woken, &w), 0);
        EXPECT_EQ(rn_go(wake_and_hog, &w), 0);
        await_live(1);
        rn_chan_release(w.ch);
    }
}

static void sleep_and_set_flag(void *arg)
{
    struct woken *w = arg;
    EXPECT_EQ(rn_send(NULL, w->ch, 1), 0);
    EXPECT_EQ(rn_sleep(NULL, RN_MILLISECOND), 0);
    atomic_store(w->flag, 1);
}

static void hog_after_hello(void *arg)
{
    struct woken *w = arg;
    int value;
    EXPECT_EQ(rn_recv(NULL, w->ch, &value), 0);
    while (atomic_load(w->flag) == 0)
        ;
}

static int wait_for_due_timers(int argc, char **argv)
{
    (void)argc, (void)argv;
    for (int i = 0; i < 5; i++) {
        atomic_int flag = 0;
        struct woken w = {rn_chan_make(int, 0), &flag};
        EXPECT_EQ(rn_go(hog_after_hello, &w), 0);
        EXPECT_EQ(rn_go(sleep_and_set_flag, &w), 0);
        while (atomic_load(&flag) == 0) /* waits too: nothing is runnable, only timers are due */
            EXPECT_EQ(rn_sleep(NULL, RN_MILLISECOND), 0);
        await_live(1);
        rn_chan_release(w.ch);
    }
    return 0;
}

TEST(the_due_timers_of_a_stuck_worker_fire)
{
    setenv("RUNNEL_WORKERS", "1", 1);
    EXPECT_EQ(rn_run(wait_for_due_timers, 0, NULL), 0);
    setenv("RUNNEL_WORKERS", "2", 1);
    EXPECT_EQ(rn_run(wait_for_due_timers, 0, NULL), 0);
}

static void compute(rn_duration d)
{
    rn_time end = rn_now() + d;

    while (rn_now() < end)
        ;
}

static int arm_while_stuck(int argc, char **argv)
{
    (void)argc, (void)argv;
    for (int i = 0; i < 5; i++) {
        atomic_int flag = 0, *place = &flag;
        rn_ctx *ctx;
        EXPECT_EQ(rn_go(set_flag, &place), 0);
        while (atomic_load(&flag) == 0)
            ;                         /* now this worker is taken for stuck */
        compute(20 * RN_MILLISECOND); /* the others wait in the poller, with no timer to wake for */
        ctx = rn_ctx_with_timeout(NULL, RN_MILLISECOND);
        EXPECT(ctx != NULL);
        while (rn_ctx_err(ctx) == 0)
            ;
        rn_ctx_release(ctx);
        await_live(1);
    }
    return 0;
}

TEST(a_timer_that_a_stuck_worker_arms_fires)
{
    setenv("RUNNEL_WORKERS", "1", 1);
    EXPECT_EQ(rn_run(arm_while_stuck, 0, NULL), 0);
    setenv("RUNNEL_WORKERS", "2", 1);
    EXPECT_EQ(rn_run(arm_while_stuck, 0, NULL), 0);
}

static pid_t thread_number(void)
{
    return (pid_t)syscall(SYS_gettid);
}

struct pin {
    int_chan ch, done;
    int rounds;
};

static void stay(void *arg)
{
    struct pin *p = arg;
    pid_t home = thread_number();
    int value;

    for (int i = 0; i < p->rounds; i++) {
        switch (i % 4) {
        case 0:
            rn_yield();
            break;
        case 1:
            EXPECT_EQ(rn_recv(NULL, p->ch, &value), 0);
            break;
        case 2:
            EXPECT_EQ(rn_sleep(NULL, 10 * RN_MICROSECOND), 0);
            break;
        default:
            EXPECT_EQ(rn_select(NULL, rn_on_recv(p->ch, &value)), 0);
        }
        EXPECT_EQ(thread_number(), home);
    }
    EXPECT_EQ(rn_send(NULL, p->done, 1), 0);
}

static void feed(void *arg)
{
    struct pin *p = arg;
    while (rn_send(NULL, p->ch, 1) == 0)
        ;
}

TEST_FIBER(a_pinned_fiber_stays_on_its_thread)
{
    enum { FIBERS = 16 };
    struct pin p = {rn_chan_make(int, 0), rn_chan_make(int, 0), rounds(400)};
    int value;

    for (int i = 0; i < FIBERS; i++)
        EXPECT_EQ(rn_go_with(&(rn_go_options){.pinned = true}, stay, &p), 0);
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(rn_go(feed, &p), 0);
    for (int i = 0; i < FIBERS; i++)
        EXPECT_EQ(rn_recv(NULL, p.done, &value), 0);
    EXPECT_EQ(rn_close(p.ch), 0);
    await_live(1);
    rn_chan_release(p.ch);
    rn_chan_release(p.done);
}

static void *feed_from_thread(void *arg)
{
    feed(arg);
    return NULL;
}

TEST(a_pinned_fiber_is_woken_by_plain_threads)
{
    struct pin p = {rn_chan_make(int, 0), rn_chan_make(int, 0), rounds(200)};
    pthread_t thread;
    int value;

    EXPECT_EQ(rn_go_with(&(rn_go_options){.pinned = true}, stay, &p), 0);
    EXPECT_EQ(pthread_create(&thread, NULL, feed_from_thread, &p), 0);
    EXPECT_EQ(rn_recv(NULL, p.done, &value), 0);
    EXPECT_EQ(rn_close(p.ch), 0);
    pthread_join(thread, NULL);
    await_live(0);
    rn_chan_release(p.ch);
    rn_chan_release(p.done);
    EXPECT_EQ(rn_stop(), 0);
}

TEST_FIBER(calls_that_need_no_wait_are_fine_inside_rn_blocking)
{
    int_chan ch = rn_chan_make(int, 1);

    EXPECT_EQ(rn_send(NULL, ch, 9), 0);
    EXPECT_EQ(rn_blocking(receive_from, &ch), 9);
    rn_chan_release(ch);
}
