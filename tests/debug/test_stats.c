/* Counters and dumps. */
#include "core.h"
#include "test.h"

#include <signal.h>
#include <unistd.h>

struct held {
    int_chan hold;
};

static void wait_held(void *arg)
{
    int value;
    EXPECT_EQ(rn_recv(NULL, ((struct held *)arg)->hold, &value), RN_ECLOSED);
}

TEST_FIBER(fibers_are_counted)
{
    enum { FIBERS = 100 };
    struct held h = {rn_chan_make(int, 0)};
    rn_stats before = stats_now(), during, after;

    for (int i = 0; i < FIBERS; i++)
        EXPECT_EQ(rn_go(wait_held, &h), 0);
    await_waiters(h.hold, FIBERS);
    during = stats_now();
    EXPECT_EQ(during.fibers_started - before.fibers_started, FIBERS);
    EXPECT_EQ(during.fibers_live - before.fibers_live, FIBERS);
    EXPECT(during.switches - before.switches >= FIBERS);
    EXPECT(during.stacks_reserved >= FIBERS);
    EXPECT_EQ(rn_close(h.hold), 0);
    await_live(before.fibers_live);
    after = stats_now();
    EXPECT_EQ(after.fibers_started, during.fibers_started);
    EXPECT(after.stacks_pooled <= after.stacks_reserved);
    rn_chan_release(h.hold);
}

static void end_at_once(void *arg)
{
    (void)arg;
}

static void look_often(void *arg)
{
    atomic_int *stop = *(atomic_int **)arg;
    while (atomic_load(stop) == 0) {
        EXPECT(stats_now().fibers_live < 1000000); /* never below zero */
        rn_yield();
    }
}

TEST_FIBER(the_number_of_live_fibers_is_never_too_small)
{
    atomic_int stop = 0, *place = &stop;

    EXPECT_EQ(rn_go_copy(look_often, &place), 0);
    for (int i = 0; i < rounds(20000); i++) {
        EXPECT_EQ(rn_go(end_at_once, NULL), 0);
        EXPECT(stats_now().fibers_live >= 2); /* main and the other who looks */
        if (i % 16 == 0)
            rn_yield();
    }
    atomic_store(&stop, 1);
    await_live(1);
}

TEST_FIBER(armed_timers_are_counted)
{
    rn_timer *timers[20];

    EXPECT_EQ(stats_now().timers, 0);
    for (int i = 0; i < 20; i++)
        timers[i] = rn_timer_new(RN_HOUR + i);
    EXPECT_EQ(stats_now().timers, 20);
    for (int i = 0; i < 20; i++)
        rn_timer_free(timers[i]);
    EXPECT_EQ(stats_now().timers, 0);
}

TEST(counters_can_be_read_when_nothing_runs)
{
    rn_stats stats;

    memset(&stats, 0xff, sizeof stats);
    rn_stats_read(&stats);
    EXPECT_EQ(stats.fibers_live, 0);
    EXPECT_EQ(rn_start(), 0);
    EXPECT_EQ(rn_stop(), 0);
    rn_stats_read(&stats);
    EXPECT_EQ(stats.fibers_live, 0);
}

static char text[1 << 16];

/* What fn writes to a descriptor. */
static const char *captured(int (*fn)(int fd), int *result)
{
    FILE *file = tmpfile();

    EXPECT(file != NULL);
    *result = fn(fileno(file));
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    return text;
}

static int lines_of(const char *s)
{
    int n = 0;
    while ((s = strchr(s, '\n')) != NULL) {
        n++;
        s++;
    }
    return n;
}

TEST_FIBER(a_dump_has_one_line_for_each_live_fiber)
{
    enum { FIBERS = 20 };
    struct held h = {rn_chan_make(int, 0)};
    int n;

    for (int i = 0; i < FIBERS; i++)
        EXPECT_EQ(rn_go(wait_held, &h), 0);
    EXPECT_EQ(rn_go_with(&(rn_go_options){.name = "last of all"}, wait_held, &h), 0);
    await_waiters(h.hold, FIBERS + 1);
    const char *dump = captured(rn_dump, &n);
    EXPECT_EQ(n, FIBERS + 2);
    EXPECT_EQ(lines_of(dump), n);
    EXPECT(strstr(dump, "\"wait_held\" [chan receive") != NULL);
    EXPECT(strstr(dump, "\"last of all\" [chan receive") != NULL);
    EXPECT(strstr(dump, "test_stats.c:") != NULL);
    EXPECT_EQ(rn_close(h.hold), 0);
    await_live(1);
    rn_chan_release(h.hold);
}

/* A look may miss one that begins at this very moment, or show it twice. */
TEST_FIBER(a_dump_shows_fibers_that_have_not_begun)
{
    enum { FIBERS = 20 };
    struct held h = {rn_chan_make(int, 0)};
    const char *dump = text;
    int n = 0;

    for (int i = 0; i < FIBERS; i++)
        EXPECT_EQ(i % 2 ? rn_go(wait_held, &h) : rn_go_copy(wait_held, &h), 0);
    for (int looks = 0; looks < 1000 && n != FIBERS + 1; looks++)
        dump = captured(rn_dump, &n);
    EXPECT_EQ(n, FIBERS + 1);
    EXPECT_EQ(lines_of(dump), n);
    EXPECT(strstr(dump, "\"wait_held\" [") != NULL);
    EXPECT(strstr(dump, "test_stats.c:") != NULL);
    EXPECT_EQ(rn_close(h.hold), 0);
    await_live(1);
    rn_chan_release(h.hold);
}

TEST(a_dump_of_nothing_is_empty)
{
    int n;
    EXPECT_EQ(strlen(captured(rn_dump, &n)), 0);
    EXPECT_EQ(n, 0);
}

static int leave_waiting(int argc, char **argv)
{
    static struct held h;

    (void)argc, (void)argv;
    h.hold = rn_chan_make(int, 0);
    EXPECT_EQ(rn_go(wait_held, &h), 0);
    await_waiters(h.hold, 1);
    return 0;
}

TEST_DIES(leak_reports_fibers_that_never_ended, "wait_held", 0)
{
    setenv("RUNNEL_DEBUG", "leak", 1);
    exit(rn_run(leave_waiting, 0, NULL));
}

static int leave_nothing(int argc, char **argv)
{
    (void)argc, (void)argv;
    EXPECT_EQ(rn_go(end_at_once, NULL), 0);
    await_live(1);
    return 0;
}

TEST_DIES(leak_reports_nothing_when_all_have_ended, "^$", 0)
{
    setenv("RUNNEL_DEBUG", "leak", 1);
    exit(rn_run(leave_nothing, 0, NULL));
}

/* The signal may go to any thread, which may take its time: the dump is waited for, in a pipe. */
static int quit_and_wait(int argc, char **argv)
{
    char text[8192] = "";
    size_t length = 0;
    int ends[2], to = dup(2);

    (void)argc, (void)argv;
    EXPECT(to >= 0 && pipe(ends) == 0 && dup2(ends[1], 2) == 2);
    EXPECT_EQ(kill(getpid(), SIGQUIT), 0);
    while (strstr(text, "rn_run") == NULL) {
        ssize_t n = read(ends[0], text + length, sizeof text - 1 - length);
        EXPECT(n > 0);
        length += (size_t)n;
    }
    EXPECT(write(to, text, length) == (ssize_t)length);
    EXPECT(dup2(to, 2) == 2);
    return 0;
}

TEST_DIES(dump_answers_sigquit_and_the_program_goes_on, "fiber 1 .*rn_run", 0)
{
    setenv("RUNNEL_DEBUG", "dump", 1);
    exit(rn_run(quit_and_wait, 0, NULL));
}

static void hog_until(void *arg)
{
    atomic_int *flag = *(atomic_int **)arg;
    while (atomic_load(flag) == 0)
        ;
}

static int hog_for_a_while(int argc, char **argv)
{
    atomic_int flag = 0, *place = &flag;
    uint64_t stalls = stats_now().stalls;

    (void)argc, (void)argv;
    EXPECT_EQ(rn_go_copy(hog_until, &place), 0);
    while (stats_now().stalls == stalls)
        rn_yield();
    atomic_store(&flag, 1);
    await_live(1);
    return 0;
}

TEST_DIES(stall_reports_a_fiber_that_holds_its_worker, "hog_until", 0)
{
    setenv("RUNNEL_DEBUG", "stall", 1);
    setenv("RUNNEL_WORKERS", "1", 1);
    exit(rn_run(hog_for_a_while, 0, NULL));
}
