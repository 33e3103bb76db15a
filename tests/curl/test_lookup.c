/* Names: lookups by libcurl's threads hold nobody up, however long the system takes. */
#include "peer.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <netdb.h>
#include <runnel/curl.h>
#include <semaphore.h>

static sem_t answer_now;
static atomic_int asked;

/*
 * In place of the system's: "here.test" is this machine, "slow.test" too, once there is an answer;
 * what has no number is no host.
 */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
    int (*real)(const char *, const char *, const struct addrinfo *,
                struct addrinfo **) = (__typeof__(real))dlsym(RTLD_NEXT, "getaddrinfo");
    if (name == NULL || strspn(name, "0123456789.") == strlen(name))
        return real(name, service, hints, out);
    if (strcmp(name, "slow.test") == 0) {
        atomic_fetch_add(&asked, 1);
        while (sem_wait(&answer_now) != 0)
            continue;
    } else if (strcmp(name, "here.test") != 0) {
        return EAI_NONAME;
    }
    return real("127.0.0.1", service, hints, out);
}

static const char *url_of(const struct peer *p, const char *name, char url[URL_BYTES])
{
    snprintf(url, URL_BYTES, "http://%s%s/hello", name, strchr(p->at, ':'));
    return url;
}

struct call {
    const struct peer *p;
    const char *name;
};

static int get(rn_ctx *ctx, void *arg)
{
    struct call *call = arg;
    rn_curl_response r;
    int err = rn_curl_get(ctx, url_of(call->p, call->name, (char[URL_BYTES]){0}), NULL, &r);
    if (err == 0)
        EXPECT_STR(r.body, "hello\n");
    rn_curl_response_free(&r);
    return err;
}

TEST_FIBER(by_name)
{
    struct peer p;
    peer_start(&p, 0);
    EXPECT_OK(get(NULL, &(struct call){&p, "here.test"}));
    EXPECT_OK(get(NULL, &(struct call){&p, "here.test"}));
    EXPECT_EQ(atomic_load(&p.accepted), 1);
    EXPECT_EQ(get(NULL, &(struct call){&p, "nowhere.test"}), RN_ENOHOST);
    EXPECT_DETAIL("nowhere.test");
    peer_stop(&p);
}

TEST_FIBER(others_go_on_while_a_lookup_hangs)
{
    struct peer p;
    sem_init(&answer_now, 0, 0);
    peer_start(&p, 0);
    rn_group *g = rn_group_new(NULL);
    EXPECT_OK(rn_group_go_copy(g, get, &(struct call){&p, "slow.test"}));
    await_count(&asked, 1);
    for (int i = 0; i < 10; i++)
        EXPECT_OK(get(NULL, &(struct call){&p, "127.0.0.1"}));
    sem_post(&answer_now);
    EXPECT_OK(rn_group_wait(g));
    peer_stop(&p);
}

TEST_FIBER(a_cancel_does_not_wait_for_a_lookup)
{
    struct peer p;
    sem_init(&answer_now, 0, 0);
    peer_start(&p, 0);
    rn_group *g = rn_group_new(NULL);
    for (int i = 0; i < 10; i++)
        EXPECT_OK(rn_group_go_copy(g, get, &(struct call){&p, "slow.test"}));
    await_count(&asked, 10);
    rn_group_cancel(g, 0);
    EXPECT_EQ(rn_group_wait(g), -ECANCELED); /* and nobody has answered */
    EXPECT_OK(get(NULL, &(struct call){&p, "127.0.0.1"}));
    for (int i = 0; i < 10; i++)
        sem_post(&answer_now);
    peer_stop(&p);
}

TEST_FIBER(a_deadline_does_not_wait_for_a_lookup)
{
    struct peer p;
    sem_init(&answer_now, 0, 0);
    peer_start(&p, 0);
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, 20 * RN_MILLISECOND);
    EXPECT_EQ(get(ctx, &(struct call){&p, "slow.test"}), -ETIMEDOUT);
    rn_ctx_release(ctx);
    rn_curl_close_idle(NULL); /* nor does the end of all */
    sem_post(&answer_now);
    peer_stop(&p);
}
