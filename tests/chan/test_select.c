/*
 * Select, one waiter: which case fires, and what the codes say. Lists, timeouts and contexts
 * included.
 */
#include "core.h"
#include "test.h"

#define LONG (60 * RN_MINUTE) /* never reached */

static int_chan closed_chan(void)
{
    int_chan ch = rn_chan_make(int, 1);
    rn_close(ch);
    return ch;
}

TEST_FIBER(a_ready_receive_fires_with_its_value)
{
    int_chan a = rn_chan_make(int, 1), b = rn_chan_make(int, 1);
    int x = 0, y = 0;

    EXPECT_EQ(rn_send(NULL, b, 5), 0);
    EXPECT_EQ(rn_select(NULL, rn_on_recv(a, &x), rn_on_recv(b, &y)), 1);
    EXPECT_EQ(x, 0);
    EXPECT_EQ(y, 5);
    rn_chan_release(a);
    rn_chan_release(b);
}

struct pair {
    int first, second;
};

TEST_FIBER(a_ready_send_fires_and_a_struct_may_be_written_as_a_literal)
{
    rn_chan(struct pair) ch = rn_chan_make(struct pair, 1);
    int_chan full = rn_chan_make(int, 1);
    struct pair got = {0}, kept = {3, 4};

    EXPECT_EQ(rn_send(NULL, full, 1), 0);
    EXPECT_EQ(rn_select(NULL, rn_on_send(full, 2), rn_on_send(ch, {1, 2})), 1);
    EXPECT_EQ(rn_recv(NULL, ch, &got), 0);
    EXPECT_EQ(got.second, 2);
    EXPECT_EQ(rn_select(NULL, rn_on_send(full, 2), rn_on_send(ch, kept)), 1);
    EXPECT_EQ(rn_recv(NULL, ch, &got), 0);
    EXPECT_EQ(got.second, 4);
    EXPECT_EQ(rn_len(full), 1);
    rn_chan_release(ch);
    rn_chan_release(full);
}

TEST_FIBER(the_default_is_taken_only_when_nothing_is_ready)
{
    int_chan ch = rn_chan_make(int, 1);
    int value = 0;

    EXPECT_EQ(rn_select(NULL, rn_on_recv(ch, &value), rn_default), 1);
    EXPECT_EQ(rn_select(NULL, rn_default, rn_on_send(ch, 7)), 1);
    EXPECT_EQ(rn_select(NULL, rn_default, rn_on_send(ch, 8)), 0);
    EXPECT_EQ(rn_select(NULL, rn_on_recv(ch, &value), rn_default), 0);
    EXPECT_EQ(value, 7);
    EXPECT_EQ(rn_select(NULL, rn_default), 0);
    rn_chan_release(ch);
}

TEST_FIBER(the_code_tells_a_value_from_the_close)
{
    int_chan ch = rn_chan_make(int, 1);
    int value = 0, code = 1;

    EXPECT_EQ(rn_send(NULL, ch, 3), 0);
    EXPECT_EQ(rn_close(ch), 0);
    EXPECT_EQ(rn_select(NULL, rn_on_recv_code(ch, &value, &code)), 0);
    EXPECT_EQ(code, 0);
    EXPECT_EQ(value, 3);
    EXPECT_EQ(rn_select(NULL, rn_on_recv_code(ch, &value, &code)), 0);
    EXPECT_EQ(code, RN_ECLOSED);
    EXPECT_EQ(value, 3);
    /* the index comes back without a place too */
    EXPECT_EQ(rn_select(NULL, rn_on_recv(ch, &value)), 0);
    rn_chan_release(ch);
}

TEST_FIBER(a_send_case_fires_on_the_close_and_its_code_says_so)
{
    int_chan ch = rn_chan_make(int, 1), closed = closed_chan();
    int code = 1;

    EXPECT_EQ(rn_select(NULL, rn_on_send_code(ch, &code, 3)), 0);
    EXPECT_EQ(code, 0);
    EXPECT_EQ(rn_select(NULL, rn_on_send_code(closed, &code, 3)), 0);
    EXPECT_EQ(code, RN_ECLOSED);
    EXPECT_EQ(rn_len(closed), 0);
    EXPECT_EQ(rn_select(NULL, rn_on_send(closed, 3)), 0);
    rn_chan_release(ch);
    rn_chan_release(closed);
}

TEST_FIBER(a_receive_case_may_throw_the_value_away)
{
    int_chan ch = rn_chan_make(int, 1);
    rn_case one = {.kind = RN_CASE_RECV, .chan = rn_chan_untyped(ch)};

    EXPECT_EQ(rn_send(NULL, ch, 3), 0);
    EXPECT_EQ(rn_select_n(NULL, &one, 1, 0), 0);
    EXPECT_EQ(rn_len(ch), 0);
    rn_chan_release(ch);
}

TEST_FIBER(a_null_channel_is_never_chosen)
{
    int_chan none = NULL;
    int value;

    EXPECT_EQ(rn_select(NULL, rn_on_recv(none, &value), rn_on_send(none, 1), rn_default), 2);
    EXPECT_EQ(rn_select(NULL, rn_on_recv(none, &value), rn_on_send(none, 1),
                        rn_on_timeout(RN_MILLISECOND)),
              2);
}

TEST_FIBER(a_place_holder_never_fires)
{
    rn_case cases[] = {{.kind = RN_CASE_NONE}, rn_on_timeout(0), {.kind = RN_CASE_NONE}};

    for (int i = 0; i < 20; i++)
        EXPECT_EQ(rn_select_n(NULL, cases, 3, 0), 1);
}

TEST_FIBER(a_timeout_of_zero_or_less_is_over_at_once)
{
    int_chan ch = rn_chan_make(int, 0);
    int value;

    EXPECT_EQ(rn_select(NULL, rn_on_recv(ch, &value), rn_on_timeout(0)), 1);
    EXPECT_EQ(rn_select(NULL, rn_on_recv(ch, &value), rn_on_timeout(-1)), 1);
    EXPECT_EQ(rn_select(NULL, rn_on_timeout(INT64_MIN), rn_on_recv(ch, &value)), 0);
    rn_chan_release(ch);
}

TEST_FIBER(a_timeout_fires_after_its_time)
{
    int_chan ch = rn_chan_make(int, 0);
    rn_time start = rn_now();
    int value;

    EXPECT_EQ(rn_select(NULL, rn_on_recv(ch, &value), rn_on_timeout(3 * RN_MILLISECOND)), 1);
    EXPECT(rn_now() - start >= 3 * RN_MILLISECOND);
    EXPECT_EQ(rn_waiters(ch), 0);
    rn_chan_release(ch);
}

TEST_FIBER(of_two_timeouts_the_shorter_fires)
{
    EXPECT_EQ(rn_select(NULL, rn_on_timeout(LONG), rn_on_timeout(RN_MILLISECOND)), 1);
    EXPECT_EQ(rn_select(NULL, rn_on_timeout(RN_MILLISECOND), rn_on_timeout(LONG)), 0);
}

struct sender {
    int_chan ch;
    int value;
};

static void send_when_waited_for(void *arg)
{
    struct sender *s = arg;
    await_waiters(s->ch, 1);
    EXPECT_EQ(rn_send(NULL, s->ch, s->value), 0);
}

TEST_FIBER(a_huge_timeout_is_not_a_short_one)
{
    int_chan ch = rn_chan_make(int, 0);
    int value = 0;

    EXPECT_EQ(rn_go_copy(send_when_waited_for, &(struct sender){ch, 4}), 0);
    EXPECT_EQ(rn_select(NULL, rn_on_timeout(RN_FOREVER), rn_on_recv(ch, &value),
                        rn_on_timeout(RN_FOREVER - 1)),
              1);
    EXPECT_EQ(value, 4);
    await_live(1);
    rn_chan_release(ch);
}

TEST_FIBER(done_fires_for_a_context_that_has_ended_or_ends)
{
    int_chan ch = rn_chan_make(int, 0);
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    struct canceller c = {ctx, rn_chan_untyped(ch), 1};
    int value;

    EXPECT_EQ(rn_select(NULL, rn_on_done(ctx), rn_default), 1);
    EXPECT_EQ(rn_go(cancel_when_waiting, &c), 0);
    EXPECT_EQ(rn_select(NULL, rn_on_recv(ch, &value), rn_on_done(ctx)), 1);
    EXPECT_EQ(rn_waiters(ch), 0);
    EXPECT_EQ(rn_select(NULL, rn_on_recv(ch, &value), rn_on_done(ctx), rn_default), 1);
    await_live(1);
    rn_ctx_release(ctx);
    rn_chan_release(ch);
}

TEST_FIBER(done_fires_at_a_deadline)
{
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, 2 * RN_MILLISECOND);

    EXPECT_EQ(rn_select(NULL, rn_on_timeout(LONG), rn_on_done(ctx)), 1);
    EXPECT_EQ(rn_ctx_err(ctx), -ETIMEDOUT);
    rn_ctx_release(ctx);
}

TEST_FIBER(done_of_no_context_never_fires)
{
    EXPECT_EQ(rn_select(NULL, rn_on_done(NULL), rn_default), 1);
    EXPECT_EQ(rn_select(NULL, rn_on_done(NULL), rn_on_timeout(RN_MILLISECOND)), 1);
}

TEST_FIBER(the_selects_own_context_gives_its_code)
{
    int_chan ch = rn_chan_make(int, 0);
    rn_ctx *cancelled = rn_ctx_with_cancel(NULL);
    rn_ctx *late = rn_ctx_with_timeout(NULL, 2 * RN_MILLISECOND);
    struct canceller c = {cancelled, rn_chan_untyped(ch), 1};
    int value = 6;

    EXPECT_EQ(rn_go(cancel_when_waiting, &c), 0);
    EXPECT_EQ(rn_select(cancelled, rn_on_recv(ch, &value), rn_on_timeout(LONG)), -ECANCELED);
    EXPECT_EQ(rn_select(cancelled, rn_on_recv(ch, &value)), -ECANCELED);
    EXPECT_EQ(rn_select(late, rn_on_recv(ch, &value), rn_on_send(ch, 1)), -ETIMEDOUT);
    EXPECT_EQ(value, 6);
    EXPECT_EQ(rn_waiters(ch), 0);
    await_live(1);
    rn_ctx_release(cancelled);
    rn_ctx_release(late);
    rn_chan_release(ch);
}

TEST_FIBER(without_cases_it_waits_for_its_context)
{
    rn_ctx *late = rn_ctx_with_timeout(NULL, 2 * RN_MILLISECOND);

    EXPECT_EQ(rn_select_n(late, NULL, 0, 0), -ETIMEDOUT);
    EXPECT_EQ(rn_select_n(late, NULL, 0, 0), -ETIMEDOUT);
    rn_ctx_release(late);
}

static int select_nothing(int argc, char **argv)
{
    (void)argc, (void)argv;
    return rn_select_n(NULL, NULL, 0, 0);
}

TEST_DIES(with_no_case_and_no_context_it_sleeps_for_ever, "select \\(no cases\\)", 2)
{
    rn_run(select_nothing, 0, NULL);
}

TEST_FIBER(unknown_kinds_and_flags_and_two_defaults_are_einval)
{
    rn_case strange = {.kind = (enum rn_case_kind)99};
    rn_case defaults[] = {rn_default, rn_default};

    EXPECT_EQ(rn_select_n(NULL, &strange, 1, 0), -EINVAL);
    EXPECT_EQ(rn_select_n(NULL, defaults, 1, 0x80), -EINVAL);
    EXPECT_EQ(rn_select_n(NULL, defaults, 2, 0), -EINVAL);
}

TEST_FIBER(in_order_takes_the_first_ready_case)
{
    int_chan empty = rn_chan_make(int, 1), ready = closed_chan(), also = closed_chan();
    int value;

    for (int i = 0; i < 200; i++) {
        rn_case cases[] = {rn_on_recv(empty, &value), rn_on_recv(ready, &value),
                           rn_on_recv(also, &value), rn_on_timeout(0)};
        EXPECT_EQ(rn_select_n(NULL, cases, 4, RN_SELECT_IN_ORDER), 1);
    }
    rn_chan_release(empty);
    rn_chan_release(ready);
    rn_chan_release(also);
}

TEST_FIBER(one_channel_may_be_named_twice)
{
    int_chan ch = rn_chan_make(int, 4);
    int x, y, hits[2] = {0, 0};

    for (int i = 0; i < 400; i++) {
        x = y = -1;
        EXPECT_EQ(rn_send(NULL, ch, i), 0);
        int at = rn_select(NULL, rn_on_recv(ch, &x), rn_on_recv(ch, &y));
        EXPECT(at == 0 || at == 1);
        EXPECT_EQ(at == 0 ? x : y, i);
        EXPECT_EQ(at == 0 ? y : x, -1);
        EXPECT_EQ(rn_len(ch), 0);
        hits[at]++;
    }
    EXPECT(hits[0] > 0 && hits[1] > 0);
    rn_chan_release(ch);
}

TEST_FIBER(one_channel_named_twice_delivers_once_after_a_wait)
{
    int_chan ch = rn_chan_make(int, 0);

    for (int i = 0; i < 100; i++) {
        int x = -1, y = -1;
        EXPECT_EQ(rn_go_copy(send_when_waited_for, &(struct sender){ch, i}), 0);
        int at = rn_select(NULL, rn_on_recv(ch, &x), rn_on_recv(ch, &y), rn_on_recv(ch, &x));
        EXPECT(at >= 0 && at <= 2);
        EXPECT_EQ(at == 1 ? y : x, i);
        EXPECT_EQ(at == 1 ? x : y, -1);
        EXPECT_EQ(rn_waiters(ch), 0);
    }
    await_live(1);
    rn_chan_release(ch);
}

TEST_FIBER(send_and_receive_on_one_buffered_channel_alternate)
{
    int_chan ch = rn_chan_make(int, 1);
    int value = -1;

    for (int i = 0; i < 100; i++) {
        EXPECT_EQ(rn_select(NULL, rn_on_recv(ch, &value), rn_on_send(ch, i)), 1);
        EXPECT_EQ(rn_select(NULL, rn_on_recv(ch, &value), rn_on_send(ch, 1000)), 0);
        EXPECT_EQ(value, i);
    }
    rn_chan_release(ch);
}

TEST_FIBER(an_unbuffered_channel_never_pairs_with_itself)
{
    int_chan ch = rn_chan_make(int, 0);
    int value = -1;

    for (int i = 0; i < 100; i++)
        EXPECT_EQ(rn_select(NULL, rn_on_recv(ch, &value), rn_on_send(ch, i), rn_default), 2);
    EXPECT_EQ(
        rn_select(NULL, rn_on_recv(ch, &value), rn_on_send(ch, 1), rn_on_timeout(RN_MILLISECOND)),
        2);
    EXPECT_EQ(value, -1);
    EXPECT_EQ(rn_waiters(ch), 0);
    rn_chan_release(ch);
}

/* Each of n cases in turn is the ready one: at once, and after a wait. */
static void each_case_fires(size_t n)
{
    int_chan *chans = calloc(n, sizeof *chans);
    rn_case *cases = calloc(n, sizeof *cases);
    int *values = calloc(n, sizeof *values);

    for (size_t i = 0; i < n; i++) {
        chans[i] = rn_chan_make(int, i % 2);
        cases[i] = rn_on_recv(chans[i], &values[i]);
    }
    for (size_t i = 0; i < n; i++) {
        if (i % 2 == 1) {
            EXPECT_EQ(rn_send(NULL, chans[i], 1 + (int)i), 0);
            EXPECT_EQ(rn_select_n(NULL, cases, n, 0), i);
            EXPECT_EQ(values[i], 1 + (int)i);
        }
        EXPECT_EQ(rn_go_copy(send_when_waited_for, &(struct sender){chans[i], 5 + (int)i}), 0);
        EXPECT_EQ(rn_select_n(NULL, cases, n, i % 3 == 0 ? RN_SELECT_IN_ORDER : 0), i);
        EXPECT_EQ(values[i], 5 + (int)i);
        await_live(1);
        for (size_t k = 0; k < n; k++)
            EXPECT_EQ(rn_waiters(chans[k]), 0);
    }
    for (size_t i = 0; i < n; i++)
        rn_chan_release(chans[i]);
    free(chans);
    free(cases);
    free(values);
}

TEST_FIBER(lists_of_every_size_work)
{
    for (size_t n = 1; n <= 40; n += n < 15 || n > 18 ? 3 : 1)
        each_case_fires(n);
    each_case_fires(200);
}

TEST_FIBER(a_channel_may_be_in_a_long_list_many_times)
{
    enum { CASES = 300 };
    int_chan chans[7];
    rn_case cases[CASES];
    int value = 0;

    for (int i = 0; i < 7; i++)
        chans[i] = rn_chan_make(int, 0);
    for (int i = 0; i < CASES; i++)
        cases[i] = rn_on_recv(chans[i * 5 % 7], &value);
    for (int i = 0; i < 7; i++) {
        EXPECT_EQ(rn_go_copy(send_when_waited_for, &(struct sender){chans[i], i}), 0);
        int fired = rn_select_n(NULL, cases, CASES, 0);
        EXPECT(fired >= 0 && fired * 5 % 7 == i);
        EXPECT_EQ(value, i);
        await_live(1);
    }
    for (int i = 0; i < 7; i++) {
        EXPECT_EQ(rn_waiters(chans[i]), 0);
        rn_chan_release(chans[i]);
    }
}

TEST_FIBER(losers_leave_no_trace)
{
    enum { N = 24 };
    int_chan chans[N];
    rn_case cases[2 * N];
    int values[N], out[N];

    for (int i = 0; i < N; i++) {
        chans[i] = rn_chan_make(int, 0);
        values[i] = -1;
        out[i] = i;
        cases[2 * i] = rn_on_recv(chans[i], &values[i]);
        cases[2 * i + 1] = (rn_case){
            .kind = RN_CASE_SEND, .chan = rn_chan_untyped(chans[i]), .value = &out[i]};
    }
    EXPECT_EQ(rn_go_copy(send_when_waited_for, &(struct sender){chans[11], 50}), 0);
    EXPECT_EQ(rn_select_n(NULL, cases, 2 * N, 0), 22);
    EXPECT_EQ(values[11], 50);
    for (int i = 0; i < N; i++) {
        EXPECT_EQ(rn_waiters(chans[i]), 0);
        EXPECT_EQ(rn_try_send(chans[i], 1), -EAGAIN); /* no ghost takes it */
        EXPECT_EQ(rn_try_recv(chans[i], &values[i]), -EAGAIN);
        EXPECT(i == 11 || values[i] == -1);
    }
    await_live(1);
    for (int i = 0; i < N; i++)
        rn_chan_release(chans[i]);
}

static void close_when_waited_for(void *arg)
{
    int_chan ch = *(int_chan *)arg;
    await_waiters(ch, 1);
    EXPECT_EQ(rn_close(ch), 0);
}

TEST_FIBER(a_close_during_the_wait_fires_the_case_with_eclosed)
{
    int_chan a = rn_chan_make(int, 0), b = rn_chan_make(int, 0);
    int value = 9, code = 1, other = 1;

    EXPECT_EQ(rn_go_copy(close_when_waited_for, &a), 0);
    EXPECT_EQ(
        rn_select(NULL, rn_on_recv_code(b, &value, &other), rn_on_recv_code(a, &value, &code)), 1);
    EXPECT_EQ(code, RN_ECLOSED);
    EXPECT_EQ(other, 1);
    EXPECT_EQ(rn_go_copy(close_when_waited_for, &b), 0);
    EXPECT_EQ(rn_select(NULL, rn_on_send_code(b, &code, 3), rn_on_timeout(LONG)), 0);
    EXPECT_EQ(code, RN_ECLOSED);
    EXPECT_EQ(value, 9);
    await_live(1);
    rn_chan_release(a);
    rn_chan_release(b);
}

static atomic_int dropped;

static void count_drop(void *element)
{
    (void)element;
    atomic_fetch_add(&dropped, 1);
}

TEST_FIBER(drop_gets_a_value_that_a_case_threw_away)
{
    int_chan ch = rn_chan_make_with(int, &(rn_chan_options){.drop = count_drop});
    rn_case one = {.kind = RN_CASE_RECV, .chan = rn_chan_untyped(ch)};

    EXPECT_EQ(rn_go_copy(send_when_waited_for, &(struct sender){ch, 1}), 0);
    EXPECT_EQ(rn_select_n(NULL, &one, 1, 0), 0);
    await_live(1);
    EXPECT_EQ(atomic_load(&dropped), 1);
    rn_chan_release(ch);
}

TEST(a_plain_thread_selects_too)
{
    int_chan a = rn_chan_make(int, 0), b = rn_chan_make(int, 0);
    rn_ctx *late = rn_ctx_with_timeout(NULL, 2 * RN_MILLISECOND);
    int value = 0;

    EXPECT_EQ(rn_go_copy(send_when_waited_for, &(struct sender){b, 12}), 0);
    EXPECT_EQ(rn_select(NULL, rn_on_recv(a, &value), rn_on_recv(b, &value), rn_on_send(a, 1)), 1);
    EXPECT_EQ(value, 12);
    EXPECT_EQ(rn_select(NULL, rn_on_recv(a, &value), rn_on_timeout(RN_MILLISECOND)), 1);
    EXPECT_EQ(rn_select(NULL, rn_on_recv(a, &value), rn_default), 1);
    EXPECT_EQ(rn_select(late, rn_on_recv(a, &value)), -ETIMEDOUT);
    EXPECT_EQ(rn_waiters(a), 0);
    await_live(0);
    rn_ctx_release(late);
    rn_chan_release(a);
    rn_chan_release(b);
    EXPECT_EQ(rn_stop(), 0);
}
