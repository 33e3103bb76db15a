/*
 * The target of a request, taken apart: path, its segments, and query.
 */
#ifndef RN_HTTP_TARGET_H
#define RN_HTTP_TARGET_H

#include "arena.h"
#include "text.h"

struct target {
    const char *path;      /* decoded, without empty segments and dots; ends with a zero byte */
    const char *query;     /* as sent */
    struct text *segments; /* parts of path */
    size_t count;
    bool slash; /* the path ends with one */
};

/*
 * text begins with a slash and ends with a zero byte. Memory comes from the arena. Returns 0, 400
 * for malformed escapes and for dots hidden behind an escaped slash, or 500 without memory.
 */
int target_read(struct target *target, struct text text, struct arena *arena);

/* The first value of a name in the query, decoded; NULL: there is none. */
const char *target_query_value(const char *query, const char *name, struct arena *arena);

#endif
