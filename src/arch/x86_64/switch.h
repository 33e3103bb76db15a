/*
 * Context switch, x86-64 System V.
 *
 * The switch is inlined where it is used and tells the compiler that every register is lost, so
 * that only what is live is saved; it resumes by an indirect jump, not by ret, because ret would be
 * predicted from the other stack's calls. The saved state is the stack pointer, the frame pointer,
 * the resume address and the floating-point control words, which are loaded only when they differ.
 *
 * The caller's frame does not move, so the compiler's own unwind tables hold across the switch.
 */
#ifndef RN_ARCH_SWITCH_H
#define RN_ARCH_SWITCH_H

#include <stddef.h>
#include <stdint.h>

struct context {
    void *sp;
    void *fp;
    void *pc;
    uint32_t mxcsr;
    uint32_t fpcw;
};

#ifdef __AVX512F__
#define CONTEXT_CLOBBERS_WIDE                                                                      \
    , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25",    \
        "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6",  \
        "k7"
#else
#define CONTEXT_CLOBBERS_WIDE
#endif

/* Saves here into from and goes on where to was saved; returns when somebody switches to from. */
__attribute__((always_inline)) static inline void context_switch(struct context *from,
                                                                 struct context *to)
{
    __asm__ volatile("leaq 1f(%%rip), %%rax\n\t"
                     "movq %%rsp, 0(%%rdi)\n\t"
                     "movq %%rbp, 8(%%rdi)\n\t"
                     "movq %%rax, 16(%%rdi)\n\t"
                     "stmxcsr 24(%%rdi)\n\t"
                     "fnstcw 28(%%rdi)\n\t"
                     "movl 24(%%rsi), %%eax\n\t"
                     "movzwl 28(%%rsi), %%ecx\n\t"
                     "xorl 24(%%rdi), %%eax\n\t"
                     "testl $0xffc0, %%eax\n\t" /* control bits; status bits are caller-saved */
                     "jne 2f\n\t"
                     "cmpw 28(%%rdi), %%cx\n\t"
                     "jne 2f\n\t"
                     "3: movq 8(%%rsi), %%rbp\n\t"
                     "movq 0(%%rsi), %%rsp\n\t"
                     "jmpq *16(%%rsi)\n\t"
                     "2: ldmxcsr 24(%%rsi)\n\t"
                     "fldcw 28(%%rsi)\n\t"
                     "jmp 3b\n\t"
                     "1: endbr64\n\t"
                     : "+D"(from), "+S"(to)
                     :
                     : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
                       "r15", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                       "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "cc",
                       "memory" CONTEXT_CLOBBERS_WIDE);
}

/* The floating-point control words of who calls, without the sticky status of its operations. */
static inline uint64_t context_modes(void)
{
    uint32_t mxcsr;
    uint16_t fpcw;

    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    __asm__ volatile("fnstcw %0" : "=m"(fpcw));
    return (uint64_t)fpcw << 32 | (mxcsr & ~0x3fu);
}

static inline void context_set_modes(struct context *context, uint64_t modes)
{
    context->mxcsr = (uint32_t)modes;
    context->fpcw = (uint32_t)(modes >> 32);
}

/*
 * Makes a context that calls entry(arg) on the stack that ends at top; entry never returns. Its
 * modes are to be set.
 */
void context_make(struct context *context, void *top, void (*entry)(void *arg), void *arg);

#endif
