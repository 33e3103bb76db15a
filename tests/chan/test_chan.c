/* Channels: making them, what they carry, order, NULL, references, and the drop callback. */
#include "core.h"
#include "test.h"

struct job {
    int id;
    char text[60];
};

struct nothing {
    char none[0];
};

typedef rn_chan(struct job) job_chan;

static job_chan job_chan_of(job_chan ch)
{
    return ch;
}

TEST_FIBER(a_new_channel_is_empty_and_has_its_capacity)
{
    static const size_t capacities[] = {0, 1, 7, 1000};

    for (size_t i = 0; i < sizeof capacities / sizeof *capacities; i++) {
        int_chan ch = rn_chan_make(int, capacities[i]);
        EXPECT(ch != NULL);
        EXPECT_EQ(rn_cap(ch), capacities[i]);
        EXPECT_EQ(rn_len(ch), 0);
        EXPECT_EQ(rn_waiters(ch), 0);
        rn_chan_release(ch);
    }
}

TEST_FIBER(a_size_that_overflows_is_einval)
{
    struct rn_chan *ch = NULL;

    EXPECT_EQ(rn_chan_new(&ch, 16, &(rn_chan_options){.capacity = SIZE_MAX / 8}), -EINVAL);
    EXPECT_EQ(rn_chan_new(&ch, 1, &(rn_chan_options){.capacity = (size_t)PTRDIFF_MAX + 1}),
              -EINVAL);
    EXPECT_EQ(rn_chan_new(&ch, SIZE_MAX, &(rn_chan_options){.capacity = 2}), -EINVAL);
    EXPECT(ch == NULL);
}

TEST_FIBER(make_returns_null_and_a_sentence_when_the_size_overflows)
{
    EXPECT(rn_chan_make(struct job, SIZE_MAX / 2) == NULL);
    EXPECT(strlen(rn_error_detail()) > 0);
}

TEST_FIBER(a_size_beyond_memory_is_enomem)
{
    struct rn_chan *ch = NULL;

    if (!UNDER_ASAN && !UNDER_TSAN) /* their allocators abort instead */
        EXPECT_EQ(rn_chan_new(&ch, 1, &(rn_chan_options){.capacity = PTRDIFF_MAX / 2}), -ENOMEM);
}

TEST_FIBER(structs_travel_whole)
{
    job_chan ch = rn_chan_make(struct job, 2);
    struct job job;

    EXPECT_EQ(rn_send(NULL, ch, (struct job){.id = 1, .text = "one"}), 0);
    EXPECT_EQ(rn_send(NULL, job_chan_of(ch), (struct job){2, "two"}), 0);
    EXPECT_EQ(rn_recv(NULL, ch, &job), 0);
    EXPECT_EQ(job.id, 1);
    EXPECT_STR(job.text, "one");
    EXPECT_EQ(rn_recv(NULL, job_chan_of(ch), &job), 0);
    EXPECT_EQ(job.id, 2);
    EXPECT_STR(job.text, "two");
    rn_chan_release(ch);
}

TEST_FIBER(pointers_numbers_and_channels_travel)
{
    rn_chan(const char *) words = rn_chan_make(const char *, 1);
    rn_chan(double) numbers = rn_chan_make(double, 1);
    rn_chan(int_chan) channels = rn_chan_make(int_chan, 1);
    int_chan inner = rn_chan_make(int, 1), got = NULL;
    const char *word = NULL;
    double number = 0;

    EXPECT_EQ(rn_send(NULL, words, "runnel"), 0);
    EXPECT_EQ(rn_send(NULL, numbers, 2), 0); /* converted, as in an assignment */
    EXPECT_EQ(rn_send(NULL, channels, inner), 0);
    EXPECT_EQ(rn_recv(NULL, words, &word), 0);
    EXPECT_EQ(rn_recv(NULL, numbers, &number), 0);
    EXPECT_EQ(rn_recv(NULL, channels, &got), 0);
    EXPECT_STR(word, "runnel");
    EXPECT(number == 2.0);
    EXPECT(got == inner);
    rn_chan_release(words);
    rn_chan_release(numbers);
    rn_chan_release(channels);
    rn_chan_release(inner);
}

struct nothing_pair {
    rn_chan(struct nothing) ch;
    int_chan done;
};

static void send_nothing(void *arg)
{
    struct nothing_pair *p = arg;
    EXPECT_EQ(rn_send(NULL, p->ch, (struct nothing){}), 0);
    EXPECT_EQ(rn_send(NULL, p->done, 1), 0);
}

TEST_FIBER(elements_of_size_zero_work)
{
    rn_chan(struct nothing) buffered = rn_chan_make(struct nothing, 2);
    struct nothing_pair p = {rn_chan_make(struct nothing, 0), rn_chan_make(int, 0)};
    struct nothing none;
    int one;

    EXPECT_EQ(rn_send(NULL, buffered, (struct nothing){}), 0);
    EXPECT_EQ(rn_send(NULL, buffered, (struct nothing){}), 0);
    EXPECT_EQ(rn_try_send(buffered, (struct nothing){}), -EAGAIN);
    EXPECT_EQ(rn_len(buffered), 2);
    EXPECT_EQ(rn_recv(NULL, buffered, &none), 0);
    EXPECT_EQ(rn_len(buffered), 1);
    EXPECT_EQ(rn_go(send_nothing, &p), 0);
    EXPECT_EQ(rn_recv(NULL, p.ch, &none), 0);
    EXPECT_EQ(rn_recv(NULL, p.done, &one), 0);
    rn_chan_release(buffered);
    rn_chan_release(p.ch);
    rn_chan_release(p.done);
}

TEST_FIBER(a_huge_capacity_of_size_zero_elements_is_fine)
{
    rn_chan(struct nothing) ch = rn_chan_make(struct nothing, PTRDIFF_MAX);
    EXPECT(ch != NULL);
    EXPECT_EQ(rn_try_send(ch, (struct nothing){}), 0);
    EXPECT_EQ(rn_len(ch), 1);
    rn_chan_release(ch);
}

TEST_FIBER(values_come_out_in_the_order_in_which_they_went_in)
{
    int_chan ch = rn_chan_make(int, 5);
    int next = 0, value;

    for (int i = 0; i < 100; i++) { /* goes round the buffer, filled to changing heights */
        EXPECT_EQ(rn_send(NULL, ch, i), 0);
        while ((int)rn_len(ch) > i % 5) {
            EXPECT_EQ(rn_recv(NULL, ch, &value), 0);
            EXPECT_EQ(value, next++);
        }
    }
    rn_chan_release(ch);
}

struct turn {
    int_chan ch, done;
    int number;
};

static void receive_own_number(void *arg)
{
    struct turn *t = arg;
    int value = -1;
    EXPECT_EQ(rn_recv(NULL, t->ch, &value), 0);
    EXPECT_EQ(value, t->number);
    EXPECT_EQ(rn_send(NULL, t->done, value), 0);
}

static void send_own_number(void *arg)
{
    struct turn *t = arg;
    EXPECT_EQ(rn_send(NULL, t->ch, t->number), 0);
    EXPECT_EQ(rn_send(NULL, t->done, t->number), 0);
}

static void waiters_are_served_in_order(size_t capacity, void (*fn)(void *arg), bool sending)
{
    enum { FIBERS = 50 };
    int_chan ch = rn_chan_make(int, capacity), done = rn_chan_make(int, FIBERS);
    int value;

    if (sending)
        for (size_t i = 0; i < capacity; i++)
            EXPECT_EQ(rn_send(NULL, ch, -1 - (int)i), 0);
    for (int i = 0; i < FIBERS; i++) {
        EXPECT_EQ(rn_go_copy(fn, &(struct turn){ch, done, i}), 0);
        await_waiters(ch, (size_t)i + 1);
    }
    if (sending)
        for (size_t i = 0; i < capacity; i++)
            EXPECT_EQ(rn_recv(NULL, ch, &value), 0);
    for (int i = 0; i < FIBERS; i++) {
        if (sending) {
            EXPECT_EQ(rn_recv(NULL, ch, &value), 0);
            EXPECT_EQ(value, i);
        } else {
            EXPECT_EQ(rn_send(NULL, ch, i), 0);
        }
    }
    for (int i = 0; i < FIBERS; i++)
        EXPECT_EQ(rn_recv(NULL, done, &value), 0);
    rn_chan_release(ch);
    rn_chan_release(done);
}

TEST_FIBER(receivers_are_served_oldest_first)
{
    waiters_are_served_in_order(0, receive_own_number, false);
    waiters_are_served_in_order(3, receive_own_number, false);
}

TEST_FIBER(senders_are_served_oldest_first)
{
    waiters_are_served_in_order(0, send_own_number, true);
    waiters_are_served_in_order(3, send_own_number, true);
}

TEST_FIBER(a_waiting_receiver_gets_the_value_directly)
{
    int_chan ch = rn_chan_make(int, 4), done = rn_chan_make(int, 1);
    int value;

    EXPECT_EQ(rn_go_copy(receive_own_number, &(struct turn){ch, done, 7}), 0);
    await_waiters(ch, 1);
    EXPECT_EQ(rn_try_send(ch, 7), 0);
    EXPECT_EQ(rn_len(ch), 0);
    EXPECT_EQ(rn_waiters(ch), 0);
    EXPECT_EQ(rn_recv(NULL, done, &value), 0);
    rn_chan_release(ch);
    rn_chan_release(done);
}

TEST_FIBER(a_receive_moves_the_oldest_blocked_sender_into_the_buffer)
{
    int_chan ch = rn_chan_make(int, 1), done = rn_chan_make(int, 1);
    int value;

    EXPECT_EQ(rn_send(NULL, ch, 1), 0);
    EXPECT_EQ(rn_go_copy(send_own_number, &(struct turn){ch, done, 2}), 0);
    await_waiters(ch, 1);
    EXPECT_EQ(rn_recv(NULL, ch, &value), 0);
    EXPECT_EQ(value, 1);
    EXPECT_EQ(rn_len(ch), 1);
    EXPECT_EQ(rn_recv(NULL, done, &value), 0);
    EXPECT_EQ(rn_recv(NULL, ch, &value), 0);
    EXPECT_EQ(value, 2);
    rn_chan_release(ch);
    rn_chan_release(done);
}

struct rendezvous {
    int_chan ch;
    atomic_int *sent;
};

static void send_and_tell(void *arg)
{
    struct rendezvous *r = arg;
    EXPECT_EQ(rn_send(NULL, r->ch, 5), 0);
    atomic_store(r->sent, 1);
}

TEST_FIBER(a_rendezvous_send_returns_only_when_a_receiver_has_the_value)
{
    atomic_int sent = 0;
    struct rendezvous r = {rn_chan_make(int, 0), &sent};
    int value;

    EXPECT_EQ(rn_go(send_and_tell, &r), 0);
    await_waiters(r.ch, 1);
    for (int i = 0; i < 100; i++)
        rn_yield();
    EXPECT_EQ(atomic_load(&sent), 0);
    EXPECT_EQ(rn_recv(NULL, r.ch, &value), 0);
    EXPECT_EQ(value, 5);
    await_count(&sent, 1);
    rn_chan_release(r.ch);
}

TEST_FIBER(a_null_channel_blocks_until_the_context_ends)
{
    int_chan none = NULL;
    int value = 3;
    rn_ctx *soon = rn_ctx_with_timeout(NULL, RN_MILLISECOND);
    rn_ctx *ended = rn_ctx_with_cancel(NULL);

    rn_ctx_cancel(ended, 0);
    EXPECT_EQ(rn_recv(soon, none, &value), -ETIMEDOUT);
    EXPECT_EQ(rn_send(soon, none, value), -ETIMEDOUT);
    EXPECT_EQ(rn_recv(ended, none, &value), -ECANCELED);
    EXPECT_EQ(rn_send(ended, none, value), -ECANCELED);
    EXPECT_EQ(rn_send_n(ended, none, &value, 1), -ECANCELED);
    EXPECT_EQ(rn_recv_n(ended, none, &value, 1), -ECANCELED);
    EXPECT_EQ(value, 3);
    rn_ctx_release(soon);
    rn_ctx_release(ended);
}

TEST_FIBER(a_null_channel_answers_snapshots_tries_and_close)
{
    int_chan none = NULL;
    int value = 3;

    EXPECT_EQ(rn_try_send(none, 1), -EAGAIN);
    EXPECT_EQ(rn_try_recv(none, &value), -EAGAIN);
    EXPECT_EQ(rn_len(none), 0);
    EXPECT_EQ(rn_cap(none), 0);
    EXPECT_EQ(rn_waiters(none), 0);
    EXPECT_EQ(rn_close(none), -EINVAL);
    EXPECT_EQ(rn_close_cause(none), 0);
    rn_chan_release(none);
    EXPECT_EQ(value, 3);
}

static int receive_from_nothing(int argc, char **argv)
{
    int_chan none = NULL;
    int value;

    (void)argc, (void)argv;
    return rn_recv(NULL, none, &value);
}

TEST_DIES(a_null_channel_blocks_for_ever_without_a_context, "chan send or receive \\(NULL chan\\)",
          2)
{
    rn_run(receive_from_nothing, 0, NULL);
}

TEST_FIBER(retain_returns_the_channel_and_keeps_it)
{
    int_chan ch = rn_chan_make(int, 1);
    int_chan again = rn_chan_retain(ch);
    int value = 0;

    EXPECT(again == ch);
    rn_chan_release(ch);
    EXPECT_EQ(rn_send(NULL, again, 9), 0);
    EXPECT_EQ(rn_recv(NULL, again, &value), 0);
    EXPECT_EQ(value, 9);
    rn_chan_release(again);
}

static atomic_int dropped;
static atomic_int dropped_sum;

static void count_drop(void *element)
{
    atomic_fetch_add(&dropped, 1);
    atomic_fetch_add(&dropped_sum, *(int *)element);
}

static int_chan dropping_chan(size_t capacity)
{
    return rn_chan_make_with(int, &(rn_chan_options){.capacity = capacity, .drop = count_drop});
}

TEST_FIBER(drop_gets_what_is_buffered_when_the_last_reference_goes)
{
    int_chan ch = dropping_chan(8);
    int value;

    for (int i = 1; i <= 6; i++)
        EXPECT_EQ(rn_send(NULL, ch, i), 0);
    EXPECT_EQ(rn_recv(NULL, ch, &value), 0);
    EXPECT_EQ(rn_send(NULL, ch, 7), 0);
    rn_chan_retain(ch);
    rn_chan_release(ch);
    EXPECT_EQ(atomic_load(&dropped), 0);
    rn_chan_release(ch);
    EXPECT_EQ(atomic_load(&dropped), 6);
    EXPECT_EQ(atomic_load(&dropped_sum), 2 + 3 + 4 + 5 + 6 + 7);
}

TEST_FIBER(drop_gets_nothing_that_was_received)
{
    int_chan ch = dropping_chan(2);
    int value;

    EXPECT_EQ(rn_send(NULL, ch, 1), 0);
    EXPECT_EQ(rn_close(ch), 0);
    EXPECT_EQ(rn_recv(NULL, ch, &value), 0);
    rn_chan_release(ch);
    EXPECT_EQ(atomic_load(&dropped), 0);
}

TEST_FIBER(drop_gets_a_value_received_into_null)
{
    int_chan ch = dropping_chan(2), done = rn_chan_make(int, 1);
    int value;

    EXPECT_EQ(rn_send(NULL, ch, 4), 0);
    EXPECT_EQ(rn_chan_recv(NULL, rn_chan_untyped(ch), NULL), 0);
    EXPECT_EQ(rn_send(NULL, ch, 5), 0);
    EXPECT_EQ(rn_chan_try_recv(rn_chan_untyped(ch), NULL), 0);
    EXPECT_EQ(atomic_load(&dropped), 2);
    EXPECT_EQ(atomic_load(&dropped_sum), 9);
    rn_chan_release(ch);

    ch = dropping_chan(0); /* from a blocked sender */
    EXPECT_EQ(rn_go_copy(send_own_number, &(struct turn){ch, done, 6}), 0);
    await_waiters(ch, 1);
    EXPECT_EQ(rn_chan_recv(NULL, rn_chan_untyped(ch), NULL), 0);
    EXPECT_EQ(rn_recv(NULL, done, &value), 0);
    EXPECT_EQ(atomic_load(&dropped), 3);
    rn_chan_release(ch);
    rn_chan_release(done);
}

static void receive_into_null(void *arg)
{
    struct turn *t = arg;
    EXPECT_EQ(rn_chan_recv(NULL, rn_chan_untyped(t->ch), NULL), 0);
    EXPECT_EQ(rn_send(NULL, t->done, 1), 0);
}

TEST_FIBER(drop_gets_a_value_handed_to_a_receiver_that_threw_it_away)
{
    int_chan ch = dropping_chan(0), done = rn_chan_make(int, 0);
    int value;

    EXPECT_EQ(rn_go_copy(receive_into_null, &(struct turn){ch, done, 0}), 0);
    await_waiters(ch, 1);
    EXPECT_EQ(rn_send(NULL, ch, 11), 0);
    EXPECT_EQ(rn_recv(NULL, done, &value), 0);
    EXPECT_EQ(atomic_load(&dropped), 1);
    EXPECT_EQ(atomic_load(&dropped_sum), 11);
    rn_chan_release(ch);
    rn_chan_release(done);
}

TEST_FIBER(a_value_thrown_away_without_drop_is_just_gone)
{
    int_chan ch = rn_chan_make(int, 1);

    EXPECT_EQ(rn_send(NULL, ch, 1), 0);
    EXPECT_EQ(rn_chan_recv(NULL, rn_chan_untyped(ch), NULL), 0);
    EXPECT_EQ(rn_len(ch), 0);
    rn_chan_release(ch);
}

/* The drop callback runs under no lock: it may use the very channel's other references. */
static int_chan echo;

static void drop_into_echo(void *element)
{
    EXPECT_EQ(rn_send(NULL, echo, *(int *)element), 0);
    rn_yield();
}

TEST_FIBER(drop_may_call_the_library)
{
    int_chan ch = rn_chan_make_with(int, &(rn_chan_options){.capacity = 4, .drop = drop_into_echo});
    int value;

    echo = rn_chan_make(int, 4);
    for (int i = 0; i < 4; i++)
        EXPECT_EQ(rn_send(NULL, ch, i), 0);
    rn_chan_release(ch);
    for (int i = 0; i < 4; i++) {
        EXPECT_EQ(rn_recv(NULL, echo, &value), 0);
        EXPECT_EQ(value, i);
    }
    rn_chan_release(echo);
}
