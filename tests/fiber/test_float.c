/* Floating-point control words belong to the fiber. */
#include "core.h"
#include "test.h"

#include <fenv.h>

struct rounding {
    int mode;
    int_chan turn, done;
};

/* Rounds a third in the current mode, at run time. */
static float third(void)
{
    volatile float one = 1, three = 3;
    return one / three;
}

static void keep_mode(void *arg)
{
    struct rounding *r = arg;
    int value;

    EXPECT_EQ(fesetround(r->mode), 0);
    float mine = third();
    for (int i = 0; i < 50; i++) {
        EXPECT_EQ(rn_recv(NULL, r->turn, &value), 0);
        EXPECT_EQ(fegetround(), r->mode);
        EXPECT(third() == mine);
        rn_yield();
        EXPECT_EQ(fegetround(), r->mode);
    }
    EXPECT_EQ(rn_send(NULL, r->done, 1), 0);
}

TEST_FIBER(a_rounding_mode_stays_with_its_fiber)
{
#ifdef FE_UPWARD
    static const int modes[] = {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO, FE_TONEAREST};
    int_chan turn = rn_chan_make(int, 0), done = rn_chan_make(int, 0);
    int value;

    EXPECT_EQ(fegetround(), FE_TONEAREST);
    for (int i = 0; i < 8; i++)
        EXPECT_EQ(rn_go_copy(keep_mode, &(struct rounding){modes[i % 4], turn, done}), 0);
    for (int i = 0; i < 8 * 50; i++) {
        EXPECT_EQ(rn_send(NULL, turn, i), 0);
        EXPECT_EQ(fegetround(), FE_TONEAREST);
    }
    for (int i = 0; i < 8; i++)
        EXPECT_EQ(rn_recv(NULL, done, &value), 0);
    EXPECT_EQ(fegetround(), FE_TONEAREST);
    await_live(1);
    rn_chan_release(turn);
    rn_chan_release(done);
#endif
}

static void expect_mode(void *arg)
{
    struct rounding *r = arg;
    EXPECT_EQ(fegetround(), r->mode);
    EXPECT_EQ(rn_send(NULL, r->done, 1), 0);
}

TEST_FIBER(a_new_fiber_begins_with_the_mode_of_its_maker)
{
#ifdef FE_UPWARD
    int_chan done = rn_chan_make(int, 0);
    int value;

    EXPECT_EQ(fesetround(FE_UPWARD), 0);
    EXPECT_EQ(rn_go_copy(expect_mode, &(struct rounding){FE_UPWARD, NULL, done}), 0);
    EXPECT_EQ(rn_recv(NULL, done, &value), 0);
    EXPECT_EQ(fegetround(), FE_UPWARD);
    EXPECT_EQ(rn_go_copy(expect_mode, &(struct rounding){FE_UPWARD, NULL, done}), 0);
    EXPECT_EQ(fesetround(FE_TONEAREST), 0); /* before it begins, where there is one worker */
    EXPECT_EQ(rn_recv(NULL, done, &value), 0);
    EXPECT_EQ(rn_go_copy(expect_mode, &(struct rounding){FE_TONEAREST, NULL, done}), 0);
    EXPECT_EQ(rn_recv(NULL, done, &value), 0);
    await_live(1);
    rn_chan_release(done);
#endif
}

struct summing {
    double from;
    atomic_int *done;
};

/* Keeps values in registers over switches. */
static void sum_up(void *arg)
{
    struct summing *s = arg;
    double a = s->from, b = a + 1, c = a + 2, d = a + 3;

    for (int i = 0; i < 1000; i++) {
        a += 1;
        b += 2;
        c += 3;
        d += 4;
        if (i % 10 == 0)
            rn_yield();
    }
    EXPECT(a == s->from + 1000 && b == s->from + 2001);
    EXPECT(c == s->from + 3002 && d == s->from + 4003);
    atomic_fetch_add(s->done, 1);
}

TEST_FIBER(values_in_registers_survive_switches)
{
    atomic_int done = 0;

    for (int i = 0; i < 50; i++)
        EXPECT_EQ(rn_go_copy(sum_up, &(struct summing){i * 0.5, &done}), 0);
    await_count(&done, 50);
    await_live(1);
}
