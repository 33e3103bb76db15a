/*
 * Memory of one request: handed out from the front of a block, given back all at once.
 */
#ifndef RN_HTTP_ARENA_H
#define RN_HTTP_ARENA_H

#include <stddef.h>

#define ARENA_BYTES 2048 /* that a request has without asking malloc */

struct arena_block {
    struct arena_block *next;
    _Alignas(16) char data[];
};

struct arena {
    char *at, *end;             /* what is left of the current block */
    struct arena_block *blocks; /* from malloc */
    _Alignas(16) char first[ARENA_BYTES];
};

/* Makes it empty, giving back what malloc gave. It must have been zero, or reset, before. */
void arena_reset(struct arena *arena);

/* Aligned to 16 bytes; NULL without memory. */
void *arena_alloc(struct arena *arena, size_t size);

#endif
