/* Waiting for descriptors; see fd_wait.h. */
#include "wait/fd_wait.h"

#include <errno.h>

int poll_wake(struct poll_entry *entry, unsigned queues, int result)
{
    struct list woken = {0};
    struct waiter *waiter;
    struct list_node *node;
    int n = 0;

    for (int q = 0; q < POLL_QUEUES; q++)
        while ((queues & 1u << q) && (waiter = waitq_pop(fd_queue(entry, q))) != NULL)
            list_push_back(&woken, &waiter->node); /* popped: the node is ours until the wake */
    spin_unlock(&entry->lock);
    for (; (node = list_pop_front(&woken)) != NULL; n++)
        waiter_wake(container_of(node, struct waiter, node), result);
    return n;
}

int fd_wait(rn_ctx *ctx, struct poll_entry *entry, uint64_t handle, enum poll_queue queue,
            uint32_t seen, rn_time until, enum wait_reason reason)
{
    struct waiter waiter = {0};

    (void)fiber_here(); /* before the lock */
    spin_lock(&entry->lock);
    if (entry->generation != poll_generation(handle)) {
        spin_unlock(&entry->lock);
        return -EBADF;
    }
    if (poll_edges(entry, queue) != seen) {
        spin_unlock(&entry->lock);
        return 0;
    }
    add_seq(&poll_waiting, 1);
    int err = waitq_wait_until(ctx, fd_queue(entry, queue), &entry->lock, &waiter, until, reason);
    sub_seq(&poll_waiting, 1);
    return err;
}

enum poll_queue fd_queue_for(int events)
{
    switch (events & (OS_READABLE | OS_WRITABLE)) {
    case OS_READABLE:
        return POLL_READ;
    case OS_WRITABLE:
        return POLL_WRITE;
    default:
        return POLL_EITHER;
    }
}

bool fd_case_ready(struct poll_entry *entry, uint64_t handle, int events)
{
    return entry->generation != poll_generation(handle) || (entry->flags & POLL_UNWATCHED) ||
           os_fd_ready(entry->fd, events) != 0;
}
