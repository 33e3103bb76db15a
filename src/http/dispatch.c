/* From a request to its handler; see dispatch.h. */
#include "dispatch.h"

#include "server.h"

#define ALLOW_BYTES 256 /* of a list of methods */

/* How far the way through the middleware has come. */
struct rn_http_chain {
    size_t at; /* the middleware that is next */
};

/* "GET, HEAD, POST" */
static void list_methods(const struct match *match, char list[ALLOW_BYTES])
{
    size_t used = 0;

    list[0] = 0;
    for (size_t i = 0; i < match->allowed; i++) {
        size_t length = strlen(match->allow[i]);
        if (used + length + 3 > ALLOW_BYTES)
            break;
        if (used > 0) {
            memcpy(list + used, ", ", 2);
            used += 2;
        }
        memcpy(list + used, match->allow[i], length + 1);
        used += length;
    }
}

static int answer_without_route(rn_ctx *ctx, rn_http_request *req, rn_http_response *res)
{
    char methods[ALLOW_BYTES];

    if (strcmp(rn_http_path(req), "*") == 0)
        return rn_http_status(res, 204);
    if (req->match.allowed == 0)
        return rn_http_error(ctx, res, 404, NULL);
    list_methods(&req->match, methods);
    int err = rn_http_set(res, "Allow", methods);
    return err == 0 ? rn_http_error(ctx, res, 405, NULL) : err;
}

static int call_next(rn_ctx *ctx, rn_http_chain *next, rn_http_request *req, rn_http_response *res)
{
    const rn_http_server *s = req->conn->server;
    const struct route *route = req->match.route;

    fields_mark(&res->fields);
    if (next->at < s->middleware_count) {
        const struct middleware *middleware = &s->middleware[next->at];
        return middleware->fn(ctx, req, res, &(rn_http_chain){next->at + 1}, middleware->arg);
    }
    if (route == NULL)
        return answer_without_route(ctx, req, res);
    return route->fn(ctx, req, res, route->arg);
}

/* What they return is a code: rn_http_write's number of bytes is no failure. */
int rn_http_next(rn_ctx *ctx, rn_http_chain *next, rn_http_request *req, rn_http_response *res)
{
    int err = call_next(ctx, next, req, res);
    return err < 0 ? err : 0;
}

int dispatch(rn_ctx *ctx, rn_http_request *req, rn_http_response *res)
{
    return rn_http_next(ctx, &(rn_http_chain){0}, req, res);
}
