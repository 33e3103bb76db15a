/*
 * One call on a handle: holds its entry from beginning to end, so that the number stays what it was
 * until the call has left.
 */
#ifndef RN_IO_CALL_H
#define RN_IO_CALL_H

#include "sched/park.h"
#include "wait/ctx.h"
#include "wait/fd_wait.h"

#include <errno.h>
#include <runnel/fd.h>

struct call {
    struct poll_entry *entry;
    uint64_t handle;
    rn_ctx *ctx;
};

/* 0, ctx's error, or -EBADF. call_end must follow a 0. */
static inline int call_begin(struct call *call, rn_ctx *ctx, rn_fd fd)
{
    int err = ctx_err(ctx);

    check_not_forked();
    if (err != 0)
        return err;
    *call = (struct call){.entry = poll_hold(fd.handle), .handle = fd.handle, .ctx = ctx};
    return call->entry == NULL ? -EBADF : 0;
}

static inline void call_end(struct call *call)
{
    poll_drop(call->entry);
    budget_spend();
}

/* Waits for one more edge than seen; 0: try again. */
static inline int call_wait(struct call *call, enum poll_queue queue, uint32_t seen,
                            enum wait_reason reason)
{
    return fd_wait(call->ctx, call->entry, call->handle, queue, seen, RN_FOREVER, reason);
}

#endif
