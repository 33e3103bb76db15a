/*
 * Skynet: a tree of fibers, ten children each, that adds up the numbers of its leaves. The twin of
 * go/skynet.go.
 */
#include "common.h"

#include <runnel.h>

enum { LEAVES = 1000000, CHILDREN = 10, SKYNET_ROUNDS = 3 };

/* A node owns one reference to the channel that it reports to. */
struct node {
    rn_chan(long) out;
    long first, size;
};

static void skynet(void *arg);

static long add_up_children(const struct node *node)
{
    rn_chan(long) sums = rn_chan_make(long, 0);
    long part = node->size / CHILDREN, sum = 0, value;

    bench_check(sums != NULL);
    for (long i = 0; i < CHILDREN; i++) {
        struct node child = {rn_chan_retain(sums), node->first + i * part, part};
        bench_check(rn_go_copy(skynet, &child) == 0);
    }
    for (int i = 0; i < CHILDREN; i++) {
        bench_check(rn_recv(NULL, sums, &value) == 0);
        sum += value;
    }
    rn_chan_release(sums);
    return sum;
}

static void skynet(void *arg)
{
    struct node *node = arg;
    long sum = node->size == 1 ? node->first : add_up_children(node);

    bench_check(rn_send(NULL, node->out, sum) == 0);
    rn_chan_release(node->out);
}

static double skynet_once(void)
{
    int64_t start = bench_now(), end;
    rn_chan(long) out = rn_chan_make(long, 0);
    long sum = 0;

    bench_check(out != NULL);
    bench_check(rn_go_copy(skynet, &(struct node){rn_chan_retain(out), 0, LEAVES}) == 0);
    bench_check(rn_recv(NULL, out, &sum) == 0);
    end = bench_now();
    bench_check(sum == LEAVES / 2L * (LEAVES - 1L));
    rn_chan_release(out);
    return (double)(end - start) / 1e6;
}

void case_skynet(void)
{
    double ms[SKYNET_ROUNDS];

    skynet_once();
    for (int i = 0; i < SKYNET_ROUNDS; i++)
        ms[i] = skynet_once();
    bench_report("skynet", bench_median(ms, SKYNET_ROUNDS));
}
