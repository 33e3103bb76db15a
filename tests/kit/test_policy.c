/*
 * Policy: the order of layers and reading it back, each kind of layer, parts that are shared, and
 * configuration; and a stress of fibers and plain threads through four layers.
 */
#include "core.h"
#include "kit/dump_text.h"
#include "kit/manual_clock.h"
#include "test.h"

#include <pthread.h>
#include <runnel/policy.h>

/* A service: fails so many times, then answers with its number of calls. */
struct service {
    int failures;
    rn_duration takes;
    int called;
    unsigned last_number;
};

static int serve(rn_ctx *ctx, void *arg, rn_attempt *attempt)
{
    struct service *s = arg;
    int err = s->takes != 0 ? rn_sleep(ctx, s->takes) : 0;

    s->called++;
    s->last_number = attempt->number;
    if (err != 0)
        return err;
    return s->called <= s->failures ? -EIO : s->called;
}

static rn_policy *policy_with(const rn_policy_config *config)
{
    rn_policy *p = NULL;

    EXPECT_EQ(rn_policy_new(&p, config), 0);
    return p;
}

static rn_policy_stats stats_of(rn_policy *p)
{
    rn_policy_stats stats;

    rn_policy_stats_read(p, &stats);
    return stats;
}

/* One of each part. */
struct parts {
    rn_retry *retry;
    rn_breaker *breaker;
    rn_limiter *limiter;
    rn_semaphore *semaphore;
};

static struct parts make_parts(void)
{
    struct parts parts;

    EXPECT_EQ(rn_retry_new(&parts.retry, &(rn_retry_config){.attempts = 5,
                                                            .delay = RN_SECOND,
                                                            .jitter = RN_RETRY_JITTER_NONE}),
              0);
    EXPECT_EQ(rn_breaker_new(&parts.breaker,
                             &(rn_breaker_config){.failure_threshold = 3, .open_for = RN_MINUTE}),
              0);
    EXPECT_EQ(rn_limiter_new(&parts.limiter, &(rn_limiter_config){.per_second = 10, .burst = 5}),
              0);
    EXPECT_EQ(rn_semaphore_new(&parts.semaphore, 2), 0);
    return parts;
}

static void free_parts(const struct parts *parts)
{
    rn_retry_free(parts->retry);
    rn_breaker_free(parts->breaker);
    rn_limiter_free(parts->limiter);
    rn_semaphore_free(parts->semaphore);
}

static rn_policy *all_layers(const struct parts *parts)
{
    return policy_with(&(rn_policy_config){
        .layers = {rn_layer_retry(parts->retry), rn_layer_breaker(parts->breaker),
                   rn_layer_limiter(parts->limiter, 1), rn_layer_semaphore(parts->semaphore, 1)}});
}

/* ---- the order ---- */

struct trace {
    char text[200];
};

static void add(struct trace *t, const char *word)
{
    strcat(strcat(t->text, word), " ");
}

static int around_a(rn_ctx *ctx, void *arg, rn_attempt *attempt, const rn_next *next)
{
    int err;

    (void)attempt;
    add(arg, "a(");
    err = rn_policy_next(ctx, next);
    add(arg, ")a");
    return err + 1;
}

static int around_b(rn_ctx *ctx, void *arg, rn_attempt *attempt, const rn_next *next)
{
    int err;

    (void)attempt;
    add(arg, "b(");
    err = rn_policy_next(ctx, next) + rn_policy_next(ctx, next);
    add(arg, ")b");
    return err;
}

static int innermost(rn_ctx *ctx, void *arg, rn_attempt *attempt)
{
    (void)ctx;
    EXPECT_EQ(attempt->number, 1);
    add(arg, "call");
    return 10;
}

TEST(layers_nest_as_written)
{
    struct trace t = {""};
    rn_policy *p = policy_with(&(rn_policy_config){
        .layers = {rn_layer_custom("a", around_a, &t), rn_layer_custom("b", around_b, &t)}});

    EXPECT_EQ(rn_policy_execute(NULL, p, innermost, &t), 21);
    EXPECT_STR(t.text, "a( b( call call )b )a ");
    EXPECT_EQ(stats_of(p).calls, 1);
    EXPECT_EQ(stats_of(p).layers[0].entered, 1);
    EXPECT_EQ(stats_of(p).layers[1].entered, 1);
    rn_policy_free(p);
}

TEST(the_order_can_be_read_back)
{
    struct parts parts = make_parts();
    struct trace t = {""};
    char text[100], little[12];
    rn_policy *p = all_layers(&parts), *q, *none = policy_with(NULL);

    EXPECT_EQ(rn_policy_order(p, text, sizeof text), strlen(text));
    EXPECT_STR(text, "retry > breaker > limiter > semaphore");
    EXPECT_EQ(rn_policy_order(p, little, sizeof little), strlen(text));
    EXPECT_STR(little, "retry > bre");
    EXPECT_EQ(rn_policy_order(p, NULL, 0), strlen(text));
    EXPECT_EQ(rn_policy_layer(p, 1)->kind, RN_LAYER_BREAKER);
    EXPECT(rn_policy_layer(p, 1)->breaker == parts.breaker);
    EXPECT(rn_policy_layer(p, 4) == NULL);
    q = policy_with(&(rn_policy_config){.layers = {rn_layer_custom("cache", around_a, &t),
                                                   rn_layer_timeout(RN_SECOND),
                                                   rn_layer_breaker(parts.breaker)}});
    rn_policy_order(q, text, sizeof text);
    EXPECT_STR(text, "cache > timeout > breaker");
    rn_policy_order(none, text, sizeof text);
    EXPECT_STR(text, "");
    EXPECT_EQ(rn_policy_execute(NULL, none, innermost, &t), 10);
    rn_policy_free(none);
    rn_policy_free(q);
    rn_policy_free(p);
    free_parts(&parts);
}

/* ---- the parts together ---- */

TEST_VIRTUAL(retry_around_breaker_asks_it_for_each_attempt)
{
    struct parts parts = make_parts();
    rn_policy *p = all_layers(&parts);
    struct service s = {.failures = 3};
    rn_breaker_stats breaker;

    EXPECT_EQ(rn_policy_execute(NULL, p, serve, &s), 4);
    /* At 0, 1 and 3 s it fails, which opens the breaker: at 7 s the fourth is told to wait. */
    EXPECT_EQ(rn_now(), 3 * RN_SECOND + RN_MINUTE);
    EXPECT_EQ(s.last_number, 5);
    rn_breaker_stats_read(parts.breaker, &breaker);
    EXPECT_EQ(breaker.failures, 3);
    EXPECT_EQ(breaker.state, RN_BREAKER_CLOSED);
    EXPECT_EQ(stats_of(p).layers[0].entered, 1);
    EXPECT_EQ(stats_of(p).layers[1].entered, 5);
    EXPECT_EQ(stats_of(p).layers[1].refused, 1);
    EXPECT_EQ(stats_of(p).layers[3].entered, 4);
    EXPECT_EQ(stats_of(p).failed, 0);
    rn_policy_free(p);
    free_parts(&parts);
}

TEST_VIRTUAL(breaker_around_retry_sees_one_result_of_all_attempts)
{
    struct parts parts = make_parts();
    rn_policy *p = policy_with(&(rn_policy_config){
        .layers = {rn_layer_breaker(parts.breaker), rn_layer_retry(parts.retry)}});
    struct service s = {.failures = 3};
    rn_breaker_stats breaker;

    EXPECT_EQ(rn_policy_execute(NULL, p, serve, &s), 4);
    rn_breaker_stats_read(parts.breaker, &breaker);
    EXPECT_EQ(breaker.failures, 0);
    EXPECT_EQ(breaker.successes, 1);
    rn_policy_free(p);
    free_parts(&parts);
}

TEST_VIRTUAL(an_open_breaker_refuses_before_the_limiter_is_asked)
{
    struct parts parts = make_parts();
    rn_policy *p = policy_with(&(rn_policy_config){
        .layers = {rn_layer_breaker(parts.breaker), rn_layer_limiter(parts.limiter, 1)}});
    struct service s = {.failures = 1000};

    for (int i = 0; i < 10; i++)
        EXPECT_EQ(rn_policy_execute(NULL, p, serve, &s), i < 3 ? -EIO : RN_EOPEN);
    EXPECT_EQ(rn_now(), 0); /* three of the five tokens were used, and nobody waited */
    EXPECT_EQ(s.called, 3);
    EXPECT_EQ(stats_of(p).calls, 10);
    EXPECT_EQ(stats_of(p).failed, 10);
    EXPECT_EQ(stats_of(p).layers[0].refused, 7);
    EXPECT_EQ(stats_of(p).layers[1].entered, 3);
    rn_policy_free(p);
    free_parts(&parts);
}

TEST_VIRTUAL(a_breaker_that_is_forced_open_ends_the_retry)
{
    struct parts parts = make_parts();
    rn_policy *p = all_layers(&parts);
    struct service s = {0};

    rn_breaker_force_open(parts.breaker);
    EXPECT_EQ(rn_policy_execute(NULL, p, serve, &s), RN_EOPEN);
    EXPECT_EQ(rn_now(), 0);
    EXPECT_EQ(s.called, 0);
    rn_policy_free(p);
    free_parts(&parts);
}

TEST_VIRTUAL(the_limiter_paces_and_refuses_what_is_too_late)
{
    struct parts parts = make_parts();
    rn_policy *p = all_layers(&parts);
    struct service s = {0};
    rn_ctx *ctx;

    for (int i = 0; i < 25; i++)
        EXPECT_EQ(rn_policy_execute(NULL, p, serve, &s), i + 1);
    EXPECT_EQ(rn_now(), 2 * RN_SECOND); /* five at once, then ten a second */
    ctx = rn_ctx_with_timeout(NULL, RN_MILLISECOND);
    EXPECT_EQ(rn_policy_execute(ctx, p, serve, &s), RN_ERATE);
    EXPECT_EQ(rn_now(), 2 * RN_SECOND);
    EXPECT_EQ(stats_of(p).layers[2].refused, 1);
    EXPECT_EQ(rn_breaker_state_now(parts.breaker), RN_BREAKER_CLOSED); /* not the service's fault */
    rn_ctx_release(ctx);
    rn_policy_free(p);
    p = policy_with(&(rn_policy_config){.layers = {rn_layer_limiter(parts.limiter, 6)}});
    EXPECT_EQ(rn_policy_execute(NULL, p, serve, &s), RN_EBURST);
    rn_policy_free(p);
    free_parts(&parts);
}

struct caller {
    rn_policy *policy;
    rn_ctx *ctx;
    int expect;
    atomic_int *finished;
};

static void execute(void *arg)
{
    struct caller *c = arg;
    struct service s = {.takes = 10 * RN_SECOND};

    EXPECT_EQ(rn_policy_execute(c->ctx, c->policy, serve, &s), c->expect);
    atomic_fetch_add(c->finished, 1);
}

TEST_VIRTUAL(the_semaphore_lets_so_many_in_and_a_deadline_ends_the_wait)
{
    struct parts parts = make_parts();
    rn_policy *p = policy_with(
        &(rn_policy_config){.layers = {rn_layer_semaphore(parts.semaphore, 1)}});
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, 15 * RN_SECOND), *ended = rn_ctx_with_cancel(NULL);
    atomic_int finished = 0;
    struct service s = {0};

    for (int i = 0; i < 6; i++)
        EXPECT_EQ(rn_go_copy(execute, &(struct caller){p, NULL, 1, &finished}), 0);
    while (rn_semaphore_waiters(parts.semaphore) < 4)
        rn_yield();
    EXPECT_EQ(rn_policy_execute(ctx, p, serve, &s), -ETIMEDOUT);
    EXPECT_EQ(s.called, 0);
    EXPECT_EQ(rn_sleep(NULL, RN_MINUTE), 0);
    EXPECT_EQ(atomic_load(&finished), 6);
    EXPECT_EQ(rn_semaphore_available(parts.semaphore), 2);
    rn_ctx_cancel(ended, 0);
    EXPECT_EQ(rn_policy_execute(ended, p, serve, &s), -ECANCELED);
    EXPECT_EQ(stats_of(p).calls, 7); /* who came too late is not counted */
    rn_ctx_release(ended);
    rn_ctx_release(ctx);
    rn_policy_free(p);
    p = policy_with(&(rn_policy_config){.layers = {rn_layer_semaphore(parts.semaphore, 3)}});
    EXPECT_EQ(rn_policy_execute(NULL, p, serve, &s), -EINVAL);
    rn_policy_free(p);
    free_parts(&parts);
}

TEST_VIRTUAL(a_timeout_ends_each_attempt_inside_a_retry)
{
    struct parts parts = make_parts();
    rn_policy *p = policy_with(&(rn_policy_config){
        .layers = {rn_layer_retry(parts.retry), rn_layer_timeout(5 * RN_SECOND)}});
    struct service s = {.takes = RN_HOUR};

    EXPECT_EQ(rn_policy_execute(NULL, p, serve, &s), -ETIMEDOUT);
    EXPECT_EQ(s.called, 5);
    EXPECT_EQ(rn_now(), (5 * 5 + 1 + 2 + 4 + 8) * RN_SECOND);
    rn_policy_free(p);
    free_parts(&parts);
}

TEST_VIRTUAL(parts_are_shared_by_policies)
{
    struct parts parts = make_parts();
    rn_policy *p = policy_with(&(rn_policy_config){.layers = {rn_layer_breaker(parts.breaker)}});
    rn_policy *q = policy_with(&(rn_policy_config){.layers = {rn_layer_breaker(parts.breaker)}});
    struct service s = {.failures = 100};

    EXPECT_EQ(rn_policy_execute(NULL, p, serve, &s), -EIO);
    EXPECT_EQ(rn_policy_execute(NULL, q, serve, &s), -EIO);
    EXPECT_EQ(rn_policy_execute(NULL, p, serve, &s), -EIO);
    EXPECT_EQ(rn_policy_execute(NULL, q, serve, &s), RN_EOPEN);
    rn_policy_free(p);
    rn_policy_free(q);
    free_parts(&parts);
}

/* ---- events, dumps, configuration ---- */

static void note(void *arg, int err, rn_duration took)
{
    char *end = strchr(((struct trace *)arg)->text, '\0');

    sprintf(end, "%d after %lld ", err, (long long)(took / RN_SECOND));
}

static int sleep_on_clock(rn_ctx *ctx, void *arg, rn_attempt *attempt)
{
    (void)attempt;
    rn_clock_sleep(ctx, arg, 7 * RN_SECOND);
    return -5;
}

TEST(events_and_dumps_tell_of_calls)
{
    struct manual m = {.now = RN_HOUR};
    const rn_clock *clock = MANUAL(&m);
    struct parts parts = make_parts();
    struct trace t = {""};
    char text[4000];
    rn_policy *p = policy_with(&(rn_policy_config){
        .layers = {rn_layer_breaker(parts.breaker), rn_layer_semaphore(parts.semaphore, 1)},
        .name = "orders",
        .on_done = note,
        .events_arg = &t,
        .clock = clock});

    EXPECT_EQ(rn_policy_execute(NULL, p, sleep_on_clock, (void *)clock), -5);
    EXPECT_STR(t.text, "-5 after 7 ");
    dump_text(text, sizeof text);
    EXPECT(strstr(text, "policy \"orders\" [breaker > semaphore, 1 calls, 1 failed]") != NULL);
    rn_policy_free(p);
    free_parts(&parts);
}

static void expect_wrong(const rn_policy_config *config, const char *sentence)
{
    rn_policy *p = (rn_policy *)config;

    EXPECT_EQ(rn_policy_new(&p, config), -EINVAL);
    EXPECT(p == NULL);
    EXPECT_STR(rn_error_detail(), sentence);
    rn_policy_free(p);
}

TEST(a_wrong_layer_is_named)
{
    struct parts parts = make_parts();

    expect_wrong(&(rn_policy_config){.layers = {rn_layer_breaker(NULL)}},
                 "policy: .layers[0] is a breaker layer with a part that is NULL");
    expect_wrong(&(rn_policy_config){.layers = {rn_layer_retry(NULL)}},
                 "policy: .layers[0] is a retry layer with a part that is NULL");
    expect_wrong(&(rn_policy_config){.layers = {rn_layer_custom(NULL, around_a, NULL)}},
                 "policy: .layers[0] is a custom layer with a part that is NULL");
    expect_wrong(
        &(rn_policy_config){.layers = {rn_layer_retry(parts.retry), rn_layer_semaphore(NULL, 1)}},
        "policy: .layers[1] is a semaphore layer with a part that is NULL");
    expect_wrong(&(rn_policy_config){.layers = {rn_layer_limiter(parts.limiter, 0)}},
                 "policy: .layers[0] is a limiter layer that takes 0 of it");
    expect_wrong(&(rn_policy_config){.layers = {rn_layer_limiter(NULL, 1)}},
                 "policy: .layers[0] is a limiter layer with a part that is NULL");
    expect_wrong(&(rn_policy_config){.layers = {rn_layer_timeout(0)}},
                 "policy: .layers[0] is a timeout of 0: it must be more than 0");
    expect_wrong(&(rn_policy_config){.layers = {[2] = rn_layer_timeout(1)}},
                 "policy: .layers[0] is empty, but .layers[2] is not");
    expect_wrong(&(rn_policy_config){.layers = {{.kind = (rn_layer_kind)9}}},
                 "policy: .layers[0] is of kind 9: there is none");
    free_parts(&parts);
}

/* ---- stress ---- */

#define PEERS 30
#define THREADS 4

static atomic_int inside, most_inside, served;

static int serve_many(rn_ctx *ctx, void *arg, rn_attempt *attempt)
{
    int n = atomic_fetch_add(&inside, 1) + 1, most = atomic_load(&most_inside);

    (void)ctx, (void)arg;
    while (n > most && !atomic_compare_exchange_weak(&most_inside, &most, n))
        ;
    rn_yield();
    atomic_fetch_sub(&inside, 1);
    n = atomic_fetch_add(&served, 1);
    attempt->retry_after = n % 3 == 0 ? RN_MICROSECOND : 0;
    return n % 4 == 0 ? -EIO : 0;
}

struct peer {
    rn_policy *policy;
    int times;
    atomic_int *ok, *failed, *finished;
};

static void execute_often(void *arg)
{
    struct peer *p = arg;

    for (int i = 0; i < p->times; i++) {
        int err = rn_policy_execute(NULL, p->policy, serve_many, NULL);
        EXPECT(err == 0 || err == -EIO || err == RN_EOPEN);
        atomic_fetch_add(err == 0 ? p->ok : p->failed, 1);
    }
    atomic_fetch_add(p->finished, 1);
}

static void *execute_on_thread(void *arg)
{
    execute_often(arg);
    return NULL;
}

TEST(many_fibers_and_threads_share_every_part)
{
    struct parts parts;
    atomic_int ok = 0, failed = 0, finished = 0;
    pthread_t threads[THREADS];
    struct peer peer;
    rn_policy_stats stats;
    rn_breaker_stats breaker;
    rn_retry_stats retry;

    EXPECT_EQ(
        rn_retry_new(&parts.retry, &(rn_retry_config){.attempts = 3, .delay = RN_MICROSECOND}), 0);
    EXPECT_EQ(rn_breaker_new(&parts.breaker,
                             &(rn_breaker_config){.failure_ratio = 0.6, .window_calls = 20}),
              0);
    EXPECT_EQ(rn_limiter_new(&parts.limiter, &(rn_limiter_config){.per_second = RN_RATE_INFINITE}),
              0);
    EXPECT_EQ(rn_semaphore_new(&parts.semaphore, 3), 0);
    peer = (struct peer){all_layers(&parts), rounds(200), &ok, &failed, &finished};
    for (int i = 0; i < PEERS; i++)
        EXPECT_EQ(rn_go_copy(execute_often, &peer), 0);
    for (int i = 0; i < THREADS; i++)
        EXPECT_EQ(pthread_create(&threads[i], NULL, execute_on_thread, &peer), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    await_count(&finished, PEERS + THREADS);
    stats = stats_of(peer.policy);
    rn_breaker_stats_read(parts.breaker, &breaker);
    rn_retry_stats_read(parts.retry, &retry);
    EXPECT_EQ(stats.calls, (PEERS + THREADS) * peer.times);
    EXPECT_EQ(atomic_load(&ok) + atomic_load(&failed), stats.calls);
    EXPECT_EQ(stats.failed, atomic_load(&failed));
    EXPECT_EQ(retry.attempts, stats.layers[1].entered);
    EXPECT_EQ(breaker.rejected, stats.layers[1].refused);
    EXPECT_EQ(breaker.successes + breaker.failures + breaker.dropped, atomic_load(&served));
    EXPECT(atomic_load(&most_inside) <= 3);
    EXPECT_EQ(rn_semaphore_available(parts.semaphore), 3);
    rn_policy_free(peer.policy);
    free_parts(&parts);
    EXPECT_EQ(rn_stop(), 0);
}
