/* The words for the reasons to wait; see reasons.h. */
#include "sched/reasons.h"

static const char *const names[] = {
#define WAIT(name, text) [WAIT_##name] = text,
    WAIT_REASONS(WAIT)
#undef WAIT
};

const char *wait_reason_name(unsigned reason)
{
    return reason < sizeof names / sizeof names[0] ? names[reason] : "unknown";
}
