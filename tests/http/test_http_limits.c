/* Limits of size, number and time: what is beyond them is refused, and what is within is not. */
#include "http.h"

#include <runnel/http.h>
#include <sys/resource.h>

static struct site site;

static void limited_site(const rn_http_server_config *config)
{
    site_new(&site, config);
    EXPECT_OK(rn_http_route(site.server, "GET", "/", answer_text, "ok"));
    EXPECT_OK(rn_http_route(site.server, "POST", "/", answer_echo, NULL));
    site_start(&site);
}

TEST_FIBER(configurations)
{
    static const rn_transport lacking;
    static const rn_http_server_config wrong[] = {
        {.header_timeout = -1},        {.read_timeout = -1},        {.write_timeout = -1},
        {.idle_timeout = -1},          {.header_bytes_max = 40000}, {.target_bytes_max = 40000},
        {.header_count_max = 1 << 20}, {.transport = &lacking},
    };
    rn_http_server *s;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        EXPECT_EQ(rn_http_server_new(&s, &wrong[i]), -EINVAL);
        EXPECT(s == NULL);
        EXPECT(strstr(rn_error_detail(), "http server: .") != NULL);
    }
    rn_http_server_free(NULL);
}

/* ---- sizes ---- */

/* A request whose target, or a field of it, has so many bytes. */
static char *make_request(size_t target, size_t fields, size_t field_bytes)
{
    char *text = malloc(target + fields * (field_bytes + 8) + 64), *at = text;

    at += sprintf(at, "GET /?");
    memset(at, 't', target - 2);
    at += target - 2;
    at += sprintf(at, " HTTP/1.1\r\nHost: x\r\n");
    for (size_t i = 0; i < fields; i++) {
        at += sprintf(at, "F: ");
        memset(at, 'f', field_bytes);
        at += field_bytes;
        at += sprintf(at, "\r\n");
    }
    strcpy(at, "\r\n");
    return text;
}

static void expect_limit(size_t target, size_t fields, size_t field_bytes, int status)
{
    char *request = make_request(target, fields, field_bytes);
    EXPECT_STATUS(&site, request, status);
    free(request);
}

TEST_FIBER(targets)
{
    limited_site(NULL);
    expect_limit(8191, 0, 0, 200);
    expect_limit(8192, 0, 0, 200);
    expect_limit(8193, 0, 0, 414);
    expect_limit(8300, 0, 0, 414);
    expect_limit(30000, 0, 0, 414);
    site_stop(&site);
    limited_site(&(rn_http_server_config){.target_bytes_max = 100});
    expect_limit(100, 0, 0, 200);
    expect_limit(101, 0, 0, 414);
    expect_limit(200, 0, 0, 414);
    site_stop(&site);
}

TEST_FIBER(bytes_of_fields)
{
    limited_site(NULL);
    expect_limit(2, 1, 16000, 200);
    expect_limit(2, 1, 17000, 431);
    expect_limit(2, 16, 1000, 200);
    expect_limit(2, 17, 1000, 431);
    expect_limit(8000, 16, 1000, 200);
    site_stop(&site);
    limited_site(&(rn_http_server_config){.header_bytes_max = 32768, .target_bytes_max = 32768});
    expect_limit(32000, 32, 1000, 200);
    site_stop(&site);
}

TEST_FIBER(number_of_fields)
{
    limited_site(NULL);
    expect_limit(2, 99, 1, 200);
    expect_limit(2, 100, 1, 431);
    site_stop(&site);
    limited_site(&(rn_http_server_config){.header_count_max = 1000});
    expect_limit(2, 999, 1, 200);
    expect_limit(2, 1000, 1, 431);
    site_stop(&site);
}

/* A head that never ends is refused as soon as it is too long. */
TEST_FIBER(heads_without_an_end)
{
    limited_site(&(rn_http_server_config){.target_bytes_max = 500, .header_bytes_max = 500});
    rn_fd fd = dial(&site);
    char *request = make_request(1000, 0, 0);
    send_bytes(fd, request, 900);
    hear_until(fd, "HTTP/1.1 414 URI Too Long\r\n");
    rn_fd_close(fd);
    free(request);
    fd = dial(&site);
    request = make_request(2, 1, 1000);
    send_bytes(fd, request, 900);
    hear_until(fd, "HTTP/1.1 431 Request Header Fields Too Large\r\n");
    rn_fd_close(fd);
    free(request);
    site_stop(&site);
}

#define POST(fields) "POST / HTTP/1.1\r\nHost: x\r\n" fields "\r\n"

TEST_FIBER(bodies)
{
    rn_http_server_stats stats;

    limited_site(&(rn_http_server_config){.body_bytes_max = 10});
    EXPECT_STATUS(&site, POST("Content-Length: 10\r\n") "0123456789", 200);
    EXPECT_STATUS(&site, POST("Content-Length: 11\r\n") "0123456789a", 413);
    EXPECT_STATUS(&site, POST("Content-Length: 99999999999\r\n"), 413);
    EXPECT_STATUS(
        &site, POST("Transfer-Encoding: chunked\r\n") "5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n", 200);
    EXPECT_STATUS(&site,
                  POST("Transfer-Encoding: chunked\r\n") "5\r\n01234\r\n6\r\n56789a\r\n0\r\n\r\n",
                  413);
    EXPECT_STATUS(&site, POST("Transfer-Encoding: chunked\r\n") "fffffffffffffff\r\n", 413);
    rn_http_server_stats_read(site.server, &stats);
    EXPECT_EQ(stats.refused[RN_HTTP_LARGE_BODY], 4);
    site_stop(&site);
}

/* A handler that says something itself of a body that is too long, in the way of the query. */
static int accept_anyway(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    char *data;
    const char *how = rn_http_query(req);

    (void)arg;
    EXPECT_EQ(rn_http_read_all(ctx, req, &data), -EMSGSIZE);
    if (strcmp(how, "silent") != 0)
        EXPECT_OK(rn_http_status(res, 202));
    return strcmp(how, "failed") == 0 ? -EMSGSIZE : 0;
}

TEST_FIBER(a_status_of_the_handler_stands)
{
    site_new(&site, &(rn_http_server_config){.body_bytes_max = 10});
    EXPECT_OK(rn_http_route(site.server, "POST", "/", accept_anyway, NULL));
    site_start(&site);
    EXPECT_ANSWER(&site, POST("Content-Length: 11\r\n") "0123456789a",
                  "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    EXPECT_STATUS(
        &site, "POST /?silent HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n0123456789a", 413);
    EXPECT_STATUS(
        &site, "POST /?failed HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n0123456789a", 413);
    site_stop(&site);
}

/* A client that waits for permission is refused before it sends anything. */
TEST_FIBER(a_large_body_is_not_asked_for)
{
    limited_site(&(rn_http_server_config){.body_bytes_max = 10});
    rn_fd fd = dial(&site);
    send_text(fd, POST("Content-Length: 11\r\nExpect: 100-continue\r\n"));
    struct heard heard = hear_all(fd);
    EXPECT(strncmp(heard.text, "HTTP/1.1 413 ", 13) == 0);
    free(heard.text);
    rn_fd_close(fd);
    site_stop(&site);
}

/* One that sends everything before it looks gets the answer all the same. */
TEST_FIBER(a_large_body_is_refused_though_it_is_sent)
{
    static char piece[1 << 16];

    limited_site(NULL);
    rn_fd fd = dial(&site);
    send_text(fd, POST("Content-Length: 16777216\r\n"));
    for (int i = 0; i < 256; i++)
        send_bytes(fd, piece, sizeof piece);
    struct heard heard = hear_all(fd);
    EXPECT_EQ(heard.end, 0);
    EXPECT(strncmp(heard.text, "HTTP/1.1 413 ", 13) == 0);
    free(heard.text);
    rn_fd_close(fd);
    site_stop(&site);
}

static int take_more(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    rn_http_body_limit(req, strtoull(rn_http_query(req), NULL, 10));
    return answer_echo(ctx, req, res, arg);
}

TEST_FIBER(a_route_has_a_limit_of_its_own)
{
    site_new(&site, &(rn_http_server_config){.body_bytes_max = 10});
    EXPECT_OK(rn_http_route(site.server, "POST", "/", take_more, NULL));
    site_start(&site);
    EXPECT_STATUS(&site, "POST /?12 HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\n0123456789ab",
                  200);
    EXPECT_STATUS(&site, "POST /?5 HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n012345", 413);
    site_stop(&site);
}

TEST_FIBER(extensions_and_trailers)
{
    char *request = malloc(40000), *at;

    limited_site(&(rn_http_server_config){.header_count_max = 10});
    at = request + sprintf(request, POST("Transfer-Encoding: chunked\r\n") "3;");
    memset(at, 'x', 5000);
    strcpy(at + 5000, "\r\nabc\r\n0\r\n\r\n");
    EXPECT_STATUS(&site, request, 400);
    at = request + sprintf(request, POST("Transfer-Encoding: chunked\r\n") "0\r\nA: ");
    memset(at, 'x', 17000);
    strcpy(at + 17000, "\r\n\r\n");
    EXPECT_STATUS(&site, request, 400);
    at = request + sprintf(request, POST("Transfer-Encoding: chunked\r\n") "0\r\n");
    for (int i = 0; i < 11; i++)
        at += sprintf(at, "A: b\r\n");
    strcpy(at, "\r\n");
    EXPECT_STATUS(&site, request, 400);
    free(request);
    site_stop(&site);
}

/* A chunked body: so many chunks, each with so many bytes of extension and of data. */
static char *make_chunks(size_t chunks, size_t extension, size_t data)
{
    char *text = malloc(chunks * (extension + data + 32) + 128), *at = text;

    at += sprintf(at, POST("Transfer-Encoding: chunked\r\n"));
    for (size_t i = 0; i < chunks; i++) {
        at += sprintf(at, "%zx;", data);
        memset(at, 'x', extension);
        at += extension;
        at += sprintf(at, "\r\n");
        memset(at, 'y', data);
        at += data;
        at += sprintf(at, "\r\n");
    }
    strcpy(at, "0\r\n\r\n");
    return text;
}

static void expect_chunks(size_t chunks, size_t extension, size_t data, int status)
{
    char *request = make_chunks(chunks, extension, data);
    EXPECT_STATUS(&site, request, status);
    free(request);
}

/* A body cannot be longer than it may by what stands between its data. */
TEST_FIBER(extensions_of_a_whole_body)
{
    limited_site(NULL);
    expect_chunks(8, 2000, 1, 200);
    expect_chunks(9, 2000, 1, 400);
    expect_chunks(1000, 17, 1, 200); /* as much as a chunk may have */
    expect_chunks(1000, 100, 1, 400);
    expect_chunks(200, 100, 500, 200); /* signatures, as some clients put them there */
    expect_chunks(20, 4000, 4096, 200);
    site_stop(&site);
}

/* ---- numbers ---- */

TEST_FIBER(requests_of_a_connection)
{
    limited_site(&(rn_http_server_config){.requests_max = 2});
    EXPECT_ANSWER(&site,
                  "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"
                  "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok"
                  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n"
                  "Content-Type: text/plain\r\n\r\nok");
    site_stop(&site);
}

#define GET "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

static void await_accepted(uint64_t n)
{
    rn_http_server_stats stats = {0};

    while (stats.accepted < n) {
        rn_yield();
        rn_http_server_stats_read(site.server, &stats);
    }
    EXPECT_EQ(stats.accepted, n);
}

TEST_FIBER(connections_at_once)
{
    rn_fd fds[3];
    rn_http_server_stats stats;

    limited_site(&(rn_http_server_config){.connections_max = 2});
    for (int i = 0; i < 3; i++) {
        fds[i] = dial(&site);
        send_text(fds[i], GET);
    }
    hear_until(fds[0], "\r\n\r\nok");
    hear_until(fds[1], "\r\n\r\nok");
    rn_http_server_stats_read(site.server, &stats);
    EXPECT_EQ(stats.accepted, 2);
    rn_fd_close(fds[0]);
    hear_until(fds[2], "\r\n\r\nok");
    await_accepted(3);
    rn_fd_close(fds[1]);
    rn_fd_close(fds[2]);
    site_stop(&site);
}

/* Takes every descriptor below the limit but one. */
static int take_descriptors(int *taken, int room)
{
    int n = 0;

    while (n < room && (taken[n] = dup(0)) >= 0)
        n++;
    EXPECT(n > 0 && n < room);
    close(taken[--n]);
    return n;
}

/* When no descriptor is left, the server waits and goes on; nothing is lost. */
TEST_FIBER(no_descriptor_left)
{
    struct rlimit limit, low;
    rn_http_server_stats stats = {0};
    int taken[128], n;

    limited_site(NULL);
    free(exchange(&site, GET)); /* opens what is opened once */
    getrlimit(RLIMIT_NOFILE, &limit);
    low = limit;
    low.rlim_cur = 100;
    setrlimit(RLIMIT_NOFILE, &low);
    n = take_descriptors(taken, 128);
    rn_fd fd = dial(&site); /* the last one: none is left for the server */
    while (stats.accept_errors == 0) {
        rn_yield();
        rn_http_server_stats_read(site.server, &stats);
    }
    setrlimit(RLIMIT_NOFILE, &limit);
    send_text(fd, GET);
    hear_until(fd, "\r\n\r\nok");
    while (n > 0)
        close(taken[--n]);
    rn_fd_close(fd);
    site_stop(&site);
}

/* ---- times ---- */

static void timed_site(const rn_http_server_config *config)
{
    site_new_at_once(&site, config);
    EXPECT_OK(rn_http_route(site.server, "GET", "/", answer_text, "ok"));
    EXPECT_OK(rn_http_route(site.server, "POST", "/", answer_echo, NULL));
    site_start(&site);
}

/* Reads to the end, which must come after `least` and not much later. */
static void expect_end(rn_fd fd, rn_time begin, rn_duration least, rn_duration most,
                       const char *start)
{
    struct heard heard = hear_all(fd);
    rn_duration took = rn_now() - begin;

    if (took < least || took > most)
        test_failed(__FILE__, __LINE__, "after %.3f s", (double)took / RN_SECOND);
    EXPECT_EQ(heard.end, 0);
    EXPECT(strncmp(heard.text, start, strlen(start)) == 0);
    free(heard.text);
    rn_fd_close(fd);
}

TEST_VIRTUAL(a_head_that_comes_too_slowly)
{
    rn_http_server_stats stats;

    timed_site(NULL);
    rn_time begin = rn_now();
    rn_fd fd = dial(&site);
    send_text(fd, "GET / HTTP/1.1\r\n");
    for (int i = 0; i < 9; i++) { /* slowloris: a little each second */
        rn_sleep(NULL, RN_SECOND);
        send_text(fd, "A: b\r\n");
    }
    expect_end(fd, begin, 10 * RN_SECOND, 11 * RN_SECOND, "HTTP/1.1 408 Request Timeout\r\n");
    rn_http_server_stats_read(site.server, &stats);
    EXPECT_EQ(stats.refused[RN_HTTP_SLOW_HEAD], 1);
    site_stop(&site);
}

TEST_VIRTUAL(a_head_that_comes_slowly_enough)
{
    timed_site(NULL);
    rn_fd fd = dial(&site);
    send_text(fd, "GET / HTTP/1.1\r\n");
    rn_sleep(NULL, 9 * RN_SECOND);
    send_text(fd, "Host: x\r\n\r\n");
    hear_until(fd, "\r\n\r\nok");
    rn_fd_close(fd);
    site_stop(&site);
}

TEST_VIRTUAL(a_body_that_stops)
{
    rn_http_server_stats stats;

    timed_site(&(rn_http_server_config){.body_rate_min = RN_HTTP_UNLIMITED});
    rn_fd fd = dial(&site);
    send_text(fd, POST("Content-Length: 30\r\n"));
    for (int i = 0; i < 10; i++) { /* as long as something comes, all is well */
        rn_sleep(NULL, 20 * RN_SECOND);
        send_text(fd, "x");
    }
    rn_time begin = rn_now();
    expect_end(fd, begin, 30 * RN_SECOND, 31 * RN_SECOND, "HTTP/1.1 408 ");
    rn_http_server_stats_read(site.server, &stats);
    EXPECT_EQ(stats.refused[RN_HTTP_SLOW_BODY], 1);
    site_stop(&site);
}

/* A byte a second, until the server has had enough of it; returns when that was. */
static rn_duration trickle(rn_fd fd, int most)
{
    rn_time begin = rn_now();

    for (int i = 0; i < most; i++) {
        rn_sleep(NULL, RN_SECOND);
        if (rn_fd_write(NULL, fd, "x", 1) != 1)
            break;
    }
    return rn_now() - begin;
}

TEST_VIRTUAL(a_body_that_trickles)
{
    rn_http_server_stats stats;

    timed_site(NULL);
    rn_time begin = rn_now();
    rn_fd fd = dial(&site);
    send_text(fd, POST("Content-Length: 100000\r\n"));
    trickle(fd, 30);
    expect_end(fd, begin, 30 * RN_SECOND, 31 * RN_SECOND, "HTTP/1.1 408 ");
    begin = rn_now();
    fd = dial(&site);
    send_text(fd, POST("Transfer-Encoding: chunked\r\n"));
    for (int i = 0; i < 30; i++) {
        rn_sleep(NULL, RN_SECOND);
        send_text(fd, "1\r\nx\r\n");
    }
    expect_end(fd, begin, 30 * RN_SECOND, 31 * RN_SECOND, "HTTP/1.1 408 ");
    rn_http_server_stats_read(site.server, &stats);
    EXPECT_EQ(stats.refused[RN_HTTP_SLOW_BODY], 2);
    site_stop(&site);
}

/* What came quickly is time for what comes slowly, each wait within .read_timeout. */
TEST_VIRTUAL(a_body_may_be_as_slow_as_the_rate)
{
    static const char first[600];

    timed_site(&(rn_http_server_config){.body_rate_min = 10});
    rn_time begin = rn_now();
    rn_fd fd = dial(&site);
    send_text(fd, POST("Content-Length: 100000\r\n"));
    send_bytes(fd, first, sizeof first);
    trickle(fd, 96); /* 60 s for these, 30 s of grace, and 9 s for what comes meanwhile */
    expect_end(fd, begin, 98 * RN_SECOND, 101 * RN_SECOND, "HTTP/1.1 408 ");
    site_stop(&site);
}

TEST_VIRTUAL(a_body_at_any_rate)
{
    timed_site(&(rn_http_server_config){.body_rate_min = RN_HTTP_UNLIMITED});
    rn_fd fd = dial(&site);
    send_text(fd, POST("Content-Length: 100\r\n"));
    EXPECT_EQ(trickle(fd, 100), 100 * RN_SECOND);
    hear_until(fd, "HTTP/1.1 200 OK\r\n");
    rn_fd_close(fd);
    site_stop(&site);
}

/* ---- what is sent after the answer ---- */

/* A connection whose upload was refused, and whose client has read so. */
static rn_fd refused_upload(void)
{
    rn_fd fd = dial(&site);

    send_text(fd, POST("Content-Length: 99999999\r\n"));
    struct heard heard = hear_all(fd);
    EXPECT(strncmp(heard.text, "HTTP/1.1 413 ", 13) == 0);
    free(heard.text);
    return fd;
}

TEST_VIRTUAL(a_refused_upload_goes_on_for_a_while)
{
    rn_time begin = rn_now();

    timed_site(NULL);
    rn_fd fd = refused_upload();
    while (rn_fd_write(NULL, fd, "x", 1) == 1)
        rn_sleep(NULL, RN_SECOND);
    EXPECT(rn_now() - begin >= 30 * RN_SECOND && rn_now() - begin <= 31 * RN_SECOND);
    rn_fd_close(fd);
    site_stop(&site);
}

TEST_VIRTUAL(a_refused_upload_that_stops)
{
    rn_http_server_stats stats;

    timed_site(NULL);
    rn_fd fd = refused_upload();
    rn_sleep(NULL, 4 * RN_SECOND);
    rn_http_server_stats_read(site.server, &stats);
    EXPECT_EQ(stats.connections, 1);
    rn_sleep(NULL, 2 * RN_SECOND);
    rn_http_server_stats_read(site.server, &stats);
    EXPECT_EQ(stats.connections, 0);
    rn_fd_close(fd);
    site_stop(&site);
}

TEST_VIRTUAL(a_refused_upload_does_not_hold_up_a_shutdown)
{
    timed_site(NULL);
    rn_fd fd = refused_upload();
    rn_sleep(NULL, RN_SECOND);
    rn_time begin = rn_now();
    site_stop(&site);
    EXPECT(rn_now() - begin <= RN_SECOND);
    rn_fd_close(fd);
}

TEST_VIRTUAL(idle_connections)
{
    timed_site(NULL);
    rn_time begin = rn_now();
    rn_fd fresh = dial(&site);
    rn_fd fd = dial(&site);
    for (int i = 0; i < 3; i++) {
        send_text(fd, GET);
        hear_until(fd, "\r\n\r\nok");
        rn_sleep(NULL, 50 * RN_SECOND);
    }
    expect_end(fresh, begin, 150 * RN_SECOND, 150 * RN_SECOND, "");
    expect_end(fd, begin, 160 * RN_SECOND, 163 * RN_SECOND, "");
    site_stop(&site);
}

/* The fresh one alone, so that its time is looked at. */
TEST_VIRTUAL(connections_that_say_nothing)
{
    timed_site(&(rn_http_server_config){.idle_timeout = 7 * RN_SECOND});
    expect_end(dial(&site), rn_now(), 7 * RN_SECOND, 8 * RN_SECOND, "");
    site_stop(&site);
}

/* Idle for long, a connection is still there for the next request. */
TEST_VIRTUAL(requests_with_pauses)
{
    timed_site(NULL);
    rn_fd fd = dial(&site);
    for (rn_duration pause = RN_MILLISECOND; pause < 55 * RN_SECOND; pause = pause * 3 / 2) {
        send_text(fd, GET);
        hear_until(fd, "\r\n\r\nok");
        rn_sleep(NULL, pause);
    }
    rn_fd_close(fd);
    site_stop(&site);
}

/* ---- idle connections are small ---- */

static int use_stack(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    volatile char deep[100000];

    (void)req;
    for (size_t i = 0; i < sizeof deep; i += 1000)
        deep[i] = 1;
    *(uint64_t *)arg = rn_fiber_id();
    return rn_http_printf(ctx, res, "ok%d", deep[5000] - 1);
}

/* The fiber with the deep stack is replaced, and nobody notices; while requests come, it stays. */
TEST_VIRTUAL(an_idle_connection_gets_a_small_stack)
{
    uint64_t fiber = 0;

    site_new_at_once(&site, NULL);
    EXPECT_OK(rn_http_route(site.server, "GET", "/", use_stack, &fiber));
    site_start(&site);
    rn_fd fd = dial(&site);
    uint64_t before = 0;
    for (int i = 0; i < 20; i++) {
        send_text(fd, GET);
        hear_until(fd, "ok0");
        EXPECT(before == 0 || before == fiber);
        before = fiber;
        rn_sleep(NULL, 100 * RN_MILLISECOND);
    }
    for (int i = 0; i < 5; i++) {
        rn_sleep(NULL, 12 * RN_SECOND);
        send_text(fd, GET);
        hear_until(fd, "ok0");
        EXPECT(fiber != before);
        before = fiber;
    }
    rn_http_server_stats stats;
    rn_http_server_stats_read(site.server, &stats);
    EXPECT_EQ(stats.accepted, 1);
    rn_fd_close(fd);
    site_stop(&site);
}

/* More than a socket's buffers take at both ends. */
static char large[64 << 20];

static int answer_large(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    (void)req;
    *(int *)arg = rn_http_reply(ctx, res, 200, NULL, large, sizeof large);
    return 0;
}

TEST_VIRTUAL(a_reader_that_stops)
{
    rn_http_server_stats stats;
    int sent = 0;
    static char buffer[300000];

    site_new_at_once(&site, NULL);
    EXPECT_OK(rn_http_route(site.server, "GET", "/", answer_large, &sent));
    site_start(&site);
    rn_fd fd = dial(&site);
    send_text(fd, GET);
    for (int i = 0; i < 10; i++) { /* as long as something is taken, all is well */
        rn_sleep(NULL, 20 * RN_SECOND);
        EXPECT_EQ(rn_fd_read_full(NULL, fd, buffer, sizeof buffer), sizeof buffer);
    }
    EXPECT_EQ(sent, 0);
    rn_sleep(NULL, 90 * RN_SECOND);
    EXPECT_EQ(sent, -ETIMEDOUT);
    rn_http_server_stats_read(site.server, &stats);
    EXPECT_EQ(stats.refused[RN_HTTP_SLOW_READER], 1);
    EXPECT_EQ(stats.connections, 0);
    rn_fd_close(fd);
    site_stop(&site);
}

/* What the log says of the requests, one after the other. */
struct notes {
    rn_http_log line[4];
    int n;
};

static void note(void *arg, const rn_http_log *entry)
{
    struct notes *notes = arg;

    EXPECT(notes->n < 4);
    notes->line[notes->n] = *entry;
    notes->line[notes->n++].target = strcmp(entry->target, "/") == 0 ? "/" : "other";
}

static int answer_larger(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    (void)req, (void)arg;
    rn_sleep(ctx, RN_SECOND); /* so the client has left, in virtual time */
    return rn_http_reply(ctx, res, 200, NULL, large, 5000);
}

/* The log tells what the socket took, not what was to be sent. */
TEST_VIRTUAL(log_of_a_reader_that_stops)
{
    struct notes notes = {.n = 0};
    int sent = 0;

    site_new_at_once(&site, &(rn_http_server_config){.on_request = note, .events_arg = &notes});
    EXPECT_OK(rn_http_route(site.server, "GET", "/", answer_large, &sent));
    site_start(&site);
    rn_fd fd = dial(&site);
    send_text(fd, GET);
    rn_sleep(NULL, 90 * RN_SECOND);
    EXPECT_EQ(notes.n, 1);
    EXPECT_EQ(notes.line[0].err, -ETIMEDOUT);
    EXPECT(notes.line[0].bytes_out > 0 && notes.line[0].bytes_out < sizeof large);
    rn_fd_close(fd);
    site_stop(&site);
}

/* The client has left before the answer is sent, and before that of the request behind it. */
TEST_VIRTUAL(log_of_answers_that_do_not_get_through)
{
    struct notes notes = {.n = 0};

    site_new_at_once(&site, &(rn_http_server_config){.on_request = note, .events_arg = &notes});
    EXPECT_OK(rn_http_route(site.server, "GET", "/", answer_larger, NULL));
    EXPECT_OK(rn_http_route(site.server, "GET", "/quick", answer_text, "ok"));
    site_start(&site);
    rn_fd fd = dial(&site);
    send_text(fd, GET);
    rn_sleep(NULL, RN_MILLISECOND);
    rn_fd_close(fd);
    rn_sleep(NULL, 5 * RN_SECOND);
    EXPECT_EQ(notes.n, 1);
    EXPECT_EQ(notes.line[0].err, -EPIPE);
    EXPECT_EQ(notes.line[0].status, 200);
    EXPECT_EQ(notes.line[0].bytes_out, 0);
    /* The route counts as slow now, so what waits is sent before it is asked. */
    fd = dial(&site);
    send_text(fd, "GET /quick HTTP/1.1\r\nHost: x\r\n\r\n" GET);
    rn_fd_close(fd);
    rn_sleep(NULL, 5 * RN_SECOND);
    EXPECT_EQ(notes.n, 3);
    EXPECT_EQ(notes.line[1].status, 200);
    EXPECT_STR(notes.line[2].target, "/");
    EXPECT_EQ(notes.line[2].status, 0);
    EXPECT_EQ(notes.line[2].err, -EPIPE);
    site_stop(&site);
}

TEST_FIBER(a_reader_that_leaves)
{
    rn_http_server_stats stats = {0};
    int sent = 0;

    site_new(&site, NULL);
    EXPECT_OK(rn_http_route(site.server, "GET", "/", answer_large, &sent));
    site_start(&site);
    rn_fd fd = dial(&site);
    EXPECT_OK(rn_net_set(fd, RN_NET_READ_BUFFER, 65536)); /* so that it does not grow */
    send_text(fd, GET);
    hear_until(fd, "\r\n\r\n");
    rn_net_set(fd, RN_NET_LINGER, 0);
    rn_fd_close(fd);
    while (stats.refused[RN_HTTP_GONE] == 0) {
        rn_yield();
        rn_http_server_stats_read(site.server, &stats);
    }
    site_stop(&site);
    EXPECT(sent == -EPIPE || sent == -ECONNRESET);
}
