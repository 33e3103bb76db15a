/* The target of a request; see target.h. */
#include "target.h"

/* The path while it is built: each segment goes to `end`, behind a slash. */
struct building {
    struct target *target;
    char *path, *end;
};

static bool is_dots(const char *at, size_t length)
{
    return (length == 1 && at[0] == '.') || (length == 2 && at[0] == '.' && at[1] == '.');
}

/* Whether a segment would be several once its escaped slashes are plain ones, one of them dots. */
static bool hides_dots(struct text segment)
{
    char *end = segment.at + segment.length, *slash = memchr(segment.at, '/', segment.length);

    if (slash == NULL)
        return false;
    for (char *part = segment.at; part <= end; part = slash + 1) {
        slash = memchr(part, '/', (size_t)(end - part));
        slash = slash == NULL ? end : slash;
        if (is_dots(part, (size_t)(slash - part)))
            return true;
    }
    return false;
}

static void leave_segment(struct building *b)
{
    if (b->target->count > 0)
        b->end = b->target->segments[--b->target->count].at - 1;
}

/* Returns 0 or 400. */
static int add_segment(struct building *b, const char *raw, size_t length)
{
    struct target *target = b->target;
    int64_t n = text_decode(b->end + 1, raw, length, false);
    struct text segment = {b->end + 1, (size_t)n};

    if (n < 0 || hides_dots(segment))
        return 400;
    target->slash = n == 0 || is_dots(segment.at, segment.length);
    if (target->slash) {
        if (n == 2)
            leave_segment(b);
        return 0;
    }
    *b->end = '/';
    b->end = segment.at + segment.length;
    target->segments[target->count++] = segment;
    return 0;
}

static size_t count_slashes(const char *at, size_t length)
{
    size_t n = 0;

    for (size_t i = 0; i < length; i++)
        n += at[i] == '/';
    return n;
}

/* The text without its first slash. */
static int add_segments(struct building *b, const char *raw, const char *end)
{
    int status = 0;

    while (status == 0) {
        const char *slash = memchr(raw, '/', (size_t)(end - raw));
        status = add_segment(b, raw, (size_t)((slash == NULL ? end : slash) - raw));
        if (slash == NULL)
            break;
        raw = slash + 1;
    }
    return status;
}

int target_read(struct target *target, struct text text, struct arena *arena)
{
    char *question = memchr(text.at, '?', text.length);
    size_t length = question == NULL ? text.length : (size_t)(question - text.at);
    struct building b = {.target = target};

    target->query = question == NULL ? "" : question + 1;
    target->count = 0;
    b.path = b.end = arena_alloc(arena, length + 2);
    target->segments = arena_alloc(arena,
                                   count_slashes(text.at, length) * sizeof *target->segments);
    if (b.path == NULL || target->segments == NULL)
        return 500;
    int status = add_segments(&b, text.at + 1, text.at + length);
    if (target->slash)
        *b.end++ = '/';
    *b.end = 0;
    target->path = b.path;
    return status;
}

/* ---- the query ---- */

/* Whether a name as sent is this one, decoded in scratch. */
static bool is_name(const char *raw, size_t length, const char *name, char *scratch)
{
    int64_t n = text_decode(scratch, raw, length, true);
    return n >= 0 && (size_t)n == strlen(name) && memcmp(scratch, name, (size_t)n) == 0;
}

static const char *decode_value(char *scratch, const char *raw, size_t length)
{
    int64_t n = text_decode(scratch, raw, length, true);

    if (n < 0)
        return NULL;
    scratch[n] = 0;
    return scratch;
}

const char *target_query_value(const char *query, const char *name, struct arena *arena)
{
    char *scratch = NULL;

    while (*query != 0) {
        size_t length = strcspn(query, "&");
        const char *equals = memchr(query, '=', length);
        size_t name_length = equals == NULL ? length : (size_t)(equals - query);

        if (scratch == NULL && (scratch = arena_alloc(arena, strlen(query) + 1)) == NULL)
            return NULL;
        if (length > 0 && is_name(query, name_length, name, scratch))
            return equals == NULL ? ""
                                  : decode_value(scratch, equals + 1, length - name_length - 1);
        query += length + (query[length] == '&');
    }
    return NULL;
}
