/* Status and fields of an answer; see runnel/http_response.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* vasprintf */
#endif
#include "response.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define is(name, literal) (strcasecmp((name), (literal)) == 0)

int rn_http_status(rn_http_response *res, int status)
{
    if (res->stage != RESPONSE_OPEN)
        return -EBUSY;
    if (status < 200 || status > 599)
        return rn_error_with(-EINVAL, "http response: no status %d", status);
    res->status = status;
    res->has_status = true;
    return 0;
}

int rn_http_status_of(const rn_http_response *res)
{
    return res->status;
}

bool rn_http_started(const rn_http_response *res)
{
    return res->stage != RESPONSE_OPEN;
}

static int set_length(rn_http_response *res, const char *value, size_t length)
{
    int64_t n = 0;

    for (size_t i = 0; i < length; i++) {
        if (value[i] < '0' || value[i] > '9' || n > INT64_MAX / 10 - 1)
            return rn_error_with(-EINVAL, "http response: Content-Length: \"%s\"", value);
        n = n * 10 + (value[i] - '0');
    }
    if (length == 0 || (uint64_t)n < res->written)
        return rn_error_with(-EINVAL, "http response: Content-Length: \"%s\"", value);
    res->content_length = n;
    return 0;
}

/*
 * Fields that the server makes itself, from what the handler says. 1: it is another, which goes
 * into the head as it is.
 */
static int set_own(rn_http_response *res, const char *name, const char *value, size_t length)
{
    switch (strlen(name)) {
    case 4:
        res->has_date |= is(name, "Date");
        return 1;
    case 7:
        if (!is(name, "Trailer"))
            return 1;
        break;
    case 10:
        if (!is(name, "Connection"))
            return 1;
        if (!is(value, "close"))
            break;
        res->close = true;
        return 0;
    case 14:
        return is(name, "Content-Length") ? set_length(res, value, length) : 1;
    case 17:
        if (!is(name, "Transfer-Encoding"))
            return 1;
        break;
    default:
        return 1;
    }
    return rn_error_with(-EINVAL, "http response: \"%s: %s\" is not for the handler to set", name,
                         value);
}

static int set_field(rn_http_response *res, const char *name, const char *value, bool replace)
{
    if (res->stage != RESPONSE_OPEN)
        return -EBUSY;
    if (name == NULL || value == NULL)
        return rn_error_with(-EINVAL, "http response: a field without a name or a value");
    size_t length = strlen(value);
    int own = set_own(res, name, value, length);
    if (own <= 0)
        return own;
    if (!replace)
        return fields_add(&res->fields, name, value, length);
    /* The new one first: when it is refused, the old ones stay. */
    struct fields *fields = &res->fields;
    size_t before = fields->used;
    int err = fields_add(fields, name, value, length);
    if (err == 0 && before > 0)
        fields_remove(fields, name, before);
    return err;
}

int rn_http_set(rn_http_response *res, const char *name, const char *value)
{
    return set_field(res, name, value, true);
}

int rn_http_add(rn_http_response *res, const char *name, const char *value)
{
    return set_field(res, name, value, false);
}

int rn_http_setf(rn_http_response *res, const char *name, const char *format, ...)
{
    va_list args;
    char *value;

    va_start(args, format);
    int length = vasprintf(&value, format, args);
    va_end(args);
    if (length < 0)
        return -ENOMEM;
    int err = rn_http_set(res, name, value);
    free(value);
    return err;
}
