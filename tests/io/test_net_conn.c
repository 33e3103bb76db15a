/* Connections: addresses, half close, peers that vanish, large writes, files, options. */
#include "net.h"

#define BIG (8 << 20) /* more than both socket buffers hold */

/* ---- where they are ---- */

TEST_FIBER(both_ends_know_both_addresses)
{
    struct server s = server_new();
    struct conns c = conns_of(&s);
    rn_address local, peer;
    char text[RN_ADDRESS_TEXT];

    EXPECT_OK(rn_net_peer(c.a, &peer));
    EXPECT_STR(rn_address_text(&peer, text), s.at);
    EXPECT_OK(rn_net_local(c.a, &local));
    EXPECT_OK(rn_net_peer(c.b, &peer));
    EXPECT(rn_address_equal(&local, &peer));
    EXPECT_EQ(rn_net_peer(s.fd, &peer), -ENOTCONN);
    EXPECT_EQ(peer.network, RN_NO_NETWORK);
    conns_close(c);
    EXPECT_EQ(rn_net_local(c.a, &local), -EBADF);
    EXPECT_EQ(rn_net_peer(c.a, &local), -EBADF);
    rn_fd_close(s.fd);
}

TEST_FIBER(unix_clients_have_no_name)
{
    struct server s = server_abstract("unix");
    rn_address peer;
    char text[RN_ADDRESS_TEXT];
    struct conns c = conns_of(&s);
    EXPECT_OK(rn_net_peer(c.b, &peer));
    EXPECT_STR(rn_address_text(&peer, text), "unix:");
    EXPECT_OK(rn_net_peer(c.a, &peer));
    EXPECT_STR(rn_address_text(&peer, text), s.at);
    conns_close(c);
    rn_fd_close(s.fd);
}

TEST_FIBER(a_pipe_is_no_socket)
{
    struct pipe p = pipe_new();
    rn_address address;
    int64_t value;
    char byte;

    EXPECT_EQ(rn_net_local(p.in, &address), -ENOTSOCK);
    EXPECT_EQ(rn_net_peer(p.in, &address), -ENOTSOCK);
    EXPECT_EQ(rn_net_close_write(p.out), -ENOTSOCK);
    EXPECT_EQ(rn_net_set(p.in, RN_NET_NODELAY, 1), -ENOTSOCK);
    EXPECT_EQ(rn_net_get(p.in, RN_NET_NODELAY, &value), -ENOTSOCK);
    EXPECT_EQ(rn_net_recv_from(NULL, p.in, &byte, 1, NULL), -ENOTSOCK);
    EXPECT_EQ(rn_net_send_to(NULL, p.out, "x", 1, NULL), -ENOTSOCK);
    pipe_close(p);
}

/* ---- half close ---- */

enum { KINDS = 2 };

static struct server server_of_kind(int i)
{
    return i == 0 ? server_new() : server_abstract("unix");
}

TEST_FIBER(after_close_write_the_answer_still_comes)
{
    for (int i = 0; i < KINDS; i++) {
        struct server s = server_of_kind(i);
        struct conns c = conns_of(&s);

        expect_write(c.a, "question");
        EXPECT_OK(rn_net_close_write(c.a));
        expect_read(c.b, "question");
        expect_eof(c.b);
        EXPECT_EQ(rn_fd_write(NULL, c.a, "x", 1), -EPIPE);
        expect_write(c.b, "answer");
        expect_read(c.a, "answer");
        EXPECT_OK(rn_net_close_write(c.b));
        expect_eof(c.a);
        conns_close(c);
        rn_fd_close(s.fd);
    }
}

struct reading {
    rn_fd fd;
    ssize_t result;
    atomic_int *ended;
};

static void read_one(void *arg)
{
    struct reading *r = arg;
    char byte;
    EXPECT_EQ(rn_fd_read(NULL, r->fd, &byte, 1), r->result);
    atomic_fetch_add(r->ended, 1);
}

TEST_FIBER(close_read_wakes_who_reads_and_leaves_writing)
{
    for (int i = 0; i < KINDS; i++) {
        struct server s = server_of_kind(i);
        struct conns c = conns_of(&s);
        atomic_int ended = 0;

        EXPECT_OK(rn_go_copy(read_one, &(struct reading){c.b, 0, &ended}));
        await_reason("fd read", 1);
        EXPECT_OK(rn_net_close_read(c.b));
        await_count(&ended, 1);
        expect_eof(c.b);
        expect_write(c.b, "still talking");
        expect_read(c.a, "still talking");
        conns_close(c);
        rn_fd_close(s.fd);
    }
}

TEST_FIBER(half_closing_what_is_not_connected_is_a_code)
{
    struct server s = server_on("udp:127.0.0.1:0", NULL);
    struct conns c = conns_new();

    EXPECT_EQ(rn_net_close_write(s.fd), -ENOTCONN);
    EXPECT_EQ(rn_net_close_read(s.fd), -ENOTCONN);
    conns_close(c);
    EXPECT_EQ(rn_net_close_write(c.a), -EBADF);
    EXPECT_EQ(rn_net_close_read(c.a), -EBADF);
    rn_fd_close(s.fd);
}

/* ---- peers that vanish ---- */

static void vanish(rn_fd fd)
{
    EXPECT_OK(rn_net_set(fd, RN_NET_LINGER, 0));
    EXPECT_EQ(rn_fd_close(fd), 0);
}

TEST_FIBER(a_peer_that_vanishes_is_a_code_in_every_call)
{
    struct conns c = conns_new();
    char byte;

    vanish(c.a);
    EXPECT_EQ(rn_fd_read(NULL, c.b, &byte, 1), -ECONNRESET);
    EXPECT_EQ(rn_fd_write(NULL, c.b, "x", 1), -EPIPE);
    EXPECT_EQ(rn_fd_writev(NULL, c.b, &(struct iovec){"x", 1}, 1), -EPIPE);
    rn_fd_close(c.b);
    c = conns_new();
    vanish(c.a);
    EXPECT_EQ(rn_fd_write(NULL, c.b, "x", 1), -ECONNRESET);
    rn_fd_close(c.b);
}

TEST(a_peer_that_vanishes_kills_no_plain_thread)
{
    struct conns c = conns_new();
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    rn_fd from;

    EXPECT_OK(rn_fd_open(&from, file));
    rn_fd_close(c.a);
    while (rn_fd_write(NULL, c.b, "x", 1) == 1)
        sched_yield();
    EXPECT_EQ(rn_fd_write(NULL, c.b, "x", 1), -EPIPE);
    EXPECT_EQ(rn_fd_writev(NULL, c.b, &(struct iovec){"x", 1}, 1), -EPIPE);
    EXPECT_EQ(rn_fd_sendfile(NULL, c.b, from, 0, 1), -EPIPE);
    rn_fd_close(c.b);
    rn_fd_close(from);
    EXPECT_EQ(rn_stop(), 0);
}

static void vanish_when_it_waits(void *arg)
{
    rn_fd *fd = arg;
    await_reason("fd read", 1);
    vanish(*fd);
}

TEST_FIBER(who_reads_learns_that_the_peer_vanished)
{
    struct conns c = conns_new();
    char byte;

    EXPECT_OK(rn_go_copy(vanish_when_it_waits, &c.a));
    EXPECT_EQ(rn_fd_read(NULL, c.b, &byte, 1), -ECONNRESET);
    rn_fd_close(c.b);
}

TEST_FIBER(a_client_that_gave_up_can_still_be_accepted)
{
    struct server s = server_new();
    rn_fd client, conn;
    char byte;

    EXPECT_OK(rn_dial(NULL, s.at, NULL, &client));
    vanish(client);
    EXPECT_OK(rn_accept(NULL, s.fd, &conn));
    EXPECT_EQ(rn_fd_read(NULL, conn, &byte, 1), -ECONNRESET);
    rn_fd_close(conn);
    rn_fd_close(s.fd);
}

/* ---- what comes with the same event as bytes ---- */

static void yield_some(unsigned *seed)
{
    for (int n = rand_r(seed) % 4; n > 0; n--)
        rn_yield();
}

struct talker {
    rn_fd fd;
    unsigned seed;
    bool vanishes;
};

static void say_and_go(void *arg)
{
    struct talker *t = arg;

    yield_some(&t->seed);
    expect_write(t->fd, "last");
    yield_some(&t->seed);
    expect_write(t->fd, "words");
    yield_some(&t->seed);
    if (t->vanishes)
        vanish(t->fd);
    else
        rn_fd_close(t->fd);
}

/* A short read is the last one that need not wait; yet the end is not waited for in vain. */
TEST_FIBER(the_end_is_seen_whenever_it_comes)
{
    unsigned seed = 1;

    for (int round = 0; round < rounds(500); round++) {
        struct conns c = conns_new();
        bool vanishes = round % 5 == 0;
        char buffer[100];
        size_t got = 0;
        ssize_t n;

        EXPECT_OK(rn_go_copy(say_and_go, &(struct talker){c.a, (unsigned)round, vanishes}));
        yield_some(&seed);
        while ((n = rn_fd_read(NULL, c.b, buffer, sizeof buffer)) > 0) {
            got += (size_t)n;
            yield_some(&seed);
        }
        EXPECT_EQ(n, vanishes ? -ECONNRESET : 0);
        EXPECT(vanishes || got == 9);
        rn_fd_close(c.b);
    }
}

TEST_FIBER(urgent_data_hides_nothing)
{
    for (int round = 0; round < 20; round++) {
        struct conns c = conns_new();
        char buffer[100] = "";
        size_t got = 0;

        expect_write(c.a, "before");
        EXPECT_EQ(send(rn_fd_number(c.a), "!", 1, MSG_OOB), 1);
        expect_write(c.a, "after");
        for (ssize_t n = 1; n > 0 && got < 11; got += (size_t)n) /* a read stops at the mark */
            n = rn_fd_read(NULL, c.b, buffer + got, sizeof buffer - got);
        EXPECT_STR(buffer, "beforeafter");
        conns_close(c);
    }
}

/* ---- large writes ---- */

static char pattern(size_t i)
{
    return (char)(i * 31 + (i >> 12));
}

static char *pattern_new(size_t size)
{
    char *data = malloc(size);
    for (size_t i = 0; i < size; i++)
        data[i] = pattern(i);
    return data;
}

struct flood {
    rn_fd fd;
    const char *data;
    size_t size;
    size_t parts; /* 0: one write; otherwise a writev of so many parts */
    ssize_t result;
    atomic_int *ended;
};

/* Parts of different sizes, some of them empty. */
static size_t cut(struct iovec *parts, size_t n, const char *data, size_t size)
{
    size_t used = 0, at = 0;

    for (; used < n - 1 && at < size; used++) {
        size_t length = used % 7 == 3 ? 0 : (used * 7919) % 50000;
        if (length > size - at)
            length = size - at;
        parts[used] = (struct iovec){(char *)(uintptr_t)data + at, length};
        at += length;
    }
    parts[used++] = (struct iovec){(char *)(uintptr_t)data + at, size - at};
    return used;
}

static void write_flood(void *arg)
{
    struct flood *f = arg;
    struct iovec *parts = calloc(f->parts + 1, sizeof *parts);
    ssize_t n;

    if (f->parts == 0)
        n = rn_fd_write(NULL, f->fd, f->data, f->size);
    else
        n = rn_fd_writev(NULL, f->fd, parts, cut(parts, f->parts, f->data, f->size));
    EXPECT_EQ(n, f->result);
    free(parts);
    atomic_fetch_add(f->ended, 1);
}

static void expect_pattern(rn_fd fd, size_t size)
{
    char *chunk = malloc(100000);
    size_t at = 0, wrong = 0;
    ssize_t n;

    while (at < size && (n = rn_fd_read(NULL, fd, chunk, 100000)) > 0)
        for (ssize_t i = 0; i < n; i++)
            wrong += chunk[i] != pattern(at++);
    EXPECT_EQ(at, size);
    EXPECT_EQ(wrong, 0);
    free(chunk);
}

TEST_FIBER(big_buffers_arrive_whole_and_in_order)
{
    char *data = pattern_new(BIG);
    atomic_int ended = 0;

    for (int i = 0; i < KINDS; i++)
        for (size_t parts = 0; parts <= 300; parts += 150) {
            struct server s = server_of_kind(i);
            struct conns c = conns_of(&s);
            EXPECT_OK(rn_go_copy(write_flood, &(struct flood){c.a, data, BIG, parts, BIG, &ended}));
            await_reason("fd write", 1);
            expect_pattern(c.b, BIG);
            conns_close(c);
            rn_fd_close(s.fd);
        }
    await_count(&ended, 6);
    free(data);
}

TEST_FIBER(writev_writes_parts_to_everything)
{
    struct iovec parts[] = {{NULL, 0}, {"one ", 4}, {NULL, 0}, {"two ", 4}, {"three", 5}, {"", 0}};
    char path[] = "/tmp/runnel-test-XXXXXX", text[32] = "";
    struct pipe p = pipe_new();
    rn_fd file, closed = p.in;

    EXPECT_EQ(rn_fd_writev(NULL, p.out, parts, 6), 13);
    expect_read(p.in, "one two three");
    EXPECT_EQ(rn_fd_writev(NULL, p.out, parts, 0), 0);
    EXPECT_EQ(rn_fd_writev(NULL, p.out, parts, 1), 0);
    EXPECT_OK(rn_fd_open(&file, mkstemp(path)));
    EXPECT_EQ(rn_fd_writev(NULL, file, parts, 6), 13);
    EXPECT_EQ(pread(rn_fd_number(file), text, sizeof text, 0), 13);
    EXPECT_STR(text, "one two three");
    unlink(path);
    rn_fd_close(file);
    pipe_close(p);
    EXPECT_EQ(rn_fd_writev(NULL, closed, parts, 6), -EBADF);
}

TEST_VIRTUAL(writev_says_how_much_was_written_before_the_end_of_the_context)
{
    struct conns c = conns_new();
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, 5 * RN_MILLISECOND);
    char *data = pattern_new(BIG);
    struct iovec parts[2] = {{data, BIG / 2}, {data + BIG / 2, BIG / 2}};

    ssize_t n = rn_fd_writev(ctx, c.a, parts, 2);
    EXPECT(n > 0 && n < BIG);
    EXPECT_EQ(rn_fd_writev(ctx, c.a, parts, 2), -ETIMEDOUT);
    expect_pattern(c.b, (size_t)n);
    free(data);
    rn_ctx_release(ctx);
    conns_close(c);
}

TEST_FIBER(read_full_reads_from_a_socket)
{
    struct conns c = conns_new();
    char *data = pattern_new(BIG), *got = malloc(BIG + 1);
    atomic_int ended = 0;

    EXPECT_OK(rn_go_copy(write_flood, &(struct flood){c.a, data, BIG, 0, BIG, &ended}));
    EXPECT_EQ(rn_fd_read_full(NULL, c.b, got, BIG), BIG);
    EXPECT_EQ(memcmp(got, data, BIG), 0);
    rn_fd_close(c.a);
    EXPECT_EQ(rn_fd_read_full(NULL, c.b, got, 1), 0);
    rn_fd_close(c.b);
    await_count(&ended, 1);
    free(data);
    free(got);
}

/* ---- closing under those who wait ---- */

struct waiting {
    rn_fd fd;
    const char *data;
    atomic_int *ended;
};

static void read_until_closed(void *arg)
{
    struct waiting *w = arg;
    char byte;
    EXPECT_EQ(rn_fd_read(NULL, w->fd, &byte, 1), -EBADF);
    atomic_fetch_add(w->ended, 1);
}

static void write_until_closed(void *arg)
{
    struct waiting *w = arg;
    ssize_t n = rn_fd_write(NULL, w->fd, w->data, BIG);
    EXPECT(n > 0 && n < BIG);
    EXPECT_EQ(rn_fd_write(NULL, w->fd, w->data, 1), -EBADF);
    atomic_fetch_add(w->ended, 1);
}

TEST_FIBER(close_wakes_reader_and_writer)
{
    char *data = pattern_new(BIG);
    atomic_int ended = 0;

    for (int round = 1; round <= rounds(50); round++) {
        struct conns c = conns_new();
        EXPECT_OK(rn_go_copy(read_until_closed, &(struct waiting){c.a, data, &ended}));
        EXPECT_OK(rn_go_copy(write_until_closed, &(struct waiting){c.a, data, &ended}));
        await_reason("fd read", 1);
        await_reason("fd write", 1);
        EXPECT_EQ(rn_fd_close(c.a), 0);
        await_count(&ended, 2 * round);
        rn_fd_close(c.b);
    }
    free(data);
}

/* ---- files ---- */

static rn_fd file_of(const char *data, size_t size)
{
    char path[] = "/tmp/runnel-test-XXXXXX";
    rn_fd file;

    EXPECT_OK(rn_fd_open(&file, mkstemp(path)));
    EXPECT_EQ(unlink(path), 0);
    EXPECT_EQ(rn_fd_write(NULL, file, data, size), (ssize_t)size);
    return file;
}

struct sender {
    rn_fd to, file;
    size_t size;
    atomic_int *ended;
};

static void send_file(void *arg)
{
    struct sender *s = arg;
    EXPECT_EQ(rn_fd_sendfile(NULL, s->to, s->file, 0, s->size), (ssize_t)s->size);
    atomic_fetch_add(s->ended, 1);
}

TEST_FIBER(sendfile_sends_all_however_small_the_buffer)
{
    char *data = pattern_new(BIG);
    rn_fd file = file_of(data, BIG);
    atomic_int ended = 0;

    for (int i = 0; i < KINDS; i++) {
        struct server s = server_of_kind(i);
        struct conns c = conns_of(&s);
        EXPECT_OK(rn_go_copy(send_file, &(struct sender){c.a, file, BIG, &ended}));
        await_reason("fd write", 1);
        expect_pattern(c.b, BIG);
        conns_close(c);
        rn_fd_close(s.fd);
    }
    await_count(&ended, 2);
    rn_fd_close(file);
    free(data);
}

TEST_FIBER(sendfile_sends_a_part_and_stops_at_the_end)
{
    struct conns c = conns_new();
    rn_fd file = file_of("0123456789", 10), none = {0};
    struct pipe p = pipe_new();

    EXPECT_EQ(lseek(rn_fd_number(file), 3, SEEK_SET), 3);
    EXPECT_EQ(rn_fd_sendfile(NULL, c.a, file, 2, 4), 4);
    expect_read(c.b, "2345");
    EXPECT_EQ(rn_fd_sendfile(NULL, c.a, file, 8, 100), 2);
    expect_read(c.b, "89");
    EXPECT_EQ(lseek(rn_fd_number(file), 0, SEEK_CUR), 3);
    EXPECT_EQ(rn_fd_sendfile(NULL, c.a, file, 10, 100), 0);
    EXPECT_EQ(rn_fd_sendfile(NULL, c.a, file, 0, 0), 0);
    EXPECT_EQ(rn_fd_sendfile(NULL, c.a, file, -1, 5), -EINVAL);
    EXPECT_EQ(rn_fd_sendfile(NULL, c.a, p.in, 0, 5), -ESPIPE);
    EXPECT_EQ(rn_fd_sendfile(NULL, c.a, none, 0, 5), -EBADF);
    EXPECT_EQ(rn_fd_sendfile(NULL, none, file, 0, 5), -EBADF);
    EXPECT_EQ(rn_fd_sendfile(NULL, p.out, file, 0, 5), 5); /* not only to sockets */
    expect_read(p.in, "01234");
    rn_fd_close(c.b);
    while (rn_fd_sendfile(NULL, c.a, file, 0, 5) == 5)
        rn_yield();
    EXPECT_EQ(rn_fd_sendfile(NULL, c.a, file, 0, 5), -EPIPE);
    pipe_close(p);
    rn_fd_close(c.a);
    rn_fd_close(file);
}

TEST_VIRTUAL(a_context_ends_a_sendfile)
{
    struct conns c = conns_new();
    char *data = pattern_new(BIG);
    rn_fd file = file_of(data, BIG);
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, 5 * RN_MILLISECOND);

    ssize_t n = rn_fd_sendfile(ctx, c.a, file, 0, BIG);
    EXPECT(n > 0 && n < BIG);
    EXPECT_EQ(rn_fd_sendfile(ctx, c.a, file, 0, BIG), -ETIMEDOUT);
    expect_pattern(c.b, (size_t)n);
    rn_ctx_release(ctx);
    rn_fd_close(file);
    conns_close(c);
    free(data);
}

/* ---- options ---- */

static void expect_option(rn_fd fd, rn_net_option option, int64_t expected)
{
    int64_t value = -2;
    EXPECT_OK(rn_net_get(fd, option, &value));
    EXPECT_EQ(value, expected);
}

TEST_FIBER(both_ends_have_gos_defaults)
{
    struct conns c = conns_new();
    rn_fd ends[2] = {c.a, c.b};

    for (int i = 0; i < 2; i++) {
        expect_option(ends[i], RN_NET_NODELAY, 1);
        expect_option(ends[i], RN_NET_KEEPALIVE, 1);
        expect_option(ends[i], RN_NET_KEEPALIVE_IDLE, 15 * RN_SECOND);
        expect_option(ends[i], RN_NET_KEEPALIVE_INTERVAL, 15 * RN_SECOND);
        expect_option(ends[i], RN_NET_KEEPALIVE_COUNT, 9);
        expect_option(ends[i], RN_NET_UNACKED_MAX, 0);
        expect_option(ends[i], RN_NET_LINGER, -1);
    }
    conns_close(c);
}

TEST_FIBER(options_are_set_and_inherited)
{
    struct server s = server_new();
    int64_t value;

    EXPECT_OK(rn_net_set(s.fd, RN_NET_NODELAY, 0));
    EXPECT_OK(rn_net_set(s.fd, RN_NET_KEEPALIVE_IDLE, 1));
    EXPECT_OK(rn_net_set(s.fd, RN_NET_READ_BUFFER, 20000));
    struct conns c = conns_of(&s);
    expect_option(c.b, RN_NET_NODELAY, 0);
    expect_option(c.b, RN_NET_KEEPALIVE_IDLE, RN_SECOND); /* rounded up */
    expect_option(c.b, RN_NET_READ_BUFFER, 40000);
    EXPECT_OK(rn_net_set(c.b, RN_NET_UNACKED_MAX, 5 * RN_SECOND));
    expect_option(c.b, RN_NET_UNACKED_MAX, 5 * RN_SECOND);
    EXPECT_OK(rn_net_set(c.b, RN_NET_KEEPALIVE_COUNT, 3));
    expect_option(c.b, RN_NET_KEEPALIVE_COUNT, 3);
    EXPECT_OK(rn_net_set(c.b, RN_NET_KEEPALIVE_INTERVAL, RN_MINUTE));
    expect_option(c.b, RN_NET_KEEPALIVE_INTERVAL, RN_MINUTE);
    EXPECT_OK(rn_net_set(c.b, RN_NET_KEEPALIVE, 0));
    expect_option(c.b, RN_NET_KEEPALIVE, 0);
    EXPECT_OK(rn_net_set(c.b, RN_NET_WRITE_BUFFER, 10000));
    expect_option(c.b, RN_NET_WRITE_BUFFER, 20000);
    EXPECT_OK(rn_net_set(c.b, RN_NET_LINGER, 0));
    expect_option(c.b, RN_NET_LINGER, 0);
    EXPECT_OK(rn_net_set(c.b, RN_NET_LINGER, -1));
    expect_option(c.b, RN_NET_LINGER, -1);
    conns_close(c);
    EXPECT_EQ(rn_net_set(c.b, RN_NET_NODELAY, 1), -EBADF);
    EXPECT_EQ(rn_net_get(c.b, RN_NET_NODELAY, &value), -EBADF);
    rn_fd_close(s.fd);
}

TEST_FIBER(wrong_options_are_said)
{
    struct conns c = conns_new();
    struct server udp = server_on("udp:127.0.0.1:0", NULL);
    int64_t value;

    EXPECT_EQ(rn_net_set(c.a, RN_NET_NODELAY, 2), -EINVAL);
    EXPECT_STR(rn_error_detail(), "net: RN_NET_NODELAY is 2: allowed are 0 to 1");
    EXPECT_EQ(rn_net_set(c.a, RN_NET_LINGER, RN_SECOND), -EINVAL);
    EXPECT_STR(rn_error_detail(), "net: RN_NET_LINGER is 1000000000: allowed are -1 to 0");
    EXPECT_EQ(rn_net_set(c.a, RN_NET_OPTIONS, 0), -EINVAL);
    EXPECT_STR(rn_error_detail(), "net: there is no option 10: allowed are 0 to 9");
    EXPECT_EQ(rn_net_get(c.a, (rn_net_option)-1, &value), -EINVAL);
    EXPECT_EQ(rn_net_set(udp.fd, RN_NET_NODELAY, 1), -EOPNOTSUPP);
    EXPECT_EQ(rn_net_get(udp.fd, RN_NET_NODELAY, &value), -EOPNOTSUPP);
    expect_option(udp.fd, RN_NET_BROADCAST, 1);
    EXPECT_OK(rn_net_set(udp.fd, RN_NET_BROADCAST, 0));
    expect_option(udp.fd, RN_NET_BROADCAST, 0);
    rn_fd_close(udp.fd);
    conns_close(c);
}
