/* The life of clients: idle ones, runtimes that end and begin, exits, dumps. */
#include "peer.h"

#include <curl/curl.h>
#include <runnel/curl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static void get_hello(rn_curl *client, const struct peer *p)
{
    rn_curl_response r;
    EXPECT_OK(rn_curl_get(NULL, AT(p, "/hello"), &(rn_curl_request){.client = client}, &r));
    EXPECT_STR(r.body, "hello\n");
    rn_curl_response_free(&r);
}

TEST_FIBER(closing_idle_connections)
{
    struct peer p;
    peer_start(&p, 0);
    EXPECT_EQ(rn_curl_close_idle(NULL), 0); /* there are none */
    get_hello(NULL, &p);
    EXPECT_EQ(atomic_load(&p.open), 1);
    EXPECT_EQ(rn_curl_close_idle(NULL), 0);
    while (atomic_load(&p.open) != 0) /* the server sees it */
        rn_yield();
    get_hello(NULL, &p);
    EXPECT_EQ(atomic_load(&p.accepted), 2);
    peer_stop(&p);
}

struct hanging {
    struct peer *p;
    rn_curl *client;
};

static int get_hanging(rn_ctx *ctx, void *arg)
{
    struct hanging *h = arg;
    rn_curl_response r;
    int err = rn_curl_get(ctx, AT(h->p, "/hang"), &(rn_curl_request){.client = h->client}, &r);
    rn_curl_response_free(&r);
    return err;
}

TEST_FIBER(a_busy_client_is_not_closed)
{
    struct peer p;
    rn_curl *client;
    peer_start(&p, 0);
    EXPECT_OK(rn_curl_new(&client, &(rn_curl_config){.name = "tester"}));
    rn_group *g = rn_group_new(NULL);
    EXPECT_OK(rn_group_go_copy(g, get_hanging, &(struct hanging){&p, client}));
    await_count(&p.waiting, 1);
    EXPECT_EQ(rn_curl_close_idle(client), -EBUSY);
    EXPECT_EQ(atomic_load(&p.open), 1);
    rn_group_cancel(g, 0);
    EXPECT_EQ(rn_group_wait(g), -ECANCELED);
    rn_curl_free(client);
    peer_stop(&p);
}

static void free_a_busy_one(void)
{
    struct peer p;
    rn_curl *client;
    peer_start(&p, 0);
    EXPECT_OK(rn_curl_new(&client, &(rn_curl_config){.name = "busy"}));
    rn_group *g = rn_group_new(NULL);
    EXPECT_OK(rn_group_go_copy(g, get_hanging, &(struct hanging){&p, client}));
    await_count(&p.waiting, 1);
    rn_curl_free(client);
}

TEST_DIES(a_busy_client_is_not_freed, "rn_curl_free of \"busy\": transfers run on it", SIGABRT)
{
    test_on_fiber(free_a_busy_one);
}

TEST_FIBER(a_client_is_shown_in_dumps)
{
    struct peer p;
    rn_curl *client;
    char text[4096] = "";
    peer_start(&p, 0);
    EXPECT_OK(rn_curl_new(&client, &(rn_curl_config){.name = "orders"}));
    get_hello(client, &p);
    get_hello(client, &p);
    int fd = memfd_create("dump", MFD_CLOEXEC);
    rn_dump(fd);
    EXPECT(pread(fd, text, sizeof text - 1, 0) > 0);
    EXPECT(strstr(text, "curl \"orders\" [0 running of 2, 0 failed, 1 connections]") != NULL);
    close(fd);
    rn_curl_free(client);
    peer_stop(&p);
}

TEST_FIBER(nothing_is_left_of_a_client)
{
    struct peer p;
    rn_curl *client;
    peer_start(&p, 0);
    get_hello(NULL, &p); /* what is there for good, is there now */
    rn_curl_close_idle(NULL);
    while (atomic_load(&p.open) != 0)
        rn_yield();
    int before = fds_open();
    uint64_t fibers = stats_now().fibers_live;
    for (int i = 0; i < 5; i++) {
        EXPECT_OK(rn_curl_new(&client, NULL));
        get_hello(client, &p);
        rn_curl_free(client);
    }
    while (atomic_load(&p.open) != 0)
        rn_yield();
    await_live(fibers);
    while (fds_open() > before)
        rn_yield();
    EXPECT_EQ(fds_open(), before);
    peer_stop(&p);
}

/*
 * A server on a plain thread and in a process of its own, so that nothing of it is in our runtime:
 * answers every request on one connection after the other.
 */
static char outside_url[64];
static pid_t outside;

static void answer_hello(int conn)
{
    static const char hello[] = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n";
    char text[4096];
    size_t used = 0;
    ssize_t n;
    while ((n = read(conn, text + used, sizeof text - 1 - used)) > 0) {
        text[used += (size_t)n] = '\0';
        if (strstr(text, "\r\n\r\n") == NULL)
            continue;
        used = 0;
        if (strstr(text, "/hang") == NULL && write(conn, hello, sizeof hello - 1) < 0)
            return;
    }
}

static void *outside_conn(void *arg)
{
    answer_hello((int)(intptr_t)arg);
    close((int)(intptr_t)arg);
    return NULL;
}

static void outside_start(void)
{
    struct sockaddr_storage any;
    socklen_t length = sizeof any;
    rn_address address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    EXPECT_OK(rn_address_parse("127.0.0.1:0", &address));
    EXPECT_EQ(bind(listener, (void *)address.sockaddr, address.length), 0);
    EXPECT_EQ(listen(listener, 16), 0);
    EXPECT_EQ(getsockname(listener, (void *)&any, &length), 0);
    memcpy(address.sockaddr, &any, length);
    snprintf(outside_url, sizeof outside_url, "http://127.0.0.1:%d/", rn_address_port(&address));
    outside = fork();
    if (outside == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int conn; outside == 0;) {
        pthread_t thread;
        if ((conn = accept(listener, NULL, NULL)) < 0 ||
            pthread_create(&thread, NULL, outside_conn, (void *)(intptr_t)conn) != 0)
            _exit(1);
    }
    close(listener);
    unsetenv("http_proxy");
}

static void outside_stop(void)
{
    kill(outside, SIGKILL);
    EXPECT_EQ(waitpid(outside, NULL, 0), outside);
}

static int get_outside(rn_ctx *ctx, void *path)
{
    rn_curl_response r;
    char url[128];
    snprintf(url, sizeof url, "%s%s", outside_url, (const char *)path);
    int err = rn_curl_get(ctx, url, NULL, &r);
    if (err == 0)
        EXPECT_STR(r.body, "hello\n");
    rn_curl_response_free(&r);
    return err;
}

/* ---- idle clients ---- */

/* The driver ended with the last transfer: a deadlock is found although a connection is open. */
static void get_and_wait_for_ever(void)
{
    rn_mutex never = {0};
    EXPECT_OK(get_outside(NULL, ""));
    rn_mutex_lock(&never);
    rn_mutex_lock(&never);
}

TEST_DIES(an_idle_client_hides_no_deadlock, "all fibers are asleep - deadlock", 2)
{
    outside_start();
    test_on_fiber(get_and_wait_for_ever);
}

/* ---- runtimes that end ---- */

static int app_get(int argc, char **argv)
{
    (void)argc, (void)argv;
    return get_outside(NULL, "");
}

TEST(the_shared_client_outlives_runtimes)
{
    outside_start();
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(rn_run(app_get, 0, NULL), 0);
    rn_curl_stats stats;
    rn_curl_stats_read(NULL, &stats);
    EXPECT_EQ(stats.transfers, 3);
    EXPECT_EQ(stats.connections, 3);
    outside_stop();
}

static void hang_detached(void *arg)
{
    (void)arg;
    get_outside(NULL, "hang");
}

/* Ends with transfers in flight, which the runtime drops. */
static int app_hang(int argc, char **argv)
{
    (void)argc, (void)argv;
    for (int i = 0; i < 3; i++)
        EXPECT_OK(rn_go(hang_detached, NULL));
    rn_curl_stats stats;
    do {
        rn_yield();
        rn_curl_stats_read(NULL, &stats);
    } while (stats.running < 3);
    return 0;
}

TEST(transfers_that_a_runtime_dropped_do_no_harm)
{
    outside_start();
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(rn_run(app_hang, 0, NULL), 0);
        EXPECT_EQ(rn_run(app_get, 0, NULL), 0);
    }
    EXPECT_EQ(rn_curl_close_idle(NULL), 0);
    outside_stop();
    _exit(0); /* what dropped fibers held is lost, which a check for leaks would say */
}

TEST(a_client_is_freed_after_its_runtime)
{
    rn_curl *client;
    rn_curl_response r;
    outside_start();
    EXPECT_OK(rn_curl_new(&client, NULL));
    EXPECT_OK(rn_curl_get(NULL, outside_url, &(rn_curl_request){.client = client}, &r));
    EXPECT_EQ(rn_stop(), 0);
    rn_curl_response_free(&r);
    rn_curl_free(client);
    outside_stop();
}

/* ---- exits ---- */

TEST_DIES(an_exit_with_the_runtime_running, "", 7)
{
    outside_start();
    EXPECT_OK(get_outside(NULL, ""));
    exit(7);
}

TEST_DIES(an_exit_after_the_runtime, "", 7)
{
    outside_start();
    EXPECT_EQ(rn_run(app_get, 0, NULL), 0);
    exit(7);
}
