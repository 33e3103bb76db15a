/*
 * Crawls a site: from one page on every link once, four pages at a time, fifty a second. Ctrl-C
 * ends it with a report. Without a URL it serves a small site itself, and crawls that. It never
 * leaves the scheme, host and port where it started: links elsewhere are counted, and redirects are
 * links like others. A link is what stands in href or src. Link it with -lcurl too.
 */
#include <curl/curl.h>
#include <runnel.h>
#include <runnel/curl.h>
#include <runnel/http.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct page {
    char *url;  /* the first is where it started */
    int status; /* of HTTP; below 0: a code; 0: not seen */
} pages[5000];
static size_t known, elsewhere, origin; /* under lock; origin: bytes of "http://host:port/" */
static rn_mutex lock;
static rn_group *crawl;
static rn_semaphore *places;
static rn_keyed_limiter *pace; /* by origin */

static int visit(rn_ctx *ctx, void *page);

/* A page that is new, and of this site, is visited on a fiber of its own. */
static void follow(const char *base, const char *link, size_t length)
{
    char *text = strndup(link, length), *url = NULL;
    CURLU *u = curl_url();
    if ((base == NULL || curl_url_set(u, CURLUPART_URL, base, 0) == CURLUE_OK) &&
        curl_url_set(u, CURLUPART_URL, text, CURLU_URLENCODE) == CURLUE_OK &&
        curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0) == CURLUE_OK)
        curl_url_get(u, CURLUPART_URL, &url, CURLU_NO_DEFAULT_PORT);
    curl_url_cleanup(u);
    free(text);
    if (url == NULL) /* mailto: and the like */
        return;
    size_t i = 0;
    rn_mutex_lock(&lock);
    if (known == 0)
        origin = (size_t)(strchr(strstr(url, "://") + 3, '/') - url) + 1;
    bool here = known == 0 || strncmp(url, pages[0].url, origin) == 0;
    while (here && i < known && strcmp(pages[i].url, url) != 0)
        i++;
    bool fresh = here && i == known && known < sizeof pages / sizeof pages[0];
    if (fresh)
        pages[known++].url = url;
    elsewhere += !here;
    rn_mutex_unlock(&lock);
    if (fresh)
        rn_group_go(crawl, visit, &pages[i]);
    else
        curl_free(url);
}

static void scan(const char *base, const char *at)
{
    while ((at = strpbrk(at, " \t\r\n\"'")) != NULL) {
        at++;
        size_t name = strncasecmp(at, "href", 4) == 0 ? 4 : strncasecmp(at, "src", 3) == 0 ? 3 : 0;
        const char *value = at + name + strspn(at + name, " \t\r\n");
        if (name == 0 || *value++ != '=')
            continue;
        value += strspn(value, " \t\r\n");
        const char *end = *value == '"' ? "\"" : *value == '\'' ? "'" : " \t\r\n>";
        value += end[1] == '\0'; /* behind the quote */
        follow(base, value, strcspn(value, end));
    }
}

static int visit(rn_ctx *ctx, void *arg)
{
    struct page *page = arg;
    rn_curl_response r = {0};
    if (rn_semaphore_acquire(ctx, places, 1) != 0)
        return 0; /* it is over */
    if (rn_keyed_limiter_wait(ctx, pace, pages[0].url, origin, 1) == 0) {
        int err = rn_curl_get(ctx, page->url, &(rn_curl_request){.max_redirects = -1}, &r);
        page->status = err == 0 ? r.status : err == -ECANCELED ? 0 : err;
    }
    rn_semaphore_release(places, 1);
    const char *to = rn_curl_header(&r, "Location", 0);
    const char *type = rn_curl_header(&r, "Content-Type", 0);
    if (page->status / 100 == 3 && to != NULL)
        follow(page->url, to, strlen(to));
    else if (page->status > 0 && type != NULL && strncasecmp(type, "text/html", 9) == 0)
        scan(page->url, r.body);
    rn_curl_response_free(&r);
    return 0;
}

/* A page of our own site: arg is its text, or where it has moved. */
static int answer(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    (void)req;
    return *(char *)arg == '/' ? rn_http_redirect(ctx, res, 301, arg)
                               : rn_http_reply(ctx, res, 200, "text/html", arg, strlen(arg));
}

static int serve(rn_ctx *ctx, void *listener)
{
    rn_http_server *s = NULL;
    rn_http_server_new(&s, NULL);
    rn_http_route(s, "GET", "/{$}", answer, "<a href=a>A</a> <a class=x href='/b#top'>B</a>");
    rn_http_route(s, "GET", "/a", answer, "<img src=\"a.png\"> <a href = \"/gone\">gone</a>");
    rn_http_route(s, "GET", "/b", answer, "<a href='./a'>A</a> <a href='http://else.invalid/'>");
    rn_http_route(s, "GET", "/gone", answer, "/b?moved=1");
    int err = rn_http_serve(ctx, s, *(rn_fd *)listener);
    rn_http_server_free(s);
    return err;
}

static int app(int argc, char **argv)
{
    rn_ctx *ctx = rn_ctx_with_signals(NULL, SIGINT, SIGTERM);
    rn_group *server = rn_group_new(NULL);
    char own[64] = "", *start = argc > 1 ? argv[1] : own;
    size_t seen = 0, failed = 0;
    rn_address at;
    rn_fd listener;
    if (argc == 1 && rn_listen(NULL, "127.0.0.1:0", NULL, &listener) == 0) {
        rn_net_local(listener, &at);
        snprintf(own, sizeof own, "http://127.0.0.1:%d/", rn_address_port(&at));
        rn_group_go(server, serve, &listener);
    }
    rn_semaphore_new(&places, 4);
    rn_keyed_limiter_new(&pace, &(rn_keyed_limiter_config){.per_second = 50, .burst = 4});
    crawl = rn_group_new(ctx);
    follow(NULL, start, strlen(start));
    if (known == 0)
        fprintf(stderr, "crawler: \"%s\" is no URL, such as http://localhost:8080/\n", start);
    rn_group_wait(crawl);
    rn_group_cancel(server, 0);
    rn_group_wait(server);
    rn_keyed_limiter_free(pace);
    rn_semaphore_free(places);
    rn_ctx_release(ctx);
    for (size_t i = 0; i < known; curl_free(pages[i++].url))
        if (pages[i].status > 0)
            seen += printf("%d %s\n", pages[i].status, pages[i].url + origin - 1) > 0;
        else if (pages[i].status < 0)
            failed += printf("%s: %s\n", rn_strerror(pages[i].status), pages[i].url) > 0;
    printf("%zu pages seen, %zu failed, %zu not yet, %zu links elsewhere\n", seen, failed,
           known - seen - failed, elsewhere);
    return seen == 0 || seen != known;
}

int main(int argc, char **argv)
{
    return rn_run(app, argc, argv);
}
