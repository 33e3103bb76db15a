/*
 * One run of the command: who works, and what they share.
 */
#include "run.h"

#include "worker.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* ---- the next job ---- */

/* The run cannot go on for a reason of its own; that it was told to stop is none. */
static void fail(struct run *run, const char *what, int err)
{
    if (!stop_is_taking(&run->stop))
        return;
    printer_say(&run->printer, "%s: %s", what, rn_strerror(err));
    stop_taking(&run->stop, STOP_STATUS(1));
}

/* One more worker, for the next input. Without memory for it those that are there do the work. */
static void add_worker_locked(struct run *run)
{
    if (run->worker_count < run->workers_max && rn_group_go(run->workers, work, run) == 0)
        run->worker_count++;
}

static struct job *take_locked(struct run *run)
{
    struct job *job;
    int err = printer_admit(run->stop.taking, &run->printer);

    if (err == 0)
        err = input_next(run->stop.taking, &run->input, &job);
    if (err != 0 && err != RN_ECLOSED)
        fail(run, "cannot read standard input", err);
    if (err != 0)
        return NULL;
    add_worker_locked(run);
    return job;
}

struct job *run_take(struct run *run)
{
    struct job *job;

    if (rn_mutex_lock_ctx(run->stop.taking, &run->turn) != 0)
        return NULL;
    job = take_locked(run);
    rn_mutex_unlock(&run->turn);
    return job;
}

/* ---- beside the workers ---- */

struct message {
    struct run *run;
    int signal;
    enum stopped did;
    unsigned long long running; /* jobs, when the signal came */
};

/*
 * Says what a signal did. A fiber of its own, for the printer may be held up for as long as it
 * takes.
 */
static int say_signal(rn_ctx *ctx, void *arg)
{
    const struct message *m = arg;
    char name[SIGNAL_NAME_BYTES];

    (void)ctx;
    signal_name(m->signal, name);
    if (m->did == STOPPED_TAKING)
        printer_say(&m->run->printer,
                    "%s: no more jobs are started; %llu still running (a second signal ends them)",
                    name, m->running);
    else
        printer_say(&m->run->printer, "%s: ending %llu running jobs", name, m->running);
    return 0;
}

static void answer(struct run *run, rn_group *speakers, int signal)
{
    struct message message = {run, signal, .running = tally_counts(&run->tally).running};

    message.did = stop_by_signal(&run->stop, signal);
    if (message.did != STOPPED_PRINTING)
        (void)rn_group_go_copy(speakers, say_signal, &message);
}

/*
 * Goes on until nobody writes any more: what is still being said may be held up too, and then only
 * another signal ends it.
 */
static int watch_signals(rn_ctx *ctx, void *arg)
{
    struct run *run = arg;
    rn_group *speakers = rn_group_new(NULL);
    int signal;

    while ((signal = stop_wait_signal(ctx, &run->stop)) > 0)
        answer(run, speakers, signal);
    while (rn_select(NULL, rn_on_group(speakers), rn_on_recv(run->stop.signals, &signal)) == 1)
        answer(run, speakers, signal);
    rn_group_wait(speakers);
    return 0;
}

static int draw_progress(rn_ctx *ctx, void *arg)
{
    struct run *run = arg;
    rn_ticker *ticker;
    rn_time now;

    if (rn_ticker_new(&ticker, PROGRESS_PERIOD) != 0)
        return 0;
    while (rn_recv(ctx, rn_ticker_chan(ticker), &now) == 0)
        printer_draw(&run->printer);
    rn_ticker_free(ticker);
    return 0;
}

static void say_stopped(struct run *run, const char *job, int signal)
{
    char name[SIGNAL_NAME_BYTES];

    signal_name(signal, name);
    if (signal == SIGTTIN || signal == SIGTTOU)
        printer_say(&run->printer,
                    "%s: stopped (%s): it wants the terminal, which no job may use; "
                    "Ctrl-C twice ends it",
                    job, name);
    else
        printer_say(&run->printer, "%s: stopped by %s", job, name);
}

static int watch_terminal(rn_ctx *ctx, void *arg)
{
    struct run *run = arg;
    char name[JOB_NAME_BYTES];
    int signal;

    while (rn_sleep(ctx, TERMINAL_LOOK_PERIOD) == 0)
        while (terminal_find_stopped(&run->terminal, name, &signal))
            say_stopped(run, name, signal);
    return 0;
}

/* ---- the whole ---- */

static int run_init(struct run *run, const struct options *options)
{
    int err;

    *run = (struct run){.options = options, .null = -1};
    /* Commands that are only printed are printed in order, so one fiber is enough. */
    run->workers_max = options->dry_run    ? 1
                       : options->jobs > 0 ? options->jobs
                                           : (size_t)rn_workers();
    store_init(&run->store);
    tally_init(&run->tally);
    terminal_init(&run->terminal);
    if ((err = stop_init(&run->stop)) != 0 || (err = command_init(&run->command, options)) != 0)
        return err;
    return printer_init(&run->printer, &(struct printer_setup){
                                           .program = run->command.words[0],
                                           .window = options->keep_order ? run->workers_max : 0,
                                           .progress = options->progress,
                                           .total = options->input_count,
                                           .store = &run->store,
                                           .tally = &run->tally,
                                           .stop = &run->stop,
                                       });
}

static void run_free(struct run *run)
{
    input_close(&run->input);
    printer_free(&run->printer);
    command_free(&run->command);
    stop_free(&run->stop);
    store_free(&run->store);
    if (run->null >= 0)
        close(run->null);
}

/*
 * Opened once, not by each job: where there is none, the start of a job would fail as if its
 * command were not found.
 */
static bool open_null(struct run *run)
{
    run->null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (run->null < 0)
        fail(run, "cannot open /dev/null", -errno);
    return run->null >= 0;
}

static bool open_input(struct run *run)
{
    int err = input_open(&run->input, run->options);

    if (err != 0)
        fail(run, "cannot read standard input", err);
    return err == 0;
}

/* The workers of a run: the first is started here, each of them starts the next. */
static int do_jobs(struct run *run)
{
    int err;

    if (!open_input(run) || (!run->options->dry_run && !open_null(run)))
        return 0;
    run->workers = rn_group_new(run->stop.running);
    run->worker_count = 1;
    err = rn_group_go(run->workers, work, run);
    rn_group_wait(run->workers);
    return err;
}

/*
 * Whoever writes may be held up by a slow reader, and then a signal must be able to end that: so
 * signals are watched longer than all else.
 */
static int do_all(struct run *run)
{
    rn_group *listener = rn_group_new(NULL), *watchers = rn_group_new(NULL);
    int err = rn_group_go(listener, watch_signals, run);

    if (err == 0 && printer_shows_progress(&run->printer))
        err = rn_group_go(watchers, draw_progress, run);
    if (err == 0 && run->terminal.exists)
        err = rn_group_go(watchers, watch_terminal, run);
    if (err == 0)
        err = do_jobs(run);
    rn_group_cancel(watchers, 0);
    rn_group_wait(watchers);
    printer_finish(&run->printer);
    rn_group_cancel(listener, 0);
    rn_group_wait(listener);
    return err;
}

bool run_all(const struct options *options, int *out)
{
    struct run run;
    bool dies = false;
    int err = run_init(&run, options);

    if (err == 0)
        err = do_all(&run);
    if (err == 0) {
        dies = stop_verdict(&run.stop, tally_status(&run.tally), out);
    } else {
        fprintf(stderr, "runnel: cannot start: %s\n", rn_strerror(err));
        *out = 1;
    }
    run_free(&run);
    return dies;
}
