/* Connections: talking, large writes, both ways at once, what was agreed on, half close. */
#include "tls.h"

#include <runnel/tls.h>

#define BIG (8 << 20) /* more than both socket buffers hold */

TEST_FIBER(two_ends_talk)
{
    struct world w = world_new();
    struct pair p = pair_of(&w);

    expect_tls_talk(&p);
    expect_tls_talk(&p);
    pair_close(&p);
    world_free(&w);
}

TEST(plain_threads_may_talk_too)
{
    struct world w = world_new();
    struct pair p = pair_of(&w);

    expect_tls_talk(&p);
    pair_close(&p);
    world_free(&w);
    EXPECT_EQ(rn_stop(), 0);
}

TEST_FIBER(each_version_can_be_had)
{
    for (int version = RN_TLS_1_2; version <= RN_TLS_1_3; version++) {
        struct world w = world_with((rn_tls_server_config){.version_max = version},
                                    (rn_tls_client_config){0});
        struct pair p = pair_of(&w);
        rn_tls_info info;

        EXPECT_OK(rn_tls_info_read(p.server, &info));
        EXPECT_EQ(info.version, version);
        expect_tls_talk(&p);
        pair_close(&p);
        world_free(&w);
    }
}

TEST_FIBER(both_ends_know_what_was_agreed_on)
{
    struct world w = world_with((rn_tls_server_config){.alpn = "h2,http/1.1"},
                                (rn_tls_client_config){.alpn = "spdy/1,http/1.1,h2"});
    struct pair p = pair_of(&w);
    rn_tls_info info;

    EXPECT_OK(rn_tls_info_read(p.client, &info));
    EXPECT_EQ(info.version, RN_TLS_1_3);
    EXPECT_STR(info.version_name, "TLSv1.3");
    EXPECT(strncmp(info.cipher, "TLS_", 4) == 0);
    EXPECT_STR(info.alpn, "h2");
    EXPECT_STR(info.server_name, "localhost");
    EXPECT_STR(info.peer, "CN=localhost,O=runnel");
    EXPECT(info.verified);
    EXPECT(!info.resumed);
    EXPECT_OK(rn_tls_info_read(p.server, &info));
    EXPECT_OK(rn_tls_info_read(p.server, &info)); /* the second time from what it keeps */
    EXPECT_STR(info.alpn, "h2");
    EXPECT_STR(info.server_name, "localhost");
    EXPECT_STR(info.peer, "");
    EXPECT(!info.verified);
    pair_close(&p);
    world_free(&w);
}

TEST_FIBER(without_a_common_protocol_there_is_no_connection)
{
    struct world w = world_with((rn_tls_server_config){0}, (rn_tls_client_config){.alpn = "h2"});
    struct pair p = pair_try(w.server, w.client, "localhost");

    EXPECT_EQ(p.client_err, RN_ETLS);
    EXPECT_DETAIL("the server refused: no application protocol");
    EXPECT_EQ(p.server_err, RN_ETLS);
    EXPECT(p.client == NULL && p.server == NULL);
    world_free(&w);
}

TEST_FIBER(http_1_1_is_what_a_server_speaks_by_default)
{
    struct world w = world_with((rn_tls_server_config){0},
                                (rn_tls_client_config){.alpn = "h2,http/1.1"});
    struct pair p = pair_of(&w);
    rn_tls_info info;

    EXPECT_OK(rn_tls_info_read(p.client, &info));
    EXPECT_STR(info.alpn, "http/1.1");
    pair_close(&p);
    world_free(&w);
}

/* ---- dialing ---- */

struct door {
    struct world *world;
    struct server listener;
    rn_tls *conn;
};

static int open_door(rn_ctx *ctx, void *arg)
{
    struct door *d = arg;
    rn_fd fd;
    int err = rn_accept(ctx, d->listener.fd, &fd);

    if (err == 0 && (err = rn_tls_accept(ctx, d->world->server, fd, &d->conn)) != 0)
        rn_fd_close(fd);
    return err;
}

TEST_FIBER(a_dial_verifies_the_host_of_its_address)
{
    static const char *const forms[] = {"127.0.0.1:%u", "tcp:127.0.0.1:%u", "localhost:%u"};
    struct world w = world_new();
    struct door d = {.world = &w, .listener = server_new()};
    rn_address local;

    EXPECT_OK(rn_net_local(d.listener.fd, &local));
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        rn_group *g = rn_group_new(NULL);
        struct pair p = {0};
        char address[64];
        rn_tls_info info;

        snprintf(address, sizeof address, forms[i], rn_address_port(&local));
        EXPECT_OK(rn_group_go(g, open_door, &d));
        EXPECT_OK(rn_tls_dial(NULL, w.client, address, &p.client));
        EXPECT_OK(rn_group_wait(g));
        p.server = d.conn;
        expect_tls_talk(&p);
        EXPECT_OK(rn_tls_info_read(p.server, &info));
        EXPECT_STR(info.server_name, i == 2 ? "localhost" : ""); /* addresses are not sent */
        pair_close(&p);
    }
    rn_fd_close(d.listener.fd);
    world_free(&w);
}

TEST_FIBER(a_dial_needs_a_tcp_address_and_somebody_there)
{
    static const char *const wrong[] = {"unix:/tmp/x", "udp:127.0.0.1:1", "localhost"};
    struct world w = world_new();
    struct server s = server_new();
    rn_tls *conn;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        EXPECT_EQ(rn_tls_dial(NULL, w.client, wrong[i], &conn), -EINVAL);
        EXPECT_DETAIL(wrong[i]);
        EXPECT(conn == NULL);
    }
    rn_fd_close(s.fd);
    EXPECT_EQ(rn_tls_dial(NULL, w.client, s.at, &conn), -ECONNREFUSED);
    world_free(&w);
}

/* ---- much ---- */

/* Byte i of what one end sends. */
static unsigned char byte_at(size_t i, unsigned seed)
{
    return (unsigned char)((i * 2654435761u >> 13) + seed + i);
}

struct flow {
    rn_tls *conn;
    unsigned seed;
    size_t bytes;
};

static int send_much(rn_ctx *ctx, void *arg)
{
    struct flow *f = arg;
    unsigned char *data = malloc(f->bytes);

    for (size_t i = 0; i < f->bytes; i++)
        data[i] = byte_at(i, f->seed);
    EXPECT_EQ(rn_tls_write(ctx, f->conn, data, f->bytes), (ssize_t)f->bytes);
    free(data);
    return rn_tls_close_write(ctx, f->conn);
}

static int receive_much(rn_ctx *ctx, void *arg)
{
    struct flow *f = arg;
    unsigned char buffer[10000];
    size_t done = 0;
    ssize_t n;

    while ((n = rn_tls_read(ctx, f->conn, buffer, sizeof buffer)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            EXPECT_EQ(buffer[i], byte_at(done + (size_t)i, f->seed));
        done += (size_t)n;
    }
    EXPECT_OK(n);
    EXPECT_EQ(done, f->bytes);
    return 0;
}

/* Both ends write more than the sockets hold before they read: each needs a reader beside. */
static void exchange_much(rn_tls_version version)
{
    struct world w = world_with((rn_tls_server_config){.version_max = version},
                                (rn_tls_client_config){.version_min = version});
    struct pair p = pair_of(&w);
    struct flow up = {p.client, 1, BIG}, at_server = {p.server, 1, BIG};
    struct flow down = {p.server, 2, BIG}, at_client = {p.client, 2, BIG};
    rn_group *g = rn_group_new(NULL);

    EXPECT_OK(rn_group_go(g, send_much, &up));
    EXPECT_OK(rn_group_go(g, send_much, &down));
    EXPECT_OK(rn_group_go(g, receive_much, &at_server));
    EXPECT_OK(rn_group_go(g, receive_much, &at_client));
    EXPECT_OK(rn_group_wait(g));
    pair_close(&p);
    world_free(&w);
}

TEST_FIBER(much_goes_both_ways_at_once)
{
    exchange_much(RN_TLS_1_3);
}

TEST_FIBER(much_goes_both_ways_with_tls_1_2)
{
    exchange_much(RN_TLS_1_2);
}

TEST_FIBER(many_small_parts_share_records)
{
    struct world w = world_new();
    struct pair p = pair_of(&w);
    struct iovec parts[200];
    char buffer[20000];
    size_t size = 0, done = 0;

    for (size_t i = 0; i < 200; i++) {
        parts[i].iov_len = i % 3 == 0 ? 0 : 97; /* empty ones in between */
        parts[i].iov_base = parts[i].iov_len == 0 ? NULL : memset(malloc(97), 'a' + i % 26, 97);
        size += parts[i].iov_len;
    }
    EXPECT_EQ(rn_tls_writev(NULL, p.client, parts, 200), (ssize_t)size);
    /* The first record has all, so the first read has all. */
    EXPECT_EQ(rn_tls_read(NULL, p.server, buffer, sizeof buffer), (ssize_t)size);
    for (size_t i = 0; i < 200; i++) {
        EXPECT(parts[i].iov_len == 0 || memcmp(buffer + done, parts[i].iov_base, 97) == 0);
        done += parts[i].iov_len;
        free(parts[i].iov_base);
    }
    EXPECT_EQ(rn_tls_writev(NULL, p.client, parts, 0), 0);
    EXPECT_EQ(rn_tls_write(NULL, p.client, "", 0), 0);
    EXPECT_EQ(rn_tls_read(NULL, p.client, buffer, 0), 0);
    pair_close(&p);
    world_free(&w);
}

/* A head and a body of every kind of length: what is copied and what is not must fit together. */
TEST_FIBER(parts_of_all_sizes_arrive_in_order)
{
    static const size_t sizes[] = {1, 16383, 16384, 16385, 65535, 65536, 65537, 150000};
    enum { N = sizeof sizes / sizeof *sizes };
    struct world w = world_new();
    struct pair p = pair_of(&w);
    size_t total = 0;
    struct iovec parts[N];

    for (size_t i = 0; i < N; i++)
        total += sizes[i];
    unsigned char *data = malloc(total);
    for (size_t i = 0; i < total; i++)
        data[i] = byte_at(i, 3);
    for (size_t i = 0, at = 0; i < N; at += sizes[i++])
        parts[i] = (struct iovec){data + at, sizes[i]};
    struct flow at_server = {p.server, 3, total};
    rn_group *g = rn_group_new(NULL);
    EXPECT_OK(rn_group_go(g, receive_much, &at_server));
    EXPECT_EQ(rn_tls_writev(NULL, p.client, parts, N), (ssize_t)total);
    EXPECT_OK(rn_tls_close_write(NULL, p.client));
    EXPECT_OK(rn_group_wait(g));
    free(data);
    pair_close(&p);
    world_free(&w);
}

/* ---- readers, writers, what is buffered ---- */

TEST_FIBER(readers_and_writers_take_a_connection)
{
    struct world w = world_new();
    struct pair p = pair_of(&w);
    rn_reader *in;
    rn_writer *out;
    char *line;

    EXPECT_OK(rn_writer_new(&out, (rn_fd){0},
                            &(rn_writer_config){.writev = rn_tls_writev, .writev_arg = p.client}));
    EXPECT_OK(rn_reader_new(&in, (rn_fd){0},
                            &(rn_reader_config){.read = rn_tls_read, .read_arg = p.server}));
    EXPECT_OK(rn_writer_printf(NULL, out, "hello %d\nworld\n", 7));
    EXPECT_OK(rn_writer_flush(NULL, out));
    EXPECT_OK(rn_reader_line(NULL, in, &line));
    EXPECT_STR(line, "hello 7");
    EXPECT_OK(rn_reader_line(NULL, in, &line));
    EXPECT_STR(line, "world");
    EXPECT_OK(rn_tls_close_write(NULL, p.client));
    EXPECT_EQ(rn_reader_line(NULL, in, &line), RN_ECLOSED);
    rn_reader_free(in);
    rn_writer_free(out);
    pair_close(&p);
    world_free(&w);
}

TEST_FIBER(what_is_buffered_needs_no_socket)
{
    struct world w = world_new();
    struct pair p = pair_of(&w);
    char buffer[8];

    EXPECT_EQ(rn_tls_buffered(p.server), 0);
    expect_tls_write(p.client, "first");
    expect_tls_write(p.client, "second");
    EXPECT_OK(rn_tls_close_write(NULL, p.client));
    EXPECT_EQ(rn_tls_buffered(p.server), 0); /* nobody has looked at the socket */
    EXPECT_EQ(rn_tls_read(NULL, p.server, buffer, 2), 2);
    EXPECT_EQ(rn_tls_buffered(p.server), 3);
    EXPECT_EQ(rn_tls_read(NULL, p.server, buffer, 8), 3);
    EXPECT(rn_tls_buffered(p.server) > 0); /* the socket has nothing any more */
    expect_tls_read(p.server, "second");
    EXPECT(rn_tls_buffered(p.server) > 0); /* the end */
    expect_tls_end(p.server);
    EXPECT(rn_tls_buffered(p.server) > 0);
    expect_tls_end(p.server);
    pair_close(&p);
    world_free(&w);
}

/* ---- ends ---- */

TEST_FIBER(after_close_write_the_answer_still_comes)
{
    struct world w = world_new();
    struct pair p = pair_of(&w);

    expect_tls_write(p.client, "question");
    EXPECT_OK(rn_tls_close_write(NULL, p.client));
    EXPECT_OK(rn_tls_close_write(NULL, p.client));
    EXPECT_EQ(rn_tls_write(NULL, p.client, "x", 1), -EPIPE);
    EXPECT_DETAIL("rn_tls_close_write");
    expect_tls_read(p.server, "question");
    expect_tls_end(p.server);
    expect_tls_write(p.server, "answer");
    expect_tls_read(p.client, "answer");
    EXPECT_OK(rn_tls_close_write(NULL, p.server));
    expect_tls_end(p.client);
    pair_close(&p);
    world_free(&w);
}

TEST_FIBER(a_close_is_a_clean_end)
{
    struct world w = world_new();
    struct pair p = pair_of(&w);

    expect_tls_write(p.client, "bye");
    rn_tls_close(p.client);
    expect_tls_read(p.server, "bye");
    expect_tls_end(p.server);
    rn_tls_close(p.server);
    rn_tls_close(NULL);
    world_free(&w);
}

TEST_FIBER(a_cut_is_no_clean_end)
{
    struct world w = world_new();
    struct pair p = pair_of(&w);
    char byte;

    expect_tls_write(p.client, "by");
    rn_fd_close(rn_tls_fd(p.client));
    expect_tls_read(p.server, "by");
    for (int i = 0; i < 2; i++) {
        EXPECT_EQ(rn_tls_read(NULL, p.server, &byte, 1), -ECONNRESET);
        EXPECT_DETAIL("the peer went without saying so");
    }
    EXPECT(rn_tls_buffered(p.server) > 0);
    EXPECT_EQ(rn_tls_read(NULL, p.client, &byte, 1), -EBADF);
    EXPECT_EQ(rn_tls_write(NULL, p.client, &byte, 1), -EBADF);
    pair_close(&p);
    world_free(&w);
}

TEST_FIBER(writing_to_who_is_gone_is_a_code)
{
    struct world w = world_new();
    struct pair p = pair_of(&w);
    static char data[100000];
    ssize_t n;

    signal(SIGPIPE, SIG_DFL); /* would end the case */
    rn_tls_close(p.client);
    while ((n = rn_tls_write(NULL, p.server, data, sizeof data)) > 0)
        continue;
    EXPECT(n == -EPIPE || n == -ECONNRESET);
    EXPECT_EQ(rn_tls_write(NULL, p.server, data, 1), n);
    EXPECT_EQ(rn_tls_close_write(NULL, p.server), n);
    rn_tls_close(p.server);
    world_free(&w);
}

struct opening {
    const rn_transport *transport;
    rn_fd fd;
    void *stream;
};

static int open_one(rn_ctx *ctx, void *arg)
{
    struct opening *o = arg;
    return o->transport->open(ctx, o->transport->arg, o->fd, &o->stream);
}

TEST_FIBER(a_transport_speaks_and_leaves_the_handle_open)
{
    struct world w = world_new();
    struct conns c = conns_new();
    struct opening o = {.transport = rn_tls_transport(w.server), .fd = c.b};
    rn_group *g = rn_group_new(NULL);
    rn_tls *client;
    char buffer[16] = "";

    EXPECT_OK(rn_group_go(g, open_one, &o));
    EXPECT_OK(rn_tls_connect(NULL, w.client, c.a, "localhost", &client));
    EXPECT_OK(rn_group_wait(g));
    expect_tls_write(client, "hello");
    EXPECT_EQ(o.transport->read(NULL, o.stream, buffer, 2), 2);
    EXPECT_EQ(o.transport->buffered(o.stream), 3);
    EXPECT_EQ(o.transport->read(NULL, o.stream, buffer, sizeof buffer), 3);
    EXPECT_EQ(o.transport->writev(NULL, o.stream, &(struct iovec){"bye", 3}, 1), 3);
    o.transport->close(NULL, o.stream);
    expect_tls_read(client, "bye");
    expect_tls_end(client);
    rn_tls_close(client);
    EXPECT_OK(rn_fd_close(c.b));
    world_free(&w);
}
