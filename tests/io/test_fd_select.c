/* Select over descriptors, while contexts end and events come at the wrong moment. */
#include "io.h"

#include <poll.h>
#include <pthread.h>

struct ender {
    _Atomic(rn_ctx *) next; /* to be cancelled and released */
    atomic_int done;
};

static void *end_contexts(void *arg)
{
    struct ender *e = arg;
    rn_ctx *ctx;

    while (atomic_load(&e->done) == 0) {
        ctx = atomic_exchange(&e->next, NULL);
        rn_ctx_cancel(ctx, 0);
        rn_ctx_release(ctx);
    }
    return NULL;
}

TEST_FIBER(a_context_may_end_while_a_select_begins_to_wait)
{
    struct ender e = {.done = 0};
    struct pipe p = pipe_new();
    pthread_t thread;

    EXPECT_EQ(pthread_create(&thread, NULL, end_contexts, &e), 0);
    for (int i = 0; i < rounds(20000); i++) {
        rn_ctx *ctx = rn_ctx_with_cancel(NULL);
        EXPECT(rn_ctx_retain(ctx) == ctx);
        atomic_store(&e.next, ctx);
        for (int n = i % 64; n > 0 && rn_ctx_err(ctx) == 0; n--)
            ; /* so that it ends now here, now there */
        EXPECT_EQ(rn_select(NULL, rn_on_fd(p.in, RN_READABLE), rn_on_done(ctx)), 1);
        rn_ctx_release(ctx);
    }
    atomic_store(&e.done, 1);
    EXPECT_EQ(pthread_join(thread, NULL), 0);
    pipe_close(p);
}

static void write_bytes(void *arg)
{
    rn_fd out = *(rn_fd *)arg;

    for (int i = 0; i < rounds(50000); i++) {
        EXPECT_EQ(rn_fd_write(NULL, out, "x", 1), 1);
        if (i % 3 == 0)
            rn_yield();
    }
    rn_fd_close(out);
}

/* Bytes are read as they come, so that many events are late: of what has been read already. */
TEST_FIBER(a_select_that_fires_has_something_to_read)
{
    struct pipe p = pipe_new();
    char byte;
    ssize_t n;

    EXPECT_EQ(rn_go_copy(write_bytes, &p.out), 0);
    do {
        struct pollfd now = {rn_fd_number(p.in), POLLIN, 0};
        EXPECT_EQ(rn_select(NULL, rn_on_fd(p.in, RN_READABLE)), 0);
        EXPECT_EQ(poll(&now, 1, 0), 1);
        n = rn_fd_read(NULL, p.in, &byte, 1);
    } while (n == 1);
    EXPECT_EQ(n, 0);
    rn_fd_close(p.in);
}
