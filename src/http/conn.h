/*
 * A connection: its fiber, its turns, and how it reads and writes.
 *
 * A connection is either idle, waiting for the first byte of a request, or busy. The fiber makes it
 * idle and claims it back; whoever else wants an idle connection to do something (the sweep, a
 * shutdown) takes it by changing the state to CONN_WOKEN, says why, and ends the fiber's context.
 * So nobody ever interrupts a request. Since a context ends once, a connection that goes on then
 * does so on a new fiber with a new context; which is also how the memory of a deep stack is given
 * back, for CONN_CHILL is just that.
 */
#ifndef RN_HTTP_CONN_H
#define RN_HTTP_CONN_H

#include "work.h"

#include <runnel/fd.h>
#include <stdatomic.h>

enum conn_state {
    CONN_FRESH, /* idle, and never sent a byte */
    CONN_IDLE,
    CONN_BUSY,
    CONN_OPENING,   /* the transport's handshake; only CONN_STOP wakes these two: */
    CONN_LINGERING, /* over, but for what the client still sends */
    CONN_WOKEN
};

/* Why an idle connection was woken. */
enum conn_why {
    CONN_CHILL,   /* go on with waiting, on a small stack */
    CONN_TIMEOUT, /* idle for too long */
    CONN_STOP     /* the server stops */
};

struct conn {
    struct conn *next, *prev; /* in the server's list; guarded by its lock */
    rn_http_server *server;
    rn_fd fd;
    int number;             /* the descriptor of fd, which only the fiber closes */
    void *stream;           /* of the transport, which may give NULL for one; */
    bool opened;            /* there is one, to be read, written and closed */
    rn_ctx *ctx;            /* the fiber's own; guarded by the server's lock, but for the fiber */
    _Atomic(int) state;     /* enum conn_state: set by the fiber, but for CONN_WOKEN */
    enum conn_why why;      /* it is CONN_WOKEN; guarded by the server's lock */
    atomic_bool warm;       /* the fiber has served a request, so its stack is deep */
    _Atomic(rn_time) since; /* when it became idle */
    uint64_t requests;      /* served */
    bool linger;            /* at the end: let the client read the answer before it is cut off */
    struct work *work;      /* while busy */
    rn_address *peer;       /* when somebody has asked */
};

/* Serves an accepted connection, on a fiber; on an error it is closed. */
int conn_start(rn_http_server *server, rn_fd fd);

/* Serves on the caller's fiber or thread what a stream of the server's transport gives. */
int conn_serve_stream(rn_http_server *server, void *stream);

/* Under the server's lock: wakes it if it is idle. */
bool conn_wake(struct conn *conn, enum conn_why why);

/* ---- reading and writing: conn_io.c ---- */

/* As rn_fd_read. */
ssize_t conn_read(struct conn *conn, rn_ctx *ctx, void *buffer, size_t size);

/*
 * What has come until now, asking the system: rn_fd_read does not ask it while no event says that
 * there is something. 0: nothing, or the end.
 */
size_t conn_look(struct conn *conn, void *buffer, size_t size);

/* Reads into the work's input, waiting no longer than `timeout`. As rn_fd_read. */
ssize_t conn_fill(struct conn *conn, rn_ctx *ctx, rn_duration timeout);

/* Sends what waits in the output buffer, then the parts (CONN_PARTS_MAX at most). 0 or a code. */
#define CONN_PARTS_MAX 6
int conn_send(struct conn *conn, rn_ctx *ctx, const struct iovec *parts, size_t n);

/* Adds to the output buffer; sends when it does not fit. */
int conn_put(struct conn *conn, rn_ctx *ctx, const void *data, size_t size);

int conn_flush(struct conn *conn, rn_ctx *ctx);

/* Sends part of a file, behind what waits in the output buffer. Returns 0 or a code. */
int conn_send_file(struct conn *conn, rn_ctx *ctx, rn_fd file, int64_t offset, uint64_t size);

/* Ends the stream and the socket. */
void conn_hang_up(struct conn *conn);

#endif
