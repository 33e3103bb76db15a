/*
 * Programs: started, waited for by a pidfd in the poller, reaped exactly once.
 *
 * A process id stays the program's until it is reaped, also after it has ended. So everything that
 * uses the id (signals, reaping) happens under the lock and only while `reaped` is false; nobody
 * else's process can be hit.
 *
 * A group outlives its leader while others are in it, and keeps the number. After the leader was
 * reaped the group is only looked at when a wait is ended by its context, and only until it is
 * empty: the kernel gives numbers out in turn, so an empty group's number does not come back
 * between a look and the signal.
 *
 * Kernels without pidfds: a fiber waits in a blocking section and then closes a pipe, whose other
 * end stands for the pidfd. It only looks (the child stays to be reaped), so it needs nothing of
 * the process.
 *
 * What tells of the exit is opened by the first wait that finds the program alive: most have ended
 * by then, since the end of their pipes told of it. And a program that runs is never given up
 * because no descriptor could be had to watch it: then its wait looks every now and again.
 *
 * What was told to end does so in the system's time, whatever clock the program has. Timers know
 * the program's only; so in virtual time one looks, from blocking sections, which hold that still.
 *
 * Invariant: once reaped is true, exit is closed, or was never opened and never will be.
 */
#include "sched/clock.h"
#include "sched/detail.h"
#include "sched/park.h"
#include "wait/ctx.h"
#include "wait/fd_wait.h"

#include <errno.h>
#include <runnel/fiber.h>
#include <runnel/mutex.h>
#include <runnel/process.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KILL_AFTER_DEFAULT (5 * RN_SECOND)
#define PROGRAM_BYTES_MAX 4096 /* of a path, as the kernel takes it */
#define HEAD_BYTES_MAX 256     /* so much of a script's first line does the kernel read */
#define LOOK_NS_MIN (500 * RN_MICROSECOND) /* between two looks, where nothing wakes us; doubles */
#define LOOK_NS_MAX (50 * RN_MILLISECOND)
#define GROUP_DIES_NS_MAX RN_SECOND /* how long a group may take to go after SIGKILL */

struct rn_process {
    rn_mutex lock; /* guards reaped, lost, status, and the opening and closing of exit */
    bool reaped;
    bool lost; /* somebody else reaped it */
    bool own_group;
    int pid;
    int kill_signal;
    rn_duration kill_after;
    uint64_t exit;  /* the poller's handle of what is readable once it has ended; 0: not opened */
    rn_fd pipes[3]; /* our ends, by the number they have there; handle 0: no pipe */
    rn_process_status status;
};

static void lock(rn_process *p)
{
    LOCK_CLASS_NEXT(process_lock);
    rn_mutex_lock(&p->lock);
}

static void unlock(rn_process *p)
{
    LOCK_CLASS_NEXT(process_lock);
    rn_mutex_unlock(&p->lock);
}

/* Without a pidfd: whoever holds the other end learns of the exit by the close of this one. */
struct exit_watch {
    int pid;
    int write_end;
};

/* ---- the three standard descriptors ---- */

/* While a program is being started. */
struct starting {
    const rn_process_options *opt;
    rn_process *process;
    struct os_spawn spawn;
    int theirs[3]; /* their ends of the pipes, closed when it has started; -1: none */
};

static int pipe_make(struct starting *s, int number)
{
    int ends[2];
    int err = os_pipe(ends);

    if (err != 0)
        return err;
    int ours = number == 0 ? ends[1] : ends[0];
    s->theirs[number] = number == 0 ? ends[0] : ends[1];
    s->spawn.stdio[number] = s->theirs[number];
    err = rn_fd_open(&s->process->pipes[number], ours);
    if (err != 0)
        os_fd_close(ours);
    return err;
}

static int stdio_make(struct starting *s, int number, const rn_stdio *stdio)
{
    switch (stdio->kind) {
    case RN_STDIO_INHERIT:
        s->spawn.stdio[number] = OS_STDIO_INHERIT;
        return 0;
    case RN_STDIO_NULL:
        s->spawn.stdio[number] = OS_STDIO_NULL;
        return 0;
    case RN_STDIO_PIPE:
        return pipe_make(s, number);
    case RN_STDIO_FD:
        s->spawn.stdio[number] = stdio->fd;
        return stdio->fd < 0 ? -EBADF : 0;
    case RN_STDIO_STDOUT:
        s->spawn.stdio[number] = s->spawn.stdio[1] == OS_STDIO_INHERIT ? 1 : s->spawn.stdio[1];
        return number == 2 ? 0 : -EINVAL;
    }
    return -EINVAL;
}

static int stdio_make_all(struct starting *s)
{
    const rn_stdio *const wanted[3] = {&s->opt->in, &s->opt->out, &s->opt->err};
    int err = 0;

    for (int i = 0; err == 0 && i < 3; i++)
        err = stdio_make(s, i, wanted[i]);
    return err;
}

static void close_theirs(struct starting *s)
{
    for (int i = 0; i < 3; i++)
        if (s->theirs[i] >= 0)
            os_fd_close(s->theirs[i]);
}

static void close_pipes(rn_process *p)
{
    for (int i = 0; i < 3; i++)
        if (p->pipes[i].handle != 0)
            rn_fd_close(p->pipes[i]); /* -EBADF: the user has closed it */
}

/* ---- learning of the exit ---- */

static int await_exit_blocking(void *arg)
{
    os_await_exit(((struct exit_watch *)arg)->pid);
    return 0;
}

static void exit_watch_main(void *arg)
{
    struct exit_watch *watch = arg;
    rn_blocking(await_exit_blocking, watch);
    os_fd_close(watch->write_end);
}

static int exit_pipe(int pid)
{
    int ends[2];
    int err = os_pipe(ends);

    if (err != 0)
        return err;
    err = rn_go_copy(exit_watch_main, &(struct exit_watch){pid, ends[1]});
    if (err == 0)
        return ends[0];
    os_fd_close(ends[0]);
    os_fd_close(ends[1]);
    return err;
}

/* A descriptor that is readable once the child has ended. */
static int exit_fd(int pid)
{
    int fd = os_pidfd(pid);
    if (fd >= 0 || fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM)
        return fd;
    return exit_pipe(pid); /* the kernel has none, or a sandbox forbids them */
}

static int exit_open(rn_process *p)
{
    int fd = exit_fd(p->pid);
    if (fd < 0)
        return fd;
    int err = poll_open(&p->exit, fd, 0, NULL);
    if (err != 0)
        os_fd_close(fd);
    return err;
}

/* ---- starting ---- */

static int check_options(const rn_process_options *opt)
{
    if (opt->argv == NULL || opt->argv[0] == NULL) {
        error_detail_set("no program is named: argv is empty");
        return -EINVAL;
    }
    if (opt->kill_signal < 0 || opt->kill_signal > OS_SIGNAL_MAX || opt->kill_after < 0) {
        error_detail_set("kill_signal or kill_after is out of range");
        return -EINVAL;
    }
    return 0;
}

static rn_process *process_new(const rn_process_options *opt)
{
    rn_process *p = calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    p->own_group = !opt->same_group;
    p->kill_signal = opt->kill_signal != 0 ? opt->kill_signal : SIGTERM;
    p->kill_after = opt->kill_after != 0 ? opt->kill_after : KILL_AFTER_DEFAULT;
    return p;
}

static const char *program_of(const rn_process_options *opt)
{
    return opt->program != NULL ? opt->program : opt->argv[0];
}

/* What a script's first line names, after the #!, up to a blank; "" when there is no such line. */
static void read_interpreter(char *to, size_t room, const char *path, const char *dir)
{
    char head[HEAD_BYTES_MAX + 1];
    int64_t size = os_program_head(path, dir, head, HEAD_BYTES_MAX);
    size_t blanks, length;

    to[0] = 0;
    if (size < 2 || memcmp(head, "#!", 2) != 0)
        return;
    head[size] = 0;
    blanks = strspn(head + 2, " \t");
    length = strcspn(head + 2 + blanks, " \t\n");
    snprintf(to, room, "%.*s", (int)length, head + 2 + blanks);
}

/* The kernel says the same whether the program or its interpreter does not exist. */
static void explain_absence(const rn_process_options *opt)
{
    char path[PROGRAM_BYTES_MAX], interpreter[HEAD_BYTES_MAX];
    const char *program = program_of(opt);

    if (!os_program_find(program, opt->dir, path, sizeof path)) {
        error_detail_set("cannot start %s: not found", program);
        return;
    }
    read_interpreter(interpreter, sizeof interpreter, path, opt->dir);
    if (interpreter[0] != 0)
        error_detail_set("cannot start %s: its interpreter %s is not found", program, interpreter);
    else
        error_detail_set("cannot start %s: what it needs to be loaded is not found", program);
}

static int explain(const rn_process_options *opt, int err)
{
    const char *program = program_of(opt);

    if (opt->dir != NULL && os_dir_check(opt->dir) == err)
        error_detail_set("cannot start %s in %s: %s", program, opt->dir, rn_strerror(err));
    else if (err == -ENOENT)
        explain_absence(opt);
    else
        error_detail_set("cannot start %s: %s", program, rn_strerror(err));
    return err;
}

static int start(struct starting *s)
{
    int err = stdio_make_all(s);
    if (err != 0)
        return err;
    int pid = os_spawn(&s->spawn);
    if (pid < 0)
        return pid;
    s->process->pid = pid;
    return 0;
}

int rn_process_start(rn_process **out, const rn_process_options *opt)
{
    struct starting s = {.opt = opt, .theirs = {-1, -1, -1}};
    int err = check_options(opt);

    *out = NULL;
    fiber_here(); /* starts the runtime, and with it the poller */
    if (err != 0)
        return err;
    s.process = process_new(opt);
    if (s.process == NULL)
        return explain(opt, -ENOMEM);
    s.spawn = (struct os_spawn){.program = program_of(opt),
                                .argv = opt->argv,
                                .env = opt->env,
                                .dir = opt->dir,
                                .own_group = !opt->same_group};
    err = start(&s);
    close_theirs(&s);
    if (err != 0) {
        close_pipes(s.process);
        free(s.process);
        return explain(opt, err);
    }
    *out = s.process;
    return 0;
}

/* ---- reaping ---- */

static void keep_status(rn_process *p, const struct os_exit *exit)
{
    p->status = (rn_process_status){
        .code = exit->code,
        .signal = exit->signal,
        .core_dumped = exit->core_dumped,
        .user_time = exit->user_ns,
        .system_time = exit->system_ns,
    };
}

/* True when it is reaped, by this call or before. */
static bool try_reap(rn_process *p)
{
    struct os_exit exit = {.code = -1};

    lock(p);
    int got = p->reaped ? 0 : os_reap(p->pid, &exit);
    if (got != 0) {
        p->reaped = true;
        p->lost = got < 0;
        keep_status(p, &exit);
        if (p->exit != 0)
            poll_close(p->exit); /* who waits there wakes, and finds it reaped */
    }
    bool reaped = p->reaped;
    unlock(p);
    return reaped;
}

/* The pause before the next look. */
static rn_duration next_pause(rn_duration pause)
{
    return pause * 2 < LOOK_NS_MAX ? pause * 2 : LOOK_NS_MAX;
}

static bool in_virtual_time(void)
{
    return load_relaxed(&clock_is_virtual) != 0;
}

static int sleep_blocking(void *arg)
{
    atomic_u32 word = 0;
    os_futex_wait(&word, 0, *(rn_duration *)arg);
    return 0;
}

/* Between two looks at what was told to end. */
static void pause_for_end(rn_duration pause)
{
    if (in_virtual_time())
        rn_blocking(sleep_blocking, &pause);
    else
        rn_sleep(NULL, pause);
}

/* The same as await_reaped, without anything that would wake us. */
static int look_until_reaped(rn_ctx *ctx, rn_process *p, rn_time until)
{
    rn_duration pause = LOOK_NS_MIN;
    int err = 0;

    while (err == 0 && !try_reap(p)) {
        if (os_now() >= until)
            return -EAGAIN;
        if (until == RN_FOREVER)
            err = rn_sleep(ctx, pause);
        else
            pause_for_end(pause);
        pause = next_pause(pause);
    }
    return err;
}

/* Opens what tells of the exit, unless that is done or of no use any more. */
static int ensure_exit(rn_process *p)
{
    int err = 0;

    lock(p);
    if (!p->reaped && p->exit == 0)
        err = exit_open(p);
    unlock(p);
    return err;
}

/*
 * Waits until it is reaped: 0, ctx's error, or -EAGAIN when `until` came first, which is a time of
 * the system's and goes without ctx.
 */
static int await_reaped(rn_ctx *ctx, rn_process *p, rn_time until)
{
    if (try_reap(p))
        return 0;
    if ((until != RN_FOREVER && in_virtual_time()) || ensure_exit(p) != 0)
        return look_until_reaped(ctx, p, until);
    struct poll_entry *entry = poll_hold(p->exit);
    int err = 0;

    if (entry == NULL)
        return 0; /* it is closed when it is reaped */
    while (err == 0) {
        uint32_t seen = poll_edges(entry, POLL_READ);
        if (try_reap(p))
            break;
        err = fd_wait(ctx, entry, p->exit, POLL_READ, seen, until, WAIT_PROCESS);
    }
    poll_drop(entry);
    return err == -EBADF ? 0 : err; /* closed: somebody else has reaped it */
}

/* ---- killing ---- */

int rn_process_kill(rn_process *p, int sig)
{
    if (sig < 0 || sig > OS_SIGNAL_MAX)
        return -EINVAL;
    lock(p);
    int err = p->reaped ? -ESRCH : os_kill(p->pid, p->own_group, sig);
    if (err == -ESRCH && !p->reaped)
        err = os_kill(p->pid, false, sig); /* it has left its group, and nobody else is there */
    unlock(p);
    return err;
}

/* Waits until nobody is left in the group of a reaped leader; false when `until` came first. */
static bool await_group(const rn_process *p, rn_time until)
{
    rn_duration pause = LOOK_NS_MIN;

    while (os_group_lives(p->pid)) {
        if (os_now() >= until)
            return false;
        pause_for_end(pause);
        pause = next_pause(pause);
    }
    return true;
}

/* Who outlived the leader has until then, and is killed. */
static void end_group(const rn_process *p, rn_time until)
{
    if (!p->own_group || await_group(p, until))
        return;
    os_kill(p->pid, true, SIGKILL);
    await_group(p, rn_time_add(os_now(), GROUP_DIES_NS_MAX));
}

/* When it returns, the program is reaped and nobody of its group lives. */
static void stop(rn_process *p, int sig, rn_duration grace)
{
    rn_time until = rn_time_add(os_now(), grace);

    rn_process_kill(p, sig);
    rn_process_kill(p, SIGCONT); /* a stopped one would not hear */
    if (await_reaped(NULL, p, until) != 0) {
        rn_process_kill(p, SIGKILL);
        await_reaped(NULL, p, RN_FOREVER);
    }
    end_group(p, until);
}

/* ---- waiting ---- */

static bool is_reaped(rn_process *p)
{
    lock(p);
    bool reaped = p->reaped;
    unlock(p);
    return reaped;
}

/*
 * After a pause of this whole process (Ctrl-Z) the end of ctx and that of the program are learnt of
 * at once: then the program was first.
 */
static int await_end(rn_ctx *ctx, rn_process *p)
{
    int err = await_reaped(ctx, p, RN_FOREVER);
    return err != 0 && try_reap(p) ? 0 : err;
}

int rn_process_wait(rn_ctx *ctx, rn_process *p, rn_process_status *status)
{
    int err = 0;

    check_not_forked();
    if (!is_reaped(p) && (err = ctx_err(ctx)) == 0)
        err = await_end(ctx, p);
    if (err != 0)
        stop(p, p->kill_signal, p->kill_after);
    lock(p);
    if (status != NULL)
        *status = p->status;
    bool lost = p->lost;
    unlock(p);
    return err == 0 && lost ? -ECHILD : err;
}

pid_t rn_process_pid(const rn_process *p)
{
    return p->pid;
}

rn_fd rn_process_stdin(const rn_process *p)
{
    return p->pipes[0];
}

rn_fd rn_process_stdout(const rn_process *p)
{
    return p->pipes[1];
}

rn_fd rn_process_stderr(const rn_process *p)
{
    return p->pipes[2];
}

void rn_process_free(rn_process *p)
{
    if (p == NULL)
        return;
    close_pipes(p);
    if (!is_reaped(p))
        stop(p, SIGKILL, 0);
    free(p);
}

/* ---- the whole life in one call ---- */

int rn_process_run(rn_ctx *ctx, const rn_process_options *opt, rn_process_status *status)
{
    rn_process *p;
    int err = 0;

    if (opt->in.kind == RN_STDIO_PIPE || opt->out.kind == RN_STDIO_PIPE ||
        opt->err.kind == RN_STDIO_PIPE) {
        error_detail_set("nobody would be at this end of a pipe");
        return -EINVAL;
    }
    if ((err = ctx_err(ctx)) != 0 || (err = rn_process_start(&p, opt)) != 0)
        return err;
    err = rn_process_wait(ctx, p, status);
    rn_process_free(p);
    return err;
}
