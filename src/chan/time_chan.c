/* The channel of a timer or ticker; see time_chan.h. */
#include "chan/time_chan.h"

void *time_chan_new(struct rn_chan **out, size_t owner_bytes, void (*on_free)(struct rn_chan *ch),
                    void (*on_recv)(struct rn_chan *ch))
{
    const rn_chan_options one = {.capacity = 1};

    if (chan_new_with(out, sizeof(rn_time), &one, owner_bytes) != 0)
        return NULL;
    (*out)->on_free = on_free;
    (*out)->on_recv = on_recv;
    return (*out)->owner;
}

bool time_chan_take_back(struct rn_chan *ch)
{
    struct waiter *wake;
    rn_time gone;

    if (!(load_relaxed(&ch->ready) & CHAN_CAN_RECV))
        return false; /* who calls knows that no fire runs: the bit is not on its way */
    spin_lock(&ch->lock);
    enum chan_step step = chan_recv_step(ch, &gone, &wake);
    chan_unlock(ch);
    if (wake != NULL)
        waiter_wake(wake, 0); /* somebody sent on the timer's channel, and waited */
    return step == CHAN_MOVED;
}
