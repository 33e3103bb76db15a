/*
 * rn_transport - what stands between a server and its sockets: encryption, mostly.
 *
 * A table of functions, in place of rn_fd_read and rn_fd_writev. A server that is given one asks it
 * for a stream for each connection that it accepts, and from then on reads and writes that only.
 * TLS is one (runnel/tls.h); a program may have others, for a PROXY header or for tests.
 *
 *     static int hello_open(rn_ctx *ctx, void *arg, rn_fd conn, void **stream);
 *     ...
 *     const rn_transport hello = {hello_open, hello_read, hello_writev, hello_buffered,
 *                                 hello_close, arg};
 *     rn_http_server_new(&server, &(rn_http_server_config){.transport = &hello});
 *
 * Lifetime
 * 1. The table and arg belong to the program and must outlive every server that was given them.
 * 2. A stream is the transport's, from open to close. close is called once for each open that
 *    returned 0, when nobody is in another call on the stream.
 * 3. The socket stays the server's, who closes it after close.
 *
 * At once  any number of open calls, and of calls on different streams. One stream has at most one
 *          read and one writev at the same time.
 */
#ifndef RUNNEL_TRANSPORT_H
#define RUNNEL_TRANSPORT_H

#include <runnel/error.h>
#include <runnel/fd.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

RN_BEGIN_DECLS

typedef struct rn_ctx rn_ctx;

typedef struct rn_transport {
    /*
     * Begins a stream on an accepted connection: the handshake. ctx ends when the client takes too
     * long, or the server stops. Returns 0 and *stream, which may be NULL, or a negative code: then
     * the server closes conn.
     */
    int (*open)(rn_ctx *ctx, void *arg, rn_fd conn, void **stream);
    /* As rn_fd_read: one byte or more, 0 at the end of the stream, or a negative code. */
    ssize_t (*read)(rn_ctx *ctx, void *stream, void *buffer, size_t size);
    /*
     * As rn_fd_writev: all of it, fewer bytes when it ended early, or a negative code. After an
     * early end the next call continues with the byte after the last that was counted.
     */
    ssize_t (*writev)(rn_ctx *ctx, void *stream, const struct iovec *parts, size_t n);
    /* How many bytes read could give without asking the socket. */
    size_t (*buffered)(void *stream);
    /* Says goodbye if that needs no long wait, and frees the stream; not the socket. */
    void (*close)(rn_ctx *ctx, void *stream);
    void *arg; /* of open */
} rn_transport;

RN_END_DECLS

#endif
