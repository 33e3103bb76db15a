/*
 * rn_http_files - files as answers: a folder below a route, or one file from a handler.
 *
 *     rn_http_files *files;
 *     int err = rn_http_files_new(&files, &(rn_http_files_config){.root = "/srv/www"});
 *
 *     rn_http_route(s, "GET", "/static/{path...}", rn_http_files_serve, files);
 *     ...
 *     rn_http_files_free(files);                          when the server is freed
 *
 *     return rn_http_send_file(ctx, req, res, "/srv/report.pdf", NULL);       from a handler
 *
 * Nothing outside the root is ever opened: not by "..", however it was encoded, not by a symbolic
 * link that leads out, and not when folders are moved meanwhile. What is neither a regular file nor
 * a folder is not there, and neither are names that begin with a dot.
 *
 * Each answer has Last-Modified and an ETag of the file's time and length. If-Match,
 * If-Unmodified-Since, If-None-Match, If-Modified-Since, Range and If-Range do as RFC 9110 says. A
 * file goes out by sendfile, or through the server's transport in pieces; no worker waits for a
 * disk. One that becomes shorter while it is sent ends its connection, so that the client knows.
 *
 * Lifetime
 * 1. rn_http_files belongs to who made it, who frees it when no handler can be using it any more.
 * 2. It keeps the root open: renaming the folder, or another one in its place, changes nothing.
 *
 * At once  serve, from any number of fibers.
 */
#ifndef RUNNEL_HTTP_FILES_H
#define RUNNEL_HTTP_FILES_H

#include <runnel/ctx.h>
#include <runnel/error.h>
#include <runnel/fd.h>
#include <runnel/http_request.h>
#include <runnel/http_response.h>
#include <runnel/http_server.h>
#include <stdbool.h>

RN_BEGIN_DECLS

typedef struct rn_http_files rn_http_files;

/* What to serve; zero is the default of each field, but .root is needed. Texts are copied. */
typedef struct rn_http_files_config {
    const char *root;          /* a folder */
    const char *index;         /* what stands for a folder; default "index.html"; "": nothing */
    const char *cache_control; /* the value of Cache-Control; default: no such field */
    bool dot_files;            /* names that begin with a dot are served, too */
} rn_http_files_config;

/*
 * rn_http_files_new - open a root.
 *
 * Caller   any thread or fiber.
 * Returns  0         *out is the root
 *          -EINVAL   .root is NULL, .index has a slash, or .cache_control a line end (see
 *                    rn_error_detail)
 *          -ENOMEM   out of memory
 *          and what open(2) says of the root, negated (-ENOENT, -ENOTDIR, -EACCES, ...; see
 *          rn_error_detail). On every error *out is NULL, which rn_http_files_free takes.
 */
RN_API int rn_http_files_new(rn_http_files **out, const rn_http_files_config *config);

/*
 * rn_http_files_free - close the root. NULL is fine.
 *
 * Caller   any thread or fiber; nobody may be in a call on it, or begin one.
 */
RN_API void rn_http_files_free(rn_http_files *files);

/*
 * rn_http_files_serve - a handler: answers with the file that the request names.
 *
 * files is the rn_http_files. The name is the part {path...} of the route's pattern, or the whole
 * path where the pattern has no such part. A folder is redirected to its name with a slash, and
 * there its index is served; without one it is 404, for folders are not listed.
 *
 * Statuses: 200; 206 for one range or several (multipart/byteranges); 301; 304; 403 without
 * permission to read; 404; 405 for methods other than GET and HEAD; 412; 416; 503 when no
 * descriptor is left.
 *
 * Caller   rn_http_route.
 * Blocks   the fiber until the file is sent, as rn_http_write, and for the disk.
 * Returns  0 when there is an answer, whatever its status; the codes of rn_http_write; -EIO when
 *          the file became shorter meanwhile.
 * Cost     five system calls for a file in memory: open, stat, send, sendfile, close, and those
 *          with which runnel/fd.h takes over a descriptor.
 * See      rn_http_send_file
 */
RN_API int rn_http_files_serve(rn_ctx *ctx, rn_http_request *req, rn_http_response *res,
                               void *files);

/*
 * rn_http_send_file, rn_http_send_fd - answer with one file, by its path or its handle.
 *
 * type is its Content-Type; NULL: by the ending of the path. The handle stays the caller's, and its
 * position is not used. The path is the program's own, trusted: whatever it names is opened. When
 * it cannot be, the answer is 404, 403 or 503. Where the handler has set a status other than 200
 * the whole file goes out with it, whatever conditions and ranges the request has.
 *
 * Caller   the handler, before the head is sent.
 * Blocks   as rn_http_files_serve.
 * Returns  as rn_http_files_serve; -EBUSY: the head was sent; -EINVAL: type is not fit for a field;
 *          of a handle that is closed or not a regular file, -EBADF and -EINVAL.
 */
RN_API int rn_http_send_file(rn_ctx *ctx, rn_http_request *req, rn_http_response *res,
                             const char *path, const char *type);
RN_API int rn_http_send_fd(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, rn_fd file,
                           const char *type);

RN_END_DECLS

#endif
