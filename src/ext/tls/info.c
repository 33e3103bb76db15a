/*
 * What a handshake has agreed on. Copied at the first question: OpenSSL's texts end with the
 * session, and one of them has no zero at its end.
 */
#define _GNU_SOURCE
#include "conn.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

/* The subject of a certificate, "" of none; NULL without memory. What is not text is escaped. */
static char *subject_of(X509 *certificate)
{
    char *text = NULL, *data;

    if (certificate == NULL)
        return strdup("");
    ERR_clear_error();
    BIO *bio = BIO_new(BIO_s_mem());
    if (bio != NULL &&
        X509_NAME_print_ex(bio, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253) >= 0) {
        long n = BIO_get_mem_data(bio, &data);
        text = strndup(n > 0 ? data : "", (size_t)n);
    }
    BIO_free(bio);
    ERR_clear_error();
    return text;
}

static char *protocol_of(const SSL *ssl)
{
    const unsigned char *protocol;
    unsigned size;

    SSL_get0_alpn_selected(ssl, &protocol, &size);
    return strndup(protocol != NULL ? (const char *)protocol : "", size);
}

static char *server_name_of(const SSL *ssl)
{
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    return strdup(name != NULL ? name : "");
}

static int fill_in(rn_tls *c)
{
    X509 *certificate = SSL_get0_peer_certificate(c->ssl);

    if (c->alpn == NULL)
        c->alpn = protocol_of(c->ssl);
    if (c->server_name == NULL)
        c->server_name = server_name_of(c->ssl);
    if (c->peer == NULL)
        c->peer = subject_of(certificate);
    if (c->alpn == NULL || c->server_name == NULL || c->peer == NULL)
        return -ENOMEM;
    c->info = (rn_tls_info){
        .version = SSL_version(c->ssl) == TLS1_3_VERSION ? RN_TLS_1_3 : RN_TLS_1_2,
        .version_name = SSL_get_version(c->ssl),
        .cipher = SSL_get_cipher_name(c->ssl),
        .alpn = c->alpn,
        .server_name = c->server_name,
        .peer = c->peer,
        .verified = certificate != NULL && SSL_get_verify_mode(c->ssl) != SSL_VERIFY_NONE &&
                    SSL_get_verify_result(c->ssl) == X509_V_OK,
        .resumed = SSL_session_reused(c->ssl) == 1};
    return 0;
}

int rn_tls_info_read(rn_tls *c, rn_tls_info *out)
{
    rn_mutex_lock(&c->lock);
    int err = c->info.version_name != NULL ? 0 : fill_in(c);
    *out = c->info;
    rn_mutex_unlock(&c->lock);
    return err;
}
