/* Accepting when it fails: a listener outlives whatever becomes of one connection. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* accept4 */
#endif
#include "http.h"

#include <errno.h>
#include <runnel/http.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define GET "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

static struct site site;
static atomic_int failing; /* what the next connection fails with */

/*
 * In place of the C library's: the next connection is lost, as a network loses it. A code is of a
 * connection, so it waits for one.
 */
int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
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
