/*
 * rn_address - where a socket is, or is to be: as text, and as a value.
 *
 *     host:port         TCP: example.org:80, 127.0.0.1:80, [::1]:80, [fe80::1%eth0]:80
 *     :port             TCP: every address of this machine to listen on; this machine to dial
 *     udp:host:port     UDP; tcp:host:port is TCP too
 *     unix:/path        a unix socket; unix:@name one without a file ("abstract")
 *     unixgram:/path    a unix socket of datagrams; unixgram:@name
 *
 * Calls that make sockets take the text (runnel/net.h). The value is for datagrams, which each have
 * an address, for lists of addresses, and for who asks where a socket is:
 *
 *     rn_address peer;
 *     char text[RN_ADDRESS_TEXT];
 *     if (rn_net_peer(conn, &peer) == 0)
 *         printf("%s came\n", rn_address_text(&peer, text));
 *
 * Text made from a value is understood again, and means the same.
 *
 * Lifetime
 * 1. An address is a plain value: copied freely, nothing to free. A zeroed one is none.
 *
 * At once  every call, from any number of fibers and threads.
 */
#ifndef RUNNEL_ADDRESS_H
#define RUNNEL_ADDRESS_H

#include <runnel/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

RN_BEGIN_DECLS

typedef struct rn_ctx rn_ctx;

#define RN_ADDRESS_TEXT 128 /* bytes that hold every address's text, its zero included */

/* What kind of socket an address is for. */
typedef enum rn_network {
    RN_NO_NETWORK,
    RN_TCP,
    RN_UDP,
    RN_UNIX,    /* a stream */
    RN_UNIXGRAM /* datagrams */
} rn_network;

/* A value; the fields serve who calls the system's socket functions himself. */
typedef struct rn_address {
    rn_network network;
    uint32_t length;       /* of the struct sockaddr in bytes; 0: a socket without an address */
    uint64_t sockaddr[14]; /* the system's struct sockaddr */
} rn_address;

/*
 * rn_address_parse - the address that a text without a name stands for. Never blocks.
 *
 * An empty host is every address of this machine (::).
 *
 * Caller   any thread or fiber.
 * Returns  0               *out is the address
 *          -EINVAL         it is not an address, or has a name instead of numbers (see
 *                          rn_error_detail)
 *          -ENAMETOOLONG   a path of more than 107 bytes, a host of more than 253 (see
 *                          rn_error_detail)
 *          On every error *out is none.
 * See      rn_resolve
 */
RN_API int rn_address_parse(const char *text, rn_address *out);

/*
 * rn_address_text - an address as text, in a buffer of RN_ADDRESS_TEXT bytes.
 *
 * A unix socket without a name, as clients have, is "unix:" or "unixgram:"; none at all is "".
 *
 * Caller   any thread or fiber.
 * Returns  the buffer.
 */
RN_API char *rn_address_text(const rn_address *address, char buffer[RN_ADDRESS_TEXT]);

/*
 * rn_address_port - the port of a TCP or UDP address; 0 for others.
 *
 * Caller   any thread or fiber.
 */
RN_API uint16_t rn_address_port(const rn_address *address);

/*
 * rn_address_equal - whether two addresses are the same place on the same network.
 *
 * Caller   any thread or fiber.
 */
RN_API bool rn_address_equal(const rn_address *a, const rn_address *b);

/*
 * rn_resolve - the addresses that a text stands for, looking its name up if it has one.
 *
 * The system's resolver is asked (files, DNS, whatever it is configured for), in its order of
 * preference. Numbers need no lookup; names below .invalid are known to have no address. When ctx
 * ends the caller leaves at once; the lookup finishes by itself. At most 32 lookups run at once,
 * further ones wait for their turn.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   the fiber, not its worker, until the answer is there or ctx ends; only for a name.
 * Returns  1..room         so many addresses are in out; more there may be are left out
 *          -EINVAL         it is not an address (see rn_error_detail), or room is 0
 *          -ENAMETOOLONG   as rn_address_parse
 *          RN_ENOHOST      there is no host of that name
 *          RN_ELOOKUP      whom the system asked did not answer, or not properly
 *          -ENOMEM         out of memory
 *          -ECANCELED      ctx was cancelled
 *          -ETIMEDOUT      ctx's deadline passed
 *          The first six leave a sentence with the name for rn_error_detail.
 */
RN_API int rn_resolve(rn_ctx *ctx, const char *text, rn_address *out, size_t room);

RN_END_DECLS

#endif
