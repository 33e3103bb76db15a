/* A file as an answer; see file_answer.h. */
#include "file_answer.h"

#include "conditions.h"
#include "ranges.h"
#include "response.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define BOUNDARY_BYTES 33  /* between the parts of several ranges */
#define PART_BYTES_MAX 512 /* a part's head, but for its type */

static uint64_t size_of(const struct file_answer *a)
{
    return (uint64_t)a->stat.st_size;
}

static bool is_method(const rn_http_request *req, const char *method)
{
    return strcmp(rn_http_method(req), method) == 0;
}

/* ---- several ranges ---- */

struct multipart {
    char boundary[BOUNDARY_BYTES];
    struct range ranges[RANGES_MAX];
    int n;
};

/* Random, so that nobody can have a file with it made beforehand. */
static void make_boundary(char boundary[BOUNDARY_BYTES])
{
    unsigned char bytes[(BOUNDARY_BYTES - 1) / 2];

    if (getrandom(bytes, sizeof bytes, GRND_NONBLOCK) != (ssize_t)sizeof bytes) {
        /* Only early in the life of the system. */
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        memset(bytes, 0, sizeof bytes);
        memcpy(bytes, &now.tv_nsec, sizeof now.tv_nsec);
    }
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(boundary + 2 * i, 3, "%02x", bytes[i]);
}

/* The lines before part i, or behind the last. */
static size_t part_head(const struct file_answer *a, const struct multipart *m, int i, char *text,
                        size_t room)
{
    const char *end = i > 0 ? "\r\n" : "";
    int n;

    if (i == m->n) {
        n = snprintf(text, room, "%s--%s--\r\n", end, m->boundary);
    } else {
        uint64_t first = m->ranges[i].first;
        n = snprintf(text, room,
                     "%s--%s\r\nContent-Type: %s\r\nContent-Range: bytes %" PRIu64 "-%" PRIu64
                     "/%" PRIu64 "\r\n\r\n",
                     end, m->boundary, a->type, first, first + m->ranges[i].size - 1, size_of(a));
    }
    return (size_t)n;
}

static int send_parts(rn_ctx *ctx, rn_http_request *req, rn_http_response *res,
                      const struct file_answer *a, const struct multipart *m)
{
    size_t room = PART_BYTES_MAX + strlen(a->type);
    char *text = rn_http_alloc(req, room);
    uint64_t length = 0;
    int err = text == NULL ? -ENOMEM : 0;

    for (int i = 0; i <= m->n && err == 0; i++)
        length += part_head(a, m, i, text, room) + (i < m->n ? m->ranges[i].size : 0);
    if (err == 0)
        err = rn_http_setf(res, "Content-Length", "%" PRIu64, length);
    if (err == 0)
        err = response_head(ctx, res, (int64_t)length);
    for (int i = 0; i <= m->n && err == 0; i++) {
        ssize_t n = rn_http_write(ctx, res, text, part_head(a, m, i, text, room));
        err = n < 0 ? (int)n : 0;
        if (err == 0 && i < m->n)
            err = response_send_file(ctx, res, a->file, (int64_t)m->ranges[i].first,
                                     m->ranges[i].size);
    }
    return err;
}

static int send_several(rn_ctx *ctx, rn_http_request *req, rn_http_response *res,
                        const struct file_answer *a, struct multipart *m)
{
    make_boundary(m->boundary);
    int err = rn_http_status(res, 206);
    if (err == 0)
        err = rn_http_setf(res, "Content-Type", "multipart/byteranges; boundary=%s", m->boundary);
    return err == 0 ? send_parts(ctx, req, res, a, m) : err;
}

/* ---- one, or the whole ---- */

static int send_piece(rn_ctx *ctx, rn_http_response *res, const struct file_answer *a,
                      struct range range)
{
    int err = rn_http_set(res, "Content-Type", a->type);

    if (err == 0)
        err = rn_http_setf(res, "Content-Length", "%" PRIu64, range.size);
    if (err == 0)
        err = response_head(ctx, res, (int64_t)range.size);
    if (err == 0 && range.size > 0)
        err = response_send_file(ctx, res, a->file, (int64_t)range.first, range.size);
    return err;
}

static int send_whole(rn_ctx *ctx, rn_http_response *res, const struct file_answer *a)
{
    return send_piece(ctx, res, a, (struct range){0, size_of(a)});
}

static int send_one(rn_ctx *ctx, rn_http_response *res, const struct file_answer *a,
                    struct range range)
{
    int err = rn_http_status(res, 206);

    if (err == 0)
        err = rn_http_setf(res, "Content-Range", "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64,
                           range.first, range.first + range.size - 1, size_of(a));
    return err == 0 ? send_piece(ctx, res, a, range) : err;
}

static int refuse_range(rn_ctx *ctx, rn_http_response *res, const struct file_answer *a)
{
    int err = rn_http_setf(res, "Content-Range", "bytes */%" PRIu64, size_of(a));
    return err == 0 ? rn_http_error(ctx, res, 416, NULL) : err;
}

/* ---- which of them ---- */

static int set_fields(rn_http_response *res, const struct file_answer *a,
                      const struct validators *v)
{
    int err = rn_http_set(res, "ETag", v->etag);

    if (err == 0)
        err = rn_http_set(res, "Last-Modified", v->modified_text);
    if (err == 0 && a->cache_control != NULL)
        err = rn_http_set(res, "Cache-Control", a->cache_control);
    return err == 0 ? rn_http_set(res, "Accept-Ranges", "bytes") : err;
}

/*
 * How many ranges are to be sent; 0: the whole, negative: none can be. A range is what a GET asks
 * for; for other methods the field means nothing.
 */
static int ranges_asked(const rn_http_request *req, const struct file_answer *a,
                        const struct validators *v, struct range ranges[RANGES_MAX])
{
    const char *value = rn_http_header(req, "Range");

    if (value == NULL || !is_method(req, "GET") || !conditions_range_counts(req, v))
        return 0;
    return ranges_read(value, size_of(a), ranges);
}

/* Refusals have none of the file's fields, so that no cache keeps one for it. */
int file_answer_send(rn_ctx *ctx, rn_http_request *req, rn_http_response *res,
                     const struct file_answer *a)
{
    struct validators v;
    struct timespec now;
    struct multipart m = {.n = 0};
    int status = 200, err;

    if (rn_http_started(res))
        return -EBUSY;
    if (rn_http_status_of(res) != 200)
        return send_whole(ctx, res, a);
    clock_gettime(CLOCK_REALTIME, &now);
    validators_make(&v, &a->stat, &now);
    if (is_method(req, "GET") || is_method(req, "HEAD"))
        status = conditions_status(req, &v);
    if (status == 412)
        return rn_http_error(ctx, res, 412, NULL);
    if (status == 200 && (m.n = ranges_asked(req, a, &v, m.ranges)) < 0)
        return refuse_range(ctx, res, a);
    if ((err = set_fields(res, a, &v)) != 0)
        return err;
    if (status == 304)
        return rn_http_status(res, 304);
    if (m.n > 1)
        return send_several(ctx, req, res, a, &m);
    return m.n == 1 ? send_one(ctx, res, a, m.ranges[0]) : send_whole(ctx, res, a);
}
