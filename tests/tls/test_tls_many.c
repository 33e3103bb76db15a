/* Many connections at once, on one listener. */
/* ctest: TIMEOUT=300 */
#include "tls.h"

#include <runnel/tls.h>

#define CLIENTS 200
#define ROUNDS 3

static int echo(rn_ctx *ctx, void *arg)
{
    rn_tls *conn = arg;
    char buffer[4096];
    ssize_t n;

    while ((n = rn_tls_read(ctx, conn, buffer, sizeof buffer)) > 0)
        EXPECT_EQ(rn_tls_write(ctx, conn, buffer, (size_t)n), n);
    EXPECT_EQ(n, 0);
    rn_tls_close(conn);
    return 0;
}

struct serving {
    struct world *world;
    struct server listener;
    atomic_int served;
};

struct incoming {
    struct serving *serving;
    rn_fd fd;
};

static int serve_one(rn_ctx *ctx, void *arg)
{
    struct incoming *in = arg;
    rn_tls *conn;

    EXPECT_OK(rn_tls_accept(ctx, in->serving->world->server, in->fd, &conn));
    atomic_fetch_add(&in->serving->served, 1);
    return echo(ctx, conn);
}

static int serve(rn_ctx *ctx, void *arg)
{
    struct incoming in = {.serving = arg};
    rn_group *g = rn_group_new(NULL);

    while (rn_accept(ctx, in.serving->listener.fd, &in.fd) == 0)
        EXPECT_OK(rn_group_go_copy(g, serve_one, &in));
    return rn_group_wait(g);
}

struct calling {
    struct serving *serving;
    rn_wait_group *connected; /* all have shaken hands before the first one talks */
    int number;
};

static int call(rn_ctx *ctx, void *arg)
{
    struct calling *c = arg;
    char text[64];
    rn_tls *conn;

    EXPECT_OK(rn_tls_dial(ctx, c->serving->world->client, c->serving->listener.at, &conn));
    rn_wait_group_done(c->connected);
    EXPECT_OK(rn_wait_group_wait(ctx, c->connected));
    for (int i = 0; i < ROUNDS; i++) {
        snprintf(text, sizeof text, "client %d says %d", c->number, i);
        expect_tls_write(conn, text);
        expect_tls_read(conn, text);
    }
    EXPECT_OK(rn_tls_close_write(ctx, conn));
    expect_tls_end(conn);
    rn_tls_close(conn);
    return 0;
}

TEST_FIBER(two_hundred_clients_talk_at_once)
{
    struct world w = world_new();
    int fds = fds_open();
    struct serving s = {.world = &w, .listener = server_new()};
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    rn_group *server = rn_group_new(ctx), *clients = rn_group_new(NULL);
    rn_wait_group connected = {0};

    rn_wait_group_add(&connected, CLIENTS);
    EXPECT_OK(rn_group_go(server, serve, &s));
    for (int i = 0; i < CLIENTS; i++)
        EXPECT_OK(rn_group_go_copy(clients, call, &(struct calling){&s, &connected, i}));
    EXPECT_OK(rn_group_wait(clients));
    EXPECT_EQ(atomic_load(&s.served), CLIENTS);
    rn_ctx_cancel(ctx, 0);
    rn_group_wait(server);
    rn_ctx_release(ctx);
    rn_fd_close(s.listener.fd);
    EXPECT_EQ(fds_open(), fds);
    world_free(&w);
}
