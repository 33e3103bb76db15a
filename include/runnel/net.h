/*
 * rn_net - sockets: TCP, UDP and unix, blocking in style, each wait ended by a context.
 *
 *     rn_fd listener, conn;
 *
 *     if ((err = rn_listen(ctx, ":8080", NULL, &listener)) != 0)
 *         return err;                              rn_error_detail() says what is wrong
 *     while ((err = rn_accept(ctx, listener, &conn)) == 0)
 *         rn_go_copy(serve, &(struct client){conn});
 *
 *     if ((err = rn_dial(ctx, "example.org:80", NULL, &conn)) == 0)
 *         rn_fd_write(ctx, conn, "hello\n", 6);
 *
 * Sockets are handles of runnel/fd.h: rn_fd_read, rn_fd_write, rn_fd_writev, rn_fd_sendfile,
 * rn_fd_wait, rn_on_fd and rn_fd_close are for them too. Addresses are texts; runnel/address.h has
 * their form. Lines and buffered output are in runnel/reader.h and runnel/writer.h.
 *
 * Lifetime
 * 1. Who gets a handle closes it. Closing wakes all who wait for it, with -EBADF; a closed handle
 *    never reaches the next user of its number.
 * 2. Small writes go out at once (RN_NET_NODELAY), and TCP connections are asked after 15 s of
 *    silence whether they are still there (RN_NET_KEEPALIVE), as in Go. Accepted connections have
 *    the options of their listener.
 * 3. A connection that is gone is a code, -EPIPE or -ECONNRESET, never a signal.
 *
 * At once  every call, from any number of fibers and threads; many may accept on one listener.
 */
#ifndef RUNNEL_NET_H
#define RUNNEL_NET_H

#include <runnel/address.h>
#include <runnel/ctx.h>
#include <runnel/error.h>
#include <runnel/fd.h>
#include <runnel/time.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

RN_BEGIN_DECLS

/* How to listen; zero is the default of each field. */
typedef struct rn_listen_config {
    int backlog;     /* connections that wait to be accepted; default: net.core.somaxconn */
    bool reuse_port; /* several sockets may listen on the port, and share what comes */
    bool exclusive;  /* TCP: not while connections of an earlier listener linger on the port */
    bool ip6_only;   /* every address of this machine: not the IPv4 ones */
    int mode;        /* unix: permission bits of the socket's file, less the umask; default 0777 */
    bool replace;    /* unix: take the place of a file to which nobody listens any more */
} rn_listen_config;

/*
 * rn_listen - a socket that listens on an address, or receives datagrams there.
 *
 * "systemd:NAME" stands for the socket that systemd passed under that name (FileDescriptorName=),
 * "systemd:N" for the one with that number, from 0 on: socket activation. Such a socket is taken
 * once, and .replace and what concerns binding is systemd's business. A port of 0 is a free one,
 * which rn_net_local tells. The file of a unix socket is not removed when the socket is closed.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   the fiber, only to look a name up.
 * Returns  0               *out is the socket
 *          -EINVAL         the address or a field of config is wrong
 *          -ENAMETOOLONG   as rn_resolve
 *          RN_ENOHOST      there is no host of that name
 *          RN_ELOOKUP      the name could not be looked up
 *          -EADDRINUSE     somebody else listens there
 *          -EADDRNOTAVAIL  the address is not of this machine
 *          -EACCES         no permission: for a port below 1024, or to write in the directory
 *          -ENOENT         the directory does not exist; systemd passed no such socket
 *          -EBUSY          systemd's socket was taken before
 *          -EMFILE         no descriptor is left
 *          -ENOMEM         out of memory
 *          -ECANCELED      ctx was cancelled
 *          -ETIMEDOUT      ctx's deadline passed
 *          and what socket(2), bind(2) and listen(2) say, negated. Each but the last two leaves a
 *          sentence for rn_error_detail. On every error *out is no handle.
 * See      rn_accept, rn_net_recv_from, examples/echo_server.c
 */
RN_API int rn_listen(rn_ctx *ctx, const char *address, const rn_listen_config *config, rn_fd *out);

/*
 * rn_accept - the next connection of a listener.
 *
 * One that was given up before anybody took it is passed over. When no descriptor is left for it, a
 * connection stays where it is: close some, or wait a little, and accept again.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   the fiber until there is a connection, the listener is closed, or ctx ends.
 * Returns  0            *out is the connection
 *          -EBADF       the listener is or was closed
 *          -EMFILE      this process has no descriptor left (see rn_error_detail)
 *          -ENFILE      the system has none left (see rn_error_detail)
 *          -EINVAL      the socket does not listen
 *          -ECANCELED   ctx was cancelled
 *          -ETIMEDOUT   ctx's deadline passed
 *          -ENOMEM      no memory to watch the connection, which is closed
 *          and what accept(2) says, negated. On every error *out is no handle.
 * Cost     two system calls when a connection is there, three and a park when not.
 */
RN_API int rn_accept(rn_ctx *ctx, rn_fd listener, rn_fd *out);

/* How to dial; zero is the default of each field. */
typedef struct rn_dial_config {
    const char *local;   /* the address to come from, in numbers, mostly with port 0; any */
    rn_duration stagger; /* a head start of one address over the next; default 250 ms */
} rn_dial_config;

/*
 * rn_dial - connect to an address.
 *
 * A name may have several addresses. They are tried as RFC 8305 ("happy eyeballs") says: IPv6 and
 * IPv4 in turn, beginning with what the system prefers; the next as soon as one fails or .stagger
 * has passed; the first that connects wins, and the others are closed. A socket of datagrams is
 * connected at once: its peer is fixed, and nothing is sent.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   the fiber until there is a connection, all addresses have failed, or ctx ends. The
 *          system gives an address that does not answer two minutes or so: use a deadline.
 * Returns  0               *out is the connection
 *          -EINVAL         the address or a field of config is wrong
 *          -ENAMETOOLONG   as rn_resolve
 *          RN_ENOHOST      there is no host of that name
 *          RN_ELOOKUP      the name could not be looked up
 *          -ECONNREFUSED   nobody listens there
 *          -ENOENT         unix: no such file
 *          -EMFILE         no descriptor is left
 *          -ENOMEM         out of memory
 *          -ECANCELED      ctx was cancelled
 *          -ETIMEDOUT      ctx's deadline passed, or the system gave up
 *          and what connect(2) says, negated (-EHOSTUNREACH, -ENETUNREACH, -EACCES, ...): of
 *          several failed addresses what the first one got. Each leaves a sentence for
 *          rn_error_detail, but the end of ctx. On every error *out is no handle.
 * See      rn_dial_list, examples/port_scan.c
 */
RN_API int rn_dial(rn_ctx *ctx, const char *address, const rn_dial_config *config, rn_fd *out);

/*
 * rn_dial_list - connect to the first of several addresses that answers.
 *
 * As rn_dial, with addresses from elsewhere (a registry, a resolver of one's own), in the order of
 * preference; IPv6 and IPv4 are taken in turn.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   as rn_dial.
 * Returns  as rn_dial; -EINVAL also when n is 0.
 */
RN_API int rn_dial_list(rn_ctx *ctx, const rn_address *list, size_t n, const rn_dial_config *config,
                        rn_fd *out);

/*
 * rn_net_local, rn_net_peer - where a socket is, and where its peer is.
 *
 * Caller   any thread or fiber.
 * Returns  0           *out is the address
 *          -EBADF      the handle is closed
 *          -ENOTSOCK   it is not a socket
 *          -ENOTCONN   peer: it has none, or the connection is over
 *          On every error *out is none.
 * See      rn_address_text
 */
RN_API int rn_net_local(rn_fd fd, rn_address *out);
RN_API int rn_net_peer(rn_fd fd, rn_address *out);

/*
 * rn_net_close_write, rn_net_close_read - end one direction of a connection ("half close").
 *
 * After close_write the peer reads what was written and then the end of file, and may still answer;
 * a write here is -EPIPE. After close_read a read here is the end of file, once what had arrived is
 * read. Who waits in that direction is woken. The handle is still to be closed.
 *
 * Caller   any thread or fiber.
 * Returns  0           ended
 *          -EBADF      the handle is closed
 *          -ENOTSOCK   it is not a socket
 *          -ENOTCONN   it is not connected, or not any more
 */
RN_API int rn_net_close_write(rn_fd fd);
RN_API int rn_net_close_read(rn_fd fd);

/* Options of sockets. Durations are nanoseconds, rounded up to what the system counts in. */
typedef enum rn_net_option {
    RN_NET_NODELAY,            /* TCP: 1: small writes go out at once (default); 0: gathered */
    RN_NET_KEEPALIVE,          /* TCP: 1: ask a silent peer whether it is there (default) */
    RN_NET_KEEPALIVE_IDLE,     /* TCP: silence before it is asked; default 15 s */
    RN_NET_KEEPALIVE_INTERVAL, /* TCP: between two questions; default 15 s */
    RN_NET_KEEPALIVE_COUNT,    /* TCP: unanswered questions that end the connection; default 9 */
    RN_NET_UNACKED_MAX,  /* TCP: how long sent bytes may stay unacknowledged; 0: the system's */
    RN_NET_LINGER,       /* 0: closing resets the connection; -1 (default): sends the rest */
    RN_NET_READ_BUFFER,  /* bytes in the system's buffer; reads back as the system has it, */
    RN_NET_WRITE_BUFFER, /* which on Linux is the double, and at most net.core.[rw]mem_max */
    RN_NET_BROADCAST,    /* UDP: 1: may send to broadcast addresses (default) */
    RN_NET_OPTIONS       /* how many there are */
} rn_net_option;

/*
 * rn_net_set, rn_net_get - an option of a socket.
 *
 * Set on a listener, it holds for what is accepted from then on.
 *
 * Caller   any thread or fiber.
 * Returns  0              set, or in *out
 *          -EINVAL        no such option, or a value out of range (see rn_error_detail)
 *          -EBADF         the handle is closed
 *          -ENOTSOCK      it is not a socket
 *          -EOPNOTSUPP    the option is not for this kind of socket
 */
RN_API int rn_net_set(rn_fd fd, rn_net_option option, int64_t value);
RN_API int rn_net_get(rn_fd fd, rn_net_option option, int64_t *out);

/*
 * rn_net_send_to - send one datagram.
 *
 * to is NULL for a socket that was dialed. The datagram goes whole or not at all; that it was sent
 * does not mean that it arrives.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   the fiber while the system has no room for it.
 * Returns  0               sent
 *          -EBADF          the handle is or was closed
 *          -EMSGSIZE       too long for a datagram
 *          -ECONNREFUSED   nobody is there: what became of an earlier one, or (unix) of this
 *          -EDESTADDRREQ   to is NULL, and the socket was not dialed
 *          -ECANCELED      ctx was cancelled
 *          -ETIMEDOUT      ctx's deadline passed
 *          and what sendto(2) says, negated.
 */
RN_API int rn_net_send_to(rn_ctx *ctx, rn_fd fd, const void *data, size_t size,
                          const rn_address *to);

/*
 * rn_net_recv_from - wait for one datagram.
 *
 * from, when not NULL, becomes the sender's address.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   the fiber until there is one, a close, or ctx ends.
 * Returns  0..size         its length; 0 is an empty datagram (of a stream: the end of file)
 *          -EMSGSIZE       it was longer than size: buffer holds its beginning, the rest is lost
 *          -EBADF          the handle is or was closed
 *          -ECONNREFUSED   nobody took what this dialed socket had sent
 *          -ENOTSOCK       it is not a socket
 *          -ECANCELED      ctx was cancelled
 *          -ETIMEDOUT      ctx's deadline passed
 *          and what recvmsg(2) says, negated.
 */
RN_API ssize_t rn_net_recv_from(rn_ctx *ctx, rn_fd fd, void *buffer, size_t size, rn_address *from);

RN_END_DECLS

#endif
