/* The runtime as a whole: rn_run, rn_start, rn_stop, the environment, fork. */
#include "chan/chan.h"
#include "core.h"
#include "test.h"

#include <dirent.h>
#include <pthread.h>
#include <runnel/mutex.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

/* Threads of the runtime; tools have threads of their own. */
static int threads_now(void)
{
    DIR *dir = opendir("/proc/self/task");
    int n = 0;

    EXPECT(dir != NULL);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char path[300], name[32] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        FILE *file = fopen(path, "r");
        if (file == NULL)
            continue;
        n += fgets(name, sizeof name, file) != NULL && strncmp(name, "runnel-", 7) == 0;
        fclose(file);
    }
    closedir(dir);
    return n;
}

/* Returns when no thread of the runtime is left: a joined one may be listed for a moment. */
static void await_no_threads(void)
{
    while (threads_now() != 0)
        sched_yield();
}

/* Returns when there is one: a new one gets its name a moment later. */
static void await_threads(void)
{
    while (threads_now() == 0)
        sched_yield();
}

static int return_argc(int argc, char **argv)
{
    EXPECT_STR(argv[argc - 1], "last");
    EXPECT(rn_fiber_id() != 0);
    return argc + 40;
}

TEST(rn_run_passes_the_arguments_and_returns_what_app_returned)
{
    char *argv[] = {"first", "last", NULL};
    EXPECT_EQ(rn_run(return_argc, 2, argv), 42);
}

static void hello(void *arg)
{
    EXPECT_EQ(rn_send(NULL, *(int_chan *)arg, 1), 0);
}

static int meet(int argc, char **argv)
{
    int_chan ch = rn_chan_make(int, 0);
    int value;

    (void)argv;
    for (int i = 0; i < argc; i++)
        EXPECT_EQ(rn_go_copy(hello, &ch), 0);
    for (int i = 0; i < argc; i++)
        EXPECT_EQ(rn_recv(NULL, ch, &value), 0);
    rn_chan_release(ch);
    return 7;
}

TEST(rn_run_leaves_no_thread_and_can_be_repeated)
{
    for (int i = 0; i < 50; i++) {
        EXPECT_EQ(rn_run(meet, 20, NULL), 7);
        await_no_threads();
    }
}

static void wait_for_ever(void *arg)
{
    int value;
    rn_recv(NULL, *(int_chan *)arg, &value);
    EXPECT(!"nobody sends");
}

static int leave_some(int argc, char **argv)
{
    int_chan *ch = (int_chan *)(void *)argv;

    for (int i = 0; i < argc; i++)
        EXPECT_EQ(rn_go_copy(wait_for_ever, ch), 0);
    await_waiters(*ch, (size_t)argc);
    return 0;
}

static void spin_for_ever(void *arg)
{
    (void)arg;
    for (;;)
        rn_yield();
}

static int leave_runners(int argc, char **argv)
{
    (void)argv;
    for (int i = 0; i < argc; i++)
        EXPECT_EQ(rn_go(spin_for_ever, NULL), 0);
    return 0;
}

TEST(rn_run_drops_the_fibers_that_wait_or_run_when_app_returns)
{
    static int_chan left[10]; /* they still name the dropped waiters: nobody touches them again */

    for (int i = 0; i < 10; i++) {
        left[i] = rn_chan_make(int, 0);
        EXPECT_EQ(rn_run(leave_some, 20, (char **)(void *)&left[i]), 0);
        EXPECT_EQ(rn_run(leave_runners, 20, NULL), 0);
        await_no_threads();
    }
}

static int run_inside(int argc, char **argv)
{
    (void)argc;
    EXPECT_EQ(rn_stop(), -EBUSY);
    return rn_run(return_argc, 1, argv);
}

TEST(rn_run_from_a_fiber_is_1)
{
    char *argv[] = {"last", NULL};
    EXPECT_EQ(rn_run(run_inside, 1, argv), 1);
}

TEST(start_and_stop_can_be_repeated)
{
    for (int i = 0; i < 50; i++) {
        EXPECT_EQ(rn_start(), 0);
        EXPECT_EQ(rn_start(), 0);
        await_threads();
        EXPECT_EQ(meet(10, NULL), 7);
        EXPECT_EQ(rn_stop(), 0);
        EXPECT_EQ(rn_stop(), 0);
        await_no_threads();
    }
}

TEST(the_first_use_starts_the_runtime)
{
    EXPECT_EQ(meet(10, NULL), 7);
    await_threads();
    EXPECT_EQ(rn_stop(), 0);
    await_no_threads();
}

TEST(run_and_start_take_turns)
{
    for (int i = 0; i < 10; i++) {
        EXPECT_EQ(rn_run(meet, 3, NULL), 7);
        EXPECT_EQ(meet(3, NULL), 7);
        EXPECT_EQ(rn_stop(), 0);
    }
}

static void *start_with_others(void *arg)
{
    (void)arg;
    EXPECT_EQ(rn_start(), 0);
    EXPECT_EQ(meet(5, NULL), 7);
    return NULL;
}

TEST(many_threads_start_it_at_once)
{
    for (int round = 0; round < 20; round++) {
        pthread_t threads[8];
        for (int i = 0; i < 8; i++)
            EXPECT_EQ(pthread_create(&threads[i], NULL, start_with_others, NULL), 0);
        for (int i = 0; i < 8; i++)
            pthread_join(threads[i], NULL);
        EXPECT_EQ(rn_stop(), 0);
    }
}

static void *stop_outside(void *arg)
{
    (void)arg;
    EXPECT_EQ(rn_stop(), -EBUSY);
    return NULL;
}

static int be_stopped_from_outside(int argc, char **argv)
{
    pthread_t thread;

    EXPECT_EQ(pthread_create(&thread, NULL, stop_outside, NULL), 0);
    EXPECT_EQ(pthread_join(thread, NULL), 0);
    return meet(argc, argv);
}

TEST(stop_while_rn_run_owns_the_runtime_is_ebusy)
{
    EXPECT_EQ(rn_run(be_stopped_from_outside, 3, NULL), 7);
}

TEST_DIES(rn_run_beside_a_running_runtime_is_1_and_says_so, "runnel: .*could not start", 1)
{
    EXPECT_EQ(rn_start(), 0);
    int status = rn_run(meet, 3, NULL);
    EXPECT_EQ(meet(3, NULL), 7); /* the one that ran still does */
    EXPECT_EQ(rn_stop(), 0);
    exit(status);
}

static void try_to_stop(void *arg)
{
    EXPECT_EQ(rn_stop(), -EBUSY);
    hello(arg);
}

TEST(stop_from_a_fiber_is_ebusy)
{
    int_chan ch = rn_chan_make(int, 0);
    int value;

    EXPECT_EQ(rn_go_copy(try_to_stop, &ch), 0);
    EXPECT_EQ(rn_recv(NULL, ch, &value), 0);
    EXPECT_EQ(rn_stop(), 0);
    rn_chan_release(ch);
}

TEST(the_environment_says_how_many_workers)
{
    static const char *const good[] = {"1", "2", "3", "8"};

    for (int i = 0; i < 4; i++) {
        setenv("RUNNEL_WORKERS", good[i], 1);
        EXPECT_EQ(rn_workers(), atoi(good[i]));
        EXPECT_EQ(meet(10, NULL), 7);
        EXPECT_EQ(rn_stop(), 0);
    }
}

static void expect_refused(const char *name, const char *value)
{
    setenv(name, value, 1);
    EXPECT_EQ(rn_start(), -EINVAL);
    EXPECT(strstr(rn_error_detail(), name) != NULL);
    EXPECT(strstr(rn_error_detail(), value) != NULL);
    unsetenv(name);
}

TEST(a_number_of_workers_that_is_none_is_einval_and_says_so)
{
    static const char *const bad[] = {"0",     "-1", "many", "3x", " 2", "99999999999999999999",
                                      "100000"};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_refused("RUNNEL_WORKERS", bad[i]);
    EXPECT_EQ(rn_start(), 0);
    EXPECT_EQ(rn_stop(), 0);
}

TEST(a_stack_size_that_is_none_is_einval_and_says_so)
{
    static const char *const bad[] = {"0", "-1", "big", "64KB", "1", "1000000G", "K"};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_refused("RUNNEL_STACK", bad[i]);
}

TEST(a_stack_size_is_understood_with_k_and_m)
{
    static const char *const good[] = {"128K", "1M", "262144", "512k", ""};

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        setenv("RUNNEL_STACK", good[i], 1);
        EXPECT_EQ(rn_run(meet, 10, NULL), 7);
    }
}

TEST_DIES(rn_run_says_what_is_wrong_with_the_environment, "RUNNEL_WORKERS=none", 1)
{
    setenv("RUNNEL_WORKERS", "none", 1);
    exit(rn_run(return_argc, 0, NULL));
}

static void unreached(void *arg)
{
    (void)arg;
    EXPECT(false);
}

static pthread_key_t leaving;

static void use_the_library(void *arg)
{
    (void)arg;
    rn_sleep(NULL, RN_MILLISECOND);
}

static int leave_a_thread_local(int argc, char **argv)
{
    (void)argc, (void)argv;
    EXPECT_EQ(pthread_key_create(&leaving, use_the_library), 0);
    EXPECT_EQ(pthread_setspecific(leaving, "of the worker that this fiber is on"), 0);
    return 0;
}

TEST_DIES(a_thread_local_destructor_of_a_worker_cannot_wait, "a thread-local destructor called",
          SIGABRT)
{
    rn_run(leave_a_thread_local, 0, NULL);
}

TEST(every_form_of_go_tells_why_the_runtime_could_not_start)
{
    int value = 1;

    setenv("RUNNEL_WORKERS", "none", 1);
    EXPECT_EQ(rn_go(unreached, NULL), -EINVAL);
    EXPECT_EQ(rn_go_copy(unreached, &value), -EINVAL);
    EXPECT_EQ(rn_go_with(&(rn_go_options){.name = "named"}, unreached, NULL), -EINVAL);
    EXPECT(strstr(rn_error_detail(), "RUNNEL_WORKERS=none") != NULL);
}

TEST_DIES(a_word_of_the_environment_that_nobody_knows_is_named,
          "^runnel: RUNNEL_DEBUG: no such word, passed over: \"leaks\"\n$", 7)
{
    setenv("RUNNEL_DEBUG", "leaks,,lock", 1);
    exit(rn_run(meet, 1, NULL));
}

TEST_DIES(a_first_use_says_what_is_wrong_with_the_environment, "RUNNEL_STACK=none", SIGABRT)
{
    setenv("RUNNEL_STACK", "none", 1);
    hello(&(int_chan){rn_chan_make(int, 0)}); /* waits */
}

/* Runs fn in the child of a plain fork and dies as the child did. */
static void die_as_child(void (*fn)(void))
{
    int status;

    EXPECT_EQ(rn_start(), 0);
    pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        fn();
        _exit(0);
    }
    EXPECT_EQ(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status))
        raise(WTERMSIG(status));
    _exit(WEXITSTATUS(status));
}

static void go_in_child(void)
{
    rn_go(hello, NULL);
}

/* Made by the parent: sanitizers do not guard their heap over a fork. */
static int_chan before_fork;

static void block_in_child(void)
{
    int value;
    rn_recv(NULL, before_fork, &value);
}

static void start_in_child(void)
{
    rn_start();
}

static void sleep_in_child(void)
{
    rn_sleep(NULL, 1);
}

TEST_DIES(starting_a_fiber_in_the_child_of_a_fork_fails_loudly, "fork", SIGABRT)
{
    die_as_child(go_in_child);
}

TEST_DIES(waiting_in_the_child_of_a_fork_fails_loudly, "fork", SIGABRT)
{
    before_fork = rn_chan_make(int, 0);
    die_as_child(block_in_child);
}

TEST_DIES(starting_the_runtime_in_the_child_of_a_fork_fails_loudly, "fork", SIGABRT)
{
    die_as_child(start_in_child);
}

TEST_DIES(sleeping_in_the_child_of_a_fork_fails_loudly, "fork", SIGABRT)
{
    die_as_child(sleep_in_child);
}

static void send_in_child(void)
{
    rn_send(NULL, before_fork, 1);
}

/* Another thread was in the middle of a send: the lock that it held, nobody releases here. */
TEST_DIES(a_lock_that_was_held_at_the_fork_fails_loudly, "fork", SIGABRT)
{
    before_fork = rn_chan_make(int, 1);
    store_relaxed(&rn_chan_untyped(before_fork)->lock.held, 1);
    die_as_child(send_in_child);
}

static void wait_on_it(void *arg)
{
    int value;
    (void)arg;
    rn_recv(NULL, before_fork, &value);
}

static void *wait_on_it_too(void *arg)
{
    wait_on_it(arg);
    return NULL;
}

TEST_DIES(waking_a_fiber_in_the_child_of_a_fork_fails_loudly, "fork", SIGABRT)
{
    before_fork = rn_chan_make(int, 0);
    EXPECT_EQ(rn_go(wait_on_it, NULL), 0);
    await_waiters(before_fork, 1);
    die_as_child(send_in_child);
}

TEST_DIES(waking_a_pinned_fiber_in_the_child_of_a_fork_fails_loudly, "fork", SIGABRT)
{
    before_fork = rn_chan_make(int, 0);
    EXPECT_EQ(rn_go_with(&(rn_go_options){.pinned = true}, wait_on_it, NULL), 0);
    await_waiters(before_fork, 1);
    die_as_child(send_in_child);
}

TEST_DIES(waking_a_thread_in_the_child_of_a_fork_fails_loudly, "fork", SIGABRT)
{
    pthread_t thread;

    before_fork = rn_chan_make(int, 0);
    EXPECT_EQ(pthread_create(&thread, NULL, wait_on_it_too, NULL), 0);
    await_waiters(before_fork, 1);
    die_as_child(send_in_child);
}

static void stop_in_child(void)
{
    rn_stop();
}

TEST_DIES(stopping_in_the_child_of_a_fork_fails_loudly, "fork", SIGABRT)
{
    die_as_child(stop_in_child);
}

static void use_alone_in_child(void)
{
    static rn_mutex mutex;
    int value = 0;

    rn_mutex_lock(&mutex);
    rn_mutex_unlock(&mutex);
    EXPECT_EQ(rn_send(NULL, before_fork, 7), 0);
    EXPECT_EQ(rn_recv(NULL, before_fork, &value), 0);
    EXPECT_EQ(value, 7);
}

TEST_DIES(what_needs_nobody_else_works_in_the_child_of_a_fork, "^$", 0)
{
    before_fork = rn_chan_make(int, 1);
    die_as_child(use_alone_in_child);
}

static int fork_from_fiber(int argc, char **argv)
{
    int status;
    pid_t child = fork();

    (void)argc, (void)argv;
    EXPECT(child >= 0);
    if (child == 0) {
        rn_sleep(NULL, RN_SECOND);
        _exit(0);
    }
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT(WIFSIGNALED(status));
    EXPECT_EQ(WTERMSIG(status), SIGABRT);
    EXPECT_EQ(meet(3, NULL), 7); /* the parent goes on */
    return 0;
}

TEST_DIES(a_fiber_in_the_child_of_a_fork_fails_loudly_and_the_parent_goes_on, "fork", 0)
{
    exit(rn_run(fork_from_fiber, 0, NULL));
}

static int return_in_child(int argc, char **argv)
{
    int status;
    pid_t child = fork();

    (void)argc, (void)argv;
    EXPECT(child >= 0);
    if (child != 0) {
        EXPECT_EQ(waitpid(child, &status, 0), child);
        EXPECT(WIFSIGNALED(status));
        EXPECT_EQ(WTERMSIG(status), SIGABRT);
    }
    return 0;
}

TEST_DIES(a_fiber_that_ends_in_the_child_of_a_fork_fails_loudly, "fork", 0)
{
    exit(rn_run(return_in_child, 0, NULL));
}

static int rerun_in_child(int argc, char **argv)
{
    (void)argc, (void)argv;
    return meet(2, NULL) == 7 ? 5 : 1;
}

TEST(in_the_child_of_a_fork_after_the_runtime_has_stopped_it_starts_again)
{
    int status;

    EXPECT_EQ(rn_start(), 0);
    EXPECT_EQ(rn_stop(), 0);
    pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0)
        _exit(rn_run(rerun_in_child, 0, NULL));
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 5);
}
