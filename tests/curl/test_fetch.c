/* rn_curl_get and rn_curl_post: answers, limits, redirects, bodies in pieces, composition. */
#include "peer.h"

#include <curl/curl.h>
#include <runnel/curl.h>

#define LONG_LABEL "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static bool is_letters(const char *body, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (body[i] != letter(i))
            return false;
    return true;
}

/* ---- answers ---- */

TEST_FIBER(a_get)
{
    struct peer p;
    rn_curl_response r;
    peer_start(&p, 0);
    EXPECT_OK(rn_curl_get(NULL, AT(&p, "/hello"), NULL, &r));
    EXPECT_EQ(r.status, 200);
    EXPECT_EQ(r.code, CURLE_OK);
    EXPECT_EQ(r.size, 6);
    EXPECT_STR(r.body, "hello\n");
    EXPECT_STR(r.url, AT(&p, "/hello"));
    EXPECT_EQ(r.redirects, 0);
    EXPECT(r.took > 0);
    EXPECT_STR(rn_curl_header(&r, "content-type", 0), "text/plain");
    EXPECT_STR(rn_curl_header(&r, "CONTENT-LENGTH", 0), "6");
    EXPECT(rn_curl_header(&r, "content-type", 1) == NULL);
    EXPECT(rn_curl_header(&r, "nothing", 0) == NULL);
    EXPECT_EQ(rn_curl_retry_after(&r), 0);
    rn_curl_response_free(&r);
    EXPECT(r.body == NULL);
    EXPECT(rn_curl_header(&r, "content-type", 0) == NULL);
    EXPECT_EQ(rn_curl_retry_after(&r), 0);
    rn_curl_response_free(&r);
    rn_curl_response_free(NULL);
    peer_stop(&p);
}

TEST_FIBER(headers_by_the_same_name)
{
    struct peer p;
    rn_curl_response r;
    peer_start(&p, 0);
    EXPECT_OK(rn_curl_get(NULL, AT(&p, "/cookies"), NULL, &r));
    EXPECT_STR(rn_curl_header(&r, "Set-Cookie", 0), "a=1");
    EXPECT_STR(rn_curl_header(&r, "Set-Cookie", 1), "b=2");
    EXPECT(rn_curl_header(&r, "Set-Cookie", 2) == NULL);
    EXPECT_STR(r.body, "");
    EXPECT_EQ(r.size, 0);
    rn_curl_response_free(&r);
    peer_stop(&p);
}

static void expect_echo(struct peer *p, const rn_curl_request *q, bool post, const char *expected)
{
    rn_curl_response r;
    EXPECT_OK((post ? rn_curl_post : rn_curl_get)(NULL, AT(p, "/echo"), q, &r));
    EXPECT_EQ(r.status, 200);
    EXPECT_STR(r.body, expected);
    rn_curl_response_free(&r);
}

TEST_FIBER(methods_headers_and_bodies)
{
    struct peer p;
    const char *headers[] = {"X-Test: yes", NULL};
    const char *agent = "runnel/" RN_VERSION;
    char expected[128];
    peer_start(&p, 0);
    snprintf(expected, sizeof expected, "GET\n%s\n\n", agent);
    expect_echo(&p, NULL, false, expected);
    snprintf(expected, sizeof expected, "POST\n%s\n\n", agent);
    expect_echo(&p, NULL, true, expected);
    snprintf(expected, sizeof expected, "POST\n%s\nyes\nabc", agent);
    expect_echo(&p, &(rn_curl_request){.headers = headers, .body = "abc", .size = 3}, true,
                expected);
    expect_echo(&p,
                &(rn_curl_request){.method = "PUT", .user_agent = "me", .body = "xyz", .size = 2},
                false, "PUT\nme\n\nxy");
    expect_echo(&p, &(rn_curl_request){.user_agent = "me", .body = "q", .size = 1}, false,
                "GET\nme\n\nq");
    expect_echo(&p, &(rn_curl_request){.method = "DELETE", .user_agent = "me"}, false,
                "DELETE\nme\n\n");
    expect_echo(&p, &(rn_curl_request){.method = "!#$%&'*+-.^_`|~", .user_agent = "me"}, false,
                "!#$%&'*+-.^_`|~\nme\n\n");
    EXPECT_EQ(atomic_load(&p.accepted), 1);
    peer_stop(&p);
}

TEST_FIBER(a_head_has_no_body)
{
    struct peer p;
    rn_curl_response r;
    peer_start(&p, 0);
    EXPECT_OK(rn_curl_get(NULL, AT(&p, "/hello"),
                          &(rn_curl_request){.method = "HEAD", .max_body = 1}, &r));
    EXPECT_EQ(r.status, 200);
    EXPECT_EQ(r.size, 0);
    EXPECT_STR(rn_curl_header(&r, "Content-Length", 0), "6");
    rn_curl_response_free(&r);
    peer_stop(&p);
}

TEST_FIBER(large_bodies_both_ways)
{
    struct peer p;
    rn_curl_response r;
    peer_start(&p, 0);
    EXPECT_OK(rn_curl_get(NULL, AT(&p, "/body/3000000"), NULL, &r));
    EXPECT_EQ(r.size, 3000000);
    EXPECT(is_letters(r.body, r.size));
    EXPECT_EQ(r.body[r.size], '\0');
    rn_curl_response_free(&r);
    EXPECT_OK(rn_curl_get(NULL, AT(&p, "/chunked/3000000"), NULL, &r));
    EXPECT_EQ(r.size, 3000000);
    EXPECT(is_letters(r.body, r.size));
    rn_curl_response_free(&r);
    char *body = malloc(BODY_BYTES_MAX);
    for (size_t i = 0; i < BODY_BYTES_MAX; i++)
        body[i] = letter(i);
    EXPECT_OK(rn_curl_post(NULL, AT(&p, "/echo"),
                           &(rn_curl_request){.body = body, .size = BODY_BYTES_MAX}, &r));
    EXPECT(r.size > BODY_BYTES_MAX);
    EXPECT(is_letters(r.body + r.size - BODY_BYTES_MAX, BODY_BYTES_MAX));
    rn_curl_response_free(&r);
    free(body);
    EXPECT_EQ(atomic_load(&p.accepted), 1);
    peer_stop(&p);
}

/* ---- limits ---- */

static void expect_error(const char *url, const rn_curl_request *q, int expected,
                         const char *detail)
{
    rn_curl_response r;
    EXPECT_EQ(rn_curl_get(NULL, url, q, &r), expected);
    EXPECT_DETAIL("curl: ");
    EXPECT_DETAIL(detail);
    EXPECT(r.body != NULL);
    rn_curl_response_free(&r);
}

TEST_FIBER(answers_that_are_too_large)
{
    struct peer p;
    rn_curl_response r;
    peer_start(&p, 0);
    rn_curl_request ten = {.max_body = 10};
    expect_error(AT(&p, "/body/11"), &ten, -EMSGSIZE, "");
    expect_error(AT(&p, "/chunked/11"), &ten, -EMSGSIZE, "more than 10 bytes of body");
    expect_error(AT(&p, "/flood"), NULL, -EMSGSIZE, "more than 16777216 bytes of body");
    expect_error(AT(&p, "/headers"), NULL, -EMSGSIZE, "more than 262144 bytes of headers");
    while (atomic_load(&p.open) != 0) /* the connections were dropped */
        rn_yield();
    EXPECT_OK(rn_curl_get(NULL, AT(&p, "/chunked/10"), &ten, &r));
    EXPECT_STR(r.body, "abcdefghij");
    rn_curl_response_free(&r);
    peer_stop(&p);
}

TEST_FIBER(redirects)
{
    struct peer p;
    rn_curl_response r;
    peer_start(&p, 0);
    EXPECT_OK(rn_curl_get(NULL, AT(&p, "/redirect/10"), NULL, &r));
    EXPECT_EQ(r.status, 200);
    EXPECT_EQ(r.redirects, 10);
    EXPECT_STR(r.url, AT(&p, "/redirect/0"));
    EXPECT_STR(r.body, "hello\n");
    rn_curl_response_free(&r);
    EXPECT_OK(
        rn_curl_get(NULL, AT(&p, "/redirect/1"), &(rn_curl_request){.max_redirects = -1}, &r));
    EXPECT_EQ(r.status, 302);
    EXPECT_STR(r.body, "moved\n");
    EXPECT_STR(rn_curl_header(&r, "Location", 0), "/redirect/0");
    rn_curl_response_free(&r);
    expect_error(AT(&p, "/redirect/11"), NULL, -ELOOP, "10");
    expect_error(AT(&p, "/loop"), &(rn_curl_request){.max_redirects = 3}, -ELOOP, "3");
    expect_error(AT(&p, "/away"), NULL, -EPROTONOSUPPORT, "file");
    peer_stop(&p);
}

#define AS_IT_WAS "POST, type \"text/x\", 3 bytes"
#define AS_A_GET "GET, type \"\", 0 bytes"

static void expect_moved(struct peer *p, const rn_curl_request *q, int status, const char *expected)
{
    char path[32];
    rn_curl_response r;
    snprintf(path, sizeof path, "/moved/%d", status);
    EXPECT_OK(rn_curl_get(NULL, AT(p, path), q, &r));
    EXPECT_STR(r.body, expected);
    if (strcmp(expected, "moved\n") == 0) {
        EXPECT_EQ(r.status, status);
        EXPECT_STR(rn_curl_header(&r, "Location", 0), "/seen");
    }
    rn_curl_response_free(&r);
}

TEST_FIBER(redirects_of_posts)
{
    struct peer p;
    const char *headers[] = {"X-Test: yes", "content-type: text/x", "Content-Language: en", NULL};
    rn_curl_request q = {.method = "POST", .body = "abc", .size = 3, .content_type = "text/x"};
    rn_curl_response r;
    peer_start(&p, 0);
    for (int i = 0; i < 2; i++) {
        expect_moved(&p, &q, 301, AS_A_GET);
        expect_moved(&p, &q, 302, AS_A_GET);
        expect_moved(&p, &q, 303, AS_A_GET);
        expect_moved(&p, &q, 307, AS_IT_WAS);
        expect_moved(&p, &q, 308, AS_IT_WAS);
        EXPECT_OK(rn_curl_post(NULL, AT(&p, "/moved/303"), &q, &r));
        EXPECT_STR(r.body, AS_A_GET);
        rn_curl_response_free(&r);
        q.headers = headers;
        q.content_type = "text/other"; /* the header's wins */
    }
    peer_stop(&p);
}

/* libcurl would repeat them without their bodies, and a DELETE where a GET was meant. */
TEST_FIBER(redirects_of_other_methods_are_answers)
{
    struct peer p;
    const int statuses[] = {301, 302, 303, 307, 308};
    peer_start(&p, 0);
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        expect_moved(&p, &(rn_curl_request){.method = "PUT", .body = "abc", .size = 3}, statuses[i],
                     "moved\n");
        expect_moved(&p, &(rn_curl_request){.method = "DELETE"}, statuses[i], "moved\n");
        expect_moved(&p, &(rn_curl_request){.body = "abc", .size = 3}, statuses[i], "moved\n");
        expect_moved(&p, &(rn_curl_request){.method = "GET"}, statuses[i], AS_A_GET);
    }
    EXPECT_EQ(atomic_load(&p.accepted), 1);
    peer_stop(&p);
}

TEST_FIBER(only_http_by_default)
{
    rn_curl_response r;
    expect_error("file:///dev/null", NULL, -EPROTONOSUPPORT, "file");
    EXPECT_OK(rn_curl_get(NULL, "file:///dev/null", &(rn_curl_request){.protocols = "file"}, &r));
    rn_curl_response_free(&r);
    expect_error("file:///dev/null", &(rn_curl_request){.protocols = "no such"}, -EINVAL,
                 "CURLOPT_PROTOCOLS_STR");
}

/* ---- errors ---- */

TEST_FIBER(a_status_is_an_error_if_wanted)
{
    struct peer p;
    rn_curl_response r;
    rn_curl_request strict = {.fail_on_status = true};
    peer_start(&p, 0);
    EXPECT_OK(rn_curl_get(NULL, AT(&p, "/status/503"), NULL, &r));
    EXPECT_EQ(r.status, 503);
    EXPECT_EQ(rn_curl_retry_after(&r), 7 * RN_SECOND);
    rn_curl_response_free(&r);
    EXPECT_EQ(rn_curl_get(NULL, AT(&p, "/status/503"), &strict, &r), -EREMOTEIO);
    EXPECT_STR(rn_error_detail(), "curl: the server answered with status 503");
    EXPECT_EQ(r.status, 503);
    EXPECT_STR(r.body, "sorry\n");
    EXPECT_EQ(rn_curl_retry_after(&r), 7 * RN_SECOND);
    rn_curl_response_free(&r);
    expect_error(AT(&p, "/status/429"), &strict, -EREMOTEIO, "429");
    expect_error(AT(&p, "/status/408"), &strict, -EREMOTEIO, "408");
    expect_error(AT(&p, "/status/400"), &strict, -EINVAL, "400");
    expect_error(AT(&p, "/nowhere"), &strict, -EINVAL, "404");
    EXPECT_EQ(rn_curl_get(NULL, AT(&p, "/status/399"), &strict, &r), 0);
    rn_curl_response_free(&r);
    peer_stop(&p);
}

TEST_FIBER(errors_of_the_transport)
{
    struct peer p;
    char url[64], sentence[128];
    peer_start(&p, 0);
    int fd = refusing_url(url);
    expect_error(url, NULL, -ECONNREFUSED, "127.0.0.1");
    close(fd);
    expect_error("http://" LONG_LABEL ".invalid/", NULL, RN_ENOHOST, LONG_LABEL);
    expect_error(AT(&p, "/garbage"), NULL, -EPROTO, "");
    rn_curl_response r;
    EXPECT_EQ(rn_curl_get(NULL, AT(&p, "/half"), NULL, &r), -ECONNRESET);
    EXPECT_EQ(r.status, 200);
    EXPECT_EQ(r.code, CURLE_PARTIAL_FILE);
    EXPECT_STR(r.body, "0123456789"); /* as far as it came */
    snprintf(sentence, sizeof sentence, "curl: %s", curl_easy_strerror(CURLE_PARTIAL_FILE));
    EXPECT_DETAIL("bytes"); /* the buffer's sentence, which says how many are missing */
    EXPECT(strcmp(rn_error_detail(), sentence) != 0);
    rn_curl_response_free(&r);
    peer_stop(&p);
}

static int refuse_set_up(void *easy, void *arg)
{
    (void)easy, (void)arg;
    return -EDOM;
}

TEST_FIBER(requests_that_cannot_be)
{
    const char *smuggled[] = {"X-A: 1\r\nX-B: 2", NULL};
    const char *no_methods[] = {"", "A\nB", "GET / HTTP/1.1", "A\tB", "A:B", "\x7f", "\xc3\x84"};
    char type[400] = "";
    rn_curl_response r;
    memset(type, 't', sizeof type - 1);
    expect_error(NULL, NULL, -EINVAL, "URL");
    expect_error("", NULL, -EINVAL, "");
    expect_error("http://127.0.0.1/ /", NULL, -EINVAL, "");
    expect_error("http://127.0.0.1/", &(rn_curl_request){.headers = smuggled}, -EINVAL, ".headers");
    for (size_t i = 0; i < sizeof no_methods / sizeof no_methods[0]; i++)
        expect_error("http://127.0.0.1/", &(rn_curl_request){.method = no_methods[i]}, -EINVAL,
                     ".method");
    expect_error("http://127.0.0.1/", &(rn_curl_request){.size = 1}, -EINVAL,
                 ".size is 1, and .body is NULL");
    EXPECT_EQ(rn_curl_post(NULL, "http://127.0.0.1/", &(rn_curl_request){.size = 4096}, &r),
              -EINVAL);
    rn_curl_response_free(&r);
    expect_error("http://127.0.0.1/", &(rn_curl_request){.user_agent = "\r"}, -EINVAL,
                 ".user_agent");
    expect_error("http://127.0.0.1/", &(rn_curl_request){.content_type = "\n"}, -EINVAL,
                 ".content_type");
    expect_error("http://127.0.0.1/", &(rn_curl_request){.body = "", .content_type = type}, -EINVAL,
                 ".content_type");
    EXPECT_EQ(
        rn_curl_get(NULL, "http://127.0.0.1/", &(rn_curl_request){.setup = refuse_set_up}, &r),
        -EDOM);
    rn_curl_response_free(&r);
}

static int set_agent(void *easy, void *arg)
{
    return curl_easy_setopt(easy, CURLOPT_USERAGENT, (char *)arg) == CURLE_OK ? 0 : -EINVAL;
}

TEST_FIBER(options_beyond_the_request)
{
    struct peer p;
    peer_start(&p, 0);
    expect_echo(&p, &(rn_curl_request){.setup = set_agent, .arg = "other"}, false,
                "GET\nother\n\n");
    peer_stop(&p);
}

TEST_FIBER(contexts_end_a_get)
{
    struct peer p;
    rn_curl_response r;
    peer_start(&p, 0);
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, 20 * RN_MILLISECOND);
    EXPECT_EQ(rn_curl_get(ctx, AT(&p, "/hang"), NULL, &r), -ETIMEDOUT);
    EXPECT_EQ(r.code, CURLE_ABORTED_BY_CALLBACK);
    EXPECT_EQ(r.status, 0);
    rn_curl_response_free(&r);
    EXPECT_EQ(rn_curl_get(ctx, AT(&p, "/hello"), NULL, &r), -ETIMEDOUT);
    EXPECT_EQ(r.code, CURLE_ABORTED_BY_CALLBACK);
    EXPECT_STR(r.body, "");
    rn_curl_response_free(&r);
    rn_ctx_release(ctx);
    while (atomic_load(&p.open) != 0)
        rn_yield();
    peer_stop(&p);
}

TEST_FIBER(no_sentence_of_an_earlier_error_stays)
{
    rn_curl_response r;
    rn_curl *client;
    rn_ctx *ended = rn_ctx_with_cancel(NULL);
    rn_ctx_cancel(ended, 0);
    rn_error_with(-EIO, "earlier");
    EXPECT_EQ(rn_curl_get(ended, "http://127.0.0.1/", NULL, &r), -ECANCELED);
    EXPECT_STR(rn_error_detail(), "");
    rn_curl_response_free(&r);
    rn_error_with(-EIO, "earlier");
    CURL *easy = curl_easy_init();
    EXPECT_EQ(rn_curl_perform(ended, easy), -ECANCELED);
    EXPECT_STR(rn_error_detail(), "");
    curl_easy_cleanup(easy);
    rn_error_with(-EIO, "earlier");
    EXPECT_EQ(
        rn_curl_get(NULL, "http://127.0.0.1/", &(rn_curl_request){.setup = refuse_set_up}, &r),
        -EDOM);
    EXPECT_STR(rn_error_detail(), "");
    rn_curl_response_free(&r);
    rn_error_with(-EIO, "earlier");
    EXPECT_OK(rn_curl_new(&client, NULL));
    EXPECT_STR(rn_error_detail(), "");
    rn_curl_free(client);
    rn_ctx_release(ended);
}

/* ---- bodies in pieces ---- */

struct pieces {
    size_t size;
    int calls;
    bool right;
    int fail_at; /* call that returns -EDOM */
    rn_ctx *cancel;
};

/* Parks in each call: it may. */
static int take_piece(rn_ctx *ctx, const void *data, size_t size, void *arg)
{
    struct pieces *p = arg;
    const char *text = data;
    (void)ctx;
    rn_yield();
    for (size_t i = 0; i < size; i++)
        p->right = p->right && text[i] == letter(p->size + i);
    p->size += size;
    p->calls++;
    if (p->cancel != NULL)
        rn_ctx_cancel(p->cancel, 0);
    return p->calls == p->fail_at ? -EDOM : 0;
}

TEST_FIBER(a_body_in_pieces)
{
    struct peer p;
    rn_curl_response r;
    struct pieces got = {.right = true};
    rn_curl_request q = {.on_body = take_piece, .arg = &got};
    peer_start(&p, 0);
    EXPECT_OK(
        rn_curl_get(NULL, AT(&p, "/chunked/20000000"), &q, &r)); /* more than would be collected */
    EXPECT_EQ(got.size, 20000000);
    EXPECT(got.right);
    EXPECT(got.calls > 100);
    EXPECT_EQ(r.size, 0);
    EXPECT_EQ(r.status, 200);
    rn_curl_response_free(&r);
    got = (struct pieces){.right = true};
    EXPECT_OK(rn_curl_get(NULL, AT(&p, "/body/0"), &q, &r));
    EXPECT_EQ(got.calls, 0);
    rn_curl_response_free(&r);
    q.max_body = 1000;
    EXPECT_EQ(rn_curl_get(NULL, AT(&p, "/chunked/1001"), &q, &r), -EMSGSIZE);
    rn_curl_response_free(&r);
    peer_stop(&p);
}

#define HELD_BYTES_MAX (64 << 10) /* as fetch.c has it */
#define LOOKS 200

struct dam {
    struct peer *peer;
    int calls;
};

/* At first takes nothing more until the server has been stuck at many looks in a row. */
static int hold_up(rn_ctx *ctx, const void *data, size_t size, void *arg)
{
    struct dam *dam = arg;
    long long seen = -1, sent;
    (void)ctx, (void)data;
    EXPECT(size <= HELD_BYTES_MAX); /* whatever came meanwhile */
    for (int looks = 0; dam->calls == 0 && looks < LOOKS; looks++) {
        rn_yield();
        sent = atomic_load(&dam->peer->sent);
        if (sent != seen || fibers_that_wait("fd write") == 0)
            looks = 0;
        seen = sent;
    }
    return ++dam->calls == 20 ? -EDOM : 0;
}

TEST_FIBER(a_body_that_is_not_taken_holds_the_server_up)
{
    struct peer p;
    struct dam dam = {&p, 0};
    rn_curl_response r;
    peer_start(&p, 0);
    EXPECT_EQ(rn_curl_get(NULL, AT(&p, "/flood"),
                          &(rn_curl_request){.on_body = hold_up, .arg = &dam}, &r),
              -EDOM);
    EXPECT_EQ(dam.calls, 20);
    rn_curl_response_free(&r);
    while (atomic_load(&p.open) != 0)
        rn_yield();
    peer_stop(&p);
}

TEST_FIBER(whoever_takes_pieces_can_stop)
{
    struct peer p;
    rn_curl_response r;
    peer_start(&p, 0);
    for (int i = 1; i < 10; i++) {
        struct pieces got = {.right = true, .fail_at = i};
        EXPECT_EQ(rn_curl_get(NULL, AT(&p, "/flood"),
                              &(rn_curl_request){.on_body = take_piece, .arg = &got}, &r),
                  -EDOM);
        EXPECT_EQ(got.calls, i);
        rn_curl_response_free(&r);
    }
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    struct pieces got = {.right = true, .cancel = ctx};
    EXPECT_EQ(rn_curl_get(ctx, AT(&p, "/flood"),
                          &(rn_curl_request){.on_body = take_piece, .arg = &got}, &r),
              -ECANCELED);
    rn_curl_response_free(&r);
    rn_ctx_release(ctx);
    while (atomic_load(&p.open) != 0)
        rn_yield();
    peer_stop(&p);
}

TEST_FIBER(the_body_of_an_error_is_not_given_in_pieces)
{
    struct peer p;
    rn_curl_response r;
    struct pieces got = {.right = true};
    peer_start(&p, 0);
    EXPECT_EQ(
        rn_curl_get(NULL, AT(&p, "/status/500"),
                    &(rn_curl_request){.on_body = take_piece, .arg = &got, .fail_on_status = true},
                    &r),
        -EREMOTEIO);
    EXPECT_EQ(got.calls, 0);
    EXPECT_STR(r.body, "sorry\n");
    rn_curl_response_free(&r);
    peer_stop(&p);
}

TEST_FIBER(the_body_of_an_error_has_a_limit_beside_pieces)
{
    struct peer p;
    rn_curl_response r;
    struct pieces got = {.right = true};
    rn_curl_request q = {.on_body = take_piece, .arg = &got, .fail_on_status = true};
    peer_start(&p, 0);
    expect_error(AT(&p, "/failing/18000000"), &q, -EMSGSIZE, "more than 16777216 bytes of body");
    q.max_body = 1000;
    expect_error(AT(&p, "/failing/1001"), &q, -EMSGSIZE, "more than 1000 bytes of body");
    EXPECT_EQ(rn_curl_get(NULL, AT(&p, "/failing/1000"), &q, &r), -EREMOTEIO);
    EXPECT_EQ(r.size, 1000);
    EXPECT(is_letters(r.body, r.size));
    rn_curl_response_free(&r);
    EXPECT_EQ(got.calls, 0);
    peer_stop(&p);
}

/* ---- in the patterns ---- */

struct page {
    struct peer *peer;
    int attempts;
    rn_curl_response response;
};

/* The third attempt asks for what is there. */
static int get_page(rn_ctx *ctx, void *arg, rn_attempt *attempt)
{
    struct page *page = arg;
    const char *path = ++page->attempts < 3 ? "/status/503" : "/hello";
    rn_curl_response_free(&page->response);
    int err = rn_curl_get(ctx, AT(page->peer, path), &(rn_curl_request){.fail_on_status = true},
                          &page->response);
    EXPECT_EQ(rn_curl_retry_after(&page->response), err == 0 ? 0 : 7 * RN_SECOND);
    attempt->retry_after = 0; /* as if we did not know */
    return err;
}

TEST_FIBER(a_get_inside_a_policy)
{
    struct peer p;
    rn_retry *retry;
    rn_breaker *breaker;
    rn_limiter *limiter;
    rn_policy *policy;
    peer_start(&p, 0);
    EXPECT_OK(rn_retry_new(&retry, &(rn_retry_config){.attempts = 5, .delay = RN_MICROSECOND}));
    EXPECT_OK(rn_breaker_new(&breaker, NULL));
    EXPECT_OK(rn_limiter_new(&limiter, &(rn_limiter_config){.per_second = 1e6, .burst = 10}));
    EXPECT_OK(rn_policy_new(
        &policy, &(rn_policy_config){.layers = {rn_layer_retry(retry), rn_layer_breaker(breaker),
                                                rn_layer_limiter(limiter, 1)}}));
    struct page page = {.peer = &p};
    EXPECT_OK(rn_policy_execute(NULL, policy, get_page, &page));
    EXPECT_EQ(page.attempts, 3);
    EXPECT_STR(page.response.body, "hello\n");
    rn_curl_response_free(&page.response);
    rn_policy_free(policy);
    rn_limiter_free(limiter);
    rn_breaker_free(breaker);
    rn_retry_free(retry);
    peer_stop(&p);
}

static int get_nothing(rn_ctx *ctx, void *arg, rn_attempt *attempt)
{
    rn_curl_response r;
    int err = rn_curl_get(ctx, AT((struct peer *)arg, "/nowhere"),
                          &(rn_curl_request){.fail_on_status = true}, &r);
    (void)attempt;
    rn_curl_response_free(&r);
    return err;
}

TEST_FIBER(our_own_mistakes_are_not_tried_again)
{
    struct peer p;
    rn_retry *retry;
    peer_start(&p, 0);
    EXPECT_OK(rn_retry_new(&retry, &(rn_retry_config){.attempts = 5, .delay = RN_MICROSECOND}));
    EXPECT_EQ(rn_retry_execute(NULL, retry, get_nothing, &p), -EINVAL);
    EXPECT_EQ(atomic_load(&p.requests), 1);
    rn_retry_free(retry);
    peer_stop(&p);
}
