/* What a client asked for; see runnel/http_request.h. */
#include "request.h"

#include "server.h"

#include <runnel/net.h>
#include <stdlib.h>

int request_begin(struct conn *conn)
{
    struct work *work = conn->work;
    rn_http_request *req = &work->request;
    const struct text *target = &req->head.pieces.target;

    req->conn = conn;
    req->params = NULL;
    req->match.route = NULL;
    req->match.allowed = 0;
    body_begin(req);
    if (text_equal(*target, "*", 1)) {
        req->target = (struct target){.path = "*", .query = ""};
        return 0;
    }
    return target_read(&req->target, *target, &work->arena);
}

/* The values that matched, each with a zero byte at its end. */
static int copy_params(rn_http_request *req)
{
    size_t names = req->match.route->pattern.names;

    if (names == 0)
        return 0;
    struct arena *arena = &req->conn->work->arena;
    if ((req->params = arena_alloc(arena, names * sizeof *req->params)) == NULL)
        return 500;
    for (size_t i = 0; i < names; i++) {
        const struct text *value = &req->match.values[i];
        char *copy = arena_alloc(arena, value->length + 1);
        if (copy == NULL)
            return 500;
        memcpy(copy, value->at, value->length);
        copy[value->length] = 0;
        req->params[i] = copy;
    }
    return 0;
}

int request_route(rn_http_request *req)
{
    if (req->target.path[0] == '*')
        return 0;
    router_match(&req->conn->server->router, req->head.method.at, &req->target, &req->match);
    return req->match.route == NULL ? 0 : copy_params(req);
}

/* ---- what handlers ask ---- */

const char *rn_http_method(const rn_http_request *req)
{
    return req->head.method.at;
}

const char *rn_http_target(const rn_http_request *req)
{
    return req->head.pieces.target.at;
}

const char *rn_http_path(const rn_http_request *req)
{
    return req->target.path;
}

const char *rn_http_query(const rn_http_request *req)
{
    return req->target.query;
}

const char *rn_http_param(const rn_http_request *req, const char *name)
{
    const struct route *route = req->match.route;
    size_t length = strlen(name), n = 0;

    if (route == NULL || length == 0)
        return NULL;
    for (size_t i = 0; i < route->pattern.count; i++) {
        const struct segment *segment = &route->pattern.segments[i];
        if (segment->kind == SEGMENT_LITERAL || segment->text.length == 0)
            continue;
        if (text_equal(segment->text, name, length))
            return req->params[n];
        n++;
    }
    return NULL;
}

const char *rn_http_query_value(rn_http_request *req, const char *name)
{
    return target_query_value(req->target.query, name, &req->conn->work->arena);
}

const char *rn_http_header(const rn_http_request *req, const char *name)
{
    const struct pieces *pieces = &req->head.pieces;
    size_t length = strlen(name);

    for (size_t i = 0; i < pieces->count; i++)
        if (pieces->fields[i].name.length == length &&
            strncasecmp(pieces->fields[i].name.at, name, length) == 0)
            return pieces->fields[i].value.at;
    return NULL;
}

bool rn_http_header_at(const rn_http_request *req, size_t i, const char **name, const char **value)
{
    if (i >= req->head.pieces.count)
        return false;
    *name = req->head.pieces.fields[i].name.at;
    *value = req->head.pieces.fields[i].value.at;
    return true;
}

int rn_http_minor_version(const rn_http_request *req)
{
    return req->head.pieces.minor;
}

const rn_address *rn_http_peer(rn_http_request *req)
{
    static const rn_address nobody;
    struct conn *conn = req->conn;

    if (conn->peer == NULL && (conn->peer = calloc(1, sizeof *conn->peer)) != NULL)
        rn_net_peer(conn->fd, conn->peer); /* none, when it has left */
    return conn->peer == NULL ? &nobody : conn->peer;
}

rn_http_server *rn_http_server_of(const rn_http_request *req)
{
    return req->conn->server;
}

void *rn_http_stream(const rn_http_request *req)
{
    return req->conn->stream;
}

/* ---- the body ---- */

int64_t rn_http_body_size(const rn_http_request *req)
{
    if (req->head.chunked)
        return -1;
    return req->head.content_length > 0 ? req->head.content_length : 0;
}

void rn_http_body_limit(rn_http_request *req, uint64_t bytes_max)
{
    req->body.bytes_max = bytes_max;
}

ssize_t rn_http_read(rn_ctx *ctx, rn_http_request *req, void *buffer, size_t size)
{
    return body_read(ctx, req, buffer, size);
}

#define READ_ALL_FIRST_BYTES 4096

/* A body whose length is not known: the arena's pieces stay where they are, so double each time. */
static char *grow(rn_http_request *req, char *data, size_t used, size_t size)
{
    char *grown = rn_http_alloc(req, size);

    if (grown != NULL && used > 0)
        memcpy(grown, data, used);
    return grown;
}

ssize_t rn_http_read_all(rn_ctx *ctx, rn_http_request *req, char **data)
{
    const struct body *body = &req->body;
    size_t used = 0, size = READ_ALL_FIRST_BYTES;
    char *all = NULL;
    ssize_t n;

    *data = NULL;
    if (!body->chunked && body->left <= body->bytes_max)
        size = (size_t)body->left + 1;
    if ((all = grow(req, NULL, 0, size)) == NULL)
        return -ENOMEM;
    while ((n = body_read(ctx, req, all + used, size - 1 - used)) > 0) {
        used += (size_t)n;
        if (used < size - 1 || body_ended(body))
            continue;
        size *= 2;
        if ((all = grow(req, all, used, size)) == NULL)
            return -ENOMEM;
    }
    if (n < 0)
        return n;
    all[used] = 0;
    *data = all;
    return (ssize_t)used;
}

void *rn_http_alloc(rn_http_request *req, size_t size)
{
    return arena_alloc(&req->conn->work->arena, size);
}
