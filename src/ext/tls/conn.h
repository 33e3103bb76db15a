/*
 * A connection: an SSL object that reads from and writes to memory, and what moves the bytes
 * between that memory and the socket.
 *
 * OpenSSL never sees the socket. It may hold locks and pointers to thread-locals anywhere inside a
 * call, so nothing may park there: what is encrypted goes to `out`, what is to be decrypted is
 * taken from `in`, and the waiting is done in flow.c, when OpenSSL has returned.
 *
 * Rejected: a BIO that tries the system calls itself. It saves a copy, but needs the number of the
 * descriptor, which may be somebody else's after another fiber has closed the handle.
 */
#ifndef RN_TLS_CONN_H
#define RN_TLS_CONN_H

#include "buffer.h"
#include "failure.h"

#include <openssl/ssl.h>
#include <runnel/cond.h>
#include <runnel/mutex.h>
#include <runnel/tls.h>

#define TLS_RECORD_BYTES 16384        /* of plain text, at most */
#define TLS_BATCH_BYTES (64 << 10)    /* of plain text, encrypted and sent at once */
#define TLS_OVERHEAD_BYTES 256        /* of a record: more than any cipher adds */
#define TLS_INPUT_BYTES (32 << 10)    /* of one read from the socket */
#define TLS_BACKLOG_BYTES (256 << 10) /* in out, beyond which nothing more is read */

struct rn_tls {
    rn_fd fd;        /* this and the next never change */
    bool owns_fd;    /* close closes it */
    rn_mutex lock;   /* guards the rest; never held over a wait for anything but itself */
    rn_cond changed; /* filling or flushing has become false */
    SSL *ssl;
    struct tls_buffer in;      /* from the socket; written by who set filling, while it is empty */
    struct tls_buffer out;     /* from OpenSSL, in the order in which it is to go out */
    struct tls_buffer sending; /* goes out before out; who set flushing may read it without lock */
    bool filling, flushing;
    bool ready;    /* the handshake is done */
    bool ended;    /* the peer has said that this is the end */
    bool said_end; /* we have, or it waits in out */
    bool broken;   /* the protocol failed, as reading says: OpenSSL is asked nothing more */
    struct tls_failure reading;      /* nothing more comes from the socket, or broken */
    struct tls_failure writing;      /* nothing more goes to the socket */
    rn_tls_info info;                /* once somebody has asked for it */
    char *alpn, *server_name, *peer; /* texts in info */
};

/* What a call of OpenSSL came to. */
enum tls_step { TLS_DONE, TLS_WANTS_INPUT, TLS_ENDED, TLS_FAILED };

/*
 * Reads it from the result, before anything else may use the queue of errors. TLS_FAILED: the
 * connection is broken, and an alert may wait in out.
 */
enum tls_step tls_step_of(rn_tls *c, int result);

/* 0 and a connection that has not begun its handshake, or -ENOMEM. */
int tls_conn_new(rn_tls **out, SSL_CTX *context, rn_fd fd, bool owns_fd);

/* Frees it; nothing is said to the peer. */
void tls_conn_free(rn_tls *c);

/* Runs the handshake, as client or server. */
int tls_conn_handshake(rn_ctx *ctx, rn_tls *c);

/* As rn_tls_close; a transport's streams leave the handle open. */
void tls_conn_close(rn_tls *c);

/* ---- flow.c; all with lock held, which they give up while they wait ---- */

/*
 * Waits for input, or for somebody else to have got some: OpenSSL is to be asked again then. A
 * negative code is ctx's, or in reading.
 */
int tls_flow_fill(rn_ctx *ctx, rn_tls *c);

/* Sends all there is. A negative code is ctx's, or in writing. */
int tls_flow_flush(rn_ctx *ctx, rn_tls *c);

/* Sends what there is if it is little and there is room for it now. */
void tls_flow_push(rn_tls *c);

static inline size_t tls_flow_owed(const rn_tls *c)
{
    return tls_buffer_used(&c->sending) + tls_buffer_used(&c->out);
}

/* ---- bio.c ---- */

/* A BIO from c->in to c->out, or NULL without memory. */
BIO *tls_bio_new(rn_tls *c);

#endif
