/* RUNNEL_DEBUG=trace: what the workers did last, in dumps and behind a failed check. */
#include "core.h"
#include "test.h"

#include <runnel/mutex.h>
#include <runnel/wait_group.h>
#include <unistd.h>

#define TEXT_BYTES_MAX 60000

static int_chan numbers;

static void receive(void *arg)
{
    int value;

    EXPECT_EQ(rn_recv(NULL, numbers, &value), 0);
    EXPECT_EQ(rn_sleep(NULL, RN_MICROSECOND), 0);
    rn_wait_group_done(arg);
}

/* A fiber that waits, is woken, sleeps and ends: few events, so that all are still there. */
static void do_something(void)
{
    rn_wait_group done = {0};

    rn_wait_group_add(&done, 1);
    numbers = rn_chan_make(int, 0);
    EXPECT_EQ(rn_go(receive, &done), 0);
    await_waiters(numbers, 1);
    EXPECT_EQ(rn_send(NULL, numbers, 1), 0);
    EXPECT_EQ(rn_wait_group_wait(NULL, &done), 0);
    rn_chan_release(numbers);
}

static char *dumped(void)
{
    static char text[TEXT_BYTES_MAX + 1];
    size_t used = 0;
    ssize_t n;
    int ends[2];

    EXPECT_EQ(pipe(ends), 0);
    rn_dump(ends[1]);
    close(ends[1]);
    while (used < TEXT_BYTES_MAX && (n = read(ends[0], text + used, TEXT_BYTES_MAX - used)) > 0)
        used += (size_t)n;
    close(ends[0]);
    return text;
}

static void do_and_dump(void)
{
    do_something();
    rn_dump(1);
    exit(0);
}

static void traced(void (*body)(void))
{
    EXPECT_EQ(setenv("RUNNEL_DEBUG", "trace", 1), 0);
    test_on_fiber(body);
}

TEST_DIES(a_dump_shows_starts, "worker [0-9]+, [0-9.]+ ms ago: starts fiber 2\n", 0)
{
    traced(do_and_dump);
}

TEST_DIES(a_dump_shows_what_a_fiber_parks_for,
          "worker [0-9]+, [0-9.]+ ms ago: parks fiber 2 \\[chan receive\\]\n", 0)
{
    traced(do_and_dump);
}

TEST_DIES(a_dump_shows_wakes, "worker [0-9]+, [0-9.]+ ms ago: makes ready fiber 2\n", 0)
{
    traced(do_and_dump);
}

TEST_DIES(a_dump_shows_timers, "worker [0-9]+, [0-9.]+ ms ago: fires a timer\n", 0)
{
    traced(do_and_dump);
}

static void sleep_often(void)
{
    const char *text;
    int lines = 0;

    for (int i = 0; i < 1000; i++)
        EXPECT_EQ(rn_sleep(NULL, 1), 0);
    text = dumped();
    for (const char *at = text; (at = strstr(at, "worker 0, ")) != NULL; at++)
        lines++;
    EXPECT_EQ(lines, 64); /* no more than the ring has */
}

TEST(old_events_make_room)
{
    EXPECT_EQ(setenv("RUNNEL_WORKERS", "1", 1), 0);
    traced(sleep_often);
}

static void expect_no_trace(void)
{
    do_something();
    EXPECT(strstr(dumped(), " ago: ") == NULL);
}

TEST(without_it_nothing_is_noted)
{
    test_on_fiber(expect_no_trace);
}

static void fail_a_check(void)
{
    rn_mutex m = {0};

    do_something();
    rn_mutex_unlock(&m);
}

TEST_DIES(a_failed_check_shows_the_trace,
          "^runnel: unlock of an unlocked mutex [^\n]*\nfiber 1 [^\n]*\nworker [0-9]+, [0-9.]+ ms "
          "ago: ",
          SIGABRT)
{
    traced(fail_a_check);
}
