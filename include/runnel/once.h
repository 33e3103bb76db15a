/*
 * rn_once - something that is done exactly once, by whoever comes first.
 *
 *     static rn_once once;                   the zero value is ready; there is no destroy
 *
 *     int err = rn_once_do(&once, load_tables, NULL);
 *     if (err != 0)
 *         return err;                        what load_tables returned, the same for every caller
 *
 * Lifetime
 * 1. The zero value has not run. It must not be copied or moved while in use.
 * 2. The function runs once even when it fails; its result is remembered.
 * 3. Calling rn_once_do on the same once from inside the function ends the process with a message.
 *
 * At once  every call, from any number of fibers and threads.
 */
#ifndef RUNNEL_ONCE_H
#define RUNNEL_ONCE_H

#include <runnel/error.h>
#include <stdint.h>

RN_BEGIN_DECLS

typedef struct rn_once {
    uint64_t rn_private_[7];
} rn_once;

/*
 * rn_once_do - call fn(arg) if nobody has before; wait while another caller's fn runs.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   the fiber while fn runs elsewhere.
 * Order    the end of fn happens before any call returns.
 * Returns  what fn returned, for the first caller and all later ones.
 * Cost     a load once done.
 */
RN_API int rn_once_do(rn_once *o, int (*fn)(void *arg), void *arg);

/*
 * rn_once_value - the same for a function that also makes a value.
 *
 * fn stores the value through its second argument; *value receives it on every call, also when fn
 * failed. value may be NULL. The value is the program's; the once does not free it.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   the fiber while fn runs elsewhere.
 * Order    the end of fn happens before any call returns.
 * Returns  what fn returned, for the first caller and all later ones.
 * Cost     two loads once done.
 */
RN_API int rn_once_value(rn_once *o, int (*fn)(void *arg, void **value), void *arg, void **value);

RN_END_DECLS

#endif
