/*
 * A worker pool of one's own types: cities in, their weather out, in the order of asking.
 *
 * rn_worker_pool(J, R) checks jobs, results and the function between them.
 */
#include <runnel.h>

#include <stdio.h>
#include <string.h>

struct city {
    const char *name;
};

struct weather {
    char city[16];
    int degrees;
};

static int ask(rn_ctx *ctx, void *arg, struct city *city, struct weather *w)
{
    int *base = arg;
    int err = rn_sleep(ctx, (rn_duration)strlen(city->name) * RN_MILLISECOND); /* the far service */

    if (err != 0)
        return err;
    if (strcmp(city->name, "Atlantis") == 0)
        return -ENOENT; /* this job's error; the others go on */
    snprintf(w->city, sizeof w->city, "%s", city->name);
    w->degrees = *base + (int)strlen(city->name);
    return 0;
}

static int app(int argc, char **argv)
{
    static const char *const names[] = {"Rome", "Paris", "Atlantis", "Bern", "Amsterdam"};
    rn_worker_pool(struct city, struct weather) pool;
    rn_worker_result(struct weather) r;
    int base = 10;

    (void)argc, (void)argv;
    if (rn_worker_pool_new(&pool, ask, &base,
                           &(rn_worker_pool_config){.workers = 3, .ordered = true}) != 0)
        return 1;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        rn_worker_pool_submit(NULL, pool, (struct city){names[i]});
    rn_worker_pool_drain(pool);
    while (rn_worker_pool_recv(NULL, pool, &r) == 0) {
        if (r.info.err == 0)
            printf("%s: %d degrees\n", r.value.city, r.value.degrees);
        else
            printf("job %d: %s\n", (int)r.info.job, rn_strerror(r.info.err));
    }
    rn_worker_pool_free(pool);
    return 0;
}

int main(int argc, char **argv)
{
    return rn_run(app, argc, argv);
}
