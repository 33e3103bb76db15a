/*
 * What the tests of the HTTP server share: a server on a free port of this machine, and clients
 * that send bytes and look at the bytes that come back.
 */
#ifndef RN_TESTS_HTTP_H
#define RN_TESTS_HTTP_H

#include "expect.h"
#include "test.h"

#include <runnel.h>
#include <runnel/http.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A server and the fiber that serves. */
struct site {
    rn_http_server *server;
    rn_fd listener;
    char at[RN_ADDRESS_TEXT];
    rn_ctx *ctx; /* of rn_http_serve */
    rn_wait_group serving;
    int served; /* what rn_http_serve returned */
};

static inline void site_new_on(struct site *site, const char *address,
                               const rn_http_server_config *config)
{
    rn_address local;

    memset(site, 0, sizeof *site);
    EXPECT_OK(rn_http_server_new(&site->server, config));
    EXPECT_OK(rn_listen(NULL, address, NULL, &site->listener));
    EXPECT_OK(rn_net_local(site->listener, &local));
    rn_address_text(&local, site->at);
    site->ctx = rn_ctx_with_cancel(NULL);
}

static inline void site_new(struct site *site, const rn_http_server_config *config)
{
    site_new_on(site, "127.0.0.1:0", config);
}

/*
 * For virtual time: what is written to a unix socket is there at once, so that time does not pass
 * while bytes are on their way.
 */
static inline void site_new_at_once(struct site *site, const rn_http_server_config *config)
{
    char address[64];

    snprintf(address, sizeof address, "unix:@runnel-http-%d", getpid());
    site_new_on(site, address, config);
}

static inline void site_serve(void *arg)
{
    struct site *site = arg;
    site->served = rn_http_serve(site->ctx, site->server, site->listener);
    rn_wait_group_done(&site->serving);
}

static inline void site_start(struct site *site)
{
    rn_wait_group_add(&site->serving, 1);
    EXPECT_OK(rn_go(site_serve, site));
}

/* Stops gracefully; everything that was accepted must end by itself. */
static inline void site_stop(struct site *site)
{
    EXPECT_OK(rn_http_server_shutdown(NULL, site->server));
    rn_wait_group_wait(NULL, &site->serving);
    EXPECT_EQ(site->served, RN_ESHUTDOWN);
    rn_http_server_free(site->server);
    rn_ctx_release(site->ctx);
}

/* ---- clients ---- */

static inline rn_fd dial(struct site *site)
{
    rn_fd fd;
    EXPECT_OK(rn_dial(NULL, site->at, NULL, &fd));
    return fd;
}

static inline void send_bytes(rn_fd fd, const char *bytes, size_t size)
{
    EXPECT_EQ(rn_fd_write(NULL, fd, bytes, size), (long long)size);
}

static inline void send_text(rn_fd fd, const char *text)
{
    send_bytes(fd, text, strlen(text));
}

/* What has come from a server, as text. */
struct heard {
    char *text;
    size_t size;
    int end; /* 0: end of file, otherwise the code */
};

/* Reads to the end. */
static inline struct heard hear_all(rn_fd fd)
{
    struct heard heard = {.text = malloc(1)};
    ssize_t n;

    do {
        heard.text = realloc(heard.text, heard.size + 65536);
        n = rn_fd_read(NULL, fd, heard.text + heard.size, 65535);
        heard.size += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    heard.text[heard.size] = 0;
    heard.end = (int)n;
    return heard;
}

/* Reads until a text has come. */
static inline void hear_until(rn_fd fd, const char *text)
{
    char heard[8192];
    size_t size = 0;

    heard[0] = 0;
    while (strstr(heard, text) == NULL) {
        ssize_t n = rn_fd_read(NULL, fd, heard + size, 1);
        if (n <= 0 || size + 2 > sizeof heard)
            test_failed(__FILE__, __LINE__, "no \"%s\" in \"%s\" (%zd)", text, heard, n);
        size += (size_t)n;
        heard[size] = 0;
    }
}

/* Takes the lines "Date: Sun, 06 Nov 1994 08:49:37 GMT" out. */
static inline void drop_dates(char *text)
{
    const size_t length = 37;
    char *line = text;

    while ((line = strstr(line, "\r\nDate: ")) != NULL) {
        if (strlen(line) > length && strncmp(line + length - 4, " GMT", 4) == 0)
            memmove(line, line + length, strlen(line + length) + 1);
        else
            line++;
    }
}

/* Sends bytes and the end of file; what comes back, dates left out. The caller frees it. */
static inline char *exchange_bytes(struct site *site, const char *bytes, size_t size)
{
    rn_fd fd = dial(site);

    send_bytes(fd, bytes, size);
    rn_net_close_write(fd);
    struct heard heard = hear_all(fd);
    rn_fd_close(fd);
    drop_dates(heard.text);
    return heard.text;
}

static inline char *exchange(struct site *site, const char *text)
{
    return exchange_bytes(site, text, strlen(text));
}

#define EXPECT_ANSWER(site, request, answer)                                                       \
    do {                                                                                           \
        char *heard_ = exchange((site), (request));                                                \
        EXPECT_STR(heard_, (answer));                                                              \
        free(heard_);                                                                              \
    } while (0)

/* Only the first line, which the answer must have. */
static inline void expect_status(const char *file, int line, struct site *site, const char *bytes,
                                 size_t size, int status)
{
    char *heard = exchange_bytes(site, bytes, size), start[32];

    snprintf(start, sizeof start, "HTTP/1.1 %d ", status);
    if (strncmp(heard, start, strlen(start)) != 0)
        test_failed(file, line, "not %d, but \"%s\", for \"%s\"", status, heard, bytes);
    free(heard);
}

#define EXPECT_STATUS(site, request, status)                                                       \
    expect_status(__FILE__, __LINE__, (site), (request), strlen(request), (status))

/* ---- handlers ---- */

static inline int answer_text(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    const char *text = arg;
    (void)req;
    return rn_http_reply(ctx, res, 200, "text/plain", text, strlen(text));
}

/* The body, as it comes. */
static inline int answer_echo(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    char buffer[1000];
    ssize_t n;

    (void)arg;
    while ((n = rn_http_read(ctx, req, buffer, sizeof buffer)) > 0)
        if ((n = rn_http_write(ctx, res, buffer, (size_t)n)) < 0)
            break;
    return (int)n;
}

#endif
