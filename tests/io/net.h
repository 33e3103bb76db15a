/*
 * What the tests of sockets share: pairs of connections, and addresses that nobody answers.
 */
#ifndef RN_TESTS_NET_H
#define RN_TESTS_NET_H

#include "expect.h"
#include "io.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* A listener on a free port, and its address as text. */
struct server {
    rn_fd fd;
    char at[RN_ADDRESS_TEXT];
};

static inline struct server server_on(const char *address, const rn_listen_config *config)
{
    struct server s;
    rn_address local;

    EXPECT_OK(rn_listen(NULL, address, config, &s.fd));
    EXPECT_OK(rn_net_local(s.fd, &local));
    rn_address_text(&local, s.at);
    return s;
}

/* A unix listener without a file, whose name no other process has. */
static inline struct server server_abstract(const char *scheme)
{
    static atomic_int n;
    char address[64];
    snprintf(address, sizeof address, "%s:@runnel-%d-%d", scheme, getpid(),
             atomic_fetch_add(&n, 1));
    return server_on(address, NULL);
}

static inline struct server server_new(void)
{
    return server_on("127.0.0.1:0", NULL);
}

/* Two ends of a connection. */
struct conns {
    rn_fd a; /* who dialed */
    rn_fd b; /* who accepted */
};

static inline struct conns conns_of(struct server *s)
{
    struct conns c;
    EXPECT_OK(rn_dial(NULL, s->at, NULL, &c.a));
    EXPECT_OK(rn_accept(NULL, s->fd, &c.b));
    return c;
}

static inline struct conns conns_new(void)
{
    struct server s = server_new();
    struct conns c = conns_of(&s);
    EXPECT_EQ(rn_fd_close(s.fd), 0);
    return c;
}

static inline void conns_close(struct conns c)
{
    rn_fd_close(c.a);
    rn_fd_close(c.b);
}

static inline void expect_read(rn_fd fd, const char *text)
{
    char buffer[256] = "";
    size_t n = strlen(text);
    EXPECT_EQ(rn_fd_read_full(NULL, fd, buffer, n), (ssize_t)n);
    EXPECT_STR(buffer, text);
}

static inline void expect_write(rn_fd fd, const char *text)
{
    EXPECT_EQ(rn_fd_write(NULL, fd, text, strlen(text)), (ssize_t)strlen(text));
}

static inline void expect_eof(rn_fd fd)
{
    char byte;
    EXPECT_EQ(rn_fd_read(NULL, fd, &byte, 1), 0);
}

/* Both ways. */
static inline void expect_talk(struct conns c)
{
    expect_write(c.a, "question");
    expect_read(c.b, "question");
    expect_write(c.b, "answer");
    expect_read(c.a, "answer");
}

/* A path below /tmp that nobody has; the caller unlinks. */
static inline void fresh_path(char path[64])
{
    static atomic_int n;
    snprintf(path, 64, "/tmp/runnel-net-%d-%d", getpid(), atomic_fetch_add(&n, 1));
}

/*
 * An address of which every connection attempt hangs: a listener whose queue is full drops what
 * comes. The loopback interface has 127.0.0.2 and so on, too.
 */
struct silent {
    int listener, filler[2];
    rn_address address;
};

static inline struct silent silent_new(const char *ip)
{
    struct silent s;
    struct sockaddr_storage any;
    socklen_t length = sizeof any;
    char text[64];

    snprintf(text, sizeof text, "%s:0", ip);
    EXPECT_OK(rn_address_parse(text, &s.address));
    struct sockaddr *at = (void *)s.address.sockaddr;
    s.listener = socket(at->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(bind(s.listener, at, s.address.length), 0);
    EXPECT_EQ(listen(s.listener, 0), 0);
    EXPECT_EQ(getsockname(s.listener, (void *)&any, &length), 0);
    memcpy(at, &any, length);
    for (int i = 0; i < 2; i++) { /* one is accepted by the kernel, one hangs */
        s.filler[i] = socket(at->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        connect(s.filler[i], at, length);
    }
    return s;
}

static inline void silent_close(struct silent s)
{
    close(s.listener);
    close(s.filler[0]);
    close(s.filler[1]);
}

/* An address at which nobody listens: a port that is bound and not listened on. */
struct refusing {
    int fd;
    rn_address address;
};

static inline struct refusing refusing_new(const char *ip)
{
    struct refusing r;
    struct sockaddr_storage any;
    socklen_t length = sizeof any;
    char text[64];

    snprintf(text, sizeof text, "%s:0", ip);
    EXPECT_OK(rn_address_parse(text, &r.address));
    struct sockaddr *at = (void *)r.address.sockaddr;
    r.fd = socket(at->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(bind(r.fd, at, r.address.length), 0);
    EXPECT_EQ(getsockname(r.fd, (void *)&any, &length), 0);
    memcpy(at, &any, length);
    return r;
}

#endif
