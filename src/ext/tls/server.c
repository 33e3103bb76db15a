/*
 * Servers: certificates that are read again while it runs, chosen by the name a client asks for.
 *
 * What was read from the files at one time is one `identities`, a context for each certificate,
 * which never changes. A handshake holds on to the one it began with; the SSL object holds its
 * contexts, so that a connection needs no more than that afterwards.
 */
#include "conn.h"
#include "context.h"

#include <openssl/x509v3.h>
#include <runnel/fiber.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define IDENTITIES_MAX 1000 /* they are gone through one by one at each handshake */
#define HANDSHAKE_TIMEOUT_DEFAULT (10 * RN_SECOND)
#define ALPN_DEFAULT "http/1.1"

struct identities {
    atomic_size_t references; /* the server's, and one for each handshake */
    size_t n;
    SSL_CTX *contexts[];
};

struct rn_tls_server {
    rn_transport transport;
    size_t n; /* of files; this and what follows never change */
    rn_tls_identity *files;
    char *client_ca; /* NULL: none */
    rn_tls_client_auth client_auth;
    rn_tls_version version_min, version_max;
    rn_duration handshake_timeout;
    struct tls_protocols protocols;
    rn_mutex reloading; /* held over a whole reload, so that the last one's files win */
    rn_mutex lock;      /* guards the rest */
    struct identities *current;
};

/* ---- identities ---- */

static void drop(struct identities *ids)
{
    if (ids == NULL || atomic_fetch_sub(&ids->references, 1) > 1)
        return;
    for (size_t i = 0; i < ids->n; i++)
        SSL_CTX_free(ids->contexts[i]);
    free(ids);
}

static struct identities *hold_current(rn_tls_server *s)
{
    rn_mutex_lock(&s->lock);
    struct identities *ids = s->current;
    atomic_fetch_add(&ids->references, 1);
    rn_mutex_unlock(&s->lock);
    return ids;
}

/* The first certificate that is for the name; the first of all when none is. */
static int choose_identity(SSL *ssl, int *alert, void *arg)
{
    struct identities *ids = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

    (void)alert;
    if (name == NULL)
        return SSL_TLSEXT_ERR_NOACK;
    for (size_t i = 0; i < ids->n; i++) {
        X509 *certificate = SSL_CTX_get0_certificate(ids->contexts[i]);
        if (X509_check_host(certificate, name, 0, 0, NULL) == 1) {
            SSL_set_SSL_CTX(ssl, ids->contexts[i]);
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_NOACK;
}

/* The server's order decides. A client that offers others only is refused, as RFC 7301 says. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *size,
                           const unsigned char *offered, unsigned offered_size, void *arg)
{
    const struct tls_protocols *ours = arg;

    (void)ssl;
    int found = SSL_select_next_proto((unsigned char **)out, size, ours->data, ours->size, offered,
                                      offered_size);
    return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* ---- reading the files ---- */

static int ask_clients(const rn_tls_server *s, SSL_CTX *context, struct tls_failure *f)
{
    int mode = SSL_VERIFY_PEER;

    if (s->client_auth == RN_TLS_CLIENT_ANY)
        return 0;
    if (s->client_auth == RN_TLS_CLIENT_VERIFIED)
        mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    SSL_CTX_set_verify(context, mode, NULL);
    int err = tls_context_trust(context, s->client_ca, f);
    if (err != 0)
        return err;
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(s->client_ca);
    if (names == NULL) {
        unsigned long error = tls_error_take();
        return tls_fail(f, tls_error_code(error, -EINVAL), "tls: CA file %s: %s", s->client_ca,
                        tls_error_text(error));
    }
    SSL_CTX_set_client_CA_list(context, names); /* takes them over */
    return 0;
}

static int make_context(rn_tls_server *s, struct identities *ids, size_t i, struct tls_failure *f)
{
    static const unsigned char session_context[] = "runnel";
    SSL_CTX *context = tls_context_new(TLS_server_method(), s->version_min, s->version_max);

    if (context == NULL)
        return tls_fail(f, -ENOMEM, "tls: out of memory");
    ids->contexts[ids->n++] = context;
    SSL_CTX_set_session_id_context(context, session_context, sizeof session_context - 1);
    SSL_CTX_set_tlsext_servername_callback(context, choose_identity);
    SSL_CTX_set_tlsext_servername_arg(context, ids);
    if (s->protocols.size > 0)
        SSL_CTX_set_alpn_select_cb(context, choose_protocol, &s->protocols);
    int err = tls_context_identify(context, &s->files[i], f);
    return err != 0 ? err : ask_clients(s, context, f);
}

struct reading {
    rn_tls_server *server;
    struct identities *made;
    struct tls_failure failure;
};

/* In rn_blocking. */
static int read_files(void *arg)
{
    struct reading *r = arg;
    rn_tls_server *s = r->server;

    r->made = calloc(1, sizeof *r->made + s->n * sizeof(SSL_CTX *));
    if (r->made == NULL)
        return tls_fail(&r->failure, -ENOMEM, "tls: out of memory");
    atomic_init(&r->made->references, 1);
    for (size_t i = 0; i < s->n; i++) {
        int err = make_context(s, r->made, i, &r->failure);
        if (err != 0)
            return err;
    }
    return 0;
}

int rn_tls_server_reload(rn_tls_server *s)
{
    struct reading r = {.server = s};
    struct identities *old = NULL;

    rn_mutex_lock(&s->reloading);
    int err = rn_blocking(read_files, &r);
    if (err == 0) {
        rn_mutex_lock(&s->lock);
        old = s->current;
        s->current = r.made;
        rn_mutex_unlock(&s->lock);
    } else {
        old = r.made;
        if (r.failure.code != 0)
            err = tls_failure_tell(&r.failure);
    }
    rn_mutex_unlock(&s->reloading);
    drop(old);
    tls_failure_clear(&r.failure);
    return err;
}

/* ---- connections ---- */

static int shake_hands(rn_ctx *ctx, rn_tls_server *s, rn_tls *c)
{
    if (s->handshake_timeout == RN_FOREVER)
        return tls_conn_handshake(ctx, c);
    rn_ctx *limited = rn_ctx_with_timeout(ctx, s->handshake_timeout);
    if (limited == NULL)
        return -ENOMEM;
    int err = tls_conn_handshake(limited, c);
    rn_ctx_release(limited);
    return err;
}

static int accept_conn(rn_ctx *ctx, rn_tls_server *s, rn_fd fd, bool owns_fd, rn_tls **out)
{
    struct identities *ids = hold_current(s);
    rn_tls *c = NULL;
    int err = tls_conn_new(&c, ids->contexts[0], fd, owns_fd);

    *out = NULL;
    if (err == 0) {
        SSL_set_accept_state(c->ssl);
        err = shake_hands(ctx, s, c);
        if (err == 0)
            *out = c;
        else
            tls_conn_free(c);
    }
    drop(ids);
    return err;
}

int rn_tls_accept(rn_ctx *ctx, rn_tls_server *s, rn_fd fd, rn_tls **out)
{
    return accept_conn(ctx, s, fd, true, out);
}

static int open_stream(rn_ctx *ctx, void *arg, rn_fd fd, void **stream)
{
    rn_tls *c;
    int err = accept_conn(ctx, arg, fd, false, &c);

    *stream = c;
    return err;
}

static size_t stream_buffered(void *stream)
{
    return rn_tls_buffered(stream);
}

static void close_stream(rn_ctx *ctx, void *stream)
{
    (void)ctx; /* there is nothing to wait for */
    tls_conn_close(stream);
}

const rn_transport *rn_tls_transport(rn_tls_server *s)
{
    return &s->transport;
}

/* ---- configuration ---- */

static int check_files(const rn_tls_server_config *config)
{
    if (config->certificate == NULL || config->key == NULL)
        return rn_error_with(-EINVAL, "tls server: .%s is needed",
                             config->certificate == NULL ? "certificate" : "key");
    if (config->more_n > IDENTITIES_MAX)
        return rn_error_with(-EINVAL, "tls server: .more_n is %zu: allowed are 0 to %d",
                             config->more_n, IDENTITIES_MAX);
    for (size_t i = 0; i < config->more_n; i++)
        if (config->more[i].certificate == NULL || config->more[i].key == NULL)
            return rn_error_with(-EINVAL, "tls server: .more[%zu].%s is needed", i,
                                 config->more[i].certificate == NULL ? "certificate" : "key");
    return 0;
}

static int check_config(const rn_tls_server_config *config)
{
    int err = check_files(config);

    if (err != 0 ||
        (err = tls_check_versions("tls server", config->version_min, config->version_max)) != 0)
        return err;
    if ((unsigned)config->client_auth > RN_TLS_CLIENT_VERIFIED)
        return rn_error_with(-EINVAL, "tls server: .client_auth is %d: there is no such value",
                             (int)config->client_auth);
    if ((config->client_auth != RN_TLS_CLIENT_ANY) != (config->client_ca != NULL))
        return rn_error_with(-EINVAL, "tls server: .client_auth and .client_ca go together");
    if (config->handshake_timeout < 0)
        return rn_error_with(-EINVAL,
                             "tls server: .handshake_timeout is %lld: allowed are 1 to RN_FOREVER",
                             (long long)config->handshake_timeout);
    return 0;
}

/* The n files of an array that begins as zeroes. */
static bool copy_identity(rn_tls_server *s, const char *certificate, const char *key)
{
    rn_tls_identity *files = &s->files[s->n++];

    files->certificate = strdup(certificate);
    files->key = strdup(key);
    return files->certificate != NULL && files->key != NULL;
}

static bool copy_files(rn_tls_server *s, const rn_tls_server_config *config)
{
    s->files = calloc(config->more_n + 1, sizeof *s->files);
    if (s->files == NULL || !copy_identity(s, config->certificate, config->key))
        return false;
    for (size_t i = 0; i < config->more_n; i++)
        if (!copy_identity(s, config->more[i].certificate, config->more[i].key))
            return false;
    return config->client_ca == NULL || (s->client_ca = strdup(config->client_ca)) != NULL;
}

static int configure(rn_tls_server *s, const rn_tls_server_config *config)
{
    s->client_auth = config->client_auth;
    s->version_min = config->version_min;
    s->version_max = config->version_max;
    s->handshake_timeout = config->handshake_timeout != 0 ? config->handshake_timeout
                                                          : HANDSHAKE_TIMEOUT_DEFAULT;
    s->transport = (rn_transport){.open = open_stream,
                                  .read = rn_tls_read,
                                  .writev = rn_tls_writev,
                                  .buffered = stream_buffered,
                                  .close = close_stream,
                                  .arg = s};
    if (!copy_files(s, config))
        return -ENOMEM;
    return tls_protocols_parse("tls server", config->alpn != NULL ? config->alpn : ALPN_DEFAULT,
                               &s->protocols);
}

int rn_tls_server_new(rn_tls_server **out, const rn_tls_server_config *config)
{
    int err = check_config(config);

    *out = NULL;
    if (err != 0)
        return err;
    rn_tls_server *s = calloc(1, sizeof *s);
    if (s == NULL)
        return -ENOMEM;
    if ((err = configure(s, config)) == 0)
        err = rn_tls_server_reload(s);
    if (err == 0)
        *out = s;
    else
        rn_tls_server_free(s);
    return err;
}

void rn_tls_server_free(rn_tls_server *s)
{
    if (s == NULL)
        return;
    drop(s->current);
    for (size_t i = 0; i < s->n; i++) {
        free((char *)(uintptr_t)s->files[i].certificate);
        free((char *)(uintptr_t)s->files[i].key);
    }
    free(s->files);
    free(s->client_ca);
    free(s->protocols.data);
    free(s);
}
