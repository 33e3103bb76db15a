/*
 * Child processes, Linux. The contract is os/os.h.
 *
 * posix_spawn shares this process's memory until the program is executed: no page table is copied,
 * however large we are, and the result of exec comes back as a code. The thread is suspended
 * meanwhile.
 */
#define _GNU_SOURCE
#include "os/os.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434 /* the same on every architecture */
#endif

#define NS_PER_S 1000000000ll
#define NS_PER_US 1000ll
/* of /proc/n/stat, as far as the group: pid, name (64), state, parent, group */
#define STAT_BYTES_MAX 512
#define HEAD_BYTES 256 /* of a file: where a NUL shows that it is no text */
#define SHELL "/bin/sh"

/* ---- starting ---- */

/* The three descriptors as the child finds them, out of each other's way. */
struct stdio {
    int source[3];
    bool ours[3]; /* duplicates to be closed afterwards */
};

static void stdio_close(struct stdio *io)
{
    for (int i = 0; i < 3; i++)
        if (io->ours[i])
            close(io->source[i]);
}

/*
 * A source among 0, 1 and 2 that is to become another of them could be overwritten before it is
 * copied: it is moved out of the way first.
 */
static int stdio_prepare(struct stdio *io, const int wanted[3])
{
    *io = (struct stdio){.source = {wanted[0], wanted[1], wanted[2]}};
    for (int i = 0; i < 3; i++) {
        if (wanted[i] < 0 || wanted[i] > 2 || wanted[i] == i)
            continue;
        io->source[i] = fcntl(wanted[i], F_DUPFD_CLOEXEC, 3);
        if (io->source[i] < 0) {
            int err = -errno;
            stdio_close(io);
            return err;
        }
        io->ours[i] = true;
    }
    return 0;
}

static int add_stdio(posix_spawn_file_actions_t *actions, int source, int target)
{
    if (source == OS_STDIO_INHERIT)
        return 0;
    if (source == OS_STDIO_NULL)
        return posix_spawn_file_actions_addopen(actions, target, "/dev/null", O_RDWR, 0);
    return posix_spawn_file_actions_adddup2(actions, source, target); /* equal: not close-on-exec */
}

static int make_actions(posix_spawn_file_actions_t *actions, const struct stdio *io,
                        const char *dir)
{
    int err = 0;

    for (int i = 0; err == 0 && i < 3; i++)
        err = add_stdio(actions, io->source[i], i);
    if (err == 0 && dir != NULL)
        err = posix_spawn_file_actions_addchdir_np(actions, dir);
    return -err;
}

static int make_attributes(posix_spawnattr_t *attributes, bool own_group)
{
    short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    sigset_t none, broken_pipe;
    int err;

    sigemptyset(&none);
    sigemptyset(&broken_pipe);
    sigaddset(&broken_pipe, SIGPIPE);
    if (own_group)
        flags |= POSIX_SPAWN_SETPGROUP; /* group 0: its own process id */
    if ((err = posix_spawnattr_setflags(attributes, flags)) == 0 &&
        (err = posix_spawnattr_setsigmask(attributes, &none)) == 0)
        err = posix_spawnattr_setsigdefault(attributes, &broken_pipe);
    return -err;
}

int os_process_id(void)
{
    return getpid();
}

/* The words that have the shell run a script with these arguments; freed by the caller. */
static char **shell_argv(char *script, char *const *argv)
{
    size_t count = 1;

    while (argv[count] != NULL)
        count++;
    char **result = malloc((count + 2) * sizeof *result);
    if (result == NULL)
        return NULL;
    result[0] = SHELL;
    result[1] = script;
    memcpy(result + 2, argv + 1, count * sizeof *result); /* with the end */
    return result;
}

/*
 * Runs a text by the shell, as execvp(3) does; posix_spawnp(3) leaves that to us. What has a NUL in
 * its first line is no text (POSIX, sh): the shell would only misread it.
 */
static int spawn_script(const struct os_spawn *spawn, pid_t *pid,
                        const posix_spawn_file_actions_t *actions,
                        const posix_spawnattr_t *attributes, char *const *env)
{
    char head[HEAD_BYTES], path[PATH_MAX + 2] = "./"; /* so that it never looks like an option */

    if (!os_program_find(spawn->program, spawn->dir, path + 2, sizeof path - 2))
        return -ENOEXEC;
    int64_t size = os_program_head(path + 2, spawn->dir, head, sizeof head);
    if (size < 0)
        return (int)size;
    const char *line_end = memchr(head, '\n', (size_t)size);
    if (memchr(head, 0, line_end != NULL ? (size_t)(line_end - head) : (size_t)size) != NULL)
        return -ENOEXEC;
    char **argv = shell_argv(path[2] == '-' ? path : path + 2, spawn->argv);
    if (argv == NULL)
        return -ENOMEM;
    int err = -posix_spawn(pid, SHELL, actions, attributes, argv, env);
    free(argv);
    return err;
}

int os_spawn(const struct os_spawn *spawn)
{
    char *const *env = spawn->env != NULL ? spawn->env : environ;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    struct stdio io;
    pid_t pid = 0;
    int err = stdio_prepare(&io, spawn->stdio);

    if (err != 0)
        return err;
    if ((err = -posix_spawn_file_actions_init(&actions)) != 0)
        goto close_stdio;
    if ((err = -posix_spawnattr_init(&attributes)) != 0)
        goto free_actions;
    if ((err = make_actions(&actions, &io, spawn->dir)) == 0 &&
        (err = make_attributes(&attributes, spawn->own_group)) == 0)
        err = -posix_spawnp(&pid, spawn->program, &actions, &attributes, spawn->argv, env);
    if (err == -ENOEXEC)
        err = spawn_script(spawn, &pid, &actions, &attributes, env);
    posix_spawnattr_destroy(&attributes);
free_actions:
    posix_spawn_file_actions_destroy(&actions);
close_stdio:
    stdio_close(&io);
    return err != 0 ? err : pid;
}

int os_dir_check(const char *dir)
{
    struct stat about;

    if (stat(dir, &about) != 0)
        return -errno;
    if (!S_ISDIR(about.st_mode))
        return -ENOTDIR;
    return access(dir, X_OK) == 0 ? 0 : -errno;
}

/* ---- ending ---- */

int os_pidfd(int pid)
{
    long fd = syscall(SYS_pidfd_open, pid, 0); /* always close-on-exec */
    return fd >= 0 ? (int)fd : -errno;
}

static int64_t to_ns(struct timeval time)
{
    return time.tv_sec * NS_PER_S + time.tv_usec * NS_PER_US;
}

int os_reap(int pid, struct os_exit *out)
{
    struct rusage usage;
    int status;
    pid_t got;

    while ((got = wait4(pid, &status, WNOHANG, &usage)) < 0) {
        int err = -errno;
        if (err != -EINTR)
            return err;
    }
    if (got == 0)
        return 0;
    *out = (struct os_exit){
        .code = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
        .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
        .core_dumped = WIFSIGNALED(status) && WCOREDUMP(status),
        .user_ns = to_ns(usage.ru_utime),
        .system_ns = to_ns(usage.ru_stime),
    };
    return 1;
}

void os_await_exit(int pid)
{
    siginfo_t info;
    int err;

    do {
        err = waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) == 0 ? 0 : -errno;
    } while (err == -EINTR);
}

int os_kill(int pid, bool group, int number)
{
    return kill(group ? -pid : pid, number) == 0 ? 0 : -errno;
}

/* ---- who is in a group ---- */

/* Of one process: whether it is in the group and has not ended. */
static bool lives_in_group(const char *pid, int group)
{
    char path[64], text[STAT_BYTES_MAX];
    char state;
    int its_group;

    snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return false;
    text[n] = 0;
    const char *after_name = strrchr(text, ')'); /* a name may hold anything, ')' too */
    return after_name != NULL && sscanf(after_name + 1, " %c %*d %d", &state, &its_group) == 2 &&
           its_group == group && state != 'Z' && state != 'X';
}

/*
 * The kernel says at once when the group is empty. Otherwise somebody is in it, but perhaps only
 * the remains of a process whose parent does not reap it: only /proc can tell.
 */
bool os_group_lives(int group)
{
    bool found = false;

    if (kill(-group, 0) != 0 && errno == ESRCH)
        return false;
    DIR *dir = opendir("/proc");
    if (dir == NULL)
        return true;
    for (struct dirent *entry; !found && (entry = readdir(dir)) != NULL;)
        found = isdigit((unsigned char)entry->d_name[0]) && lives_in_group(entry->d_name, group);
    closedir(dir);
    return found;
}
