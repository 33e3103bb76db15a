/*
 * The window of a breaker: how many of the last N calls, or of those of the last T, failed or were
 * slow.
 *
 * A good call, neither failed nor slow, is recorded without the breaker's lock where it changes
 * nothing but the number of calls; all else happens under it.
 *
 *   - Of calls: a ring of N slots, and head, which holds the generation and the next slot. Who
 *     moves head on from a slot owns that slot for one lap. A slot is 0 for a good call, as at
 *     first, so a good call that replaces a good one has only to move head.
 *   - Of time: WINDOW_CELLS cells of a tenth of the window each, reused in turn. A cell's word
 *     holds a tag, made of its tenth and of the generation, and the number of calls in it. A good
 *     call whose tag is there has only to count.
 *
 * So a call of an earlier generation can never be counted in a later one: head, or the tag, has
 * changed. Failures and slow calls are summed up under the lock.
 */
#ifndef RUNNEL_KIT_BREAKER_WINDOW_H
#define RUNNEL_KIT_BREAKER_WINDOW_H

#include <runnel/breaker.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define WINDOW_CELLS 10

enum window_kind { WINDOW_NONE, WINDOW_CALLS, WINDOW_TIME };

struct window_cell {
    _Atomic(uint64_t) word; /* tag, then number of calls */
    int64_t tenth;          /* which since time 0; under the breaker's lock, as all below */
    uint64_t failures;
    uint64_t slow;
};

struct window {
    enum window_kind kind;

    uint32_t size; /* WINDOW_CALLS: slots */
    _Atomic(uint64_t)
        head; /* WINDOW_CALLS: generation, then the next slot, from N on after a lap */
    _Atomic(uint8_t) *slots; /* WINDOW_CALLS: written under the lock */
    uint64_t failures, slow; /* WINDOW_CALLS: the sums over slots; under the lock */

    rn_duration cell_length; /* WINDOW_TIME */
    struct window_cell cells[WINDOW_CELLS];
};

/* calls and time: as in the configuration, one of them or neither set. 0 or -ENOMEM. */
int window_make(struct window *w, size_t calls, rn_duration time);
void window_free(struct window *w);

/* Records a good call without the lock. False: it takes the lock, nothing was recorded. */
bool window_pass(struct window *w, uint64_t generation, rn_time now);

/* Empties the window for a new generation. */
void window_reset_locked(struct window *w, uint64_t generation);

/* Records any call of the present generation. */
void window_record_locked(struct window *w, uint64_t generation, rn_time now, bool failed,
                          bool slow);

/* Sums up: .calls, .failures and .slow. */
void window_counts_locked(struct window *w, rn_time now, rn_breaker_counts *counts);

#endif
