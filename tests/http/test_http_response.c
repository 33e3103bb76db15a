/* Answers in every form: known length, chunks, until the connection closes, and without a body. */
#include "http.h"

#include <runnel/http.h>

static struct site site;

static void response_site(rn_http_handler *fn)
{
    site_new(&site, NULL);
    EXPECT_OK(rn_http_route(site.server, NULL, "/", fn, NULL));
    site_start(&site);
}

#define GET "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
#define GET_OLD "GET / HTTP/1.0\r\n\r\n"
#define HEAD "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"

static int say_nothing(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    (void)ctx, (void)req, (void)res, (void)arg;
    return 0;
}

TEST_FIBER(an_empty_answer)
{
    response_site(say_nothing);
    EXPECT_ANSWER(&site, GET, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    EXPECT_ANSWER(&site, HEAD, "HTTP/1.1 200 OK\r\n\r\n");
    site_stop(&site);
}

static int write_pieces(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    (void)arg;
    (void)req;
    EXPECT(!rn_http_started(res));
    EXPECT_EQ(rn_http_write(ctx, res, "one ", 4), 4);
    EXPECT_EQ(rn_http_printf(ctx, res, "%s ", "two"), 0);
    EXPECT_EQ(rn_http_write(ctx, res, "", 0), 0);
    EXPECT(!rn_http_started(res));
    return rn_http_printf(ctx, res, "three");
}

TEST_FIBER(what_fits_the_buffer_has_a_length)
{
    response_site(write_pieces);
    EXPECT_ANSWER(&site, GET, "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\none two three");
    EXPECT_ANSWER(&site, HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n");
    site_stop(&site);
}

static int stream(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    (void)arg;
    (void)req;
    EXPECT_EQ(rn_http_printf(ctx, res, "one"), 0);
    EXPECT_EQ(rn_http_flush(ctx, res), 0);
    EXPECT(rn_http_started(res));
    EXPECT_EQ(rn_http_status(res, 404), -EBUSY);
    EXPECT_EQ(rn_http_set(res, "A", "b"), -EBUSY);
    EXPECT_EQ(rn_http_reply(ctx, res, 200, NULL, "", 0), -EBUSY);
    EXPECT_EQ(rn_http_flush(ctx, res), 0);
    EXPECT_EQ(rn_http_printf(ctx, res, "two"), 0);
    return rn_http_printf(ctx, res, "three");
}

TEST_FIBER(what_is_flushed_goes_in_chunks)
{
    response_site(stream);
    EXPECT_ANSWER(&site, GET,
                  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "3\r\none\r\n8\r\ntwothree\r\n0\r\n\r\n");
    EXPECT_ANSWER(&site, GET_OLD, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nonetwothree");
    site_stop(&site);
}

/* Never ends by itself; the query says whether it flushes, and what it returns. */
static int write_for_ever(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    ssize_t n = 0;

    (void)arg;
    while (n >= 0) {
        n = rn_http_printf(ctx, res, "more and more\n");
        if (n >= 0 && *rn_http_query(req) == 'f')
            n = rn_http_flush(ctx, res);
    }
    EXPECT_EQ(n, -EPIPE);
    EXPECT(rn_http_started(res));
    EXPECT_EQ(rn_http_write(ctx, res, "x", 1), -EPIPE);
    EXPECT_EQ(rn_http_flush(ctx, res), -EPIPE);
    EXPECT_EQ(rn_http_reply(ctx, res, 200, NULL, "", 0), -EBUSY);
    return strchr(rn_http_query(req), '0') != NULL ? 0 : (int)n;
}

/* The head is all that HEAD gets; the handler ends, and the connection is kept. */
TEST_FIBER(head_of_a_body_without_end)
{
    response_site(write_for_ever);
    EXPECT_ANSWER(&site,
                  "HEAD /?f HTTP/1.1\r\nHost: x\r\n\r\nHEAD /?w HTTP/1.1\r\nHost: x\r\n\r\n"
                  "HEAD /?f0 HTTP/1.1\r\nHost: x\r\n\r\nHEAD /?w0 HTTP/1.1\r\nHost: x\r\n\r\n"
                  "HEAD /?w HTTP/1.0\r\n\r\n",
                  "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"
                  "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"
                  "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    site_stop(&site);
}

/* 100 bytes at once, up to `size` in the query, with Content-Length if there is "known". */
static int write_much(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    size_t size = strtoul(rn_http_query_value(req, "size"), NULL, 10);
    size_t piece = strtoul(rn_http_query_value(req, "piece"), NULL, 10);
    char *bytes = rn_http_alloc(req, piece);

    (void)arg;
    memset(bytes, 'x', piece);
    if (rn_http_query_value(req, "known") != NULL)
        EXPECT_EQ(rn_http_setf(res, "Content-Length", "%zu", size), 0);
    while (size > 0) {
        size_t n = size < piece ? size : piece;
        EXPECT_EQ(rn_http_write(ctx, res, bytes, n), (long long)n);
        size -= n;
    }
    return 0;
}

/* Takes chunks apart; returns the length of all data, which must be "x" only. */
static size_t dechunk(const char *body)
{
    size_t all = 0, n = 1;

    while (n > 0) {
        char *end;
        n = strtoul(body, &end, 16);
        EXPECT(strncmp(end, "\r\n", 2) == 0);
        body = end + 2;
        EXPECT_EQ(strspn(body, "x"), n);
        body += n;
        all += n;
        EXPECT(strncmp(body, "\r\n", 2) == 0);
        body += 2;
    }
    EXPECT_EQ(*body, 0);
    return all;
}

TEST_FIBER(long_bodies)
{
    static const size_t sizes[] = {4095, 4096, 4097, 8192, 20000, 3000000};
    static const size_t pieces[] = {100, 4096, 5000, 1000000};
    char request[128];

    response_site(write_much);
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < 4; j++)
            for (int known = 0; known < 2; known++) {
                snprintf(request, sizeof request,
                         "GET /?size=%zu&piece=%zu%s HTTP/1.1\r\nHost: x\r\n\r\n", sizes[i],
                         pieces[j], known ? "&known" : "");
                char *heard = exchange(&site, request), *body = strstr(heard, "\r\n\r\n") + 4;
                if (strstr(heard, "chunked\r\n") != NULL) {
                    EXPECT(!known);
                    EXPECT_EQ(dechunk(body), sizes[i]);
                } else {
                    EXPECT(known || sizes[i] <= RN_HTTP_BUFFER);
                    EXPECT_EQ(strspn(body, "x"), sizes[i]);
                    EXPECT_EQ(strlen(body), sizes[i]);
                }
                free(heard);
            }
    site_stop(&site);
}

TEST_FIBER(pieces_that_fill_the_buffer)
{
    response_site(write_much);
    EXPECT_ANSWER(&site, "HEAD /?size=4096&piece=10 HTTP/1.1\r\nHost: x\r\n\r\n",
                  "HTTP/1.1 200 OK\r\nContent-Length: 4096\r\n\r\n");
    EXPECT_ANSWER(&site, "HEAD /?size=99999&piece=10&known HTTP/1.1\r\nHost: x\r\n\r\n",
                  "HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n");
    site_stop(&site);
}

static char large[300000];

static int reply_large(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    (void)arg;
    (void)req;
    EXPECT_EQ(rn_http_write(ctx, res, "forget this", 11), 11);
    EXPECT_EQ(rn_http_reply(ctx, res, 201, "text/plain", large, sizeof large), 0);
    EXPECT_EQ(rn_http_write(ctx, res, "more", 4), -EBUSY);
    EXPECT_EQ(rn_http_reply(ctx, res, 200, NULL, NULL, 0), -EBUSY);
    EXPECT_EQ(rn_http_flush(ctx, res), 0);
    return 0;
}

TEST_FIBER(a_large_reply)
{
    memset(large, 'x', sizeof large);
    response_site(reply_large);
    char *heard = exchange(&site, GET GET), *body = strstr(heard, "\r\n\r\n") + 4;
    EXPECT(strncmp(heard, "HTTP/1.1 201 Created\r\nContent-Length: 300000\r\n", 46) == 0);
    EXPECT_EQ(strspn(body, "x"), sizeof large);
    body = strstr(body, "\r\n\r\n") + 4;
    EXPECT_EQ(strlen(body), sizeof large);
    free(heard);
    EXPECT_ANSWER(&site, HEAD,
                  "HTTP/1.1 201 Created\r\nContent-Length: 300000\r\n"
                  "Content-Type: text/plain\r\n\r\n");
    site_stop(&site);
}

/* ---- statuses without a body ---- */

static int answer_status(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    (void)arg;
    EXPECT_EQ(rn_http_status(res, atoi(rn_http_query(req))), 0);
    return rn_http_printf(ctx, res, "nobody reads this");
}

TEST_FIBER(statuses_without_a_body)
{
    response_site(answer_status);
    EXPECT_ANSWER(&site,
                  "GET /?204 HTTP/1.1\r\nHost: x\r\n\r\nGET /?304 HTTP/1.1\r\nHost: x\r\n\r\n"
                  "GET /?205 HTTP/1.1\r\nHost: x\r\n\r\n",
                  "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 304 Not Modified\r\n\r\n"
                  "HTTP/1.1 205 Reset Content\r\nContent-Length: 17\r\n\r\nnobody reads this");
    site_stop(&site);
}

/* ---- fields ---- */

static int set_fields(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    (void)arg;
    (void)req;
    EXPECT_EQ(rn_http_set(res, "A", "1"), 0);
    EXPECT_EQ(rn_http_set(res, "AA", "2"), 0);
    EXPECT_EQ(rn_http_add(res, "a", "3"), 0);
    EXPECT_EQ(rn_http_set(res, "B", "x\r\nInjected: y"), -EINVAL);
    EXPECT_EQ(rn_http_set(res, "B", "x\ny"), -EINVAL);
    EXPECT_EQ(rn_http_set(res, "B", "\x01"), -EINVAL);
    EXPECT_EQ(rn_http_set(res, "B: c\r\nD", "x"), -EINVAL);
    EXPECT_EQ(rn_http_set(res, "", "x"), -EINVAL);
    EXPECT_EQ(rn_http_set(res, "B", NULL), -EINVAL);
    EXPECT_EQ(rn_http_set(res, NULL, "x"), -EINVAL);
    EXPECT_EQ(rn_http_add(res, "B C", "x"), -EINVAL);
    EXPECT_EQ(rn_http_set(res, "Transfer-Encoding", "chunked"), -EINVAL);
    EXPECT_EQ(rn_http_set(res, "Trailer", "x"), -EINVAL);
    EXPECT_EQ(rn_http_set(res, "Connection", "upgrade"), -EINVAL);
    EXPECT_EQ(rn_http_set(res, "Content-Length", "-1"), -EINVAL);
    EXPECT_EQ(rn_http_set(res, "Content-Length", ""), -EINVAL);
    EXPECT_EQ(rn_http_set(res, "Content-Length", "99999999999999999999"), -EINVAL);
    EXPECT_EQ(rn_http_status(res, 199), -EINVAL);
    EXPECT_EQ(rn_http_status(res, 600), -EINVAL);
    EXPECT_EQ(rn_http_setf(res, "C", "%d-%s", 7, "x"), 0);
    EXPECT_EQ(rn_http_set(res, "c", "last"), 0);
    EXPECT_EQ(rn_http_set(res, "Date", "today"), 0);
    EXPECT_EQ(rn_http_redirect(ctx, res, 200, "/"), -EINVAL);
    EXPECT_EQ(rn_http_redirect(ctx, res, 302, "/\r\n"), -EINVAL);
    return rn_http_redirect(ctx, res, 303, "/else");
}

TEST_FIBER(fields_are_checked)
{
    response_site(set_fields);
    char *heard = exchange(&site, GET);
    EXPECT_STR(heard, "HTTP/1.1 303 See Other\r\nContent-Length: 10\r\nA: 1\r\nAA: 2\r\na: 3\r\n"
                      "c: last\r\nDate: today\r\nLocation: /else\r\n"
                      "Content-Type: text/plain; charset=utf-8\r\n\r\nSee Other\n");
    free(heard);
    site_stop(&site);
}

static int set_many(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    char value[1001], name[16];
    int err = 0, n = 0;

    (void)ctx, (void)req, (void)arg;
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = 0;
    for (; err == 0; n++) {
        snprintf(name, sizeof name, "F%d", n);
        err = rn_http_set(res, name, value);
    }
    EXPECT_EQ(err, -ENOMEM);
    EXPECT_EQ(n, 66); /* of 1,007 bytes or so */
    return 0;
}

TEST_FIBER(fields_are_limited)
{
    response_site(set_many);
    char *heard = exchange(&site, GET);
    EXPECT(strstr(heard, "\r\nF63: vvv") != NULL);
    EXPECT(strstr(heard, "v\r\n\r\n") != NULL);
    free(heard);
    site_stop(&site);
}

static int close_it(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    (void)req, (void)arg;
    EXPECT_EQ(rn_http_set(res, "Connection", "close"), 0);
    return rn_http_printf(ctx, res, "bye");
}

TEST_FIBER(a_handler_closes_the_connection)
{
    response_site(close_it);
    EXPECT_ANSWER(&site, GET GET,
                  "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbye");
    site_stop(&site);
}

/* ---- handlers that fail ---- */

static int fail(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    const char *how = rn_http_query(req);

    (void)arg;
    rn_http_set(res, "Half", "done");
    if (strcmp(how, "short") == 0)
        rn_http_set(res, "Content-Length", "9");
    rn_http_printf(ctx, res, "half");
    if (strcmp(how, "long") == 0) {
        rn_http_set(res, "Content-Length", "5");
        EXPECT_EQ(rn_http_write(ctx, res, "xx", 2), -EMSGSIZE);
        EXPECT_EQ(rn_http_write(ctx, res, "x", 1), 1);
        return 0;
    }
    if (strcmp(how, "started") == 0 || strcmp(how, "short") == 0)
        rn_http_flush(ctx, res);
    return strcmp(how, "short") == 0 ? 0 : -EIO;
}

TEST_FIBER(handlers_that_fail)
{
    response_site(fail);
    EXPECT_ANSWER(&site, GET GET,
                  "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 22\r\n"
                  "Content-Type: text/plain; charset=utf-8\r\n\r\nInternal Server Error\n"
                  "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 22\r\n"
                  "Content-Type: text/plain; charset=utf-8\r\n\r\nInternal Server Error\n");
    EXPECT_ANSWER(&site, "GET /?started HTTP/1.1\r\nHost: x\r\n\r\n" GET,
                  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nHalf: done\r\n\r\n"
                  "4\r\nhalf\r\n");
    EXPECT_ANSWER(&site, "GET /?short HTTP/1.1\r\nHost: x\r\n\r\n" GET,
                  "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nHalf: done\r\n\r\nhalf");
    EXPECT_ANSWER(&site, "GET /?long HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                  "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\nHalf: done\r\n"
                  "\r\nhalfx");
    site_stop(&site);
}

/* The answer is whole before the handler fails: it goes out, with those before it. */
static int reply_and_fail(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    const char *how = rn_http_query(req);

    (void)arg;
    if (strcmp(how, "well") != 0 && strcmp(how, "half") != 0)
        EXPECT_EQ(rn_http_reply(ctx, res, 200, NULL, "whole", 5), 0);
    else
        EXPECT_EQ(rn_http_printf(ctx, res, "well"), 0);
    if (strcmp(how, "half") == 0)
        rn_http_flush(ctx, res);
    return strcmp(how, "well") == 0 ? 0 : -EIO;
}

#define WELL "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell"
#define GET_WELL "GET /?well HTTP/1.1\r\nHost: x\r\n\r\n"

TEST_FIBER(finished_answers_outlive_a_failure)
{
    response_site(reply_and_fail);
    EXPECT_ANSWER(&site, GET, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole");
    EXPECT_ANSWER(&site, GET_WELL GET_WELL GET GET_WELL,
                  WELL WELL "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole");
    EXPECT_ANSWER(&site, GET_WELL "GET /?half HTTP/1.1\r\nHost: x\r\n\r\n" GET_WELL,
                  WELL "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwell\r\n");
    site_stop(&site);
}

/* A context of the handler's own has ended: that is nothing wrong with the connection. */
static int write_too_late(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    rn_ctx *own = rn_ctx_with_cancel(ctx);

    (void)arg;
    rn_ctx_cancel(own, 0);
    if (strcmp(rn_http_query(req), "read") == 0) {
        char byte;
        EXPECT_EQ(rn_http_read(own, req, &byte, 1), -ECANCELED);
        EXPECT_EQ(rn_http_error(ctx, res, 504, NULL), 0);
    } else if (strcmp(rn_http_query(req), "write") == 0) {
        EXPECT_EQ(rn_http_printf(ctx, res, "lost"), 0);
        EXPECT_EQ(rn_http_flush(own, res), -ECANCELED);
        EXPECT_EQ(rn_http_write(ctx, res, "x", 1), -ECANCELED);
        EXPECT_EQ(rn_http_flush(ctx, res), -ECANCELED);
    } else {
        rn_http_printf(ctx, res, "well");
    }
    rn_ctx_release(own);
    return 0;
}

TEST_FIBER(answers_outlive_a_context_of_the_handler)
{
    response_site(write_too_late);
    char *heard = exchange(&site, GET_WELL "GET /?write HTTP/1.1\r\nHost: x\r\n\r\n" GET_WELL);
    EXPECT(strncmp(heard, WELL, strlen(WELL)) == 0);
    EXPECT(strstr(heard + strlen(WELL), "well") == NULL);
    free(heard);
    heard = exchange(&site, GET_WELL "POST /?read HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                                     "Content-Length: 4\r\n\r\n");
    EXPECT(strncmp(heard, WELL, strlen(WELL)) == 0);
    EXPECT(strstr(heard, "HTTP/1.1 504 ") != NULL);
    free(heard);
    site_stop(&site);
}

TEST(reasons)
{
    EXPECT_STR(rn_http_reason(200), "OK");
    EXPECT_STR(rn_http_reason(418), "");
    EXPECT_STR(rn_http_reason(-1), "");
    EXPECT_STR(rn_http_reason(1000), "");
}

TEST_FIBER(old_clients_keep_connections_too)
{
    response_site(write_pieces);
    EXPECT_ANSWER(&site, "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\nGET / HTTP/1.0\r\n\r\n",
                  "HTTP/1.1 200 OK\r\nContent-Length: 13\r\nConnection: keep-alive\r\n\r\n"
                  "one two three"
                  "HTTP/1.1 200 OK\r\nContent-Length: 13\r\nConnection: close\r\n\r\n"
                  "one two three");
    site_stop(&site);
}

/* ---- the log ---- */

struct lines {
    char text[1024];
};

static void note(void *arg, const rn_http_log *entry)
{
    struct lines *lines = arg;
    size_t used = strlen(lines->text);

    EXPECT(entry->took >= 0);
    EXPECT_EQ(entry->peer->network, RN_TCP);
    snprintf(lines->text + used, sizeof lines->text - used, "%s %s %d %llu %llu %d 1.%d\n",
             entry->method, entry->target, entry->status, (unsigned long long)entry->bytes_in,
             (unsigned long long)entry->bytes_out, entry->err, entry->minor_version);
}

TEST_FIBER(log_of_requests)
{
    struct lines lines = {""};

    site_new(&site, &(rn_http_server_config){.on_request = note, .events_arg = &lines});
    EXPECT_OK(rn_http_route(site.server, NULL, "/", answer_echo, NULL));
    EXPECT_OK(rn_http_route(site.server, NULL, "/fail", fail, NULL));
    site_start(&site);
    free(exchange(&site, "POST /a?b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
                         "HEAD / HTTP/1.0\r\n\r\n"));
    free(exchange(&site, "GET /fail HTTP/1.1\r\nHost: x\r\n\r\nBREW /x HTTP/1.1\r\n\r\n"));
    free(exchange(&site, "G(T\r\n\r\n"));
    free(exchange(&site, "GET /fail?started HTTP/1.1\r\nHost: x\r\n\r\n"));
    site_stop(&site);
    EXPECT_STR(lines.text, "POST /a?b 200 3 3 0 1.1\n"
                           "HEAD / 200 0 0 0 1.0\n"
                           "GET /fail 500 0 22 -5 1.1\n"
                           "BREW /x 501 0 16 0 1.1\n"
                           "  400 0 12 0 1.1\n"
                           "GET /fail?started 200 0 4 -5 1.1\n");
}
