/*
 * The checks behind RUNNEL_DEBUG=lock; see held.h.
 *
 * Each pair "a was held when b was locked" is an edge; an edge that closes a ring is a deadlock
 * that has only not happened yet. Mutexes have no end that could be seen, so an address that is
 * used again may bring a false report: therefore these are reports, and the program goes on.
 *
 * Everything is bounded: what does not fit is not checked.
 */
#include "sched/held.h"

#include "base/spinlock.h"
#include "os/os.h"
#include "sched/park.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HELD_MAX 16
#define EDGES_MAX 1024
#define SAID_MAX 64
#define LINE_BYTES_MAX 400

struct held {
    uint32_t count;
    uint32_t others; /* held, too, but not remembered */
    const void *mutexes[HELD_MAX];
};

struct edge {
    const void *first, *then;
};

atomic_u32 held_on;

static struct {
    struct spinlock lock; /* guards the rest */
    uint32_t count;
    struct edge edges[EDGES_MAX];
    uint32_t said_count;
    uint64_t said[SAID_MAX]; /* what was reported, so that it is reported once */
} order;

/* ---- reports ---- */

static bool said_before_locked(uint64_t what)
{
    for (uint32_t i = 0; i < order.said_count; i++)
        if (order.said[i] == what)
            return true;
    if (order.said_count == SAID_MAX)
        return true;
    order.said[order.said_count++] = what;
    return false;
}

static void say_park(const struct fiber *self, const void *mutex, enum wait_reason reason)
{
    char line[LINE_BYTES_MAX];
    int n = snprintf(line, sizeof line,
                     "runnel: fiber %llu \"%s\", started at %s:%d, waits (%s) while it holds mutex "
                     "%p\n",
                     (unsigned long long)self->id, self->name, self->site->file, self->site->line,
                     wait_reason_name(reason), mutex);

    os_complain(line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

static void say_ring(const struct fiber *self, const void *first, const void *then)
{
    char line[LINE_BYTES_MAX];
    int n = snprintf(
        line, sizeof line,
        "runnel: lock order: fiber %llu \"%s\", started at %s:%d, locks mutex %p while "
        "it holds %p; elsewhere it is the other way round, so both can wait for ever\n",
        (unsigned long long)self->id, self->name, self->site->file, self->site->line, then, first);

    os_complain(line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

/* ---- the order ---- */

static bool edge_known_locked(const void *first, const void *then)
{
    for (uint32_t i = 0; i < order.count; i++)
        if (order.edges[i].first == first && order.edges[i].then == then)
            return true;
    return false;
}

/* Whether `to` is reached from `from`: spreads over the edges until nothing new is found. */
static bool reaches_locked(const void *from, const void *to)
{
    static bool reached[EDGES_MAX]; /* the edge's end is reached */
    bool more = true;

    memset(reached, 0, sizeof reached);
    while (more) {
        more = false;
        for (uint32_t i = 0; i < order.count; i++) {
            bool here = order.edges[i].first == from;
            for (uint32_t j = 0; j < order.count && !here; j++)
                here = reached[j] && order.edges[j].then == order.edges[i].first;
            if (!here || reached[i])
                continue;
            if (order.edges[i].then == to)
                return true;
            reached[i] = more = true;
        }
    }
    return false;
}

/* True when the new edge closes a ring. */
static bool add_edge(const void *first, const void *then)
{
    bool ring = false;

    spin_lock(&order.lock);
    if (!edge_known_locked(first, then) && order.count < EDGES_MAX) {
        ring = reaches_locked(then, first);
        order.edges[order.count++] = (struct edge){first, then};
    }
    spin_unlock(&order.lock);
    return ring;
}

void held_order(const void *mutex)
{
    struct fiber *self = fiber_here();
    struct held *held = self->held;

    for (uint32_t i = 0; held != NULL && i < held->count; i++)
        if (held->mutexes[i] != mutex && add_edge(held->mutexes[i], mutex))
            say_ring(self, held->mutexes[i], mutex);
}

/* ---- what is held ---- */

void held_add(const void *mutex)
{
    struct fiber *self = fiber_here();
    struct held *held = self->held;

    if (held == NULL && (held = self->held = calloc(1, sizeof *held)) == NULL)
        return;
    if (held->count < HELD_MAX)
        held->mutexes[held->count++] = mutex;
    else
        held->others++;
}

void held_remove(const void *mutex)
{
    struct held *held = fiber_here()->held;
    uint32_t i;

    if (held == NULL)
        return;
    for (i = held->count; i > 0 && held->mutexes[i - 1] != mutex; i--)
        ;
    if (i > 0) {
        held->count--;
        memmove(&held->mutexes[i - 1], &held->mutexes[i],
                (held->count - (i - 1)) * sizeof held->mutexes[0]);
    } else if (held->others > 0) {
        held->others--;
    } /* else it was locked before the runtime started */
}

/* A mutex that is waited for under another is a matter of order. */
void held_park(struct fiber *self, enum wait_reason reason)
{
    struct held *held = self->held;
    bool say;

    if (held->count == 0 || reason == WAIT_MUTEX)
        return;
    spin_lock(&order.lock);
    say = !said_before_locked((uint64_t)(uintptr_t)self->site * 64 + reason);
    spin_unlock(&order.lock);
    if (say)
        say_park(self, held->mutexes[0], reason);
}

void held_free(struct fiber *fiber)
{
    free(fiber->held);
    fiber->held = NULL;
}

void held_start(bool on)
{
    order.count = 0;
    order.said_count = 0;
    store_relaxed(&held_on, on);
}
