/* Patterns: which are allowed, which conflict, which one wins, and what their names stand for. */
#include "http.h"

#include <runnel/http.h>

/* ---- registering ---- */

static void expect_route(rn_http_server *s, const char *method, const char *pattern, int expected)
{
    int err = rn_http_route(s, method, pattern, answer_text, "x");

    if (err != expected)
        test_failed(__FILE__, __LINE__, "%d for \"%s %s\", not %d", err,
                    method == NULL ? "" : method, pattern == NULL ? "" : pattern, expected);
}

TEST_FIBER(malformed_patterns)
{
    static const char *const patterns[] = {
        "",       "x",           "//",        "/a//b",  "/a{b}",    "/{b}a",  "/{}",
        "/{a b}", "/{1}",        "/{a...}/b", "/{$}/b", "/{a}/{a}", "/{a",    "/a}",
        "/{...}", "/{a}/{a...}", "/./a",      "/..",    "/{a-b}",   "/{{a}}",
    };
    rn_http_server *s;

    EXPECT_OK(rn_http_server_new(&s, NULL));
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        expect_route(s, "GET", patterns[i], -EINVAL);
        EXPECT(strstr(rn_error_detail(), "pattern") != NULL);
    }
    expect_route(s, "GET", NULL, -EINVAL);
    expect_route(s, "G T", "/", -EINVAL);
    expect_route(s, "", "/", -EINVAL);
    EXPECT_EQ(rn_http_route(s, "GET", "/", NULL, NULL), -EINVAL);
    EXPECT_EQ(rn_http_use(s, NULL, NULL), -EINVAL);
    rn_http_server_free(s);
}

/* Two patterns; whether they conflict must not depend on their order. */
static void expect_pair(const char *method_a, const char *a, const char *method_b, const char *b,
                        int expected)
{
    rn_http_server *s;

    for (int turn = 0; turn < 2; turn++) {
        EXPECT_OK(rn_http_server_new(&s, NULL));
        expect_route(s, turn ? method_b : method_a, turn ? b : a, 0);
        expect_route(s, turn ? method_a : method_b, turn ? a : b, expected);
        if (expected != 0)
            EXPECT(strstr(rn_error_detail(), "conflicts") != NULL);
        rn_http_server_free(s);
    }
}

/* The table of net/http's documentation, and what follows from its rule. */
TEST_FIBER(conflicts)
{
    expect_pair("GET", "/a", "GET", "/a", -EEXIST);
    expect_pair("GET", "/a", "POST", "/a", 0);
    expect_pair("GET", "/a", NULL, "/a", 0);
    expect_pair("*", "/a", NULL, "/a", -EEXIST);
    expect_pair("GET", "/a", "HEAD", "/a", 0);
    expect_pair("GET", "/{x}", "GET", "/{y}", -EEXIST);
    expect_pair("GET", "/{x}", "GET", "/a", 0);
    expect_pair("GET", "/{x}", "GET", "/{x...}", 0);
    expect_pair("GET", "/", "GET", "/{x...}", -EEXIST);
    expect_pair("GET", "/", "GET", "/{$}", 0);
    expect_pair("GET", "/{x}/", "GET", "/a/{y}", 0);
    expect_pair("GET", "/{x}/b", "GET", "/a/{y}", -EEXIST);
    expect_pair("GET", "/posts/{id}", "GET", "/{resource}/latest", -EEXIST);
    expect_pair("GET", "/posts/{id}", "GET", "/posts/latest", 0);
    expect_pair("GET", "/b/{x}", "GET", "/{a}/{b}/c", 0);
    expect_pair("GET", "/{x}/{$}", "GET", "/a/{y...}", -EEXIST);
    expect_pair("GET", "/{x}", NULL, "/a", -EEXIST);
    expect_pair("GET", "/a", NULL, "/{x}", 0);
    expect_pair("GET", "/{x...}", "HEAD", "/a", 0);
    expect_pair("GET", "/a", "HEAD", "/{x...}", -EEXIST);
}

/* ---- matching ---- */

/* Its name, and what each name in the pattern stands for. */
static int answer_match(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    static const char *const names[] = {"x", "y", "rest"};

    rn_http_printf(ctx, res, "%s %s", (const char *)arg, rn_http_path(req));
    for (int i = 0; i < 3; i++)
        if (rn_http_param(req, names[i]) != NULL)
            rn_http_printf(ctx, res, " %s=%s", names[i], rn_http_param(req, names[i]));
    EXPECT(rn_http_param(req, "") == NULL);
    EXPECT(rn_http_param(req, "nobody") == NULL);
    return rn_http_printf(ctx, res, ".");
}

static void add(struct site *site, const char *method, const char *pattern)
{
    static char names[32][64];
    static int n;

    n %= 32;
    snprintf(names[n], sizeof names[n], "%s %s", method == NULL ? "*" : method, pattern);
    EXPECT_OK(rn_http_route(site->server, method, pattern, answer_match, names[n++]));
}

/* The body of the answer, or its status when it is none of 200. */
static void expect_match(struct site *site, const char *method, const char *target,
                         const char *expected)
{
    char request[512], status[16];

    snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: x\r\n\r\n", method, target);
    char *heard = exchange(site, request), *body = strstr(heard, "\r\n\r\n") + 4;
    if (strncmp(heard, "HTTP/1.1 200", 12) != 0) {
        snprintf(status, sizeof status, "%.3s", heard + 9);
        body = status;
    }
    if (strcmp(body, expected) != 0)
        test_failed(__FILE__, __LINE__, "\"%s\" for %s %s, not \"%s\"", body, method, target,
                    expected);
    free(heard);
}

TEST_FIBER(most_specific_wins)
{
    struct site site;

    site_new(&site, NULL);
    add(&site, "GET", "/{x}");
    add(&site, "GET", "/a/");
    add(&site, "GET", "/a/{$}");
    add(&site, "GET", "/a/{x}");
    add(&site, "GET", "/a/b");
    add(&site, "GET", "/a/b/{rest...}");
    add(&site, "GET", "/q/{x}/c/{y}");
    site_start(&site);
    expect_match(&site, "GET", "/z", "GET /{x} /z x=z.");
    expect_match(&site, "GET", "/a", "GET /{x} /a x=a.");
    expect_match(&site, "GET", "/a/", "GET /a/{$} /a/.");
    expect_match(&site, "GET", "/a/z", "GET /a/{x} /a/z x=z.");
    expect_match(&site, "GET", "/a/z/", "GET /a/ /a/z/.");
    expect_match(&site, "GET", "/a/b", "GET /a/b /a/b.");
    expect_match(&site, "GET", "/a/b/", "GET /a/b/{rest...} /a/b/ rest=.");
    expect_match(&site, "GET", "/q/b/c/d", "GET /q/{x}/c/{y} /q/b/c/d x=b y=d.");
    expect_match(&site, "GET", "/a/b/x/d", "GET /a/b/{rest...} /a/b/x/d rest=x/d.");
    expect_match(&site, "GET", "/q/b/d/d", "404");
    expect_match(&site, "GET", "/a/q/c", "GET /a/ /a/q/c.");
    expect_match(&site, "GET", "/z/", "404");
    expect_match(&site, "GET", "/", "404");
    site_stop(&site);
}

TEST_FIBER(methods)
{
    struct site site;

    site_new(&site, NULL);
    add(&site, "GET", "/a");
    add(&site, "POST", "/{x}");
    add(&site, NULL, "/d/b");
    add(&site, "GET", "/d/b");
    add(&site, "HEAD", "/c");
    site_start(&site);
    expect_match(&site, "GET", "/a", "GET /a /a.");
    expect_match(&site, "POST", "/a", "POST /{x} /a x=a.");
    expect_match(&site, "PUT", "/d/b", "* /d/b /d/b.");
    expect_match(&site, "GET", "/d/b", "GET /d/b /d/b.");
    EXPECT_ANSWER(&site, "HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n",
                  "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
    EXPECT_ANSWER(&site, "PUT /a HTTP/1.1\r\nHost: x\r\n\r\n",
                  "HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 19\r\n"
                  "Allow: GET, HEAD, POST\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
                  "Method Not Allowed\n");
    EXPECT_ANSWER(&site, "GET /c HTTP/1.1\r\nHost: x\r\n\r\n",
                  "HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 19\r\n"
                  "Allow: HEAD, POST\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
                  "Method Not Allowed\n");
    EXPECT_ANSWER(&site, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
                  "HTTP/1.1 204 No Content\r\n\r\n");
    EXPECT_ANSWER(&site, "GET /n/o HTTP/1.1\r\nHost: x\r\n\r\n",
                  "HTTP/1.1 404 Not Found\r\nContent-Length: 10\r\n"
                  "Content-Type: text/plain; charset=utf-8\r\n\r\nNot Found\n");
    site_stop(&site);
}

TEST_FIBER(paths_are_normalised)
{
    struct site site;

    site_new(&site, NULL);
    add(&site, "GET", "/a/{x}/{rest...}");
    add(&site, "GET", "/{x}");
    add(&site, "GET", "/{$}");
    site_start(&site);
    expect_match(&site, "GET", "//a//b///c/d", "GET /a/{x}/{rest...} /a/b/c/d x=b rest=c/d.");
    expect_match(&site, "GET", "/a/./b/../q/c?a/b", "GET /a/{x}/{rest...} /a/q/c x=q rest=c.");
    expect_match(&site, "GET", "/a/b/c/..", "GET /a/{x}/{rest...} /a/b/ x=b rest=.");
    expect_match(&site, "GET", "/a/b/c/.", "GET /a/{x}/{rest...} /a/b/c/ x=b rest=c/.");
    expect_match(&site, "GET", "/a/%2e%2E/z", "GET /{x} /z x=z.");
    expect_match(&site, "GET", "/../../z", "GET /{x} /z x=z.");
    expect_match(&site, "GET", "/..", "GET /{$} /.");
    expect_match(&site, "GET", "/b%2Fc", "GET /{x} /b/c x=b/c.");
    expect_match(&site, "GET", "/%C3%A4%20b", "GET /{x} /\xc3\xa4 b x=\xc3\xa4 b.");
    expect_match(&site, "GET", "/a+b", "GET /{x} /a+b x=a+b.");
    expect_match(&site, "GET", "/a/..b/c", "GET /a/{x}/{rest...} /a/..b/c x=..b rest=c.");
    expect_match(&site, "GET", "/..%2F..", "400");
    expect_match(&site, "GET", "/x%2F.", "400");
    site_stop(&site);
}

/* Many routes, so that the tree is wide. */
TEST_FIBER(many_literals)
{
    struct site site;
    char pattern[32], target[32], expected[64];

    site_new(&site, NULL);
    for (int i = 0; i < 500; i++) {
        snprintf(pattern, sizeof pattern, "/r%d/{x}", i * 7919 % 500);
        EXPECT_OK(rn_http_route(site.server, "GET", pattern, answer_match, "r"));
    }
    site_start(&site);
    for (int i = 0; i < 500; i += 13) {
        snprintf(target, sizeof target, "/r%d/q", i);
        snprintf(expected, sizeof expected, "r /r%d/q x=q.", i);
        expect_match(&site, "GET", target, expected);
    }
    expect_match(&site, "GET", "/r500/q", "404");
    site_stop(&site);
}

/* ---- middleware ---- */

static int around(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, rn_http_chain *next,
                  void *arg)
{
    rn_http_add(res, "Way", arg);
    if (strcmp(rn_http_query(req), "stop") == 0 && strcmp(arg, "two") == 0)
        return rn_http_error(ctx, res, 403, "no further");
    int err = rn_http_next(ctx, next, req, res);
    rn_http_setf(res, "Back", "%s %d", (const char *)arg, rn_http_status_of(res));
    return err;
}

TEST_FIBER(middleware_in_order)
{
    struct site site;

    site_new(&site, NULL);
    add(&site, "GET", "/a");
    EXPECT_OK(rn_http_use(site.server, around, "one"));
    EXPECT_OK(rn_http_use(site.server, around, "two"));
    site_start(&site);
    EXPECT_ANSWER(&site, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
                  "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nWay: one\r\nWay: two\r\n"
                  "Back: one 200\r\n\r\nGET /a /a.");
    EXPECT_ANSWER(&site, "GET /a?stop HTTP/1.1\r\nHost: x\r\n\r\n",
                  "HTTP/1.1 403 Forbidden\r\nContent-Length: 11\r\nWay: one\r\nWay: two\r\n"
                  "Content-Type: text/plain; charset=utf-8\r\n\r\nno further\n");
    EXPECT_STATUS(&site, "GET /b HTTP/1.1\r\nHost: x\r\n\r\n", 404);
    EXPECT_EQ(rn_http_use(site.server, around, "late"), -EBUSY);
    EXPECT_EQ(rn_http_route(site.server, "GET", "/late", answer_match, "late"), -EBUSY);
    site_stop(&site);
}

static int set_and_fail(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    (void)ctx, (void)req, (void)arg;
    rn_http_set(res, "Outer", "replaced");
    rn_http_set(res, "Mine", "3");
    rn_http_set(res, "Content-Type", "text/html");
    return -EIO;
}

static int secure(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, rn_http_chain *next,
                  void *arg)
{
    (void)arg;
    rn_http_set(res, "Outer", "1");
    rn_http_set(res, "Strict-Transport-Security", "max-age=1");
    rn_http_set(res, "Content-Security-Policy", "default-src 'self'");
    rn_http_set(res, "Content-Encoding", "gzip");
    rn_http_set(res, "Content-Length", "5");
    rn_http_set(res, "Date", "now");
    return rn_http_next(ctx, next, req, res);
}

static int fail_outside(rn_ctx *ctx, rn_http_request *req, rn_http_response *res,
                        rn_http_chain *next, void *arg)
{
    (void)arg;
    if (*rn_http_query(req) == 0)
        return rn_http_next(ctx, next, req, res);
    rn_http_set(res, "Inner", "2");
    return -EIO;
}

#define FAILED                                                                                     \
    "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 22\r\n%s"                               \
    "Strict-Transport-Security: max-age=1\r\nContent-Security-Policy: default-src 'self'\r\n"      \
    "Content-Type: text/plain; charset=utf-8\r\n\r\nInternal Server Error\n"

/* What was set outside stays, and the server's own Date, which is dropped here, is in its place. */
TEST_FIBER(fields_of_middleware_outlive_a_failure)
{
    struct site site;
    char expected[1024];

    site_new(&site, NULL);
    EXPECT_OK(rn_http_route(site.server, "GET", "/", set_and_fail, NULL));
    EXPECT_OK(rn_http_use(site.server, secure, NULL));
    EXPECT_OK(rn_http_use(site.server, fail_outside, NULL));
    site_start(&site);
    snprintf(expected, sizeof expected, FAILED, "");
    EXPECT_ANSWER(&site, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", expected);
    snprintf(expected, sizeof expected, FAILED, "Outer: 1\r\n");
    EXPECT_ANSWER(&site, "GET /?outside HTTP/1.1\r\nHost: x\r\n\r\n", expected);
    site_stop(&site);
}

/* Fields that leave no room for those of the error give way. */
static int fill(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, rn_http_chain *next,
                void *arg)
{
    static char value[30000];

    (void)arg;
    memset(value, 'v', sizeof value - 1);
    while (rn_http_add(res, "A", value) == 0)
        ;
    value[1000] = 0;
    while (rn_http_add(res, "A", value) == 0)
        ;
    value[1] = 0;
    while (rn_http_add(res, "A", value) == 0)
        ;
    return rn_http_next(ctx, next, req, res);
}

TEST_FIBER(a_failure_is_told_without_room_for_it)
{
    struct site site;

    site_new(&site, NULL);
    EXPECT_OK(rn_http_route(site.server, "GET", "/", set_and_fail, NULL));
    EXPECT_OK(rn_http_use(site.server, fill, NULL));
    site_start(&site);
    EXPECT_ANSWER(&site, "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                  "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 22\r\n"
                  "Content-Type: text/plain; charset=utf-8\r\n\r\nInternal Server Error\n");
    site_stop(&site);
}

/* ---- what handlers return ---- */

static int return_bytes(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    (void)req, (void)arg;
    return (int)rn_http_write(ctx, res, "abc", 3);
}

static int expect_zero(rn_ctx *ctx, rn_http_request *req, rn_http_response *res,
                       rn_http_chain *next, void *arg)
{
    (void)arg;
    EXPECT_EQ(rn_http_next(ctx, next, req, res), 0);
    return 7;
}

TEST_FIBER(positive_numbers_are_success)
{
    struct site site;

    site_new(&site, NULL);
    EXPECT_OK(rn_http_route(site.server, "GET", "/", return_bytes, NULL));
    EXPECT_OK(rn_http_use(site.server, expect_zero, NULL));
    site_start(&site);
    EXPECT_ANSWER(&site, "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                  "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
    site_stop(&site);
}
