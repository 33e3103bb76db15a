/* Other implementations at the other end: the command openssl. Without it there is nothing to test. */
#include "tls.h"

#include <runnel/tls.h>

static bool have(const char *program)
{
    char *const argv[] = {"sh", "-c", "command -v \"$0\" >/dev/null", (char *)(uintptr_t)program,
                          NULL};
    rn_process_status status;

    EXPECT_OK(rn_process_run(NULL, &(rn_process_options){.argv = argv}, &status));
    return status.code == 0;
}

struct door {
    struct world *world;
    struct server listener;
};

/* Says what it hears in capitals, until the other end has said all. */
static int shout(rn_ctx *ctx, void *arg)
{
    struct door *d = arg;
    char buffer[256];
    rn_tls *conn;
    rn_fd fd;
    ssize_t n;

    EXPECT_OK(rn_accept(ctx, d->listener.fd, &fd));
    EXPECT_OK(rn_tls_accept(ctx, d->world->server, fd, &conn));
    while ((n = rn_tls_read(ctx, conn, buffer, sizeof buffer)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            if (buffer[i] >= 'a' && buffer[i] <= 'z')
                buffer[i] = (char)(buffer[i] - 'a' + 'A');
        EXPECT_EQ(rn_tls_write(ctx, conn, buffer, (size_t)n), n);
        if (memchr(buffer, '\n', (size_t)n) != NULL)
            break;
    }
    rn_tls_close(conn);
    return 0;
}

static void talk_to_s_client(const char *version)
{
    struct world w = world_new();
    struct door d = {&w, server_new()};
    rn_group *g = rn_group_new(NULL);
    char *const argv[] = {"openssl",
                          "s_client",
                          "-connect",
                          d.listener.at,
                          "-CAfile",
                          w.authority.file.path,
                          "-verify_hostname",
                          "localhost",
                          "-verify_return_error",
                          "-servername",
                          "localhost",
                          "-quiet",
                          (char *)(uintptr_t)version,
                          NULL};
    rn_process *p;
    char buffer[64] = "";
    rn_process_status status;

    EXPECT_OK(rn_group_go(g, shout, &d));
    EXPECT_OK(rn_process_start(&p, &(rn_process_options){.argv = argv,
                                                         .in = {.kind = RN_STDIO_PIPE},
                                                         .out = {.kind = RN_STDIO_PIPE},
                                                         .err = {.kind = RN_STDIO_NULL}}));
    EXPECT_EQ(rn_fd_write(NULL, rn_process_stdin(p), "hello\n", 6), 6);
    EXPECT_EQ(rn_fd_read_full(NULL, rn_process_stdout(p), buffer, 6), 6);
    EXPECT_STR(buffer, "HELLO\n");
    EXPECT_OK(rn_group_wait(g));
    rn_process_kill(p, SIGTERM);
    EXPECT_OK(rn_process_wait(NULL, p, &status));
    rn_process_free(p);
    rn_fd_close(d.listener.fd);
    world_free(&w);
}

TEST_FIBER(openssl_s_client_talks_to_a_server)
{
    if (!have("openssl"))
        return;
    talk_to_s_client("-tls1_2");
    talk_to_s_client("-tls1_3");
}

/* ---- HTTP by hand, for curl ---- */

static int answer_curl(rn_ctx *ctx, void *arg)
{
    struct door *d = arg;
    rn_reader *in;
    rn_tls *conn;
    rn_fd fd;
    char *line;
    ssize_t n;

    EXPECT_OK(rn_accept(ctx, d->listener.fd, &fd));
    EXPECT_OK(rn_tls_accept(ctx, d->world->server, fd, &conn));
    EXPECT_OK(rn_reader_new(&in, fd, &(rn_reader_config){.read = rn_tls_read, .read_arg = conn}));
    while ((n = rn_reader_line(ctx, in, &line)) > 0)
        continue;
    EXPECT_EQ(n, 0); /* the empty line that ends the head */
    expect_tls_write(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    for (int i = 0; i < 1000; i++)
        expect_tls_write(conn, "a hundred bytes or so, written a thousand times, each in a record "
                               "of its own, and read by curl...\n");
    rn_tls_close(conn);
    rn_reader_free(in);
    return 0;
}

TEST_FIBER(curl_fetches_from_a_server)
{
    if (!have("curl"))
        return;
    struct world w = world_new();
    struct door d = {&w, server_new()};
    rn_group *g = rn_group_new(NULL);
    char url[160], *text;
    size_t size;
    rn_process_status status;

    snprintf(url, sizeof url, "https://%s/", d.listener.at);
    char *const argv[] = {"curl", "-sS", "--cacert", w.authority.file.path, url, NULL};
    EXPECT_OK(rn_group_go(g, answer_curl, &d));
    EXPECT_OK(
        rn_process_output(NULL, &(rn_process_options){.argv = argv}, 0, &text, &size, &status));
    EXPECT_EQ(status.code, 0);
    EXPECT_EQ(size % 1000, 0);
    EXPECT_EQ(size / 1000, strlen("a hundred bytes or so, written a thousand times, each in a "
                                  "record of its own, and read by curl...\n"));
    EXPECT_OK(rn_group_wait(g));
    free(text);
    rn_fd_close(d.listener.fd);
    world_free(&w);
}
