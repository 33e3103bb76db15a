/*
 * From a request to its handler, through the middleware.
 */
#ifndef RN_HTTP_DISPATCH_H
#define RN_HTTP_DISPATCH_H

#include <runnel/http_server.h>

/* Has the request answered; returns what the outermost middleware or the handler did. */
int dispatch(rn_ctx *ctx, rn_http_request *req, rn_http_response *res);

#endif
