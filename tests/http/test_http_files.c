/* Files as answers, end to end. ctest: TIMEOUT=120 */
#include "http.h"

#include <fcntl.h>
#include <runnel/http.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
#define GET_WITH(path, field)                                                                      \
    "GET " path " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" field "\r\n\r\n"

/* The state of a.txt, "0123456789", changed at second 1,000,000,000. */
#define A_ETAG "\"3b9aca00.0-a\""
#define A_MODIFIED "Sun, 09 Sep 2001 01:46:40 GMT"
#define A_FIELDS "ETag: " A_ETAG "\r\nLast-Modified: " A_MODIFIED "\r\nAccept-Ranges: bytes\r\n"
#define A_TYPE "Content-Type: text/plain; charset=utf-8\r\n"
#define A_WHOLE                                                                                    \
    "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n" A_FIELDS A_TYPE               \
    "\r\n0123456789"

/* ---- a folder with files, served below /files/ ---- */

struct shelf {
    struct site site;
    rn_http_files *files;
    char folder[64];
};

static void in_folder(const struct shelf *shelf, const char *name, char path[256])
{
    snprintf(path, 256, "%s/%s", shelf->folder, name);
}

/* Long ago, so that its ETag is strong. */
static void settle(const char *path)
{
    struct timespec times[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
    EXPECT_EQ(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

static void put_file(const struct shelf *shelf, const char *name, const char *data, size_t size)
{
    char path[256];

    in_folder(shelf, name, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    EXPECT(fd >= 0);
    for (size_t done = 0; done < size;) {
        ssize_t n = write(fd, data + done, size - done);
        EXPECT(n > 0);
        done += (size_t)n;
    }
    close(fd);
    settle(path);
}

static void put_text(const struct shelf *shelf, const char *name, const char *text)
{
    put_file(shelf, name, text, strlen(text));
}

static void put_folder(const struct shelf *shelf, const char *name)
{
    char path[256];
    in_folder(shelf, name, path);
    EXPECT_EQ(mkdir(path, 0755), 0);
}

static void put_link(const struct shelf *shelf, const char *name, const char *target)
{
    char path[256];
    in_folder(shelf, name, path);
    EXPECT_EQ(symlink(target, path), 0);
}

static int remove_tree(void *folder)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", (char *)folder);
    return system(command);
}

/* The root is folder/root, so that there is something beside it. */
static void shelf_new(struct shelf *shelf, const rn_http_server_config *server,
                      rn_http_files_config files)
{
    char root[256];

    strcpy(shelf->folder, "/tmp/runnel-files-XXXXXX");
    EXPECT(mkdtemp(shelf->folder) != NULL);
    EXPECT_EQ(chmod(shelf->folder, 0755), 0);
    put_folder(shelf, "root");
    put_text(shelf, "root/a.txt", "0123456789");
    put_text(shelf, "secret.txt", "secret");
    in_folder(shelf, "root", root);
    files.root = root;
    EXPECT_OK(rn_http_files_new(&shelf->files, &files));
    site_new(&shelf->site, server);
    EXPECT_OK(rn_http_route(shelf->site.server, NULL, "/files/{path...}", rn_http_files_serve,
                            shelf->files));
}

static void shelf_start(struct shelf *shelf)
{
    shelf_new(shelf, NULL, (rn_http_files_config){0});
    site_start(&shelf->site);
}

static void shelf_stop(struct shelf *shelf)
{
    site_stop(&shelf->site);
    rn_http_files_free(shelf->files);
    EXPECT_EQ(rn_blocking(remove_tree, shelf->folder), 0);
}

/* ---- whole files ---- */

TEST_FIBER(sends_a_file)
{
    struct shelf shelf;

    shelf_start(&shelf);
    EXPECT_ANSWER(&shelf.site, GET("/files/a.txt"), A_WHOLE);
    EXPECT_ANSWER(&shelf.site, GET("/files//./a.txt?x=y"), A_WHOLE);
    shelf_stop(&shelf);
}

TEST_FIBER(sends_no_body_for_head)
{
    struct shelf shelf;

    shelf_start(&shelf);
    EXPECT_ANSWER(&shelf.site,
                  "HEAD /files/a.txt HTTP/1.1\r\nHost: x\r\nRange: bytes=1-2\r\n"
                  "Connection: close\r\n\r\n",
                  "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n" A_FIELDS A_TYPE
                  "\r\n");
    shelf_stop(&shelf);
}

TEST_FIBER(keeps_the_connection_between_files)
{
    struct shelf shelf;

    shelf_start(&shelf);
    put_text(&shelf, "root/empty.css", "");
    rn_fd fd = dial(&shelf.site);
    for (int i = 0; i < 3; i++) {
        send_text(fd, "GET /files/a.txt HTTP/1.1\r\nHost: x\r\n\r\n"
                      "GET /files/empty.css HTTP/1.1\r\nHost: x\r\n\r\n");
        hear_until(fd, "\r\n\r\n0123456789HTTP/1.1 200 OK\r\n");
        hear_until(fd, "Content-Length: 0\r\n");
        hear_until(fd, "Content-Type: text/css; charset=utf-8\r\n\r\n");
    }
    rn_fd_close(fd);
    shelf_stop(&shelf);
}

enum { BIG_BYTES = 3 * 1024 * 1024 + 17 };

static char *make_big(void)
{
    char *big = malloc(BIG_BYTES + 1);

    for (int i = 0; i < BIG_BYTES; i++)
        big[i] = (char)('a' + i % 251 % 26);
    big[BIG_BYTES] = 0;
    return big;
}

static void expect_big(struct shelf *shelf)
{
    char *big = make_big();

    put_file(shelf, "root/big.bin", big, BIG_BYTES);
    char *heard = exchange(&shelf->site, GET("/files/big.bin"));
    char *body = strstr(heard, "\r\n\r\n");
    EXPECT(strstr(heard, "Content-Type: application/octet-stream\r\n") != NULL);
    EXPECT(body != NULL && strlen(body + 4) == BIG_BYTES);
    EXPECT(memcmp(body + 4, big, BIG_BYTES) == 0);
    free(heard);
    heard = exchange(&shelf->site, GET_WITH("/files/big.bin", "Range: bytes=3000000-"));
    body = strstr(heard, "\r\n\r\n");
    EXPECT(body != NULL && strcmp(body + 4, big + 3000000) == 0);
    free(heard);
    free(big);
}

TEST_FIBER(sends_more_than_buffers_hold)
{
    struct shelf shelf;

    shelf_start(&shelf);
    expect_big(&shelf);
    shelf_stop(&shelf);
}

/* ---- a transport, which has no sendfile ---- */

static int through_open(rn_ctx *ctx, void *arg, rn_fd conn, void **stream)
{
    rn_fd *fd = malloc(sizeof *fd);

    (void)ctx, (void)arg;
    *fd = conn;
    *stream = fd;
    return 0;
}

static ssize_t through_read(rn_ctx *ctx, void *stream, void *buffer, size_t size)
{
    return rn_fd_read(ctx, *(rn_fd *)stream, buffer, size);
}

static ssize_t through_writev(rn_ctx *ctx, void *stream, const struct iovec *parts, size_t n)
{
    return rn_fd_writev(ctx, *(rn_fd *)stream, parts, n);
}

static size_t through_buffered(void *stream)
{
    (void)stream;
    return 0;
}

static void through_close(rn_ctx *ctx, void *stream)
{
    (void)ctx;
    free(stream);
}

static const rn_transport through = {through_open,     through_read,  through_writev,
                                     through_buffered, through_close, NULL};

TEST_FIBER(sends_files_through_a_transport)
{
    struct shelf shelf;

    shelf_new(&shelf, &(rn_http_server_config){.transport = &through}, (rn_http_files_config){0});
    site_start(&shelf.site);
    EXPECT_ANSWER(&shelf.site, GET("/files/a.txt"), A_WHOLE);
    expect_big(&shelf);
    shelf_stop(&shelf);
}

/* ---- names ---- */

static void expect_redirect(struct shelf *shelf, const char *request, const char *location)
{
    char *heard = exchange(&shelf->site, request), line[512];

    snprintf(line, sizeof line, "\r\nLocation: %s\r\n", location);
    if (strncmp(heard, "HTTP/1.1 301 ", 13) != 0 || strstr(heard, line) == NULL)
        test_failed(__FILE__, __LINE__, "no 301 to %s in \"%s\"", location, heard);
    free(heard);
}

TEST_FIBER(serves_the_index_of_a_folder)
{
    struct shelf shelf;

    shelf_start(&shelf);
    put_folder(&shelf, "root/sub");
    put_text(&shelf, "root/index.html", "home");
    EXPECT_STATUS(&shelf.site, GET("/files/sub/"), 404); /* no index */
    char *heard = exchange(&shelf.site, GET("/files/"));
    EXPECT(strstr(heard, "Content-Type: text/html; charset=utf-8\r\n") != NULL);
    EXPECT(strstr(heard, "\r\n\r\nhome") != NULL);
    free(heard);
    expect_redirect(&shelf, GET("/files/sub"), "/files/sub/");
    expect_redirect(&shelf, GET("/files/sub?a=b%20"), "/files/sub/?a=b%20");
    put_folder(&shelf, "root/w\xc3\xa4 \\x");
    expect_redirect(&shelf, GET("/files/w%C3%A4%20%5Cx"), "/files/w%C3%A4%20%5Cx/");
    EXPECT_STATUS(&shelf.site, GET("/files/a.txt/"), 404);
    shelf_stop(&shelf);
}

/* Two slashes at the beginning of a location would name another server. */
TEST_FIBER(redirects_to_this_server_only)
{
    struct shelf shelf;

    shelf_new(&shelf, NULL, (rn_http_files_config){0});
    EXPECT_OK(rn_http_route(shelf.site.server, NULL, "/", rn_http_files_serve, shelf.files));
    site_start(&shelf.site);
    put_folder(&shelf, "root/evil.example");
    expect_redirect(&shelf, GET("//evil.example"), "/evil.example/");
    expect_redirect(&shelf, GET("/%2Fevil.example"), "/evil.example/");
    EXPECT_ANSWER(&shelf.site, GET("/a.txt"), A_WHOLE); /* without {path...} */
    shelf_stop(&shelf);
}

TEST_FIBER(serves_folders_without_an_index_not_at_all)
{
    struct shelf shelf;

    shelf_new(&shelf, NULL, (rn_http_files_config){.index = ""});
    site_start(&shelf.site);
    EXPECT_STATUS(&shelf.site, GET("/files/"), 404);
    shelf_stop(&shelf);
}

TEST_FIBER(does_not_leave_the_root)
{
    struct shelf shelf;
    char outside[256];

    shelf_start(&shelf);
    put_folder(&shelf, "root/sub");
    put_text(&shelf, "root/sub/in.txt", "inside");
    in_folder(&shelf, "secret.txt", outside);
    put_link(&shelf, "root/up.txt", "../secret.txt");
    put_link(&shelf, "root/absolute.txt", outside);
    put_link(&shelf, "root/folder", "..");
    put_link(&shelf, "root/sub/fine.txt", "../sub/in.txt");
    put_link(&shelf, "root/loop", "loop");
    static const char *const requests[] = {
        GET("/files/../secret.txt"),
        GET("/files/%2e%2e/secret.txt"),
        GET("/files/sub/../../secret.txt"),
        GET("/files/up.txt"),
        GET("/files/absolute.txt"),
        GET("/files/folder/secret.txt"),
        GET("/files/loop"),
        GET("/files/sub/..%5c..%5csecret.txt"),
    };
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++)
        EXPECT_STATUS(&shelf.site, requests[i], 404);
    static const char *const hidden[] = {
        GET("/files/..%2Fsecret.txt"),
        GET("/files/%2e%2e%2fsecret.txt"),
        GET("/files/sub%2F..%2F..%2Fsecret.txt"),
    };
    for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++) {
        char *heard = exchange(&shelf.site, hidden[i]);
        EXPECT(strncmp(heard, "HTTP/1.1 40", 11) == 0 && strstr(heard, "secret") == NULL);
        free(heard);
    }
    char *heard = exchange(&shelf.site, GET("/files/sub/fine.txt"));
    EXPECT(strstr(heard, "\r\n\r\ninside") != NULL);
    free(heard);
    shelf_stop(&shelf);
}

TEST_FIBER(hides_names_with_a_dot)
{
    struct shelf shelf;

    shelf_start(&shelf);
    put_folder(&shelf, "root/.git");
    put_text(&shelf, "root/.git/config", "x");
    put_text(&shelf, "root/.password", "x");
    EXPECT_STATUS(&shelf.site, GET("/files/.git/config"), 404);
    EXPECT_STATUS(&shelf.site, GET("/files/.password"), 404);
    EXPECT_STATUS(&shelf.site, GET("/files/.git"), 404);
    shelf_stop(&shelf);

    shelf_new(&shelf, NULL, (rn_http_files_config){.dot_files = true});
    site_start(&shelf.site);
    put_text(&shelf, "root/.password", "x");
    EXPECT_STATUS(&shelf.site, GET("/files/.password"), 200);
    EXPECT_STATUS(&shelf.site, GET("/files/..%2Fsecret.txt"), 400);
    shelf_stop(&shelf);
}

TEST_FIBER(serves_nothing_but_regular_files)
{
    struct shelf shelf;
    char path[256];

    shelf_start(&shelf);
    in_folder(&shelf, "root/fifo", path);
    EXPECT_EQ(mkfifo(path, 0644), 0);
    EXPECT_STATUS(&shelf.site, GET("/files/fifo"), 404);
    EXPECT_STATUS(&shelf.site, GET("/files/missing.txt"), 404);
    EXPECT_STATUS(&shelf.site, GET("/files/a.txt/b"), 404);
    shelf_stop(&shelf);
}

TEST_FIBER(answers_other_methods_with_405)
{
    struct shelf shelf;

    shelf_start(&shelf);
    char *heard = exchange(&shelf.site, "DELETE /files/a.txt HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT(strncmp(heard, "HTTP/1.1 405 ", 13) == 0);
    EXPECT(strstr(heard, "\r\nAllow: GET, HEAD\r\n") != NULL);
    free(heard);
    shelf_stop(&shelf);
}

TEST_FIBER(answers_403_without_permission)
{
    struct shelf shelf;
    char path[256];
    uid_t user = geteuid();

    shelf_start(&shelf);
    in_folder(&shelf, "root/a.txt", path);
    EXPECT_EQ(chmod(path, 0), 0);
    if (user != 0 || seteuid(65534) == 0) /* to root everything is permitted */
        EXPECT_STATUS(&shelf.site, GET("/files/a.txt"), 403);
    EXPECT_EQ(seteuid(user), 0);
    shelf_stop(&shelf);
}

TEST_FIBER(answers_503_without_descriptors)
{
    struct shelf shelf;
    struct rlimit limit, none;

    shelf_start(&shelf);
    rn_fd fd = dial(&shelf.site);
    send_text(fd, "GET /files/a.txt HTTP/1.1\r\nHost: x\r\n\r\n");
    hear_until(fd, "\r\n\r\n0123456789");
    EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 3; /* those that are open stay so */
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    send_text(fd, "GET /files/a.txt HTTP/1.1\r\nHost: x\r\n\r\n");
    hear_until(fd, "HTTP/1.1 503 ");
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    send_text(fd, "GET /files/a.txt HTTP/1.1\r\nHost: x\r\n\r\n");
    hear_until(fd, "\r\n\r\n0123456789");
    rn_fd_close(fd);
    shelf_stop(&shelf);
}

/* ---- conditions ---- */

TEST_FIBER(answers_304_without_a_body)
{
    struct shelf shelf;

    shelf_new(&shelf, NULL, (rn_http_files_config){.cache_control = "max-age=60"});
    site_start(&shelf.site);
    EXPECT_ANSWER(&shelf.site, GET_WITH("/files/a.txt", "If-None-Match: " A_ETAG),
                  "HTTP/1.1 304 Not Modified\r\nConnection: close\r\nETag: " A_ETAG
                  "\r\nLast-Modified: " A_MODIFIED "\r\nCache-Control: max-age=60\r\n"
                  "Accept-Ranges: bytes\r\n\r\n");
    char *heard = exchange(&shelf.site, GET_WITH("/files/a.txt", "Range: bytes=10-"));
    EXPECT(strncmp(heard, "HTTP/1.1 416 ", 13) == 0);
    EXPECT(strstr(heard, "Cache-Control") == NULL && strstr(heard, "ETag") == NULL);
    free(heard);
    shelf_stop(&shelf);
}

TEST_FIBER(judges_conditions)
{
    static const struct {
        const char *fields;
        int status;
    } cases[] = {
        {"If-None-Match: \"x\"", 200},
        {"If-None-Match: *", 304},
        {"If-None-Match: \"x\", W/" A_ETAG, 304},
        {"If-None-Match: \"x\"\r\nIf-None-Match: " A_ETAG, 304},
        {"If-None-Match: 3b9aca00.0-a", 200},
        {"If-None-Match: \"x\"\r\nIf-Modified-Since: " A_MODIFIED, 200},
        {"If-Modified-Since: " A_MODIFIED, 304},
        {"If-Modified-Since: Sunday, 09-Sep-01 01:46:40 GMT", 304},
        {"If-Modified-Since: Sun Sep  9 01:46:40 2001", 304},
        {"If-Modified-Since: Sun, 09 Sep 2001 01:46:39 GMT", 200},
        {"If-Modified-Since: yesterday", 200},
        {"If-Match: " A_ETAG, 200},
        {"If-Match: *", 200},
        {"If-Match: W/" A_ETAG, 412},
        {"If-Match: \"x\"", 412},
        {"If-Match: \"x\", " A_ETAG, 200},
        {"If-Match: " A_ETAG "\r\nIf-Unmodified-Since: Sun, 09 Sep 2001 01:46:39 GMT", 200},
        {"If-Unmodified-Since: Sun, 09 Sep 2001 01:46:39 GMT", 412},
        {"If-Unmodified-Since: " A_MODIFIED, 200},
        {"If-Unmodified-Since: never", 200},
        {"If-Match: " A_ETAG "\r\nIf-None-Match: " A_ETAG, 304},
        {"Range: bytes=0-1\r\nIf-Range: " A_ETAG, 206},
        {"Range: bytes=0-1\r\nIf-Range: W/" A_ETAG, 200},
        {"Range: bytes=0-1\r\nIf-Range: \"x\"", 200},
        {"Range: bytes=0-1\r\nIf-Range: " A_MODIFIED, 206},
        {"Range: bytes=0-1\r\nIf-Range: Sun, 09 Sep 2001 01:46:41 GMT", 200},
        {"Range: bytes=10-\r\nIf-Range: \"x\"", 200},
        {"Range: bytes=0-1\r\nIf-None-Match: " A_ETAG, 304},
    };
    struct shelf shelf;
    char request[512];

    shelf_start(&shelf);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(request, sizeof request, GET_WITH("/files/a.txt", "%s"), cases[i].fields);
        EXPECT_STATUS(&shelf.site, request, cases[i].status);
    }
    shelf_stop(&shelf);
}

/* A file that was changed just now may change again within the same tick of its clock. */
TEST_FIBER(trusts_no_file_that_has_just_changed)
{
    struct timespec now[2];
    struct shelf shelf;
    char path[256];

    shelf_start(&shelf);
    in_folder(&shelf, "root/a.txt", path);
    clock_gettime(CLOCK_REALTIME, &now[0]);
    now[0].tv_sec += 3600; /* just now for as long as the test may last */
    now[1] = now[0];
    EXPECT_EQ(utimensat(AT_FDCWD, path, now, 0), 0);
    char *heard = exchange(&shelf.site, GET("/files/a.txt"));
    char *etag = strstr(heard, "\r\nETag: W/\"");
    EXPECT(etag != NULL);
    char request[512];
    snprintf(request, sizeof request,
             GET_WITH("/files/a.txt", "Range: bytes=0-1\r\nIf-Range: %.*s"),
             (int)strcspn(etag + 8, "\r"), etag + 8);
    EXPECT_STATUS(&shelf.site, request, 200);
    free(heard);
    shelf_stop(&shelf);
}

/* ---- ranges ---- */

static void expect_range(struct shelf *shelf, const char *range, const char *content_range,
                         const char *body)
{
    char request[256], answer[512];

    snprintf(request, sizeof request, GET_WITH("/files/a.txt", "Range: %s"), range);
    snprintf(answer, sizeof answer,
             "HTTP/1.1 206 Partial Content\r\nContent-Length: %zu\r\nConnection: close\r\n" A_FIELDS
             "Content-Range: bytes %s/10\r\n" A_TYPE "\r\n%s",
             strlen(body), content_range, body);
    EXPECT_ANSWER(&shelf->site, request, answer);
}

TEST_FIBER(sends_one_range)
{
    struct shelf shelf;

    shelf_start(&shelf);
    expect_range(&shelf, "bytes=0-3", "0-3", "0123");
    expect_range(&shelf, "bytes=4-", "4-9", "456789");
    expect_range(&shelf, "BYTES=-3", "7-9", "789");
    expect_range(&shelf, "bytes=-11", "0-9", "0123456789");
    expect_range(&shelf, "bytes= 9-9 ", "9-9", "9");
    expect_range(&shelf, "bytes=2-99999999999999999999999", "2-9", "23456789");
    expect_range(&shelf, "bytes=0-0,10-20", "0-0", "0"); /* the other is not in the file */
    expect_range(&shelf, "bytes=,5-5,", "5-5", "5");
    shelf_stop(&shelf);
}

TEST_FIBER(refuses_ranges_outside_the_file)
{
    static const char *const ranges[] = {
        "bytes=10-",  "bytes=10-20,30-", "bytes=-0", "bytes=3-2", "bytes=x-2",        "bytes=1",
        "bytes=1-2x", "bytes=-",         "bytes=",   "bytes=--1", "bytes=0-1,2-x,4-5"};
    struct shelf shelf;
    char request[256];

    shelf_start(&shelf);
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        snprintf(request, sizeof request, GET_WITH("/files/a.txt", "Range: %s"), ranges[i]);
        EXPECT_STATUS(&shelf.site, request, 416);
    }
    char *heard = exchange(&shelf.site, GET_WITH("/files/a.txt", "Range: bytes=10-"));
    EXPECT(strstr(heard, "\r\nContent-Range: bytes */10\r\n") != NULL);
    free(heard);
    shelf_stop(&shelf);
}

TEST_FIBER(sends_the_whole_where_ranges_do_not_help)
{
    struct shelf shelf;
    char request[1024] = "GET /files/a.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                         "Range: bytes=0-0";

    shelf_start(&shelf);
    put_text(&shelf, "root/empty.txt", "");
    EXPECT_ANSWER(&shelf.site, GET_WITH("/files/a.txt", "Range: lines=1-2"), A_WHOLE);
    EXPECT_ANSWER(&shelf.site, GET_WITH("/files/a.txt", "Range: bytes=0-,0-"), A_WHOLE);
    for (int i = 0; i < 32; i++)
        strcat(request, ",10-10");
    strcat(request, "\r\n\r\n");
    EXPECT_ANSWER(&shelf.site, request, A_WHOLE);
    EXPECT_STATUS(&shelf.site, GET_WITH("/files/empty.txt", "Range: bytes=0-"), 200);
    shelf_stop(&shelf);
}

static void expect_parts(struct shelf *shelf)
{
    char *heard = exchange(&shelf->site, GET_WITH("/files/a.txt", "Range: bytes=8-,0-1, 4-4"));
    char *boundary = strstr(heard, "multipart/byteranges; boundary="), body[1024], *at;

    EXPECT(strncmp(heard, "HTTP/1.1 206 ", 13) == 0 && boundary != NULL);
    boundary += strlen("multipart/byteranges; boundary=");
    int n = (int)strcspn(boundary, "\r");
    EXPECT_EQ(n, 32);
    snprintf(body, sizeof body,
             "--%.*s\r\n" A_TYPE "Content-Range: bytes 8-9/10\r\n\r\n89\r\n"
             "--%.*s\r\n" A_TYPE "Content-Range: bytes 0-1/10\r\n\r\n01\r\n"
             "--%.*s\r\n" A_TYPE "Content-Range: bytes 4-4/10\r\n\r\n4\r\n"
             "--%.*s--\r\n",
             n, boundary, n, boundary, n, boundary, n, boundary);
    EXPECT((at = strstr(heard, "\r\n\r\n")) != NULL);
    EXPECT_STR(at + 4, body);
    char length[64];
    snprintf(length, sizeof length, "\r\nContent-Length: %zu\r\n", strlen(body));
    EXPECT(strstr(heard, length) != NULL);
    free(heard);
}

TEST_FIBER(sends_several_ranges)
{
    struct shelf shelf;

    shelf_start(&shelf);
    expect_parts(&shelf);
    shelf_stop(&shelf);
    shelf_new(&shelf, &(rn_http_server_config){.transport = &through}, (rn_http_files_config){0});
    site_start(&shelf.site);
    expect_parts(&shelf);
    shelf_stop(&shelf);
}

/* ---- files that change ---- */

/* The client has room for a little of it only, so the rest is still to be read from the file. */
static void expect_cut_off(const rn_http_server_config *config)
{
    struct shelf shelf;
    char path[256], *big = make_big();

    shelf_new(&shelf, config, (rn_http_files_config){0});
    EXPECT_OK(rn_net_set(shelf.site.listener, RN_NET_WRITE_BUFFER, 16384));
    EXPECT_OK(rn_net_set(shelf.site.listener, RN_NET_READ_BUFFER, 16384));
    site_start(&shelf.site);
    put_file(&shelf, "root/big.bin", big, BIG_BYTES);
    in_folder(&shelf, "root/big.bin", path);
    rn_fd fd = dial(&shelf.site);
    send_text(fd, GET("/files/big.bin"));
    hear_until(fd, "\r\n\r\n");
    EXPECT_EQ(truncate(path, 0), 0);
    struct heard heard = hear_all(fd);
    EXPECT(heard.size < BIG_BYTES);
    EXPECT(memcmp(heard.text, big, heard.size) == 0);
    free(heard.text);
    rn_fd_close(fd);
    EXPECT_STATUS(&shelf.site, GET("/files/a.txt"), 200); /* the others go on */
    shelf_stop(&shelf);
    free(big);
}

TEST_FIBER(cuts_off_a_file_that_became_shorter)
{
    expect_cut_off(NULL);
}

TEST_FIBER(cuts_off_a_file_that_became_shorter_through_a_transport)
{
    expect_cut_off(&(rn_http_server_config){.transport = &through});
}

TEST_FIBER(survives_a_client_that_leaves_in_the_middle)
{
    struct shelf shelf;
    char *big = make_big();

    shelf_start(&shelf);
    put_file(&shelf, "root/big.bin", big, BIG_BYTES);
    rn_fd fd = dial(&shelf.site);
    send_text(fd, GET("/files/big.bin"));
    hear_until(fd, "\r\n\r\n");
    rn_fd_close(fd);
    EXPECT_ANSWER(&shelf.site, GET("/files/a.txt"), A_WHOLE);
    shelf_stop(&shelf);
    free(big);
}

/* ---- one file, from a handler ---- */

static int send_path(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *path)
{
    return rn_http_send_file(ctx, req, res, path, NULL);
}

static int send_typed(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *path)
{
    EXPECT_EQ(rn_http_send_file(ctx, req, res, path, "text/x\r\ny"), -EINVAL);
    return rn_http_send_file(ctx, req, res, path, "text/x");
}

static int send_not_found(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *path)
{
    rn_http_status(res, 404);
    return rn_http_send_file(ctx, req, res, path, NULL);
}

static int send_handle(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *path)
{
    rn_fd file = {0};

    EXPECT_EQ(rn_http_send_fd(ctx, req, res, file, NULL), -EBADF);
    EXPECT_OK(rn_fd_open(&file, open("/tmp", O_RDONLY | O_CLOEXEC)));
    EXPECT_EQ(rn_http_send_fd(ctx, req, res, file, NULL), -EINVAL);
    rn_fd_close(file);
    EXPECT_OK(rn_fd_open(&file, open(path, O_RDONLY | O_CLOEXEC)));
    EXPECT_OK(rn_http_send_fd(ctx, req, res, file, "text/plain"));
    EXPECT_EQ(rn_http_send_fd(ctx, req, res, file, "text/plain"), -EBUSY);
    EXPECT_EQ(rn_http_send_file(ctx, req, res, path, NULL), -EBUSY);
    rn_fd_close(file);
    return 0;
}

TEST_FIBER(sends_one_file_from_a_handler)
{
    struct shelf shelf;
    char path[256];

    shelf_new(&shelf, NULL, (rn_http_files_config){0});
    in_folder(&shelf, "root/a.txt", path);
    rn_http_server *s = shelf.site.server;
    EXPECT_OK(rn_http_route(s, "GET", "/path", send_path, path));
    EXPECT_OK(rn_http_route(s, "GET", "/typed", send_typed, path));
    EXPECT_OK(rn_http_route(s, "GET", "/not-found", send_not_found, path));
    EXPECT_OK(rn_http_route(s, "GET", "/handle", send_handle, path));
    EXPECT_OK(rn_http_route(s, "GET", "/nowhere", send_path, "/nowhere/at/all"));
    EXPECT_OK(rn_http_route(s, "GET", "/folder", send_path, "/tmp"));
    site_start(&shelf.site);
    EXPECT_ANSWER(&shelf.site, GET("/path"), A_WHOLE);
    EXPECT_STATUS(&shelf.site, GET_WITH("/path", "If-None-Match: " A_ETAG), 304);
    EXPECT_STATUS(&shelf.site, GET("/nowhere"), 404);
    EXPECT_STATUS(&shelf.site, GET("/folder"), 404);
    EXPECT_ANSWER(&shelf.site, GET_WITH("/not-found", "Range: bytes=0-1"),
                  "HTTP/1.1 404 Not Found\r\nContent-Length: 10\r\nConnection: close\r\n" A_TYPE
                  "\r\n0123456789");
    char *heard = exchange(&shelf.site, GET_WITH("/typed", "Range: bytes=0-1"));
    EXPECT(strstr(heard, "Content-Type: text/x\r\n\r\n01") != NULL);
    free(heard);
    heard = exchange(&shelf.site, GET("/handle"));
    EXPECT(strstr(heard, "Content-Type: text/plain\r\n\r\n0123456789") != NULL);
    free(heard);
    shelf_stop(&shelf);
}

/* ---- roots ---- */

TEST_FIBER(keeps_the_root_that_it_opened)
{
    struct shelf shelf;
    char from[256], to[256];

    shelf_start(&shelf);
    in_folder(&shelf, "root", from);
    in_folder(&shelf, "renamed", to);
    EXPECT_EQ(rename(from, to), 0);
    put_folder(&shelf, "root");
    put_text(&shelf, "root/b.txt", "other");
    EXPECT_ANSWER(&shelf.site, GET("/files/a.txt"), A_WHOLE);
    EXPECT_STATUS(&shelf.site, GET("/files/b.txt"), 404);
    shelf_stop(&shelf);
}

TEST_FIBER(refuses_bad_roots)
{
    rn_http_files *files;

    EXPECT_EQ(rn_http_files_new(&files, &(rn_http_files_config){0}), -EINVAL);
    EXPECT(files == NULL);
    EXPECT_EQ(rn_http_files_new(&files, &(rn_http_files_config){.root = "/nowhere"}), -ENOENT);
    EXPECT(strstr(rn_error_detail(), "/nowhere") != NULL);
    EXPECT_EQ(rn_http_files_new(&files, &(rn_http_files_config){.root = "/dev/null"}), -ENOTDIR);
    EXPECT_EQ(rn_http_files_new(&files, &(rn_http_files_config){.root = "/", .index = "a/b"}),
              -EINVAL);
    EXPECT_EQ(rn_http_files_new(&files,
                                &(rn_http_files_config){.root = "/", .cache_control = "a\r\nb: c"}),
              -EINVAL);
    rn_http_files_free(files);
}
