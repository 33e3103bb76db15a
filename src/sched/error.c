/*
 * What the codes mean, and the sentence behind the last failure.
 *
 * A fiber keeps its sentence in its control block, allocated with the first. A plain thread keeps
 * it in a thread-local, because it may need one before the runtime runs, or because the runtime
 * does not start.
 */
#define _GNU_SOURCE
#include "fiber/fiber.h"
#include "here.h"
#include "sched/detail.h"
#include "sched/park.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DETAIL_BYTES_MAX 256
#define SIGNALS_MAX 64

static __thread char thread_detail[DETAIL_BYTES_MAX];

#define OWN_CODES(CODE)                                                                            \
    CODE(RN_ECLOSED, "closed")                                                                     \
    CODE(RN_ESHUTDOWN, "told to stop")                                                             \
    CODE(RN_EOPEN, "the circuit breaker is open")                                                  \
    CODE(RN_ERATE, "the rate limit would outlast the deadline")                                    \
    CODE(RN_EBURST, "more than the rate limiter's burst")                                          \
    CODE(RN_ESLOW, "disconnected for not keeping up")                                              \
    CODE(RN_ENOHOST, "no such host")                                                               \
    CODE(RN_ELOOKUP, "the host's name could not be looked up")                                     \
    CODE(RN_ETLS, "the TLS protocol was broken, or no agreement found")                            \
    CODE(RN_ECERT, "the certificate was not accepted")                                             \
    CODE(RN_ESIGNAL, "ended by a signal")

#define SIGNALS(SIGNAL)                                                                            \
    SIGNAL(1, "SIGHUP")                                                                            \
    SIGNAL(2, "SIGINT")                                                                            \
    SIGNAL(3, "SIGQUIT")                                                                           \
    SIGNAL(4, "SIGILL")                                                                            \
    SIGNAL(5, "SIGTRAP")                                                                           \
    SIGNAL(6, "SIGABRT")                                                                           \
    SIGNAL(7, "SIGBUS")                                                                            \
    SIGNAL(8, "SIGFPE")                                                                            \
    SIGNAL(9, "SIGKILL")                                                                           \
    SIGNAL(10, "SIGUSR1")                                                                          \
    SIGNAL(11, "SIGSEGV")                                                                          \
    SIGNAL(12, "SIGUSR2")                                                                          \
    SIGNAL(13, "SIGPIPE")                                                                          \
    SIGNAL(14, "SIGALRM")                                                                          \
    SIGNAL(15, "SIGTERM")                                                                          \
    SIGNAL(17, "SIGCHLD")                                                                          \
    SIGNAL(18, "SIGCONT")                                                                          \
    SIGNAL(19, "SIGSTOP")                                                                          \
    SIGNAL(20, "SIGTSTP")                                                                          \
    SIGNAL(24, "SIGXCPU")                                                                          \
    SIGNAL(25, "SIGXFSZ")                                                                          \
    SIGNAL(31, "SIGSYS")

int rn_error_signal(int code)
{
    return code < RN_ESIGNAL && code >= RN_ESIGNAL - SIGNALS_MAX ? RN_ESIGNAL - code : 0;
}

static const char *signal_text(int signal)
{
    switch (signal) {
#define SIGNAL(number, name)                                                                       \
    case number:                                                                                   \
        return "ended by " name;
        SIGNALS(SIGNAL)
#undef SIGNAL
    default:
        return "ended by a signal";
    }
}

const char *rn_strerror(int code)
{
    switch (code) {
    case 0:
        return "success";
#define CODE(code_, text)                                                                          \
    case code_:                                                                                    \
        return text;
        OWN_CODES(CODE)
#undef CODE
    }
    if (rn_error_signal(code) != 0)
        return signal_text(rn_error_signal(code));
    const char *text = code < 0 ? strerrordesc_np(-(unsigned)code) : NULL;
    return text != NULL ? text : "unknown error";
}

const char *rn_version(void)
{
    return RN_VERSION;
}

static void set_detail(const char *format, va_list args)
{
    char *text = thread_detail;

    if (worker_here() != NULL) {
        struct fiber *fiber = fiber_here();
        if (fiber->detail == NULL && (fiber->detail = malloc(DETAIL_BYTES_MAX)) == NULL)
            return;
        text = fiber->detail;
    }
    vsnprintf(text, DETAIL_BYTES_MAX, format, args);
}

void error_detail_set(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    set_detail(format, args);
    va_end(args);
}

int rn_error_with(int code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    set_detail(format, args);
    va_end(args);
    return code;
}

const char *rn_error_detail(void)
{
    if (worker_here() == NULL)
        return thread_detail;
    const struct fiber *fiber = fiber_here();
    return fiber->detail != NULL ? fiber->detail : "";
}

void detail_free(struct fiber *fiber)
{
    free(fiber->detail);
    fiber->detail = NULL;
}
