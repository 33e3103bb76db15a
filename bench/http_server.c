/*
 * bench-http-server - says hello to every request; http.sh measures it beside its twins.
 *
 * It prints its port, and ends when its standard input does.
 */
#include <runnel.h>
#include <runnel/http.h>

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static int hello(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    (void)req, (void)arg;
    return rn_http_reply(ctx, res, 200, "text/plain", "Hello, world!", 13);
}

struct server {
    rn_http_server *http;
    rn_fd listener;
};

static int serve(rn_ctx *ctx, void *arg)
{
    struct server *s = arg;
    return rn_http_serve(ctx, s->http, s->listener);
}

static int wait_for_end_of_input(void)
{
    char buffer[16];
    ssize_t n;
    rn_fd in;
    int err = rn_fd_open(&in, STDIN_FILENO);

    if (err != 0)
        return err;
    while ((n = rn_fd_read(NULL, in, buffer, sizeof buffer)) > 0)
        continue;
    rn_fd_close(in);
    return (int)n;
}

static int app(int argc, char **argv)
{
    rn_group *g = rn_group_new(NULL);
    struct server s;
    rn_address local;
    int err;

    (void)argc, (void)argv;
    if ((err = rn_http_server_new(&s.http, NULL)) != 0 ||
        (err = rn_http_route(s.http, "GET", "/", hello, NULL)) != 0 ||
        (err = rn_listen(NULL, "127.0.0.1:0", NULL, &s.listener)) != 0 ||
        (err = rn_net_local(s.listener, &local)) != 0 || (err = rn_group_go(g, serve, &s)) != 0) {
        fprintf(stderr, "bench-http-server: %s %s\n", rn_strerror(err), rn_error_detail());
        return 1;
    }
    printf("%u\n", rn_address_port(&local));
    fflush(stdout);
    err = wait_for_end_of_input();
    rn_http_server_close(s.http);
    rn_group_wait(g);
    rn_http_server_free(s.http);
    return err != 0;
}

/* Ten thousand connections are more than a process may have when nobody asks. */
int main(int argc, char **argv)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    return rn_run(app, argc, argv);
}
