/*
 * Sockets: listening, accepting, asking, options.
 *
 * What Linux lets an accepted connection inherit is set once, on the listener, instead of with
 * three system calls on each connection.
 */
#include "io/net.h"

#include "io/call.h"

#include <limits.h>
#include <runnel/fiber.h>
#include <runnel/net.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define KEEPALIVE_IDLE (15 * RN_SECOND)
#define KEEPALIVE_INTERVAL (15 * RN_SECOND)
#define KEEPALIVE_COUNT 9
#define MODE_MAX 0777

/* ---- what all sockets share ---- */

int socket_watch(rn_fd *out, int fd, bool tcp)
{
    out->handle = 0;
    fiber_here(); /* starts the runtime, and with it the poller */
    int err = poll_open(&out->handle, fd, tcp ? POLL_STREAM : 0, NULL);
    if (err != 0) {
        out->handle = 0;
        os_fd_close(fd);
    }
    return err;
}

/* They only make things better: a socket that refuses one of them is as good without. */
void socket_tcp_defaults(int fd)
{
    os_socket_set(fd, OS_NODELAY, 1);
    os_socket_set(fd, OS_KEEPALIVE, 1);
    os_socket_set(fd, OS_KEEPALIVE_IDLE, KEEPALIVE_IDLE);
    os_socket_set(fd, OS_KEEPALIVE_INTERVAL, KEEPALIVE_INTERVAL);
    os_socket_set(fd, OS_KEEPALIVE_COUNT, KEEPALIVE_COUNT);
}

const char *socket_strerror(int err, char *buffer, size_t size)
{
    if (err == -EMFILE)
        snprintf(buffer, size, "all %ld descriptors of this process are in use (ulimit -n)",
                 os_fd_limit());
    else if (err == -ENFILE)
        snprintf(buffer, size, "the system has no descriptors left (fs.file-max)");
    else
        snprintf(buffer, size, "%s", rn_strerror(err));
    return buffer;
}

/* ---- listening ---- */

static int check_config(const rn_listen_config *config)
{
    if (config->backlog < 0)
        return rn_error_with(-EINVAL, "listen: .backlog is %d: allowed are 0 to %d",
                             config->backlog, INT_MAX);
    if (config->mode < 0 || config->mode > MODE_MAX)
        return rn_error_with(-EINVAL, "listen: .mode is %#o: allowed are 0 to %#o", config->mode,
                             MODE_MAX);
    return 0;
}

static int set_options(int fd, const rn_address *address, const rn_listen_config *config)
{
    int err = 0;

    if (address->network == RN_TCP && !config->exclusive)
        err = os_socket_set(fd, OS_REUSE_ADDRESS, 1);
    if (err == 0 && config->reuse_port)
        err = os_socket_set(fd, OS_REUSE_PORT, 1);
    if (err == 0 && address_family(address) == AF_INET6)
        err = os_socket_set(fd, OS_IPV6_ONLY, config->ip6_only);
    if (err == 0 && config->mode != 0 && address_is_unix(address))
        err = os_socket_mode(fd, config->mode);
    if (address->network == RN_TCP)
        socket_tcp_defaults(fd);
    if (address->network == RN_UDP)
        os_socket_set(fd, OS_BROADCAST, 1);
    return err;
}

/* The path of a unix socket that has a file, or NULL. */
static const char *path_of(const rn_address *address, char text[RN_ADDRESS_TEXT])
{
    if (!address_is_unix(address))
        return NULL;
    const char *path = strchr(rn_address_text(address, text), ':') + 1;
    return *path != '@' ? path : NULL;
}

/* Whether nobody listens to a file, which may be anything. */
static bool is_leftover(const rn_address *address)
{
    int fd = os_socket(AF_UNIX, address_is_datagram(address));
    if (fd < 0)
        return false;
    int err = os_socket_connect(fd, address->sockaddr, address->length);
    os_fd_close(fd);
    return err == -ECONNREFUSED;
}

static int bind_to(int fd, const rn_address *address, const rn_listen_config *config)
{
    char text[RN_ADDRESS_TEXT];
    const char *path = path_of(address, text);
    int err = os_socket_bind(fd, address->sockaddr, address->length);

    if (err != -EADDRINUSE || !config->replace || path == NULL || !is_leftover(address))
        return err;
    if (os_socket_unlink(path) == 0)
        err = os_socket_bind(fd, address->sockaddr, address->length);
    return err;
}

/* A descriptor, or a negative code. */
static int listen_on(const rn_address *address, const rn_listen_config *config)
{
    int backlog = config->backlog != 0 ? config->backlog : INT_MAX;
    int fd = os_socket(address_family(address), address_is_datagram(address));

    if (fd < 0)
        return fd;
    int err = set_options(fd, address, config);
    if (err == 0)
        err = bind_to(fd, address, config);
    if (err == 0 && !address_is_datagram(address))
        err = os_socket_listen(fd, backlog);
    if (err == 0)
        return fd;
    os_fd_close(fd);
    return err;
}

static bool is_everywhere(const struct target *target)
{
    return !target->is_name && target->host[0] == 0 && !address_is_unix(&target->address);
}

/* Without IPv6 every address is every IPv4 address. */
static int listen_everywhere(const struct target *target, const rn_listen_config *config)
{
    rn_address address = target->address;
    int fd = listen_on(&address, config);

    if (config->ip6_only || (fd != -EAFNOSUPPORT && fd != -EADDRNOTAVAIL))
        return fd;
    address_of_host(&address, &(struct os_host){.family = AF_INET}, target->port);
    return listen_on(&address, config);
}

static int explain_listen(const char *text, const struct target *target, int err)
{
    char buffer[128], path[RN_ADDRESS_TEXT];
    const char *why = socket_strerror(err, buffer, sizeof buffer), *hint = "";

    if (err == -EACCES && target->port > 0 && target->port < 1024)
        hint = ": a port below 1024 takes a privilege (CAP_NET_BIND_SERVICE)";
    else if (err == -EADDRINUSE && path_of(&target->address, path) != NULL)
        hint = " (.replace takes the place of a file to which nobody listens)";
    return rn_error_with(err, "listen on %.120s: %s%s", text, why, hint);
}

static int listen_fd(rn_ctx *ctx, const char *text, const rn_listen_config *config)
{
    rn_address address;
    struct target target;
    int fd, n = target_parse(text, &target);

    if (n != 0)
        return n;
    if (is_everywhere(&target)) {
        fd = listen_everywhere(&target, config);
    } else {
        if ((n = target_resolve(ctx, &target, &address, 1)) < 0)
            return n;
        fd = listen_on(&address, config);
    }
    return fd >= 0 ? fd : explain_listen(text, &target, fd);
}

int rn_listen(rn_ctx *ctx, const char *address, const rn_listen_config *config, rn_fd *out)
{
    static const rn_listen_config defaults;
    static const char systemd[] = "systemd:";
    int fd, err = ctx_err(ctx);

    out->handle = 0;
    check_not_forked();
    if (config == NULL)
        config = &defaults;
    if (err != 0 || (err = check_config(config)) != 0)
        return err;
    if (address != NULL && strncmp(address, systemd, sizeof systemd - 1) == 0)
        fd = activation_take(address + sizeof systemd - 1);
    else
        fd = listen_fd(ctx, address, config);
    if (fd < 0)
        return fd;
    err = socket_watch(out, fd, os_socket_is_tcp(fd)); /* what systemd passed may be anything */
    return err == 0 ? 0 : rn_error_with(err, "listen on %.120s: %s", address, rn_strerror(err));
}

/* ---- accepting ---- */

/*
 * -EAGAIN: nobody is there. The system wants a free descriptor before it looks; that there is none
 * matters only when somebody waits.
 */
static int try_accept(struct poll_entry *entry)
{
    if ((entry->flags & POLL_SHARED) && os_fd_ready(entry->fd, OS_READABLE) == 0)
        return -EAGAIN;
    int fd = os_socket_accept(entry->fd);
    if ((fd == -EMFILE || fd == -ENFILE) && os_fd_ready(entry->fd, OS_READABLE) == 0)
        return -EAGAIN;
    return fd;
}

/*
 * A connection that was given up while it waited, or that the network has lost: accept(2) asks to
 * treat these as if nobody had been there. -EPERM and -EOPNOTSUPP are not among them, for they may
 * be of the listener, and come for ever.
 */
static bool was_given_up(int err)
{
    switch (err) {
    case -ECONNABORTED:
    case -EPROTO:
    case -ENETDOWN:
    case -ENETUNREACH:
    case -EHOSTDOWN:
    case -EHOSTUNREACH:
    case -ENONET:
    case -ENOPROTOOPT:
        return true;
    default:
        return false;
    }
}

static int accept_fd(struct call *call)
{
    for (;;) {
        uint32_t seen = poll_edges(call->entry, POLL_READ);
        int fd = try_accept(call->entry);
        int err = was_given_up(fd) ? ctx_err(call->ctx) : 0;
        if (fd == -EAGAIN)
            err = call_wait(call, POLL_READ, seen, WAIT_ACCEPT);
        else if (!was_given_up(fd))
            return fd;
        if (err != 0)
            return err;
    }
}

int rn_accept(rn_ctx *ctx, rn_fd listener, rn_fd *out)
{
    char why[128];
    struct call call;
    int err = call_begin(&call, ctx, listener);

    out->handle = 0;
    if (err != 0)
        return err;
    int fd = accept_fd(&call);
    err = fd < 0 ? fd : socket_watch(out, fd, (call.entry->flags & POLL_STREAM) != 0);
    call_end(&call);
    if (err == -EMFILE || err == -ENFILE)
        return rn_error_with(err, "accept: %s", socket_strerror(err, why, sizeof why));
    return err;
}

/* ---- asking ---- */

static rn_network network_of(int family, bool datagram)
{
    switch (family) {
    case AF_INET:
    case AF_INET6:
        return datagram ? RN_UDP : RN_TCP;
    case AF_UNIX:
        return datagram ? RN_UNIXGRAM : RN_UNIX;
    default:
        return RN_NO_NETWORK;
    }
}

static int ask_address(rn_fd fd, rn_address *out,
                       int (*ask)(int fd, void *address, uint32_t *length))
{
    struct poll_entry *entry = poll_hold(fd.handle);
    int datagram = 0, err;

    memset(out, 0, sizeof *out);
    if (entry == NULL)
        return -EBADF;
    out->length = sizeof out->sockaddr;
    if ((err = ask(entry->fd, out->sockaddr, &out->length)) == 0)
        datagram = os_socket_is_datagram(entry->fd);
    poll_drop(entry);
    if (err != 0)
        memset(out, 0, sizeof *out);
    else
        out->network = network_of(address_family(out), datagram > 0);
    return err;
}

int rn_net_local(rn_fd fd, rn_address *out)
{
    return ask_address(fd, out, os_socket_local);
}

int rn_net_peer(rn_fd fd, rn_address *out)
{
    return ask_address(fd, out, os_socket_peer);
}

/* ---- half close ---- */

static int close_half(rn_fd fd, int events)
{
    struct poll_entry *entry = poll_hold(fd.handle);
    if (entry == NULL)
        return -EBADF;
    int err = os_socket_shutdown(entry->fd, events);
    poll_drop(entry);
    return err;
}

int rn_net_close_write(rn_fd fd)
{
    return close_half(fd, OS_WRITABLE);
}

int rn_net_close_read(rn_fd fd)
{
    return close_half(fd, OS_READABLE);
}

/* ---- options ---- */

static const struct option {
    const char *name;
    int64_t least, most;
} options[RN_NET_OPTIONS] = {
    [RN_NET_NODELAY] = {"RN_NET_NODELAY", 0, 1},
    [RN_NET_KEEPALIVE] = {"RN_NET_KEEPALIVE", 0, 1},
    [RN_NET_KEEPALIVE_IDLE] = {"RN_NET_KEEPALIVE_IDLE", 1, 32767 * RN_SECOND},
    [RN_NET_KEEPALIVE_INTERVAL] = {"RN_NET_KEEPALIVE_INTERVAL", 1, 32767 * RN_SECOND},
    [RN_NET_KEEPALIVE_COUNT] = {"RN_NET_KEEPALIVE_COUNT", 1, 127},
    [RN_NET_UNACKED_MAX] = {"RN_NET_UNACKED_MAX", 0, INT_MAX *RN_MILLISECOND},
    /* A longer one would hold up the worker in close(2), non-blocking or not. */
    [RN_NET_LINGER] = {"RN_NET_LINGER", -1, 0},
    [RN_NET_READ_BUFFER] = {"RN_NET_READ_BUFFER", 1, INT_MAX},
    [RN_NET_WRITE_BUFFER] = {"RN_NET_WRITE_BUFFER", 1, INT_MAX},
    [RN_NET_BROADCAST] = {"RN_NET_BROADCAST", 0, 1},
};

_Static_assert((int)RN_NET_NODELAY == (int)OS_NODELAY, "the same numbers");
_Static_assert((int)RN_NET_BROADCAST == (int)OS_BROADCAST, "the same numbers");

static int check_option(rn_net_option option)
{
    if ((unsigned)option < RN_NET_OPTIONS)
        return 0;
    return rn_error_with(-EINVAL, "net: there is no option %d: allowed are 0 to %d", (int)option,
                         RN_NET_OPTIONS - 1);
}

static int option_error(int err)
{
    return err == -ENOPROTOOPT ? -EOPNOTSUPP : err;
}

int rn_net_set(rn_fd fd, rn_net_option option, int64_t value)
{
    int err = check_option(option);
    if (err != 0)
        return err;
    const struct option *o = &options[option];
    if (value < o->least || value > o->most)
        return rn_error_with(-EINVAL, "net: %s is %lld: allowed are %lld to %lld", o->name,
                             (long long)value, (long long)o->least, (long long)o->most);
    struct poll_entry *entry = poll_hold(fd.handle);
    if (entry == NULL)
        return -EBADF;
    err = option_error(os_socket_set(entry->fd, (enum os_option)option, value));
    poll_drop(entry);
    return err;
}

int rn_net_get(rn_fd fd, rn_net_option option, int64_t *out)
{
    struct poll_entry *entry;
    int err = check_option(option);

    *out = 0;
    if (err != 0)
        return err;
    if ((entry = poll_hold(fd.handle)) == NULL)
        return -EBADF;
    err = option_error(os_socket_get(entry->fd, (enum os_option)option, out));
    poll_drop(entry);
    return err;
}
