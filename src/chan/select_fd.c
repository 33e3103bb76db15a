/*
 * Select: cases that wait for a descriptor.
 *
 * A waiter is put into the entry's queue under the entry's lock, under which the kernel is asked
 * once more: a later event finds the waiter. A handle that is closed makes its case fire, with the
 * code -EBADF.
 */
#include "chan/select.h"
#include "wait/fd_wait.h"

#include <errno.h>
#include <stdlib.h>

int select_fd_hold(struct select_run *run)
{
    run->entries = calloc(run->n, sizeof(struct poll_entry *));
    if (run->entries == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < run->n; i++)
        if (run->cases[i].kind == RN_CASE_FD)
            run->entries[i] = poll_hold(run->cases[i].fd.handle);
    return 0;
}

void select_fd_drop(struct select_run *run)
{
    for (uint32_t i = 0; i < run->n; i++)
        if (run->entries[i] != NULL)
            poll_drop(run->entries[i]);
    free(run->entries);
}

static bool ready_locked(struct select_run *run, uint32_t i)
{
    rn_case *c = &run->cases[i];
    return fd_case_ready(run->entries[i], c->fd.handle, c->events);
}

bool select_fd_ready(struct select_run *run, uint32_t index)
{
    struct poll_entry *entry = run->entries[index];

    if (entry == NULL)
        return true; /* closed: the next call on it says so */
    spin_lock(&entry->lock);
    bool is_ready = ready_locked(run, index);
    spin_unlock(&entry->lock);
    return is_ready;
}

/* Puts one waiter into its queue, unless the case fires now. */
static bool enqueue_one(struct select_run *run, uint32_t i, struct fiber *self)
{
    struct poll_entry *entry = run->entries[i];
    struct waiter *w = &run->waiters[i];

    w->linked = false;
    if (entry == NULL)
        return false;
    w->fiber = self;
    w->lock = &entry->lock;
    w->select = &run->wait;
    w->index = i;
    spin_lock(&entry->lock);
    bool wait = !ready_locked(run, i);
    if (wait)
        waitq_enqueue(fd_queue(entry, fd_queue_for(run->cases[i].events)), w);
    spin_unlock(&entry->lock);
    return wait;
}

int select_fd_enqueue(struct select_run *run, struct fiber *self)
{
    int now = SELECT_NONE;

    add_seq(&poll_waiting, 1);
    for (uint32_t i = 0; i < run->n; i++)
        if (run->cases[i].kind == RN_CASE_FD && !enqueue_one(run, i, self))
            now = (int)i;
    return now;
}

void select_fd_dequeue(struct select_run *run, int winner)
{
    sub_seq(&poll_waiting, 1);
    for (uint32_t i = 0; i < run->n; i++) {
        struct waiter *w = &run->waiters[i];
        if (run->cases[i].kind != RN_CASE_FD || run->entries[i] == NULL || (int)i == winner)
            continue;
        spin_lock_known(w->lock);
        if (w->linked)
            waitq_remove(w);
        spin_unlock(w->lock);
    }
}
