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
