/* Clients: whom they trust, and whom they want to talk to. */
#include "conn.h"
#include "context.h"

#include <openssl/x509v3.h>
#include <runnel/fiber.h>
#include <runnel/net.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST_BYTES_MAX 253

struct rn_tls_client {
    SSL_CTX *context;
    rn_tls_verify verify;
};

/* ---- configuration ---- */

struct reading {
    const rn_tls_client_config *config;
    SSL_CTX *context;
    struct tls_failure failure;
};

/* In rn_blocking. */
static int read_files(void *arg)
{
    struct reading *r = arg;
    const rn_tls_client_config *config = r->config;
    rn_tls_identity own = {config->certificate, config->key};
    int err = 0;

    r->context = tls_context_new(TLS_client_method(), config->version_min, config->version_max);
    if (r->context == NULL)
        return tls_fail(&r->failure, -ENOMEM, "tls: out of memory");
    if (config->verify != RN_TLS_VERIFY_NOTHING) {
        SSL_CTX_set_verify(r->context, SSL_VERIFY_PEER, NULL);
        err = config->ca != NULL ? tls_context_trust(r->context, config->ca, &r->failure)
                                 : tls_context_trust_system(r->context, &r->failure);
    }
    if (err == 0 && own.certificate != NULL)
        err = tls_context_identify(r->context, &own, &r->failure);
    return err;
}

static int check_config(const rn_tls_client_config *config)
{
    if ((unsigned)config->verify > RN_TLS_VERIFY_NOTHING)
        return rn_error_with(-EINVAL, "tls client: .verify is %d: there is no such value",
                             (int)config->verify);
    if ((config->certificate == NULL) != (config->key == NULL))
        return rn_error_with(-EINVAL, "tls client: .certificate and .key go together");
    return tls_check_versions("tls client", config->version_min, config->version_max);
}

static int offer_protocols(SSL_CTX *context, const char *alpn)
{
    struct tls_protocols protocols;
    int err = tls_protocols_parse("tls client", alpn, &protocols);

    if (err == 0 && protocols.size > 0 &&
        SSL_CTX_set_alpn_protos(context, protocols.data, protocols.size) != 0)
        err = -ENOMEM;
    free(protocols.data);
    return err;
}

int rn_tls_client_new(rn_tls_client **out, const rn_tls_client_config *config)
{
    static const rn_tls_client_config defaults;
    struct reading r = {.config = config != NULL ? config : &defaults};
    int err = check_config(r.config);

    *out = NULL;
    if (err != 0)
        return err;
    err = rn_blocking(read_files, &r);
    if (r.failure.code != 0)
        err = tls_failure_tell(&r.failure);
    tls_failure_clear(&r.failure);
    if (err == 0 && r.config->alpn != NULL)
        err = offer_protocols(r.context, r.config->alpn);
    rn_tls_client *client = err == 0 ? malloc(sizeof *client) : NULL;
    if (client == NULL) {
        SSL_CTX_free(r.context);
        return err != 0 ? err : -ENOMEM;
    }
    *client = (rn_tls_client){.context = r.context, .verify = r.config->verify};
    *out = client;
    return 0;
}

void rn_tls_client_free(rn_tls_client *client)
{
    if (client == NULL)
        return;
    SSL_CTX_free(client->context);
    free(client);
}

/* ---- whom it wants ---- */

static bool is_ip(const char *host)
{
    ASN1_OCTET_STRING *bytes = a2i_IPADDRESS(host);
    ASN1_OCTET_STRING_free(bytes);
    tls_error_take();
    return bytes != NULL;
}

/* Addresses are not sent (RFC 6066), names are. */
static int set_host(rn_tls *c, const char *host, rn_tls_verify verify)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(c->ssl);
    bool ip = is_ip(host), done = true;

    if (!ip)
        done = SSL_set_tlsext_host_name(c->ssl, host) == 1;
    if (done && verify == RN_TLS_VERIFY)
        done = ip ? X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1
                  : X509_VERIFY_PARAM_set1_host(param, host, 0) == 1;
    if (done)
        return 0;
    tls_error_take();
    return -ENOMEM;
}

static int check_host(const rn_tls_client *client, const char *host)
{
    size_t n = host != NULL ? strlen(host) : 0;

    if (n == 0 && client->verify == RN_TLS_VERIFY)
        return rn_error_with(-EINVAL, "tls: there is no host to verify the certificate for");
    if (n > HOST_BYTES_MAX)
        return rn_error_with(-EINVAL, "tls: the host has %zu bytes: allowed are %d", n,
                             HOST_BYTES_MAX);
    return 0;
}

/* The sentence of a certificate that is not accepted gets the host that was wanted. */
static int name_host(int err, const char *host)
{
    char text[256];

    if (err != RN_ECERT || host == NULL)
        return err;
    snprintf(text, sizeof text, "%s", rn_error_detail());
    return rn_error_with(err, "%s (%.100s)", text, host);
}

int rn_tls_connect(rn_ctx *ctx, rn_tls_client *client, rn_fd fd, const char *host, rn_tls **out)
{
    rn_tls *c;
    int err = check_host(client, host);

    *out = NULL;
    if (err != 0 || (err = tls_conn_new(&c, client->context, fd, true)) != 0)
        return err;
    SSL_set_connect_state(c->ssl);
    if (host != NULL && host[0] != 0)
        err = set_host(c, host, client->verify);
    if (err == 0)
        err = name_host(tls_conn_handshake(ctx, c), host);
    if (err == 0)
        *out = c;
    else
        tls_conn_free(c);
    return err;
}

/* The host in an address: of "[fe80::1%eth0]:443" it is fe80::1, of ":443" localhost. */
static int host_of(const char *address, char host[HOST_BYTES_MAX + 1])
{
    const char *from = strncmp(address, "tcp:", 4) == 0 ? address + 4 : address;
    const char *end = strrchr(from, ':');

    if (strncmp(from, "unix", 4) == 0 || strncmp(from, "udp:", 4) == 0 || end == NULL)
        return rn_error_with(-EINVAL, "tls: %.150s is no TCP address with a host and a port",
                             address);
    size_t n = (size_t)(end - from);
    if (n >= 2 && from[0] == '[' && from[n - 1] == ']') {
        from++;
        n = strcspn(from, "%]");
    }
    if (n > HOST_BYTES_MAX)
        return rn_error_with(-EINVAL, "tls: the host has %zu bytes: allowed are %d", n,
                             HOST_BYTES_MAX);
    snprintf(host, HOST_BYTES_MAX + 1, "%.*s", n > 0 ? (int)n : 9, n > 0 ? from : "localhost");
    return 0;
}

int rn_tls_dial(rn_ctx *ctx, rn_tls_client *client, const char *address, rn_tls **out)
{
    char host[HOST_BYTES_MAX + 1];
    rn_fd fd;
    int err = host_of(address, host);

    *out = NULL;
    if (err != 0 || (err = rn_dial(ctx, address, NULL, &fd)) != 0)
        return err;
    err = rn_tls_connect(ctx, client, fd, host, out);
    if (err != 0)
        rn_fd_close(fd);
    return err;
}
