/* libcurl over TLS, against the library's own server: trust, failures, many at once. */
#include "tls/tls.h"

#include <curl/curl.h>
#include <runnel/curl.h>
#include <runnel/http.h>
#include <runnel/tls.h>

#define AT_ONCE 100
#define BODY_BYTES 1000000
#define URL_BYTES 200

struct site {
    struct world world;
    rn_http_server *server;
    struct server listener;
    rn_group *serving;
    char url[URL_BYTES];
};

static int answer(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    static const char body[BODY_BYTES];
    (void)req, (void)arg;
    return rn_http_reply(ctx, res, 200, "application/octet-stream", body, sizeof body);
}

static int serve(rn_ctx *ctx, void *arg)
{
    struct site *s = arg;
    return rn_http_serve(ctx, s->server, s->listener.fd) == RN_ESHUTDOWN ? 0 : -EIO;
}

static void site_new(struct site *s)
{
    *s = (struct site){.world = world_new(), .listener = server_new()};
    unsetenv("https_proxy"); /* the server is here */
    unsetenv("all_proxy");
    unsetenv("ALL_PROXY");
    EXPECT_OK(rn_http_server_new(
        &s->server, &(rn_http_server_config){.transport = rn_tls_transport(s->world.server)}));
    EXPECT_OK(rn_http_route(s->server, "GET", "/", answer, NULL));
    snprintf(s->url, sizeof s->url, "https://%s/", s->listener.at);
    s->serving = rn_group_new(NULL);
    EXPECT_OK(rn_group_go(s->serving, serve, s));
}

static void site_free(struct site *s)
{
    rn_curl_close_idle(NULL);
    EXPECT_OK(rn_http_server_shutdown(NULL, s->server));
    EXPECT_OK(rn_group_wait(s->serving));
    rn_http_server_free(s->server);
    world_free(&s->world);
}

static int trust(void *easy, void *arg)
{
    struct site *s = arg;
    curl_easy_setopt(easy, CURLOPT_CAINFO, s->world.authority.file.path);
    return 0;
}

static int get_trusting(rn_ctx *ctx, void *arg)
{
    struct site *s = arg;
    rn_curl_response r;
    int err = rn_curl_get(ctx, s->url, &(rn_curl_request){.setup = trust, .arg = s}, &r);
    if (err == 0)
        EXPECT_EQ(r.size, BODY_BYTES);
    rn_curl_response_free(&r);
    return err;
}

TEST_FIBER(a_get_over_tls)
{
    struct site s;
    rn_curl_stats stats;
    site_new(&s);
    for (int i = 0; i < 5; i++)
        EXPECT_OK(get_trusting(NULL, &s));
    rn_curl_stats_read(NULL, &stats);
    EXPECT_EQ(stats.connections, 1);
    site_free(&s);
}

TEST_FIBER(who_is_not_trusted)
{
    struct site s;
    rn_curl_response r;
    site_new(&s);
    EXPECT_EQ(rn_curl_get(NULL, s.url, NULL, &r), RN_ECERT);
    EXPECT_DETAIL("certificate");
    rn_curl_response_free(&r);
    site_free(&s);
}

static int answer_plainly(rn_ctx *ctx, void *arg)
{
    rn_fd conn;
    EXPECT_OK(rn_accept(ctx, *(rn_fd *)arg, &conn));
    expect_write(conn, "HTTP/1.1 400 Bad Request\r\n\r\n");
    char byte;
    while (rn_fd_read(ctx, conn, &byte, 1) > 0)
        continue;
    return rn_fd_close(conn);
}

TEST_FIBER(tls_to_one_who_speaks_none)
{
    struct server plain = server_new();
    rn_group *g = rn_group_new(NULL);
    char url[URL_BYTES];
    rn_curl_response r;
    unsetenv("https_proxy");
    snprintf(url, sizeof url, "https://%s/", plain.at);
    EXPECT_OK(rn_group_go(g, answer_plainly, &plain.fd));
    EXPECT_EQ(rn_curl_get(NULL, url, NULL, &r), RN_ETLS);
    EXPECT_DETAIL("curl: ");
    rn_curl_response_free(&r);
    EXPECT_OK(rn_group_wait(g));
    rn_fd_close(plain.fd);
}

TEST_FIBER(many_over_tls)
{
    struct site s;
    site_new(&s);
    rn_group *g = rn_group_new(NULL);
    for (int i = 0; i < rounds(AT_ONCE); i++)
        EXPECT_OK(rn_group_go(g, get_trusting, &s));
    EXPECT_OK(rn_group_wait(g));
    site_free(&s);
}
