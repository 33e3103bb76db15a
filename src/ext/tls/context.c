/* OpenSSL's contexts, made from files. */
#include "context.h"

#include <openssl/err.h>
#include <runnel/error.h>
#include <stdlib.h>
#include <string.h>

#define PROTOCOL_BYTES_MAX 255    /* of one name */
#define PROTOCOLS_BYTES_MAX 65535 /* of the list */

/* Nobody is there to type a password: an encrypted key is a wrong file. */
static int no_password(char *buffer, int size, int writing, void *arg)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)arg;
    return -1;
}

/*
 * A program's exit does not take OpenSSL away under workers that are inside of it. (The first call
 * decides; a program that has used OpenSSL before keeps what it chose.)
 */
static void begin(void)
{
    OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT, NULL);
    ERR_clear_error();
}

SSL_CTX *tls_context_new(const SSL_METHOD *method, rn_tls_version min, rn_tls_version max)
{
    begin();
    SSL_CTX *context = SSL_CTX_new(method);

    if (context == NULL) {
        tls_error_take();
        return NULL;
    }
    SSL_CTX_set_min_proto_version(context, min == RN_TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION);
    SSL_CTX_set_max_proto_version(context, max == RN_TLS_1_2 ? TLS1_2_VERSION : TLS1_3_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); /* tickets are with the clients */
    SSL_CTX_set_default_passwd_cb(context, no_password);
    return context;
}

/* ---- files ---- */

/* A file that cannot be had has the system's code; one that holds something else is -EINVAL. */
static int fail_with_file(struct tls_failure *f, const char *what, const char *path)
{
    unsigned long error = tls_error_take();
    return tls_fail(f, tls_error_code(error, -EINVAL), "tls: %s %s: %s", what, path,
                    tls_error_text(error));
}

static bool is_mismatch(unsigned long error)
{
    int reason = ERR_GET_REASON(error);
    return ERR_GET_LIB(error) == ERR_LIB_X509 &&
           (reason == X509_R_KEY_VALUES_MISMATCH || reason == X509_R_KEY_TYPE_MISMATCH);
}

int tls_context_identify(SSL_CTX *context, const rn_tls_identity *files, struct tls_failure *f)
{
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(context, files->certificate) != 1)
        return fail_with_file(f, "certificate", files->certificate);
    if (SSL_CTX_use_PrivateKey_file(context, files->key, SSL_FILETYPE_PEM) == 1 &&
        SSL_CTX_check_private_key(context) == 1)
        return 0;
    if (!is_mismatch(ERR_peek_error()))
        return fail_with_file(f, "key", files->key);
    tls_error_take();
    return tls_fail(f, -EINVAL, "tls: the key %s does not belong to the certificate %s", files->key,
                    files->certificate);
}

int tls_context_trust(SSL_CTX *context, const char *ca, struct tls_failure *f)
{
    ERR_clear_error();
    if (SSL_CTX_load_verify_file(context, ca) == 1)
        return 0;
    return fail_with_file(f, "CA file", ca);
}

int tls_context_trust_system(SSL_CTX *context, struct tls_failure *f)
{
    ERR_clear_error();
    if (SSL_CTX_set_default_verify_paths(context) == 1)
        return 0;
    return fail_with_file(f, "CA files", "of the system");
}

/* ---- what a configuration may say ---- */

int tls_check_versions(const char *who, rn_tls_version min, rn_tls_version max)
{
    if ((unsigned)min > RN_TLS_1_3 || (unsigned)max > RN_TLS_1_3)
        return rn_error_with(-EINVAL, "%s: .version_%s is %d: there is no such version", who,
                             (unsigned)min > RN_TLS_1_3 ? "min" : "max",
                             (int)((unsigned)min > RN_TLS_1_3 ? min : max));
    if (min == RN_TLS_1_3 && max == RN_TLS_1_2)
        return rn_error_with(-EINVAL, "%s: .version_min is above .version_max", who);
    return 0;
}

int tls_protocols_parse(const char *who, const char *text, struct tls_protocols *out)
{
    size_t size = strlen(text) + 1, n;

    *out = (struct tls_protocols){0};
    if (text[0] == 0)
        return 0;
    if (size > PROTOCOLS_BYTES_MAX || (out->data = malloc(size)) == NULL)
        return size > PROTOCOLS_BYTES_MAX ? rn_error_with(-EINVAL, "%s: .alpn is too long", who)
                                          : -ENOMEM;
    for (const char *name = text;; name += n + 1) {
        n = strcspn(name, ",");
        if (n == 0 || n > PROTOCOL_BYTES_MAX) {
            free(out->data);
            *out = (struct tls_protocols){0};
            return rn_error_with(-EINVAL,
                                 "%s: .alpn \"%.100s\" has a name of %zu bytes: allowed "
                                 "are 1 to %d",
                                 who, text, n, PROTOCOL_BYTES_MAX);
        }
        out->data[out->size++] = (unsigned char)n;
        memcpy(out->data + out->size, name, n);
        out->size += (unsigned)n;
        if (name[n] == 0)
            return 0;
    }
}
