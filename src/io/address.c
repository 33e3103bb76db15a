/*
 * Addresses: text to value and back.
 *
 * Numbers are read strictly: four decimal parts, or an IPv6 address in brackets. What inet_aton
 * takes besides (127.1, 0x7f000001, 010.0.0.1) is refused rather than looked up: a filter that
 * reads such texts otherwise than we do would be deceived.
 *
 * A text is taken apart without a lookup, and every way in which it can be wrong has its sentence.
 */
#include "io/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define PATH_BYTES_MAX (sizeof((struct sockaddr_un *)NULL)->sun_path - 1)

_Static_assert(sizeof((rn_address *)NULL)->sockaddr >= sizeof(struct sockaddr_un), "room");

static const struct scheme {
    const char *prefix;
    rn_network network;
} schemes[] = {
    {"tcp:", RN_TCP},
    {"udp:", RN_UDP},
    {"unix:", RN_UNIX},
    {"unixgram:", RN_UNIXGRAM},
};

/* ---- numbers ---- */

/* A decimal number of at most most, or -1. */
static long number_of(const char *text, long most)
{
    long n = 0;

    if (*text == 0)
        return -1;
    for (; *text >= '0' && *text <= '9'; text++)
        if ((n = n * 10 + *text - '0') > most)
            return -1;
    return *text == 0 ? n : -1;
}

void address_of_host(rn_address *out, const struct os_host *host, uint16_t port)
{
    struct sockaddr_in *in = (void *)out->sockaddr;
    struct sockaddr_in6 *in6 = (void *)out->sockaddr;

    memset(out->sockaddr, 0, sizeof out->sockaddr);
    if (host->family == AF_INET) {
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        memcpy(&in->sin_addr, host->bytes, sizeof in->sin_addr);
        out->length = sizeof *in;
    } else {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(port);
        memcpy(&in6->sin6_addr, host->bytes, sizeof in6->sin6_addr);
        in6->sin6_scope_id = host->scope;
        out->length = sizeof *in6;
    }
}

/* The interface behind the % of a link-local address: a name or a number. */
static bool read_scope(const char *zone, uint32_t *scope)
{
    long n = number_of(zone, UINT32_MAX);
    *scope = n > 0 ? (uint32_t)n : os_interface(zone);
    return *scope != 0;
}

static int parse_ip6(const char *text, struct target *t)
{
    struct os_host host = {.family = AF_INET6};
    char *zone = strchr(t->host, '%');

    if (zone != NULL)
        *zone++ = 0;
    if (inet_pton(AF_INET6, t->host, host.bytes) != 1)
        return rn_error_with(-EINVAL, "address \"%.120s\": \"%.60s\" is not an IPv6 address", text,
                             t->host);
    if (zone != NULL && !read_scope(zone, &host.scope))
        return rn_error_with(-EINVAL, "address \"%.120s\": there is no network interface \"%.60s\"",
                             text, zone);
    address_of_host(&t->address, &host, t->port);
    return 0;
}

/* ---- hosts and ports ---- */

/* A name whose last part is a number is none: it was meant as an IPv4 address. */
static bool looks_like_ip4(const char *host)
{
    const char *dot = strrchr(host, '.');
    const char *last = dot == NULL ? host : dot + 1;
    return *last != 0 && last[strspn(last, "0123456789")] == 0;
}

static bool is_host_name(const char *host)
{
    for (const unsigned char *c = (const unsigned char *)host; *c != 0; c++)
        if (*c <= ' ' || *c == 0x7f || strchr("/\\%[]@#?,;\"'<>()*&|", *c) != NULL)
            return false;
    return true;
}

static int parse_host(const char *text, struct target *t)
{
    struct os_host host = {.family = AF_INET};

    if (t->host[0] == 0) {
        host.family = AF_INET6;
    } else if (inet_pton(AF_INET, t->host, host.bytes) != 1) {
        if (looks_like_ip4(t->host))
            return rn_error_with(-EINVAL, "address \"%.120s\": \"%.60s\" is not an IPv4 address",
                                 text, t->host);
        if (!is_host_name(t->host))
            return rn_error_with(-EINVAL, "address \"%.120s\": \"%.60s\" is not a host's name",
                                 text, t->host);
        t->is_name = true;
        return 0;
    }
    address_of_host(&t->address, &host, t->port);
    return 0;
}

static int parse_port(const char *text, const char *port, struct target *t)
{
    long n = number_of(port, UINT16_MAX);
    if (n < 0)
        return rn_error_with(-EINVAL,
                             "address \"%.120s\": the port \"%.60s\" is not a number from 0 to "
                             "65535",
                             text, port);
    t->port = (uint16_t)n;
    return 0;
}

static int copy_host(const char *text, const char *from, size_t length, struct target *t)
{
    if (length > HOST_BYTES_MAX)
        return rn_error_with(-ENAMETOOLONG,
                             "address \"%.60s...\": the host has %zu bytes: allowed are %d", text,
                             length, HOST_BYTES_MAX);
    memcpy(t->host, from, length);
    t->host[length] = 0;
    return 0;
}

/* [address]:port */
static int parse_bracketed(const char *text, const char *rest, struct target *t)
{
    const char *end = strchr(rest, ']');
    int err;

    if (end == NULL)
        return rn_error_with(-EINVAL, "address \"%.120s\": the bracket is not closed", text);
    if (end[1] != ':')
        return rn_error_with(-EINVAL, "address \"%.120s\": after the bracket comes :port", text);
    if ((err = copy_host(text, rest + 1, (size_t)(end - rest - 1), t)) != 0 ||
        (err = parse_port(text, end + 2, t)) != 0)
        return err;
    return parse_ip6(text, t);
}

static int parse_host_port(const char *text, const char *rest, struct target *t)
{
    const char *colon = strchr(rest, ':');
    int err;

    if (*rest == '[')
        return parse_bracketed(text, rest, t);
    if (colon == NULL)
        return rn_error_with(-EINVAL, "address \"%.120s\": no port: write host:port", text);
    if (strchr(colon + 1, ':') != NULL)
        return rn_error_with(-EINVAL,
                             "address \"%.120s\": more than one colon: write host:port, "
                             "[ipv6]:port, udp:host:port or unix:/path",
                             text);
    if ((err = copy_host(text, rest, (size_t)(colon - rest), t)) != 0 ||
        (err = parse_port(text, colon + 1, t)) != 0)
        return err;
    return parse_host(text, t);
}

/* ---- unix sockets ---- */

/* A name without a file begins with a zero byte, and has no zero behind it. */
static int parse_path(const char *text, const char *path, struct target *t)
{
    struct sockaddr_un *un = (void *)t->address.sockaddr;
    size_t length = strlen(path);
    bool abstract = path[0] == '@';

    if (length == 0 || (abstract && length == 1))
        return rn_error_with(-EINVAL, "address \"%.120s\": no %s", text,
                             abstract ? "name behind the @" : "path");
    if (length > PATH_BYTES_MAX)
        return rn_error_with(-ENAMETOOLONG,
                             "address \"%.60s...\": the path has %zu bytes: allowed are %zu", text,
                             length, PATH_BYTES_MAX);
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path, length);
    if (abstract)
        un->sun_path[0] = 0;
    t->address.length = (uint32_t)(offsetof(struct sockaddr_un, sun_path) + length + !abstract);
    return 0;
}

/* ---- the whole text ---- */

int target_parse(const char *text, struct target *out)
{
    const char *rest = text;

    memset(out, 0, sizeof *out);
    if (text == NULL)
        return rn_error_with(-EINVAL, "address: NULL instead of a text");
    out->address.network = RN_TCP;
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t length = strlen(schemes[i].prefix);
        if (strncmp(text, schemes[i].prefix, length) == 0) {
            out->address.network = schemes[i].network;
            rest = text + length;
        }
    }
    return address_is_unix(&out->address) ? parse_path(text, rest, out)
                                          : parse_host_port(text, rest, out);
}

int rn_address_parse(const char *text, rn_address *out)
{
    struct target target;
    int err = target_parse(text, &target);

    memset(out, 0, sizeof *out);
    if (err == 0 && target.is_name)
        err = rn_error_with(-EINVAL, "address \"%.120s\": %.60s is a name, which is to be resolved",
                            text, target.host);
    if (err == 0)
        *out = target.address;
    return err;
}

/* ---- resolving ---- */

static int explain_lookup(const char *name, int err)
{
    switch (err) {
    case -ENOENT:
        return rn_error_with(RN_ENOHOST, "%.200s: no such host", name);
    case -EAGAIN:
        return rn_error_with(RN_ELOOKUP, "%.200s: the name servers did not answer", name);
    case -ECANCELED:
    case -ETIMEDOUT:
        return err;
    case -ENOMEM:
        return rn_error_with(err, "%.200s: no memory to look it up", name);
    default:
        return rn_error_with(RN_ELOOKUP, "%.200s: it could not be looked up: %s", name,
                             rn_strerror(err));
    }
}

int target_resolve(rn_ctx *ctx, const struct target *target, rn_address *out, size_t room)
{
    struct os_host hosts[HOSTS_MAX];
    int most = room < HOSTS_MAX ? (int)room : HOSTS_MAX;

    if (!target->is_name) {
        out[0] = target->address;
        return 1;
    }
    int n = host_lookup(ctx, target->host, hosts, most);
    if (n < 0)
        return explain_lookup(target->host, n);
    for (int i = 0; i < n; i++) {
        out[i].network = target->address.network;
        address_of_host(&out[i], &hosts[i], target->port);
    }
    return n;
}

int rn_resolve(rn_ctx *ctx, const char *text, rn_address *out, size_t room)
{
    struct target target;
    int err = target_parse(text, &target);

    if (err != 0)
        return err;
    if (room == 0)
        return rn_error_with(-EINVAL, "resolve: room is 0: allowed is 1 or more");
    return target_resolve(ctx, &target, out, room);
}

/* ---- value to text ---- */

int address_family(const rn_address *address)
{
    const struct sockaddr *any = (const void *)address->sockaddr;
    return address->length == 0 ? AF_UNSPEC : any->sa_family;
}

static const char *prefix_of(rn_network network)
{
    for (size_t i = 1; i < sizeof schemes / sizeof *schemes; i++) /* TCP needs none */
        if (schemes[i].network == network)
            return schemes[i].prefix;
    return "";
}

static void write_ip4(const rn_address *address, char *at, size_t room)
{
    const struct sockaddr_in *in = (const void *)address->sockaddr;
    char host[INET_ADDRSTRLEN];

    inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
    snprintf(at, room, "%s:%u", host, ntohs(in->sin_port));
}

static void write_ip6(const rn_address *address, char *at, size_t room)
{
    const struct sockaddr_in6 *in6 = (const void *)address->sockaddr;
    char host[INET6_ADDRSTRLEN], zone[16] = "";

    inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
    if (in6->sin6_scope_id != 0)
        snprintf(zone, sizeof zone, "%%%u", in6->sin6_scope_id);
    snprintf(at, room, "[%s%s]:%u", host, zone, ntohs(in6->sin6_port));
}

/* The zero bytes of a name without a file are shown as @. */
static void write_path(const rn_address *address, char *at, size_t room)
{
    const struct sockaddr_un *un = (const void *)address->sockaddr;
    size_t offset = offsetof(struct sockaddr_un, sun_path), length = 0;

    if (address->length > offset && un->sun_path[0] != 0)
        length = strnlen(un->sun_path, address->length - offset);
    else if (address->length > offset)
        length = address->length - offset;
    if (length > room - 1)
        length = room - 1;
    for (size_t i = 0; i < length; i++)
        at[i] = un->sun_path[i] != 0 ? un->sun_path[i] : '@';
    at[length] = 0;
}

char *rn_address_text(const rn_address *address, char buffer[RN_ADDRESS_TEXT])
{
    const char *prefix = prefix_of(address->network);
    size_t length = strlen(prefix);
    char *rest = buffer + length;

    memcpy(buffer, prefix, length + 1);
    switch (address_family(address)) {
    case AF_INET:
        write_ip4(address, rest, RN_ADDRESS_TEXT - length);
        break;
    case AF_INET6:
        write_ip6(address, rest, RN_ADDRESS_TEXT - length);
        break;
    case AF_UNIX:
        write_path(address, rest, RN_ADDRESS_TEXT - length);
        break;
    default:
        break;
    }
    return buffer;
}

/* ---- looking ---- */

uint16_t rn_address_port(const rn_address *address)
{
    const struct sockaddr_in *in = (const void *)address->sockaddr;
    const struct sockaddr_in6 *in6 = (const void *)address->sockaddr;

    switch (address_family(address)) {
    case AF_INET:
        return ntohs(in->sin_port);
    case AF_INET6:
        return ntohs(in6->sin6_port);
    default:
        return 0;
    }
}

static bool ip6_equal(const rn_address *a, const rn_address *b)
{
    const struct sockaddr_in6 *x = (const void *)a->sockaddr, *y = (const void *)b->sockaddr;
    return x->sin6_port == y->sin6_port && x->sin6_scope_id == y->sin6_scope_id &&
           memcmp(&x->sin6_addr, &y->sin6_addr, sizeof x->sin6_addr) == 0;
}

bool rn_address_equal(const rn_address *a, const rn_address *b)
{
    if (a->network != b->network || a->length != b->length ||
        address_family(a) != address_family(b))
        return false;
    if (address_family(a) == AF_INET6)
        return ip6_equal(a, b); /* whatever the flow label */
    return memcmp(a->sockaddr, b->sockaddr, a->length) == 0;
}
