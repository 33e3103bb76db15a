/* Server-sent events; see runnel/http_events.h. The format is that of the HTML standard. */
#include <runnel/http_events.h>

#include <stdbool.h>
#include <string.h>

int rn_http_events_start(rn_ctx *ctx, rn_http_response *res)
{
    int err = rn_http_set(res, "Content-Type", "text/event-stream");

    if (err == 0)
        err = rn_http_set(res, "Cache-Control", "no-store");
    return err == 0 ? rn_http_flush(ctx, res) : err;
}

static int put(rn_ctx *ctx, rn_http_response *res, const char *text, size_t size)
{
    ssize_t n = rn_http_write(ctx, res, text, size);
    return n < 0 ? (int)n : 0;
}

/* The length of the first line; *next is behind its end, or NULL when it is the last. */
static size_t line_length(const char *text, size_t size, const char **next)
{
    size_t n = 0;

    while (n < size && text[n] != '\n' && text[n] != '\r')
        n++;
    if (n == size)
        *next = NULL;
    else
        *next = text + n + (text[n] == '\r' && n + 1 < size && text[n + 1] == '\n' ? 2 : 1);
    return n;
}

/* Each line of a text, behind the name of a field. */
static int put_lines(rn_ctx *ctx, rn_http_response *res, const char *name, const char *text,
                     size_t size)
{
    const char *end = text + size, *next = text;
    int err = 0;

    while (err == 0 && next != NULL) {
        const char *line = next;
        size_t n = line_length(line, (size_t)(end - line), &next);
        if ((err = put(ctx, res, name, strlen(name))) == 0 && (err = put(ctx, res, line, n)) == 0)
            err = put(ctx, res, "\n", 1);
    }
    return err;
}

/* The blank line that ends an event, and all of it on its way. */
static int finish(rn_ctx *ctx, rn_http_response *res)
{
    int err = put(ctx, res, "\n", 1);
    return err == 0 ? rn_http_flush(ctx, res) : err;
}

static bool one_line(const char *text)
{
    return text == NULL || text[strcspn(text, "\r\n")] == 0;
}

int rn_http_event(rn_ctx *ctx, rn_http_response *res, const rn_http_event_fields *fields)
{
    const char *data = fields->data;
    size_t size = data != NULL && fields->size == 0 ? strlen(data) : fields->size;
    int err = 0;

    if (!one_line(fields->event) || !one_line(fields->id))
        return rn_error_with(-EINVAL, "http event: an event or id of more than one line");
    if (fields->retry < 0)
        return rn_error_with(-EINVAL, "http event: retry: a negative duration");
    if (fields->event != NULL)
        err = rn_http_printf(ctx, res, "event: %s\n", fields->event);
    if (err == 0 && fields->id != NULL)
        err = rn_http_printf(ctx, res, "id: %s\n", fields->id);
    if (err == 0 && fields->retry > 0)
        err = rn_http_printf(ctx, res, "retry: %lld\n",
                             (long long)(fields->retry / RN_MILLISECOND));
    if (err == 0 && data != NULL)
        err = put_lines(ctx, res, "data: ", data, size);
    return err == 0 ? finish(ctx, res) : err;
}

int rn_http_comment(rn_ctx *ctx, rn_http_response *res, const char *text)
{
    const char *words = text != NULL ? text : "";
    int err = put_lines(ctx, res, ": ", words, strlen(words));
    return err == 0 ? finish(ctx, res) : err;
}
