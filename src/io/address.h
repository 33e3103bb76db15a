/*
 * Addresses, between the files of the network.
 */
#ifndef RN_IO_ADDRESS_H
#define RN_IO_ADDRESS_H

#include "os/os.h"

#include <runnel/address.h>
#include <stdbool.h>

#define HOST_BYTES_MAX 253 /* of a name, as DNS has it */
#define HOSTS_MAX 32       /* addresses of one name that are looked at */

/* A text, taken apart. */
struct target {
    bool is_name;                  /* host has to be looked up */
    char host[HOST_BYTES_MAX + 1]; /* "" for every address */
    uint16_t port;
    rn_address address; /* its network always; the rest unless is_name */
};

/* 0, -EINVAL or -ENAMETOOLONG, with a sentence. */
int target_parse(const char *text, struct target *out);

/* The address of a host's port; out->network is the caller's. */
void address_of_host(rn_address *out, const struct os_host *host, uint16_t port);

/* The addresses of a target: 1 to room, or a code of rn_resolve with a sentence. */
int target_resolve(rn_ctx *ctx, const struct target *target, rn_address *out, size_t room);

/* Looks a host up without holding its worker: as os_host_lookup, and ctx's error. io/dns.c */
int host_lookup(rn_ctx *ctx, const char *name, struct os_host *out, int room);

int address_family(const rn_address *address);

static inline bool address_is_unix(const rn_address *address)
{
    return address->network == RN_UNIX || address->network == RN_UNIXGRAM;
}

static inline bool address_is_datagram(const rn_address *address)
{
    return address->network == RN_UDP || address->network == RN_UNIXGRAM;
}

#endif
