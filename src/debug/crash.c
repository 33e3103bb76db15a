/*
 * Bad ends: a stack overflow is named as such, a failed check says which fiber failed it.
 */
#include "base/check.h"
#include "debug/dump.h"
#include "fiber/stack.h"
#include "os/os.h"
#include "sched/sched.h"

#include <stdio.h>
#include <stdlib.h>

/* On the alternate stack of the thread that touched an address it may not. */
static void on_fault(const void *address)
{
    struct fiber *fiber = stack_guard_owner(address);
    char text[320];

    if (fiber == NULL)
        return;
    int n = snprintf(
        text, sizeof text,
        "runnel: stack overflow in fiber %llu \"%s\": its stack has %zu bytes; start it "
        "with a larger .stack_size, or set RUNNEL_STACK\n",
        (unsigned long long)fiber->id, fiber->name, fiber_stack_bytes(fiber));
    os_complain(text, (size_t)n);
    dump_fiber(2, fiber);
    abort();
}

static void say_who(void)
{
    struct worker *worker = worker_here();
    if (worker != NULL && worker->current->kind == FIBER_STACK)
        dump_fiber(2, worker->current);
    dump_trace(2);
}

int debug_start(void)
{
    fatal_context = say_who;
    if (sched.debug & DEBUG_DUMP)
        os_on_quit(monitor_ask_dump);
    return os_fault_handler(on_fault);
}

void debug_stop(void)
{
    os_fault_handler_undo();
    if (sched.debug & DEBUG_DUMP)
        os_on_quit_undo();
}
