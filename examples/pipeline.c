/*
 * A pipeline of three fibers: 1 to 10, squared, the even ones. Prints "4 16 36 64 100".
 *
 * Each stage closes its output when its input ends, so the end travels down the pipeline by itself.
 */
#include <runnel.h>

#include <stdio.h>

typedef rn_chan(int) int_chan;

struct stage {
    int_chan in, out;
};

static int generate(rn_ctx *ctx, void *arg)
{
    struct stage *s = arg;
    int err = 0;

    for (int i = 1; err == 0 && i <= 10; i++)
        err = rn_send(ctx, s->out, i);
    rn_close(s->out);
    return err;
}

static int square(rn_ctx *ctx, void *arg)
{
    struct stage *s = arg;
    int n, err = 0;

    while (err == 0 && rn_recv(ctx, s->in, &n) == 0)
        err = rn_send(ctx, s->out, n * n);
    rn_close(s->out);
    return err;
}

static int keep_even(rn_ctx *ctx, void *arg)
{
    struct stage *s = arg;
    int n, err = 0;

    while (err == 0 && rn_recv(ctx, s->in, &n) == 0)
        if (n % 2 == 0)
            err = rn_send(ctx, s->out, n);
    rn_close(s->out);
    return err;
}

static int app(int argc, char **argv)
{
    rn_group *g = rn_group_new(NULL);
    int_chan numbers = rn_chan_make(int, 0);
    int_chan squares = rn_chan_make(int, 0);
    int_chan even = rn_chan_make(int, 0);
    const char *separator = "";
    int n, err;

    (void)argc, (void)argv;
    rn_group_go_copy(g, generate, &(struct stage){.out = numbers});
    rn_group_go_copy(g, square, &(struct stage){.in = numbers, .out = squares});
    rn_group_go_copy(g, keep_even, &(struct stage){.in = squares, .out = even});
    while (rn_recv(NULL, even, &n) == 0) {
        printf("%s%d", separator, n);
        separator = " ";
    }
    printf("\n");
    err = rn_group_wait(g);
    rn_chan_release(numbers);
    rn_chan_release(squares);
    rn_chan_release(even);
    return err == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    return rn_run(app, argc, argv);
}
