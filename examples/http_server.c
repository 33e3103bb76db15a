/*
 * An HTTP server with the guards of production: rate limit, circuit breaker, budget, graceful end.
 *     http_server :8080 /srv/www    serves until SIGTERM or Ctrl-C; try it with curl
 *     http_server                   on a free port, asks itself, and ends
 */
#include <runnel.h>
#include <runnel/http.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct app {
    rn_shutdown *plan;
    rn_http_server *server;
    rn_fd listener;
    rn_pubsub *news;
    rn_limiter *limiter;
    rn_breaker *backend;
    rn_semaphore *units; /* 8, of which each piece of work takes some */
    rn_http_files *files;
};

/* 429 or 503, and when to come again: whole seconds, rounded up. */
static int refuse(rn_ctx *ctx, rn_http_response *res, int status, rn_duration after)
{
    rn_http_setf(res, "Retry-After", "%d", (int)((after + RN_SECOND - 1) / RN_SECOND));
    return rn_http_error(ctx, res, status, NULL);
}

static int hello(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    (void)req, (void)arg;
    return rn_http_reply(ctx, res, 200, "text/plain", "hello\n", 6);
}

static int square(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    char *end;
    long n = strtol(rn_http_param(req, "n"), &end, 10);

    (void)arg;
    if (*end != 0 || labs(n) > 1000000)
        return rn_http_error(ctx, res, 400, "a number up to a million, please");
    rn_http_set(res, "Content-Type", "application/json");
    return rn_http_printf(ctx, res, "{\"n\":%ld,\"square\":%ld}\n", n, n * n);
}

static int limited(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    struct app *app = arg;

    if (rn_limiter_allow(app->limiter, 1) == 0)
        return hello(ctx, req, res, arg);
    return refuse(ctx, res, 429, rn_limiter_delay(app->limiter, 1));
}

static int ask_backend(rn_ctx *ctx, rn_http_request *req)
{
    const char *ms = rn_http_query_value(req, "ms");
    int err = rn_sleep(ctx, (ms != NULL ? atoi(ms) : 1) * RN_MILLISECOND);

    return err == 0 && rn_http_query_value(req, "fail") != NULL ? -ECONNREFUSED : err;
}

/* GET /work?units=3, also with &ms=100 or &fail=1 */
static int work(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    struct app *app = arg;
    const char *units = rn_http_query_value(req, "units");
    size_t n = units != NULL ? strtoul(units, NULL, 10) : 1;
    rn_permit permit = {0};
    int err = rn_semaphore_try_acquire(app->units, n);

    if (err != 0)
        return err == -EAGAIN ? refuse(ctx, res, 503, RN_SECOND)
                              : rn_http_error(ctx, res, 400, "there are only 8 units");
    if ((err = rn_breaker_allow(app->backend, &permit)) == 0) {
        err = ask_backend(ctx, req);
        rn_breaker_done(app->backend, permit, err);
    }
    rn_semaphore_release(app->units, n);
    if (err == RN_EOPEN)
        return refuse(ctx, res, 503, permit.retry_after);
    return err == 0 ? hello(ctx, req, res, arg) : rn_http_error(ctx, res, 502, rn_strerror(err));
}

/* Server-sent events, until the client leaves or the shutdown begins. */
static int ticks(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    struct app *app = arg;
    rn_subscription *sub;
    rn_message m;
    int err = rn_subscribe(app->news, "ticks", NULL, &sub);

    (void)req;
    if (err == 0)
        err = rn_http_events_start(ctx, res);
    while (err == 0 && rn_subscription_recv(rn_shutdown_begun(app->plan), sub, &m) == 0)
        err = rn_http_event(ctx, res, &(rn_http_event_fields){.event = "tick", .data = m.data});
    rn_subscription_free(sub);
    return err;
}

static int publish_ticks(rn_ctx *ctx, void *arg)
{
    struct app *app = arg;
    char text[16];

    for (int i = 1; rn_sleep(rn_shutdown_begun(app->plan), 50 * RN_MILLISECOND) == 0; i++)
        rn_publish_bytes(ctx, app->news, "ticks", text, 1 + (size_t)sprintf(text, "%d", i));
    return 0;
}

static int serve(rn_ctx *ctx, void *arg)
{
    struct app *app = arg;
    return rn_shutdown_begin(app->plan, rn_http_serve(ctx, app->server, app->listener));
}

static int set_up(struct app *app, const char *address, const char *folder)
{
    static const rn_limiter_config two_a_minute = {.every = 30 * RN_SECOND, .burst = 2};
    int err;

    if ((err = rn_shutdown_new(&app->plan, NULL)) != 0 ||
        (err = rn_http_server_new(&app->server, NULL)) != 0 ||
        (err = rn_pubsub_new(&app->news, NULL)) != 0 ||
        (err = rn_limiter_new(&app->limiter, &two_a_minute)) != 0 ||
        (err = rn_breaker_new(&app->backend, &(rn_breaker_config){.failure_threshold = 3})) != 0 ||
        (err = rn_semaphore_new(&app->units, 8)) != 0 ||
        (err = rn_http_files_new(&app->files, &(rn_http_files_config){.root = folder})) != 0 ||
        (err = rn_listen(NULL, address, NULL, &app->listener)) != 0)
        return err;
    rn_http_route(app->server, "GET", "/{$}", hello, app);
    rn_http_route(app->server, "GET", "/square/{n}", square, app);
    rn_http_route(app->server, "GET", "/limited", limited, app);
    rn_http_route(app->server, "GET", "/work", work, app);
    rn_http_route(app->server, "GET", "/ticks", ticks, app);
    rn_http_route(app->server, "GET", "/files/{path...}", rn_http_files_serve, app->files);
    return rn_http_server_hook(app->server, app->plan);
}

static void ask(const char *at, const char *path)
{
    char text[1024] = "";
    rn_fd conn;

    if (rn_dial(NULL, at, NULL, &conn) != 0)
        return;
    dprintf(rn_fd_number(conn), "GET %s HTTP/1.0\r\n\r\n", path);
    rn_fd_read(NULL, conn, text, sizeof text - 1);
    printf("%s: %.*s%s\n", path, (int)strcspn(text, "\r"), text,
           strstr(text, "Retry-After") != NULL ? ", come again" : "");
    rn_fd_close(conn);
}

static int app(int argc, char **argv)
{
    char questions[] = "/ /square/12 /square/x /nowhere /ticks /limited /limited /limited /work "
                       "/work?units=9 /work?fail=1 /work?fail=1 /work?fail=1 /work";
    char at[RN_ADDRESS_TEXT];
    rn_address local;
    struct app app = {0};
    int err = set_up(&app, argc > 1 ? argv[1] : "127.0.0.1:0", argc > 2 ? argv[2] : ".");

    if (err != 0) {
        fprintf(stderr, "http_server: %s\n", rn_error_detail());
    } else {
        rn_group *g = rn_group_new(rn_shutdown_ctx(app.plan));
        rn_group_go(g, publish_ticks, &app);
        rn_group_go(g, serve, &app);
        rn_net_local(app.listener, &local);
        if (argc == 1) {
            for (char *rest = questions, *path; (path = strsep(&rest, " ")) != NULL;)
                ask(rn_address_text(&local, at), path);
            rn_shutdown_begin(app.plan, 0);
        } else {
            fprintf(stderr, "http_server: on %s\n", rn_address_text(&local, at));
        }
        if ((err = rn_shutdown_wait(NULL, app.plan)) != 0)
            rn_shutdown_print(app.plan, 2);
        rn_group_wait(g);
    }
    rn_http_server_free(app.server);
    rn_http_files_free(app.files);
    rn_semaphore_free(app.units);
    rn_breaker_free(app.backend);
    rn_limiter_free(app.limiter);
    rn_pubsub_free(app.news);
    rn_shutdown_free(app.plan);
    return err != 0;
}

int main(int argc, char **argv)
{
    return rn_run(app, argc, argv);
}
