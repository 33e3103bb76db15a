/*
 * rn_fd - file descriptors that park the fiber, not the worker.
 *
 *     rn_fd in;
 *     char buffer[4096];
 *     ssize_t n;
 *
 *     if ((err = rn_fd_open(&in, pipe_end)) != 0)
 *         return err;
 *     while ((n = rn_fd_read(ctx, in, buffer, sizeof buffer)) > 0)
 *         use(buffer, (size_t)n);
 *     rn_fd_close(in);
 *     return (int)n;                 0 at end of file, or a negative code
 *
 * Lifetime
 * 1. Opening a handle gives the descriptor to it: close the handle, not the number.
 * 2. A handle is a small value. Copies are the same handle; after rn_fd_close every copy is -EBADF
 *    for ever, also when its number or its place in the table belongs to somebody else by then.
 * 3. Closing wakes every waiter with -EBADF. The number is closed when the last call in progress
 *    has left.
 * 4. Handles still open when the runtime stops are closed then.
 *
 * At once  every call, from any number of fibers and threads. Bytes of two long writes to one
 *          handle may mix; hold a mutex where that matters.
 */
#ifndef RUNNEL_FD_H
#define RUNNEL_FD_H

#include <runnel/error.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

RN_BEGIN_DECLS

typedef struct rn_ctx rn_ctx;

/* A handle: index and generation, so that a closed one is -EBADF, never somebody else's file. */
typedef struct rn_fd {
    uint64_t handle; /* 0: none */
} rn_fd;

#define RN_READABLE 1
#define RN_WRITABLE 2

/*
 * rn_fd_open - take over a descriptor of any kind: pipe, socket, terminal, regular file, pidfd, ...
 *
 * Makes it non-blocking, for everybody who shares the open file: for standard input, output and
 * error, see rn_fd_open_shared. Regular files and directories are always ready; reading and writing
 * them runs as in rn_blocking.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Returns  0         *out is the handle, which owns fd
 *          -EBADF    fd is not an open descriptor
 *          -EEXIST   a handle watches fd already
 *          -ENOMEM   out of memory
 *          and what epoll_ctl(2) says, negated (-ENOSPC: the user watches too many descriptors).
 *          On every error *out is no handle, and fd is still the caller's, as it was.
 * See      rn_fd_open_shared, rn_fd_close, rn_fd_release
 */
RN_API int rn_fd_open(rn_fd *out, int fd);

/*
 * rn_fd_open_shared - the same for a descriptor that other processes use too: leaves its mode
 * alone.
 *
 * A non-blocking standard input or output would break the programs that share it. Each read and
 * write asks first whether it would wait. When another process takes the bytes or the room in
 * between, the worker is held up; the runtime compensates.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Returns  as rn_fd_open.
 * Cost     one more system call for each read and write; writes of more than 4 KiB go in pieces.
 */
RN_API int rn_fd_open_shared(rn_fd *out, int fd);

/*
 * rn_fd_close - close a handle and wake everyone who waits for it with -EBADF.
 *
 * Caller   any thread or fiber.
 * Returns  0        closed by this call
 *          -EBADF   not an open handle, or closed before
 */
RN_API int rn_fd_close(rn_fd fd);

/*
 * rn_fd_release - end a handle, but give its descriptor back instead of closing it.
 *
 * The mode, blocking or not, is again what it was when the handle was opened. Waiters wake with
 * -EBADF.
 *
 * Caller   any thread or fiber.
 * Blocks   until the calls in progress have left.
 * Returns  the descriptor, which is the caller's again
 *          -EBADF   not an open handle, or closed before
 */
RN_API int rn_fd_release(rn_fd fd);

/*
 * rn_fd_number - the descriptor of a handle, to be used as long as the handle is open.
 *
 * Caller   any thread or fiber.
 * Returns  the number, or -EBADF.
 */
RN_API int rn_fd_number(rn_fd fd);

/*
 * rn_fd_read - read what there is, waiting until there is something.
 *
 * One successful read(2) of at most size bytes.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   the fiber until there is a byte, end of file, an error, a close, or ctx ends.
 * Returns  1..size      so many bytes are in buffer
 *          0            end of file, or size is 0
 *          -EBADF       the handle is or was closed, or cannot be read
 *          -ECANCELED   ctx was cancelled
 *          -ETIMEDOUT   ctx's deadline passed
 *          and what read(2) says, negated (-EISDIR, -ECONNRESET, -EIO, ...).
 *          On every error nothing was read.
 * Cost     one system call when there is something, two and a park when not.
 */
RN_API ssize_t rn_fd_read(rn_ctx *ctx, rn_fd fd, void *buffer, size_t size);

/*
 * rn_fd_read_full - read exactly size bytes, or up to the end of file.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   until all are read, end of file, an error, a close, or ctx ends.
 * Returns  how many were read: size, or fewer when it ended early (the next call says why, 0 at end
 *          of file); when none could be read, the codes of rn_fd_read.
 */
RN_API ssize_t rn_fd_read_full(rn_ctx *ctx, rn_fd fd, void *buffer, size_t size);

/*
 * rn_fd_write - write all size bytes, waiting for room as often as needed.
 *
 * SIGPIPE is never raised.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   the fiber until all are written, an error, a close, or ctx ends.
 * Returns  how many were written: size, or fewer (from the front) when it ended early and the next
 *          call says why; when none could be written,
 *          -EPIPE       nobody can read it any more
 *          -EBADF       the handle is or was closed, or cannot be written
 *          -ECANCELED   ctx was cancelled
 *          -ETIMEDOUT   ctx's deadline passed
 *          and what write(2) says, negated (-ENOSPC, -EIO, ...).
 */
RN_API ssize_t rn_fd_write(rn_ctx *ctx, rn_fd fd, const void *buffer, size_t size);

/*
 * rn_fd_writev - write several parts as one, waiting for room as often as needed.
 *
 * A header and a body need no copy to go out together: up to 64 parts are one system call.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   as rn_fd_write.
 * Returns  how many bytes of all parts together were written, and otherwise as rn_fd_write.
 */
RN_API ssize_t rn_fd_writev(rn_ctx *ctx, rn_fd fd, const struct iovec *parts, size_t n);

/*
 * rn_fd_sendfile - write size bytes of a file from offset on, without copying them through the
 * program.
 *
 * file is a handle of a regular file; its own position stays. What is in memory is sent straight
 * away; for the disk it waits as in rn_blocking.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   as rn_fd_write.
 * Returns  how many were written: size, or fewer when the file or the connection ended early, or
 *          ctx did; when none could be written, 0 (the file ends before offset) or the codes of
 *          rn_fd_write, and what sendfile(2) says, negated (-EINVAL: offset is negative, -ESPIPE:
 *          file is a pipe).
 */
RN_API ssize_t rn_fd_sendfile(rn_ctx *ctx, rn_fd to, rn_fd file, int64_t offset, size_t size);

/*
 * rn_fd_wait - wait until a handle can be read or written without waiting.
 *
 * events is RN_READABLE, RN_WRITABLE or both. An error or hang-up on the other side counts as both.
 * For calls that runnel does not offer: use the number, try the call, wait here after EAGAIN.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   the fiber until one of events, a close, or ctx ends.
 * Returns  the events that are there: RN_READABLE, RN_WRITABLE or both (always greater than 0)
 *          -EBADF       the handle is or was closed
 *          -EINVAL      events is neither of these
 *          -ECANCELED   ctx was cancelled
 *          -ETIMEDOUT   ctx's deadline passed
 */
RN_API int rn_fd_wait(rn_ctx *ctx, rn_fd fd, int events);

RN_END_DECLS

#endif
