/* The body of a request; see body.h. */
#include "body.h"

#include "server.h"

#include <stdlib.h>

#define SKIP_BYTES_MAX (64 * 1024) /* of a body that nobody read, to keep the connection */
#define FRAMING_ROOM 1024          /* to read chunks into */

static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";

void body_begin(struct rn_http_request *req)
{
    const struct head *head = &req->head;

    req->body = (struct body){
        .chunked = head->chunked,
        .awaited = head->expects,
        .left = head->content_length > 0 ? (uint64_t)head->content_length : 0,
        .bytes_max = req->conn->server->config.body_bytes_max,
    };
}

bool body_ended(const struct body *body)
{
    return body->chunked ? body->chunk.state == CHUNK_END : body->left == 0;
}

/* Ends it early; the first reason counts. Returns err. */
static int give_up(struct rn_http_request *req, int err, int status, rn_http_refusal why)
{
    if (req->body.err == 0) {
        req->body.err = err;
        req->body.status = status;
        server_refuse(req->conn->server, why);
    }
    return req->body.err;
}

/* ---- from the connection ---- */

/*
 * What waits to be sent goes first: the client may send the body only when it has seen that. "100
 * Continue" stands before an answer: when one has begun, it would be taken for a part of that.
 */
static int prepare_wait(rn_ctx *ctx, struct rn_http_request *req)
{
    int err = 0;

    if (req->body.awaited && req->conn->work->response.stage == RESPONSE_OPEN) {
        err = conn_put(req->conn, ctx, go_on, sizeof go_on - 1);
        req->body.awaited = err != 0;
    }
    return err == 0 ? conn_flush(req->conn, ctx) : err;
}

/* What a read of the connection returned, as rn_http_read returns it. */
static ssize_t judge(rn_ctx *ctx, struct rn_http_request *req, ssize_t n)
{
    if (n > 0)
        return n;
    if (n == -ETIMEDOUT && rn_ctx_err(ctx) == 0)
        return give_up(req, -ETIMEDOUT, 408, RN_HTTP_SLOW_BODY);
    if (n == -ECANCELED || n == -ETIMEDOUT)
        return n;
    return give_up(req, n == 0 ? -ECONNRESET : (int)n, 400, RN_HTTP_GONE);
}

/*
 * How long the next bytes may be waited for. Each wait is limited, and all of a body's waits by
 * what came in them: otherwise a client that trickles a byte now and then stays for ever. What the
 * handler does in between is not the client's time.
 */
static rn_duration patience(const struct rn_http_request *req)
{
    const rn_http_server_config *config = &req->conn->server->config;
    const struct body *body = &req->body;

    if (config->body_rate_min == RN_HTTP_UNLIMITED)
        return config->read_timeout;
    uint64_t rate = config->body_rate_min, seconds = body->taken / rate;
    if (seconds >= (uint64_t)(RN_FOREVER / RN_SECOND))
        return config->read_timeout;
    rn_duration earned = (rn_duration)seconds * RN_SECOND - body->waited;
    return earned < 0 ? config->read_timeout + earned : config->read_timeout;
}

static ssize_t wait_and_read(rn_ctx *ctx, struct rn_http_request *req, void *buffer, size_t size)
{
    int err = prepare_wait(ctx, req);

    if (err != 0)
        return err;
    rn_duration most = patience(req);
    rn_ctx *limited = rn_ctx_with_timeout(ctx, most > 0 ? most : 0);
    if (limited == NULL)
        return -ENOMEM;
    rn_time begin = rn_now();
    ssize_t n = conn_read(req->conn, limited, buffer, size);
    rn_ctx_release(limited);
    req->body.waited += rn_now() - begin;
    return judge(ctx, req, n);
}

/* More into the input, behind what is there. */
static ssize_t fill(rn_ctx *ctx, struct rn_http_request *req)
{
    struct work *work = req->conn->work;
    int err = work_make_room(work, FRAMING_ROOM);

    if (err != 0)
        return err;
    struct input *in = &work->input;
    ssize_t n = wait_and_read(ctx, req, in->buffer + in->end, in->size - in->end);
    if (n > 0)
        in->end += (size_t)n;
    return n;
}

static size_t take_input(struct input *in, void *buffer, size_t size)
{
    size_t n = in->end - in->begin < size ? in->end - in->begin : size;

    memcpy(buffer, in->buffer + in->begin, n);
    in->begin += n;
    return n;
}

/* Up to size bytes that are data: from the input first, then straight from the connection. */
static ssize_t read_data(rn_ctx *ctx, struct rn_http_request *req, void *buffer, size_t size)
{
    struct input *in = &req->conn->work->input;

    if (in->begin < in->end)
        return (ssize_t)take_input(in, buffer, size);
    return wait_and_read(ctx, req, buffer, size);
}

/* ---- with and without chunks ---- */

static ssize_t read_plain(rn_ctx *ctx, struct rn_http_request *req, void *buffer, size_t size)
{
    struct body *body = &req->body;

    if (body->left == 0)
        return 0;
    if (body->taken + body->left > body->bytes_max)
        return give_up(req, -EMSGSIZE, 413, RN_HTTP_LARGE_BODY);
    ssize_t n = read_data(ctx, req, buffer, size < body->left ? size : body->left);
    if (n > 0)
        body->left -= (uint64_t)n;
    return n;
}

/* Reads framing until there is data, or no more to come. 0, or a code. */
static int next_chunk(rn_ctx *ctx, struct rn_http_request *req)
{
    struct body *body = &req->body;
    struct input *in = &req->conn->work->input;

    for (;;) {
        in->begin += chunk_framing(&body->chunk, in->buffer + in->begin, in->end - in->begin,
                                   &req->conn->server->chunk_limits);
        if (body->chunk.state == CHUNK_DATA || body->chunk.state == CHUNK_END)
            return 0;
        if (body->chunk.state == CHUNK_BAD)
            return give_up(req, -EPROTO, 400, RN_HTTP_MALFORMED);
        ssize_t n = fill(ctx, req);
        if (n < 0)
            return (int)n;
    }
}

static ssize_t read_chunked(rn_ctx *ctx, struct rn_http_request *req, void *buffer, size_t size)
{
    struct body *body = &req->body;
    int err = next_chunk(ctx, req);

    if (err != 0 || body->chunk.state == CHUNK_END)
        return err;
    if (body->taken + body->chunk.left > body->bytes_max)
        return give_up(req, -EMSGSIZE, 413, RN_HTTP_LARGE_BODY);
    ssize_t n = read_data(ctx, req, buffer, size < body->chunk.left ? size : body->chunk.left);
    if (n > 0)
        chunk_take(&body->chunk, (uint64_t)n);
    return n;
}

ssize_t body_read(rn_ctx *ctx, struct rn_http_request *req, void *buffer, size_t size)
{
    struct body *body = &req->body;

    if (size == 0 || body_ended(body))
        return 0;
    if (body->err != 0)
        return body->err;
    ssize_t n = body->chunked ? read_chunked(ctx, req, buffer, size)
                              : read_plain(ctx, req, buffer, size);
    if (n > 0)
        body->taken += (uint64_t)n;
    return n;
}

/* ---- what nobody read ---- */

bool body_is_short(const struct rn_http_request *req)
{
    const struct body *body = &req->body;

    if (body_ended(body))
        return true;
    if (body->err != 0 || body->awaited)
        return false;
    return body->chunked || body->left <= SKIP_BYTES_MAX;
}

bool body_is_open(const struct body *body)
{
    return body->chunked && body->chunk.state != CHUNK_END;
}

/* No limit of the handler's counts here: nobody is refused for what is passed over. */
bool body_skip(rn_ctx *ctx, struct rn_http_request *req)
{
    struct body *body = &req->body;
    uint64_t most = body->taken + SKIP_BYTES_MAX;
    char nowhere[1024];
    ssize_t n = 1;

    body->bytes_max = RN_HTTP_UNLIMITED;
    while (n > 0 && !body_ended(body) && body->taken + body->chunk.left <= most)
        n = body_read(ctx, req, nowhere, sizeof nowhere);
    return n >= 0 && body_ended(body);
}
