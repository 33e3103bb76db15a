/* Fetches URLs, four at once: the first failure cancels the rest. With none, it serves its own. */
#include <runnel.h>
#include <runnel/curl.h>
#include <runnel/http.h>
#include <stdio.h>
#include <stdlib.h>

static rn_http_server *server; /* our own */
static char base[64];          /* its URL; "" before URLs */
struct page {
    const char *name;
    int err;
};

static int fetch(rn_ctx *ctx, void *arg)
{
    struct page *page = arg;
    char url[300];
    rn_curl_response r;
    snprintf(url, sizeof url, "%s%s", base, page->name);
    page->err = rn_curl_get(ctx, url, &(rn_curl_request){.fail_on_status = true}, &r);
    rn_curl_response_free(&r);
    return page->err;
}

static int fetch_all(char **names, int n)
{
    struct page *pages = calloc((size_t)n, sizeof *pages);
    rn_group *g = rn_group_new(NULL);
    if (pages == NULL || g == NULL)
        return -ENOMEM;
    rn_group_set_limit(g, 4);
    for (int i = 0; i < n; i++) {
        pages[i] = (struct page){.name = names[i], .err = -ECANCELED};
        rn_group_go(g, fetch, &pages[i]); /* waits for room; after a failure it starts none */
    }
    int err = rn_group_wait(g);
    for (int i = 0; i < n; i++)
        printf("%s: %s\n", names[i], rn_strerror(pages[i].err));
    printf("all: %s\n", rn_strerror(err));
    free(pages);
    return err;
}

static int answer(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *why)
{
    char kind = rn_http_path(req)[1]; /* s: a slow one, which takes for ever */
    return kind == 's' ? rn_ctx_wait(ctx) : kind == 'b' ? rn_http_error(ctx, res, 503, why) : 0;
}

static int serve(rn_ctx *ctx, void *listener)
{
    return rn_http_serve(ctx, server, *(rn_fd *)listener);
}

static int app(int argc, char **argv)
{
    char *names[] = {"/page1", "/page2", "/page3", "/slow1", "/broken", "/slow2"};
    rn_address at;
    rn_fd listener;
    if (argc > 1)
        return fetch_all(argv + 1, argc - 1) != 0;
    rn_group *serving = rn_group_new(NULL);
    if (rn_http_server_new(&server, NULL) || rn_listen(NULL, "127.0.0.1:0", NULL, &listener) ||
        rn_http_route(server, "GET", "/", answer, "Out of order") || rn_net_local(listener, &at) ||
        rn_group_go(serving, serve, &listener))
        return 1;
    snprintf(base, sizeof base, "http://127.0.0.1:%d", rn_address_port(&at));
    fetch_all(names, 3);
    fetch_all(names + 3, 3);
    rn_group_cancel(serving, 0);
    rn_group_wait(serving);
    rn_http_server_free(server);
    return 0;
}

int main(int argc, char **argv)
{
    return rn_run(app, argc, argv);
}
