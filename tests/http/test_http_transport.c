/* A server behind a transport: everything goes through it, and it is closed once. */
#include "http.h"

#include "http/response.h"

#include <runnel/http.h>
#include <stdatomic.h>

#define GET "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

/* Turns the case of letters both ways, after a greeting: nothing passes by it unnoticed. */
struct turned {
    rn_fd fd;
    char held[32]; /* bytes that were read ahead, as TLS has them */
    size_t begin, end;
    int greeting;
};

static atomic_int opened, closed;

static char turn(char c)
{
    return (char)((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ? c ^ 32 : c);
}

static int turned_open(rn_ctx *ctx, void *arg, rn_fd conn, void **stream)
{
    struct turned *t = calloc(1, sizeof *t);
    char greeting[5];

    EXPECT_STR(arg, "arg");
    ssize_t n = rn_fd_read_full(ctx, conn, greeting, 5);
    if (n != 5 || memcmp(greeting, "hello", 5) != 0) {
        free(t);
        return n < 0 ? (int)n : -EPROTO;
    }
    t->fd = conn;
    t->greeting = 5;
    *stream = t;
    atomic_fetch_add(&opened, 1);
    return 0;
}

static ssize_t turned_read(rn_ctx *ctx, void *stream, void *buffer, size_t size)
{
    struct turned *t = stream;
    size_t n;

    if (t->begin == t->end) {
        ssize_t got = rn_fd_read(ctx, t->fd, t->held, sizeof t->held);
        if (got <= 0)
            return got;
        t->begin = 0;
        t->end = (size_t)got;
    }
    for (n = 0; n < size && t->begin < t->end; n++)
        ((char *)buffer)[n] = turn(t->held[t->begin++]);
    return (ssize_t)n;
}

static ssize_t turned_writev(rn_ctx *ctx, void *stream, const struct iovec *parts, size_t n)
{
    struct turned *t = stream;
    size_t all = 0;

    for (size_t i = 0; i < n; i++)
        for (size_t at = 0; at < parts[i].iov_len; at += 1000) {
            char piece[1000];
            size_t size = parts[i].iov_len - at < 1000 ? parts[i].iov_len - at : 1000;
            for (size_t k = 0; k < size; k++)
                piece[k] = turn(((char *)parts[i].iov_base)[at + k]);
            ssize_t sent = rn_fd_write(ctx, t->fd, piece, size);
            if (sent < 0)
                return all > 0 ? (ssize_t)all : sent;
            all += (size_t)sent;
        }
    return (ssize_t)all;
}

static size_t turned_buffered(void *stream)
{
    struct turned *t = stream;
    return t->end - t->begin;
}

static void turned_close(rn_ctx *ctx, void *stream)
{
    struct turned *t = stream;

    EXPECT_EQ(t->greeting, 5);
    rn_fd_write(ctx, t->fd, "bye", 3);
    atomic_fetch_add(&closed, 1);
    free(t);
}

static const rn_transport turned = {turned_open,     turned_read,  turned_writev,
                                    turned_buffered, turned_close, "arg"};

static struct site site;

static int show_stream(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    struct turned *t = rn_http_stream(req);

    (void)arg;
    EXPECT(t != NULL && t->greeting == 5);
    return rn_http_printf(ctx, res, "ok");
}

/* A file with a known pattern, in pieces. */
static int send_file(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    rn_fd *file = arg;

    (void)req;
    int err = response_head(ctx, res, 150000);
    if (err == 0)
        err = response_send_file(ctx, res, *file, 0, 50000);
    return err == 0 ? response_send_file(ctx, res, *file, 50000, 100000) : err;
}

static void file_site(const rn_transport *transport, rn_fd *file)
{
    char name[] = "/tmp/runnel-http-XXXXXX";
    int number = mkstemp(name);

    EXPECT(number >= 0);
    unlink(name);
    for (int i = 0; i < 20000; i++)
        EXPECT_EQ(dprintf(number, "%07d\n", i), 8);
    EXPECT_OK(rn_fd_open(file, number));
    site_new(&site, &(rn_http_server_config){.transport = transport});
    EXPECT_OK(rn_http_route(site.server, "GET", "/", show_stream, NULL));
    EXPECT_OK(rn_http_route(site.server, "POST", "/", answer_echo, NULL));
    EXPECT_OK(rn_http_route(site.server, "GET", "/file", send_file, file));
    site_start(&site);
}

static void turn_text(char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        text[i] = turn(text[i]);
}

static void send_turned(rn_fd fd, const char *text)
{
    size_t size = strlen(text);
    char *copy = strdup(text);

    turn_text(copy, size);
    send_bytes(fd, copy, size);
    free(copy);
}

TEST_FIBER(everything_goes_through_it)
{
    rn_fd file;

    file_site(&turned, &file);
    rn_fd fd = dial(&site);
    send_text(fd, "hello");
    send_turned(fd, GET);
    send_turned(fd, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" GET
                    "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    struct heard heard = hear_all(fd);
    EXPECT_STR(heard.text + heard.size - 3, "bye");
    turn_text(heard.text, heard.size - 3);
    drop_dates(heard.text);
    EXPECT_STR(heard.text, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
                           "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
                           "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
                           "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
                           "bye");
    free(heard.text);
    rn_fd_close(fd);
    site_stop(&site);
    rn_fd_close(file);
    EXPECT_EQ(atomic_load(&opened), 1);
    EXPECT_EQ(atomic_load(&closed), 1);
}

TEST_FIBER(a_handshake_that_fails)
{
    rn_fd file;
    rn_http_server_stats stats;

    file_site(&turned, &file);
    rn_fd fd = dial(&site);
    send_text(fd, "holla");
    struct heard heard = hear_all(fd);
    EXPECT_STR(heard.text, "");
    free(heard.text);
    rn_fd_close(fd);
    rn_http_server_stats_read(site.server, &stats);
    EXPECT_EQ(stats.refused[RN_HTTP_HANDSHAKE], 1);
    site_stop(&site);
    rn_fd_close(file);
    EXPECT_EQ(atomic_load(&opened), 0);
    EXPECT_EQ(atomic_load(&closed), 0);
}

TEST_VIRTUAL(a_handshake_that_takes_too_long)
{
    site_new_at_once(&site, &(rn_http_server_config){.transport = &turned});
    site_start(&site);
    rn_fd fd = dial(&site);
    send_text(fd, "hel");
    rn_time begin = rn_now();
    struct heard heard = hear_all(fd);
    EXPECT_EQ(rn_now() - begin, 10 * RN_SECOND);
    free(heard.text);
    rn_fd_close(fd);
    site_stop(&site);
}

static void shut_down(void *arg)
{
    EXPECT_OK(rn_http_server_shutdown(NULL, site.server));
    rn_wait_group_done(arg);
}

/* As one that sends nothing: it has 5 s, and whoever is done by then is served. */
TEST_VIRTUAL(a_handshake_does_not_hold_up_a_shutdown)
{
    rn_wait_group down = {0};
    rn_http_server_stats stats;

    site_new_at_once(&site, &(rn_http_server_config){.transport = &turned});
    EXPECT_OK(rn_http_route(site.server, "GET", "/", show_stream, NULL));
    site_start(&site);
    rn_time begin = rn_now();
    rn_fd silent = dial(&site), slow = dial(&site);
    send_text(slow, "hel");
    rn_sleep(NULL, 2 * RN_SECOND);
    rn_wait_group_add(&down, 1);
    EXPECT_OK(rn_go(shut_down, &down));
    rn_sleep(NULL, 2 * RN_SECOND);
    send_text(slow, "lo");
    send_turned(slow, GET);
    hear_until(slow, "\r\n\r\nOK");
    rn_fd_close(slow);
    struct heard heard = hear_all(silent);
    EXPECT_STR(heard.text, "");
    EXPECT_EQ(rn_now() - begin, 5 * RN_SECOND);
    free(heard.text);
    rn_fd_close(silent);
    rn_wait_group_wait(NULL, &down);
    rn_http_server_stats_read(site.server, &stats);
    EXPECT_EQ(stats.refused[RN_HTTP_HANDSHAKE], 0);
    site_stop(&site);
    EXPECT_EQ(atomic_load(&opened), 1);
    EXPECT_EQ(atomic_load(&closed), 1);
}

TEST_FIBER(idle_ones_are_closed_with_a_goodbye)
{
    rn_fd file;

    file_site(&turned, &file);
    rn_fd fd = dial(&site);
    send_text(fd, "hello");
    send_turned(fd, GET);
    hear_until(fd, "\r\n\r\nOK");
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, 10 * RN_MILLISECOND);
    int err = rn_http_server_shutdown(ctx, site.server); /* lingers, as long as we stay */
    EXPECT(err == 0 || err == -ETIMEDOUT);
    rn_ctx_release(ctx);
    struct heard heard = hear_all(fd);
    EXPECT(heard.size >= 3);
    EXPECT_STR(heard.text + heard.size - 3, "bye");
    free(heard.text);
    rn_fd_close(fd);
    site_stop(&site);
    rn_fd_close(file);
    EXPECT_EQ(atomic_load(&closed), 1);
}

/* ---- a transport that needs no memory for its streams ---- */

static int bare_open(rn_ctx *ctx, void *arg, rn_fd conn, void **stream)
{
    (void)ctx;
    *(rn_fd *)arg = conn;
    *stream = NULL;
    atomic_fetch_add(&opened, 1);
    return 0;
}

static rn_fd bare; /* the one connection */

static ssize_t bare_read(rn_ctx *ctx, void *stream, void *buffer, size_t size)
{
    EXPECT(stream == NULL);
    return rn_fd_read(ctx, bare, buffer, size);
}

static ssize_t bare_writev(rn_ctx *ctx, void *stream, const struct iovec *parts, size_t n)
{
    EXPECT(stream == NULL);
    return rn_fd_writev(ctx, bare, parts, n);
}

static size_t bare_buffered(void *stream)
{
    EXPECT(stream == NULL);
    return 0;
}

static void bare_close(rn_ctx *ctx, void *stream)
{
    EXPECT(stream == NULL);
    rn_fd_write(ctx, bare, "bye", 3);
    atomic_fetch_add(&closed, 1);
}

static const rn_transport bare_transport = {bare_open,     bare_read,  bare_writev,
                                            bare_buffered, bare_close, &bare};

/* Also when it goes on another fiber, after a while of silence. */
TEST_VIRTUAL(a_stream_may_be_NULL)
{
    site_new_at_once(&site, &(rn_http_server_config){.transport = &bare_transport});
    EXPECT_OK(rn_http_route(site.server, "GET", "/", answer_text, "ok"));
    site_start(&site);
    rn_fd fd = dial(&site);
    for (int i = 0; i < 3; i++) {
        send_text(fd, GET);
        hear_until(fd, "\r\n\r\nok");
        rn_sleep(NULL, 5 * RN_SECOND);
    }
    rn_net_close_write(fd);
    struct heard heard = hear_all(fd);
    EXPECT_STR(heard.text, "bye");
    free(heard.text);
    rn_fd_close(fd);
    site_stop(&site);
    EXPECT_EQ(atomic_load(&opened), 1);
    EXPECT_EQ(atomic_load(&closed), 1);
}

/* ---- files, with and without a transport ---- */

static void expect_file(const char *body, size_t size)
{
    EXPECT_EQ(size, 150000);
    for (size_t i = 0; i < size / 8; i++) {
        char line[16];
        snprintf(line, sizeof line, "%07zu\n", i);
        EXPECT_EQ(memcmp(body + 8 * i, line, 8), 0);
    }
}

#define GET_FILE "GET /file HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

TEST_FIBER(files_through_it)
{
    rn_fd file;

    file_site(&turned, &file);
    rn_fd fd = dial(&site);
    send_text(fd, "hello");
    send_turned(fd, GET_FILE);
    struct heard heard = hear_all(fd);
    turn_text(heard.text, heard.size - 3);
    char *body = strstr(heard.text, "\r\n\r\n") + 4;
    expect_file(body, heard.size - 3 - (size_t)(body - heard.text));
    free(heard.text);
    rn_fd_close(fd);
    site_stop(&site);
    rn_fd_close(file);
}

static int plain_file(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    EXPECT_EQ(response_send_file(ctx, res, *(rn_fd *)arg, 0, 1), -EBUSY);
    return send_file(ctx, req, res, arg);
}

TEST_FIBER(files_on_a_plain_socket)
{
    rn_fd file, pipe_end = {0};

    file_site(NULL, &file);
    site_stop(&site);
    site_new(&site, NULL);
    EXPECT_OK(rn_http_route(site.server, "GET", "/file", plain_file, &file));
    EXPECT_OK(rn_http_route(site.server, "GET", "/none", send_file, &pipe_end));
    site_start(&site);
    char *heard = exchange(&site, GET_FILE), *body = strstr(heard, "\r\n\r\n") + 4;
    expect_file(body, strlen(body));
    free(heard);
    EXPECT_ANSWER(&site, "HEAD /file HTTP/1.1\r\nHost: x\r\n\r\n",
                  "HTTP/1.1 200 OK\r\nContent-Length: 150000\r\n\r\n");
    EXPECT_ANSWER(&site, "GET /none HTTP/1.1\r\nHost: x\r\n\r\n" GET_FILE,
                  "HTTP/1.1 200 OK\r\nContent-Length: 150000\r\n\r\n");
    site_stop(&site);
    rn_fd_close(file);
}
