/*
 * rn_wait_group - wait until a number of things are done.
 *
 *     rn_wait_group wg = {0};                the zero value is ready; there is no destroy
 *
 *     for (int i = 0; i < n; i++) {
 *         rn_wait_group_add(&wg, 1);
 *         if (rn_go(work, &wg) != 0)         work ends with rn_wait_group_done(&wg)
 *             rn_wait_group_done(&wg);
 *     }
 *     err = rn_wait_group_wait(NULL, &wg);
 *
 * A group (runnel/group.h) also starts the fibers, hands on their errors and cancels.
 *
 * Lifetime
 * 1. The zero value counts nothing. It must not be copied or moved while in use.
 * 2. Its memory may go as soon as a wait has returned 0 and nobody else waits: the last done does
 *    not touch it any more. A wait that failed leaves the others running: wait again before it
 *    goes.
 * 3. It can be used again once the counter is 0.
 * 4. An add from 0 must come before the wait that is to see it, not at the same time.
 * 5. A counter below 0 ends the process with a message.
 *
 * At once  every call, from any number of fibers and threads.
 */
#ifndef RUNNEL_WAIT_GROUP_H
#define RUNNEL_WAIT_GROUP_H

#include <runnel/error.h>
#include <stddef.h>
#include <stdint.h>

RN_BEGIN_DECLS

typedef struct rn_ctx rn_ctx;

typedef struct rn_wait_group {
    uint64_t rn_private_[5];
} rn_wait_group;

/*
 * rn_wait_group_add - add n to the counter; n may be negative.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   never.
 * Cost     one locked instruction.
 */
RN_API void rn_wait_group_add(rn_wait_group *wg, int n);

/*
 * rn_wait_group_done - take one off the counter; at 0 all who wait go on.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   never.
 * Order    happens before the return of every wait that it lets go.
 * Cost     one locked instruction, but for the last with somebody waiting.
 */
RN_API void rn_wait_group_done(rn_wait_group *wg);

/*
 * rn_wait_group_wait - wait until the counter is 0.
 *
 * Returns 0 when the counter is 0 already, whatever ctx is.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   the fiber until the counter is 0 or ctx ends.
 * Returns  0            the counter was 0
 *          -ECANCELED   ctx was cancelled
 *          -ETIMEDOUT   ctx's deadline passed
 */
RN_API int rn_wait_group_wait(rn_ctx *ctx, rn_wait_group *wg);

/*
 * rn_wait_group_count - the counter, a snapshot: it may be old by the time it is read.
 *
 * Caller   any thread or fiber.
 * Order    every done happens before a count that reads 0 because of it.
 */
RN_API size_t rn_wait_group_count(const rn_wait_group *wg);

RN_END_DECLS

#endif
