/*
 * The running worker, read anew each time; the reason is told in the x86-64 twin of this file.
 */
#ifndef RN_ARCH_HERE_H
#define RN_ARCH_HERE_H

struct worker;

extern __thread struct worker *here_worker
    __attribute__((tls_model("initial-exec"), visibility("hidden")));

static inline struct worker *worker_here(void)
{
    struct worker *worker, *base;
    __asm__ volatile("mrs %1, tpidr_el0\n\t"
                     "adrp %0, :gottprel:here_worker\n\t"
                     "ldr %0, [%0, #:gottprel_lo12:here_worker]\n\t"
                     "ldr %0, [%1, %0]"
                     : "=&r"(worker), "=&r"(base)
                     :
                     : "memory");
    return worker;
}

#endif
