/* Stacks: sizes, guards, reuse, and the message of an overflow. */
#include "core.h"
#include "fiber/dig.h"
#include "test.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#define DEEP_BYTES 16384

struct digger {
    size_t bytes;
    atomic_int *done;
};

static void dig_once(void *arg)
{
    struct digger *d = arg;
    EXPECT_EQ(dig(d->bytes), 0);
    atomic_fetch_add(d->done, 1);
}

TEST_FIBER(a_fiber_can_use_most_of_its_stack)
{
    static const size_t sizes[] = {64 << 10, 256 << 10, 1 << 20, 8 << 20};
    atomic_int done = 0;

    for (int i = 0; i < 4; i++) {
        /* sanitizers and unoptimised frames take more than they ask for */
        size_t use = UNDER_ASAN || UNDER_TSAN ? sizes[i] / 8 : sizes[i] / 2;
        struct digger d = {use, &done};
        EXPECT_EQ(rn_go_with(&(rn_go_options){.stack_size = sizes[i]}, dig_once, &d), 0);
        await_count(&done, i + 1);
    }
    await_live(1);
}

static int dig_with_default(int argc, char **argv)
{
    atomic_int done = 0;
    struct digger d = {(size_t)argc, &done};

    (void)argv;
    EXPECT_EQ(dig(d.bytes), 0); /* the main fiber too */
    EXPECT_EQ(rn_go(dig_once, &d), 0);
    await_live(1);
    EXPECT_EQ(atomic_load(&done), 1);
    return 0;
}

TEST(the_environment_says_how_large_a_stack_is)
{
    setenv("RUNNEL_STACK", "8M", 1);
    EXPECT_EQ(rn_run(dig_with_default, (UNDER_ASAN || UNDER_TSAN ? 1 : 6) << 20, NULL), 0);
}

TEST_FIBER(stacks_are_used_again)
{
    atomic_int done = 0;
    struct digger d = {4096, &done};

    for (int i = 0; i < rounds(20000); i++) {
        EXPECT_EQ(rn_go(dig_once, &d), 0);
        await_count(&done, i + 1);
    }
    await_live(1);
    EXPECT(stats_now().stacks_reserved < 10000);
}

struct place {
    uintptr_t *frame;
    int_chan hold;
};

static void tell_place(void *arg)
{
    struct place *p = arg;
    int value;

    *p->frame = (uintptr_t)__builtin_frame_address(0);
    EXPECT_EQ(rn_recv(NULL, p->hold, &value), RN_ECLOSED);
}

/* Else the hot ends of all stacks would compete for the same few lines of a cache. */
TEST_FIBER(the_tops_of_stacks_fall_into_different_cache_sets)
{
    enum { STACKS = 12, LINE_BYTES = 64, SETS = 64 };
    int_chan hold = rn_chan_make(int, 0);
    uintptr_t frames[STACKS] = {0};
    bool taken[SETS] = {false};

    for (int i = 0; i < STACKS; i++)
        EXPECT_EQ(rn_go_copy(tell_place, &(struct place){&frames[i], hold}), 0);
    await_waiters(hold, STACKS);
    for (int i = 0; i < STACKS; i++) {
        uintptr_t set = frames[i] / LINE_BYTES % SETS;
        EXPECT(!taken[set]);
        taken[set] = true;
    }
    EXPECT_EQ(rn_close(hold), 0);
    await_live(1);
    rn_chan_release(hold);
}

/* The memory that this process has, in bytes. */
static size_t resident_bytes(void)
{
    unsigned long total, resident;
    FILE *file = fopen("/proc/self/statm", "re");

    EXPECT(file != NULL);
    EXPECT_EQ(fscanf(file, "%lu %lu", &total, &resident), 2);
    fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static void dig_and_hold(void *arg)
{
    int value;

    EXPECT_EQ(dig(DEEP_BYTES), 0);
    EXPECT_EQ(rn_recv(NULL, *(int_chan *)arg, &value), RN_ECLOSED);
}

/* A worker keeps a thousand stacks as they are, to be used soon, and the pool some hundred. */
TEST(the_memory_of_idle_stacks_is_given_back)
{
    enum { STACKS = 4000 };
    int_chan hold;
    size_t before, full;

    if (UNDER_ASAN || UNDER_TSAN || getenv("TEST_EMULATOR") != NULL)
        return; /* what they know about a page takes more than the page, and stays */
    setenv("RUNNEL_WORKERS", "1", 1);
    EXPECT_EQ(rn_start(), 0);
    hold = rn_chan_make(int, 0);
    before = resident_bytes();
    for (int i = 0; i < STACKS; i++)
        EXPECT_EQ(rn_go(dig_and_hold, &hold), 0);
    await_waiters(hold, STACKS);
    full = resident_bytes();
    EXPECT(full - before >= STACKS * (size_t)DEEP_BYTES);
    EXPECT_EQ(rn_close(hold), 0);
    await_live(0);
    while (resident_bytes() - before > (full - before) / 2)
        rn_yield();
    rn_chan_release(hold);
    EXPECT_EQ(rn_stop(), 0);
}

static void dig_for_ever(void *arg)
{
    (void)arg;
    dig(SIZE_MAX / 2);
}

static int overflow(int argc, char **argv)
{
    (void)argc, (void)argv;
    EXPECT_EQ(rn_go_with(&(rn_go_options){.name = "mole"}, dig_for_ever, NULL), 0);
    await_live(1);
    return 0;
}

TEST_DIES(an_overflow_names_the_fiber_and_its_stack_and_aborts,
          "stack overflow.*mole|mole.*stack overflow", SIGABRT)
{
    rn_run(overflow, 0, NULL);
}

static int dig_for_ever_on_main(int argc, char **argv)
{
    (void)argc, (void)argv;
    dig_for_ever(NULL);
    return 0;
}

TEST_DIES(the_main_fiber_is_guarded_too, "stack overflow.*\"main\"", SIGABRT)
{
    rn_run(dig_for_ever_on_main, 0, NULL);
}

static int overflow_large(int argc, char **argv)
{
    (void)argc, (void)argv;
    EXPECT_EQ(
        rn_go_with(&(rn_go_options){.name = "badger", .stack_size = 2 << 20}, dig_for_ever, NULL),
        0);
    await_live(1);
    return 0;
}

TEST_DIES(a_large_stack_is_guarded_too, "stack overflow.*badger|badger.*stack overflow", SIGABRT)
{
    rn_run(overflow_large, 0, NULL);
}

static int overflow_reused(int argc, char **argv)
{
    atomic_int done = 0;
    struct digger d = {4096, &done};

    (void)argc, (void)argv;
    for (int i = 0; i < 1000; i++)
        EXPECT_EQ(rn_go(dig_once, &d), 0);
    await_live(1);
    return overflow(argc, argv);
}

TEST_DIES(a_stack_that_is_used_again_is_still_guarded, "stack overflow", SIGABRT)
{
    rn_run(overflow_reused, 0, NULL);
}

/* Where address space is scarce: -ENOMEM with a sentence; once there is room again all is well. */
#if !UNDER_ASAN && !UNDER_TSAN /* they need a great deal of it */
static void hold(void *arg)
{
    int value;
    EXPECT_EQ(rn_recv(NULL, *(int_chan *)arg, &value), RN_ECLOSED);
}

TEST_FIBER(a_stack_that_cannot_be_had_is_enomem_and_says_why)
{
    struct rlimit scarce = {(rlim_t)1 << 30, RLIM_INFINITY};
    const rn_go_options large = {.stack_size = 8 << 20};
    int_chan ch = rn_chan_make(int, 0);
    int started = 0, err;

    if (getenv("TEST_EMULATOR") != NULL)
        return; /* qemu's user mode does not hold the program to RLIMIT_AS */
    EXPECT_EQ(setrlimit(RLIMIT_AS, &scarce), 0);
    while ((err = rn_go_with(&large, hold, &ch)) == 0)
        EXPECT(++started < 1000);
    EXPECT_EQ(err, -ENOMEM);
    EXPECT(strlen(rn_error_detail()) > 0);
    EXPECT_EQ(rn_close(ch), 0);
    await_live(1);
    scarce.rlim_cur = RLIM_INFINITY;
    EXPECT_EQ(setrlimit(RLIMIT_AS, &scarce), 0);
    for (int i = 0; i < 10; i++)
        EXPECT_EQ(rn_go_with(&large, hold, &ch), 0);
    await_live(1);
    rn_chan_release(ch);
}
#endif

static int *volatile nowhere = (int *)8;

static int read_badly(int argc, char **argv)
{
    (void)argc, (void)argv;
    return *(volatile int *)nowhere;
}

/* Sanitizers answer it in their own way. */
#if !UNDER_ASAN && !UNDER_TSAN
TEST_DIES(another_bad_access_dies_as_it_would_have, "", SIGSEGV)
{
    rn_run(read_badly, 0, NULL);
}
#else
TEST(another_bad_access_is_the_sanitizers)
{
    EXPECT(read_badly != NULL);
}
#endif
