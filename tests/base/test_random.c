/* Random numbers: within bounds, spread, and the same from the same seed. */
#include "base/random.h"

#include "test.h"

#include <stdio.h>

TEST(numbers_are_below_their_bound_and_reach_all_of_it)
{
    uint64_t state = 1;

    for (uint32_t n = 1; n <= 40; n++) {
        uint64_t seen = 0;
        for (int i = 0; i < 4000; i++) {
            uint32_t x = random_below(&state, n);
            EXPECT(x < n);
            seen |= (uint64_t)1 << x;
        }
        EXPECT_EQ(seen, ((uint64_t)1 << n) - 1);
    }
}

TEST(numbers_are_spread_evenly)
{
    enum { N = 10, DRAWS = 100000 };
    uint64_t state = 42;
    int hits[N] = {0};

    for (int i = 0; i < DRAWS; i++)
        hits[random_below(&state, N)]++;
    for (int i = 0; i < N; i++)
        EXPECT(hits[i] > DRAWS / N * 9 / 10 && hits[i] < DRAWS / N * 11 / 10);
}

TEST(one_seed_gives_one_sequence)
{
    uint64_t a = 7, b = 7, c = 8;
    int differ = 0;

    for (int i = 0; i < 100; i++) {
        uint64_t x = random_next(&a);
        EXPECT(x == random_next(&b));
        differ += x != random_next(&c);
    }
    EXPECT(differ > 90);
}
