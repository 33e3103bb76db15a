/*
 * Clients of all kinds at once, fibers and plain threads: good ones, some that vanish, some that
 * are cancelled, some whose connection is closed by others. What the good ones sent is what the
 * server got, and nothing is left over.
 */
/* ctest: TIMEOUT=240 */
#include "net.h"

#define CHUNK 20000
#define ROUNDS 20 /* of each client */

struct stress {
    rn_fd listener;
    char at[RN_ADDRESS_TEXT];
    atomic_int running;  /* clients and conversations */
    atomic_llong good;   /* bytes that good clients sent */
    atomic_llong echoed; /* bytes that the server said it got from them */
    atomic_int good_rounds, bad_rounds, accepted, ended;
};

struct conversation {
    struct stress *s;
    rn_fd conn;
};

/* Counts up to the end of file and answers with the count; whoever does not end so gets none. */
static void converse(void *arg)
{
    struct conversation *c = arg;
    char buffer[5000];
    long long got = 0;
    ssize_t n;

    while ((n = rn_fd_read(NULL, c->conn, buffer, sizeof buffer)) > 0)
        got += n;
    if (n == 0)
        rn_fd_write(NULL, c->conn, &got, sizeof got);
    EXPECT_EQ(rn_fd_close(c->conn), 0);
    atomic_fetch_add(&c->s->ended, 1);
}

static void accept_all(void *arg)
{
    struct stress *s = arg;
    rn_fd conn;
    int err;

    while ((err = rn_accept(NULL, s->listener, &conn)) == 0) {
        atomic_fetch_add(&s->accepted, 1);
        EXPECT_OK(rn_go_copy(converse, &(struct conversation){s, conn}));
    }
    EXPECT_EQ(err, -EBADF);
    atomic_fetch_sub(&s->running, 1);
}

struct closing {
    rn_fd fd;
    int yields;
};

static void close_soon(void *arg)
{
    struct closing *c = arg;
    for (int i = 0; i < c->yields; i++)
        rn_yield();
    rn_fd_close(c->fd);
}

/* How many bytes were written; fewer than wanted: the connection or ctx has ended. */
static long long send_chunks(rn_ctx *ctx, rn_fd conn, unsigned *seed)
{
    static const char data[CHUNK];
    long long sent = 0;

    for (int i = rand_r(seed) % 8; i >= 0; i--) {
        ssize_t n = rn_fd_write(ctx, conn, data, 1 + (size_t)rand_r(seed) % CHUNK);
        if (n < 0)
            return -1;
        sent += n;
    }
    return sent;
}

static void good_round(struct stress *s, rn_fd conn, unsigned *seed)
{
    long long sent = send_chunks(NULL, conn, seed), told = -1;

    EXPECT(sent > 0);
    EXPECT_OK(rn_net_close_write(conn));
    EXPECT_EQ(rn_fd_read_full(NULL, conn, &told, sizeof told), (ssize_t)sizeof told);
    EXPECT_EQ(told, sent);
    EXPECT_EQ(rn_fd_close(conn), 0);
    atomic_fetch_add(&s->good, sent);
    atomic_fetch_add(&s->echoed, told);
    atomic_fetch_add(&s->good_rounds, 1);
}

static void bad_round(struct stress *s, rn_fd conn, unsigned *seed)
{
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, rand_r(seed) % 100 * RN_MICROSECOND);
    long long answer;

    switch (rand_r(seed) % 3) {
    case 0: /* vanishes */
        send_chunks(NULL, conn, seed);
        EXPECT_OK(rn_net_set(conn, RN_NET_LINGER, 0));
        break;
    case 1: /* is cancelled */
        send_chunks(ctx, conn, seed);
        rn_fd_read(ctx, conn, &answer, sizeof answer);
        break;
    default: /* is closed by somebody else; nobody answers before it is */
        EXPECT_OK(rn_go_copy(close_soon, &(struct closing){conn, rand_r(seed) % 10}));
        while (send_chunks(NULL, conn, seed) >= 0)
            ;
        rn_fd_read(NULL, conn, &answer, sizeof answer);
    }
    rn_fd_close(conn);
    rn_ctx_release(ctx);
    atomic_fetch_add(&s->bad_rounds, 1);
}

static void be_client(struct stress *s, unsigned seed)
{
    for (int round = 0; round < ROUNDS; round++) {
        rn_fd conn;
        EXPECT_OK(rn_dial(NULL, s->at, NULL, &conn));
        if (rand_r(&seed) % 3 == 0)
            bad_round(s, conn, &seed);
        else
            good_round(s, conn, &seed);
    }
    atomic_fetch_sub(&s->running, 1);
}

struct client {
    struct stress *s;
    unsigned seed;
};

static void client_fiber(void *arg)
{
    struct client *c = arg;
    be_client(c->s, c->seed);
}

static void *client_thread(void *arg)
{
    struct client *c = arg;
    be_client(c->s, c->seed);
    return NULL;
}

static void stress(struct server server)
{
    enum { FIBERS = 40, THREADS = 4, ACCEPTORS = 3 };
    struct stress s = {.listener = server.fd};
    struct client clients[THREADS];
    pthread_t threads[THREADS];
    int fibers = rounds(FIBERS), before = fds_open();

    memcpy(s.at, server.at, sizeof s.at);
    atomic_store(&s.running, fibers + THREADS);
    for (int i = 0; i < ACCEPTORS; i++) {
        atomic_fetch_add(&s.running, 1);
        EXPECT_OK(rn_go(accept_all, &s));
    }
    for (int i = 0; i < THREADS; i++) {
        clients[i] = (struct client){&s, 1000 + (unsigned)i};
        EXPECT_EQ(pthread_create(&threads[i], NULL, client_thread, &clients[i]), 0);
    }
    for (int i = 0; i < fibers; i++)
        EXPECT_OK(rn_go_copy(client_fiber, &(struct client){&s, (unsigned)i}));
    while (atomic_load(&s.running) > ACCEPTORS)
        rn_yield();
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    await_count(&s.ended, ROUNDS * (fibers + THREADS)); /* also those that vanished in the queue */
    expect_fds(before);
    rn_fd_close(s.listener);
    while (atomic_load(&s.running) > 0)
        rn_yield();
    EXPECT_EQ(atomic_load(&s.accepted), ROUNDS * (fibers + THREADS));
    EXPECT_EQ(atomic_load(&s.good), atomic_load(&s.echoed));
    EXPECT_EQ(atomic_load(&s.good_rounds) + atomic_load(&s.bad_rounds),
              ROUNDS * (fibers + THREADS));
    EXPECT(atomic_load(&s.good_rounds) > 0 && atomic_load(&s.bad_rounds) > 0);
}

TEST_FIBER(tcp_loses_nothing)
{
    stress(server_new());
}

TEST_FIBER(unix_loses_nothing)
{
    stress(server_abstract("unix"));
}
