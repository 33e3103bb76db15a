/* The channel of a timer or ticker, as timer.c and ticker.c make and empty it. */
#ifndef RN_CHAN_TIME_CHAN_H
#define RN_CHAN_TIME_CHAN_H

#include "chan/chan.h"

#include <runnel/time.h>

/*
 * For one time, with its owner, zeroed, in the same memory. The hooks may be NULL; on_free gets the
 * last release. The owner, or NULL without memory; its channel is in *out.
 */
void *time_chan_new(struct rn_chan **out, size_t owner_bytes, void (*on_free)(struct rn_chan *ch),
                    void (*on_recv)(struct rn_chan *ch));

/*
 * Takes back a time that nobody received yet; true when there was one. Unlike a receive it calls no
 * hook, and spends no budget: it never gives way, so it may be called under a spin lock.
 */
bool time_chan_take_back(struct rn_chan *ch);

#endif
