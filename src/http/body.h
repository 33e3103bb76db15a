/*
 * The body of a request: how far it has been read, and why it cannot be read on.
 */
#ifndef RN_HTTP_BODY_H
#define RN_HTTP_BODY_H

#include "chunk.h"

#include <runnel/ctx.h>
#include <runnel/time.h>
#include <sys/types.h>

struct rn_http_request;

struct body {
    bool chunked;
    bool awaited;  /* the client waits for "100 Continue" */
    uint64_t left; /* not chunked: bytes that were not read */
    uint64_t bytes_max;
    uint64_t taken;     /* bytes that were read, */
    rn_duration waited; /* and how long the client was waited for meanwhile */
    struct chunk chunk;
    int err;    /* that ended it early, */
    int status; /* and what the client is told */
};

/* As the request's head says. */
void body_begin(struct rn_http_request *req);

/* As rn_http_read. */
ssize_t body_read(rn_ctx *ctx, struct rn_http_request *req, void *buffer, size_t size);

/* Whether all of it was read. */
bool body_ended(const struct body *body);

/* Whether what is left of it is so little that it is passed over for the sake of the connection. */
bool body_is_short(const struct rn_http_request *req);

/* Whether more of it may come, and nobody knows how much. */
bool body_is_open(const struct body *body);

/* Passes over what is left; false: the connection cannot be kept. */
bool body_skip(rn_ctx *ctx, struct rn_http_request *req);

#endif
