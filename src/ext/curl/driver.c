/*
 * The driver: the fiber that owns a client's libcurl while transfers run.
 *
 * It is started by the first transfer and ends with the last, so that an idle client holds no
 * fiber, and does not keep a program from being told that all its fibers are asleep. What it leaves
 * behind, the engine with its open connections, the next driver takes over.
 *
 * It must not park while libcurl is on its stack: libcurl and the libraries under it keep addresses
 * of thread-local variables (errno, OpenSSL's errors), and a fiber may resume on another thread.
 * So the callbacks of this folder only lock for a moment and try to send.
 */
#include "client.h"
#include "codes.h"
#include "engine.h"

#include <runnel/fiber.h>

/* ---- the inbox ---- */

static void unlist_locked(rn_curl *c, struct transfer *t)
{
    *(t->prev == NULL ? &c->first : &t->prev->next) = t->next;
    *(t->next == NULL ? &c->last : &t->next->prev) = t->prev;
    t->wishes = 0;
}

/* The next transfer with wishes, and these; NULL: there is none. */
static struct transfer *take_wishes(rn_curl *c, unsigned *wishes)
{
    pthread_mutex_lock(&c->lock);
    struct transfer *t = c->first;
    if (t != NULL) {
        *wishes = t->wishes;
        unlist_locked(c, t);
    }
    pthread_mutex_unlock(&c->lock);
    return t;
}

/* Whether the driver is to go on; if not, whoever posts next starts another. */
static bool stays(rn_curl *c)
{
    pthread_mutex_lock(&c->lock);
    bool stays = c->known != 0;
    c->driving = stays;
    pthread_mutex_unlock(&c->lock);
    return stays;
}

/* ---- ends of transfers ---- */

static void add(_Atomic(uint64_t) *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static void count_connections(rn_curl *c, CURL *easy)
{
    long n = 0;

    curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &n);
    add(&c->connections, (uint64_t)n);
}

/* libcurl knows t no more. Afterwards it may be gone. */
static void finish(rn_curl *c, struct transfer *t)
{
    if (t->on_end != NULL)
        t->on_end(t);
    add(&c->failed, t->code != CURLE_OK && !t->stopped);
    add(&c->stopped, t->stopped);
    atomic_fetch_sub_explicit(&c->running, 1, memory_order_relaxed);
    pthread_mutex_lock(&c->lock);
    if (t->wishes != 0)
        unlist_locked(c, t);
    t->ended = true;
    c->known--;
    pthread_mutex_unlock(&c->lock);
    rn_wait_group_done(&t->done);
}

/* ---- the loop ---- */

static void start(rn_curl *c, struct transfer *t)
{
    t->err = engine_add(c->engine, t);
    if (t->err == 0)
        return;
    t->code = t->err == -ENOMEM ? CURLE_OUT_OF_MEMORY : CURLE_FAILED_INIT;
    t->refused = true;
    finish(c, t);
}

static void stop(rn_curl *c, struct transfer *t, bool started)
{
    if (started) {
        engine_remove(c->engine, t);
        count_connections(c, t->easy);
    }
    t->stopped = true;
    t->code = CURLE_ABORTED_BY_CALLBACK;
    finish(c, t);
}

static void grant_wishes(rn_curl *c)
{
    unsigned wishes;

    for (struct transfer *t; (t = take_wishes(c, &wishes)) != NULL;) {
        if (wishes & WISH_STOP)
            stop(c, t, !(wishes & WISH_START));
        else if (wishes & WISH_START)
            start(c, t);
        else
            curl_easy_pause(t->easy, CURLPAUSE_CONT);
    }
}

static void reap(rn_curl *c)
{
    for (struct transfer *t; (t = engine_next_done(c->engine)) != NULL;) {
        t->err = code_of_transfer(t->easy, t->code, c->engine->watch_err);
        count_connections(c, t->easy);
        engine_remove(c->engine, t);
        finish(c, t);
    }
}

void driver_run(void *client)
{
    rn_curl *c = client;

    pthread_mutex_lock(&c->lock);
    c->driver = rn_fiber_id();
    pthread_mutex_unlock(&c->lock);
    for (;;) {
        grant_wishes(c);
        engine_turn(c->engine);
        reap(c);
        if (!stays(c))
            return; /* the client may be gone */
        engine_rest(c->engine);
    }
}
