/* The poller where a sandbox refuses the precise wait: its list is older than the call. */
#include "core.h"
#include "test.h"

#include <errno.h>
#include <runnel/fd.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#define SLEEPS 40
#define WORKERS_AT_MOST 8 /* each may be in its first call while another learns that it is no use */

static atomic_int calls;
static int refusal;

/* The program's own stands before the C library's. */
int epoll_pwait2(int epoll, struct epoll_event *events, int room, const struct timespec *timeout,
                 const sigset_t *mask)
{
    (void)epoll, (void)events, (void)room, (void)timeout, (void)mask;
    atomic_fetch_add(&calls, 1);
    errno = refusal;
    return -1;
}

static void write_later(void *arg)
{
    EXPECT_EQ(rn_sleep(NULL, RN_MILLISECOND), 0);
    EXPECT_EQ(write(*(int *)arg, "x", 1), 1);
}

/* Each sleep of the only worker asks the kernel at least once, and a spinning one without end. */
static int sleep_and_read(int argc, char **argv)
{
    rn_fd from;
    int ends[2];
    char byte;

    (void)argc, (void)argv;
    for (int i = 0; i < SLEEPS; i++) {
        rn_time start = rn_now();
        EXPECT_EQ(rn_sleep(NULL, 300 * RN_MICROSECOND), 0);
        EXPECT(rn_now() - start >= 300 * RN_MICROSECOND);
    }
    EXPECT_EQ(pipe(ends), 0);
    EXPECT_EQ(rn_fd_open(&from, ends[0]), 0);
    EXPECT_EQ(rn_go_copy(write_later, &ends[1]), 0);
    EXPECT_EQ(rn_fd_read(NULL, from, &byte, 1), 1);
    EXPECT_EQ(rn_fd_close(from), 0);
    close(ends[1]);
    return 0;
}

static void expect_coarse_waits(int code)
{
    refusal = code;
    EXPECT_EQ(rn_run(sleep_and_read, 0, NULL), 0);
    EXPECT(atomic_load(&calls) <= WORKERS_AT_MOST);
}

TEST(on_an_old_kernel_the_poller_waits_by_milliseconds)
{
    expect_coarse_waits(ENOSYS);
}

TEST(in_an_old_sandbox_too)
{
    expect_coarse_waits(EPERM);
}

TEST(whatever_the_code_of_the_refusal)
{
    expect_coarse_waits(EACCES);
}
