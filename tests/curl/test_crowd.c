/* Many transfers at once: on one client, within limits, from fibers and threads; and want. */
/* ctest: TIMEOUT=240 */
#include "peer.h"

#include <curl/curl.h>
#include <runnel/curl.h>

#define CROWD 1000

static void allow_descriptors(rlim_t n)
{
    struct rlimit limit;
    EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < n)
        limit.rlim_cur = n < limit.rlim_max ? n : limit.rlim_max;
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

struct call {
    rn_ctx *ctx;
    rn_curl *client;
    const char *url; /* the caller's, to the end */
    const char *body;
};

/* Performs once; the body, where one is expected, must be that. */
static int perform_once(rn_ctx *ctx, void *arg)
{
    struct call *call = arg;
    char got[SINK_BYTES];
    CURL *easy = easy_for(call->url, got);
    int err = rn_curl_perform_on(call->ctx != NULL ? call->ctx : ctx, call->client, easy, NULL);
    curl_easy_cleanup(easy);
    if (err == 0 && call->body != NULL)
        EXPECT_STR(got, call->body);
    return err;
}

TEST_FIBER(a_thousand_at_once)
{
    struct peer p;
    int n = UNDER_TSAN || UNDER_ASAN ? CROWD / 4 : CROWD;
    allow_descriptors(4 * CROWD);
    peer_start(&p, n);
    rn_group *g = rn_group_new(NULL);
    struct call call = {.url = AT(&p, "/gate"), .body = "through\n"};
    for (int i = 0; i < n; i++)
        EXPECT_OK(rn_group_go_copy(g, perform_once, &call));
    EXPECT_OK(rn_group_wait(g)); /* the gate opens only when all are there */
    EXPECT_EQ(atomic_load(&p.waiting), n);
    peer_stop(&p);
}

TEST_FIBER(a_thousand_are_cancelled_at_once)
{
    struct peer p;
    int n = UNDER_TSAN || UNDER_ASAN ? CROWD / 4 : CROWD;
    allow_descriptors(4 * CROWD);
    peer_start(&p, 0);
    rn_group *g = rn_group_new(NULL);
    struct call call = {.url = AT(&p, "/hang")};
    for (int i = 0; i < n; i++)
        EXPECT_OK(rn_group_go_copy(g, perform_once, &call));
    await_count(&p.waiting, n);
    rn_group_cancel(g, 0);
    EXPECT_EQ(rn_group_wait(g), -ECANCELED);
    while (atomic_load(&p.open) != 0)
        rn_yield();
    peer_stop(&p);
}

/* ---- limits ---- */

/* n transfers through a gate for `gate`: more must be let in, and no more than that. */
static void expect_limited(const rn_curl_config *config, int gate)
{
    struct peer p;
    rn_curl *client;
    peer_start(&p, gate);
    EXPECT_OK(rn_curl_new(&client, config));
    rn_group *g = rn_group_new(NULL);
    struct call call = {.client = client, .url = AT(&p, "/gate"), .body = "through\n"};
    for (int i = 0; i < gate; i++)
        EXPECT_OK(rn_group_go_copy(g, perform_once, &call));
    EXPECT_OK(rn_group_wait(g));
    call = (struct call){.client = client, .url = AT(&p, "/hello"), .body = "hello\n"};
    g = rn_group_new(NULL);
    for (int i = 0; i < 20 * gate; i++)
        EXPECT_OK(rn_group_go_copy(g, perform_once, &call));
    EXPECT_OK(rn_group_wait(g));
    EXPECT_EQ(atomic_load(&p.accepted), gate);
    rn_curl_free(client);
    peer_stop(&p);
}

TEST_FIBER(connections_are_limited)
{
    expect_limited(&(rn_curl_config){.max_per_host = 3, .name = "three"}, 3);
    expect_limited(&(rn_curl_config){.max_connections = 5, .max_open = 5}, 5);
}

TEST_FIBER(who_waits_for_a_connection_can_leave)
{
    struct peer p;
    rn_curl *client;
    char got[SINK_BYTES];
    peer_start(&p, 0);
    EXPECT_OK(rn_curl_new(&client, &(rn_curl_config){.max_per_host = 1}));
    rn_ctx *first = rn_ctx_with_cancel(NULL), *second = rn_ctx_with_cancel(NULL);
    rn_group *a = rn_group_new(NULL), *b = rn_group_new(NULL), *c = rn_group_new(NULL);
    struct call call = {first, client, AT(&p, "/hang"), NULL};
    EXPECT_OK(rn_group_go_copy(a, perform_once, &call));
    await_count(&p.waiting, 1);
    call = (struct call){second, client, AT(&p, "/hello"), NULL};
    EXPECT_OK(rn_group_go_copy(b, perform_once, &call));
    call.ctx = NULL;
    EXPECT_OK(rn_group_go_copy(c, perform_once, &call));
    rn_ctx_cancel(second, 0);
    EXPECT_EQ(rn_group_wait(b), -ECANCELED);
    EXPECT_EQ(atomic_load(&p.requests), 1);
    rn_ctx_cancel(first, 0);
    EXPECT_EQ(rn_group_wait(a), -ECANCELED);
    EXPECT_OK(rn_group_wait(c));
    CURL *easy = easy_for(AT(&p, "/hello"), got);
    EXPECT_OK(rn_curl_perform_on(NULL, client, easy, NULL));
    curl_easy_cleanup(easy);
    rn_ctx_release(first);
    rn_ctx_release(second);
    rn_curl_free(client);
    peer_stop(&p);
}

TEST_FIBER(limits_that_cannot_be)
{
    rn_curl *client = (void *)1;
    EXPECT_EQ(rn_curl_new(&client, &(rn_curl_config){.max_per_host = (size_t)1 << 40}), -EINVAL);
    EXPECT_DETAIL(".max_per_host");
    EXPECT(client == NULL);
    rn_curl_free(client);
}

/* ---- all kinds of callers ---- */

struct mixed {
    struct peer p;
    rn_curl *client;
    atomic_int good;
};

/* Good ones, such as are refused and such as give up. */
static int mixed_calls(rn_ctx *ctx, void *arg)
{
    struct mixed *m = arg;
    for (int i = 0; i < rounds(60); i++) {
        struct call good = {.client = m->client, .url = AT(&m->p, "/hello"), .body = "hello\n"};
        struct call half = {.client = m->client, .url = AT(&m->p, "/half")};
        struct call large = {.client = m->client, .url = AT(&m->p, "/body/300000")};
        rn_ctx *brief = rn_ctx_with_timeout(ctx, i % 7 * 100 * RN_MICROSECOND);
        EXPECT_OK(perform_once(ctx, &good));
        EXPECT_EQ(perform_once(ctx, &half), -ECONNRESET);
        large.ctx = brief;
        int err = perform_once(ctx, &large);
        EXPECT(err == 0 || err == -ETIMEDOUT);
        rn_ctx_release(brief);
        atomic_fetch_add(&m->good, 1);
    }
    return 0;
}

static void *mixed_thread(void *arg)
{
    mixed_calls(NULL, arg);
    return NULL;
}

TEST(fibers_and_threads_at_once)
{
    struct mixed m = {0};
    pthread_t threads[4];
    peer_start(&m.p, 0);
    EXPECT_OK(rn_curl_new(&m.client, NULL));
    rn_group *g = rn_group_new(NULL);
    for (int i = 0; i < 4; i++)
        EXPECT_EQ(pthread_create(&threads[i], NULL, mixed_thread, &m), 0);
    for (int i = 0; i < 8; i++)
        EXPECT_OK(rn_group_go(g, mixed_calls, &m));
    for (int i = 0; i < 4; i++)
        EXPECT_EQ(pthread_join(threads[i], NULL), 0);
    EXPECT_OK(rn_group_wait(g));
    EXPECT_EQ(atomic_load(&m.good), 12 * rounds(60));
    rn_curl_stats stats;
    rn_curl_stats_read(m.client, &stats);
    EXPECT_EQ(stats.running, 0);
    EXPECT(stats.failed >= 12u * (unsigned)rounds(60));
    rn_curl_free(m.client);
    peer_stop(&m.p);
    EXPECT_EQ(rn_stop(), 0);
}

/* ---- want ---- */

/* Leaves this many descriptors. */
static void leave_descriptors(int left, struct rlimit *before)
{
    int next = dup(0);
    EXPECT(next >= 0);
    close(next);
    EXPECT_EQ(getrlimit(RLIMIT_NOFILE, before), 0);
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &(struct rlimit){(rlim_t)(next + left), before->rlim_max}),
              0);
}

TEST_FIBER(no_descriptor_is_left)
{
    struct peer p;
    struct rlimit before;
    char got[SINK_BYTES];
    int code;
    peer_start(&p, 0);
    CURL *easy = easy_for(AT(&p, "/hello"), got);
    leave_descriptors(0, &before);
    EXPECT_EQ(rn_curl_perform_on(NULL, NULL, easy, &code), -EMFILE); /* for the epoll descriptor */
    EXPECT_EQ(code, CURLE_FAILED_INIT);
    EXPECT_DETAIL("curl: ");
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    EXPECT_OK(rn_curl_perform(NULL, easy));
    rn_curl_stats stats;
    rn_curl_stats_read(NULL, &stats);
    EXPECT_EQ(stats.transfers, 1);
    EXPECT_EQ(stats.running, 0);
    curl_easy_cleanup(easy);
    peer_stop(&p);
}

TEST_FIBER(no_descriptor_is_left_for_a_socket)
{
    struct peer p;
    struct rlimit before;
    char got[SINK_BYTES];
    peer_start(&p, 0);
    CURL *easy = easy_for(AT(&p, "/hello"), got);
    EXPECT_OK(rn_curl_perform(NULL, easy));
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    leave_descriptors(0, &before);
    EXPECT_EQ(rn_curl_perform(NULL, easy), -EMFILE);
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    EXPECT_OK(rn_curl_perform(NULL, easy));
    curl_easy_cleanup(easy);
    peer_stop(&p);
}
