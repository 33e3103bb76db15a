/* The clock and the arithmetic of times; codes in words. */
#include "core.h"
#include "test.h"

TEST(the_clock_never_goes_back)
{
    rn_time last = rn_now();

    for (int i = 0; i < 10000; i++) {
        rn_time now = rn_now();
        EXPECT(now >= last);
        last = now;
    }
}

TEST(adding_a_duration_saturates)
{
    EXPECT_EQ(rn_time_add(5, 6), 11);
    EXPECT_EQ(rn_time_add(5, -6), -1);
    EXPECT_EQ(rn_time_add(5, RN_FOREVER), RN_FOREVER);
    EXPECT_EQ(rn_time_add(RN_FOREVER, 1), RN_FOREVER);
    EXPECT_EQ(rn_time_add(rn_now(), RN_FOREVER - 1), RN_FOREVER);
    EXPECT_EQ(rn_time_add(-5, INT64_MIN), INT64_MIN);
    EXPECT_EQ(rn_time_add(INT64_MIN, -1), INT64_MIN);
    EXPECT_EQ(rn_time_add(INT64_MIN, RN_FOREVER), -1);
}

TEST(durations_are_nanoseconds)
{
    EXPECT_EQ(RN_MICROSECOND, 1000);
    EXPECT_EQ(RN_MILLISECOND, 1000000);
    EXPECT_EQ(RN_SECOND, 1000000000);
    EXPECT_EQ(RN_MINUTE, 60 * RN_SECOND);
    EXPECT_EQ(RN_HOUR, 60 * RN_MINUTE);
}
