/* How a failed check dies; see base/check.h. */
#include "base/check.h"

#include <execinfo.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MESSAGE_BYTES_MAX 512
#define FRAMES_MAX 48

void (*fatal_context)(void);

static atomic_u32 forked; /* 1: see forked_note */

void fatal(const char *format, ...)
{
    static atomic_u32 dying;
    char text[MESSAGE_BYTES_MAX] = "runnel: ";
    size_t used = strlen(text);
    va_list args;

    va_start(args, format);
    vsnprintf(text + used, sizeof text - used - 1, format, args);
    va_end(args);
    strcat(text, "\n");
    if (write(STDERR_FILENO, text, strlen(text)) < 0)
        abort();
    if (swap_seq(&dying, 1) == 0) { /* a check that fails while dying says only its sentence */
        void *frames[FRAMES_MAX];
        if (fatal_context != NULL)
            fatal_context();
        backtrace_symbols_fd(frames, backtrace(frames, FRAMES_MAX), STDERR_FILENO);
    }
    abort();
}

void forked_note(void)
{
    store_relaxed(&forked, 1);
}

void check_not_forked(void)
{
    CHECK(load_relaxed(&forked) == 0,
          "called in the child of a fork: the workers are in the parent; only exec, or starting "
          "processes before the runtime, is possible");
}
