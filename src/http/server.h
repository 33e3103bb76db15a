/*
 * The server, as the parts of it see it.
 *
 * lock guards the lists of connections and listeners, and wakes who waits for changes of them.
 * Under it connections are woken, but nothing is read, written or called back.
 */
#ifndef RN_HTTP_SERVER_PARTS_H
#define RN_HTTP_SERVER_PARTS_H

#include "conn.h"

#include <runnel/cond.h>
#include <runnel/debug.h>
#include <runnel/http_server.h>
#include <runnel/mutex.h>
#include <runnel/object_pool.h>
#include <runnel/wait_group.h>

#define CHILL_AFTER RN_SECOND         /* idle for so long, a connection gives its deep stack back */
#define LINGER (500 * RN_MILLISECOND) /* for a goodbye, when somebody waits for its end */
#define FRESH_GRACE (5 * RN_SECOND)   /* in a shutdown, for a connection that never sent a byte */

enum server_stage {
    SERVER_NEW,
    SERVER_SERVING,
    SERVER_STOPPING, /* listeners close; nobody is told yet, for clients would only come again */
    SERVER_DRAINING, /* connections end with their request */
    SERVER_CLOSED    /* contexts have ended */
};

/* A call of rn_http_serve. */
struct listening {
    struct listening *next, *prev; /* guarded by the server's lock */
    rn_ctx *ctx;                   /* ends to stop it */
};

struct middleware {
    rn_http_middleware *fn;
    void *arg;
};

struct rn_http_server {
    rn_http_server_config config; /* without zeroes */
    struct head_limits head_limits;
    struct chunk_limits chunk_limits;
    struct router router;
    struct middleware *middleware;
    size_t middleware_count;
    rn_object_pool(struct work) works;
    rn_exhibit exhibit;

    _Atomic(int) stage; /* enum server_stage; only rises, under lock */
    rn_ctx *ctx;        /* above every connection's */
    rn_ctx *ended;      /* one that has ended: for a goodbye without waiting */

    rn_mutex lock;
    rn_cond changed;             /* connections or listeners are fewer, or there is a first one */
    struct conn *conns;          /* guarded by lock */
    struct listening *listening; /* guarded by lock */
    bool sweeping;               /* guarded by lock */
    _Atomic(size_t) conn_count;  /* written under lock */

    rn_wait_group fibers; /* of connections, and the sweep */

    _Atomic(uint64_t) accepted, accept_errors;
    _Atomic(uint64_t) by_class[6];
    _Atomic(uint64_t) refused[RN_HTTP_REFUSALS];
};

static inline bool server_stopping(rn_http_server *s)
{
    return atomic_load(&s->stage) >= SERVER_STOPPING;
}

static inline bool server_draining(rn_http_server *s)
{
    return atomic_load(&s->stage) >= SERVER_DRAINING;
}

static inline void server_count(_Atomic(uint64_t) *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static inline void server_refuse(rn_http_server *s, rn_http_refusal why)
{
    server_count(&s->refused[why]);
}

/* Enters a connection into the list, and takes it out. */
void server_enter(rn_http_server *s, struct conn *conn);
void server_leave(rn_http_server *s, struct conn *conn);

/* Idle connections go, and those that only linger; fresh ones stay. */
void server_end_idle_locked(rn_http_server *s);

/*
 * Nobody listens any more, and the server stops: idle connections go, fresh ones have a while. Not
 * before, for a client whose connection ends makes another at once, and might make it just as the
 * listener closes, which resets it.
 */
void server_drain_locked(rn_http_server *s);

/* Starts the fiber that looks after idle connections, once. 0, or as rn_go. */
int sweep_start(rn_http_server *s);

#endif
