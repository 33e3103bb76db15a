/*
 * What a program outside the tree does with the installed library: two fibers and a channel.
 */
#include <runnel.h>
#include <stdio.h>

struct item {
    int number;
};

static int produce(rn_ctx *ctx, void *arg)
{
    rn_chan(struct item) items = *(rn_chan(struct item) *)arg;
    for (int i = 1; i <= 3; i++) {
        int err = rn_send(ctx, items, (struct item){.number = i});
        if (err != 0)
            return err;
    }
    return rn_close(items);
}

static int app(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    rn_chan(struct item) items = rn_chan_make(struct item, 0);
    rn_group *g = rn_group_new(NULL);
    struct item item;
    int sum = 0;

    rn_group_go_copy(g, produce, &items);
    while (rn_recv(NULL, items, &item) == 0)
        sum += item.number;
    int err = rn_group_wait(g);
    rn_chan_release(items);
    printf("runnel %s: %d\n", rn_version(), sum);
    return err != 0 || sum != 6;
}

int main(int argc, char **argv)
{
    return rn_run(app, argc, argv);
}
