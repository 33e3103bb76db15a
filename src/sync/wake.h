/*
 * Waking several waiters: taken out of the queue under its lock, made ready after it is released.
 *
 * Invariant: a waiter in the local list is claimed; nobody else can end its wait, so its node is
 * ours.
 */
#ifndef RN_SYNC_WAKE_H
#define RN_SYNC_WAKE_H

#include "wait/waitq.h"

#include <stddef.h>

/* Moves all waiters to list, oldest first, and returns how many. With the queue's lock held. */
static inline uint32_t waitq_take_all(struct waitq *queue, struct list *list)
{
    struct waiter *waiter;
    uint32_t count = 0;

    while ((waiter = waitq_pop(queue)) != NULL) {
        list_push_back(list, &waiter->node);
        count++;
    }
    return count;
}

/* Wakes what waitq_take_all took. Under no lock. */
static inline void wake_all(struct list *list, int result)
{
    struct list_node *node;

    while ((node = list_pop_front(list)) != NULL)
        waiter_wake(container_of(node, struct waiter, node), result);
}

#endif
