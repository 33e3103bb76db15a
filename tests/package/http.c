/* One request to a server of librunnel-http, as installed: says "http: " and the status line. */
#include <runnel.h>
#include <runnel/http.h>
#include <stdio.h>

static int hello(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    (void)req, (void)arg;
    return rn_http_reply(ctx, res, 200, "text/plain", "hello\n", 6);
}

struct serving {
    rn_http_server *server;
    rn_fd listener;
};

static int serve(rn_ctx *ctx, void *arg)
{
    struct serving *s = arg;
    rn_http_serve(ctx, s->server, s->listener);
    return 0;
}

static int ask(rn_fd listener)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n";
    char at[RN_ADDRESS_TEXT], line[64] = "";
    rn_address local;
    rn_fd conn;

    if (rn_net_local(listener, &local) != 0 ||
        rn_dial(NULL, rn_address_text(&local, at), NULL, &conn) != 0)
        return 1;
    rn_fd_write(NULL, conn, request, sizeof request - 1);
    rn_fd_read_full(NULL, conn, line, 15);
    printf("http: %s\n", line);
    return rn_fd_close(conn);
}

static int app(int argc, char **argv)
{
    struct serving s;
    rn_group *g = rn_group_new(NULL);

    (void)argc, (void)argv;
    if (rn_http_server_new(&s.server, NULL) != 0 ||
        rn_http_route(s.server, "GET", "/", hello, NULL) != 0 ||
        rn_listen(NULL, "127.0.0.1:0", NULL, &s.listener) != 0 || rn_group_go(g, serve, &s) != 0)
        return 1;
    int err = ask(s.listener);
    rn_http_server_close(s.server);
    rn_group_wait(g);
    rn_http_server_free(s.server);
    return err;
}

int main(int argc, char **argv)
{
    return rn_run(app, argc, argv);
}
