/*
 * Out of memory where a transfer is made. (That libcurl 7.88 does not bear it in the middle of one
 * is why no allocation after these is made to fail.)
 */
#include "peer.h"

#include <curl/curl.h>
#include <runnel/curl.h>

static atomic_bool empty; /* no memory is left */

static void *failing_malloc(size_t size)
{
    return atomic_load(&empty) ? NULL : malloc(size);
}

static void *failing_realloc(void *old, size_t size)
{
    return atomic_load(&empty) ? NULL : realloc(old, size);
}

static char *failing_strdup(const char *text)
{
    return atomic_load(&empty) ? NULL : strdup(text);
}

static void *failing_calloc(size_t n, size_t size)
{
    return atomic_load(&empty) ? NULL : calloc(n, size);
}

static void prepare(void)
{
    EXPECT_EQ(curl_global_init_mem(CURL_GLOBAL_DEFAULT, failing_malloc, free, failing_realloc,
                                   failing_strdup, failing_calloc),
              CURLE_OK);
}

TEST_FIBER(no_memory_for_the_client)
{
    struct peer p;
    char got[SINK_BYTES];
    int code;
    prepare();
    peer_start(&p, 0);
    CURL *easy = easy_for(AT(&p, "/hello"), got);
    atomic_store(&empty, true);
    EXPECT_EQ(rn_curl_perform_on(NULL, NULL, easy, &code), -ENOMEM);
    EXPECT_EQ(code, CURLE_FAILED_INIT);
    atomic_store(&empty, false);
    EXPECT_OK(rn_curl_perform(NULL, easy));
    EXPECT_STR(got, "hello\n");
    curl_easy_cleanup(easy);
    peer_stop(&p);
}

static void expect_no_memory(const struct peer *p, const rn_curl_request *q)
{
    rn_curl_response r;
    const char *url = AT(p, "/hello");
    atomic_store(&empty, true);
    EXPECT_EQ(rn_curl_get(NULL, url, q, &r), -ENOMEM);
    atomic_store(&empty, false);
    EXPECT_STR(r.body, "");
    rn_curl_response_free(&r);
    EXPECT_OK(rn_curl_get(NULL, url, q, &r));
    EXPECT_STR(r.body, "hello\n");
    rn_curl_response_free(&r);
}

TEST_FIBER(no_memory_for_a_get)
{
    struct peer p;
    prepare();
    peer_start(&p, 0);
    expect_no_memory(&p, NULL);
    peer_stop(&p);
}
