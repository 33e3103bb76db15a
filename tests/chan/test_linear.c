/*
 * Channels used by many at once behave as if each call took effect at one instant between its
 * beginning and its end. Every call is noted with both times; then the notes are searched for what
 * no order of instants explains:
 *
 *   - a value that was received twice, or never sent, or sent and lost;
 *   - two values that were surely sent in one order and surely received in the other;
 *   - more values surely in the channel at a time than it has room for;
 *   - a try_recv that found nothing while a value was surely there.
 */
#include "core.h"
#include "test.h"

#include <runnel/wait_group.h>

#define ROUNDS 300
#define HANDS 4   /* senders, and as many receivers */
#define VALUES 24 /* of each sender */

struct call {
    uint64_t begins, ends; /* 0: was not made */
};

struct record {
    int_chan ch;
    size_t capacity;
    _Atomic(uint64_t) clock;
    struct call sent[HANDS * VALUES], received[HANDS * VALUES];
    atomic_int times_received[HANDS * VALUES];
    struct call empty[HANDS][VALUES]; /* try_recv that returned -EAGAIN */
    rn_wait_group senders, receivers;
};

struct hand {
    struct record *record;
    int index;
};

static uint64_t tick(struct record *r)
{
    return atomic_fetch_add(&r->clock, 1) + 1;
}

static void send_values(void *arg)
{
    struct hand *h = arg;
    struct record *r = h->record;

    for (int i = 0; i < VALUES; i++) {
        int value = h->index * VALUES + i, err = -EAGAIN;
        for (int tries = 0; err != 0; tries++) {
            uint64_t begins = tick(r);
            err = tries < i % 3 ? rn_try_send(r->ch, value) : rn_send(NULL, r->ch, value);
            r->sent[value] = (struct call){begins, tick(r)};
        }
    }
    rn_wait_group_done(&r->senders);
}

static void receive_values(void *arg)
{
    struct hand *h = arg;
    struct record *r = h->record;
    int value, err = 0, misses = 0;

    for (int i = 0; err != RN_ECLOSED; i++) {
        struct call call = {.begins = tick(r)};
        err = i % 2 == 0 ? rn_try_recv(r->ch, &value) : rn_recv(NULL, r->ch, &value);
        call.ends = tick(r);
        if (err == 0) {
            r->received[value] = call;
            atomic_fetch_add(&r->times_received[value], 1);
        } else if (err == -EAGAIN && misses < VALUES) {
            r->empty[h->index][misses++] = call;
        }
    }
    rn_wait_group_done(&r->receivers);
}

/* Whether the value was in the channel from t on and until u at least. */
static bool surely_there(const struct record *r, int value, uint64_t t, uint64_t u)
{
    return r->sent[value].ends < t && r->received[value].begins > u;
}

static void check_order(const struct record *r)
{
    for (int a = 0; a < HANDS * VALUES; a++)
        for (int b = 0; b < HANDS * VALUES; b++)
            if (r->sent[a].ends < r->sent[b].begins)
                EXPECT(r->received[a].begins < r->received[b].ends);
}

static void check_room(const struct record *r)
{
    for (int at = 0; at < HANDS * VALUES; at++) {
        uint64_t t = r->sent[at].ends;
        size_t there = 0;
        for (int v = 0; v < HANDS * VALUES; v++)
            there += r->sent[v].ends <= t && r->received[v].begins > t;
        EXPECT(there <= r->capacity);
    }
}

static void check_empty(const struct record *r)
{
    for (int h = 0; h < HANDS; h++)
        for (int i = 0; i < VALUES && r->empty[h][i].ends != 0; i++)
            for (int v = 0; v < HANDS * VALUES; v++)
                EXPECT(!surely_there(r, v, r->empty[h][i].begins, r->empty[h][i].ends));
}

static void run_round(size_t capacity)
{
    struct record *r = calloc(1, sizeof *r);

    EXPECT(r != NULL);
    r->capacity = capacity;
    r->ch = rn_chan_make(int, capacity);
    rn_wait_group_add(&r->senders, HANDS);
    rn_wait_group_add(&r->receivers, HANDS);
    for (int i = 0; i < HANDS; i++) {
        EXPECT_EQ(rn_go_copy(send_values, &(struct hand){r, i}), 0);
        EXPECT_EQ(rn_go_copy(receive_values, &(struct hand){r, i}), 0);
    }
    EXPECT_EQ(rn_wait_group_wait(NULL, &r->senders), 0);
    EXPECT_EQ(rn_close(r->ch), 0);
    EXPECT_EQ(rn_wait_group_wait(NULL, &r->receivers), 0);
    for (int v = 0; v < HANDS * VALUES; v++)
        EXPECT_EQ(atomic_load(&r->times_received[v]), 1);
    check_order(r);
    check_room(r);
    check_empty(r);
    rn_chan_release(r->ch);
    free(r);
}

TEST_FIBER(every_call_takes_effect_at_an_instant)
{
    for (int i = 0; i < rounds(ROUNDS); i++)
        run_round((size_t)(i % 6));
}
