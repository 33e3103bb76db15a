/* Certificates that change while the server runs. */
#include "tls.h"

#include <runnel/tls.h>

static void renew(struct world *w, const char *name)
{
    identity_renew(&w->identity,
                   &(struct wish){.name = name, .alt = "DNS:localhost", .issuer = &w->authority});
}

static void expect_served(struct world *w, const char *peer)
{
    struct pair p = pair_of(w);
    rn_tls_info info;

    EXPECT_OK(rn_tls_info_read(p.client, &info));
    EXPECT_STR(info.peer, peer);
    expect_tls_talk(&p);
    pair_close(&p);
}

TEST_FIBER(new_handshakes_see_the_new_certificate_and_connections_stay)
{
    struct world w = world_new();
    struct pair old = pair_of(&w);
    rn_tls_info info;

    renew(&w, "renewed");
    expect_served(&w, "CN=localhost,O=runnel"); /* nobody has told the server */
    EXPECT_OK(rn_tls_server_reload(w.server));
    expect_served(&w, "CN=renewed,O=runnel");
    expect_tls_talk(&old);
    EXPECT_OK(rn_tls_info_read(old.client, &info));
    EXPECT_STR(info.peer, "CN=localhost,O=runnel");
    pair_close(&old);
    world_free(&w);
}

TEST_FIBER(connections_outlive_server_and_client)
{
    struct world w = world_new();
    struct pair p = pair_of(&w);

    world_free(&w);
    expect_tls_talk(&p);
    pair_close(&p);
}

static void expect_not_reloaded(struct world *w, int code, const char *why)
{
    EXPECT_EQ(rn_tls_server_reload(w->server), code);
    EXPECT_DETAIL(why);
    expect_served(w, "CN=localhost,O=runnel");
}

TEST_FIBER(wrong_files_leave_the_old_certificate)
{
    struct authority ca = authority_new("CA of clients");
    struct world w = world_with(
        (rn_tls_server_config){.client_auth = RN_TLS_CLIENT_MAY, .client_ca = ca.file.path},
        (rn_tls_client_config){0});
    struct identity other = identity_new(&(struct wish){.name = "other"});
    char key[4096];

    file_write(&w.identity.key, "nonsense", 8);
    expect_not_reloaded(&w, -EINVAL, w.identity.key.path);
    ssize_t n = pread(other.key.fd, key, sizeof key, 0);
    file_write(&w.identity.key, key, (size_t)n); /* a good key, of another certificate */
    expect_not_reloaded(&w, -EINVAL, "does not belong to the certificate");
    file_write(&w.identity.certificate, "", 0);
    expect_not_reloaded(&w, -EINVAL, w.identity.certificate.path);
    renew(&w, "good");
    file_write(&ca.file, "", 0);
    expect_not_reloaded(&w, -EINVAL, ca.file.path); /* all files or none */
    write_certificate(&ca.file, ca.certificate);
    EXPECT_OK(rn_tls_server_reload(w.server));
    expect_served(&w, "CN=good,O=runnel");
    identity_free(&other);
    authority_free(&ca);
    world_free(&w);
}

TEST_FIBER(a_file_that_is_gone_is_named)
{
    struct world w = world_new();
    char path[64], linked[100];

    fresh_path(path);
    EXPECT_EQ(symlink(w.identity.key.path, path), 0);
    rn_tls_server_config config = {.certificate = w.identity.certificate.path, .key = path};
    rn_tls_server_free(w.server);
    EXPECT_OK(rn_tls_server_new(&w.server, &config));
    unlink(path);
    snprintf(linked, sizeof linked, "key %s: No such file", path);
    expect_not_reloaded(&w, -ENOENT, linked);
    world_free(&w);
}

/* ---- under traffic ---- */

#define RELOADS 30
#define CALLERS 4

struct traffic {
    struct world *world;
    atomic_bool over;
    atomic_int served;
};

/* The certificate was there at some time, and the connection works, whatever happens meanwhile. */
static int call_again_and_again(rn_ctx *ctx, void *arg)
{
    struct traffic *t = arg;

    (void)ctx;
    do {
        struct pair p = pair_of(t->world);
        rn_tls_info info;

        EXPECT_OK(rn_tls_info_read(p.client, &info));
        EXPECT(strncmp(info.peer, "CN=version ", 11) == 0);
        expect_tls_talk(&p);
        pair_close(&p);
        atomic_fetch_add(&t->served, 1);
    } while (!atomic_load(&t->over));
    return 0;
}

TEST_FIBER(reloads_under_traffic_lose_no_connection)
{
    struct world w = world_new();
    struct traffic t = {.world = &w};
    rn_group *g = rn_group_new(NULL);
    char name[32];

    renew(&w, "version 0");
    EXPECT_OK(rn_tls_server_reload(w.server));
    for (int i = 0; i < CALLERS; i++)
        EXPECT_OK(rn_group_go(g, call_again_and_again, &t));
    for (int i = 1; i <= RELOADS; i++) {
        snprintf(name, sizeof name, "version %d", i);
        renew(&w, name);
        EXPECT_OK(rn_tls_server_reload(w.server));
        rn_yield();
    }
    atomic_store(&t.over, true);
    EXPECT_OK(rn_group_wait(g));
    EXPECT(atomic_load(&t.served) >= CALLERS);
    snprintf(name, sizeof name, "CN=version %d,O=runnel", RELOADS);
    expect_served(&w, name);
    world_free(&w);
}

static int reload(rn_ctx *ctx, void *arg)
{
    (void)ctx;
    return rn_tls_server_reload(arg);
}

TEST_FIBER(reloads_at_once_wait_for_each_other)
{
    struct world w = world_new();
    rn_group *g = rn_group_new(NULL);

    renew(&w, "last");
    for (int i = 0; i < 8; i++)
        EXPECT_OK(rn_group_go(g, reload, w.server));
    EXPECT_OK(rn_group_wait(g));
    expect_served(&w, "CN=last,O=runnel");
    world_free(&w);
}
