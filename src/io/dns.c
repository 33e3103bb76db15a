/*
 * Looking hosts up without holding workers.
 *
 * The C library's resolver blocks its thread, cannot be interrupted, and knows what the machine's
 * administrator configured: files, DNS, directories. So it is asked in a blocking section on a
 * fiber of its own. A caller whose context ends leaves; the lookup finishes, and who finishes it
 * frees it then.
 *
 * A few fibers serve a queue, so that a thousand callers do not take a thousand threads. They end
 * when the queue is empty.
 *
 * Invariants: a lookup is in `all` from its making to its freeing. It is freed by its caller, who
 * has seen the result or takes it out of the queue; or by the fiber that serves it, when the caller
 * has left. The runtime's end frees the rest: their callers were dropped.
 */
#include "base/spinlock.h"
#include "io/address.h"
#include "sched/runtime.h"
#include "wait/ctx.h"
#include "wait/waitq.h"

#include <errno.h>
#include <runnel/fiber.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LOOKUPS_AT_ONCE_MAX 32

enum lookup_state { LOOKUP_QUEUED, LOOKUP_RUNS, LOOKUP_DONE };

/* All but name and, while it runs, hosts and result is guarded by lookups.lock. */
struct lookup {
    struct list_node node;   /* in lookups.all */
    struct list_node queued; /* in lookups.queue, while LOOKUP_QUEUED */
    enum lookup_state state;
    bool left; /* the caller is gone */
    struct waitq caller;
    int result; /* as os_host_lookup */
    struct os_host hosts[HOSTS_MAX];
    char name[HOST_BYTES_MAX + 1];
};

static struct {
    SPINLOCK(lock, lookups_lock); /* guards all; the caller waits from under it */
    struct list all;
    struct list queue;
    uint32_t fibers; /* that serve the queue */
} lookups;

/* No fiber of the runtime runs any more. */
static void lookups_stop(void)
{
    struct list_node *node;

    while ((node = list_pop_front(&lookups.all)) != NULL)
        free(container_of(node, struct lookup, node));
    lookups.queue = (struct list){0};
    lookups.fibers = 0;
}

/* ---- serving ---- */

static int ask(void *arg)
{
    struct lookup *lookup = arg;
    lookup->result = os_host_lookup(lookup->name, lookup->hosts, HOSTS_MAX);
    return 0;
}

/* The result is there, or never will be. Called with the lock, which it releases. */
static void finish(struct lookup *lookup)
{
    bool left = lookup->left;
    struct waiter *waiter = left ? NULL : waitq_pop(&lookup->caller);

    lookup->state = LOOKUP_DONE;
    if (left)
        list_remove(&lookups.all, &lookup->node);
    spin_unlock(&lookups.lock);
    if (left)
        free(lookup);
    if (waiter != NULL)
        waiter_wake(waiter, 0);
}

static struct lookup *queue_pop_locked(void)
{
    struct list_node *node = list_pop_front(&lookups.queue);
    return node == NULL ? NULL : container_of(node, struct lookup, queued);
}

static void serve(void *unused)
{
    struct lookup *lookup;

    (void)unused;
    spin_lock(&lookups.lock);
    while ((lookup = queue_pop_locked()) != NULL) {
        lookup->state = LOOKUP_RUNS;
        spin_unlock(&lookups.lock);
        rn_blocking(ask, lookup);
        spin_lock(&lookups.lock);
        finish(lookup);
        spin_lock(&lookups.lock);
    }
    lookups.fibers--;
    spin_unlock(&lookups.lock);
}

/* A fiber could not be started. When it would have been the only one, nobody serves the queue. */
static void serve_failed(int err)
{
    struct lookup *lookup;

    spin_lock(&lookups.lock);
    lookups.fibers--;
    while (lookups.fibers == 0 && (lookup = queue_pop_locked()) != NULL) {
        lookup->result = err;
        finish(lookup);
        spin_lock(&lookups.lock);
    }
    spin_unlock(&lookups.lock);
}

/* One more fiber for the queue, unless there are enough. */
static void serve_more(void)
{
    static struct runtime_stop stop = {.fn = lookups_stop};

    runtime_at_stop(&stop);
    spin_lock(&lookups.lock);
    bool enough = lookups.fibers >= LOOKUPS_AT_ONCE_MAX;
    lookups.fibers += !enough;
    spin_unlock(&lookups.lock);
    int err = enough ? 0 : rn_go_with(&(rn_go_options){.name = "host lookup"}, serve, NULL);
    if (err != 0)
        serve_failed(err);
}

/* ---- asking ---- */

static struct lookup *lookup_new(const char *name)
{
    struct lookup *lookup = calloc(1, sizeof *lookup);
    if (lookup == NULL)
        return NULL;
    strcpy(lookup->name, name);
    spin_lock(&lookups.lock);
    list_push_back(&lookups.all, &lookup->node);
    list_push_back(&lookups.queue, &lookup->queued);
    spin_unlock(&lookups.lock);
    return lookup;
}

/* The caller is done with it, whatever its state. Called with the lock, which it releases. */
static void leave(struct lookup *lookup)
{
    bool runs = lookup->state == LOOKUP_RUNS;

    if (lookup->state == LOOKUP_QUEUED)
        list_remove(&lookups.queue, &lookup->queued);
    if (runs)
        lookup->left = true;
    else
        list_remove(&lookups.all, &lookup->node);
    spin_unlock(&lookups.lock);
    if (!runs)
        free(lookup);
}

/* How many hosts, or why there is none. */
static int await_result(rn_ctx *ctx, struct lookup *lookup, struct os_host *out, int room)
{
    struct waiter waiter = {0};
    int result = 0;

    spin_lock(&lookups.lock);
    if (lookup->state != LOOKUP_DONE) {
        result = waitq_wait(ctx, &lookup->caller, &lookups.lock, &waiter, WAIT_LOOKUP);
        spin_lock(&lookups.lock);
    }
    if (result == 0) {
        result = lookup->result < room ? lookup->result : room;
        if (result > 0)
            memcpy(out, lookup->hosts, (size_t)result * sizeof *out);
    }
    leave(lookup);
    return result;
}

/* RFC 6761: nothing below .invalid exists, and nobody needs to be asked. */
static bool is_invalid(const char *name)
{
    size_t length = strlen(name);

    if (length > 0 && name[length - 1] == '.')
        length--;
    if (length < 7 || strncasecmp(name + length - 7, "invalid", 7) != 0)
        return false;
    return length == 7 || name[length - 8] == '.';
}

int host_lookup(rn_ctx *ctx, const char *name, struct os_host *out, int room)
{
    int err = ctx_err(ctx);

    if (err != 0)
        return err;
    if (is_invalid(name))
        return -ENOENT;
    fiber_here(); /* starts the runtime */
    struct lookup *lookup = lookup_new(name);
    if (lookup == NULL)
        return -ENOMEM;
    serve_more();
    return await_result(ctx, lookup, out, room);
}
