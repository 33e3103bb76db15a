/*
 * A client and a transfer, as the files of this folder share them.
 *
 * A transfer is on the stack of who asked for it, and is that caller's and the driver's: the caller
 * posts what it wants (start, stop, resume), the driver alone touches libcurl, and says done.
 *
 * The lock is a pthread mutex although fibers take it: it is never held over a park, since nothing
 * that blocks is called under it. So a driver that is dropped, at a park, when the runtime stops
 * does not leave it locked, and the client can go on in the next runtime.
 */
#ifndef RN_CURL_CLIENT_H
#define RN_CURL_CLIENT_H

#include <runnel/curl.h>
#include <runnel/debug.h>
#include <runnel/wait_group.h>

#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* What a caller wants of the driver: bits. */
enum wish { WISH_START = 1, WISH_STOP = 2, WISH_RESUME = 4 };

struct transfer {
    CURL *easy;
    rn_curl *client;
    void (*on_end)(struct transfer *t); /* on the driver, before done counts; or NULL */

    struct transfer *next, *prev; /* in the client's inbox; these four under its lock */
    unsigned wishes;              /* not 0: it is in the inbox */
    bool ended;                   /* the driver does not know it any more */

    struct transfer *same_hash; /* the driver's: libcurl knows it */

    CURLcode code; /* these written by the driver before done counts */
    int err;       /* the code that stands for it */
    bool refused;  /* libcurl did not take it: err says why */
    bool stopped;  /* taken out because the caller wished it */
    rn_wait_group done;
};

struct rn_curl {
    rn_exhibit exhibit; /* shown when there is a name */
    rn_curl_config config;

    pthread_mutex_t lock;          /* guards all down to driver */
    struct transfer *first, *last; /* the inbox: transfers with wishes */
    struct engine *engine;         /* made by whoever starts a driver; used by that driver */
    size_t known;                  /* transfers posted and not ended */
    bool driving;                  /* a driver runs, which will look into the inbox again */
    uint64_t driver;               /* its fiber's number, once it runs */

    _Atomic(uint64_t) transfers, failed, stopped, connections; /* written under lock */
    _Atomic(uint64_t) running;
};

/* ---- client.c ---- */

/* The client that NULL stands for. */
rn_curl *client_of(rn_curl *client);

/* Initialises libcurl, once. 0, or -EIO with a sentence. */
int library_ready(void);

/*
 * transfer_start takes t, with easy and on_end set; transfer_await returns when the driver knows it
 * no more. When ctx ends, the transfer is stopped, unless it has just ended by itself.
 */
int transfer_start(rn_ctx *ctx, rn_curl *client, struct transfer *t);
int transfer_await(rn_ctx *ctx, struct transfer *t);
/* Posts more wishes; too late is fine. */
void transfer_wish(struct transfer *t, unsigned wishes);

/* ---- driver.c ---- */

/* The fiber: runs until the client knows no transfer. */
void driver_run(void *client);

#endif
