/*
 * What the tests of processes share: short ways to start programs, and looking for what they leave
 * behind.
 */
#ifndef RN_TESTS_PROCESS_H
#define RN_TESTS_PROCESS_H

#include "io.h"

#include <ctype.h>

#define OUTPUT_BYTES_MAX 65536

/* The shell with a script. */
#define SHELL(script)                                                                              \
    (char *[])                                                                                     \
    {                                                                                              \
        "sh", "-c", (script), NULL                                                                 \
    }

/* No child of this process is left: none runs, and none waits to be reaped. */
static inline void expect_no_children(void)
{
    EXPECT_EQ(waitpid(-1, NULL, WNOHANG), -1);
}

/* Starts a program with these options and waits for it. */
static inline rn_process_status run_to_the_end(const rn_process_options *opt)
{
    rn_process_status status = {0};
    int err = rn_process_run(NULL, opt, &status);
    if (err != 0)
        test_failed(__FILE__, __LINE__, "%s: %s (%s)", opt->argv[0], rn_strerror(err),
                    rn_error_detail());
    return status;
}

static inline rn_process *start_shell(char *script, enum rn_stdio_kind out)
{
    rn_process *p;
    EXPECT_EQ(rn_process_start(&p, &(rn_process_options){.argv = SHELL(script), .out.kind = out}),
              0);
    return p;
}

/* Reads one line from a program's output, without its end. */
static inline void read_line(rn_process *p, char *line, size_t room)
{
    size_t n = 0;
    while (n + 1 < room && rn_fd_read(NULL, rn_process_stdout(p), line + n, 1) == 1)
        if (line[n++] == '\n')
            break;
    line[n > 0 ? n - 1 : 0] = 0;
}

/* What a shell script prints. */
static inline char *output_of(char *script)
{
    char *text;
    EXPECT_EQ(
        rn_process_output(NULL, &(rn_process_options){.argv = SHELL(script)}, 0, &text, NULL, NULL),
        0);
    return text;
}

/* Whether a process runs; its remains, which its new parent may not have reaped, do not count. */
static inline bool process_lives(int pid)
{
    char path[64], text[512];
    char *end;

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    end = strrchr(text, ')');
    return end != NULL && end[2] != 'Z' && end[2] != 'X';
}

#endif
