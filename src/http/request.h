/*
 * A request, from its head to its route.
 */
#ifndef RN_HTTP_REQUEST_PARTS_H
#define RN_HTTP_REQUEST_PARTS_H

#include "work.h"

/* The head was accepted: takes its target apart. Returns 0, or the status that refuses it. */
int request_begin(struct conn *conn);

/* Finds its route, if it has one. Returns 0, or 500 without memory. */
int request_route(rn_http_request *req);

#endif
