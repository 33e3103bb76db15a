/* Timers: arming, stopping, firing; see timer.h and timer_heap.h. */
#include "base/check.h"
#include "sched/sched.h"
#include "sched/timer_heap.h"
#include "sched/trace.h"

#include <errno.h>
#include <stdlib.h>

#define ARITY 4
#define ROOM_FIRST 64

static struct timer_heap heaps[WORKERS_MAX];

struct timer_heap *timer_heap_of(uint32_t worker)
{
    struct timer_heap *heap = &heaps[worker];
    store_relaxed(&heap->next, RN_FOREVER); /* it is empty: see timer_heap_empty */
    return heap;
}

void timer_heap_empty(struct timer_heap *heap)
{
    for (uint32_t i = 1; i <= heap->count; i++)
        heap->entries[i].timer->index = 0;
    free(heap->entries);
    heap->entries = NULL;
    heap->count = heap->room = 0;
    store_relaxed(&heap->next, RN_FOREVER);
}

static void place(struct timer_heap *heap, uint32_t i, struct timer_entry entry)
{
    heap->entries[i] = entry;
    entry.timer->index = i;
}

static uint32_t parent_of(uint32_t i)
{
    return (i + ARITY - 2) / ARITY;
}

static uint32_t first_child_of(uint32_t i)
{
    return (i - 1) * ARITY + 2;
}

static void sift_up(struct timer_heap *heap, uint32_t i, struct timer_entry entry)
{
    while (i > 1) {
        uint32_t parent = parent_of(i);
        if (heap->entries[parent].when <= entry.when)
            break;
        place(heap, i, heap->entries[parent]);
        i = parent;
    }
    place(heap, i, entry);
}

static void sift_down(struct timer_heap *heap, uint32_t i, struct timer_entry entry)
{
    for (;;) {
        uint32_t child = first_child_of(i);
        uint32_t end = child + ARITY <= heap->count + 1 ? child + ARITY : heap->count + 1;
        uint32_t least = child;
        if (child > heap->count)
            break;
        for (uint32_t c = child + 1; c < end; c++)
            if (heap->entries[c].when < heap->entries[least].when)
                least = c;
        if (heap->entries[least].when >= entry.when)
            break;
        place(heap, i, heap->entries[least]);
        i = least;
    }
    place(heap, i, entry);
}

static void publish_next(struct timer_heap *heap)
{
    store_relaxed(&heap->next, heap->count > 0 ? heap->entries[1].when : RN_FOREVER);
}

static void remove_at(struct timer_heap *heap, uint32_t i)
{
    struct timer_entry last = heap->entries[heap->count--];

    heap->entries[i].timer->index = 0;
    if (i <= heap->count) {
        if (i > 1 && last.when < heap->entries[parent_of(i)].when)
            sift_up(heap, i, last);
        else
            sift_down(heap, i, last);
    }
    publish_next(heap);
}

static int grow(struct timer_heap *heap)
{
    uint32_t room = heap->room == 0 ? ROOM_FIRST : heap->room * 2;
    struct timer_entry *entries = realloc(heap->entries, (room + 1) * sizeof *entries);
    if (entries == NULL)
        return -ENOMEM;
    heap->entries = entries;
    heap->room = room;
    return 0;
}

/* The running worker's heap; a plain thread uses the first worker's. */
static struct timer_heap *heap_here(bool *foreign)
{
    struct worker *worker = worker_here();
    *foreign = worker == NULL;
    if (worker == NULL) {
        fiber_here(); /* the runtime runs from here on */
        worker = sched.workers[0];
    }
    return worker->timers;
}

int timer_arm(struct timer *timer, rn_time when)
{
    bool foreign;
    struct timer_heap *heap = heap_here(&foreign);
    int err = 0;

    spin_lock(&heap->lock);
    if (heap->count == heap->room)
        err = grow(heap);
    if (err == 0) {
        timer->when = when;
        timer->heap = heap;
        sift_up(heap, ++heap->count, (struct timer_entry){when, timer});
        publish_next(heap);
    }
    WALK(heap->count, timer_heap_walk(heap));
    spin_unlock(&heap->lock);
    if (unlikely(foreign) && err == 0)
        idle_timer_added(when);
    return err;
}

bool timer_stop(struct timer *timer)
{
    struct timer_heap *heap = timer->heap;
    struct worker *self = worker_here(); /* NULL: a plain thread, which never fires */
    bool armed;

    if (heap == NULL)
        return false;
    spin_lock(&heap->lock);
    armed = timer->index != 0;
    if (armed)
        remove_at(heap, timer->index);
    WALK(heap->count, timer_heap_walk(heap));
    spin_unlock(&heap->lock);
    if (self != NULL && load_relaxed(&heap->firer) == self)
        return armed; /* called by fire itself, which knows */
    for (unsigned spins = 0; load_acquire(&heap->firing) == timer; spins++) /* E8 */
        spin_wait(spins);
    return armed;
}

uint32_t timer_heap_run(struct timer_heap *heap, rn_time now)
{
    uint32_t fired = 0;

    spin_lock(&heap->lock);
    if (heap->running) {
        spin_unlock(&heap->lock);
        return 0;
    }
    heap->running = true;
    while (heap->count > 0 && heap->entries[1].when <= now) {
        struct timer *timer = heap->entries[1].timer;
        remove_at(heap, 1);
        store_relaxed(&heap->firer, worker_here());
        store_release(&heap->firing, timer); /* E8: the timer before this one has fired */
        WALK(heap->count, timer_heap_walk(heap));
        spin_unlock(&heap->lock);
        trace(worker_here(), TRACE_FIRE, 0);
        timer->fire(timer);
        store_relaxed(&heap->firer, NULL);
        store_release(&heap->firing, NULL); /* E8: lets timer_stop go on */
        fired++;
        spin_lock(&heap->lock);
    }
    heap->running = false;
    spin_unlock(&heap->lock);
    return fired;
}
