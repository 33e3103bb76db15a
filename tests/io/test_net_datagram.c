/* Datagrams: UDP and unix. */
#include "net.h"

static rn_fd dial(const char *address)
{
    rn_fd fd;
    EXPECT_OK(rn_dial(NULL, address, NULL, &fd));
    return fd;
}

static void expect_datagram(rn_fd fd, const char *text, rn_address *from)
{
    char buffer[256] = "";
    EXPECT_EQ(rn_net_recv_from(NULL, fd, buffer, sizeof buffer, from), (ssize_t)strlen(text));
    EXPECT_STR(buffer, text);
}

TEST_FIBER(datagrams_go_there_and_back)
{
    static const char *const addresses[] = {"udp:127.0.0.1:0", "udp:[::1]:0"};

    for (int i = 0; i < 2; i++) {
        struct server a = server_on(addresses[i], NULL), b = server_on(addresses[i], NULL);
        rn_address to, from;
        char text[RN_ADDRESS_TEXT];

        EXPECT_OK(rn_address_parse(b.at, &to));
        EXPECT_EQ(rn_net_send_to(NULL, a.fd, "question", 8, &to), 0);
        expect_datagram(b.fd, "question", &from);
        EXPECT_STR(rn_address_text(&from, text), a.at);
        EXPECT_EQ(rn_net_send_to(NULL, b.fd, "answer", 6, &from), 0);
        expect_datagram(a.fd, "answer", NULL);
        EXPECT_EQ(rn_net_send_to(NULL, a.fd, "x", 1, NULL), -EDESTADDRREQ);
        rn_fd_close(a.fd);
        rn_fd_close(b.fd);
    }
}

TEST_FIBER(a_dialed_socket_needs_no_address)
{
    struct server s = server_on("udp:127.0.0.1:0", NULL);
    rn_fd client = dial(s.at);
    rn_address from, local;
    char byte;

    EXPECT_EQ(rn_net_send_to(NULL, client, "by send", 7, NULL), 0);
    expect_datagram(s.fd, "by send", &from);
    EXPECT_OK(rn_net_local(client, &local));
    EXPECT(rn_address_equal(&from, &local));
    EXPECT_EQ(rn_fd_write(NULL, client, "by write", 8), 8);
    expect_datagram(s.fd, "by write", NULL);
    EXPECT_EQ(rn_net_send_to(NULL, s.fd, "z", 1, &from), 0);
    EXPECT_EQ(rn_fd_read(NULL, client, &byte, 1), 1);
    EXPECT_EQ(byte, 'z');
    rn_fd_close(client);
    rn_fd_close(s.fd);
}

TEST_FIBER(empty_datagrams_count)
{
    struct server s = server_on("udp:127.0.0.1:0", NULL);
    rn_fd client = dial(s.at);
    rn_address from;
    char byte;

    EXPECT_EQ(rn_net_send_to(NULL, client, NULL, 0, NULL), 0);
    EXPECT_EQ(rn_net_recv_from(NULL, s.fd, &byte, 1, &from), 0);
    EXPECT_EQ(from.network, RN_UDP);
    rn_fd_close(client);
    rn_fd_close(s.fd);
}

TEST_FIBER(what_is_too_long_for_the_buffer_is_said)
{
    struct server s = server_on("udp:127.0.0.1:0", NULL);
    rn_fd client = dial(s.at);
    rn_address from;
    char buffer[5] = "";

    EXPECT_EQ(rn_net_send_to(NULL, client, "too long", 8, NULL), 0);
    EXPECT_EQ(rn_net_send_to(NULL, client, "next", 4, NULL), 0);
    EXPECT_EQ(rn_net_recv_from(NULL, s.fd, buffer, 4, &from), -EMSGSIZE);
    EXPECT_STR(buffer, "too "); /* the rest is lost */
    EXPECT_EQ(from.network, RN_UDP);
    expect_datagram(s.fd, "next", NULL);
    rn_fd_close(client);
    rn_fd_close(s.fd);
}

TEST_FIBER(what_is_too_long_for_a_datagram_is_said)
{
    struct server s = server_on("udp:127.0.0.1:0", NULL);
    rn_fd client = dial(s.at);
    char *data = calloc(1, 70000);

    EXPECT_EQ(rn_net_send_to(NULL, client, data, 70000, NULL), -EMSGSIZE);
    free(data);
    rn_fd_close(client);
    rn_fd_close(s.fd);
}

TEST_FIBER(nobody_there_is_told_to_who_dialed)
{
    struct server s = server_on("udp:127.0.0.1:0", NULL);
    rn_fd client = dial(s.at);
    char byte;

    rn_fd_close(s.fd);
    EXPECT_EQ(rn_net_send_to(NULL, client, "x", 1, NULL), 0);
    EXPECT_EQ(rn_net_recv_from(NULL, client, &byte, 1, NULL), -ECONNREFUSED);
    rn_fd_close(client);
}

/* ---- waiting ---- */

struct receiver {
    rn_ctx *ctx;
    rn_fd fd;
    ssize_t result;
    atomic_int *ended;
};

static void receive(void *arg)
{
    struct receiver *r = arg;
    char buffer[16];
    EXPECT_EQ(rn_net_recv_from(r->ctx, r->fd, buffer, sizeof buffer, NULL), r->result);
    atomic_fetch_add(r->ended, 1);
}

TEST_FIBER(a_receive_ends_with_a_datagram_the_context_or_the_socket)
{
    struct server s = server_on("udp:127.0.0.1:0", NULL);
    rn_fd client = dial(s.at);
    rn_ctx *ctx = rn_ctx_with_cancel(NULL), *soon = rn_ctx_with_timeout(NULL, RN_MILLISECOND);
    atomic_int ended = 0;
    char byte;

    EXPECT_OK(rn_go_copy(receive, &(struct receiver){NULL, s.fd, 5, &ended}));
    await_reason("fd read", 1);
    EXPECT_EQ(rn_net_send_to(NULL, client, "hello", 5, NULL), 0);
    await_count(&ended, 1);
    EXPECT_OK(rn_go_copy(receive, &(struct receiver){ctx, s.fd, -ECANCELED, &ended}));
    await_reason("fd read", 1);
    rn_ctx_cancel(ctx, 0);
    await_count(&ended, 2);
    EXPECT_EQ(rn_net_recv_from(soon, s.fd, &byte, 1, NULL), -ETIMEDOUT);
    EXPECT_EQ(rn_net_send_to(soon, client, "x", 1, NULL), -ETIMEDOUT);
    EXPECT_EQ(rn_net_send_to(ctx, client, "x", 1, NULL), -ECANCELED);
    for (int i = 0; i < 10; i++)
        EXPECT_OK(rn_go_copy(receive, &(struct receiver){NULL, s.fd, -EBADF, &ended}));
    await_reason("fd read", 10);
    rn_fd_close(s.fd);
    await_count(&ended, 12);
    EXPECT_EQ(rn_net_recv_from(NULL, s.fd, &byte, 1, NULL), -EBADF);
    EXPECT_EQ(rn_net_send_to(NULL, s.fd, "x", 1, NULL), -EBADF);
    rn_fd_close(client);
    rn_ctx_release(ctx);
    rn_ctx_release(soon);
}

/* ---- unix ---- */

TEST_FIBER(unix_datagrams_go_by_files_and_names)
{
    char path[64], one[80], two[80], text[RN_ADDRESS_TEXT];
    rn_address to, from;

    fresh_path(path);
    snprintf(one, sizeof one, "unixgram:%s", path);
    snprintf(two, sizeof two, "unixgram:@%s", path);
    struct server a = server_on(one, NULL), b = server_on(two, NULL);
    EXPECT_OK(rn_address_parse(two, &to));
    EXPECT_EQ(rn_net_send_to(NULL, a.fd, "question", 8, &to), 0);
    expect_datagram(b.fd, "question", &from);
    EXPECT_STR(rn_address_text(&from, text), one);
    EXPECT_EQ(rn_net_send_to(NULL, b.fd, "answer", 6, &from), 0);
    expect_datagram(a.fd, "answer", NULL);
    rn_fd client = dial(one);
    EXPECT_EQ(rn_net_send_to(NULL, client, "hi", 2, NULL), 0);
    expect_datagram(a.fd, "hi", &from);
    EXPECT_EQ(from.network, RN_NO_NETWORK); /* the client has no name */
    rn_fd_close(a.fd);
    EXPECT_OK(rn_address_parse(one, &to));
    EXPECT_EQ(rn_net_send_to(NULL, b.fd, "x", 1, &to), -ECONNREFUSED);
    rn_fd_close(client);
    rn_fd_close(b.fd);
    unlink(path);
}

struct burst {
    rn_fd fd;
    const rn_address *to;
    int count;
    atomic_int *ended;
};

static void send_burst(void *arg)
{
    struct burst *b = arg;
    for (int i = 0; i < b->count; i++)
        EXPECT_EQ(rn_net_send_to(NULL, b->fd, &i, sizeof i, b->to), 0);
    atomic_fetch_add(b->ended, 1);
}

/* More than the receiver's queue holds: the sender waits, dialed or not, and nothing is lost. */
TEST_FIBER(a_full_receiver_is_waited_for)
{
    enum { COUNT = 1000 };
    struct server s = server_abstract("unixgram"), other = server_abstract("unixgram");
    rn_fd client = dial(s.at);
    rn_address to;
    atomic_int ended = 0;
    rn_ctx *soon = rn_ctx_with_timeout(NULL, RN_MILLISECOND);

    EXPECT_OK(rn_address_parse(s.at, &to));
    for (int round = 0; round < 2; round++) {
        struct burst b = {round == 0 ? client : other.fd, round == 0 ? NULL : &to, COUNT, &ended};
        EXPECT_OK(rn_go_copy(send_burst, &b));
        await_reason("fd write", 1);
        if (round == 1)
            EXPECT_EQ(rn_net_send_to(soon, other.fd, "x", 1, &to), -ETIMEDOUT);
        for (int i = 0, got = 0; i < COUNT; i++) {
            EXPECT_EQ(rn_net_recv_from(NULL, s.fd, &got, sizeof got, NULL), (ssize_t)sizeof got);
            EXPECT_EQ(got, i);
        }
        await_count(&ended, round + 1);
    }
    rn_ctx_release(soon);
    rn_fd_close(client);
    rn_fd_close(other.fd);
    rn_fd_close(s.fd);
}
