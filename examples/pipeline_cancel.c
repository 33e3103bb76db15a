/*
 * A pipeline without an end, whose consumer stops early: nothing is left running.
 *
 * Numbers are looked up by four fibers at once, in order. The consumer receives until it has what
 * it wants; freeing the pipeline ends every stage, wherever it is.
 */
#include <runnel.h>

#include <stdio.h>

static int count(rn_ctx *ctx, void *arg, rn_emitter(int) out)
{
    int err = 0;

    (void)ctx, (void)arg;
    for (int i = 0; err == 0; i++)
        err = rn_emit(out, i);
    return err; /* nobody wants more */
}

static int look_up(rn_ctx *ctx, void *arg, int *n, int *found)
{
    (void)arg;
    *found = *n * 10;
    return rn_sleep(ctx, RN_MILLISECOND); /* stands for the work; the context cuts it short */
}

static int take_until(rn_chan(int) results, int wanted)
{
    int value = 0;

    while (value != wanted && rn_recv(NULL, results, &value) == 0)
        printf("got %d\n", value);
    return value == wanted ? 0 : 1;
}

/* Every live fiber, once those that are just ending have. */
static void report(void)
{
    rn_stats stats;

    do {
        rn_yield();
        rn_stats_read(&stats);
    } while (stats.fibers_live > 1);
    fflush(stdout);
    rn_dump(1);
}

static int app(int argc, char **argv)
{
    rn_pipeline *p = rn_pipeline_new(NULL, NULL);
    rn_chan(int) results = rn_chan_make(int, 0);
    rn_stream(int) numbers = rn_stream_generate(int, p, count);
    rn_stream(int) found = rn_stream_map(int, numbers, look_up, .concurrency = 4, .ordered = true);
    int err;

    (void)argc, (void)argv;
    rn_stream_to_chan(found, results);
    err = rn_pipeline_start(p);
    if (err == 0)
        err = take_until(results, 30);
    rn_pipeline_free(p);
    rn_chan_release(results);
    printf("stopped; what is left:\n");
    report();
    return err;
}

int main(int argc, char **argv)
{
    return rn_run(app, argc, argv);
}
