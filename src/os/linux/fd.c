/* Descriptors, Linux. The contract is os/os.h. */
#define _GNU_SOURCE
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

int os_fd_set_nonblocking(int fd, bool on)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return -errno;
    int wanted = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
    if (wanted != flags && fcntl(fd, F_SETFL, wanted) != 0)
        return -errno;
    return (flags & O_NONBLOCK) != 0;
}

int os_fd_set_cloexec(int fd)
{
    return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 ? 0 : -errno;
}

int64_t os_fd_read(int fd, void *buffer, size_t size)
{
    for (;;) {
        ssize_t n = read(fd, buffer, size);
        if (n >= 0)
            return n;
        int err = -errno;
        if (err != -EINTR)
            return err;
    }
}

int64_t os_fd_read_cached(int fd, void *buffer, size_t size)
{
    struct iovec part = {.iov_base = buffer, .iov_len = size};
    ssize_t n = preadv2(fd, &part, 1, -1, RWF_NOWAIT); /* -1: at the file's own position */
    if (n >= 0)
        return n;
    int err = -errno;
    return err == -EOPNOTSUPP || err == -ENOSYS || err == -EINTR || err == -EINVAL || err == -ESPIPE
               ? -EAGAIN
               : err;
}

/* ---- writing ---- */

static int64_t write_once(int fd, const void *buffer, size_t size)
{
    for (;;) {
        ssize_t n = write(fd, buffer, size);
        if (n >= 0)
            return n;
        int err = -errno;
        if (err != -EINTR)
            return err;
    }
}

static int64_t writev_once(int fd, const struct iovec *parts, int n_parts)
{
    for (;;) {
        ssize_t n = writev(fd, parts, n_parts);
        if (n >= 0)
            return n;
        int err = -errno;
        if (err != -EINTR)
            return err;
    }
}

static int64_t sendfile_once(int to, int file, int64_t offset, size_t size)
{
    for (;;) {
        off_t at = offset;
        ssize_t n = sendfile(to, file, &at, size);
        if (n >= 0)
            return n;
        int err = -errno;
        if (err != -EINTR)
            return err;
    }
}

/* SIGPIPE is the thread's own: blocked, then taken back unless it was pending before. */
struct quiet {
    bool on;
    bool was_pending;
    sigset_t before;
};

static sigset_t broken_pipe(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    return set;
}

static struct quiet quiet_begin(bool on)
{
    struct quiet quiet = {.on = on};
    sigset_t block = broken_pipe(), pending;

    if (!on)
        return quiet;
    sigpending(&pending);
    quiet.was_pending = sigismember(&pending, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &block, &quiet.before);
    return quiet;
}

static int64_t quiet_end(const struct quiet *quiet, int64_t result)
{
    sigset_t block = broken_pipe();

    if (!quiet->on)
        return result;
    if (result == -EPIPE && !quiet->was_pending)
        sigtimedwait(&block, NULL, &(struct timespec){0});
    pthread_sigmask(SIG_SETMASK, &quiet->before, NULL);
    return result;
}

int64_t os_fd_write(int fd, const void *buffer, size_t size, bool quiet)
{
    struct quiet q = quiet_begin(quiet);
    return quiet_end(&q, write_once(fd, buffer, size));
}

int64_t os_fd_writev(int fd, const struct iovec *parts, int n, bool quiet)
{
    struct quiet q = quiet_begin(quiet);
    return quiet_end(&q, writev_once(fd, parts, n));
}

int64_t os_fd_sendfile(int to, int file, int64_t offset, size_t size, bool quiet)
{
    struct quiet q = quiet_begin(quiet);
    return quiet_end(&q, sendfile_once(to, file, offset, size));
}

static bool byte_cached(int fd, int64_t offset)
{
    char byte;
    struct iovec part = {.iov_base = &byte, .iov_len = 1};
    return preadv2(fd, &part, 1, offset, RWF_NOWAIT) >= 0; /* 0: the end, which needs no disk */
}

bool os_file_cached(int fd, int64_t offset, size_t size)
{
    return byte_cached(fd, offset) && (size <= 1 || byte_cached(fd, offset + (int64_t)size - 1));
}

/* ---- the rest ---- */

int os_fd_ready(int fd, int events)
{
    struct pollfd one = {.fd = fd};
    int out = 0;

    if (events & OS_READABLE)
        one.events |= POLLIN | POLLRDHUP;
    if (events & OS_WRITABLE)
        one.events |= POLLOUT;
    if (poll(&one, 1, 0) <= 0)
        return 0; /* interrupted: as if it were not ready yet, cannot happen with no timeout */
    if (one.revents & (POLLIN | POLLRDHUP))
        out |= OS_READABLE;
    if (one.revents & POLLOUT)
        out |= OS_WRITABLE;
    if (one.revents & (POLLHUP | POLLERR | POLLNVAL))
        out |= OS_READABLE | OS_WRITABLE;
    return out & events;
}

void os_fd_close(int fd)
{
    close(fd); /* EINTR too has closed it */
}

int os_pipe(int ends[2])
{
    return pipe2(ends, O_CLOEXEC) == 0 ? 0 : -errno;
}

long os_fd_limit(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (long)limit.rlim_cur : -1;
}
