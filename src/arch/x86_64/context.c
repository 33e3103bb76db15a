/* Making a context, x86-64; see switch.h. */
#include "switch.h"

void context_start(void);

/*
 * The first switch to a context comes here with the frame pointer holding a pointer to {entry, arg}
 * at the stack's end. It clears the frame pointer and marks the return address undefined: unwinders
 * stop here.
 */
__asm__(".text\n"
        ".p2align 4\n"
        ".globl context_start\n"
        ".hidden context_start\n"
        ".type context_start, @function\n"
        "context_start:\n"
        ".cfi_startproc\n"
        ".cfi_undefined rip\n"
        "endbr64\n"
        "movq 0(%rbp), %rax\n"
        "movq 8(%rbp), %rdi\n"
        "xorl %ebp, %ebp\n"
        "call *%rax\n"
        "ud2\n"
        ".cfi_endproc\n"
        ".size context_start, . - context_start\n");

void context_make(struct context *context, void *top, void (*entry)(void *arg), void *arg)
{
    void **frame = (void **)(((uintptr_t)top & ~(uintptr_t)15) - 16);

    frame[0] = (void *)(uintptr_t)entry;
    frame[1] = arg;
    context->sp = frame;
    context->fp = frame;
    context->pc = (void *)(uintptr_t)context_start;
}
