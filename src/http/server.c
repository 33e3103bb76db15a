/* The server: how it is made, what it counts, how it ends; see server.h. */
#include "server.h"

#include <stdio.h>
#include <stdlib.h>

#define LIMIT_BYTES_MAX (32 * 1024) /* of target and of fields: parsers have limits of their own */
#define FIELDS_MAX 1000

/* ---- configuration ---- */

static int set_duration(rn_duration *d, rn_duration otherwise, const char *name)
{
    if (*d < 0)
        return rn_error_with(-EINVAL, "http server: .%s is negative", name);
    if (*d == 0)
        *d = otherwise;
    return 0;
}

static int set_size(size_t *n, size_t otherwise, size_t most, const char *name)
{
    if (*n > most)
        return rn_error_with(-EINVAL, "http server: .%s is %zu: allowed are 1 to %zu", name, *n,
                             most);
    if (*n == 0)
        *n = otherwise;
    return 0;
}

static int check_transport(const rn_transport *transport)
{
    if (transport != NULL &&
        (transport->open == NULL || transport->read == NULL || transport->writev == NULL ||
         transport->buffered == NULL || transport->close == NULL))
        return rn_error_with(-EINVAL, "http server: .transport lacks a function");
    return 0;
}

/* Puts the defaults in place of zeroes. */
static int complete(rn_http_server_config *c)
{
    int err;

    if (c->name == NULL)
        c->name = "http server";
    if (c->requests_max == 0)
        c->requests_max = UINT64_MAX;
    if (c->body_bytes_max == 0)
        c->body_bytes_max = 1 << 20;
    if (c->body_rate_min == 0)
        c->body_rate_min = 240;
    if ((err = check_transport(c->transport)) != 0 ||
        (err = set_size(&c->connections_max, 65536, SIZE_MAX, "connections_max")) != 0 ||
        (err = set_size(&c->target_bytes_max, 8 << 10, LIMIT_BYTES_MAX, "target_bytes_max")) != 0 ||
        (err = set_size(&c->header_bytes_max, 16 << 10, LIMIT_BYTES_MAX, "header_bytes_max")) !=
            0 ||
        (err = set_size(&c->header_count_max, 100, FIELDS_MAX, "header_count_max")) != 0 ||
        (err = set_duration(&c->header_timeout, 10 * RN_SECOND, "header_timeout")) != 0 ||
        (err = set_duration(&c->read_timeout, 30 * RN_SECOND, "read_timeout")) != 0 ||
        (err = set_duration(&c->write_timeout, 30 * RN_SECOND, "write_timeout")) != 0)
        return err;
    return set_duration(&c->idle_timeout, 60 * RN_SECOND, "idle_timeout");
}

/* ---- beginning ---- */

/* "3 connections, 120 requests" */
static void describe(const rn_exhibit *exhibit, char *text, size_t size)
{
    rn_http_server *s = (rn_http_server *)((char *)exhibit - offsetof(rn_http_server, exhibit));
    uint64_t requests = 0;

    for (int i = 0; i < 6; i++)
        requests += atomic_load_explicit(&s->by_class[i], memory_order_relaxed);
    snprintf(text, size, "%zu connections, %llu requests",
             atomic_load_explicit(&s->conn_count, memory_order_relaxed),
             (unsigned long long)requests);
}

static int make_parts(rn_http_server *s)
{
    s->ctx = rn_ctx_with_cancel(NULL);
    s->ended = rn_ctx_with_cancel(NULL);
    if (s->ctx == NULL || s->ended == NULL)
        return -ENOMEM;
    rn_ctx_cancel(s->ended, 0);
    return rn_object_pool_new(&s->works, &(rn_object_pool_config){
                                             .construct = work_construct,
                                             .destroy = work_destroy,
                                             .arg = s,
                                         });
}

static void free_parts(rn_http_server *s)
{
    rn_object_pool_free(s->works);
    rn_ctx_release(s->ended);
    rn_ctx_release(s->ctx);
    router_free(&s->router);
    free(s->middleware);
    free(s);
}

int rn_http_server_new(rn_http_server **out, const rn_http_server_config *config)
{
    rn_http_server *s = calloc(1, sizeof *s);
    int err;

    *out = NULL;
    if (s == NULL)
        return -ENOMEM;
    if (config != NULL)
        s->config = *config;
    if ((err = complete(&s->config)) != 0 || (err = make_parts(s)) != 0) {
        free_parts(s);
        return err;
    }
    s->head_limits = (struct head_limits){s->config.target_bytes_max, s->config.header_bytes_max,
                                          s->config.header_count_max};
    s->chunk_limits = (struct chunk_limits){s->config.header_bytes_max, s->config.header_count_max};
    s->exhibit = (rn_exhibit){
        .kind = "http server",
        .name = s->config.name,
        .describe = describe,
    };
    rn_exhibit_show(&s->exhibit);
    *out = s;
    return 0;
}

void rn_http_server_free(rn_http_server *s)
{
    if (s == NULL)
        return;
    rn_http_server_close(s);
    rn_exhibit_hide(&s->exhibit);
    free_parts(s);
}

/* ---- routes and middleware ---- */

static int check_new(rn_http_server *s)
{
    return atomic_load(&s->stage) == SERVER_NEW ? 0 : -EBUSY;
}

int rn_http_route(rn_http_server *s, const char *method, const char *pattern, rn_http_handler *fn,
                  void *arg)
{
    int err = check_new(s);
    return err == 0 ? router_add(&s->router, method, pattern, fn, arg) : err;
}

int rn_http_use(rn_http_server *s, rn_http_middleware *fn, void *arg)
{
    struct middleware *grown;
    int err = check_new(s);

    if (err != 0)
        return err;
    if (fn == NULL)
        return rn_error_with(-EINVAL, "http middleware: the function is NULL");
    grown = realloc(s->middleware, (s->middleware_count + 1) * sizeof *grown);
    if (grown == NULL)
        return -ENOMEM;
    s->middleware = grown;
    s->middleware[s->middleware_count++] = (struct middleware){fn, arg};
    return 0;
}

/* ---- counters ---- */

static void count_states(rn_http_server *s, rn_http_server_stats *out)
{
    rn_mutex_lock(&s->lock);
    for (const struct conn *conn = s->conns; conn != NULL; conn = conn->next) {
        int state = atomic_load((_Atomic(int) *)&conn->state);
        out->connections++;
        if (state == CONN_IDLE || state == CONN_FRESH)
            out->idle++;
        else
            out->in_flight++;
    }
    rn_mutex_unlock(&s->lock);
}

void rn_http_server_stats_read(rn_http_server *s, rn_http_server_stats *out)
{
    memset(out, 0, sizeof *out);
    out->accepted = atomic_load(&s->accepted);
    out->accept_errors = atomic_load(&s->accept_errors);
    for (int i = 0; i < 6; i++) {
        out->by_class[i] = atomic_load(&s->by_class[i]);
        out->requests += out->by_class[i];
    }
    for (int i = 0; i < RN_HTTP_REFUSALS; i++)
        out->refused[i] = atomic_load(&s->refused[i]);
    count_states(s, out);
}
