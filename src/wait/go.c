/* Starting fibers: the public rn_go_at. */
#include "fiber/stack.h"
#include "sched/detail.h"
#include "sched/park.h"
#include "wait/ctx.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

static const rn_site nowhere = {"unknown", 0, "fiber"};

static int check_sizes(size_t stack_size, size_t copy_size)
{
    size_t stack = stack_size == 0 ? stack_default_bytes() : stack_size;

    if (stack_size != 0 && (stack_size < STACK_BYTES_MIN || stack_size > STACK_BYTES_MAX)) {
        error_detail_set("stack_size %zu: must be from %u to %u bytes", stack_size, STACK_BYTES_MIN,
                         STACK_BYTES_MAX);
        return -EINVAL;
    }
    if (copy_size > stack / 4) {
        error_detail_set("a copy of %zu bytes does not fit a quarter of a stack of %zu", copy_size,
                         stack);
        return -EINVAL;
    }
    return 0;
}

static void apply(struct fiber *fiber, const rn_go_options *opt)
{
    if (opt->name != NULL)
        fiber->name = opt->name;
    fiber->pin = opt->pinned;
    if (opt->ctx != NULL) {
        ctx_adopt(opt->ctx, fiber);
        fiber->leave = ctx_leave;
    }
}

int rn_go_at(const rn_site *site, const rn_go_options *opt, void (*fn)(void *arg), const void *arg,
             size_t copy_size)
{
    struct fiber *fiber;
    int err = 0;

    site = site == NULL ? &nowhere : site;
    if (likely(opt == NULL)) {
        err = fiber_sow(site, fn, (void *)(uintptr_t)arg, copy_size);
        if (likely(err != -EAGAIN))
            return err;
        err = 0;
    }
    if (unlikely(copy_size != 0 || opt != NULL)) {
        err = ensure_runtime();
        if (err == 0) /* the default stack size is known from here on */
            err = check_sizes(opt == NULL ? 0 : opt->stack_size, copy_size);
    }
    if (err == 0)
        err = fiber_take(&fiber, opt == NULL ? 0 : opt->stack_size);
    if (err != 0)
        return err;
    void *top = fiber;
    fiber->fn = fn;
    fiber->arg = (void *)(uintptr_t)arg;
    fiber->site = site;
    fiber->name = fiber->site->function;
    if (copy_size != 0) {
        top = fiber_copy_place(fiber, copy_size);
        fiber->arg = memcpy(top, arg, copy_size);
    }
    if (opt != NULL)
        apply(fiber, opt);
    fiber_make(fiber, top);
    fiber_launch(fiber);
    return 0;
}
