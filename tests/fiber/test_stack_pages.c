/* Stacks where the kernel's pages are larger than the smallest stack, as on some aarch64. */
#include "core.h"
#include "fiber/dig.h"
#include "test.h"

#include <unistd.h>

#define PAGE_BYTES (64 << 10)
#define USE_BYTES (UNDER_ASAN || UNDER_TSAN ? 1 << 10 : 8 << 10) /* their frames are larger */

#if !UNDER_ASAN && !UNDER_TSAN /* they would believe it, too */
/* The program's own stands before the C library's; this library asks for nothing else. */
long sysconf(int name)
{
    return name == _SC_PAGESIZE ? PAGE_BYTES : -1;
}
#endif

static void dig_once(void *arg)
{
    EXPECT_EQ(dig(USE_BYTES), 0);
    atomic_fetch_add((atomic_int *)arg, 1);
}

static int use_small_stacks(int argc, char **argv)
{
    static const size_t sizes[] = {0, RN_STACK_MIN, RN_STACK_MIN + 1, 64 << 10, 96 << 10, 1 << 20};
    enum { SIZES = sizeof sizes / sizeof *sizes, ROUNDS = 100 };
    atomic_int done = 0;

    (void)argc, (void)argv;
    for (int i = 0; i < SIZES * ROUNDS; i++) {
        rn_go_options opt = {.stack_size = sizes[i % SIZES]};
        EXPECT_EQ(rn_go_with(&opt, dig_once, &done), 0);
    }
    await_live(1);
    EXPECT_EQ(atomic_load(&done), SIZES * ROUNDS);
    return 0;
}

TEST(the_smallest_stacks_have_room_beside_their_guards)
{
    EXPECT_EQ(rn_run(use_small_stacks, 0, NULL), 0);
}

TEST(so_has_a_small_default)
{
    setenv("RUNNEL_STACK", "32K", 1);
    EXPECT_EQ(rn_run(use_small_stacks, 0, NULL), 0);
}

static void dig_for_ever(void *arg)
{
    (void)arg;
    dig(SIZE_MAX / 2);
}

static int overflow(int argc, char **argv)
{
    rn_go_options opt = {.name = "mole", .stack_size = RN_STACK_MIN};

    (void)argc, (void)argv;
    EXPECT_EQ(rn_go_with(&opt, dig_for_ever, NULL), 0);
    await_live(1);
    return 0;
}

TEST_DIES(the_guard_is_there, "stack overflow.*mole|mole.*stack overflow", SIGABRT)
{
    rn_run(overflow, 0, NULL);
}
