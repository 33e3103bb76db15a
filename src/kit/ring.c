/* Rings of copied elements; see ring.h. */
#include "ring.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The bytes for n slots; 0 when that overflows. */
static size_t ring_bytes(size_t stride, size_t n)
{
    return stride == 0 || n > PTRDIFF_MAX / stride ? 0 : stride * n;
}

int ring_make(struct ring *ring, size_t element_size, size_t room)
{
    size_t rounded = (element_size + RING_ALIGNMENT - 1) / RING_ALIGNMENT * RING_ALIGNMENT;
    size_t stride = rounded == 0 ? RING_ALIGNMENT : rounded;
    size_t bytes = element_size > PTRDIFF_MAX - RING_ALIGNMENT ? 0 : ring_bytes(stride, room);

    if (bytes == 0)
        return -EINVAL;
    *ring = (struct ring){.slots = calloc(1, bytes), .stride = stride, .room = room};
    return ring->slots == NULL ? -ENOMEM : 0;
}

int ring_grow(struct ring *ring)
{
    size_t bytes = ring_bytes(ring->stride, ring->room * 2);
    char *slots = bytes == 0 ? NULL : malloc(bytes);
    size_t head = ring->room - ring->first;

    if (slots == NULL)
        return -ENOMEM;
    if (head > ring->count)
        head = ring->count;
    memcpy(slots, ring_slot(ring, ring->first), head * ring->stride);
    memcpy(slots + head * ring->stride, ring->slots, (ring->count - head) * ring->stride);
    free(ring->slots);
    ring->slots = slots;
    ring->room *= 2;
    ring->first = 0;
    return 0;
}

void ring_push(struct ring *ring, const void *element, size_t size)
{
    memcpy(ring_slot(ring, ring_after(ring, ring->first, ring->count)), element, size);
    ring->count++;
}

void *ring_pop(struct ring *ring)
{
    void *slot = ring_slot(ring, ring->first);

    ring->first = ring_after(ring, ring->first, 1);
    ring->count--;
    return slot;
}
