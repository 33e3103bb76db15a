/*
 * http.h - everything that librunnel-http offers: an HTTP/1.1 server.
 *
 * Link with -lrunnel-http -lrunnel, or as `pkg-config --libs runnel-http` says.
 *
 * Each noun has a header of its own: the server and its routes in runnel/http_server.h, what a
 * client asked for in runnel/http_request.h, the answer in runnel/http_response.h; answers that are
 * files in runnel/http_files.h, and those that go on, event by event, in runnel/http_events.h.
 */
#ifndef RUNNEL_HTTP_H
#define RUNNEL_HTTP_H

#include <runnel/http_events.h>
#include <runnel/http_files.h>
#include <runnel/http_request.h>
#include <runnel/http_response.h>
#include <runnel/http_server.h>

#endif
