/* Accepting when it fails: a listener outlives whatever becomes of one connection. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* accept4 */
#endif
#include "http.h"

#include "http/server.h"

#include <errno.h>
#include <runnel/http.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define GET "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

static struct site site;
static atomic_int failing;    /* what the next connection fails with */
static atomic_int room = 100; /* descriptors for connections, as far as the server can see */

static bool is_full(void)
{
    return site.server != NULL && (int)atomic_load(&site.server->conn_count) >= atomic_load(&room);
}

/*
 * In place of the C library's: the next connection is lost, as a network loses it (a code is of a
 * connection, so it waits for one); or no descriptor is left, which the system says before it looks
 * for a connection.
 */
int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
    if (is_full()) {
        errno = EMFILE;
        return -1;
    }
    int conn = (int)syscall(SYS_accept4, fd, address, length, flags);
    int code = conn < 0 ? 0 : atomic_exchange(&failing, 0);

    if (code == 0)
        return conn;
    close(conn);
    errno = code;
    return -1;
}

static void accepting_site(void)
{
    site_new_at_once(&site, NULL);
    EXPECT_OK(rn_http_route(site.server, "GET", "/", answer_text, "ok"));
    site_start(&site);
}

static void expect_served(void)
{
    rn_fd fd = dial(&site);

    send_text(fd, GET);
    hear_until(fd, "\r\n\r\nok");
    rn_fd_close(fd);
}

/* All that accept(2) names as the fault of one connection, and what else a filter may answer. */
TEST_VIRTUAL(a_failed_accept_is_of_one_connection)
{
    static const int codes[] = {ECONNABORTED, EPROTO,       ENETDOWN,   ENOPROTOOPT, EHOSTDOWN,
                                ENONET,       EHOSTUNREACH, EOPNOTSUPP, ENETUNREACH, EPERM,
                                EMFILE,       ENFILE,       ENOMEM,     ENOBUFS,     EAGAIN,
                                ETIMEDOUT,    EACCES,       EIO};

    accepting_site();
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        atomic_store(&failing, codes[i]);
        rn_fd lost = dial(&site);
        struct heard heard = hear_all(lost);
        EXPECT_STR(heard.text, "");
        free(heard.text);
        rn_fd_close(lost);
        EXPECT_EQ(atomic_load(&failing), 0);
        expect_served();
    }
    site_stop(&site);
}

/* Those that accept(2) asks to take for nothing cost no pause, and do not count. */
TEST_VIRTUAL(a_connection_that_the_network_lost_is_passed_over)
{
    static const int codes[] = {ENETDOWN, ENOPROTOOPT,  EHOSTDOWN,
                                ENONET,   EHOSTUNREACH, ENETUNREACH};
    rn_http_server_stats stats;

    accepting_site();
    rn_time begin = rn_now();
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        atomic_store(&failing, codes[i]);
        rn_fd_close(dial(&site));
        expect_served();
    }
    EXPECT_EQ(rn_now(), begin);
    rn_http_server_stats_read(site.server, &stats);
    EXPECT_EQ(stats.accept_errors, 0);
    site_stop(&site);
}

/* A listener that can have no connections ends its call, and says why. */
TEST_FIBER(a_socket_without_connections)
{
    rn_http_server *s;
    rn_fd listener;
    int pair[2];

    EXPECT_OK(rn_http_server_new(&s, NULL));
    EXPECT_OK(rn_listen(NULL, "udp:127.0.0.1:0", NULL, &listener));
    EXPECT_EQ(rn_http_serve(NULL, s, listener), -EOPNOTSUPP);
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    EXPECT_OK(rn_fd_open(&listener, pair[0]));
    EXPECT_EQ(rn_http_serve(NULL, s, listener), -EINVAL);
    EXPECT_EQ(pipe(pair + 0), 0);
    EXPECT_OK(rn_fd_open(&listener, pair[0]));
    EXPECT_EQ(rn_http_serve(NULL, s, listener), -ENOTSOCK);
    close(pair[1]);
    rn_http_server_free(s);
}

/* ---- the rest, when a server stops ---- */

static void shut_down(void *arg)
{
    EXPECT_OK(rn_http_server_shutdown(NULL, site.server));
    rn_wait_group_done(arg);
}

static void await_accept_error(void)
{
    rn_http_server_stats stats = {0};

    while (stats.accept_errors == 0) {
        rn_sleep(NULL, RN_MILLISECOND);
        rn_http_server_stats_read(site.server, &stats);
    }
}

/* The idle ones, which go anyway, go first: their descriptors are needed. */
TEST_VIRTUAL(idle_connections_make_room_for_the_last)
{
    rn_wait_group down = {0};
    rn_fd idle[3], late[5];

    accepting_site();
    atomic_store(&room, 3);
    for (int i = 0; i < 3; i++) {
        idle[i] = dial(&site);
        send_text(idle[i], GET);
        hear_until(idle[i], "\r\n\r\nok");
    }
    for (int i = 0; i < 5; i++) {
        late[i] = dial(&site);
        send_text(late[i], GET);
    }
    await_accept_error();
    rn_wait_group_add(&down, 1);
    EXPECT_OK(rn_go(shut_down, &down));
    for (int i = 0; i < 5; i++) {
        hear_until(late[i], "\r\n\r\nok");
        rn_fd_close(late[i]);
    }
    rn_wait_group_wait(NULL, &down);
    for (int i = 0; i < 3; i++)
        rn_fd_close(idle[i]);
    site_stop(&site);
}

static int wait_for_test(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    (void)req;
    int err = rn_wait_group_wait(ctx, arg);
    return err != 0 ? err : rn_http_reply(ctx, res, 200, NULL, "ok", 2);
}

/* When there is no room, a server does not wait for ever to stop. */
TEST_VIRTUAL(busy_connections_make_no_room)
{
    rn_wait_group down = {0}, gate = {0};

    site_new_at_once(&site, NULL);
    EXPECT_OK(rn_http_route(site.server, "GET", "/", wait_for_test, &gate));
    site_start(&site);
    atomic_store(&room, 1);
    rn_wait_group_add(&gate, 1);
    rn_fd busy = dial(&site);
    send_text(busy, GET);
    rn_fd late = dial(&site);
    await_accept_error();
    rn_wait_group_add(&down, 1);
    rn_time begin = rn_now();
    EXPECT_OK(rn_go(shut_down, &down));
    rn_wait_group_wait(NULL, &site.serving); /* the listener is closed */
    EXPECT(rn_now() - begin <= 3 * RN_SECOND);
    rn_wait_group_done(&gate);
    hear_until(busy, "\r\n\r\nok");
    rn_fd_close(busy);
    rn_fd_close(late);
    rn_wait_group_wait(NULL, &down);
    site_stop(&site);
}
