/*
 * Failures: a code and the sentence to it, and what OpenSSL has to say about one.
 *
 * OpenSSL's queue of errors is the thread's, and a fiber may go on on another one after a park. So
 * it is emptied before a call that may fail and read straight after, in one stretch. The sentence
 * is kept here until the caller's fiber is there to hear it.
 */
#ifndef RN_TLS_FAILURE_H
#define RN_TLS_FAILURE_H

struct tls_failure {
    int code;   /* 0: none */
    char *text; /* NULL without memory for it */
};

/* Notes a failure in place of what was there. Returns code. */
__attribute__((format(printf, 3, 4))) int tls_fail(struct tls_failure *f, int code,
                                                   const char *format, ...);

/* Leaves the sentence for rn_error_detail. Returns the code. */
int tls_failure_tell(const struct tls_failure *f);

void tls_failure_clear(struct tls_failure *f);

/* The first error in this thread's queue, 0 when there is none; empties the queue. */
unsigned long tls_error_take(void);

/* What the error says. Never NULL. */
const char *tls_error_text(unsigned long error);

/* The system's code or -ENOMEM when the error is such a one. */
int tls_error_code(unsigned long error, int otherwise);

#endif
