/*
 * The ways in which a run ends early.
 */
#define _GNU_SOURCE
#include "stop.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIGNALS_AT_ONCE = 8 };

static bool is_ignored(int signal)
{
    struct sigaction action;

    return sigaction(signal, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

/* SIGQUIT would otherwise kill runnel alone; with RUNNEL_DEBUG the library wants it for a dump. */
static bool is_wanted(int signal)
{
    return !is_ignored(signal) && (signal != SIGQUIT || getenv("RUNNEL_DEBUG") == NULL);
}

/*
 * The first of these lets running jobs finish; any other that would kill runnel ends them at once.
 */
static bool is_patient(int signal)
{
    return signal == SIGINT || signal == SIGTERM || signal == SIGHUP;
}

/*
 * Whether this signal's default effect is to kill. Left out are SIGKILL and those that tell of a
 * fault in this process: it can do nothing for its jobs any more.
 */
static bool is_fatal(int signal)
{
    static const int fatal[] = {SIGINT,    SIGTERM, SIGHUP,  SIGQUIT, SIGUSR1, SIGUSR2,
                                SIGALRM,   SIGPIPE, SIGPROF, SIGXCPU, SIGXFSZ, SIGVTALRM,
                                SIGSTKFLT, SIGIO,   SIGPWR,  SIGSYS};

    for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
        if (fatal[i] == signal)
            return true;
    return signal >= SIGRTMIN;
}

static int subscribe(struct stop *stop)
{
    int wanted[NSIG];
    size_t n = 0;

    for (int signal = 1; signal <= SIGRTMAX; signal++)
        if (is_fatal(signal) && is_wanted(signal))
            wanted[n++] = signal;
    return n == 0 ? 0 : rn_signal_notify_n(rn_chan_untyped(stop->signals), wanted, n);
}

int stop_init(struct stop *stop)
{
    *stop = (struct stop){.pipe_kills = !is_ignored(SIGPIPE)};
    stop->printing = rn_ctx_with_cancel(NULL);
    stop->running = rn_ctx_with_cancel(NULL);
    if (stop->running != NULL)
        stop->taking = rn_ctx_with_cancel(stop->running);
    stop->signals = rn_chan_make(int, SIGNALS_AT_ONCE);
    if (stop->printing == NULL || stop->taking == NULL || stop->signals == NULL)
        return -ENOMEM;
    return subscribe(stop);
}

void stop_free(struct stop *stop)
{
    if (stop->signals != NULL)
        rn_signal_stop(stop->signals);
    rn_chan_release(stop->signals);
    rn_ctx_release(stop->taking);
    rn_ctx_release(stop->running);
    rn_ctx_release(stop->printing);
}

void stop_taking(struct stop *stop, int cause)
{
    rn_ctx_cancel(stop->taking, cause);
}

void stop_running(struct stop *stop, int cause)
{
    stop_taking(stop, cause);
    rn_ctx_cancel(stop->running, cause);
}

bool stop_is_taking(const struct stop *stop)
{
    return rn_ctx_err(stop->taking) == 0;
}

int stop_wait_signal(rn_ctx *ctx, struct stop *stop)
{
    int signal, err = rn_recv(ctx, stop->signals, &signal);

    return err == 0 ? signal : err;
}

enum stopped stop_by_signal(struct stop *stop, int signal)
{
    if (stop->signal_ends) {
        rn_ctx_cancel(stop->printing, RN_ESIGNAL - signal);
        return STOPPED_PRINTING;
    }
    if (stop_is_taking(stop) && is_patient(signal)) {
        stop_taking(stop, RN_ESIGNAL - signal);
        return STOPPED_TAKING;
    }
    stop->signal_ends = true;
    stop_running(stop, RN_ESIGNAL - signal);
    return STOPPED_RUNNING;
}

bool stop_verdict(const struct stop *stop, int fallback, int *out)
{
    int cause = rn_ctx_cause(stop->taking);
    int signal = rn_error_signal(cause);

    *out = signal != 0 ? signal : cause != 0 ? STOP_STATUS(0) - cause : fallback;
    return signal != 0;
}

void signal_name(int signal, char *to)
{
    const char *name = sigabbrev_np(signal);

    if (name != NULL)
        snprintf(to, SIGNAL_NAME_BYTES, "SIG%s", name);
    else
        snprintf(to, SIGNAL_NAME_BYTES, "signal %d", signal);
}

void stop_die(int number)
{
    sigset_t set;

    signal(number, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, number);
    raise(number);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}
