/*
 * spawn_loop - the floor under the command: starts jobs with posix_spawn, a few at a time, reads
 * what each writes until it closes its output, waits for it, and writes the output in one piece.
 *
 * Usage: spawn_loop PARALLEL COMMAND [ARG...] < inputs
 *
 * Each line of input is appended to the command, as runnel and xargs -n1 do. Nothing else is
 * done: no placeholders, no order, no timeouts, no account of what failed. One thread, one poll
 * loop.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { PARALLEL_MAX = 64, ARGS_MAX = 62, OUTPUT_MAX = 65536 };

struct slot {
    pid_t pid; /* 0: free */
    int fd;
    size_t used;
    char output[OUTPUT_MAX];
};

static struct slot slots[PARALLEL_MAX];

static void die(const char *what, int err)
{
    fprintf(stderr, "spawn_loop: %s: %s\n", what, strerror(err));
    exit(1);
}

static void start(struct slot *s, char **argv)
{
    posix_spawn_file_actions_t actions;
    int fds[2], err;

    if (pipe2(fds, O_CLOEXEC) != 0)
        die("pipe", errno);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    err = posix_spawnp(&s->pid, argv[0], &actions, NULL, argv, environ);
    if (err != 0)
        die(argv[0], err);
    posix_spawn_file_actions_destroy(&actions);
    close(fds[1]);
    s->fd = fds[0];
    s->used = 0;
}

static void finish(struct slot *s)
{
    if (s->used > 0 && write(STDOUT_FILENO, s->output, s->used) < 0)
        die("write", errno);
    close(s->fd);
    if (waitpid(s->pid, NULL, 0) < 0)
        die("waitpid", errno);
    s->pid = 0;
}

/* Reads what there is; at the end of the output the job is over. */
static void read_some(struct slot *s)
{
    ssize_t n = read(s->fd, s->output + s->used, OUTPUT_MAX - s->used);

    if (n < 0 && errno != EINTR)
        die("read", errno);
    if (n > 0)
        s->used += (size_t)n;
    else if (n == 0)
        finish(s);
}

static void wait_for_output(int parallel)
{
    struct pollfd fds[PARALLEL_MAX];

    for (int i = 0; i < parallel; i++)
        fds[i] = (struct pollfd){.fd = slots[i].pid != 0 ? slots[i].fd : -1, .events = POLLIN};
    if (poll(fds, (nfds_t)parallel, -1) < 0 && errno != EINTR)
        die("poll", errno);
    for (int i = 0; i < parallel; i++) {
        if (fds[i].fd >= 0 && fds[i].revents != 0)
            read_some(&slots[i]);
    }
}

/* Starts jobs in the free slots; returns how many run. */
static int fill(int parallel, char **args, char **input)
{
    static char *line;
    static size_t size;
    int running = 0;

    for (int i = 0; i < parallel; i++) {
        ssize_t n;

        if (slots[i].pid == 0 && (n = getline(&line, &size, stdin)) > 0) {
            if (line[n - 1] == '\n')
                line[n - 1] = '\0';
            *input = line;
            start(&slots[i], args);
        }
        running += slots[i].pid != 0;
    }
    return running;
}

int main(int argc, char **argv)
{
    char *args[ARGS_MAX + 2] = {0};
    int parallel = argc > 2 ? atoi(argv[1]) : 0;

    if (parallel < 1 || parallel > PARALLEL_MAX || argc - 2 > ARGS_MAX) {
        fputs("usage: spawn_loop PARALLEL COMMAND [ARG...] < inputs\n", stderr);
        return 2;
    }
    for (int i = 2; i < argc; i++)
        args[i - 2] = argv[i];
    while (fill(parallel, args, &args[argc - 2]) > 0)
        wait_for_output(parallel);
    return 0;
}
