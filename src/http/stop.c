/* How a server stops: gracefully, at once, and as a part of a shutdown plan. */
#include "server.h"

/* ---- stopping ---- */

static void raise_stage(rn_http_server *s, enum server_stage stage)
{
    if (atomic_load(&s->stage) < (int)stage)
        atomic_store(&s->stage, stage);
}

void server_end_idle_locked(rn_http_server *s)
{
    for (struct conn *conn = s->conns; conn != NULL; conn = conn->next) {
        int state = atomic_load(&conn->state); /* E90 */
        if (state == CONN_IDLE || state == CONN_LINGERING)
            conn_wake(conn, CONN_STOP);
    }
}

void server_drain_locked(rn_http_server *s)
{
    raise_stage(s, SERVER_DRAINING);
    server_end_idle_locked(s);
}

/* No more connections: listeners close, and the last of them lets the connections end. */
static void begin_stop(rn_http_server *s)
{
    rn_mutex_lock(&s->lock);
    raise_stage(s, SERVER_STOPPING);
    for (struct listening *l = s->listening; l != NULL; l = l->next)
        rn_ctx_cancel(l->ctx, RN_ESHUTDOWN);
    if (s->listening == NULL)
        server_drain_locked(s);
    rn_mutex_unlock(&s->lock);
}

/* Under the lock: wakes what never sent a byte and is old enough; returns when the next one is. */
static rn_time stop_fresh(rn_http_server *s)
{
    rn_time now = rn_now(), next = RN_FOREVER;

    for (struct conn *conn = s->conns; conn != NULL; conn = conn->next) {
        rn_time at = rn_time_add(atomic_load(&conn->since), FRESH_GRACE);
        int state = atomic_load(&conn->state);
        if (state != CONN_FRESH && state != CONN_OPENING)
            continue;
        if (at <= now)
            conn_wake(conn, CONN_STOP);
        else if (at < next)
            next = at;
    }
    return next;
}

/* Waits for a change, until `next` at most. 0, or the code of ctx. */
static int await_change(rn_ctx *ctx, rn_http_server *s, rn_time next)
{
    rn_ctx *limited = next == RN_FOREVER ? rn_ctx_retain(ctx) : rn_ctx_with_deadline(ctx, next);

    if (next != RN_FOREVER && limited == NULL)
        return -ENOMEM;
    rn_cond_wait(limited, &s->changed, &s->lock);
    if (next == RN_FOREVER)
        rn_ctx_drop(limited);
    else
        rn_ctx_release(limited);
    return rn_ctx_err(ctx);
}

static int await_listeners(rn_ctx *ctx, rn_http_server *s)
{
    int err = 0;

    rn_mutex_lock(&s->lock);
    while (err == 0 && s->listening != NULL)
        err = await_change(ctx, s, RN_FOREVER);
    rn_mutex_unlock(&s->lock);
    return err;
}

static int await_conns(rn_ctx *ctx, rn_http_server *s)
{
    int err = 0;

    rn_mutex_lock(&s->lock);
    while (err == 0 && (s->conns != NULL || s->listening != NULL))
        err = await_change(ctx, s, stop_fresh(s));
    rn_mutex_unlock(&s->lock);
    return err;
}

int rn_http_server_shutdown(rn_ctx *ctx, rn_http_server *s)
{
    begin_stop(s);
    return await_conns(ctx, s);
}

/* ---- closing ---- */

static void begin_close(rn_http_server *s)
{
    begin_stop(s);
    rn_mutex_lock(&s->lock);
    server_drain_locked(s);
    raise_stage(s, SERVER_CLOSED);
    rn_mutex_unlock(&s->lock);
    rn_ctx_cancel(s->ctx, RN_ESHUTDOWN);
}

void rn_http_server_close(rn_http_server *s)
{
    begin_close(s);
    await_listeners(NULL, s); /* none starts a fiber any more */
    rn_wait_group_wait(NULL, &s->fibers);
}

/* ---- as part of a plan ---- */

static int stop_accepting(rn_ctx *ctx, void *arg)
{
    begin_stop(arg);
    return await_listeners(ctx, arg);
}

static int drain(rn_ctx *ctx, void *arg)
{
    return rn_http_server_shutdown(ctx, arg);
}

static int cancel(rn_ctx *ctx, void *arg)
{
    rn_http_server *s = arg;

    begin_close(s);
    int err = await_listeners(ctx, s);
    return err == 0 ? rn_wait_group_wait(ctx, &s->fibers) : err;
}

int rn_http_server_hook(rn_http_server *s, rn_shutdown *plan)
{
    const char *name = s->config.name;
    int err = rn_shutdown_hook(plan, RN_SHUTDOWN_STOP_ACCEPTING, name, stop_accepting, s);

    if (err == 0)
        err = rn_shutdown_hook(plan, RN_SHUTDOWN_DRAIN, name, drain, s);
    return err == 0 ? rn_shutdown_hook(plan, RN_SHUTDOWN_CANCEL, name, cancel, s) : err;
}
