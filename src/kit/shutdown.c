/*
 * Graceful shutdown: phases with budgets; see runnel/shutdown.h.
 *
 * Invariants:
 *   - a hook is in the list of its phase, which takes no more once the phase has begun (opened).
 *   - references counts the owner and each hook whose function runs. The last one frees the plan,
 *     so a hook that was left behind may return long after rn_shutdown_free.
 *   - pending counts the hooks of the running phase that have not returned.
 *
 * Compiled with the public headers only.
 */
#include "mutex_class.h"

#include <runnel/chan.h>
#include <runnel/cond.h>
#include <runnel/debug.h>
#include <runnel/fiber.h>
#include <runnel/sd_notify.h>
#include <runnel/select.h>
#include <runnel/shutdown.h>
#include <runnel/signal.h>
#include <runnel/wait_group.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIGNALS_ROOM 8
#define LINE_BYTES_MAX 256
#define STATUS_FORCED 128 /* plus the signal's number, as a shell says it */

struct hook {
    struct hook *next;
    rn_shutdown *plan;
    const char *name;
    int (*fn)(rn_ctx *ctx, void *arg);
    void *arg;
    rn_ctx *ctx;  /* its phase's, retained while it runs */
    bool counted; /* in pending; this and the rest guarded by the plan's lock */
    bool late;
    rn_shutdown_state state;
    int err;
    rn_time started, ended;
};

struct rn_shutdown {
    rn_exhibit exhibit;
    rn_shutdown_config config; /* with all defaults filled in */
    rn_ctx *outer;             /* the parent's values without its end */
    rn_ctx *work, *begun;
    rn_ctx *life; /* of the fibers below */
    rn_chan(int) signals;
    rn_wait_group helpers; /* the fibers that listen and answer the watchdog */
    atomic_int phase;      /* the one that runs; written under lock */
    atomic_size_t running;
    atomic_size_t references; /* not under lock: an unlock may still touch it when the last goes */

    MUTEX(lock, shutdown_lock); /* guards the rest */
    rn_cond ended;              /* pending has fallen */
    size_t pending;
    int opened; /* phases that have begun */
    bool asked, waited;
    int result;
    struct hook *hooks[RN_SHUTDOWN_PHASES];
};

static const struct {
    const char *name;
    rn_duration budget;
} phases[] = {
    [RN_SHUTDOWN_NOT_READY] = {"not ready", 1 * RN_SECOND},
    [RN_SHUTDOWN_STOP_ACCEPTING] = {"stop accepting", 2 * RN_SECOND},
    [RN_SHUTDOWN_DRAIN] = {"drain", 20 * RN_SECOND},
    [RN_SHUTDOWN_CANCEL] = {"cancel", 5 * RN_SECOND},
    [RN_SHUTDOWN_CLOSE] = {"close", 2 * RN_SECOND},
    [RN_SHUTDOWN_PHASES] = {"none", 0},
};

const char *rn_shutdown_phase_name(rn_shutdown_phase phase)
{
    return phases[(unsigned)phase < RN_SHUTDOWN_PHASES ? phase : RN_SHUTDOWN_PHASES].name;
}

/* ---- the end of a plan ---- */

static void destroy(rn_shutdown *s)
{
    for (int phase = 0; phase < RN_SHUTDOWN_PHASES; phase++)
        for (struct hook *hook = s->hooks[phase], *next; hook != NULL; hook = next) {
            next = hook->next;
            free(hook);
        }
    free(s);
}

static void drop(rn_shutdown *s)
{
    if (atomic_fetch_sub(&s->references, 1) == 1)
        destroy(s);
}

/* ---- signals ---- */

static void end_at_once(rn_shutdown *s, int number)
{
    fprintf(stderr, "runnel: %s, and a second signal: ending at once in phase %s\n",
            rn_strerror(RN_ESIGNAL - number), rn_shutdown_phase_name(atomic_load(&s->phase)));
    rn_shutdown_print(s, STDERR_FILENO);
    _exit(STATUS_FORCED + number);
}

/* The first signal asks for the shutdown, unless somebody has; the second ends the process. */
static void listen_to_signals(void *arg)
{
    rn_shutdown *s = arg;
    int number;

    if (rn_recv(s->life, s->signals, &number) == 0) {
        rn_shutdown_begin(s, RN_ESIGNAL - number);
        while (rn_recv(s->life, s->signals, &number) == 0)
            if (!s->config.patient)
                end_at_once(s, number);
    }
    rn_wait_group_done(&s->helpers);
}

static int start_helper(rn_shutdown *s, const char *name, void (*fn)(void *arg))
{
    rn_wait_group_add(&s->helpers, 1);
    int err = rn_go_with(&(rn_go_options){.name = name}, fn, s);
    if (err != 0)
        rn_wait_group_done(&s->helpers);
    return err;
}

static int subscribe(rn_shutdown *s)
{
    static const int usual[] = {SIGINT, SIGTERM};
    const int *signals = s->config.signals;
    size_t count = s->config.signal_count;
    int err;

    if (s->config.no_signals)
        return 0;
    if (signals == NULL) {
        signals = usual;
        count = sizeof usual / sizeof usual[0];
    }
    s->signals = rn_chan_make(int, SIGNALS_ROOM);
    if (s->signals == NULL)
        return -ENOMEM;
    err = rn_signal_notify_n(rn_chan_untyped(s->signals), signals, count);
    if (err == -EINVAL)
        return rn_error_with(err,
                             "shutdown: .signals: a number of the list is no signal that can be "
                             "taken");
    return err != 0 ? err : start_helper(s, "shutdown signals", listen_to_signals);
}

/* ---- making ---- */

static void describe(const rn_exhibit *exhibit, char *text, size_t size)
{
    const rn_shutdown *s = (const rn_shutdown *)exhibit;

    snprintf(text, size, "phase %s, %zu hooks running",
             rn_shutdown_phase_name(atomic_load(&s->phase)), atomic_load(&s->running));
}

static int set_budgets(rn_shutdown *s)
{
    for (int i = 0; i < RN_SHUTDOWN_PHASES; i++) {
        rn_duration *budget = &s->config.budgets[i];
        if (*budget < 0)
            return rn_error_with(-EINVAL,
                                 "shutdown: .budgets[%s] is %lld: must be 0, for the default, or a "
                                 "duration",
                                 phases[i].name, (long long)*budget);
        if (*budget == 0)
            *budget = phases[i].budget;
    }
    return 0;
}

static int make_contexts(rn_shutdown *s)
{
    s->outer = rn_ctx_without_cancel(s->config.ctx);
    s->life = rn_ctx_with_cancel(NULL);
    s->begun = rn_ctx_with_cancel(s->config.ctx);
    s->work = s->outer == NULL ? NULL : rn_ctx_with_cancel(s->outer);
    return s->life == NULL || s->begun == NULL || s->work == NULL ? -ENOMEM : 0;
}

int rn_shutdown_new(rn_shutdown **out, const rn_shutdown_config *config)
{
    rn_shutdown *s = calloc(1, sizeof *s);
    int err;

    *out = NULL;
    if (s == NULL)
        return -ENOMEM;
    if (config != NULL)
        s->config = *config;
    atomic_init(&s->references, 1);
    atomic_init(&s->phase, RN_SHUTDOWN_PHASES);
    if ((err = set_budgets(s)) != 0 || (err = make_contexts(s)) != 0 || (err = subscribe(s)) != 0) {
        rn_shutdown_free(s);
        return err;
    }
    s->exhibit = (rn_exhibit){.kind = "shutdown", .name = s->config.name, .describe = describe};
    if (s->config.name != NULL)
        rn_exhibit_show(&s->exhibit);
    *out = s;
    return 0;
}

void rn_shutdown_free(rn_shutdown *s)
{
    if (s == NULL)
        return;
    if (s->exhibit.name != NULL)
        rn_exhibit_hide(&s->exhibit);
    if (s->signals != NULL)
        rn_signal_stop(s->signals);
    rn_ctx_cancel(s->life, 0);
    rn_wait_group_wait(NULL, &s->helpers);
    rn_chan_release(s->signals);
    rn_ctx_release(s->life);
    rn_ctx_release(s->begun);
    rn_ctx_release(s->work);
    rn_ctx_release(s->outer);
    drop(s);
}

rn_ctx *rn_shutdown_ctx(rn_shutdown *s)
{
    return s->work;
}

rn_ctx *rn_shutdown_begun(rn_shutdown *s)
{
    return s->begun;
}

int rn_shutdown_hook(rn_shutdown *s, rn_shutdown_phase phase, const char *name,
                     int (*fn)(rn_ctx *ctx, void *arg), void *arg)
{
    struct hook *hook, **end;
    bool late;

    if ((unsigned)phase >= RN_SHUTDOWN_PHASES || name == NULL || fn == NULL)
        return -EINVAL;
    hook = malloc(sizeof *hook);
    if (hook == NULL)
        return -ENOMEM;
    *hook = (struct hook){.plan = s, .name = name, .fn = fn, .arg = arg};
    rn_mutex_lock(&s->lock);
    late = s->opened > (int)phase;
    for (end = &s->hooks[phase]; *end != NULL; end = &(*end)->next)
        ;
    if (!late)
        *end = hook;
    rn_mutex_unlock(&s->lock);
    if (late)
        free(hook);
    return late ? RN_ESHUTDOWN : 0;
}

/* ---- the service manager ---- */

static void answer_watchdog(void *arg)
{
    rn_shutdown *s = arg;

    while (rn_sleep(s->life, rn_sd_watchdog() / 2) == 0)
        rn_sd_notify("WATCHDOG=1");
    rn_wait_group_done(&s->helpers);
}

int rn_shutdown_ready(rn_shutdown *s)
{
    int err = rn_sd_notify("READY=1");

    if (err < 0 || rn_sd_watchdog() == 0)
        return err < 0 ? err : 0;
    return start_helper(s, "shutdown watchdog", answer_watchdog);
}

static void notify_phase(rn_shutdown_phase phase)
{
    char state[64];

    snprintf(state, sizeof state, "STOPPING=1\nSTATUS=shutdown: %s", phases[phase].name);
    rn_sd_notify(state); /* nobody could do anything about a failure now */
}

/* ---- phases ---- */

static void hook_run(void *arg)
{
    struct hook *hook = arg;
    rn_shutdown *s = hook->plan;
    int err = hook->fn(hook->ctx, hook->arg);

    rn_ctx_drop(hook->ctx);
    rn_mutex_lock(&s->lock);
    hook->err = err;
    hook->ended = rn_now();
    hook->state = RN_SHUTDOWN_DONE;
    if (err != 0 && s->result == 0)
        s->result = err;
    if (hook->counted)
        s->pending--;
    hook->counted = false;
    atomic_fetch_sub(&s->running, 1);
    rn_cond_signal(&s->ended);
    rn_mutex_unlock(&s->lock);
    drop(s);
}

/* On a fiber of its own; for want of one, here. */
static void hook_start(struct hook *hook, rn_ctx *ctx)
{
    rn_shutdown *s = hook->plan;

    hook->ctx = rn_ctx_retain(ctx);
    rn_mutex_lock(&s->lock);
    hook->state = RN_SHUTDOWN_RUNNING;
    hook->started = rn_now();
    hook->counted = true;
    s->pending++;
    atomic_fetch_add(&s->references, 1);
    atomic_fetch_add(&s->running, 1);
    rn_mutex_unlock(&s->lock);
    if (rn_go_with(&(rn_go_options){.name = hook->name}, hook_run, hook) != 0)
        hook_run(hook);
}

static void await_hooks(rn_ctx *ctx, rn_shutdown *s)
{
    rn_mutex_lock(&s->lock);
    while (s->pending > 0 && rn_cond_wait(ctx, &s->ended, &s->lock) == 0)
        ;
    rn_mutex_unlock(&s->lock);
}

/* Who overran is late; who is still running is waited for no more. */
static void judge(rn_shutdown *s, rn_shutdown_phase phase)
{
    rn_mutex_lock(&s->lock);
    for (struct hook *hook = s->hooks[phase]; hook != NULL; hook = hook->next) {
        bool left = hook->state == RN_SHUTDOWN_RUNNING;
        hook->late = left || hook->ended - hook->started > s->config.budgets[phase];
        hook->counted = false;
        if (left)
            s->result = -ETIMEDOUT;
    }
    s->pending = 0;
    rn_mutex_unlock(&s->lock);
}

static void enter_phase(rn_shutdown *s, rn_shutdown_phase phase)
{
    rn_mutex_lock(&s->lock);
    s->opened = (int)phase + 1;
    atomic_store(&s->phase, (int)phase);
    rn_mutex_unlock(&s->lock);
    if (s->config.on_phase != NULL)
        s->config.on_phase(s->config.events_arg, phase);
}

/*
 * Without memory for a deadline the hooks get a context that has ended: they are to hurry, and are
 * waited for no longer than they take.
 */
static void run_phase(rn_shutdown *s, rn_shutdown_phase phase)
{
    rn_ctx *ctx = rn_ctx_with_timeout(s->outer, s->config.budgets[phase]);
    rn_ctx *grace;

    enter_phase(s, phase);
    notify_phase(phase);
    if (phase == RN_SHUTDOWN_CANCEL)
        rn_ctx_cancel(s->work, rn_ctx_cause(s->begun));
    for (struct hook *hook = s->hooks[phase]; hook != NULL; hook = hook->next)
        hook_start(hook, ctx != NULL ? ctx : s->begun);
    await_hooks(ctx, s);
    grace = rn_ctx_with_timeout(NULL, RN_SHUTDOWN_GRACE);
    await_hooks(grace, s);
    rn_ctx_release(grace);
    judge(s, phase);
    rn_ctx_release(ctx);
}

int rn_shutdown_begin(rn_shutdown *s, int cause)
{
    bool first;

    rn_mutex_lock(&s->lock);
    first = !s->asked && rn_ctx_err(s->begun) == 0;
    s->asked = true;
    rn_mutex_unlock(&s->lock);
    if (!first)
        return RN_ESHUTDOWN;
    rn_ctx_cancel(s->begun, cause == 0 ? RN_ESHUTDOWN : cause);
    return 0;
}

static int wait_begun(rn_ctx *ctx, rn_shutdown *s)
{
    bool mine;
    int err;

    rn_mutex_lock(&s->lock);
    mine = !s->waited;
    s->waited = true;
    rn_mutex_unlock(&s->lock);
    if (!mine)
        return -EBUSY;
    err = rn_select(ctx, rn_on_done(s->begun));
    if (err >= 0)
        return 0;
    rn_mutex_lock(&s->lock);
    s->waited = false;
    rn_mutex_unlock(&s->lock);
    return err;
}

int rn_shutdown_wait(rn_ctx *ctx, rn_shutdown *s)
{
    int err = wait_begun(ctx, s);

    if (err != 0)
        return err;
    for (int phase = 0; phase < RN_SHUTDOWN_PHASES; phase++)
        run_phase(s, (rn_shutdown_phase)phase);
    rn_mutex_lock(&s->lock);
    atomic_store(&s->phase, RN_SHUTDOWN_PHASES);
    err = s->result;
    rn_mutex_unlock(&s->lock);
    if (s->config.on_phase != NULL)
        s->config.on_phase(s->config.events_arg, RN_SHUTDOWN_PHASES);
    return err;
}

/* ---- the report ---- */

static rn_shutdown_entry entry_of_locked(const struct hook *hook, int phase)
{
    rn_time until = hook->state == RN_SHUTDOWN_RUNNING ? rn_now() : hook->ended;

    return (rn_shutdown_entry){.phase = (rn_shutdown_phase)phase,
                               .state = hook->state,
                               .name = hook->name,
                               .err = hook->err,
                               .late = hook->late,
                               .took = until - hook->started};
}

size_t rn_shutdown_report(rn_shutdown *s, rn_shutdown_entry *entries, size_t room)
{
    size_t count = 0;

    rn_mutex_lock(&s->lock);
    for (int phase = 0; phase < RN_SHUTDOWN_PHASES; phase++)
        for (const struct hook *hook = s->hooks[phase]; hook != NULL; hook = hook->next) {
            if (count < room)
                entries[count] = entry_of_locked(hook, phase);
            count++;
        }
    rn_mutex_unlock(&s->lock);
    return count;
}

/* The length of the line, or 0 when there is nothing to say. */
static int line_of(const rn_shutdown_entry *e, char *line)
{
    const char *phase = rn_shutdown_phase_name(e->phase);

    if (e->state == RN_SHUTDOWN_RUNNING)
        return snprintf(line, LINE_BYTES_MAX, "shutdown: %s: \"%s\" did not finish in %.1f s\n",
                        phase, e->name, (double)e->took / RN_SECOND);
    if (e->err != 0)
        return snprintf(line, LINE_BYTES_MAX, "shutdown: %s: \"%s\" failed: %s\n", phase, e->name,
                        rn_strerror(e->err));
    return 0;
}

size_t rn_shutdown_print(rn_shutdown *s, int fd)
{
    size_t room = rn_shutdown_report(s, NULL, 0), lines = 0;
    rn_shutdown_entry *entries = calloc(room + 1, sizeof *entries);
    char line[LINE_BYTES_MAX];

    if (entries == NULL)
        return 0;
    size_t count = rn_shutdown_report(s, entries, room);
    for (size_t i = 0; i < count && i < room; i++) {
        int n = line_of(&entries[i], line);
        if (n <= 0)
            continue;
        lines++;
        if (n >= LINE_BYTES_MAX)
            n = LINE_BYTES_MAX - 1;
        dprintf(fd, "%.*s", n, line);
    }
    free(entries);
    return lines;
}

void rn_shutdown_stats_read(rn_shutdown *s, rn_shutdown_stats *out)
{
    *out = (rn_shutdown_stats){.running = atomic_load(&s->running)};
    rn_mutex_lock(&s->lock);
    out->phase = (rn_shutdown_phase)atomic_load(&s->phase);
    for (int phase = 0; phase < RN_SHUTDOWN_PHASES; phase++)
        for (const struct hook *hook = s->hooks[phase]; hook != NULL; hook = hook->next) {
            out->hooks++;
            out->failed += hook->err != 0;
            out->late += hook->late;
        }
    rn_mutex_unlock(&s->lock);
}
