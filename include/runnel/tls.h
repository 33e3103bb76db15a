/*
 * rn_tls - TLS over runnel's sockets: servers whose certificates change while they run, clients
 * that verify, connections that read and write like handles.
 *
 *     rn_tls_server *server;
 *     rn_tls *conn;
 *
 *     if ((err = rn_tls_server_new(&server, &(rn_tls_server_config){
 *              .certificate = "/etc/me/chain.pem", .key = "/etc/me/key.pem"})) != 0)
 *         return err;                              rn_error_detail() names the file
 *     while ((err = rn_accept(ctx, listener, &fd)) == 0)
 *         if (rn_tls_accept(ctx, server, fd, &conn) == 0)
 *             rn_go(serve, conn);                  rn_tls_read, rn_tls_write, rn_tls_close
 *         else
 *             rn_fd_close(fd);
 *
 * In a program the handshake belongs into the connection's own fiber: it waits for the peer. The
 * library is librunnel-tls, on OpenSSL 3; link with -lrunnel-tls -lrunnel. Buffered lines and
 * output come from runnel/reader.h and runnel/writer.h:
 *
 *     rn_reader_new(&in, fd, &(rn_reader_config){.read = rn_tls_read, .read_arg = conn});
 *     rn_writer_new(&out, fd, &(rn_writer_config){.writev = rn_tls_writev, .writev_arg = conn});
 *
 * TLS 1.2 and 1.3, no renegotiation, no compression, no early data. Servers resume sessions by
 * tickets until their certificates are reloaded.
 *
 * Lifetime
 * 1. A server or client is a configuration. It outlives the handshakes that were begun with it, not
 *    the connections.
 * 2. rn_tls_accept and rn_tls_connect take the handle over when they succeed: rn_tls_close closes
 *    it. What is between the two is one connection, freed by rn_tls_close.
 * 3. The end of a context ends a wait, not the connection: the next call goes on where this one
 *    was, in both directions. What was written by then and did not get out yet goes out first.
 * 4. A connection whose peer went without saying so (close_notify) has ended with -ECONNRESET, not
 *    with 0: somebody may have cut it, and what was read may be a part only.
 * 5. An error of the protocol ends the connection: all further calls return the same code and
 *    sentence.
 *
 * At once  every call, from any number of fibers and threads, but for new, free and close: no other
 *          call may be running. So one fiber may read while another writes. To end a read or write
 *          from outside, end its context, or close rn_tls_fd.
 */
#ifndef RUNNEL_TLS_H
#define RUNNEL_TLS_H

#include <runnel/ctx.h>
#include <runnel/error.h>
#include <runnel/fd.h>
#include <runnel/time.h>
#include <runnel/transport.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

RN_BEGIN_DECLS

typedef struct rn_tls rn_tls; /* a connection */
typedef struct rn_tls_server rn_tls_server;
typedef struct rn_tls_client rn_tls_client;

/* Versions of the protocol. */
typedef enum rn_tls_version {
    RN_TLS_VERSION_DEFAULT, /* as a minimum 1.2, as a maximum 1.3 */
    RN_TLS_1_2,
    RN_TLS_1_3
} rn_tls_version;

/* ---- servers ---- */

/* A certificate's two files, in PEM. */
typedef struct rn_tls_identity {
    const char *certificate; /* the server's own first, then those up to the CA's */
    const char *key;         /* not encrypted */
} rn_tls_identity;

/* What a server wants of its clients. */
typedef enum rn_tls_client_auth {
    RN_TLS_CLIENT_ANY,      /* does not ask for a certificate */
    RN_TLS_CLIENT_MAY,      /* asks; one that comes must be good */
    RN_TLS_CLIENT_VERIFIED, /* without a good one the handshake fails */
} rn_tls_client_auth;

/* How to serve; zero is the default of each field, but the first two are needed. Is copied. */
typedef struct rn_tls_server_config {
    const char *certificate; /* as in rn_tls_identity */
    const char *key;
    const rn_tls_identity *more; /* further ones; a client gets the first that fits the name it */
    size_t more_n;               /* asks for (SNI), otherwise the one above; at most 1000 */
    rn_tls_version version_min, version_max;
    const char *alpn; /* protocols, best first, as in "h2,http/1.1"; default "http/1.1"; "": none */
    rn_tls_client_auth client_auth;
    const char *client_ca;         /* a PEM file of the CAs that clients' certificates come from */
    rn_duration handshake_timeout; /* default 10 s; RN_FOREVER: the context's deadline only */
} rn_tls_server_config;

/*
 * rn_tls_server_new - a server with its certificates read.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   the fiber while the files are read.
 * Returns  0         *out is the server
 *          -EINVAL   a field is wrong, a file is not what it should be, or a key does not belong to
 *                    its certificate
 *          -ENOMEM   out of memory
 *          and what open(2) says of a file, negated (-ENOENT, -EACCES, ...). Each but -ENOMEM
 *          leaves a sentence that names the field or file for rn_error_detail. On every error *out
 *          is NULL, which rn_tls_server_free takes.
 * See      rn_tls_server_reload, rn_tls_transport, examples/tls_echo.c
 */
RN_API int rn_tls_server_new(rn_tls_server **out, const rn_tls_server_config *config);

/*
 * rn_tls_server_reload - read all files again: handshakes from then on use what is in them.
 *
 * Connections keep what they began with; sessions of before are not resumed. All files are taken,
 * or, after any error, none of them.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   the fiber while the files are read; reloads of one server wait for each other.
 * Returns  0        done
 *          and the codes and sentences of rn_tls_server_new: the server goes on with what it had.
 */
RN_API int rn_tls_server_reload(rn_tls_server *s);

/*
 * rn_tls_server_free - free it. NULL is fine. Connections made with it go on.
 *
 * Caller   any thread or fiber; no handshake with it may be running.
 */
RN_API void rn_tls_server_free(rn_tls_server *s);

/*
 * rn_tls_transport - this server as a transport, for servers that take one (rn_http_server_config).
 *
 * A stream is a connection (rn_tls) that leaves its handle to who opened it.
 *
 * Caller   any thread or fiber.
 * Returns  the transport, which lives as long as s.
 */
RN_API const rn_transport *rn_tls_transport(rn_tls_server *s);

/* ---- clients ---- */

/* What a client verifies of a server's certificate. */
typedef enum rn_tls_verify {
    RN_TLS_VERIFY,       /* that a trusted CA vouches for it, and that it is for the host */
    RN_TLS_VERIFY_CHAIN, /* only that a trusted CA vouches for it */
    RN_TLS_VERIFY_NOTHING
} rn_tls_verify;

/* How to connect; zero is the default of each field. */
typedef struct rn_tls_client_config {
    const char *ca; /* a PEM file of the CAs that are trusted; default: the system's */
    rn_tls_verify verify;
    const char *certificate; /* the client's own, for servers that ask; as in rn_tls_identity */
    const char *key;
    rn_tls_version version_min, version_max;
    const char *alpn; /* protocols, best first, as in "h2,http/1.1"; default: none */
} rn_tls_client_config;

/*
 * rn_tls_client_new - what connections of a client have in common; config may be NULL.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   the fiber while files are read.
 * Returns  as rn_tls_server_new.
 */
RN_API int rn_tls_client_new(rn_tls_client **out, const rn_tls_client_config *config);

/*
 * rn_tls_client_free - free it. NULL is fine. Connections made with it go on.
 *
 * Caller   any thread or fiber; no handshake with it may be running.
 */
RN_API void rn_tls_client_free(rn_tls_client *client);

/* ---- connections ---- */

/*
 * rn_tls_accept - the server's side of a handshake, on a connection that was accepted.
 *
 * Takes fd over. With TLS 1.3 a client is done before the server has looked at its certificate: a
 * refusal reaches it with its first read.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   the fiber until the handshake is done, has failed, .handshake_timeout has passed, or ctx
 *          ends.
 * Returns  0             *out is the connection
 *          RN_ETLS       the client does not speak TLS, or nothing that both sides accept, or
 *                        refused
 *          RN_ECERT      the client's certificate is not accepted, or it has none
 *          -ECONNRESET   the client went away meanwhile
 *          -ECANCELED    ctx was cancelled
 *          -ETIMEDOUT    .handshake_timeout has passed, or ctx's deadline
 *          -EBADF        fd is or was closed
 *          -ENOMEM       out of memory
 *          and the codes of rn_fd_read and rn_fd_write. The first three leave a sentence for
 *          rn_error_detail. On every error *out is NULL, and fd is still the caller's, to be
 *          closed.
 */
RN_API int rn_tls_accept(rn_ctx *ctx, rn_tls_server *s, rn_fd fd, rn_tls **out);

/*
 * rn_tls_connect - the client's side of a handshake, on a connection that was dialed.
 *
 * Takes fd over. host is the name or the IP address, as text, that the server's certificate must be
 * for; a name is also sent to the server (SNI). NULL: none, for a client that does not verify it.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   the fiber until the handshake is done, has failed, or ctx ends: use a deadline.
 * Returns  0             *out is the connection
 *          -EINVAL       host is NULL or "" although it is to be verified, or too long (see
 *                        rn_error_detail)
 *          RN_ECERT      the server's certificate is not trusted, or not for host
 *          and otherwise as rn_tls_accept.
 * See      rn_tls_dial
 */
RN_API int rn_tls_connect(rn_ctx *ctx, rn_tls_client *client, rn_fd fd, const char *host,
                          rn_tls **out);

/*
 * rn_tls_dial - rn_dial, and rn_tls_connect to the host that address names.
 *
 * Without a host in the address it is "localhost".
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   the fiber until the connection is there, has failed, or ctx ends: use a deadline.
 * Returns  0 and *out; -EINVAL also when address is no TCP address; and otherwise the codes of
 *          rn_dial and rn_tls_connect.
 */
RN_API int rn_tls_dial(rn_ctx *ctx, rn_tls_client *client, const char *address, rn_tls **out);

/*
 * rn_tls_read - read what there is, waiting until there is something.
 *
 * conn is an rn_tls; its type here is that of rn_reader_config's .read_arg.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   the fiber until there is a byte, the end, an error, or ctx ends.
 * Returns  1..size       so many bytes are in buffer
 *          0             the peer has said that this is the end, or size is 0
 *          -ECONNRESET   the connection ended without the peer saying so
 *          RN_ETLS       the peer broke the protocol, or refused something
 *          -EBADF        the handle is or was closed
 *          -ECANCELED    ctx was cancelled
 *          -ETIMEDOUT    ctx's deadline passed
 *          -ENOMEM       out of memory
 *          and the codes of rn_fd_read. On every error nothing was read. -ECONNRESET and RN_ETLS
 *          leave a sentence for rn_error_detail.
 * Cost     a system call for up to 32 KiB; a buffer of that size while something is in it.
 */
RN_API ssize_t rn_tls_read(rn_ctx *ctx, void *conn, void *buffer, size_t size);

/*
 * rn_tls_write, rn_tls_writev - write all bytes of all parts, waiting for room as often as needed.
 *
 * conn is an rn_tls; its type here is that of rn_writer_config's .writev_arg. Small parts share a
 * record; the bytes of one call may mix with another's every 64 KiB. What was encrypted when ctx
 * ended counts as written: the next write, read or rn_tls_close_write sends it first (at most 64
 * KiB), and rn_tls_close does not.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   the fiber until all are written, an error, a close, or ctx ends.
 * Returns  how many bytes were written: all, or fewer (from the front) when it ended early and the
 *          next call says why; when none could be written,
 *          -EPIPE        after rn_tls_close_write, or nobody can read it any more
 *          RN_ETLS       the connection failed before, see rn_tls_read
 *          -EBADF        the handle is or was closed
 *          -ECANCELED    ctx was cancelled
 *          -ETIMEDOUT    ctx's deadline passed
 *          -ENOMEM       out of memory
 *          and the codes of rn_fd_write.
 * Cost     a system call and a buffer for each 64 KiB.
 */
RN_API ssize_t rn_tls_write(rn_ctx *ctx, void *conn, const void *data, size_t size);
RN_API ssize_t rn_tls_writev(rn_ctx *ctx, void *conn, const struct iovec *parts, size_t n);

/*
 * rn_tls_buffered - how many bytes the next read gives without asking the socket.
 *
 * At least that many; 1 also when there is a record that has not been looked into, or when the next
 * read gives the end or an error at once. Who waits for rn_tls_fd to become readable asks here
 * first.
 *
 * Caller   any thread or fiber.
 * Returns  the number; 0: the socket is asked first.
 */
RN_API size_t rn_tls_buffered(rn_tls *conn);

/*
 * rn_tls_close_write - say that nothing more is written ("half close").
 *
 * The peer reads what was written and then the end, and may still answer. The connection is still
 * to be closed.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   the fiber until it is sent, or ctx ends; then another call goes on.
 * Returns  0, also when it was said before, and the codes of rn_tls_write.
 */
RN_API int rn_tls_close_write(rn_ctx *ctx, rn_tls *conn);

/*
 * rn_tls_close - say the end if it was not said, close the handle, and free the connection. NULL is
 * fine.
 *
 * After a write that failed nothing is said: to the peer the connection was cut, as it was. Who
 * must know that the end went out calls rn_tls_close_write before.
 *
 * Caller   any thread or fiber; no other call on conn may be running.
 * Blocks   the fiber while there is no room to say it: at most 5 s, and not when ctx has ended.
 */
RN_API void rn_tls_close(rn_ctx *ctx, rn_tls *conn);

/*
 * rn_tls_fd - the handle below, to wait for or to close; never to read or write.
 *
 * Caller   any thread or fiber.
 */
RN_API rn_fd rn_tls_fd(const rn_tls *conn);

/* What a handshake has agreed on. The texts live as long as the connection; none is NULL. */
typedef struct rn_tls_info {
    rn_tls_version version;
    const char *version_name; /* "TLSv1.3" */
    const char *cipher;       /* "TLS_AES_256_GCM_SHA384" */
    const char *alpn;         /* "http/1.1"; "": none */
    const char *server_name;  /* what the client asked for (SNI); "": none */
    const char *peer;         /* the subject of the peer's certificate, as "CN=a,O=b"; "": none */
    bool verified;            /* and it was verified */
    bool resumed;             /* an earlier session goes on */
} rn_tls_info;

/*
 * rn_tls_info_read - what the handshake has agreed on, and who the peer is.
 *
 * Caller   any thread or fiber.
 * Returns  0, or -ENOMEM: *out is as zeroed.
 */
RN_API int rn_tls_info_read(rn_tls *conn, rn_tls_info *out);

RN_END_DECLS

#endif
