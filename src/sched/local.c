/*
 * Fiber-local variables: a table of destroyers for the process, and in each fiber that set one an
 * array of values.
 *
 * Invariant: destroyers[i] is written before slot i + 1 is handed out, and never again; so whoever
 * holds a value of that slot may read it.
 */
#include "sched/local.h"

#include "fiber/fiber.h"
#include "sched/park.h"

#include <stdlib.h>

#define RN_LOCALS 64
#define DESTROY_ROUNDS_MAX 4 /* a destroyer may set values again; so often are they looked for */

STATIC_SPINLOCK(lock, local_lock); /* guards locals_made, and destroyers while they are written */
static uint32_t locals_made;
static void (*destroyers[RN_LOCALS])(void *value);

int rn_local_new(rn_local *out, void (*destroy)(void *value))
{
    uint32_t slot = 0;

    spin_lock(&lock);
    if (locals_made < RN_LOCALS) {
        destroyers[locals_made] = destroy;
        slot = ++locals_made;
    }
    spin_unlock(&lock);
    out->slot = slot;
    return slot != 0 ? 0 : -ENOSPC;
}

static bool made(rn_local local)
{
    return local.slot >= 1 && local.slot <= RN_LOCALS;
}

void *rn_local_get(rn_local local)
{
    if (!made(local))
        return NULL;
    const struct fiber *fiber = fiber_here();
    return fiber->locals != NULL ? fiber->locals[local.slot - 1] : NULL;
}

int rn_local_set(rn_local local, void *value)
{
    if (!made(local))
        return -EINVAL;
    struct fiber *fiber = fiber_here();
    if (fiber->locals == NULL) {
        fiber->locals = calloc(RN_LOCALS, sizeof *fiber->locals);
        if (fiber->locals == NULL)
            return -ENOMEM;
    }
    fiber->locals[local.slot - 1] = value;
    return 0;
}

/* One round over the values; false when there was nothing to destroy. */
static bool destroy_round(struct fiber *fiber)
{
    bool any = false;
    for (uint32_t i = 0; i < RN_LOCALS; i++) {
        void *value = fiber->locals[i];
        fiber->locals[i] = NULL;
        if (value == NULL || destroyers[i] == NULL)
            continue;
        destroyers[i](value);
        any = true;
    }
    return any;
}

void locals_destroy(struct fiber *fiber)
{
    if (fiber->locals == NULL)
        return;
    for (int round = 0; round < DESTROY_ROUNDS_MAX && destroy_round(fiber); round++)
        continue;
    free(fiber->locals);
    fiber->locals = NULL;
}
