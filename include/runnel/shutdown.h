/*
 * rn_shutdown - ends a program in order: phases, each with a time budget, and a report of what did
 * not finish.
 *
 *     rn_shutdown *s;
 *     int err = rn_shutdown_new(&s, NULL);                  SIGINT and SIGTERM begin it
 *
 *     rn_shutdown_hook(s, RN_SHUTDOWN_STOP_ACCEPTING, "listener", close_listener, server);
 *     rn_shutdown_hook(s, RN_SHUTDOWN_DRAIN, "requests", await_requests, server);
 *     rn_shutdown_hook(s, RN_SHUTDOWN_CLOSE, "database", close_database, db);
 *     rn_group_go(g, serve, server);                        with rn_shutdown_ctx(s) above g
 *     rn_shutdown_ready(s);                                 tells the service manager
 *     err = rn_shutdown_wait(NULL, s);                      until it is asked for, then all phases
 *     if (err != 0)
 *         rn_shutdown_print(s, 2);                          shutdown: drain "requests" ...
 *     rn_shutdown_free(s);
 *
 * The phases, one after the other; the hooks of one run at the same time, each on a fiber:
 *
 *     NOT_READY        load balancers are told to send nothing more           1 s
 *     STOP_ACCEPTING   listeners close                                        2 s
 *     DRAIN            what was accepted is finished                          20 s
 *     CANCEL           rn_shutdown_ctx ends; what is left gives up            5 s
 *     CLOSE            files, connections, databases                          2 s
 *
 * A hook gets a context that ends with the phase's budget. One that has not returned a moment
 * after that (RN_SHUTDOWN_GRACE) is left behind and named in the report, and the next phase begins:
 * so the whole takes no longer than the budgets say.
 *
 * A second signal ends the process at once, with status 128 plus the signal's number.
 *
 * Lifetime
 * 1. The plan belongs to who made it, who frees it, also when hooks were left behind: those keep
 *    what they need of it. What their arguments point to must live as long as they run.
 * 2. The contexts are the plan's own and live as long as it.
 * 3. The plan itself does not end the process (but for the second signal): when rn_shutdown_wait
 *    has returned, return from the function given to rn_run.
 *
 * At once  every call but free, from any number of fibers and threads; wait by one.
 */
#ifndef RUNNEL_SHUTDOWN_H
#define RUNNEL_SHUTDOWN_H

#include <runnel/ctx.h>
#include <runnel/error.h>
#include <runnel/time.h>
#include <stdbool.h>
#include <stddef.h>

RN_BEGIN_DECLS

typedef struct rn_shutdown rn_shutdown;

/* The phases, in their order. */
typedef enum rn_shutdown_phase {
    RN_SHUTDOWN_NOT_READY,
    RN_SHUTDOWN_STOP_ACCEPTING,
    RN_SHUTDOWN_DRAIN,
    RN_SHUTDOWN_CANCEL,
    RN_SHUTDOWN_CLOSE,
    RN_SHUTDOWN_PHASES /* how many there are; as a phase: it has not begun, or is over */
} rn_shutdown_phase;

#define RN_SHUTDOWN_GRACE (100 * RN_MILLISECOND)

/* How to make a plan; zero is the default of each field. */
typedef struct rn_shutdown_config {
    rn_duration budgets[RN_SHUTDOWN_PHASES]; /* ns for each phase; default: as above */
    const int *signals;                      /* that begin it; default: SIGINT and SIGTERM */
    size_t signal_count;
    bool no_signals;  /* only rn_shutdown_begin, or the end of .ctx, begins it */
    bool patient;     /* a second signal does not end the process */
    rn_ctx *ctx;      /* parent of rn_shutdown_ctx; its end begins the shutdown; default: none */
    const char *name; /* in dumps; must outlive the plan */
    /* Called as each phase begins, and with RN_SHUTDOWN_PHASES when all are over. */
    void (*on_phase)(void *arg, rn_shutdown_phase phase);
    void *events_arg;
} rn_shutdown_config;

/*
 * rn_shutdown_new - make a plan; config may be NULL.
 *
 * Caller   any thread or fiber.
 * Returns  0         *out is the plan
 *          -EINVAL   a budget is negative, or a signal cannot be taken (rn_error_detail says which)
 *          -ENOMEM   out of memory or stacks
 *          -EMFILE   no descriptor could be had for the signals; -ENFILE likewise
 *          On every error *out is NULL, which rn_shutdown_free takes.
 */
RN_API int rn_shutdown_new(rn_shutdown **out, const rn_shutdown_config *config);

/*
 * rn_shutdown_ctx - the context for the program's work: it ends when phase CANCEL begins.
 *
 * Its cause is that of the shutdown.
 *
 * Caller   any thread or fiber.
 */
RN_API rn_ctx *rn_shutdown_ctx(rn_shutdown *s);

/*
 * rn_shutdown_begun - a context that ends as soon as the shutdown is asked for.
 *
 * For what should stop at once: loops that take new work, pollers of queues.
 *
 * Caller   any thread or fiber.
 */
RN_API rn_ctx *rn_shutdown_begun(rn_shutdown *s);

/*
 * rn_shutdown_hook - have fn(ctx, arg) called in a phase.
 *
 * name is for the report and must outlive the plan.
 *
 * Caller   any thread or fiber.
 * Returns  0              noted
 *          RN_ESHUTDOWN   that phase has begun already: fn will not be called
 *          -EINVAL        no such phase, or fn or name is NULL
 *          -ENOMEM        out of memory
 */
RN_API int rn_shutdown_hook(rn_shutdown *s, rn_shutdown_phase phase, const char *name,
                            int (*fn)(rn_ctx *ctx, void *arg), void *arg);

/*
 * rn_shutdown_ready - the program serves: tell the service manager, and answer its watchdog.
 *
 * Caller   any thread or fiber.
 * Returns  0         told, or there is no service manager
 *          -ENOMEM   no fiber for the watchdog could be had
 *          others    as rn_sd_notify
 * See      rn_sd_notify
 */
RN_API int rn_shutdown_ready(rn_shutdown *s);

/*
 * rn_shutdown_begin - ask for the shutdown.
 *
 * cause is that of the contexts; 0 stands for RN_ESHUTDOWN.
 *
 * Caller   any thread or fiber; also a hook.
 * Returns  0              it begins
 *          RN_ESHUTDOWN   it had begun before
 */
RN_API int rn_shutdown_begin(rn_shutdown *s, int cause);

/*
 * rn_shutdown_wait - wait until the shutdown is asked for, then go through the phases.
 *
 * ctx only shortens the wait for the beginning.
 *
 * Caller   any thread or fiber, one at a time.
 * Blocks   until all phases are over.
 * Returns  0            every hook has returned 0
 *          -ETIMEDOUT   a hook was left behind; rn_shutdown_report tells which
 *          -ECANCELED   ctx ended before anybody asked (-ETIMEDOUT likewise: see rn_ctx_err)
 *          -EBUSY       somebody else waits, or all is over
 *          others       the first error that a hook returned
 */
RN_API int rn_shutdown_wait(rn_ctx *ctx, rn_shutdown *s);

/* What became of a hook. */
typedef enum rn_shutdown_state {
    RN_SHUTDOWN_WAITING, /* its phase has not begun */
    RN_SHUTDOWN_RUNNING, /* it has not returned; after the phase: it was left behind */
    RN_SHUTDOWN_DONE     /* it has returned .err */
} rn_shutdown_state;

typedef struct rn_shutdown_entry {
    rn_shutdown_phase phase;
    rn_shutdown_state state;
    const char *name;
    int err;          /* what it returned */
    bool late;        /* it returned after its budget, or has not returned */
    rn_duration took; /* ns; so far, while it runs */
} rn_shutdown_entry;

/*
 * rn_shutdown_report - what became of each hook, in the order of phases and registration.
 *
 * Fills in at most room entries.
 *
 * Caller   any thread or fiber.
 * Returns  how many hooks there are.
 */
RN_API size_t rn_shutdown_report(rn_shutdown *s, rn_shutdown_entry *entries, size_t room);

/*
 * rn_shutdown_print - write the report's failures to a descriptor, a line each:
 *
 *     shutdown: drain: "requests" did not finish in 20.0 s
 *     shutdown: close: "database" failed: Input/output error
 *
 * Caller   any thread or fiber.
 * Returns  how many lines there were.
 */
RN_API size_t rn_shutdown_print(rn_shutdown *s, int fd);

/* Counters of a plan. */
typedef struct rn_shutdown_stats {
    rn_shutdown_phase phase; /* gauge: the one that runs; RN_SHUTDOWN_PHASES: none */
    size_t hooks;            /* gauge: registered */
    size_t running;          /* gauge: called, and not returned */
    size_t failed;           /* returned an error */
    size_t late;             /* beyond their budget */
} rn_shutdown_stats;

/*
 * rn_shutdown_stats_read - fill in *out.
 *
 * Caller   any thread or fiber.
 */
RN_API void rn_shutdown_stats_read(rn_shutdown *s, rn_shutdown_stats *out);

/*
 * rn_shutdown_phase_name - "drain", ...; "none" for RN_SHUTDOWN_PHASES.
 *
 * Caller   any thread or fiber.
 */
RN_API const char *rn_shutdown_phase_name(rn_shutdown_phase phase);

/*
 * rn_shutdown_free - withdraw the plan: signals do again what they did before. NULL is fine.
 *
 * Ends both contexts.
 *
 * Caller   any thread or fiber, while nobody is in another call on s.
 */
RN_API void rn_shutdown_free(rn_shutdown *s);

RN_END_DECLS

#endif
