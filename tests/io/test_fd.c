/* Descriptors: reading, writing, parking, closing, contexts, generations. */
#include "io.h"

/* ---- reading and writing ---- */

TEST_FIBER(read_takes_what_there_is_and_then_the_end_of_file)
{
    struct pipe p = pipe_new();
    char buffer[16];

    EXPECT_EQ(rn_fd_write(NULL, p.out, "hello", 5), 5);
    EXPECT_EQ(rn_fd_read(NULL, p.in, buffer, 0), 0);
    EXPECT_EQ(rn_fd_read(NULL, p.in, buffer, 3), 3);
    EXPECT_EQ(rn_fd_read(NULL, p.in, buffer + 3, sizeof buffer - 3), 2);
    EXPECT_EQ(memcmp(buffer, "hello", 5), 0);
    EXPECT_EQ(rn_fd_close(p.out), 0);
    EXPECT_EQ(rn_fd_read(NULL, p.in, buffer, sizeof buffer), 0);
    EXPECT_EQ(rn_fd_read(NULL, p.in, buffer, sizeof buffer), 0);
    EXPECT_EQ(rn_fd_close(p.in), 0);
}

static void write_byte_later(void *arg)
{
    rn_fd *out = arg;
    await_reason("fd read", 1);
    EXPECT_EQ(rn_fd_write(NULL, *out, "x", 1), 1);
}

TEST_FIBER(read_waits_for_a_byte_and_lets_others_run)
{
    struct pipe p = pipe_new();
    char byte = 0;

    EXPECT_EQ(rn_go_copy(write_byte_later, &p.out), 0);
    EXPECT_EQ(rn_fd_read(NULL, p.in, &byte, 1), 1);
    EXPECT_EQ(byte, 'x');
    pipe_close(p);
}

struct flood {
    rn_fd out;
    size_t size;
    ssize_t written;
    atomic_int done;
};

static char pattern(size_t i)
{
    return (char)(i * 31 + (i >> 12));
}

static void write_flood(void *arg)
{
    struct flood *f = arg;
    char *data = malloc(f->size);
    for (size_t i = 0; i < f->size; i++)
        data[i] = pattern(i);
    f->written = rn_fd_write(NULL, f->out, data, f->size);
    free(data);
    rn_fd_close(f->out);
    atomic_store(&f->done, 1);
}

TEST_FIBER(write_writes_everything_however_small_the_pipe)
{
    struct pipe p = pipe_new();
    struct flood f = {.out = p.out, .size = PIPE_BYTES_MAX};
    char chunk[1000];
    size_t at = 0, wrong = 0;
    ssize_t n;

    EXPECT_EQ(rn_go(write_flood, &f), 0);
    await_reason("fd write", 1);
    while ((n = rn_fd_read(NULL, p.in, chunk, sizeof chunk)) > 0)
        for (ssize_t i = 0; i < n; i++)
            wrong += chunk[i] != pattern(at++);
    EXPECT_EQ(n, 0);
    EXPECT_EQ(at, f.size);
    EXPECT_EQ(wrong, 0);
    await_count(&f.done, 1);
    EXPECT_EQ(f.written, (ssize_t)f.size);
    rn_fd_close(p.in);
}

TEST_FIBER(read_full_waits_for_all_of_it)
{
    struct pipe p = pipe_new();
    struct flood f = {.out = p.out, .size = 200000};
    char *data = malloc(f.size + 10);

    EXPECT_EQ(rn_go(write_flood, &f), 0);
    EXPECT_EQ(rn_fd_read_full(NULL, p.in, data, 150000), 150000);
    EXPECT_EQ(data[149999], pattern(149999));
    EXPECT_EQ(rn_fd_read_full(NULL, p.in, data, f.size), 50000);
    EXPECT_EQ(data[49999], pattern(199999));
    EXPECT_EQ(rn_fd_read_full(NULL, p.in, data, 1), 0);
    await_count(&f.done, 1);
    free(data);
    rn_fd_close(p.in);
}

TEST_FIBER(write_to_nobody_is_a_code_not_a_signal)
{
    struct pipe p = pipe_new();
    rn_fd_close(p.in);
    EXPECT_EQ(rn_fd_write(NULL, p.out, "x", 1), -EPIPE);
    rn_fd_close(p.out);
}

TEST(write_to_nobody_is_a_code_on_a_plain_thread_too)
{
    sigset_t pending;
    struct pipe p = pipe_new();
    rn_fd_close(p.in);
    EXPECT_EQ(rn_fd_write(NULL, p.out, "x", 1), -EPIPE);
    EXPECT_EQ(sigpending(&pending), 0);
    EXPECT_EQ(sigismember(&pending, SIGPIPE), 0);
    rn_fd_close(p.out);
    EXPECT_EQ(rn_stop(), 0);
}

static void cancel_a_writer(void *ctx)
{
    await_reason("fd write", 1);
    rn_ctx_cancel(ctx, 0);
}

TEST_FIBER(write_says_how_much_was_written_before_the_error)
{
    struct pipe p = pipe_new();
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    char *data = calloc(1, PIPE_BYTES_MAX);

    EXPECT_EQ(rn_go(cancel_a_writer, ctx), 0);
    ssize_t n = rn_fd_write(ctx, p.out, data, PIPE_BYTES_MAX);
    EXPECT(n > 0 && n < PIPE_BYTES_MAX);
    EXPECT_EQ(rn_fd_write(ctx, p.out, data, 1), -ECANCELED);
    EXPECT_EQ(rn_fd_write(NULL, p.out, data, 0), 0);
    free(data);
    rn_ctx_release(ctx);
    pipe_close(p);
}

TEST_FIBER(wrong_direction_is_ebadf)
{
    struct pipe p = pipe_new();
    char byte;
    EXPECT_EQ(rn_fd_read(NULL, p.out, &byte, 1), -EBADF);
    EXPECT_EQ(rn_fd_write(NULL, p.in, "x", 1), -EBADF);
    pipe_close(p);
}

/* ---- several users of one handle ---- */

struct reader {
    rn_fd in;
    atomic_int *bytes, *ended;
};

static void read_to_the_end(void *arg)
{
    struct reader *r = arg;
    char buffer[7];
    ssize_t n;
    while ((n = rn_fd_read(NULL, r->in, buffer, sizeof buffer)) > 0)
        atomic_fetch_add(r->bytes, (int)n);
    EXPECT_EQ(n, 0);
    atomic_fetch_add(r->ended, 1);
}

TEST_FIBER(many_readers_share_the_bytes_and_all_see_the_end)
{
    struct pipe p = pipe_new();
    atomic_int bytes = 0, ended = 0;
    char data[100] = {0};

    for (int i = 0; i < 10; i++)
        EXPECT_EQ(rn_go_copy(read_to_the_end, &(struct reader){p.in, &bytes, &ended}), 0);
    await_reason("fd read", 10);
    for (int i = 0; i < 50; i++)
        EXPECT_EQ(rn_fd_write(NULL, p.out, data, sizeof data), (ssize_t)sizeof data);
    rn_fd_close(p.out);
    await_count(&ended, 10);
    EXPECT_EQ(atomic_load(&bytes), 5000);
    rn_fd_close(p.in);
}

static void read_one(void *arg)
{
    struct reader *r = arg;
    char byte;
    EXPECT_EQ(rn_fd_read(NULL, r->in, &byte, 1), 1);
    atomic_fetch_add(r->bytes, 1);
    atomic_fetch_add(r->ended, 1);
}

TEST_FIBER(bytes_of_one_write_reach_every_reader_that_waits)
{
    struct pipe p = pipe_new();
    atomic_int bytes = 0, ended = 0;

    for (int round = 1; round <= rounds(200); round++) {
        for (int i = 0; i < 4; i++)
            EXPECT_EQ(rn_go_copy(read_one, &(struct reader){p.in, &bytes, &ended}), 0);
        if (round % 2)
            rn_yield();
        EXPECT_EQ(rn_fd_write(NULL, p.out, "abcd", 4), 4);
        await_count(&ended, 4 * round);
    }
    pipe_close(p);
}

static void echo(void *arg)
{
    struct pipe *p = arg;
    char byte;
    while (rn_fd_read(NULL, p->in, &byte, 1) == 1)
        if (rn_fd_write(NULL, p->out, &byte, 1) != 1)
            break;
    rn_fd_close(p->out);
}

TEST_FIBER(hundreds_of_pipes_at_once)
{
    enum { PAIRS = 200 };
    struct pipe there[PAIRS], back[PAIRS];
    int before = fds_open();

    for (int i = 0; i < PAIRS; i++) {
        there[i] = pipe_new();
        back[i] = pipe_new();
        EXPECT_EQ(rn_go_copy(echo, &(struct pipe){there[i].in, back[i].out}), 0);
    }
    for (int round = 0; round < rounds(20); round++) {
        for (int i = 0; i < PAIRS; i++)
            EXPECT_EQ(rn_fd_write(NULL, there[i].out, &(char){(char)i}, 1), 1);
        for (int i = 0; i < PAIRS; i++) {
            char byte = 0;
            EXPECT_EQ(rn_fd_read(NULL, back[i].in, &byte, 1), 1);
            EXPECT_EQ(byte, (char)i);
        }
    }
    for (int i = 0; i < PAIRS; i++) {
        char byte;
        rn_fd_close(there[i].out);
        EXPECT_EQ(rn_fd_read(NULL, back[i].in, &byte, 1), 0);
        pipe_close(there[i]);
        pipe_close(back[i]);
    }
    expect_fds(before);
}

/* ---- contexts ---- */

struct cancel_later {
    rn_ctx *ctx;
    const char *reason;
};

static void cancel_when_it_waits(void *arg)
{
    struct cancel_later *c = arg;
    await_reason(c->reason, 1);
    rn_ctx_cancel(c->ctx, 0);
}

TEST_FIBER(cancel_ends_a_read_that_waits)
{
    struct pipe p = pipe_new();
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    char byte;

    EXPECT_EQ(rn_go_copy(cancel_when_it_waits, &(struct cancel_later){ctx, "fd read"}), 0);
    EXPECT_EQ(rn_fd_read(ctx, p.in, &byte, 1), -ECANCELED);
    EXPECT_EQ(rn_fd_write(NULL, p.out, "x", 1), 1);
    EXPECT_EQ(rn_fd_read(ctx, p.in, &byte, 1), -ECANCELED); /* although there is a byte */
    EXPECT_EQ(rn_fd_read(NULL, p.in, &byte, 1), 1);
    rn_ctx_release(ctx);
    pipe_close(p);
}

TEST_FIBER(deadline_ends_read_write_and_wait)
{
    struct pipe p = pipe_new();
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, RN_MILLISECOND);
    char byte;

    EXPECT_EQ(rn_fd_read(ctx, p.in, &byte, 1), -ETIMEDOUT);
    EXPECT_EQ(rn_fd_read_full(ctx, p.in, &byte, 1), -ETIMEDOUT);
    EXPECT_EQ(rn_fd_write(ctx, p.out, "x", 1), -ETIMEDOUT);
    EXPECT_EQ(rn_fd_wait(ctx, p.in, RN_READABLE), -ETIMEDOUT);
    rn_ctx_release(ctx);
    pipe_close(p);
}

/* ---- waiting for readiness ---- */

static void close_when_write_waits(void *arg)
{
    rn_fd *in = arg;
    await_reason("fd ", 1);
    rn_fd_close(*in);
}

TEST_FIBER(wait_tells_which_events_are_there)
{
    int ends[2];
    struct pipe p = pipe_new();

    EXPECT_EQ(rn_fd_wait(NULL, p.out, RN_WRITABLE), RN_WRITABLE);
    EXPECT_EQ(rn_fd_wait(NULL, p.out, RN_READABLE | RN_WRITABLE), RN_WRITABLE);
    EXPECT_EQ(rn_fd_wait(NULL, p.in, 0), -EINVAL);
    EXPECT_EQ(rn_fd_wait(NULL, p.in, 4), -EINVAL);
    EXPECT_EQ(rn_go_copy(write_byte_later, &p.out), 0);
    EXPECT_EQ(rn_fd_wait(NULL, p.in, RN_READABLE), RN_READABLE);
    EXPECT_EQ(rn_fd_wait(NULL, p.in, RN_READABLE), RN_READABLE); /* still there */
    pipe_close(p);

    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    EXPECT_EQ(rn_fd_open(&p.in, ends[0]), 0);
    close(ends[1]);
    EXPECT_EQ(rn_fd_wait(NULL, p.in, RN_READABLE), RN_READABLE); /* hang-up */
    rn_fd_close(p.in);
}

TEST_FIBER(wait_for_either_direction_wakes_on_one)
{
    struct pipe p = pipe_new();

    EXPECT_EQ(rn_go_copy(write_byte_later, &p.out), 0);
    EXPECT_EQ(rn_fd_wait(NULL, p.in, RN_READABLE | RN_WRITABLE), RN_READABLE);
    pipe_close(p);
}

static void write_when_select_waits(void *arg)
{
    rn_fd *out = arg;
    await_reason("select", 1);
    EXPECT_EQ(rn_fd_write(NULL, *out, "x", 1), 1);
}

static void close_when_select_waits(void *arg)
{
    rn_fd *out = arg;
    await_reason("select", 1);
    EXPECT_EQ(rn_fd_close(*out), 0);
}

TEST_FIBER(a_select_fires_when_a_descriptor_is_ready_or_closed)
{
    struct pipe p = pipe_new();
    rn_chan(int) never = rn_chan_make(int, 0);
    int value;

    EXPECT_EQ(rn_select(NULL, rn_on_fd(p.in, RN_READABLE), rn_default), 1);
    EXPECT_EQ(rn_select(NULL, rn_on_fd(p.in, RN_READABLE), rn_on_timeout(RN_MILLISECOND)), 1);
    EXPECT_EQ(rn_select(NULL, rn_on_recv(never, &value), rn_on_fd(p.out, RN_WRITABLE)), 1);
    EXPECT_EQ(rn_go_copy(write_when_select_waits, &p.out), 0);
    EXPECT_EQ(rn_select(NULL, rn_on_recv(never, &value), rn_on_fd(p.in, RN_READABLE)), 1);
    EXPECT_EQ(rn_go_copy(close_when_select_waits, &p.out), 0);
    EXPECT_EQ(rn_select(NULL, rn_on_recv(never, &value), rn_on_fd(p.out, RN_READABLE)), 1);
    EXPECT_EQ(rn_fd_close(p.out), -EBADF);
    rn_chan_release(never);
    rn_fd_close(p.in);
}

/* ---- closing ---- */

struct closed {
    rn_fd fd;
    int events; /* 0: read; RN_WRITABLE: fill and write; both: wait */
    atomic_int *ended;
};

static void expect_ebadf(void *arg)
{
    struct closed *c = arg;
    char byte;

    if (c->events == 0) {
        EXPECT_EQ(rn_fd_read(NULL, c->fd, &byte, 1), -EBADF);
    } else {
        EXPECT_EQ(rn_fd_wait(NULL, c->fd, c->events), -EBADF);
    }
    atomic_fetch_add(c->ended, 1);
}

TEST_FIBER(close_wakes_every_waiter_with_ebadf)
{
    struct pipe p = pipe_new();
    atomic_int ended = 0;
    char byte;

    for (int i = 0; i < 3; i++)
        EXPECT_EQ(rn_go_copy(expect_ebadf, &(struct closed){p.in, 0, &ended}), 0);
    EXPECT_EQ(rn_go_copy(expect_ebadf, &(struct closed){p.in, RN_READABLE, &ended}), 0);
    EXPECT_EQ(rn_go_copy(expect_ebadf, &(struct closed){p.in, RN_WRITABLE, &ended}), 0);
    EXPECT_EQ(rn_go_copy(expect_ebadf, &(struct closed){p.in, RN_READABLE | RN_WRITABLE, &ended}),
              0);
    await_reason("fd ", 6);
    EXPECT_EQ(rn_fd_close(p.in), 0);
    await_count(&ended, 6);
    EXPECT_EQ(rn_fd_close(p.in), -EBADF);
    EXPECT_EQ(rn_fd_read(NULL, p.in, &byte, 1), -EBADF);
    EXPECT_EQ(rn_fd_number(p.in), -EBADF);
    rn_fd_close(p.out);
}

TEST_FIBER(close_ends_a_write_that_waits)
{
    struct pipe p = pipe_new();
    struct flood f = {.out = p.out, .size = PIPE_BYTES_MAX};

    EXPECT_EQ(rn_go(write_flood, &f), 0);
    EXPECT_EQ(rn_go_copy(close_when_write_waits, &p.out), 0);
    await_count(&f.done, 1);
    EXPECT(f.written > 0 && f.written < PIPE_BYTES_MAX);
    rn_fd_close(p.in);
}

/* A pipe with these numbers, which nobody else uses. */
static struct pipe pipe_at(int in, int out)
{
    struct pipe p;
    int ends[2];

    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    EXPECT_EQ(dup3(ends[0], in, O_CLOEXEC), in);
    EXPECT_EQ(dup3(ends[1], out, O_CLOEXEC), out);
    close(ends[0]);
    close(ends[1]);
    EXPECT_EQ(rn_fd_open(&p.in, in), 0);
    EXPECT_EQ(rn_fd_open(&p.out, out), 0);
    return p;
}

TEST_FIBER(an_old_handle_never_reaches_the_next_user_of_its_number)
{
    struct pipe first = pipe_at(100, 101), second;
    char byte;

    EXPECT_EQ(rn_fd_write(NULL, first.out, "old", 3), 3); /* an event is on its way */
    pipe_close(first);
    second = pipe_at(100, 101);
    EXPECT_EQ(rn_fd_read(NULL, first.in, &byte, 1), -EBADF);
    EXPECT_EQ(rn_fd_write(NULL, first.out, "x", 1), -EBADF);
    EXPECT_EQ(rn_fd_wait(NULL, first.in, RN_READABLE), -EBADF);
    EXPECT_EQ(rn_fd_close(first.in), -EBADF);
    EXPECT_EQ(rn_fd_release(first.in), -EBADF);
    EXPECT_EQ(rn_go_copy(write_byte_later, &second.out), 0);
    EXPECT_EQ(rn_fd_read(NULL, second.in, &byte, 1), 1);
    EXPECT_EQ(byte, 'x');
    pipe_close(second);
}

TEST_FIBER(a_handle_of_nothing_is_ebadf)
{
    rn_fd none = {0}, far = {UINT64_MAX};
    char byte;

    EXPECT_EQ(rn_fd_read(NULL, none, &byte, 1), -EBADF);
    EXPECT_EQ(rn_fd_close(none), -EBADF);
    EXPECT_EQ(rn_fd_read(NULL, far, &byte, 1), -EBADF);
    EXPECT_EQ(rn_fd_close(far), -EBADF);
}

/* ---- opening and giving back ---- */

TEST_FIBER(open_says_what_is_wrong_and_takes_nothing)
{
    rn_fd fd, again;
    int ends[2];

    EXPECT_EQ(rn_fd_open(&fd, -1), -EBADF);
    EXPECT_EQ(fd.handle, 0);
    EXPECT_EQ(rn_fd_open_shared(&fd, 9999), -EBADF);
    EXPECT_EQ(fd.handle, 0);
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    EXPECT_EQ(rn_fd_open(&fd, ends[0]), 0);
    EXPECT_EQ(rn_fd_open(&again, ends[0]), -EEXIST);
    EXPECT_EQ(again.handle, 0);
    EXPECT_EQ(rn_fd_close(fd), 0);
    EXPECT_EQ(fcntl(ends[0], F_GETFD), -1);
    close(ends[1]);
}

TEST_FIBER(release_gives_the_descriptor_back_as_it_was)
{
    int ends[2];
    rn_fd fd;
    atomic_int ended = 0;

    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    EXPECT_EQ(rn_fd_open(&fd, ends[0]), 0);
    EXPECT(fcntl(ends[0], F_GETFL) & O_NONBLOCK);
    EXPECT_EQ(rn_fd_number(fd), ends[0]);
    EXPECT_EQ(rn_go_copy(expect_ebadf, &(struct closed){fd, 0, &ended}), 0);
    await_reason("fd read", 1);
    EXPECT_EQ(rn_fd_release(fd), ends[0]);
    EXPECT_EQ(fcntl(ends[0], F_GETFL) & O_NONBLOCK, 0);
    await_count(&ended, 1);
    EXPECT_EQ(rn_fd_release(fd), -EBADF);
    EXPECT_EQ(rn_fd_open(&fd, ends[0]), 0); /* and it can be opened again */
    EXPECT_EQ(rn_fd_close(fd), 0);
    close(ends[1]);
}

TEST_FIBER(shared_descriptors_keep_their_mode)
{
    int ends[2];
    struct pipe p;
    char byte;

    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    EXPECT_EQ(rn_fd_open_shared(&p.in, ends[0]), 0);
    EXPECT_EQ(rn_fd_open_shared(&p.out, ends[1]), 0);
    EXPECT_EQ(fcntl(ends[0], F_GETFL) & O_NONBLOCK, 0);
    EXPECT_EQ(rn_go_copy(write_byte_later, &p.out), 0);
    EXPECT_EQ(rn_fd_read(NULL, p.in, &byte, 1), 1);
    EXPECT_EQ(byte, 'x');
    struct flood f = {.out = p.out, .size = PIPE_BYTES_MAX};
    EXPECT_EQ(rn_go(write_flood, &f), 0);
    char *data = malloc(f.size);
    EXPECT_EQ(rn_fd_read_full(NULL, p.in, data, f.size), (ssize_t)f.size);
    EXPECT_EQ(data[f.size - 1], pattern(f.size - 1));
    free(data);
    await_count(&f.done, 1);
    EXPECT_EQ(rn_fd_release(p.in), ends[0]);
    close(ends[0]);
}

/* ---- files ---- */

TEST_FIBER(regular_files_read_and_write)
{
    char path[] = "/tmp/runnel-test-XXXXXX", text[32];
    rn_fd fd;

    EXPECT_EQ(rn_fd_open(&fd, mkstemp(path)), 0);
    EXPECT_EQ(unlink(path), 0);
    EXPECT_EQ(rn_fd_write(NULL, fd, "one two", 7), 7);
    EXPECT_EQ(rn_fd_wait(NULL, fd, RN_READABLE | RN_WRITABLE), RN_READABLE | RN_WRITABLE);
    EXPECT_EQ(lseek(rn_fd_number(fd), 4, SEEK_SET), 4);
    EXPECT_EQ(rn_fd_read(NULL, fd, text, sizeof text), 3);
    EXPECT_EQ(memcmp(text, "two", 3), 0);
    EXPECT_EQ(rn_fd_read(NULL, fd, text, sizeof text), 0);
    EXPECT_EQ(rn_fd_close(fd), 0);
}

TEST_FIBER(reading_a_directory_says_so)
{
    rn_fd fd;
    char byte;
    EXPECT_EQ(rn_fd_open(&fd, open("/", O_RDONLY | O_CLOEXEC)), 0);
    EXPECT_EQ(rn_fd_read(NULL, fd, &byte, 1), -EISDIR);
    rn_fd_close(fd);
}

TEST_FIBER(a_full_disk_is_a_code)
{
    rn_fd fd;
    EXPECT_EQ(rn_fd_open(&fd, open("/dev/full", O_WRONLY | O_CLOEXEC)), 0);
    EXPECT_EQ(rn_fd_write(NULL, fd, "x", 1), -ENOSPC);
    rn_fd_close(fd);
}

/* ---- plain threads, and the runtime's end ---- */

static void *write_from_thread(void *arg)
{
    struct flood *f = arg;
    write_flood(f);
    return NULL;
}

TEST(plain_threads_read_and_write)
{
    struct pipe p = pipe_new();
    struct flood f = {.out = p.out, .size = PIPE_BYTES_MAX};
    char *data = malloc(f.size);
    pthread_t thread;

    EXPECT_EQ(pthread_create(&thread, NULL, write_from_thread, &f), 0);
    EXPECT_EQ(rn_fd_read_full(NULL, p.in, data, f.size), (ssize_t)f.size);
    EXPECT_EQ(data[f.size - 1], pattern(f.size - 1));
    pthread_join(thread, NULL);
    free(data);
    rn_fd_close(p.in);
    EXPECT_EQ(rn_stop(), 0);
}

static rn_fd left_open;

static int leave_open(int argc, char **argv)
{
    struct pipe p = pipe_new();
    (void)argc, (void)argv;
    left_open = p.in;
    EXPECT_EQ(rn_go_copy(read_to_the_end, &(struct reader){p.in, NULL, NULL}), 0);
    await_reason("fd read", 1);
    return 0;
}

static int look_at_old_handle(int argc, char **argv)
{
    char byte;
    (void)argc, (void)argv;
    struct pipe p = pipe_new();
    EXPECT_EQ(rn_fd_read(NULL, left_open, &byte, 1), -EBADF);
    EXPECT_EQ(rn_fd_close(left_open), -EBADF);
    pipe_close(p);
    return 0;
}

TEST(handles_left_open_are_closed_with_the_runtime_and_stay_invalid)
{
    int before = fds_open();
    EXPECT_EQ(rn_run(leave_open, 0, NULL), 0);
    expect_fds(before);
    EXPECT_EQ(rn_run(look_at_old_handle, 0, NULL), 0);
    expect_fds(before);
}
