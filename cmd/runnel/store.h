/*
 * Where the outputs of jobs are kept until they are printed: a limited amount of memory, and behind
 * it one temporary file without a name, made when it is first needed.
 *
 * The file is divided into chunks of equal size, which outputs take and give back; so it never
 * grows beyond the most that was kept at one time, and one descriptor is enough for any number of
 * jobs.
 */
#ifndef CMD_STORE_H
#define CMD_STORE_H

#include <runnel.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { STORE_CHUNK_BYTES = 256 * 1024 };

struct store {
    rn_mutex lock;
    size_t memory;         /* guarded by lock: bytes granted and not given back */
    int file;              /* guarded by lock: -1 until needed, then constant */
    uint32_t chunks;       /* guarded by lock: so many are in the file */
    uint32_t *unused;      /* guarded by lock: those of them that nobody has */
    uint32_t unused_count; /* guarded by lock */
    uint32_t unused_room;  /* guarded by lock: at least chunks, so that giving back never fails */
};

void store_init(struct store *store);
void store_free(struct store *store);

/* Where the file is made. */
const char *store_folder(void);

/* Asks for room for bytes in memory. Returns false when all of it is used. */
bool store_take_memory(struct store *store, size_t bytes);
/* The same, but never refused: for the little without which nothing works. */
void store_force_memory(struct store *store, size_t bytes);
void store_give_memory(struct store *store, size_t bytes);

/* Returns 0 and a chunk of the file, or a negative code (no temporary file, no memory). */
int store_take_chunk(struct store *store, uint32_t *chunk);
void store_give_chunk(struct store *store, uint32_t chunk);

/* Write and read within a chunk that the caller took. Return 0 or a negative code. */
int store_write(struct store *store, uint32_t chunk, size_t offset, const char *data, size_t size);
int store_read(struct store *store, uint32_t chunk, size_t offset, char *data, size_t size);

#endif
