/*
 * The trace: what each worker did last, with RUNNEL_DEBUG=trace. A ring of events for each worker,
 * shown by dumps and behind a check that failed.
 *
 * Without it worker->trace is NULL, and an event costs a load from a line that the owner has at
 * hand, and a branch. With it, a reading of the clock and four stores.
 *
 * The owner writes, dumps read whenever they like: an event that is just being overwritten may be
 * shown half old, half new.
 */
#ifndef RN_SCHED_TRACE_H
#define RN_SCHED_TRACE_H

#include "sched/sched.h"

#define TRACE_EVENTS 64 /* of each worker; a power of two */

/* What happened, and what its number counts, in the words of the dump. */
#define TRACE_EVENTS_TABLE(EVENT)                                                                  \
    EVENT(PARK, "parks fiber")                                                                     \
    EVENT(YIELD, "yields fiber")                                                                   \
    EVENT(READY, "makes ready fiber")                                                              \
    EVENT(SPAWN, "starts fiber")                                                                   \
    EVENT(EXIT, "ends fiber")                                                                      \
    EVENT(STEAL, "steals fibers:")                                                                 \
    EVENT(FIRE, "fires a timer")                                                                   \
    EVENT(POLL, "polled events:")                                                                  \
    EVENT(SLEEP, "falls asleep")                                                                   \
    EVENT(WAKE, "wakes up")

enum trace_kind {
#define EVENT(name, text) TRACE_##name,
    TRACE_EVENTS_TABLE(EVENT)
#undef EVENT
};

struct trace_event {
    atomic_i64 when;
    atomic_u64 what; /* 0: nothing to number */
    atomic_u32 kind; /* enum trace_kind, and above 8 bits a wait reason */
};

struct trace_ring {
    atomic_u32 next; /* events so far */
    struct trace_event events[TRACE_EVENTS];
};

void trace_note(struct trace_ring *ring, enum trace_kind kind, uint64_t what,
                enum wait_reason reason);

/* worker NULL: a plain thread, which is not traced. */
static inline void trace(const struct worker *worker, enum trace_kind kind, uint64_t what)
{
    if (worker != NULL && unlikely(worker->trace != NULL))
        trace_note(worker->trace, kind, what, WAIT_NONE);
}

static inline void trace_park(const struct worker *worker, uint64_t fiber, enum wait_reason reason)
{
    if (unlikely(worker->trace != NULL))
        trace_note(worker->trace, TRACE_PARK, fiber, reason);
}

/* The runtime starts a worker, and stops it. Without memory for the ring there is none. */
void trace_begin(struct worker *worker);
void trace_end(struct worker *worker);

/*
 * Calls line for each event of all workers, one worker after the other, the oldest event first.
 * `ago` is in nanoseconds.
 */
void trace_each(void (*line)(uint32_t worker, int64_t ago, const char *event, uint64_t what,
                             const char *reason, void *arg),
                void *arg);

#endif
