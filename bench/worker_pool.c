/*
 * The library's worker pool, on the jobs of patterns.c. Go has none: its twin is the pool of
 * channels.
 */
#include "common.h"

#include <runnel.h>

enum { POOL_WORKERS = 8 };

struct job {
    long id, input;
};

struct result {
    long id, output;
};

typedef rn_worker_pool(struct job, struct result) job_pool;

struct feeder {
    job_pool pool;
    long count;
};

static int work(rn_ctx *ctx, void *arg, struct job *job, struct result *result)
{
    (void)ctx;
    (void)arg;
    *result = (struct result){job->id, job->input * 2};
    return 0;
}

static void feed(void *arg)
{
    struct feeder *f = arg;

    for (long i = 0; i < f->count; i++)
        bench_check(rn_worker_pool_submit(NULL, f->pool, (struct job){i, i}) == 0);
    bench_check(rn_worker_pool_drain(f->pool) == 0);
}

static void pool_round(long n)
{
    job_pool pool;
    rn_worker_result(struct result) r;
    long seen = 0;

    bench_check(rn_worker_pool_new(&pool, work, NULL,
                                   &(rn_worker_pool_config){
                                       .workers = POOL_WORKERS,
                                       .queue = BENCH_BUFFER_SLOTS,
                                       .results = BENCH_BUFFER_SLOTS,
                                   }) == 0);
    bench_check(rn_go_copy(feed, &(struct feeder){pool, n}) == 0);
    while (rn_worker_pool_recv(NULL, pool, &r) == 0)
        seen += r.info.err == 0 && r.value.output == r.value.id * 2;
    bench_check(seen == n);
    rn_worker_pool_free(pool);
}

/* Eight workers, results received as they come. */
void case_pool_kit(void)
{
    bench_report("pool_kit", bench_measure(1, pool_round));
}
