/* Dialing: by name and by number, happy eyeballs, and what goes wrong. */
#include "net.h"

#include <sys/un.h>

static rn_address parsed(const char *text)
{
    rn_address address;
    EXPECT_OK(rn_address_parse(text, &address));
    return address;
}

static void expect_peer(rn_fd fd, const rn_address *expected)
{
    rn_address peer;
    EXPECT_OK(rn_net_peer(fd, &peer));
    EXPECT(rn_address_equal(&peer, expected));
}

/* ---- one address ---- */

TEST_FIBER(a_name_is_dialed)
{
    struct server s = server_new();
    rn_address at;
    char address[64];
    rn_fd conn;

    EXPECT_OK(rn_net_local(s.fd, &at));
    snprintf(address, sizeof address, "localhost:%u", rn_address_port(&at));
    EXPECT_OK(rn_dial(NULL, address, NULL, &conn));
    expect_peer(conn, &at);
    rn_fd_close(conn);
    snprintf(address, sizeof address, ":%u", rn_address_port(&at)); /* this machine */
    EXPECT_OK(rn_dial(NULL, address, NULL, &conn));
    expect_peer(conn, &at);
    rn_fd_close(conn);
    rn_fd_close(s.fd);
}

TEST_FIBER(nobody_there_is_said)
{
    struct refusing r = refusing_new("127.0.0.1");
    char at[RN_ADDRESS_TEXT], expected[400];
    rn_fd conn;
    int before = fds_open();

    rn_address_text(&r.address, at);
    EXPECT_EQ(rn_dial(NULL, at, NULL, &conn), -ECONNREFUSED);
    EXPECT_EQ(conn.handle, 0);
    snprintf(expected, sizeof expected, "dial %s: Connection refused", at);
    EXPECT_STR(rn_error_detail(), expected);
    snprintf(expected, sizeof expected, "tcp:%s", at);
    EXPECT_EQ(rn_dial(NULL, expected, NULL, &conn), -ECONNREFUSED);
    snprintf(expected, sizeof expected, "dial tcp:%s: Connection refused (%s)", at, at);
    EXPECT_STR(rn_error_detail(), expected);
    expect_fds(before);
    close(r.fd);
}

TEST_FIBER(errors_of_dialing_have_sentences)
{
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    rn_address none[1];
    rn_fd conn;

    EXPECT_EQ(rn_dial(NULL, "nobody.invalid:80", NULL, &conn), RN_ENOHOST);
    EXPECT_STR(rn_error_detail(), "nobody.invalid: no such host");
    EXPECT_EQ(rn_dial(NULL, "unix:/nowhere/at/all", NULL, &conn), -ENOENT);
    EXPECT_STR(rn_error_detail(), "dial unix:/nowhere/at/all: No such file or directory");
    EXPECT_EQ(rn_dial(NULL, "nowhere", NULL, &conn), -EINVAL);
    EXPECT_DETAIL("no port");
    EXPECT_EQ(rn_dial(NULL, "127.0.0.1:1", &(rn_dial_config){.stagger = -5}, &conn), -EINVAL);
    EXPECT_DETAIL("dial: .stagger is -5: allowed are 0 to RN_FOREVER");
    EXPECT_EQ(rn_dial(NULL, "127.0.0.1:1", &(rn_dial_config){.local = "x"}, &conn), -EINVAL);
    EXPECT_DETAIL("address \"x\": no port");
    EXPECT_EQ(rn_dial_list(NULL, none, 0, NULL, &conn), -EINVAL);
    EXPECT_DETAIL("dial: the list is empty");
    EXPECT_EQ(conn.handle, 0);
    rn_ctx_cancel(ctx, 0);
    EXPECT_EQ(rn_dial(ctx, "127.0.0.1:1", NULL, &conn), -ECANCELED);
    EXPECT_EQ(rn_dial_list(ctx, none, 0, NULL, &conn), -ECANCELED);
    rn_ctx_release(ctx);
}

TEST_FIBER(local_chooses_where_it_comes_from)
{
    struct server s = server_new();
    rn_fd conn, accepted;
    rn_address peer;
    char text[RN_ADDRESS_TEXT];

    EXPECT_OK(rn_dial(NULL, s.at, &(rn_dial_config){.local = "127.0.0.7:0"}, &conn));
    EXPECT_OK(rn_accept(NULL, s.fd, &accepted));
    EXPECT_OK(rn_net_peer(accepted, &peer));
    EXPECT_EQ(strncmp(rn_address_text(&peer, text), "127.0.0.7:", 10), 0);
    rn_fd_close(conn);
    rn_fd_close(accepted);
    EXPECT_EQ(rn_dial(NULL, s.at, &(rn_dial_config){.local = "[::1]:0"}, &conn), -EAFNOSUPPORT);
    rn_fd_close(s.fd);
}

TEST_FIBER(a_port_that_dials_itself_is_refused)
{
    struct refusing r = refusing_new("127.0.0.1");
    char at[RN_ADDRESS_TEXT];
    rn_fd conn;

    rn_address_text(&r.address, at);
    close(r.fd); /* the port is free again */
    EXPECT_EQ(rn_dial(NULL, at, &(rn_dial_config){.local = at}, &conn), -ECONNREFUSED);
}

struct dialer {
    rn_ctx *ctx;
    rn_address address;
    int err;
    atomic_int *ended;
};

static void dial_one(void *arg)
{
    struct dialer *d = arg;
    rn_fd conn;
    EXPECT_EQ(rn_dial_list(d->ctx, &d->address, 1, NULL, &conn), d->err);
    EXPECT_EQ(conn.handle != 0, d->err == 0);
    rn_fd_close(conn);
    atomic_fetch_add(d->ended, 1);
}

TEST_FIBER(a_context_ends_a_dial)
{
    struct silent s = silent_new("127.0.0.1");
    rn_ctx *ctx = rn_ctx_with_cancel(NULL), *soon = rn_ctx_with_timeout(NULL, RN_MILLISECOND);
    atomic_int ended = 0;
    rn_fd conn;
    int before = fds_open();

    EXPECT_OK(rn_go_copy(dial_one, &(struct dialer){ctx, s.address, -ECANCELED, &ended}));
    await_reason("select", 1);
    rn_ctx_cancel(ctx, 0);
    await_count(&ended, 1);
    EXPECT_EQ(rn_dial_list(soon, &s.address, 1, NULL, &conn), -ETIMEDOUT);
    expect_fds(before); /* the attempts are closed */
    rn_ctx_release(ctx);
    rn_ctx_release(soon);
    silent_close(s);
}

TEST_FIBER(a_full_unix_queue_is_waited_for)
{
    char path[64];
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), filler, err;
    atomic_int ended = 0;
    rn_address address;
    rn_ctx *soon = rn_ctx_with_timeout(NULL, RN_MILLISECOND);
    rn_fd conn;

    fresh_path(path);
    snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    EXPECT_EQ(bind(listener, (void *)&at, sizeof at), 0);
    EXPECT_EQ(listen(listener, 0), 0);
    do { /* until the queue is full */
        filler = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        err = connect(filler, (void *)&at, sizeof at);
        EXPECT(err == 0 || errno == EAGAIN);
    } while (err == 0);
    snprintf(at.sun_path, sizeof at.sun_path, "unix:%s", path);
    address = parsed(at.sun_path);
    EXPECT_EQ(rn_dial_list(soon, &address, 1, NULL, &conn), -ETIMEDOUT);
    EXPECT_OK(rn_go_copy(dial_one, &(struct dialer){NULL, address, 0, &ended}));
    await_reason("sleep", 1);
    close(accept(listener, NULL, NULL));
    await_count(&ended, 1);
    rn_ctx_release(soon);
    close(listener);
    unlink(path);
}

/* ---- happy eyeballs ---- */

/* Virtual time: the head start passes as soon as nothing else can happen. */
TEST_VIRTUAL(an_address_that_hangs_costs_a_head_start)
{
    struct silent hangs = silent_new("127.0.0.1");
    struct server s = server_new();
    rn_address list[2] = {hangs.address, parsed(s.at)};
    rn_time began = rn_now();
    rn_fd conn;
    int before = fds_open();

    EXPECT_OK(rn_dial_list(NULL, list, 2, NULL, &conn));
    EXPECT_EQ(rn_now() - began, 250 * RN_MILLISECOND);
    expect_peer(conn, &list[1]);
    EXPECT_EQ(fds_open(), before + 1); /* the loser is closed */
    rn_fd_close(conn);
    began = rn_now();
    EXPECT_OK(rn_dial_list(NULL, list, 2, &(rn_dial_config){.stagger = RN_SECOND}, &conn));
    EXPECT_EQ(rn_now() - began, RN_SECOND);
    rn_fd_close(conn);
    rn_fd_close(s.fd);
    silent_close(hangs);
}

TEST_VIRTUAL(an_address_that_fails_costs_nothing)
{
    struct refusing r = refusing_new("127.0.0.1"), six = refusing_new("[::1]");
    struct server s = server_new();
    rn_address list[4] = {r.address, six.address, r.address, parsed(s.at)};
    rn_time began = rn_now();
    rn_fd conn;

    EXPECT_OK(rn_dial_list(NULL, list, 4, NULL, &conn));
    EXPECT_EQ(rn_now(), began);
    expect_peer(conn, &list[3]);
    rn_fd_close(conn);
    rn_fd_close(s.fd);
    close(r.fd);
    close(six.fd);
}

/* IPv6, IPv6, IPv6, IPv4: the IPv4 one has its turn as the second. */
TEST_VIRTUAL(families_are_tried_in_turn)
{
    struct silent hangs = silent_new("[::1]");
    struct server s = server_new();
    rn_address list[4] = {hangs.address, hangs.address, hangs.address, parsed(s.at)};
    rn_time began = rn_now();
    rn_fd conn;

    EXPECT_OK(rn_dial_list(NULL, list, 4, NULL, &conn));
    EXPECT_EQ(rn_now() - began, 250 * RN_MILLISECOND);
    expect_peer(conn, &list[3]);
    rn_fd_close(conn);
    rn_fd_close(s.fd);
    silent_close(hangs);
}

TEST_VIRTUAL(the_preferred_address_wins_when_both_answer)
{
    struct server six = server_on("[::1]:0", NULL), four = server_new();
    rn_address list[2] = {parsed(six.at), parsed(four.at)};
    rn_fd conn;

    EXPECT_OK(rn_dial_list(NULL, list, 2, NULL, &conn));
    expect_peer(conn, &list[0]);
    rn_fd_close(conn);
    rn_fd_close(six.fd);
    rn_fd_close(four.fd);
}

TEST_VIRTUAL(when_all_fail_the_first_failure_is_told)
{
    struct refusing r = refusing_new("127.0.0.1");
    rn_address list[3] = {parsed("unix:/nowhere"), r.address, r.address};
    rn_fd conn;

    EXPECT_EQ(rn_dial_list(NULL, list, 3, NULL, &conn), -ENOENT);
    EXPECT_STR(rn_error_detail(),
               "dial a list: No such file or directory (unix:/nowhere, and 2 more)");
    EXPECT_EQ(conn.handle, 0);
    close(r.fd);
}

/* More addresses that hang than run at once, with an answer behind them. */
TEST_VIRTUAL(many_addresses_that_hang_keep_their_number_at_once)
{
    struct silent hangs = silent_new("127.0.0.1");
    struct server s = server_new();
    rn_address list[40];
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, 20 * RN_SECOND);
    rn_fd conn;
    int before = fds_open();

    for (int i = 0; i < 40; i++)
        list[i] = hangs.address;
    EXPECT_EQ(rn_dial_list(ctx, list, 40, NULL, &conn), -ETIMEDOUT);
    EXPECT_EQ(fds_open(), before);
    list[13] = parsed(s.at);
    rn_time began = rn_now();
    EXPECT_OK(rn_dial_list(NULL, list, 40, NULL, &conn));
    EXPECT_EQ(rn_now() - began, 13 * 250 * RN_MILLISECOND);
    rn_fd_close(conn);
    EXPECT_EQ(fds_open(), before);
    rn_fd_close(s.fd);
    rn_ctx_release(ctx);
    silent_close(hangs);
}

/* A hanging address that answers late wins over those that go on hanging. */
static void accept_late(void *arg)
{
    struct silent *s = arg;
    await_reason("select", 1);
    close(accept(s->listener, NULL, NULL)); /* room for one: the kernel tries again in a second */
}

TEST_FIBER(late_answers_count)
{
    struct silent hangs = silent_new("127.0.0.1"), other = silent_new("127.0.0.2");
    rn_address list[2] = {hangs.address, other.address};
    rn_fd conn;

    close(hangs.filler[1]); /* so that the room is ours */
    EXPECT_OK(rn_go(accept_late, &hangs));
    EXPECT_OK(rn_dial_list(NULL, list, 2, &(rn_dial_config){.stagger = RN_MILLISECOND}, &conn));
    expect_peer(conn, &list[0]);
    rn_fd_close(conn);
    silent_close(other);
    close(hangs.listener);
    close(hangs.filler[0]);
}
