/* What handlers learn of a request, and its body in every form it comes in. */
#include "http.h"

#include <runnel/http.h>

static struct site site;

static void request_site(const char *method, const char *pattern, rn_http_handler *fn, void *arg)
{
    site_new(&site, NULL);
    EXPECT_OK(rn_http_route(site.server, method, pattern, fn, arg));
    site_start(&site);
}

/* ---- the head ---- */

static int show_head(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    const char *name, *value;
    rn_address peer;

    (void)arg;
    EXPECT(rn_http_server_of(req) == site.server);
    EXPECT(rn_http_stream(req) == NULL);
    EXPECT(rn_address_parse("127.0.0.1:1", &peer) == 0);
    EXPECT_EQ(rn_http_peer(req)->network, RN_TCP);
    EXPECT(rn_address_port(rn_http_peer(req)) != 0);
    EXPECT(rn_http_header(req, "Absent") == NULL);
    rn_http_printf(ctx, res, "%s|%s|%s|%s|1.%d|%lld", rn_http_method(req), rn_http_target(req),
                   rn_http_path(req), rn_http_query(req), rn_http_minor_version(req),
                   (long long)rn_http_body_size(req));
    for (size_t i = 0; rn_http_header_at(req, i, &name, &value); i++)
        rn_http_printf(ctx, res, "|%s=%s", name, value);
    return rn_http_printf(ctx, res, "|%s", rn_http_header(req, "TWICE"));
}

TEST_FIBER(heads)
{
    request_site("GET", "/{x...}", show_head, NULL);
    char *heard = exchange(&site, "GET /a%20b//c?d=%41&e HTTP/1.1\r\nHost:x\r\nTwice: \t1 \r\n"
                                  "twice:2\r\nEmpty:\r\n\r\n");
    EXPECT_STR(strstr(heard, "\r\n\r\n") + 4,
               "GET|/a%20b//c?d=%41&e|/a b/c|d=%41&e|1.1|0|Host=x|Twice=1|twice=2|Empty=|1");
    free(heard);
    heard = exchange(&site, "GET http://x?q HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_STR(strstr(heard, "\r\n\r\n") + 4, "GET|/?q|/|q|1.1|0|Host=x|(null)");
    free(heard);
    heard = exchange(&site, "GET https://x HTTP/1.0\r\n\r\n");
    EXPECT_STR(strstr(heard, "\r\n\r\n") + 4, "GET|/|/||1.0|0|(null)");
    free(heard);
    site_stop(&site);
}

static int show_query(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    static const char *const names[] = {"a", "b c", "d", "e", "f", "g", ""};

    (void)arg;
    for (int i = 0; i < 7; i++) {
        const char *value = rn_http_query_value(req, names[i]);
        rn_http_printf(ctx, res, "%s;", value == NULL ? "-" : value);
    }
    return 0;
}

TEST_FIBER(query_values)
{
    request_site("GET", "/", show_query, NULL);
    char *heard = exchange(&site, "GET /?a=1+%2B2&a=3&b+c=x%3Dy&d&e=&&f=%zz&=z HTTP/1.1\r\n"
                                  "Host: x\r\n\r\n");
    EXPECT_STR(strstr(heard, "\r\n\r\n") + 4, "1 +2;x=y;;;-;-;z;");
    free(heard);
    heard = exchange(&site, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_STR(strstr(heard, "\r\n\r\n") + 4, "-;-;-;-;-;-;-;");
    free(heard);
    site_stop(&site);
}

/* ---- bodies ---- */

/* Its size, then what a few reads of `arg` bytes give. */
static int show_body(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    size_t size = *(size_t *)arg, all = 0;
    char buffer[5000];
    ssize_t n;

    rn_http_printf(ctx, res, "%lld:", (long long)rn_http_body_size(req));
    EXPECT_EQ(rn_http_read(ctx, req, buffer, 0), 0);
    while ((n = rn_http_read(ctx, req, buffer, size)) > 0) {
        EXPECT((size_t)n <= size);
        rn_http_write(ctx, res, buffer, (size_t)n);
        all += (size_t)n;
    }
    EXPECT_EQ(rn_http_read(ctx, req, buffer, size), n);
    return n < 0 ? (int)n : rn_http_printf(ctx, res, ":%zu", all);
}

static void expect_body(const char *request, const char *expected)
{
    char *heard = exchange(&site, request);
    EXPECT_STR(strstr(heard, "\r\n\r\n") + 4, expected);
    free(heard);
}

#define POST "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"

TEST_FIBER(bodies_in_pieces)
{
    static size_t sizes[] = {1, 2, 3, 7, 5000};

    for (int i = 0; i < 5; i++) {
        request_site("POST", "/", show_body, &sizes[i]);
        expect_body(POST "Content-Length: 11\r\n\r\nhello world", "11:hello world:11");
        expect_body(POST "\r\n", "0::0");
        expect_body(POST "Content-Length: 0\r\n\r\n", "0::0");
        expect_body(POST "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n"
                         "0\r\nTrailer: 1\r\n\r\n",
                    "-1:hello world:11");
        expect_body(POST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "-1::0");
        site_stop(&site);
    }
}

/* A client that sends byte for byte. */
TEST_FIBER(bodies_byte_for_byte)
{
    static const char request[] =
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        "5\r\nhello\r\n006\r\n world\r\n0\r\nA: b\r\n\r\n"
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nend";
    static size_t size = 100;

    request_site("POST", "/", show_body, &size);
    rn_fd fd = dial(&site);
    for (size_t i = 0; i < sizeof request - 1; i++) {
        send_bytes(fd, request + i, 1);
        rn_yield();
    }
    struct heard heard = hear_all(fd);
    drop_dates(heard.text);
    EXPECT_STR(heard.text, "HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n-1:hello world:11"
                           "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\n"
                           "3:end:3");
    free(heard.text);
    rn_fd_close(fd);
    site_stop(&site);
}

static int answer_length(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    char *data;
    ssize_t n = rn_http_read_all(ctx, req, &data);

    (void)arg;
    if (n < 0) {
        EXPECT(data == NULL);
        return (int)n;
    }
    EXPECT_EQ(data[n], 0);
    for (ssize_t i = 0; i < n; i++)
        EXPECT_EQ(data[i], 'a' + i % 23);
    return rn_http_printf(ctx, res, "%zd", n);
}

/* A body of size bytes, in chunks of `chunk` when that is not 0. */
static void send_body(rn_fd fd, size_t size, size_t chunk)
{
    char *body = malloc(size + 1), line[64];

    for (size_t i = 0; i < size; i++)
        body[i] = (char)('a' + i % 23);
    if (chunk == 0) {
        snprintf(line, sizeof line, "Content-Length: %zu\r\n\r\n", size);
        send_text(fd, line);
        send_bytes(fd, body, size);
    } else {
        send_text(fd, "Transfer-Encoding: chunked\r\n\r\n");
        for (size_t at = 0; at < size; at += chunk) {
            size_t n = size - at < chunk ? size - at : chunk;
            snprintf(line, sizeof line, "%zx\r\n", n);
            send_text(fd, line);
            send_bytes(fd, body + at, n);
            send_text(fd, "\r\n");
        }
        send_text(fd, "0\r\n\r\n");
    }
    free(body);
}

TEST_FIBER(whole_bodies)
{
    static const size_t sizes[] = {0, 1, 4095, 4096, 8191, 8192, 8193, 100000, 1 << 20};
    static const size_t chunks[] = {0, 777, 8192, 50000};

    request_site("POST", "/", answer_length, NULL);
    for (int i = 0; i < 9; i++)
        for (int j = 0; j < 4; j++) {
            rn_fd fd = dial(&site);
            char expected[32];
            send_text(fd, POST);
            send_body(fd, sizes[i], chunks[j]);
            struct heard heard = hear_all(fd);
            snprintf(expected, sizeof expected, "%zu", sizes[i]);
            EXPECT_STR(strstr(heard.text, "\r\n\r\n") + 4, expected);
            free(heard.text);
            rn_fd_close(fd);
        }
    site_stop(&site);
}

/* A head that fills the buffer leaves no room in it for chunks. */
TEST_FIBER(chunks_behind_a_large_head)
{
    request_site("POST", "/", answer_length, NULL);
    for (size_t fill = 7900; fill < 8300; fill += 7) {
        rn_fd fd = dial(&site);
        char *field = malloc(fill + 8);
        memset(field, 'f', fill);
        memcpy(field, "F: ", 3);
        memcpy(field + fill, "\r\n", 3);
        send_text(fd, POST);
        send_text(fd, field);
        send_body(fd, 20000, 1000);
        struct heard heard = hear_all(fd);
        EXPECT_STR(strstr(heard.text, "\r\n\r\n") + 4, "20000");
        free(heard.text);
        free(field);
        rn_fd_close(fd);
    }
    site_stop(&site);
}

TEST_FIBER(continue_is_said_when_it_is_awaited)
{
    static size_t size = 100;

    request_site("POST", "/", show_body, &size);
    rn_fd fd = dial(&site);
    send_text(fd, "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\n"
                  "Content-Length: 4\r\n\r\n");
    hear_until(fd, "HTTP/1.1 100 Continue\r\n\r\n");
    send_text(fd, "body");
    hear_until(fd, "4:body:4");
    /* The connection goes on; one that does not wait for it is not told. */
    send_text(fd, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx");
    struct heard heard = hear_all(fd);
    EXPECT(strstr(heard.text, "100 Continue") == NULL);
    free(heard.text);
    rn_fd_close(fd);
    site_stop(&site);
}

/* Begins its answer before it reads, in the way that the query says. */
static int answer_first(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    char *data;

    (void)arg;
    if (strcmp(rn_http_query(req), "reply") == 0) {
        EXPECT_OK(rn_http_reply(ctx, res, 200, NULL, "first", 5));
    } else {
        EXPECT_OK(rn_http_printf(ctx, res, "first"));
        EXPECT_OK(rn_http_flush(ctx, res));
    }
    EXPECT_EQ(rn_http_read_all(ctx, req, &data), 4);
    return strcmp(rn_http_query(req), "reply") == 0 ? 0 : rn_http_printf(ctx, res, "%s", data);
}

TEST_FIBER(continue_is_not_said_within_an_answer)
{
    request_site("POST", "/", answer_first, NULL);
    EXPECT_ANSWER(&site,
                  "POST /?flush HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                  "Content-Length: 4\r\n\r\nbody",
                  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
                  "5\r\nfirst\r\n4\r\nbody\r\n0\r\n\r\n");
    static const char *const hows[] = {"flush", "reply"};
    for (int i = 0; i < 2; i++) {
        char request[128];
        rn_fd fd = dial(&site);
        snprintf(request, sizeof request,
                 "POST /?%s HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                 "Content-Length: 4\r\n\r\n",
                 hows[i]);
        send_text(fd, request);
        hear_until(fd, "\r\n\r\n");
        send_text(fd, "body");
        struct heard heard = hear_all(fd);
        EXPECT(strstr(heard.text, "100 Continue") == NULL);
        EXPECT(strstr(heard.text, "first") != NULL);
        free(heard.text);
        rn_fd_close(fd);
    }
    site_stop(&site);
}

/* Without the body, nobody knows where the next request would begin. */
TEST_FIBER(a_body_that_was_not_asked_for_ends_the_connection)
{
    request_site("POST", "/", answer_text, "no");
    rn_fd fd = dial(&site);
    send_text(fd, "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                  "Content-Length: 4\r\n\r\n");
    struct heard heard = hear_all(fd);
    drop_dates(heard.text);
    EXPECT_STR(heard.text, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n"
                           "Content-Type: text/plain\r\n\r\nno");
    free(heard.text);
    rn_fd_close(fd);
    site_stop(&site);
}

TEST_FIBER(a_short_body_that_nobody_reads_is_passed_over)
{
    request_site("POST", "/", answer_text, "ok");
    char *heard = exchange(&site, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"
                                  "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n");
    EXPECT_STR(heard, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok"
                      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n"
                      "Content-Type: text/plain\r\n\r\nok");
    free(heard);
    site_stop(&site);
}

static void at_once_site(rn_http_handler *fn, void *arg)
{
    site_new_at_once(&site, NULL);
    EXPECT_OK(rn_http_route(site.server, "POST", "/", fn, arg));
    site_start(&site);
}

/* Nobody knows how long it is: whatever the pieces in which it comes, the connection ends. */
TEST_VIRTUAL(chunks_that_nobody_reads_end_the_connection)
{
    static const char refusal[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n"
                                  "Content-Type: text/plain\r\n\r\nok";
    rn_http_server_stats stats;

    at_once_site(answer_text, "ok");
    EXPECT_ANSWER(&site,
                  "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "4\r\nbody\r\n0\r\n\r\nPOST / HTTP/1.1\r\nHost: x\r\n\r\n",
                  refusal);
    rn_fd fd = dial(&site);
    send_text(fd, "POST / HTTP/1.1\r\nHost: x\r\n");
    send_body(fd, 70000, 70000);
    struct heard heard = hear_all(fd);
    drop_dates(heard.text);
    EXPECT_STR(heard.text, refusal);
    free(heard.text);
    rn_fd_close(fd);
    rn_http_server_stats_read(site.server, &stats);
    EXPECT_EQ(stats.refused[RN_HTTP_LARGE_BODY], 0);
    EXPECT_EQ(stats.by_class[2], 2);
    site_stop(&site);
}

/* The answer has begun, and the handler might have read on: the body is passed over. */
static int flush_only(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    (void)req, (void)arg;
    return rn_http_flush(ctx, res);
}

TEST_VIRTUAL(chunks_behind_an_answer_are_passed_over)
{
    rn_http_server_stats stats;

    at_once_site(flush_only, NULL);
    rn_fd fd = dial(&site);
    for (int i = 0; i < 3; i++) {
        send_text(fd, "POST / HTTP/1.1\r\nHost: x\r\n");
        send_body(fd, i < 2 ? 20000 : 70000, 5000);
    }
    struct heard heard = hear_all(fd);
    drop_dates(heard.text);
    EXPECT_STR(heard.text, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
                           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
                           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    free(heard.text);
    rn_fd_close(fd);
    rn_http_server_stats_read(site.server, &stats);
    EXPECT_EQ(stats.refused[RN_HTTP_LARGE_BODY], 0);
    site_stop(&site);
}

/* ---- clients that leave ---- */

static int expect_gone(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    char buffer[100];
    ssize_t n;

    (void)res;
    while ((n = rn_http_read(ctx, req, buffer, sizeof buffer)) > 0)
        ;
    *(ssize_t *)arg = n;
    return (int)n;
}

TEST_FIBER(a_client_that_leaves_in_its_body)
{
    ssize_t n = 0;

    request_site("POST", "/", expect_gone, &n);
    EXPECT_STATUS(&site, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nbody", 400);
    EXPECT_EQ(n, -ECONNRESET);
    EXPECT_STATUS(&site, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbo",
                  400);
    EXPECT_EQ(n, -ECONNRESET);
    site_stop(&site);
}

/* A context of the handler's own ends: the body can be read on, and the connection is kept. */
static int read_in_two(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    rn_ctx *brief = rn_ctx_with_timeout(ctx, RN_SECOND);
    char *data;

    (void)arg;
    EXPECT_EQ(rn_http_read_all(brief, req, &data), -ETIMEDOUT);
    rn_ctx_release(brief);
    EXPECT_EQ(rn_http_read_all(ctx, req, &data), 4);
    return rn_http_printf(ctx, res, "%s", data);
}

TEST_VIRTUAL(a_body_is_read_on_after_a_deadline)
{
    at_once_site(read_in_two, NULL);
    rn_fd fd = dial(&site);
    for (int i = 0; i < 2; i++) {
        send_text(fd, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n");
        rn_sleep(NULL, 2 * RN_SECOND);
        send_text(fd, "body");
        hear_until(fd, "\r\n\r\nbody");
    }
    rn_fd_close(fd);
    site_stop(&site);
}

TEST_FIBER(half_a_head)
{
    rn_http_server_stats stats;

    request_site("GET", "/", answer_text, "ok");
    EXPECT_ANSWER(&site, "GET / HTTP/1.1\r\nHost: x\r\n", "");
    EXPECT_ANSWER(&site, "G", "");
    EXPECT_ANSWER(&site, "", "");
    rn_http_server_stats_read(site.server, &stats);
    EXPECT_EQ(stats.requests, 0);
    EXPECT_EQ(stats.refused[RN_HTTP_GONE], 2);
    site_stop(&site);
}

static int alloc_much(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    (void)arg;
    for (size_t size = 1; size < 300000; size *= 3) {
        char *memory = rn_http_alloc(req, size);
        EXPECT(memory != NULL && (uintptr_t)memory % 16 == 0);
        memset(memory, 1, size);
    }
    EXPECT(rn_http_alloc(req, SIZE_MAX) == NULL);
    return rn_http_printf(ctx, res, "ok");
}

TEST_FIBER(memory_of_a_request)
{
    request_site("GET", "/", alloc_much, NULL);
    expect_body("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "ok");
    site_stop(&site);
}
