/*
 * Twenty requests through a limiter of 10 a second with a burst of 5: five go at once, then one
 * every 100 ms.
 *
 * Takes about 1.5 s. The times are in seconds since the first request.
 */
#include <runnel.h>

#include <stdio.h>

#define REQUESTS 20

static double seconds_since(rn_time start)
{
    return (double)((rn_now() - start) / (100 * RN_MILLISECOND)) / 10; /* whole tenths */
}

static int app(int argc, char **argv)
{
    rn_limiter *api;
    rn_time start = rn_now();
    int err = rn_limiter_new(&api, &(rn_limiter_config){.per_second = 10, .burst = 5});

    (void)argc, (void)argv;
    if (err != 0) {
        fprintf(stderr, "%s\n", rn_error_detail());
        return 1;
    }
    for (int i = 1; err == 0 && i <= REQUESTS; i++) {
        err = rn_limiter_wait(NULL, api, 1); /* with a context that ends sooner: RN_ERATE at once */
        printf("request %2d at %.1f s\n", i, seconds_since(start));
    }
    rn_limiter_free(api);
    return err == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    return rn_run(app, argc, argv);
}
