/* A connection: its fiber and its turns; see conn.h. */
#include "dispatch.h"
#include "request.h"
#include "response.h"
#include "server.h"

#include <runnel/fiber.h>
#include <stdlib.h>

#define AWAIT_BYTES 1024 /* of a request, that the waiting fiber has room for on its stack */
#define IN_A_ROW_MAX 32  /* requests without letting others run */
#define SLOW_AFTER (RN_MILLISECOND)
#define QUICK_RUNS 100 /* in a row, until a route counts as quick again */

/* What a turn leads to. */
enum turn {
    TURN_WAIT,  /* for the next request */
    TURN_SERVE, /* something of it is there */
    TURN_END,
    TURN_HANDED_OVER /* another fiber goes on: the connection is not ours any more */
};

static void conn_fiber(void *arg);

/* ---- waking ---- */

static bool can_wake(int state, enum conn_why why)
{
    if (state == CONN_OPENING || state == CONN_LINGERING)
        return why == CONN_STOP;
    return state == CONN_IDLE || state == CONN_FRESH;
}

bool conn_wake(struct conn *conn, enum conn_why why)
{
    int state = atomic_load(&conn->state);

    if (!can_wake(state, why))
        return false;
    if (!atomic_compare_exchange_strong(&conn->state, &state, CONN_WOKEN))
        return false;
    conn->why = why;
    rn_ctx_cancel(conn->ctx, 0);
    return true;
}

/* The fiber takes its idle connection back. False: somebody else was faster. */
static bool claim(struct conn *conn)
{
    int state = atomic_load(&conn->state);

    return state != CONN_WOKEN && atomic_compare_exchange_strong(&conn->state, &state, CONN_BUSY);
}

/* ---- fibers ---- */

static int start_fiber(struct conn *conn)
{
    rn_http_server *s = conn->server;
    rn_go_options options = {.name = s->config.name, .ctx = conn->ctx};

    rn_wait_group_add(&s->fibers, 1);
    int err = rn_go_with(&options, conn_fiber, conn);
    if (err != 0)
        rn_wait_group_done(&s->fibers);
    return err;
}

/* This fiber's context has ended: another one goes on, with a new context. */
static enum turn hand_over(struct conn *conn)
{
    rn_http_server *s = conn->server;
    rn_ctx *old = conn->ctx, *fresh = rn_ctx_with_cancel(s->ctx);

    if (fresh == NULL)
        return TURN_END;
    rn_mutex_lock(&s->lock);
    conn->ctx = fresh;
    rn_mutex_unlock(&s->lock);
    atomic_store(&conn->state, CONN_BUSY);
    atomic_store(&conn->warm, false);
    enum turn turn = start_fiber(conn) == 0 ? TURN_HANDED_OVER : TURN_END;
    rn_ctx_release(old);
    return turn;
}

/* ---- waiting for a request ---- */

/* Something has come: from here on the connection has buffers. */
static enum turn begin_work(struct conn *conn, const char *bytes, size_t n)
{
    if (rn_object_pool_get(conn->server->works, &conn->work) != 0)
        return TURN_END;
    struct input *in = &conn->work->input;
    memcpy(in->buffer, bytes, n);
    in->end = n;
    if (n == AWAIT_BYTES) /* there may be more */
        in->end += conn_look(conn, in->buffer + n, in->size - n);
    return TURN_SERVE;
}

static void end_work(struct conn *conn)
{
    struct work *work = conn->work;

    conn->work = NULL;
    if (work == NULL)
        return;
    work->input.begin = work->input.end = 0;
    work->output = 0;
    work_reset(work);
    rn_object_pool_put(conn->server->works, work);
}

/* The server stops, or it was idle for too long: only what has come already is served. */
static enum turn look_once_more(struct conn *conn, char *bytes, size_t size, bool stop)
{
    size_t n = conn_look(conn, bytes, size);

    conn->linger = stop && n == 0;
    return n > 0 ? begin_work(conn, bytes, n) : TURN_END;
}

/* It was woken, and n is what its read returned: bytes, or that the context has ended. */
static enum turn waken(struct conn *conn, char *bytes, size_t size, ssize_t n)
{
    rn_http_server *s = conn->server;
    enum turn turn;

    rn_mutex_lock(&s->lock); /* whoever woke it has finished then */
    enum conn_why why = conn->why;
    rn_mutex_unlock(&s->lock);
    if (rn_ctx_err(s->ctx) != 0)
        return TURN_END;
    if (n == -ECANCELED && why == CONN_CHILL)
        return hand_over(conn);
    if (n == -ECANCELED)
        turn = look_once_more(conn, bytes, size, why == CONN_STOP);
    else
        turn = n > 0 ? begin_work(conn, bytes, (size_t)n) : TURN_END;
    return turn == TURN_SERVE ? hand_over(conn) : turn;
}

/* Who stops the server has to look again: when it did, the connection was not fresh yet. */
static void tell_fresh(rn_http_server *s)
{
    rn_mutex_lock(&s->lock); /* that look is over, and its waiting has begun */
    rn_mutex_unlock(&s->lock);
    rn_cond_broadcast(&s->changed);
}

/*
 * Not inlined: while it waits, no larger frame is on the stack, and what it reads into is a part of
 * the stack's first page, which is there anyway.
 */
__attribute__((noinline)) static enum turn wait_for_request(struct conn *conn)
{
    char bytes[AWAIT_BYTES];
    rn_http_server *s = conn->server;
    bool fresh = conn->requests == 0;

    if (atomic_load_explicit(&conn->warm, memory_order_relaxed)) /* not again by one that chills */
        atomic_store_explicit(&conn->since, rn_now(), memory_order_relaxed);
    atomic_store(&conn->state, fresh ? CONN_FRESH : CONN_IDLE); /* E90 */
    bool stop = !fresh && server_draining(s);
    if (fresh && server_stopping(s))
        tell_fresh(s);
    ssize_t n = stop ? -ECANCELED : conn_read(conn, conn->ctx, bytes, sizeof bytes);
    if (!claim(conn))
        return waken(conn, bytes, sizeof bytes, n);
    if (stop)
        return look_once_more(conn, bytes, sizeof bytes, true);
    return n > 0 ? begin_work(conn, bytes, (size_t)n) : TURN_END;
}

/* ---- reading a head ---- */

#define HEAD_ROOM 1024  /* at least so much of a head is read at once */
#define NO_REQUEST (-2) /* as a status: the client has left, or nothing of a request has come */

static int give_up_head(struct conn *conn, ssize_t n)
{
    rn_http_server *s = conn->server;

    if (rn_ctx_err(conn->ctx) != 0)
        return NO_REQUEST;
    server_refuse(s, n == -ETIMEDOUT ? RN_HTTP_SLOW_HEAD : RN_HTTP_GONE);
    return n == -ETIMEDOUT ? 408 : NO_REQUEST;
}

/* Reads until the head is whole, but not for ever. */
static int read_rest_of_head(struct conn *conn, struct head_scan *scan)
{
    rn_http_server *s = conn->server;
    struct input *in = &conn->work->input;
    rn_time until = rn_time_add(rn_now(), s->config.header_timeout);
    int status = HEAD_WANTS_MORE;

    while (status == HEAD_WANTS_MORE) {
        if (work_make_room(conn->work, HEAD_ROOM) != 0)
            return 500;
        rn_duration left = until - rn_now();
        ssize_t n = conn_fill(conn, conn->ctx, left > 0 ? left : 0);
        if (n <= 0)
            return give_up_head(conn, n);
        status = head_scan(scan, in->buffer + in->begin, in->end - in->begin, &s->head_limits);
    }
    return status;
}

/* Returns 0 when the head is whole, the status that refuses it, or NO_REQUEST. */
static int read_head(struct conn *conn, struct head_scan *scan)
{
    rn_http_server *s = conn->server;
    struct input *in = &conn->work->input;
    int status = head_scan(scan, in->buffer + in->begin, in->end - in->begin, &s->head_limits);

    if (status != HEAD_WANTS_MORE)
        return status;
    if (conn_flush(conn, conn->ctx) != 0)
        return NO_REQUEST;
    return read_rest_of_head(conn, scan);
}

static void count_refusal(rn_http_server *s, int status)
{
    switch (status) {
    case 400:
        server_refuse(s, RN_HTTP_MALFORMED);
        break;
    case 414:
        server_refuse(s, RN_HTTP_LARGE_TARGET);
        break;
    case 431:
        server_refuse(s, RN_HTTP_LARGE_HEAD);
        break;
    case 417:
    case 501:
    case 505:
        server_refuse(s, RN_HTTP_UNSUPPORTED);
        break;
    }
}

/* Understands the head; returns 0 or the status that refuses the request. */
static int begin_request(struct conn *conn, const struct head_scan *scan)
{
    struct work *work = conn->work;
    struct input *in = &work->input;
    int status = head_read(&work->request.head, scan, in->buffer + in->begin,
                           &conn->server->head_limits);

    in->begin += scan->at;
    in->floor = in->begin;
    if (status == 0)
        status = request_begin(conn);
    return status == 0 ? request_route(&work->request) : status;
}

/* ---- answering ---- */

/* Of an answer; 0: there is none. */
static int status_sent(const rn_http_response *res)
{
    return res->stage == RESPONSE_OPEN ? 0 : res->status;
}

/* Before a client can have the answer, which thereby has been counted. */
static void count_answer(struct conn *conn)
{
    server_count(&conn->server->by_class[status_sent(&conn->work->response) / 100]);
}

/* After an answer: it is known then whether it got through, unless it waits for others. */
static void record(struct conn *conn, rn_time end, int err)
{
    rn_http_server *s = conn->server;
    rn_http_request *req = &conn->work->request;
    rn_http_response *res = &conn->work->response;

    if (s->config.on_request == NULL)
        return;
    if (err == 0)
        err = response_err(res);
    const char *method = req->head.method.at, *target = req->head.pieces.target.at;
    s->config.on_request(s->config.events_arg, &(rn_http_log){
                                                   .method = method == NULL ? "" : method,
                                                   .target = target == NULL ? "" : target,
                                                   .status = status_sent(res),
                                                   .minor_version = req->head.pieces.minor,
                                                   .bytes_in = req->body.taken,
                                                   .bytes_out = response_sent(res),
                                                   .took = end - req->began,
                                                   .peer = rn_http_peer(req),
                                                   .err = err,
                                               });
}

/* Routes that wait for something must not hold up the answers before theirs. */
static void learn(struct route *route, rn_duration took)
{
    if (took > SLOW_AFTER)
        atomic_store_explicit(&route->slow, QUICK_RUNS, memory_order_relaxed);
    else if (atomic_load_explicit(&route->slow, memory_order_relaxed) > 0)
        atomic_fetch_sub_explicit(&route->slow, 1, memory_order_relaxed);
}

static bool input_is_empty(const struct input *in)
{
    return in->begin == in->end;
}

static enum turn answer(struct conn *conn)
{
    struct work *work = conn->work;
    rn_http_request *req = &work->request;
    rn_http_response *res = &work->response;
    struct route *route = (struct route *)req->match.route;
    rn_ctx *ctx = conn->ctx;

    bool slow = route != NULL && atomic_load_explicit(&route->slow, memory_order_relaxed) > 0;
    if (slow && conn_flush(conn, ctx) != 0) {
        count_answer(conn);
        record(conn, rn_now(), 0);
        return TURN_END;
    }
    int err = response_end(ctx, res, dispatch(ctx, req, res));
    rn_time end = rn_now();
    if (route != NULL)
        learn(route, end - req->began);
    count_answer(conn);
    if (res->close || input_is_empty(&work->input))
        conn_flush(conn, ctx); /* nothing comes that it might wait for */
    record(conn, end, err != 0 ? err : req->body.err);
    if (res->err == 0 && !res->close && (body_ended(&req->body) || body_skip(ctx, req)))
        return TURN_SERVE;
    conn_flush(conn, ctx);
    /* A client that wanted to keep the connection may have sent more. */
    conn->linger = res->err == 0 && (req->head.keep || work->input.begin < work->input.end ||
                                     !body_ended(&req->body));
    return TURN_END;
}

static enum turn refuse(struct conn *conn, int status)
{
    count_refusal(conn->server, status);
    response_refuse(conn->ctx, &conn->work->response, status);
    count_answer(conn);
    conn_flush(conn, conn->ctx);
    record(conn, rn_now(), 0);
    conn->linger = true;
    return TURN_END;
}

/* The request of which something is there, from its first byte to the end of its answer. */
static enum turn serve_one(struct conn *conn)
{
    struct work *work = conn->work;
    struct head_scan scan = {0};
    rn_http_request *req = &work->request;

    conn->requests++;
    req->conn = conn;
    req->head.method = req->head.pieces.target = (struct text){NULL, 0};
    req->head.pieces.minor = 1;
    req->head.keep = false;
    req->body = (struct body){0};
    work->response.err = work->response.cut = 0;
    int status = read_head(conn, &scan);
    req->began = rn_now();
    if (status == NO_REQUEST)
        return TURN_END;
    if (status == 0)
        status = begin_request(conn, &scan);
    response_begin(conn, status == 0 && text_equal(req->head.method, "HEAD", 4));
    return status == 0 ? answer(conn) : refuse(conn, status);
}

/* Requests until nothing more has come. */
__attribute__((noinline)) static enum turn serve(struct conn *conn)
{
    struct work *work = conn->work;
    enum turn turn = TURN_SERVE;

    atomic_store_explicit(&conn->warm, true, memory_order_relaxed);
    for (unsigned n = 1; turn == TURN_SERVE && work->input.begin < work->input.end; n++) {
        turn = serve_one(conn);
        work_reset(work);
        if (n % IN_A_ROW_MAX == 0)
            rn_yield();
    }
    if (turn == TURN_SERVE)
        turn = conn_flush(conn, conn->ctx) == 0 ? TURN_WAIT : TURN_END;
    end_work(conn);
    return turn;
}

/* ---- beginning and end ---- */

static struct conn *conn_new(rn_http_server *s, rn_fd fd)
{
    struct conn *conn = calloc(1, sizeof *conn);

    if (conn == NULL)
        return NULL;
    conn->server = s;
    conn->fd = fd;
    conn->number = rn_fd_number(fd);
    conn->since = rn_now();
    conn->state = CONN_BUSY;
    conn->ctx = rn_ctx_with_cancel(s->ctx);
    if (conn->ctx == NULL) {
        free(conn);
        return NULL;
    }
    return conn;
}

static void conn_free(struct conn *conn)
{
    rn_ctx_release(conn->ctx);
    free(conn->peer);
    free(conn);
}

/*
 * The transport's handshake has the time of a head; in a shutdown, that of a connection that never
 * sent a byte, for it has not sent any of a request.
 */
static enum turn open_stream(struct conn *conn)
{
    rn_http_server *s = conn->server;
    const rn_transport *transport = s->config.transport;
    rn_ctx *limited = rn_ctx_with_timeout(conn->ctx, s->config.header_timeout);

    if (limited == NULL)
        return TURN_END;
    atomic_store(&conn->state, CONN_OPENING);
    if (server_stopping(s))
        tell_fresh(s);
    int err = transport->open(limited, transport->arg, conn->fd, &conn->stream);
    rn_ctx_release(limited);
    conn->opened = err == 0;
    bool woken = !claim(conn);
    if (conn->opened)
        return woken ? TURN_END : TURN_WAIT;
    conn->stream = NULL;
    if (!woken)
        server_refuse(s, RN_HTTP_HANDSHAKE);
    return TURN_END;
}

/* Turn after turn; true: the connection is over. */
static bool take_turns(struct conn *conn)
{
    enum turn turn = conn->work != NULL ? TURN_SERVE : TURN_WAIT;

    if (conn->server->config.transport != NULL && !conn->opened)
        turn = open_stream(conn);
    while (turn == TURN_WAIT || turn == TURN_SERVE)
        turn = turn == TURN_WAIT ? wait_for_request(conn) : serve(conn);
    return turn == TURN_END;
}

static void conn_fiber(void *arg)
{
    struct conn *conn = arg;
    rn_http_server *s = conn->server;

    if (take_turns(conn)) {
        end_work(conn);
        conn_hang_up(conn);
        server_leave(s, conn);
        conn_free(conn);
    }
    rn_wait_group_done(&s->fibers);
}

int conn_start(rn_http_server *s, rn_fd fd)
{
    struct conn *conn = conn_new(s, fd);
    int err = -ENOMEM;

    if (conn == NULL) {
        rn_fd_close(fd);
        return err;
    }
    server_enter(s, conn);
    if ((err = start_fiber(conn)) != 0) {
        rn_fd_close(fd);
        server_leave(s, conn);
        conn_free(conn);
    }
    return err;
}

int conn_serve_stream(rn_http_server *s, void *stream)
{
    struct conn *conn = conn_new(s, (rn_fd){0});

    if (conn == NULL)
        return -ENOMEM;
    conn->stream = stream;
    conn->opened = true;
    server_enter(s, conn);
    take_turns(conn);
    end_work(conn);
    conn_hang_up(conn);
    server_leave(s, conn);
    conn_free(conn);
    return 0;
}
