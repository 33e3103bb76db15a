/*
 * Processes where the kernel refuses things: no pidfds (an old kernel, a sandbox), no more
 * processes. A seccomp filter makes the system call fail, for the thread that asks for it and those
 * it starts.
 */
#include "process.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifdef SYS_vfork
#define VFORK SYS_vfork
#else
#define VFORK SYS_clone
#endif

/* False when filters cannot be had here. */
static bool refuse(int call_1, int call_2, int call_3, int code)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call_1, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call_2, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call_3, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)code),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static bool refuse_pidfds(int code)
{
    return refuse(SYS_pidfd_open, SYS_pidfd_open, SYS_pidfd_open, code);
}

static void cancel_when_it_waits(void *arg)
{
    rn_ctx **ctx = arg;
    await_reason("process wait", 1);
    rn_ctx_cancel(*ctx, 0);
}

static int use_processes(int argc, char **argv)
{
    rn_process *p[20];
    rn_process_status s;
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    int before = fds_open();
    char byte;

    (void)argc, (void)argv;
    for (int i = 0; i < 20; i++)
        p[i] = start_shell("exit 6", RN_STDIO_INHERIT);
    for (int i = 0; i < 20; i++) {
        EXPECT_EQ(rn_process_wait(NULL, p[i], &s), 0);
        EXPECT_EQ(s.code, 6);
        rn_process_free(p[i]);
    }
    p[0] = start_shell("echo; sleep 1000 & wait", RN_STDIO_PIPE);
    EXPECT_EQ(rn_fd_read(NULL, rn_process_stdout(p[0]), &byte, 1), 1);
    EXPECT_EQ(rn_go_copy(cancel_when_it_waits, &ctx), 0);
    EXPECT_EQ(rn_process_wait(ctx, p[0], &s), -ECANCELED);
    EXPECT_EQ(s.signal, SIGTERM);
    rn_process_free(p[0]);
    p[0] = start_shell("sleep 1000", RN_STDIO_INHERIT);
    rn_process_free(p[0]);
    rn_ctx_release(ctx);
    expect_no_children();
    expect_fds(before);
    return 0;
}

TEST(without_pidfds_everything_works)
{
    if (refuse_pidfds(ENOSYS))
        EXPECT_EQ(rn_run(use_processes, 0, NULL), 0);
}

TEST(where_pidfds_are_forbidden_too)
{
    if (refuse_pidfds(EPERM))
        EXPECT_EQ(rn_run(use_processes, 0, NULL), 0);
}

static void expect_start(int wanted)
{
    rn_process *p = NULL;
    rn_process_options opt = {.argv = (char *[]){"true", NULL}, .out.kind = RN_STDIO_PIPE};
    int before = fds_open();

    EXPECT_EQ(rn_process_start(&p, &opt), wanted);
    EXPECT(p == NULL);
    EXPECT(strstr(rn_error_detail(), "true") != NULL);
    expect_fds(before);
    expect_no_children();
}

/* The fiber does not park in between, so it stays on the thread that is refused. */
TEST_FIBER(too_many_processes_is_eagain)
{
    if (refuse(SYS_clone, SYS_clone3, VFORK, EAGAIN))
        expect_start(-EAGAIN);
}

/* The program runs already when the descriptor for its exit cannot be had: it is not given up. */
static int wait_unwatched(int argc, char **argv)
{
    rn_process_status s;
    rn_process *p = start_shell("exit 6", RN_STDIO_INHERIT);
    rn_ctx *soon = rn_ctx_with_timeout(NULL, 20 * RN_MILLISECOND);

    (void)argc, (void)argv;
    EXPECT_EQ(rn_process_wait(NULL, p, &s), 0);
    EXPECT_EQ(s.code, 6);
    rn_process_free(p);
    p = start_shell("sleep 1000 & wait", RN_STDIO_INHERIT);
    EXPECT_EQ(rn_process_wait(soon, p, &s), -ETIMEDOUT);
    EXPECT_EQ(s.signal, SIGTERM);
    rn_process_free(p);
    rn_ctx_release(soon);
    expect_no_children();
    return 0;
}

TEST(a_program_that_cannot_be_watched_is_looked_at)
{
    if (refuse_pidfds(EMFILE))
        EXPECT_EQ(rn_run(wait_unwatched, 0, NULL), 0);
}
