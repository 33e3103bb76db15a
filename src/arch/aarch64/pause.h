/* Processor hints and fences, aarch64. */
#ifndef RN_ARCH_PAUSE_H
#define RN_ARCH_PAUSE_H

static inline void arch_pause(void)
{
    __asm__ volatile("isb" ::: "memory");
}

static inline void arch_fence(void)
{
    __asm__ volatile("dmb ish" ::: "memory");
}

#endif
