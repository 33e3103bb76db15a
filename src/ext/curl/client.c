/*
 * Clients, and performing on them.
 *
 * Who posts to a client that has no driver starts one, under the lock; so at each moment either no
 * transfer is known, or a driver runs that will look into the inbox again. Whatever the posting
 * fiber's context says, it leaves only when the driver has said done: until then libcurl uses the
 * easy handle, and the transfer is on the poster's stack.
 *
 * When the runtime stops, a driver with transfers in flight is dropped with everybody who waits for
 * it. The next to post finds the engine's handle gone, and begins anew.
 *
 * Rejected: a CURLM for each caller, with connections shared by a CURLSH. Callbacks would run on
 * the caller's fiber and could wait; but libcurl does not allow that sharing between threads, and
 * limits for a host would not span callers.
 */
#include "client.h"
#include "codes.h"
#include "engine.h"

#include <runnel/ctx.h>
#include <runnel/fiber.h>
#include <runnel/once.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

/* libcurl, what it uses for TLS and logins, and callbacks are written for threads' stacks. */
#define DRIVER_STACK ((size_t)1 << 20)

static rn_curl shared = {.lock = PTHREAD_MUTEX_INITIALIZER};

rn_curl *client_of(rn_curl *client)
{
    return client != NULL ? client : &shared;
}

/* ---- the library ---- */

/* When the runtime still runs, a driver or a poster may be anywhere: the system cleans up. */
static void close_shared_at_exit(void)
{
    if (shared.engine == NULL || engine_alive(shared.engine))
        return;
    engine_abandon(shared.engine, shared.driving);
    shared.engine = NULL;
}

/* Handlers run in the reverse order: OpenSSL, initialised here, still stands when ours runs. */
static int initialise(void *unused)
{
    (void)unused;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return -EIO;
    atexit(close_shared_at_exit);
    return 0;
}

int library_ready(void)
{
    static rn_once once;
    int err = rn_once_do(&once, initialise, NULL);

    return err == 0 ? 0 : rn_error_with(err, "curl: libcurl cannot be initialised");
}

/* ---- posting ---- */

/* Whether the runtime in which the engine was made has stopped. */
static bool outlived_locked(const rn_curl *c)
{
    return c->engine != NULL && !engine_alive(c->engine);
}

/* Who waits for these transfers was dropped with its fiber. */
static void forget_locked(rn_curl *c)
{
    engine_abandon(c->engine, c->driving);
    c->engine = NULL;
    c->first = c->last = NULL;
    c->known = 0;
    c->driving = false;
    atomic_store_explicit(&c->running, 0, memory_order_relaxed);
}

static void list_locked(rn_curl *c, struct transfer *t, unsigned wishes)
{
    if (t->wishes == 0) {
        t->next = NULL;
        t->prev = c->last;
        *(c->last == NULL ? &c->first : &c->last->next) = t;
        c->last = t;
    }
    t->wishes |= wishes;
}

static int start_driver_locked(rn_curl *c)
{
    int err = c->engine == NULL ? engine_new(&c->engine, &c->config) : 0;

    c->driver = 0;
    if (err == 0)
        err = rn_go_with(&(rn_go_options){.name = "curl", .stack_size = DRIVER_STACK}, driver_run,
                         c);
    c->driving = err == 0;
    return err;
}

static int post_start_locked(rn_curl *c, struct transfer *t)
{
    int err = 0;

    if (outlived_locked(c))
        forget_locked(c);
    if (c->driving && rn_fiber_id() != 0 && c->driver == rn_fiber_id())
        return rn_error_with(-EDEADLK, "curl: called from a callback of the same client");
    c->known++;
    atomic_fetch_add_explicit(&c->running, 1, memory_order_relaxed);
    list_locked(c, t, WISH_START);
    if (!c->driving)
        err = start_driver_locked(c);
    else
        rn_try_send(c->engine->bell, 1);
    if (err == 0) {
        atomic_fetch_add_explicit(&c->transfers, 1, memory_order_relaxed);
        return 0;
    }
    c->known--; /* it is the only one, since nobody drives */
    atomic_fetch_sub_explicit(&c->running, 1, memory_order_relaxed);
    c->first = c->last = NULL;
    return err;
}

int transfer_start(rn_ctx *ctx, rn_curl *client, struct transfer *t)
{
    int err = rn_ctx_err(ctx);

    t->code = err == 0 ? CURLE_FAILED_INIT : CURLE_ABORTED_BY_CALLBACK;
    if (err == 0)
        err = library_ready();
    if (err != 0)
        return err;
    t->client = client_of(client);
    rn_wait_group_add(&t->done, 1);
    pthread_mutex_lock(&t->client->lock);
    err = post_start_locked(t->client, t);
    pthread_mutex_unlock(&t->client->lock);
    return err;
}

void transfer_wish(struct transfer *t, unsigned wishes)
{
    rn_curl *c = t->client;

    pthread_mutex_lock(&c->lock);
    if (!t->ended) {
        list_locked(c, t, wishes);
        rn_try_send(c->engine->bell, 1);
    }
    pthread_mutex_unlock(&c->lock);
}

int transfer_await(rn_ctx *ctx, struct transfer *t)
{
    int err = rn_wait_group_wait(ctx, &t->done);

    if (err == 0)
        return 0;
    transfer_wish(t, WISH_STOP);
    rn_wait_group_wait(NULL, &t->done);
    return t->stopped ? err : 0;
}

/* ---- performing ---- */

int rn_curl_perform_on(rn_ctx *ctx, rn_curl *client, void *easy, int *code)
{
    struct transfer t = {.easy = easy, .code = CURLE_FAILED_INIT};
    int err;

    forget_sentence();
    if (easy == NULL)
        err = rn_error_with(-EINVAL, "curl: the easy handle is NULL");
    else if ((err = transfer_start(ctx, client, &t)) == 0 && (err = transfer_await(ctx, &t)) == 0)
        err = report_transfer(&t, "");
    if (code != NULL)
        *code = t.code;
    return err;
}

int rn_curl_perform(rn_ctx *ctx, void *easy)
{
    return rn_curl_perform_on(ctx, NULL, easy, NULL);
}

/* ---- clients ---- */

static uint64_t total(const _Atomic(uint64_t) *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void rn_curl_stats_read(rn_curl *client, rn_curl_stats *out)
{
    rn_curl *c = client_of(client);

    *out = (rn_curl_stats){.transfers = total(&c->transfers),
                           .running = total(&c->running),
                           .failed = total(&c->failed),
                           .stopped = total(&c->stopped),
                           .connections = total(&c->connections)};
}

static void describe(const rn_exhibit *exhibit, char *text, size_t size)
{
    rn_curl *c = (rn_curl *)exhibit;

    snprintf(text, size, "%llu running of %llu, %llu failed, %llu connections",
             (unsigned long long)total(&c->running), (unsigned long long)total(&c->transfers),
             (unsigned long long)total(&c->failed), (unsigned long long)total(&c->connections));
}

static int check_limit(const char *field, size_t limit)
{
    return limit <= INT_MAX ? 0
                            : rn_error_with(-EINVAL, "curl: %s is %zu: allowed are 0 to %d", field,
                                            limit, INT_MAX);
}

int rn_curl_new(rn_curl **out, const rn_curl_config *config)
{
    rn_curl_config wanted = config == NULL ? (rn_curl_config){0} : *config;
    rn_curl *c;
    int err;

    *out = NULL;
    forget_sentence();
    err = check_limit(".max_connections", wanted.max_connections);
    err = err != 0 ? err : check_limit(".max_per_host", wanted.max_per_host);
    err = err != 0 ? err : check_limit(".max_open", wanted.max_open);
    if (err != 0)
        return err;
    c = calloc(1, sizeof *c);
    if (c == NULL)
        return -ENOMEM;
    c->config = wanted;
    pthread_mutex_init(&c->lock, NULL);
    c->exhibit = (rn_exhibit){.kind = "curl", .name = wanted.name, .describe = describe};
    if (wanted.name != NULL)
        rn_exhibit_show(&c->exhibit);
    *out = c;
    return 0;
}

/*
 * Takes the engine out of a client that knows no transfer, once its driver has gone; it has but a
 * few instructions left.
 */
static int take_engine(rn_curl *c, struct engine **engine)
{
    pthread_mutex_lock(&c->lock);
    if (outlived_locked(c))
        forget_locked(c);
    while (c->driving && c->known == 0) {
        pthread_mutex_unlock(&c->lock);
        rn_yield();
        pthread_mutex_lock(&c->lock);
    }
    bool idle = c->known == 0;
    *engine = idle ? c->engine : NULL;
    if (idle)
        c->engine = NULL;
    pthread_mutex_unlock(&c->lock);
    return idle ? 0 : -EBUSY;
}

int rn_curl_close_idle(rn_curl *client)
{
    struct engine *engine;
    int err = take_engine(client_of(client), &engine);

    engine_free(engine);
    return err;
}

void rn_curl_free(rn_curl *c)
{
    if (c == NULL)
        return;
    if (rn_curl_close_idle(c) != 0) {
        fprintf(stderr, "runnel: rn_curl_free of \"%s\": transfers run on it\n",
                c->config.name == NULL ? "" : c->config.name);
        abort();
    }
    if (c->config.name != NULL)
        rn_exhibit_hide(&c->exhibit);
    pthread_mutex_destroy(&c->lock);
    free(c);
}
