/*
 * A small HTTP/1.1 server for the tests of libcurl, raw on rn_listen: what it does is the path's
 * business, and it counts what comes.
 *
 *     /hello            "hello\n"
 *     /echo             method, agent and X-Test header, a line each, and the request's body
 *     /body/N           N bytes: the letters of the alphabet, over and over
 *     /chunked/N        the same in chunks
 *     /failing/N        the same with status 500
 *     /redirect/N       to /redirect/N-1; /redirect/0 is /hello
 *     /moved/N          to /seen with status N
 *     /seen             method, Content-Type and length of the body in a line
 *     /loop             to itself
 *     /away             to file:///etc/passwd
 *     /status/N         that status, with Retry-After: 7
 *     /cookies          two headers Set-Cookie
 *     /gate             answers once `gate` requests are at the gate
 *     /hang             answers never
 *     /half             promises 100 bytes, sends 10, closes
 *     /nothing          closes
 *     /garbage          what no HTTP is, closes
 *     /headers          headers without an end, until the client goes
 *     /flood            a body without an end, until the client goes
 */
#ifndef RN_TESTS_PEER_H
#define RN_TESTS_PEER_H

#include "core.h"
#include "expect.h"
#include "test.h"

#include <runnel.h>
#include <runnel/curl.h>

#include <curl/curl.h>
#include <dirent.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BODY_BYTES_MAX (1 << 20) /* of a request */
#define PIECE_BYTES 26000

struct peer {
    rn_fd listener;
    char at[RN_ADDRESS_TEXT];
    rn_group *serving;
    int gate; /* how many /gate waits for */
    rn_wait_group at_gate;
    atomic_int accepted, open, requests, waiting; /* waiting: in /hang, or at the gate */
    atomic_llong sent;                            /* bytes of /flood */
};

struct request {
    struct peer *peer;
    rn_fd conn;
    char method[16], path[256], agent[64], extra[64], type[64];
    char *body;
    size_t size;
};

/* ---- answers ---- */

static inline int send_all(rn_fd conn, const void *data, size_t size)
{
    return rn_fd_write(NULL, conn, data, size) == (ssize_t)size ? 0 : -EPIPE;
}

__attribute__((format(printf, 2, 3))) static inline int say(rn_fd conn, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return send_all(conn, text, (size_t)n);
}

static inline int answer(struct request *q, int status, const char *headers, const char *body)
{
    return say(q->conn, "HTTP/1.1 %d Whatever\r\n%sContent-Length: %zu\r\n\r\n%s", status, headers,
               strlen(body), strcmp(q->method, "HEAD") == 0 ? "" : body);
}

static inline char letter(size_t i)
{
    return (char)('a' + i % 26);
}

static char letters[PIECE_BYTES]; /* a whole number of alphabets */

__attribute__((constructor)) static void fill_letters(void)
{
    for (size_t i = 0; i < PIECE_BYTES; i++)
        letters[i] = letter(i);
}

/* Waits until the client has closed. */
static inline int hang(struct request *q)
{
    char byte;
    atomic_fetch_add(&q->peer->waiting, 1);
    while (rn_fd_read(NULL, q->conn, &byte, 1) > 0)
        continue;
    atomic_fetch_sub(&q->peer->waiting, 1);
    return -EPIPE;
}

static inline int wait_at_gate(struct request *q)
{
    atomic_fetch_add(&q->peer->waiting, 1);
    rn_wait_group_done(&q->peer->at_gate);
    rn_wait_group_wait(NULL, &q->peer->at_gate);
    return answer(q, 200, "", "through\n");
}

static inline int send_letters(struct request *q, int status, size_t size, bool chunked)
{
    int err = say(q->conn, "HTTP/1.1 %d Whatever\r\n", status);
    if (err == 0)
        err = chunked ? say(q->conn, "Transfer-Encoding: chunked\r\n\r\n")
                      : say(q->conn, "Content-Length: %zu\r\n\r\n", size);
    for (size_t n; err == 0 && size > 0; size -= n) {
        n = size < PIECE_BYTES ? size : PIECE_BYTES;
        if (chunked)
            err = say(q->conn, "%zx\r\n", n);
        err = err != 0 ? err : send_all(q->conn, letters, n);
        if (chunked)
            err = err != 0 ? err : say(q->conn, "\r\n");
    }
    return err != 0 || !chunked ? err : say(q->conn, "0\r\n\r\n");
}

static inline int flood(struct request *q, const char *piece, size_t size)
{
    int err = 0;
    while (err == 0 && (err = send_all(q->conn, piece, size)) == 0)
        atomic_fetch_add(&q->peer->sent, (long long)size);
    return err;
}

static inline int redirect(struct request *q, int status, const char *to)
{
    char header[300];
    snprintf(header, sizeof header, "Location: %s\r\n", to);
    return answer(q, status, header, "moved\n");
}

static inline int say_what_is_seen(struct request *q)
{
    char line[128];
    snprintf(line, sizeof line, "%s, type \"%s\", %zu bytes", q->method, q->type, q->size);
    return answer(q, 200, "", line);
}

static inline int echo_request(struct request *q)
{
    char head[256];
    int n = snprintf(head, sizeof head, "%s\n%s\n%s\n", q->method, q->agent, q->extra);
    int err = say(q->conn,
                  "HTTP/1.1 200 OK\r\nContent-Type: text/x-test\r\nContent-Length: %zu\r\n\r\n",
                  (size_t)n + q->size);
    err = err != 0 ? err : send_all(q->conn, head, (size_t)n);
    return err != 0 ? err : send_all(q->conn, q->body, q->size);
}

/* What is not 0 closes the connection. */
static inline int serve_more(struct request *q)
{
    const char *path = q->path;
    if (strcmp(path, "/hang") == 0)
        return hang(q);
    if (strcmp(path, "/gate") == 0)
        return wait_at_gate(q);
    if (strcmp(path, "/nothing") == 0)
        return -EPIPE;
    if (strcmp(path, "/half") == 0)
        return say(q->conn, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789"), -EPIPE;
    if (strcmp(path, "/garbage") == 0)
        return say(q->conn, "\x01\x02 this is no HTTP\r\n\r\n"), -EPIPE;
    if (strcmp(path, "/headers") == 0)
        return say(q->conn, "HTTP/1.1 200 OK\r\n") != 0 ? -EPIPE : flood(q, "X-More: more\r\n", 14);
    if (strcmp(path, "/flood") == 0)
        return say(q->conn, "HTTP/1.1 200 OK\r\n\r\n") != 0 ? -EPIPE
                                                            : flood(q, letters, PIECE_BYTES);
    return answer(q, 404, "", "no such path\n");
}

static inline int serve_request(struct request *q)
{
    const char *path = q->path;
    char next[64];
    size_t n;
    if (strcmp(path, "/hello") == 0 || strcmp(path, "/redirect/0") == 0)
        return answer(q, 200, "Content-Type: text/plain\r\n", "hello\n");
    if (strcmp(path, "/echo") == 0)
        return echo_request(q);
    if (sscanf(path, "/body/%zu", &n) == 1)
        return send_letters(q, 200, n, false);
    if (sscanf(path, "/chunked/%zu", &n) == 1)
        return send_letters(q, 200, n, true);
    if (sscanf(path, "/failing/%zu", &n) == 1)
        return send_letters(q, 500, n, true);
    if (sscanf(path, "/redirect/%zu", &n) == 1) {
        snprintf(next, sizeof next, "/redirect/%zu", n - 1);
        return redirect(q, 302, next);
    }
    if (strcmp(path, "/loop") == 0)
        return redirect(q, 302, "/loop");
    if (strcmp(path, "/away") == 0)
        return redirect(q, 302, "file:///etc/passwd");
    if (sscanf(path, "/moved/%zu", &n) == 1)
        return redirect(q, (int)n, "/seen");
    if (strcmp(path, "/seen") == 0)
        return say_what_is_seen(q);
    if (sscanf(path, "/status/%zu", &n) == 1)
        return answer(q, (int)n, "Retry-After: 7\r\n", "sorry\n");
    if (strcmp(path, "/cookies") == 0)
        return answer(q, 200, "Set-Cookie: a=1\r\nset-cookie: b=2\r\n", "");
    return serve_more(q);
}

/* ---- requests ---- */

static inline void note_header(struct request *q, const char *line)
{
    sscanf(line, "Content-Length: %zu", &q->size);
    sscanf(line, "User-Agent: %63[^\n]", q->agent);
    sscanf(line, "X-Test: %63[^\n]", q->extra);
    if (strncasecmp(line, "Content-Type: ", strlen("Content-Type: ")) == 0)
        snprintf(q->type, sizeof q->type, "%s", line + strlen("Content-Type: "));
}

/* 0, or not when there is none any more. */
static inline int read_request(rn_reader *in, struct request *q)
{
    char *line;
    ssize_t n = rn_reader_line(NULL, in, &line);
    if (n < 0 || sscanf(line, "%15s %255s", q->method, q->path) != 2)
        return -EPIPE;
    while ((n = rn_reader_line(NULL, in, &line)) > 0)
        note_header(q, line);
    if (n < 0 || q->size > BODY_BYTES_MAX)
        return -EPIPE;
    q->body = malloc(q->size + 1);
    n = rn_reader_read_full(NULL, in, q->body, q->size);
    return n == (ssize_t)q->size ? 0 : -EPIPE;
}

static inline int peer_converse(rn_ctx *ctx, void *arg)
{
    struct request *first = arg;
    struct peer *p = first->peer;
    rn_reader *in;
    int err = rn_reader_new(&in, first->conn, NULL);

    (void)ctx;
    while (err == 0) {
        struct request q = {.peer = p, .conn = first->conn};
        err = read_request(in, &q);
        if (err == 0) {
            atomic_fetch_add(&p->requests, 1);
            err = serve_request(&q);
        }
        free(q.body);
    }
    rn_reader_free(in);
    rn_fd_close(first->conn);
    atomic_fetch_sub(&p->open, 1);
    return 0;
}

static inline int peer_accept(rn_ctx *ctx, void *arg)
{
    struct peer *p = arg;
    rn_fd conn;
    int err;

    while ((err = rn_accept(ctx, p->listener, &conn)) != -EBADF) {
        if (err != 0) {
            rn_yield(); /* no descriptor is left for now */
            continue;
        }
        atomic_fetch_add(&p->accepted, 1);
        atomic_fetch_add(&p->open, 1);
        rn_group_go_copy(p->serving, peer_converse, &(struct request){.peer = p, .conn = conn});
    }
    return 0;
}

/* ---- the server ---- */

static inline void peer_start(struct peer *p, int gate)
{
    rn_address local;

    *p = (struct peer){.gate = gate};
    unsetenv("http_proxy"); /* the server is here */
    unsetenv("all_proxy");
    unsetenv("ALL_PROXY");
    rn_wait_group_add(&p->at_gate, gate);
    EXPECT_OK(rn_listen(NULL, "127.0.0.1:0", &(rn_listen_config){.backlog = 4096}, &p->listener));
    EXPECT_OK(rn_net_local(p->listener, &local));
    rn_address_text(&local, p->at);
    p->serving = rn_group_new(NULL);
    EXPECT_OK(rn_group_go(p->serving, peer_accept, p));
}

/* Every connection has been closed by its client, or is now. */
static inline void peer_stop(struct peer *p)
{
    rn_curl_close_idle(NULL);
    rn_fd_close(p->listener);
    EXPECT_EQ(rn_group_wait(p->serving), 0);
    EXPECT_EQ(atomic_load(&p->open), 0);
}

/* The URL of a path, good to the end of the block. */
#define URL_BYTES 320
#define AT(p, path) peer_url((p), (path), (char[URL_BYTES]){0})

static inline const char *peer_url(const struct peer *p, const char *path, char url[URL_BYTES])
{
    snprintf(url, URL_BYTES, "http://%s%s", p->at, path);
    return url;
}

/* An easy handle whose body is collected in `into`, of SINK_BYTES. */
#define SINK_BYTES 64

static inline size_t sink_write(char *data, size_t one, size_t size, void *into)
{
    (void)one;
    strncat(into, data,
            size < SINK_BYTES - strlen(into) - 1 ? size : SINK_BYTES - strlen(into) - 1);
    return size;
}

static inline CURL *easy_for(const char *url, char *into)
{
    CURL *easy = curl_easy_init();
    into[0] = '\0';
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, sink_write);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, into);
    return easy;
}

/* Open descriptors of this process. */
static inline int fds_open(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n;
}

/* How many fibers wait for a reason that begins so, as a dump says. */
static inline int fibers_that_wait(const char *reason)
{
    int fd = memfd_create("dump", MFD_CLOEXEC), n = 0;
    rn_dump(fd);
    off_t size = lseek(fd, 0, SEEK_END);
    char *text = calloc(1, (size_t)size + 1), shown[64];
    snprintf(shown, sizeof shown, "[%s", reason);
    if (pread(fd, text, (size_t)size, 0) == size)
        for (const char *at = text; (at = strstr(at, shown)) != NULL; at++)
            n++;
    free(text);
    close(fd);
    return n;
}

/* A port at which nobody listens: bound, and not listened on. */
static inline int refusing_url(char url[64])
{
    struct sockaddr_storage any;
    socklen_t length = sizeof any;
    rn_address address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    EXPECT_OK(rn_address_parse("127.0.0.1:0", &address));
    EXPECT_EQ(bind(fd, (void *)address.sockaddr, address.length), 0);
    EXPECT_EQ(getsockname(fd, (void *)&any, &length), 0);
    memcpy(address.sockaddr, &any, length);
    snprintf(url, 64, "http://127.0.0.1:%d/", rn_address_port(&address));
    return fd;
}

#endif
