/*
 * Sockets, between the files of the network.
 */
#ifndef RN_IO_NET_H
#define RN_IO_NET_H

#include "io/address.h"
#include "os/os.h"

#include <runnel/fd.h>

/*
 * Makes a handle of a descriptor that is non-blocking already. On an error it is closed. tcp: it is
 * a TCP connection, or its listener.
 */
int socket_watch(rn_fd *out, int fd, bool tcp);

/* What every TCP socket of ours has: small writes at once, and asking silent peers. */
void socket_tcp_defaults(int fd);

/* A sentence for -EMFILE and -ENFILE, for others rn_strerror's words. */
const char *socket_strerror(int err, char *buffer, size_t size);

/* The n-th or the named socket that systemd passed, or a code with a sentence. io/activation.c */
int activation_take(const char *which);

#endif
