/*
 * What is not exactly as RFC 9112 has it is refused, with the right status, and the connection is
 * closed: nothing that follows on it is taken for a request.
 */
#include "http.h"

#include <runnel/http.h>

/* What would be answered by 200 if it were taken for a request of its own. */
#define SMUGGLED "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"

static void strict_site(struct site *site)
{
    site_new(site, NULL);
    EXPECT_OK(rn_http_route(site->server, NULL, "/", answer_echo, NULL));
    EXPECT_OK(rn_http_route(site->server, NULL, "/smuggled", answer_text, "smuggled"));
    site_start(site);
}

static int count(const char *text, const char *part)
{
    int n = 0;

    for (; (text = strstr(text, part)) != NULL; text++)
        n++;
    return n;
}

/* Refused with the status, in one answer that says that the connection is closed. */
static void expect_refused(struct site *site, const char *bytes, size_t size, int status)
{
    char *all = malloc(size + sizeof SMUGGLED), start[32];

    memcpy(all, bytes, size);
    memcpy(all + size, SMUGGLED, sizeof SMUGGLED);
    char *heard = exchange_bytes(site, all, size + sizeof SMUGGLED - 1);
    snprintf(start, sizeof start, "HTTP/1.1 %d ", status);
    if (strncmp(heard, start, strlen(start)) != 0)
        test_failed(__FILE__, __LINE__, "not %d, but \"%s\", for \"%s\"", status, heard, bytes);
    if (count(heard, "HTTP/1.1 ") != 1 || strstr(heard, "\r\nConnection: close\r\n") == NULL)
        test_failed(__FILE__, __LINE__, "not closed: \"%s\", for \"%s\"", heard, bytes);
    free(heard);
    free(all);
}

#define REFUSED(bytes, status) expect_refused(&site, (bytes), sizeof(bytes) - 1, (status))

/* Accepted, and so is what follows. */
static void expect_accepted(struct site *site, const char *bytes, size_t size)
{
    char *all = malloc(size + sizeof SMUGGLED);

    memcpy(all, bytes, size);
    memcpy(all + size, SMUGGLED, sizeof SMUGGLED);
    char *heard = exchange_bytes(site, all, size + sizeof SMUGGLED - 1);
    if (count(heard, "HTTP/1.1 200 OK\r\n") != 2)
        test_failed(__FILE__, __LINE__, "not 200 twice: \"%s\", for \"%s\"", heard, bytes);
    free(heard);
    free(all);
}

#define ACCEPTED(bytes) expect_accepted(&site, (bytes), sizeof(bytes) - 1)

TEST_FIBER(first_lines)
{
    struct site site;

    strict_site(&site);
    REFUSED("GET / HTTP/1.1 \r\nHost: x\r\n\r\n", 400);
    REFUSED("GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400);
    REFUSED("GET /  HTTP/1.1\r\nHost: x\r\n\r\n", 400);
    REFUSED("GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n", 400);
    REFUSED(" GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400);
    REFUSED("GET /\r\nHost: x\r\n\r\n", 400);
    REFUSED("GET / HTTP/1.1x\r\nHost: x\r\n\r\n", 400);
    REFUSED("GET / HTTP/1.10\r\nHost: x\r\n\r\n", 400);
    REFUSED("GET / HTTP/11\r\nHost: x\r\n\r\n", 400);
    REFUSED("GET / http/1.1\r\nHost: x\r\n\r\n", 400);
    REFUSED("GET / ICE/1.0\r\nHost: x\r\n\r\n", 400);
    REFUSED("G(T / HTTP/1.1\r\nHost: x\r\n\r\n", 400);
    REFUSED("G\0T / HTTP/1.1\r\nHost: x\r\n\r\n", 400);
    REFUSED("GET /\x80 HTTP/1.1\r\nHost: x\r\n\r\n", 400);
    REFUSED("GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n", 400);
    REFUSED("GET /#f HTTP/1.1\r\nHost: x\r\n\r\n", 400);
    REFUSED("GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400);
    REFUSED("GET /%4 HTTP/1.1\r\nHost: x\r\n\r\n", 400);
    REFUSED("GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n", 400);
    REFUSED("GET /a%2f..%2fb HTTP/1.1\r\nHost: x\r\n\r\n", 400);
    REFUSED("GET x HTTP/1.1\r\nHost: x\r\n\r\n", 400);
    REFUSED("GET * HTTP/1.1\r\nHost: x\r\n\r\n", 400);
    ACCEPTED("\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n");
    REFUSED("\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", 400);
    REFUSED("\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", 400);
    site_stop(&site);
}

TEST_FIBER(methods_and_versions)
{
    struct site site;

    strict_site(&site);
    ACCEPTED("DELETE / HTTP/1.1\r\nHost: x\r\n\r\n");
    ACCEPTED("PATCH / HTTP/1.1\r\nHost: x\r\n\r\n");
    REFUSED("BREW / HTTP/1.1\r\nHost: x\r\n\r\n", 501);
    REFUSED("get / HTTP/1.1\r\nHost: x\r\n\r\n", 501);
    REFUSED("CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", 501);
    REFUSED("GET / HTTP/1.2\r\nHost: x\r\n\r\n", 505);
    REFUSED("GET / HTTP/0.9\r\nHost: x\r\n\r\n", 505);
    REFUSED("GET / HTTP/3.0\r\nHost: x\r\n\r\n", 505);
    REFUSED("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505);
    site_stop(&site);
}

TEST_FIBER(targets_with_a_host)
{
    struct site site;

    strict_site(&site);
    ACCEPTED("GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n");
    ACCEPTED("GET HTTP://X HTTP/1.1\r\nHost: x\r\n\r\n");
    REFUSED("GET http://y/ HTTP/1.1\r\nHost: x\r\n\r\n", 400);
    REFUSED("GET http://u@x/ HTTP/1.1\r\nHost: x\r\n\r\n", 400);
    REFUSED("GET http://x:80/ HTTP/1.1\r\nHost: x\r\n\r\n", 400);
    REFUSED("GET http:// HTTP/1.1\r\nHost: x\r\n\r\n", 400);
    ACCEPTED("GET https://x/ HTTP/1.1\r\nHost: x\r\n\r\n");
    ACCEPTED("GET HTTPS://x HTTP/1.1\r\nHost: x\r\n\r\n");
    ACCEPTED("GET http://x?z=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    ACCEPTED("GET http://x/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    REFUSED("GET http://x/ HTTP/1.1\r\n\r\n", 400);
    REFUSED("GET http://y/ HTTP/1.0\r\nHost: x\r\n\r\n", 400);
    REFUSED("GET http://u@x/ HTTP/1.0\r\n\r\n", 400);
    REFUSED("GET http://?z=1 HTTP/1.0\r\n\r\n", 400);
    REFUSED("GET http:///x HTTP/1.0\r\n\r\n", 400);
    REFUSED("GET https:// HTTP/1.1\r\nHost: x\r\n\r\n", 400);
    REFUSED("GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n", 400);
    site_stop(&site);
}

TEST_FIBER(hosts)
{
    struct site site;

    strict_site(&site);
    ACCEPTED("GET / HTTP/1.1\r\nhOST: [::1]:8080\r\n\r\n");
    ACCEPTED("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    REFUSED("GET / HTTP/1.1\r\n\r\n", 400);
    REFUSED("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400);
    REFUSED("GET / HTTP/1.1\r\nHost: \r\n\r\n", 400);
    REFUSED("GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400);
    REFUSED("GET / HTTP/1.1\r\nHost: x\r\nhost: y\r\n\r\n", 400);
    REFUSED("GET / HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n", 400);
    REFUSED("GET / HTTP/1.1\r\nHost: x y\r\n\r\n", 400);
    REFUSED("GET / HTTP/1.1\r\nHost: u@x\r\n\r\n", 400);
    REFUSED("GET / HTTP/1.1\r\nHost: x/y\r\n\r\n", 400);
    site_stop(&site);
}

TEST_FIBER(line_ends)
{
    struct site site;

    strict_site(&site);
    REFUSED("GET / HTTP/1.1\nHost: x\r\n\r\n", 400);
    REFUSED("GET / HTTP/1.1\r\nHost: x\n\r\n", 400);
    REFUSED("GET / HTTP/1.1\r\nHost: x\r\n\n", 400);
    REFUSED("GET / HTTP/1.1\r\nHost: x\n\n", 400);
    REFUSED("GET / HTTP/1.1\rHost: x\r\n\r\n", 400);
    REFUSED("GET / HTTP/1.1\r\nHost: x\rA: b\r\n\r\n", 400);
    REFUSED("GET / HTTP/1.1\r\nHost: x\r\r\n\r\n", 400);
    REFUSED("GET / HTTP/1.1\r\nHost: x\r\n\rA: b\r\n\r\n", 400);
    REFUSED("GET / HTTP/1.1\r\r\nHost: x\r\n\r\n", 400);
    site_stop(&site);
}

TEST_FIBER(fields)
{
    struct site site;

    strict_site(&site);
    ACCEPTED(
        "GET / HTTP/1.1\r\nHost: x\r\nA:\r\nB:\t \r\nC:  c\t\r\nD:d\r\nE: a:b \xc3\xa4\r\n\r\n");
    REFUSED("GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400);
    REFUSED("GET / HTTP/1.1\r\nHost: x\r\nA\t: b\r\n\r\n", 400);
    REFUSED("GET / HTTP/1.1\r\nHost: x\r\n A: b\r\n\r\n", 400);
    REFUSED("GET / HTTP/1.1\r\n A: b\r\nHost: x\r\n\r\n", 400);
    REFUSED("GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", 400);
    REFUSED("GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n\tc\r\n\r\n", 400);
    REFUSED("GET / HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n", 400);
    REFUSED("GET / HTTP/1.1\r\nHost: x\r\nA\r\n\r\n", 400);
    REFUSED("GET / HTTP/1.1\r\nHost: x\r\nA B: c\r\n\r\n", 400);
    REFUSED("GET / HTTP/1.1\r\nHost: x\r\nA\0: c\r\n\r\n", 400);
    REFUSED("GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n", 400);
    REFUSED("GET / HTTP/1.1\r\nHost: x\r\nA: b\x01\r\n\r\n", 400);
    REFUSED("GET / HTTP/1.1\r\nHost: x\r\nA: b\x7f\r\n\r\n", 400);
    REFUSED("GET / HTTP/1.1\r\nHost: x\r\n\x80: b\r\n\r\n", 400);
    REFUSED("GET / HTTP/1.1\r\nHost: x\r\nA(: b\r\n\r\n", 400);
    site_stop(&site);
}

TEST_FIBER(lengths)
{
    struct site site;

    strict_site(&site);
    ACCEPTED("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
    ACCEPTED("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 003\r\n\r\nabc");
    REFUSED("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc", 400);
    REFUSED("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -3\r\n\r\nabc", 400);
    REFUSED("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3 \x0b\r\n\r\nabc", 400);
    REFUSED("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x3\r\n\r\nabc", 400);
    REFUSED("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\nabc", 400);
    REFUSED("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1 2\r\n\r\nabc", 400);
    REFUSED("POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\nabc", 400);
    REFUSED("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\nabc", 400);
    REFUSED("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400);
    REFUSED("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\ncontent-length: 4\r\n\r\nabc", 400);
    REFUSED("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent_Length: 3\r\n"
            "Content-Length : 0\r\n\r\nabc",
            400);
    site_stop(&site);
}

TEST_FIBER(codings)
{
    struct site site;

    strict_site(&site);
#define CODED(coding) "POST / HTTP/1.1\r\nHost: x\r\n" coding "\r\n\r\n0\r\n\r\n"
    ACCEPTED(CODED("Transfer-Encoding: chunked"));
    ACCEPTED(CODED("transfer-encoding: CHUNKED"));
    REFUSED(CODED("Transfer-Encoding: gzip"), 501);
    REFUSED(CODED("Transfer-Encoding: gzip, chunked"), 501);
    REFUSED(CODED("Transfer-Encoding: identity"), 501);
    REFUSED(CODED("Transfer-Encoding: xchunked"), 501);
    REFUSED(CODED("Transfer-Encoding: chunkedx"), 501);
    REFUSED(CODED("Transfer-Encoding: chunked;a=b"), 501);
    REFUSED(CODED("Transfer-Encoding: \x0b"
                  "chunked"),
            400);
    REFUSED(CODED("Transfer-Encoding:"), 501);
    REFUSED(CODED("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), 400);
    REFUSED(CODED("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"), 400);
    REFUSED(CODED("Transfer-Encoding: chunked\r\nContent-Length: 5"), 400);
    REFUSED(CODED("Content-Length: 5\r\nTransfer-Encoding: chunked"), 400);
    REFUSED(CODED("Transfer-Encoding : chunked"), 400);
    REFUSED(CODED("Transfer-Encoding:\r\n chunked"), 400);
    REFUSED("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400);
    site_stop(&site);
}

TEST_FIBER(expectations)
{
    struct site site;

    strict_site(&site);
    ACCEPTED("GET / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n");
    REFUSED("POST / HTTP/1.1\r\nHost: x\r\nExpect: tea\r\nContent-Length: 3\r\n\r\nabc", 417);
    site_stop(&site);
}

#define CHUNKED "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

TEST_FIBER(chunks)
{
    struct site site;

    strict_site(&site);
    ACCEPTED(CHUNKED "3\r\nabc\r\n0\r\n\r\n");
    ACCEPTED(CHUNKED "003;a=\"b\"\r\nabc\r\n0;x\r\nA: b\r\nC:\r\n\r\n");
    ACCEPTED(CHUNKED "A\r\n0123456789\r\n00\r\n\r\n");
    REFUSED(CHUNKED "\r\nabc\r\n0\r\n\r\n", 400);
    REFUSED(CHUNKED "g\r\nabc\r\n0\r\n\r\n", 400);
    REFUSED(CHUNKED "0x3\r\nabc\r\n0\r\n\r\n", 400);
    REFUSED(CHUNKED "+3\r\nabc\r\n0\r\n\r\n", 400);
    REFUSED(CHUNKED " 3\r\nabc\r\n0\r\n\r\n", 400);
    REFUSED(CHUNKED "3 \r\nabc\r\n0\r\n\r\n", 400);
    REFUSED(CHUNKED "3\nabc\r\n0\r\n\r\n", 400);
    REFUSED(CHUNKED "3\r\nabc\n0\r\n\r\n", 400);
    REFUSED(CHUNKED "3\r\nabcd\r\n0\r\n\r\n", 400);
    REFUSED(CHUNKED "3\r\nab\r\n0\r\n\r\n", 400);
    REFUSED(CHUNKED "3\rabc\r\n0\r\n\r\n", 400);
    REFUSED(CHUNKED "3;a\nabc\r\n0\r\n\r\n", 400);
    REFUSED(CHUNKED "3;\0\r\nabc\r\n0\r\n\r\n", 400);
    REFUSED(CHUNKED "0000000000000003\r\nabc\r\n0\r\n\r\n", 400);
    REFUSED(CHUNKED "ffffffffffffffff\r\nabc\r\n0\r\n\r\n", 400);
    REFUSED(CHUNKED "3\r\nabc\r\n0\r\n\n", 400);
    REFUSED(CHUNKED "3\r\nabc\r\n0\r\nA b\r\n\r\n", 400);
    REFUSED(CHUNKED "3\r\nabc\r\n0\r\nA : b\r\n\r\n", 400);
    REFUSED(CHUNKED "3\r\nabc\r\n0\r\nA: b\n\r\n", 400);
    REFUSED(CHUNKED "3\r\nabc\r\n0\r\nA: b\r\n c\r\n\r\n", 400);
    REFUSED(CHUNKED "3\r\nabc\r\n0\r\n: b\r\n\r\n", 400);
    site_stop(&site);
}

TEST_FIBER(refusals_are_counted)
{
    struct site site;
    rn_http_server_stats stats;

    strict_site(&site);
    REFUSED("GET / HTTP/1.1\r\n\r\n", 400);
    REFUSED("GET / HTTP/2.0\r\n\r\n", 505);
    rn_http_server_stats_read(site.server, &stats);
    EXPECT_EQ(stats.refused[RN_HTTP_MALFORMED], 1);
    EXPECT_EQ(stats.refused[RN_HTTP_UNSUPPORTED], 1);
    EXPECT_EQ(stats.by_class[4], 1);
    EXPECT_EQ(stats.by_class[5], 1);
    EXPECT_STR(rn_http_refusal_name(RN_HTTP_MALFORMED), "malformed");
    EXPECT_STR(rn_http_refusal_name(RN_HTTP_REFUSALS), "unknown");
    site_stop(&site);
}
