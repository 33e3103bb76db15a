/*
 * Buffered output.
 *
 * Invariant: used <= size; once err is not 0, used is 0 and stays so.
 */
#include <errno.h>
#include <runnel/writer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE_DEFAULT 4096
#define SIZE_MIN 16

struct rn_writer {
    rn_fd fd;
    ssize_t (*writev)(rn_ctx *ctx, void *arg, const struct iovec *parts, size_t n);
    void *writev_arg;
    int err; /* of the write that failed; 0: none has */
    size_t size, used;
    char data[];
};

static ssize_t writev_fd(rn_ctx *ctx, void *arg, const struct iovec *parts, size_t n)
{
    const rn_writer *w = arg;
    return rn_fd_writev(ctx, w->fd, parts, n);
}

int rn_writer_new(rn_writer **out, rn_fd fd, const rn_writer_config *config)
{
    static const rn_writer_config defaults;
    rn_writer *w;

    *out = NULL;
    if (config == NULL)
        config = &defaults;
    size_t size = config->size != 0 ? config->size : SIZE_DEFAULT;
    if (size < SIZE_MIN)
        return rn_error_with(-EINVAL, "writer: .size is %zu: allowed are %d and more", size,
                             SIZE_MIN);
    if (size > SIZE_MAX - sizeof *w || (w = malloc(sizeof *w + size)) == NULL)
        return -ENOMEM;
    *w = (rn_writer){.fd = fd, .size = size};
    w->writev = config->writev != NULL ? config->writev : writev_fd;
    w->writev_arg = config->writev != NULL ? config->writev_arg : w;
    *out = w;
    return 0;
}

void rn_writer_free(rn_writer *w)
{
    free(w);
}

size_t rn_writer_buffered(const rn_writer *w)
{
    return w->used;
}

/* Bytes have been written: what is left of the parts. */
static void advance(struct iovec parts[2], size_t bytes)
{
    for (int i = 0; i < 2; i++) {
        size_t n = bytes < parts[i].iov_len ? bytes : parts[i].iov_len;
        if (n > 0)
            parts[i].iov_base = (char *)parts[i].iov_base + n;
        parts[i].iov_len -= n;
        bytes -= n;
    }
}

/* Writes the buffer and what comes behind it. A write that ended early says why when it goes on. */
static int write_out(rn_ctx *ctx, rn_writer *w, const void *data, size_t size)
{
    struct iovec parts[2] = {{.iov_base = w->data, .iov_len = w->used},
                             {.iov_base = (void *)(uintptr_t)data, .iov_len = size}};

    while (w->err == 0 && parts[0].iov_len + parts[1].iov_len > 0) {
        ssize_t n = w->writev(ctx, w->writev_arg, parts, 2);
        if (n > 0)
            advance(parts, (size_t)n);
        else
            w->err = n < 0 ? (int)n : -EIO;
    }
    w->used = 0;
    return w->err;
}

int rn_writer_write(rn_ctx *ctx, rn_writer *w, const void *data, size_t size)
{
    if (w->err != 0)
        return w->err;
    if (size > w->size - w->used)
        return write_out(ctx, w, data, size);
    if (size > 0)
        memcpy(w->data + w->used, data, size);
    w->used += size;
    return 0;
}

/* Text that did not fit behind what is buffered. */
static int print_long(rn_ctx *ctx, rn_writer *w, size_t length, const char *format, va_list args)
{
    char *text = malloc(length + 1);
    if (text == NULL)
        return -ENOMEM;
    vsnprintf(text, length + 1, format, args);
    int err = rn_writer_write(ctx, w, text, length);
    free(text);
    return err;
}

int rn_writer_vprintf(rn_ctx *ctx, rn_writer *w, const char *format, va_list args)
{
    size_t room = w->size - w->used;
    va_list again;

    if (w->err != 0)
        return w->err;
    va_copy(again, args);
    int n = vsnprintf(w->data + w->used, room, format, args), err = 0;
    if (n < 0)
        err = -EINVAL;
    else if ((size_t)n < room)
        w->used += (size_t)n;
    else
        err = print_long(ctx, w, (size_t)n, format, again);
    va_end(again);
    return err;
}

int rn_writer_printf(rn_ctx *ctx, rn_writer *w, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int err = rn_writer_vprintf(ctx, w, format, args);
    va_end(args);
    return err;
}

int rn_writer_flush(rn_ctx *ctx, rn_writer *w)
{
    return w->err != 0 || w->used == 0 ? w->err : write_out(ctx, w, NULL, 0);
}
