/* Dumps that meet what happens at the same moment. */
#include "core.h"
#include "debug/dump.h"
#include "fiber/fiber.h"
#include "sched/sched.h"
#include "test.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Its stack was trimmed after stack_each had found it alive: its page reads as zeros. */
TEST_FIBER(a_fiber_that_is_gone_is_passed_over)
{
    static struct fiber gone, half = {.name = "half"};
    int ends[2];
    char byte;

    EXPECT_EQ(pipe2(ends, O_NONBLOCK), 0);
    EXPECT(!dump_fiber(ends[1], &gone));
    EXPECT(!dump_fiber(ends[1], &half));
    EXPECT_EQ(read(ends[0], &byte, 1), -1);
    close(ends[0]);
    close(ends[1]);
}

static atomic_int armed; /* 1: the monitor's next look at the threads is where the request comes */

static bool is_monitor(void)
{
    char name[16] = "";
    return prctl(PR_GET_NAME, name) == 0 && strcmp(name, "runnel-monitor") == 0;
}

/*
 * The program's own stands before the C library's. The library counts threads by it, and the
 * monitor does so when all are idle: the last thing before it goes to sleep.
 */
int stat(const char *path, struct stat *out)
{
    int yes = 1;

    if (strcmp(path, "/proc/self/task") == 0 && is_monitor() &&
        atomic_compare_exchange_strong(&armed, &yes, 0))
        monitor_ask_dump();
    return fstatat(AT_FDCWD, path, out, 0);
}

struct request {
    int_chan ch;
    int dump; /* what is written to standard error is read here */
};

/* Wakes no worker until the dump is there: only the monitor can write it. */
static void *read_dump_then_send(void *arg)
{
    struct request *r = arg;
    char text[8192] = "";
    size_t length = 0;

    while (strstr(text, "[chan receive]") == NULL) {
        ssize_t n = read(r->dump, text + length, sizeof text - 1 - length);
        EXPECT(n > 0);
        length += (size_t)n;
    }
    EXPECT_EQ(rn_send(NULL, r->ch, 1), 0);
    return NULL;
}

static int wait_for_dump(int argc, char **argv)
{
    struct request r = {.ch = rn_chan_make(int, 0)};
    pthread_t reader;
    int ends[2], to = dup(2), value;

    (void)argc, (void)argv;
    EXPECT(to >= 0 && pipe(ends) == 0 && dup2(ends[1], 2) == 2);
    r.dump = ends[0];
    EXPECT_EQ(pthread_create(&reader, NULL, read_dump_then_send, &r), 0);
    atomic_store(&armed, 1);
    EXPECT_EQ(rn_recv(NULL, r.ch, &value), 0);
    EXPECT_EQ(pthread_join(reader, NULL), 0);
    EXPECT(dup2(to, 2) == 2);
    rn_chan_release(r.ch);
    return 0;
}

/* After the monitor has looked for requests, and before it counts as asleep. */
TEST(a_dump_that_is_asked_for_as_the_monitor_goes_to_sleep_is_written)
{
    EXPECT_EQ(rn_run(wait_for_dump, 0, NULL), 0);
}
