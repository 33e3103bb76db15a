/*
 * The channel, as chan.c, select.c and timer.c see it.
 *
 * Invariants, with the lock held:
 * - if count > 0 then no receiver waits; if count < capacity then no sender waits;
 * - receivers and senders never wait at once (but for the two cases of one select);
 * - once closed nobody waits.
 * With the lock free: if a send or receive would not wait, its bit in ready is set. The converse
 * holds only after the next change: a waiter that was cancelled leaves the bit behind.
 */
#ifndef RN_CHAN_CHAN_H
#define RN_CHAN_CHAN_H

#include "base/spinlock.h"
#include "base/walk.h"
#include "wait/waitq.h"

#include <runnel/chan.h>
#include <string.h>

/*
 * Bits of rn_chan.ready. Above them it counts their changes, so that who reads the same word twice
 * knows that it was so all the time between.
 */
enum { CHAN_CAN_RECV = 1, CHAN_CAN_SEND = 2, CHAN_CAN_BITS = 3, CHAN_READY_CHANGE = 4 };

struct rn_chan {
    SPINLOCK(lock, chan_lock); /* guards all below but what never changes */
    bool closed;
    atomic_u32 ready; /* CHAN_CAN_ bits, to look at without the lock */
    int cause;
    size_t count; /* elements buffered */
    size_t head;  /* index of the oldest */
    struct waitq senders, receivers;

    /* Never changes. */
    cache_aligned size_t capacity;
    size_t element_size;
    void (*drop)(void *element);
    const char *name;
    void *memory; /* what malloc gave: the channel begins at its first cache line */
    atomic_u32 references;

    /* For who builds on channels, set before the channel is shared; called outside the lock. */
    void (*on_recv)(struct rn_chan *ch); /* after a value was received */
    void (*on_free)(struct rn_chan *ch); /* the last reference has gone */
    void *owner;
    unsigned char elements[] __attribute__((aligned(16)));
};

/*
 * rn_chan_new with room for bytes more, zeroed, which go when the channel goes; owner points there.
 */
int chan_new_with(struct rn_chan **out, size_t element_size, const rn_chan_options *opt,
                  size_t room);

/* What one step did under the lock. */
enum chan_step {
    /* the value was moved; *wake, unless NULL, is to be woken with 0 after the unlock */
    CHAN_MOVED,
    CHAN_CLOSED,
    CHAN_BLOCKED /* it would wait */
};

/* One send or receive if it needs no waiting. With the lock held. */
enum chan_step chan_send_step(struct rn_chan *ch, const void *value, struct waiter **wake);
enum chan_step chan_recv_step(struct rn_chan *ch, void *value, struct waiter **wake);

/*
 * What follows a receive, outside the lock. dropped: the element that went into no place, or NULL.
 */
static inline void chan_received(struct rn_chan *ch)
{
    if (unlikely(ch->on_recv != NULL))
        ch->on_recv(ch);
}

/* With the lock held. */
static inline void chan_set_ready(struct rn_chan *ch, unsigned bits)
{
    uint32_t old = load_relaxed(&ch->ready);
    if ((old & CHAN_CAN_BITS) != bits) /* E52: after the changes of other words before */
        store_release(&ch->ready, ((old & ~(uint32_t)CHAN_CAN_BITS) + CHAN_READY_CHANGE) | bits);
}

/* Brings ready up to date, as it will be with the lock free. */
static inline void chan_publish_ready(struct rn_chan *ch)
{
    unsigned recv = ch->count > 0 || ch->closed || !waitq_empty(&ch->senders);
    unsigned send = ch->count < ch->capacity || ch->closed || !waitq_empty(&ch->receivers);
    chan_set_ready(ch, recv * CHAN_CAN_RECV | send * CHAN_CAN_SEND);
}

/* Checks the channel whole; see base/walk.h. With the lock held. */
void chan_walk(const struct rn_chan *ch);

static inline void chan_unlock(struct rn_chan *ch)
{
    WALK(ch->senders.count + ch->receivers.count, chan_walk(ch));
    chan_publish_ready(ch);
    spin_unlock(&ch->lock);
}

#endif
