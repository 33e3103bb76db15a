/*
 * Waiting for descriptors: the queues of sched/poller.h as wait queues.
 */
#ifndef RN_WAIT_FD_WAIT_H
#define RN_WAIT_FD_WAIT_H

#include "sched/poller.h"
#include "wait/waitq.h"

static inline struct waitq *fd_queue(struct poll_entry *entry, enum poll_queue queue)
{
    return &entry->waiters[queue];
}

/*
 * Waits for an edge after `seen` (poll_edges, read before the system call that said EAGAIN),
 * `until` at most. The caller holds the entry.
 *
 * 0: try again. -EBADF: the handle was closed. -ECANCELED, -ETIMEDOUT: ctx ended. -EAGAIN: until
 * came. -ENOMEM: no memory to watch the clock.
 */
int fd_wait(rn_ctx *ctx, struct poll_entry *entry, uint64_t handle, enum poll_queue queue,
            uint32_t seen, rn_time until, enum wait_reason reason);

/* The queue that stands for events (OS_READABLE, OS_WRITABLE), at least one of them. */
enum poll_queue fd_queue_for(int events);

/*
 * For a select: whether the case fires now, the events are there or the handle is closed. With the
 * entry held and entry->lock: when it does not, a waiter that is enqueued before the lock is
 * released will be woken by the next edge.
 */
bool fd_case_ready(struct poll_entry *entry, uint64_t handle, int events);

#endif
