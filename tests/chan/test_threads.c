/* Plain threads use channels as fibers do, in a program that never called rn_run. */
#include "core.h"
#include "test.h"

#include <pthread.h>
#include <runnel/wait_group.h>

#define PEERS 3

struct side {
    int_chan ch;
    int from, count;
    atomic_int *sum, *ended;
};

static void send_side(void *arg)
{
    struct side *s = arg;
    for (int i = 0; i < s->count; i++)
        EXPECT_EQ(rn_send(NULL, s->ch, s->from + i), 0);
    atomic_fetch_add(s->ended, 1);
}

static void receive_side(void *arg)
{
    struct side *s = arg;
    int value;
    while (rn_recv(NULL, s->ch, &value) == 0)
        atomic_fetch_add(s->sum, value);
    atomic_fetch_add(s->ended, 1);
}

static void *send_thread(void *arg)
{
    EXPECT_EQ(rn_fiber_id(), 0);
    send_side(arg);
    return NULL;
}

static void *receive_thread(void *arg)
{
    receive_side(arg);
    return NULL;
}

/* PEERS threads and PEERS fibers on each side; every value arrives. */
static void mix(size_t capacity)
{
    int_chan ch = rn_chan_make(int, capacity);
    atomic_int sum = 0, sent = 0, received = 0;
    struct side in = {ch, 1, rounds(1000), NULL, &sent}, out = {ch, 0, 0, &sum, &received};
    pthread_t senders[PEERS], receivers[PEERS];

    for (int i = 0; i < PEERS; i++) {
        EXPECT_EQ(pthread_create(&receivers[i], NULL, receive_thread, &out), 0);
        EXPECT_EQ(rn_go(receive_side, &out), 0);
        EXPECT_EQ(pthread_create(&senders[i], NULL, send_thread, &in), 0);
        EXPECT_EQ(rn_go(send_side, &in), 0);
    }
    await_count(&sent, 2 * PEERS);
    EXPECT_EQ(rn_close(ch), 0);
    await_count(&received, 2 * PEERS);
    for (int i = 0; i < PEERS; i++) {
        pthread_join(senders[i], NULL);
        pthread_join(receivers[i], NULL);
    }
    await_live(0);
    EXPECT_EQ(atomic_load(&sum), 2 * PEERS * (in.count * (in.count + 1) / 2));
    rn_chan_release(ch);
}

TEST(threads_and_fibers_mix_on_both_sides)
{
    mix(0);
    mix(1);
    mix(16);
    EXPECT_EQ(rn_stop(), 0);
}

TEST(a_waiting_thread_is_served_by_a_fiber_and_the_other_way)
{
    int_chan there = rn_chan_make(int, 0);
    atomic_int ended = 0, sum = 0;
    struct side in = {there, 20, 1, NULL, &ended}, out = {there, 0, 0, &sum, &ended};
    int value = 0;

    EXPECT_EQ(rn_go(send_side, &in), 0);
    EXPECT_EQ(rn_recv(NULL, there, &value), 0);
    EXPECT_EQ(value, 20);
    EXPECT_EQ(rn_go(receive_side, &out), 0);
    EXPECT_EQ(rn_send(NULL, there, 22), 0);
    EXPECT_EQ(rn_close(there), 0);
    await_count(&ended, 2);
    EXPECT_EQ(atomic_load(&sum), 22);
    await_live(0);
    rn_chan_release(there);
    EXPECT_EQ(rn_stop(), 0);
}

TEST(a_waiting_thread_ends_with_its_context)
{
    int_chan ch = rn_chan_make(int, 0);
    rn_ctx *late = rn_ctx_with_timeout(NULL, 2 * RN_MILLISECOND), *ctx = rn_ctx_with_cancel(NULL);
    struct canceller c = {ctx, rn_chan_untyped(ch), 1};
    int value = 5;

    EXPECT_EQ(rn_recv(late, ch, &value), -ETIMEDOUT);
    EXPECT_EQ(rn_send(late, ch, value), -ETIMEDOUT);
    EXPECT_EQ(rn_go(cancel_when_waiting, &c), 0);
    EXPECT_EQ(rn_recv(ctx, ch, &value), -ECANCELED);
    EXPECT_EQ(value, 5);
    EXPECT_EQ(rn_waiters(ch), 0);
    await_live(0);
    rn_ctx_release(late);
    rn_ctx_release(ctx);
    rn_chan_release(ch);
    EXPECT_EQ(rn_stop(), 0);
}

static void close_when_waiting(void *arg)
{
    int_chan ch = *(int_chan *)arg;
    await_waiters(ch, 1);
    EXPECT_EQ(rn_close(ch), 0);
}

TEST(a_waiting_thread_wakes_at_the_close)
{
    int_chan ch = rn_chan_make(int, 0);
    int value;

    EXPECT_EQ(rn_go_copy(close_when_waiting, &ch), 0);
    EXPECT_EQ(rn_recv(NULL, ch, &value), RN_ECLOSED);
    await_live(0);
    rn_chan_release(ch);
    EXPECT_EQ(rn_stop(), 0);
}

/* ---- the first call of a thread, in a process of its own: it makes the runtime ---- */

static void *send_one(void *arg)
{
    EXPECT_EQ(rn_send(NULL, *(int_chan *)arg, 7), 0);
    return NULL;
}

static void *receive_one(void *arg)
{
    int value = 0;
    EXPECT_EQ(rn_recv(NULL, *(int_chan *)arg, &value), 0);
    EXPECT_EQ(value, 8);
    return NULL;
}

/* Both are the first to wait, at once: who comes second finds the other or the runtime. */
TEST(two_threads_whose_first_call_is_on_the_same_channel_meet)
{
    int_chan ch = rn_chan_make(int, 0);
    pthread_t thread;
    int value = 0;

    EXPECT_EQ(pthread_create(&thread, NULL, send_one, &ch), 0);
    EXPECT_EQ(rn_recv(NULL, ch, &value), 0);
    EXPECT_EQ(value, 7);
    pthread_join(thread, NULL);
    rn_chan_release(ch);
    EXPECT_EQ(rn_stop(), 0);
}

TEST(the_first_call_of_a_thread_may_be_a_send)
{
    int_chan ch = rn_chan_make(int, 0);
    pthread_t thread;

    EXPECT_EQ(pthread_create(&thread, NULL, receive_one, &ch), 0);
    EXPECT_EQ(rn_send(NULL, ch, 8), 0);
    pthread_join(thread, NULL);
    rn_chan_release(ch);
    EXPECT_EQ(rn_stop(), 0);
}

TEST(the_first_call_of_a_thread_may_be_a_select)
{
    int_chan ch = rn_chan_make(int, 0);
    int value;

    EXPECT_EQ(rn_select(NULL, rn_on_recv(ch, &value), rn_default), 1);
    EXPECT_EQ(rn_select(NULL, rn_on_recv(ch, &value), rn_on_timeout(RN_MILLISECOND)), 1);
    rn_chan_release(ch);
    EXPECT_EQ(rn_stop(), 0);
}

TEST(the_first_call_of_a_thread_may_be_a_wait_for_a_group)
{
    rn_wait_group group = {0};
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);

    EXPECT_EQ(rn_wait_group_wait(NULL, &group), 0);
    rn_wait_group_add(&group, 1);
    rn_ctx_cancel(ctx, 0);
    EXPECT_EQ(rn_wait_group_wait(ctx, &group), -ECANCELED);
    rn_wait_group_done(&group);
    EXPECT_EQ(rn_wait_group_wait(NULL, &group), 0);
    rn_ctx_release(ctx);
    EXPECT_EQ(rn_stop(), 0);
}

static void *ping(void *arg)
{
    struct side *s = arg;
    int value;
    for (int i = 0; i < s->count; i++) {
        EXPECT_EQ(rn_recv(NULL, s->ch, &value), 0);
        EXPECT_EQ(value, 2 * i);
        EXPECT_EQ(rn_send(NULL, s->ch, 2 * i + 1), 0);
    }
    return NULL;
}

TEST(two_threads_play_ping_pong_on_one_channel)
{
    int_chan ch = rn_chan_make(int, 0);
    struct side s = {ch, 0, rounds(500), NULL, NULL};
    pthread_t thread;
    int value;

    EXPECT_EQ(pthread_create(&thread, NULL, ping, &s), 0);
    for (int i = 0; i < s.count; i++) {
        EXPECT_EQ(rn_send(NULL, ch, 2 * i), 0);
        EXPECT_EQ(rn_recv(NULL, ch, &value), 0);
        EXPECT_EQ(value, 2 * i + 1);
    }
    pthread_join(thread, NULL);
    rn_chan_release(ch);
    EXPECT_EQ(rn_stop(), 0);
}
