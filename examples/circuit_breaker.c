/*
 * A service that fails for a while and recovers, behind a circuit breaker: all three states shown.
 *
 * After three failures in a row the breaker opens and the service is left alone. When that time is
 * over a probe is let through; it still fails, so the breaker opens again. The next probes succeed,
 * two of them close it. The clock is virtual, so that the program takes no time.
 */
#include <runnel.h>

#include <stdio.h>
#include <string.h>

struct service {
    int calls;
};

struct changes {
    char text[80];
};

/* Calls 3 to 6 fail. */
static int call_service(rn_ctx *ctx, void *arg)
{
    struct service *s = arg;

    (void)ctx;
    s->calls++;
    return s->calls >= 3 && s->calls <= 6 ? -ECONNREFUSED : 0;
}

static void note_change(void *arg, rn_breaker_state from, rn_breaker_state to)
{
    struct changes *c = arg;
    size_t used = strlen(c->text);

    snprintf(c->text + used, sizeof c->text - used, ", %s -> %s", rn_breaker_state_name(from),
             rn_breaker_state_name(to));
}

static int app(int argc, char **argv)
{
    struct service service = {0};
    struct changes changes;
    rn_breaker_stats stats;
    rn_breaker *b;
    int err = rn_breaker_new(&b, &(rn_breaker_config){.failure_threshold = 3,
                                                      .success_threshold = 2,
                                                      .open_for = 30 * RN_SECOND,
                                                      .on_change = note_change,
                                                      .events_arg = &changes});

    (void)argc, (void)argv;
    if (err != 0) {
        fprintf(stderr, "%s\n", rn_error_detail());
        return 1;
    }
    for (int i = 1; i <= 12; i++) {
        changes = (struct changes){""};
        err = rn_breaker_execute(NULL, b, call_service, &service);
        printf("%3d s  call %2d: %s%s\n", (int)(rn_now() / RN_SECOND), i,
               err == 0          ? "ok"
               : err == RN_EOPEN ? "rejected"
                                 : "failed",
               changes.text);
        if (err == RN_EOPEN)
            rn_sleep(NULL, rn_breaker_retry_after(b));
    }
    rn_breaker_stats_read(b, &stats);
    printf("%d calls reached the service, %d were rejected\n", service.calls, (int)stats.rejected);
    rn_breaker_free(b);
    return 0;
}

int main(int argc, char **argv)
{
    rn_clock_virtual(0);
    return rn_run(app, argc, argv);
}
