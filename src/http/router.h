/*
 * Which route a method and a path have: a tree of segments, as patterns have them.
 *
 * Two patterns that share a path are in the tree only if one is more specific, so the first match
 * in the order literal, {name}, {rest...} is the most specific one.
 */
#ifndef RN_HTTP_ROUTER_H
#define RN_HTTP_ROUTER_H

#include "pattern.h"
#include "target.h"

#include <runnel/http_server.h>
#include <stdatomic.h>

struct route {
    struct route *next;    /* of the router */
    struct route *sibling; /* of the same pattern, with another method */
    struct pattern pattern;
    const char *method; /* NULL: every one */
    rn_http_handler *fn;
    void *arg;
    /*
     * Its handler took long enough to wait for something, not so many runs ago: then earlier
     * answers of the connection are sent before it runs.
     */
    atomic_int slow;
};

struct router {
    struct route *routes;
    struct router_node *root;
    size_t params_max; /* of a route */
};

/* As rn_http_route. */
int router_add(struct router *router, const char *method, const char *pattern, rn_http_handler *fn,
               void *arg);
void router_free(struct router *router);

/* What matched. */
struct match {
    const struct route *route; /* NULL: none */
    struct text *values;       /* of the pattern's names; room for params_max + 1, the caller's */
    const char *allow[16];     /* no route, but one for each of these methods */
    size_t allowed;
};

void router_match(const struct router *router, const char *method, const struct target *target,
                  struct match *match);

#endif
