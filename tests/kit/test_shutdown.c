/* Graceful shutdown: phases in order, budgets, what is left behind, signals. */
#include "core.h"
#include "test.h"

#include <runnel/clock.h>
#include <runnel/debug.h>
#include <runnel/shutdown.h>
#include <runnel/signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const rn_shutdown_config quiet = {.no_signals = true};

static rn_shutdown *plan(const rn_shutdown_config *config)
{
    rn_shutdown *s = NULL;
    EXPECT_EQ(rn_shutdown_new(&s, config), 0);
    return s;
}

/* ---- order ---- */

static char order[32];

static int note(rn_ctx *ctx, void *arg)
{
    (void)ctx;
    strcat(order, arg);
    return 0;
}

static void note_phase(void *arg, rn_shutdown_phase phase)
{
    (void)arg;
    strcat(order, phase == RN_SHUTDOWN_PHASES ? "." : "-");
}

TEST_VIRTUAL(phases_come_in_order_whatever_the_order_of_the_hooks)
{
    rn_shutdown *s = plan(&(rn_shutdown_config){.no_signals = true, .on_phase = note_phase});

    EXPECT_EQ(rn_shutdown_hook(s, RN_SHUTDOWN_CLOSE, "e", note, "e"), 0);
    EXPECT_EQ(rn_shutdown_hook(s, RN_SHUTDOWN_DRAIN, "c", note, "c"), 0);
    EXPECT_EQ(rn_shutdown_hook(s, RN_SHUTDOWN_NOT_READY, "a", note, "a"), 0);
    EXPECT_EQ(rn_shutdown_hook(s, RN_SHUTDOWN_CANCEL, "d", note, "d"), 0);
    EXPECT_EQ(rn_shutdown_hook(s, RN_SHUTDOWN_STOP_ACCEPTING, "b", note, "b"), 0);
    EXPECT_EQ(rn_shutdown_begin(s, 0), 0);
    EXPECT_EQ(rn_shutdown_wait(NULL, s), 0);
    EXPECT_STR(order, "-a-b-c-d-e.");
    EXPECT_EQ(rn_now(), 0);
    EXPECT_EQ(rn_shutdown_print(s, 1), 0);
    rn_shutdown_free(s);
}

static int wait_for_partner(rn_ctx *ctx, void *arg)
{
    rn_chan(int) *meeting = arg;
    int value;

    return rn_select(ctx, rn_on_send(*meeting, 1), rn_on_recv(*meeting, &value)) >= 0 ? 0 : -EIO;
}

TEST_VIRTUAL(hooks_of_a_phase_run_at_once)
{
    rn_shutdown *s = plan(&quiet);
    rn_chan(int) meeting = rn_chan_make(int, 0);

    for (int i = 0; i < 10; i++)
        EXPECT_EQ(rn_shutdown_hook(s, RN_SHUTDOWN_DRAIN, "partner", wait_for_partner, &meeting), 0);
    EXPECT_EQ(rn_shutdown_begin(s, 0), 0);
    EXPECT_EQ(rn_shutdown_wait(NULL, s), 0);
    rn_shutdown_free(s);
    rn_chan_release(meeting);
}

/* ---- contexts ---- */

struct contexts {
    rn_shutdown *s;
    rn_shutdown_phase phase;
};

static int look_at_contexts(rn_ctx *ctx, void *arg)
{
    const struct contexts *c = arg;
    bool cancelled = c->phase >= RN_SHUTDOWN_CANCEL;

    EXPECT_EQ(rn_ctx_err(ctx), 0);
    EXPECT_EQ(rn_ctx_cause(rn_shutdown_begun(c->s)), -EPIPE);
    EXPECT_EQ(rn_ctx_cause(rn_shutdown_ctx(c->s)), cancelled ? -EPIPE : 0);
    return 0;
}

TEST_VIRTUAL(work_is_cancelled_only_after_the_drain)
{
    rn_shutdown *s = plan(&quiet);
    struct contexts c[RN_SHUTDOWN_PHASES];

    for (int i = 0; i < RN_SHUTDOWN_PHASES; i++) {
        c[i] = (struct contexts){s, (rn_shutdown_phase)i};
        EXPECT_EQ(rn_shutdown_hook(s, c[i].phase, "look", look_at_contexts, &c[i]), 0);
    }
    EXPECT_EQ(rn_ctx_err(rn_shutdown_begun(s)), 0);
    EXPECT_EQ(rn_shutdown_begin(s, -EPIPE), 0);
    EXPECT_EQ(rn_shutdown_begin(s, -EIO), RN_ESHUTDOWN);
    EXPECT_EQ(rn_shutdown_wait(NULL, s), 0);
    rn_shutdown_free(s);
}

TEST_VIRTUAL(the_end_of_the_parent_begins_it_but_cancels_no_work)
{
    rn_ctx *parent = rn_ctx_with_cancel(NULL);
    rn_shutdown *s = plan(&(rn_shutdown_config){.no_signals = true, .ctx = parent});

    rn_ctx_cancel(parent, 0);
    EXPECT_EQ(rn_ctx_err(rn_shutdown_begun(s)), -ECANCELED);
    EXPECT_EQ(rn_ctx_err(rn_shutdown_ctx(s)), 0);
    EXPECT_EQ(rn_shutdown_begin(s, 0), RN_ESHUTDOWN);
    EXPECT_EQ(rn_shutdown_wait(NULL, s), 0);
    EXPECT_EQ(rn_ctx_err(rn_shutdown_ctx(s)), -ECANCELED);
    rn_shutdown_free(s);
    rn_ctx_release(parent);
}

TEST_VIRTUAL(a_wait_that_gives_up_begins_nothing)
{
    rn_shutdown *s = plan(&quiet);
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, RN_HOUR);

    EXPECT_EQ(rn_shutdown_wait(ctx, s), -ETIMEDOUT);
    EXPECT_EQ(rn_ctx_err(rn_shutdown_begun(s)), 0);
    EXPECT_EQ(rn_shutdown_begin(s, 0), 0);
    EXPECT_EQ(rn_shutdown_wait(NULL, s), 0);
    EXPECT_EQ(rn_shutdown_wait(NULL, s), -EBUSY);
    rn_shutdown_free(s);
    rn_ctx_release(ctx);
}

/* ---- budgets and the report ---- */

static int sleep_for(rn_ctx *ctx, void *arg)
{
    return rn_sleep(ctx, *(rn_duration *)arg);
}

/* Deaf to its context. */
static int sleep_deaf(rn_ctx *ctx, void *arg)
{
    (void)ctx;
    return rn_sleep(NULL, *(rn_duration *)arg);
}

TEST_VIRTUAL(a_hook_that_never_ends_is_left_behind_and_named)
{
    rn_duration short_time = RN_SECOND, long_time = RN_HOUR;
    rn_shutdown *s = plan(&(rn_shutdown_config){.no_signals = true,
                                                .budgets = {[RN_SHUTDOWN_DRAIN] = 10 * RN_SECOND}});
    rn_shutdown_entry e[4];
    rn_shutdown_stats stats;

    EXPECT_EQ(rn_shutdown_hook(s, RN_SHUTDOWN_DRAIN, "quick", sleep_for, &short_time), 0);
    EXPECT_EQ(rn_shutdown_hook(s, RN_SHUTDOWN_DRAIN, "hears", sleep_for, &long_time), 0);
    EXPECT_EQ(rn_shutdown_hook(s, RN_SHUTDOWN_DRAIN, "deaf", sleep_deaf, &long_time), 0);
    EXPECT_EQ(rn_shutdown_hook(s, RN_SHUTDOWN_CLOSE, "close", sleep_for, &short_time), 0);
    EXPECT_EQ(rn_shutdown_begin(s, 0), 0);
    EXPECT_EQ(rn_shutdown_wait(NULL, s), -ETIMEDOUT);
    EXPECT_EQ(rn_now(), 11 * RN_SECOND + RN_SHUTDOWN_GRACE);

    EXPECT_EQ(rn_shutdown_report(s, e, 4), 4);
    EXPECT(e[0].state == RN_SHUTDOWN_DONE && e[0].err == 0 && !e[0].late);
    EXPECT_EQ(e[0].took, RN_SECOND);
    EXPECT(e[1].state == RN_SHUTDOWN_DONE && e[1].err == -ETIMEDOUT);
    EXPECT(e[2].state == RN_SHUTDOWN_RUNNING && e[2].late);
    EXPECT_STR(e[2].name, "deaf");
    EXPECT_EQ(e[3].phase, RN_SHUTDOWN_CLOSE);
    EXPECT_EQ(e[3].state, RN_SHUTDOWN_DONE);
    rn_shutdown_stats_read(s, &stats);
    EXPECT(stats.hooks == 4 && stats.running == 1 && stats.failed == 1 && stats.late == 1);
    EXPECT_EQ(stats.phase, RN_SHUTDOWN_PHASES);
    rn_shutdown_free(s);
    EXPECT_EQ(rn_sleep(NULL, 2 * RN_HOUR), 0); /* the deaf one ends, and frees the plan */
}

static int left_behind(int argc, char **argv)
{
    rn_duration hour = RN_HOUR;
    rn_shutdown *s = plan(&quiet);

    (void)argc, (void)argv;
    EXPECT_EQ(rn_shutdown_hook(s, RN_SHUTDOWN_DRAIN, "requests", sleep_deaf, &hour), 0);
    EXPECT_EQ(rn_shutdown_begin(s, 0), 0);
    EXPECT_EQ(rn_shutdown_wait(NULL, s), -ETIMEDOUT);
    EXPECT_EQ(rn_shutdown_print(s, 1), 1);
    rn_shutdown_free(s);
    EXPECT_EQ(rn_sleep(NULL, 2 * RN_HOUR), 0);
    return 0;
}

TEST_DIES(the_report_says_who, "^shutdown: drain: \"requests\" did not finish in 20.1 s\n$", 0)
{
    EXPECT_EQ(rn_clock_virtual(0), 0);
    exit(rn_run(left_behind, 0, NULL));
}

static int fail(rn_ctx *ctx, void *arg)
{
    (void)ctx;
    return *(int *)arg;
}

static int failing(int argc, char **argv)
{
    int io = -EIO, none = 0;
    rn_shutdown *s = plan(&quiet);

    (void)argc, (void)argv;
    EXPECT_EQ(rn_shutdown_hook(s, RN_SHUTDOWN_CLOSE, "database", fail, &io), 0);
    EXPECT_EQ(rn_shutdown_hook(s, RN_SHUTDOWN_CLOSE, "log", fail, &none), 0);
    EXPECT_EQ(rn_shutdown_begin(s, 0), 0);
    EXPECT_EQ(rn_shutdown_wait(NULL, s), -EIO);
    EXPECT_EQ(rn_shutdown_print(s, 1), 1);
    rn_shutdown_free(s);
    return 0;
}

TEST_DIES(a_failure_is_returned_and_reported,
          "^shutdown: close: \"database\" failed: Input/output error\n$", 0)
{
    exit(rn_run(failing, 0, NULL));
}

/* ---- hooks that come late, and bad arguments ---- */

static int add_hooks(rn_ctx *ctx, void *arg)
{
    rn_shutdown *s = arg;

    EXPECT_EQ(rn_shutdown_hook(s, RN_SHUTDOWN_STOP_ACCEPTING, "b", note, "b"), RN_ESHUTDOWN);
    EXPECT_EQ(rn_shutdown_hook(s, RN_SHUTDOWN_DRAIN, "c", note, "c"), RN_ESHUTDOWN);
    EXPECT_EQ(rn_shutdown_hook(s, RN_SHUTDOWN_CLOSE, "e", note, "e"), 0);
    return rn_ctx_err(ctx);
}

TEST_VIRTUAL(a_phase_that_has_begun_takes_no_more_hooks)
{
    rn_shutdown *s = plan(&quiet);

    EXPECT_EQ(rn_shutdown_hook(s, RN_SHUTDOWN_DRAIN, "adds", add_hooks, s), 0);
    EXPECT_EQ(rn_shutdown_begin(s, 0), 0);
    EXPECT_EQ(rn_shutdown_wait(NULL, s), 0);
    EXPECT_STR(order, "e");
    rn_shutdown_free(s);
}

TEST_FIBER(bad_configurations_and_arguments_are_named)
{
    rn_shutdown *s = (rn_shutdown *)1;
    int kill_signal = SIGKILL;

    EXPECT_EQ(rn_shutdown_new(&s, &(rn_shutdown_config){.budgets = {[RN_SHUTDOWN_DRAIN] = -5}}),
              -EINVAL);
    EXPECT(s == NULL);
    EXPECT_STR(rn_error_detail(),
               "shutdown: .budgets[drain] is -5: must be 0, for the default, or a duration");
    EXPECT_EQ(
        rn_shutdown_new(&s, &(rn_shutdown_config){.signals = &kill_signal, .signal_count = 1}),
        -EINVAL);
    EXPECT(strstr(rn_error_detail(), "shutdown: .signals") != NULL);
    rn_shutdown_free(s);
    s = plan(&quiet);
    EXPECT_EQ(rn_shutdown_hook(s, RN_SHUTDOWN_PHASES, "x", note, NULL), -EINVAL);
    EXPECT_EQ(rn_shutdown_hook(s, RN_SHUTDOWN_DRAIN, NULL, note, NULL), -EINVAL);
    EXPECT_EQ(rn_shutdown_hook(s, RN_SHUTDOWN_DRAIN, "x", NULL, NULL), -EINVAL);
    EXPECT_STR(rn_shutdown_phase_name((rn_shutdown_phase)77), "none");
    rn_shutdown_free(s);
}

/* ---- signals ---- */

TEST_FIBER(a_signal_begins_it_and_is_the_cause)
{
    rn_shutdown *s = plan(NULL);

    EXPECT_EQ(kill(getpid(), SIGTERM), 0);
    EXPECT_EQ(rn_shutdown_wait(NULL, s), 0);
    EXPECT_EQ(rn_error_signal(rn_ctx_cause(rn_shutdown_begun(s))), SIGTERM);
    EXPECT_EQ(rn_error_signal(rn_ctx_cause(rn_shutdown_ctx(s))), SIGTERM);
    rn_shutdown_free(s);
}

static int send_another(rn_ctx *ctx, void *arg)
{
    (void)arg;
    EXPECT_EQ(kill(getpid(), SIGINT), 0);
    return rn_ctx_wait(ctx);
}

static int hang(int argc, char **argv)
{
    rn_shutdown *s = plan(NULL);

    (void)argc, (void)argv;
    EXPECT_EQ(rn_shutdown_hook(s, RN_SHUTDOWN_DRAIN, "hangs", send_another, NULL), 0);
    EXPECT_EQ(kill(getpid(), SIGTERM), 0);
    rn_shutdown_wait(NULL, s);
    return 0;
}

TEST_DIES(a_second_signal_ends_the_process, "second signal: ending at once in phase drain\n.*hangs",
          130)
{
    exit(rn_run(hang, 0, NULL));
}

static int count_signals(rn_ctx *ctx, void *arg)
{
    rn_chan(int) *seen = arg;
    int number;

    EXPECT_EQ(kill(getpid(), SIGINT), 0);
    EXPECT_EQ(rn_recv(ctx, *seen, &number), 0);
    return 0;
}

TEST_FIBER(the_patient_take_a_second_signal)
{
    rn_shutdown *s = plan(&(rn_shutdown_config){.patient = true});
    rn_chan(int) seen = rn_chan_make(int, 1);

    EXPECT_EQ(rn_signal_notify(seen, SIGINT), 0);
    EXPECT_EQ(rn_shutdown_hook(s, RN_SHUTDOWN_DRAIN, "counts", count_signals, &seen), 0);
    EXPECT_EQ(kill(getpid(), SIGTERM), 0);
    EXPECT_EQ(rn_shutdown_wait(NULL, s), 0);
    rn_shutdown_free(s);
    EXPECT_EQ(rn_signal_stop(seen), 0);
    rn_chan_release(seen);
}

static int hold_the_name(int argc, char **argv)
{
    rn_shutdown *s = plan(&(rn_shutdown_config){.no_signals = true, .name = "server"});

    (void)argc, (void)argv;
    rn_dump(1);
    rn_shutdown_free(s);
    return 0;
}

TEST_DIES(a_named_plan_is_shown_in_dumps, "shutdown \"server\" \\[phase none, 0 hooks running\\]",
          0)
{
    exit(rn_run(hold_the_name, 0, NULL));
}
