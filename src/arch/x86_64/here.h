/*
 * The running worker, read anew each time.
 *
 * A fiber can resume on another thread. A compiler may keep a thread-local's address, or its value,
 * over a call; it does not merge or move volatile assembly. So the read is two instructions of
 * inline assembly: it is as cheap as the compiler's own and cannot be cached across a park. A test
 * disassembles it.
 */
#ifndef RN_ARCH_HERE_H
#define RN_ARCH_HERE_H

struct worker;

extern __thread struct worker *here_worker
    __attribute__((tls_model("initial-exec"), visibility("hidden")));

static inline struct worker *worker_here(void)
{
    struct worker *worker;
    __asm__ volatile("movq here_worker@gottpoff(%%rip), %0\n\t"
                     "movq %%fs:(%0), %0"
                     : "=r"(worker)
                     :
                     : "memory");
    return worker;
}

#endif
