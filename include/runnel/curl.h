/*
 * rn_curl - libcurl on fibers: any easy handle, thousands at once, each wait ended by a context.
 *
 * A library of its own, librunnel-curl, on libcurl 7.87 or later. Link with -lrunnel-curl -lrunnel,
 * or as `pkg-config --libs runnel-curl` says; with libcurl too when the program calls it itself.
 *
 *     rn_curl_response page;
 *
 *     if ((err = rn_curl_get(ctx, "https://example.org/", NULL, &page)) == 0)
 *         printf("%d: %zu bytes of %s\n", page.status, page.size,
 *                rn_curl_header(&page, "content-type", 0));
 *     rn_curl_response_free(&page);                       also after an error
 *
 * For what these do not offer, set up an easy handle as ever, and perform it here:
 *
 *     CURL *easy = curl_easy_init();
 *     curl_easy_setopt(easy, CURLOPT_URL, "ftp://example.org/file");
 *     err = rn_curl_perform(ctx, easy);                   instead of curl_easy_perform(easy)
 *     curl_easy_cleanup(easy);
 *
 * A get is an ordinary call, and goes into the patterns as any other. A rn_curl_response of zeroes
 * may be freed, so that each attempt begins like this:
 *
 *     static int fetch(rn_ctx *ctx, void *arg, rn_attempt *attempt)
 *     {
 *         struct page *p = arg;
 *         rn_curl_response_free(&p->response);            of the attempt before
 *         int err = rn_curl_get(ctx, p->url, &(rn_curl_request){ .fail_on_status = true },
 *                               &p->response);
 *         attempt->retry_after = rn_curl_retry_after(&p->response);
 *         return err;
 *     }
 *     err = rn_retry_execute(ctx, retry, fetch, &page);   or rn_policy_execute with its layers,
 *                                                         or rn_breaker_execute, rn_hedge_execute
 *
 * Lifetime
 * 1. A client has the connections: kept open, and used again by whoever asks for the same host. It
 *    belongs to who made it, who frees it when no transfer runs. NULL stands for one that all of
 *    the process share: it is there at first use, and closes its connections as the process exits
 *    after the runtime has stopped, or when rn_curl_close_idle(NULL) says so.
 * 2. An easy handle is the caller's again when the call returns, whatever it returns.
 * 3. A response is the caller's, who frees it.
 *
 * Callbacks of an easy handle (CURLOPT_WRITEFUNCTION, ...) run on a fiber of the client, one at a
 * time for all of its transfers, and inside libcurl. So they must be short, and must not wait: no
 * call of this library that may block, rn_mutex_lock included, since the fiber might go on on
 * another thread, whose thread-local variables libcurl does not expect. Calls that never block,
 * such as rn_try_send, are fine. What is to wait for each piece of a body belongs in .on_body of an
 * rn_curl_request, which runs on the caller's fiber and may do anything.
 *
 * At once  every call but free, from any number of fibers and threads; an easy handle by one.
 */
#ifndef RUNNEL_CURL_H
#define RUNNEL_CURL_H

#include <runnel/error.h>
#include <runnel/time.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

RN_BEGIN_DECLS

typedef struct rn_ctx rn_ctx;
typedef struct rn_curl rn_curl;

/* How to make a client; zero is the default of each field. */
typedef struct rn_curl_config {
    size_t max_connections; /* at once; further transfers wait; default: no limit */
    size_t max_per_host;    /* the same to each host and port; default: no limit */
    size_t max_open;        /* connections kept, those in use counted; default: four for each
                               transfer that runs, so that fewer are kept as fewer run */
    const char *name;       /* in dumps; must outlive the client */
} rn_curl_config;

/*
 * rn_curl_new - make a client; config may be NULL.
 *
 * Its transfers run on one fiber. Where encrypting is too much for one processor, make more.
 *
 * Caller   any thread or fiber.
 * Returns  0         *out is the client
 *          -EINVAL   a limit is beyond what libcurl takes; rn_error_detail says which
 *          -ENOMEM   out of memory
 *          On every error *out is NULL, which rn_curl_free takes.
 */
RN_API int rn_curl_new(rn_curl **out, const rn_curl_config *config);

/*
 * rn_curl_free - close a client's connections and free it. NULL is fine.
 *
 * Caller   any thread or fiber, while none of the client's transfers runs: otherwise the process
 *          ends with a message.
 */
RN_API void rn_curl_free(rn_curl *client);

/*
 * rn_curl_close_idle - close the connections that are kept for later; NULL: the shared client's.
 *
 * Caller   any thread or fiber.
 * Returns  0        closed, if there were any
 *          -EBUSY   transfers run; nothing was done
 */
RN_API int rn_curl_close_idle(rn_curl *client);

/*
 * rn_curl_perform, rn_curl_perform_on - perform a libcurl easy handle (a CURL *), as
 * curl_easy_perform does.
 *
 * rn_curl_perform uses the client that all share. *code, unless code is NULL, becomes the CURLcode;
 * where ctx ended the transfer, CURLE_ABORTED_BY_CALLBACK. CURLOPT_NOSIGNAL and CURLOPT_QUICK_EXIT
 * are set on the handle: no signal is raised, and a lookup that hangs holds nobody up. All other
 * options are as the caller has set them, or libcurl's defaults: 300 seconds for connecting
 * (CURLOPT_CONNECTTIMEOUT), a proxy that the environment names. Callbacks see the head of this
 * file.
 *
 * When ctx ends, the transfer is taken out of libcurl, its connection is closed unless others share
 * it, and no callback of it runs any more.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   the fiber until the transfer is done, or ctx ends.
 * Returns  0                  CURLE_OK
 *          -ECANCELED         ctx was cancelled
 *          -ETIMEDOUT         ctx's deadline passed, or a time limit set in libcurl
 *          RN_ENOHOST         there is no host of that name, or it could not be looked up
 *          -ECONNREFUSED      nobody listens there
 *          -ECONNRESET        the connection was lost in the middle, or before an answer came
 *          -EPROTO            the answer cannot be understood
 *          RN_ETLS            TLS could not be agreed upon
 *          RN_ECERT           the server's certificate, or ours, was not accepted
 *          -EPROTONOSUPPORT   the URL's scheme is unknown or not allowed
 *          -EINVAL            the URL is wrong, or easy is NULL
 *          -ELOOP             more redirects than allowed
 *          -EMSGSIZE          the file is larger than CURLOPT_MAXFILESIZE
 *          -EACCES            the server denied access or the login
 *          -EREMOTEIO         the server's status was an error (CURLOPT_FAILONERROR)
 *          -ECONNABORTED      a callback ended the transfer
 *          -EBUSY             the handle is being performed already, or belongs to a CURLM
 *          -EDEADLK           called from a callback of the same client
 *          -EMFILE            no descriptor is left
 *          -ENOMEM            out of memory
 *          -EIO               any other failure of libcurl
 *          and what connect(2) says, negated (-EHOSTUNREACH, -ENETUNREACH, ...). Each but the end
 *          of ctx leaves libcurl's sentence for rn_error_detail, which is "" otherwise.
 * Cost     a park; a fiber is started when the client had nothing to do.
 * See      rn_curl_get, examples/fetch_all.c
 */
RN_API int rn_curl_perform(rn_ctx *ctx, void *easy);
RN_API int rn_curl_perform_on(rn_ctx *ctx, rn_curl *client, void *easy, int *code);

/* What to ask for, and how; zero is the default of each field. */
typedef struct rn_curl_request {
    rn_curl *client;            /* default: the one that all share */
    const char *method;         /* default GET or POST, by the call */
    const char *const *headers; /* "Name: value" each, NULL behind the last; default: none more */
    const char *user_agent;     /* default "runnel/VERSION" */
    const void *body;           /* of the request: size bytes */
    size_t size;
    const char *content_type; /* of the body; default application/octet-stream */
    size_t max_body;          /* bytes of the answer; default 16 MiB, without limit what goes to
                                 .on_body */
    size_t max_headers;       /* bytes of all headers, of redirects too; default 256 KiB */
    int max_redirects;        /* default 10; negative: a redirect is an answer like others; see
                                 rn_curl_get */
    const char *protocols;    /* as CURLOPT_PROTOCOLS_STR; default "http,https" */
    bool fail_on_status;      /* a status of 400 and above is an error; see rn_curl_get */
    /*
     * Called on the caller's fiber for each piece of the body, which is then not collected; with
     * .fail_on_status that of an error is collected instead. It may wait: the server does, too,
     * after some pieces. What is not 0 ends the transfer and is the call's result.
     */
    int (*on_body)(rn_ctx *ctx, const void *data, size_t size, void *arg);
    /* Called on the caller's fiber with the easy handle (a CURL *) before the start, to set any
       other option but those for data, headers and errors. What is not 0 is the call's result. */
    int (*setup)(void *easy, void *arg);
    void *arg; /* for both */
} rn_curl_request;

/* What came back. The fields are to be read; a response of zeroes is none. */
typedef struct rn_curl_response {
    int status;       /* of the last answer: 200, 404, ...; 0: there was none */
    int code;         /* the CURLcode */
    const char *url;  /* where the answer came from, after redirects; NULL: nowhere */
    const char *body; /* size bytes and a NUL; never NULL after a call */
    size_t size;
    size_t redirects; /* that were followed */
    rn_duration took;
    void *rn_private_[2];
} rn_curl_response;

/*
 * rn_curl_get, rn_curl_post - ask for a URL over HTTP; request may be NULL.
 *
 * Redirects of a GET without a body, of a HEAD and of a POST are followed, to http and https only.
 * After 301, 302 and 303 a POST goes on as a GET, without the body and the headers Content-...;
 * after 307 and 308 as it was. A redirect of anything else (a PUT, a DELETE, a GET with a body) is
 * the answer, with 0 and the status, whatever .max_redirects says: where to is in its header
 * Location, and how to go on the program's to say.
 *
 * As any program with libcurl it goes through the proxy that the environment names (http_proxy,
 * https_proxy, ALL_PROXY, but for the hosts in NO_PROXY); .setup with CURLOPT_PROXY and "" keeps it
 * from that.
 *
 * A status such as 404 is an answer, not an error, unless .fail_on_status says so. *response is
 * overwritten, and filled in as far as things went also when the result is an error.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   the fiber until all of the answer is there, or ctx ends. Nothing else limits the time,
 *          but that libcurl gives up with -ETIMEDOUT where connecting, TLS included, takes 300
 *          seconds; .setup can set other limits (CURLOPT_CONNECTTIMEOUT).
 * Returns  0            *response is the answer
 *          -EMSGSIZE    it has more bytes than .max_body or .max_headers; the connection is closed
 *          -EREMOTEIO   .fail_on_status: the server failed, or has no time now (408, 429 and from
 *                       500 on): another attempt may succeed
 *          -EINVAL      .fail_on_status: another status from 400 on, which rn_retry does not try
 *                       again; or the URL or a field of request is wrong
 *          others       as rn_curl_perform, and what .on_body or .setup returned
 *          Each but the end of ctx and the last leaves a sentence for rn_error_detail, which is
 *          "" otherwise, unless .on_body or .setup left one.
 * Cost     some allocations, and a copy of the body.
 * See      rn_curl_response_free, rn_curl_retry_after, examples/fetch_all.c, examples/crawler.c
 */
RN_API int rn_curl_get(rn_ctx *ctx, const char *url, const rn_curl_request *request,
                       rn_curl_response *response);
RN_API int rn_curl_post(rn_ctx *ctx, const char *url, const rn_curl_request *request,
                        rn_curl_response *response);

/*
 * rn_curl_header - the index-th header of that name, in any case, of the last answer.
 *
 * Caller   any thread or fiber, one at a time for a response.
 * Returns  its value, valid until the response is freed; NULL when there are not so many.
 */
RN_API const char *rn_curl_header(const rn_curl_response *response, const char *name, size_t index);

/*
 * rn_curl_retry_after - how long the server asks to be left alone: its header Retry-After.
 *
 * Caller   any thread or fiber, one at a time for a response.
 * Returns  nanoseconds, 0 when it does not: as attempt->retry_after wants it (runnel/retry.h).
 */
RN_API rn_duration rn_curl_retry_after(const rn_curl_response *response);

/*
 * rn_curl_response_free - free what a response holds, and zero it. NULL and zeroes are fine.
 *
 * Caller   any thread or fiber.
 */
RN_API void rn_curl_response_free(rn_curl_response *response);

/* Counters of a client. */
typedef struct rn_curl_stats {
    uint64_t transfers;   /* started */
    uint64_t running;     /* gauge: of these, not ended */
    uint64_t failed;      /* ended with another CURLcode than CURLE_OK */
    uint64_t stopped;     /* ended by a context */
    uint64_t connections; /* opened by those that have ended; the rest used one again */
} rn_curl_stats;

/*
 * rn_curl_stats_read - fill in *out; client NULL: the one that all share.
 *
 * Caller   any thread or fiber.
 */
RN_API void rn_curl_stats_read(rn_curl *client, rn_curl_stats *out);

RN_END_DECLS

#endif
