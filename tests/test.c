/*
 * The harness behind test.h. Each case is this program started again with --here NAME, so that no
 * case sees another's runtime, and the sanitizers look for leaks after each.
 *
 * A case leads a process group of its own: when its time is up it gets SIGABRT, which makes the
 * runtime speak, and a little later the whole group SIGKILL. It dies with the harness.
 */
#define _GNU_SOURCE
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <runnel/clock.h>
#include <runnel/fiber.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LIMIT_MS 60000
#define GRACE_MS 5000 /* between SIGABRT and SIGKILL */
#define OUTPUT_BYTES_MAX (1 << 16)
#define JOBS_MAX 64
#define WORDS_MAX 32 /* of TEST_EMULATOR */
#define DEADLOCK_STATUS "2"

extern char **environ;

/* A case that runs, or a free place for one. */
struct running {
    const struct test_case *test; /* NULL: free */
    pid_t pid;
    int output; /* a memory file with what it writes */
    int64_t began;
    int64_t deadline; /* when it gets the next signal */
    bool timed_out;
};

static struct test_case *cases, **cases_end = &cases;
static struct running running[JOBS_MAX];
static char *emulator[WORDS_MAX + 1]; /* words that stand before the program's name */
static char program[4096];
static int jobs = 1, failures;
static int64_t limit_ms = LIMIT_MS;

void test_register(struct test_case *test)
{
    *cases_end = test;
    cases_end = &test->next;
}

void test_failed(const char *file, int line, const char *format, ...)
{
    va_list args;

    fprintf(stderr, "%s:%d: ", file, line);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    fflush(NULL);
    _exit(1);
}

static void (*fiber_body)(void);

static int run_body(int argc, char **argv)
{
    (void)argc, (void)argv;
    fiber_body();
    return 0;
}

void test_on_fiber(void (*body)(void))
{
    fiber_body = body;
    if (rn_run(run_body, 0, NULL) != 0)
        test_failed(__FILE__, __LINE__, "rn_run failed");
}

void test_in_virtual_time(void (*body)(void))
{
    int err = rn_clock_virtual(0);

    if (err != 0)
        test_failed(__FILE__, __LINE__, "virtual time: %s", rn_strerror(err));
    test_on_fiber(body);
}

/* ---- one case in a process of its own ---- */

static void give_up(const char *what, int err)
{
    fprintf(stderr, "%s: %s\n", what, strerror(err));
    exit(1);
}

static int64_t milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static pid_t spawn(const struct test_case *test, int output)
{
    char *argv[WORDS_MAX + 4];
    int words = 0;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    pid_t pid;

    for (; emulator[words] != NULL; words++)
        argv[words] = emulator[words];
    memcpy(argv + words, (char *[]){program, "--here", (char *)test->name, NULL}, 4 * sizeof *argv);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output, 1);
    posix_spawn_file_actions_adddup2(&actions, output, 2);
    posix_spawnattr_init(&attributes);
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
    int err = posix_spawnp(&pid, argv[0], &actions, &attributes, argv, environ);
    if (err != 0)
        give_up(argv[0], err);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return pid;
}

static void start(struct running *r, const struct test_case *test)
{
    int output = memfd_create(test->name, MFD_CLOEXEC);
    if (output < 0)
        give_up("memfd_create", errno);
    *r = (struct running){.test = test, .output = output, .began = milliseconds()};
    r->deadline = r->began + limit_ms;
    r->pid = spawn(test, output);
}

static bool matches(const char *text, const char *pattern)
{
    regex_t regex;
    if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) != 0)
        return false;
    bool found = regexec(&regex, text, 0, NULL, 0) == 0;
    regfree(&regex);
    return found;
}

static bool passed(const struct running *r, int status, const char *output)
{
    const struct test_case *test = r->test;
    if (r->timed_out)
        return false;
    if (test->dies_with != NULL && !matches(output, test->dies_with))
        return false;
    if (strncmp(test->dies_how, "SIG", 3) == 0)
        return WIFSIGNALED(status) && WTERMSIG(status) == test->dies_status;
    return WIFEXITED(status) && WEXITSTATUS(status) == test->dies_status;
}

static void explain(const struct running *r, int status, const char *output)
{
    if (r->timed_out)
        printf("     timed out after %lld s\n", (long long)limit_ms / 1000);
    else if (WIFSIGNALED(status))
        printf("     killed by signal %d (%s)\n", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        printf("     exit status %d\n", WEXITSTATUS(status));
    if (r->test->dies_with != NULL)
        printf("     expected: %s, with \"%s\"\n", r->test->dies_how, r->test->dies_with);
    printf("%s\n", output);
}

/* The case has ended: says how, and frees its place. */
static void report(struct running *r, int status)
{
    static char output[OUTPUT_BYTES_MAX + 1];

    ssize_t n = pread(r->output, output, OUTPUT_BYTES_MAX, 0);
    output[n < 0 ? 0 : n] = 0;
    close(r->output);
    bool ok = passed(r, status, output);
    printf("%s %s (%lld ms)\n", ok ? "ok  " : "FAIL", r->test->name,
           (long long)(milliseconds() - r->began));
    if (!ok) {
        failures++;
        explain(r, status, output);
    }
    fflush(stdout);
    r->test = NULL;
}

/* ---- several at once ---- */

/* Waits until a child ends or until_ms comes. SIGCHLD is blocked, so none is missed. */
static void wait_until(int64_t until_ms)
{
    int64_t left = until_ms - milliseconds();
    sigset_t child;

    if (left <= 0)
        return;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigtimedwait(&child, NULL, &(struct timespec){left / 1000, left % 1000 * 1000000});
}

/* The case's time is up: first it may speak, then it is killed with all that it started. */
static void end_late(struct running *r)
{
    if (r->timed_out) {
        kill(-r->pid, SIGKILL);
        return;
    }
    r->timed_out = true;
    r->deadline += GRACE_MS;
    kill(r->pid, SIGABRT);
}

/* Reaps what has ended and ends what is late; returns a free place, or NULL when there is none. */
static struct running *look(int64_t *next_deadline)
{
    struct running *free_place = NULL;
    int status;

    *next_deadline = INT64_MAX;
    for (struct running *r = running; r < running + jobs; r++) {
        if (r->test != NULL && waitpid(r->pid, &status, WNOHANG) == r->pid)
            report(r, status);
        else if (r->test != NULL && milliseconds() >= r->deadline)
            end_late(r);
        if (r->test == NULL)
            free_place = r;
        else if (r->deadline < *next_deadline)
            *next_deadline = r->deadline;
    }
    return free_place;
}

/*
 * An emulator may have threads of its own: then no deadlock is ever certain, and none is reported.
 */
static bool cannot_run(const struct test_case *test)
{
    return getenv("TEST_NO_DEADLOCKS") != NULL && test->dies_with != NULL &&
           strcmp(test->dies_how, DEADLOCK_STATUS) == 0;
}

static void run_case(const struct test_case *test)
{
    struct running *place;
    int64_t deadline;

    if (cannot_run(test)) {
        printf("skip %s: no deadlock can be found here\n", test->name);
        return;
    }
    while ((place = look(&deadline)) == NULL)
        wait_until(deadline);
    start(place, test);
}

static void finish(void)
{
    int64_t deadline;

    while (look(&deadline), deadline != INT64_MAX)
        wait_until(deadline);
}

/* ---- the command line ---- */

static const struct test_case *find(const char *name)
{
    for (const struct test_case *t = cases; t != NULL; t = t->next)
        if (strcmp(t->name, name) == 0)
            return t;
    fprintf(stderr, "no test is called %s\n", name);
    exit(1);
}

static int list(void)
{
    for (const struct test_case *t = cases; t != NULL; t = t->next)
        puts(t->name);
    return 0;
}

static int run_here(const char *name)
{
    find(name)->run();
    return 0;
}

static void run_all(int names, char **name)
{
    for (int i = 0; i < names; i++)
        run_case(find(name[i]));
    for (const struct test_case *t = cases; t != NULL && names == 0; t = t->next)
        run_case(t);
}

static void prepare(void)
{
    const char *scale = getenv("TEST_TIMEOUT_SCALE"), *words = getenv("TEST_EMULATOR");
    sigset_t child;

    if (scale != NULL && atoi(scale) > 0)
        limit_ms *= atoi(scale);
    char *rest = words == NULL ? NULL : strdup(words);
    for (int i = 0; rest != NULL && i < WORDS_MAX; i++)
        emulator[i] = strtok_r(i == 0 ? rest : NULL, " ", &rest);
    if (readlink("/proc/self/exe", program, sizeof program - 1) < 0)
        give_up("/proc/self/exe", errno);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
}

/* An option with a number of at least 1, as --repeat 3; returns how many words it took. */
static int number_option(char **argv, const char *name, int most, int *out)
{
    if (argv[0] == NULL || strcmp(argv[0], name) != 0)
        return 0;
    *out = argv[1] == NULL ? 0 : atoi(argv[1]);
    if (*out < 1 || *out > most) {
        fprintf(stderr, "%s wants a number from 1 to %d\n", name, most);
        exit(1);
    }
    return 2;
}

int main(int argc, char **argv)
{
    int repeat = 1, taken;

    if (argc == 3 && strcmp(argv[1], "--here") == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* the harness is gone: so is the case */
        return run_here(argv[2]);
    }
    if (argc == 2 && strcmp(argv[1], "--list") == 0)
        return list();
    char **word = argv + 1;
    while ((taken = number_option(word, "--repeat", 1000000, &repeat)) != 0 ||
           (taken = number_option(word, "--jobs", JOBS_MAX, &jobs)) != 0)
        word += taken;
    if (cases == NULL)
        test_failed(__FILE__, __LINE__, "no test is registered");
    prepare();
    for (int i = 0; i < repeat && failures == 0; i++) {
        run_all((int)(argv + argc - word), word);
        finish();
    }
    return failures != 0;
}
