/*
 * A server is told to stop by a signal: it takes no more requests, gives those it has some time to
 * finish, cancels what is left, and reports. Here it sends the signal to itself.
 */
#include <runnel.h>
#include <stdio.h>
#include <unistd.h>

struct server {
    rn_shutdown *plan;
    rn_chan(int) requests;
    rn_group *handlers;
};

/* The tenth takes too long. */
static int handle(rn_ctx *ctx, void *arg)
{
    int request = *(int *)arg;
    int err = rn_sleep(ctx, request == 10 ? RN_HOUR : request * RN_MILLISECOND);

    if (err != 0)
        printf("request %d: %s\n", request, rn_strerror(err));
    return 0;
}

/* Takes requests until the shutdown begins. */
static int serve(rn_ctx *ctx, void *arg)
{
    struct server *s = arg;
    int request;
    (void)ctx; /* ends only when all work is cancelled */
    while (rn_recv(rn_shutdown_begun(s->plan), s->requests, &request) == 0)
        rn_group_go_copy(s->handlers, handle, &request);
    return 0;
}

/* Ends with the last handler, or with the budget of its phase. */
static int finish_requests(rn_ctx *ctx, void *handlers)
{
    int err = rn_select(ctx, rn_on_group(handlers));
    return err < 0 ? err : 0;
}

static int close_database(rn_ctx *ctx, void *unused)
{
    (void)ctx, (void)unused;
    return 0;
}

static int app(int argc, char **argv)
{
    struct server s = {.requests = rn_chan_make(int, 0)};
    rn_shutdown_config config = {.budgets = {[RN_SHUTDOWN_DRAIN] = 100 * RN_MILLISECOND}};
    rn_shutdown_entry report[2];

    (void)argc, (void)argv;
    if (rn_shutdown_new(&s.plan, &config) != 0) /* SIGINT and SIGTERM begin it */
        return 1;
    rn_group *g = rn_group_new(rn_shutdown_ctx(s.plan));
    s.handlers = rn_group_new(rn_shutdown_ctx(s.plan));
    rn_shutdown_hook(s.plan, RN_SHUTDOWN_DRAIN, "requests", finish_requests, s.handlers);
    rn_shutdown_hook(s.plan, RN_SHUTDOWN_CLOSE, "database", close_database, NULL);
    rn_group_go(g, serve, &s);
    for (int i = 1; i <= 10; i++)
        rn_send(NULL, s.requests, i);
    kill(getpid(), SIGTERM);
    rn_shutdown_wait(NULL, s.plan);
    rn_group_wait(g);
    rn_group_wait(s.handlers);
    for (size_t i = 0; i < rn_shutdown_report(s.plan, report, 2); i++)
        printf("%s: %s\n", report[i].name, rn_strerror(report[i].err));
    rn_shutdown_free(s.plan);
    rn_chan_release(s.requests);
    return 0;
}

int main(int argc, char **argv)
{
    return rn_run(app, argc, argv);
}
