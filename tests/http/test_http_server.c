/* The server end to end: bytes in, bytes out. ctest: TIMEOUT=120 */
#include "http.h"

#include <runnel/http.h>

#define HELLO "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello"
#define HELLO_CLOSE                                                                                \
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\nContent-Type: "                  \
    "text/plain\r\n\r\nhello"

static void hello_site(struct site *site)
{
    site_new(site, NULL);
    EXPECT_OK(rn_http_route(site->server, "GET", "/hello", answer_text, "hello"));
    EXPECT_OK(rn_http_route(site->server, "POST", "/echo", answer_echo, NULL));
    site_start(site);
}

TEST_FIBER(answers_a_request)
{
    struct site site;

    hello_site(&site);
    EXPECT_ANSWER(&site, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n", HELLO);
    site_stop(&site);
}

TEST_FIBER(keeps_the_connection)
{
    struct site site;

    hello_site(&site);
    rn_fd fd = dial(&site);
    for (int i = 0; i < 3; i++) {
        send_text(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
        hear_until(fd, "\r\n\r\nhello");
    }
    rn_http_server_stats stats;
    rn_http_server_stats_read(site.server, &stats);
    EXPECT_EQ(stats.accepted, 1);
    EXPECT_EQ(stats.requests, 3);
    rn_fd_close(fd);
    site_stop(&site);
}

TEST_FIBER(answers_pipelined_requests_in_order)
{
    struct site site;

    hello_site(&site);
    EXPECT_ANSWER(&site,
                  "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
                  "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
                  "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                  HELLO "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc" HELLO_CLOSE);
    site_stop(&site);
}

/* ---- pipelined requests and handlers that wait ---- */

static int answer_slowly(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    (void)req, (void)arg;
    rn_sleep(ctx, RN_SECOND);
    return rn_http_printf(ctx, res, "slow");
}

/* An answer does not wait for a handler behind it, once that is known to wait. */
TEST_VIRTUAL(answers_before_a_slow_one)
{
    struct site site;

    site_new_at_once(&site, NULL);
    EXPECT_OK(rn_http_route(site.server, "GET", "/hello", answer_text, "hello"));
    EXPECT_OK(rn_http_route(site.server, "GET", "/slow", answer_slowly, NULL));
    site_start(&site);
    rn_fd fd = dial(&site);
    send_text(fd, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
    hear_until(fd, "\r\n\r\nslow");
    rn_time begin = rn_now();
    send_text(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\nGET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
    hear_until(fd, "\r\n\r\nhello");
    EXPECT_EQ(rn_now(), begin);
    hear_until(fd, "\r\n\r\nslow");
    EXPECT_EQ(rn_now(), begin + RN_SECOND);
    rn_fd_close(fd);
    site_stop(&site);
}

/* Pipelined answers are one write: they come together. */
TEST_FIBER(pipelined_answers_come_together)
{
    struct site site;
    char text[4000] = "", heard[4000];

    hello_site(&site);
    rn_fd fd = dial(&site);
    for (int i = 0; i < 10; i++)
        strcat(text, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    send_text(fd, text);
    ssize_t n = rn_fd_read(NULL, fd, heard, sizeof heard - 1);
    EXPECT(n > 0);
    heard[n] = 0;
    drop_dates(heard);
    EXPECT_EQ(strlen(heard), 10 * strlen(HELLO));
    rn_fd_close(fd);
    site_stop(&site);
}

/* ---- dumps ---- */

TEST_FIBER(dumps_show_the_server)
{
    char text[8192];
    int ends[2];
    struct site site;

    site_new(&site, &(rn_http_server_config){.name = "front door"});
    site_start(&site);
    EXPECT_STATUS(&site, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 404);
    EXPECT_EQ(pipe(ends), 0);
    rn_dump(ends[1]);
    ssize_t n = read(ends[0], text, sizeof text - 1);
    EXPECT(n > 0);
    text[n] = 0;
    EXPECT(strstr(text, "http server \"front door\" [") != NULL);
    EXPECT(strstr(text, "1 requests]") != NULL);
    close(ends[0]);
    close(ends[1]);
    site_stop(&site);
}
