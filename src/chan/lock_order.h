/*
 * The order in which a select takes the locks of its channels: by address, each once.
 */
#ifndef RN_CHAN_LOCK_ORDER_H
#define RN_CHAN_LOCK_ORDER_H

#include "base/spinlock.h"

/*
 * Puts n locks into the order of their addresses, each once, in place. Returns how many are left.
 */
uint32_t lock_order(struct spinlock **locks, uint32_t n);

#endif
