/*
 * The table of watched descriptors, and the delivery of events; see poller.h.
 *
 * The table grows by chunks and never moves, so that an event's index needs no lock to become an
 * entry.
 *
 * Invariants: an entry is in the free list exactly while references is 0. Its generation is odd
 * exactly while it is open; it changes only under its lock. A place would have to be used 2^31
 * times for an old handle to become valid again.
 *
 * The kernel's registration ends before the last reference goes: a copy of the descriptor in
 * another process would otherwise keep it alive, with the tag of a generation that is over.
 */
#include "sched/poller.h"

#include "base/check.h"
#include "base/walk.h"
#include "sched/clock.h"
#include "sched/trace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_ENTRIES 256
/* 2,097,152 descriptors: above any system's limit for a process by default */
#define CHUNKS_MAX 8192
#define EVENTS_AT_ONCE 128

#define ALL_QUEUES ((1u << POLL_QUEUES) - 1)

atomic_u32 poll_waiting;
atomic_u32 poll_delivering;

static struct os_poller poller;

static struct {
    SPINLOCK(lock, poll_table_lock); /* guards free and the adding of chunks */
    struct poll_entry *free;
    _Atomic(struct poll_entry *) chunks[CHUNKS_MAX];
    atomic_u32 chunk_count;
    uint32_t first_generation; /* of new entries; even, and past every handle of earlier runtimes */
} table;

/* ---- the table ---- */

/* Under the table's lock, and so behind every change of the free entries. */
static void walk_free_locked(void)
{
    WALK(load_relaxed(&table.chunk_count) * CHUNK_ENTRIES,
         poll_walk_free(table.free, load_relaxed(&table.chunk_count) * CHUNK_ENTRIES));
}

static struct poll_entry *entry_at(uint32_t index)
{
    if (index / CHUNK_ENTRIES >= load_acquire(&table.chunk_count)) /* E10 */
        return NULL;
    return load_relaxed(&table.chunks[index / CHUNK_ENTRIES]) + index % CHUNK_ENTRIES;
}

static void entry_free(struct poll_entry *entry)
{
    spin_lock(&table.lock);
    entry->next_free = table.free;
    table.free = entry;
    walk_free_locked();
    spin_unlock(&table.lock);
}

/* Adds a chunk to the table; false when the table is full. */
static bool add_chunk(struct poll_entry *chunk)
{
    spin_lock(&table.lock);
    uint32_t n = load_relaxed(&table.chunk_count);
    bool room = n < CHUNKS_MAX;
    for (uint32_t i = CHUNK_ENTRIES; room && i-- > 0;) {
        chunk[i].index = n * CHUNK_ENTRIES + i;
        chunk[i].generation = table.first_generation;
        chunk[i].next_free = table.free;
        table.free = &chunk[i];
    }
    if (room) {
        store_relaxed(&table.chunks[n], chunk);
        store_release(&table.chunk_count, n + 1); /* E10: publishes the chunk and its entries */
    }
    walk_free_locked();
    spin_unlock(&table.lock);
    return room;
}

static int grow(void)
{
    struct poll_entry *chunk = aligned_alloc(CACHE_LINE, CHUNK_ENTRIES * sizeof *chunk);
    if (chunk == NULL)
        return -ENOMEM;
    memset(chunk, 0, CHUNK_ENTRIES * sizeof *chunk);
    if (add_chunk(chunk))
        return 0;
    free(chunk);
    return -ENOMEM;
}

static int entry_take(struct poll_entry **out)
{
    for (;;) {
        spin_lock(&table.lock);
        struct poll_entry *entry = table.free;
        if (entry != NULL)
            table.free = entry->next_free;
        walk_free_locked();
        spin_unlock(&table.lock);
        if (entry != NULL) {
            *out = entry;
            return 0;
        }
        int err = grow();
        if (err != 0)
            return err;
    }
}

/* ---- opening and closing ---- */

static uint64_t handle_of(const struct poll_entry *entry)
{
    return (uint64_t)entry->generation << 32 | entry->index;
}

static uint64_t entry_begin(struct poll_entry *entry, int fd, unsigned flags,
                            void (*callback)(bool stopping))
{
    spin_lock(&entry->lock);
    CHECK(entry->references == 0, "a free descriptor entry is in use");
    entry->generation++;
    entry->references = 1;
    entry->fd = fd;
    entry->flags = flags;
    entry->kept = false;
    entry->callback = callback;
    store_relaxed(&entry->final, 0);
    store_relaxed(&entry->empty_at, load_relaxed(&entry->edges[POLL_READ]) - 1);
    uint64_t handle = handle_of(entry);
    spin_unlock(&entry->lock);
    return handle;
}

/* Nobody has the handle yet. */
static void entry_abandon(struct poll_entry *entry)
{
    spin_lock(&entry->lock);
    entry->generation++;
    entry->references = 0;
    spin_unlock(&entry->lock);
    entry_free(entry);
}

int poll_open(uint64_t *handle, int fd, unsigned flags, void (*callback)(bool stopping))
{
    struct poll_entry *entry;
    int err = entry_take(&entry);

    if (err != 0)
        return err;
    *handle = entry_begin(entry, fd, flags, callback);
    err = os_poller_add(&poller, fd, *handle);
    if (err == -EPERM) {
        entry->flags |= POLL_UNWATCHED; /* nobody else has the handle yet, and no event can come */
        err = 0;
    }
    if (err != 0)
        entry_abandon(entry);
    return err;
}

struct poll_entry *poll_hold(uint64_t handle)
{
    struct poll_entry *entry = entry_at((uint32_t)handle);

    if (entry == NULL)
        return NULL;
    spin_lock(&entry->lock);
    bool open = entry->generation == poll_generation(handle) && entry->generation % 2 == 1;
    if (open)
        entry->references++;
    spin_unlock(&entry->lock);
    return open ? entry : NULL;
}

/* The last reference has gone. */
static void entry_finish(struct poll_entry *entry)
{
    if (!entry->kept)
        os_fd_close(entry->fd);
    entry_free(entry);
}

void poll_drop(struct poll_entry *entry)
{
    spin_lock(&entry->lock);
    CHECK(entry->references > 0, "a descriptor was dropped more often than held");
    uint32_t left = --entry->references;
    if (left == 1 && entry->kept) {
        /* who waits in rn_fd_release is the only one left */
        poll_wake(entry, 1u << POLL_EITHER, 0);
        return;
    }
    spin_unlock(&entry->lock);
    if (left == 0)
        entry_finish(entry);
}

/* Ends the generation; the caller then owns the reference that the opening made. */
static struct poll_entry *entry_end(uint64_t handle, bool keep)
{
    struct poll_entry *entry = entry_at((uint32_t)handle);

    if (entry == NULL)
        return NULL;
    spin_lock(&entry->lock);
    if (entry->generation != poll_generation(handle) || entry->generation % 2 == 0) {
        spin_unlock(&entry->lock);
        return NULL;
    }
    entry->generation++;
    entry->kept = keep;
    poll_wake(entry, ALL_QUEUES, -EBADF);
    if (!(entry->flags & POLL_UNWATCHED))
        os_poller_remove(&poller, entry->fd);
    return entry;
}

int poll_close(uint64_t handle)
{
    struct poll_entry *entry = entry_end(handle, false);
    if (entry == NULL)
        return -EBADF;
    poll_drop(entry);
    return 0;
}

int poll_release(uint64_t handle, struct poll_entry **held)
{
    *held = entry_end(handle, true);
    return *held == NULL ? -EBADF : 0;
}

/* ---- events ---- */

static int deliver(const struct os_event *event)
{
    struct poll_entry *entry = entry_at((uint32_t)event->tag);
    unsigned queues = 1u << POLL_EITHER;

    if (entry == NULL)
        return 0;
    spin_lock(&entry->lock);
    if (entry->generation != poll_generation(event->tag)) {
        spin_unlock(&entry->lock); /* of a handle that was closed meanwhile */
        return 0;
    }
    if (event->final)
        store_relaxed(&entry->final, 1); /* E21: before the edge */
    if (event->events & OS_READABLE) {
        add_seq(&entry->edges[POLL_READ], 1); /* E21 */
        queues |= 1u << POLL_READ;
    }
    if (event->events & OS_WRITABLE) {
        add_seq(&entry->edges[POLL_WRITE], 1); /* E21 */
        queues |= 1u << POLL_WRITE;
    }
    void (*callback)(bool) = entry->callback;
    int woken = poll_wake(entry, queues, 0);
    if (callback != NULL)
        callback(false);
    return woken;
}

int poll_once(int64_t timeout_ns)
{
    struct os_event events[EVENTS_AT_ONCE];
    bool in_virtual_time = load_relaxed(&clock_is_virtual) != 0;
    int woken = 0;

    if (in_virtual_time) { /* clock_jump must see who has taken events from the kernel */
        if (timeout_ns != 0)
            os_poller_await(&poller, timeout_ns);
        timeout_ns = 0;
        add_seq(&poll_delivering, 1);
    }
    int n = os_poller_wait(&poller, events, EVENTS_AT_ONCE, timeout_ns);
    if (n > 0 && !in_virtual_time)
        add_seq(&poll_delivering, 1);
    if (n > 0)
        trace(worker_here(), TRACE_POLL, (uint64_t)n);
    for (int i = 0; i < n; i++)
        woken += deliver(&events[i]);
    if (n > 0 || in_virtual_time)
        sub_seq(&poll_delivering, 1);
    return woken;
}

void poll_interrupt(void)
{
    os_poller_wake(&poller);
}

/* ---- the runtime's life ---- */

int poll_start(void)
{
    store_relaxed(&poll_waiting, 0);
    return os_poller_open(&poller);
}

/*
 * Fibers that the runtime dropped have left references behind, and waiters on stacks that are gone.
 */
static void entry_stop(struct poll_entry *entry)
{
    if (entry->generation % 2 == 1 && entry->callback != NULL)
        entry->callback(true);
    if (entry->references != 0 && !entry->kept)
        os_fd_close(entry->fd);
    if (entry->generation >= table.first_generation)
        table.first_generation = entry->generation + entry->generation % 2;
}

void poll_stop(void)
{
    uint32_t count = load_relaxed(&table.chunk_count);

    for (uint32_t i = 0; i < count * CHUNK_ENTRIES; i++)
        entry_stop(entry_at(i));
    for (uint32_t i = 0; i < count; i++) {
        free(load_relaxed(&table.chunks[i]));
        store_relaxed(&table.chunks[i], NULL);
    }
    table.free = NULL;
    store_relaxed(&table.chunk_count, 0);
    store_relaxed(&poll_waiting, 0);
    os_poller_close(&poller);
}
