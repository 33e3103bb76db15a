/*
 * What the tests of stacks share: a call that goes deep.
 */
#ifndef RN_TESTS_FIBER_DIG_H
#define RN_TESTS_FIBER_DIG_H

#include <stddef.h>

/* Uses at least bytes of stack, and really touches them. */
__attribute__((noinline, unused)) static int dig(size_t bytes)
{
    volatile char space[1024];
    for (size_t i = 0; i < sizeof space; i += 256)
        space[i] = (char)bytes;
    int below = bytes > sizeof space ? dig(bytes - sizeof space) : 0;
    __asm__ volatile("" : : "r"(space) : "memory"); /* each call keeps a frame of its own */
    return below + space[512] - space[256];
}

#endif
