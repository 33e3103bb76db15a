/*
 * What one job wrote to one of its two streams.
 */
#include "output.h"

#include <stdlib.h>
#include <string.h>

enum {
    ROOM_BYTES_MIN = 256,        /* granted even when the store's memory is all used */
    ROOM_BYTES_MAX = 256 * 1024, /* in memory for one stream of one job */
    PRINT_BYTES = 64 * 1024      /* read back from the file at once */
};

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Makes the buffer larger if that is allowed. Returns whether there is room for a byte now. */
static bool grow(struct output *output, struct store *store, size_t wanted)
{
    size_t room = output->room == 0 ? ROOM_BYTES_MIN : 2 * output->room;
    char *data;

    while (room < output->used + wanted && room < ROOM_BYTES_MAX)
        room *= 2;
    if (room > ROOM_BYTES_MAX)
        return false;
    if (!store_take_memory(store, room - output->room)) {
        if (output->room > 0)
            return false;
        room = ROOM_BYTES_MIN;
        store_force_memory(store, room);
    }
    data = realloc(output->data, room);
    if (data == NULL) {
        store_give_memory(store, room - output->room);
        return false;
    }
    output->data = data;
    output->room = room;
    return true;
}

/* Returns the chunk for the byte that is stored next, taking one when a new one begins. */
static int next_chunk(struct output *output, struct store *store, uint32_t *chunk)
{
    size_t index = (size_t)(output->stored / STORE_CHUNK_BYTES);
    int err;

    if (index == output->chunk_room) {
        size_t room = output->chunk_room == 0 ? 4 : 2 * output->chunk_room;
        uint32_t *grown = reallocarray(output->chunks, room, sizeof(*grown));
        if (grown == NULL)
            return -ENOMEM;
        output->chunks = grown;
        output->chunk_room = room;
    }
    if (index == output->chunk_count) {
        if ((err = store_take_chunk(store, &output->chunks[index])) != 0)
            return err;
        output->chunk_count++;
    }
    *chunk = output->chunks[index];
    return 0;
}

/* Writes bytes behind those that are in the file already. The buffer must be empty, or be bytes. */
static int put_in_file(struct output *output, struct store *store, const char *bytes, size_t size)
{
    while (size > 0) {
        size_t offset = (size_t)(output->stored % STORE_CHUNK_BYTES);
        size_t part = smaller(size, STORE_CHUNK_BYTES - offset);
        uint32_t chunk;
        int err = next_chunk(output, store, &chunk);
        if (err == 0)
            err = store_write(store, chunk, offset, bytes, part);
        if (err != 0)
            return err;
        output->stored += part;
        bytes += part;
        size -= part;
    }
    return 0;
}

/*
 * The part that got into the file before an error must not be printed twice: it leaves the buffer.
 */
static int flush(struct output *output, struct store *store)
{
    uint64_t before = output->stored;
    int err = put_in_file(output, store, output->data, output->used);
    size_t moved = (size_t)(output->stored - before);

    memmove(output->data, output->data + moved, output->used - moved);
    output->used -= moved;
    return err;
}

int output_append(struct output *output, struct store *store, const char *bytes, size_t size)
{
    while (size > 0) {
        size_t part = smaller(size, output->room - output->used);

        if (part < size && grow(output, store, size))
            continue;
        if (part == 0) {
            int err = flush(output, store);
            if (err == 0 && size >= output->room)
                return put_in_file(output, store, bytes, size);
            if (err != 0)
                return err;
            continue;
        }
        memcpy(output->data + output->used, bytes, part);
        output->used += part;
        bytes += part;
        size -= part;
    }
    return 0;
}

static int each_stored(const struct output *output, struct store *store,
                       int (*write)(void *arg, const char *bytes, size_t size), void *arg)
{
    char *buffer = malloc(PRINT_BYTES);
    uint64_t at = 0;
    int err = buffer == NULL ? -ENOMEM : 0;

    while (err == 0 && at < output->stored) {
        size_t offset = (size_t)(at % STORE_CHUNK_BYTES);
        size_t part = smaller(PRINT_BYTES, STORE_CHUNK_BYTES - offset);
        if (part > output->stored - at)
            part = (size_t)(output->stored - at);
        err = store_read(store, output->chunks[at / STORE_CHUNK_BYTES], offset, buffer, part);
        if (err == 0)
            err = write(arg, buffer, part);
        at += part;
    }
    free(buffer);
    return err;
}

int output_each(const struct output *output, struct store *store,
                int (*write)(void *arg, const char *bytes, size_t size), void *arg)
{
    int err = output->stored > 0 ? each_stored(output, store, write, arg) : 0;

    if (err == 0 && output->used > 0)
        err = write(arg, output->data, output->used);
    return err;
}

bool output_is_empty(const struct output *output)
{
    return output->stored == 0 && output->used == 0;
}

void output_free(struct output *output, struct store *store)
{
    for (size_t i = 0; i < output->chunk_count; i++)
        store_give_chunk(store, output->chunks[i]);
    if (output->room > 0)
        store_give_memory(store, output->room);
    free(output->chunks);
    free(output->data);
    *output = (struct output){0};
}
