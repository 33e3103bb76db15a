/*
 * Fan-out and fan-in: orders are spread over three desks, and what these answer is brought together
 * again.
 *
 * All channels close by themselves, one after the other, when the orders are through.
 */
#include <runnel.h>

#include <stdio.h>

#define DESKS 3
#define ORDERS 12

struct bill {
    int order, price;
};

struct desk {
    rn_chan(int) orders;
    rn_chan(struct bill) bills;
};

static int serve(rn_ctx *ctx, void *arg)
{
    struct desk *desk = arg;
    int order, err = 0;

    while (err == 0 && rn_recv(ctx, desk->orders, &order) == 0)
        err = rn_send(ctx, desk->bills, (struct bill){order, order * 100});
    rn_close(desk->bills);
    return err;
}

static int place(rn_ctx *ctx, void *arg)
{
    rn_chan(int) orders = *(rn_chan(int) *)arg;
    int err = 0;

    for (int i = 1; err == 0 && i <= ORDERS; i++)
        err = rn_send(ctx, orders, i);
    rn_close(orders);
    return err;
}

static int app(int argc, char **argv)
{
    rn_group *g = rn_group_new(NULL);
    rn_chan(int) orders = rn_chan_make(int, 0);
    rn_chan(struct bill) bills[DESKS];
    rn_fan_out(int) desks;
    rn_fan_in(struct bill) cash;
    struct bill bill;
    int count = 0, sum = 0, err;

    (void)argc, (void)argv;
    if (rn_fan_out_new(&desks, orders, DESKS, NULL) != 0)
        return 1;
    for (int i = 0; i < DESKS; i++) {
        bills[i] = rn_chan_make(struct bill, 0);
        rn_group_go_copy(g, serve, &(struct desk){rn_fan_out_chan(desks, (size_t)i), bills[i]});
    }
    rn_group_go_copy(g, place, &orders);
    if (rn_fan_in_new_n(&cash, bills, DESKS, NULL) != 0)
        return 1;
    for (; rn_recv(NULL, rn_fan_in_chan(cash), &bill) == 0; count++)
        sum += bill.price;
    printf("%d bills, %d in all\n", count, sum);
    err = rn_group_wait(g);
    rn_fan_in_free(cash);
    rn_fan_out_free(desks);
    for (int i = 0; i < DESKS; i++)
        rn_chan_release(bills[i]);
    rn_chan_release(orders);
    return err;
}

int main(int argc, char **argv)
{
    return rn_run(app, argc, argv);
}
