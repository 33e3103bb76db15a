/*
 * rn_process - start programs, talk to them through pipes, wait for them with a context.
 *
 *     rn_process *p;
 *     rn_process_status status;
 *
 *     err = rn_process_start(&p, &(rn_process_options){
 *         .argv = (char *[]){"sha256sum", path, NULL},
 *         .in.kind = RN_STDIO_NULL,
 *         .out.kind = RN_STDIO_PIPE,
 *     });
 *     if (err != 0)
 *         return err;                         rn_error_detail() says what could not be started
 *     while ((n = rn_fd_read(ctx, rn_process_stdout(p), buffer, sizeof buffer)) > 0)
 *         use(buffer, (size_t)n);
 *     err = rn_process_wait(ctx, p, &status); when ctx ended: the whole group is killed and gone
 *     rn_process_free(p);
 *
 * Lifetime
 * 1. A process belongs to who started it, who frees it; free kills and reaps what still runs. One
 *    that nobody frees goes on when the runtime stops.
 * 2. The handles of its pipes belong to it and are closed by free. Closing one earlier is fine:
 *    closing rn_process_stdin is how the program is told that its input has ended.
 * 3. The program is reaped exactly once, by the first wait or by free. Nobody else may wait for it:
 *    a program that ignores SIGCHLD or calls wait(2) for any child takes the status away (-ECHILD).
 * 4. Descriptors of this library never reach a program by accident: all are close-on-exec. The
 *    program's own descriptors are inherited unless they are marked so.
 *
 * Signals  The program starts with no signal blocked. What is ignored here is ignored there too, as
 *          by exec (so nohup works), except SIGPIPE, which has its default effect.
 * Groups   Unless same_group is set the program leads a process group of its own, so that it can be
 *          killed together with what it started. The terminal's Ctrl-C does not reach it then, and
 *          it is stopped when it reads from the terminal.
 *
 * At once  every call, from any number of fibers and threads, except that one frees, after the
 *          others.
 */
#ifndef RUNNEL_PROCESS_H
#define RUNNEL_PROCESS_H

#include <runnel/error.h>
#include <runnel/fd.h>
#include <runnel/time.h>
#include <stdbool.h>

RN_BEGIN_DECLS

typedef struct rn_process rn_process;

/* Where a standard descriptor of the program goes to or comes from. */
enum rn_stdio_kind {
    RN_STDIO_INHERIT, /* the same as here */
    RN_STDIO_NULL,    /* /dev/null */
    RN_STDIO_PIPE,    /* a pipe; rn_process_stdin, _stdout or _stderr is this end */
    RN_STDIO_FD,      /* the descriptor in .fd, which stays the caller's */
    RN_STDIO_STDOUT   /* err only: where out goes */
};

typedef struct rn_stdio {
    enum rn_stdio_kind kind;
    int fd; /* RN_STDIO_FD */
} rn_stdio;

/* How to start a program; zero is the default of each field. Everything is copied. */
typedef struct rn_process_options {
    char *const *argv;   /* the program's arguments, itself first, ended by NULL */
    const char *program; /* what is executed; without a / it is found by PATH; NULL: argv[0] */
    char *const *env;    /* its environment, ended by NULL; NULL: the same as here */
    const char *dir;     /* where it starts; NULL: the same as here */
    rn_stdio in, out, err;
    bool same_group;        /* stay in this process group; only the program itself is signalled */
    int kill_signal;        /* what ends it when the context of a wait ends; default SIGTERM */
    rn_duration kill_after; /* then SIGKILL ends what still runs; default 5 s; RN_FOREVER: never */
} rn_process_options;

/* How a program ended. */
typedef struct rn_process_status {
    int code;   /* 0..255; -1 when a signal ended it */
    int signal; /* the signal that ended it, or 0 */
    bool core_dumped;
    rn_duration user_time; /* processor time, its reaped children included */
    rn_duration system_time;
} rn_process_status;

/*
 * rn_process_start - start a program.
 *
 * A script that has no #! line is run by /bin/sh, as execvp(3) does.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   the worker, until the kernel has executed the program (some 0.3 ms); others take over
 *          what waits for this worker.
 * Returns  0          *out is the running program
 *          -ENOENT    the program, its interpreter or dir does not exist
 *          -EACCES    the program may not be executed, or dir not entered
 *          -ENOEXEC   the file is neither a program nor a text
 *          -ENOTDIR   part of a path, or dir, is not a directory
 *          -E2BIG     arguments and environment are too long
 *          -EMFILE    this process has too many descriptors open; -ENFILE: the system has
 *          -EAGAIN    too many processes
 *          -ENOMEM    out of memory
 *          -EBADF     the descriptor of a RN_STDIO_FD is not open
 *          -EINVAL    argv is empty, or an option is out of range
 *          and what else execve(2) says, negated. rn_error_detail says what it was about. On every
 *          error nothing is left: no process, no descriptor.
 * Cost     mostly the kernel's own for fork and exec; one allocation; one descriptor for each pipe,
 *          and one while a wait sleeps.
 * See      rn_process_wait, rn_process_run
 */
RN_API int rn_process_start(rn_process **out, const rn_process_options *opt);

/*
 * rn_process_wait - wait until the program has ended, and say how.
 *
 * Later calls return the same status again. When ctx ends first, or has ended already, the
 * program's group is sent kill_signal (and SIGCONT, in case it was stopped), after kill_after
 * SIGKILL, and the wait goes on until nothing of the group lives. kill_after is of the system's
 * time also where the program's is virtual, which then stands still. Where the wait finds that both
 * ctx and the program have ended meanwhile, the program was first. status may be NULL.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   the fiber until the program has ended; after the end of ctx not longer than kill_after
 *          and what the kernel needs to end a killed process.
 * Returns  0            it ended by itself, or was killed by somebody else: see *status
 *          -ECANCELED   ctx was cancelled; the program is gone, *status says how
 *          -ETIMEDOUT   ctx's deadline passed; the program is gone, *status says how
 *          -ECHILD      somebody else reaped it: the status is lost (then *status says code -1,
 *                       signal 0)
 * See      rn_process_kill
 */
RN_API int rn_process_wait(rn_ctx *ctx, rn_process *p, rn_process_status *status);

/*
 * rn_process_kill - send a signal to the program's group (with same_group: to the program).
 *
 * It still must be waited for or freed. Signal 0 only asks whether it was reaped.
 *
 * Caller   any thread or fiber.
 * Returns  0         sent (perhaps to a program that has just ended and is not reaped yet)
 *          -ESRCH    it was reaped
 *          -EINVAL   no such signal
 *          -EPERM    the program changed its user, so that it may not be signalled
 */
RN_API int rn_process_kill(rn_process *p, int sig);

/*
 * rn_process_pid - the program's process id; its group's too, unless same_group.
 *
 * Caller   any thread or fiber.
 */
RN_API pid_t rn_process_pid(const rn_process *p);

/*
 * rn_process_stdin, rn_process_stdout, rn_process_stderr - this end of a RN_STDIO_PIPE.
 *
 * Caller   any thread or fiber.
 * Returns  the handle, which belongs to the process; none (handle 0) when it is not a pipe.
 */
RN_API rn_fd rn_process_stdin(const rn_process *p);
RN_API rn_fd rn_process_stdout(const rn_process *p);
RN_API rn_fd rn_process_stderr(const rn_process *p);

/*
 * rn_process_free - close its pipes, kill and reap what still runs, free it. NULL is fine.
 *
 * What still runs is killed with SIGKILL, its group included. The group of a program that was
 * waited for is left alone.
 *
 * Caller   any thread or fiber; nobody may use p any more.
 * Blocks   the fiber, while a killed program ends.
 */
RN_API void rn_process_free(rn_process *p);

/*
 * rn_process_run - start a program, wait for it, free it.
 *
 * RN_STDIO_PIPE makes no sense here: nobody would be at this end.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   as rn_process_wait.
 * Returns  as rn_process_start and rn_process_wait; -EINVAL also for a RN_STDIO_PIPE.
 */
RN_API int rn_process_run(rn_ctx *ctx, const rn_process_options *opt, rn_process_status *status);

/*
 * rn_process_output - the same, and collect what the program writes to its standard output.
 *
 * opt->out is taken as RN_STDIO_PIPE. *text is allocated, ended by a zero byte that *size does not
 * count, and freed by the caller with free. At most limit bytes are kept (0: no limit); a program
 * that writes more is killed. status and size may be NULL.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   until the program has closed its output and ended, or ctx ends.
 * Returns  as rn_process_run, and
 *          -ENOMEM   out of memory for the output; the program is gone
 *          -EFBIG    more than limit bytes; the program is gone
 *          On every error *text is NULL.
 */
RN_API int rn_process_output(rn_ctx *ctx, const rn_process_options *opt, size_t limit, char **text,
                             size_t *size, rn_process_status *status);

RN_END_DECLS

#endif
