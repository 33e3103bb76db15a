/* A connection's life: made, shaken hands, closed. */
#include "conn.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#define ALERT_REASON 1000 /* SSL_R_ codes from here on, 256 of them: the peer sent this alert */

/* ---- what OpenSSL says ---- */

static bool is_alert(unsigned long error)
{
    int reason = ERR_GET_REASON(error);
    return ERR_GET_LIB(error) == ERR_LIB_SSL && reason >= ALERT_REASON &&
           reason < ALERT_REASON + 256;
}

static const char *peer_word(const rn_tls *c)
{
    return SSL_is_server(c->ssl) ? "client" : "server";
}

/* Some alerts OpenSSL can name only as errors. */
static const char *alert_text(unsigned long error)
{
    const char *text = SSL_alert_desc_string_long(ERR_GET_REASON(error) - ALERT_REASON);
    return strcmp(text, "unknown") != 0 ? text : tls_error_text(error);
}

/* The last error is that of the connection; those before it say what made it. */
static void note_failure(rn_tls *c)
{
    unsigned long error = ERR_peek_last_error();
    struct tls_failure *f = &c->reading;
    int reason = ERR_GET_LIB(error) == ERR_LIB_SSL ? ERR_GET_REASON(error) : 0;
    const char *phase = c->ready ? "" : "handshake: ";

    if (is_alert(error))
        tls_fail(f, RN_ETLS, "tls: %sthe %s refused: %s", phase, peer_word(c), alert_text(error));
    else if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
        tls_fail(f, RN_ECERT, "tls: the %s's certificate is not accepted: %s", peer_word(c),
                 X509_verify_cert_error_string(SSL_get_verify_result(c->ssl)));
    else if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
        tls_fail(f, RN_ECERT, "tls: the client has sent no certificate");
    else
        tls_fail(f, tls_error_code(error, RN_ETLS), "tls: %s%s", phase, tls_error_text(error));
    ERR_clear_error();
}

enum tls_step tls_step_of(rn_tls *c, int result)
{
    switch (result > 0 ? SSL_ERROR_NONE : SSL_get_error(c->ssl, result)) {
    case SSL_ERROR_NONE:
        return TLS_DONE;
    case SSL_ERROR_WANT_READ:
        return TLS_WANTS_INPUT;
    case SSL_ERROR_ZERO_RETURN:
        c->ended = true;
        return TLS_ENDED;
    case SSL_ERROR_SYSCALL: /* out could not grow */
        ERR_clear_error();
        tls_fail(&c->reading, -ENOMEM, "tls: out of memory");
        break;
    default:
        note_failure(c);
    }
    c->broken = true;
    return TLS_FAILED;
}

/* ---- beginning and end ---- */

int tls_conn_new(rn_tls **out, SSL_CTX *context, rn_fd fd, bool owns_fd)
{
    rn_tls *c = calloc(1, sizeof *c);
    BIO *bio = c != NULL ? tls_bio_new(c) : NULL;

    if (bio == NULL || (c->ssl = SSL_new(context)) == NULL) {
        tls_error_take();
        BIO_free(bio);
        free(c);
        return -ENOMEM;
    }
    SSL_set_bio(c->ssl, bio, bio);
    c->fd = fd;
    c->owns_fd = owns_fd;
    *out = c;
    return 0;
}

void tls_conn_free(rn_tls *c)
{
    SSL_free(c->ssl);
    tls_buffer_free(&c->in);
    tls_buffer_free(&c->out);
    tls_buffer_free(&c->sending);
    tls_failure_clear(&c->reading);
    tls_failure_clear(&c->writing);
    free(c->alpn);
    free(c->server_name);
    free(c->peer);
    free(c);
}

/* What was left out of a write must not look like the end. */
static bool can_say_end(const rn_tls *c)
{
    return c->ready && !c->said_end && !c->broken && c->writing.code == 0 && tls_flow_owed(c) == 0;
}

void tls_conn_close(rn_tls *c)
{
    rn_mutex_lock(&c->lock);
    if (can_say_end(c)) {
        ERR_clear_error();
        SSL_shutdown(c->ssl);
        ERR_clear_error();
        tls_flow_push(c);
    }
    rn_mutex_unlock(&c->lock);
    if (c->owns_fd)
        rn_fd_close(c->fd);
    tls_conn_free(c);
}

void rn_tls_close(rn_tls *c)
{
    if (c != NULL)
        tls_conn_close(c);
}

rn_fd rn_tls_fd(const rn_tls *c)
{
    return c->fd;
}

/* ---- the handshake ---- */

static int shake_hands(rn_ctx *ctx, rn_tls *c)
{
    for (;;) {
        ERR_clear_error();
        enum tls_step step = tls_step_of(c, SSL_do_handshake(c->ssl));
        int err = tls_flow_flush(ctx, c); /* a refusal too, so that the peer knows */
        if (step == TLS_FAILED)
            return tls_failure_tell(&c->reading);
        if (step == TLS_ENDED)
            return rn_error_with(-ECONNRESET, "tls: the peer went in the middle of the handshake");
        if (err == 0 && step == TLS_WANTS_INPUT)
            err = tls_flow_fill(ctx, c);
        if (err != 0)
            return err;
        if (step == TLS_DONE) {
            c->ready = true;
            return 0;
        }
    }
}

int tls_conn_handshake(rn_ctx *ctx, rn_tls *c)
{
    int err = rn_ctx_err(ctx);

    if (err != 0)
        return err;
    rn_mutex_lock(&c->lock);
    err = shake_hands(ctx, c);
    rn_mutex_unlock(&c->lock);
    return err;
}
