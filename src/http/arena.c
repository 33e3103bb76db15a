/* Memory of one request; see arena.h. */
#include "arena.h"

#include <stdint.h>
#include <stdlib.h>

#define ALIGNMENT 16
#define BLOCK_BYTES (8 * 1024) /* of further blocks */

void arena_reset(struct arena *arena)
{
    while (arena->blocks != NULL) {
        struct arena_block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
    arena->at = arena->first;
    arena->end = arena->first + sizeof arena->first;
}

/* A large piece gets a block of its own, and what is left of the current one stays in use. */
static void *alloc_block(struct arena *arena, size_t size)
{
    size_t room = size > BLOCK_BYTES / 2 ? size : BLOCK_BYTES;
    struct arena_block *block = malloc(sizeof *block + room);

    if (block == NULL)
        return NULL;
    block->next = arena->blocks;
    arena->blocks = block;
    if (room > size) {
        arena->at = block->data + size;
        arena->end = block->data + room;
    }
    return block->data;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    size = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    if (size > (size_t)(arena->end - arena->at))
        return alloc_block(arena, size);
    void *memory = arena->at;
    arena->at += size;
    return memory;
}
