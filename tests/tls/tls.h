/*
 * What the tests of TLS share: a certificate for localhost and one who vouches for it, and pairs of
 * connections.
 */
#ifndef RN_TESTS_TLS_H
#define RN_TESTS_TLS_H

#include "certs.h"
#include "io/net.h"

#include <runnel/tls.h>

/* A server, a client that trusts it, and what they were made from. */
struct world {
    struct authority authority;
    struct identity identity;
    rn_tls_server *server;
    rn_tls_client *client;
};

/* The configurations get the world's files where they have none. */
static inline struct world world_with(rn_tls_server_config server, rn_tls_client_config client)
{
    static int worlds;
    char name[32];

    snprintf(name, sizeof name, "CA %d", worlds++);
    struct world w = {.authority = authority_new(name)};
    w.identity = identity_new(&(struct wish){
        .name = "localhost", .alt = "DNS:localhost,IP:127.0.0.1", .issuer = &w.authority});
    if (server.certificate == NULL) {
        server.certificate = w.identity.certificate.path;
        server.key = w.identity.key.path;
    }
    if (server.client_auth != RN_TLS_CLIENT_ANY && server.client_ca == NULL)
        server.client_ca = w.authority.file.path;
    if (client.ca == NULL)
        client.ca = w.authority.file.path;
    EXPECT_OK(rn_tls_server_new(&w.server, &server));
    EXPECT_OK(rn_tls_client_new(&w.client, &client));
    return w;
}

static inline struct world world_new(void)
{
    return world_with((rn_tls_server_config){0}, (rn_tls_client_config){0});
}

static inline void world_free(struct world *w)
{
    rn_tls_server_free(w->server);
    rn_tls_client_free(w->client);
    identity_free(&w->identity);
    authority_free(&w->authority);
}

/* Both ends of a connection; NULL, and why, when the handshake failed. */
struct pair {
    rn_tls *client, *server;
    int client_err, server_err;
    char server_detail[256];
};

struct accepting {
    rn_tls_server *server;
    rn_fd fd;
    struct pair *pair;
};

static inline int accept_one(rn_ctx *ctx, void *arg)
{
    struct accepting *a = arg;

    a->pair->server_err = rn_tls_accept(ctx, a->server, a->fd, &a->pair->server);
    if (a->pair->server_err != 0) {
        snprintf(a->pair->server_detail, sizeof a->pair->server_detail, "%s", rn_error_detail());
        rn_fd_close(a->fd);
    }
    return 0;
}

/* Shakes hands; rn_error_detail is the client's. */
static inline struct pair pair_over(struct conns c, rn_tls_server *server, rn_tls_client *client,
                                    const char *host)
{
    struct pair p = {0};
    struct accepting a = {server, c.b, &p};
    rn_group *g = rn_group_new(NULL);

    EXPECT_OK(rn_group_go(g, accept_one, &a));
    p.client_err = rn_tls_connect(NULL, client, c.a, host, &p.client);
    if (p.client_err != 0)
        rn_fd_close(c.a);
    EXPECT_OK(rn_group_wait(g));
    return p;
}

static inline struct pair pair_try(rn_tls_server *server, rn_tls_client *client, const char *host)
{
    return pair_over(conns_new(), server, client, host);
}

static inline struct pair pair_of(struct world *w)
{
    struct pair p = pair_try(w->server, w->client, "localhost");

    EXPECT_EQ(p.client_err, 0);
    EXPECT_EQ(p.server_err, 0);
    return p;
}

/*
 * For virtual time, over unix sockets: what is written to one is there at once. What goes over TCP
 * may be on its way for a moment, also on one machine, and the time would go on meanwhile.
 */
static inline struct conns conns_instant(void)
{
    struct server s = server_abstract("unix");
    struct conns c = conns_of(&s);

    rn_fd_close(s.fd);
    return c;
}

static inline struct pair pair_instant(struct world *w)
{
    struct pair p = pair_over(conns_instant(), w->server, w->client, "localhost");

    EXPECT_EQ(p.client_err, 0);
    EXPECT_EQ(p.server_err, 0);
    return p;
}

static inline void pair_close(struct pair *p)
{
    rn_tls_close(p->client);
    rn_tls_close(p->server);
}

static inline void expect_tls_read(rn_tls *c, const char *text)
{
    char buffer[256] = "";
    size_t done = 0, size = strlen(text);

    while (done < size) {
        ssize_t n = rn_tls_read(NULL, c, buffer + done, size - done);
        EXPECT_OK(n);
        EXPECT(n > 0);
        done += (size_t)n;
    }
    EXPECT_STR(buffer, text);
}

static inline void expect_tls_write(rn_tls *c, const char *text)
{
    EXPECT_OK(rn_tls_write(NULL, c, text, strlen(text)));
}

static inline void expect_tls_end(rn_tls *c)
{
    char byte;
    EXPECT_EQ(rn_tls_read(NULL, c, &byte, 1), 0);
}

/* Both ways. */
static inline void expect_tls_talk(struct pair *p)
{
    expect_tls_write(p->client, "question");
    expect_tls_read(p->server, "question");
    expect_tls_write(p->server, "answer");
    expect_tls_read(p->client, "answer");
}

#endif
