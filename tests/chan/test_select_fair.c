/* Of several ready cases each is as likely as the others; and one pass sees one instant. */
#include "core.h"
#include "test.h"

#define READY_MAX 20

/*
 * Pearson's statistic for draws that should be uniform. Its bound below is one that a fair select
 * passes with a probability of more than 1 - 1e-9, and one that prefers a case by a tenth fails.
 */
static double chi_square(const int *hits, int n, int draws)
{
    double expected = (double)draws / n, sum = 0;
    for (int i = 0; i < n; i++)
        sum += (hits[i] - expected) * (hits[i] - expected) / expected;
    return sum;
}

static void expect_uniform(const int *hits, int n, int draws)
{
    double degrees = n - 1;
    EXPECT(chi_square(hits, n, draws) < degrees + 40 + 9 * degrees / 2);
}

/* All n channels are closed, so ready for ever. */
static void draw_closed(int n)
{
    int draws = n * rounds(5000), hits[READY_MAX] = {0}, value;
    int_chan chans[READY_MAX];
    rn_case cases[READY_MAX];

    for (int i = 0; i < n; i++) {
        chans[i] = rn_chan_make(int, 0);
        rn_close(chans[i]);
        cases[i] = i % 3 == 2 ? (rn_case){.kind = RN_CASE_SEND,
                                          .chan = rn_chan_untyped(chans[i]),
                                          .value = &value}
                              : rn_on_recv(chans[i], &value);
    }
    for (int i = 0; i < draws; i++)
        hits[rn_select_n(NULL, cases, (size_t)n, 0)]++;
    expect_uniform(hits, n, draws);
    for (int i = 0; i < n; i++)
        rn_chan_release(chans[i]);
}

TEST_FIBER(a_select_over_closed_channels_is_fair)
{
    draw_closed(2);
    draw_closed(3);
    draw_closed(4);
    draw_closed(8);
    draw_closed(16);
    draw_closed(20);
}

TEST_FIBER(a_select_over_channels_with_values_is_fair)
{
    enum { N = 4 };
    int draws = rounds(20000), hits[N] = {0}, value;
    int_chan chans[N];

    for (int i = 0; i < N; i++) {
        chans[i] = rn_chan_make(int, 1);
        EXPECT_EQ(rn_send(NULL, chans[i], i), 0);
    }
    for (int i = 0; i < draws; i++) {
        int at = rn_select(NULL, rn_on_recv(chans[0], &value), rn_on_recv(chans[1], &value),
                           rn_on_recv(chans[2], &value), rn_on_recv(chans[3], &value));
        EXPECT_EQ(value, at);
        hits[at]++;
        EXPECT_EQ(rn_send(NULL, chans[at], at), 0);
    }
    expect_uniform(hits, N, draws);
    for (int i = 0; i < N; i++)
        rn_chan_release(chans[i]);
}

TEST_FIBER(sends_and_receives_are_treated_alike)
{
    int draws = rounds(20000), hits[2] = {0}, value;
    int_chan in = rn_chan_make(int, 1), out = rn_chan_make(int, 1);

    EXPECT_EQ(rn_send(NULL, in, 1), 0);
    for (int i = 0; i < draws; i++) {
        int at = rn_select(NULL, rn_on_recv(in, &value), rn_on_send(out, 2));
        hits[at]++;
        if (at == 0)
            EXPECT_EQ(rn_send(NULL, in, 1), 0);
        else
            EXPECT_EQ(rn_recv(NULL, out, &value), 0);
    }
    expect_uniform(hits, 2, draws);
    rn_chan_release(in);
    rn_chan_release(out);
}

TEST_FIBER(an_ended_context_and_a_timeout_are_cases_like_others)
{
    int draws = rounds(15000), hits[3] = {0}, value;
    int_chan closed = rn_chan_make(int, 0);
    rn_ctx *ended = rn_ctx_with_cancel(NULL);

    rn_close(closed);
    rn_ctx_cancel(ended, 0);
    for (int i = 0; i < draws; i++)
        hits[rn_select(NULL, rn_on_recv(closed, &value), rn_on_done(ended), rn_on_timeout(0))]++;
    expect_uniform(hits, 3, draws);
    rn_ctx_release(ended);
    rn_chan_release(closed);
}

struct mover {
    int_chan a, b;
    atomic_int *stop;
};

/*
 * Puts a token into the one channel before it takes it from the other: one of them always has one.
 */
static void move_token(void *arg)
{
    struct mover *m = arg;
    int token;

    while (atomic_load(m->stop) == 0) {
        rn_try_send(m->b, 1);
        rn_try_recv(m->a, &token);
        rn_yield();
        rn_try_send(m->a, 1);
        rn_try_recv(m->b, &token);
    }
}

TEST_FIBER(the_default_is_never_taken_when_one_of_two_channels_is_always_ready)
{
    atomic_int stop = 0;
    struct mover m = {rn_chan_make(int, 1), rn_chan_make(int, 1), &stop};
    int token;

    EXPECT_EQ(rn_send(NULL, m.a, 1), 0);
    EXPECT_EQ(rn_go(move_token, &m), 0);
    for (int i = 0; i < rounds(100000); i++) {
        int at = rn_select(NULL, rn_on_recv(m.a, &token), rn_on_recv(m.b, &token), rn_default);
        EXPECT(at != 2);
        rn_try_send(at == 0 ? m.a : m.b, 1); /* back before the next look */
        if (i % 8 == 0)
            rn_yield();
    }
    atomic_store(&stop, 1);
    await_live(1);
    rn_chan_release(m.a);
    rn_chan_release(m.b);
}

static void move_room(void *arg)
{
    struct mover *m = arg;
    int token;

    while (atomic_load(m->stop) == 0) {
        rn_try_recv(m->b, &token);
        rn_try_send(m->a, 1);
        rn_yield();
        rn_try_recv(m->a, &token);
        rn_try_send(m->b, 1);
    }
}

TEST_FIBER(the_default_is_never_taken_when_one_of_two_channels_always_has_room)
{
    atomic_int stop = 0;
    struct mover m = {rn_chan_make(int, 1), rn_chan_make(int, 1), &stop};
    int token;

    EXPECT_EQ(rn_send(NULL, m.b, 1), 0);
    EXPECT_EQ(rn_go(move_room, &m), 0);
    for (int i = 0; i < rounds(100000); i++) {
        int at = rn_select(NULL, rn_on_send(m.a, 1), rn_on_send(m.b, 1), rn_default);
        EXPECT(at != 2);
        rn_try_recv(at == 0 ? m.a : m.b, &token);
        if (i % 8 == 0)
            rn_yield();
    }
    atomic_store(&stop, 1);
    await_live(1);
    rn_chan_release(m.a);
    rn_chan_release(m.b);
}
