/* A route's pattern; see pattern.h. */
#include "pattern.h"

#include <runnel/error.h>
#include <stdlib.h>

#define SEGMENTS_MAX 64

/* ---- parsing ---- */

static int malformed(const char *pattern, const char *why)
{
    return rn_error_with(-EINVAL, "http route: pattern \"%s\": %s", pattern, why);
}

static bool is_name(struct text name)
{
    if (name.length == 0 || (name.at[0] >= '0' && name.at[0] <= '9'))
        return false;
    for (size_t i = 0; i < name.length; i++) {
        char c = name.at[i];
        if (c != '_' && !(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') &&
            !(c >= 'A' && c <= 'Z'))
            return false;
    }
    return true;
}

static bool has_name(const struct pattern *pattern, struct text name)
{
    for (size_t i = 0; i < pattern->count; i++)
        if (pattern->segments[i].kind != SEGMENT_LITERAL &&
            text_equal(pattern->segments[i].text, name.at, name.length))
            return true;
    return false;
}

/* inside is what stands between the braces. */
static int parse_braces(struct pattern *pattern, struct text inside, bool last)
{
    struct segment *segment = &pattern->segments[pattern->count];

    if (text_equal(inside, "$", 1)) {
        *segment = (struct segment){SEGMENT_END, {inside.at, 0}};
    } else if (inside.length > 3 && memcmp(inside.at + inside.length - 3, "...", 3) == 0) {
        *segment = (struct segment){SEGMENT_REST, {inside.at, inside.length - 3}};
    } else {
        *segment = (struct segment){SEGMENT_ONE, inside};
    }
    if (segment->kind != SEGMENT_ONE && !last)
        return malformed(pattern->text, "{$} and {name...} stand at the end only");
    if (segment->kind != SEGMENT_END) {
        if (!is_name(segment->text))
            return malformed(pattern->text, "a name has letters, digits and underscores");
        if (has_name(pattern, segment->text))
            return malformed(pattern->text, "a name is there twice");
        pattern->names++;
    }
    pattern->count++;
    return 0;
}

static int parse_segment(struct pattern *pattern, struct text text, bool last)
{
    struct segment *segment = &pattern->segments[pattern->count];

    if (text.length == 0) {
        if (!last)
            return malformed(pattern->text, "an empty segment never matches");
        *segment = (struct segment){SEGMENT_REST, text};
        pattern->count++;
        return 0;
    }
    if (text.at[0] == '{' && text.at[text.length - 1] == '}')
        return parse_braces(pattern, (struct text){text.at + 1, text.length - 2}, last);
    if (memchr(text.at, '{', text.length) != NULL || memchr(text.at, '}', text.length) != NULL)
        return malformed(pattern->text, "a name in braces is a whole segment");
    if (text_equal(text, ".", 1) || text_equal(text, "..", 2))
        return malformed(pattern->text, "a segment of dots never matches");
    *segment = (struct segment){SEGMENT_LITERAL, text};
    pattern->count++;
    return 0;
}

static int parse_segments(struct pattern *pattern)
{
    char *at = pattern->text + 1;
    int err = 0;

    for (bool last = false; err == 0 && !last;) {
        char *slash = strchr(at, '/');
        last = slash == NULL;
        size_t length = last ? strlen(at) : (size_t)(slash - at);
        if (pattern->count == SEGMENTS_MAX)
            return malformed(pattern->text, "more than 64 segments");
        err = parse_segment(pattern, (struct text){at, length}, last);
        at += length + 1;
    }
    return err;
}

int pattern_parse(struct pattern *pattern, const char *text)
{
    memset(pattern, 0, sizeof *pattern);
    if (text == NULL || text[0] != '/')
        return malformed(text == NULL ? "" : text, "it begins with a slash");
    pattern->text = strdup(text);
    pattern->segments = calloc(SEGMENTS_MAX, sizeof *pattern->segments);
    int err = pattern->text == NULL || pattern->segments == NULL ? -ENOMEM
                                                                 : parse_segments(pattern);
    if (err != 0)
        pattern_free(pattern);
    return err;
}

void pattern_free(struct pattern *pattern)
{
    free(pattern->text);
    free(pattern->segments);
    memset(pattern, 0, sizeof *pattern);
}

/* ---- comparing ---- */

enum relation relation_combine(enum relation a, enum relation b)
{
    if (a == RELATION_DISJOINT || b == RELATION_DISJOINT)
        return RELATION_DISJOINT;
    if (a == RELATION_EQUAL)
        return b;
    return b == RELATION_EQUAL || a == b ? a : RELATION_OVERLAPS;
}

static enum relation turned(enum relation relation)
{
    if (relation == RELATION_MORE_GENERAL)
        return RELATION_MORE_SPECIFIC;
    return relation == RELATION_MORE_SPECIFIC ? RELATION_MORE_GENERAL : relation;
}

/* The end of a path, {$}, is no segment that a name could stand for. */
static enum relation compare_segments(const struct segment *a, const struct segment *b)
{
    if (a->kind == SEGMENT_REST)
        return b->kind == SEGMENT_REST ? RELATION_EQUAL : RELATION_MORE_GENERAL;
    if (b->kind == SEGMENT_REST)
        return RELATION_MORE_SPECIFIC;
    if (a->kind == SEGMENT_END || b->kind == SEGMENT_END)
        return a->kind == b->kind ? RELATION_EQUAL : RELATION_DISJOINT;
    if (a->kind == SEGMENT_ONE)
        return b->kind == SEGMENT_ONE ? RELATION_EQUAL : RELATION_MORE_GENERAL;
    if (b->kind == SEGMENT_ONE)
        return RELATION_MORE_SPECIFIC;
    return text_equal(a->text, b->text.at, b->text.length) ? RELATION_EQUAL : RELATION_DISJOINT;
}

/* short_one has fewer segments, and all of them were compared. */
static enum relation compare_lengths(const struct pattern *short_one)
{
    bool rest = short_one->segments[short_one->count - 1].kind == SEGMENT_REST;
    return rest ? RELATION_MORE_GENERAL : RELATION_DISJOINT;
}

enum relation pattern_compare(const struct pattern *a, const struct pattern *b)
{
    enum relation relation = RELATION_EQUAL;

    for (size_t i = 0; i < a->count && i < b->count; i++)
        relation = relation_combine(relation, compare_segments(&a->segments[i], &b->segments[i]));
    if (a->count < b->count)
        return relation_combine(relation, compare_lengths(a));
    if (b->count < a->count)
        return relation_combine(relation, turned(compare_lengths(b)));
    return relation;
}
