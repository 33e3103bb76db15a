/*
 * An engine: a CURLM, and its sockets in an epoll descriptor that a fiber can wait for.
 *
 * The sockets are libcurl's, which opens and closes them; the engine only watches. So they are no
 * handles of this library, each of which would own its descriptor, but are put into an epoll
 * descriptor of the engine's own. That one is a handle, and readable when any socket is ready.
 */
#ifndef RN_CURL_ENGINE_H
#define RN_CURL_ENGINE_H

#include <runnel/chan.h>
#include <runnel/curl.h>
#include <runnel/fd.h>

#include <curl/curl.h>
#include <stdbool.h>

#define ENGINE_BUCKETS 1024 /* a power of two */

struct transfer;

struct engine {
    CURLM *multi;
    rn_fd sockets;      /* the epoll descriptor's handle; gone when its runtime has stopped */
    int epoll;          /* its number */
    rn_chan(char) bell; /* holds a value when the inbox may have something */
    int watch_err;      /* why a socket could not be watched, last */
    struct transfer *table[ENGINE_BUCKETS]; /* by easy handle: what is in multi */
};

/* 0, -ENOMEM, -EMFILE, ... with a sentence. */
int engine_new(struct engine **out, const rn_curl_config *config);
/* No transfer is in it. */
void engine_free(struct engine *e);
/* The same when its runtime has stopped; waited: the driver waited for it just then. */
void engine_abandon(struct engine *e, bool waited);
/* Whether the runtime in which it was made still runs. */
bool engine_alive(const struct engine *e);

/* 0, or a code: then t is not in it. */
int engine_add(struct engine *e, struct transfer *t);
void engine_remove(struct engine *e, struct transfer *t);
/* The next transfer that is done, its CURLcode set; it is still in. NULL when there is none. */
struct transfer *engine_next_done(struct engine *e);

/* Does what is due and ready, without waiting. */
void engine_turn(struct engine *e);
/* Waits until there is something to do, or the bell has rung. */
void engine_rest(struct engine *e);

#endif
