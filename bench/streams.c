/*
 * Pipelines and a fan-in of the library. Go has none: the twins of pipeline_kit and pipeline_fibers
 * are its pipeline of channels, of capacity 0 and 128, as one would write it; that of fan_in is a
 * goroutine for each input. The twin of go/streams.go.
 */
#include "common.h"

#include <runnel.h>

enum { FAN_INPUTS = 4 };

static int generate(rn_ctx *ctx, void *arg, rn_emitter(long) out)
{
    long n = *(long *)arg;
    int err = 0;

    (void)ctx;
    for (long i = 0; err == 0 && i < n; i++)
        err = rn_emit(out, i);
    return err;
}

static void square(const long *n, long *out)
{
    *out = *n * *n;
}

static bool is_even(const long *n)
{
    return *n % 2 == 0;
}

static void count(long *seen, const long *n)
{
    (void)n;
    ++*seen;
}

static void run_pipeline(long n, size_t buffer)
{
    rn_pipeline *p = rn_pipeline_new(NULL, NULL);
    rn_stream(long) s = rn_stream_generate(long, p, generate, .arg = &n);
    long seen = 0;

    s = rn_stream_map(long, s, square, .buffer = buffer);
    s = rn_stream_filter(s, is_even, .buffer = buffer);
    rn_stream_reduce(s, &seen, count, .buffer = buffer);
    bench_check(rn_pipeline_run(p) == 0);
    bench_check(seen == n / 2);
    rn_pipeline_free(p);
}

static void fused_round(long n)
{
    run_pipeline(n, 0);
}

/* As case_pipeline does it; the stages share a fiber. */
void case_pipeline_kit(void)
{
    bench_report("pipeline_kit", bench_measure(2, fused_round));
}

static void fibers_round(long n)
{
    run_pipeline(n, BENCH_BUFFER_SLOTS);
}

/* The same with a fiber for each stage, and channels between them. */
void case_pipeline_fibers(void)
{
    bench_report("pipeline_fibers", bench_measure(2, fibers_round));
}

struct input {
    rn_chan(long) ch;
    long values;
};

static void feed(void *arg)
{
    struct input *in = arg;

    for (long i = 0; i < in->values; i++)
        bench_check(rn_send(NULL, in->ch, i) == 0);
    rn_close(in->ch);
    rn_chan_release(in->ch);
}

static void fan_in_round(long n)
{
    rn_chan(long) inputs[FAN_INPUTS];
    rn_fan_in(long) all;
    long v, seen = 0;

    for (int i = 0; i < FAN_INPUTS; i++) {
        inputs[i] = rn_chan_make(long, BENCH_BUFFER_SLOTS);
        bench_check(inputs[i] != NULL);
        bench_check(rn_go_copy(feed, &(struct input){rn_chan_retain(inputs[i]), n / FAN_INPUTS}) ==
                    0);
    }
    bench_check(rn_fan_in_new_n(&all, inputs, FAN_INPUTS,
                                &(rn_fan_in_config){.buffer = BENCH_BUFFER_SLOTS}) == 0);
    while (rn_recv(NULL, rn_fan_in_chan(all), &v) == 0)
        seen++;
    bench_check(seen == n);
    rn_fan_in_free(all);
    for (int i = 0; i < FAN_INPUTS; i++)
        rn_chan_release(inputs[i]);
}

/* Four channels in one, all of capacity 128. */
void case_fan_in(void)
{
    bench_report("fan_in", bench_measure(FAN_INPUTS, fan_in_round));
}
