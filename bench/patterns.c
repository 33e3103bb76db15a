/*
 * Patterns made of channels: a pipeline and a worker pool. The twin of go/patterns.go.
 */
#include "common.h"

#include <runnel.h>

struct source {
    rn_chan(long) out;
    long values;
};

struct stage {
    rn_chan(long) in;
    rn_chan(long) out;
};

/* A stage holds references to its channels, because it may be the last to let them go. */
static void close_stage(struct stage *s)
{
    rn_close(s->out);
    rn_chan_release(s->out);
    rn_chan_release(s->in);
}

static void generate(void *arg)
{
    struct source *s = arg;

    for (long i = 0; i < s->values; i++)
        bench_check(rn_send(NULL, s->out, i) == 0);
    rn_close(s->out);
    rn_chan_release(s->out);
}

static void square(void *arg)
{
    struct stage *s = arg;
    long v;

    while (rn_recv(NULL, s->in, &v) == 0)
        bench_check(rn_send(NULL, s->out, v * v) == 0);
    close_stage(s);
}

static void even_only(void *arg)
{
    struct stage *s = arg;
    long v;

    while (rn_recv(NULL, s->in, &v) == 0) {
        if (v % 2 == 0)
            bench_check(rn_send(NULL, s->out, v) == 0);
    }
    close_stage(s);
}

static void pipeline_round(long n)
{
    rn_chan(long) numbers = rn_chan_make(long, 0);
    rn_chan(long) squares = rn_chan_make(long, 0);
    rn_chan(long) evens = rn_chan_make(long, 0);
    long v, seen = 0;

    bench_check(numbers != NULL && squares != NULL && evens != NULL);
    bench_check(rn_go_copy(generate, &(struct source){rn_chan_retain(numbers), n}) == 0);
    bench_check(rn_go_copy(square, &(struct stage){numbers, rn_chan_retain(squares)}) == 0);
    bench_check(rn_go_copy(even_only, &(struct stage){squares, rn_chan_retain(evens)}) == 0);
    while (rn_recv(NULL, evens, &v) == 0)
        seen++;
    bench_check(seen == n / 2);
    rn_chan_release(evens);
}

/* Three stages and a consumer joined by unbuffered channels; half of the values pass the filter. */
void case_pipeline(void)
{
    bench_report("pipeline", bench_measure(2, pipeline_round));
}

enum { POOL_WORKERS = 8 };

struct job {
    long id, input;
};

struct result {
    long id, output;
};

struct feeder {
    rn_chan(struct job) jobs;
    long count;
};

struct worker {
    rn_chan(struct job) jobs;
    rn_chan(struct result) results;
    rn_wait_group *wg;
};

struct closer {
    rn_chan(struct result) results;
    rn_wait_group *wg;
};

static void work(void *arg)
{
    struct worker *w = arg;
    struct job j;

    while (rn_recv(NULL, w->jobs, &j) == 0)
        bench_check(rn_send(NULL, w->results, (struct result){j.id, j.input * 2}) == 0);
    rn_wait_group_done(w->wg);
}

static void feed(void *arg)
{
    struct feeder *f = arg;

    for (long i = 0; i < f->count; i++)
        bench_check(rn_send(NULL, f->jobs, (struct job){i, i}) == 0);
    rn_close(f->jobs);
    rn_chan_release(f->jobs);
}

static void close_when_done(void *arg)
{
    struct closer *c = arg;

    bench_check(rn_wait_group_wait(NULL, c->wg) == 0);
    rn_close(c->results);
    rn_chan_release(c->results);
}

static void pool_round(long n)
{
    rn_chan(struct job) jobs = rn_chan_make(struct job, BENCH_BUFFER_SLOTS);
    rn_chan(struct result) results = rn_chan_make(struct result, BENCH_BUFFER_SLOTS);
    rn_wait_group wg = {0};
    struct result r;
    long seen = 0;

    bench_check(jobs != NULL && results != NULL);
    rn_wait_group_add(&wg, POOL_WORKERS);
    for (int i = 0; i < POOL_WORKERS; i++)
        bench_check(rn_go_copy(work, &(struct worker){jobs, results, &wg}) == 0);
    bench_check(rn_go_copy(feed, &(struct feeder){rn_chan_retain(jobs), n}) == 0);
    bench_check(rn_go_copy(close_when_done, &(struct closer){rn_chan_retain(results), &wg}) == 0);
    while (rn_recv(NULL, results, &r) == 0)
        seen += r.output == r.id * 2;
    bench_check(seen == n);
    rn_chan_release(jobs);
    rn_chan_release(results);
}

/* Eight workers between a channel of jobs and a channel of results. */
void case_pool(void)
{
    bench_report("pool", bench_measure(1, pool_round));
}
