/*
 * Publish-subscribe: one topic, eight subscribers. The twin of go/pubsub.go.
 *
 * Every subscriber gets every message: whose buffer is full makes the publisher wait, as Go's
 * channels do. The payload is made once; both sides hand out references to it.
 */
#include "common.h"

#include <runnel.h>

enum { SUBSCRIBERS = 8 };

struct subscriber {
    rn_subscription *sub;
    rn_wait_group *wg;
    long seen;
};

static void receive(void *arg)
{
    struct subscriber *s = arg;
    rn_message m;

    while (rn_subscription_recv(NULL, s->sub, &m) == 0)
        s->seen += m.size == 5;
    rn_wait_group_done(s->wg);
}

static void pubsub_round(long n)
{
    struct subscriber subscribers[SUBSCRIBERS];
    rn_wait_group wg = {0};
    rn_pubsub *ps;
    rn_payload *payload = rn_payload_copy("hello", 5);

    bench_check(payload != NULL && rn_pubsub_new(&ps, NULL) == 0);
    rn_wait_group_add(&wg, SUBSCRIBERS);
    for (int i = 0; i < SUBSCRIBERS; i++) {
        subscribers[i] = (struct subscriber){.wg = &wg};
        bench_check(rn_subscribe(ps, "orders.eu",
                                 &(rn_subscription_config){.buffer = BENCH_BUFFER_SLOTS,
                                                           .when_full = RN_BLOCK_PUBLISHER,
                                                           .block_for = RN_FOREVER},
                                 &subscribers[i].sub) == 0);
        bench_check(rn_go(receive, &subscribers[i]) == 0);
    }
    for (long i = 0; i < n; i++)
        bench_check(rn_publish(NULL, ps, "orders.eu", payload) == 0);
    bench_check(rn_pubsub_close(ps) == 0);
    bench_check(rn_wait_group_wait(NULL, &wg) == 0);
    for (int i = 0; i < SUBSCRIBERS; i++) {
        bench_check(subscribers[i].seen == n);
        rn_subscription_free(subscribers[i].sub);
    }
    rn_pubsub_free(ps);
    rn_payload_release(payload);
}

/* Publishing to eight subscribers, all of whom receive. */
void case_pubsub(void)
{
    bench_report("pubsub", bench_measure(1, pubsub_round));
}
