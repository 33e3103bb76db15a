/* Who is let in: names, chains, clients' certificates, and configurations that cannot be. */
#include "tls.h"

#include <runnel/tls.h>

/* ---- servers' certificates ---- */

static void expect_refusal(struct world *w, rn_tls_client *client, const char *host,
                           const char *why)
{
    struct pair p = pair_try(w->server, client, host);

    EXPECT_EQ(p.client_err, RN_ECERT);
    EXPECT_DETAIL("the server's certificate is not accepted");
    EXPECT_DETAIL(why);
    EXPECT_DETAIL(host);
    EXPECT(p.client == NULL);
    rn_tls_close(p.server); /* which may be done before it hears of it */
}

TEST_FIBER(a_certificate_for_somebody_else_is_refused)
{
    struct world w = world_new();

    expect_refusal(&w, w.client, "example.org", "hostname mismatch");
    expect_refusal(&w, w.client, "127.0.0.2", "IP address mismatch");
    expect_refusal(&w, w.client, "::1", "IP address mismatch");
    world_free(&w);
}

TEST_FIBER(with_tls_1_2_the_server_hears_why)
{
    struct world w = world_with((rn_tls_server_config){.version_max = RN_TLS_1_2},
                                (rn_tls_client_config){0});
    struct pair p = pair_try(w.server, w.client, "example.org");

    EXPECT_EQ(p.client_err, RN_ECERT);
    EXPECT_EQ(p.server_err, RN_ETLS);
    EXPECT_STR(p.server_detail, "tls: handshake: the client refused: bad certificate");
    world_free(&w);
}

TEST_FIBER(an_expired_certificate_is_refused)
{
    struct world w = world_new();

    identity_renew(&w.identity, &(struct wish){.name = "localhost",
                                               .alt = "DNS:localhost",
                                               .issuer = &w.authority,
                                               .expired = true});
    EXPECT_OK(rn_tls_server_reload(w.server));
    expect_refusal(&w, w.client, "localhost", "certificate has expired");
    world_free(&w);
}

TEST_FIBER(who_is_unknown_vouches_for_nothing)
{
    struct world w = world_new(), other = world_new();
    rn_tls_client *system_only;

    expect_refusal(&w, other.client, "localhost", "unable to get local issuer certificate");
    EXPECT_OK(rn_tls_client_new(&system_only, NULL));
    expect_refusal(&w, system_only, "localhost", "unable to get local issuer certificate");
    identity_renew(&w.identity, &(struct wish){.name = "localhost", .alt = "DNS:localhost"});
    EXPECT_OK(rn_tls_server_reload(w.server));
    expect_refusal(&w, w.client, "localhost", "self-signed certificate");
    rn_tls_client_free(system_only);
    world_free(&other);
    world_free(&w);
}

TEST_FIBER(the_name_of_who_vouches_is_not_enough)
{
    struct world w = world_new();
    struct authority same_name = authority_new("CA 0");
    rn_tls_client *client;

    EXPECT_OK(rn_tls_client_new(&client, &(rn_tls_client_config){.ca = same_name.file.path}));
    expect_refusal(&w, client, "localhost", "certificate signature failure");
    rn_tls_client_free(client);
    authority_free(&same_name);
    world_free(&w);
}

TEST_FIBER(a_client_may_verify_less)
{
    struct world w = world_new(), other = world_new();
    rn_tls_client *chain, *nothing;
    struct pair p;
    rn_tls_info info;

    EXPECT_OK(rn_tls_client_new(&chain, &(rn_tls_client_config){.ca = w.authority.file.path,
                                                                .verify = RN_TLS_VERIFY_CHAIN}));
    EXPECT_OK(
        rn_tls_client_new(&nothing, &(rn_tls_client_config){.verify = RN_TLS_VERIFY_NOTHING}));
    p = pair_try(w.server, chain, "example.org");
    EXPECT_EQ(p.client_err, 0);
    EXPECT_OK(rn_tls_info_read(p.client, &info));
    EXPECT(info.verified);
    pair_close(&p);
    expect_refusal(&other, chain, "localhost", "unable to get local issuer certificate");
    p = pair_try(w.server, nothing, NULL);
    EXPECT_EQ(p.client_err, 0);
    EXPECT_OK(rn_tls_info_read(p.client, &info));
    EXPECT(!info.verified);
    EXPECT_STR(info.peer, "CN=localhost,O=runnel");
    EXPECT_STR(info.server_name, "");
    pair_close(&p);
    rn_tls_client_free(chain);
    rn_tls_client_free(nothing);
    world_free(&other);
    world_free(&w);
}

TEST_FIBER(a_host_is_needed_to_verify_it)
{
    struct world w = world_new();
    struct conns c = conns_new();
    char host[300];
    rn_tls *conn;

    memset(host, 'a', sizeof host);
    host[254] = 0;
    EXPECT_EQ(rn_tls_connect(NULL, w.client, c.a, NULL, &conn), -EINVAL);
    EXPECT_EQ(rn_tls_connect(NULL, w.client, c.a, "", &conn), -EINVAL);
    EXPECT_DETAIL("no host");
    EXPECT_EQ(rn_tls_connect(NULL, w.client, c.a, host, &conn), -EINVAL);
    EXPECT_DETAIL("254 bytes");
    EXPECT(conn == NULL);
    conns_close(c);
    world_free(&w);
}

TEST_FIBER(a_subject_with_strange_bytes_is_printable)
{
    struct world w = world_new();
    struct pair p;
    rn_tls_info info;

    identity_renew(
        &w.identity,
        &(struct wish){.name = "a\nb,\xc3\xa9", .alt = "DNS:localhost", .issuer = &w.authority});
    EXPECT_OK(rn_tls_server_reload(w.server));
    p = pair_of(&w);
    EXPECT_OK(rn_tls_info_read(p.client, &info));
    EXPECT_STR(info.peer, "CN=a\\0Ab\\,\\C3\\A9,O=runnel");
    pair_close(&p);
    world_free(&w);
}

TEST_FIBER(without_a_common_version_there_is_no_connection)
{
    struct world w = world_with((rn_tls_server_config){.version_min = RN_TLS_1_3},
                                (rn_tls_client_config){.version_max = RN_TLS_1_2});
    struct pair p = pair_try(w.server, w.client, "localhost");

    EXPECT_EQ(p.client_err, RN_ETLS);
    EXPECT_DETAIL("the server refused: protocol version");
    EXPECT_EQ(p.server_err, RN_ETLS);
    world_free(&w);
}

/* ---- the name a client asks for ---- */

TEST_FIBER(each_name_gets_its_certificate)
{
    static const struct {
        const char *host, *peer;
    } cases[] = {{"a.example", "CN=first,O=runnel"},
                 {"b.example", "CN=second,O=runnel"},
                 {"x.c.example", "CN=third,O=runnel"},
                 {"localhost", "CN=localhost,O=runnel"}};
    struct authority a = authority_new("another CA");
    struct identity ids[3] = {
        identity_new(&(struct wish){.name = "first", .alt = "DNS:a.example", .issuer = &a}),
        identity_new(&(struct wish){.name = "second", .alt = "DNS:b.example", .issuer = &a}),
        identity_new(
            &(struct wish){.name = "third", .alt = "DNS:a.example,DNS:*.c.example", .issuer = &a})};
    rn_tls_identity more[3];
    rn_tls_client *client;

    for (int i = 0; i < 3; i++)
        more[i] = (rn_tls_identity){ids[i].certificate.path, ids[i].key.path};
    struct world w = world_with((rn_tls_server_config){.more = more, .more_n = 3},
                                (rn_tls_client_config){0});
    EXPECT_OK(rn_tls_client_new(&client, &(rn_tls_client_config){.ca = a.file.path}));
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            rn_tls_client *which = i == 3 ? w.client : client;
            struct pair p = pair_try(w.server, which, cases[i].host);
            rn_tls_info info;

            EXPECT_EQ(p.client_err, 0);
            EXPECT_OK(rn_tls_info_read(p.client, &info));
            EXPECT_STR(info.peer, cases[i].peer);
            expect_tls_talk(&p);
            pair_close(&p);
        }
        EXPECT_OK(rn_tls_server_reload(w.server));
    }
    expect_refusal(&w, w.client, "y.example", "hostname mismatch"); /* gets the first */
    for (int i = 0; i < 3; i++)
        identity_free(&ids[i]);
    rn_tls_client_free(client);
    authority_free(&a);
    world_free(&w);
}

/* ---- clients' certificates ---- */

static rn_tls_client *client_with(struct world *w, const struct authority *issuer)
{
    struct identity id = identity_new(&(struct wish){.name = "alice", .issuer = issuer});
    rn_tls_client *client;

    EXPECT_OK(rn_tls_client_new(&client, &(rn_tls_client_config){.ca = w->authority.file.path,
                                                                 .certificate = id.certificate.path,
                                                                 .key = id.key.path}));
    identity_free(&id); /* has been read */
    return client;
}

static void expect_client_refused(struct world *w, rn_tls_client *client, const char *why,
                                  const char *heard)
{
    struct pair p = pair_try(w->server, client, "localhost");
    char byte;

    EXPECT_EQ(p.server_err, RN_ECERT);
    if (strstr(p.server_detail, why) == NULL)
        test_failed(__FILE__, __LINE__, "\"%s\" lacks \"%s\"", p.server_detail, why);
    if (p.client_err == 0) { /* TLS 1.3: it hears of it later */
        EXPECT_EQ(rn_tls_read(NULL, p.client, &byte, 1), RN_ETLS);
        EXPECT_DETAIL(heard);
        EXPECT_EQ(rn_tls_write(NULL, p.client, "x", 1), RN_ETLS);
        EXPECT_DETAIL(heard);
        EXPECT_EQ(rn_tls_close_write(NULL, p.client), RN_ETLS);
        rn_tls_close(p.client);
    } else {
        EXPECT_EQ(p.client_err, RN_ETLS);
        EXPECT_DETAIL(heard);
    }
}

static void expect_client_known(struct world *w, rn_tls_client *client, const char *peer)
{
    struct pair p = pair_try(w->server, client, "localhost");
    rn_tls_info info;

    EXPECT_EQ(p.client_err, 0);
    EXPECT_EQ(p.server_err, 0);
    EXPECT_OK(rn_tls_info_read(p.server, &info));
    EXPECT_STR(info.peer, peer);
    EXPECT_EQ(info.verified, peer[0] != 0);
    expect_tls_talk(&p);
    pair_close(&p);
}

static void check_clients(rn_tls_version version)
{
    struct world must = world_with(
        (rn_tls_server_config){.version_max = version, .client_auth = RN_TLS_CLIENT_VERIFIED},
        (rn_tls_client_config){0});
    struct world may = world_with((rn_tls_server_config){.version_max = version,
                                                         .client_auth = RN_TLS_CLIENT_MAY,
                                                         .client_ca = must.authority.file.path},
                                  (rn_tls_client_config){0});
    rn_tls_client *alice = client_with(&must, &must.authority);
    rn_tls_client *mallory = client_with(&must, NULL), *alice_may, *mallory_may;
    const char *missing = version == RN_TLS_1_2 ? "handshake failure" : "certificate required";

    expect_client_known(&must, alice, "CN=alice,O=runnel");
    expect_client_refused(&must, must.client, "no certificate", missing);
    expect_client_refused(&must, mallory, "self-signed certificate", "unknown CA");
    alice_may = client_with(&may, &must.authority);
    mallory_may = client_with(&may, &may.authority); /* vouched for by who is not asked */
    expect_client_known(&may, alice_may, "CN=alice,O=runnel");
    expect_client_known(&may, may.client, "");
    expect_client_refused(&may, mallory_may, "local issuer", "unknown CA");
    rn_tls_client_free(alice);
    rn_tls_client_free(mallory);
    rn_tls_client_free(alice_may);
    rn_tls_client_free(mallory_may);
    world_free(&may);
    world_free(&must);
}

TEST_FIBER(clients_show_who_they_are)
{
    check_clients(RN_TLS_1_3);
}

TEST_FIBER(clients_show_who_they_are_with_tls_1_2)
{
    check_clients(RN_TLS_1_2);
}

/* ---- configurations ---- */

/* With the world's files where it has none, unless w is NULL. */
static void expect_server_wrong(const struct world *w, rn_tls_server_config config, int code,
                                const char *why)
{
    rn_tls_server *s = (void *)&config;

    if (w != NULL && config.certificate == NULL)
        config.certificate = w->identity.certificate.path;
    if (w != NULL && config.key == NULL)
        config.key = w->identity.key.path;
    EXPECT_EQ(rn_tls_server_new(&s, &config), code);
    EXPECT(s == NULL);
    EXPECT_DETAIL(why);
}

static void expect_client_wrong(rn_tls_client_config config, int code, const char *why)
{
    rn_tls_client *client = (void *)&config;

    EXPECT_EQ(rn_tls_client_new(&client, &config), code);
    EXPECT(client == NULL);
    EXPECT_DETAIL(why);
}

TEST_FIBER(wrong_fields_are_named)
{
    struct world w = world_new();
    char long_name[300];
    rn_tls_identity half = {.certificate = w.identity.certificate.path};

    memset(long_name, 'a', sizeof long_name);
    long_name[256] = 0;
    expect_server_wrong(NULL, (rn_tls_server_config){.key = "x"}, -EINVAL, ".certificate");
    expect_server_wrong(NULL, (rn_tls_server_config){.certificate = "x"}, -EINVAL, ".key");
    expect_server_wrong(&w, (rn_tls_server_config){.more = &half, .more_n = 1}, -EINVAL,
                        ".more[0].key");
    expect_server_wrong(&w, (rn_tls_server_config){.more = &half, .more_n = 1001}, -EINVAL,
                        ".more_n is 1001");
    expect_server_wrong(&w, (rn_tls_server_config){.version_min = 7}, -EINVAL, ".version_min is 7");
    expect_server_wrong(&w, (rn_tls_server_config){.version_max = -1}, -EINVAL,
                        ".version_max is -1");
    expect_server_wrong(
        &w, (rn_tls_server_config){.version_min = RN_TLS_1_3, .version_max = RN_TLS_1_2}, -EINVAL,
        ".version_min is above .version_max");
    expect_server_wrong(&w, (rn_tls_server_config){.client_auth = 3}, -EINVAL, ".client_auth is 3");
    expect_server_wrong(&w, (rn_tls_server_config){.client_auth = RN_TLS_CLIENT_MAY}, -EINVAL,
                        ".client_ca");
    expect_server_wrong(&w, (rn_tls_server_config){.client_ca = "x"}, -EINVAL, ".client_auth");
    expect_server_wrong(&w, (rn_tls_server_config){.handshake_timeout = -1}, -EINVAL,
                        ".handshake_timeout is -1");
    expect_server_wrong(&w, (rn_tls_server_config){.alpn = "a,,b"}, -EINVAL, ".alpn");
    expect_server_wrong(&w, (rn_tls_server_config){.alpn = long_name}, -EINVAL, "256 bytes");
    expect_client_wrong((rn_tls_client_config){.verify = 3}, -EINVAL, ".verify is 3");
    expect_client_wrong((rn_tls_client_config){.key = "x"}, -EINVAL, ".certificate");
    expect_client_wrong((rn_tls_client_config){.version_min = 7}, -EINVAL, ".version_min is 7");
    expect_client_wrong((rn_tls_client_config){.alpn = ","}, -EINVAL, ".alpn");
    world_free(&w);
}

/* The key again, behind a password. */
static struct file encrypted_key(void)
{
    struct file f = file_new();
    EVP_PKEY *key = EVP_EC_gen("P-256");
    BIO *bio = BIO_new(BIO_s_mem());

    EXPECT_EQ(PEM_write_bio_PrivateKey(bio, key, EVP_aes_128_cbc(), (const unsigned char *)"secret",
                                       6, NULL, NULL),
              1);
    file_write_bio(&f, bio);
    EVP_PKEY_free(key);
    return f;
}

TEST_FIBER(wrong_files_are_named)
{
    struct world w = world_new();
    struct identity other = identity_new(&(struct wish){.name = "other"});
    struct file garbage = file_new(), empty = file_new(), locked = encrypted_key();

    file_write(&garbage, "-----BEGIN CERTIFICATE-----\nnonsense\n", 37);
    expect_server_wrong(&w, (rn_tls_server_config){.key = "/nowhere/key.pem"}, -ENOENT,
                        "/nowhere/key.pem");
    expect_server_wrong(&w, (rn_tls_server_config){.certificate = "/nowhere/c.pem"}, -ENOENT,
                        "certificate /nowhere/c.pem: No such file or directory");
    expect_server_wrong(&w, (rn_tls_server_config){.certificate = garbage.path}, -EINVAL,
                        garbage.path);
    expect_server_wrong(&w, (rn_tls_server_config){.certificate = empty.path}, -EINVAL, empty.path);
    expect_server_wrong(&w, (rn_tls_server_config){.key = w.identity.certificate.path}, -EINVAL,
                        w.identity.certificate.path);
    expect_server_wrong(&w, (rn_tls_server_config){.key = locked.path}, -EINVAL, locked.path);
    expect_server_wrong(&w, (rn_tls_server_config){.key = other.key.path}, -EINVAL,
                        "does not belong to");
    expect_server_wrong(
        &w,
        (rn_tls_server_config){.client_auth = RN_TLS_CLIENT_MAY, .client_ca = "/nowhere/ca.pem"},
        -ENOENT, "CA file /nowhere/ca.pem");
    expect_server_wrong(
        &w, (rn_tls_server_config){.client_auth = RN_TLS_CLIENT_MAY, .client_ca = garbage.path},
        -EINVAL, garbage.path);
    expect_client_wrong((rn_tls_client_config){.ca = "/nowhere/ca.pem"}, -ENOENT,
                        "/nowhere/ca.pem");
    expect_client_wrong((rn_tls_client_config){.ca = empty.path}, -EINVAL, empty.path);
    expect_client_wrong(
        (rn_tls_client_config){.certificate = other.certificate.path, .key = w.identity.key.path},
        -EINVAL, "does not belong to");
    rn_tls_server_free(NULL);
    rn_tls_client_free(NULL);
    identity_free(&other);
    close(garbage.fd);
    close(empty.fd);
    close(locked.fd);
    world_free(&w);
}
