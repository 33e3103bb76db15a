/*
 * Where the outputs of jobs are kept until they are printed.
 */
#define _GNU_SOURCE
#include "store.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MEMORY_BYTES_MAX = 8 * 1024 * 1024, UNUSED_ROOM_FIRST = 64 };

void store_init(struct store *store)
{
    *store = (struct store){.file = -1};
}

void store_free(struct store *store)
{
    if (store->file >= 0)
        close(store->file);
    free(store->unused);
}

bool store_take_memory(struct store *store, size_t bytes)
{
    bool granted;

    rn_mutex_lock(&store->lock);
    granted = store->memory + bytes <= MEMORY_BYTES_MAX;
    if (granted)
        store->memory += bytes;
    rn_mutex_unlock(&store->lock);
    return granted;
}

void store_force_memory(struct store *store, size_t bytes)
{
    rn_mutex_lock(&store->lock);
    store->memory += bytes;
    rn_mutex_unlock(&store->lock);
}

void store_give_memory(struct store *store, size_t bytes)
{
    rn_mutex_lock(&store->lock);
    store->memory -= bytes;
    rn_mutex_unlock(&store->lock);
}

/* For file systems without O_TMPFILE: a name that lives for a moment. */
static int open_named(const char *directory)
{
    char path[4096];
    int fd;

    if (snprintf(path, sizeof(path), "%s/runnel-XXXXXX", directory) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    unlink(path);
    return fd;
}

const char *store_folder(void)
{
    const char *directory = getenv("TMPDIR");

    return directory != NULL && *directory != '\0' ? directory : "/tmp";
}

static int open_file(void)
{
    const char *directory = store_folder();
    int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    return fd >= 0 ? fd : open_named(directory);
}

static int ensure_file_locked(struct store *store)
{
    if (store->file < 0) {
        int fd = open_file();
        if (fd < 0)
            return fd;
        store->file = fd;
    }
    return 0;
}

/* Makes sure that one more chunk could be given back. */
static int ensure_unused_room_locked(struct store *store)
{
    uint32_t room = store->unused_room == 0 ? UNUSED_ROOM_FIRST : 2 * store->unused_room;
    uint32_t *grown;

    if (store->chunks < store->unused_room)
        return 0;
    grown = reallocarray(store->unused, room, sizeof(*grown));
    if (grown == NULL)
        return -ENOMEM;
    store->unused = grown;
    store->unused_room = room;
    return 0;
}

static int take_chunk_locked(struct store *store, uint32_t *chunk)
{
    int err = ensure_file_locked(store);

    if (err != 0)
        return err;
    if (store->unused_count > 0) {
        *chunk = store->unused[--store->unused_count];
        return 0;
    }
    if ((err = ensure_unused_room_locked(store)) != 0)
        return err;
    *chunk = store->chunks++;
    return 0;
}

int store_take_chunk(struct store *store, uint32_t *chunk)
{
    int err;

    rn_mutex_lock(&store->lock);
    err = take_chunk_locked(store, chunk);
    rn_mutex_unlock(&store->lock);
    return err;
}

void store_give_chunk(struct store *store, uint32_t chunk)
{
    rn_mutex_lock(&store->lock);
    store->unused[store->unused_count++] = chunk;
    rn_mutex_unlock(&store->lock);
}

int store_write(struct store *store, uint32_t chunk, size_t offset, const char *data, size_t size)
{
    off_t at = (off_t)chunk * STORE_CHUNK_BYTES + (off_t)offset;

    while (size > 0) {
        ssize_t n = pwrite(store->file, data, size, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        data += n;
        at += n;
        size -= (size_t)n;
    }
    return 0;
}

int store_read(struct store *store, uint32_t chunk, size_t offset, char *data, size_t size)
{
    off_t at = (off_t)chunk * STORE_CHUNK_BYTES + (off_t)offset;

    while (size > 0) {
        ssize_t n = pread(store->file, data, size, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        data += n;
        at += n;
        size -= (size_t)n;
    }
    return 0;
}
