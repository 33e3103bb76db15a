/*
 * rn_writer - buffered output: small pieces gathered into large writes.
 *
 *     rn_writer *out;
 *
 *     if ((err = rn_writer_new(&out, conn, NULL)) != 0)
 *         return err;
 *     rn_writer_printf(ctx, out, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", size);
 *     rn_writer_write(ctx, out, body, size);
 *     err = rn_writer_flush(ctx, out);           tells of every failure before it, too
 *     rn_writer_free(out);
 *
 * Lifetime
 * 1. A writer belongs to who made it. It does not own what it writes to: close that yourself.
 * 2. What is not flushed is lost when the writer is freed.
 * 3. After a failed write nobody knows what the other side has got: every further call but
 *    rn_writer_free returns the same code. So only the last result needs a look.
 *
 * At once  one call on one writer at a time.
 */
#ifndef RUNNEL_WRITER_H
#define RUNNEL_WRITER_H

#include <runnel/ctx.h>
#include <runnel/error.h>
#include <runnel/fd.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

RN_BEGIN_DECLS

typedef struct rn_writer rn_writer;

/* How to write; zero is the default of each field. */
typedef struct rn_writer_config {
    size_t size; /* bytes of the buffer; 16 or more; default 4096 */
    /* Writes instead of rn_fd_writev, which it must do as; for TLS and the like. */
    ssize_t (*writev)(rn_ctx *ctx, void *arg, const struct iovec *parts, size_t n);
    void *writev_arg;
} rn_writer_config;

/*
 * rn_writer_new - a writer to a handle, or to .writev; config may be NULL.
 *
 * Caller   any thread or fiber.
 * Returns  0         *out is the writer
 *          -EINVAL   .size is less than 16 (see rn_error_detail)
 *          -ENOMEM   out of memory
 *          On every error *out is NULL, which rn_writer_free takes.
 */
RN_API int rn_writer_new(rn_writer **out, rn_fd fd, const rn_writer_config *config);

/*
 * rn_writer_free - free it, without flushing. NULL is fine.
 *
 * Caller   any thread or fiber; no other call on it may be running.
 */
RN_API void rn_writer_free(rn_writer *w);

/*
 * rn_writer_write - add bytes, writing when the buffer is full.
 *
 * What does not fit goes out together with what is buffered, in one system call, without a copy.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   the fiber while there is no room, as rn_fd_write.
 * Returns  0            buffered or written
 *          -ECANCELED   ctx was cancelled
 *          -ETIMEDOUT   ctx's deadline passed
 *          -EPIPE       nobody can read it any more
 *          and the other codes of rn_fd_write.
 */
RN_API int rn_writer_write(rn_ctx *ctx, rn_writer *w, const void *data, size_t size);

/*
 * rn_writer_printf, rn_writer_vprintf - add text, as printf does.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   as rn_writer_write.
 * Returns  as rn_writer_write, and
 *          -EINVAL   printf(3) cannot make that text
 *          -ENOMEM   it does not fit the buffer, and there is no memory for it elsewhere
 */
RN_API int rn_writer_printf(rn_ctx *ctx, rn_writer *w, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
RN_API int rn_writer_vprintf(rn_ctx *ctx, rn_writer *w, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

/*
 * rn_writer_flush - write what is buffered.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   as rn_writer_write.
 * Returns  as rn_writer_write; 0: everything is written.
 */
RN_API int rn_writer_flush(rn_ctx *ctx, rn_writer *w);

/*
 * rn_writer_buffered - how many bytes wait to be flushed.
 *
 * Caller   any thread or fiber.
 */
RN_API size_t rn_writer_buffered(const rn_writer *w);

RN_END_DECLS

#endif
