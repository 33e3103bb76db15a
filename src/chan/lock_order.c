/*
 * The order in which a select takes the locks of its channels: by address, each once.
 *
 * A few are sorted by insertion. More are sorted by a heap, as Go's select does: it needs no memory
 * and never takes long, whatever the order in which the channels come.
 */
#include "chan/lock_order.h"

#define INSERTION_MAX 16 /* up to here insertion is faster */

static void insertion_sort(struct spinlock **locks, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++) {
        struct spinlock *lock = locks[i];
        uint32_t at = i;
        for (; at > 0 && locks[at - 1] > lock; at--)
            locks[at] = locks[at - 1];
        locks[at] = lock;
    }
}

/* Lets the lock fall from place `at` of a heap of n, the highest on top, that misses one there. */
static void sift_down(struct spinlock **heap, uint32_t n, uint32_t at, struct spinlock *lock)
{
    for (uint32_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && heap[child + 1] > heap[child])
            child++;
        if (heap[child] <= lock)
            break;
        heap[at] = heap[child];
    }
    heap[at] = lock;
}

static void heap_sort(struct spinlock **locks, uint32_t n)
{
    for (uint32_t i = n / 2; i > 0; i--)
        sift_down(locks, n, i - 1, locks[i - 1]);
    for (uint32_t end = n - 1; end > 0; end--) {
        struct spinlock *last = locks[end];
        locks[end] = locks[0];
        sift_down(locks, end, 0, last);
    }
}

uint32_t lock_order(struct spinlock **locks, uint32_t n)
{
    uint32_t count = n > 0;

    if (n <= INSERTION_MAX)
        insertion_sort(locks, n);
    else
        heap_sort(locks, n);
    for (uint32_t i = 1; i < n; i++)
        if (locks[i] != locks[count - 1])
            locks[count++] = locks[i];
    return count;
}
