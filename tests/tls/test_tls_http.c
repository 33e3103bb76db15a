/* HTTPS: the HTTP server behind this transport. */
#include "tls.h"

#include <runnel/http.h>
#include <runnel/tls.h>

#define BIG (3 << 20)

static int hello(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    (void)arg;
    return rn_http_printf(ctx, res, "Hello, %s!\n", rn_http_param(req, "name"));
}

/* As many bytes as the path says; several writes, so that they go in chunks. */
static int big(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    char block[10000];

    (void)req;
    (void)arg;
    memset(block, 'b', sizeof block);
    for (size_t left = BIG; left > 0;) {
        size_t n = left < sizeof block ? left : sizeof block;
        ssize_t written = rn_http_write(ctx, res, block, n);
        if (written < 0)
            return (int)written;
        left -= n;
    }
    return 0;
}

/* How many bytes came. */
static int count(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    char buffer[7000];
    size_t bytes = 0;
    ssize_t n;

    (void)arg;
    rn_http_body_limit(req, RN_HTTP_UNLIMITED);
    while ((n = rn_http_read(ctx, req, buffer, sizeof buffer)) > 0)
        bytes += (size_t)n;
    return n < 0 ? (int)n : rn_http_printf(ctx, res, "%zu", bytes);
}

struct site {
    struct world world;
    rn_http_server *server;
    struct server listener;
    rn_group *serving;
};

static int serve(rn_ctx *ctx, void *arg)
{
    struct site *s = arg;
    return rn_http_serve(ctx, s->server, s->listener.fd) == RN_ESHUTDOWN ? 0 : -EIO;
}

static void site_new(struct site *s)
{
    *s = (struct site){.world = world_new(), .listener = server_new()};
    EXPECT_OK(rn_http_server_new(
        &s->server, &(rn_http_server_config){.transport = rn_tls_transport(s->world.server)}));
    EXPECT_OK(rn_http_route(s->server, "GET", "/hello/{name}", hello, NULL));
    EXPECT_OK(rn_http_route(s->server, "GET", "/big", big, NULL));
    EXPECT_OK(rn_http_route(s->server, "POST", "/count", count, NULL));
    s->serving = rn_group_new(NULL);
    EXPECT_OK(rn_group_go(s->serving, serve, s));
}

static void site_free(struct site *s)
{
    EXPECT_OK(rn_http_server_shutdown(NULL, s->server));
    EXPECT_OK(rn_group_wait(s->serving));
    rn_http_server_free(s->server);
    world_free(&s->world);
}

/* ---- a client of our own ---- */

struct caller {
    rn_tls *conn;
    rn_reader *in;
};

static struct caller call(struct site *s)
{
    struct caller c;

    EXPECT_OK(rn_tls_dial(NULL, s->world.client, s->listener.at, &c.conn));
    EXPECT_OK(rn_reader_new(&c.in, (rn_fd){0},
                            &(rn_reader_config){.read = rn_tls_read, .read_arg = c.conn}));
    return c;
}

static void hang_up(struct caller *c)
{
    rn_reader_free(c->in);
    rn_tls_close(c->conn);
}

/* Reads an answer's head; returns the length that it tells. */
static size_t expect_head(struct caller *c, const char *status)
{
    size_t length = 0;
    char *line;

    EXPECT_OK(rn_reader_line(NULL, c->in, &line));
    EXPECT_STR(line, status);
    for (;;) {
        EXPECT_OK(rn_reader_line(NULL, c->in, &line));
        if (line[0] == 0)
            return length;
        sscanf(line, "Content-Length: %zu", &length);
    }
}

static void expect_answer(struct caller *c, const char *body)
{
    const char *data;
    size_t length = expect_head(c, "HTTP/1.1 200 OK");

    EXPECT_EQ(length, strlen(body));
    EXPECT_EQ(rn_reader_peek(NULL, c->in, length, &data), (ssize_t)length);
    EXPECT(memcmp(data, body, length) == 0);
    EXPECT_OK(rn_reader_discard(NULL, c->in, length));
}

TEST_FIBER(a_connection_has_several_requests)
{
    struct site s;
    site_new(&s);
    struct caller c = call(&s);

    for (int i = 0; i < 3; i++) {
        expect_tls_write(c.conn, "GET /hello/you HTTP/1.1\r\nHost: localhost\r\n\r\n");
        expect_answer(&c, "Hello, you!\n");
    }
    /* Two at once, in one record: the second one is in no socket any more. */
    expect_tls_write(c.conn, "GET /hello/a HTTP/1.1\r\nHost: localhost\r\n\r\n"
                             "GET /hello/b HTTP/1.1\r\nHost: localhost\r\n\r\n");
    expect_answer(&c, "Hello, a!\n");
    expect_answer(&c, "Hello, b!\n");
    hang_up(&c);
    site_free(&s);
}

/* Requests in records of their own that come together: only the first one wakes the server. */
TEST_FIBER(requests_that_come_together_are_all_answered)
{
    struct site s;
    site_new(&s);
    struct caller c = call(&s);
    enum { N = 50 };

    for (int i = 0; i < N; i++)
        expect_tls_write(c.conn, "GET /hello/you HTTP/1.1\r\nHost: localhost\r\n\r\n");
    for (int i = 0; i < N; i++)
        expect_answer(&c, "Hello, you!\n");
    expect_tls_write(c.conn, "GET /hello/me HTTP/1.1\r\nHost: localhost\r\n\r\n");
    EXPECT_OK(rn_tls_close_write(NULL, c.conn));
    expect_answer(&c, "Hello, me!\n");
    hang_up(&c);
    site_free(&s);
}

TEST_FIBER(large_bodies_go_both_ways)
{
    struct site s;
    site_new(&s);
    struct caller c = call(&s);
    char head[128], *data = malloc(BIG);
    char length[32];

    memset(data, 'p', BIG);
    snprintf(head, sizeof head,
             "POST /count HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", BIG);
    expect_tls_write(c.conn, head);
    EXPECT_EQ(rn_tls_write(NULL, c.conn, data, BIG), BIG);
    snprintf(length, sizeof length, "%d", BIG);
    expect_answer(&c, length);
    free(data);
    /* HTTP/1.0: until the end of the connection, which must be said. */
    expect_tls_write(c.conn, "GET /big HTTP/1.0\r\n\r\n");
    expect_head(&c, "HTTP/1.1 200 OK");
    for (size_t left = BIG; left > 0;) {
        const char *bytes;
        ssize_t n = rn_reader_peek(NULL, c.in, left < 8192 ? left : 8192, &bytes);
        EXPECT(n > 0 && bytes[0] == 'b' && bytes[n - 1] == 'b');
        EXPECT_OK(rn_reader_discard(NULL, c.in, (size_t)n));
        left -= (size_t)n;
    }
    expect_tls_end(c.conn);
    hang_up(&c);
    site_free(&s);
}

TEST_FIBER(the_certificate_changes_while_it_serves)
{
    struct site s;
    site_new(&s);
    struct caller old = call(&s), new;
    rn_tls_info info;

    identity_renew(
        &s.world.identity,
        &(struct wish){.name = "renewed", .alt = "IP:127.0.0.1", .issuer = &s.world.authority});
    EXPECT_OK(rn_tls_server_reload(s.world.server));
    new = call(&s);
    EXPECT_OK(rn_tls_info_read(new.conn, &info));
    EXPECT_STR(info.peer, "CN=renewed,O=runnel");
    EXPECT_STR(info.alpn, "");
    expect_tls_write(old.conn, "GET /hello/old HTTP/1.1\r\nHost: localhost\r\n\r\n");
    expect_answer(&old, "Hello, old!\n");
    expect_tls_write(new.conn, "GET /hello/new HTTP/1.1\r\nHost: localhost\r\n\r\n");
    expect_answer(&new, "Hello, new!\n");
    hang_up(&old);
    hang_up(&new);
    site_free(&s);
}

TEST_FIBER(a_shutdown_says_goodbye_to_idle_connections)
{
    struct site s;
    site_new(&s);
    struct caller c = call(&s);

    expect_tls_write(c.conn, "GET /hello/you HTTP/1.1\r\nHost: localhost\r\n\r\n");
    expect_answer(&c, "Hello, you!\n");
    site_free(&s);
    expect_tls_end(c.conn);
    hang_up(&c);
}

TEST_FIBER(who_does_not_speak_tls_is_counted)
{
    struct site s;
    site_new(&s);
    rn_http_server_stats stats;
    rn_fd fd;
    char byte;

    EXPECT_OK(rn_dial(NULL, s.listener.at, NULL, &fd));
    expect_write(fd, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    while (rn_fd_read(NULL, fd, &byte, 1) > 0)
        continue; /* an alert */
    rn_fd_close(fd);
    EXPECT_OK(rn_http_server_shutdown(NULL, s.server));
    rn_http_server_stats_read(s.server, &stats);
    EXPECT_EQ(stats.refused[RN_HTTP_HANDSHAKE], 1);
    EXPECT_EQ(stats.requests, 0);
    site_free(&s);
}

/* ---- curl ---- */

TEST_FIBER(curl_fetches_over_https)
{
    struct site s;
    site_new(&s);
    char one[200], two[200], *text;
    size_t size;
    rn_process_status status;

    snprintf(one, sizeof one, "https://%s/hello/curl", s.listener.at);
    snprintf(two, sizeof two, "https://%s/big", s.listener.at);
    char *const argv[] = {"sh",
                          "-c",
                          "command -v curl >/dev/null || { echo none; exit; }\n"
                          "curl -sSk \"$0\" && curl -sSk \"$0\" \"$0\" && curl -sSk \"$1\" | wc -c",
                          one,
                          two,
                          NULL};
    EXPECT_OK(
        rn_process_output(NULL, &(rn_process_options){.argv = argv}, 0, &text, &size, &status));
    EXPECT_EQ(status.code, 0);
    if (strcmp(text, "none\n") != 0)
        EXPECT_STR(text, "Hello, curl!\nHello, curl!\nHello, curl!\n3145728\n");
    free(text);
    site_free(&s);
}
