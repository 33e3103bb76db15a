/*
 * rn_reader - buffered input: lines, delimited pieces, looking ahead, with a limit on memory.
 *
 *     rn_reader *in;
 *     char *line;
 *     ssize_t n;
 *
 *     if ((err = rn_reader_new(&in, conn, &(rn_reader_config){ .limit = 8192 })) != 0)
 *         return err;
 *     while ((n = rn_reader_line(ctx, in, &line)) >= 0)
 *         use(line, (size_t)n);
 *     rn_reader_free(in);
 *     return n == RN_ECLOSED ? 0 : (int)n;      -EMSGSIZE: a line of more than 8192 bytes
 *
 * Lifetime
 * 1. A reader belongs to who made it. It does not own what it reads from: close that yourself.
 * 2. What a call returns a pointer to lies in the reader's buffer: valid until the next call.
 * 3. The buffer is made with the first read and grows as it is needed, up to the limit.
 * 4. An error loses nothing: what was read is still there, and the next call goes on.
 *
 * At once  one call on one reader at a time.
 */
#ifndef RUNNEL_READER_H
#define RUNNEL_READER_H

#include <runnel/ctx.h>
#include <runnel/error.h>
#include <runnel/fd.h>
#include <stddef.h>
#include <sys/types.h>

RN_BEGIN_DECLS

typedef struct rn_reader rn_reader;

/* How to read; zero is the default of each field. */
typedef struct rn_reader_config {
    size_t limit; /* bytes the buffer may grow to: the longest line; 16 or more; default 64 KiB */
    /* Reads instead of rn_fd_read, which it must do as; for TLS and the like. */
    ssize_t (*read)(rn_ctx *ctx, void *arg, void *buffer, size_t size);
    void *read_arg;
} rn_reader_config;

/*
 * rn_reader_new - a reader from a handle, or from .read; config may be NULL.
 *
 * Caller   any thread or fiber.
 * Returns  0         *out is the reader
 *          -EINVAL   .limit is less than 16 (see rn_error_detail)
 *          -ENOMEM   out of memory
 *          On every error *out is NULL, which rn_reader_free takes.
 */
RN_API int rn_reader_new(rn_reader **out, rn_fd fd, const rn_reader_config *config);

/*
 * rn_reader_free - free it, and what it has buffered. NULL is fine.
 *
 * Caller   any thread or fiber; no other call on it may be running.
 */
RN_API void rn_reader_free(rn_reader *r);

/*
 * rn_reader_line - the next line, without its end (\n or \r\n) and with a zero byte behind it.
 *
 * What stands behind the last end of line is a line too. The line may hold zero bytes of its own.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   the fiber until there is a line, the end, an error, or ctx ends.
 * Returns  its length      *line is the line
 *          RN_ECLOSED      the end of the input, and nothing before it
 *          -EMSGSIZE       no end of line within the limit: the bytes stay, to be read otherwise
 *          -ENOMEM         out of memory for the buffer
 *          -ECANCELED      ctx was cancelled
 *          -ETIMEDOUT      ctx's deadline passed
 *          and the codes of rn_fd_read. On every error *line is NULL.
 */
RN_API ssize_t rn_reader_line(rn_ctx *ctx, rn_reader *r, char **line);

/*
 * rn_reader_until - everything up to and with the next delim.
 *
 * At the end of the input it is what is left: then its last byte is not delim.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   as rn_reader_line.
 * Returns  its length, 1 or more, and *data; otherwise as rn_reader_line.
 */
RN_API ssize_t rn_reader_until(rn_ctx *ctx, rn_reader *r, char delim, const char **data);

/*
 * rn_reader_peek - look at the next n bytes without taking them.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   the fiber until n are there, the end, an error, or ctx ends.
 * Returns  n, and *data; fewer at the end of the input; 0 there when none is left
 *          -EMSGSIZE   n is more than the limit
 *          and otherwise as rn_reader_line.
 */
RN_API ssize_t rn_reader_peek(rn_ctx *ctx, rn_reader *r, size_t n, const char **data);

/*
 * rn_reader_discard - take the next n bytes and forget them.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   the fiber until n have come, the end, an error, or ctx ends.
 * Returns  how many: n, or fewer at the end or before an error, which the next call tells; when
 *          none, 0 at the end or the codes of rn_reader_read.
 */
RN_API ssize_t rn_reader_discard(rn_ctx *ctx, rn_reader *r, size_t n);

/*
 * rn_reader_read, rn_reader_read_full - bytes into memory of one's own.
 *
 * rn_reader_read takes what is buffered and, when nothing is, reads once; rn_reader_read_full goes
 * on until it has size bytes or the input ends. Large pieces do not pass through the buffer.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   as rn_fd_read and rn_fd_read_full, when the buffer does not do.
 * Returns  as rn_fd_read and rn_fd_read_full; -ENOMEM: out of memory for the buffer
 */
RN_API ssize_t rn_reader_read(rn_ctx *ctx, rn_reader *r, void *buffer, size_t size);
RN_API ssize_t rn_reader_read_full(rn_ctx *ctx, rn_reader *r, void *buffer, size_t size);

/*
 * rn_reader_buffered - how many bytes can be had without reading.
 *
 * Caller   any thread or fiber.
 */
RN_API size_t rn_reader_buffered(const rn_reader *r);

RN_END_DECLS

#endif
