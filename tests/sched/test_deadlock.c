/* "All fibers are asleep": when it is said, what it says, and when it is not. */
#include "core.h"
#include "test.h"

#include <pthread.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

static int_chan nobody;

static void receive_waiter(void *arg)
{
    int value;
    (void)arg;
    rn_recv(NULL, nobody, &value);
}

static void send_waiter(void *arg)
{
    int_chan ch = *(int_chan *)arg;
    rn_send(NULL, ch, 1);
}

static void select_waiter(void *arg)
{
    int_chan ch = *(int_chan *)arg;
    int value;
    rn_select(NULL, rn_on_recv(ch, &value), rn_on_done(NULL));
}

static void context_waiter(void *arg)
{
    rn_ctx_wait(*(rn_ctx **)arg);
}

static int wait_in_every_way(int argc, char **argv)
{
    int_chan to = rn_chan_make(int, 0), from = rn_chan_make(int, 0);
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);

    (void)argc, (void)argv;
    nobody = rn_chan_make(int, 0);
    rn_go(receive_waiter, NULL);
    rn_go_copy(send_waiter, &to);
    rn_go_copy(select_waiter, &from);
    rn_go_copy(context_waiter, &ctx);
    rn_go_with(&(rn_go_options){.name = "sleeping beauty"}, receive_waiter, NULL);
    int value;
    return rn_recv(NULL, from, &value);
}

static void run_into_it(void)
{
    exit(rn_run(wait_in_every_way, 0, NULL));
}

TEST_DIES(it_is_reported_with_status_2, "all fibers are asleep", 2)
{
    run_into_it();
}

TEST_DIES(with_one_worker_too, "all fibers are asleep", 2)
{
    setenv("RUNNEL_WORKERS", "1", 1);
    run_into_it();
}

TEST_DIES(with_eight_workers_too, "all fibers are asleep", 2)
{
    setenv("RUNNEL_WORKERS", "8", 1);
    run_into_it();
}

TEST_DIES(it_names_each_fiber_and_its_spawn_place, "\"receive_waiter\".*test_deadlock\\.c:[0-9]", 2)
{
    run_into_it();
}

TEST_DIES(it_names_a_fiber_as_told, "\"sleeping beauty\"", 2)
{
    run_into_it();
}

TEST_DIES(it_says_what_a_receiver_waits_for, "\"receive_waiter\" \\[chan receive", 2)
{
    run_into_it();
}

TEST_DIES(it_says_what_a_sender_waits_for, "\"send_waiter\" \\[chan send", 2)
{
    run_into_it();
}

TEST_DIES(it_says_that_a_fiber_selects, "\"select_waiter\" \\[select", 2)
{
    run_into_it();
}

TEST_DIES(it_says_that_a_fiber_waits_for_a_context, "\"context_waiter\" \\[context wait", 2)
{
    run_into_it();
}

TEST_DIES(it_shows_the_main_fiber, "fiber 1 .*\\[chan receive", 2)
{
    run_into_it();
}

static int wait_after_much(int argc, char **argv)
{
    int_chan ch = rn_chan_make(int, 0);
    int value;

    (void)argc, (void)argv;
    for (int i = 0; i < 1000; i++) {
        rn_go_copy(send_waiter, &ch);
        rn_recv(NULL, ch, &value);
    }
    rn_sleep(NULL, RN_MILLISECOND);
    return rn_recv(NULL, ch, &value);
}

TEST_DIES(it_is_reported_after_the_program_ran_for_a_while, "all fibers are asleep", 2)
{
    exit(rn_run(wait_after_much, 0, NULL));
}

static int wait_with_print(int argc, char **argv)
{
    printf("the last words\n");
    return wait_after_much(argc, argv);
}

TEST_DIES(what_was_printed_is_not_lost, "the last words", 2)
{
    dup2(2, 1); /* stdout into what the harness reads; not a terminal, so buffered */
    exit(rn_run(wait_with_print, 0, NULL));
}

/* Where somebody can still wake a fiber nothing is reported. */

static int wait_for_timer(int argc, char **argv)
{
    int_chan ch = rn_chan_make(int, 0);
    int value;

    (void)argc, (void)argv;
    EXPECT_EQ(rn_sleep(NULL, 20 * RN_MILLISECOND), 0);
    EXPECT_EQ(rn_select(NULL, rn_on_recv(ch, &value), rn_on_timeout(20 * RN_MILLISECOND)), 1);
    rn_chan_release(ch);
    return 0;
}

TEST(a_timer_is_somebody_who_can_wake)
{
    EXPECT_EQ(rn_run(wait_for_timer, 0, NULL), 0);
}

static void *send_later(void *arg)
{
    int_chan ch = *(int_chan *)arg;
    await_waiters(ch, 1);
    for (int i = 0; i < 1000; i++)
        rn_yield(); /* the workers have time to fall asleep */
    EXPECT_EQ(rn_send(NULL, ch, 1), 0);
    return NULL;
}

static int wait_for_thread(int argc, char **argv)
{
    int_chan ch = rn_chan_make(int, 0);
    pthread_t thread;
    int value;

    (void)argc, (void)argv;
    EXPECT_EQ(pthread_create(&thread, NULL, send_later, &ch), 0);
    EXPECT_EQ(rn_recv(NULL, ch, &value), 0);
    pthread_join(thread, NULL);
    rn_chan_release(ch);
    return 0;
}

TEST(a_plain_thread_is_somebody_who_can_wake)
{
    for (int i = 0; i < 10; i++)
        EXPECT_EQ(rn_run(wait_for_thread, 0, NULL), 0);
}

/* Waits for something outside the process, over and over: meanwhile all others sleep. */
static int wait_for_children(void *arg)
{
    char *argv[] = {"sh", "-c", "exit 0", NULL};
    pid_t pid;

    (void)arg;
    for (int i = 0; i < 10; i++) {
        EXPECT_EQ(posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ), 0);
        while (waitpid(pid, NULL, 0) != pid)
            ;
    }
    return 0;
}

static void block_and_send(void *arg)
{
    int_chan ch = *(int_chan *)arg;
    EXPECT_EQ(rn_blocking(wait_for_children, NULL), 0);
    EXPECT_EQ(rn_send(NULL, ch, 1), 0);
}

static void block_undeclared_and_send(void *arg)
{
    int_chan ch = *(int_chan *)arg;
    wait_for_children(NULL);
    EXPECT_EQ(rn_send(NULL, ch, 1), 0);
}

static int wait_for_blocking(int argc, char **argv)
{
    int_chan ch = rn_chan_make(int, 0);
    int value;

    (void)argc, (void)argv;
    EXPECT_EQ(rn_go_copy(block_and_send, &ch), 0);
    EXPECT_EQ(rn_recv(NULL, ch, &value), 0);
    EXPECT_EQ(rn_go_copy(block_undeclared_and_send, &ch), 0);
    EXPECT_EQ(rn_recv(NULL, ch, &value), 0);
    await_live(1);
    rn_chan_release(ch);
    return 0;
}

TEST(a_fiber_in_a_blocking_call_is_somebody_who_can_wake)
{
    EXPECT_EQ(rn_run(wait_for_blocking, 0, NULL), 0);
    setenv("RUNNEL_WORKERS", "1", 1);
    EXPECT_EQ(rn_run(wait_for_blocking, 0, NULL), 0);
}

static void *wait_outside(void *arg)
{
    int_chan ch = *(int_chan *)arg;
    int value;
    EXPECT_EQ(rn_recv(NULL, ch, &value), 0);
    return NULL;
}

TEST(without_rn_run_nothing_is_reported)
{
    int_chan ch = rn_chan_make(int, 0);
    pthread_t thread;

    EXPECT_EQ(pthread_create(&thread, NULL, wait_outside, &ch), 0);
    await_waiters(ch, 1);
    EXPECT_EQ(rn_go_copy(send_waiter, &ch), 0);
    pthread_join(thread, NULL);
    await_live(0);
    rn_chan_release(ch);
    EXPECT_EQ(rn_stop(), 0);
}

#define THREADS 3

/* Wakes a fiber as the last thing in its life. */
static void *wake_and_end(void *arg)
{
    rn_close(*(int_chan *)arg);
    return NULL;
}

static void await_close(void *arg)
{
    int_chan *ch = arg;
    int value;

    EXPECT_EQ(rn_recv(NULL, ch[0], &value), RN_ECLOSED);
    rn_close(ch[1]);
}

/* A thread that is gone is no reason to think that what it woke sleeps. */
TEST_FIBER(fibers_that_a_thread_woke_before_it_ended_are_no_deadlock)
{
    for (int round = 0; round < rounds(3000); round++) {
        int_chan ch[THREADS][2];
        pthread_t threads[THREADS];
        int value;
        for (int i = 0; i < THREADS; i++) {
            ch[i][0] = rn_chan_make(int, 0);
            ch[i][1] = rn_chan_make(int, 0);
            EXPECT_EQ(rn_go(await_close, ch[i]), 0);
            EXPECT_EQ(pthread_create(&threads[i], NULL, wake_and_end, &ch[i][0]), 0);
        }
        for (int i = 0; i < THREADS; i++)
            EXPECT_EQ(rn_recv(NULL, ch[i][1], &value), RN_ECLOSED);
        for (int i = 0; i < THREADS; i++) {
            EXPECT_EQ(pthread_join(threads[i], NULL), 0);
            rn_chan_release(ch[i][0]);
            rn_chan_release(ch[i][1]);
        }
    }
}
