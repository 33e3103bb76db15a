/*
 * A route's pattern: its segments, and how two patterns stand to each other.
 */
#ifndef RN_HTTP_PATTERN_H
#define RN_HTTP_PATTERN_H

#include "text.h"

enum segment_kind {
    SEGMENT_LITERAL,
    SEGMENT_ONE,  /* {name} */
    SEGMENT_REST, /* {name...}, or a slash at the end */
    SEGMENT_END   /* {$}: the path ends with this slash */
};

struct segment {
    enum segment_kind kind;
    struct text text; /* the literal, or the name; "" for a rest without one */
};

struct pattern {
    char *text; /* as given; the segments' texts are parts of it */
    struct segment *segments;
    size_t count;
    size_t names; /* of one segment or of a rest */
};

/* Returns 0, -EINVAL with a sentence, or -ENOMEM. */
int pattern_parse(struct pattern *pattern, const char *text);
void pattern_free(struct pattern *pattern);

/* Of sets of paths, or of methods. */
enum relation {
    RELATION_EQUAL,
    RELATION_MORE_GENERAL, /* the first has all of the second, and more */
    RELATION_MORE_SPECIFIC,
    RELATION_OVERLAPS,
    RELATION_DISJOINT
};

enum relation pattern_compare(const struct pattern *a, const struct pattern *b);

/* Of pairs whose halves stand to each other so. */
enum relation relation_combine(enum relation a, enum relation b);

#endif
