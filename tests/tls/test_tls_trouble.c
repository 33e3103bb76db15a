/* Peers that are slow, silent, broken or hostile; contexts that end; sockets that are full. */
#include "tls.h"

#include <runnel/clock.h>
#include <runnel/tls.h>

#include "ext/tls/conn.h"

#define BIG (8 << 20) /* more than both socket buffers hold */

/* ---- handshakes that do not come about ---- */

TEST_VIRTUAL(a_silent_client_has_ten_seconds)
{
    struct world w = world_new();
    struct conns c = conns_instant();
    rn_time began = rn_now();
    rn_tls *conn;

    EXPECT_EQ(rn_tls_accept(NULL, w.server, c.b, &conn), -ETIMEDOUT);
    EXPECT_EQ(rn_now() - began, 10 * RN_SECOND);
    EXPECT(conn == NULL);
    conns_close(c);
    world_free(&w);
}

TEST_VIRTUAL(the_deadline_and_the_configured_time_end_a_handshake)
{
    struct world w = world_with((rn_tls_server_config){.handshake_timeout = 3 * RN_SECOND},
                                (rn_tls_client_config){0});
    struct conns c = conns_instant();
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, RN_SECOND);
    rn_time began = rn_now();
    rn_tls *conn;

    EXPECT_EQ(rn_tls_accept(NULL, w.server, c.b, &conn), -ETIMEDOUT);
    EXPECT_EQ(rn_now() - began, 3 * RN_SECOND);
    rn_ctx_release(ctx);
    began = rn_now();
    ctx = rn_ctx_with_timeout(NULL, RN_SECOND);
    EXPECT_EQ(rn_tls_accept(ctx, w.server, c.b, &conn), -ETIMEDOUT);
    EXPECT_EQ(rn_tls_accept(ctx, w.server, c.b, &conn), -ETIMEDOUT);
    EXPECT_EQ(rn_tls_connect(ctx, w.client, c.a, "localhost", &conn), -ETIMEDOUT);
    EXPECT_EQ(rn_now() - began, RN_SECOND);
    rn_ctx_release(ctx);
    conns_close(c);
    world_free(&w);
}

TEST_VIRTUAL(a_silent_server_ends_with_the_deadline)
{
    struct world w = world_new();
    struct conns c = conns_instant();
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, 5 * RN_SECOND);
    rn_tls *conn;

    EXPECT_EQ(rn_tls_connect(ctx, w.client, c.a, "localhost", &conn), -ETIMEDOUT);
    EXPECT_EQ(rn_now(), 5 * RN_SECOND);
    rn_ctx_release(ctx);
    conns_close(c);
    world_free(&w);
}

struct shaking {
    rn_ctx *ctx;
    struct world *world;
    rn_fd fd;
    int err;
};

static int shake(rn_ctx *ctx, void *arg)
{
    struct shaking *s = arg;
    rn_tls *conn;

    (void)ctx;
    s->err = rn_tls_accept(s->ctx, s->world->server, s->fd, &conn);
    return 0;
}

TEST_VIRTUAL(a_cancel_ends_a_handshake_in_the_middle)
{
    struct world w = world_new();
    struct conns c = conns_instant();
    struct shaking s = {rn_ctx_with_cancel(NULL), &w, c.b, 0};
    rn_group *g = rn_group_new(NULL);

    EXPECT_OK(rn_group_go(g, shake, &s));
    EXPECT_EQ(rn_fd_write(NULL, c.a, "\x16\x03\x01\x02\x00\x01", 6), 6); /* a ClientHello begins */
    EXPECT_OK(rn_sleep(NULL, RN_SECOND)); /* by now it waits for the rest */
    rn_ctx_cancel(s.ctx, 0);
    EXPECT_OK(rn_group_wait(g));
    EXPECT_EQ(s.err, -ECANCELED);
    rn_ctx_release(s.ctx);
    conns_close(c);
    world_free(&w);
}

static void expect_accept_fails(const void *bytes, size_t n, int code, const char *why)
{
    struct world w = world_new();
    struct conns c = conns_instant();
    rn_tls *conn;

    EXPECT_EQ(rn_fd_write(NULL, c.a, bytes, n), (ssize_t)n);
    EXPECT_OK(rn_net_close_write(c.a));
    EXPECT_EQ(rn_tls_accept(NULL, w.server, c.b, &conn), code);
    EXPECT_DETAIL(why);
    EXPECT(conn == NULL);
    conns_close(c);
    world_free(&w);
}

TEST_FIBER(what_is_no_client_hello_is_refused)
{
    static const char http[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    static const unsigned char long_record[] = {0x16, 3, 1, 0xff, 0xff, 1, 0, 0xff, 0xfa};
    static const unsigned char not_hello[] = {0x16, 3, 1, 0, 4, 14, 0, 0, 0};
    unsigned char noise[512];

    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (unsigned char)(i * 193 + 7);
    expect_accept_fails(http, sizeof http - 1, RN_ETLS, "tls: handshake: http request");
    expect_accept_fails(noise, sizeof noise, RN_ETLS, "tls: handshake: ");
    expect_accept_fails(long_record, sizeof long_record, RN_ETLS, "tls: handshake: ");
    expect_accept_fails(not_hello, sizeof not_hello, RN_ETLS, "unexpected message");
    expect_accept_fails(not_hello, 3, -ECONNRESET, "in the middle of the handshake");
    expect_accept_fails("", 0, -ECONNRESET, "in the middle of the handshake");
}

TEST_FIBER(what_is_no_server_is_refused)
{
    static const char *const answers[] = {"SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1 400 Bad\r\n\r\n"};
    struct world w = world_new();
    rn_tls *conn;

    for (size_t i = 0; i < 2; i++) {
        struct conns c = conns_new();
        expect_write(c.b, answers[i]);
        EXPECT_EQ(rn_tls_connect(NULL, w.client, c.a, "localhost", &conn), RN_ETLS);
        EXPECT_DETAIL("wrong version number");
        conns_close(c);
    }
    struct conns c = conns_new();
    rn_fd_close(c.b);
    EXPECT_EQ(rn_tls_connect(NULL, w.client, c.a, "localhost", &conn), -ECONNRESET);
    EXPECT_OK(rn_fd_close(c.a));
    EXPECT_EQ(rn_tls_connect(NULL, w.client, c.a, "localhost", &conn), -EBADF);
    EXPECT_EQ(rn_tls_accept(NULL, w.server, c.b, &conn), -EBADF);
    world_free(&w);
}

/* ---- what stands in between ---- */

/* Passes on what comes, in pieces; may turn a bit of one byte. */
struct relay {
    rn_fd from, to;
    size_t piece;
    atomic_bool spoil;
};

static int pass_on(rn_ctx *ctx, void *arg)
{
    struct relay *r = arg;
    unsigned char buffer[4096];
    ssize_t n;

    while ((n = rn_fd_read(ctx, r->from, buffer, r->piece)) > 0) {
        if (atomic_exchange(&r->spoil, false))
            buffer[n - 1] ^= 1;
        if (rn_fd_write(ctx, r->to, buffer, (size_t)n) != n)
            break;
    }
    rn_net_close_write(r->to);
    return 0;
}

struct wire {
    struct conns left, right;
    struct relay up, down;
    rn_group *group;
};

/* Two ends of a connection with somebody in between. */
static struct pair wire_new(struct wire *wire, struct world *w, size_t piece)
{
    struct pair p = {0};

    *wire = (struct wire){.left = conns_new(), .right = conns_new(), .group = rn_group_new(NULL)};
    wire->up = (struct relay){.from = wire->left.b, .to = wire->right.a, .piece = piece};
    wire->down = (struct relay){.from = wire->right.a, .to = wire->left.b, .piece = piece};
    EXPECT_OK(rn_group_go(wire->group, pass_on, &wire->up));
    EXPECT_OK(rn_group_go(wire->group, pass_on, &wire->down));
    struct accepting a = {w->server, wire->right.b, &p};
    rn_group *g = rn_group_new(NULL);
    EXPECT_OK(rn_group_go(g, accept_one, &a));
    EXPECT_OK(rn_tls_connect(NULL, w->client, wire->left.a, "localhost", &p.client));
    EXPECT_OK(rn_group_wait(g));
    EXPECT_EQ(p.server_err, 0);
    return p;
}

static void wire_close(struct wire *wire, struct pair *p)
{
    pair_close(p);
    EXPECT_OK(rn_group_wait(wire->group));
    rn_fd_close(wire->left.b);
    rn_fd_close(wire->right.a);
}

TEST_FIBER(bytes_may_come_one_by_one)
{
    struct world w = world_new();
    struct wire wire;
    struct pair p = wire_new(&wire, &w, 1);

    expect_tls_talk(&p);
    expect_tls_talk(&p);
    EXPECT_OK(rn_tls_close_write(NULL, p.client));
    expect_tls_end(p.server);
    wire_close(&wire, &p);
    world_free(&w);
}

TEST_FIBER(a_changed_byte_ends_the_connection)
{
    struct world w = world_new();
    struct wire wire;
    struct pair p = wire_new(&wire, &w, 4096);
    char byte;

    expect_tls_talk(&p);
    atomic_store(&wire.up.spoil, true);
    expect_tls_write(p.client, "hello");
    for (int i = 0; i < 2; i++) {
        EXPECT_EQ(rn_tls_read(NULL, p.server, &byte, 1), RN_ETLS);
        EXPECT_STR(rn_error_detail(), "tls: decryption failed or bad record mac");
    }
    EXPECT_EQ(rn_tls_write(NULL, p.server, "x", 1), RN_ETLS);
    EXPECT_STR(rn_error_detail(), "tls: decryption failed or bad record mac");
    EXPECT_EQ(rn_tls_buffered(p.server), 1);
    EXPECT_EQ(rn_tls_read(NULL, p.client, &byte, 1), RN_ETLS);
    EXPECT_STR(rn_error_detail(), "tls: the server refused: bad record mac");
    wire_close(&wire, &p);
    world_free(&w);
}

/* ---- contexts that end ---- */

TEST_VIRTUAL(a_read_ends_with_its_context_and_the_next_goes_on)
{
    struct world w = world_new();
    struct pair p = pair_instant(&w);
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, RN_SECOND);
    char byte;

    EXPECT_EQ(rn_tls_read(ctx, p.server, &byte, 1), -ETIMEDOUT);
    expect_tls_write(p.client, "x");
    EXPECT_EQ(rn_tls_read(ctx, p.server, &byte, 1), -ETIMEDOUT); /* although there is something */
    EXPECT_EQ(rn_tls_write(ctx, p.server, &byte, 1), -ETIMEDOUT);
    EXPECT_EQ(rn_tls_close_write(ctx, p.server), -ETIMEDOUT);
    rn_ctx_release(ctx);
    expect_tls_read(p.server, "x");
    expect_tls_talk(&p);
    pair_close(&p);
    world_free(&w);
}

struct reading {
    rn_ctx *ctx;
    rn_tls *conn;
    ssize_t result;
};

static int read_one(rn_ctx *ctx, void *arg)
{
    struct reading *r = arg;
    char byte;

    (void)ctx;
    r->result = rn_tls_read(r->ctx, r->conn, &byte, 1);
    return 0;
}

TEST_VIRTUAL(a_cancel_and_a_close_of_the_handle_end_a_read)
{
    struct world w = world_new();
    struct pair p = pair_instant(&w);
    struct reading r = {rn_ctx_with_cancel(NULL), p.server, 0};
    rn_group *g = rn_group_new(NULL);

    EXPECT_OK(rn_group_go(g, read_one, &r));
    EXPECT_OK(rn_sleep(NULL, RN_SECOND));
    rn_ctx_cancel(r.ctx, 0);
    EXPECT_OK(rn_group_wait(g));
    EXPECT_EQ(r.result, -ECANCELED);
    rn_ctx_release(r.ctx);
    expect_tls_talk(&p);
    r.ctx = NULL;
    g = rn_group_new(NULL);
    EXPECT_OK(rn_group_go(g, read_one, &r));
    EXPECT_OK(rn_sleep(NULL, RN_SECOND));
    EXPECT_OK(rn_fd_close(rn_tls_fd(p.server)));
    EXPECT_OK(rn_group_wait(g));
    EXPECT_EQ(r.result, -EBADF);
    pair_close(&p);
    world_free(&w);
}

/* ---- sockets that are full ---- */

static unsigned char byte_at(size_t i)
{
    return (unsigned char)((i * 2654435761u >> 13) + i);
}

static unsigned char *big_data(void)
{
    unsigned char *data = malloc(BIG);

    for (size_t i = 0; i < BIG; i++)
        data[i] = byte_at(i);
    return data;
}

struct draining {
    rn_tls *conn;
    size_t bytes;
    ssize_t end;
};

static int drain(rn_ctx *ctx, void *arg)
{
    struct draining *d = arg;
    unsigned char buffer[9000];

    while ((d->end = rn_tls_read(ctx, d->conn, buffer, sizeof buffer)) > 0)
        for (ssize_t i = 0; i < d->end; i++)
            EXPECT_EQ(buffer[i], byte_at(d->bytes++));
    return 0;
}

TEST_VIRTUAL(a_write_that_was_cut_short_goes_on)
{
    struct world w = world_new();
    struct pair p = pair_instant(&w);
    unsigned char *data = big_data();
    struct draining d = {.conn = p.server};
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, RN_SECOND);
    rn_group *g = rn_group_new(NULL);

    ssize_t n = rn_tls_write(ctx, p.client, data, BIG);
    EXPECT(n > 0 && n < BIG);
    EXPECT_EQ(rn_tls_write(ctx, p.client, data + n, 1), -ETIMEDOUT);
    rn_ctx_release(ctx);
    ctx = rn_ctx_with_timeout(NULL, RN_SECOND);
    EXPECT_EQ(rn_tls_write(ctx, p.client, data + n, 1), -ETIMEDOUT); /* still full */
    EXPECT_EQ(rn_tls_close_write(ctx, p.client), -ETIMEDOUT);
    rn_ctx_release(ctx);
    EXPECT_OK(rn_group_go(g, drain, &d));
    if (tls_flow_owed(p.client) > 0) /* the end waits behind what was written */
        EXPECT_OK(rn_tls_close_write(NULL, p.client));
    EXPECT_OK(rn_group_wait(g));
    free(data);
    pair_close(&p);
    world_free(&w);
}

TEST_VIRTUAL(a_reader_sends_what_a_writer_left)
{
    struct world w = world_new();
    struct pair p = pair_instant(&w);
    unsigned char *data = big_data();
    struct draining d = {.conn = p.server};
    struct reading r = {NULL, p.client, 0};
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, RN_SECOND), *until = rn_ctx_with_cancel(NULL);
    rn_group *g = rn_group_new(until), *reader = rn_group_new(NULL);

    ssize_t n = rn_tls_write(ctx, p.client, data, BIG);
    EXPECT(n > 0 && n < BIG);
    EXPECT(tls_flow_owed(p.client) > 0);
    EXPECT_OK(rn_group_go(reader, read_one, &r));
    EXPECT_OK(rn_group_go(g, drain, &d));
    EXPECT_OK(rn_sleep(NULL, RN_SECOND));
    EXPECT_EQ(d.bytes, n);
    EXPECT_EQ(tls_flow_owed(p.client), 0);
    expect_tls_write(p.server, "x"); /* and the reader reads */
    EXPECT_OK(rn_group_wait(reader));
    EXPECT_EQ(r.result, 1);
    rn_ctx_cancel(until, 0);
    rn_group_wait(g);
    rn_ctx_release(until);
    rn_ctx_release(ctx);
    free(data);
    pair_close(&p);
    world_free(&w);
}

TEST_VIRTUAL(a_write_that_was_cut_short_is_no_clean_end)
{
    struct world w = world_new();
    struct pair p = pair_instant(&w);
    unsigned char *data = big_data();
    struct draining d = {.conn = p.server};
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, RN_SECOND);

    EXPECT(rn_tls_write(ctx, p.client, data, BIG) < BIG);
    rn_tls_close(p.client);
    drain(NULL, &d);
    EXPECT_EQ(d.end, -ECONNRESET);
    rn_tls_close(p.server);
    rn_ctx_release(ctx);
    free(data);
    world_free(&w);
}

/* ---- keys that change ---- */

static int write_big(rn_ctx *ctx, void *arg)
{
    rn_tls *conn = arg;
    unsigned char *data = big_data();

    EXPECT_EQ(rn_tls_write(ctx, conn, data, BIG), BIG);
    free(data);
    return rn_tls_close_write(ctx, conn);
}

/*
 * The server is asked for new keys while it does nothing but write to a socket that is full, and
 * the client reads only after its own writes: whoever waited for room to answer would wait for ever.
 */
TEST_FIBER(new_keys_are_answered_by_who_reads)
{
    struct world w = world_new();
    struct pair p = pair_of(&w);
    struct draining at_server = {.conn = p.server}, at_client = {.conn = p.client};
    rn_group *g = rn_group_new(NULL);

    EXPECT_OK(rn_group_go(g, write_big, p.server));
    EXPECT_OK(rn_group_go(g, drain, &at_server));
    for (int i = 0; i < 50; i++) {
        unsigned char block[1000];
        for (size_t j = 0; j < sizeof block; j++)
            block[j] = byte_at((size_t)i * sizeof block + j);
        rn_mutex_lock(&p.client->lock);
        EXPECT_EQ(SSL_key_update(p.client->ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        rn_mutex_unlock(&p.client->lock);
        EXPECT_EQ(rn_tls_write(NULL, p.client, block, sizeof block), (ssize_t)sizeof block);
    }
    EXPECT_OK(rn_tls_close_write(NULL, p.client));
    drain(NULL, &at_client);
    EXPECT_OK(rn_group_wait(g));
    EXPECT_EQ(at_client.end, 0);
    EXPECT_EQ(at_client.bytes, BIG);
    EXPECT_EQ(at_server.end, 0);
    EXPECT_EQ(at_server.bytes, 50 * 1000);
    pair_close(&p);
    world_free(&w);
}

TEST_FIBER(renegotiation_is_refused)
{
    struct world w = world_with((rn_tls_server_config){.version_max = RN_TLS_1_2},
                                (rn_tls_client_config){0});
    struct pair p = pair_of(&w);
    struct reading r = {NULL, p.server, 0};
    rn_group *g = rn_group_new(NULL);
    char byte;

    SSL_clear_options(p.client->ssl, SSL_OP_NO_RENEGOTIATION);
    EXPECT_EQ(SSL_renegotiate(p.client->ssl), 1);
    EXPECT_OK(rn_group_go(g, read_one, &r));
    EXPECT_EQ(rn_tls_read(NULL, p.client, &byte, 1), RN_ETLS); /* it insists, and is refused */
    EXPECT_OK(rn_group_wait(g));
    EXPECT_EQ(r.result, RN_ETLS);
    pair_close(&p);
    world_free(&w);
}

/* ---- several at once ---- */

#define BLOCK 1000
#define BLOCKS 100
#define WRITERS 3

static int write_blocks(rn_ctx *ctx, void *arg)
{
    static atomic_int letters;
    char block[BLOCK];

    memset(block, 'a' + atomic_fetch_add(&letters, 1), sizeof block);
    for (int i = 0; i < BLOCKS; i++)
        EXPECT_EQ(rn_tls_write(ctx, arg, block, sizeof block), BLOCK);
    return 0;
}

struct counting {
    rn_tls *conn;
    atomic_size_t bytes;
};

static int count(rn_ctx *ctx, void *arg)
{
    struct counting *c = arg;
    char buffer[3000];
    ssize_t n;

    while ((n = rn_tls_read(ctx, c->conn, buffer, sizeof buffer)) > 0)
        atomic_fetch_add(&c->bytes, (size_t)n);
    return (int)n;
}

TEST_FIBER(several_may_read_and_write)
{
    struct world w = world_new();
    struct pair p = pair_of(&w);
    struct counting c = {.conn = p.server};
    rn_group *writers = rn_group_new(NULL), *readers = rn_group_new(NULL);

    for (int i = 0; i < 2; i++)
        EXPECT_OK(rn_group_go(readers, count, &c));
    for (int i = 0; i < WRITERS; i++)
        EXPECT_OK(rn_group_go(writers, write_blocks, p.client));
    EXPECT_OK(rn_group_wait(writers));
    EXPECT_OK(rn_tls_close_write(NULL, p.client));
    EXPECT_OK(rn_group_wait(readers));
    EXPECT_EQ(atomic_load(&c.bytes), WRITERS * BLOCKS * BLOCK);
    pair_close(&p);
    world_free(&w);
}
