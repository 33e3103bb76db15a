/*
 * What the fuzzer and the test of its corpus share: a connection that is given bytes, whole and one
 * by one, and must answer the same to both.
 *
 * It is served on the caller's thread: a transport stands in for the socket.
 */
#ifndef RN_TESTS_HTTP_FUZZ_H
#define RN_TESTS_HTTP_FUZZ_H

#include "http/server.h"

#include <runnel/http.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FUZZ_BYTES_MAX 65536

/* What a client sends, in steps of so many bytes, and what it hears. */
struct fuzz_stream {
    const char *bytes;
    size_t size, at, step;
    char *heard;
    size_t heard_size, room;
};

static int fuzz_open(rn_ctx *ctx, void *arg, rn_fd conn, void **stream)
{
    (void)ctx, (void)arg, (void)conn, (void)stream;
    return -EINVAL; /* nobody opens it: conn_serve_stream is given one */
}

static ssize_t fuzz_read(rn_ctx *ctx, void *arg, void *buffer, size_t size)
{
    struct fuzz_stream *stream = arg;
    size_t n = stream->size - stream->at;

    (void)ctx;
    n = n < stream->step ? n : stream->step;
    n = n < size ? n : size;
    memcpy(buffer, stream->bytes + stream->at, n);
    stream->at += n;
    return (ssize_t)n;
}

static ssize_t fuzz_writev(rn_ctx *ctx, void *arg, const struct iovec *parts, size_t n)
{
    struct fuzz_stream *stream = arg;
    size_t all = 0;

    (void)ctx;
    for (size_t i = 0; i < n; i++) {
        size_t size = parts[i].iov_len;
        if (stream->heard_size + size + 1 > stream->room) {
            stream->room = 2 * (stream->heard_size + size + 1);
            stream->heard = realloc(stream->heard, stream->room);
        }
        memcpy(stream->heard + stream->heard_size, parts[i].iov_base, size);
        stream->heard_size += size;
        all += size;
    }
    return (ssize_t)all;
}

static size_t fuzz_buffered(void *arg)
{
    struct fuzz_stream *stream = arg;
    return stream->size - stream->at;
}

static void fuzz_close(rn_ctx *ctx, void *arg)
{
    (void)ctx, (void)arg;
}

/* The request as it was understood: a difference in that is a difference in the answer. */
static int fuzz_show(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    const char *name, *value;
    char *body;
    ssize_t n = rn_http_read_all(ctx, req, &body);

    if (n < 0)
        return (int)n;
    rn_http_printf(ctx, res, "%s %s %s %s %s %zd", (const char *)arg, rn_http_method(req),
                   rn_http_path(req), rn_http_query(req), rn_http_target(req), n);
    for (size_t i = 0; rn_http_header_at(req, i, &name, &value); i++)
        rn_http_printf(ctx, res, "|%s=%s", name, value);
    value = rn_http_param(req, "x");
    rn_http_printf(ctx, res, "|%s", value == NULL ? "-" : value);
    value = rn_http_param(req, "rest");
    rn_http_printf(ctx, res, "|%s", value == NULL ? "-" : value);
    value = rn_http_query_value(req, "q");
    rn_http_printf(ctx, res, "|%s|", value == NULL ? "-" : value);
    n = rn_http_write(ctx, res, body, (size_t)n);
    return n < 0 ? (int)n : 0;
}

/* Reads nothing: the server passes the body over. */
static int fuzz_ignore(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    (void)req;
    return rn_http_reply(ctx, res, 200, "text/plain", arg, strlen(arg));
}

static const rn_transport fuzz_transport = {
    .open = fuzz_open,
    .read = fuzz_read,
    .writev = fuzz_writev,
    .buffered = fuzz_buffered,
    .close = fuzz_close,
};

static rn_http_server *fuzz_server(void)
{
    rn_http_server *s;
    int err = rn_http_server_new(&s, &(rn_http_server_config){
                                         .transport = &fuzz_transport,
                                         .target_bytes_max = 200,
                                         .header_bytes_max = 400,
                                         .header_count_max = 12,
                                         .body_bytes_max = 3000,
                                         .requests_max = 20,
                                     });
    if (err != 0 || rn_http_route(s, NULL, "/", fuzz_show, "root") != 0 ||
        rn_http_route(s, "GET", "/a/{x}", fuzz_show, "one") != 0 ||
        rn_http_route(s, NULL, "/b/{x}/{rest...}", fuzz_show, "rest") != 0 ||
        rn_http_route(s, "POST", "/i", fuzz_ignore, "ignored") != 0)
        abort();
    return s;
}

/* Takes every text that begins so, of so many bytes, out. */
static size_t fuzz_drop(char *text, size_t size, const char *begin, size_t bytes)
{
    size_t length = strlen(begin), at = 0;

    while (at + bytes <= size) {
        char *found = memmem(text + at, size - at, begin, length);
        if (found == NULL || (size_t)(found - text) + bytes > size)
            break;
        at = (size_t)(found - text);
        memmove(found, found + bytes, size - at - bytes);
        size -= bytes;
    }
    return size;
}

/* What is heard, without what the time or the pieces have to do with. The caller frees it. */
static struct fuzz_stream fuzz_serve(rn_http_server *s, const char *bytes, size_t size, size_t step)
{
    struct fuzz_stream stream = {.bytes = bytes, .size = size, .step = step};

    if (conn_serve_stream(s, &stream) != 0)
        abort();
    stream.heard_size = fuzz_drop(stream.heard, stream.heard_size, "Date: ", 37);
    stream.heard_size = fuzz_drop(stream.heard, stream.heard_size, "HTTP/1.1 100 Continue\r\n\r\n",
                                  25);
    return stream;
}

/* Serves the bytes whole, one by one, and in threes. Aborts when the answers differ. */
static void fuzz_check(rn_http_server *s, const char *bytes, size_t size)
{
    static const size_t steps[] = {1, 3};
    struct fuzz_stream whole = fuzz_serve(s, bytes, size, SIZE_MAX);

    for (int i = 0; i < 2; i++) {
        struct fuzz_stream pieces = fuzz_serve(s, bytes, size, steps[i]);
        if (pieces.heard_size != whole.heard_size ||
            (whole.heard_size > 0 && memcmp(pieces.heard, whole.heard, whole.heard_size) != 0)) {
            fprintf(stderr, "whole:\n%.*s\nin pieces of %zu:\n%.*s\n", (int)whole.heard_size,
                    whole.heard, steps[i], (int)pieces.heard_size, pieces.heard);
            abort();
        }
        free(pieces.heard);
    }
    free(whole.heard);
}

#endif
