/* Processes: starting, what they get, how they end, errors, many at once. */
#include "process.h"

#include <sys/resource.h>
#include <sys/stat.h>

/* ---- how they end ---- */

TEST_FIBER(exit_codes_and_signals_are_told_apart)
{
    rn_process_status s = run_to_the_end(&(rn_process_options){.argv = (char *[]){"true", NULL}});
    EXPECT_EQ(s.code, 0);
    EXPECT_EQ(s.signal, 0);
    EXPECT_EQ(run_to_the_end(&(rn_process_options){.argv = SHELL("exit 3")}).code, 3);
    EXPECT_EQ(run_to_the_end(&(rn_process_options){.argv = SHELL("exit 255")}).code, 255);
    s = run_to_the_end(&(rn_process_options){.argv = SHELL("kill -9 $$")});
    EXPECT_EQ(s.code, -1);
    EXPECT_EQ(s.signal, SIGKILL);
    EXPECT(!s.core_dumped);
    expect_no_children();
}

TEST_FIBER(processor_time_is_reported)
{
    rn_process_status s = run_to_the_end(
        &(rn_process_options){.argv = SHELL("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done")});
    EXPECT_EQ(s.code, 0);
    EXPECT(s.user_time + s.system_time > 0);
}

TEST_FIBER(waiting_again_says_the_same)
{
    rn_process *p = start_shell("exit 7", RN_STDIO_INHERIT);
    rn_process_status s;
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);

    EXPECT_EQ(rn_process_wait(NULL, p, &s), 0);
    EXPECT_EQ(s.code, 7);
    s.code = 0;
    rn_ctx_cancel(ctx, 0);
    EXPECT_EQ(rn_process_wait(ctx, p, &s), 0);
    EXPECT_EQ(s.code, 7);
    EXPECT_EQ(rn_process_wait(NULL, p, NULL), 0);
    EXPECT_EQ(rn_process_kill(p, SIGTERM), -ESRCH);
    EXPECT_EQ(rn_process_kill(p, 0), -ESRCH);
    rn_ctx_release(ctx);
    rn_process_free(p);
}

struct waiting {
    rn_process *p;
    atomic_int *done;
};

static void wait_for_9(void *arg)
{
    struct waiting *w = arg;
    rn_process_status s;
    EXPECT_EQ(rn_process_wait(NULL, w->p, &s), 0);
    EXPECT_EQ(s.code, 9);
    atomic_fetch_add(w->done, 1);
}

TEST_FIBER(many_fibers_wait_for_one_process)
{
    rn_process *p;
    atomic_int done = 0;

    EXPECT_EQ(rn_process_start(&p, &(rn_process_options){.argv = SHELL("read x; exit 9"),
                                                         .in.kind = RN_STDIO_PIPE}),
              0);
    for (int i = 0; i < 5; i++)
        EXPECT_EQ(rn_go_copy(wait_for_9, &(struct waiting){p, &done}), 0);
    await_reason("process wait", 5);
    EXPECT_EQ(rn_fd_close(rn_process_stdin(p)), 0);
    await_count(&done, 5);
    rn_process_free(p);
    expect_no_children();
}

TEST_FIBER(a_status_that_somebody_else_took_is_echild)
{
    rn_process *p = start_shell("exit 0", RN_STDIO_INHERIT);
    rn_process_status s;
    int status;

    EXPECT_EQ(waitpid(rn_process_pid(p), &status, 0), rn_process_pid(p));
    EXPECT_EQ(rn_process_wait(NULL, p, &s), -ECHILD);
    EXPECT_EQ(s.code, -1);
    EXPECT_EQ(s.signal, 0);
    EXPECT_EQ(rn_process_wait(NULL, p, &s), -ECHILD);
    rn_process_free(p);
}

TEST(plain_threads_run_processes)
{
    rn_process_status s = run_to_the_end(&(rn_process_options){.argv = SHELL("exit 4")});
    EXPECT_EQ(s.code, 4);
    expect_no_children();
    EXPECT_EQ(rn_stop(), 0);
}

/* ---- what they get ---- */

TEST_FIBER(arguments_environment_and_directory_arrive)
{
    char *text;
    rn_process_options opt = {
        .argv = (char *[]){"/bin/sh", "-c", "echo \"$1\"; echo \"$X\"; pwd", "sh", "a b\tc", NULL},
        .env = (char *[]){"X=from here", NULL},
        .dir = "/usr",
    };
    EXPECT_EQ(rn_process_output(NULL, &opt, 0, &text, NULL, NULL), 0);
    EXPECT_STR(text, "a b\tc\nfrom here\n/usr\n");
    free(text);
}

TEST_FIBER(standard_descriptors_go_where_they_are_told)
{
    char path[] = "/tmp/runnel-test-XXXXXX", text[64] = {0};
    int fd = mkstemp(path);
    unlink(path);

    run_to_the_end(&(rn_process_options){
        .argv = SHELL("cat; echo out; echo err >&2"),
        .in.kind = RN_STDIO_NULL,
        .out = {RN_STDIO_FD, fd},
        .err.kind = RN_STDIO_STDOUT,
    });
    EXPECT_EQ(pread(fd, text, sizeof text - 1, 0), 8);
    EXPECT_STR(text, "out\nerr\n");
    EXPECT(fcntl(fd, F_GETFD) >= 0); /* still the caller's */
    close(fd);
}

TEST_FIBER(out_and_err_can_be_told_apart)
{
    rn_process *p;
    char text[64];
    rn_process_options opt = {
        .argv = SHELL("echo out; echo err >&2"),
        .out.kind = RN_STDIO_PIPE,
        .err.kind = RN_STDIO_PIPE,
    };

    EXPECT_EQ(rn_process_start(&p, &opt), 0);
    EXPECT_EQ(rn_process_stdin(p).handle, 0);
    EXPECT_EQ(read_all(rn_process_stdout(p), text, sizeof text), 4);
    EXPECT_STR(text, "out\n");
    EXPECT_EQ(read_all(rn_process_stderr(p), text, sizeof text), 4);
    EXPECT_STR(text, "err\n");
    EXPECT_EQ(rn_process_wait(NULL, p, NULL), 0);
    rn_process_free(p);
}

/* 1 becomes 2 and 2 becomes 1: neither may be overwritten before it is copied. */
TEST_FIBER(descriptors_can_be_swapped)
{
    int out[2], err[2];
    char text[16] = {0};

    EXPECT_EQ(pipe2(out, O_CLOEXEC), 0);
    EXPECT_EQ(pipe2(err, O_CLOEXEC), 0);
    int saved_out = dup(1), saved_err = dup(2);
    dup2(out[1], 1);
    dup2(err[1], 2);
    rn_process_options opt = {
        .argv = SHELL("echo O; echo E >&2"),
        .out = {RN_STDIO_FD, 2},
        .err = {RN_STDIO_FD, 1},
    };
    int code = rn_process_run(NULL, &opt, NULL);
    dup2(saved_out, 1);
    dup2(saved_err, 2);
    EXPECT_EQ(code, 0);
    EXPECT_EQ(read(out[0], text, sizeof text), 2);
    EXPECT_STR(text, "E\n");
    EXPECT_EQ(read(err[0], text, sizeof text), 2);
    EXPECT_STR(text, "O\n");
}

/* A program that was started with 0, 1 and 2 closed gets pipes with these numbers. */
TEST_FIBER(pipes_with_low_numbers_arrive)
{
    char text[64];
    rn_process *p;
    int saved = dup(0);

    close(0);
    rn_process_options opt = {
        .argv = SHELL("cat; echo done"),
        .in.kind = RN_STDIO_PIPE,
        .out.kind = RN_STDIO_PIPE,
    };
    EXPECT_EQ(rn_process_start(&p, &opt), 0);
    EXPECT_EQ(rn_fd_write(NULL, rn_process_stdin(p), "in\n", 3), 3);
    EXPECT_EQ(rn_fd_close(rn_process_stdin(p)), 0);
    EXPECT_EQ(read_all(rn_process_stdout(p), text, sizeof text), 8);
    EXPECT_STR(text, "in\ndone\n");
    EXPECT_EQ(rn_process_wait(NULL, p, NULL), 0);
    rn_process_free(p);
    dup2(saved, 0);
}

struct feed {
    rn_fd to;
    size_t size;
};

static void feed(void *arg)
{
    struct feed *f = arg;
    char *data = malloc(f->size);
    memset(data, 'z', f->size);
    EXPECT_EQ(rn_fd_write(NULL, f->to, data, f->size), (ssize_t)f->size);
    free(data);
    EXPECT_EQ(rn_fd_close(f->to), 0);
}

TEST_FIBER(more_than_a_pipe_holds_goes_through_both_ways)
{
    size_t size = 3 * PIPE_BYTES_MAX, got = 0;
    char *chunk = malloc(PIPE_BYTES_MAX);
    rn_process *p;
    ssize_t n;
    rn_process_options opt = {
        .argv = (char *[]){"cat", NULL},
        .in.kind = RN_STDIO_PIPE,
        .out.kind = RN_STDIO_PIPE,
    };

    EXPECT_EQ(rn_process_start(&p, &opt), 0);
    EXPECT_EQ(rn_go_copy(feed, &(struct feed){rn_process_stdin(p), size}), 0);
    while ((n = rn_fd_read(NULL, rn_process_stdout(p), chunk, PIPE_BYTES_MAX)) > 0)
        got += (size_t)n;
    EXPECT_EQ(n, 0);
    EXPECT_EQ(got, size);
    EXPECT_EQ(rn_process_wait(NULL, p, NULL), 0);
    rn_process_free(p);
    free(chunk);
}

TEST(signals_are_as_promised)
{
    sigset_t all;
    char *text;

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    text = output_of("grep -E '^Sig(Blk|Ign)' /proc/self/status");
    unsigned long long blocked, ignored;
    EXPECT_EQ(sscanf(text, "SigBlk: %llx SigIgn: %llx", &blocked, &ignored), 2);
    EXPECT_EQ(blocked, 0);
    EXPECT_EQ(ignored & 1ull << (SIGPIPE - 1), 0);
    EXPECT(ignored & 1ull << (SIGHUP - 1));
    free(text);
    EXPECT_EQ(rn_stop(), 0);
}

TEST_FIBER(own_group_unless_told_otherwise)
{
    rn_process *p;
    rn_process_options opt = {.argv = SHELL("read x"), .in.kind = RN_STDIO_PIPE};

    EXPECT_EQ(rn_process_start(&p, &opt), 0);
    EXPECT_EQ(getpgid(rn_process_pid(p)), rn_process_pid(p));
    rn_process_free(p);
    opt.same_group = true;
    EXPECT_EQ(rn_process_start(&p, &opt), 0);
    EXPECT_EQ(getpgid(rn_process_pid(p)), getpgrp());
    EXPECT_EQ(rn_process_kill(p, 0), 0);
    rn_process_free(p); /* must not kill us */
    expect_no_children();
}

/* ---- what cannot be started ---- */

static int start_error(const rn_process_options *opt)
{
    rn_process *p;
    int before = fds_open();
    int err = rn_process_start(&p, opt);
    EXPECT(p == NULL);
    expect_fds(before);
    expect_no_children();
    return err;
}

static void expect_detail(const char *part)
{
    if (strstr(rn_error_detail(), part) == NULL)
        test_failed(__FILE__, __LINE__, "\"%s\" is not in \"%s\"", part, rn_error_detail());
}

#define PIPES .in.kind = RN_STDIO_PIPE, .out.kind = RN_STDIO_PIPE, .err.kind = RN_STDIO_PIPE

TEST_FIBER(the_program_may_be_another_than_the_first_argument)
{
    rn_process_options opt = {.program = "sh", .argv = (char *[]){"name", "-c", "echo $0", NULL}};
    char *text;

    EXPECT_EQ(rn_process_output(NULL, &opt, 0, &text, NULL, NULL), 0);
    EXPECT_STR(text, "name\n");
    free(text);
    opt.program = "/no/such/program";
    EXPECT_EQ(start_error(&opt), -ENOENT);
    EXPECT(strstr(rn_error_detail(), "/no/such/program") != NULL);
}

TEST_FIBER(a_program_that_does_not_exist_is_enoent)
{
    rn_process_options opt = {.argv = (char *[]){"no-such-program", NULL}, PIPES};
    EXPECT_EQ(start_error(&opt), -ENOENT);
    expect_detail("no-such-program");
    opt.argv = (char *[]){"/no/such/path", NULL};
    EXPECT_EQ(start_error(&opt), -ENOENT);
    expect_detail("/no/such/path");
    opt.argv = (char *[]){"/bin/sh/x", NULL};
    EXPECT_EQ(start_error(&opt), -ENOTDIR);
    opt = (rn_process_options){.argv = (char *[]){"true", NULL}, .dir = "/no/such/dir", PIPES};
    EXPECT_EQ(start_error(&opt), -ENOENT);
    expect_detail("/no/such/dir");
    opt.dir = "/bin/sh";
    EXPECT_EQ(start_error(&opt), -ENOTDIR);
    expect_detail("/bin/sh");
}

/* A file with this content and mode, to be unlinked. */
static void make_bytes(char *path, const char *bytes, size_t size, mode_t mode)
{
    int fd = mkostemp(path, O_CLOEXEC);
    EXPECT_EQ(write(fd, bytes, size), (ssize_t)size);
    EXPECT_EQ(fchmod(fd, mode), 0);
    close(fd);
}

static void make_file(char *path, const char *text, mode_t mode)
{
    make_bytes(path, text, strlen(text), mode);
}

static void expect_output(const rn_process_options *opt, const char *wanted)
{
    char *text;
    EXPECT_EQ(rn_process_output(NULL, opt, 0, &text, NULL, NULL), 0);
    EXPECT_STR(text, wanted);
    free(text);
}

TEST_FIBER(a_script_without_a_first_line_is_run_by_the_shell)
{
    char path[] = "/tmp/runnel-test-XXXXXX", relative[] = "/tmp/runnel-test-XXXXXX";
    const char *name = path + strlen("/tmp/");
    char wanted[64], *old = strdup(getenv("PATH"));

    make_file(path, "echo \"$0: $1, $2\"\n", 0755);
    make_file(relative, "", 0755);
    snprintf(wanted, sizeof wanted, "%s: a  b, \n", path);
    expect_output(&(rn_process_options){.argv = (char *[]){path, "a  b", NULL}}, wanted);
    EXPECT_EQ(setenv("PATH", "/no/such/dir:/tmp", 1), 0);
    expect_output(&(rn_process_options){.argv = (char *[]){"x", "a  b", NULL}, .program = name},
                  wanted);
    snprintf(wanted, sizeof wanted, "./%s: , \n", name);
    EXPECT_EQ(setenv("PATH", ":/usr/bin", 1), 0); /* the empty place is the current directory */
    expect_output(&(rn_process_options){.argv = (char *[]){(char *)name, NULL}, .dir = "/tmp"},
                  wanted);
    EXPECT_EQ(setenv("PATH", old, 1), 0);
    EXPECT_EQ(run_to_the_end(&(rn_process_options){.argv = (char *[]){relative, NULL}}).code, 0);
    free(old);
    unlink(path);
    unlink(relative);
    expect_no_children();
}

TEST_FIBER(a_script_is_never_taken_for_an_option)
{
    char dir[] = "/tmp/runnel-test-XXXXXX", path[64];
    EXPECT(mkdtemp(dir) != NULL);
    snprintf(path, sizeof path, "%s/-e", dir);
    EXPECT_EQ(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/-e/XXXXXX", dir);
    make_file(path, "echo \"$0\"\n", 0755);
    char wanted[64];
    snprintf(wanted, sizeof wanted, "./%s\n", path + strlen(dir) + 1);
    expect_output(
        &(rn_process_options){.argv = (char *[]){path + strlen(dir) + 1, NULL}, .dir = dir},
        wanted);
    unlink(path);
    snprintf(path, sizeof path, "%s/-e", dir);
    rmdir(path);
    rmdir(dir);
}

TEST_FIBER(files_that_are_no_programs_are_refused)
{
    char plain[] = "/tmp/runnel-test-XXXXXX", odd[] = "/tmp/runnel-test-XXXXXX";
    char lost[] = "/tmp/runnel-test-XXXXXX";

    make_file(plain, "#!/bin/sh\n", 0644);
    make_bytes(odd, "\177ELF\0 of no machine\n", 21, 0755);
    make_file(lost, "#!/no/such/interpreter\n", 0755);
    EXPECT_EQ(start_error(&(rn_process_options){.argv = (char *[]){plain, NULL}, PIPES}), -EACCES);
    expect_detail(plain);
    EXPECT_EQ(start_error(&(rn_process_options){.argv = (char *[]){odd, NULL}, PIPES}), -ENOEXEC);
    EXPECT_EQ(start_error(&(rn_process_options){.argv = (char *[]){lost, NULL}, PIPES}), -ENOENT);
    expect_detail("its interpreter /no/such/interpreter is not found");
    unlink(plain);
    unlink(odd);
    unlink(lost);
}

TEST_FIBER(wrong_options_are_refused)
{
    rn_process_options opt = {.argv = NULL};
    EXPECT_EQ(start_error(&opt), -EINVAL);
    opt.argv = (char *[]){NULL};
    EXPECT_EQ(start_error(&opt), -EINVAL);
    expect_detail("argv");
    opt.argv = (char *[]){"true", NULL};
    opt.kill_signal = 65;
    EXPECT_EQ(start_error(&opt), -EINVAL);
    opt.kill_signal = 0;
    opt.kill_after = -1;
    EXPECT_EQ(start_error(&opt), -EINVAL);
    opt.kill_after = 0;
    opt.in.kind = RN_STDIO_STDOUT;
    EXPECT_EQ(start_error(&opt), -EINVAL);
    opt.in.kind = (enum rn_stdio_kind)77;
    EXPECT_EQ(start_error(&opt), -EINVAL);
    opt.in = (rn_stdio){RN_STDIO_FD, 9999};
    EXPECT_EQ(start_error(&opt), -EBADF);
    opt.in = (rn_stdio){RN_STDIO_FD, -1};
    EXPECT_EQ(start_error(&opt), -EBADF);
    opt.in = (rn_stdio){RN_STDIO_PIPE, 0};
    EXPECT_EQ(rn_process_run(NULL, &opt, NULL), -EINVAL);
}

TEST_FIBER(too_long_arguments_are_e2big)
{
    size_t size = 1 << 20;
    char *argument = malloc(size);
    memset(argument, 'a', size - 1);
    argument[size - 1] = 0;
    rn_process_options opt = {.argv = (char *[]){"true", argument, NULL}, PIPES};
    EXPECT_EQ(start_error(&opt), -E2BIG);
    free(argument);
}

/* Whatever the number of descriptors left, a start works, or fails and leaves nothing. */
TEST_FIBER(too_few_descriptors_is_emfile_and_leaves_nothing)
{
    rn_process_options opt = {.argv = (char *[]){"true", NULL}, PIPES};
    struct rlimit limit;
    int open_now = fds_open(), failed = 0;

    EXPECT_EQ(start_error(&(rn_process_options){.argv = (char *[]){"no-such", NULL}}), -ENOENT);
    EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    for (int more = 0; more < 10; more++) {
        struct rlimit low = {(rlim_t)(open_now + more), limit.rlim_max};
        rn_process *p;
        EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
        int err = rn_process_start(&p, &opt);
        EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
        EXPECT(err == 0 || err == -EMFILE);
        failed += err != 0;
        rn_process_free(p);
        expect_fds(open_now);
        expect_no_children();
    }
    EXPECT(failed >= 5);
    EXPECT(failed < 10);
}

/* ---- many at once ---- */

struct crowd {
    atomic_int *done, *wrong;
    int jobs;
};

static void run_jobs(void *arg)
{
    struct crowd *c = arg;
    char script[32], text[64], wanted[64];

    for (int i = 0; i < c->jobs; i++) {
        rn_process_status s;
        snprintf(script, sizeof script, "echo %d; exit %d", i, i % 50);
        snprintf(wanted, sizeof wanted, "%d\n", i);
        rn_process *p = start_shell(script, RN_STDIO_PIPE);
        read_all(rn_process_stdout(p), text, sizeof text);
        EXPECT_EQ(rn_process_wait(NULL, p, &s), 0);
        if (s.code != i % 50 || strcmp(text, wanted) != 0)
            atomic_fetch_add(c->wrong, 1);
        rn_process_free(p);
    }
    atomic_fetch_add(c->done, 1);
}

TEST_FIBER(five_hundred_from_fifty_fibers_leave_nothing)
{
    enum { FIBERS = 50, JOBS = 10 };
    atomic_int done = 0, wrong = 0;
    int before = fds_open();

    for (int i = 0; i < FIBERS; i++)
        EXPECT_EQ(rn_go_copy(run_jobs, &(struct crowd){&done, &wrong, rounds(JOBS)}), 0);
    await_count(&done, FIBERS);
    EXPECT_EQ(atomic_load(&wrong), 0);
    expect_fds(before);
    expect_no_children();
}

TEST_FIBER(hundreds_run_at_the_same_time)
{
    enum { PROCESSES = 200 };
    rn_process *p[PROCESSES];
    int before = fds_open();
    rn_process_options opt = {.argv = (char *[]){"cat", NULL}, .in.kind = RN_STDIO_PIPE};

    for (int i = 0; i < PROCESSES; i++)
        EXPECT_EQ(rn_process_start(&p[i], &opt), 0);
    for (int i = 0; i < PROCESSES; i++)
        EXPECT_EQ(rn_fd_close(rn_process_stdin(p[i])), 0);
    for (int i = 0; i < PROCESSES; i++) {
        rn_process_status s;
        EXPECT_EQ(rn_process_wait(NULL, p[i], &s), 0);
        EXPECT_EQ(s.code, 0);
        rn_process_free(p[i]);
    }
    expect_fds(before);
    expect_no_children();
}

/* ls itself holds the directory open: 0, 1, 2 and 3 are what a clean start shows. */
static void list_descriptors(void *arg)
{
    struct crowd *c = arg;
    for (int i = 0; i < c->jobs; i++) {
        char *text;
        rn_process_options opt = {.argv = (char *[]){"ls", "/proc/self/fd", NULL}};
        EXPECT_EQ(rn_process_output(NULL, &opt, 0, &text, NULL, NULL), 0);
        if (strcmp(text, "0\n1\n2\n3\n") != 0)
            atomic_fetch_add(c->wrong, 1);
        free(text);
    }
    atomic_fetch_add(c->done, 1);
}

TEST_FIBER(no_descriptor_leaks_into_processes_started_at_once)
{
    enum { FIBERS = 20, JOBS = 10 };
    atomic_int done = 0, wrong = 0;

    for (int fd = 3; fd < 1024; fd++)
        fcntl(fd, F_SETFD, FD_CLOEXEC); /* whatever the surroundings have left open */
    for (int i = 0; i < FIBERS; i++)
        EXPECT_EQ(rn_go_copy(list_descriptors, &(struct crowd){&done, &wrong, rounds(JOBS)}), 0);
    await_count(&done, FIBERS);
    EXPECT_EQ(atomic_load(&wrong), 0);
}

/* ---- output in one call ---- */

TEST_FIBER(output_collects_everything_or_says_why_not)
{
    char *text = output_of("printf 'a\\0b'");
    size_t size;
    rn_process_status s;
    rn_process_options opt = {.argv = SHELL("yes | head -c 100000; exit 2")};

    EXPECT_EQ(memcmp(text, "a\0b\0", 4), 0);
    free(text);
    EXPECT_EQ(rn_process_output(NULL, &opt, 100000, &text, &size, &s), 0);
    EXPECT_EQ(size, 100000);
    EXPECT_EQ(strlen(text), 100000);
    EXPECT_EQ(s.code, 2);
    free(text);
    EXPECT_EQ(rn_process_output(NULL, &opt, 99999, &text, &size, NULL), -EFBIG);
    EXPECT(text == NULL);
    opt.argv = SHELL("exec yes");
    EXPECT_EQ(rn_process_output(NULL, &opt, 1000, &text, NULL, &s), -EFBIG);
    EXPECT_EQ(s.signal, SIGKILL);
    opt.argv = (char *[]){"no-such-program", NULL};
    EXPECT_EQ(rn_process_output(NULL, &opt, 0, &text, NULL, NULL), -ENOENT);
    EXPECT(text == NULL);
    expect_no_children();
}
