/* The rings of the trace; see trace.h. */
#include "sched/trace.h"

static const char *const names[] = {
#define EVENT(name, text) [TRACE_##name] = text,
    TRACE_EVENTS_TABLE(EVENT)
#undef EVENT
};

void trace_note(struct trace_ring *ring, enum trace_kind kind, uint64_t what,
                enum wait_reason reason)
{
    uint32_t next = load_relaxed(&ring->next);
    struct trace_event *event = &ring->events[next % TRACE_EVENTS];

    store_relaxed(&event->when, os_now());
    store_relaxed(&event->what, what);
    store_relaxed(&event->kind, (uint32_t)kind | (uint32_t)reason << 8);
    store_release(&ring->next, next + 1); /* E81: the event, for dumps */
}

void trace_begin(struct worker *worker)
{
    void *memory; /* zeros, mapped as the worker is: tools that look for leaks do not look there */

    if ((sched.debug & DEBUG_TRACE) && os_reserve(&memory, sizeof *worker->trace) == 0)
        worker->trace = memory;
}

void trace_end(struct worker *worker)
{
    if (worker->trace != NULL)
        os_unreserve(worker->trace, sizeof *worker->trace);
    worker->trace = NULL;
}

static const char *event_name(uint32_t kind)
{
    return kind < array_size(names) ? names[kind] : "?";
}

void trace_each(void (*line)(uint32_t worker, int64_t ago, const char *event, uint64_t what,
                             const char *reason, void *arg),
                void *arg)
{
    uint32_t count = load_acquire(&sched.count);
    rn_time now = os_now();

    for (uint32_t i = 0; i < count; i++) {
        struct trace_ring *ring = sched.workers[i]->trace;
        uint32_t end = ring == NULL ? 0 : load_acquire(&ring->next); /* E81 */

        for (uint32_t at = end > TRACE_EVENTS ? end - TRACE_EVENTS : 0; at != end; at++) {
            struct trace_event *e = &ring->events[at % TRACE_EVENTS];
            uint32_t kind = load_relaxed(&e->kind);
            unsigned reason = kind >> 8;
            line(i, now - load_relaxed(&e->when), event_name(kind & 0xff), load_relaxed(&e->what),
                 reason == WAIT_NONE ? NULL : wait_reason_name(reason), arg);
        }
    }
}
