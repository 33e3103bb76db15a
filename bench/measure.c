/*
 * measure - runs a command and prints what it cost, for command.sh.
 *
 * Usage: measure [-t SECONDS] COMMAND [ARG...]
 *        measure --stamp [ANYTHING...]
 *
 * The first form writes one line to file descriptor 3: wall time, processor time of the command
 * with all that it waited for, processor time of the command alone (its threads included), in ms;
 * its own peak memory in KiB, or 0 when it ended before that could be read; and the ms from its
 * start to the first --stamp, or -1. With -t the command is killed after that time. The second
 * form is a job: it notes the time in $BENCH_STAMP unless an earlier job has.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static int64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static void die(const char *what)
{
    fprintf(stderr, "measure: %s: %s\n", what, strerror(errno));
    exit(127);
}

static int stamp(void)
{
    const char *path = getenv("BENCH_STAMP");
    int fd = path != NULL ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;

    if (fd >= 0)
        dprintf(fd, "%lld\n", (long long)now_ns());
    return 0;
}

/* A number from /proc/PID/status, in KiB; 0 when it is not there. */
static long status_kib(pid_t pid, const char *field)
{
    char path[64], line[256];
    size_t n = strlen(field);
    long kib = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    f = fopen(path, "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, field, n) == 0 && line[n] == ':')
            kib = strtol(line + n + 1, NULL, 10);
    }
    if (f != NULL)
        fclose(f);
    return kib;
}

/* The processor time of a process and all its threads, dead ones too, without its children. */
static double own_cpu_ms(pid_t pid)
{
    static const char *const format =
        " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu"; /* from field 3, the state */
    char path[64], line[1024], *p;
    unsigned long user = 0, sys = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    f = fopen(path, "r");
    if (f == NULL || fgets(line, sizeof line, f) == NULL)
        die(path);
    fclose(f);
    p = strrchr(line, ')');
    if (p == NULL || sscanf(p + 1, format, &user, &sys) != 2)
        die(path);
    return (double)(user + sys) * 1000 / (double)sysconf(_SC_CLK_TCK);
}

static double first_stamp_ms(int64_t start)
{
    const char *path = getenv("BENCH_STAMP");
    FILE *f = path != NULL ? fopen(path, "r") : NULL;
    long long at;
    double ms = -1;

    if (f != NULL && fscanf(f, "%lld", &at) == 1)
        ms = (double)(at - start) / 1e6;
    if (f != NULL)
        fclose(f);
    return ms;
}

/* Waits for the end of the command, killing it after limit_ms (-1: never); leaves it a zombie. */
static long wait_for_end(pid_t pid, int limit_ms)
{
    struct pollfd p = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
    siginfo_t info;
    long peak = 0;

    if (p.fd < 0)
        die("pidfd_open");
    if (poll(&p, 1, limit_ms) == 0) {
        peak = status_kib(pid, "VmHWM");
        kill(pid, SIGKILL);
    }
    if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) != 0)
        die("waitid");
    close(p.fd);
    return peak;
}

static double ms_of(struct timeval t)
{
    return (double)t.tv_sec * 1e3 + (double)t.tv_usec / 1e3;
}

static int measure(char **argv, int limit_ms)
{
    struct rusage ru;
    int64_t start = now_ns(), wall;
    pid_t pid;
    long peak;
    double own;

    errno = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);
    if (errno != 0)
        die(argv[0]);
    peak = wait_for_end(pid, limit_ms);
    wall = now_ns() - start;
    own = own_cpu_ms(pid);
    if (wait4(pid, NULL, 0, &ru) < 0)
        die("wait4");
    dprintf(3, "%.3f %.3f %.3f %ld %.3f\n", (double)wall / 1e6,
            ms_of(ru.ru_utime) + ms_of(ru.ru_stime), own, peak, first_stamp_ms(start));
    return 0;
}

int main(int argc, char **argv)
{
    int limit_ms = -1, first = 1;

    if (argc > 1 && strcmp(argv[1], "--stamp") == 0)
        return stamp();
    if (argc > 2 && strcmp(argv[1], "-t") == 0) {
        limit_ms = (int)(atof(argv[2]) * 1000);
        first = 3;
    }
    if (argc <= first) {
        fputs("usage: measure [-t SECONDS] COMMAND [ARG...] 3> result\n", stderr);
        return 2;
    }
    return measure(argv + first, limit_ms);
}
