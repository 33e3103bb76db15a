/* Sockets and names of hosts, Linux. The contract is os/os.h. */
#define _GNU_SOURCE
#include "os/os.h"

#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define NS_PER_MS 1000000
#define NS_PER_S 1000000000

/* ---- making and connecting ---- */

int os_socket(int family, bool datagram)
{
    int type = (datagram ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
    int fd = socket(family, type, 0);
    return fd >= 0 ? fd : -errno;
}

int os_socket_bind(int fd, const void *address, uint32_t length)
{
    return bind(fd, address, length) == 0 ? 0 : -errno;
}

/* The kernel gives the file the socket's own mode, less the umask. */
int os_socket_mode(int fd, int mode)
{
    return fchmod(fd, (mode_t)mode) == 0 ? 0 : -errno;
}

int os_socket_listen(int fd, int backlog)
{
    return listen(fd, backlog) == 0 ? 0 : -errno;
}

int os_socket_accept(int fd)
{
    for (;;) {
        int conn = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (conn >= 0)
            return conn;
        int err = -errno;
        if (err != -EINTR)
            return err;
    }
}

/* Interrupted, it goes on by itself. */
int os_socket_connect(int fd, const void *address, uint32_t length)
{
    if (connect(fd, address, length) == 0)
        return 0;
    int err = -errno;
    return err == -EINTR ? -EINPROGRESS : err;
}

int os_socket_error(int fd)
{
    int err = 0;
    socklen_t length = sizeof err;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &length) != 0)
        return -errno;
    return -err;
}

/* ---- asking ---- */

int os_socket_local(int fd, void *address, uint32_t *length)
{
    return getsockname(fd, address, length) == 0 ? 0 : -errno;
}

int os_socket_peer(int fd, void *address, uint32_t *length)
{
    return getpeername(fd, address, length) == 0 ? 0 : -errno;
}

int os_socket_is_datagram(int fd)
{
    int type = 0;
    socklen_t length = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) != 0)
        return -errno;
    return type == SOCK_DGRAM;
}

bool os_socket_is_tcp(int fd)
{
    int protocol = 0;
    socklen_t length = sizeof protocol;
    return getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &length) == 0 &&
           protocol == IPPROTO_TCP;
}

int os_socket_shutdown(int fd, int events)
{
    int how = events == OS_READABLE ? SHUT_RD : events == OS_WRITABLE ? SHUT_WR : SHUT_RDWR;
    return shutdown(fd, how) == 0 ? 0 : -errno;
}

/* ---- options ---- */

static const struct {
    int level, name;
    int64_t unit; /* of the kernel's number, in ours */
} options[OS_OPTIONS] = {
    [OS_NODELAY] = {IPPROTO_TCP, TCP_NODELAY, 1},
    [OS_KEEPALIVE] = {SOL_SOCKET, SO_KEEPALIVE, 1},
    [OS_KEEPALIVE_IDLE] = {IPPROTO_TCP, TCP_KEEPIDLE, NS_PER_S},
    [OS_KEEPALIVE_INTERVAL] = {IPPROTO_TCP, TCP_KEEPINTVL, NS_PER_S},
    [OS_KEEPALIVE_COUNT] = {IPPROTO_TCP, TCP_KEEPCNT, 1},
    [OS_UNACKED_MAX] = {IPPROTO_TCP, TCP_USER_TIMEOUT, NS_PER_MS},
    [OS_LINGER] = {SOL_SOCKET, SO_LINGER, NS_PER_S},
    [OS_READ_BUFFER] = {SOL_SOCKET, SO_RCVBUF, 1},
    [OS_WRITE_BUFFER] = {SOL_SOCKET, SO_SNDBUF, 1},
    [OS_BROADCAST] = {SOL_SOCKET, SO_BROADCAST, 1},
    [OS_REUSE_ADDRESS] = {SOL_SOCKET, SO_REUSEADDR, 1},
    [OS_REUSE_PORT] = {SOL_SOCKET, SO_REUSEPORT, 1},
    [OS_IPV6_ONLY] = {IPPROTO_IPV6, IPV6_V6ONLY, 1},
    [OS_BIND_NO_PORT] = {IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1},
};

int os_socket_set(int fd, enum os_option option, int64_t value)
{
    int64_t unit = options[option].unit;
    int64_t scaled = value / unit + (value % unit > 0);
    int number = scaled > INT32_MAX ? INT32_MAX : (int)scaled;
    struct linger linger = {.l_onoff = value >= 0, .l_linger = value >= 0 ? number : 0};
    const void *at = option == OS_LINGER ? (const void *)&linger : &number;
    socklen_t length = option == OS_LINGER ? sizeof linger : sizeof number;

    return setsockopt(fd, options[option].level, options[option].name, at, length) == 0 ? 0
                                                                                        : -errno;
}

int os_socket_get(int fd, enum os_option option, int64_t *out)
{
    struct linger linger = {0};
    int number = 0;
    void *at = option == OS_LINGER ? (void *)&linger : &number;
    socklen_t length = option == OS_LINGER ? sizeof linger : sizeof number;

    if (getsockopt(fd, options[option].level, options[option].name, at, &length) != 0)
        return -errno;
    if (option == OS_LINGER)
        number = linger.l_onoff ? linger.l_linger : -1;
    *out = number < 0 ? -1 : number * options[option].unit;
    return 0;
}

/* ---- datagrams ---- */

int64_t os_send_to(int fd, const void *data, size_t size, const void *address, uint32_t length)
{
    for (;;) {
        ssize_t n = sendto(fd, data, size, MSG_NOSIGNAL, address, length);
        if (n >= 0)
            return n;
        int err = -errno;
        if (err != -EINTR)
            return err;
    }
}

int64_t os_recv_from(int fd, void *buffer, size_t size, void *address, uint32_t *length)
{
    struct iovec part = {.iov_base = buffer, .iov_len = size};
    struct msghdr message = {
        .msg_name = address, .msg_namelen = *length, .msg_iov = &part, .msg_iovlen = 1};

    for (;;) {
        ssize_t n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
        if (n >= 0) {
            *length = message.msg_namelen;
            return message.msg_flags & MSG_TRUNC ? -EMSGSIZE : n;
        }
        int err = -errno;
        if (err != -EINTR)
            return err;
    }
}

/* ---- names ---- */

static bool host_of(const struct addrinfo *info, struct os_host *out)
{
    memset(out, 0, sizeof *out);
    out->family = info->ai_family;
    if (info->ai_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)info->ai_addr;
        memcpy(out->bytes, &in->sin_addr, sizeof in->sin_addr);
    } else if (info->ai_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const void *)info->ai_addr;
        memcpy(out->bytes, &in->sin6_addr, sizeof in->sin6_addr);
        out->scope = in->sin6_scope_id;
    }
    return info->ai_family == AF_INET || info->ai_family == AF_INET6;
}

static int lookup_error(int code, int saved)
{
    switch (code) {
    case EAI_NONAME:
    case EAI_NODATA:
    case EAI_ADDRFAMILY:
        return -ENOENT;
    case EAI_MEMORY:
        return -ENOMEM;
    case EAI_SYSTEM:
        return saved != 0 ? -saved : -EIO;
    case EAI_AGAIN:
        return -EAGAIN;
    default:
        return -EIO;
    }
}

int os_host_lookup(const char *name, struct os_host *out, int room)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *list;
    int n = 0;
    int code = getaddrinfo(name, NULL, &hints, &list);
    int saved = errno; /* of EAI_SYSTEM */

    if (code != 0)
        return lookup_error(code, saved);
    for (const struct addrinfo *info = list; info != NULL && n < room; info = info->ai_next)
        n += host_of(info, &out[n]);
    freeaddrinfo(list);
    return n > 0 ? n : -ENOENT;
}

uint32_t os_interface(const char *name)
{
    return if_nametoindex(name);
}

int os_socket_unlink(const char *path)
{
    struct stat status;
    if (lstat(path, &status) != 0)
        return -errno;
    if (!S_ISSOCK(status.st_mode))
        return -EEXIST;
    return unlink(path) == 0 ? 0 : -errno;
}
