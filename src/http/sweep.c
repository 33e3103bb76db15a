/*
 * The fiber that looks after idle connections: closes those that were idle for too long, and lets
 * those that are idle for a while go on with a small stack.
 *
 * One fiber in place of a timer for each connection, which every request would have to set anew. It
 * sleeps until the first connection can be due, but not less than a part of the idle time, so that
 * many connections with as many different times do not keep it busy.
 */
#include "server.h"

#include <runnel/fiber.h>

#define PARTS 64 /* of the idle time: how late it may be at most */

/* When a connection is due next. */
static rn_time due(const rn_http_server *s, struct conn *conn, rn_time now)
{
    int state = atomic_load(&conn->state);
    rn_time since = atomic_load_explicit(&conn->since, memory_order_relaxed);

    if (state != CONN_IDLE && state != CONN_FRESH)
        return rn_time_add(now, CHILL_AFTER);
    bool chills = atomic_load_explicit(&conn->warm, memory_order_relaxed) &&
                  CHILL_AFTER < s->config.idle_timeout;
    return rn_time_add(since, chills ? CHILL_AFTER : s->config.idle_timeout);
}

/* Wakes those that are due; returns when the next one is. */
static rn_time sweep(rn_http_server *s)
{
    rn_time now = rn_now(), first = rn_time_add(now, s->config.idle_timeout);

    for (struct conn *conn = s->conns; conn != NULL; conn = conn->next) {
        rn_time at = due(s, conn, now);
        if (at <= now) {
            rn_time since = atomic_load_explicit(&conn->since, memory_order_relaxed);
            bool over = rn_time_add(since, s->config.idle_timeout) <= now;
            conn_wake(conn, over ? CONN_TIMEOUT : CONN_CHILL);
        } else if (at < first) {
            first = at;
        }
    }
    rn_time soonest = rn_time_add(now, s->config.idle_timeout / PARTS);
    return first > soonest ? first : soonest;
}

static void sweep_fiber(void *arg)
{
    rn_http_server *s = arg;
    int err = 0;

    rn_mutex_lock(&s->lock);
    while (err == 0) {
        if (s->conns == NULL) {
            err = rn_cond_wait(s->ctx, &s->changed, &s->lock);
            continue;
        }
        rn_time next = sweep(s);
        rn_mutex_unlock(&s->lock);
        err = rn_sleep(s->ctx, next - rn_now());
        rn_mutex_lock(&s->lock);
    }
    rn_mutex_unlock(&s->lock);
    rn_wait_group_done(&s->fibers);
}

int sweep_start(rn_http_server *s)
{
    rn_go_options options = {.name = s->config.name, .ctx = s->ctx};
    int err = 0;

    rn_mutex_lock(&s->lock);
    if (!s->sweeping) {
        rn_wait_group_add(&s->fibers, 1);
        err = rn_go_with(&options, sweep_fiber, s);
        s->sweeping = err == 0;
        if (err != 0)
            rn_wait_group_done(&s->fibers);
    }
    rn_mutex_unlock(&s->lock);
    return err;
}
