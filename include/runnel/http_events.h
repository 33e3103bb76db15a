/*
 * rn_http_events - server-sent events: an answer that goes on, message by message.
 *
 *     static int ticks(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
 *     {
 *         int err = rn_http_events_start(ctx, res);
 *
 *         while (err == 0 && (err = rn_sleep(ctx, RN_SECOND)) == 0)
 *             err = rn_http_event(ctx, res, &(rn_http_event_fields){.event = "tick", .data = "1"});
 *         return err;
 *     }
 *
 * A browser reads them by `new EventSource("/ticks")`, and when the connection ends it comes again,
 * with the last id that it got in the field Last-Event-ID. That a client has left shows when
 * something is sent: send comments where events are rare.
 *
 * Lifetime
 * 1. As that of the response: events are sent while the handler runs.
 *
 * At once  one call at a time.
 */
#ifndef RUNNEL_HTTP_EVENTS_H
#define RUNNEL_HTTP_EVENTS_H

#include <runnel/ctx.h>
#include <runnel/error.h>
#include <runnel/http_response.h>
#include <runnel/time.h>
#include <stddef.h>

RN_BEGIN_DECLS

/* One event; zero leaves a field out. One without data only changes the id or the time. */
typedef struct rn_http_event_fields {
    const char *event; /* its kind; without one, browsers call it "message" */
    const char *id;    /* comes back in Last-Event-ID */
    const char *data;  /* of any number of lines */
    size_t size;       /* of data; 0: it ends with a zero byte */
    rn_duration retry; /* how long the client shall wait before it comes again; ms resolution */
} rn_http_event_fields;

/*
 * rn_http_events_start - begin: send the head, of type text/event-stream and never to be cached.
 *
 * Caller   the handler, before the head is sent.
 * Blocks   the fiber, as rn_http_flush.
 * Returns  0        events may follow
 *          -EBUSY   the head was sent
 *          -EPIPE   it is HEAD, and the head was sent: no events are wanted; return this
 *          others   as rn_http_set and rn_http_flush
 */
RN_API int rn_http_events_start(rn_ctx *ctx, rn_http_response *res);

/*
 * rn_http_event - send an event now.
 *
 * Lines of data may end with \n, \r\n or \r; the client gets them with \n.
 *
 * Caller   the handler, after rn_http_events_start.
 * Blocks   the fiber, as rn_http_flush: until the client's system has taken it.
 * Returns  0         sent
 *          -EINVAL   .event or .id has a line end, or .retry is negative; nothing was sent
 *          others    as rn_http_write
 * See      rn_http_comment
 */
RN_API int rn_http_event(rn_ctx *ctx, rn_http_response *res, const rn_http_event_fields *fields);

/*
 * rn_http_comment - send something that clients ignore, to keep the connection open, and to learn
 * whether somebody is still there.
 *
 * text may have several lines, and be NULL or empty.
 *
 * Caller   the handler, after rn_http_events_start.
 * Blocks   as rn_http_event.
 * Returns  as rn_http_write; 0: sent.
 */
RN_API int rn_http_comment(rn_ctx *ctx, rn_http_response *res, const char *text);

RN_END_DECLS

#endif
