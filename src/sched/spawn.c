/* Taking a stack for a new fiber; the public rn_go_at is in wait/, which knows contexts. */
#include "sched/detail.h"
#include "sched/sched.h"

/* Numbers are handed out in blocks, so that a spawn touches nothing shared. */
static uint64_t next_id(struct worker *worker)
{
    if (worker == NULL)
        return add_relaxed(&sched.next_id, 1);
    if (worker->id_next == worker->id_end) {
        worker->id_next = add_relaxed(&sched.next_id, IDS_AT_ONCE);
        worker->id_end = worker->id_next + IDS_AT_ONCE;
    }
    return worker->id_next++;
}

int fiber_take(struct fiber **out, size_t stack_bytes)
{
    struct worker *worker = worker_here();
    const char *detail = NULL;
    int err = worker == NULL ? thread_ensure_runtime() : 0;

    if (err != 0)
        return err;
    err = stack_take(out, worker == NULL ? NULL : &worker->stacks, stack_bytes, &detail);
    if (err != 0) {
        if (detail != NULL)
            error_detail_set("%s", detail);
        return err;
    }
    struct fiber *fiber = *out;
    fiber->id = next_id(worker);
    fiber->pinned = NULL;
    fiber->pin = false;
    fiber->leave = NULL;
    fiber->ctx = NULL;
    fiber->locals = NULL;
    fiber->detail = NULL;
    fiber->held = NULL;
    store_relaxed(&fiber->reason, WAIT_NONE);
    store_relaxed(&fiber->wait, NULL);
    return 0;
}

void fiber_untake(struct fiber *fiber)
{
    struct worker *worker = worker_here();
    stack_give(worker == NULL ? NULL : &worker->stacks, fiber);
}

uint64_t rn_fiber_id(void)
{
    struct worker *worker = worker_here();
    return worker == NULL ? 0 : worker->current->id;
}

const char *rn_fiber_name(void)
{
    struct worker *worker = worker_here();
    return worker == NULL ? "" : worker->current->name;
}
