/*
 * Sockets that systemd passed: a child process, this program again, gets them as systemd gives
 * them.
 */
#include "net.h"
#include "sched/poller.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

extern char **environ;

/* The child begins here: which part it has to play is in the environment. */
static int part(int argc, char **argv);

static void become(const char *role, int count, const int *fds, bool for_us, const char *names)
{
    char text[32], program[4096];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);

    EXPECT(n > 0);
    program[n] = 0;
    for (int i = 0; i < count; i++)
        if (dup2(fds[i], 10 + i) < 0)
            _exit(100);
    for (int i = 0; i < count; i++)
        if (dup2(10 + i, 3 + i) < 0)
            _exit(100);
    snprintf(text, sizeof text, "%d", count);
    setenv("LISTEN_FDS", text, 1);
    snprintf(text, sizeof text, "%d", for_us ? getpid() : 1);
    setenv("LISTEN_PID", text, 1);
    if (names != NULL)
        setenv("LISTEN_FDNAMES", names, 1);
    setenv("PART", role, 1);
    execv(program, (char *[]){program, "--here", "play_a_part", NULL});
    _exit(101);
}

static int in_child(const char *role, int count, const int *fds, bool for_us, const char *names)
{
    int status;
    pid_t pid = fork();

    if (pid == 0)
        become(role, count, fds, for_us, names);
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* As systemd makes it: blocking, and to be inherited. */
static int bind_plainly(int fd, int type, rn_address *at)
{
    socklen_t length = sizeof at->sockaddr;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    EXPECT_EQ(bind(fd, (void *)&in, sizeof in), 0);
    if (type == SOCK_STREAM)
        EXPECT_EQ(listen(fd, 10), 0);
    EXPECT_EQ(getsockname(fd, (void *)at->sockaddr, &length), 0);
    at->length = length;
    at->network = type == SOCK_STREAM ? RN_TCP : RN_UDP;
    return fd;
}

static int plain_listener(int domain, int type, rn_address *at)
{
    return bind_plainly(socket(domain, type, 0), type, at);
}

TEST(sockets_of_systemd_are_taken_by_name_and_number)
{
    rn_address at;
    int fds[3] = {plain_listener(AF_INET, SOCK_STREAM, &at),
                  plain_listener(AF_INET, SOCK_DGRAM, &at),
                  plain_listener(AF_INET, SOCK_STREAM, &at)};
    EXPECT_EQ(in_child("serve", 3, fds, true, "http:dns:http"), 0);
}

/* A stream of an internet family, as SCTP's are, which fewer kernels have. */
TEST(a_stream_that_is_not_tcp_is_read_until_it_is_empty)
{
    rn_address at;
    int fds[1] = {socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP)};

    if (fds[0] < 0)
        return; /* the kernel has no other stream, or an emulator does not know it */
    bind_plainly(fds[0], SOCK_STREAM, &at);
    EXPECT_EQ(in_child("stream", 1, fds, true, NULL), 0);
}

TEST(nothing_is_taken_that_was_passed_to_another_process)
{
    rn_address at;
    int fds[1] = {plain_listener(AF_INET, SOCK_STREAM, &at)};
    EXPECT_EQ(in_child("nothing", 1, fds, false, NULL), 0);
    EXPECT_EQ(in_child("nothing", 0, fds, true, NULL), 0);
}

TEST(what_is_no_socket_is_said)
{
    int fds[1] = {open("/dev/null", O_RDONLY | O_CLOEXEC)};
    EXPECT_EQ(in_child("null", 1, fds, true, NULL), 0);
}

/* ---- the child ---- */

/* Whether a short read is taken to have left nothing. */
static bool short_is_empty(rn_fd fd)
{
    struct poll_entry *entry = poll_hold(fd.handle);
    EXPECT(entry != NULL);
    bool stream = (entry->flags & POLL_STREAM) != 0;
    poll_drop(entry);
    return stream;
}

static void play_stream(void)
{
    rn_fd listener, conn, client;
    rn_address local;
    char text[RN_ADDRESS_TEXT];

    EXPECT_OK(rn_listen(NULL, "systemd:0", NULL, &listener));
    EXPECT_OK(rn_net_local(listener, &local));
    EXPECT_OK(rn_dial(NULL, rn_address_text(&local, text), NULL, &client));
    EXPECT_OK(rn_accept(NULL, listener, &conn));
    EXPECT(!short_is_empty(conn));
    expect_talk((struct conns){client, conn});
}

static void play_serve(void)
{
    rn_fd web, dns, second, none, conn, client;
    rn_address local, to;
    char text[RN_ADDRESS_TEXT], buffer[8] = "";

    EXPECT_OK(rn_listen(NULL, "systemd:http", NULL, &web));
    EXPECT_EQ(fcntl(rn_fd_number(web), F_GETFD), FD_CLOEXEC);
    EXPECT_OK(rn_listen(NULL, "systemd:1", NULL, &dns));
    EXPECT_OK(rn_listen(NULL, "systemd:http", NULL, &second)); /* the second of that name */
    EXPECT_EQ(rn_fd_number(web), 3);
    EXPECT_EQ(rn_fd_number(dns), 4);
    EXPECT_EQ(rn_fd_number(second), 5);
    EXPECT_EQ(rn_listen(NULL, "systemd:dns", NULL, &none), -EBUSY);
    EXPECT_STR(rn_error_detail(), "systemd:dns: taken before");
    EXPECT_EQ(rn_listen(NULL, "systemd:0", NULL, &none), -EBUSY);
    EXPECT_EQ(rn_listen(NULL, "systemd:3", NULL, &none), -ENOENT);
    EXPECT_STR(rn_error_detail(), "systemd:3: no such socket was passed: there are 3");
    EXPECT_EQ(rn_listen(NULL, "systemd:htt", NULL, &none), -ENOENT);
    EXPECT_EQ(rn_listen(NULL, "systemd:", NULL, &none), -ENOENT);
    EXPECT_EQ(none.handle, 0);

    EXPECT_OK(rn_net_local(web, &local));
    EXPECT_OK(rn_dial(NULL, rn_address_text(&local, text), NULL, &client));
    EXPECT_OK(rn_accept(NULL, web, &conn));
    EXPECT(short_is_empty(conn));
    EXPECT(!short_is_empty(dns));
    expect_talk((struct conns){client, conn});
    int64_t nodelay = 0;
    EXPECT_OK(rn_net_get(conn, RN_NET_NODELAY, &nodelay));
    EXPECT_EQ(nodelay, 1);
    EXPECT_OK(rn_net_local(dns, &to));
    EXPECT_EQ(to.network, RN_UDP);
    EXPECT_EQ(rn_net_send_to(NULL, dns, "myself", 6, &to), 0);
    EXPECT_EQ(rn_net_recv_from(NULL, dns, buffer, sizeof buffer, NULL), 6);
    EXPECT_EQ(rn_fd_close(web), 0);
    EXPECT_EQ(rn_listen(NULL, "systemd:0", NULL, &none), -EBUSY); /* its number may be anybody's */
}

static void play_nothing(void)
{
    rn_fd fd;
    EXPECT_EQ(rn_listen(NULL, "systemd:0", NULL, &fd), -ENOENT);
    EXPECT_STR(rn_error_detail(), "systemd:0: no such socket was passed: there are 0");
    EXPECT_EQ(rn_listen(NULL, "systemd:unknown", NULL, &fd), -ENOENT);
}

static void play_null(void)
{
    rn_fd fd;
    EXPECT_EQ(rn_listen(NULL, "systemd:0", NULL, &fd), -ENOTSOCK);
    EXPECT_DETAIL("systemd:0: descriptor 3: Socket operation on non-socket");
    EXPECT_EQ(fd.handle, 0);
}

static int part(int argc, char **argv)
{
    const char *role = getenv("PART");

    (void)argc, (void)argv;
    if (role == NULL)
        return 0;
    if (strcmp(role, "serve") == 0)
        play_serve();
    else if (strcmp(role, "stream") == 0)
        play_stream();
    else if (strcmp(role, "nothing") == 0)
        play_nothing();
    else
        play_null();
    return 0;
}

/* In a run of its own it has no part, and does nothing. */
TEST(play_a_part)
{
    EXPECT_EQ(rn_run(part, 0, NULL), 0);
}
