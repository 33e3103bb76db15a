/*
 * Five workers share twenty jobs of 100 ms each through a channel, and answer through another.
 *
 * Takes about 0.4 s. Prints one line a job, in the jobs' order, with the worker that happened to
 * get it.
 */
#include <runnel.h>

#include <stdio.h>

#define WORKERS 5
#define JOBS 20

struct job {
    int id;
    char payload[16];
};

struct result {
    int job_id;
    char output[48];
};

struct worker {
    int id;
    rn_chan(struct job) jobs;
    rn_chan(struct result) results;
};

static int work(rn_ctx *ctx, void *arg)
{
    struct worker *w = arg; /* this fiber's own copy, on its own stack */
    struct job job;

    while (rn_recv(ctx, w->jobs, &job) == 0) {
        struct result r = {.job_id = job.id};
        int err = rn_sleep(ctx, 100 * RN_MILLISECOND); /* stands for the real work */
        if (err != 0)
            return err;
        snprintf(r.output, sizeof r.output, "Worker %d processed: %s", w->id, job.payload);
        err = rn_send(ctx, w->results, r);
        if (err != 0)
            return err;
    }
    return 0; /* an error here cancels the group */
}

static int app(int argc, char **argv)
{
    rn_group *g = rn_group_new(NULL);
    rn_chan(struct job) jobs = rn_chan_make(struct job, JOBS);
    rn_chan(struct result) results = rn_chan_make(struct result, JOBS);
    struct result r, by_job[JOBS + 1] = {{0}};
    int err;

    (void)argc, (void)argv;
    for (int i = 1; i <= WORKERS; i++)
        rn_group_go_copy(g, work, &(struct worker){i, jobs, results});
    for (int i = 1; i <= JOBS; i++) {
        struct job job = {.id = i};
        snprintf(job.payload, sizeof job.payload, "task-%d", i);
        rn_send(rn_group_ctx(g), jobs, job);
    }
    rn_close(jobs);
    err = rn_group_wait(g); /* joins every fiber, returns the first error */
    while (rn_try_recv(results, &r) == 0)
        by_job[r.job_id] = r;
    for (int i = 1; err == 0 && i <= JOBS; i++)
        printf("Job %d: %s\n", i, by_job[i].output);
    rn_chan_release(jobs);
    rn_chan_release(results);
    return err == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    return rn_run(app, argc, argv);
}
