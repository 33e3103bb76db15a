/*
 * What one running select is made of; shared by select.c (deciding) and select_wait.c (waiting).
 *
 * It lives on the selecting stack. Up to SELECT_INLINE cases its arrays do too; those of longer
 * lists are allocated.
 */
#ifndef RN_CHAN_SELECT_H
#define RN_CHAN_SELECT_H

#include "chan/chan.h"
#include "sched/poller.h"
#include "sched/timer.h"
#include "wait/ctx.h"

#include <runnel/select.h>

#define SELECT_INLINE 16
#define SELECT_NONE (-1) /* no case; not an error code */

/* A context case's watch. */
struct select_done {
    struct watch watch;
    struct select_run *run;
    uint32_t index;
    bool watched;
};

struct select_run {
    struct select_wait wait;
    rn_case *cases;
    uint32_t n;
    unsigned flags;
    int default_index; /* SELECT_NONE: there is none */
    uint32_t channels; /* channel cases that can fire */
    rn_time until;     /* the earliest timeout case's end, or RN_FOREVER */
    int timeout_index;
    bool has_done;
    bool has_fd;
    struct poll_entry **entries; /* one a case, when has_fd; NULL where the handle is closed */
    void *place;                 /* for a receive whose value nobody wants */

    struct waiter *waiters;  /* one a case */
    struct spinlock **locks; /* of the channels, each once, in address order */
    uint32_t lock_count;
    struct select_done *dones; /* one a case, or NULL when has_done is false */
    struct timer timer;
};

/* Whether a case can ever be chosen among the channels. */
static inline bool case_is_channel(const rn_case *c)
{
    return (c->kind == RN_CASE_SEND || c->kind == RN_CASE_RECV) && c->chan != NULL;
}

/* All channel locks, in address order; and back. */
void select_lock(struct select_run *run);
void select_unlock(struct select_run *run);

/* What the caller is told of a channel case that fired: code is 0 or RN_ECLOSED. */
void select_fired(struct select_run *run, uint32_t index, int code);
/* Where a channel case's value lies. */
void *select_place(struct select_run *run, uint32_t index);

/*
 * Descriptor cases, in select_fd.c. Entries are held from hold to drop, so that numbers are not
 * reused meanwhile. ready asks the kernel. enqueue returns a case that fires at once, or
 * SELECT_NONE; under no lock but those of channels.
 */
int select_fd_hold(struct select_run *run); /* 0 or -ENOMEM */
void select_fd_drop(struct select_run *run);
bool select_fd_ready(struct select_run *run, uint32_t index);
int select_fd_enqueue(struct select_run *run, struct fiber *self);
void select_fd_dequeue(struct select_run *run, int winner);

/*
 * Called with every lock held and nothing ready: waits, and returns the winner with all traces
 * removed.
 */
int select_park(struct select_run *run, rn_ctx *ctx);

#endif
