/*
 * rn_http_server - an HTTP/1.1 server: a fiber for each connection, handlers that block in style.
 *
 *     static int hello(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
 *     {
 *         return rn_http_printf(ctx, res, "Hello, %s!\n", rn_http_param(req, "name"));
 *     }
 *
 *     rn_http_server *s;
 *     rn_fd listener;
 *     int err = rn_http_server_new(&s, NULL);
 *
 *     rn_http_route(s, "GET", "/hello/{name}", hello, NULL);
 *     err = rn_listen(ctx, ":8080", NULL, &listener);
 *     err = rn_http_serve(ctx, s, listener);        until ctx ends or the server is told to stop
 *     rn_http_server_free(s);
 *
 * Connections are kept for further requests, also for those that the client sends before it has the
 * answer (pipelining): these are answered in order, small answers together in one write, but for
 * those before a handler that was seen to wait. Bodies are read and written as they come, with or
 * without a known length.
 *
 * A request that is not exactly what RFC 9110 and 9112 allow is refused and its connection closed:
 * two parsers with different opinions are how requests are smuggled. The statuses are 400; 408 for
 * one that comes too slowly; 413, 414 and 431 beyond a limit; 417, 501 and 505 for what is not
 * offered.
 *
 * Patterns
 *     /users/{id}       {id} is one segment, not empty; rn_http_param(req, "id") is its text
 *     /files/{path...}  the rest, which may be empty and have slashes; only at the end
 *     /static/          ends with a slash: everything below it; the same as a rest without a name
 *     /static/{$}       that path alone, with the slash at its end
 *
 * As in Go's ServeMux, the most specific pattern wins, whatever the order of registration; two of
 * which neither is more specific, but that share a path, conflict. Paths are compared after
 * decoding, with empty segments and "." left out and ".." resolved. A slash that was sent as %2F is
 * part of its segment.
 *
 * Lifetime
 * 1. A server belongs to who made it, who frees it, when rn_http_serve has returned everywhere.
 * 2. Request and response live as long as their handler runs, with all that they returned.
 * 3. Routes and middleware are registered before the first rn_http_serve, and not changed later.
 *
 * At once  serve (for several listeners), shutdown, close, hook and stats, from any number of
 *          fibers; route, use and free by one, alone. A request and its response belong to the
 *          handler's fiber; who starts others sees to it that one at a time uses them.
 */
#ifndef RUNNEL_HTTP_SERVER_H
#define RUNNEL_HTTP_SERVER_H

#include <runnel/address.h>
#include <runnel/ctx.h>
#include <runnel/error.h>
#include <runnel/fd.h>
#include <runnel/shutdown.h>
#include <runnel/time.h>
#include <runnel/transport.h>
#include <stddef.h>
#include <stdint.h>

RN_BEGIN_DECLS

typedef struct rn_http_server rn_http_server;
typedef struct rn_http_request rn_http_request;
typedef struct rn_http_response rn_http_response;

/*
 * Answers a request. What it has not sent when it returns, the server sends: an answer without any
 * body is one too. ctx ends when the server is closed; the client's leaving shows in what reading
 * and writing return. A negative code becomes status 500 when nothing was sent yet (a body that is
 * too long, cut off or too slow: 413, 400, 408), and otherwise the end of the connection, behind
 * what there is of the answer. 0 and any positive number are success: "return rn_http_write(...)"
 * will do.
 */
typedef int rn_http_handler(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg);

/*
 * Stands around handlers: calls rn_http_next once to go on, or answers itself. It may do something
 * before and after; headers are set before, since the answer may have been sent after.
 */
typedef struct rn_http_chain rn_http_chain;
typedef int rn_http_middleware(rn_ctx *ctx, rn_http_request *req, rn_http_response *res,
                               rn_http_chain *next, void *arg);

/*
 * One line of an access log; everything in it is valid during the call only.
 *
 * A request has a line when its head was read, and one that was refused without being read so far;
 * that is, one line for each answer, and one with status 0 for a request that got none because the
 * connection failed before. .err and .bytes_out know of the socket what it said until then: an
 * answer that waits to go out with those to further requests, which have come already, counts as
 * sent, and what the client's system has taken need not have reached the client.
 */
typedef struct rn_http_log {
    const char *method; /* as sent; "" when the request could not be read so far */
    const char *target; /* likewise */
    int status;         /* of the answer; 0: none was sent */
    int minor_version;  /* of HTTP/1.x */
    uint64_t bytes_in;  /* of the request's body, as read, framing left out */
    uint64_t bytes_out; /* of the answer's body, as the socket took it, likewise; HEAD: 0 */
    rn_duration took;   /* ns from the end of the head to the end of the answer */
    const rn_address *peer;
    int err; /* 0, or the first of: what the handler returned, how reading the body failed, how
                sending the answer failed */
} rn_http_log;

/* How to make a server; zero is the default of each field. */
typedef struct rn_http_server_config {
    const char *name; /* in dumps and reports; must outlive the server; "http server" */
    const rn_transport *transport; /* NULL: plain sockets */
    size_t connections_max;        /* accepting pauses beyond it; default 65,536 */
    uint64_t requests_max;         /* of one connection, then it is closed; default: no limit */
    size_t target_bytes_max;       /* of a request's target, otherwise 414; default 8 KiB */
    size_t header_bytes_max;       /* of all fields of a head, otherwise 431; default 16 KiB */
    size_t header_count_max;       /* of fields, otherwise 431; default 100 */
    uint64_t body_bytes_max;       /* otherwise 413; default 1 MiB; see rn_http_body_limit */
    rn_duration header_timeout;    /* from a request's first byte to its head's end; 408; 10 s */
    rn_duration read_timeout;      /* without a byte of the body; 408; default 30 s */
    uint64_t body_rate_min;        /* bytes/s of a body, see below; 408; default 240 */
    rn_duration write_timeout;     /* without room to send more: it takes too little; 30 s */
    rn_duration idle_timeout;      /* between requests, and before the first; default 60 s */
    /* Called after each request, on its connection's fiber, under no lock. */
    void (*on_request)(void *arg, const rn_http_log *entry);
    void *events_arg;
} rn_http_server_config;

/*
 * As .body_bytes_max: any length. As .body_rate_min: any rate, for routes whose clients send a
 * little now and then.
 *
 * A client must send a body with .body_rate_min on the average, beyond a first .read_timeout that
 * it has in any case: so one that trickles a byte now and then does not stay for ever, nor hold a
 * shutdown up, while an upload may take as long as its size asks for. Only the time in which the
 * server waits for the client counts, not that of a handler that reads slowly.
 */
#define RN_HTTP_UNLIMITED UINT64_MAX

/*
 * rn_http_server_new - make a server; config may be NULL.
 *
 * Caller   any thread or fiber.
 * Returns  0         *out is the server
 *          -EINVAL   a duration is negative, a limit is out of range, or the transport lacks a
 *                    function (see rn_error_detail)
 *          -ENOMEM   out of memory
 *          On every error *out is NULL, which rn_http_server_free takes.
 */
RN_API int rn_http_server_new(rn_http_server **out, const rn_http_server_config *config);

/*
 * rn_http_route - have fn(ctx, req, res, arg) answer the requests of a method and a pattern.
 *
 * "GET" answers HEAD too. NULL or "*" is every method. A path that has a route, but none for the
 * method, is answered by 405 with Allow; one that has none by 404; OPTIONS * by 204.
 *
 * Caller   one fiber or thread, before rn_http_serve.
 * Returns  0         registered
 *          -EEXIST   conflicts with another route: neither is more specific (see rn_error_detail)
 *          -EINVAL   the method or the pattern is malformed, or fn is NULL (see rn_error_detail)
 *          -EBUSY    the server has served
 *          -ENOMEM   out of memory
 */
RN_API int rn_http_route(rn_http_server *s, const char *method, const char *pattern,
                         rn_http_handler *fn, void *arg);

/*
 * rn_http_use - put a middleware around every answer to a request that was read, also around 404
 * and 405.
 *
 * The first registered is the outermost. None sees what is refused before its route is looked for,
 * and the connection closed: 400, 408, 414, 417, 431, 501 and 505 for a head, and 500 without
 * memory; .on_request sees them. What a handler's error becomes (500, and 400, 408 and 413 for a
 * body) is made when the middleware has returned. It has the fields that were set before the
 * handler was called, or the middleware that failed, but for those that speak of the content
 * (Content-Type, Content-Encoding, ETag and so on) and Date.
 *
 * Caller   one fiber or thread, before rn_http_serve.
 * Returns  0         registered
 *          -EINVAL   fn is NULL
 *          -EBUSY    the server has served
 *          -ENOMEM   out of memory
 */
RN_API int rn_http_use(rn_http_server *s, rn_http_middleware *fn, void *arg);

/*
 * rn_http_next - from a middleware: go on to the next one, or to the handler.
 *
 * Caller   the middleware that was given next, at most once.
 * Blocks   as long as those take.
 * Returns  what they returned; 0 for a positive number.
 */
RN_API int rn_http_next(rn_ctx *ctx, rn_http_chain *next, rn_http_request *req,
                        rn_http_response *res);

/*
 * rn_http_serve - accept the connections of a listener and serve each on a fiber of its own.
 *
 * Takes the listener over and closes it. When a connection cannot be accepted, mostly since no
 * descriptor is left, it waits a little and goes on (rn_http_server_stats.accept_errors): only what
 * says that the listener itself is of no use ends it. When it returns after
 * rn_http_server_shutdown, requests may be in flight still: shutdown waits for them.
 *
 * Caller   any thread or fiber; once for each listener.
 * Blocks   the fiber until the server is told to stop, or ctx ends.
 * Returns  RN_ESHUTDOWN   told to stop, now or before: connections that were accepted are finished
 *          -ECANCELED     ctx was cancelled; the server was closed, as by rn_http_server_close
 *          -ETIMEDOUT     ctx's deadline passed; likewise
 *          -EBADF         the listener is closed
 *          -EINVAL        it does not listen
 *          -ENOTSOCK      it is not a socket
 *          -EOPNOTSUPP    it is a socket without connections
 *          -ENOMEM        out of memory, before it accepts
 *          After the last ones other listeners go on.
 */
RN_API int rn_http_serve(rn_ctx *ctx, rn_http_server *s, rn_fd listener);

/*
 * rn_http_server_shutdown - stop, and let everything that was accepted be finished.
 *
 * Listeners close first, when what had connected already is accepted. Idle connections are closed
 * at once (half a second later when the client keeps its side open); one that never sent a byte of
 * a request when it is 5 s old, also in its handshake. When no descriptor is left, idle ones go
 * first, and what had connected has theirs. Requests that come, and those in flight, are answered
 * with "Connection: close".
 *
 * Caller   any thread or fiber but the server's own handlers.
 * Blocks   the fiber until the last connection is gone, or ctx ends.
 * Returns  0            all are gone
 *          -ECANCELED   ctx was cancelled; connections are left: wait again, or close
 *          -ETIMEDOUT   ctx's deadline passed; likewise
 * See      rn_http_server_hook
 */
RN_API int rn_http_server_shutdown(rn_ctx *ctx, rn_http_server *s);

/*
 * rn_http_server_close - stop at once: end the contexts of handlers, and every connection.
 *
 * A handler that waits with its context is woken, and what it would send is not sent. The cause of
 * its context is RN_ESHUTDOWN.
 *
 * Caller   any thread or fiber but the server's own handlers.
 * Blocks   until the last handler has returned.
 */
RN_API void rn_http_server_close(rn_http_server *s);

/*
 * rn_http_server_hook - have a shutdown plan stop the server.
 *
 * Phase STOP_ACCEPTING closes the listeners, DRAIN waits for the connections, CANCEL ends what is
 * left, as rn_http_server_close, within the phase's budget. The hooks have the server's name.
 *
 * Caller   any thread or fiber.
 * Returns  0 or as rn_shutdown_hook; on an error some of the hooks may be in place.
 */
RN_API int rn_http_server_hook(rn_http_server *s, rn_shutdown *plan);

/*
 * rn_http_server_free - close the server and free it. NULL is fine.
 *
 * Caller   any thread or fiber but the server's own handlers, while nobody is in another call on s.
 * Blocks   as rn_http_server_close.
 */
RN_API void rn_http_server_free(rn_http_server *s);

/* Why a request was refused, or a connection ended early. */
typedef enum rn_http_refusal {
    RN_HTTP_MALFORMED,    /* 400 */
    RN_HTTP_SLOW_HEAD,    /* 408: .header_timeout */
    RN_HTTP_SLOW_BODY,    /* 408: .read_timeout, .body_rate_min */
    RN_HTTP_SLOW_READER,  /* no answer got through: .write_timeout */
    RN_HTTP_LARGE_BODY,   /* 413 */
    RN_HTTP_LARGE_TARGET, /* 414 */
    RN_HTTP_LARGE_HEAD,   /* 431 */
    RN_HTTP_UNSUPPORTED,  /* 417, 501, 505 */
    RN_HTTP_GONE,         /* the client left in the middle of a request or an answer */
    RN_HTTP_HANDSHAKE,    /* the transport could not be opened */
    RN_HTTP_REFUSALS      /* how many there are */
} rn_http_refusal;

/* Counters since the server was made; gauges say so. */
typedef struct rn_http_server_stats {
    uint64_t accepted;    /* connections */
    uint64_t connections; /* gauge: open */
    uint64_t idle;        /* gauge: of these, between requests or before the first */
    uint64_t in_flight;   /* gauge: of these, a request is being read or answered */
    uint64_t requests;    /* answered, in whatever way */
    uint64_t by_class[6]; /* of these, by status: [2] counts 2xx; [0]: none was sent */
    uint64_t refused[RN_HTTP_REFUSALS]; /* by reason */
    uint64_t accept_errors;             /* times that accepting failed, mostly for descriptors */
} rn_http_server_stats;

/*
 * rn_http_server_stats_read - fill in *out; all of it together is not one instant.
 *
 * Caller   any thread or fiber.
 */
RN_API void rn_http_server_stats_read(rn_http_server *s, rn_http_server_stats *out);

/*
 * rn_http_refusal_name - "malformed", ...; "unknown" for what is none.
 *
 * Caller   any thread or fiber.
 */
RN_API const char *rn_http_refusal_name(rn_http_refusal refusal);

RN_END_DECLS

#endif
