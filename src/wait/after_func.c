/*
 * Functions that run on a fiber of their own once a context has ended.
 *
 * One with a handle holds a reference to the context until the handle is given back; one without
 * belongs to the context, and is freed when it has fired or with the context.
 */
#include "sched/park.h"
#include "wait/ctx.h"

#include <errno.h>
#include <stdlib.h>

struct rn_ctx_stop {
    struct watch watch;
    void (*fn)(void *arg);
    void *arg;
    bool has_handle;
};

static void launch(void (*fn)(void *arg), void *arg)
{
    static const rn_site site = {"rn_ctx_after_func", 0, "after_func"};
    if (rn_go_at(&site, NULL, fn, arg, 0) != 0)
        fn(arg); /* no stack to be had: better here than not at all */
}

static void fire(struct watch *watch, int err)
{
    rn_ctx_stop *stop = container_of(watch, rn_ctx_stop, watch);
    (void)err;
    launch(stop->fn, stop->arg);
    if (stop->has_handle)
        watch_fired(watch);
    else
        free(stop);
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
    stop->has_handle = out != NULL;
    if (out != NULL) {
        rn_ctx_retain(ctx);
        *out = stop;
    }
    if (ctx_watch(ctx, &stop->watch, fire) != 0) {
        launch(fn, arg);
        if (out == NULL)
            free(stop);
    }
    return 0;
}

bool rn_ctx_stop_func(rn_ctx_stop *stop)
{
    rn_ctx *ctx = stop->watch.ctx;
    bool prevented = ctx_unwatch(&stop->watch);
    free(stop);
    rn_ctx_drop(ctx);
    return prevented;
}

void after_funcs_free(rn_ctx *ctx)
{
    struct list_node *node;
    while ((node = list_pop_front(&ctx->watches)) != NULL)
        free(container_of(container_of(node, struct watch, node), rn_ctx_stop, watch));
}
