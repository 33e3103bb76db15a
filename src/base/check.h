/*
 * Checks. CHECK stays in release builds: it holds an invariant of the runtime, or a rule that the
 * caller must keep. A failure prints a sentence, the fiber and a backtrace, and aborts.
 */
#ifndef RN_BASE_CHECK_H
#define RN_BASE_CHECK_H

#include "base/atomic.h"

/* Prints "runnel: <sentence>", the fiber, a backtrace; aborts. */
__attribute__((noreturn, cold, format(printf, 1, 2))) void fatal(const char *format, ...);

/* Extra context printed by fatal: set by the scheduler, so that base need not know fibers. */
extern void (*fatal_context)(void);

/* From now on this is the child of a fork that happened while the runtime ran. */
void forked_note(void);

/*
 * Ends the process with a message when called there. Asked wherever a call waits, starts somebody
 * or wakes somebody: in the child nobody else is left, and it would hang or be lost.
 */
void check_not_forked(void);

#define CHECK(condition, ...)                                                                      \
    do {                                                                                           \
        if (unlikely(!(condition)))                                                                \
            fatal(__VA_ARGS__);                                                                    \
    } while (0)

#endif
