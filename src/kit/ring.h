/*
 * A ring: a queue of copied elements, first in, first out; for the kit's own use. Its user guards
 * it.
 */
#ifndef RN_KIT_RING_H
#define RN_KIT_RING_H

#include <stddef.h>

#define RING_ALIGNMENT 16

struct ring {
    char *slots;
    size_t stride; /* bytes from slot to slot */
    size_t room;   /* slots */
    size_t first;
    size_t count;
};

/* 0, -ENOMEM, or -EINVAL when the sizes overflow. The maker frees slots. */
int ring_make(struct ring *ring, size_t element_size, size_t room);

/* Twice the room; the elements move to the front. 0 or -ENOMEM. */
int ring_grow(struct ring *ring);

static inline void *ring_slot(struct ring *ring, size_t index)
{
    return ring->slots + index * ring->stride;
}

/* The slot n places after index, both below room. */
static inline size_t ring_after(const struct ring *ring, size_t index, size_t n)
{
    size_t sum = index + n;

    return sum >= ring->room ? sum - ring->room : sum;
}

/* There must be room. */
void ring_push(struct ring *ring, const void *element, size_t size);

/* The oldest element, in its slot until the next push; there must be one. */
void *ring_pop(struct ring *ring);

#endif
