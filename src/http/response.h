/*
 * What the server, and what answers with files and events, may do with a response.
 *
 * An answer is open, streaming, or whole. Streaming begins when its head is sent, which is when its
 * length is known or known not to be; response_head is the only way there.
 */
#ifndef RN_HTTP_RESPONSE_PARTS_H
#define RN_HTTP_RESPONSE_PARTS_H

#include "work.h"

#include <runnel/fd.h>

#define LENGTH_UNKNOWN (-1)

/* Makes it open and empty, for a request. */
void response_begin(struct conn *conn, bool head_only);

/* Whether the status and the method let it have a body on the wire. */
bool response_has_body(const rn_http_response *res);

/* Why nothing more of it can be sent, or 0. */
int response_err(const rn_http_response *res);

/* Bytes of the body that the socket has taken, or that wait in the connection's output. */
uint64_t response_sent(const rn_http_response *res);

/*
 * Puts the head into the connection's output; the body of that length follows, if it has one. What
 * the handler has not read of the request's body it does not read any more.
 * 0, -EBUSY, or a code of conn_send.
 */
int response_head(rn_ctx *ctx, rn_http_response *res, int64_t length);

/*
 * Sends part of a file as part of the body, whose length the head has told: with sendfile on a
 * plain socket, otherwise through the transport. Counted, but not sent, for HEAD. 0, or as
 * rn_http_write.
 */
int response_send_file(rn_ctx *ctx, rn_http_response *res, rn_fd file, int64_t offset,
                       uint64_t size);

/*
 * The handler has returned err: makes the answer whole, whatever it left undone. Returns err, or 0
 * when that only says that HEAD wants no more.
 */
int response_end(rn_ctx *ctx, rn_http_response *res, int err);

/* Answers with a status and its words, and closes the connection: for requests that are refused. */
void response_refuse(rn_ctx *ctx, rn_http_response *res, int status);

#endif
