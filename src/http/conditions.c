/* Conditional requests; see conditions.h. */
#include "conditions.h"

#include "text.h"

#include <stdio.h>

#define SETTLED 2 /* seconds after its last change a file's time is taken as final */

void validators_make(struct validators *v, const struct stat *file, const struct timespec *now)
{
    const struct timespec *changed = &file->st_mtim; /* of any year: no sum of ns may hold it */
    bool settled = changed->tv_sec < now->tv_sec - SETTLED;

    snprintf(v->etag, sizeof v->etag, "%s\"%llx.%lx-%llx\"", settled ? "" : "W/",
             (unsigned long long)changed->tv_sec, (unsigned long)changed->tv_nsec,
             (unsigned long long)file->st_size);
    v->modified = file->st_mtim.tv_sec < now->tv_sec ? file->st_mtim.tv_sec : now->tv_sec;
    date_text(v->modified, v->modified_text);
}

/* ---- entity tags ---- */

static bool is_weak(const char *etag)
{
    return strncmp(etag, "W/", 2) == 0;
}

/* Whether one of a list of entity tags is ours. Strongly: only if neither is weak. */
static bool list_has(const char *list, const char *etag, bool strongly)
{
    const char *opaque = is_weak(etag) ? etag + 2 : etag;
    size_t length = strlen(opaque);

    while (*list != 0) {
        list += strspn(list, " \t,");
        if (*list == '*')
            return true;
        bool weak = is_weak(list);
        list += weak ? 2 : 0;
        const char *end = *list == '"' ? strchr(list + 1, '"') : NULL;
        if (end == NULL)
            return false; /* malformed, from here on */
        if ((size_t)(end + 1 - list) == length && memcmp(list, opaque, length) == 0 &&
            !(strongly && (weak || is_weak(etag))))
            return true;
        list = end + 1;
    }
    return false;
}

/* The field may come several times: as one list. *there: whether it came at all. */
static bool fields_have(const rn_http_request *req, const char *field, const char *etag,
                        bool strongly, bool *there)
{
    const char *name, *value;
    bool found = false;

    *there = false;
    for (size_t i = 0; rn_http_header_at(req, i, &name, &value); i++) {
        if (strcasecmp(name, field) != 0)
            continue;
        *there = true;
        found = found || list_has(value, etag, strongly);
    }
    return found;
}

/* ---- all of them ---- */

/* Whether the file is as it was at the time in a field; missing when that has no time. */
static bool unmodified_since(const rn_http_request *req, const char *field,
                             const struct validators *v, bool missing)
{
    const char *value = rn_http_header(req, field);
    time_t since;

    if (value == NULL || !date_read(value, &since))
        return missing;
    return v->modified <= since;
}

int conditions_status(const rn_http_request *req, const struct validators *v)
{
    bool there;

    bool matches = fields_have(req, "If-Match", v->etag, true, &there);
    if (!(there ? matches : unmodified_since(req, "If-Unmodified-Since", v, true)))
        return 412;
    matches = fields_have(req, "If-None-Match", v->etag, false, &there);
    if (there ? matches : unmodified_since(req, "If-Modified-Since", v, false))
        return 304;
    return 200;
}

bool conditions_range_counts(const rn_http_request *req, const struct validators *v)
{
    const char *value = rn_http_header(req, "If-Range");

    if (value == NULL)
        return true;
    if (*value == '"' || is_weak(value))
        return !is_weak(v->etag) && strcmp(value, v->etag) == 0;
    /* A date is as strong as the tag of the same state: to the byte, and long enough ago. */
    return !is_weak(v->etag) && strcmp(value, v->modified_text) == 0;
}
