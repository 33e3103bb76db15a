/* Starting fibers: ids, names, copies and their lifetime, options. */
#include "core.h"
#include "test.h"

static void send_id(void *arg)
{
    rn_chan(uint64_t) ids = *(rn_chan(uint64_t) *)arg;
    EXPECT_EQ(rn_send(NULL, ids, rn_fiber_id()), 0);
}

TEST_FIBER(the_first_fiber_is_number_1)
{
    EXPECT_EQ(rn_fiber_id(), 1);
}

TEST_FIBER(every_fiber_has_a_number_of_its_own)
{
    int fibers = 3000 / shorter();
    static unsigned char seen[1 << 20];
    rn_chan(uint64_t) ids = rn_chan_make(uint64_t, 0);
    uint64_t id;

    for (int i = 0; i < fibers; i++)
        EXPECT_EQ(rn_go_copy(send_id, &ids), 0);
    for (int i = 0; i < fibers; i++) {
        EXPECT_EQ(rn_recv(NULL, ids, &id), 0);
        EXPECT(id > 1);
        if (id < sizeof seen)
            EXPECT_EQ(seen[id]++, 0);
    }
    await_live(1);
    rn_chan_release(ids);
}

TEST(a_plain_thread_has_number_0)
{
    EXPECT_EQ(rn_fiber_id(), 0);
    EXPECT(rn_fiber_name() != NULL);
}

struct naming {
    rn_chan(const char *) names;
};

static void send_name(void *arg)
{
    struct naming *n = arg;
    EXPECT_EQ(rn_send(NULL, n->names, rn_fiber_name()), 0);
}

TEST_FIBER(a_fiber_is_named_after_its_function_or_as_told)
{
    struct naming n = {rn_chan_make(const char *, 0)};
    const char *name = NULL;

    EXPECT_EQ(rn_go(send_name, &n), 0);
    EXPECT_EQ(rn_recv(NULL, n.names, &name), 0);
    EXPECT_STR(name, "send_name");
    EXPECT_EQ(rn_go_with(&(rn_go_options){.name = "herald"}, send_name, &n), 0);
    EXPECT_EQ(rn_recv(NULL, n.names, &name), 0);
    EXPECT_STR(name, "herald");
    EXPECT_EQ(rn_go_at(NULL, NULL, send_name, &n, 0), 0);
    EXPECT_EQ(rn_recv(NULL, n.names, &name), 0);
    EXPECT(name != NULL);
    await_live(1);
    rn_chan_release(n.names);
}

struct big {
    int number;
    unsigned char bytes[4000];
    int_chan hold, done;
};

static void check_copy(void *arg)
{
    struct big *b = arg;
    int value;

    EXPECT_EQ(rn_recv(NULL, b->hold, &value), RN_ECLOSED);
    for (size_t i = 0; i < sizeof b->bytes; i++)
        EXPECT_EQ(b->bytes[i], (unsigned char)b->number);
    b->number++; /* its own */
    EXPECT_EQ(rn_send(NULL, b->done, b->number), 0);
}

TEST_FIBER(a_copy_is_the_fibers_own_and_lives_as_long_as_it)
{
    enum { FIBERS = 50 };
    struct big b = {.hold = rn_chan_make(int, 0), .done = rn_chan_make(int, 0)};
    int value, sum = 0;

    for (int i = 0; i < FIBERS; i++) {
        b.number = i;
        memset(b.bytes, i, sizeof b.bytes);
        EXPECT_EQ(rn_go_copy(check_copy, &b), 0);
    }
    memset(b.bytes, 0xee, sizeof b.bytes);
    await_waiters(b.hold, FIBERS);
    EXPECT_EQ(rn_close(b.hold), 0);
    for (int i = 0; i < FIBERS; i++) {
        EXPECT_EQ(rn_recv(NULL, b.done, &value), 0);
        sum += value;
    }
    EXPECT_EQ(sum, FIBERS * (FIBERS + 1) / 2);
    EXPECT_EQ(b.number, FIBERS - 1);
    await_live(1);
    rn_chan_release(b.hold);
    rn_chan_release(b.done);
}

struct aligned {
    _Alignas(64) char bytes[16];
    atomic_int *good;
};

static void check_alignment(void *arg)
{
    struct aligned *a = arg;
    char local[16] __attribute__((aligned(16)));
    atomic_fetch_add(a->good, (uintptr_t)arg % 64 == 0 && (uintptr_t)local % 16 == 0);
}

TEST_FIBER(a_copy_is_aligned)
{
    atomic_int good = 0;

    EXPECT_EQ(rn_go_copy(check_alignment, &(struct aligned){.good = &good}), 0);
    await_count(&good, 1);
    await_live(1);
}

static void never(void *arg)
{
    (void)arg;
    EXPECT(!"a fiber that was refused has run");
}

struct huge {
    char bytes[16 << 20]; /* larger than any default stack */
};

TEST_FIBER(a_copy_that_does_not_fit_a_quarter_of_the_stack_is_einval)
{
    static struct huge huge;

    EXPECT_EQ(rn_go_copy(never, &huge), -EINVAL);
    EXPECT_EQ(rn_go_at(NULL, &(rn_go_options){.stack_size = 256 * 1024}, never, &huge, 65 * 1024),
              -EINVAL);
    EXPECT_EQ(rn_go_at(NULL, NULL, never, &huge, SIZE_MAX), -EINVAL);
}

TEST_FIBER(a_stack_size_out_of_range_is_einval)
{
    EXPECT_EQ(rn_go_with(&(rn_go_options){.stack_size = 1}, never, NULL), -EINVAL);
    EXPECT(strlen(rn_error_detail()) > 0);
    EXPECT_EQ(rn_go_with(&(rn_go_options){.stack_size = SIZE_MAX}, never, NULL), -EINVAL);
    EXPECT_EQ(rn_go_with(&(rn_go_options){.stack_size = SIZE_MAX / 2}, never, NULL), -EINVAL);
}

struct order {
    int *place;
    atomic_int *done;
};

static void read_place(void *arg)
{
    struct order *o = arg;
    EXPECT_EQ(*o->place, 41); /* not atomic: the start orders it */
    *o->place = 42;
    atomic_store(o->done, 1);
}

TEST_FIBER(what_the_caller_did_happens_before_the_fiber_begins)
{
    for (int i = 0; i < 1000 / shorter(); i++) {
        int place = 41;
        atomic_int done = 0;
        EXPECT_EQ(rn_go_copy(read_place, &(struct order){&place, &done}), 0);
        await_count(&done, 1);
        EXPECT_EQ(place, 42);
    }
    await_live(1);
}

TEST(a_plain_thread_starts_fibers)
{
    rn_chan(uint64_t) ids = rn_chan_make(uint64_t, 0);
    uint64_t id = 0;

    EXPECT_EQ(rn_go_copy(send_id, &ids), 0);
    EXPECT_EQ(rn_recv(NULL, ids, &id), 0);
    EXPECT(id >= 1);
    await_live(0);
    rn_chan_release(ids);
    EXPECT_EQ(rn_stop(), 0);
}
