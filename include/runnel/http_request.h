/*
 * rn_http_request - what a client asked for; see runnel/http_server.h.
 *
 *     const char *id = rn_http_param(req, "id");              of the pattern "/users/{id}"
 *     const char *page = rn_http_query_value(req, "page");    NULL when there is none
 *     char *body;
 *     ssize_t n = rn_http_read_all(ctx, req, &body);          or rn_http_read, piece by piece
 *     if (n < 0)
 *         return (int)n;                                      the server answers 413, 400, 408
 *
 * Lifetime
 * 1. A request lives as long as its handler runs, and so does every text it returned.
 *
 * At once  one call at a time.
 */
#ifndef RUNNEL_HTTP_REQUEST_H
#define RUNNEL_HTTP_REQUEST_H

#include <runnel/address.h>
#include <runnel/error.h>
#include <runnel/http_server.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

RN_BEGIN_DECLS

/*
 * rn_http_method, rn_http_target - the request line, as sent.
 *
 * Of a target with a host, as clients of proxies send it, the host is left out: it is that of the
 * Host field.
 *
 * Caller   the handler.
 * Returns  "GET", and "/users/7?full=1". Never NULL.
 */
RN_API const char *rn_http_method(const rn_http_request *req);
RN_API const char *rn_http_target(const rn_http_request *req);

/*
 * rn_http_path - the path as the router saw it: decoded, without "//", "." and "..".
 *
 * A slash that was sent as %2F cannot be told from others here; in rn_http_param it can. "*" for
 * OPTIONS *.
 *
 * Caller   the handler.
 * Returns  the path; it begins with a slash. Never NULL.
 */
RN_API const char *rn_http_path(const rn_http_request *req);

/*
 * rn_http_query - what follows the question mark, as sent.
 *
 * Caller   the handler.
 * Returns  the text; "" when there is none. Never NULL.
 */
RN_API const char *rn_http_query(const rn_http_request *req);

/*
 * rn_http_param - what a part of the route's pattern stands for: {id}, {path...}; decoded.
 *
 * Caller   the handler; a middleware too.
 * Returns  the text, or NULL when the pattern has no such part.
 */
RN_API const char *rn_http_param(const rn_http_request *req, const char *name);

/*
 * rn_http_query_value - the first value of a name in the query, decoded ("+" is a space).
 *
 * Caller   the handler.
 * Returns  the value, "" for a name without "="; NULL when the name is not there, its value is
 *          malformed, or there is no memory.
 */
RN_API const char *rn_http_query_value(rn_http_request *req, const char *name);

/*
 * rn_http_header - the first field of a name, whatever its case.
 *
 * Caller   the handler.
 * Returns  the value, without space around it, or NULL.
 * See      rn_http_header_at, for fields that come more than once
 */
RN_API const char *rn_http_header(const rn_http_request *req, const char *name);

/*
 * rn_http_header_at - field number i, from 0 on, in the order sent.
 *
 * Caller   the handler.
 * Returns  true and *name, *value; false beyond the last.
 */
RN_API bool rn_http_header_at(const rn_http_request *req, size_t i, const char **name,
                              const char **value);

/*
 * rn_http_minor_version - 1 for HTTP/1.1, 0 for HTTP/1.0.
 *
 * Caller   the handler.
 */
RN_API int rn_http_minor_version(const rn_http_request *req);

/*
 * rn_http_peer - where the request came from: the other end of the connection.
 *
 * Caller   the handler.
 * Returns  the address; none (rn_address_text: "") when the connection is gone. Never NULL.
 */
RN_API const rn_address *rn_http_peer(rn_http_request *req);

/*
 * rn_http_server_of - the server that serves the request.
 *
 * Caller   the handler.
 */
RN_API rn_http_server *rn_http_server_of(const rn_http_request *req);

/*
 * rn_http_stream - the transport's stream that carries the request (runnel/transport.h).
 *
 * A transport tells by it what it knows: a client's certificate, for example.
 *
 * Caller   the handler.
 * Returns  the stream, or NULL on a plain socket.
 */
RN_API void *rn_http_stream(const rn_http_request *req);

/*
 * rn_http_body_size - the length of the body, as far as it is known beforehand.
 *
 * Caller   the handler.
 * Returns  Content-Length; 0 when there is no body; -1 when it comes in chunks.
 */
RN_API int64_t rn_http_body_size(const rn_http_request *req);

/*
 * rn_http_body_limit - how long this request's body may be, in place of .body_bytes_max.
 *
 * Caller   the handler, before it reads.
 */
RN_API void rn_http_body_limit(rn_http_request *req, uint64_t bytes_max);

/*
 * rn_http_read - the next bytes of the body, as they come.
 *
 * The first call asks the client to send ("100 Continue"), if it waits for that and the answer has
 * not begun: behind the head of an answer nothing is asked, and such a client may send nothing. A
 * body that is not read is passed over; when it is long, or comes in chunks, so that nobody knows
 * how long it is, the answer says "Connection: close".
 *
 * Caller   the handler.
 * Blocks   the fiber until there is a byte, the end, or ctx ends.
 * Returns  1..size       so many bytes are in buffer
 *          0             the body has ended, or size is 0
 *          -EMSGSIZE     it is longer than the limit: 413, unless the handler answers otherwise: it
 *                        returns 0 and has set a status, or written
 *          -EPROTO       its chunks are malformed: 400, likewise
 *          -ETIMEDOUT    nothing came for .read_timeout, or less than .body_rate_min: 408,
 *                        likewise; or ctx's deadline passed
 *          -ECONNRESET   the client left in the middle
 *          -ECANCELED    ctx was cancelled
 *          -ENOMEM       out of memory
 *          and what the transport says. After -ECANCELED, ctx's deadline and -ENOMEM it may be read
 *          on, on a plain socket. After the others reading says the same again, and the connection
 *          is closed when the handler has returned.
 */
RN_API ssize_t rn_http_read(rn_ctx *ctx, rn_http_request *req, void *buffer, size_t size);

/*
 * rn_http_read_all - the whole body, or what is left of it, with a zero after its end.
 *
 * Caller   the handler.
 * Blocks   as rn_http_read.
 * Returns  its length, and *data, which lives as long as the request
 *          -ENOMEM   out of memory
 *          others    as rn_http_read; *data is NULL
 */
RN_API ssize_t rn_http_read_all(rn_ctx *ctx, rn_http_request *req, char **data);

/*
 * rn_http_alloc - memory that lives as long as the request, aligned for anything.
 *
 * Caller   the handler.
 * Returns  the memory, not zeroed, or NULL when out of memory.
 * Cost     mostly a few instructions.
 */
RN_API void *rn_http_alloc(rn_http_request *req, size_t size);

RN_END_DECLS

#endif
