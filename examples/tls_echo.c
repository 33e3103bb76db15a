/* TLS: an echo server whose certificate is renewed while it runs; the command openssl makes it. */
#include <runnel.h>
#include <runnel/tls.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static rn_fd listener;

static int make_certificate(char *subject)
{
    char script[] = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
                    "-addext subjectAltName=IP:127.0.0.1 -subj $0 -keyout key.pem -out chain.pem";
    char *argv[] = {"sh", "-c", script, subject, NULL};
    rn_process_options options = {.argv = argv, .err.kind = RN_STDIO_NULL};
    return rn_process_run(NULL, &options, NULL);
}

static int serve(rn_ctx *ctx, void *arg)
{
    char buffer[4096];
    rn_tls *conn;
    rn_fd fd;

    while (rn_accept(ctx, listener, &fd) == 0) { /* here one after the other */
        if (rn_tls_accept(ctx, arg, fd, &conn) != 0) {
            rn_fd_close(fd);
            continue;
        }
        for (ssize_t n; (n = rn_tls_read(ctx, conn, buffer, sizeof buffer)) > 0;)
            rn_tls_write(ctx, conn, buffer, (size_t)n);
        rn_tls_close(NULL, conn);
    }
    return 0;
}

static int ask(const char *address)
{
    rn_tls_client *client;
    char answer[8] = "";
    rn_tls_info info;
    rn_tls *conn;
    int err = rn_tls_client_new(&client, &(rn_tls_client_config){.ca = "chain.pem"});

    if (err == 0 && (err = rn_tls_dial(NULL, client, address, &conn)) == 0) {
        rn_tls_write(NULL, conn, "hello", 5);
        rn_tls_read(NULL, conn, answer, 5);
        err = rn_tls_info_read(conn, &info);
        printf("%s says %s\n", info.peer, answer);
        rn_tls_close(NULL, conn);
    }
    rn_tls_client_free(client);
    return err;
}

static int app(int argc, char **argv)
{
    char folder[] = "/tmp/tls_echo-XXXXXX", at[RN_ADDRESS_TEXT];
    rn_tls_server_config config = {.certificate = "chain.pem", .key = "key.pem"};
    rn_group *g = rn_group_new(NULL);
    rn_tls_server *server = NULL;
    rn_address local;

    if (mkdtemp(folder) == NULL || chdir(folder) != 0 || make_certificate("/CN=first") != 0 ||
        rn_tls_server_new(&server, &config) != 0 ||
        rn_listen(NULL, "127.0.0.1:0", NULL, &listener) != 0 ||
        rn_net_local(listener, &local) != 0 || rn_group_go(g, serve, server) != 0 ||
        ask(rn_address_text(&local, at)) != 0 || make_certificate("/CN=second") != 0 ||
        rn_tls_server_reload(server) != 0 || ask(at) != 0)
        fprintf(stderr, "%s: %s\n", argv[argc - 1], rn_error_detail());
    rn_fd_close(listener); /* ends serve */
    rn_group_wait(g);
    rn_tls_server_free(server);
    return unlink("key.pem") != 0 || unlink("chain.pem") != 0 || rmdir(folder) != 0;
}

int main(int argc, char **argv)
{
    return rn_run(app, argc, argv);
}
