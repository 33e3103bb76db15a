/*
 * See breaker_window.h.
 *
 * Rejected: a lock for every call (two more atomic operations, and a line that all write twice);
 * and counting calls in stripes (they cannot be emptied exactly at a change of generation).
 *
 * Two calls that race may be recorded in either order, and of calls of time in either of two
 * tenths; a slot that is being written while a whole lap passes keeps what was written last. None
 * of it adds up: the next lap, or tenth, starts afresh.
 */
#include "breaker_window.h"

#include <stdlib.h>

#define SLOT_FAILED 1u
#define SLOT_SLOW 2u
#define TENTH_NONE INT64_MIN /* of a cell that holds nothing */

int window_make(struct window *w, size_t calls, rn_duration time)
{
    if (time != 0) {
        w->kind = WINDOW_TIME;
        w->cell_length = time / WINDOW_CELLS + (time % WINDOW_CELLS != 0);
    } else if (calls != 0) {
        w->kind = WINDOW_CALLS;
        w->size = (uint32_t)calls;
        w->slots = calloc(calls, sizeof *w->slots);
        if (w->slots == NULL)
            return -ENOMEM;
    }
    return 0;
}

void window_free(struct window *w)
{
    free(w->slots);
}

/* ---- a window of calls ---- */

static uint64_t head_of(uint64_t generation, uint32_t next)
{
    return generation << 32 | next;
}

/* From 0 to 2 N - 1: below N only while the first lap lasts. */
static uint32_t next_of(uint64_t head)
{
    return (uint32_t)head;
}

static uint64_t advanced(const struct window *w, uint64_t head)
{
    uint32_t next = next_of(head) + 1;

    return head >> 32 << 32 | (next == 2 * w->size ? w->size : next);
}

static bool pass_calls(struct window *w, uint64_t generation)
{
    uint64_t head = atomic_load(&w->head);

    do {
        if (head != head_of(generation, next_of(head)))
            return false;
        if (atomic_load(&w->slots[next_of(head) % w->size]) != 0)
            return false;
    } while (!atomic_compare_exchange_weak(&w->head, &head, advanced(w, head)));
    return true;
}

static void record_call_locked(struct window *w, uint8_t outcome)
{
    uint64_t head = atomic_load(&w->head);
    _Atomic(uint8_t) *slot;
    uint8_t before;

    while (!atomic_compare_exchange_weak(&w->head, &head, advanced(w, head)))
        ;
    slot = &w->slots[next_of(head) % w->size];
    before = atomic_exchange(slot, outcome);
    w->failures += (uint64_t)((outcome & SLOT_FAILED) != 0) - ((before & SLOT_FAILED) != 0);
    w->slow += (uint64_t)((outcome & SLOT_SLOW) != 0) - ((before & SLOT_SLOW) != 0);
}

static void reset_calls_locked(struct window *w, uint64_t generation)
{
    if (w->failures != 0 || w->slow != 0) /* otherwise every slot is 0 */
        for (uint32_t i = 0; i < w->size; i++)
            atomic_store_explicit(&w->slots[i], 0, memory_order_relaxed);
    w->failures = w->slow = 0;
    atomic_store(&w->head, head_of(generation, 0)); /* last: from now on good calls go ahead */
}

/* ---- a window of time ---- */

/* Calls are in the lower half. Another generation, or lap, has another tag. */
static uint64_t tag_of(uint64_t generation, int64_t tenth)
{
    return (((uint64_t)tenth + generation * UINT64_C(0x9E3779B1)) & UINT32_MAX) << 32;
}

static int64_t tenth_at(const struct window *w, rn_time now)
{
    return now / w->cell_length;
}

static struct window_cell *cell_at(struct window *w, int64_t tenth)
{
    return &w->cells[(uint64_t)tenth % WINDOW_CELLS];
}

static bool pass_time(struct window *w, uint64_t generation, rn_time now)
{
    int64_t tenth = tenth_at(w, now);
    struct window_cell *cell = cell_at(w, tenth);
    uint64_t tag = tag_of(generation, tenth);
    uint64_t word = atomic_load(&cell->word);

    do {
        if (word >> 32 << 32 != tag || (uint32_t)word == UINT32_MAX)
            return false; /* the first call of its tenth, or no more room */
    } while (!atomic_compare_exchange_weak(&cell->word, &word, word + 1));
    return true;
}

static void record_time_locked(struct window *w, uint64_t generation, rn_time now, bool failed,
                               bool slow)
{
    int64_t tenth = tenth_at(w, now);
    struct window_cell *cell = cell_at(w, tenth);

    if (cell->tenth > tenth)
        return; /* it has waited a whole window for the lock */
    if (cell->tenth != tenth) {
        atomic_store(&cell->word, tag_of(generation, tenth));
        cell->tenth = tenth;
        cell->failures = cell->slow = 0;
    }
    if ((uint32_t)atomic_load(&cell->word) < UINT32_MAX / 2) /* room for those who pass meanwhile */
        atomic_fetch_add(&cell->word, 1);
    cell->failures += failed;
    cell->slow += slow;
}

static void reset_time_locked(struct window *w)
{
    for (int i = 0; i < WINDOW_CELLS; i++) {
        w->cells[i].tenth = TENTH_NONE;
        atomic_store(&w->cells[i].word, UINT32_MAX); /* no room, whatever the tag */
    }
}

static void sum_time_locked(struct window *w, rn_time now, rn_breaker_counts *counts)
{
    int64_t oldest = tenth_at(w, now) - (WINDOW_CELLS - 1);

    for (int i = 0; i < WINDOW_CELLS; i++) {
        struct window_cell *cell = &w->cells[i];
        if (cell->tenth < oldest)
            continue;
        counts->calls += (uint32_t)atomic_load(&cell->word);
        counts->failures += cell->failures;
        counts->slow += cell->slow;
    }
}

/* ---- either ---- */

bool window_pass(struct window *w, uint64_t generation, rn_time now)
{
    return w->kind == WINDOW_CALLS ? pass_calls(w, generation) : pass_time(w, generation, now);
}

void window_reset_locked(struct window *w, uint64_t generation)
{
    if (w->kind == WINDOW_CALLS)
        reset_calls_locked(w, generation);
    else if (w->kind == WINDOW_TIME)
        reset_time_locked(w);
}

void window_record_locked(struct window *w, uint64_t generation, rn_time now, bool failed,
                          bool slow)
{
    if (w->kind == WINDOW_CALLS)
        record_call_locked(w, (uint8_t)((failed ? SLOT_FAILED : 0) | (slow ? SLOT_SLOW : 0)));
    else if (w->kind == WINDOW_TIME)
        record_time_locked(w, generation, now, failed, slow);
}

void window_counts_locked(struct window *w, rn_time now, rn_breaker_counts *counts)
{
    uint32_t next;

    if (w->kind == WINDOW_TIME) {
        sum_time_locked(w, now, counts);
    } else if (w->kind == WINDOW_CALLS) {
        next = next_of(atomic_load(&w->head));
        counts->calls = next < w->size ? next : w->size;
        counts->failures = w->failures;
        counts->slow = w->slow;
    }
}
