/*
 * File descriptors in the poller, with generations.
 *
 * A handle is an index into a table and a generation; events carry both, so that an event for a
 * closed handle is not taken for the next user of its place. Edge-triggered: callers note how many
 * edges there were (poll_edges), try the system call, and after EAGAIN wait for one more edge
 * (wait/fd_wait.h). So an edge between the call and the wait is not lost, however many wait, and
 * nobody consumes it for others.
 *
 * Lock order: an entry's lock is taken before any lock of a run queue or timer heap, after none but
 * those of channels in a select.
 */
#ifndef RN_SCHED_POLLER_H
#define RN_SCHED_POLLER_H

#include "base/list.h"
#include "base/spinlock.h"
#include "os/os.h"

#include <stdint.h>

/* The queues of an entry: who waits for input, for room, and for either of them. */
enum poll_queue { POLL_READ, POLL_WRITE, POLL_EITHER, POLL_QUEUES };

enum poll_flags {
    POLL_SHARED = 1,          /* others use the open file: its mode is left alone */
    POLL_WAS_NONBLOCKING = 2, /* the mode to be restored when the descriptor is given back */
    POLL_UNWATCHED = 4,       /* a regular file: always ready; the kernel's poller refuses it */
    POLL_STREAM = 8           /* TCP: a read of less than was asked for has emptied the queue */
};

/*
 * One descriptor. Entries are never freed while the runtime runs; lock guards all without a remark.
 */
struct poll_entry {
    cache_aligned SPINLOCK(lock, poll_entry_lock);
    uint32_t generation; /* odd while open; part of the handle */
    uint32_t references; /* calls in progress, and one while open; the last closes the descriptor */
    uint32_t index;      /* fixed */
    int fd;              /* fixed while referenced, as flags and callback are */
    unsigned flags;
    bool kept;           /* given back by poll_release: the last reference leaves it open */
    atomic_u32 edges[2]; /* by POLL_READ, POLL_WRITE; written under lock, read without */
    atomic_u32 final;    /* 1: an event told of the end; set under lock before the edge counts */
    atomic_u32 empty_at; /* edges[POLL_READ] before a read that left nothing; see poll_empty */
    struct waitq waiters[POLL_QUEUES]; /* wait/'s waiters */
    struct poll_entry *next_free;      /* guarded by the table's lock */
    void (*callback)(bool stopping);   /* the library's own: called on each edge, under no lock */
};

/*
 * Fibers that wait for something outside the program, and subscriptions to signals: while there are
 * any, "all fibers are asleep" is not the end.
 */
extern atomic_u32 poll_waiting;
/* Threads that are delivering events: what they wake is not in a queue yet. */
extern atomic_u32 poll_delivering;

/* ---- for the scheduler ---- */

int poll_start(void); /* 0, -EMFILE, -ENFILE, -ENOMEM */
/* Closes everything that is open still, and frees the table. No worker runs any more. */
void poll_stop(void);
/*
 * Waits for events for at most timeout_ns (0: not, negative: for ever). How many waiters were
 * woken.
 */
int poll_once(int64_t timeout_ns);
/* Makes a poll_once that waits, or the next one, return at once. */
void poll_interrupt(void);

/* ---- for wait/, chan/ and io/ ---- */

/*
 * Takes a descriptor over, whose mode is the caller's business. callback may be NULL.
 * 0, -EBADF, -EEXIST, -ENOSPC, -ENOMEM; on an error it is not taken.
 */
int poll_open(uint64_t *handle, int fd, unsigned flags, void (*callback)(bool stopping));

/* The entry of a handle, which keeps its descriptor until poll_drop; NULL when it is closed. */
struct poll_entry *poll_hold(uint64_t handle);
void poll_drop(struct poll_entry *entry);

/* Ends the generation, wakes all waiters with -EBADF. 0, or -EBADF when it is closed already. */
int poll_close(uint64_t handle);
/* The same, but the last reference leaves the descriptor open. On success the entry is held. */
int poll_release(uint64_t handle, struct poll_entry **held);

static inline uint32_t poll_generation(uint64_t handle)
{
    return (uint32_t)(handle >> 32);
}

/* How many edges there were: to be noted before the system call is tried. */
static inline uint32_t poll_edges(struct poll_entry *entry, enum poll_queue queue)
{
    if (queue != POLL_EITHER)
        return load_acquire(&entry->edges[queue]); /* E21: before the system call */
    return load_acquire(&entry->edges[POLL_READ]) + load_acquire(&entry->edges[POLL_WRITE]);
}

/*
 * Whether a read would find nothing, so that it need not be tried: since a read that was short, at
 * `seen` edges, no further edge has come. Only of a POLL_STREAM. What arrives after such a read
 * makes an edge; but an end, an error, or the rest behind urgent data may have been there before
 * it, told with the same edge as the bytes. So once an event has said that, reads are tried. Other
 * streams promise less: SCTP ends a read with each message, whatever comes behind it.
 */
static inline bool poll_empty(struct poll_entry *entry, uint32_t seen)
{
    return (entry->flags & POLL_STREAM) && load_relaxed(&entry->empty_at) == seen &&
           load_relaxed(&entry->final) == 0; /* E21: final is set before the edge that we saw */
}

/* A read has been tried after `seen` edges. */
static inline void poll_note_read(struct poll_entry *entry, uint32_t seen, bool emptied)
{
    if (entry->flags & POLL_STREAM)
        store_relaxed(&entry->empty_at, emptied ? seen : seen - 1);
}

/*
 * Wakes everybody in these queues (bits by enum poll_queue). Called with entry->lock, which it
 * releases.
 */
int poll_wake(struct poll_entry *entry, unsigned queues, int result); /* given by wait/fd_wait.c */

/* Checks the free entries, of so many in all; see base/walk.h. Under the table's lock. */
void poll_walk_free(const struct poll_entry *first, uint32_t entries);

#endif
