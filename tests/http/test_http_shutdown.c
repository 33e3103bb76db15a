/* How a server stops: what was accepted is answered, what comes later is refused cleanly. */
#include "http.h"

#include <runnel/http.h>
#include <stdatomic.h>

#define GET "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

/* ---- requests in flight ---- */

static struct site site;

/* A handler that waits until the test lets it go. */
struct gate {
    rn_wait_group entered, open;
    int err; /* what its wait returned */
};

static int wait_at_gate(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    struct gate *gate = arg;

    (void)req;
    rn_wait_group_done(&gate->entered);
    gate->err = rn_wait_group_wait(ctx, &gate->open);
    return gate->err != 0 ? gate->err : rn_http_reply(ctx, res, 200, NULL, "ok", 2);
}

static void gate_site(struct gate *gate, const rn_http_server_config *config)
{
    memset(gate, 0, sizeof *gate);
    rn_wait_group_add(&gate->entered, 1);
    rn_wait_group_add(&gate->open, 1);
    site_new(&site, config);
    EXPECT_OK(rn_http_route(site.server, "GET", "/", answer_text, "ok"));
    EXPECT_OK(rn_http_route(site.server, "GET", "/gate", wait_at_gate, gate));
    site_start(&site);
}

static void shut_down(void *arg)
{
    EXPECT_OK(rn_http_server_shutdown(NULL, site.server));
    rn_wait_group_done(arg);
}

TEST_FIBER(a_request_in_flight_is_finished)
{
    struct gate gate;
    rn_wait_group down = {0};
    rn_fd late;

    gate_site(&gate, NULL);
    rn_fd fd = dial(&site);
    send_text(fd, "GET /gate HTTP/1.1\r\nHost: x\r\n\r\n");
    rn_wait_group_wait(NULL, &gate.entered);
    rn_wait_group_add(&down, 1);
    EXPECT_OK(rn_go(shut_down, &down));
    rn_wait_group_wait(NULL, &site.serving); /* the listener is closed */
    EXPECT_EQ(site.served, RN_ESHUTDOWN);
    EXPECT_EQ(rn_dial(NULL, site.at, NULL, &late), -ECONNREFUSED);
    EXPECT_EQ(rn_wait_group_count(&down), 1);
    rn_wait_group_done(&gate.open);
    struct heard heard = hear_all(fd);
    drop_dates(heard.text);
    EXPECT_STR(heard.text, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    free(heard.text);
    rn_fd_close(fd);
    rn_wait_group_wait(NULL, &down);
    site_stop(&site); /* again, which does nothing */
}

/* What was pipelined behind it was accepted too: it is the last that closes. */
TEST_FIBER(pipelined_requests_are_finished)
{
    struct gate gate;
    rn_wait_group down = {0};

    gate_site(&gate, NULL);
    rn_fd fd = dial(&site);
    send_text(fd, "GET /gate HTTP/1.1\r\nHost: x\r\n\r\n" GET GET);
    rn_wait_group_wait(NULL, &gate.entered);
    rn_wait_group_add(&down, 1);
    EXPECT_OK(rn_go(shut_down, &down));
    rn_wait_group_wait(NULL, &site.serving);
    rn_wait_group_done(&gate.open);
    struct heard heard = hear_all(fd);
    drop_dates(heard.text);
    EXPECT_STR(heard.text,
               "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
               "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok"
               "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n"
               "Content-Type: text/plain\r\n\r\nok");
    free(heard.text);
    rn_fd_close(fd);
    rn_wait_group_wait(NULL, &down);
    site_stop(&site);
}

TEST_FIBER(serve_after_shutdown)
{
    struct gate gate;

    gate_site(&gate, NULL);
    EXPECT_OK(rn_http_server_shutdown(NULL, site.server));
    rn_wait_group_wait(NULL, &site.serving);
    rn_fd listener;
    EXPECT_OK(rn_listen(NULL, "127.0.0.1:0", NULL, &listener));
    EXPECT_EQ(rn_http_serve(NULL, site.server, listener), RN_ESHUTDOWN);
    EXPECT_EQ(rn_fd_close(listener), -EBADF);
    site_stop(&site);
}

TEST_FIBER(idle_connections_close_at_once)
{
    struct gate gate;
    rn_fd fds[20];

    gate_site(&gate, NULL);
    for (int i = 0; i < 20; i++) {
        fds[i] = dial(&site);
        send_text(fds[i], GET);
        hear_until(fds[i], "\r\n\r\nok");
    }
    rn_wait_group down = {0};
    rn_wait_group_add(&down, 1);
    EXPECT_OK(rn_go(shut_down, &down));
    for (int i = 0; i < 20; i++) {
        struct heard heard = hear_all(fds[i]);
        EXPECT_STR(heard.text, "");
        EXPECT_EQ(heard.end, 0);
        free(heard.text);
        rn_fd_close(fds[i]);
    }
    rn_wait_group_wait(NULL, &down);
    site_stop(&site);
}

/* ---- what is there when it stops, and when it ends ---- */

static void timed_site(void)
{
    site_new_at_once(&site, NULL);
    EXPECT_OK(rn_http_route(site.server, "GET", "/", answer_text, "ok"));
    site_start(&site);
}

/* A head of which a part has come is a request that was accepted. */
TEST_FIBER(half_a_request_is_awaited)
{
    timed_site();
    rn_fd fd = dial(&site);
    send_text(fd, GET);
    hear_until(fd, "\r\n\r\nok");
    send_text(fd, "GET / HTT");
    rn_wait_group down = {0};
    rn_wait_group_add(&down, 1);
    EXPECT_OK(rn_go(shut_down, &down));
    rn_wait_group_wait(NULL, &site.serving);
    send_text(fd, "P/1.1\r\nHost: x\r\n\r\n");
    hear_until(fd, "Connection: close\r\n");
    hear_until(fd, "\r\n\r\nok");
    rn_fd_close(fd);
    rn_wait_group_wait(NULL, &down);
    site_stop(&site);
}

TEST_VIRTUAL(a_connection_that_never_sent_a_byte_goes_after_5_s)
{
    rn_wait_group down = {0};

    timed_site();
    rn_fd silent = dial(&site);
    rn_fd speaks = dial(&site);
    rn_sleep(NULL, RN_SECOND);
    rn_time begin = rn_now();
    rn_wait_group_add(&down, 1);
    EXPECT_OK(rn_go(shut_down, &down));
    rn_sleep(NULL, 3 * RN_SECOND);
    send_text(speaks, GET);
    hear_until(speaks, "Connection: close\r\n");
    hear_until(speaks, "\r\n\r\nok");
    rn_fd_close(speaks);
    struct heard heard = hear_all(silent);
    EXPECT_EQ(rn_now() - begin, 4 * RN_SECOND);
    EXPECT_STR(heard.text, "");
    free(heard.text);
    rn_fd_close(silent);
    rn_wait_group_wait(NULL, &down);
    site_stop(&site);
}

/* It was not accepted yet when the server was told to stop. */
TEST_VIRTUAL(a_connection_that_waited_to_be_accepted)
{
    struct gate gate = {0};
    rn_wait_group down = {0};

    rn_wait_group_add(&gate.entered, 1);
    rn_wait_group_add(&gate.open, 1);
    site_new_at_once(&site, &(rn_http_server_config){.connections_max = 1});
    EXPECT_OK(rn_http_route(site.server, "GET", "/gate", wait_at_gate, &gate));
    EXPECT_OK(rn_http_route(site.server, "GET", "/", answer_text, "ok"));
    site_start(&site);
    rn_fd busy = dial(&site);
    send_text(busy, "GET /gate HTTP/1.1\r\nHost: x\r\n\r\n");
    rn_wait_group_wait(NULL, &gate.entered);
    rn_fd silent = dial(&site), speaks = dial(&site);
    send_text(speaks, GET);
    rn_wait_group_add(&down, 1);
    rn_time begin = rn_now();
    EXPECT_OK(rn_go(shut_down, &down));
    hear_until(speaks, "\r\n\r\nok");
    rn_fd_close(speaks);
    struct heard heard = hear_all(silent);
    EXPECT_STR(heard.text, "");
    EXPECT_EQ(rn_now() - begin, 5 * RN_SECOND);
    free(heard.text);
    rn_fd_close(silent);
    rn_wait_group_done(&gate.open);
    hear_until(busy, "\r\n\r\nok");
    rn_fd_close(busy);
    rn_wait_group_wait(NULL, &down);
    site_stop(&site);
}

/* A client that does not take its leave holds the server up a moment only. */
TEST_VIRTUAL(a_client_that_stays)
{
    timed_site();
    rn_fd fd = dial(&site);
    send_text(fd, GET);
    hear_until(fd, "\r\n\r\nok");
    rn_time begin = rn_now();
    site_stop(&site);
    EXPECT(rn_now() - begin <= RN_SECOND);
    rn_fd_close(fd);
}

/* ---- the end of contexts ---- */

TEST_FIBER(shutdown_gives_up_with_its_context)
{
    struct gate gate;

    gate_site(&gate, NULL);
    rn_fd fd = dial(&site);
    send_text(fd, "GET /gate HTTP/1.1\r\nHost: x\r\n\r\n");
    rn_wait_group_wait(NULL, &gate.entered);
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, RN_MILLISECOND);
    EXPECT_EQ(rn_http_server_shutdown(ctx, site.server), -ETIMEDOUT);
    rn_ctx_release(ctx);
    rn_http_server_close(site.server);
    EXPECT_EQ(gate.err, -ECANCELED);
    struct heard heard = hear_all(fd);
    EXPECT_STR(heard.text, "");
    free(heard.text);
    rn_fd_close(fd);
    site_stop(&site);
}

TEST_FIBER(the_end_of_serve_s_context_closes)
{
    struct gate gate;

    gate_site(&gate, NULL);
    rn_fd fd = dial(&site);
    send_text(fd, "GET /gate HTTP/1.1\r\nHost: x\r\n\r\n");
    rn_wait_group_wait(NULL, &gate.entered);
    rn_ctx_cancel(site.ctx, 0);
    rn_wait_group_wait(NULL, &site.serving);
    EXPECT_EQ(site.served, -ECANCELED);
    EXPECT_EQ(gate.err, -ECANCELED);
    rn_fd_close(fd);
    rn_http_server_free(site.server);
    rn_ctx_release(site.ctx);
}

TEST_FIBER(serve_says_what_is_wrong_with_a_listener)
{
    rn_http_server *s;
    rn_fd listener;

    EXPECT_OK(rn_http_server_new(&s, NULL));
    EXPECT_OK(rn_listen(NULL, "127.0.0.1:0", NULL, &listener));
    rn_fd_close(listener);
    EXPECT_EQ(rn_http_serve(NULL, s, listener), -EBADF);
    rn_http_server_free(s);
}

/* ---- several listeners ---- */

TEST_FIBER(several_listeners)
{
    struct site one, two;

    site_new(&one, NULL);
    EXPECT_OK(rn_http_route(one.server, "GET", "/", answer_text, "ok"));
    site_new(&two, NULL);
    rn_http_server_free(two.server);
    two.server = one.server;
    site_start(&one);
    site_start(&two);
    for (int i = 0; i < 2; i++) {
        struct site *s = i == 0 ? &one : &two;
        rn_fd fd = dial(s);
        send_text(fd, GET);
        hear_until(fd, "\r\n\r\nok");
        rn_fd_close(fd);
    }
    EXPECT_OK(rn_http_server_shutdown(NULL, one.server));
    rn_wait_group_wait(NULL, &two.serving);
    EXPECT_EQ(two.served, RN_ESHUTDOWN);
    rn_ctx_release(two.ctx);
    site_stop(&one);
}

/* ---- as part of a plan ---- */

static const rn_shutdown_config quick = {
    .budgets = {RN_SECOND, RN_SECOND, 2 * RN_SECOND, RN_SECOND, RN_SECOND},
    .no_signals = true,
};

TEST_FIBER(a_plan_stops_the_server)
{
    struct gate gate;
    rn_shutdown *plan;

    gate_site(&gate, NULL);
    EXPECT_OK(rn_shutdown_new(&plan, &quick));
    EXPECT_OK(rn_http_server_hook(site.server, plan));
    rn_fd fd = dial(&site);
    send_text(fd, "GET /gate HTTP/1.1\r\nHost: x\r\n\r\n");
    rn_wait_group_wait(NULL, &gate.entered);
    rn_wait_group_done(&gate.open);
    rn_shutdown_begin(plan, 0);
    EXPECT_EQ(rn_shutdown_wait(NULL, plan), 0);
    hear_until(fd, "\r\n\r\nok");
    rn_fd_close(fd);
    rn_shutdown_free(plan);
    site_stop(&site);
}

/* A handler that heeds its context ends in phase CANCEL. */
TEST_VIRTUAL(a_plan_cancels_what_waits)
{
    struct gate gate = {0};
    rn_shutdown *plan;

    rn_wait_group_add(&gate.entered, 1);
    rn_wait_group_add(&gate.open, 1);
    site_new_at_once(&site, NULL);
    EXPECT_OK(rn_http_route(site.server, "GET", "/", wait_at_gate, &gate));
    site_start(&site);
    EXPECT_OK(rn_shutdown_new(&plan, &quick));
    EXPECT_OK(rn_http_server_hook(site.server, plan));
    rn_fd fd = dial(&site);
    send_text(fd, GET);
    rn_wait_group_wait(NULL, &gate.entered);
    rn_time begin = rn_now();
    rn_shutdown_begin(plan, 0);
    EXPECT_EQ(rn_shutdown_wait(NULL, plan), -ETIMEDOUT); /* of phase DRAIN */
    EXPECT_EQ(gate.err, -ECANCELED);
    EXPECT(rn_now() - begin >= 2 * RN_SECOND && rn_now() - begin < 3 * RN_SECOND);
    rn_fd_close(fd);
    rn_shutdown_free(plan);
    site_stop(&site);
}

/* One that does not is left behind when the budget is over, and the report names the server. */
static int never_end(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    struct gate *gate = arg;

    (void)ctx, (void)req, (void)res;
    rn_wait_group_done(&gate->entered);
    rn_wait_group_wait(NULL, &gate->open);
    return 0;
}

TEST_VIRTUAL(a_handler_that_never_ends)
{
    struct gate gate = {0};
    rn_shutdown *plan;
    rn_shutdown_entry report[8];
    int late = 0;

    rn_wait_group_add(&gate.entered, 1);
    rn_wait_group_add(&gate.open, 1);
    site_new_at_once(&site, &(rn_http_server_config){.name = "front door"});
    EXPECT_OK(rn_http_route(site.server, "GET", "/", never_end, &gate));
    site_start(&site);
    EXPECT_OK(rn_shutdown_new(&plan, &quick));
    EXPECT_OK(rn_http_server_hook(site.server, plan));
    rn_fd fd = dial(&site);
    send_text(fd, GET);
    rn_wait_group_wait(NULL, &gate.entered);
    rn_time begin = rn_now();
    rn_shutdown_begin(plan, 0);
    EXPECT_EQ(rn_shutdown_wait(NULL, plan), -ETIMEDOUT);
    EXPECT(rn_now() - begin >= 3 * RN_SECOND && rn_now() - begin < 4 * RN_SECOND);
    size_t n = rn_shutdown_report(plan, report, 8);
    EXPECT_EQ(n, 3);
    for (size_t i = 0; i < n; i++) {
        EXPECT_STR(report[i].name, "front door");
        late += report[i].err == -ETIMEDOUT || report[i].late;
    }
    EXPECT_EQ(late, 2); /* DRAIN and CANCEL */
    rn_wait_group_done(&gate.open);
    rn_fd_close(fd);
    rn_shutdown_free(plan);
    site_stop(&site);
}

/* ---- under load ---- */

#define CLIENTS 24
#define ROUNDS 10

struct load {
    struct site site;
    rn_wait_group clients, warm;
    atomic_int answered; /* answers that clients have got whole */
    atomic_int handled;  /* requests that a handler has answered */
    atomic_bool torn;    /* an answer broke off */
    atomic_bool reset;   /* a connection that was kept alive ended otherwise than with its end */
};

static int count_it(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    struct load *load = arg;

    (void)req;
    rn_yield();
    atomic_fetch_add(&load->handled, 1);
    return rn_http_reply(ctx, res, 200, "text/plain", "0123456789", 10);
}

/* One request and its answer. 1: answered, and the connection goes on; 0: the last; -1: none. */
static int ask(struct load *load, rn_fd fd, bool first)
{
    char answer[1024];
    size_t size = 0;

    ssize_t n = rn_fd_write(NULL, fd, GET, strlen(GET));
    while (n > 0) {
        n = rn_fd_read(NULL, fd, answer + size, sizeof answer - 1 - size);
        if (n <= 0)
            break;
        size += (size_t)n;
        answer[size] = 0;
        if (strstr(answer, "\r\n\r\n0123456789") != NULL) {
            atomic_fetch_add(&load->answered, 1);
            return strstr(answer, "Connection: close") == NULL;
        }
    }
    if (size > 0)
        atomic_store(&load->torn, true);
    if (n < 0 && !first)
        atomic_store(&load->reset, true);
    return -1;
}

/* Keeps asking, also on new connections, until none can be had. */
static void keep_asking(void *arg)
{
    struct load *load = arg;
    rn_fd fd;
    bool warm = false;

    while (rn_dial(NULL, load->site.at, NULL, &fd) == 0) {
        int more = 1;
        for (int i = 0; more == 1; i++) {
            more = ask(load, fd, i == 0);
            if (!warm)
                rn_wait_group_done(&load->warm);
            warm = true;
        }
        rn_fd_close(fd);
        if (more < 0)
            break;
    }
    rn_wait_group_done(&load->clients);
}

static void stop_under_load(void)
{
    struct load load = {.answered = 0};
    rn_http_server_stats stats;

    site_new(&load.site, NULL);
    EXPECT_OK(rn_http_route(load.site.server, "GET", "/", count_it, &load));
    site_start(&load.site);
    rn_wait_group_add(&load.clients, CLIENTS);
    rn_wait_group_add(&load.warm, CLIENTS);
    for (int i = 0; i < CLIENTS; i++)
        EXPECT_OK(rn_go(keep_asking, &load));
    rn_wait_group_wait(NULL, &load.warm);
    EXPECT_OK(rn_http_server_shutdown(NULL, load.site.server));
    rn_http_server_stats_read(load.site.server, &stats);
    rn_wait_group_wait(NULL, &load.clients);
    EXPECT(!atomic_load(&load.torn));
    EXPECT(!atomic_load(&load.reset)); /* what came too late is refused cleanly */
    EXPECT_EQ(atomic_load(&load.answered), atomic_load(&load.handled));
    EXPECT_EQ(stats.requests, (uint64_t)atomic_load(&load.handled));
    EXPECT_EQ(stats.connections, 0);
    site_stop(&load.site);
}

TEST_FIBER(no_accepted_request_is_lost)
{
    for (int i = 0; i < ROUNDS; i++)
        stop_under_load();
}

/* Every connection that was accepted gets its first request answered. */
static void ask_once(void *arg)
{
    struct load *load = arg;
    rn_fd fd;

    while (rn_dial(NULL, load->site.at, NULL, &fd) == 0) {
        ask(load, fd, true);
        rn_fd_close(fd);
    }
    rn_wait_group_done(&load->clients);
}

static void stop_among_dials(void)
{
    struct load load = {.answered = 0};
    rn_http_server_stats stats = {0};

    site_new(&load.site, NULL);
    EXPECT_OK(rn_http_route(load.site.server, "GET", "/", count_it, &load));
    site_start(&load.site);
    rn_wait_group_add(&load.clients, 8);
    for (int i = 0; i < 8; i++)
        EXPECT_OK(rn_go(ask_once, &load));
    while (stats.accepted < 50) {
        rn_yield();
        rn_http_server_stats_read(load.site.server, &stats);
    }
    EXPECT_OK(rn_http_server_shutdown(NULL, load.site.server));
    rn_wait_group_wait(NULL, &load.clients);
    rn_http_server_stats_read(load.site.server, &stats);
    EXPECT(!atomic_load(&load.torn));
    EXPECT_EQ(stats.accepted, stats.requests);
    EXPECT_EQ(atomic_load(&load.answered), stats.accepted);
    site_stop(&load.site);
}

TEST_FIBER(every_connection_that_was_accepted_is_answered)
{
    for (int i = 0; i < ROUNDS; i++)
        stop_among_dials();
}

/* Closed in the middle of it, nothing is left: valgrind and LeakSanitizer look at it. */
TEST_FIBER(closed_under_load)
{
    static struct load load;

    site_new(&load.site, NULL);
    EXPECT_OK(rn_http_route(load.site.server, "GET", "/", count_it, &load));
    site_start(&load.site);
    rn_wait_group_add(&load.clients, CLIENTS);
    rn_wait_group_add(&load.warm, CLIENTS);
    for (int i = 0; i < CLIENTS; i++)
        EXPECT_OK(rn_go(keep_asking, &load));
    rn_wait_group_wait(NULL, &load.warm);
    rn_http_server_close(load.site.server);
    rn_wait_group_wait(NULL, &load.clients);
    site_stop(&load.site);
}
