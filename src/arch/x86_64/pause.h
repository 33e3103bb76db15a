/* Processor hints and fences, x86-64. */
#ifndef RN_ARCH_PAUSE_H
#define RN_ARCH_PAUSE_H

static inline void arch_pause(void)
{
    __asm__ volatile("pause");
}

static inline void arch_fence(void)
{
    __asm__ volatile("lock; orl $0, (%%rsp)" ::: "memory", "cc");
}

#endif
