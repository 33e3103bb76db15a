/* Which route a request has; see router.h. */
#include "router.h"

#include <stdlib.h>

struct router_node {
    struct text text;              /* the literal that leads here, in name */
    struct router_node **literals; /* sorted by text */
    size_t count;
    struct router_node *one; /* behind {name} */
    struct route *here;      /* patterns that end here, */
    struct route *slash;     /* here with {$}, */
    struct route *rest;      /* and here with a rest */
    char name[];
};

/* ---- the tree ---- */

static int compare_text(struct text a, struct text b)
{
    int order = memcmp(a.at, b.at, a.length < b.length ? a.length : b.length);
    if (order != 0 || a.length == b.length)
        return order;
    return a.length < b.length ? -1 : 1;
}

/* The place of a literal among a node's, or where it belongs. */
static size_t find_place(const struct router_node *node, struct text text, bool *found)
{
    size_t low = 0, high = node->count;

    *found = false;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = compare_text(node->literals[middle]->text, text);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct router_node *grow_literal(struct router_node *node, struct text text)
{
    bool found;
    size_t place = find_place(node, text, &found);

    if (found)
        return node->literals[place];
    struct router_node **grown = realloc(node->literals,
                                         (node->count + 1) * sizeof *node->literals);
    if (grown == NULL)
        return NULL;
    node->literals = grown;
    struct router_node *child = calloc(1, sizeof *child + text.length);
    if (child == NULL)
        return NULL;
    memcpy(child->name, text.at, text.length);
    child->text = (struct text){child->name, text.length};
    memmove(grown + place + 1, grown + place, (node->count - place) * sizeof *grown);
    grown[place] = child;
    node->count++;
    return child;
}

static struct router_node *grow_one(struct router_node *node)
{
    if (node->one == NULL)
        node->one = calloc(1, sizeof *node->one);
    return node->one;
}

static void free_node(struct router_node *node)
{
    if (node == NULL)
        return;
    for (size_t i = 0; i < node->count; i++)
        free_node(node->literals[i]);
    free_node(node->one);
    free(node->literals);
    free(node);
}

/* The list of routes of a pattern; nodes that are missing are made. NULL: no memory. */
static struct route **grow(struct router *router, const struct pattern *pattern)
{
    struct router_node *node = router->root;

    if (node == NULL)
        node = router->root = calloc(1, sizeof *node);
    for (size_t i = 0; node != NULL && i < pattern->count; i++) {
        const struct segment *segment = &pattern->segments[i];
        if (segment->kind == SEGMENT_REST)
            return &node->rest;
        if (segment->kind == SEGMENT_END)
            return &node->slash;
        node = segment->kind == SEGMENT_ONE ? grow_one(node) : grow_literal(node, segment->text);
    }
    return node == NULL ? NULL : &node->here;
}

/* ---- adding ---- */

static enum relation compare_methods(const char *a, const char *b)
{
    if (a == NULL || b == NULL)
        return a == b ? RELATION_EQUAL : a == NULL ? RELATION_MORE_GENERAL : RELATION_MORE_SPECIFIC;
    if (strcmp(a, b) == 0)
        return RELATION_EQUAL;
    if (strcmp(a, "GET") == 0 && strcmp(b, "HEAD") == 0)
        return RELATION_MORE_GENERAL;
    return strcmp(a, "HEAD") == 0 && strcmp(b, "GET") == 0 ? RELATION_MORE_SPECIFIC
                                                           : RELATION_DISJOINT;
}

static int check_conflicts(const struct router *router, const struct route *route)
{
    for (const struct route *other = router->routes; other != NULL; other = other->next) {
        enum relation relation = relation_combine(
            compare_methods(route->method, other->method),
            pattern_compare(&route->pattern, &other->pattern));
        if (relation == RELATION_EQUAL || relation == RELATION_OVERLAPS)
            return rn_error_with(-EEXIST,
                                 "http route: \"%s %s\" conflicts with \"%s %s\": neither is more "
                                 "specific",
                                 route->method == NULL ? "*" : route->method, route->pattern.text,
                                 other->method == NULL ? "*" : other->method, other->pattern.text);
    }
    return 0;
}

static void free_route(struct route *route)
{
    pattern_free(&route->pattern);
    free((char *)route->method);
    free(route);
}

static int set_method(struct route *route, const char *method)
{
    if (method == NULL || strcmp(method, "*") == 0)
        return 0;
    if (*method == 0 || !text_is(method, strlen(method), BYTE_TOKEN))
        return rn_error_with(-EINVAL, "http route: \"%s\" is no method", method);
    route->method = strdup(method);
    return route->method == NULL ? -ENOMEM : 0;
}

/* In front of what is less specific: no method last, GET behind HEAD. */
static void insert(struct route **list, struct route *route)
{
    while (*list != NULL &&
           compare_methods(route->method, (*list)->method) != RELATION_MORE_SPECIFIC)
        list = &(*list)->sibling;
    route->sibling = *list;
    *list = route;
}

int router_add(struct router *router, const char *method, const char *pattern, rn_http_handler *fn,
               void *arg)
{
    struct route *route, **list = NULL;

    if (fn == NULL)
        return rn_error_with(-EINVAL, "http route: the handler is NULL");
    if ((route = calloc(1, sizeof *route)) == NULL)
        return -ENOMEM;
    route->fn = fn;
    route->arg = arg;
    int err = set_method(route, method);
    if (err == 0)
        err = pattern_parse(&route->pattern, pattern);
    if (err == 0)
        err = check_conflicts(router, route);
    if (err == 0 && (list = grow(router, &route->pattern)) == NULL)
        err = -ENOMEM;
    if (err != 0) {
        free_route(route);
        return err;
    }
    insert(list, route);
    route->next = router->routes;
    router->routes = route;
    if (route->pattern.names > router->params_max)
        router->params_max = route->pattern.names;
    return 0;
}

void router_free(struct router *router)
{
    free_node(router->root);
    while (router->routes != NULL) {
        struct route *next = router->routes->next;
        free_route(router->routes);
        router->routes = next;
    }
    memset(router, 0, sizeof *router);
}

/* ---- matching ---- */

struct search {
    const char *method;
    const struct target *target;
    struct match *match;
    size_t values;
};

static void allow(struct match *match, const char *method)
{
    for (size_t i = 0; i < match->allowed; i++)
        if (strcmp(match->allow[i], method) == 0)
            return;
    if (match->allowed < sizeof match->allow / sizeof *match->allow)
        match->allow[match->allowed++] = method;
}

static bool serves(const struct route *route, const char *method)
{
    return route->method == NULL || strcmp(route->method, method) == 0 ||
           (strcmp(route->method, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

/* Among the routes of one pattern, which the path has. */
static bool take(struct search *search, const struct route *list)
{
    for (const struct route *route = list; route != NULL; route = route->sibling) {
        if (serves(route, search->method)) {
            search->match->route = route;
            return true;
        }
        allow(search->match, route->method);
        if (strcmp(route->method, "GET") == 0)
            allow(search->match, "HEAD");
    }
    return false;
}

static bool take_rest(struct search *search, const struct router_node *node, size_t depth)
{
    const struct target *target = search->target;
    const char *end = target->path + strlen(target->path);

    if (node->rest == NULL || (depth == target->count && !target->slash))
        return false;
    const char *begin = depth < target->count ? target->segments[depth].at : end;
    search->match->values[search->values] = (struct text){(char *)begin, (size_t)(end - begin)};
    return take(search, node->rest);
}

static bool descend(struct search *search, const struct router_node *node, size_t depth)
{
    const struct target *target = search->target;
    bool found;

    if (depth == target->count)
        return take(search, target->slash ? node->slash : node->here) ||
               take_rest(search, node, depth);
    size_t place = find_place(node, target->segments[depth], &found);
    if (found && descend(search, node->literals[place], depth + 1))
        return true;
    if (node->one != NULL) {
        search->match->values[search->values++] = target->segments[depth];
        if (descend(search, node->one, depth + 1))
            return true;
        search->values--;
    }
    return take_rest(search, node, depth);
}

void router_match(const struct router *router, const char *method, const struct target *target,
                  struct match *match)
{
    struct search search = {.method = method, .target = target, .match = match};

    match->route = NULL;
    match->allowed = 0;
    if (router->root != NULL)
        descend(&search, router->root, 0);
}
