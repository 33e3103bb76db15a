/* Processes: ended by a context, by a signal, by free; the whole group, and nothing left behind. */
#include "process.h"

/* A script that starts a grandchild, prints its number, and waits. */
#define FAMILY "sleep 1000 & echo $!; wait"
/* The same, and both ignore what may be ignored. */
#define STUBBORN "trap '' TERM INT HUP; " FAMILY

static int grandchild_of(rn_process *p)
{
    char line[32];
    read_line(p, line, sizeof line);
    EXPECT(isdigit((unsigned char)line[0]));
    return atoi(line);
}

struct cancel {
    rn_ctx *ctx;
};

static void cancel_when_it_waits(void *arg)
{
    struct cancel *c = arg;
    await_reason("process wait", 1);
    rn_ctx_cancel(c->ctx, 0);
}

TEST_FIBER(cancel_kills_the_group_and_reaps)
{
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    rn_process *p = start_shell(FAMILY, RN_STDIO_PIPE);
    int grandchild = grandchild_of(p);
    rn_process_status s;

    EXPECT(process_lives(grandchild));
    EXPECT_EQ(rn_go_copy(cancel_when_it_waits, &(struct cancel){ctx}), 0);
    EXPECT_EQ(rn_process_wait(ctx, p, &s), -ECANCELED);
    EXPECT_EQ(s.signal, SIGTERM);
    EXPECT(!process_lives(grandchild));
    expect_no_children();
    EXPECT_EQ(rn_process_wait(NULL, p, &s), 0); /* the same status again */
    EXPECT_EQ(s.signal, SIGTERM);
    rn_process_free(p);
    rn_ctx_release(ctx);
}

TEST_FIBER(a_deadline_kills_and_a_context_that_ended_before_too)
{
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, RN_MILLISECOND);
    rn_process *p = start_shell(FAMILY, RN_STDIO_PIPE);
    int grandchild = grandchild_of(p);
    rn_process_status s;

    EXPECT_EQ(rn_process_wait(ctx, p, &s), -ETIMEDOUT);
    EXPECT_EQ(s.signal, SIGTERM);
    EXPECT(!process_lives(grandchild));
    rn_process_free(p);
    p = start_shell(FAMILY, RN_STDIO_PIPE);
    grandchild = grandchild_of(p);
    EXPECT_EQ(rn_process_wait(ctx, p, &s), -ETIMEDOUT);
    EXPECT(!process_lives(grandchild));
    rn_process_free(p);
    EXPECT_EQ(rn_process_run(ctx, &(rn_process_options){.argv = SHELL("exit 0")}, NULL),
              -ETIMEDOUT);
    rn_ctx_release(ctx);
    expect_no_children();
}

TEST_FIBER(who_ignores_the_signal_is_killed_after_the_grace)
{
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    rn_process *p;
    rn_process_status s;
    rn_process_options opt = {
        .argv = SHELL(STUBBORN),
        .out.kind = RN_STDIO_PIPE,
        .kill_after = 20 * RN_MILLISECOND,
    };

    EXPECT_EQ(rn_process_start(&p, &opt), 0);
    int grandchild = grandchild_of(p);
    rn_ctx_cancel(ctx, 0);
    rn_time before = rn_now();
    EXPECT_EQ(rn_process_wait(ctx, p, &s), -ECANCELED);
    EXPECT(rn_now() - before >= 20 * RN_MILLISECOND);
    EXPECT_EQ(s.signal, SIGKILL);
    EXPECT(!process_lives(grandchild));
    expect_no_children();
    rn_process_free(p);
    rn_ctx_release(ctx);
}

/* The leader goes at the first signal; a grandchild that ignores it has the rest of the grace. */
TEST_FIBER(who_outlives_the_leader_is_killed_too)
{
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    rn_process *p;
    rn_process_status s;
    rn_process_options opt = {
        .argv = SHELL("(trap '' TERM; exec sleep 1000) & echo $!; wait"),
        .out.kind = RN_STDIO_PIPE,
        .kill_after = 50 * RN_MILLISECOND,
    };

    EXPECT_EQ(rn_process_start(&p, &opt), 0);
    int grandchild = grandchild_of(p);
    char path[64], text[4096];
    do { /* until it ignores the signal */
        snprintf(path, sizeof path, "/proc/%d/comm", grandchild);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = read(fd, text, sizeof text - 1);
        text[n > 0 ? n : 0] = 0;
        close(fd);
        rn_yield();
    } while (strcmp(text, "sleep\n") != 0);
    rn_ctx_cancel(ctx, 0);
    EXPECT_EQ(rn_process_wait(ctx, p, &s), -ECANCELED);
    EXPECT_EQ(s.signal, SIGTERM);
    EXPECT(!process_lives(grandchild));
    rn_process_free(p);
    rn_ctx_release(ctx);
}

TEST_FIBER(a_program_may_end_well_within_the_grace)
{
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    rn_process *p;
    rn_process_status s;
    rn_process_options opt = {
        .argv = SHELL("trap 'exit 5' INT; echo ready; while :; do sleep 0.01; done"),
        .out.kind = RN_STDIO_PIPE,
        .kill_signal = SIGINT,
    };
    char line[16];

    EXPECT_EQ(rn_process_start(&p, &opt), 0);
    read_line(p, line, sizeof line);
    EXPECT_STR(line, "ready");
    rn_ctx_cancel(ctx, 0);
    EXPECT_EQ(rn_process_wait(ctx, p, &s), -ECANCELED);
    EXPECT_EQ(s.code, 5);
    rn_process_free(p);
    rn_ctx_release(ctx);
    expect_no_children();
}

static void cancel_at_once(void *arg)
{
    rn_ctx_cancel(*(rn_ctx **)arg, 0);
}

/* However far the program's clock could jump, it stands still while the system's runs. */
TEST_VIRTUAL(the_grace_is_of_the_systems_time)
{
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    rn_process *p;
    rn_process_status s;
    rn_process_options opt = {
        .argv = SHELL("trap 'sleep 0.1; exit 5' TERM; echo ready; while :; do sleep 0.01; done"),
        .out.kind = RN_STDIO_PIPE,
        .kill_after = RN_HOUR,
    };
    char line[16];

    EXPECT_EQ(rn_process_start(&p, &opt), 0);
    read_line(p, line, sizeof line);
    EXPECT_EQ(rn_go_copy(cancel_at_once, &ctx), 0);
    EXPECT_EQ(rn_process_wait(ctx, p, &s), -ECANCELED);
    EXPECT_EQ(s.code, 5);
    EXPECT_EQ(rn_now(), 0);
    expect_no_children();
    rn_process_free(p);
    rn_ctx_release(ctx);
}

/* The same of those who outlive the leader: it goes at once, and they need a while. */
TEST_VIRTUAL(the_groups_grace_too)
{
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    rn_process *p;
    rn_process_status s;
    rn_process_options opt = {
        .argv = SHELL("(trap 'sleep 0.1; echo done; exit' TERM; echo ready;"
                      " while :; do sleep 0.01; done) & wait"),
        .out.kind = RN_STDIO_PIPE,
        .kill_after = RN_HOUR,
    };
    char line[16];

    EXPECT_EQ(rn_process_start(&p, &opt), 0);
    read_line(p, line, sizeof line);
    rn_ctx_cancel(ctx, 0);
    EXPECT_EQ(rn_process_wait(ctx, p, &s), -ECANCELED);
    EXPECT_EQ(s.signal, SIGTERM);
    EXPECT_EQ(rn_now(), 0);
    read_line(p, line, sizeof line);
    EXPECT_STR(line, "done");
    rn_process_free(p);
    rn_ctx_release(ctx);
}

TEST_VIRTUAL(who_ignores_the_signal_is_killed_after_the_systems_grace)
{
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    rn_process *p;
    rn_process_status s;
    rn_process_options opt = {
        .argv = SHELL(STUBBORN),
        .out.kind = RN_STDIO_PIPE,
        .kill_after = 20 * RN_MILLISECOND,
    };

    EXPECT_EQ(rn_process_start(&p, &opt), 0);
    int grandchild = grandchild_of(p);
    rn_ctx_cancel(ctx, 0);
    EXPECT_EQ(rn_process_wait(ctx, p, &s), -ECANCELED);
    EXPECT_EQ(s.signal, SIGKILL);
    EXPECT(!process_lives(grandchild));
    EXPECT_EQ(rn_now(), 0);
    rn_process_free(p);
    rn_ctx_release(ctx);
}

TEST_FIBER(a_stopped_program_hears_the_signal)
{
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    rn_process *p = start_shell("echo ready; kill -STOP $$; sleep 1000", RN_STDIO_PIPE);
    rn_process_status s;
    char line[16];

    read_line(p, line, sizeof line);
    rn_ctx_cancel(ctx, 0);
    EXPECT_EQ(rn_process_wait(ctx, p, &s), -ECANCELED);
    EXPECT_EQ(s.signal, SIGTERM);
    rn_process_free(p);
    rn_ctx_release(ctx);
}

TEST_FIBER(only_the_program_is_killed_in_the_same_group)
{
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    rn_process *p;
    rn_process_status s;
    rn_process_options opt = {
        .argv = SHELL("echo ready; exec sleep 1000"),
        .out.kind = RN_STDIO_PIPE,
        .same_group = true,
    };
    char line[16];

    EXPECT_EQ(rn_process_start(&p, &opt), 0);
    read_line(p, line, sizeof line);
    rn_ctx_cancel(ctx, 0);
    EXPECT_EQ(rn_process_wait(ctx, p, &s), -ECANCELED);
    EXPECT_EQ(s.signal, SIGTERM);
    rn_process_free(p);
    rn_ctx_release(ctx);
}

TEST_FIBER(kill_reaches_the_group)
{
    rn_process *p = start_shell(FAMILY, RN_STDIO_PIPE);
    int grandchild = grandchild_of(p);
    rn_process_status s;
    char byte;

    EXPECT_EQ(rn_process_kill(p, 0), 0);
    EXPECT_EQ(rn_process_kill(p, -1), -EINVAL);
    EXPECT_EQ(rn_process_kill(p, 65), -EINVAL);
    EXPECT_EQ(rn_process_kill(p, SIGKILL), 0);
    EXPECT_EQ(rn_fd_read(NULL, rn_process_stdout(p), &byte, 1), 0); /* nobody holds the pipe */
    EXPECT_EQ(rn_process_wait(NULL, p, &s), 0);
    EXPECT_EQ(s.signal, SIGKILL);
    while (process_lives(grandchild))
        rn_yield(); /* it closes its files before it has ended */
    rn_process_free(p);
}

TEST_FIBER(free_kills_and_reaps_what_still_runs)
{
    int before = fds_open();
    rn_process *p = start_shell(STUBBORN, RN_STDIO_PIPE);
    int child = rn_process_pid(p), grandchild = grandchild_of(p);

    rn_process_free(p);
    EXPECT(!process_lives(child));
    EXPECT(!process_lives(grandchild));
    expect_fds(before);
    expect_no_children();
    rn_process_free(NULL);
}

/* Who was waited for may leave a daemon behind. */
TEST_FIBER(free_leaves_the_group_of_a_reaped_program_alone)
{
    rn_process *p = start_shell("sleep 1000 >/dev/null 2>&1 & echo $!", RN_STDIO_PIPE);
    int daemon = grandchild_of(p);

    EXPECT_EQ(rn_process_wait(NULL, p, NULL), 0);
    rn_process_free(p);
    EXPECT(process_lives(daemon));
    EXPECT_EQ(kill(daemon, SIGKILL), 0);
}

TEST_FIBER(a_program_that_left_its_group_is_still_reached)
{
    rn_process *p;
    rn_process_status s;
    char line[16];
    rn_process_options opt = {
        .argv = (char *[]){"perl", "-e",
                           "setpgrp(0, getppid()); $| = 1; print \"x\\n\"; sleep 1000", NULL},
        .out.kind = RN_STDIO_PIPE,
    };

    if (setpgid(0, 0) != 0 || rn_process_start(&p, &opt) != 0)
        return; /* no perl here */
    read_line(p, line, sizeof line);
    EXPECT_EQ(rn_process_kill(p, SIGTERM), 0);
    EXPECT_EQ(rn_process_wait(NULL, p, &s), 0);
    EXPECT_EQ(s.signal, SIGTERM);
    rn_process_free(p);
}

struct crowd {
    rn_ctx *ctx;
    atomic_int *ready, *done;
};

static void run_until_cancelled(void *arg)
{
    struct crowd *c = arg;
    rn_process *p = start_shell(FAMILY, RN_STDIO_PIPE);
    int grandchild = grandchild_of(p);

    atomic_fetch_add(c->ready, 1);
    EXPECT_EQ(rn_process_wait(c->ctx, p, NULL), -ECANCELED);
    EXPECT(!process_lives(grandchild));
    rn_process_free(p);
    atomic_fetch_add(c->done, 1);
}

TEST_FIBER(one_cancel_ends_a_crowd)
{
    enum { FIBERS = 50 };
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    atomic_int ready = 0, done = 0;
    int before = fds_open();

    for (int i = 0; i < FIBERS; i++)
        EXPECT_EQ(rn_go_copy(run_until_cancelled, &(struct crowd){ctx, &ready, &done}), 0);
    await_count(&ready, FIBERS);
    rn_ctx_cancel(ctx, 0);
    await_count(&done, FIBERS);
    expect_fds(before);
    expect_no_children();
    rn_ctx_release(ctx);
}

TEST_FIBER(output_ends_with_its_context)
{
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, 20 * RN_MILLISECOND);
    char *text;
    rn_process_status s;
    rn_process_options opt = {.argv = SHELL(FAMILY)};

    EXPECT_EQ(rn_process_output(ctx, &opt, 0, &text, NULL, &s), -ETIMEDOUT);
    EXPECT(text == NULL);
    EXPECT_EQ(s.signal, SIGTERM);
    rn_ctx_release(ctx);
    expect_no_children();
}
