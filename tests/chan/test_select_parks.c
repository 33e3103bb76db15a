/*
 * A select parks and never polls: while it waits, no fiber is resumed and the system is not asked.
 */
#include "core.h"
#include "test.h"

#include <runnel/fd.h>
#include <unistd.h>

#define SELECTS 20

struct waiting {
    int_chan a, b, done;
    rn_ctx *ctx;
    rn_fd fd;
};

static void wait_in_select(void *arg)
{
    struct waiting *w = arg;
    int value;
    int fired = rn_select(NULL, rn_on_recv(w->a, &value), rn_on_send(w->b, 1),
                          rn_on_timeout(RN_HOUR), rn_on_done(w->ctx), rn_on_fd(w->fd, RN_READABLE));

    EXPECT_EQ(fired, 0);
    EXPECT_EQ(rn_send(NULL, w->done, 1), 0);
}

/* Some tens of milliseconds in which the workers could do what they should not. */
static void burn(void)
{
    for (volatile int i = 0; i < 20000000; i++)
        ;
}

/*
 * The workers go to sleep some time after the last select has parked. From then on nothing changes;
 * if a select polled, this would never end.
 */
static void await_silence(void)
{
    rn_stats before, after;

    do {
        before = stats_now();
        burn();
        after = stats_now();
    } while (after.switches != before.switches || after.polls != before.polls);
}

TEST(a_waiting_select_does_nothing)
{
    struct waiting w = {rn_chan_make(int, 0),
                        rn_chan_make(int, 0),
                        rn_chan_make(int, SELECTS),
                        rn_ctx_with_cancel(NULL),
                        {0}};
    int ends[2], value;
    rn_stats before;

    EXPECT_EQ(pipe(ends), 0);
    EXPECT_EQ(rn_fd_open(&w.fd, ends[0]), 0);
    for (int i = 0; i < SELECTS; i++)
        EXPECT_EQ(rn_go(wait_in_select, &w), 0);
    await_waiters(w.a, SELECTS);
    await_silence();
    before = stats_now();
    for (int i = 0; i < SELECTS; i++)
        EXPECT_EQ(rn_send(NULL, w.a, i), 0);
    for (int i = 0; i < SELECTS; i++)
        EXPECT_EQ(rn_recv(NULL, w.done, &value), 0);
    while (stats_now().switches < before.switches + SELECTS) /* the counter does count */
        rn_yield();
    EXPECT_EQ(rn_fd_close(w.fd), 0);
    close(ends[1]);
    rn_ctx_release(w.ctx);
    rn_chan_release(w.a);
    rn_chan_release(w.b);
    rn_chan_release(w.done);
    EXPECT_EQ(rn_stop(), 0);
}
