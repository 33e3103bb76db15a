/*
 * The checks behind RUNNEL_DEBUG=lock; see held.h.
 *
 * Each pair "a was held when b was locked" is an edge; an edge that closes a ring is a deadlock
 * that has only not happened yet. Locks have no end that could be seen, so an address that is used
 * again may bring a false report: therefore these are reports, and the program goes on. So may a
 * reader whose lock somebody else gives back, which is allowed. Readers count in the order as
 * writers do: with a writer between them they wait for each other all the same.
 *
 * Everything is bounded: what does not fit is not checked.
 */
#include "sched/held.h"

#include "base/spinlock.h"
#include "os/os.h"
#include "sched/park.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HELD_MAX 16
#define EDGES_MAX 1024
#define SAID_MAX 64
#define LINE_BYTES_MAX 400
#define SAID_READ_AGAIN 63 /* no wait reason */

struct held_lock {
    const void *lock;
    enum held_kind kind;
};

struct held {
    uint32_t count;
    uint32_t others; /* held, too, but not remembered */
    struct held_lock locks[HELD_MAX];
};

struct edge {
    const void *first, *then;
};

atomic_u32 held_on;

static struct {
    SPINLOCK(lock, held_order); /* guards the rest */
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

static const char *kind_name(enum held_kind kind)
{
    return kind == HELD_MUTEX ? "mutex" : "rwmutex";
}

__attribute__((format(printf, 3, 4))) static void say(const struct fiber *self, const char *topic,
                                                      const char *format, ...)
{
    char line[LINE_BYTES_MAX], what[LINE_BYTES_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    char origin[ORIGIN_BYTES_MAX];
    fiber_origin(self->site, origin);
    int n = snprintf(line, sizeof line, "runnel: %sfiber %llu \"%s\", %s, %s\n", topic,
                     (unsigned long long)self->id, self->name, origin, what);
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

static void say_ring(const struct fiber *self, const struct held_lock *first, const void *then,
                     enum held_kind kind)
{
    say(self, "lock order: ",
        "locks %s %p while it holds %s %p; elsewhere it is the other way round, so both can wait "
        "for ever",
        kind_name(kind), then, kind_name(first->kind), first->lock);
}

void held_order(const void *lock, enum held_kind kind)
{
    struct fiber *self = fiber_here();
    struct held *held = self->held;

    for (uint32_t i = 0; held != NULL && i < held->count; i++)
        if (held->locks[i].lock != lock && add_edge(held->locks[i].lock, lock))
            say_ring(self, &held->locks[i], lock, kind);
}

/* ---- what is held ---- */

void held_add(const void *lock, enum held_kind kind)
{
    struct fiber *self = fiber_here();
    struct held *held = self->held;

    if (held == NULL && (held = self->held = calloc(1, sizeof *held)) == NULL)
        return;
    if (held->count < HELD_MAX)
        held->locks[held->count++] = (struct held_lock){lock, kind};
    else
        held->others++;
}

void held_remove(const void *lock)
{
    struct held *held = fiber_here()->held;
    uint32_t i;

    if (held == NULL)
        return;
    for (i = held->count; i > 0 && held->locks[i - 1].lock != lock; i--)
        ;
    if (i > 0) {
        held->count--;
        memmove(&held->locks[i - 1], &held->locks[i],
                (held->count - (i - 1)) * sizeof held->locks[0]);
    } else if (held->others > 0) {
        held->others--;
    } /* else it was locked before the runtime started, or by another reader */
}

bool held_has(const void *lock, enum held_kind kind)
{
    const struct held *held = fiber_here()->held;

    for (uint32_t i = 0; held != NULL && i < held->count; i++)
        if (held->locks[i].lock == lock && held->locks[i].kind == kind)
            return true;
    return false;
}

/* Each thing once for each place where fibers are started. what: a wait reason, or above them. */
static bool said_before(const struct fiber *self, unsigned what)
{
    spin_lock(&order.lock);
    bool said = said_before_locked((uint64_t)(uintptr_t)self->site * 64 + what);
    spin_unlock(&order.lock);
    return said;
}

void held_read_again(const void *lock)
{
    const struct fiber *self = fiber_here();

    if (!said_before(self, SAID_READ_AGAIN))
        say(self, "",
            "locks rwmutex %p for reading again: a writer that waits in between stops it for ever",
            lock);
}

/* What is waited for under another lock to get a lock is a matter of order. */
static bool waits_for_lock(enum wait_reason reason)
{
    return reason == WAIT_MUTEX || reason == WAIT_RWMUTEX_READ || reason == WAIT_RWMUTEX_WRITE;
}

void held_park(struct fiber *self, enum wait_reason reason)
{
    struct held *held = self->held;

    if (held->count == 0 || waits_for_lock(reason) || said_before(self, reason))
        return;
    say(self, "", "waits (%s) while it holds %s %p", wait_reason_name(reason),
        kind_name(held->locks[0].kind), held->locks[0].lock);
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
