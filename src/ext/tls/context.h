/* OpenSSL's contexts, made from files: what connections begin with. */
#ifndef RN_TLS_CONTEXT_H
#define RN_TLS_CONTEXT_H

#include "failure.h"

#include <openssl/ssl.h>
#include <runnel/tls.h>

/* A list of protocols as it is sent: each with its length before it. */
struct tls_protocols {
    unsigned char *data; /* NULL: none */
    unsigned size;
};

/* What all contexts have in common; NULL without memory. */
SSL_CTX *tls_context_new(const SSL_METHOD *method, rn_tls_version min, rn_tls_version max);

/* The following read files: call them in rn_blocking. Failures are in *f. */
int tls_context_identify(SSL_CTX *context, const rn_tls_identity *files, struct tls_failure *f);
int tls_context_trust(SSL_CTX *context, const char *ca, struct tls_failure *f);
int tls_context_trust_system(SSL_CTX *context, struct tls_failure *f);

/* Checks what servers and clients have in common; who is the word that sentences begin with. */
int tls_check_versions(const char *who, rn_tls_version min, rn_tls_version max);

/* "h2,http/1.1" as it is sent. */
int tls_protocols_parse(const char *who, const char *text, struct tls_protocols *out);

#endif
