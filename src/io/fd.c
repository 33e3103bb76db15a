/*
 * Handles over file descriptors: try first, park after EAGAIN.
 *
 * A call holds the entry of its handle from beginning to end (poll_hold, poll_drop). So a close
 * does not wait for it, and yet the number stays what it was until the call has left. The handle's
 * generation is checked again under the entry's lock before each wait.
 *
 * Regular files are always ready as far as the kernel's poller knows. What is in memory is read at
 * once; the disk is waited for in rn_blocking.
 */
#include "sched/park.h"
#include "wait/ctx.h"
#include "wait/fd_wait.h"

#include <errno.h>
#include <runnel/fd.h>
#include <runnel/fiber.h>

#define SHARED_WRITE_BYTES_MAX 4096 /* a pipe that polls as writable has room for PIPE_BUF bytes */

/* What one call works with. */
struct call {
    struct poll_entry *entry;
    uint64_t handle;
    rn_ctx *ctx;
};

static int call_begin(struct call *call, rn_ctx *ctx, rn_fd fd)
{
    int err = ctx_err(ctx);

    check_not_forked();
    if (err != 0)
        return err;
    *call = (struct call){.entry = poll_hold(fd.handle), .handle = fd.handle, .ctx = ctx};
    return call->entry == NULL ? -EBADF : 0;
}

static void call_end(struct call *call)
{
    poll_drop(call->entry);
    budget_spend();
}

/* ---- opening and closing ---- */

static int open_watched(rn_fd *out, int fd, unsigned flags)
{
    out->handle = 0;
    fiber_here(); /* starts the runtime, and with it the poller */
    return poll_open(&out->handle, fd, flags, NULL);
}

int rn_fd_open(rn_fd *out, int fd)
{
    out->handle = 0;
    int was = os_fd_set_nonblocking(fd, true);
    if (was < 0)
        return was;
    int err = open_watched(out, fd, was == 1 ? POLL_WAS_NONBLOCKING : 0);
    if (err != 0) {
        out->handle = 0;
        if (was == 0)
            os_fd_set_nonblocking(fd, false);
    }
    return err;
}

int rn_fd_open_shared(rn_fd *out, int fd)
{
    int err = open_watched(out, fd, POLL_SHARED);
    if (err != 0)
        out->handle = 0;
    return err;
}

int rn_fd_close(rn_fd fd)
{
    check_not_forked();
    return poll_close(fd.handle);
}

/* The calls in progress have been woken, and are on their way out. */
static void await_calls(struct poll_entry *entry)
{
    struct waiter waiter = {0};

    spin_lock(&entry->lock);
    while (entry->references > 1) {
        waitq_wait(NULL, fd_queue(entry, POLL_EITHER), &entry->lock, &waiter, WAIT_FD_READ);
        spin_lock(&entry->lock);
    }
    spin_unlock(&entry->lock);
}

int rn_fd_release(rn_fd fd)
{
    struct poll_entry *entry;

    check_not_forked();
    int err = poll_release(fd.handle, &entry);
    if (err != 0)
        return err;
    await_calls(entry);
    int number = entry->fd;
    if (!(entry->flags & (POLL_SHARED | POLL_WAS_NONBLOCKING)))
        os_fd_set_nonblocking(number, false);
    poll_drop(entry);
    return number;
}

int rn_fd_number(rn_fd fd)
{
    struct poll_entry *entry = poll_hold(fd.handle);
    if (entry == NULL)
        return -EBADF;
    int number = entry->fd;
    poll_drop(entry);
    return number;
}

/* ---- reading and writing once ---- */

/* A system call on a regular file, carried to where it may block. */
struct file_call {
    int fd;
    void *read_to;
    const void *write_from;
    size_t size;
    int64_t result;
};

static int read_blocking(void *arg)
{
    struct file_call *file = arg;
    file->result = os_fd_read(file->fd, file->read_to, file->size);
    return 0;
}

static int write_blocking(void *arg)
{
    struct file_call *file = arg;
    file->result = os_fd_write(file->fd, file->write_from, file->size, false);
    return 0;
}

static int64_t read_file(int fd, void *buffer, size_t size)
{
    struct file_call file = {.fd = fd, .read_to = buffer, .size = size};
    int64_t n = os_fd_read_cached(fd, buffer, size);

    if (n != -EAGAIN)
        return n;
    rn_blocking(read_blocking, &file);
    return file.result;
}

/* -EAGAIN: it would have to wait. */
static int64_t try_read(struct poll_entry *entry, void *buffer, size_t size)
{
    if (entry->flags & POLL_UNWATCHED)
        return read_file(entry->fd, buffer, size);
    if ((entry->flags & POLL_SHARED) && os_fd_ready(entry->fd, OS_READABLE) == 0)
        return -EAGAIN;
    return os_fd_read(entry->fd, buffer, size);
}

static int64_t try_write(struct poll_entry *entry, const void *buffer, size_t size)
{
    struct file_call file = {.fd = entry->fd, .write_from = buffer, .size = size};

    if (entry->flags & POLL_UNWATCHED) {
        rn_blocking(write_blocking, &file);
        return file.result;
    }
    if (entry->flags & POLL_SHARED) {
        if (os_fd_ready(entry->fd, OS_WRITABLE) == 0)
            return -EAGAIN;
        if (size > SHARED_WRITE_BYTES_MAX)
            size = SHARED_WRITE_BYTES_MAX;
    }
    return os_fd_write(entry->fd, buffer, size, fiber_here()->kind == FIBER_THREAD);
}

/* ---- reading and writing ---- */

static int call_wait(struct call *call, enum poll_queue queue, uint32_t seen)
{
    return fd_wait(call->ctx, call->entry, call->handle, queue, seen, RN_FOREVER,
                   queue == POLL_WRITE ? WAIT_FD_WRITE : WAIT_FD_READ);
}

static int64_t read_some(struct call *call, void *buffer, size_t size)
{
    for (;;) {
        uint32_t seen = poll_edges(call->entry, POLL_READ);
        int64_t n = try_read(call->entry, buffer, size);
        if (n != -EAGAIN || (call->entry->flags & POLL_UNWATCHED))
            return n;
        int err = call_wait(call, POLL_READ, seen);
        if (err != 0)
            return err;
    }
}

static int64_t write_some(struct call *call, const void *buffer, size_t size)
{
    for (;;) {
        uint32_t seen = poll_edges(call->entry, POLL_WRITE);
        int64_t n = try_write(call->entry, buffer, size);
        if (n != -EAGAIN || (call->entry->flags & POLL_UNWATCHED))
            return n == 0 ? -EIO : n; /* a device that takes nothing and does not say why */
        int err = call_wait(call, POLL_WRITE, seen);
        if (err != 0)
            return err;
    }
}

ssize_t rn_fd_read(rn_ctx *ctx, rn_fd fd, void *buffer, size_t size)
{
    struct call call;
    int err = call_begin(&call, ctx, fd);

    if (err != 0)
        return err;
    int64_t n = size == 0 ? 0 : read_some(&call, buffer, size);
    call_end(&call);
    return n;
}

ssize_t rn_fd_read_full(rn_ctx *ctx, rn_fd fd, void *buffer, size_t size)
{
    size_t done = 0;

    do {
        ssize_t n = rn_fd_read(ctx, fd, (char *)buffer + done, size - done);
        if (n <= 0)
            return done > 0 ? (ssize_t)done : n;
        done += (size_t)n;
    } while (done < size);
    return (ssize_t)done;
}

ssize_t rn_fd_write(rn_ctx *ctx, rn_fd fd, const void *buffer, size_t size)
{
    struct call call;
    size_t done = 0;
    int err = call_begin(&call, ctx, fd);

    if (err != 0)
        return err;
    while (done < size && err == 0) {
        int64_t n = write_some(&call, (const char *)buffer + done, size - done);
        if (n > 0)
            done += (size_t)n;
        err = n < 0 ? (int)n : ctx_err(ctx);
    }
    call_end(&call);
    return done > 0 || size == 0 ? (ssize_t)done : err;
}

int rn_fd_wait(rn_ctx *ctx, rn_fd fd, int events)
{
    struct call call;
    enum poll_queue queue = fd_queue_for(events);
    int ready = 0;

    _Static_assert(RN_READABLE == OS_READABLE && RN_WRITABLE == OS_WRITABLE, "the same bits");
    if (events == 0 || (events & ~(RN_READABLE | RN_WRITABLE)) != 0)
        return -EINVAL;
    int err = call_begin(&call, ctx, fd);
    if (err != 0)
        return err;
    while (err == 0 && ready == 0) {
        uint32_t seen = poll_edges(call.entry, queue);
        if (call.entry->flags & POLL_UNWATCHED)
            ready = events;
        else if ((ready = os_fd_ready(call.entry->fd, events)) == 0)
            err = call_wait(&call, queue, seen);
    }
    call_end(&call);
    return err != 0 ? err : ready;
}
