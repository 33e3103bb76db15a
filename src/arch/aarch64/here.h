/*
 * The running worker, and this thread's slot (sync/slot.h), read anew each time; the reason is
 * told in the x86-64 twin of this file.
 */
#ifndef RN_ARCH_HERE_H
#define RN_ARCH_HERE_H

struct worker;
struct slot;

extern __thread struct worker *here_worker
    __attribute__((tls_model("initial-exec"), visibility("hidden")));

extern __thread struct slot *here_slot
    __attribute__((tls_model("initial-exec"), visibility("hidden")));

#define HERE_READ(out, base, name)                                                                 \
    __asm__ volatile("mrs %1, tpidr_el0\n\t"                                                       \
                     "adrp %0, :gottprel:" #name "\n\t"                                            \
                     "ldr %0, [%0, #:gottprel_lo12:" #name "]\n\t"                                 \
                     "ldr %0, [%1, %0]"                                                            \
                     : "=&r"(out), "=&r"(base)                                                     \
                     :                                                                             \
                     : "memory")

static inline struct worker *worker_here(void)
{
    struct worker *worker, *base;
    HERE_READ(worker, base, here_worker);
    return worker;
}

/* NULL: the thread has none yet. */
static inline struct slot *slot_of_thread(void)
{
    struct slot *slot, *base;
    HERE_READ(slot, base, here_slot);
    return slot;
}

#endif
