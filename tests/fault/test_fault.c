/*
 * Everything fails once: each scenario is run with the first, the second, ... call to the outside
 * failing, until none is left. Each time the codes say so, what was made can be freed, nobody
 * hangs, and the next run works.
 */
/* ctest: WORKERS=1 2 TIMEOUT=180 */
#include "core.h"
#include "os/os.h"
#include "points.h"
#include "test.h"

#include <runnel.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define CALLS_MAX 2000

static atomic_int calls;      /* while counting: how many so far */
static atomic_int fail_at;    /* 0: none fails */
static const char *failed_at; /* the name of the one that did */

static bool fails_now(const char *name)
{
    int at = atomic_load(&fail_at);

    if (at == 0 || atomic_fetch_add(&calls, 1) + 1 != at)
        return false;
    failed_at = name;
    return true;
}

#define POINT(type, name, failure, parameters, arguments)                                          \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters                                                                  \
    {                                                                                              \
        return fails_now(#name) ? failure : __real_##name arguments;                               \
    }
POINTS(POINT)
#undef POINT

static int (*scenario)(void);
static int scenario_result;

static int run_scenario(int argc, char **argv)
{
    (void)argc, (void)argv;
    scenario_result = scenario();
    return 0;
}

/* What a failing call may be turned into, and what a scenario without a failure returns. */
static bool expected(int err)
{
    return err == 0 || err == -ENOMEM || err == -EMFILE || err == -EAGAIN || err == -ENOSPC ||
           err == -EBADF || err == -EIO || err == -ECANCELED || err == -EADDRINUSE ||
           err == -ENETUNREACH || err == -ECONNREFUSED || err == -ENOBUFS || err == -ENOPROTOOPT ||
           err == RN_ELOOKUP;
}

/* True when the n-th call was reached, and failed. */
static bool fail_nth(int n)
{
    failed_at = NULL;
    scenario_result = 0;
    atomic_store(&calls, 0);
    atomic_store(&fail_at, n);
    int started = rn_run(run_scenario, 0, NULL);
    atomic_store(&fail_at, 0);
    if (!expected(scenario_result))
        test_failed(__FILE__, __LINE__, "call %d, %s failed: the scenario returned %d (%s)", n,
                    failed_at, scenario_result, rn_strerror(scenario_result));
    if (started != 0 && failed_at == NULL)
        test_failed(__FILE__, __LINE__, "call %d: rn_run failed without a cause", n);
    return failed_at != NULL;
}

static void fail_each(int (*fn)(void))
{
    int n = 1;

    scenario = fn;
    EXPECT_EQ(rn_run(run_scenario, 0, NULL), 0);
    EXPECT_EQ(scenario_result, 0);
    while (fail_nth(n))
        EXPECT(++n < CALLS_MAX);
    EXPECT(n > 1);
    EXPECT_EQ(scenario_result, 0);
}

/* ---- starting and stopping ---- */

static int do_nothing(void)
{
    return 0;
}

TEST(the_runtime_starts_or_says_why)
{
    fail_each(do_nothing);
}

/* ---- fibers, channels, select, contexts, time ---- */

struct sender {
    rn_chan(int) ch;
    rn_wait_group *senders;
};

static void send_one(void *arg)
{
    struct sender *s = arg;

    EXPECT_EQ(rn_send(NULL, s->ch, 1), 0);
    rn_wait_group_done(s->senders);
}

static int fibers_and_channels(void)
{
    rn_chan(int) ch = rn_chan_make(int, 4);
    rn_wait_group senders = {0};
    int err = ch == NULL ? -ENOMEM : 0, started = 0, value;

    for (int i = 0; i < 20 && err == 0; i++) {
        rn_wait_group_add(&senders, 1);
        err = rn_go_copy(send_one, &(struct sender){ch, &senders});
        if (err == 0)
            started++;
        else
            rn_wait_group_done(&senders);
    }
    for (int i = 0; i < started; i++)
        EXPECT_EQ(rn_recv(NULL, ch, &value), 0);
    EXPECT_EQ(rn_wait_group_wait(NULL, &senders), 0);
    rn_chan_release(ch);
    return err;
}

TEST(fibers_and_channels_survive)
{
    fail_each(fibers_and_channels);
}

struct large {
    char bytes[1000];
};

/* Values that nobody wants: small ones need no memory, of large ones none is lost. */
static int throw_away(void)
{
    rn_chan(int) small = rn_chan_make(int, 2);
    rn_chan(struct large) large = rn_chan_make(struct large, 2);
    int err = small == NULL || large == NULL ? -ENOMEM : 0;

    if (err == 0) {
        EXPECT_EQ(rn_send_n(NULL, small, ((int[]){1, 2}), 2), 2);
        EXPECT_EQ(rn_send(NULL, large, (struct large){{0}}), 0);
        EXPECT_EQ(rn_chan_recv(NULL, rn_chan_untyped(small), NULL), 0);
        EXPECT_EQ(rn_chan_try_recv(rn_chan_untyped(small), NULL), 0);
        err = rn_chan_recv(NULL, rn_chan_untyped(large), NULL);
        EXPECT_EQ(rn_len(large), err == 0 ? 0 : 1);
    }
    if (err == 0) {
        struct large *nowhere = NULL;
        rn_case any = rn_on_recv(large, nowhere);
        EXPECT_EQ(rn_send(NULL, large, (struct large){{0}}), 0);
        err = rn_select(NULL, any);
        EXPECT_EQ(rn_len(large), err == 0 ? 0 : 1);
    }
    rn_chan_release(small);
    rn_chan_release(large);
    return err;
}

TEST(receives_into_null_survive)
{
    fail_each(throw_away);
}

static int wait_in_select(void)
{
    rn_chan(int) a = rn_chan_make(int, 0), b = rn_chan_make(int, 1);
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, RN_MILLISECOND);
    int value, err = a == NULL || b == NULL || ctx == NULL ? -ENOMEM : 0;
    rn_case cases[20];

    if (err == 0) {
        for (int i = 0; i < 20; i++)
            cases[i] = rn_on_recv(i % 2 == 0 ? a : b, &value);
        err = rn_select_n(ctx, cases, 20, 0);
        if (err == -ETIMEDOUT)
            err = rn_select(NULL, rn_on_recv(a, &value), rn_on_timeout(1));
        err = err > 0 ? 0 : err;
    }
    rn_ctx_release(ctx);
    rn_chan_release(a);
    rn_chan_release(b);
    return err;
}

TEST(selects_survive)
{
    fail_each(wait_in_select);
}

static void note_end(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
}

static int contexts_and_timers(void)
{
    static int key;
    static atomic_int ends;
    rn_ctx *root = rn_ctx_with_cancel(NULL);
    rn_ctx *child = rn_ctx_with_value(root, &key, &key);
    rn_ctx_stop *stop = NULL;
    rn_timer *timer = rn_timer_new(RN_HOUR);
    rn_ticker *ticker = NULL;
    int err = root == NULL || child == NULL || timer == NULL ? -ENOMEM : 0;

    if (err == 0)
        err = rn_ctx_after_func(child, note_end, &ends, &stop);
    if (err == 0)
        err = rn_ticker_new(&ticker, RN_HOUR);
    if (stop != NULL)
        rn_ctx_stop_func(stop);
    rn_timer_free(timer);
    rn_ticker_free(ticker);
    rn_ctx_release(child);
    rn_ctx_release(root);
    return err;
}

TEST(contexts_and_timers_survive)
{
    fail_each(contexts_and_timers);
}

/* ---- groups and pools ---- */

static int succeed(rn_ctx *ctx, void *arg)
{
    return arg == NULL ? rn_sleep(ctx, 1) : 0;
}

static int group(void)
{
    rn_group *g = rn_group_new(NULL);
    int err = 0;

    for (int i = 0; i < 20 && err == 0; i++)
        err = rn_group_go(g, succeed, NULL);
    if (err == 0)
        err = rn_group_defer(g, free, NULL);
    int result = rn_group_wait(g);
    return err != 0 ? err : result;
}

TEST(groups_survive)
{
    fail_each(group);
}

static int twice(rn_ctx *ctx, void *arg, int *job, int *result)
{
    (void)ctx, (void)arg;
    *result = 2 * *job;
    return 0;
}

static int pool(void)
{
    rn_worker_pool(int, int) pool;
    rn_worker_result(int) r;
    int err = rn_worker_pool_new(&pool, twice, NULL, &(rn_worker_pool_config){.ordered = true});

    for (int i = 0; i < 20 && err == 0; i++)
        err = rn_worker_pool_submit(NULL, pool, i);
    if (err == 0)
        rn_worker_pool_drain(pool);
    for (int i = 0; i < 20 && err == 0; i++)
        err = rn_worker_pool_recv(NULL, pool, &r);
    rn_worker_pool_free(pool);
    return err;
}

TEST(pools_survive)
{
    fail_each(pool);
}

/* ---- maps and object pools ---- */

static int double_it(void *arg, const int *old, int *value)
{
    (void)arg;
    *value = 2 * *old;
    return RN_MAP_STORE;
}

static atomic_int values; /* in the map, or held */

static void count_drop(void *arg, void *value)
{
    (void)arg, (void)value;
    atomic_fetch_sub(&values, 1);
}

/* A value that was not taken is not counted. */
static int count_value(int err)
{
    atomic_fetch_add(&values, err >= 0);
    return err < 0 ? err : 0;
}

static int map(void)
{
    rn_map(int, int) m;
    const int *held;
    int err = rn_map_new(&m, &(rn_map_config){.drop = count_drop});

    atomic_store(&values, 0);
    for (int i = 0; i < 150 && err == 0; i++)
        err = count_value(rn_map_store(m, i, i));
    if (err == 0)
        err = count_value(rn_map_acquire_or_store(m, 1000, 1, &held));
    if (err == 0)
        rn_map_release(m, held);
    if (err == 0)
        err = count_value(rn_map_compare_and_swap(m, 5, 5, 6));
    if (err == 0)
        err = rn_map_compute(m, 5, double_it, NULL);
    atomic_fetch_add(&values, err == RN_MAP_STORE);
    for (int i = 0; i < 140 && err >= 0; i++)
        err = rn_map_delete(m, i); /* shrinking may fail: nobody is told */
    if (err >= 0)
        err = rn_map_clear(m);
    rn_map_free(m);
    EXPECT_EQ(atomic_load(&values), 0);
    return err;
}

TEST(maps_survive)
{
    fail_each(map);
}

static int object_pool(void)
{
    rn_object_pool(int) pool;
    int *objects[20], n = 0, err = rn_object_pool_new(&pool, NULL);

    while (err == 0 && n < 20) {
        err = rn_object_pool_get(pool, &objects[n]);
        n += err == 0;
    }
    while (n > 0)
        rn_object_pool_put(pool, objects[--n]);
    rn_object_pool_free(pool);
    return err;
}

TEST(object_pools_survive)
{
    fail_each(object_pool);
}

/* ---- descriptors, processes, signals ---- */

static int processes(void)
{
    char *text = NULL;
    size_t length = 0;
    rn_process_status status;
    char *argv[] = {"echo", "hello", NULL};
    int err = rn_process_output(NULL, &(rn_process_options){.argv = argv}, 100, &text, &length,
                                &status);

    if (err == 0)
        EXPECT_EQ(length, 6);
    free(text);
    return err;
}

TEST(processes_survive)
{
    fail_each(processes);
}

/* ---- sockets ---- */

static int talk(rn_fd client, rn_fd server)
{
    struct iovec parts[2] = {{"hel", 3}, {"lo", 2}};
    char text[8] = "";
    rn_reader *in = NULL;
    rn_writer *out = NULL;
    char *line;
    ssize_t n = rn_fd_writev(NULL, client, parts, 2);

    if (n >= 0 && (n = rn_fd_read_full(NULL, server, text, 5)) >= 0)
        EXPECT_STR(text, "hello");
    if (n >= 0 && (n = rn_reader_new(&in, client, NULL)) == 0)
        n = rn_writer_new(&out, server, NULL);
    if (n >= 0 && (n = rn_writer_printf(NULL, out, "%s\n", "answer")) == 0)
        n = rn_writer_flush(NULL, out);
    if (n >= 0 && (n = rn_reader_line(NULL, in, &line)) >= 0)
        EXPECT_STR(line, "answer");
    rn_reader_free(in);
    rn_writer_free(out);
    return n < 0 ? (int)n : 0;
}

static int sockets(void)
{
    rn_fd listener = {0}, client = {0}, server = {0};
    rn_address local = {0};
    char address[64];
    int err = rn_listen(NULL, "localhost:0", NULL, &listener);

    if (err == 0)
        err = rn_net_local(listener, &local);
    snprintf(address, sizeof address, "localhost:%u", rn_address_port(&local));
    if (err == 0)
        err = rn_dial(NULL, address, NULL, &client);
    if (err == 0)
        err = rn_accept(NULL, listener, &server); /* goes on after ECONNABORTED */
    if (err == 0)
        err = talk(client, server);
    rn_fd_close(client);
    rn_fd_close(server);
    rn_fd_close(listener);
    return err;
}

TEST(sockets_survive)
{
    fail_each(sockets);
}

static int datagrams(void)
{
    rn_fd server = {0}, client = {0};
    rn_address local = {0};
    char address[RN_ADDRESS_TEXT], byte;
    int err = rn_listen(NULL, "udp:127.0.0.1:0", NULL, &server);

    if (err == 0 && (err = rn_net_local(server, &local)) == 0)
        err = rn_dial(NULL, rn_address_text(&local, address), NULL, &client);
    if (err == 0)
        err = rn_net_send_to(NULL, client, "x", 1, NULL);
    if (err == 0) {
        ssize_t n = rn_net_recv_from(NULL, server, &byte, 1, NULL);
        err = n < 0 ? (int)n : 0;
    }
    rn_fd_close(client);
    rn_fd_close(server);
    return err;
}

TEST(datagrams_survive)
{
    fail_each(datagrams);
}

static int files(void)
{
    rn_fd listener = {0}, client = {0}, file = {0};
    char address[64];
    snprintf(address, sizeof address, "unix:@runnel-fault-%d", getpid());
    int err = rn_listen(NULL, address, NULL, &listener);
    int number = memfd_create("file", MFD_CLOEXEC);

    EXPECT_EQ(write(number, "hello", 5), 5);
    if (err == 0)
        err = rn_dial(NULL, address, NULL, &client);
    if (err == 0 && (err = rn_fd_open(&file, number)) == 0) {
        number = -1;
        ssize_t n = rn_fd_sendfile(NULL, client, file, 0, 5);
        err = n < 0 ? (int)n : 0;
    }
    if (number >= 0)
        close(number);
    rn_fd_close(file);
    rn_fd_close(client);
    rn_fd_close(listener);
    return err;
}

TEST(files_that_are_sent_survive)
{
    fail_each(files);
}

static int signals(void)
{
    rn_chan(int) ch = rn_chan_make(int, 1);
    int value, err = ch == NULL ? -ENOMEM : rn_signal_notify(ch, SIGUSR1);

    if (err == 0) {
        EXPECT_EQ(kill(getpid(), SIGUSR1), 0);
        EXPECT_EQ(rn_recv(NULL, ch, &value), 0);
        EXPECT_EQ(value, SIGUSR1);
        EXPECT_EQ(rn_signal_stop(ch), 0);
    }
    rn_chan_release(ch);
    return err;
}

TEST(signals_survive)
{
    fail_each(signals);
}
