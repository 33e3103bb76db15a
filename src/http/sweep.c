/*
 * The fiber that looks after idle connections: closes those that were idle for too long, and lets
 * those that are idle for a while go on with a small stack.
 *
 * One fiber in place of a timer for each connection, which every request would have to set anew. It
 * sleeps until the first connection is due, but not less than a part of the idle time, so that many
 * connections with as many different times do not keep it busy.
 */
#include "server.h"

#include <runnel/fiber.h>

#define SOONEST_PARTS 64 /* of the idle time: at least so much between two looks, */
#define LATEST_PARTS 8   /* and at most, for those that were busy at the last one */

static rn_time idle_since(struct conn *conn)
{
    return atomic_load_explicit(&conn->since, memory_order_relaxed);
}

/* Whether the connection is to give its deep stack back, some time after it became idle. */
static bool chills(const rn_http_server *s, struct conn *conn)
{
    return atomic_load_explicit(&conn->warm, memory_order_relaxed) &&
           CHILL_AFTER < s->config.idle_timeout;
}

/* Wakes it if it is due; returns when it is the next time. */
static rn_time look_at(rn_http_server *s, struct conn *conn, rn_time now)
{
    int state = atomic_load(&conn->state);
    rn_time over = rn_time_add(idle_since(conn), s->config.idle_timeout);
    rn_time chill = rn_time_add(idle_since(conn), CHILL_AFTER);

    if (state != CONN_IDLE && state != CONN_FRESH)
        return rn_time_add(now, CHILL_AFTER);
    if (over <= now)
        conn_wake(conn, CONN_TIMEOUT);
    else if (chills(s, conn) && chill > now)
        return chill;
    else if (chills(s, conn))
        conn_wake(conn, CONN_CHILL);
    return over > now ? over : RN_FOREVER;
}

/* Wakes those that are due; returns when the next one is. */
static rn_time sweep(rn_http_server *s)
{
    rn_time now = rn_now();
    rn_time soonest = rn_time_add(now, s->config.idle_timeout / SOONEST_PARTS);
    rn_time next = rn_time_add(now, s->config.idle_timeout / LATEST_PARTS);

    for (struct conn *conn = s->conns; conn != NULL; conn = conn->next) {
        rn_time at = look_at(s, conn, now);
        next = at < next ? at : next;
    }
    return next > soonest ? next : soonest;
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
