/* The walker of channels: the invariants of chan.h. Empty in other builds. */
#include "chan/chan.h"

#ifdef RUNNEL_LOCK_ORDER

#include "base/check.h"

/* The oldest waiter that waits in earnest: a select that another case has woken counts no more. */
static const struct waiter *first_waiting(const struct waitq *queue)
{
    for (struct list_node *at = queue->waiters.first; at != NULL; at = at->next) {
        const struct waiter *w = container_of(at, struct waiter, node);
        if (w->select == NULL || load_relaxed(&w->select->winner) == SELECT_PENDING)
            return w;
    }
    return NULL;
}

void chan_walk(const struct rn_chan *ch)
{
    const char *name = ch->name == NULL ? "no name" : ch->name;
    const struct waiter *sender = first_waiting(&ch->senders);
    const struct waiter *receiver = first_waiting(&ch->receivers);

    CHECK(ch->count <= ch->capacity, "walk: channel (%s): %zu elements in room for %zu", name,
          ch->count, ch->capacity);
    CHECK(ch->head < ch->capacity || ch->head == 0,
          "walk: channel (%s): begins at %zu, in room for %zu", name, ch->head, ch->capacity);
    CHECK(ch->count == 0 || receiver == NULL,
          "walk: channel (%s): a receiver waits, and there are %zu elements", name, ch->count);
    CHECK(ch->count == ch->capacity || sender == NULL,
          "walk: channel (%s): a sender waits, and there is room for %zu more", name,
          ch->capacity - ch->count);
    CHECK(sender == NULL || receiver == NULL ||
              (sender->select != NULL && sender->select == receiver->select),
          "walk: channel (%s): a sender and a receiver wait for each other", name);
    CHECK(!ch->closed || (waitq_empty(&ch->senders) && waitq_empty(&ch->receivers)),
          "walk: channel (%s): it is closed, and somebody waits", name);
}

#endif
