/* Listening, accepting, and what goes wrong there. */
#include "net.h"

#include <sys/prctl.h>

/* ---- listening ---- */

TEST_FIBER(tcp_listens_and_talks)
{
    static const char *const addresses[] = {"127.0.0.1:0", "[::1]:0", ":0",         "0.0.0.0:0",
                                            "[::]:0",      "tcp::0",  "localhost:0"};
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        struct server s = server_on(addresses[i], NULL);
        struct conns c = conns_of(&s);
        expect_talk(c);
        conns_close(c);
        EXPECT_EQ(rn_fd_close(s.fd), 0);
    }
}

TEST_FIBER(every_address_is_ipv4_and_ipv6)
{
    struct server s = server_on(":0", NULL);
    rn_address at;
    char four[RN_ADDRESS_TEXT], six[RN_ADDRESS_TEXT];
    rn_fd conn;

    EXPECT_OK(rn_net_local(s.fd, &at));
    snprintf(four, sizeof four, "127.0.0.1:%u", rn_address_port(&at));
    snprintf(six, sizeof six, "[::1]:%u", rn_address_port(&at));
    EXPECT_OK(rn_dial(NULL, four, NULL, &conn));
    rn_fd_close(conn);
    EXPECT_OK(rn_dial(NULL, six, NULL, &conn));
    rn_fd_close(conn);
    rn_fd_close(s.fd);

    s = server_on(":0", &(rn_listen_config){.ip6_only = true});
    EXPECT_OK(rn_net_local(s.fd, &at));
    snprintf(four, sizeof four, "127.0.0.1:%u", rn_address_port(&at));
    EXPECT_EQ(rn_dial(NULL, four, NULL, &conn), -ECONNREFUSED);
    rn_fd_close(s.fd);
}

TEST_FIBER(a_port_in_use_says_so)
{
    struct server s = server_new();
    char expected[200];
    rn_fd again;

    EXPECT_EQ(rn_listen(NULL, s.at, NULL, &again), -EADDRINUSE);
    EXPECT_EQ(again.handle, 0);
    snprintf(expected, sizeof expected, "listen on %s: Address already in use", s.at);
    EXPECT_STR(rn_error_detail(), expected);
    rn_fd_close(s.fd);
    EXPECT_OK(rn_listen(NULL, s.at, NULL, &again));
    rn_fd_close(again);
}

TEST_FIBER(lingering_connections_do_not_keep_the_port)
{
    struct server s = server_new();
    struct conns c = conns_of(&s);
    rn_fd again;

    rn_fd_close(c.b); /* this side closes first: it lingers in TIME_WAIT */
    expect_eof(c.a);
    rn_fd_close(c.a);
    rn_fd_close(s.fd);
    EXPECT_EQ(rn_listen(NULL, s.at, &(rn_listen_config){.exclusive = true}, &again), -EADDRINUSE);
    EXPECT_OK(rn_listen(NULL, s.at, NULL, &again));
    rn_fd_close(again);
}

TEST_FIBER(reuse_port_lets_several_listen)
{
    const rn_listen_config shared = {.reuse_port = true};
    struct server s = server_on("127.0.0.1:0", &shared);
    rn_fd second, third;

    EXPECT_OK(rn_listen(NULL, s.at, &shared, &second));
    EXPECT_EQ(rn_listen(NULL, s.at, NULL, &third), -EADDRINUSE);
    rn_fd_close(second);
    rn_fd_close(s.fd);
}

TEST_FIBER(other_errors_of_listening_have_sentences)
{
    rn_fd fd;
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);

    EXPECT_EQ(rn_listen(NULL, "192.0.2.1:0", NULL, &fd), -EADDRNOTAVAIL);
    EXPECT_DETAIL("listen on 192.0.2.1:0: Cannot assign requested address");
    EXPECT_EQ(rn_listen(NULL, "nobody.invalid:80", NULL, &fd), RN_ENOHOST);
    EXPECT_DETAIL("nobody.invalid: no such host");
    EXPECT_EQ(rn_listen(NULL, "80", NULL, &fd), -EINVAL);
    EXPECT_DETAIL("no port");
    EXPECT_EQ(rn_listen(NULL, NULL, NULL, &fd), -EINVAL);
    EXPECT_EQ(rn_listen(NULL, "unix:/nowhere/at/all", NULL, &fd), -ENOENT);
    EXPECT_DETAIL("listen on unix:/nowhere/at/all: No such file or directory");
    EXPECT_EQ(rn_listen(NULL, "127.0.0.1:0", &(rn_listen_config){.backlog = -3}, &fd), -EINVAL);
    EXPECT_DETAIL("listen: .backlog is -3: allowed are 0 to 2147483647");
    EXPECT_EQ(rn_listen(NULL, "unix:/x", &(rn_listen_config){.mode = 01000}, &fd), -EINVAL);
    EXPECT_DETAIL("listen: .mode is 01000: allowed are 0 to 0777");
    EXPECT_EQ(fd.handle, 0);
    rn_ctx_cancel(ctx, 0);
    EXPECT_EQ(rn_listen(ctx, "127.0.0.1:0", NULL, &fd), -ECANCELED);
    rn_ctx_release(ctx);
}

/* ---- permissions ---- */

static void listen_without_permission(void)
{
    int first = 1024;
    rn_fd fd;
    FILE *file = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "re");

    if (file != NULL) {
        EXPECT_EQ(fscanf(file, "%d", &first), 1);
        fclose(file);
    }
    if (first > 1) {
        EXPECT_EQ(rn_listen(NULL, "127.0.0.1:1", NULL, &fd), -EACCES);
        EXPECT_DETAIL("listen on 127.0.0.1:1: Permission denied: a port below 1024 takes");
    }
    EXPECT_EQ(rn_listen(NULL, "unix:/runnel-may-not", NULL, &fd), -EACCES);
    EXPECT_STR(rn_error_detail(), "listen on unix:/runnel-may-not: Permission denied");
}

TEST(without_permission_the_sentence_says_what_it_takes)
{
    bool root = geteuid() == 0;

    if (root)
        EXPECT_EQ(seteuid(65534), 0);
    test_on_fiber(listen_without_permission);
    if (root)
        EXPECT_EQ(seteuid(0), 0);
    prctl(PR_SET_DUMPABLE, 1); /* or the search for leaks would not be allowed to look */
}

/* ---- unix sockets ---- */

TEST_FIBER(unix_sockets_have_files_or_names)
{
    char path[64], address[80];
    struct stat status;

    fresh_path(path);
    snprintf(address, sizeof address, "unix:%s", path);
    struct server s = server_on(address, &(rn_listen_config){.mode = 0600});
    EXPECT_STR(s.at, address);
    EXPECT_EQ(stat(path, &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600);
    struct conns c = conns_of(&s);
    expect_talk(c);
    conns_close(c);
    rn_fd_close(s.fd);
    EXPECT_EQ(stat(path, &status), 0); /* the file stays */
    EXPECT_EQ(unlink(path), 0);

    snprintf(address, sizeof address, "unix:@%s", path);
    s = server_on(address, NULL);
    EXPECT_STR(s.at, address);
    EXPECT_EQ(stat(path, &status), -1);
    c = conns_of(&s);
    expect_talk(c);
    conns_close(c);
    rn_fd_close(s.fd);
}

TEST_FIBER(a_leftover_file_is_replaced_on_demand)
{
    const rn_listen_config replace = {.replace = true};
    char path[64], address[80], other[80];
    rn_fd fd, second;

    fresh_path(path);
    snprintf(address, sizeof address, "unix:%s", path);
    snprintf(other, sizeof other, "unixgram:%s", path);
    EXPECT_OK(rn_listen(NULL, address, &replace, &fd));
    EXPECT_EQ(rn_listen(NULL, address, &replace, &second), -EADDRINUSE); /* somebody listens */
    rn_fd_close(fd);
    EXPECT_EQ(rn_listen(NULL, address, NULL, &fd), -EADDRINUSE);
    EXPECT_DETAIL(".replace takes the place of a file to which nobody listens");
    EXPECT_OK(rn_listen(NULL, address, &replace, &fd));
    rn_fd_close(fd);
    EXPECT_EQ(unlink(path), 0);
    EXPECT_OK(rn_listen(NULL, other, NULL, &fd));
    rn_fd_close(fd);
    EXPECT_OK(rn_listen(NULL, other, &replace, &fd));
    rn_fd_close(fd);
    EXPECT_EQ(unlink(path), 0);
    int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600); /* not a socket: it stays */
    EXPECT_EQ(rn_listen(NULL, address, &replace, &fd), -EADDRINUSE);
    close(file);
    EXPECT_EQ(unlink(path), 0);
}

/* ---- accepting ---- */

struct acceptor {
    rn_ctx *ctx;
    rn_fd listener;
    int err;
    atomic_int *ended;
};

static void accept_one(void *arg)
{
    struct acceptor *a = arg;
    rn_fd conn;
    EXPECT_EQ(rn_accept(a->ctx, a->listener, &conn), a->err);
    EXPECT_EQ(conn.handle != 0, a->err == 0);
    rn_fd_close(conn);
    atomic_fetch_add(a->ended, 1);
}

TEST_FIBER(closing_the_listener_wakes_all_who_accept)
{
    struct server s = server_new();
    atomic_int ended = 0;
    int before = fds_open();
    rn_fd conn;

    for (int i = 0; i < 100; i++)
        EXPECT_OK(rn_go_copy(accept_one, &(struct acceptor){NULL, s.fd, -EBADF, &ended}));
    await_reason("accept", 100);
    EXPECT_EQ(rn_fd_close(s.fd), 0);
    await_count(&ended, 100);
    EXPECT_EQ(rn_accept(NULL, s.fd, &conn), -EBADF);
    expect_fds(before - 1);
    EXPECT_EQ(rn_dial(NULL, s.at, NULL, &conn), -ECONNREFUSED);
}

TEST_FIBER(many_accept_on_one_listener)
{
    struct server s = server_new();
    atomic_int ended = 0;

    for (int i = 0; i < 50; i++)
        EXPECT_OK(rn_go_copy(accept_one, &(struct acceptor){NULL, s.fd, 0, &ended}));
    for (int i = 0; i < 50; i++) {
        rn_fd conn;
        EXPECT_OK(rn_dial(NULL, s.at, NULL, &conn));
        expect_eof(conn);
        rn_fd_close(conn);
    }
    await_count(&ended, 50);
    rn_fd_close(s.fd);
}

TEST_FIBER(contexts_end_an_accept)
{
    struct server s = server_new();
    rn_ctx *ctx = rn_ctx_with_cancel(NULL), *soon = rn_ctx_with_timeout(NULL, RN_MILLISECOND);
    atomic_int ended = 0;
    rn_fd conn, client;

    EXPECT_OK(rn_go_copy(accept_one, &(struct acceptor){ctx, s.fd, -ECANCELED, &ended}));
    await_reason("accept", 1);
    rn_ctx_cancel(ctx, 0);
    await_count(&ended, 1);
    EXPECT_EQ(rn_accept(soon, s.fd, &conn), -ETIMEDOUT);
    EXPECT_EQ(conn.handle, 0);
    EXPECT_OK(rn_dial(NULL, s.at, NULL, &client));
    EXPECT_EQ(rn_accept(ctx, s.fd, &conn), -ECANCELED); /* although somebody is there */
    EXPECT_OK(rn_accept(NULL, s.fd, &conn));
    rn_fd_close(conn);
    rn_fd_close(client);
    rn_fd_close(s.fd);
    rn_ctx_release(ctx);
    rn_ctx_release(soon);
}

TEST_FIBER(accepting_on_something_else_is_a_code)
{
    struct pipe p = pipe_new();
    struct conns c = conns_new();
    struct server udp = server_on("udp:127.0.0.1:0", NULL);
    rn_fd conn;

    EXPECT_EQ(rn_accept(NULL, p.in, &conn), -ENOTSOCK);
    EXPECT_EQ(rn_accept(NULL, c.a, &conn), -EINVAL);
    EXPECT_EQ(rn_accept(NULL, udp.fd, &conn), -EOPNOTSUPP);
    EXPECT_EQ(rn_accept(NULL, (rn_fd){0}, &conn), -EBADF);
    rn_fd_close(udp.fd);
    conns_close(c);
    pipe_close(p);
}

TEST_FIBER(a_listener_is_one_case_of_a_select)
{
    struct server s = server_new();
    rn_fd client, conn;

    EXPECT_EQ(rn_select(NULL, rn_on_fd(s.fd, RN_READABLE), rn_default), 1);
    EXPECT_OK(rn_dial(NULL, s.at, NULL, &client));
    EXPECT_EQ(rn_select(NULL, rn_on_fd(s.fd, RN_READABLE)), 0);
    EXPECT_OK(rn_accept(NULL, s.fd, &conn));
    rn_fd_close(conn);
    rn_fd_close(client);
    rn_fd_close(s.fd);
}

TEST(plain_threads_listen_dial_and_accept)
{
    struct conns c = conns_new();
    expect_talk(c);
    conns_close(c);
    EXPECT_EQ(rn_stop(), 0);
}

TEST_FIBER(a_shared_listener_keeps_its_mode)
{
    struct silent s = silent_new("127.0.0.1");
    rn_fd listener, conn;

    EXPECT_OK(rn_fd_open_shared(&listener, s.listener));
    EXPECT_OK(rn_accept(NULL, listener, &conn));
    EXPECT_EQ(fcntl(s.listener, F_GETFL) & O_NONBLOCK, 0);
    rn_fd_close(conn);
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, RN_MILLISECOND);
    int err = rn_accept(ctx, listener, &conn); /* waits, not blocks: the other may get in or not */
    EXPECT(err == 0 || err == -ETIMEDOUT);
    rn_fd_close(conn);
    rn_ctx_release(ctx);
    rn_fd_close(listener);
    close(s.filler[0]);
    close(s.filler[1]);
}

/* ---- no descriptor is left ---- */

/* Whether a descriptor is malloc's or the runtime's for a moment; see fds_open. */
static bool some_will_close(void)
{
    for (int fd = 0; fd < 64; fd++) {
        char name[32], target[16];
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(name, target, sizeof target);
        if (length > 6 && (memcmp(target, "/proc/", 6) == 0 || memcmp(target, "/sys/", 5) == 0))
            return true;
    }
    return false;
}

/* All numbers up to the limit are used, by somebody who keeps them. */
static int use_all_fds(int *fds, int room)
{
    struct rlimit limit;
    bool kept = false;
    int n = 0, fd;

    EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 64;
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    while ((fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0 || !kept) {
        if (fd >= 0)
            fds[n++] = fd;
        EXPECT(n <= room);
        kept = fd < 0 && !some_will_close(); /* before the try that fails too */
        if (fd < 0 && !kept)
            rn_yield();
    }
    return n;
}

TEST_FIBER(without_descriptors_accept_says_so_and_recovers)
{
    struct server s = server_new();
    int fds[64], n;
    rn_fd client, conn, more;

    EXPECT_OK(rn_dial(NULL, s.at, NULL, &client));
    n = use_all_fds(fds, 64);
    EXPECT(n > 0);
    EXPECT_EQ(rn_accept(NULL, s.fd, &conn), -EMFILE);
    EXPECT_STR(rn_error_detail(),
               "accept: all 64 descriptors of this process are in use (ulimit -n)");
    EXPECT_EQ(rn_accept(NULL, s.fd, &conn), -EMFILE);
    EXPECT_EQ(rn_dial(NULL, s.at, NULL, &more), -EMFILE);
    EXPECT_DETAIL("all 64 descriptors of this process are in use");
    EXPECT_EQ(rn_listen(NULL, "127.0.0.1:0", NULL, &more), -EMFILE);
    EXPECT_DETAIL("all 64 descriptors of this process are in use");
    close(fds[--n]);
    EXPECT_OK(rn_accept(NULL, s.fd, &conn)); /* it is still there */
    expect_talk((struct conns){client, conn});
    while (n > 0)
        close(fds[--n]);
    rn_fd_close(conn);
    rn_fd_close(client);
    rn_fd_close(s.fd);
}

TEST_FIBER(who_waits_learns_that_no_descriptor_is_left)
{
    struct server s = server_new();
    atomic_int ended = 0;
    rn_fd client, conn;
    struct refusing spare = refusing_new("127.0.0.1"); /* a socket to connect with */
    int fds[64], n;

    EXPECT_OK(rn_go_copy(accept_one, &(struct acceptor){NULL, s.fd, -EMFILE, &ended}));
    await_reason("accept", 1);
    n = use_all_fds(fds, 64);
    rn_address at;
    EXPECT_OK(rn_net_local(s.fd, &at));
    EXPECT_EQ(connect(spare.fd, (void *)at.sockaddr, at.length), 0);
    await_count(&ended, 1);
    while (n > 0)
        close(fds[--n]);
    EXPECT_OK(rn_accept(NULL, s.fd, &conn));
    EXPECT_OK(rn_fd_open(&client, spare.fd));
    expect_talk((struct conns){client, conn});
    rn_fd_close(conn);
    rn_fd_close(client);
    rn_fd_close(s.fd);
}

TEST_VIRTUAL(without_descriptors_and_without_a_client_accept_waits)
{
    struct server s = server_new();
    rn_ctx *soon = rn_ctx_with_timeout(NULL, RN_MILLISECOND);
    int fds[64], n = use_all_fds(fds, 64);
    rn_fd conn;

    EXPECT_EQ(rn_accept(soon, s.fd, &conn), -ETIMEDOUT);
    while (n > 0)
        close(fds[--n]);
    rn_ctx_release(soon);
    rn_fd_close(s.fd);
}

/* ---- a thousand ---- */

static void serve_echo(void *arg)
{
    rn_fd *conn = arg;
    char buffer[64];
    ssize_t n;

    while ((n = rn_fd_read(NULL, *conn, buffer, sizeof buffer)) > 0)
        EXPECT_EQ(rn_fd_write(NULL, *conn, buffer, (size_t)n), n);
    EXPECT_EQ(n, 0);
    rn_fd_close(*conn);
}

static void serve_all(void *arg)
{
    rn_fd *listener = arg, conn;

    while (rn_accept(NULL, *listener, &conn) == 0)
        EXPECT_OK(rn_go_copy(serve_echo, &conn));
}

TEST_FIBER(a_thousand_connections_at_once)
{
    int count = fibers_at_once(1000);
    struct server s = server_new();
    rn_fd *conns = calloc((size_t)count, sizeof *conns);
    int before = fds_open();

    EXPECT_OK(rn_go_copy(serve_all, &s.fd));
    for (int i = 0; i < count; i++)
        EXPECT_OK(rn_dial(NULL, s.at, NULL, &conns[i]));
    for (int round = 0; round < 3; round++) {
        char text[32];
        for (int i = 0; i < count; i++) {
            snprintf(text, sizeof text, "connection %d", i);
            expect_write(conns[i], text);
        }
        for (int i = 0; i < count; i++) {
            snprintf(text, sizeof text, "connection %d", i);
            expect_read(conns[i], text);
        }
    }
    for (int i = 0; i < count; i++)
        rn_fd_close(conns[i]);
    expect_fds(before);
    rn_fd_close(s.fd);
    free(conns);
}
