/*
 * Eight requests to three replicas, of which the one that is asked first stalls now and then. When
 * it has not answered after 20 ms, another is asked too; the first answer wins, and who is slower
 * is cancelled.
 *
 * The clock is virtual: the seconds of a stalled replica cost none, and the times are exact.
 */
#include <runnel.h>

#include <stdio.h>

#define REQUESTS 8
#define REPLICAS 3

struct reply {
    int replica;
};

/* Every third request finds its first replica stalled. */
static int ask(rn_ctx *ctx, void *arg, unsigned attempt, struct reply *reply)
{
    int request = *(int *)arg;
    bool stalled = attempt == 0 && request % 3 == 0;

    reply->replica = (request + (int)attempt) % REPLICAS;
    return rn_sleep(ctx, stalled ? 5 * RN_SECOND : (3 + request) * RN_MILLISECOND);
}

static void note_hedge(void *arg, unsigned attempt, int err)
{
    (void)attempt, (void)err;
    *(bool *)arg = true;
}

static int app(int argc, char **argv)
{
    bool hedged = false;
    rn_hedge_config config = {
        .delay = 20 * RN_MILLISECOND, .on_hedge = note_hedge, .events_arg = &hedged};
    rn_hedge(struct reply) replicas;
    rn_hedge_stats stats;
    int err = rn_hedge_new(&replicas, &config);

    (void)argc, (void)argv;
    for (int i = 1; err == 0 && i <= REQUESTS; i++) {
        rn_time start = rn_now();
        struct reply reply;

        hedged = false;
        err = rn_hedge_execute(NULL, replicas, ask, &i, &reply);
        printf("request %d: replica %d after %2lld ms%s\n", i, reply.replica,
               (long long)((rn_now() - start) / RN_MILLISECOND), hedged ? ", asked second" : "");
    }
    if (err == 0) {
        rn_hedge_stats_read(replicas, &stats);
        printf("%llu of %llu requests took a second attempt\n", (unsigned long long)stats.hedged,
               (unsigned long long)stats.calls);
    }
    rn_hedge_free(replicas);
    return err == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    rn_clock_virtual(0);
    return rn_run(app, argc, argv);
}
