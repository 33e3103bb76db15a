/*
 * Functions that run on a fiber of their own once a context has ended.
 *
 * One with a handle holds a reference to the context until the handle is given back; one without
 * belongs to the context, and is freed when it has been started or with the context.
 *
 * Without memory for the fiber a timer tries again. Rejected: calling the function where the
 * context was ended. That may be no fiber at all, and the end is not over before the function
 * returns: one that cancels the same context would wait for itself.
 */
#include "sched/park.h"
#include "wait/ctx.h"

#include <errno.h>
#include <stdlib.h>

#define RETRY_NS RN_MILLISECOND

struct rn_ctx_stop {
    struct watch watch;
    struct timer retry; /* armed while there is no memory for the fiber */
    void (*fn)(void *arg);
    void *arg;
    bool has_handle;
    atomic_u32 references; /* of the handle, and of the start to come */
};

static void release(rn_ctx_stop *stop)
{
    if (sub_seq(&stop->references, 1) == 1)
        free(stop);
}

/* Starts the function, or has that tried again. Takes over one reference. */
static void start(rn_ctx_stop *stop)
{
    static const rn_site site = {"rn_ctx_after_func", 0, "after_func"};

    if (rn_go_at(&site, NULL, stop->fn, stop->arg, 0) != 0) {
        if (timer_arm(&stop->retry, rn_time_add(rn_now(), RETRY_NS)) == 0)
            return;
        stop->fn(stop->arg); /* not even memory for a timer: better here than not at all */
    }
    release(stop);
}

static void start_again(struct timer *timer)
{
    start(container_of(timer, rn_ctx_stop, retry));
}

static void fire(struct watch *watch, int err)
{
    rn_ctx_stop *stop = container_of(watch, rn_ctx_stop, watch);
    bool has_handle = stop->has_handle;

    (void)err;
    start(stop);
    if (has_handle)
        watch_fired(watch);
}

int rn_ctx_after_func(rn_ctx *ctx, void (*fn)(void *arg), void *arg, rn_ctx_stop **out)
{
    if (ctx == NULL || fn == NULL)
        return -EINVAL;
    rn_ctx_stop *stop = calloc(1, sizeof *stop);
    if (stop == NULL)
        return -ENOMEM;
    stop->fn = fn;
    stop->arg = arg;
    stop->retry.fire = start_again;
    stop->has_handle = out != NULL;
    store_relaxed(&stop->references, out != NULL ? 2 : 1);
    if (out != NULL) {
        rn_ctx_retain(ctx);
        *out = stop;
    }
    if (ctx_watch(ctx, &stop->watch, fire) != 0)
        start(stop);
    return 0;
}

bool rn_ctx_stop_func(rn_ctx_stop *stop)
{
    rn_ctx *ctx = stop->watch.ctx;
    bool prevented = ctx_unwatch(&stop->watch);
    if (prevented)
        release(stop); /* for the start that does not come */
    release(stop);
    rn_ctx_drop(ctx);
    return prevented;
}

void after_funcs_free(rn_ctx *ctx)
{
    struct list_node *node;
    while ((node = list_pop_front(&ctx->watches)) != NULL)
        free(container_of(container_of(node, struct watch, node), rn_ctx_stop, watch));
}
