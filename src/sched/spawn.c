/* Taking a stack for a new fiber; the public rn_go_at is in wait/, which knows contexts. */
#include "sched/detail.h"
#include "sched/sched.h"

#include <stdio.h>

/* Numbers are handed out in blocks, so that a spawn touches nothing shared. */
uint64_t fiber_next_id(struct worker *worker)
{
    if (worker == NULL)
        return add_relaxed(&sched.next_id, 1);
    if (worker->id_next == worker->id_end) {
        worker->id_next = add_relaxed(&sched.next_id, IDS_AT_ONCE);
        worker->id_end = worker->id_next + IDS_AT_ONCE;
    }
    return worker->id_next++;
}

int fiber_reserve(struct worker *worker, struct fiber **out, size_t stack_bytes)
{
    const char *detail = NULL;
    int err = stack_take(out, worker == NULL ? NULL : &worker->stacks, stack_bytes, &detail);

    if (err != 0 && detail != NULL)
        error_detail_set("%s", detail);
    return err;
}

int fiber_take(struct fiber **out, size_t stack_bytes)
{
    struct worker *worker = worker_here();
    int err = ensure_runtime();

    if (err == 0)
        err = fiber_reserve(worker, out, stack_bytes);
    if (err == 0)
        fiber_clear(*out, fiber_next_id(worker));
    return err;
}

void fiber_untake(struct fiber *fiber)
{
    struct worker *worker = worker_here();
    stack_give(worker == NULL ? NULL : &worker->stacks, fiber);
}

void fiber_origin(const rn_site *site, char *to)
{
    if (site->line > 0)
        snprintf(to, ORIGIN_BYTES_MAX, "started at %s:%d", site->file, site->line);
    else
        snprintf(to, ORIGIN_BYTES_MAX, "started by %s", site->file);
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
