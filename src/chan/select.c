/*
 * Select: deciding. The public side is runnel/select.h; waiting is in select_wait.c.
 *
 * First each channel's ready bits are looked at without a lock; of those that look ready one is
 * picked at random and tried under its own lock. That is exact: the select then is that one
 * operation, at that instant. Only when nothing looks ready are all locks taken, in address order,
 * to see one instant in which nothing is ready: then the default is taken, or the select waits in
 * every queue. In order all locks are taken too, unless the first case is ready: another may be
 * taken only at an instant in which those before it are not.
 *
 * Go shuffles the cases and takes all locks each time; where something is ready this takes one.
 */
#include "chan/select.h"

#include <errno.h>
#include <stdlib.h>

#define TRIES_MAX 4 /* looks without all locks, when others keep getting there first */
#define QUICK_MAX 8 /* cases, the default among them, that are looked at without any lock */

/* ---- the cases ---- */

static int examine_case(struct select_run *run, uint32_t i)
{
    rn_case *c = &run->cases[i];

    switch (c->kind) {
    case RN_CASE_NONE:
        return 0;
    case RN_CASE_SEND:
    case RN_CASE_RECV:
        run->channels += c->chan != NULL;
        return 0;
    case RN_CASE_DEFAULT:
        if (run->default_index != SELECT_NONE)
            return -EINVAL;
        run->default_index = (int)i;
        return 0;
    case RN_CASE_TIMEOUT: {
        rn_time until = c->timeout == RN_FOREVER ? RN_FOREVER : rn_time_add(rn_now(), c->timeout);
        if (run->timeout_index == SELECT_NONE || until < run->until) {
            run->until = until;
            run->timeout_index = (int)i;
        }
        return 0;
    }
    case RN_CASE_DONE:
        run->has_done |= c->ctx != NULL;
        return 0;
    case RN_CASE_FD:
        run->has_fd = true;
        return 0;
    }
    return -EINVAL;
}

static int examine(struct select_run *run)
{
    int err = run->flags & ~RN_SELECT_IN_ORDER ? -EINVAL : 0;
    for (uint32_t i = 0; i < run->n && err == 0; i++)
        err = examine_case(run, i);
    return err;
}

/* Whether a case looks ready, without a lock but for a descriptor, which is asked. */
static bool looks_ready(struct select_run *run, uint32_t i)
{
    rn_case *c = &run->cases[i];

    switch (c->kind) {
    case RN_CASE_RECV:
        return c->chan != NULL && (load_relaxed(&c->chan->ready) & CHAN_CAN_RECV);
    case RN_CASE_SEND:
        return c->chan != NULL && (load_relaxed(&c->chan->ready) & CHAN_CAN_SEND);
    case RN_CASE_TIMEOUT:
        return c->timeout <= 0;
    case RN_CASE_DONE:
        return ctx_err(c->ctx) != 0;
    case RN_CASE_FD:
        return select_fd_ready(run, i);
    default:
        return false;
    }
}

/* The first of the cases before end that looks ready, or SELECT_NONE. */
static int first_ready(struct select_run *run, uint32_t end)
{
    for (uint32_t i = 0; i < end; i++)
        if (looks_ready(run, i))
            return (int)i;
    return SELECT_NONE;
}

/*
 * In order. A case that was looked at may have become ready before a later one did, which was found
 * ready: so those before it are looked at again.
 */
static int pick_first(struct select_run *run)
{
    int picked = first_ready(run, run->n), earlier;

    while (picked > 0 && (earlier = first_ready(run, (uint32_t)picked)) != SELECT_NONE)
        picked = earlier;
    return picked;
}

/* One of the cases that look ready, each as likely, or SELECT_NONE. */
static int pick_ready(struct select_run *run)
{
    uint32_t seen = 0;
    int picked = SELECT_NONE;

    if (run->flags & RN_SELECT_IN_ORDER)
        return pick_first(run);
    for (uint32_t i = 0; i < run->n; i++) {
        if (!looks_ready(run, i))
            continue;
        seen++;
        if (seen == 1 || random_here(seen) == 0)
            picked = (int)i;
    }
    return picked;
}

/* ---- one case ---- */

void *select_place(struct select_run *run, uint32_t index)
{
    rn_case *c = &run->cases[index];
    return c->value != NULL || c->kind == RN_CASE_SEND ? c->value : run->place;
}

static enum chan_step step_locked(struct select_run *run, uint32_t i, struct waiter **wake)
{
    rn_case *c = &run->cases[i];
    return c->kind == RN_CASE_SEND ? chan_send_step(c->chan, c->value, wake)
                                   : chan_recv_step(c->chan, select_place(run, i), wake);
}

void select_fired(struct select_run *run, uint32_t index, int code)
{
    rn_case *c = &run->cases[index];

    if (c->code != NULL)
        *c->code = code;
    if (c->kind != RN_CASE_RECV || code != 0)
        return;
    if (c->value == NULL && c->chan->drop != NULL)
        c->chan->drop(run->place);
    chan_received(c->chan);
}

static void finish_step(struct select_run *run, uint32_t i, enum chan_step step,
                        struct waiter *wake)
{
    if (wake != NULL)
        waiter_wake(wake, 0);
    select_fired(run, i, step == CHAN_CLOSED ? RN_ECLOSED : 0);
    budget_spend();
}

/* Tries one case that looked ready. False: somebody else was faster. */
static bool try_case(struct select_run *run, uint32_t i)
{
    rn_case *c = &run->cases[i];
    struct waiter *wake;

    if (!case_is_channel(c))
        return true;
    spin_lock(&c->chan->lock);
    enum chan_step step = step_locked(run, i, &wake);
    chan_unlock(c->chan);
    if (step == CHAN_BLOCKED)
        return false;
    finish_step(run, i, step, wake);
    return true;
}

/* ---- all at one instant ---- */

/* With every lock held: the case to take, or SELECT_NONE. */
static int pick_locked(struct select_run *run)
{
    for (uint32_t i = 0; i < run->n; i++)
        if (case_is_channel(&run->cases[i]))
            chan_publish_ready(run->cases[i].chan); /* exact from here on */
    return pick_ready(run);
}

/*
 * An event that was on its way may wake a select for what has been read since, which a call on the
 * descriptor would wait for.
 */
static bool woken_in_vain(struct select_run *run, int winner)
{
    return winner >= 0 && run->cases[winner].kind == RN_CASE_FD &&
           !select_fd_ready(run, (uint32_t)winner);
}

/* Decides under all the locks: a case, the default, or waits. */
static int decide(struct select_run *run, rn_ctx *ctx)
{
    if (run->default_index == SELECT_NONE)
        (void)fiber_here(); /* before the locks */
    for (;;) {
        struct waiter *wake = NULL;
        select_lock(run);
        int i = pick_locked(run);
        if (i == SELECT_NONE && run->default_index == SELECT_NONE) {
            int winner = select_park(run, ctx);
            if (woken_in_vain(run, winner))
                continue;
            return winner;
        }
        if (i == SELECT_NONE || !case_is_channel(&run->cases[i])) {
            select_unlock(run);
            return i == SELECT_NONE ? run->default_index : i;
        }
        enum chan_step step = step_locked(run, (uint32_t)i, &wake);
        chan_publish_ready(run->cases[i].chan);
        select_unlock(run);
        if (step != CHAN_BLOCKED) {
            finish_step(run, (uint32_t)i, step, wake);
            return i;
        }
    }
}

/* ---- the default at once ---- */

/* The channel's word; clears *idle when it looks ready for the case. */
static uint32_t idle_word(const rn_case *c, bool *idle)
{
    uint32_t word = load_acquire(&c->chan->ready); /* E52 */
    *idle &= (word & (c->kind == RN_CASE_SEND ? CHAN_CAN_SEND : CHAN_CAN_RECV)) == 0;
    return word;
}

/*
 * The default's index when it comes last, after a few channels, and none of them is ready;
 * otherwise SELECT_NONE.
 *
 * None looked ready, and then no word had changed: so there was an instant, between the two looks,
 * at which none was ready, and no lock is needed to see it.
 */
static int default_at_once(const rn_case *cases, size_t n)
{
    uint32_t words[QUICK_MAX];
    uint32_t channels = (uint32_t)n - 1;
    bool idle = true;

    for (uint32_t i = 0; i < channels; i++) {
        if (!case_is_channel(&cases[i]))
            return SELECT_NONE;
        words[i] = idle_word(&cases[i], &idle);
        if (!idle)
            return SELECT_NONE;
    }
    for (uint32_t i = 0; channels > 1 && i < channels; i++)
        if (idle_word(&cases[i], &idle) != words[i])
            return SELECT_NONE;
    return (int)channels;
}

/* ---- the whole ---- */

/* Room for a value that nobody wants, as large as the largest such element. */
static int make_place(struct select_run *run)
{
    size_t size = 0;

    for (uint32_t i = 0; i < run->n; i++) {
        rn_case *c = &run->cases[i];
        if (c->kind == RN_CASE_RECV && c->chan != NULL && c->value == NULL &&
            c->chan->element_size >= size)
            size = c->chan->element_size + 1;
    }
    if (size != 0 && (run->place = malloc(size)) == NULL)
        return -ENOMEM;
    return 0;
}

static int decide_inline(struct select_run *run, rn_ctx *ctx)
{
    struct waiter waiters[run->n + 1];
    struct spinlock *locks[run->n + 1];
    struct select_done dones[run->has_done ? run->n : 1];

    run->waiters = waiters;
    run->locks = locks;
    run->dones = run->has_done ? dones : NULL;
    return decide(run, ctx);
}

static int decide_allocated(struct select_run *run, rn_ctx *ctx)
{
    size_t each = sizeof *run->waiters + sizeof *run->dones + sizeof *run->locks;
    unsigned char *memory = calloc(run->n, each);

    if (memory == NULL)
        return -ENOMEM;
    run->waiters = (struct waiter *)memory;
    run->dones = (struct select_done *)(run->waiters + run->n);
    run->locks = (struct spinlock **)(run->dones + run->n);
    if (!run->has_done)
        run->dones = NULL;
    int result = decide(run, ctx);
    free(memory);
    return result;
}

/*
 * Whether one case, found ready, may be taken although the others were not looked at in the same
 * instant: in order only the first may.
 */
static bool may_take_alone(const struct select_run *run, int i)
{
    return i == 0 || !(run->flags & RN_SELECT_IN_ORDER);
}

static bool any_done(struct select_run *run)
{
    for (uint32_t i = 0; run->has_done && i < run->n; i++)
        if (run->cases[i].kind == RN_CASE_DONE && looks_ready(run, i))
            return true;
    return false;
}

/*
 * Whether the default may be taken when each case was looked at once and none was ready. One load
 * decides for one channel, more need one instant; and a context that has not ended now had not when
 * the channel was looked at.
 */
static bool may_take_default(struct select_run *run)
{
    return run->channels <= 1 && !run->has_fd && !any_done(run);
}

/* A look without all locks; SELECT_NONE when it could not decide. */
static int try_ready(struct select_run *run)
{
    for (unsigned tries = 0; tries < TRIES_MAX; tries++) {
        int i = pick_ready(run);
        if (i == SELECT_NONE)
            return may_take_default(run) ? run->default_index : SELECT_NONE;
        if (!may_take_alone(run, i))
            return SELECT_NONE;
        if (try_case(run, (uint32_t)i))
            return i;
    }
    return SELECT_NONE;
}

int rn_select_n(rn_ctx *ctx, rn_case *cases, size_t n, unsigned flags)
{
    struct select_run run;
    int result;

    if (n - 1 < QUICK_MAX && cases[n - 1].kind == RN_CASE_DEFAULT &&
        (flags & ~RN_SELECT_IN_ORDER) == 0 && (result = default_at_once(cases, n)) >= 0) {
        int err = ctx_err(ctx);
        return err != 0 ? err : result;
    }
    run.cases = cases;
    run.n = (uint32_t)n;
    run.flags = flags;
    run.default_index = run.timeout_index = SELECT_NONE;
    run.channels = 0;
    run.until = RN_FOREVER;
    run.has_done = run.has_fd = false;
    run.place = NULL;
    run.entries = NULL;
    if (n > INT32_MAX || (result = examine(&run)) != 0)
        return -EINVAL;
    if ((result = ctx_err(ctx)) != 0 || (result = make_place(&run)) != 0)
        return result;
    if (run.has_fd && (result = select_fd_hold(&run)) != 0)
        goto out;
    result = try_ready(&run);
    if (result == SELECT_NONE)
        result = n <= SELECT_INLINE ? decide_inline(&run, ctx) : decide_allocated(&run, ctx);
    if (run.has_fd)
        select_fd_drop(&run);
out:
    free(run.place);
    return result;
}
