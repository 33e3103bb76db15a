/*
 * Orders and payments are published; the warehouse hears of orders, the audit of everything.
 *
 * Each subscriber has a buffer of its own, and one copy of a message serves all.
 */
#include <runnel.h>

#include <stdio.h>

struct order {
    int id, cents;
};

struct desk {
    rn_subscription *mail;
    int count, cents;
};

static int read_mail(rn_ctx *ctx, void *arg)
{
    struct desk *desk = *(struct desk **)arg;
    rn_message m;
    int err;

    while ((err = rn_subscription_recv(ctx, desk->mail, &m)) == 0) {
        const struct order *order = m.data; /* valid until the next receive */
        desk->count++;
        desk->cents += order->cents;
    }
    return err == RN_ECLOSED ? 0 : err;
}

static int app(int argc, char **argv)
{
    static const char *const countries[] = {"eu", "us"};
    rn_pubsub *ps;
    rn_group *g = rn_group_new(NULL);
    struct desk warehouse = {0}, audit = {0};
    struct desk *desks[] = {&warehouse, &audit};
    char topic[32];
    int err;

    (void)argc, (void)argv;
    if (rn_pubsub_new(&ps, NULL) != 0 || rn_subscribe(ps, "orders.*", NULL, &warehouse.mail) != 0 ||
        rn_subscribe(ps, ">", &(rn_subscription_config){.buffer = 100}, &audit.mail) != 0)
        return 1;
    for (int i = 0; i < 2; i++)
        rn_group_go_copy(g, read_mail, &desks[i]);

    for (int id = 1; id <= 10; id++) {
        struct order order = {.id = id, .cents = 100 * id};
        snprintf(topic, sizeof topic, "orders.%s", countries[id % 2]);
        rn_publish_copy(NULL, ps, topic, &order);
        if (id % 2 == 0)
            rn_publish_copy(NULL, ps, "payments.card", &order);
    }
    rn_pubsub_close(ps); /* what is buffered is still read, then receives end */
    err = rn_group_wait(g);

    printf("warehouse: %d messages, %d cents\n", warehouse.count, warehouse.cents);
    printf("audit: %d messages, %d cents\n", audit.count, audit.cents);
    rn_subscription_free(warehouse.mail);
    rn_subscription_free(audit.mail);
    rn_pubsub_free(ps);
    return err == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    return rn_run(app, argc, argv);
}
