/* A failed check says what, who and where, and aborts. */
#include "base/check.h"

#include "core.h"
#include "test.h"

TEST(a_check_that_holds_does_nothing)
{
    int looks = 0;
    CHECK(++looks == 1, "looked %d times", looks);
    EXPECT_EQ(looks, 1);
}

TEST_DIES(a_check_that_fails_says_its_sentence, "runnel: 7 is not 8", SIGABRT)
{
    volatile int seven = 7;
    CHECK(seven == 8, "%d is not %d", seven, 8);
}

static int fail_on_fiber(int argc, char **argv)
{
    (void)argc, (void)argv;
    fatal("no good");
}

TEST_DIES(it_names_the_fiber, "runnel: no good.*fiber 1 \"main\"", SIGABRT)
{
    rn_run(fail_on_fiber, 0, NULL);
}

TEST_DIES(it_prints_a_backtrace, "fatal|\\(\\+0x[0-9a-f]+\\)|\\[0x[0-9a-f]+\\]", SIGABRT)
{
    fatal("look where");
}

TEST_DIES(a_long_sentence_is_cut_and_ends_its_line, "runnel: x{100,}\n", SIGABRT)
{
    char text[2000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    fatal("%s", text);
}

static void released_with_waiter(void *arg)
{
    int_chan ch = *(int_chan *)arg;
    int value;
    rn_recv(NULL, ch, &value);
}

static int release_under_waiter(int argc, char **argv)
{
    int_chan ch = rn_chan_make_with(int, &(rn_chan_options){.name = "the busy one"});

    (void)argc, (void)argv;
    EXPECT_EQ(rn_go_copy(released_with_waiter, &ch), 0);
    await_waiters(ch, 1);
    rn_chan_release(ch);
    return 0;
}

TEST_DIES(releasing_a_channel_that_somebody_waits_on_is_misuse, "runnel: .*the busy one", SIGABRT)
{
    rn_run(release_under_waiter, 0, NULL);
}
