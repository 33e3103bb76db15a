/* Descriptors, Linux. The contract is os/os.h. */
#define _GNU_SOURCE
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
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

/* The signal is the thread's own: blocked, then taken back unless it was pending before. */
int64_t os_fd_write(int fd, const void *buffer, size_t size, bool quiet)
{
    sigset_t broken_pipe, before, pending;

    if (!quiet)
        return write_once(fd, buffer, size);
    sigemptyset(&broken_pipe);
    sigaddset(&broken_pipe, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &broken_pipe, &before);
    int64_t n = write_once(fd, buffer, size);
    if (n == -EPIPE && !sigismember(&pending, SIGPIPE))
        sigtimedwait(&broken_pipe, NULL, &(struct timespec){0});
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return n;
}

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
