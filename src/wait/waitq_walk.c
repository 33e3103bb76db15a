/* The walker of wait queues; see base/walk.h and wait/waitq.h. Empty in other builds. */
#include "wait/waitq.h"

#ifdef RUNNEL_LOCK_ORDER

#include "base/check.h"

void waitq_walk(const struct waitq *queue)
{
    const struct list_node *before = NULL;
    const struct spinlock *lock = NULL;
    uint32_t count = 0;

    for (const struct list_node *at = queue->waiters.first; at != NULL; at = at->next) {
        const struct waiter *w = container_of((struct list_node *)at, struct waiter, node);
        CHECK(at->prev == before, "walk: wait queue %p: waiter %u is linked in one way only",
              (const void *)queue, count);
        CHECK(w->queue == queue && w->linked,
              "walk: wait queue %p: waiter %u believes that it is elsewhere", (const void *)queue,
              count);
        CHECK(lock == NULL || w->lock == lock,
              "walk: wait queue %p: waiter %u has another lock than those before",
              (const void *)queue, count);
        lock = w->lock;
        before = at;
        count++;
    }
    CHECK(queue->waiters.last == before, "walk: wait queue %p: its end is not its last waiter",
          (const void *)queue);
    CHECK(queue->count == count, "walk: wait queue %p: has %u waiters and counts %u",
          (const void *)queue, count, queue->count);
}

#endif
