/*
 * rn_http_response - the answer to a request; see runnel/http_server.h.
 *
 *     rn_http_set(res, "Content-Type", "text/plain");         fields first,
 *     rn_http_printf(ctx, res, "%d items\n", n);              then the body
 *
 *     return rn_http_reply(ctx, res, 200, "application/json", text, length);    in one call
 *     return rn_http_error(ctx, res, 404, NULL);                                "Not Found"
 *
 * A body that fits the buffer (RN_HTTP_BUFFER) when the handler returns goes out with its length. A
 * longer one, or one that is flushed, is streamed: with Content-Length where the handler has set
 * it, otherwise in chunks, and for HTTP/1.0 until the connection closes.
 *
 * The server adds Date, Content-Length or Transfer-Encoding, and Connection. For HEAD the body is
 * counted, but not sent; where it would be streamed without a known length, the head is all of the
 * answer: writing and flushing say -EPIPE then, so that a handler that goes on until the client
 * leaves ends. When it returns that, all is well and the connection is kept. Statuses 1xx, 204 and
 * 304 have no body.
 *
 * Lifetime
 * 1. A response lives as long as its handler runs.
 *
 * At once  one call at a time.
 */
#ifndef RUNNEL_HTTP_RESPONSE_H
#define RUNNEL_HTTP_RESPONSE_H

#include <runnel/error.h>
#include <runnel/http_server.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

RN_BEGIN_DECLS

#define RN_HTTP_BUFFER 4096 /* bytes of a body that are kept back, to learn its length */

/*
 * rn_http_status - set the status; 200 unless set.
 *
 * Caller   the handler, before the head is sent.
 * Returns  0         set
 *          -EINVAL   not between 200 and 599
 *          -EBUSY    the head was sent
 */
RN_API int rn_http_status(rn_http_response *res, int status);

/*
 * rn_http_set, rn_http_setf - set a field of the head, in place of those of that name.
 *
 * rn_http_setf makes the value as printf does. "Content-Length" is a promise: writing more fails,
 * and after less the connection is closed. "Connection" may be "close" only, and
 * "Transfer-Encoding" and "Trailer" are the server's business.
 *
 * Caller   the handler, before the head is sent.
 * Returns  0         set
 *          -EINVAL   the name is no token, the value has a line end or another control character,
 *                    or the field is not for the handler to set (see rn_error_detail)
 *          -EBUSY    the head was sent
 *          -ENOMEM   out of memory, or more than 64 KiB of fields
 */
RN_API int rn_http_set(rn_http_response *res, const char *name, const char *value);
RN_API int rn_http_setf(rn_http_response *res, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * rn_http_add - add a field, also when there is one of that name.
 *
 * Caller   the handler, before the head is sent.
 * Returns  as rn_http_set.
 */
RN_API int rn_http_add(rn_http_response *res, const char *name, const char *value);

/*
 * rn_http_write - append to the body.
 *
 * Small pieces are gathered in the buffer; what does not fit goes out with it, uncopied.
 *
 * Caller   the handler.
 * Blocks   the fiber, only when the buffer is full, until the client's system has taken it, or ctx
 *          ends.
 * Returns  size          taken (of HEAD, and where there is no body: counted)
 *          -EBUSY        the answer is whole: rn_http_reply and its kin made it so
 *          -EMSGSIZE     more than the Content-Length that was set; nothing was taken
 *          -EPIPE        the client is gone; -ECONNRESET likewise. Or it is HEAD, and the head,
 *                        which tells no length, is all that is sent: the connection is kept
 *          -ETIMEDOUT    it took too little for .write_timeout, or ctx's deadline passed
 *          -ECANCELED    ctx was cancelled
 *          -ENOMEM       out of memory
 *          and what the transport says. After each but the first two, and -EPIPE of HEAD, the
 *          connection is closed. When only a context of the handler's own has ended, answers that
 *          wait go out before, on a plain socket.
 */
RN_API ssize_t rn_http_write(rn_ctx *ctx, rn_http_response *res, const void *data, size_t size);

/*
 * rn_http_printf - append to the body, as printf does.
 *
 * Caller   the handler.
 * Blocks   as rn_http_write.
 * Returns  0, or as rn_http_write.
 */
RN_API int rn_http_printf(rn_ctx *ctx, rn_http_response *res, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * rn_http_flush - send what there is: the head, if it is not on its way, and the buffer.
 *
 * For HEAD, unless Content-Length was set, it sends the head and says -EPIPE.
 *
 * Caller   the handler.
 * Blocks   as rn_http_write.
 * Returns  0, or as rn_http_write.
 */
RN_API int rn_http_flush(rn_ctx *ctx, rn_http_response *res);

/*
 * rn_http_reply - the whole answer at once.
 *
 * Takes back what was written and not sent. type may be NULL; data is copied only when it is small.
 *
 * Caller   the handler.
 * Blocks   as rn_http_write.
 * Returns  0        sent, or will be when the handler returns
 *          -EBUSY   the head was sent
 *          others   as rn_http_status, rn_http_set and rn_http_write
 */
RN_API int rn_http_reply(rn_ctx *ctx, rn_http_response *res, int status, const char *type,
                         const void *data, size_t size);

/*
 * rn_http_error - answer with a status and a line of plain text.
 *
 * text is a line without its end; NULL stands for the status's own words.
 *
 * Caller   the handler.
 * Blocks   as rn_http_write.
 * Returns  as rn_http_reply.
 */
RN_API int rn_http_error(rn_ctx *ctx, rn_http_response *res, int status, const char *text);

/*
 * rn_http_redirect - send the client elsewhere: status 301, 302, 303, 307 or 308.
 *
 * Caller   the handler.
 * Blocks   as rn_http_write.
 * Returns  -EINVAL when the status is another or the location is not fit for a field; otherwise as
 *          rn_http_reply.
 */
RN_API int rn_http_redirect(rn_ctx *ctx, rn_http_response *res, int status, const char *location);

/*
 * rn_http_started - whether the head is sent or on its way: status and fields are fixed.
 *
 * Caller   the handler; a middleware after rn_http_next.
 */
RN_API bool rn_http_started(const rn_http_response *res);

/*
 * rn_http_status_of - the status as it is set, or was sent.
 *
 * Caller   the handler; a middleware after rn_http_next.
 */
RN_API int rn_http_status_of(const rn_http_response *res);

/*
 * rn_http_reason - the words of a status: "Not Found".
 *
 * Caller   any thread or fiber.
 * Returns  the words; "" for a status that has none. Never NULL.
 */
RN_API const char *rn_http_reason(int status);

RN_END_DECLS

#endif
