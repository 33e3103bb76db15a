/*
 * A server that says everything back: a fiber for each connection, blocking in style.
 *
 *     echo_server :7000       serves until Ctrl-C; then every connection is closed and all is freed
 *     echo_server             serves on a free port, and a client of its own tries it
 */
#include <runnel.h>

#include <signal.h>
#include <stdio.h>

static int echo(rn_ctx *ctx, void *arg)
{
    rn_fd *conn = arg; /* this fiber's own copy */
    char buffer[4096];
    ssize_t n;

    while ((n = rn_fd_read(ctx, *conn, buffer, sizeof buffer)) > 0)
        rn_fd_write(ctx, *conn, buffer, (size_t)n); /* if that fails, so does the next read */
    rn_fd_close(*conn);
    return 0; /* a client that vanishes is no trouble of the others */
}

static int serve(rn_ctx *ctx, void *arg)
{
    rn_fd *listener = arg, conn;
    rn_group *clients = rn_group_new(ctx);
    int err = 0;

    while (err == 0) {
        err = rn_accept(ctx, *listener, &conn);
        if (err == -EMFILE || err == -ENFILE)
            err = rn_sleep(ctx, 100 * RN_MILLISECOND); /* until some have left */
        else if (err == 0 && rn_group_go_copy(clients, echo, &conn) != 0)
            rn_fd_close(conn);
    }
    rn_group_wait(clients);
    return err;
}

static int ask(rn_ctx *ctx, rn_fd listener)
{
    char at[RN_ADDRESS_TEXT], answer[64] = "";
    rn_address local;
    rn_fd conn;
    int err = rn_net_local(listener, &local);

    if (err != 0 || (err = rn_dial(ctx, rn_address_text(&local, at), NULL, &conn)) != 0)
        return err;
    rn_fd_write(ctx, conn, "who is there?", 13);
    rn_net_close_write(conn); /* no more questions */
    rn_fd_read_full(ctx, conn, answer, sizeof answer - 1);
    printf("heard \"%s\"\n", answer);
    return rn_fd_close(conn);
}

static int app(int argc, char **argv)
{
    rn_ctx *ctx = rn_ctx_with_signals(NULL, SIGINT, SIGTERM);
    rn_group *server = rn_group_new(ctx);
    rn_fd listener;
    int err = rn_listen(ctx, argc > 1 ? argv[1] : "127.0.0.1:0", NULL, &listener);

    if (err != 0) {
        fprintf(stderr, "%s\n", rn_error_detail());
    } else if ((err = rn_group_go(server, serve, &listener)) == 0 && argc == 1) {
        err = ask(ctx, listener);
        rn_group_cancel(server, 0);
    }
    rn_group_wait(server);
    rn_fd_close(listener);
    rn_ctx_release(ctx);
    return err != 0;
}

int main(int argc, char **argv)
{
    return rn_run(app, argc, argv);
}
