/*
 * rn_error - the codes that calls return.
 *
 * Every call that can fail returns 0 (or a count) on success and a negative code on failure. Most
 * codes are negated errno values (-ENOMEM, -ECANCELED, ...); the few below are runnel's own and lie
 * outside errno's range. errno itself is never the interface: a fiber may resume on another thread,
 * where errno is another variable.
 *
 *     int err = rn_send(ctx, jobs, job);
 *     if (err != 0)
 *         fprintf(stderr, "send: %s\n", rn_strerror(err));
 */
#ifndef RUNNEL_ERROR_H
#define RUNNEL_ERROR_H

#if !defined(__cplusplus) && (!defined(__STDC_VERSION__) || __STDC_VERSION__ < 201112L)
#error "runnel needs C11 or later, as -std=gnu11"
#endif

#include <errno.h>
#include <stddef.h>

#ifdef __cplusplus
#define RN_BEGIN_DECLS extern "C" {
#define RN_END_DECLS }
#else
#define RN_BEGIN_DECLS
#define RN_END_DECLS
#endif

#define RN_API __attribute__((visibility("default")))

#define RN_VERSION_MAJOR 0
#define RN_VERSION_MINOR 1
#define RN_VERSION_PATCH 0
#define RN_VERSION "0.1.0"

RN_BEGIN_DECLS

/* Runnel's own codes. */
enum {
    RN_ECLOSED = -10001,   /* the channel, pool or handle is closed */
    RN_ESHUTDOWN = -10002, /* the object was told to stop */
    RN_EOPEN = -10003,     /* the circuit breaker lets no call through */
    RN_ERATE = -10004,     /* the wait for the rate limiter would outlast the deadline */
    RN_EBURST = -10005,    /* more at once than the rate limiter ever holds */
    RN_ESLOW = -10006,     /* disconnected for not keeping up */
    RN_ENOHOST = -10007,   /* there is no host of that name */
    RN_ELOOKUP = -10008,   /* a host's name could not be looked up: nobody answered */
    RN_ETLS = -10009,      /* TLS: the peer broke the protocol, or both sides did not agree */
    RN_ECERT = -10010,     /* TLS: the peer's certificate was not accepted */
    RN_ESIGNAL = -10100    /* RN_ESIGNAL - n: ended by signal n; see rn_error_signal */
};

/*
 * rn_strerror - say in English what a code means.
 *
 * Caller   any thread or fiber.
 * Returns  a static string; for a code that nobody defined, "unknown error". Never NULL; never
 *          freed.
 */
RN_API const char *rn_strerror(int code);

/*
 * rn_error_detail - the sentence behind the last failure of this fiber or thread that had one.
 *
 * Says which field or path was wrong where the code alone cannot; the functions that leave a
 * sentence say so. Read it straight after such a failure: it is valid until the next of the same
 * fiber or thread.
 *
 * Caller   any thread or fiber.
 * Returns  the sentence, or "" when there was none yet. Never NULL.
 */
RN_API const char *rn_error_detail(void);

/*
 * rn_error_with - leave a sentence for rn_error_detail, as printf does, and return code.
 *
 *     return rn_error_with(-EINVAL, "retry: .attempts is %zu: allowed are 1 to 1000", n);
 *
 * Caller   any thread or fiber. Without memory the sentence is lost, the code is not.
 * Returns  code.
 */
RN_API int rn_error_with(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * rn_error_signal - the signal number in a code that stands for one.
 *
 * Caller   any thread or fiber.
 * Returns  the signal (1..64) when code is RN_ESIGNAL - n, otherwise 0.
 */
RN_API int rn_error_signal(int code);

/*
 * rn_version - the version of the library that is linked, as "major.minor.patch".
 *
 * Caller   any thread or fiber.
 */
RN_API const char *rn_version(void);

RN_END_DECLS

#endif
