/*
 * Fan-in and fan-out: where values go, when outputs close, who lets go of what is lost.
 */
#include "streams.h"
#include "sync/waiting.h"

#include <runnel/fan_in.h>
#include <runnel/fan_out.h>
#include <runnel/group.h>

#define VALUES 200

typedef rn_chan(struct token) token_chan;

static token_chan tokens_with(size_t capacity)
{
    token_chan ch = rn_chan_make_with(struct token,
                                      &(rn_chan_options){.capacity = capacity, .drop = token_drop});

    EXPECT(ch != NULL);
    return ch;
}

struct feeder {
    token_chan ch;
    int first, count;
    rn_ctx *ctx;
};

/* Sends tokens until it is told to stop, and closes. */
static void feed(void *arg)
{
    struct feeder *f = arg;

    for (int i = f->first; i < f->first + f->count; i++) {
        struct token t = token_new(i);
        if (rn_send(f->ctx, f->ch, t) != 0) {
            token_drop(&t);
            break;
        }
    }
    rn_close(f->ch);
    rn_chan_release(f->ch);
}

static void feed_on_fiber(token_chan ch, int first, int count, rn_ctx *ctx)
{
    EXPECT_EQ(rn_go_copy(feed, &(struct feeder){rn_chan_retain(ch), first, count, ctx}), 0);
}

/* ---- fan-in ---- */

/* Receives n tokens of four inputs, each input's in order. */
static void receive_four(token_chan out, int n)
{
    int next[4] = {0, VALUES, 2 * VALUES, 3 * VALUES};
    struct token t;

    for (int i = 0; i < n; i++) {
        EXPECT_EQ(rn_recv(NULL, out, &t), 0);
        EXPECT_EQ(t.id, next[t.id / VALUES]++);
        token_done(&t);
    }
}

static void fan_in_four(size_t buffer, size_t capacity)
{
    token_chan in[4];
    rn_fan_in(struct token) all;
    rn_fan_in_stats stats;
    struct token t;

    for (int i = 0; i < 4; i++)
        feed_on_fiber(in[i] = tokens_with(capacity), i * VALUES, VALUES, NULL);
    EXPECT_EQ(rn_fan_in_new(&all, (in[0], in[1], in[2], in[3]),
                            &(rn_fan_in_config){.buffer = buffer, .drop = token_drop}),
              0);
    receive_four(rn_fan_in_chan(all), 4 * VALUES);
    EXPECT_EQ(rn_recv(NULL, rn_fan_in_chan(all), &t), RN_ECLOSED);
    EXPECT_EQ(rn_close_cause(rn_fan_in_chan(all)), RN_ECLOSED);
    await_live(1);
    rn_fan_in_stats_read(all, &stats);
    EXPECT_EQ(stats.inputs, 0);
    EXPECT_EQ(stats.in, 4 * VALUES);
    EXPECT_EQ(stats.out, 4 * VALUES);
    rn_fan_in_free(all);
    for (int i = 0; i < 4; i++)
        rn_chan_release(in[i]);
    EXPECT_EQ(atomic_load(&tokens_dropped), 0);
    expect_tokens_settled();
}

TEST_FIBER(the_output_closes_when_all_inputs_have)
{
    fan_in_four(0, 0);
    fan_in_four(3, 0);
    fan_in_four(0, 5);
    fan_in_four(1000, 1000);
}

TEST_FIBER(no_inputs_close_at_once)
{
    rn_fan_in(int) all;
    int value;

    EXPECT_EQ(rn_fan_in_new_n(&all, (int_chan *)NULL, 0, NULL), 0);
    EXPECT_EQ(rn_recv(NULL, rn_fan_in_chan(all), &value), RN_ECLOSED);
    rn_fan_in_free(all);
    rn_fan_in_free((rn_fan_in(int))NULL);
    EXPECT(rn_fan_in_chan((rn_fan_in(int))NULL) == NULL);
}

/* Stops a fan-in in each of the ways that there are, after n values. */
static void stop_fan_in(int n, int how)
{
    token_chan in[4];
    rn_ctx *ctx = rn_ctx_with_cancel(NULL), *feeding = rn_ctx_with_cancel(NULL);
    rn_fan_in(struct token) all;
    struct token t;

    for (int i = 0; i < 4; i++)
        feed_on_fiber(in[i] = tokens_with((size_t)i), i * VALUES, VALUES, feeding);
    EXPECT_EQ(rn_fan_in_new_n(&all, in, 4,
                              &(rn_fan_in_config){.ctx = ctx, .buffer = 2, .drop = token_drop}),
              0);
    receive_four(rn_fan_in_chan(all), n);
    if (how == 1) {
        rn_ctx_cancel(ctx, 0);
        while (rn_recv(NULL, rn_fan_in_chan(all), &t) == 0)
            token_done(&t);
        EXPECT_EQ(rn_close_cause(rn_fan_in_chan(all)), -ECANCELED);
    } else if (how == 2) {
        rn_close(rn_fan_in_chan(all));
    }
    rn_ctx_cancel(feeding, 0);
    rn_fan_in_free(all);
    await_live(1);
    for (int i = 0; i < 4; i++)
        rn_chan_release(in[i]);
    rn_ctx_release(feeding);
    rn_ctx_release(ctx);
    expect_tokens_settled();
}

TEST_FIBER(a_fan_in_leaks_nothing_wherever_the_receiver_stops)
{
    for (int n = 0; n < 60; n++)
        for (int how = 0; how < 3; how++)
            stop_fan_in(n, how);
}

TEST_FIBER(closing_the_output_ends_all_fibers_by_the_next_value)
{
    int_chan busy = rn_chan_make(int, 0), idle = rn_chan_make(int, 0);
    rn_fan_in(int) all;

    EXPECT_EQ(rn_fan_in_new(&all, (busy, idle), NULL), 0);
    EXPECT_EQ(rn_close(rn_fan_in_chan(all)), 0);
    EXPECT_EQ(rn_send(NULL, busy, 1), 0);
    await_live(1);
    rn_fan_in_free(all);
    rn_chan_release(busy);
    rn_chan_release(idle);
}

TEST_FIBER(channels_are_added_while_it_runs)
{
    rn_fan_in(int) all;
    rn_fan_in_stats stats;
    int_chan first = rn_chan_make(int, 1), second = rn_chan_make(int, 1);
    int value;

    EXPECT_EQ(rn_fan_in_new_n(&all, (int_chan *)NULL, 0, &(rn_fan_in_config){.growing = true}), 0);
    EXPECT_EQ(rn_fan_in_add(all, first), 0);
    EXPECT_EQ(rn_send(NULL, first, 1), 0);
    EXPECT_EQ(rn_recv(NULL, rn_fan_in_chan(all), &value), 0);
    rn_close(first);
    await_live(2); /* the guard's */
    rn_fan_in_stats_read(all, &stats);
    EXPECT_EQ(stats.inputs, 0);
    EXPECT_EQ(rn_try_recv(rn_fan_in_chan(all), &value), -EAGAIN); /* open, without an input */
    EXPECT_EQ(rn_fan_in_add(all, second), 0);
    EXPECT_EQ(rn_fan_in_seal(all), 0);
    EXPECT_EQ(rn_fan_in_seal(all), RN_ECLOSED);
    EXPECT_EQ(rn_fan_in_add(all, second), RN_ECLOSED);
    EXPECT_EQ(rn_send(NULL, second, 2), 0);
    EXPECT_EQ(rn_recv(NULL, rn_fan_in_chan(all), &value), 0);
    EXPECT_EQ(value, 2);
    rn_close(second);
    EXPECT_EQ(rn_recv(NULL, rn_fan_in_chan(all), &value), RN_ECLOSED);
    await_live(1);
    rn_fan_in_free(all);
    rn_chan_release(first);
    rn_chan_release(second);
}

TEST_FIBER(a_context_ends_a_fan_in_that_has_no_input)
{
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    rn_fan_in(int) all;
    int value;

    EXPECT_EQ(rn_fan_in_new_n(&all, (int_chan *)NULL, 0,
                              &(rn_fan_in_config){.growing = true, .ctx = ctx}),
              0);
    rn_ctx_cancel(ctx, 0);
    EXPECT_EQ(rn_recv(NULL, rn_fan_in_chan(all), &value), RN_ECLOSED);
    EXPECT_EQ(rn_close_cause(rn_fan_in_chan(all)), -ECANCELED);
    rn_fan_in_free(all);
    rn_ctx_release(ctx);
}

static void count_end(void *arg, struct rn_chan *input)
{
    EXPECT(rn_chan_close_cause(input) == RN_ECLOSED);
    atomic_fetch_add((atomic_int *)arg, 1);
}

TEST_FIBER(the_end_of_each_input_is_told)
{
    atomic_int ended = 0;
    int_chan a = rn_chan_make(int, 0), b = rn_chan_make(int, 0);
    rn_fan_in(int) all;
    int value;

    EXPECT_EQ(rn_fan_in_new(&all, (a, b),
                            &(rn_fan_in_config){.on_input_end = count_end, .events_arg = &ended}),
              0);
    rn_close(a);
    await_count(&ended, 1);
    rn_close(b);
    EXPECT_EQ(rn_recv(NULL, rn_fan_in_chan(all), &value), RN_ECLOSED);
    EXPECT_EQ(atomic_load(&ended), 2);
    rn_fan_in_free(all);
    rn_chan_release(a);
    rn_chan_release(b);
}

TEST_FIBER(a_wrong_fan_in_is_said)
{
    int_chan a = rn_chan_make(int, 0), none = NULL;
    rn_fan_in(int) all;

    EXPECT_EQ(rn_fan_in_new(&all, (a, none), NULL), -EINVAL);
    EXPECT_STR(rn_error_detail(), "fan_in: input number 1 is NULL");
    EXPECT(all == NULL);
    EXPECT_EQ(rn_fan_in_new(&all, (a), &(rn_fan_in_config){.buffer = SIZE_MAX}), -EINVAL);
    EXPECT_STR(rn_error_detail(),
               "fan_in: .buffer is 18446744073709551615: too many for values of 4 bytes");
    EXPECT_EQ(rn_fan_in_new(&all, (a), NULL), 0);
    EXPECT_EQ(rn_fan_in_add(all, a), -EINVAL);
    EXPECT_STR(rn_error_detail(), "fan_in: .growing is false: nothing can be added");
    EXPECT_EQ(rn_fan_in_add(all, none), -EINVAL);
    EXPECT_STR(rn_error_detail(), "fan_in: the channel to add is NULL");
    rn_fan_in_free(all);
    rn_chan_release(a);
}

/* ---- fan-out ---- */

struct consumer {
    token_chan ch;
    int takes;          /* then it closes; -1: all */
    int values[VALUES]; /* what came */
    atomic_int count;
};

static void consume(void *arg)
{
    struct consumer *c = *(struct consumer **)arg;
    struct token t;
    int n = 0;

    while (n != c->takes && rn_recv(NULL, c->ch, &t) == 0) {
        c->values[n++] = t.id;
        token_done(&t);
    }
    rn_close(c->ch);
    while (rn_recv(NULL, c->ch, &t) == 0)
        token_drop(&t);
    atomic_store(&c->count, n + 1);
    rn_chan_release(c->ch);
}

static uint64_t key_of(const void *value)
{
    return (uint64_t)((const struct token *)value)->id / 10;
}

/* Distributes VALUES tokens to n consumers; how many each has got. */
static uint64_t distribute(rn_fan_out_config config, struct consumer *consumers, size_t n)
{
    token_chan in = tokens_with(0);
    rn_fan_out(struct token) fan;
    rn_fan_out_stats stats;

    config.drop = token_drop;
    EXPECT_EQ(rn_fan_out_new(&fan, in, n, &config), 0);
    EXPECT(rn_fan_out_chan(fan, n) == NULL);
    for (size_t i = 0; i < n; i++) {
        struct consumer *c = &consumers[i];
        atomic_store(&c->count, 0);
        c->ch = rn_chan_retain(rn_fan_out_chan(fan, i));
        EXPECT_EQ(rn_go_copy(consume, &c), 0);
        if (c->takes == 0)
            await_count(&c->count, 1);
        else
            await_waiters(c->ch, 1);
    }
    feed_on_fiber(in, 0, VALUES, NULL);
    for (size_t i = 0; i < n; i++)
        await_count(&consumers[i].count, 1);
    rn_close(in); /* of a feeder that nobody listens to any more */
    rn_fan_out_stats_read(fan, &stats);
    rn_fan_out_free(fan);
    await_live(1);
    rn_chan_release(in);
    expect_tokens_settled();
    EXPECT_EQ(stats.in, stats.out + stats.dropped);
    return stats.out;
}

static void all_get_some(rn_fan_out_config config)
{
    static struct consumer consumers[3];
    bool seen[VALUES] = {false};
    int total = 0;

    for (int i = 0; i < 3; i++)
        consumers[i].takes = -1;
    EXPECT_EQ(distribute(config, consumers, 3), VALUES);
    for (int i = 0; i < 3; i++) {
        int count = atomic_load(&consumers[i].count) - 1;
        total += count;
        for (int j = 0; j < count; j++) {
            int id = consumers[i].values[j];
            EXPECT(!seen[id]);
            seen[id] = true;
            EXPECT(j == 0 || id > consumers[i].values[j - 1]);
            if (config.policy == RN_FAN_OUT_IN_TURN)
                EXPECT_EQ(id, 3 * j + i);
            if (config.key != NULL)
                EXPECT_EQ(id / 10 % 3, i);
        }
    }
    EXPECT_EQ(total, VALUES);
}

TEST_FIBER(each_value_goes_to_one_output)
{
    for (size_t buffer = 0; buffer < 300; buffer = buffer * 5 + 1) {
        all_get_some((rn_fan_out_config){.buffer = buffer});
        all_get_some((rn_fan_out_config){.buffer = buffer, .policy = RN_FAN_OUT_IN_TURN});
        all_get_some((rn_fan_out_config){.buffer = buffer, .key = key_of});
    }
}

TEST_FIBER(ready_outputs_take_what_a_stuck_one_does_not)
{
    int_chan in = rn_chan_make(int, 0);
    rn_fan_out(int) fan;
    int value;

    EXPECT_EQ(rn_fan_out_new(&fan, in, 2, NULL), 0);
    for (int i = 0; i < 10; i++) { /* nobody ever receives from output 0 */
        EXPECT_EQ(rn_send(NULL, in, i), 0);
        EXPECT_EQ(rn_recv(NULL, rn_fan_out_chan(fan, 1), &value), 0);
        EXPECT_EQ(value, i);
    }
    rn_close(in);
    EXPECT_EQ(rn_recv(NULL, rn_fan_out_chan(fan, 0), &value), RN_ECLOSED);
    EXPECT_EQ(rn_close_cause(rn_fan_out_chan(fan, 0)), RN_ECLOSED);
    rn_fan_out_free(fan);
    rn_chan_release(in);
}

static void count_closed(void *arg, size_t output)
{
    ((int *)arg)[output]++;
}

TEST_FIBER(outputs_that_close_leave_the_rest_to_the_others)
{
    static struct consumer consumers[3];

    for (int policy = 0; policy < 3; policy++) {
        int closed[3] = {0};
        rn_fan_out_config config = {.policy = policy == 1 ? RN_FAN_OUT_IN_TURN : RN_FAN_OUT_READY,
                                    .key = policy == 2 ? key_of : NULL,
                                    .on_output_closed = count_closed,
                                    .events_arg = closed};
        consumers[0].takes = 5;
        consumers[1].takes = -1;
        consumers[2].takes = 0;
        uint64_t out = distribute(config, consumers, 3);
        EXPECT_EQ(out == VALUES, policy != 2);
        int first = atomic_load(&consumers[0].count) - 1;
        int second = atomic_load(&consumers[1].count) - 1;
        EXPECT_EQ(closed[1], 0);
        EXPECT_EQ(closed[2], 1);
        EXPECT(closed[0] == 1 || policy == 0); /* when ready, the other may have been faster */
        EXPECT(first == 5 || policy == 0);
        EXPECT_EQ(second, policy == 2 ? 70 : VALUES - first);
    }
}

static void stop_fan_out(int n, int how)
{
    token_chan in = tokens_with(1);
    rn_ctx *ctx = rn_ctx_with_cancel(NULL), *feeding = rn_ctx_with_cancel(NULL);
    rn_fan_out(struct token) fan;
    struct token t;

    feed_on_fiber(in, 0, VALUES, feeding);
    EXPECT_EQ(rn_fan_out_new(
                  &fan, in, 2,
                  &(rn_fan_out_config){.ctx = ctx,
                                       .buffer = (size_t)n % 3,
                                       .policy = n % 2 == 0 ? RN_FAN_OUT_READY : RN_FAN_OUT_IN_TURN,
                                       .drop = token_drop}),
              0);
    for (int i = 0; i < n; i++) {
        EXPECT_EQ(rn_recv(NULL, rn_fan_out_chan(fan, (size_t)i % 2), &t), 0);
        token_done(&t);
    }
    if (how == 1) {
        rn_ctx_cancel(ctx, 0);
        while (rn_recv(NULL, rn_fan_out_chan(fan, 0), &t) == 0)
            token_done(&t);
        EXPECT_EQ(rn_close_cause(rn_fan_out_chan(fan, 0)), -ECANCELED);
    } else if (how == 2) {
        rn_close(rn_fan_out_chan(fan, 0));
        rn_close(rn_fan_out_chan(fan, 1));
    }
    rn_ctx_cancel(feeding, 0);
    rn_fan_out_free(fan);
    await_live(1);
    rn_chan_release(in);
    rn_ctx_release(feeding);
    rn_ctx_release(ctx);
    expect_tokens_settled();
}

TEST_FIBER(a_fan_out_leaks_nothing_wherever_the_receivers_stop)
{
    for (int n = 0; n < 60; n++)
        for (int how = 0; how < 3; how++)
            stop_fan_out(n, how);
}

TEST_FIBER(a_wrong_fan_out_is_said)
{
    int_chan in = rn_chan_make(int, 0), none = NULL;
    rn_fan_out(int) fan;

    EXPECT_EQ(rn_fan_out_new(&fan, none, 1, NULL), -EINVAL);
    EXPECT_STR(rn_error_detail(), "fan_out: the input is NULL");
    EXPECT_EQ(rn_fan_out_new(&fan, in, 0, NULL), -EINVAL);
    EXPECT_STR(rn_error_detail(), "fan_out: n is 0: allowed are 1 to 1000000");
    EXPECT_EQ(rn_fan_out_new(&fan, in, 1, &(rn_fan_out_config){.buffer = SIZE_MAX}), -EINVAL);
    EXPECT_STR(rn_error_detail(),
               "fan_out: .buffer is 18446744073709551615: too many for values of 4 bytes");
    EXPECT_EQ(rn_fan_out_new(&fan, in, 1, &(rn_fan_out_config){.policy = 2}), -EINVAL);
    EXPECT_STR(rn_error_detail(), "fan_out: .policy is 2: allowed are 0 to 1");
    EXPECT_EQ(rn_fan_out_new(&fan, in, 1,
                             &(rn_fan_out_config){.policy = RN_FAN_OUT_IN_TURN, .key = key_of}),
              -EINVAL);
    EXPECT_STR(rn_error_detail(), "fan_out: .policy is 1: with .key allowed is 0");
    EXPECT(fan == NULL);
    rn_fan_out_free(fan);
    rn_chan_release(in);
}

TEST_DIES(dumps_show_fans,
          "\"joined\" .chan receive.*\"spread\" .chan receive.*"
          "fan-out \"spread\" .3 outputs, 0 in, 0 out, 0 dropped.*"
          "fan-in \"joined\" .1 inputs, 0 in, 0 out, 0 dropped.",
          0)
{
    int_chan in = rn_chan_make(int, 0);
    rn_fan_out(int) out;
    rn_fan_in(int) all;

    EXPECT_EQ(rn_fan_in_new(&all, (in), &(rn_fan_in_config){.name = "joined"}), 0);
    EXPECT_EQ(rn_fan_out_new(&out, in, 3, &(rn_fan_out_config){.name = "spread"}), 0);
    await_waiting("chan receive", 2);
    rn_dump(1);
    _exit(0);
}
