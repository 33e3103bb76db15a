/*
 * rn_debug - what the program is doing: dumps and counters.
 *
 *     rn_dump(2);                    every fiber: name, spawn place, what it waits for
 *
 * RUNNEL_DEBUG=dump makes SIGQUIT write the same; RUNNEL_DEBUG=stall reports fibers that hold a
 * worker; RUNNEL_DEBUG=leak reports, when rn_run ends, fibers that never ended; RUNNEL_DEBUG=lock
 * checks mutexes and reader-writer locks: a second lock by the same fiber and an unlock by another
 * abort, a second lock for reading, a wait for something else under a lock and an order of locking
 * that can deadlock are reported; RUNNEL_DEBUG=trace has each worker note what it did last, with
 * times: dumps and failed checks show it. Words are joined by commas.
 */
#ifndef RUNNEL_DEBUG_H
#define RUNNEL_DEBUG_H

#include <runnel/error.h>
#include <stddef.h>
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
 * rn_dump - write one line for each live fiber, and for each exhibit, to a file descriptor.
 *
 * Caller   any thread or fiber; allocates nothing.
 * Returns  how many fibers were written.
 */
RN_API int rn_dump(int fd);

/*
 * An object that dumps show, with its name and what describe says of it:
 *
 *     semaphore "database" [2 of 10 free, 3 waiting]
 *
 * Patterns with a .name in their configuration show themselves so. Embed one in an object of your
 * own to do the same; the fields must not change while it is shown.
 */
typedef struct rn_exhibit {
    const char *kind; /* "semaphore" */
    const char *name;
    /*
     * Writes a short text of at most size bytes, with the NUL, as snprintf does. It may run at any
     * moment, on any thread: it only reads counters, takes no lock and allocates nothing.
     */
    void (*describe)(const struct rn_exhibit *exhibit, char *text, size_t size);
    struct rn_exhibit *rn_next, *rn_prev; /* the library's */
} rn_exhibit;

/*
 * rn_exhibit_show, rn_exhibit_hide - show an object in dumps from now on; or no more.
 *
 * The object belongs to the caller, who hides it before it goes away.
 *
 * Caller   any thread or fiber.
 * Blocks   hide waits for a dump that is just reading the object.
 */
RN_API void rn_exhibit_show(rn_exhibit *exhibit);
RN_API void rn_exhibit_hide(rn_exhibit *exhibit);

RN_END_DECLS

#endif
