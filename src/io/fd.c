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
#include "io/call.h"

#include <runnel/fiber.h>
#include <string.h>

#define SHARED_WRITE_BYTES_MAX 4096  /* a pipe that polls as writable has room for PIPE_BUF bytes */
#define PARTS_AT_ONCE_MAX 64         /* parts that one system call gets */
#define SENDFILE_BYTES_MAX (1 << 20) /* of a file in one system call: others want their turn */

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

    (void)fiber_here(); /* before the lock */
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

static int64_t read_some(struct call *call, void *buffer, size_t size)
{
    struct poll_entry *entry = call->entry;

    for (;;) {
        uint32_t seen = poll_edges(entry, POLL_READ);
        int64_t n = poll_empty(entry, seen) ? -EAGAIN : try_read(entry, buffer, size);
        if (n != -EAGAIN || (entry->flags & POLL_UNWATCHED)) {
            poll_note_read(entry, seen, n > 0 && (size_t)n < size);
            return n;
        }
        int err = call_wait(call, POLL_READ, seen, WAIT_FD_READ);
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
        int err = call_wait(call, POLL_WRITE, seen, WAIT_FD_WRITE);
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

/* ---- several parts ---- */

/* What is left of the parts, as many as go at once. */
struct window {
    const struct iovec *parts;
    size_t n;
    size_t skip; /* bytes of the first part that are written */
};

/* Bytes have been written: moves on behind them, and behind empty parts. */
static void window_advance(struct window *w, size_t bytes)
{
    w->skip += bytes;
    while (w->n > 0 && w->skip >= w->parts->iov_len) {
        w->skip -= w->parts->iov_len;
        w->parts++;
        w->n--;
    }
}

static int64_t try_writev(struct poll_entry *entry, const struct window *w)
{
    struct iovec now[PARTS_AT_ONCE_MAX];
    size_t n = w->n < PARTS_AT_ONCE_MAX ? w->n : PARTS_AT_ONCE_MAX;

    if (entry->flags & (POLL_SHARED | POLL_UNWATCHED))
        return try_write(entry, (char *)w->parts->iov_base + w->skip, w->parts->iov_len - w->skip);
    memcpy(now, w->parts, n * sizeof *now);
    now[0].iov_base = (char *)now[0].iov_base + w->skip;
    now[0].iov_len -= w->skip;
    return os_fd_writev(entry->fd, now, (int)n, fiber_here()->kind == FIBER_THREAD);
}

static int64_t writev_some(struct call *call, const struct window *w)
{
    for (;;) {
        uint32_t seen = poll_edges(call->entry, POLL_WRITE);
        int64_t n = try_writev(call->entry, w);
        if (n != -EAGAIN || (call->entry->flags & POLL_UNWATCHED))
            return n == 0 ? -EIO : n;
        int err = call_wait(call, POLL_WRITE, seen, WAIT_FD_WRITE);
        if (err != 0)
            return err;
    }
}

ssize_t rn_fd_writev(rn_ctx *ctx, rn_fd fd, const struct iovec *parts, size_t n)
{
    struct window window = {.parts = parts, .n = n};
    struct call call;
    size_t done = 0;
    int err = call_begin(&call, ctx, fd);

    if (err != 0)
        return err;
    window_advance(&window, 0);
    bool nothing = window.n == 0;
    while (window.n > 0 && err == 0) {
        int64_t bytes = writev_some(&call, &window);
        if (bytes > 0) {
            done += (size_t)bytes;
            window_advance(&window, (size_t)bytes);
        }
        err = bytes < 0 ? (int)bytes : ctx_err(ctx);
    }
    call_end(&call);
    return done > 0 || nothing ? (ssize_t)done : err;
}

/* ---- from a file ---- */

struct sending {
    struct call to;
    int file;
    bool quiet;
    int64_t offset;
    size_t size;
    int64_t result;
};

static int send_piece(void *arg)
{
    struct sending *s = arg;
    size_t size = s->size < SENDFILE_BYTES_MAX ? s->size : SENDFILE_BYTES_MAX;
    s->result = os_fd_sendfile(s->to.entry->fd, s->file, s->offset, size, s->quiet);
    return 0;
}

/* What is in memory is sent at once; the disk, and files that are written, are waited for. */
static int64_t send_some(struct sending *s)
{
    struct poll_entry *to = s->to.entry;
    size_t size = s->size < SENDFILE_BYTES_MAX ? s->size : SENDFILE_BYTES_MAX;

    for (;;) {
        uint32_t seen = poll_edges(to, POLL_WRITE);
        s->quiet = fiber_here()->kind == FIBER_THREAD;
        if (!(to->flags & (POLL_SHARED | POLL_UNWATCHED)) &&
            os_file_cached(s->file, s->offset, size))
            send_piece(s);
        else
            rn_blocking(send_piece, s);
        if (s->result != -EAGAIN || (to->flags & POLL_UNWATCHED))
            return s->result;
        int err = call_wait(&s->to, POLL_WRITE, seen, WAIT_FD_WRITE);
        if (err != 0)
            return err;
    }
}

static int64_t send_all(struct sending *s)
{
    int64_t done = 0, n = 1;

    while (s->size > 0 && n > 0) {
        n = send_some(s);
        if (n > 0) {
            done += n;
            s->offset += n;
            s->size -= (size_t)n;
            int err = s->size > 0 ? ctx_err(s->to.ctx) : 0;
            n = err != 0 ? err : n;
        }
    }
    return done > 0 || n > 0 ? done : n;
}

ssize_t rn_fd_sendfile(rn_ctx *ctx, rn_fd to, rn_fd file, int64_t offset, size_t size)
{
    struct sending s = {.offset = offset, .size = size};
    struct poll_entry *from;
    int err = call_begin(&s.to, ctx, to);

    if (err != 0)
        return err;
    from = poll_hold(file.handle);
    if (from == NULL) {
        call_end(&s.to);
        return -EBADF;
    }
    s.file = from->fd;
    int64_t n = send_all(&s);
    poll_drop(from);
    call_end(&s.to);
    return n;
}

/* ---- waiting ---- */

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
            err = call_wait(&call, queue, seen, queue == POLL_WRITE ? WAIT_FD_WRITE : WAIT_FD_READ);
    }
    call_end(&call);
    return err != 0 ? err : ready;
}
