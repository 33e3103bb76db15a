/*
 * rn_curl_get and rn_curl_post: an easy handle from an rn_curl_request, and a response from it.
 *
 * libcurl's callbacks run on the driver while the caller waits. A body that is collected is the
 * driver's until the transfer is done. A body that goes to .on_body is handed over in pieces: the
 * driver fills one buffer and rings, the caller takes it, gives the driver the one that it has
 * emptied, and calls .on_body. When the driver's buffer is full it pauses the transfer, and the
 * caller, who has just emptied the other, wishes it resumed: so TCP holds the server back.
 *
 * The response keeps the easy handle, which has the headers.
 */
#include "client.h"
#include "codes.h"

#include <runnel/chan.h>
#include <runnel/ctx.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_BODY_DEFAULT ((size_t)16 << 20)
#define MAX_HEADERS_DEFAULT ((size_t)256 << 10)
#define MAX_REDIRECTS_DEFAULT 10
#define BUFFER_FIRST ((size_t)4 << 10)
#define PIECE_BYTES_MAX ((size_t)64 << 10) /* libcurl's own pieces have 16 KiB at most */
#define STATUS_ERROR_FIRST 400
#define STATUS_TIMEOUT 408
#define STATUS_TOO_MANY 429
#define STATUS_SERVER_FIRST 500

struct buffer {
    char *data; /* size bytes and a NUL, or NULL */
    size_t size, room;
};

struct fetch {
    struct transfer transfer; /* first */
    rn_curl_request request;  /* with its defaults */
    struct curl_slist *headers;
    char message[CURL_ERROR_SIZE];

    struct buffer body; /* the driver's, as all down to err, until the transfer is done */
    size_t body_bytes, header_bytes;
    size_t max_collected; /* of body_bytes, where the body is collected */
    int err;              /* why a callback ended the transfer; 0: it did not */
    char why[96];         /* the same as a sentence, or "" */

    rn_chan(char) bell;   /* of a body for .on_body: filled has something, or ended */
    pthread_mutex_t lock; /* guards the rest */
    struct buffer filled;
    bool paused, ended;
};

/* ---- buffers ---- */

static int buffer_append(struct buffer *b, const void *data, size_t size)
{
    size_t room = b->room == 0 ? BUFFER_FIRST : b->room;

    while (room - b->size <= size) /* not <, for the NUL */
        room *= 2;
    if (room != b->room) {
        char *grown = realloc(b->data, room);
        if (grown == NULL)
            return -ENOMEM;
        b->data = grown;
        b->room = room;
    }
    memcpy(b->data + b->size, data, size);
    b->size += size;
    b->data[b->size] = '\0';
    return 0;
}

static void buffer_swap(struct buffer *a, struct buffer *b)
{
    struct buffer was = *a;

    *a = *b;
    *b = was;
}

static bool has_method(const rn_curl_request *r, const char *name)
{
    return strcmp(r->method, name) == 0;
}

/* ---- on the driver ---- */

static long status_of(CURL *easy)
{
    long status = 0;

    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

/* Whether this body goes to .on_body. */
static bool handed_over(const struct fetch *f)
{
    if (f->request.on_body == NULL)
        return false;
    return !f->request.fail_on_status || status_of(f->transfer.easy) < STATUS_ERROR_FIRST;
}

static size_t hand_over(struct fetch *f, const char *data, size_t size)
{
    pthread_mutex_lock(&f->lock);
    f->paused = f->filled.size != 0 && f->filled.size + size > PIECE_BYTES_MAX;
    bool full = f->paused;
    if (!full)
        f->err = buffer_append(&f->filled, data, size);
    pthread_mutex_unlock(&f->lock);
    if (full)
        return CURL_WRITEFUNC_PAUSE; /* the same bytes come again */
    rn_try_send(f->bell, 1);
    return f->err == 0 ? size : 0;
}

static size_t too_much(struct fetch *f, const char *what, size_t max)
{
    f->err = -EMSGSIZE;
    snprintf(f->why, sizeof f->why, "the answer has more than %zu bytes of %s", max, what);
    return 0;
}

static size_t on_data(char *data, size_t one, size_t size, void *arg)
{
    struct fetch *f = arg;
    size_t taken = size;
    bool to_caller = handed_over(f);
    size_t max = to_caller ? f->request.max_body : f->max_collected;

    (void)one;
    if (size > max || f->body_bytes > max - size)
        return too_much(f, "body", max);
    if (to_caller)
        taken = hand_over(f, data, size);
    else if ((f->err = buffer_append(&f->body, data, size)) != 0)
        taken = 0;
    if (taken == size)
        f->body_bytes += size;
    return taken;
}

/* libcurl keeps the headers itself, however many there are: so they are counted. */
static size_t on_header(char *data, size_t one, size_t size, void *arg)
{
    struct fetch *f = arg;

    (void)data, (void)one;
    if (size > f->request.max_headers - f->header_bytes)
        return too_much(f, "headers", f->request.max_headers);
    f->header_bytes += size;
    return size;
}

/* A header without a value is not sent. */
static void forget_body(struct curl_slist *headers)
{
    for (struct curl_slist *h = headers; h != NULL; h = h->next) {
        char *end = h->data + strcspn(h->data, ":;");
        if (strncasecmp(h->data, "Content-", strlen("Content-")) == 0 && *end != '\0')
            strcpy(end, ":");
    }
}

/*
 * Called before each request that goes out. libcurl makes a GET of a POST that was redirected, but
 * does not know which headers were about the body.
 */
static int on_request(void *arg, char *to, char *from, int to_port, int from_port)
{
    struct fetch *f = arg;
    char *method = NULL;

    (void)to, (void)from, (void)to_port, (void)from_port;
    curl_easy_getinfo(f->transfer.easy, CURLINFO_EFFECTIVE_METHOD, &method);
    if (has_method(&f->request, "POST") && method != NULL && strcmp(method, "GET") == 0)
        forget_body(f->headers);
    return CURL_PREREQFUNC_OK;
}

static void on_end(struct transfer *t)
{
    struct fetch *f = (struct fetch *)t;

    pthread_mutex_lock(&f->lock);
    f->ended = true;
    pthread_mutex_unlock(&f->lock);
    rn_try_send(f->bell, 1);
}

/* ---- on the caller ---- */

/* Calls .on_body for each piece; until the end, or something is not 0. */
static int give_pieces(rn_ctx *ctx, struct fetch *f)
{
    struct buffer piece = {0};
    bool last = false, paused;
    int err = 0;
    char rung;

    while (err == 0 && !last && (err = rn_recv(ctx, f->bell, &rung)) == 0) {
        piece.size = 0;
        pthread_mutex_lock(&f->lock);
        buffer_swap(&f->filled, &piece);
        last = f->ended;
        paused = f->paused;
        f->paused = false;
        pthread_mutex_unlock(&f->lock);
        if (paused)
            transfer_wish(&f->transfer, WISH_RESUME);
        if (piece.size != 0)
            err = f->request.on_body(ctx, piece.data, piece.size, f->request.arg);
    }
    free(piece.data);
    return err;
}

static int run(rn_ctx *ctx, struct fetch *f)
{
    int given = 0, err = transfer_start(ctx, f->request.client, &f->transfer);

    if (err != 0)
        return err;
    if (f->bell != NULL && (given = give_pieces(ctx, f)) != 0)
        transfer_wish(&f->transfer, WISH_STOP);
    err = transfer_await(given != 0 ? NULL : ctx, &f->transfer);
    if (given != 0 || err != 0)
        return given != 0 ? given : err;
    if (f->err != 0)
        return rn_error_with(f->err, "curl: %s", f->why[0] == '\0' ? rn_strerror(f->err) : f->why);
    return report_transfer(&f->transfer, f->message);
}

/* ---- from a request to an easy handle ---- */

#define SET(easy, option, value)                                                                   \
    do {                                                                                           \
        CURLcode code_ = curl_easy_setopt((easy), (option), (value));                              \
        if (code_ != CURLE_OK)                                                                     \
            return not_set(code_, #option);                                                        \
    } while (0)

static int not_set(CURLcode code, const char *option)
{
    return rn_error_with(code == CURLE_OUT_OF_MEMORY ? -ENOMEM : -EINVAL, "curl: %s: %s", option,
                         curl_easy_strerror(code));
}

/* What goes into the request's head as it is must not end a line there. */
static int check_line(const char *field, const char *text)
{
    if (text == NULL || text[strcspn(text, "\r\n")] == '\0')
        return 0;
    return rn_error_with(-EINVAL, "curl: %s has more than one line", field);
}

/* A token of RFC 9110: nothing that ends the request's first word. */
static int check_method(const char *text)
{
    static const char token[] = "!#$%&'*+-.^_`|~0123456789"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

    if (text == NULL || (text[0] != '\0' && text[strspn(text, token)] == '\0'))
        return 0;
    return rn_error_with(-EINVAL,
                         "curl: .method is no token: letters, digits and !#$%%&'*+-.^_`|~");
}

static int check_request(const char *url, const rn_curl_request *r)
{
    int err = url == NULL ? rn_error_with(-EINVAL, "curl: the URL is NULL") : 0;

    if (err == 0 && r->body == NULL && r->size != 0)
        err = rn_error_with(-EINVAL, "curl: .size is %zu, and .body is NULL", r->size);
    err = err != 0 ? err : check_method(r->method);
    err = err != 0 ? err : check_line(".user_agent", r->user_agent);
    err = err != 0 ? err : check_line(".content_type", r->content_type);
    for (size_t i = 0; err == 0 && r->headers != NULL && r->headers[i] != NULL; i++)
        err = check_line(".headers", r->headers[i]);
    return err;
}

static void set_defaults(rn_curl_request *r, bool post)
{
    if (r->method == NULL)
        r->method = post ? "POST" : "GET";
    if (r->user_agent == NULL)
        r->user_agent = "runnel/" RN_VERSION;
    if (r->content_type == NULL)
        r->content_type = "application/octet-stream";
    if (r->max_body == 0)
        r->max_body = r->on_body == NULL ? MAX_BODY_DEFAULT : SIZE_MAX;
    if (r->max_headers == 0)
        r->max_headers = MAX_HEADERS_DEFAULT;
    if (r->max_redirects == 0)
        r->max_redirects = MAX_REDIRECTS_DEFAULT;
    if (r->protocols == NULL)
        r->protocols = "http,https";
}

static int add_header(struct fetch *f, const char *line)
{
    struct curl_slist *longer = curl_slist_append(f->headers, line);

    if (longer == NULL)
        return -ENOMEM;
    f->headers = longer;
    return 0;
}

static bool has_header(const rn_curl_request *r, const char *name)
{
    size_t length = strlen(name);

    for (size_t i = 0; r->headers != NULL && r->headers[i] != NULL; i++)
        if (strncasecmp(r->headers[i], name, length) == 0 &&
            strchr(":;", r->headers[i][length]) != NULL)
            return true;
    return false;
}

static int add_content_type(struct fetch *f)
{
    char line[256];
    int n = snprintf(line, sizeof line, "Content-Type: %s", f->request.content_type);

    if (n >= (int)sizeof line)
        return rn_error_with(-EINVAL, "curl: .content_type has %d bytes", n);
    return add_header(f, line);
}

static int set_headers(struct fetch *f, CURL *easy, bool body)
{
    const rn_curl_request *r = &f->request;
    int err = 0;

    for (size_t i = 0; err == 0 && r->headers != NULL && r->headers[i] != NULL; i++)
        err = add_header(f, r->headers[i]);
    if (err == 0 && body && !has_header(r, "Content-Type"))
        err = add_content_type(f);
    if (err == 0 && body && !has_header(r, "Expect"))
        err = add_header(f,
                         "Expect:"); /* none: it would wait a second for servers that ignore it */
    if (err != 0)
        return err;
    SET(easy, CURLOPT_HTTPHEADER, f->headers);
    SET(easy, CURLOPT_USERAGENT, r->user_agent);
    return 0;
}

/* libcurl's own word for a method, where it has one: only then may it go over to another. */
static int set_method(const rn_curl_request *r, CURL *easy, bool body)
{
    if (body) {
        SET(easy, CURLOPT_POST, 1L);
        SET(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->size);
        SET(easy, CURLOPT_POSTFIELDS, r->body == NULL ? "" : r->body);
    }
    if (has_method(r, "HEAD"))
        SET(easy, CURLOPT_NOBODY, 1L);
    else if (!has_method(r, body ? "POST" : "GET"))
        SET(easy, CURLOPT_CUSTOMREQUEST, r->method);
    return 0;
}

/*
 * Any other request libcurl would repeat under its own method whatever the status says, after some
 * of them without its body.
 */
static bool follows(const rn_curl_request *r, bool body)
{
    return r->max_redirects > 0 && (has_method(r, "HEAD") || has_method(r, body ? "POST" : "GET"));
}

static int set_limits(const rn_curl_request *r, CURL *easy, bool body)
{
    SET(easy, CURLOPT_FOLLOWLOCATION, follows(r, body) ? 1L : 0L);
    SET(easy, CURLOPT_MAXREDIRS, r->max_redirects > 0 ? (long)r->max_redirects : 0L);
    SET(easy, CURLOPT_PROTOCOLS_STR, r->protocols);
    SET(easy, CURLOPT_REDIR_PROTOCOLS_STR, r->protocols);
    if (!has_method(r, "HEAD") &&
        r->max_body < (size_t)INT64_MAX) /* so that one announced is not begun */
        SET(easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)r->max_body);
    return 0;
}

static int set_callbacks(struct fetch *f, CURL *easy)
{
    SET(easy, CURLOPT_ERRORBUFFER, f->message);
    SET(easy, CURLOPT_WRITEFUNCTION, on_data);
    SET(easy, CURLOPT_WRITEDATA, f);
    SET(easy, CURLOPT_HEADERFUNCTION, on_header);
    SET(easy, CURLOPT_HEADERDATA, f);
    SET(easy, CURLOPT_PREREQFUNCTION, on_request);
    SET(easy, CURLOPT_PREREQDATA, f);
    return 0;
}

static int set_up(struct fetch *f, const char *url, bool post)
{
    const rn_curl_request *r = &f->request;
    CURL *easy = f->transfer.easy;
    bool body = post || r->body != NULL || has_method(r, "POST");
    int err;

    SET(easy, CURLOPT_URL, url);
    if ((err = set_method(r, easy, body)) != 0 || (err = set_headers(f, easy, body)) != 0 ||
        (err = set_limits(r, easy, body)) != 0 || (err = set_callbacks(f, easy)) != 0)
        return err;
    return r->setup == NULL ? 0 : r->setup(easy, r->arg);
}

/* ---- from an easy handle to a response ---- */

/* The handle goes on in the response, where libcurl must find nothing of ours. */
static void detach(struct fetch *f)
{
    curl_easy_setopt(f->transfer.easy, CURLOPT_ERRORBUFFER, NULL);
    curl_easy_setopt(f->transfer.easy, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(f->headers);
    free(f->filled.data);
    rn_chan_release(f->bell);
    pthread_mutex_destroy(&f->lock);
}

static void fill_in(rn_curl_response *response, struct fetch *f)
{
    CURL *easy = f->transfer.easy;
    curl_off_t took = 0;
    long redirects = 0;

    curl_easy_getinfo(easy, CURLINFO_REDIRECT_COUNT, &redirects);
    curl_easy_getinfo(easy, CURLINFO_TOTAL_TIME_T, &took);
    curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_URL, &response->url);
    response->status = (int)status_of(easy);
    response->code = (int)f->transfer.code;
    response->redirects = (size_t)redirects;
    response->took = took * RN_MICROSECOND;
    if (f->body.data != NULL)
        response->body = f->body.data;
    response->size = f->body.size;
    response->rn_private_[0] = easy;
    response->rn_private_[1] = f->body.data;
}

/* What a status is as an error. */
static int judge(int status)
{
    if (status < STATUS_ERROR_FIRST)
        return 0;
    return rn_error_with(status >= STATUS_SERVER_FIRST || status == STATUS_TOO_MANY ||
                                 status == STATUS_TIMEOUT
                             ? -EREMOTEIO
                             : -EINVAL,
                         "curl: the server answered with status %d", status);
}

static int fetch_with(rn_ctx *ctx, const char *url, struct fetch *f, bool post,
                      rn_curl_response *response)
{
    int err;

    f->transfer.easy = curl_easy_init();
    if (f->transfer.easy == NULL)
        return -ENOMEM;
    pthread_mutex_init(&f->lock, NULL);
    if (f->request.on_body != NULL) {
        f->bell = rn_chan_make(char, 1);
        f->transfer.on_end = on_end;
    }
    err = f->request.on_body != NULL && f->bell == NULL ? -ENOMEM : set_up(f, url, post);
    if (err == 0)
        err = run(ctx, f);
    detach(f);
    fill_in(response, f);
    return err;
}

static int fetch(rn_ctx *ctx, const char *url, const rn_curl_request *request, bool post,
                 rn_curl_response *response)
{
    struct fetch f = {.transfer.code = CURLE_FAILED_INIT};
    int err = rn_ctx_err(ctx);

    forget_sentence();
    *response = (rn_curl_response){
        .body = "", .code = err == 0 ? CURLE_FAILED_INIT : CURLE_ABORTED_BY_CALLBACK};
    if (request != NULL)
        f.request = *request;
    f.max_collected = f.request.max_body != 0 ? f.request.max_body : MAX_BODY_DEFAULT;
    set_defaults(&f.request, post);
    if (err == 0)
        err = check_request(url, &f.request);
    if (err == 0)
        err = library_ready();
    if (err == 0)
        err = fetch_with(ctx, url, &f, post, response);
    if (err == 0 && f.request.fail_on_status)
        err = judge(response->status);
    return err;
}

int rn_curl_get(rn_ctx *ctx, const char *url, const rn_curl_request *request,
                rn_curl_response *response)
{
    return fetch(ctx, url, request, false, response);
}

int rn_curl_post(rn_ctx *ctx, const char *url, const rn_curl_request *request,
                 rn_curl_response *response)
{
    return fetch(ctx, url, request, true, response);
}

/* ---- looking at a response ---- */

const char *rn_curl_header(const rn_curl_response *response, const char *name, size_t index)
{
    struct curl_header *header;

    if (response->rn_private_[0] == NULL ||
        curl_easy_header(response->rn_private_[0], name, index, CURLH_HEADER, -1, &header) !=
            CURLHE_OK)
        return NULL;
    return header->value;
}

rn_duration rn_curl_retry_after(const rn_curl_response *response)
{
    curl_off_t seconds = 0;

    if (response->rn_private_[0] == NULL)
        return 0;
    curl_easy_getinfo(response->rn_private_[0], CURLINFO_RETRY_AFTER, &seconds);
    return seconds > RN_FOREVER / RN_SECOND - 1 ? RN_FOREVER - 1 : seconds * RN_SECOND;
}

void rn_curl_response_free(rn_curl_response *response)
{
    if (response == NULL)
        return;
    if (response->rn_private_[0] != NULL)
        curl_easy_cleanup(response->rn_private_[0]);
    free(response->rn_private_[1]);
    *response = (rn_curl_response){0};
}
