/*
 * A limit for each client: two requests a second, three at once. One client asks too often and is
 * told when to come back; the others do not notice.
 *
 * The clock is virtual, so the times are exact and the program takes none.
 */
#include <runnel.h>

#include <stdio.h>
#include <string.h>

static void note_denied(void *arg, const void *key, size_t size, size_t n, rn_duration retry_after)
{
    (void)arg, (void)n;
    printf("%.1f s: %.*s is told to come back in %.1f s\n", (double)rn_now() / RN_SECOND, (int)size,
           (const char *)key, (double)retry_after / RN_SECOND);
}

static void request(rn_keyed_limiter *clients, const char *client)
{
    if (rn_keyed_limiter_allow(clients, client, strlen(client), 1) == 0)
        printf("%.1f s: %s is served\n", (double)rn_now() / RN_SECOND, client);
}

static int app(int argc, char **argv)
{
    rn_keyed_limiter *clients;
    rn_keyed_limiter_stats stats;
    int err = rn_keyed_limiter_new(
        &clients, &(rn_keyed_limiter_config){
                      .per_second = 2, .burst = 3, .keys_max = 1000, .on_denied = note_denied});

    (void)argc, (void)argv;
    if (err != 0) {
        fprintf(stderr, "%s\n", rn_error_detail());
        return 1;
    }
    for (int i = 0; i < 4; i++)
        request(clients, "greedy");
    request(clients, "modest");
    rn_sleep(NULL, RN_SECOND);
    for (int i = 0; i < 3; i++)
        request(clients, "greedy");
    request(clients, "modest");
    err = rn_keyed_limiter_wait(NULL, clients, "greedy", strlen("greedy"), 1);
    printf("%.1f s: greedy has waited and is served\n", (double)rn_now() / RN_SECOND);
    rn_keyed_limiter_stats_read(clients, &stats);
    printf("%llu served, %llu turned away, %llu clients known\n", (unsigned long long)stats.allowed,
           (unsigned long long)stats.denied, (unsigned long long)stats.keys);
    rn_keyed_limiter_free(clients);
    return err == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    rn_clock_virtual(0);
    return rn_run(app, argc, argv);
}
