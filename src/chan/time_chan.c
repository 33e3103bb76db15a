/* The channel of a timer or ticker; see time_chan.h. */
#include "chan/time_chan.h"

int time_chan_new(struct rn_chan **out, void *owner, void (*on_free)(struct rn_chan *ch),
                  void (*on_recv)(struct rn_chan *ch))
{
    int err = rn_chan_new(out, sizeof(rn_time), &(rn_chan_options){.capacity = 1});
    if (err != 0)
        return err;
    (*out)->owner = owner;
    (*out)->on_free = on_free;
    (*out)->on_recv = on_recv;
    return 0;
}

bool time_chan_take_back(struct rn_chan *ch)
{
    struct waiter *wake;
    rn_time gone;

    spin_lock(&ch->lock);
    enum chan_step step = chan_recv_step(ch, &gone, &wake);
    chan_unlock(ch);
    if (wake != NULL)
        waiter_wake(wake, 0); /* somebody sent on the timer's channel, and waited */
    return step == CHAN_MOVED;
}
