/*
 * rn_ctx - contexts: cancellation, deadlines and values that travel down a tree of calls.
 *
 *     rn_ctx *ctx = rn_ctx_with_timeout(parent, 2 * RN_SECOND);
 *     if (ctx == NULL)
 *         return -ENOMEM;
 *     err = fetch(ctx, url);         every wait inside ends with -ETIMEDOUT after 2 s
 *     rn_ctx_release(ctx);
 *
 * A NULL context is never cancelled and has no values: it is Go's Background.
 *
 * Lifetime
 * 1. Contexts are reference-counted. The maker's release also cancels (with -ECANCELED), so that
 *    nothing below goes on by mistake; a reference added by rn_ctx_retain is dropped by
 *    rn_ctx_drop, which does not.
 * 2. A child keeps its parent alive. A child that ends is unlinked from its parent at once.
 * 3. The first cause wins and stays. Cancelling reaches the whole subtree before cancel returns.
 *
 * At once  every call, from any number of fibers and threads.
 */
#ifndef RUNNEL_CTX_H
#define RUNNEL_CTX_H

#include <runnel/error.h>
#include <runnel/time.h>
#include <stdbool.h>

RN_BEGIN_DECLS

typedef struct rn_ctx rn_ctx;

/*
 * rn_ctx_with_cancel - a child that can be cancelled.
 *
 * parent may be NULL. A child of an ended parent is born ended.
 *
 * Caller   any thread or fiber.
 * Returns  the child, released by the caller, or NULL when out of memory.
 */
RN_API rn_ctx *rn_ctx_with_cancel(rn_ctx *parent);

/*
 * rn_ctx_with_timeout, rn_ctx_with_deadline - a child that ends by itself, with -ETIMEDOUT.
 *
 * d is nanoseconds from now, t a time of rn_now's clock. One in the past is over at once; an
 * earlier deadline of the parent wins.
 *
 * Caller   any thread or fiber.
 * Returns  the child, released by the caller, or NULL when out of memory.
 */
RN_API rn_ctx *rn_ctx_with_timeout(rn_ctx *parent, rn_duration d);
RN_API rn_ctx *rn_ctx_with_deadline(rn_ctx *parent, rn_time t);

/*
 * rn_ctx_with_value - a child that carries one more value, found by the key's address.
 *
 * The value stays the caller's and must outlive the context.
 *
 * Caller   any thread or fiber.
 * Returns  the child, released by the caller, or NULL when out of memory.
 */
RN_API rn_ctx *rn_ctx_with_value(rn_ctx *parent, const void *key, void *value);

/*
 * rn_ctx_without_cancel - a child with the parent's values, but not its cancellation or deadline.
 *
 * For work that must go on although the parent ended: rolling back, answering, clean-up.
 *
 * Caller   any thread or fiber.
 * Returns  the child, released by the caller, or NULL when out of memory.
 */
RN_API rn_ctx *rn_ctx_without_cancel(rn_ctx *parent);

/*
 * rn_ctx_shield - run fn(child, arg) with a child that ignores the parent's end for at most grace
 * ns.
 *
 * Caller   any thread or fiber.
 * Returns  what fn returned, or -ENOMEM.
 */
RN_API int rn_ctx_shield(rn_ctx *parent, rn_duration grace, int (*fn)(rn_ctx *ctx, void *arg),
                         void *arg);

/*
 * rn_ctx_cancel - end a context and all below it.
 *
 * cause is what rn_ctx_cause returns then; 0 stands for -ECANCELED. rn_ctx_err returns -ECANCELED
 * whatever the cause, except that a cause of -ETIMEDOUT makes it -ETIMEDOUT. Only the first call
 * counts.
 *
 * Caller   any thread or fiber.
 * Order    what came before the cancel happens before a wait returns because of it.
 */
RN_API void rn_ctx_cancel(rn_ctx *ctx, int cause);

/*
 * rn_ctx_err, rn_ctx_cause - whether and why a context has ended.
 *
 * Caller   any thread or fiber.
 * Returns  err: 0 while it runs, -ECANCELED, or -ETIMEDOUT. cause: 0 while it runs, then the first
 *          cause. Both 0 for NULL.
 */
RN_API int rn_ctx_err(const rn_ctx *ctx);
RN_API int rn_ctx_cause(const rn_ctx *ctx);

/*
 * rn_ctx_deadline - when the context ends by itself.
 *
 * Caller   any thread or fiber.
 * Returns  true and *out, or false when it has no deadline.
 */
RN_API bool rn_ctx_deadline(const rn_ctx *ctx, rn_time *out);

/*
 * rn_ctx_value - the nearest value with this key, from ctx upwards.
 *
 * Caller   any thread or fiber.
 * Returns  the value, or NULL.
 */
RN_API void *rn_ctx_value(const rn_ctx *ctx, const void *key);

/*
 * rn_ctx_wait - wait until a context has ended.
 *
 * Caller   any thread or fiber.
 * Blocks   until ctx ends; for ever when ctx is NULL.
 * Returns  -ECANCELED or -ETIMEDOUT.
 */
RN_API int rn_ctx_wait(rn_ctx *ctx);

/*
 * rn_ctx_retain, rn_ctx_drop - add a reference, and drop one without cancelling. NULL is fine.
 *
 * Caller   any thread or fiber.
 */
RN_API rn_ctx *rn_ctx_retain(rn_ctx *ctx);
RN_API void rn_ctx_drop(rn_ctx *ctx);

/*
 * rn_ctx_release - the maker's: cancel with -ECANCELED, then drop a reference. NULL is fine.
 *
 * Caller   any thread or fiber.
 */
RN_API void rn_ctx_release(rn_ctx *ctx);

typedef struct rn_ctx_stop rn_ctx_stop;

/*
 * rn_ctx_after_func - call fn(arg) on a fiber of its own once ctx has ended.
 *
 * When ctx has ended already, fn is started at once. *out, to be given to rn_ctx_stop_func exactly
 * once, may be NULL when the registration is to last as long as ctx.
 *
 * Caller   any thread or fiber.
 * Returns  0, -ENOMEM, or -EINVAL (ctx or fn is NULL).
 */
RN_API int rn_ctx_after_func(rn_ctx *ctx, void (*fn)(void *arg), void *arg, rn_ctx_stop **out);

/*
 * rn_ctx_stop_func - withdraw an after_func. Frees stop.
 *
 * Caller   any thread or fiber.
 * Returns  true when this call kept fn from being started.
 */
RN_API bool rn_ctx_stop_func(rn_ctx_stop *stop);

RN_END_DECLS

#endif
