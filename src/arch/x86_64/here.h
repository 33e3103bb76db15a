/*
 * The running worker, and this thread's slot (sync/slot.h), read anew each time.
 *
 * A fiber can resume on another thread. A compiler may keep a thread-local's address, or its value,
 * over a call; it does not merge or move volatile assembly. So the read is two instructions of
 * inline assembly: it is as cheap as the compiler's own and cannot be cached across a park. A test
 * disassembles it.
 */
#ifndef RN_ARCH_HERE_H
#define RN_ARCH_HERE_H

struct worker;
struct slot;

extern __thread struct worker *here_worker
    __attribute__((tls_model("initial-exec"), visibility("hidden")));

extern __thread struct slot *here_slot
    __attribute__((tls_model("initial-exec"), visibility("hidden")));

#define HERE_READ(out, name)                                                                       \
    __asm__ volatile("movq " #name "@gottpoff(%%rip), %0\n\t"                                      \
                     "movq %%fs:(%0), %0"                                                          \
                     : "=r"(out)                                                                   \
                     :                                                                             \
                     : "memory")

static inline struct worker *worker_here(void)
{
    struct worker *worker;
    HERE_READ(worker, here_worker);
    return worker;
}

/* NULL: the thread has none yet. */
static inline struct slot *slot_of_thread(void)
{
    struct slot *slot;
    HERE_READ(slot, here_slot);
    return slot;
}

#endif
