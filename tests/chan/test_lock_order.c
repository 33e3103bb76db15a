/* The order of a select's locks: by address, each once, however many and however they come. */
#include "chan/lock_order.h"
#include "core.h"
#include "test.h"

#define LOCKS_MAX 300

static struct spinlock locks[LOCKS_MAX];

static int compare(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t) * (struct spinlock *const *)a;
    uintptr_t y = (uintptr_t) * (struct spinlock *const *)b;
    return x < y ? -1 : x > y;
}

/* What is wanted: sorted by the C library, without those that are there twice. */
static uint32_t order_plainly(struct spinlock **list, uint32_t n)
{
    uint32_t count = 0;

    qsort(list, n, sizeof *list, compare);
    for (uint32_t i = 0; i < n; i++)
        if (count == 0 || list[i] != list[count - 1])
            list[count++] = list[i];
    return count;
}

static void expect_order(struct spinlock **list, uint32_t n)
{
    struct spinlock *wanted[LOCKS_MAX];

    memcpy(wanted, list, n * sizeof *list);
    uint32_t count = order_plainly(wanted, n);
    EXPECT_EQ(lock_order(list, n), count);
    EXPECT(memcmp(list, wanted, count * sizeof *list) == 0);
}

TEST(locks_are_ordered_whatever_their_number)
{
    struct spinlock *list[LOCKS_MAX];
    uint32_t random = 1;

    for (uint32_t n = 0; n <= LOCKS_MAX; n++) {
        for (uint32_t different = 1; different <= n; different = different * 3 + 1) {
            for (uint32_t i = 0; i < n; i++) {
                random = random * 1664525 + 1013904223;
                list[i] = &locks[(random >> 8) % different];
            }
            expect_order(list, n);
        }
    }
}

TEST(locks_that_are_in_order_or_in_reverse_order_are_ordered)
{
    struct spinlock *list[LOCKS_MAX];

    for (uint32_t n = 1; n <= LOCKS_MAX; n++) {
        for (uint32_t i = 0; i < n; i++)
            list[i] = &locks[i];
        expect_order(list, n);
        for (uint32_t i = 0; i < n; i++)
            list[i] = &locks[n - 1 - i];
        expect_order(list, n);
    }
}
