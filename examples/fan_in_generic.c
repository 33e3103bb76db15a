/*
 * Fan-in of any type, with a context: readings of three sensors in one channel, until time is up.
 *
 * rn_fan_in(T) is made for every T; a channel of something else does not compile.
 */
#include <runnel.h>

#include <stdio.h>

struct reading {
    char sensor;
    int number;
};

struct sensor {
    char name;
    rn_duration every;
    rn_chan(struct reading) out;
};

/* Measures until somebody stops it. */
static int measure(rn_ctx *ctx, void *arg)
{
    struct sensor *s = arg;
    int err = 0;

    for (int i = 1; err == 0; i++) {
        err = rn_sleep(ctx, s->every);
        if (err == 0)
            err = rn_send(ctx, s->out, (struct reading){s->name, i});
    }
    return 0;
}

static int app(int argc, char **argv)
{
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, 250 * RN_MILLISECOND);
    rn_group *g = rn_group_new(ctx);
    rn_chan(struct reading) out[3];
    rn_fan_in(struct reading) all;
    struct reading r;
    int seen[3] = {0};

    (void)argc, (void)argv;
    for (int i = 0; i < 3; i++) {
        out[i] = rn_chan_make(struct reading, 0);
        rn_group_go_copy(g, measure,
                         &(struct sensor){"ABC"[i], (i + 1) * 40 * RN_MILLISECOND, out[i]});
    }
    if (rn_fan_in_new(&all, (out[0], out[1], out[2]), &(rn_fan_in_config){.ctx = ctx}) != 0)
        return 1;
    while (rn_recv(NULL, rn_fan_in_chan(all), &r) == 0) /* until the context has ended */
        seen[r.sensor - 'A'] = r.number;
    printf("ended: %s\n", rn_strerror(rn_close_cause(rn_fan_in_chan(all))));
    printf("A %d, B %d, C %d\n", seen[0], seen[1], seen[2]);
    rn_fan_in_free(all);
    rn_group_wait(g);
    for (int i = 0; i < 3; i++)
        rn_chan_release(out[i]);
    rn_ctx_release(ctx);
    return 0;
}

int main(int argc, char **argv)
{
    rn_clock_virtual(0); /* the program takes no time, and its output is always the same */
    return rn_run(app, argc, argv);
}
