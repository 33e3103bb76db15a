/*
 * A connection's bytes, as those of a handle.
 *
 * Each call takes the lock, asks OpenSSL, and waits in flow.c when that wants something; then it
 * asks again. A writer encrypts a batch only when all before it is on its way, so that out holds
 * one batch at most, and what a reader has to answer.
 */
#include "conn.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading ---- */

/* -EAGAIN: OpenSSL wants input. */
static ssize_t read_step(rn_tls *c, void *buffer, size_t size)
{
    size_t n;

    if (c->broken)
        return tls_failure_tell(&c->reading);
    if (c->ended)
        return 0;
    ERR_clear_error();
    switch (tls_step_of(c, SSL_read_ex(c->ssl, buffer, size, &n))) {
    case TLS_DONE:
        return (ssize_t)n;
    case TLS_ENDED:
        return 0;
    case TLS_WANTS_INPUT:
        return -EAGAIN;
    default:
        tls_flow_push(c); /* the alert */
        return tls_failure_tell(&c->reading);
    }
}

/* An idle connection keeps no memory for what may come. */
static void drop_empty(rn_tls *c)
{
    if (!c->filling && tls_buffer_used(&c->in) == 0)
        tls_buffer_free(&c->in);
}

ssize_t rn_tls_read(rn_ctx *ctx, void *conn, void *buffer, size_t size)
{
    rn_tls *c = conn;
    int err = rn_ctx_err(ctx);
    ssize_t n;

    if (err != 0 || size == 0)
        return err;
    rn_mutex_lock(&c->lock);
    while (err == 0 && (n = read_step(c, buffer, size)) == -EAGAIN)
        err = tls_flow_fill(ctx, c);
    drop_empty(c);
    rn_mutex_unlock(&c->lock);
    return err != 0 ? err : n;
}

/* Whether in begins with a whole record. OpenSSL takes whole records out, or all there is. */
static bool has_record(const rn_tls *c)
{
    const unsigned char *head = (const unsigned char *)c->in.data + c->in.start;
    size_t used = tls_buffer_used(&c->in);
    return used >= SSL3_RT_HEADER_LENGTH &&
           used - SSL3_RT_HEADER_LENGTH >= ((size_t)head[3] << 8 | head[4]);
}

size_t rn_tls_buffered(rn_tls *c)
{
    rn_mutex_lock(&c->lock);
    size_t n = c->broken || c->ended ? 0 : (size_t)SSL_pending(c->ssl);
    if (n == 0 && (c->reading.code != 0 || c->ended || has_record(c)))
        n = 1;
    rn_mutex_unlock(&c->lock);
    return n;
}

/* ---- writing ---- */

/* What is left of the parts; the first one is not empty. */
struct window {
    const struct iovec *parts;
    size_t n;
    size_t skip; /* bytes of the first part that are written */
};

static void window_advance(struct window *w, size_t bytes)
{
    w->skip += bytes;
    while (w->n > 0 && w->skip >= w->parts->iov_len) {
        w->skip -= w->parts->iov_len;
        w->parts++;
        w->n--;
    }
}

/* Copies the next bytes, at most size of them, from as many parts as it takes. */
static size_t window_gather(const struct window *w, char *to, size_t size)
{
    struct window from = *w;
    size_t done = 0;

    while (done < size && from.n > 0) {
        size_t n = from.parts->iov_len - from.skip;
        if (n > size - done)
            n = size - done;
        memcpy(to + done, (char *)from.parts->iov_base + from.skip, n);
        window_advance(&from, n);
        done += n;
    }
    return done;
}

/* At most limit. */
static size_t window_size(const struct window *w, size_t limit)
{
    size_t size = w->n > 0 ? w->parts->iov_len - w->skip : 0;

    for (size_t i = 1; i < w->n && size < limit; i++)
        size += w->parts[i].iov_len;
    return size < limit ? size : limit;
}

/* How much of the first part goes without being copied: whole records, or all when it is last. */
static size_t window_direct(const struct window *w, size_t limit)
{
    size_t n = w->parts->iov_len - w->skip;

    if (n > limit)
        n = limit;
    return w->n == 1 ? n : n - n % TLS_RECORD_BYTES;
}

/* Encrypts n bytes; they are all taken, since out takes everything. */
static enum tls_step encrypt(rn_tls *c, const void *data, size_t n)
{
    size_t written;

    ERR_clear_error();
    return tls_step_of(c, SSL_write_ex(c->ssl, data, n, &written));
}

/* A record from several parts. */
static enum tls_step encrypt_gathered(rn_tls *c, const struct window *w, size_t n)
{
    char *copy = malloc(n);

    if (copy == NULL)
        return TLS_FAILED;
    window_gather(w, copy, n);
    enum tls_step step = encrypt(c, copy, n);
    free(copy);
    return step;
}

/* Encrypts the next batch. Returns its bytes; a negative code; -EAGAIN: OpenSSL wants input. */
static ssize_t encrypt_batch(rn_tls *c, struct window *w)
{
    size_t size = window_size(w, TLS_BATCH_BYTES), done = 0;
    enum tls_step step = TLS_DONE;

    if (!tls_buffer_reserve(&c->out, size + (size / TLS_RECORD_BYTES + 2) * TLS_OVERHEAD_BYTES))
        return -ENOMEM;
    while (done < size && step == TLS_DONE) {
        size_t left = size - done, n = window_direct(w, left);
        if (n > 0) {
            step = encrypt(c, (char *)w->parts->iov_base + w->skip, n);
        } else {
            n = left < TLS_RECORD_BYTES ? left : TLS_RECORD_BYTES;
            step = encrypt_gathered(c, w, n);
        }
        if (step == TLS_DONE) {
            window_advance(w, n);
            done += n;
        }
    }
    if (done > 0)
        return (ssize_t)done;
    if (step == TLS_WANTS_INPUT)
        return -EAGAIN;
    return c->broken ? tls_failure_tell(&c->reading) : -ENOMEM;
}

static int check_writable(rn_tls *c)
{
    if (c->broken)
        return tls_failure_tell(&c->reading);
    if (c->writing.code != 0)
        return tls_failure_tell(&c->writing);
    return c->said_end ? rn_error_with(-EPIPE, "tls: writing after rn_tls_close_write") : 0;
}

/* Encrypts and sends a batch. Returns its bytes; they have been taken unless the socket failed. */
static ssize_t write_batch(rn_ctx *ctx, rn_tls *c, struct window *w, int *err)
{
    ssize_t n;

    while ((*err = tls_flow_flush(ctx, c)) == 0 && (*err = check_writable(c)) == 0 &&
           (n = encrypt_batch(c, w)) == -EAGAIN)
        if ((*err = tls_flow_fill(ctx, c)) != 0)
            return 0;
    if (*err != 0)
        return 0;
    if (n < 0) {
        *err = (int)n;
        return 0;
    }
    *err = tls_flow_flush(ctx, c);
    return c->writing.code == 0 ? n : 0;
}

ssize_t rn_tls_writev(rn_ctx *ctx, void *conn, const struct iovec *parts, size_t n)
{
    rn_tls *c = conn;
    struct window window = {.parts = parts, .n = n};
    int err = rn_ctx_err(ctx);
    size_t done = 0;

    if (err != 0)
        return err;
    window_advance(&window, 0);
    rn_mutex_lock(&c->lock);
    err = check_writable(c);
    while (err == 0 && window.n > 0)
        done += (size_t)write_batch(ctx, c, &window, &err);
    rn_mutex_unlock(&c->lock);
    return done > 0 ? (ssize_t)done : err;
}

ssize_t rn_tls_write(rn_ctx *ctx, void *conn, const void *data, size_t size)
{
    struct iovec part = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
    return rn_tls_writev(ctx, conn, &part, 1);
}

/* ---- the end of writing ---- */

static int say_end(rn_ctx *ctx, rn_tls *c)
{
    int err = 0;

    while (!c->said_end && (err = check_writable(c)) == 0) {
        ERR_clear_error();
        int result = SSL_shutdown(c->ssl);
        enum tls_step step = result == 0 ? TLS_DONE : tls_step_of(c, result);
        if (step == TLS_FAILED)
            return tls_failure_tell(&c->reading);
        c->said_end = step != TLS_WANTS_INPUT;
        if (!c->said_end && (err = tls_flow_fill(ctx, c)) != 0)
            return err;
    }
    return err;
}

int rn_tls_close_write(rn_ctx *ctx, rn_tls *c)
{
    int err = rn_ctx_err(ctx);

    if (err != 0)
        return err;
    rn_mutex_lock(&c->lock);
    err = say_end(ctx, c);
    if (err == 0)
        err = tls_flow_flush(ctx, c);
    rn_mutex_unlock(&c->lock);
    return err;
}
