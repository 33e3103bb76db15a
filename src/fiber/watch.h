/*
 * A watch: what a context wakes when it ends. The data only; wait/ctx.c gives it life.
 *
 * It lives in whoever waits: on the waiting stack, or inside a fiber for the fiber's own context.
 */
#ifndef RN_FIBER_WATCH_H
#define RN_FIBER_WATCH_H

#include "base/atomic.h"
#include "base/list.h"

struct rn_ctx;

/* A wait that can be ended from outside; err is -ECANCELED or -ETIMEDOUT. */
struct wait {
    void (*interrupt)(struct wait *wait, int err);
};

struct watch {
    struct list_node node; /* in ctx's list while linked; guarded by ctx's lock */
    struct rn_ctx *ctx;
    void (*fire)(struct watch *watch, int err);
    bool linked;       /* guarded by ctx's lock */
    atomic_u32 firing; /* fire is running: the watch must not go away */
};

#endif
