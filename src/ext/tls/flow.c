/*
 * Bytes from the socket and to it, while OpenSSL is not looking.
 *
 * Invariants:
 *   - who set filling is the only one that reads from the socket and that changes `in` while it is
 *     empty. OpenSSL asks for input only when it has emptied `in`.
 *   - who set flushing is the only one that writes to the socket and that touches `sending`.
 *   - what is in `sending` was encrypted before what is in `out`.
 *
 * A reader may have to send too: an answer to a change of keys, an alert. It must not wait for room
 * only, since the peer may be waiting for us to read. So it waits for either.
 */
#include "conn.h"

#include <runnel/select.h>

#define PIECE_BYTES 1024 /* that a socket has room for when it says that it can be written */

/* Not the end of the caller's context: it will be the same next time. */
static bool is_final(rn_ctx *ctx, ssize_t n)
{
    return n != rn_ctx_err(ctx);
}

/* ---- to the socket ---- */

/* Sends at most max bytes of what there is. Nobody else may be flushing. */
static int send_piece(rn_ctx *ctx, rn_tls *c, size_t max)
{
    if (tls_buffer_used(&c->sending) == 0) {
        tls_buffer_free(&c->sending);
        c->sending = c->out;
        c->out = (struct tls_buffer){0};
    }
    size_t size = tls_buffer_used(&c->sending);
    c->flushing = true;
    rn_mutex_unlock(&c->lock);
    ssize_t n = rn_fd_write(ctx, c->fd, c->sending.data + c->sending.start,
                            size < max ? size : max);
    rn_mutex_lock(&c->lock);
    c->flushing = false;
    rn_cond_broadcast(&c->changed);
    if (n > 0)
        tls_buffer_skip(&c->sending, (size_t)n);
    else if (is_final(ctx, n))
        tls_fail(&c->writing, (int)n, "tls: writing: %s", rn_strerror((int)n));
    if (c->writing.code != 0 || tls_buffer_used(&c->sending) == 0)
        tls_buffer_free(&c->sending);
    return n > 0 ? 0 : (int)n;
}

int tls_flow_flush(rn_ctx *ctx, rn_tls *c)
{
    int err = 0;

    while (err == 0 && c->writing.code == 0 && tls_flow_owed(c) > 0)
        err = c->flushing ? rn_cond_wait(ctx, &c->changed, &c->lock) : send_piece(ctx, c, SIZE_MAX);
    if (c->writing.code == 0)
        return err;
    tls_buffer_free(&c->out); /* nobody will get it */
    return tls_failure_tell(&c->writing);
}

void tls_flow_push(rn_tls *c)
{
    size_t owed = tls_flow_owed(c);

    if (owed == 0 || owed > PIECE_BYTES || c->flushing || c->writing.code != 0)
        return;
    while (tls_flow_owed(c) > 0 && !c->flushing &&
           rn_select(NULL, rn_on_fd(c->fd, RN_WRITABLE), rn_default) == 0 &&
           send_piece(NULL, c, PIECE_BYTES) == 0)
        continue;
}

/* ---- from the socket ---- */

/* Returns when there is something to read; sends what is owed as room for it appears. */
static int send_until_input(rn_ctx *ctx, rn_tls *c)
{
    int events = 0, err = 0;

    while (err == 0 && !(events & RN_READABLE) && !c->flushing && tls_flow_owed(c) > 0) {
        rn_mutex_unlock(&c->lock);
        events = rn_fd_wait(ctx, c->fd, RN_READABLE | RN_WRITABLE);
        rn_mutex_lock(&c->lock);
        if (events < 0)
            err = events;
        else if ((events & RN_WRITABLE) && !c->flushing && tls_flow_owed(c) > 0)
            err = send_piece(ctx, c, PIECE_BYTES);
        if (c->writing.code != 0)
            return 0; /* what the peer has sent may be read all the same */
    }
    return err;
}

static int note_end(rn_tls *c, ssize_t n)
{
    const char *when = c->ready ? "without saying so: what was read may be a part only"
                                : "in the middle of the handshake";

    if (n == 0 || n == -ECONNRESET)
        tls_fail(&c->reading, -ECONNRESET, "tls: the peer went %s", when);
    else
        tls_fail(&c->reading, (int)n, "tls: reading: %s", rn_strerror((int)n));
    return tls_failure_tell(&c->reading);
}

/* With filling set. */
static ssize_t read_input(rn_ctx *ctx, rn_tls *c)
{
    int err = c->writing.code == 0 ? send_until_input(ctx, c) : 0;

    if (err != 0)
        return err;
    rn_mutex_unlock(&c->lock);
    ssize_t n = rn_fd_read(ctx, c->fd, c->in.data, TLS_INPUT_BYTES);
    rn_mutex_lock(&c->lock);
    return n;
}

int tls_flow_fill(rn_ctx *ctx, rn_tls *c)
{
    if (c->reading.code != 0)
        return tls_failure_tell(&c->reading);
    if (c->filling)
        return rn_cond_wait(ctx, &c->changed, &c->lock);
    if (tls_buffer_used(&c->out) > TLS_BACKLOG_BYTES) /* a peer that asks and does not listen */
        return tls_flow_flush(ctx, c);
    if (!tls_buffer_reserve(&c->in, TLS_INPUT_BYTES))
        return -ENOMEM;
    c->filling = true;
    ssize_t n = read_input(ctx, c);
    c->filling = false;
    rn_cond_broadcast(&c->changed);
    if (n <= 0)
        return n == 0 || is_final(ctx, n) ? note_end(c, n) : (int)n;
    c->in.end = (size_t)n;
    return 0;
}
