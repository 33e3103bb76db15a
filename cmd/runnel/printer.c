/*
 * The printer. Its contract is in printer.h.
 */
#include "printer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LINE_BYTES = 512,
    WINDOW_PER_JOB = 16, /* jobs that may be ahead of the slowest one, for each job at once */
    WINDOW_EXTRA_MAX = 4096
};

/* What is written after this has ended is thrown away. */
static rn_ctx *ctx_of(const struct printer *p)
{
    return p->setup.stop->printing;
}

/* ---- what fails ---- */

/* Only the reader is gone, and that is to end the run as it ends other programs in a pipeline. */
static bool is_killed_by(const struct printer *p, int err)
{
    return err == -EPIPE && p->setup.stop->pipe_kills;
}

static void end_run(struct printer *p, int err)
{
    stop_running(p->setup.stop, is_killed_by(p, err) ? RN_ESIGNAL - SIGPIPE : STOP_STATUS(1));
}

/* Says it on a line of its own, also behind an output that did not end its last line. */
static void vsay_locked(struct printer *p, const char *format, va_list args)
{
    char line[LINE_BYTES];
    size_t length;
    int err;

    progress_hide(ctx_of(p), &p->progress);
    strcpy(line, sink_is_in_line(&p->err) ? "\nrunnel: " : "runnel: ");
    length = strlen(line);
    vsnprintf(line + length, sizeof(line) - length - 1, format, args);
    strcat(line, "\n");
    err = sink_write(ctx_of(p), &p->err, line, strlen(line));
    /* Jobs lose nothing with a message, so another error of standard error is no reason to end. */
    if (is_killed_by(p, err))
        end_run(p, err);
}

__attribute__((format(printf, 2, 3))) static void say_locked(struct printer *p, const char *format,
                                                             ...)
{
    va_list args;

    va_start(args, format);
    vsay_locked(p, format, args);
    va_end(args);
}

/* The first failure of standard output: the run ends. */
static void give_up_output_locked(struct printer *p, int err)
{
    if (p->out_err != 0)
        return;
    p->out_err = err;
    p->pipe_closed = is_killed_by(p, err);
    end_run(p, err);
}

static void report_lost_locked(struct printer *p, const struct job *job, int err)
{
    char name[JOB_NAME_BYTES];

    job_name(job, name);
    say_locked(p, "%s: cannot write its output: %s", name, rn_strerror(err));
}

/* ---- one job ---- */

static int write_out(void *arg, const char *bytes, size_t size)
{
    struct printer *p = arg;

    return sink_write(ctx_of(p), &p->out, bytes, size);
}

static int write_err(void *arg, const char *bytes, size_t size)
{
    struct printer *p = arg;

    return sink_write(ctx_of(p), &p->err, bytes, size);
}

/* Returns 0, or why its output is lost. */
static int print_out_locked(struct printer *p, const struct job *job)
{
    int err;

    if (output_is_empty(&job->out))
        return 0;
    if (p->out.is_terminal)
        progress_hide(ctx_of(p), &p->progress);
    err = p->out_err != 0 ? p->out_err : output_each(&job->out, p->setup.store, write_out, p);
    if (err == 0 || rn_ctx_err(ctx_of(p)) != 0)
        return 0;
    give_up_output_locked(p, err);
    return err;
}

static void print_err_locked(struct printer *p, const struct job *job)
{
    int err;

    if (output_is_empty(&job->err))
        return;
    progress_hide(ctx_of(p), &p->progress);
    /* There is nowhere left to say that standard error is gone. */
    err = output_each(&job->err, p->setup.store, write_err, p);
    if (err != 0 && rn_ctx_err(ctx_of(p)) == 0)
        end_run(p, err);
}

static void print_locked(struct printer *p, struct job *job)
{
    bool only_count = p->pipe_closed;
    char report[JOB_REPORT_BYTES];
    int err = print_out_locked(p, job);

    if (err != 0 && !only_count)
        report_lost_locked(p, job, err);
    print_err_locked(p, job);
    if (job->outcome != OUTCOME_SUCCESS && !only_count) {
        job_report(job, p->setup.program, report);
        say_locked(p, "%s", report);
    }
    p->unnamed += only_count && (err != 0 || job->outcome != OUTCOME_SUCCESS);
    job_free(job, p->setup.store);
}

/* ---- in order ---- */

/* Prints what is next in order and has come. */
static void print_ready_locked(struct printer *p)
{
    struct job **slot;

    while (*(slot = &p->ring[p->next % p->setup.window]) != NULL) {
        print_locked(p, *slot);
        *slot = NULL;
        p->next++;
        (void)rn_try_send(p->tickets, 0);
    }
}

/*
 * A job that was taken and never started leaves a gap that nothing fills: those behind it follow.
 */
static void print_behind_gaps_locked(struct printer *p)
{
    for (size_t i = 0; i < p->setup.window; i++, p->next++)
        print_ready_locked(p);
}

int printer_admit(rn_ctx *ctx, struct printer *p)
{
    char ticket;

    return p->ring == NULL ? 0 : rn_recv(ctx, p->tickets, &ticket);
}

void printer_job(struct printer *p, struct job *job)
{
    rn_mutex_lock(&p->lock);
    if (p->ring == NULL) {
        print_locked(p, job);
    } else {
        p->ring[job->number % p->setup.window] = job;
        print_ready_locked(p);
    }
    rn_mutex_unlock(&p->lock);
}

static int init_ring(struct printer *p)
{
    size_t at_once = p->setup.window, extra = (WINDOW_PER_JOB - 1) * at_once;

    p->setup.window = at_once + (extra < WINDOW_EXTRA_MAX ? extra : WINDOW_EXTRA_MAX);
    p->ring = calloc(p->setup.window, sizeof(*p->ring));
    p->tickets = rn_chan_make(char, p->setup.window);
    if (p->ring == NULL || p->tickets == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < p->setup.window; i++)
        (void)rn_try_send(p->tickets, 0);
    return 0;
}

/* ---- the rest ---- */

int printer_init(struct printer *p, const struct printer_setup *setup)
{
    *p = (struct printer){.setup = *setup, .next = 1};
    (void)sink_open(&p->out, STDOUT_FILENO); /* what is wrong with it, the first write says */
    (void)sink_open(&p->err, STDERR_FILENO);
    sink_join(&p->err, &p->out);
    if (setup->progress && p->err.is_terminal)
        p->progress = (struct progress){.terminal = &p->err, .total = setup->total};
    return setup->window > 0 ? init_ring(p) : 0;
}

void printer_free(struct printer *p)
{
    sink_close(&p->out);
    sink_close(&p->err);
    rn_chan_release(p->tickets);
    free(p->ring);
}

void printer_say(struct printer *p, const char *format, ...)
{
    va_list args;

    rn_mutex_lock(&p->lock);
    va_start(args, format);
    vsay_locked(p, format, args);
    va_end(args);
    rn_mutex_unlock(&p->lock);
}

bool printer_shows_progress(const struct printer *p)
{
    return p->progress.terminal != NULL;
}

void printer_draw(struct printer *p)
{
    rn_mutex_lock(&p->lock);
    progress_draw(ctx_of(p), &p->progress, p->setup.tally);
    rn_mutex_unlock(&p->lock);
}

void printer_finish(struct printer *p)
{
    char summary[SUMMARY_BYTES];

    rn_mutex_lock(&p->lock);
    if (p->ring != NULL)
        print_behind_gaps_locked(p);
    progress_hide(ctx_of(p), &p->progress);
    if (p->unnamed > 0)
        say_locked(p, "since then ended, or without their output: %llu more",
                   (unsigned long long)p->unnamed);
    if (p->setup.progress) {
        tally_summary(p->setup.tally, summary);
        say_locked(p, "%s", summary);
    }
    rn_mutex_unlock(&p->lock);
}
