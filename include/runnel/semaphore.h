/*
 * rn_semaphore - a number of units that fibers take and give back: at most so many at once.
 *
 *     rn_semaphore *connections;
 *
 *     err = rn_semaphore_new(&connections, 10);
 *     ...
 *     err = rn_semaphore_acquire(ctx, connections, 1);    counting: everybody takes one
 *     if (err != 0)
 *         return err;
 *     query();
 *     rn_semaphore_release(connections, 1);
 *
 * Weighted: a caller may take several units at once, such as the megabytes that its work needs.
 *
 * Strictly first come, first served: a small request waits behind a large one, and while anybody
 * waits nobody else is served, by rn_semaphore_try_acquire neither.
 *
 * Lifetime
 * 1. A semaphore belongs to who made it, who frees it. Who has acquired all units knows that every
 *    release has happened, and may free it at once.
 * 2. Units have no owner: one fiber may release what another acquired. Releasing more than is
 *    acquired ends the process with a message.
 * 3. A failed acquire holds nothing: what it had been granted by then is given back.
 *
 * At once  every call but free, from any number of fibers and threads.
 */
#ifndef RUNNEL_SEMAPHORE_H
#define RUNNEL_SEMAPHORE_H

#include <runnel/clock.h>
#include <runnel/ctx.h>
#include <runnel/error.h>
#include <stddef.h>
#include <stdint.h>

RN_BEGIN_DECLS

typedef struct rn_semaphore rn_semaphore;

#define RN_SEMAPHORE_SIZE_MAX ((size_t)1 << 40)

/* How to make a semaphore; zero is the default of each field. */
typedef struct rn_semaphore_config {
    const char *name; /* shown in dumps and in errors; must outlive the semaphore */
    /*
     * Called when an acquire did not find its n units at once, after the wait, on the fiber that
     * waited and under no lock: how long that was, and what the acquire is going to return.
     */
    void (*on_waited)(void *arg, size_t n, rn_duration waited, int err);
    void *events_arg;
    const rn_clock *clock; /* measures waits for on_waited; default: the runtime's */
} rn_semaphore_config;

/*
 * rn_semaphore_new, rn_semaphore_new_with - make a semaphore of size units, all of them available.
 *
 * config may be NULL.
 *
 * Caller   any thread or fiber.
 * Returns  0         *out is the semaphore
 *          -EINVAL   size is 0 or beyond RN_SEMAPHORE_SIZE_MAX; rn_error_detail says so
 *          -ENOMEM   out of memory
 *          On every error *out is NULL, which rn_semaphore_free takes.
 */
RN_API int rn_semaphore_new(rn_semaphore **out, size_t size);
RN_API int rn_semaphore_new_with(rn_semaphore **out, size_t size,
                                 const rn_semaphore_config *config);

/*
 * rn_semaphore_free - free the semaphore. NULL is fine. Units that are out are forgotten.
 *
 * Ends the process when somebody waits.
 *
 * Caller   any thread or fiber. Nobody may be inside another call, but for a release that has given
 *          its units back and is just returning: that one is waited for.
 */
RN_API void rn_semaphore_free(rn_semaphore *s);

/*
 * rn_semaphore_acquire - take n units, waiting until they are available.
 *
 * An ended ctx fails also when they are. n may be 0: then it only waits for its turn.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   the fiber until those before it are served and n units are left, or ctx ends.
 * Order    the releases that made room happen before it returns.
 * Returns  0            the units are the caller's
 *          -EINVAL      n is larger than the size, from the start or by a resize during the wait
 *          -ECANCELED   ctx was cancelled
 *          -ETIMEDOUT   ctx's deadline passed
 *          On every error nothing was taken; the next in line is served if this one stood in its
 *          way.
 * Cost     one locked instruction when it need not wait; never an allocation.
 * See      rn_semaphore_try_acquire, examples/semaphore.c, examples/weighted_semaphore.c
 */
RN_API int rn_semaphore_acquire(rn_ctx *ctx, rn_semaphore *s, size_t n);

/*
 * rn_semaphore_try_acquire - take n units if that needs no waiting.
 *
 * Caller   any thread or fiber.
 * Returns  0         the units are the caller's
 *          -EAGAIN   fewer are available, or somebody waits
 *          -EINVAL   n is larger than the size
 * Cost     one locked instruction; a load when it fails.
 */
RN_API int rn_semaphore_try_acquire(rn_semaphore *s, size_t n);

/*
 * rn_semaphore_release - give n units back, and serve those who wait for them, oldest first.
 *
 * Ends the process when fewer than n are acquired.
 *
 * Caller   any thread or fiber, not only who acquired them.
 * Blocks   never.
 * Order    happens before the return of the acquires that it makes room for.
 * Cost     one locked instruction when nobody waits.
 */
RN_API void rn_semaphore_release(rn_semaphore *s, size_t n);

/*
 * rn_semaphore_resize - have size units from now on.
 *
 * When more are out than that, what is released next does not come back until no more are. Waiters
 * for more than the new size can never be served: they return -EINVAL, and those behind them move
 * up.
 *
 * Caller   any thread or fiber, but not while another frees the semaphore.
 * Blocks   never.
 * Returns  0         set
 *          -EINVAL   size is 0 or beyond RN_SEMAPHORE_SIZE_MAX; rn_error_detail says so
 */
RN_API int rn_semaphore_resize(rn_semaphore *s, size_t size);

/*
 * rn_semaphore_available, rn_semaphore_waiters - units that a try could take now; who waits.
 *
 * A snapshot: it may be old by the time it is read. Nothing is available while somebody waits.
 *
 * Caller   any thread or fiber.
 */
RN_API size_t rn_semaphore_available(rn_semaphore *s);
RN_API size_t rn_semaphore_waiters(rn_semaphore *s);

/* Counters of a semaphore. Acquires that need not wait are not counted: it would slow them. */
typedef struct rn_semaphore_stats {
    uint64_t size;      /* gauge */
    uint64_t available; /* gauge: what a try could take */
    uint64_t acquired;  /* gauge: units that are out; after a resize it may exceed size */
    uint64_t waiting;   /* gauge: fibers and threads that wait */
    uint64_t waits;     /* acquires that did not find their units at once */
    uint64_t gave_up;   /* of these, ended by their context */
    uint64_t refused;   /* of these, ended by a resize to less than they wait for */
} rn_semaphore_stats;

/*
 * rn_semaphore_stats_read - fill in *out.
 *
 * Caller   any thread or fiber.
 */
RN_API void rn_semaphore_stats_read(rn_semaphore *s, rn_semaphore_stats *out);

RN_END_DECLS

#endif
