/*
 * Why a fiber waits: one table for the enum, the names and the dump.
 */
#ifndef RN_SCHED_REASONS_H
#define RN_SCHED_REASONS_H

#define WAIT_REASONS(WAIT)                                                                         \
    WAIT(NONE, "nothing")                                                                          \
    WAIT(CHAN_SEND, "chan send")                                                                   \
    WAIT(CHAN_RECV, "chan receive")                                                                \
    WAIT(CHAN_NULL, "chan send or receive (NULL chan)")                                            \
    WAIT(SELECT, "select")                                                                         \
    WAIT(SELECT_EMPTY, "select (no cases)")                                                        \
    WAIT(SLEEP, "sleep")                                                                           \
    WAIT(CTX, "context wait")                                                                      \
    WAIT(MUTEX, "mutex lock")                                                                      \
    WAIT(RWMUTEX_READ, "rwmutex rlock")                                                            \
    WAIT(RWMUTEX_WRITE, "rwmutex lock")                                                            \
    WAIT(COND, "cond wait")                                                                        \
    WAIT(ONCE, "once")                                                                             \
    WAIT(WAIT_GROUP, "wait group")                                                                 \
    WAIT(FD_READ, "fd read")                                                                       \
    WAIT(FD_WRITE, "fd write")                                                                     \
    WAIT(ACCEPT, "accept")                                                                         \
    WAIT(LOOKUP, "host lookup")                                                                    \
    WAIT(PROCESS, "process wait")                                                                  \
    WAIT(RUN, "rn_run")

enum wait_reason {
#define WAIT(name, text) WAIT_##name,
    WAIT_REASONS(WAIT)
#undef WAIT
};

/* The words for a reason; never NULL. */
const char *wait_reason_name(unsigned reason);

#endif
