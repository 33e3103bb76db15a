/*
 * What one job wrote to one of its two streams, kept whole: first in memory, then in the store's
 * file.
 *
 * Invariant: the bytes 0..stored-1 are in the file, byte i in chunks[i / STORE_CHUNK_BYTES]; the
 * bytes after them are data[0..used-1]. The zero value is an empty output.
 */
#ifndef CMD_OUTPUT_H
#define CMD_OUTPUT_H

#include "store.h"

struct output {
    char *data;
    size_t used, room;
    uint64_t stored;
    uint32_t *chunks;
    size_t chunk_count, chunk_room;
};

/* Adds bytes. Returns 0 or a negative code; the output then holds a part of them. */
int output_append(struct output *output, struct store *store, const char *bytes, size_t size);

/*
 * Calls write(arg, ...) for all bytes in order, until it returns other than 0; returns what it
 * returned.
 */
int output_each(const struct output *output, struct store *store,
                int (*write)(void *arg, const char *bytes, size_t size), void *arg);

bool output_is_empty(const struct output *output);

/* Gives everything back; the output is empty then. */
void output_free(struct output *output, struct store *store);

#endif
