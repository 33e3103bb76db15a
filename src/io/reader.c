/*
 * Buffered input.
 *
 * The bytes that were read and not taken are data[begin, end). They are moved to the front only
 * when there is no room behind them, and the buffer grows (by doubling, up to the limit) only when
 * they fill it.
 *
 * Invariant: begin <= end <= room <= limit; the allocation has one byte more, for the zero behind a
 * last line without an end.
 */
#include <errno.h>
#include <runnel/reader.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT_DEFAULT 65536
#define LIMIT_MIN 16
#define ROOM_MIN 4096 /* bytes of the first buffer */

struct rn_reader {
    rn_fd fd;
    ssize_t (*read)(rn_ctx *ctx, void *arg, void *buffer, size_t size);
    void *read_arg;
    size_t limit;
    char *data; /* NULL: nothing was read yet */
    size_t begin, end, room;
};

static ssize_t read_fd(rn_ctx *ctx, void *arg, void *buffer, size_t size)
{
    const rn_reader *r = arg;
    return rn_fd_read(ctx, r->fd, buffer, size);
}

int rn_reader_new(rn_reader **out, rn_fd fd, const rn_reader_config *config)
{
    static const rn_reader_config defaults;
    rn_reader *r;

    *out = NULL;
    if (config == NULL)
        config = &defaults;
    if (config->limit != 0 && config->limit < LIMIT_MIN)
        return rn_error_with(-EINVAL, "reader: .limit is %zu: allowed are %d and more",
                             config->limit, LIMIT_MIN);
    if ((r = calloc(1, sizeof *r)) == NULL)
        return -ENOMEM;
    r->fd = fd;
    r->limit = config->limit != 0 ? config->limit : LIMIT_DEFAULT;
    r->read = config->read != NULL ? config->read : read_fd;
    r->read_arg = config->read != NULL ? config->read_arg : r;
    *out = r;
    return 0;
}

void rn_reader_free(rn_reader *r)
{
    if (r == NULL)
        return;
    free(r->data);
    free(r);
}

size_t rn_reader_buffered(const rn_reader *r)
{
    return r->end - r->begin;
}

/* ---- filling ---- */

static int grow(rn_reader *r)
{
    size_t room = r->room == 0 ? ROOM_MIN : r->room * 2;
    if (room > r->limit || room < r->room)
        room = r->limit;
    char *data = realloc(r->data, room + 1);
    if (data == NULL)
        return -ENOMEM;
    r->data = data;
    r->room = room;
    return 0;
}

/* Room for at least one byte more. */
static int make_room(rn_reader *r)
{
    if (r->begin == r->end)
        r->begin = r->end = 0;
    if (r->end < r->room)
        return 0;
    if (r->begin > 0) {
        memmove(r->data, r->data + r->begin, r->end - r->begin);
        r->end -= r->begin;
        r->begin = 0;
        return 0;
    }
    return r->room == r->limit ? -EMSGSIZE : grow(r);
}

/* Reads once: how many bytes more, 0 at the end, or a code. */
static ssize_t fill(rn_ctx *ctx, rn_reader *r)
{
    int err = make_room(r);
    if (err != 0)
        return err;
    ssize_t n = r->read(ctx, r->read_arg, r->data + r->end, r->room - r->end);
    if (n > 0)
        r->end += (size_t)n;
    return n;
}

/* ---- pieces of the buffer ---- */

/* The length of the next piece, with delim unless the input ends before it. */
static ssize_t find(rn_ctx *ctx, rn_reader *r, char delim)
{
    size_t seen = 0; /* bytes in which there is none */

    for (;;) {
        size_t have = r->end - r->begin;
        const char *from = have == 0 ? NULL : r->data + r->begin;
        const char *at = have == seen ? NULL : memchr(from + seen, delim, have - seen);
        if (at != NULL)
            return at - from + 1;
        seen = have;
        ssize_t n = fill(ctx, r);
        if (n < 0)
            return n;
        if (n == 0)
            return have == 0 ? RN_ECLOSED : (ssize_t)have;
    }
}

ssize_t rn_reader_until(rn_ctx *ctx, rn_reader *r, char delim, const char **data)
{
    ssize_t n = find(ctx, r, delim);

    *data = NULL;
    if (n > 0) {
        *data = r->data + r->begin;
        r->begin += (size_t)n;
    }
    return n;
}

ssize_t rn_reader_line(rn_ctx *ctx, rn_reader *r, char **line)
{
    ssize_t n = find(ctx, r, '\n');

    *line = NULL;
    if (n < 0)
        return n;
    char *text = r->data + r->begin;
    r->begin += (size_t)n;
    if (text[n - 1] == '\n')
        n -= n > 1 && text[n - 2] == '\r' ? 2 : 1;
    text[n] = 0; /* over the line's end, or in the byte behind the buffer's end */
    *line = text;
    return n;
}

ssize_t rn_reader_peek(rn_ctx *ctx, rn_reader *r, size_t n, const char **data)
{
    *data = NULL;
    if (n > r->limit)
        return -EMSGSIZE;
    while (rn_reader_buffered(r) < n) {
        ssize_t more = fill(ctx, r);
        if (more < 0)
            return more;
        if (more == 0)
            n = rn_reader_buffered(r);
    }
    *data = r->data == NULL ? "" : r->data + r->begin;
    return (ssize_t)n;
}

ssize_t rn_reader_discard(rn_ctx *ctx, rn_reader *r, size_t n)
{
    size_t done = 0;

    while (done < n) {
        size_t have = rn_reader_buffered(r);
        size_t piece = have < n - done ? have : n - done;
        r->begin += piece;
        done += piece;
        ssize_t more = done < n ? fill(ctx, r) : 1;
        if (more <= 0)
            return done > 0 ? (ssize_t)done : more;
    }
    return (ssize_t)done;
}

/* ---- into the caller's memory ---- */

static size_t take(rn_reader *r, void *buffer, size_t size)
{
    size_t have = r->end - r->begin, n = have < size ? have : size;

    if (n > 0)
        memcpy(buffer, r->data + r->begin, n);
    r->begin += n;
    return n;
}

ssize_t rn_reader_read(rn_ctx *ctx, rn_reader *r, void *buffer, size_t size)
{
    if (r->begin == r->end && size > 0) {
        if (size >= ROOM_MIN)
            return r->read(ctx, r->read_arg, buffer, size);
        ssize_t n = fill(ctx, r);
        if (n <= 0)
            return n;
    }
    return (ssize_t)take(r, buffer, size);
}

ssize_t rn_reader_read_full(rn_ctx *ctx, rn_reader *r, void *buffer, size_t size)
{
    size_t done = 0;

    while (done < size) {
        ssize_t n = rn_reader_read(ctx, r, (char *)buffer + done, size - done);
        if (n <= 0)
            return done > 0 ? (ssize_t)done : n;
        done += (size_t)n;
    }
    return (ssize_t)done;
}
