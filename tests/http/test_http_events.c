/* Server-sent events. ctest: TIMEOUT=120 */
#include "http.h"

#include <runnel/http.h>

#define HEAD                                                                                       \
    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/event-stream\r\n"                  \
    "Cache-Control: no-store\r\n\r\n"

static void events_site(struct site *site, rn_http_handler *fn, void *arg)
{
    site_new(site, NULL);
    EXPECT_OK(rn_http_route(site->server, "GET", "/events", fn, arg));
    site_start(site);
}

/* Sends the events that the test wants, then ends. */
struct script {
    const rn_http_event_fields *events;
    size_t n;
};

static int play(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    struct script *script = arg;

    (void)req;
    EXPECT_OK(rn_http_events_start(ctx, res));
    for (size_t i = 0; i < script->n; i++)
        EXPECT_OK(rn_http_event(ctx, res, &script->events[i]));
    return 0;
}

/* HTTP/1.0, so that the bytes come as they are. */
static void expect_stream(const rn_http_event_fields *events, size_t n, const char *stream)
{
    struct script script = {events, n};
    struct site site;

    events_site(&site, play, &script);
    char *heard = exchange(&site, "GET /events HTTP/1.0\r\n\r\n");
    EXPECT(strncmp(heard, HEAD, strlen(HEAD)) == 0);
    EXPECT_STR(heard + strlen(HEAD), stream);
    free(heard);
    site_stop(&site);
}

#define EXPECT_STREAM(stream, ...)                                                                 \
    do {                                                                                           \
        const rn_http_event_fields events_[] = {__VA_ARGS__};                                      \
        expect_stream(events_, sizeof events_ / sizeof events_[0], (stream));                      \
    } while (0)

TEST_FIBER(writes_all_fields)
{
    EXPECT_STREAM("event: tick\nid: 7\nretry: 1500\ndata: hello\n\n",
                  {.event = "tick", .id = "7", .data = "hello", .retry = 1500 * RN_MILLISECOND});
}

TEST_FIBER(leaves_fields_out)
{
    EXPECT_STREAM("data: a\n\nid: \n\n\n", {.data = "a"}, {.id = ""}, {.event = NULL});
}

TEST_FIBER(splits_lines_at_every_kind_of_end)
{
    EXPECT_STREAM("data: a\ndata: b\ndata: c\ndata: \ndata: d\n\n", {.data = "a\nb\r\nc\r\rd"});
    EXPECT_STREAM("data: a\ndata: \n\ndata: \n\n", {.data = "a\n"}, {.data = ""});
    EXPECT_STREAM("data: a\ndata: \n\n", {.data = "a\r"});
}

TEST_FIBER(takes_data_by_length)
{
    EXPECT_STREAM("data: ab\n\ndata: ab\ndata: \n\n", {.data = "abc", .size = 2},
                  {.data = "ab\r\n", .size = 3});
}

TEST_FIBER(sends_data_larger_than_any_buffer)
{
    enum { BYTES = 100000 };
    char *data = malloc(BYTES + 1), *stream = malloc(BYTES + 32);

    memset(data, 'x', BYTES);
    data[BYTES] = 0;
    snprintf(stream, BYTES + 32, "data: %s\n\n", data);
    EXPECT_STREAM(stream, {.data = data});
    free(data);
    free(stream);
}

static int refuse_bad(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    (void)req, (void)arg;
    EXPECT_OK(rn_http_events_start(ctx, res));
    EXPECT_EQ(rn_http_events_start(ctx, res), -EBUSY);
    EXPECT_EQ(rn_http_event(ctx, res, &(rn_http_event_fields){.event = "a\nb"}), -EINVAL);
    EXPECT_EQ(rn_http_event(ctx, res, &(rn_http_event_fields){.id = "a\r"}), -EINVAL);
    EXPECT_STR(rn_error_detail(), "http event: an event or id of more than one line");
    EXPECT_EQ(rn_http_event(ctx, res, &(rn_http_event_fields){.retry = -1}), -EINVAL);
    return rn_http_comment(ctx, res, "that was\nall");
}

TEST_FIBER(sends_nothing_of_a_bad_event)
{
    struct site site;

    events_site(&site, refuse_bad, NULL);
    EXPECT_ANSWER(&site, "GET /events HTTP/1.0\r\n\r\n", HEAD ": that was\n: all\n\n");
    site_stop(&site);
}

struct gate {
    rn_chan(int) go_on;
};

/* One event, then the next when the test says so. */
static int step(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    struct gate *gate = arg;
    int err = rn_http_events_start(ctx, res);

    (void)req;
    for (int i = 1; err == 0; i++) {
        char number[16];
        int nothing;
        snprintf(number, sizeof number, "%d", i);
        err = rn_http_event(ctx, res, &(rn_http_event_fields){.data = number});
        if (err == 0)
            err = rn_recv(ctx, gate->go_on, &nothing);
    }
    return err == RN_ECLOSED ? 0 : err;
}

TEST_FIBER(sends_each_event_at_once)
{
    struct gate gate = {rn_chan_make(int, 0)};
    struct site site;

    events_site(&site, step, &gate);
    rn_fd fd = dial(&site);
    send_text(fd, "GET /events HTTP/1.1\r\nHost: x\r\n\r\n");
    hear_until(fd, "data: 1\n\n");
    EXPECT_OK(rn_send(NULL, gate.go_on, 0));
    hear_until(fd, "data: 2\n\n");
    rn_close(gate.go_on);
    hear_until(fd, "\r\n0\r\n\r\n"); /* in chunks, and the connection stays */
    rn_fd_close(fd);
    site_stop(&site);
    rn_chan_release(gate.go_on);
}

static int comment_until_gone(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    int *result = arg;
    int err = rn_http_events_start(ctx, res);

    (void)req;
    while (err == 0) {
        err = rn_http_comment(ctx, res, NULL);
        rn_yield();
    }
    *result = err;
    return err;
}

TEST_FIBER(tells_that_the_client_left)
{
    struct site site;
    int result = 0;

    events_site(&site, comment_until_gone, &result);
    rn_fd fd = dial(&site);
    send_text(fd, "GET /events HTTP/1.1\r\nHost: x\r\n\r\n");
    hear_until(fd, ": \n\n");
    rn_fd_close(fd);
    site_stop(&site);
    EXPECT(result == -EPIPE || result == -ECONNRESET);
}

/* As an endless route: only a failure ends it. */
static int play_for_ever(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    int err = rn_http_events_start(ctx, res);

    (void)req;
    EXPECT_EQ(err, -EPIPE);
    EXPECT_EQ(rn_http_event(ctx, res, &(rn_http_event_fields){.data = "a"}), -EPIPE);
    EXPECT_EQ(rn_http_comment(ctx, res, NULL), -EPIPE);
    ++*(int *)arg;
    return err;
}

TEST_FIBER(sends_no_events_for_head)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                                 "Cache-Control: no-store\r\n\r\n";
    char twice[2 * sizeof answer];
    struct site site;
    int played = 0;

    events_site(&site, play_for_ever, &played);
    snprintf(twice, sizeof twice, "%s%s", answer, answer);
    EXPECT_ANSWER(&site,
                  "HEAD /events HTTP/1.1\r\nHost: x\r\n\r\n"
                  "HEAD /events HTTP/1.1\r\nHost: x\r\n\r\n",
                  twice);
    site_stop(&site);
    EXPECT_EQ(played, 2);
}
