/* Unwinding within a fiber: each caller is found, down to where it begins, and no further. */
#include "core.h"
#include "test.h"

#include <execinfo.h>

#define FRAMES_MAX 64
#define DEPTH 4        /* functions of ours on the stack, the fiber's own with them */
#define START_BYTES 64 /* more than context_start has */

void context_start(void);

struct walk {
    void *returns[DEPTH]; /* where each of our functions returns to, innermost first */
    void *frames[FRAMES_MAX];
    int count;
};

static bool is_found(const struct walk *w, const void *address)
{
    for (int i = 0; i < w->count; i++)
        if (w->frames[i] == address)
            return true;
    return false;
}

static void check(const struct walk *w)
{
    uintptr_t start = (uintptr_t)context_start;

    EXPECT(w->count < FRAMES_MAX); /* it ends */
    for (int i = 0; i < DEPTH; i++)
        EXPECT(is_found(w, w->returns[i]));
    uintptr_t last = (uintptr_t)w->frames[w->count - 1];
    EXPECT(last > start && last < start + START_BYTES);
    EXPECT(w->frames[w->count - 2] == w->returns[DEPTH - 1]); /* in fiber_main */
}

__attribute__((noinline)) static void third(struct walk *w)
{
    w->returns[0] = __builtin_return_address(0);
    w->count = backtrace(w->frames, FRAMES_MAX);
    check(w);
}

__attribute__((noinline)) static void second(struct walk *w)
{
    w->returns[1] = __builtin_return_address(0);
    third(w);
    rn_yield(); /* it may go on elsewhere, and its stack stays the same */
    third(w);
}

__attribute__((noinline)) static void first(struct walk *w)
{
    w->returns[2] = __builtin_return_address(0);
    second(w);
    __asm__ volatile(""); /* not a tail call */
}

static void walk_stack(void *arg)
{
    struct walk w = {.returns = {NULL}};

    w.returns[3] = __builtin_return_address(0);
    first(&w);
    atomic_fetch_add((atomic_int *)arg, 1);
}

TEST_FIBER(a_backtrace_ends_where_the_fiber_began)
{
    enum { FIBERS = 20 };
    atomic_int done = 0;

    for (int i = 0; i < FIBERS; i++)
        EXPECT_EQ(rn_go(walk_stack, &done), 0);
    await_count(&done, FIBERS);
    await_live(1);
}
