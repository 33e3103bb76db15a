/* The answer to a request; see response.h and runnel/http_response.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* vasprintf */
#endif
#include "response.h"

#include "server.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define LEAD_BYTES_MAX 320 /* of a head, without the handler's fields */

/* ---- the head ---- */

static bool status_has_body(int status)
{
    return status >= 200 && status != 204 && status != 304;
}

bool response_has_body(const rn_http_response *res)
{
    return !res->head_only && status_has_body(res->status);
}

int response_err(const rn_http_response *res)
{
    return res->err != 0 ? res->err : res->cut;
}

void response_begin(struct conn *conn, bool head_only)
{
    rn_http_response *res = &conn->work->response;

    res->conn = conn;
    res->stage = RESPONSE_OPEN;
    res->status = 200;
    res->content_length = LENGTH_UNKNOWN;
    res->has_date = res->has_status = res->close = res->chunked = false;
    res->head_only = head_only;
    res->written = res->unsent = 0;
    res->buffered = 0;
    res->err = res->cut = 0;
}

uint64_t response_sent(const rn_http_response *res)
{
    uint64_t unsent = res->unsent + (response_err(res) != 0 ? res->buffered : 0);

    return response_has_body(res) && res->written > unsent ? res->written - unsent : 0;
}

/* Whether more has come than this request: of the next one, which then is accepted too. */
static bool has_next(const struct conn *conn)
{
    const struct input *in = &conn->work->input;
    return body_ended(&conn->work->request.body) && in->begin < in->end;
}

/* Whether the connection has to end with this answer. */
static bool must_close(const rn_http_response *res)
{
    const struct conn *conn = res->conn;
    const rn_http_request *req = &conn->work->request;
    rn_http_server *s = conn->server;

    return res->close || !req->head.keep || conn->requests >= s->config.requests_max ||
           !body_is_short(req) || (server_draining(s) && !has_next(conn));
}

static char *put(char *at, const char *text, size_t length)
{
    memcpy(at, text, length);
    return at + length;
}

#define PUT(at, literal) put((at), (literal), sizeof(literal) - 1)

static char *put_status(char *at, int status)
{
    const char *reason = rn_http_reason(status);

    at = PUT(at, "HTTP/1.1 ");
    at += text_decimal(at, (uint64_t)status);
    *at++ = ' ';
    at = put(at, reason, strlen(reason));
    return PUT(at, "\r\n");
}

static char *put_framing(char *at, const rn_http_response *res, int64_t length)
{
    if (length >= 0 && (status_has_body(res->status) || res->content_length >= 0) &&
        res->status != 204) {
        at = PUT(at, "Content-Length: ");
        at += text_decimal(at, (uint64_t)length);
        return PUT(at, "\r\n");
    }
    return res->chunked ? PUT(at, "Transfer-Encoding: chunked\r\n") : at;
}

static size_t make_lead(char *lead, const rn_http_response *res, int64_t length)
{
    struct work *work = res->conn->work;
    char *at = put_status(lead, res->status);

    if (!res->has_date) {
        at = PUT(at, "Date: ");
        at = put(at, date_now(&work->date), DATE_BYTES);
        at = PUT(at, "\r\n");
    }
    at = put_framing(at, res, length);
    if (res->close)
        at = PUT(at, "Connection: close\r\n");
    else if (work->request.head.pieces.minor == 0)
        at = PUT(at, "Connection: keep-alive\r\n");
    return (size_t)(at - lead);
}

/* goes_on: the handler may read more of the request's body, behind this. */
static int put_head(rn_ctx *ctx, rn_http_response *res, int64_t length, bool goes_on)
{
    struct conn *conn = res->conn;
    char lead[LEAD_BYTES_MAX];

    if (res->stage != RESPONSE_OPEN)
        return -EBUSY;
    res->close = must_close(res) || (!goes_on && body_is_open(&conn->work->request.body));
    if (length < 0 && response_has_body(res)) {
        res->chunked = conn->work->request.head.pieces.minor > 0;
        res->close |= !res->chunked; /* its end is the connection's */
    }
    res->stage = RESPONSE_STREAMING;
    int err = conn_put(conn, ctx, lead, make_lead(lead, res, length));
    if (length >= 0)
        res->content_length = length;
    if (err == 0 && res->fields.used > 0)
        err = conn_put(conn, ctx, res->fields.text, res->fields.used);
    return err == 0 ? conn_put(conn, ctx, "\r\n", 2) : err;
}

int response_head(rn_ctx *ctx, rn_http_response *res, int64_t length)
{
    return put_head(ctx, res, length, false);
}

/* ---- the body ---- */

/* "1f40\r\n"; returns its length. */
static size_t make_chunk_line(char *line, uint64_t size)
{
    size_t digits = 1;

    while (digits < 16 && size >> (4 * digits) != 0)
        digits++;
    for (size_t i = 0; i < digits; i++)
        line[i] = "0123456789abcdef"[size >> (4 * (digits - 1 - i)) & 15];
    memcpy(line + digits, "\r\n", 2);
    return digits + 2;
}

/* Sends the buffer and data behind it, as one chunk if it goes in chunks. */
static int send_body(rn_ctx *ctx, rn_http_response *res, const void *data, size_t size)
{
    char line[20];
    struct iovec parts[4];
    size_t n = 0, all = res->buffered + size;

    if (all == 0)
        return 0;
    if (res->chunked)
        parts[n++] = (struct iovec){line, make_chunk_line(line, all)};
    if (res->buffered > 0)
        parts[n++] = (struct iovec){res->buffer, res->buffered};
    if (size > 0)
        parts[n++] = (struct iovec){(void *)data, size};
    if (res->chunked)
        parts[n++] = (struct iovec){(void *)"\r\n", 2};
    res->buffered = 0;
    return conn_send(res->conn, ctx, parts, n);
}

/*
 * Whether all of an answer to HEAD is on its way: behind a head that tells no length nothing is
 * counted. Who writes on without an end has to be told, for no client's leaving will do it.
 */
static bool head_was_all(const rn_http_response *res)
{
    return res->head_only && res->stage == RESPONSE_STREAMING && res->content_length < 0;
}

/* The head, if it is not on its way, and the buffer. */
static int stream(rn_ctx *ctx, rn_http_response *res, const void *data, size_t size)
{
    int err = res->stage == RESPONSE_OPEN ? put_head(ctx, res, res->content_length, true) : 0;
    if (err == 0 && head_was_all(res))
        err = -EPIPE;
    return err == 0 ? send_body(ctx, res, data, size) : err;
}

/* Of a body that nobody gets: for HEAD, as long as with GET it would wait in the buffer. */
static ssize_t count(rn_ctx *ctx, rn_http_response *res, size_t size)
{
    if (head_was_all(res))
        return -EPIPE;
    if (!res->head_only || res->content_length >= 0 || res->written <= sizeof res->buffer)
        return (ssize_t)size;
    return stream(ctx, res, NULL, 0);
}

ssize_t rn_http_write(rn_ctx *ctx, rn_http_response *res, const void *data, size_t size)
{
    if (res->stage == RESPONSE_WHOLE)
        return -EBUSY;
    if (response_err(res) != 0)
        return response_err(res);
    if (res->content_length >= 0 && size > (uint64_t)res->content_length - res->written)
        return -EMSGSIZE;
    res->written += size;
    if (!response_has_body(res))
        return count(ctx, res, size);
    if (size <= sizeof res->buffer - res->buffered) {
        memcpy(res->buffer + res->buffered, data, size);
        res->buffered += size;
        return (ssize_t)size;
    }
    int err = stream(ctx, res, data, size);
    return err == 0 ? (ssize_t)size : err;
}

int rn_http_printf(rn_ctx *ctx, rn_http_response *res, const char *format, ...)
{
    char small[512], *text = small;
    va_list args;

    va_start(args, format);
    int length = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    if (length < 0)
        return -EINVAL;
    if ((size_t)length >= sizeof small) {
        va_start(args, format);
        length = vasprintf(&text, format, args);
        va_end(args);
        if (length < 0)
            return -ENOMEM;
    }
    ssize_t n = rn_http_write(ctx, res, text, (size_t)length);
    if (text != small)
        free(text);
    return n < 0 ? (int)n : 0;
}

int rn_http_flush(rn_ctx *ctx, rn_http_response *res)
{
    if (response_err(res) != 0)
        return response_err(res);
    int err = res->stage == RESPONSE_WHOLE ? 0 : stream(ctx, res, NULL, 0);
    if (err != 0 && !head_was_all(res))
        return err;
    int failed = conn_flush(res->conn, ctx);
    return failed != 0 ? failed : err;
}

int response_send_file(rn_ctx *ctx, rn_http_response *res, rn_fd file, int64_t offset,
                       uint64_t size)
{
    if (res->stage != RESPONSE_STREAMING || res->chunked)
        return -EBUSY;
    if (response_err(res) != 0)
        return response_err(res);
    int err = send_body(ctx, res, NULL, 0);
    res->written += size;
    return err == 0 && response_has_body(res) ? conn_send_file(res->conn, ctx, file, offset, size)
                                              : err;
}

/* ---- in one call ---- */

int rn_http_reply(rn_ctx *ctx, rn_http_response *res, int status, const char *type,
                  const void *data, size_t size)
{
    int err = rn_http_status(res, status);

    if (err == 0 && type != NULL)
        err = rn_http_set(res, "Content-Type", type);
    if (err != 0)
        return err;
    res->buffered = 0;
    res->written = size;
    err = response_head(ctx, res, (int64_t)size);
    if (err == 0 && size > 0 && response_has_body(res))
        err = conn_put(res->conn, ctx, data, size);
    if (res->stage == RESPONSE_STREAMING)
        res->stage = RESPONSE_WHOLE;
    return err;
}

int rn_http_error(rn_ctx *ctx, rn_http_response *res, int status, const char *text)
{
    char line[256];
    const char *words = text != NULL ? text : rn_http_reason(status);
    size_t length = strlen(words);

    if (length >= sizeof line)
        length = sizeof line - 1;
    memcpy(line, words, length);
    line[length] = '\n';
    return rn_http_reply(ctx, res, status, "text/plain; charset=utf-8", line, length + 1);
}

int rn_http_redirect(rn_ctx *ctx, rn_http_response *res, int status, const char *location)
{
    if (status < 301 || status > 308 || (status > 303 && status < 307))
        return rn_error_with(-EINVAL, "http response: %d is no redirection", status);
    int err = rn_http_set(res, "Location", location);
    return err == 0 ? rn_http_error(ctx, res, status, NULL) : err;
}

/* ---- the end ---- */

/* The connection ends behind what there is of it; whole answers, this or earlier ones, go out. */
static void cut_off(rn_http_response *res, int err)
{
    if (res->cut == 0)
        res->cut = err;
    res->close = true;
    res->stage = RESPONSE_WHOLE;
}

/* Whether the body could not be read, and the handler says nothing at all of it. */
static bool is_silent(const rn_http_response *res)
{
    return res->conn->work->request.body.status != 0 && res->written == 0 && !res->has_status;
}

/* A handler failed, or the body could not be read, and nothing was said of it yet. */
static void end_failed(rn_ctx *ctx, rn_http_response *res, int status)
{
    fields_back(&res->fields);
    res->content_length = LENGTH_UNKNOWN;
    res->has_date = false;
    if (rn_http_error(ctx, res, status, NULL) == 0 || res->stage != RESPONSE_OPEN)
        return;
    fields_reset(&res->fields); /* they leave no room for the type */
    rn_http_error(ctx, res, status, NULL);
}

/* All of the body is in the buffer: its length is known. */
static void end_open(rn_ctx *ctx, rn_http_response *res)
{
    bool has_body = response_has_body(res);
    int64_t length = res->content_length;

    if (length < 0 && (!res->head_only || res->written > 0))
        length = (int64_t)res->written;
    if (has_body && length != (int64_t)res->written) {
        end_failed(ctx, res, 500);
        return;
    }
    if (response_head(ctx, res, length) == 0 && has_body && res->buffered > 0)
        conn_put(res->conn, ctx, res->buffer, res->buffered);
    res->stage = RESPONSE_WHOLE;
}

static void end_streaming(rn_ctx *ctx, rn_http_response *res)
{
    int err = send_body(ctx, res, NULL, 0);

    if (err == 0 && res->content_length >= 0 && response_has_body(res) &&
        res->written != (uint64_t)res->content_length)
        err = -EPROTO;
    if (err == 0 && res->chunked && response_has_body(res))
        err = conn_put(res->conn, ctx, "0\r\n\r\n", 5);
    if (err != 0)
        cut_off(res, err);
    res->stage = RESPONSE_WHOLE;
}

int response_end(rn_ctx *ctx, rn_http_response *res, int err)
{
    const struct body *body = &res->conn->work->request.body;

    if (err == -EPIPE && response_err(res) == 0 && head_was_all(res))
        err = 0;
    if (res->stage == RESPONSE_WHOLE) {
        if (err != 0)
            cut_off(res, err);
    } else if (response_err(res) != 0) {
        cut_off(res, response_err(res));
    } else if (res->stage == RESPONSE_STREAMING) {
        if (err != 0)
            cut_off(res, err);
        else
            end_streaming(ctx, res);
    } else if (err != 0 || is_silent(res)) {
        res->close |= body->status != 0;
        end_failed(ctx, res, body->status != 0 ? body->status : 500);
    } else {
        end_open(ctx, res);
    }
    return err;
}

void response_refuse(rn_ctx *ctx, rn_http_response *res, int status)
{
    res->close = true;
    end_failed(ctx, res, status);
}
