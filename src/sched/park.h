/*
 * The only gate to sleep.
 *
 * park switches away from the running fiber and, once it is off its stack, calls commit(arg) from
 * the other side: typically it releases the lock under which the fiber was put into a wait queue.
 * So a waker, who needs that lock to find the fiber, always finds it whole, and ready needs no
 * locked instruction.
 *
 * On a plain thread park sleeps on a futex; callers need not know.
 *
 * After park returns the fiber may run on another thread: nothing thread-local survives it.
 */
#ifndef RN_SCHED_PARK_H
#define RN_SCHED_PARK_H

#include "base/check.h"
#include "base/spinlock.h"
#include "fiber/fiber.h"
#include "sched/reasons.h"

#define COPY_ALIGN 64 /* as much as a cache line: enough for vectors and padded structs */

/*
 * The running fiber, or this plain thread's stand-in (made at first use, which also starts the
 * runtime). Starting takes its time and many locks: who parks under a spin lock has called this
 * before taking it, or has asked park_possible.
 */
struct fiber *fiber_here(void);

/* Starts the runtime where it does not run: 0, or why it could not start, as rn_start. */
int ensure_runtime(void);

/* False: fiber_here would have to start the runtime, or to make a stand-in. */
bool park_possible(void);

/* Runs on another stack; must not park, and must not touch arg after it released what guards it. */
typedef void park_commit(void *arg);

/* Sleeps until somebody calls ready(fiber_here()'s value) exactly once. */
void park(park_commit *commit, void *arg, enum wait_reason reason);

/* park that releases a spin lock, the usual case. */
void park_unlock(struct spinlock *lock, enum wait_reason reason);

/*
 * Makes a parked fiber run again. The caller must own the wake-up: exactly one ready for each park.
 */
void ready(struct fiber *fiber);

/*
 * Starting a fiber: fiber_take finds a stack, the caller fills in fn, arg and what else it likes,
 * fiber_make lays the first frame below `top`, fiber_launch makes it runnable.
 */
int fiber_take(struct fiber **out, size_t stack_bytes); /* 0 or -ENOMEM, with a detail */
void fiber_make(struct fiber *fiber, void *top);
void fiber_launch(struct fiber *fiber);
/*
 * The short form, for one without options: its control block is made when it is about to run.
 * 0, -ENOMEM with a detail, or -EAGAIN when the long way must be taken: on a plain thread, or for a
 * large copy.
 */
int fiber_sow(const rn_site *site, void (*fn)(void *arg), void *arg, size_t copy_bytes);

/* "started at prog.c:12" or, with a site of this library's, "started by rn_run". */
enum { ORIGIN_BYTES_MAX = 300 };
void fiber_origin(const rn_site *site, char *to);

/* Where the copy of an argument lies: below the control block; it is the stack's new top. */
static inline void *fiber_copy_place(struct fiber *fiber, size_t bytes)
{
    return (void *)(((uintptr_t)fiber - bytes) & ~(uintptr_t)(COPY_ALIGN - 1));
}

void fiber_untake(struct fiber *fiber); /* gives back one that was not made */

/*
 * Spends one unit of the fiber's budget for operations that did not block; yields when it is used
 * up.
 */
void budget_spend(void);

/* A random number of this worker or thread, below n. */
uint32_t random_here(uint32_t n);

#endif
