/*
 * What the tests of io/ share: pipes, counting descriptors, and knowing that fibers wait.
 */
#ifndef RN_TESTS_IO_H
#define RN_TESTS_IO_H

#include "core.h"
#include "test.h"

#include <runnel.h>

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PIPE_BYTES_MAX (1 << 20) /* more than any pipe holds by default */

/* A pipe whose ends are handles. */
struct pipe {
    rn_fd in;  /* to be read */
    rn_fd out; /* to be written */
};

static inline struct pipe pipe_new(void)
{
    struct pipe p;
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    EXPECT_EQ(rn_fd_open(&p.in, ends[0]), 0);
    EXPECT_EQ(rn_fd_open(&p.out, ends[1]), 0);
    return p;
}

static inline void pipe_close(struct pipe p)
{
    rn_fd_close(p.in);
    rn_fd_close(p.out);
}

/*
 * Open descriptors of this process, but those on /proc and /sys: the runtime looks there now and
 * then, as we do, and malloc (for the number of processors) when a thread uses it first.
 */
static inline int fds_open(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char target[64];
        ssize_t length = readlinkat(dirfd(dir), entry->d_name, target, sizeof target);
        n += length > 0 && strncmp(target, "/proc/", 6) != 0 && strncmp(target, "/sys/", 5) != 0;
    }
    closedir(dir);
    return n;
}

/* As many descriptors are open as before, once those who are on their way have closed theirs. */
static inline void expect_fds(int before)
{
    while (fds_open() > before)
        rn_yield();
    EXPECT_EQ(fds_open(), before);
}

/* How many fibers wait for a reason that begins so, as a dump says. */
static inline int fibers_that_wait(const char *reason)
{
    int fd = memfd_create("dump", MFD_CLOEXEC);
    int n = 0;
    rn_dump(fd);
    off_t size = lseek(fd, 0, SEEK_END);
    char *text = calloc(1, (size_t)size + 1);
    char shown[64];
    snprintf(shown, sizeof shown, "[%s", reason);
    if (pread(fd, text, (size_t)size, 0) == size)
        for (const char *at = text; (at = strstr(at, shown)) != NULL; at++)
            n++;
    free(text);
    close(fd);
    return n;
}

/* Returns when n fibers wait for this reason. */
static inline void await_reason(const char *reason, int n)
{
    while (fibers_that_wait(reason) < n)
        rn_yield();
}

/* Reads up to the end into a buffer that is large enough; ends it with a zero. */
static inline size_t read_all(rn_fd from, char *buffer, size_t room)
{
    ssize_t n = rn_fd_read_full(NULL, from, buffer, room - 1);
    EXPECT(n >= 0);
    buffer[n > 0 ? n : 0] = 0;
    return n > 0 ? (size_t)n : 0;
}

#endif
