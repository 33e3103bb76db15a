/* Easy handles on fibers: results, callbacks, contexts, connections, clients. */
#include "peer.h"

#include <curl/curl.h>
#include <runnel/curl.h>

#define LONG_LABEL "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

TEST_FIBER(a_get)
{
    struct peer p;
    char got[SINK_BYTES];
    peer_start(&p, 0);
    CURL *easy = easy_for(AT(&p, "/hello"), got);
    EXPECT_OK(rn_curl_perform(NULL, easy));
    EXPECT_STR(got, "hello\n");
    curl_easy_cleanup(easy);
    peer_stop(&p);
}

TEST(a_get_on_a_plain_thread)
{
    struct peer p;
    char got[SINK_BYTES];
    int code = -1;
    peer_start(&p, 0);
    CURL *easy = easy_for(AT(&p, "/hello"), got);
    EXPECT_OK(rn_curl_perform_on(NULL, NULL, easy, &code));
    EXPECT_EQ(code, CURLE_OK);
    EXPECT_STR(got, "hello\n");
    curl_easy_cleanup(easy);
    peer_stop(&p);
    EXPECT_EQ(rn_stop(), 0);
}

TEST_FIBER(connections_are_used_again)
{
    struct peer p;
    char got[SINK_BYTES];
    peer_start(&p, 0);
    for (int i = 0; i < 10; i++) {
        CURL *easy = easy_for(AT(&p, "/hello"), got);
        EXPECT_OK(rn_curl_perform(NULL, easy));
        EXPECT_STR(got, "hello\n");
        curl_easy_cleanup(easy);
    }
    EXPECT_EQ(atomic_load(&p.requests), 10);
    EXPECT_EQ(atomic_load(&p.accepted), 1);
    rn_curl_stats stats;
    rn_curl_stats_read(NULL, &stats);
    EXPECT_EQ(stats.transfers, 10);
    EXPECT_EQ(stats.connections, 1);
    EXPECT_EQ(stats.running, 0);
    EXPECT_EQ(stats.failed, 0);
    peer_stop(&p);
}

TEST_FIBER(a_handle_can_be_performed_again)
{
    struct peer p;
    char got[SINK_BYTES];
    peer_start(&p, 0);
    CURL *easy = easy_for(AT(&p, "/nothing"), got);
    EXPECT_EQ(rn_curl_perform(NULL, easy), -ECONNRESET);
    curl_easy_setopt(easy, CURLOPT_URL, AT(&p, "/hello"));
    EXPECT_OK(rn_curl_perform(NULL, easy));
    EXPECT_STR(got, "hello\n");
    curl_easy_cleanup(easy);
    peer_stop(&p);
}

/* ---- failures ---- */

static void expect_failure(const char *url, int expected, CURLcode expected_code)
{
    char got[SINK_BYTES];
    int code = -1;
    CURL *easy = easy_for(url, got);
    EXPECT_EQ(rn_curl_perform_on(NULL, NULL, easy, &code), expected);
    EXPECT_EQ(code, expected_code);
    EXPECT_DETAIL("curl: ");
    EXPECT_DETAIL(curl_easy_strerror(expected_code));
    curl_easy_cleanup(easy);
}

TEST_FIBER(failures_are_codes)
{
    struct peer p;
    char url[64];
    peer_start(&p, 0);
    int fd = refusing_url(url);
    expect_failure(url, -ECONNREFUSED, CURLE_COULDNT_CONNECT);
    close(fd);
    /* a label of more than 63 bytes is known to be none, without asking */
    expect_failure("http://" LONG_LABEL ".invalid/", RN_ENOHOST, CURLE_COULDNT_RESOLVE_HOST);
    expect_failure("nothing://127.0.0.1/", -EPROTONOSUPPORT, CURLE_UNSUPPORTED_PROTOCOL);
    expect_failure("http://127.0.0.1:99999999/", -EINVAL, CURLE_URL_MALFORMAT);
    expect_failure(AT(&p, "/half"), -ECONNRESET, CURLE_PARTIAL_FILE);
    expect_failure(AT(&p, "/nothing"), -ECONNRESET, CURLE_GOT_NOTHING);
    expect_failure(AT(&p, "/garbage"), -EPROTO, CURLE_UNSUPPORTED_PROTOCOL);
    rn_curl_stats stats;
    rn_curl_stats_read(NULL, &stats);
    EXPECT_EQ(stats.failed, 7);
    peer_stop(&p);
}

static int refuse_logins(rn_ctx *ctx, void *arg)
{
    rn_fd conn;
    rn_reader *in;
    char *line;
    EXPECT_OK(rn_accept(ctx, *(rn_fd *)arg, &conn));
    EXPECT_OK(rn_reader_new(&in, conn, NULL));
    EXPECT_OK(say(conn, "220 A server of files\r\n"));
    while (rn_reader_line(ctx, in, &line) >= 0)
        say(conn, "530 Nobody may log in\r\n");
    rn_reader_free(in);
    return rn_fd_close(conn);
}

TEST_FIBER(other_protocols_too)
{
    rn_fd listener;
    rn_address at;
    char url[64], got[SINK_BYTES];
    EXPECT_OK(rn_listen(NULL, "127.0.0.1:0", NULL, &listener));
    EXPECT_OK(rn_net_local(listener, &at));
    snprintf(url, sizeof url, "ftp://127.0.0.1:%d/file", rn_address_port(&at));
    rn_group *g = rn_group_new(NULL);
    EXPECT_OK(rn_group_go(g, refuse_logins, &listener));
    expect_failure(url, -EACCES, CURLE_LOGIN_DENIED);
    rn_curl_close_idle(NULL);
    EXPECT_OK(rn_group_wait(g));
    rn_fd_close(listener);
    CURL *easy = easy_for("file:///dev/null", got);
    EXPECT_OK(rn_curl_perform(NULL, easy));
    curl_easy_cleanup(easy);
    expect_failure("file:///no/such/file", -EIO, CURLE_FILE_COULDNT_READ_FILE);
}

TEST_FIBER(options_of_libcurl_that_fail)
{
    struct peer p;
    char got[SINK_BYTES];
    peer_start(&p, 0);
    CURL *easy = easy_for(AT(&p, "/status/500"), got);
    curl_easy_setopt(easy, CURLOPT_FAILONERROR, 1L);
    EXPECT_EQ(rn_curl_perform(NULL, easy), -EREMOTEIO);
    curl_easy_setopt(easy, CURLOPT_URL, AT(&p, "/loop"));
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(easy, CURLOPT_MAXREDIRS, 3L);
    EXPECT_EQ(rn_curl_perform(NULL, easy), -ELOOP);
    curl_easy_setopt(easy, CURLOPT_URL, AT(&p, "/body/1000"));
    curl_easy_setopt(easy, CURLOPT_MAXFILESIZE, 999L);
    EXPECT_EQ(rn_curl_perform(NULL, easy), -EMSGSIZE);
    curl_easy_setopt(easy, CURLOPT_URL, AT(&p, "/hang"));
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 20L);
    EXPECT_EQ(rn_curl_perform(NULL, easy), -ETIMEDOUT);
    EXPECT_DETAIL("curl: ");
    curl_easy_cleanup(easy);
    peer_stop(&p);
}

TEST_FIBER(no_handle_and_a_handle_of_others)
{
    struct peer p;
    char got[SINK_BYTES];
    CURLM *multi = curl_multi_init();
    int code = CURLE_OK;
    peer_start(&p, 0);
    EXPECT_EQ(rn_curl_perform(NULL, NULL), -EINVAL);
    EXPECT_DETAIL("NULL");
    CURL *easy = easy_for(AT(&p, "/hello"), got);
    EXPECT_EQ(curl_multi_add_handle(multi, easy), CURLM_OK);
    EXPECT_EQ(rn_curl_perform_on(NULL, NULL, easy, &code), -EBUSY);
    EXPECT_EQ(code, CURLE_FAILED_INIT);
    EXPECT_DETAIL("performed already");
    curl_multi_remove_handle(multi, easy);
    EXPECT_OK(rn_curl_perform(NULL, easy));
    curl_easy_cleanup(easy);
    curl_multi_cleanup(multi);
    peer_stop(&p);
}

/* ---- contexts ---- */

struct call {
    rn_ctx *ctx;
    rn_curl *client;
    CURL *easy;
    int code;
};

static int perform(rn_ctx *ctx, void *arg)
{
    struct call *call = arg;
    (void)ctx;
    return rn_curl_perform_on(call->ctx, call->client, call->easy, &call->code);
}

TEST_FIBER(a_cancel_closes_the_connection_and_gives_the_handle_back)
{
    struct peer p;
    char got[SINK_BYTES];
    peer_start(&p, 0);
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    CURL *easy = easy_for(AT(&p, "/hang"), got);
    struct call call = {.ctx = ctx, .easy = easy};
    rn_group *g = rn_group_new(NULL);
    EXPECT_OK(rn_group_go(g, perform, &call));
    await_count(&p.waiting, 1);
    rn_ctx_cancel(ctx, 0);
    EXPECT_EQ(rn_group_wait(g), -ECANCELED);
    EXPECT_EQ(call.code, CURLE_ABORTED_BY_CALLBACK);
    while (atomic_load(&p.open) != 0) /* the server sees it */
        rn_yield();
    EXPECT_EQ(rn_curl_perform(ctx, easy), -ECANCELED); /* at once */
    curl_easy_setopt(easy, CURLOPT_URL, AT(&p, "/hello"));
    EXPECT_OK(rn_curl_perform(NULL, easy));
    EXPECT_STR(got, "hello\n");
    rn_curl_stats stats;
    rn_curl_stats_read(NULL, &stats);
    EXPECT_EQ(stats.stopped, 1);
    EXPECT_EQ(stats.transfers, 2);
    curl_easy_cleanup(easy);
    rn_ctx_release(ctx);
    peer_stop(&p);
}

TEST_FIBER(a_deadline)
{
    struct peer p;
    char got[SINK_BYTES];
    peer_start(&p, 0);
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, 20 * RN_MILLISECOND);
    CURL *easy = easy_for(AT(&p, "/hang"), got);
    EXPECT_EQ(rn_curl_perform(ctx, easy), -ETIMEDOUT);
    EXPECT_EQ(rn_curl_perform(ctx, easy), -ETIMEDOUT);
    curl_easy_cleanup(easy);
    rn_ctx_release(ctx);
    peer_stop(&p);
}

/* ---- callbacks ---- */

static size_t take_less(char *data, size_t one, size_t size, void *arg)
{
    (void)data, (void)one, (void)arg;
    return size - 1;
}

static int refuse_to_go_on(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)arg, (void)a, (void)b, (void)c, (void)d;
    return 1;
}

TEST_FIBER(callbacks_that_abort)
{
    struct peer p;
    char got[SINK_BYTES];
    peer_start(&p, 0);
    CURL *easy = easy_for(AT(&p, "/hello"), got);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_less);
    EXPECT_EQ(rn_curl_perform(NULL, easy), -ECONNABORTED);
    curl_easy_cleanup(easy);
    easy = easy_for(AT(&p, "/hang"), got);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, refuse_to_go_on);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    EXPECT_EQ(rn_curl_perform(NULL, easy), -ECONNABORTED);
    curl_easy_cleanup(easy);
    peer_stop(&p);
}

struct nested {
    CURL *other;
    int err;
};

static size_t perform_inside(char *data, size_t one, size_t size, void *arg)
{
    struct nested *n = arg;
    (void)data, (void)one;
    n->err = rn_curl_perform(NULL, n->other);
    return size;
}

TEST_FIBER(a_callback_cannot_perform_on_its_client)
{
    struct peer p;
    char got[SINK_BYTES];
    peer_start(&p, 0);
    struct nested nested = {easy_for(AT(&p, "/hello"), got), 0};
    CURL *easy = easy_for(AT(&p, "/hello"), got);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, perform_inside);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &nested);
    EXPECT_OK(rn_curl_perform(NULL, easy));
    EXPECT_EQ(nested.err, -EDEADLK);
    curl_easy_cleanup(easy);
    curl_easy_cleanup(nested.other);
    peer_stop(&p);
}

static size_t pause_once(char *data, size_t one, size_t size, void *arg)
{
    rn_chan(int) *paused = arg;
    if (rn_try_send(*paused, 1) == 0)
        return CURL_WRITEFUNC_PAUSE;
    (void)data, (void)one;
    return size;
}

static int resume_from_progress(void *easy, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)a, (void)b, (void)c, (void)d;
    curl_easy_pause(easy, CURLPAUSE_CONT);
    return 0;
}

TEST_FIBER(a_transfer_can_pause_itself)
{
    struct peer p;
    char got[SINK_BYTES];
    rn_chan(int) paused = rn_chan_make(int, 1);
    peer_start(&p, 0);
    CURL *easy = easy_for(AT(&p, "/hello"), got);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, pause_once);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &paused);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, resume_from_progress);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, easy);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    EXPECT_OK(rn_curl_perform(NULL, easy));
    EXPECT_EQ(rn_len(paused), 1);
    curl_easy_cleanup(easy);
    rn_chan_release(paused);
    peer_stop(&p);
}
