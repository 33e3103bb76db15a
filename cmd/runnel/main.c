/*
 * runnel - run a command for each input, several at a time.
 *
 * Everything that happens on the runtime is in run.c; here is what comes before and after it.
 */
#include "options.h"
#include "run.h"
#include "stop.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static struct options options;
static bool dies; /* the run ended by a signal, which app returns */

/*
 * A standard descriptor that is closed would be taken by the first file that is opened, and then be
 * read or written as if it were the user's. It is opened so that using it fails as it would have.
 */
static void ensure_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) == -1)
            (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

/*
 * A parent that ignores SIGCHLD hands that on, and then no child could be waited for. Blocked, the
 * signal wakes no thread each time that a job ends; jobs themselves start with nothing blocked.
 */
static void quiet_child_signal(void)
{
    sigset_t set;

    signal(SIGCHLD, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

static int app(int argc, char **argv)
{
    int result;

    (void)argc;
    (void)argv;
    dies = run_all(&options, &result);
    return result;
}

int main(int argc, char **argv)
{
    int result;

    ensure_standard_descriptors();
    quiet_child_signal();
    switch (options_parse(&options, argc, argv)) {
    case PARSED_DONE:
        return 0;
    case PARSED_WRONG:
        return 1;
    case PARSED_RUN:
        break;
    }
    result = rn_run(app, argc, argv);
    if (!dies)
        return result;
    stop_die(result);
    return 128 + result;
}
