/*
 * Accepting: one fiber for each listener, one for each connection.
 *
 * When the server stops, what has connected already is accepted before the listener closes: closing
 * it would reset those clients, who think that they are served.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* accept4 */
#endif
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <runnel/net.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPT_PAUSE (20 * RN_MILLISECOND) /* after a failure, mostly that no descriptor is left */
#define REST_MAX 4096       /* connections that are accepted at the end: what a backlog holds */
#define REST_PAUSES_MAX 100 /* for room, meanwhile */

/* ---- the list of connections ---- */

void server_enter(rn_http_server *s, struct conn *conn)
{
    server_count(&s->accepted);
    rn_mutex_lock(&s->lock);
    conn->next = s->conns;
    if (conn->next != NULL)
        conn->next->prev = conn;
    s->conns = conn;
    bool first = atomic_fetch_add(&s->conn_count, 1) == 0;
    rn_mutex_unlock(&s->lock);
    if (first)
        rn_cond_broadcast(&s->changed); /* the sweep */
}

void server_leave(rn_http_server *s, struct conn *conn)
{
    rn_mutex_lock(&s->lock);
    if (conn->prev != NULL)
        conn->prev->next = conn->next;
    else
        s->conns = conn->next;
    if (conn->next != NULL)
        conn->next->prev = conn->prev;
    size_t count = atomic_fetch_sub(&s->conn_count, 1);
    rn_mutex_unlock(&s->lock);
    /* Only then does it matter to anybody: not each of many at the end. */
    if (count == 1 || count >= s->config.connections_max)
        rn_cond_broadcast(&s->changed);
}

/* ---- one listener ---- */

static int begin_listening(rn_ctx *ctx, rn_http_server *s, struct listening *l)
{
    int err = 0;

    if ((l->ctx = rn_ctx_with_cancel(ctx)) == NULL)
        return -ENOMEM;
    rn_mutex_lock(&s->lock);
    if (server_stopping(s)) {
        err = RN_ESHUTDOWN;
    } else {
        atomic_store(&s->stage, SERVER_SERVING);
        l->prev = NULL;
        l->next = s->listening;
        if (l->next != NULL)
            l->next->prev = l;
        s->listening = l;
    }
    rn_mutex_unlock(&s->lock);
    if (err != 0)
        rn_ctx_release(l->ctx);
    return err;
}

static void end_listening(rn_http_server *s, struct listening *l)
{
    rn_mutex_lock(&s->lock);
    if (l->prev != NULL)
        l->prev->next = l->next;
    else
        s->listening = l->next;
    if (l->next != NULL)
        l->next->prev = l->prev;
    if (s->listening == NULL && server_stopping(s))
        server_drain_locked(s);
    rn_mutex_unlock(&s->lock);
    rn_cond_broadcast(&s->changed);
    rn_ctx_release(l->ctx);
}

/* Waits until there may be another connection. 0, or the context's code. */
static int await_room(rn_http_server *s, rn_ctx *ctx)
{
    int err = 0;

    if (atomic_load(&s->conn_count) < s->config.connections_max)
        return 0;
    rn_mutex_lock(&s->lock);
    while (err == 0 && atomic_load(&s->conn_count) >= s->config.connections_max)
        err = rn_cond_wait(ctx, &s->changed, &s->lock);
    rn_mutex_unlock(&s->lock);
    return err;
}

static bool is_listening(rn_fd fd)
{
    int on = 0;
    socklen_t size = sizeof on;

    return getsockopt(rn_fd_number(fd), SOL_SOCKET, SO_ACCEPTCONN, &on, &size) == 0 && on != 0;
}

/*
 * Whether no connection can be had after it any more. All else passes: accept(2) also tells what
 * became of a connection while it waited (-ENETDOWN, -EPERM of a firewall, and more), and there may
 * be a descriptor or memory again.
 */
static bool is_final(int err, rn_fd listener)
{
    if (err == -EOPNOTSUPP) /* of a connection, or of a socket that has none */
        return !is_listening(listener);
    return err == -EBADF || err == -EINVAL || err == -ENOTSOCK;
}

static int accept_one(rn_http_server *s, rn_ctx *ctx, rn_fd listener)
{
    rn_fd fd;
    int err = rn_accept(ctx, listener, &fd);

    if (err == 0)
        err = conn_start(s, fd);
    if (err == 0 || rn_ctx_err(ctx) != 0 || is_final(err, listener))
        return err;
    server_count(&s->accept_errors);
    return rn_sleep(ctx, ACCEPT_PAUSE);
}

/* Until ctx ends, or the listener fails. */
static int accept_all(rn_http_server *s, rn_ctx *ctx, rn_fd listener)
{
    int err = 0;

    while (err == 0) {
        err = await_room(s, ctx);
        if (err == 0)
            err = accept_one(s, ctx, listener);
    }
    return err;
}

/*
 * One that has connected, without waiting: rn_accept does not look when its context has ended. A
 * listener that blocks is shared with other processes, which accept what is left.
 */
static int accept_now(rn_fd listener, rn_fd *out)
{
    int number = rn_fd_number(listener), flags = number < 0 ? -1 : fcntl(number, F_GETFL);

    if (flags < 0 || !(flags & O_NONBLOCK))
        return -EAGAIN;
    int fd = accept4(number, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return -errno;
    int err = rn_fd_open(out, fd);
    if (err != 0)
        close(fd);
    return err;
}

static bool is_shortage(int err)
{
    return err == -EMFILE || err == -ENFILE || err == -ENOMEM || err == -ENOBUFS;
}

static bool is_somebody_there(rn_fd listener)
{
    struct pollfd poll_fd = {.fd = rn_fd_number(listener), .events = POLLIN};
    return poll(&poll_fd, 1, 0) > 0;
}

/*
 * Idle connections are about to be closed anyway, and now those that wait to be accepted need their
 * descriptors. False: the server is closed at once.
 */
static bool make_room(rn_http_server *s)
{
    rn_mutex_lock(&s->lock);
    server_end_idle_locked(s);
    rn_mutex_unlock(&s->lock);
    return rn_sleep(s->ctx, ACCEPT_PAUSE) == 0;
}

/*
 * What has connected before the listener closes. The system wants a free descriptor before it looks
 * whether somebody is there.
 */
static void accept_rest(rn_http_server *s, rn_fd listener)
{
    int pauses = 0;
    rn_fd fd;

    for (int n = 0; n < REST_MAX; n++) {
        int err = accept_now(listener, &fd);
        if (err == 0)
            conn_start(s, fd);
        else if (err == -EAGAIN || is_final(err, listener))
            return;
        else if (is_shortage(err) &&
                 (!is_somebody_there(listener) || pauses++ == REST_PAUSES_MAX || !make_room(s)))
            return;
    }
}

int rn_http_serve(rn_ctx *ctx, rn_http_server *s, rn_fd listener)
{
    struct listening l;
    int err = begin_listening(ctx, s, &l);

    if (err == 0 && (err = sweep_start(s)) != 0)
        end_listening(s, &l);
    if (err != 0) {
        rn_fd_close(listener);
        return err;
    }
    err = accept_all(s, l.ctx, listener);
    if (server_stopping(s)) {
        err = RN_ESHUTDOWN;
        if (atomic_load(&s->stage) == SERVER_STOPPING)
            accept_rest(s, listener);
    }
    rn_fd_close(listener);
    end_listening(s, &l);
    if (err != RN_ESHUTDOWN && rn_ctx_err(ctx) != 0)
        rn_http_server_close(s);
    return err;
}
