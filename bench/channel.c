/*
 * Channels and select. The twin of go/channel.go.
 *
 * Values are longs, as wide as Go's int.
 */
#include "common.h"

#include <runnel.h>

struct echo {
    rn_chan(long) ping;
    rn_chan(long) pong;
};

static void echo_next(void *arg)
{
    struct echo *e = arg;
    long v;

    while (rn_recv(NULL, e->ping, &v) == 0)
        bench_check(rn_send(NULL, e->pong, v + 1) == 0);
    rn_close(e->pong);
    rn_chan_release(e->pong);
    rn_chan_release(e->ping);
}

static void pingpong_round(long n)
{
    rn_chan(long) ping = rn_chan_make(long, 0);
    rn_chan(long) pong = rn_chan_make(long, 0);
    struct echo e;
    long v = 0;

    bench_check(ping != NULL && pong != NULL);
    e = (struct echo){rn_chan_retain(ping), rn_chan_retain(pong)};
    bench_check(rn_go_copy(echo_next, &e) == 0);
    for (long i = 0; i < n / 2; i++) {
        bench_check(rn_send(NULL, ping, v) == 0);
        bench_check(rn_recv(NULL, pong, &v) == 0);
    }
    bench_check(v == n / 2);
    rn_close(ping);
    bench_check(rn_recv(NULL, pong, &v) == RN_ECLOSED);
    rn_chan_release(ping);
    rn_chan_release(pong);
}

/* Two fibers throw a value to and fro; each direction counts as one operation. */
void case_pingpong(void)
{
    bench_report("pingpong", bench_measure(2, pingpong_round));
}

struct producer {
    rn_chan(long) out;
    rn_wait_group *wg;
    long values;
};

struct consumer {
    rn_chan(long) in;
    rn_chan(long) sums;
};

static void produce(void *arg)
{
    struct producer *p = arg;

    for (long i = 0; i < p->values; i++)
        bench_check(rn_send(NULL, p->out, 1) == 0);
    rn_wait_group_done(p->wg);
}

static void consume(void *arg)
{
    struct consumer *c = arg;
    long v, sum = 0;

    while (rn_recv(NULL, c->in, &v) == 0)
        sum += v;
    bench_check(rn_send(NULL, c->sums, sum) == 0);
    rn_chan_release(c->in);
    rn_chan_release(c->sums);
}

/* Sends n values from some producers to as many consumers through one channel. */
static void many_to_many(long n, int pairs)
{
    rn_chan(long) ch = rn_chan_make(long, BENCH_BUFFER_SLOTS);
    rn_chan(long) sums = rn_chan_make(long, (size_t)pairs);
    rn_wait_group producers = {0};
    long total = 0, sum;

    bench_check(ch != NULL && sums != NULL);
    for (int i = 0; i < pairs; i++) {
        struct consumer c = {rn_chan_retain(ch), rn_chan_retain(sums)};
        bench_check(rn_go_copy(consume, &c) == 0);
    }
    rn_wait_group_add(&producers, pairs);
    for (int i = 0; i < pairs; i++)
        bench_check(rn_go_copy(produce, &(struct producer){ch, &producers, n / pairs}) == 0);
    bench_check(rn_wait_group_wait(NULL, &producers) == 0);
    rn_close(ch);
    for (int i = 0; i < pairs; i++) {
        bench_check(rn_recv(NULL, sums, &sum) == 0);
        total += sum;
    }
    bench_check(total == n);
    rn_chan_release(ch);
    rn_chan_release(sums);
}

static void one_to_one_round(long n)
{
    many_to_many(n, 1);
}

static void four_to_four_round(long n)
{
    many_to_many(n, 4);
}

void case_buffered_1to1(void)
{
    bench_report("buffered_1to1", bench_measure(1, one_to_one_round));
}

void case_buffered_4to4(void)
{
    bench_report("buffered_4to4", bench_measure(4, four_to_four_round));
}

static void select_round(long n)
{
    rn_chan(long) ch[4];
    rn_wait_group producers = {0};
    long v = 0, sum = 0;

    rn_wait_group_add(&producers, 4);
    for (int i = 0; i < 4; i++) {
        ch[i] = rn_chan_make(long, 0);
        bench_check(ch[i] != NULL);
        bench_check(rn_go_copy(produce, &(struct producer){ch[i], &producers, n / 4}) == 0);
    }
    for (long i = 0; i < n; i++) {
        bench_check(rn_select(NULL, rn_on_recv(ch[0], &v), rn_on_recv(ch[1], &v),
                              rn_on_recv(ch[2], &v), rn_on_recv(ch[3], &v)) >= 0);
        sum += v;
    }
    bench_check(sum == n);
    bench_check(rn_wait_group_wait(NULL, &producers) == 0);
    for (int i = 0; i < 4; i++)
        rn_chan_release(ch[i]);
}

/* Four producers with a channel each; one consumer selects over all four. */
void case_select4(void)
{
    bench_report("select4", bench_measure(4, select_round));
}
