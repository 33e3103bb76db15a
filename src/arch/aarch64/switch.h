/*
 * Context switch, aarch64 (AAPCS64).
 *
 * As on x86-64: inlined, every register declared lost, resumed by an indirect branch. Saved are the
 * stack pointer, the frame pointer, the resume address and FPCR, which is written only when it
 * differs. x18 belongs to the platform and is left alone.
 */
#ifndef RN_ARCH_SWITCH_H
#define RN_ARCH_SWITCH_H

#include <stddef.h>
#include <stdint.h>

struct context {
    void *sp;
    void *fp;
    void *pc;
    uint64_t fpcr;
};

/* Saves here into from and goes on where to was saved; returns when somebody switches to from. */
__attribute__((always_inline)) static inline void context_switch(struct context *from,
                                                                 struct context *to)
{
    register struct context *f __asm__("x0") = from;
    register struct context *t __asm__("x1") = to;

    __asm__ volatile("adr x2, 1f\n\t"
                     "mov x3, sp\n\t"
                     "mrs x4, fpcr\n\t"
                     "stp x3, x29, [x0]\n\t"
                     "stp x2, x4, [x0, #16]\n\t"
                     "ldp x16, x5, [x1, #16]\n\t"
                     "cmp x4, x5\n\t"
                     "b.eq 2f\n\t"
                     "msr fpcr, x5\n\t"
                     "2: ldp x3, x29, [x1]\n\t"
                     "mov sp, x3\n\t"
                     "br x16\n\t"
                     "1: hint #36\n\t" /* bti j */
                     : "+r"(f), "+r"(t)
                     :
                     : "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13",
                       "x14", "x15", "x16", "x17", "x19", "x20", "x21", "x22", "x23", "x24", "x25",
                       "x26", "x27", "x28", "x30", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7",
                       "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17", "v18",
                       "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29",
                       "v30", "v31", "cc", "memory");
}

/* The floating-point control word of who calls. */
static inline uint64_t context_modes(void)
{
    uint64_t fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    return fpcr;
}

static inline void context_set_modes(struct context *context, uint64_t modes)
{
    context->fpcr = modes;
}

/*
 * Makes a context that calls entry(arg) on the stack that ends at top; entry never returns. Its
 * modes are to be set.
 */
void context_make(struct context *context, void *top, void (*entry)(void *arg), void *arg);

#endif
