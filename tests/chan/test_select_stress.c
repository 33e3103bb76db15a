/*
 * Selects against selects, sends, receives, closes and cancellations: nothing is lost, doubled or
 * stuck.
 */
#include "core.h"
#include "test.h"

#include <pthread.h>

#define CHANS 4
#define PEERS 4

struct field {
    int_chan chans[CHANS];
    int items; /* of each sender */
    atomic_uchar *seen;
    atomic_int sent, received, senders_left;
};

struct hand {
    struct field *field;
    int number;
};

static void field_open(struct field *f, size_t capacity, int items)
{
    *f = (struct field){.items = items};
    f->seen = calloc((size_t)(PEERS * items), sizeof *f->seen);
    EXPECT(f->seen != NULL);
    for (int i = 0; i < CHANS; i++)
        EXPECT((f->chans[i] = rn_chan_make(int, capacity)) != NULL);
    atomic_store(&f->senders_left, PEERS);
}

static void field_close(struct field *f)
{
    for (int i = 0; i < CHANS; i++) {
        EXPECT_EQ(rn_waiters(f->chans[i]), 0);
        rn_chan_release(f->chans[i]);
    }
    free(f->seen);
}

static void mark(struct field *f, int value)
{
    EXPECT(value >= 0 && value < PEERS * f->items);
    EXPECT_EQ(atomic_fetch_add(&f->seen[value], 1), 0);
    atomic_fetch_add(&f->received, 1);
}

static void select_send(void *arg)
{
    struct hand *h = arg;
    struct field *f = h->field;

    for (int i = 0; i < f->items; i++) {
        int value = h->number * f->items + i;
        int at = rn_select(NULL, rn_on_send(f->chans[0], value), rn_on_send(f->chans[1], value),
                           rn_on_send(f->chans[2], value), rn_on_send(f->chans[3], value));
        EXPECT(at >= 0 && at < CHANS);
        atomic_fetch_add(&f->sent, 1);
    }
    if (atomic_fetch_sub(&f->senders_left, 1) == 1)
        for (int i = 0; i < CHANS; i++)
            EXPECT_EQ(rn_close(f->chans[i]), 0);
}

static void select_receive(void *arg)
{
    struct hand *h = arg;
    struct field *f = h->field;
    int values[CHANS], codes[CHANS], open = CHANS;
    rn_case cases[CHANS];

    for (int i = 0; i < CHANS; i++)
        cases[i] = rn_on_recv_code(f->chans[i], &values[i], &codes[i]);
    while (open > 0) {
        int at = rn_select_n(NULL, cases, CHANS, 0);
        EXPECT(at >= 0 && at < CHANS);
        if (codes[at] == 0) {
            mark(f, values[at]);
        } else {
            EXPECT_EQ(codes[at], RN_ECLOSED);
            cases[at].kind = RN_CASE_NONE;
            open--;
        }
    }
}

static void plain_receive(void *arg)
{
    struct hand *h = arg;
    int value;
    while (rn_recv(NULL, h->field->chans[h->number], &value) == 0)
        mark(h->field, value);
}

static void select_against(void (*receive)(void *arg), size_t capacity)
{
    struct field f;

    field_open(&f, capacity, rounds(4000));
    for (int i = 0; i < PEERS; i++) {
        EXPECT_EQ(rn_go_copy(select_send, &(struct hand){&f, i}), 0);
        EXPECT_EQ(rn_go_copy(receive, &(struct hand){&f, i}), 0);
    }
    await_live(1);
    EXPECT_EQ(atomic_load(&f.sent), PEERS * f.items);
    EXPECT_EQ(atomic_load(&f.received), PEERS * f.items);
    field_close(&f);
}

TEST_FIBER(selects_against_selects_lose_nothing)
{
    select_against(select_receive, 0);
    select_against(select_receive, 1);
    select_against(select_receive, 5);
}

TEST_FIBER(selects_against_plain_receives_lose_nothing)
{
    select_against(plain_receive, 0);
    select_against(plain_receive, 3);
}

/* Every fiber offers to send and to receive on the same unbuffered channels at once. */
struct market {
    int_chan chans[2];
    int trades;
    atomic_int bought, sold, traders_left;
    rn_ctx *ctx;
};

static void trade(void *arg)
{
    struct market *m = *(struct market **)arg;
    int value;

    for (;;) {
        int at = rn_select(m->ctx, rn_on_recv(m->chans[0], &value), rn_on_send(m->chans[0], 1),
                           rn_on_recv(m->chans[1], &value), rn_on_send(m->chans[1], 1));
        if (at < 0)
            break;
        if (atomic_fetch_add(at % 2 == 0 ? &m->bought : &m->sold, 1) >= m->trades)
            rn_ctx_cancel(m->ctx, 0);
    }
    atomic_fetch_sub(&m->traders_left, 1);
}

TEST_FIBER(each_send_pairs_with_one_receive_of_another_fiber)
{
    struct market m = {{rn_chan_make(int, 0), rn_chan_make(int, 0)},
                       rounds(20000),
                       0,
                       0,
                       PEERS,
                       rn_ctx_with_cancel(NULL)};
    struct market *market = &m;

    for (int i = 0; i < PEERS; i++)
        EXPECT_EQ(rn_go_copy(trade, &market), 0);
    await_live(1);
    EXPECT_EQ(atomic_load(&m.bought), atomic_load(&m.sold));
    EXPECT_EQ(atomic_load(&m.traders_left), 0);
    EXPECT_EQ(rn_waiters(m.chans[0]), 0);
    EXPECT_EQ(rn_waiters(m.chans[1]), 0);
    rn_ctx_release(m.ctx);
    rn_chan_release(m.chans[0]);
    rn_chan_release(m.chans[1]);
}

/* Two selects that name the same channels in opposite orders. */
struct crossing {
    int_chan a, b;
    int count;
    bool turned;
};

static void cross_send(void *arg)
{
    struct crossing *c = arg;
    for (int i = 0; i < c->count; i++)
        EXPECT(rn_select(NULL, rn_on_send(c->turned ? c->b : c->a, i),
                         rn_on_send(c->turned ? c->a : c->b, i)) >= 0);
}

TEST_FIBER(selects_that_name_channels_in_opposite_orders_do_not_deadlock)
{
    struct crossing c = {rn_chan_make(int, 0), rn_chan_make(int, 0), rounds(10000), false};
    struct crossing turned = c;
    int value, total = 2 * c.count;

    turned.turned = true;
    EXPECT_EQ(rn_go(cross_send, &c), 0);
    EXPECT_EQ(rn_go(cross_send, &turned), 0);
    for (int i = 0; i < total; i++)
        EXPECT(rn_select(NULL, rn_on_recv(i % 2 ? c.a : c.b, &value),
                         rn_on_recv(i % 2 ? c.b : c.a, &value)) >= 0);
    await_live(1);
    rn_chan_release(c.a);
    rn_chan_release(c.b);
}

/* Timeouts and cancellations race with values. */
struct race {
    int_chan ch, other;
    int items;
    atomic_int sent, received;
    rn_ctx *ctx;
};

static void race_send(void *arg)
{
    struct race *r = arg;
    for (int i = 0; i < r->items; i++)
        if (rn_select(NULL, rn_on_timeout(i % 7 * RN_MICROSECOND), rn_on_send(r->ch, i)) == 1)
            atomic_fetch_add(&r->sent, 1);
    rn_ctx_cancel(r->ctx, 0);
}

static void race_receive(void *arg)
{
    struct race *r = arg;
    int value, at = 0;

    for (int round = 0; at >= 0; round++) {
        rn_ctx *ctx = rn_ctx_with_timeout(r->ctx, round % 5 * RN_MICROSECOND);
        at = rn_select(ctx, rn_on_recv(r->other, &value), rn_on_recv(r->ch, &value),
                       rn_on_timeout(round % 3 * RN_MICROSECOND));
        rn_ctx_release(ctx);
        if (at == 1)
            atomic_fetch_add(&r->received, 1);
        if (at == -ETIMEDOUT)
            at = 0;
    }
}

TEST_FIBER(timeouts_and_cancellations_against_values_lose_nothing)
{
    struct race r = {rn_chan_make(int, 0),    rn_chan_make(int, 0), rounds(5000), 0, 0,
                     rn_ctx_with_cancel(NULL)};

    for (int i = 0; i < 2; i++)
        EXPECT_EQ(rn_go(race_receive, &r), 0);
    EXPECT_EQ(rn_go(race_send, &r), 0);
    await_live(1);
    EXPECT_EQ(atomic_load(&r.received), atomic_load(&r.sent));
    EXPECT_EQ(rn_waiters(r.ch), 0);
    EXPECT_EQ(rn_waiters(r.other), 0);
    EXPECT_EQ(stats_now().timers, 0);
    rn_ctx_release(r.ctx);
    rn_chan_release(r.ch);
    rn_chan_release(r.other);
}

/* One that sends to the first channel, and then to the second, each time that it is told to. */
struct precedence {
    int_chan go, first, second;
};

static void *send_to_first_then_second(void *arg)
{
    struct precedence *p = arg;
    int i;

    while (rn_recv(NULL, p->go, &i) == 0) {
        EXPECT_EQ(rn_try_send(p->first, i), 0);
        EXPECT_EQ(rn_try_send(p->second, i), 0);
    }
    return NULL;
}

/* Whoever sees the second ready is later than the first's send. Threads, to look as it happens. */
TEST(in_order_never_takes_a_case_that_became_ready_after_an_earlier_one)
{
    struct precedence p = {rn_chan_make(int, 1), rn_chan_make(int, 1), rn_chan_make(int, 1)};
    int value, at, n = rounds(20000);
    pthread_t sender;

    EXPECT_EQ(pthread_create(&sender, NULL, send_to_first_then_second, &p), 0);
    for (int i = 0; i < n; i++) {
        rn_case cases[] = {rn_on_recv(p.first, &value), rn_on_recv(p.second, &value), rn_default};
        EXPECT_EQ(rn_send(NULL, p.go, i), 0);
        while ((at = rn_select_n(NULL, cases, 3, RN_SELECT_IN_ORDER)) == 2)
            continue;
        EXPECT_EQ(at, 0);
        EXPECT_EQ(rn_recv(NULL, p.second, &value), 0);
    }
    rn_close(p.go);
    EXPECT_EQ(pthread_join(sender, NULL), 0);
    rn_chan_release(p.go);
    rn_chan_release(p.first);
    rn_chan_release(p.second);
}
