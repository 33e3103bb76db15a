/*
 * rn_debug - what the program is doing: dumps and counters.
 *
 *     rn_dump(2);                    every fiber: name, spawn place, what it waits for
 *
 * RUNNEL_DEBUG=dump makes SIGQUIT write the same; RUNNEL_DEBUG=stall reports fibers that hold a
 * worker; RUNNEL_DEBUG=leak reports, when rn_run ends, fibers that never ended. Words are joined by
 * commas.
 */
#ifndef RUNNEL_DEBUG_H
#define RUNNEL_DEBUG_H

#include <runnel/error.h>
#include <stdint.h>

RN_BEGIN_DECLS

/* Counters since the runtime started; gauges say so. */
typedef struct rn_stats {
    uint64_t fibers_started;
    uint64_t fibers_live;     /* gauge */
    uint64_t switches;        /* fibers resumed */
    uint64_t steals;          /* batches taken from another worker */
    uint64_t wakes;           /* sleeping workers woken */
    uint64_t compensations;   /* spare workers put to work for stuck ones */
    uint64_t stalls;          /* times a fiber held its worker while work waited */
    uint64_t polls;           /* times the poller was asked */
    uint64_t stacks_reserved; /* gauge: stacks with address space */
    uint64_t stacks_pooled;   /* gauge: of these, waiting for reuse */
    uint64_t timers;          /* gauge: timers armed */
} rn_stats;

/*
 * rn_stats_read - fill in *out; each number is exact, all of them together are not one instant.
 *
 * Caller   any thread or fiber.
 */
RN_API void rn_stats_read(rn_stats *out);

/*
 * rn_dump - write one line for each live fiber to a file descriptor.
 *
 * Caller   any thread or fiber; allocates nothing.
 * Returns  how many fibers were written.
 */
RN_API int rn_dump(int fd);

RN_END_DECLS

#endif
