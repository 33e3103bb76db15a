/* Failures: codes, sentences, and OpenSSL's queue of errors. */
#define _GNU_SOURCE
#include "failure.h"

#include <openssl/err.h>
#include <runnel/error.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

int tls_fail(struct tls_failure *f, int code, const char *format, ...)
{
    va_list args;

    free(f->text);
    va_start(args, format);
    if (vasprintf(&f->text, format, args) < 0)
        f->text = NULL;
    va_end(args);
    return f->code = code;
}

int tls_failure_tell(const struct tls_failure *f)
{
    return f->text != NULL ? rn_error_with(f->code, "%s", f->text) : f->code;
}

void tls_failure_clear(struct tls_failure *f)
{
    free(f->text);
    *f = (struct tls_failure){0};
}

/* The first error is the cause; those behind it say what could not be done because of it. */
unsigned long tls_error_take(void)
{
    unsigned long error = ERR_get_error();
    ERR_clear_error();
    return error;
}

const char *tls_error_text(unsigned long error)
{
    const char *text;

    if (ERR_SYSTEM_ERROR(error))
        return rn_strerror(-ERR_GET_REASON(error));
    text = ERR_reason_error_string(error);
    return text != NULL ? text : "OpenSSL does not say why";
}

int tls_error_code(unsigned long error, int otherwise)
{
    if (ERR_SYSTEM_ERROR(error))
        return -ERR_GET_REASON(error);
    return ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE ? -ENOMEM : otherwise;
}
