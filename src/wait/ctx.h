/*
 * Contexts, as the waits see them. The public side is runnel/ctx.h.
 */
#ifndef RN_WAIT_CTX_H
#define RN_WAIT_CTX_H

#include "base/list.h"
#include "base/spinlock.h"
#include "fiber/fiber.h"
#include "fiber/watch.h"
#include "sched/timer.h"

#include <runnel/ctx.h>

struct rn_ctx {
    atomic_u32 references;
    atomic_i32 err; /* 0 while it runs; written once, under lock */
    SPINLOCK(lock,
             ctx_lock); /* guards children, watches, fibers, and the writing of err and cause */
    int cause;          /* valid once err is not 0 */
    atomic_u32 settled; /* 1: the whole subtree has ended and every watch was fired */
    uint32_t fibers;    /* fibers adopted and linked */
    struct list children;
    struct list watches;
    rn_ctx *parent;        /* retained; values and, unless detached, the end come from there */
    struct list_node node; /* in parent's children; guarded by parent's lock */
    bool linked;           /* in parent's children; guarded by parent's lock */
    bool detached;         /* does not end with its parent */
    bool has_deadline;
    rn_ctx *next_ended; /* these two: of the canceller that took it from parent's children */
    bool ended_here;
    bool watched; /* of who ended it: watches was not empty */
    rn_time deadline;
    struct timer timer;
    const void *key;
    void *value;
};

/* 0, or why it has ended; NULL never ends. */
static inline int ctx_err(const rn_ctx *ctx)
{
    return ctx == NULL ? 0 : load_acquire(&((rn_ctx *)ctx)->err); /* E14 */
}

/*
 * Lets ctx interrupt `wait` until ctx_wait_end; the fiber's own context needs no registration,
 * another one uses watch. May be called under an object's spin lock. Returns 0, or the context's
 * error when it has ended already. ctx_wait_end must follow in both cases, under no lock.
 */
struct ctx_wait {
    struct watch watch;
    struct wait *wait;
    rn_ctx *ctx;        /* NULL: nothing to undo */
    struct fiber *self; /* whose own context it is, or NULL */
};
int ctx_wait_begin(struct ctx_wait *cw, rn_ctx *ctx, struct fiber *self, struct wait *wait);

/* After it returns, ctx neither interrupts nor will interrupt the wait. */
void ctx_wait_end(struct ctx_wait *cw);

/*
 * Registers a watch; returns 0 or the context's error when it has ended (then it is not
 * registered). fire runs on the canceller's thread, under no lock, and calls watch_fired when it no
 * longer needs the watch.
 */
int ctx_watch(rn_ctx *ctx, struct watch *watch, void (*fire)(struct watch *watch, int err));
void watch_fired(struct watch *watch);
/*
 * Withdraws it, waiting while it fires. True when it was withdrawn before it fired. Under no lock.
 */
bool ctx_unwatch(struct watch *watch);

/* A fiber is born into ctx, and leaves it. */
void ctx_adopt(rn_ctx *ctx, struct fiber *fiber);
void ctx_leave(struct fiber *fiber);

/*
 * A context nobody refers to any more: frees the after_funcs that have no handle. wait/after_func.c
 */
void after_funcs_free(rn_ctx *ctx);

#endif
