/* How a connection reads and writes; see conn.h. */
#include "server.h"

#include <errno.h>
#include <runnel/fiber.h>
#include <runnel/net.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINGER_MAX (30 * RN_SECOND)          /* at the end, for a client that still sends, */
#define LINGER_IDLE (5 * RN_SECOND)          /* without a byte of it, */
#define LINGER_BYTES_MAX (256 * 1024 * 1024) /* and what is read and dropped then */
#define COPY_BYTES (16 * 1024)               /* of a file at once, through a transport */

/* ---- reading ---- */

ssize_t conn_read(struct conn *conn, rn_ctx *ctx, void *buffer, size_t size)
{
    if (conn->opened)
        return conn->server->config.transport->read(ctx, conn->stream, buffer, size);
    return rn_fd_read(ctx, conn->fd, buffer, size);
}

/* Into a stream the bytes of its socket, if there are any, and what they mean. */
static ssize_t look_through(struct conn *conn, void *buffer, size_t size)
{
    const rn_transport *transport = conn->server->config.transport;
    char byte;

    if (transport->buffered(conn->stream) == 0 &&
        recv(conn->number, &byte, 1, MSG_DONTWAIT | MSG_PEEK) <= 0)
        return 0;
    rn_ctx *limited = rn_ctx_with_timeout(conn->server->ctx, LINGER);
    ssize_t n = limited == NULL ? 0 : transport->read(limited, conn->stream, buffer, size);
    rn_ctx_release(limited);
    return n > 0 ? n : 0;
}

size_t conn_look(struct conn *conn, void *buffer, size_t size)
{
    ssize_t n;

    if (conn->opened)
        return (size_t)look_through(conn, buffer, size);
    do
        n = recv(conn->number, buffer, size, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n > 0 ? (size_t)n : 0;
}

ssize_t conn_fill(struct conn *conn, rn_ctx *ctx, rn_duration timeout)
{
    struct input *in = &conn->work->input;
    rn_ctx *limited = rn_ctx_with_timeout(ctx, timeout);

    if (limited == NULL)
        return -ENOMEM;
    ssize_t n = conn_read(conn, limited, in->buffer + in->end, in->size - in->end);
    rn_ctx_release(limited);
    if (n > 0)
        in->end += (size_t)n;
    return n;
}

/* ---- writing ---- */

/* What is left to send. */
struct sending {
    struct iovec *parts;
    size_t n;
};

static void advance(struct sending *s, size_t bytes)
{
    while (s->n > 0 && bytes >= s->parts->iov_len) {
        bytes -= s->parts->iov_len;
        s->parts++;
        s->n--;
    }
    if (s->n > 0) {
        s->parts->iov_base = (char *)s->parts->iov_base + bytes;
        s->parts->iov_len -= bytes;
    }
}

/*
 * What the system takes at once, without a context for the time that waiting may last: mostly that
 * is all. 0: it would have to wait.
 */
static ssize_t try_send(struct conn *conn, const struct sending *s, int flags)
{
    struct msghdr message = {.msg_iov = s->parts, .msg_iovlen = s->n};
    ssize_t n;

    do
        n = sendmsg(conn->number, &message, MSG_DONTWAIT | MSG_NOSIGNAL | flags);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN ? 0 : -errno;
    return n;
}

/* Waits for room, but not for ever. Bytes that were sent, or a code. */
static ssize_t send_waiting(struct conn *conn, rn_ctx *ctx, const struct sending *s)
{
    rn_ctx *limited = rn_ctx_with_timeout(ctx, conn->server->config.write_timeout);
    ssize_t n;

    if (limited == NULL)
        return -ENOMEM;
    if (conn->opened)
        n = conn->server->config.transport->writev(limited, conn->stream, s->parts, s->n);
    else
        n = rn_fd_writev(limited, conn->fd, s->parts, s->n);
    rn_ctx_release(limited);
    return n == 0 ? -EIO : n;
}

static ssize_t send_some(struct conn *conn, rn_ctx *ctx, const struct sending *s, int flags)
{
    ssize_t n = rn_ctx_err(ctx);

    if (n != 0)
        return n;
    if (!conn->opened && (n = try_send(conn, s, flags)) != 0)
        return n;
    return send_waiting(conn, ctx, s);
}

/*
 * Whether nothing is wrong but that a context of the handler's own has ended. Of a stream nobody
 * knows what it does with the bytes of a call that has ended so.
 */
static bool is_handlers_own(struct conn *conn, rn_ctx *ctx)
{
    return ctx != conn->ctx && conn->stream == NULL && rn_ctx_err(ctx) != 0 &&
           rn_ctx_err(conn->ctx) == 0;
}

/* The answer ends here; the connection is of no more use, unless it is the handler's own wish. */
static int fail(struct conn *conn, rn_ctx *ctx, int err)
{
    struct rn_http_response *res = &conn->work->response;

    if (res->err == 0 && is_handlers_own(conn, ctx)) {
        if (res->stage != RESPONSE_OPEN) {
            res->cut = err;
            res->close = true;
        }
        return err;
    }
    if (res->err == 0) {
        res->err = err;
        if (err == -ETIMEDOUT && rn_ctx_err(ctx) == 0)
            server_refuse(conn->server, RN_HTTP_SLOW_READER);
        else if (err == -EPIPE || err == -ECONNRESET)
            server_refuse(conn->server, RN_HTTP_GONE);
    }
    conn->work->output = 0;
    return res->err;
}

static uint64_t count_rest(const struct sending *s)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < s->n; i++)
        bytes += s->parts[i].iov_len;
    return bytes;
}

static int send_all(struct conn *conn, rn_ctx *ctx, struct sending *s, int flags)
{
    if (conn->work->response.err != 0) {
        conn->work->response.unsent += count_rest(s);
        return conn->work->response.err;
    }
    advance(s, 0);
    while (s->n > 0) {
        ssize_t n = send_some(conn, ctx, s, flags);
        if (n < 0) {
            conn->work->response.unsent += count_rest(s);
            return fail(conn, ctx, (int)n);
        }
        advance(s, (size_t)n);
    }
    return 0;
}

/* What of the output buffer was not sent stays there, for answers before this one. */
static void keep_rest(struct work *work, const struct sending *s)
{
    char *begin = s->n > 0 ? s->parts->iov_base : NULL;

    if (begin < work->output_buffer || begin >= work->output_buffer + work->output) {
        work->output = 0;
        return;
    }
    work->output = s->parts->iov_len;
    memmove(work->output_buffer, begin, work->output);
}

static int send_parts(struct conn *conn, rn_ctx *ctx, const struct iovec *parts, size_t n,
                      int flags)
{
    struct work *work = conn->work;
    struct iovec all[CONN_PARTS_MAX + 1] = {{work->output_buffer, work->output}};
    struct sending s = {all, n + 1};

    if (n > 0)
        memcpy(all + 1, parts, n * sizeof *parts);
    int err = send_all(conn, ctx, &s, flags);
    if (work->response.err == 0 && err != 0)
        keep_rest(work, &s);
    else
        work->output = 0;
    return err;
}

int conn_send(struct conn *conn, rn_ctx *ctx, const struct iovec *parts, size_t n)
{
    return send_parts(conn, ctx, parts, n, 0);
}

int conn_put(struct conn *conn, rn_ctx *ctx, const void *data, size_t size)
{
    struct work *work = conn->work;

    if (size > sizeof work->output_buffer - work->output)
        return conn_send(conn, ctx, &(struct iovec){(void *)data, size}, 1);
    memcpy(work->output_buffer + work->output, data, size);
    work->output += size;
    return 0;
}

int conn_flush(struct conn *conn, rn_ctx *ctx)
{
    struct work *work = conn->work;
    return work->output == 0 ? work->response.err : conn_send(conn, ctx, NULL, 0);
}

/* ---- files ---- */

static ssize_t send_file_plain(struct conn *conn, rn_ctx *ctx, rn_fd file, int64_t offset,
                               uint64_t size)
{
    rn_ctx *limited = rn_ctx_with_timeout(ctx, conn->server->config.write_timeout);

    if (limited == NULL)
        return -ENOMEM;
    ssize_t n = rn_fd_sendfile(limited, conn->fd, file, offset, size);
    rn_ctx_release(limited);
    return n;
}

struct file_piece {
    int fd;
    void *buffer;
    size_t size;
    int64_t offset;
    ssize_t result;
};

static int read_piece(void *arg)
{
    struct file_piece *piece = arg;

    do
        piece->result = pread(piece->fd, piece->buffer, piece->size, piece->offset);
    while (piece->result < 0 && errno == EINTR);
    if (piece->result < 0)
        piece->result = -errno;
    return 0;
}

static ssize_t send_file_copied(struct conn *conn, rn_ctx *ctx, rn_fd file, int64_t offset,
                                uint64_t size)
{
    size_t bytes = size < COPY_BYTES ? (size_t)size : COPY_BYTES;
    struct file_piece piece = {.fd = rn_fd_number(file), .size = bytes, .offset = offset};

    if (piece.fd < 0)
        return piece.fd;
    if ((piece.buffer = malloc(bytes)) == NULL)
        return -ENOMEM;
    rn_blocking(read_piece, &piece);
    if (piece.result > 0) {
        int err = conn_send(conn, ctx, &(struct iovec){piece.buffer, (size_t)piece.result}, 1);
        piece.result = err != 0 ? err : piece.result;
    }
    free(piece.buffer);
    return piece.result;
}

int conn_send_file(struct conn *conn, rn_ctx *ctx, rn_fd file, int64_t offset, uint64_t size)
{
    /* The head goes into one packet with the beginning of the file. */
    int err = conn->opened || size == 0 ? conn_flush(conn, ctx)
                                        : send_parts(conn, ctx, NULL, 0, MSG_MORE);

    while (err == 0 && size > 0) {
        ssize_t n = rn_ctx_err(ctx);
        if (n == 0 && conn->opened)
            n = send_file_copied(conn, ctx, file, offset, size);
        else if (n == 0)
            n = send_file_plain(conn, ctx, file, offset, size);
        if (n <= 0) {
            conn->work->response.unsent += size;
            return fail(conn, ctx, n == 0 ? -EIO : (int)n);
        }
        offset += n;
        size -= (uint64_t)n;
    }
    return err;
}

/* ---- the end ---- */

/* Reads and drops what comes. What the last read returned: bytes when these are enough. */
static ssize_t read_away(struct conn *conn, rn_ctx *ctx, rn_duration most, rn_duration idle)
{
    char nowhere[4096];
    uint64_t bytes = 0;
    ssize_t n = 1;

    rn_ctx *limited = rn_ctx_with_timeout(ctx, most);
    while (limited != NULL && n > 0 && bytes < LINGER_BYTES_MAX) {
        rn_ctx *once = rn_ctx_with_timeout(limited, idle);
        n = once == NULL ? -ENOMEM : rn_fd_read(once, conn->fd, nowhere, sizeof nowhere);
        rn_ctx_release(once);
        bytes += n > 0 ? (size_t)n : 0;
    }
    rn_ctx_release(limited);
    return n;
}

/*
 * A client that still sends would get a reset when the socket closes, and lose the answer by it: a
 * reset discards what it has not read yet. Many send all of a large body before they look. So what
 * comes is read away, until the client leaves, but for a moment only while the server stops.
 */
static void linger(struct conn *conn)
{
    ssize_t n = -ECANCELED;

    if (rn_net_close_write(conn->fd) != 0)
        return;
    atomic_store(&conn->state, CONN_LINGERING); /* E90 */
    if (!server_draining(conn->server))
        n = read_away(conn, conn->ctx, LINGER_MAX, LINGER_IDLE);
    if (n == -ECANCELED)
        read_away(conn, conn->server->ctx, LINGER, LINGER);
}

void conn_hang_up(struct conn *conn)
{
    if (conn->opened) {
        rn_ctx *limited = rn_ctx_with_timeout(conn->server->ctx, LINGER);
        conn->server->config.transport->close(limited != NULL ? limited : conn->server->ended,
                                              conn->stream);
        rn_ctx_release(limited);
    }
    if (conn->linger)
        linger(conn);
    rn_fd_close(conn->fd);
}
