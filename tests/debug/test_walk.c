/*
 * A build with RUNNEL_LOCK_ORDER finds a structure that is not as its invariants say: at the change
 * after the damage, or when it is asked to walk.
 */
/* ctest: LABELS=core LOCK_ORDER */
#include "chan/chan.h"
#include "sched/poller.h"
#include "sched/runq.h"
#include "sched/timer_heap.h"

#include "core.h"
#include "test.h"

/* ---- found by the next change ---- */

static int_chan named(size_t capacity)
{
    struct rn_chan *ch = NULL;

    EXPECT_EQ(
        rn_chan_new(&ch, sizeof(int), &(rn_chan_options){.capacity = capacity, .name = "orders"}),
        0);
    return (int_chan)ch;
}

TEST_DIES(a_channel_with_too_many_elements_dies,
          "runnel: walk: channel \\(orders\\): 8 elements in room for 3\n", SIGABRT)
{
    int_chan ch = named(3);
    int value;

    EXPECT_EQ(rn_send(NULL, ch, 1), 0);
    rn_chan_untyped(ch)->count = 9;
    rn_recv(NULL, ch, &value);
}

static void receive(void *arg)
{
    int value;

    EXPECT_EQ(rn_recv(NULL, *(int_chan *)arg, &value), 0);
}

static void leave_a_receiver(void)
{
    int_chan ch = named(2);

    EXPECT_EQ(rn_go(receive, &ch), 0);
    await_waiters(ch, 1);
    spin_lock(&rn_chan_untyped(ch)->lock);
    rn_chan_untyped(ch)->count = 1; /* nobody was woken for it */
    chan_unlock(rn_chan_untyped(ch));
}

TEST_DIES(a_receiver_beside_elements_dies,
          "walk: channel \\(orders\\): a receiver waits, and there are 1 elements", SIGABRT)
{
    test_on_fiber(leave_a_receiver);
}

/* ---- found by walking ---- */

static struct waiter *enqueued(struct waitq *queue, struct spinlock *lock, int n)
{
    static struct waiter waiters[8];

    for (int i = 0; i < n; i++) {
        waiters[i].lock = lock;
        waitq_enqueue(queue, &waiters[i]);
    }
    waitq_walk(queue);
    return waiters;
}

TEST_DIES(a_wait_queue_that_counts_wrongly_dies, "has 3 waiters and counts 2", SIGABRT)
{
    static struct waitq queue;
    static struct spinlock lock;

    enqueued(&queue, &lock, 3);
    queue.count--;
    waitq_walk(&queue);
}

TEST_DIES(a_wait_queue_with_a_stranger_dies, "waiter 1 believes that it is elsewhere", SIGABRT)
{
    static struct waitq queue;
    static struct spinlock lock;

    enqueued(&queue, &lock, 3)[1].linked = false;
    waitq_walk(&queue);
}

TEST_DIES(a_wait_queue_that_is_linked_one_way_dies, "waiter 2 is linked in one way only", SIGABRT)
{
    static struct waitq queue;
    static struct spinlock lock;

    enqueued(&queue, &lock, 3)[2].node.prev = NULL;
    waitq_walk(&queue);
}

static void make_heap(struct timer_heap *heap, struct timer *timers, uint32_t n)
{
    heap->entries = calloc(n + 1, sizeof *heap->entries);
    heap->count = heap->room = n;
    for (uint32_t i = 1; i <= n; i++) {
        timers[i - 1] = (struct timer){.index = i, .heap = heap, .when = 10 * i};
        heap->entries[i] = (struct timer_entry){10 * i, &timers[i - 1]};
    }
    store_relaxed(&heap->next, 10);
    timer_heap_walk(heap);
}

TEST_DIES(a_timer_before_the_one_above_it_dies, "timer 7 is due before the one above it", SIGABRT)
{
    static struct timer_heap heap;
    static struct timer timers[9];

    make_heap(&heap, timers, 9);
    heap.entries[7].when = timers[6].when = 15; /* above it is 2, of 20 */
    timer_heap_walk(&heap);
}

TEST_DIES(a_timer_with_a_wrong_index_dies, "timer 3 believes that it is elsewhere", SIGABRT)
{
    static struct timer_heap heap;
    static struct timer timers[9];

    make_heap(&heap, timers, 9);
    timers[2].index = 4;
    timer_heap_walk(&heap);
}

TEST_DIES(a_wrong_next_timer_dies, "is said to be due at 11, and is at 10", SIGABRT)
{
    static struct timer_heap heap;
    static struct timer timers[9];

    make_heap(&heap, timers, 9);
    store_relaxed(&heap.next, 11);
    timer_heap_walk(&heap);
}

static struct fiber *fill(struct runq *q, uint32_t n)
{
    static struct fiber fibers[8] __attribute__((aligned(64)));
    struct chain spill = {0};

    for (uint32_t i = 0; i < n; i++) {
        fibers[i].id = i + 1;
        store_relaxed(&fibers[i].state, FIBER_LIVE);
        runq_append(q, &fibers[i], &spill);
    }
    runq_walk(q);
    return fibers;
}

TEST_DIES(a_fiber_that_has_ended_in_the_run_queue_dies, "fiber 2 in it has ended", SIGABRT)
{
    static struct runq q;

    store_relaxed(&fill(&q, 3)[1].state, FIBER_FREE);
    runq_walk(&q);
}

TEST_DIES(a_fiber_that_is_there_twice_dies, "entry 2 is in the slot, too", SIGABRT)
{
    static struct runq q;

    store_relaxed(&q.slot, &fill(&q, 3)[2]);
    runq_walk(&q);
}

TEST_DIES(a_descriptor_that_is_free_and_in_use_dies, "entry 1 is free, and in use", SIGABRT)
{
    static struct poll_entry entries[3];

    for (uint32_t i = 0; i < 3; i++) {
        entries[i].index = i;
        entries[i].next_free = i < 2 ? &entries[i + 1] : NULL;
    }
    poll_walk_free(entries, 3);
    entries[1].references = 1;
    poll_walk_free(entries, 3);
}
