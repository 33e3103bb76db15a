/*
 * A worker: takes jobs, runs one at a time, prints them.
 *
 * A job is over when its process has ended and nobody holds its outputs open any more, so that
 * nothing that belongs to it is lost. A job that is ended early (time limit, signal, another's
 * failure) is over when its whole process group is gone; what it had written by then is kept.
 */
#include "worker.h"

#include "run.h"
#include "streams.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define GRACE (5 * RN_SECOND)        /* between SIGTERM and SIGKILL */
#define INSIST_AFTER RN_SECOND       /* between SIGTERM and SIGTERM again */
#define BACKOFF_FIRST RN_MILLISECOND /* before another try to start a process, doubling */
#define BACKOFF_MAX (200 * RN_MILLISECOND)
enum { LONELY_TRIES_MAX = 10 }; /* tries in a row while no job runs whose end could make room */

/* Errors of the start that may go away when another process ends. */
static bool is_shortage(int err)
{
    return err == -EAGAIN || err == -EMFILE || err == -ENFILE || err == -ENOMEM;
}

static void say_shortage(struct run *run, const struct job *job, int err)
{
    char name[JOB_NAME_BYTES];

    job_name(job, name);
    printer_say(&run->printer, "%s: cannot be started yet: %s", name, rn_strerror(err));
}

/* What was found on PATH before may have moved since. */
static int start_found(const struct run *run, char **argv, rn_process **out)
{
    rn_process_options options = {
        .program = run->command.path,
        .argv = argv,
        .in = {.kind = RN_STDIO_FD, .fd = run->null},
        .out = {.kind = RN_STDIO_PIPE},
        .err = {.kind = RN_STDIO_PIPE},
        .kill_after = GRACE,
    };
    int err = rn_process_start(out, &options);

    if (options.program == NULL || (err != -ENOENT && err != -EACCES))
        return err;
    options.program = NULL;
    return rn_process_start(out, &options);
}

/* Starts the process once. */
static int start_once(struct run *run, char **argv, rn_process **out)
{
    int err;

    tally_process_begin(&run->tally);
    err = start_found(run, argv, out);
    if (err == 0)
        tally_process_started(&run->tally);
    else
        tally_process_end(&run->tally);
    return err;
}

/* Tries until others have made room, or there are no others. */
static int start_patiently(struct run *run, char **argv, rn_process **out)
{
    rn_duration backoff = BACKOFF_FIRST;
    uint64_t seen = 0;
    int lonely = 0, err;

    while (is_shortage(err = start_once(run, argv, out))) {
        lonely = tally_saw_processes(&run->tally, &seen) ? 0 : lonely + 1;
        if (lonely == LONELY_TRIES_MAX)
            return err;
        if (rn_sleep(run->stop.taking, backoff) != 0)
            return -ECANCELED;
        backoff = backoff < BACKOFF_MAX ? 2 * backoff : BACKOFF_MAX;
    }
    return err;
}

/*
 * Starts the process, waiting for others to end where that may help. Those that wait take turns:
 * tries at once would take from each other what one process needs, and be taken for its start.
 */
static int start(struct run *run, struct job *job, char **argv, rn_process **out)
{
    int err = start_once(run, argv, out);

    if (!is_shortage(err))
        return err;
    say_shortage(run, job, err);
    if (rn_mutex_lock_ctx(run->stop.taking, &run->shortage) != 0)
        return -ECANCELED;
    err = start_patiently(run, argv, out);
    rn_mutex_unlock(&run->shortage);
    return err;
}

/* What goes on while a process is being ended. */
struct ending {
    rn_process *process;
    struct streams *streams;
};

/* It may have last words for which a pipe is small. */
static int read_last_words(rn_ctx *ctx, void *arg)
{
    const struct ending *ending = arg;

    (void)streams_read(ctx, ending->streams);
    return 0;
}

/*
 * A runnel as the job lets its own jobs finish at the first SIGTERM, and ends them at the second;
 * they are in groups that SIGKILL from here would not reach. When the leader is gone others of its
 * group may live; the group was looked at a moment ago, so its number is nobody else's yet.
 */
static int insist(rn_ctx *ctx, void *arg)
{
    const struct ending *ending = arg;

    if (rn_sleep(ctx, INSIST_AFTER) == 0 && rn_process_kill(ending->process, SIGTERM) == -ESRCH)
        (void)kill(-rn_process_pid(ending->process), SIGTERM);
    return 0;
}

/* Ends the process and its group. ctx has ended; returns what the wait said. */
static int end(rn_ctx *ctx, rn_process *process, struct streams *streams, rn_process_status *status)
{
    struct ending ending = {process, streams};
    rn_group *meanwhile = rn_group_new(NULL);
    int err;

    (void)rn_group_go(meanwhile, read_last_words, &ending);
    (void)rn_group_go(meanwhile, insist, &ending);
    err = rn_process_wait(ctx, process, status);
    rn_group_cancel(meanwhile, 0);
    rn_group_wait(meanwhile);
    streams_read_ready(streams);
    return err;
}

/* Ends a process whose output cannot be kept. */
static void end_unkept(rn_process *process, struct streams *streams, rn_process_status *status)
{
    rn_ctx *ended = rn_ctx_with_cancel(NULL);

    if (ended == NULL) {
        (void)rn_process_kill(process, SIGKILL);
        (void)rn_process_wait(NULL, process, status);
        return;
    }
    rn_ctx_cancel(ended, 0);
    (void)end(ended, process, streams, status);
    rn_ctx_release(ended);
}

static void conclude(struct job *job, enum outcome outcome, int code)
{
    job->outcome = outcome;
    job->code = code;
}

static void conclude_ended(struct job *job, int err, const rn_process_status *status)
{
    if (err == -ETIMEDOUT)
        conclude(job, OUTCOME_TIMEOUT, 0);
    else if (err == -ECANCELED)
        conclude(job, OUTCOME_ENDED, 0);
    else if (status->signal != 0)
        conclude(job, OUTCOME_SIGNAL, status->signal);
    else if (status->code != 0)
        conclude(job, OUTCOME_EXIT, status->code & 0xff);
}

/* Whether the process has ended; it stays to be waited for. */
static bool has_ended(const rn_process *process)
{
    siginfo_t info = {0};
    id_t pid = (id_t)rn_process_pid(process);

    return waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
}

/*
 * Waits for a process that has closed its outputs. As with them: where it and ctx have ended, it
 * came first.
 */
static int await_exit(rn_ctx *ctx, rn_process *process, rn_process_status *status)
{
    if (rn_ctx_err(ctx) != 0 && has_ended(process))
        ctx = NULL;
    return rn_process_wait(ctx, process, status);
}

/* From a running process to an outcome. */
static void attend(rn_ctx *ctx, struct run *run, struct job *job, rn_process *process)
{
    rn_process_status status = {0};
    struct streams streams;
    int err;

    streams_init(&streams, job, &run->store, process);
    err = streams_read(ctx, &streams);
    if (streams.err != 0)
        end_unkept(process, &streams, &status);
    else if (err != 0)
        err = end(ctx, process, &streams, &status);
    else
        err = await_exit(ctx, process, &status);
    if (streams.err != 0)
        conclude(job, OUTCOME_OUTPUT, streams.err);
    else
        conclude_ended(job, err, &status);
}

static void conclude_unstarted(struct job *job, int err)
{
    conclude(job,
             err == -ENOENT || err == -ENOTDIR ? OUTCOME_NOT_FOUND
             : err == -ECANCELED               ? OUTCOME_ENDED
             : is_shortage(err)                ? OUTCOME_NOT_BEGUN
                                               : OUTCOME_NOT_RUN,
             err);
}

/* The time limit counts from here: not while the job waited for a process to be had. */
static void attend_limited(rn_ctx *ctx, struct run *run, struct job *job, rn_process *process)
{
    rn_ctx *limited = rn_ctx_with_timeout(ctx, run->options->timeout);

    if (limited == NULL)
        conclude(job, OUTCOME_NOT_BEGUN, -ENOMEM); /* its release ends the process */
    else
        attend(limited, run, job, process);
    rn_ctx_release(limited);
}

/* Prints the command instead of running it. */
static void rehearse(struct run *run, struct job *job)
{
    char *line = command_print(&run->command, job);
    int err = line == NULL ? -ENOMEM : output_append(&job->out, &run->store, line, strlen(line));

    if (err != 0)
        conclude(job, OUTCOME_OUTPUT, err);
    free(line);
}

static void execute_argv(rn_ctx *ctx, struct run *run, struct job *job, char **argv)
{
    struct terminal_job entry;
    rn_process *process;
    int err = start(run, job, argv, &process);

    if (err != 0) {
        conclude_unstarted(job, err);
        if (!command_is_one_program(&run->command))
            job->program = strdup(argv[0]);
        if (job->outcome == OUTCOME_NOT_FOUND)
            job->interpreter = command_interpreter(&run->command, argv);
        return;
    }
    terminal_enter(&run->terminal, &entry, job, process);
    if (run->options->timeout > 0)
        attend_limited(ctx, run, job, process);
    else
        attend(ctx, run, job, process);
    terminal_leave(&run->terminal, &entry);
    rn_process_free(process);
    tally_process_end(&run->tally);
}

static void execute(rn_ctx *ctx, struct run *run, struct job *job)
{
    char **argv = command_expand(&run->command, job);

    if (argv == NULL)
        conclude(job, OUTCOME_NOT_BEGUN, -ENOMEM);
    else
        execute_argv(ctx, run, job, argv);
    free(argv);
}

static void do_job(rn_ctx *ctx, struct run *run, struct job *job)
{
    if (job->too_long)
        conclude(job, OUTCOME_NOT_RUN, -E2BIG);
    else if (strlen(job->input) != job->length)
        conclude(job, OUTCOME_BAD_INPUT, 0);
    else if (run->options->dry_run)
        rehearse(run, job);
    else
        execute(ctx, run, job);
}

/* Whether the same would happen to every other job. */
static bool is_hopeless(const struct run *run, const struct job *job)
{
    switch (job->outcome) {
    case OUTCOME_NOT_FOUND:
        return command_is_one_program(&run->command);
    case OUTCOME_NOT_RUN:
        return command_is_one_program(&run->command) && job->code != -E2BIG;
    case OUTCOME_NOT_BEGUN:
    case OUTCOME_OUTPUT:
        return true;
    default:
        return false;
    }
}

/* What one job's outcome means for the others. */
static void draw_conclusions(struct run *run, const struct job *job)
{
    if (job->outcome == OUTCOME_SUCCESS || !stop_is_taking(&run->stop))
        return;
    if (run->options->fail_fast)
        stop_running(&run->stop, STOP_STATUS(job_status(job)));
    else if (is_hopeless(run, job))
        stop_taking(&run->stop, STOP_STATUS(job_status(job)));
}

int work(rn_ctx *ctx, void *arg)
{
    struct run *run = arg;
    struct job *job;

    while ((job = run_take(run)) != NULL) {
        if (!stop_is_taking(&run->stop)) {
            job_free(job, &run->store);
            break;
        }
        tally_take(&run->tally);
        do_job(ctx, run, job);
        tally_done(&run->tally, job);
        draw_conclusions(run, job);
        printer_job(&run->printer, job);
    }
    return 0;
}
