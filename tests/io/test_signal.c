/* Signals: as values in channels, and as the end of contexts. */
#include "io.h"

/* What the program does on a signal now. */
static void (*disposition(int number))(int)
{
    struct sigaction now;
    EXPECT_EQ(sigaction(number, NULL, &now), 0);
    return now.sa_handler;
}

static int_chan notify(int number)
{
    int_chan ch = rn_chan_make(int, 4);
    EXPECT_EQ(rn_signal_notify(ch, number), 0);
    return ch;
}

static void expect_next(int_chan ch, int wanted)
{
    int number = 0;
    EXPECT_EQ(rn_recv(NULL, ch, &number), 0);
    EXPECT_EQ(number, wanted);
}

static void drop(int_chan ch)
{
    EXPECT_EQ(rn_signal_stop(ch), 0);
    rn_chan_release(ch);
}

TEST_FIBER(a_signal_is_a_value_in_the_channel)
{
    int_chan ch = rn_chan_make(int, 4);

    EXPECT_EQ(rn_signal_notify(ch, SIGUSR1, SIGUSR2), 0);
    EXPECT_EQ(kill(getpid(), SIGUSR1), 0);
    expect_next(ch, SIGUSR1);
    EXPECT_EQ(kill(getpid(), SIGUSR2), 0);
    expect_next(ch, SIGUSR2);
    drop(ch);
}

TEST_FIBER(further_calls_add_signals)
{
    int_chan ch = notify(SIGUSR1);

    EXPECT_EQ(rn_signal_notify(ch, SIGHUP), 0);
    EXPECT_EQ(kill(getpid(), SIGHUP), 0);
    expect_next(ch, SIGHUP);
    EXPECT_EQ(kill(getpid(), SIGUSR1), 0);
    expect_next(ch, SIGUSR1);
    drop(ch);
    EXPECT(disposition(SIGHUP) == SIG_DFL);
}

TEST_FIBER(every_subscriber_gets_the_signal)
{
    int_chan one = notify(SIGUSR1), two = notify(SIGUSR1), other = notify(SIGUSR2);

    EXPECT_EQ(kill(getpid(), SIGUSR1), 0);
    expect_next(one, SIGUSR1);
    expect_next(two, SIGUSR1);
    EXPECT_EQ(rn_len(other), 0);
    drop(one);
    EXPECT(disposition(SIGUSR1) != SIG_DFL); /* two still wants it */
    EXPECT_EQ(kill(getpid(), SIGUSR1), 0);
    expect_next(two, SIGUSR1);
    drop(two);
    drop(other);
}

TEST_FIBER(after_stop_nothing_arrives_and_the_disposition_is_back)
{
    int_chan stopped = notify(SIGUSR1), still = notify(SIGUSR1);

    EXPECT_EQ(rn_signal_stop(stopped), 0);
    EXPECT_EQ(rn_signal_stop(stopped), -ENOENT);
    EXPECT_EQ(kill(getpid(), SIGUSR1), 0);
    expect_next(still, SIGUSR1);
    EXPECT_EQ(rn_len(stopped), 0);
    drop(still);
    EXPECT(disposition(SIGUSR1) == SIG_DFL);
    rn_chan_release(stopped);
    EXPECT_EQ(rn_signal_stop((int_chan)NULL), -ENOENT);
}

TEST_FIBER(a_channel_without_room_misses_the_signal)
{
    int_chan full = rn_chan_make(int, 1), roomy = notify(SIGUSR1);

    EXPECT_EQ(rn_signal_notify(full, SIGUSR1), 0);
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(kill(getpid(), SIGUSR1), 0);
        expect_next(roomy, SIGUSR1);
    }
    EXPECT_EQ(rn_len(full), 1);
    expect_next(full, SIGUSR1);
    rn_close(full); /* a closed one does no harm either */
    EXPECT_EQ(kill(getpid(), SIGUSR1), 0);
    expect_next(roomy, SIGUSR1);
    drop(full);
    drop(roomy);
}

static void on_usr1(int number)
{
    (void)number;
}

TEST_FIBER(the_programs_own_handler_comes_back)
{
    signal(SIGUSR1, on_usr1);
    int_chan ch = notify(SIGUSR1);
    EXPECT(disposition(SIGUSR1) != on_usr1);
    drop(ch);
    EXPECT(disposition(SIGUSR1) == on_usr1);
}

TEST_FIBER(what_cannot_be_taken_is_refused)
{
    int_chan ch = rn_chan_make(int, 1);
    rn_chan(char) wrong = rn_chan_make(char, 1);
    const int never[] = {0, -1, 65, 32, SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL};

    for (size_t i = 0; i < sizeof never / sizeof *never; i++) {
        EXPECT_EQ(rn_signal_notify(ch, SIGUSR1, never[i]), -EINVAL);
        EXPECT_EQ(rn_signal_ignore(never[i]), -EINVAL);
        EXPECT_EQ(rn_signal_reset(never[i]), -EINVAL);
        EXPECT(rn_ctx_with_signals(NULL, never[i]) == NULL);
        EXPECT(strstr(rn_error_detail(), "cannot be taken") != NULL);
    }
    EXPECT(disposition(SIGUSR1) == SIG_DFL); /* on every error nothing has changed */
    EXPECT_EQ(rn_signal_notify_n(rn_chan_untyped(ch), NULL, 0), -EINVAL);
    EXPECT_EQ(rn_signal_notify_n(rn_chan_untyped(wrong), (int[]){SIGUSR1}, 1), -EINVAL);
    EXPECT_EQ(rn_signal_notify((int_chan)NULL, SIGUSR1), -EINVAL);
    rn_chan_release(ch);
    rn_chan_release(wrong);
}

/* ---- ignoring and resetting ---- */

TEST_FIBER(ignore_ends_subscriptions_and_reset_undoes_it)
{
    int_chan ch = notify(SIGUSR1), both = notify(SIGUSR1);

    EXPECT_EQ(rn_signal_notify(both, SIGUSR2), 0);
    EXPECT_EQ(rn_signal_ignore(SIGUSR1), 0);
    EXPECT(disposition(SIGUSR1) == SIG_IGN);
    EXPECT_EQ(rn_signal_stop(ch), -ENOENT); /* it wanted nothing else */
    EXPECT_EQ(kill(getpid(), SIGUSR1), 0);
    EXPECT_EQ(kill(getpid(), SIGUSR2), 0);
    expect_next(both, SIGUSR2);
    EXPECT_EQ(rn_len(both), 0);
    EXPECT_EQ(rn_signal_notify(ch, SIGUSR1), 0); /* wanted again */
    EXPECT_EQ(kill(getpid(), SIGUSR1), 0);
    expect_next(ch, SIGUSR1);
    EXPECT_EQ(rn_signal_reset(SIGUSR1, SIGUSR2), 0);
    EXPECT(disposition(SIGUSR1) == SIG_DFL);
    EXPECT(disposition(SIGUSR2) == SIG_DFL);
    EXPECT_EQ(rn_signal_stop(both), -ENOENT);
    rn_chan_release(ch);
    rn_chan_release(both);
}

/* ---- contexts ---- */

TEST_FIBER(a_signal_ends_a_context_with_itself_as_the_cause)
{
    rn_ctx *ctx = rn_ctx_with_signals(NULL, SIGINT, SIGTERM);
    rn_ctx *child = rn_ctx_with_cancel(ctx);

    EXPECT_EQ(rn_ctx_err(ctx), 0);
    EXPECT_EQ(kill(getpid(), SIGTERM), 0);
    EXPECT_EQ(rn_ctx_wait(child), -ECANCELED);
    EXPECT_EQ(rn_ctx_err(ctx), -ECANCELED);
    EXPECT_EQ(rn_ctx_cause(ctx), RN_ESIGNAL - SIGTERM);
    EXPECT_EQ(rn_error_signal(rn_ctx_cause(child)), SIGTERM);
    EXPECT(disposition(SIGTERM) == SIG_DFL); /* the second one kills */
    EXPECT(disposition(SIGINT) == SIG_DFL);
    rn_ctx_release(child);
    rn_ctx_release(ctx);
}

TEST_FIBER(one_signal_ends_every_context_that_wants_it)
{
    rn_ctx *ctx[5];

    for (int i = 0; i < 5; i++)
        ctx[i] = rn_ctx_with_signals(NULL, SIGUSR1);
    EXPECT_EQ(kill(getpid(), SIGUSR1), 0);
    for (int i = 0; i < 5; i++) {
        EXPECT_EQ(rn_ctx_wait(ctx[i]), -ECANCELED);
        EXPECT_EQ(rn_ctx_cause(ctx[i]), RN_ESIGNAL - SIGUSR1);
        rn_ctx_release(ctx[i]);
    }
}

TEST_FIBER(the_subscription_ends_with_its_context)
{
    rn_ctx *parent = rn_ctx_with_cancel(NULL);
    rn_ctx *ctx = rn_ctx_with_signals(NULL, SIGUSR1);

    EXPECT(disposition(SIGUSR1) != SIG_DFL);
    rn_ctx_release(ctx);
    EXPECT(disposition(SIGUSR1) == SIG_DFL);

    ctx = rn_ctx_with_signals(parent, SIGUSR1);
    EXPECT(disposition(SIGUSR1) != SIG_DFL);
    rn_ctx_cancel(parent, -EPIPE);
    EXPECT_EQ(rn_ctx_cause(ctx), -EPIPE);
    EXPECT(disposition(SIGUSR1) == SIG_DFL);
    rn_ctx_release(ctx);

    ctx = rn_ctx_with_signals(parent, SIGUSR1); /* born ended */
    EXPECT_EQ(rn_ctx_err(ctx), -ECANCELED);
    EXPECT(disposition(SIGUSR1) == SIG_DFL);
    rn_ctx_release(ctx);
    rn_ctx_release(parent);
}

TEST_FIBER(a_context_outlives_the_reset_of_its_signal)
{
    rn_ctx *ctx = rn_ctx_with_signals(NULL, SIGUSR1);

    EXPECT_EQ(rn_signal_reset(SIGUSR1), 0);
    EXPECT(disposition(SIGUSR1) == SIG_DFL);
    EXPECT_EQ(rn_ctx_err(ctx), 0);
    rn_ctx_release(ctx);
}

struct storm {
    atomic_int done;
    int rounds;
};

static void make_and_release(void *arg)
{
    struct storm *s = arg;
    for (int i = 0; i < s->rounds; i++) {
        rn_ctx *ctx = rn_ctx_with_signals(NULL, SIGUSR1);
        rn_yield();
        rn_ctx_release(ctx);
    }
    atomic_fetch_add(&s->done, 1);
}

TEST_FIBER(signals_contexts_and_releases_at_once)
{
    enum { FIBERS = 4 };
    struct storm s = {.rounds = rounds(500)};
    int_chan keep = notify(SIGUSR1);

    for (int i = 0; i < FIBERS; i++)
        EXPECT_EQ(rn_go(make_and_release, &s), 0);
    while (atomic_load(&s.done) < FIBERS) {
        EXPECT_EQ(kill(getpid(), SIGUSR1), 0);
        expect_next(keep, SIGUSR1);
    }
    drop(keep);
    EXPECT(disposition(SIGUSR1) == SIG_DFL);
}

/* ---- the runtime around it ---- */

static void *signal_when_somebody_waits(void *arg)
{
    int_chan ch = arg;
    while (rn_waiters(ch) == 0)
        sched_yield();
    kill(getpid(), SIGUSR1);
    return NULL;
}

TEST_FIBER(waiting_for_a_signal_is_no_deadlock)
{
    int_chan ch = notify(SIGUSR1);
    rn_process_options opt = {.argv = (char *[]){"sh", "-c", "sleep 0.05; kill -USR1 $PPID", NULL}};
    rn_process *p;

    EXPECT_EQ(rn_process_start(&p, &opt), 0);
    expect_next(ch, SIGUSR1); /* every fiber waits, and nobody for the process */
    EXPECT_EQ(rn_process_wait(NULL, p, NULL), 0);
    rn_process_free(p);
    drop(ch);
}

TEST(plain_threads_wait_for_signals)
{
    int_chan ch = notify(SIGUSR1);
    pthread_t thread;

    EXPECT_EQ(pthread_create(&thread, NULL, signal_when_somebody_waits, ch), 0);
    expect_next(ch, SIGUSR1);
    pthread_join(thread, NULL);
    drop(ch);
    EXPECT_EQ(rn_stop(), 0);
}

static int_chan left;
static rn_ctx *left_ctx;

static int leave_subscribed(int argc, char **argv)
{
    (void)argc, (void)argv;
    left = notify(SIGUSR1);
    left_ctx = rn_ctx_with_signals(NULL, SIGUSR2);
    EXPECT(left_ctx != NULL);
    return 0;
}

static int subscribe_again(int argc, char **argv)
{
    (void)argc, (void)argv;
    EXPECT_EQ(rn_signal_stop(left), -ENOENT);
    int_chan ch = notify(SIGUSR1);
    EXPECT_EQ(kill(getpid(), SIGUSR1), 0);
    expect_next(ch, SIGUSR1);
    drop(ch);
    return 0;
}

TEST(subscriptions_end_with_the_runtime)
{
    int before = fds_open();
    EXPECT_EQ(rn_run(leave_subscribed, 0, NULL), 0);
    EXPECT(disposition(SIGUSR1) == SIG_DFL);
    EXPECT(disposition(SIGUSR2) == SIG_DFL);
    expect_fds(before);
    EXPECT_EQ(rn_run(subscribe_again, 0, NULL), 0);
    rn_chan_release(left);
    rn_ctx_release(left_ctx);
}

TEST_FIBER(a_child_of_fork_dies_of_the_signal)
{
    int_chan ch = notify(SIGTERM);
    int status;
    pid_t child = UNDER_TSAN ? -1 : fork(); /* which puts the child's handlers off too */

    if (child < 0)
        return;
    if (child == 0) {
        sigset_t none;
        sigemptyset(&none);
        pthread_sigmask(SIG_SETMASK, &none, NULL);
        raise(SIGTERM);
        _exit(1);
    }
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    EXPECT_EQ(rn_len(ch), 0);
    drop(ch);
}
