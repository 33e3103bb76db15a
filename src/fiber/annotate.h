/*
 * What AddressSanitizer, ThreadSanitizer and valgrind are told of stacks and switches. Nothing else
 * in the tree names them. In a plain build all of it is empty, but for valgrind's, which costs only
 * when a stack is made.
 */
#ifndef RN_FIBER_ANNOTATE_H
#define RN_FIBER_ANNOTATE_H

#include "fiber/fiber.h"

#if defined(__SANITIZE_ADDRESS__)
#define ANNOTATE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ANNOTATE_ASAN 1
#endif
#endif

#if defined(__SANITIZE_THREAD__)
#define ANNOTATE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ANNOTATE_TSAN 1
#endif
#endif

#ifdef ANNOTATE_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef ANNOTATE_TSAN
#include <sanitizer/tsan_interface.h>
#endif
#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#define ANNOTATE_VALGRIND 1
#endif
#endif

#if defined(ANNOTATE_ASAN) || defined(ANNOTATE_TSAN)
#define ANNOTATE_STACK_FACTOR 4 /* instrumented frames are larger */
#else
#define ANNOTATE_STACK_FACTOR 1
#endif

/* Address space was reserved where a thread's stack may have been, of which marks may be left. */
static inline void annotate_slab_made(void *base, size_t bytes)
{
#ifdef ANNOTATE_ASAN
    __asan_unpoison_memory_region(base, bytes);
#endif
    (void)base, (void)bytes;
}

/* Nobody may touch this memory, an idle object's / it may be used again. */
static inline void annotate_idle(void *at, size_t bytes)
{
#ifdef ANNOTATE_ASAN
    __asan_poison_memory_region(at, bytes);
#endif
    (void)at, (void)bytes;
}

static inline void annotate_used(void *at, size_t bytes)
{
#ifdef ANNOTATE_ASAN
    __asan_unpoison_memory_region(at, bytes);
#endif
    (void)at, (void)bytes;
}

/* A stack has been laid out / goes away with its memory. */
static inline void annotate_stack_made(struct fiber *fiber, void *low, void *high)
{
#ifdef ANNOTATE_VALGRIND
    fiber->valgrind = VALGRIND_STACK_REGISTER(low, (char *)high - 1);
#else
    (void)fiber, (void)low, (void)high;
#endif
}

static inline void annotate_stack_gone(struct fiber *fiber)
{
#ifdef ANNOTATE_VALGRIND
    VALGRIND_STACK_DEREGISTER(fiber->valgrind);
#else
    (void)fiber;
#endif
}

/* Whether valgrind runs the program: it complains of system calls that it does not know. */
static inline bool annotate_emulated(void)
{
#ifdef ANNOTATE_VALGRIND
    return RUNNING_ON_VALGRIND;
#else
    return false;
#endif
}

/* A fiber begins on its stack / has ended and left it. */
static inline void annotate_fiber_begin(struct fiber *fiber)
{
#ifdef ANNOTATE_ASAN
    fiber->asan_fake = NULL; /* the last life's was freed when it ended */
#endif
#ifdef ANNOTATE_TSAN
    fiber->tsan = __tsan_create_fiber(0);
#endif
    (void)fiber;
}

static inline void annotate_fiber_end(struct fiber *fiber)
{
#ifdef ANNOTATE_TSAN
    if (fiber->tsan != NULL)
        __tsan_destroy_fiber(fiber->tsan);
    fiber->tsan = NULL;
#endif
#ifdef ANNOTATE_ASAN
    __asan_unpoison_memory_region(fiber_stack_low(fiber), fiber_stack_bytes(fiber));
#endif
    (void)fiber;
}

/* A thread's own stack, as the loop of a worker. */
static inline void annotate_loop(struct fiber *loop)
{
#ifdef ANNOTATE_TSAN
    loop->tsan = __tsan_get_current_fiber();
#else
    (void)loop;
#endif
}

/* Just before the switch; dying: from will never run again. */
static inline void annotate_leave(struct fiber *from, struct fiber *to, bool dying)
{
#ifdef ANNOTATE_ASAN
    const void *low = to->kind == FIBER_STACK ? fiber_stack_low(to) : to->loop_low;
    size_t bytes = to->kind == FIBER_STACK ? fiber_stack_bytes(to) : to->loop_bytes;
    __sanitizer_start_switch_fiber(dying ? NULL : &from->asan_fake, low, bytes);
#endif
#ifdef ANNOTATE_TSAN
    __tsan_switch_to_fiber(to->tsan, 0);
#endif
    (void)from, (void)to, (void)dying;
}

/* Just after it, on the new stack: self runs, and came from `from`. */
static inline void annotate_arrive(struct fiber *self, struct fiber *from)
{
#ifdef ANNOTATE_ASAN
    const void *low;
    size_t bytes;
    __sanitizer_finish_switch_fiber(self->asan_fake, &low, &bytes);
    if (from->kind == FIBER_LOOP) {
        from->loop_low = low;
        from->loop_bytes = bytes;
    }
#endif
    (void)self, (void)from;
}

#endif
