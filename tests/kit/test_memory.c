/*
 * Out of memory in the kit: the n-th allocation fails, for n = 1, 2, ..., until nothing fails any
 * more. Each time the codes say so, and everything that was made can be waited for and freed.
 *
 * Sanitizers bring an allocator of their own, so there only the case without failures is run.
 */
#include "core.h"
#include "test.h"

#include <runnel/fan_in.h>
#include <runnel/fan_out.h>
#include <runnel/group.h>
#include <runnel/hedge.h>
#include <runnel/pipeline.h>
#include <runnel/policy.h>
#include <runnel/single_flight.h>
#include <runnel/pubsub.h>
#include <runnel/worker_pool.h>

#define FAILURES_MAX 200

static atomic_int until_failure; /* allocations until one fails; 0: none fails */
static atomic_int failed;        /* 1: one has */

#if !UNDER_ASAN && !UNDER_TSAN
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static bool fails_now(void)
{
    int n = atomic_load(&until_failure);

    while (n > 0 && !atomic_compare_exchange_weak(&until_failure, &n, n - 1))
        ;
    if (n == 1)
        atomic_store(&failed, 1);
    return n == 1;
}

void *malloc(size_t size)
{
    return fails_now() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    return fails_now() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
    return fails_now() ? NULL : __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return fails_now() ? NULL : __libc_memalign(alignment, size);
}
#endif

/* Runs scenario with the first, the second, ... allocation failing. */
static void fail_each(void (*scenario)(void))
{
    int n = 0;

    scenario(); /* what is made once and kept is made */
    do {
        EXPECT(++n < FAILURES_MAX);
        atomic_store(&failed, 0);
        atomic_store(&until_failure, n);
        scenario();
        atomic_store(&until_failure, 0);
    } while (atomic_load(&failed) != 0);
    EXPECT(n > 2 || UNDER_ASAN || UNDER_TSAN);
}

static void expect_code(int err)
{
    EXPECT(err == 0 || (err == -ENOMEM && atomic_load(&failed) == 1));
}

struct large {
    char bytes[2000];
};

static int pass(rn_ctx *ctx, void *arg)
{
    (void)ctx, (void)arg;
    return 0;
}

static void nothing(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
}

static void use_group(void)
{
    atomic_int cleaned = 0;
    rn_group *g = NULL;
    int made = rn_group_new_with(&g, NULL, NULL), deferred, copied, waited;

    expect_code(made);
    EXPECT_EQ(made == 0, g != NULL);
    deferred = rn_group_defer(g, nothing, &cleaned);
    copied = rn_group_go_copy(g, pass, &(struct large){{0}});
    expect_code(deferred);
    expect_code(copied);
    if (g != NULL)
        EXPECT_EQ(rn_select(NULL, rn_on_group(g)), 0);
    waited = rn_group_wait(g);
    expect_code(waited);
    EXPECT_EQ(atomic_load(&cleaned), made == 0 && deferred == 0);
}

TEST_FIBER(a_group_out_of_memory)
{
    fail_each(use_group);
}

/* ---- what guards calls ---- */

static int succeed(rn_ctx *ctx, void *arg, rn_attempt *attempt)
{
    (void)arg, (void)attempt;
    EXPECT(ctx != NULL);
    return 0;
}

static void use_policy(void)
{
    rn_retry_budget *budget = NULL;
    rn_retry *retry = NULL;
    rn_breaker *breaker = NULL;
    rn_policy *policy = NULL;
    int err = rn_retry_budget_new(&budget, NULL);

    expect_code(err);
    if (err == 0)
        expect_code(err = rn_retry_new(&retry, &(rn_retry_config){.budget = budget,
                                                                  .delay = RN_NANOSECOND,
                                                                  .total = RN_HOUR,
                                                                  .attempt_timeout = RN_HOUR}));
    if (err == 0)
        expect_code(err = rn_breaker_new(&breaker, &(rn_breaker_config){.failure_ratio = 1}));
    if (err == 0)
        expect_code(err = rn_policy_new(
                        &policy, &(rn_policy_config){.layers = {rn_layer_retry(retry),
                                                                rn_layer_breaker(breaker),
                                                                rn_layer_timeout(RN_HOUR)}}));
    if (err == 0) /* an attempt for which there is no context is tried again */
        expect_code(rn_policy_execute(NULL, policy, succeed, NULL));
    EXPECT_EQ(err == 0, policy != NULL);
    rn_policy_free(policy);
    rn_breaker_free(breaker);
    rn_retry_free(retry);
    rn_retry_budget_free(budget);
}

TEST_FIBER(a_policy_out_of_memory)
{
    fail_each(use_policy);
}

typedef rn_single_flight(int) int_flight;

static int answer(rn_ctx *ctx, void *arg, const void *key, size_t key_size, int *result)
{
    (void)ctx, (void)arg, (void)key;
    *result = (int)key_size;
    return 0;
}

static void use_flight(void)
{
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    int_flight sf = NULL;
    int result = 0, err = rn_single_flight_new(&sf, answer, NULL, NULL);

    expect_code(err);
    EXPECT_EQ(err == 0, sf != NULL);
    for (int i = 0; err == 0 && i < 2; i++) {
        int done = rn_single_flight_do(i == 0 ? ctx : NULL, sf, "key", 3, &result);
        expect_code(done);
        EXPECT(done != 0 || result == 3);
    }
    rn_single_flight_free(sf);
    rn_ctx_release(ctx);
}

TEST_FIBER(a_single_flight_out_of_memory)
{
    fail_each(use_flight);
}

typedef rn_hedge(int) int_hedge;

/* The first attempt fails, so that there is a second. */
static int fail_first(rn_ctx *ctx, void *arg, unsigned attempt, int *result)
{
    (void)ctx, (void)arg;
    *result = (int)attempt;
    return attempt == 0 ? -EIO : 0;
}

static void use_hedge(void)
{
    int_hedge h = NULL;
    int result = 0, err = rn_hedge_new(&h, NULL);

    expect_code(err);
    EXPECT_EQ(err == 0, h != NULL);
    if (err == 0) {
        err = rn_hedge_execute(NULL, h, fail_first, NULL, &result);
        if (err != -EIO || atomic_load(&failed) == 0) /* no second attempt: the first's error */
            expect_code(err);
        EXPECT(err != 0 || result == 1);
    }
    rn_hedge_free(h);
}

TEST_FIBER(a_hedge_out_of_memory)
{
    fail_each(use_hedge);
}

/* Job n submits n more, into a queue of one: it must grow. */
static int submit_more(rn_ctx *ctx, void *arg, int *job, int *result)
{
    rn_worker_pool(int, int) *pool = arg;

    *result = 0;
    for (int i = 0; i < *job; i++) {
        int err = rn_worker_pool_submit(ctx, *pool, 0);
        if (err != 0)
            return err;
        ++*result;
    }
    return 0;
}

static void use_pool(bool ordered)
{
    rn_worker_pool(int, int) pool;
    rn_worker_result(int) r;
    rn_worker_pool_config config = {.workers = 1, .queue = 1, .results = 8, .ordered = ordered};
    int err = rn_worker_pool_new(&pool, submit_more, &pool, &config), resized;

    expect_code(err);
    EXPECT_EQ(err == 0, pool != NULL);
    if (err != 0)
        return;
    resized = rn_worker_pool_resize(pool, 3);
    expect_code(resized);
    EXPECT_EQ(rn_worker_pool_submit(NULL, pool, 5), 0);
    EXPECT_EQ(rn_worker_pool_recv(NULL, pool, &r), 0);
    while (r.info.job != 1)
        EXPECT_EQ(rn_worker_pool_recv(NULL, pool, &r), 0);
    expect_code(r.info.err);
    EXPECT(r.info.err != 0 || r.value == 5);
    rn_worker_pool_free(pool);
}

static void use_plain_pool(void)
{
    use_pool(false);
}

static void use_ordered_pool(void)
{
    use_pool(true);
}

TEST_FIBER(a_pool_out_of_memory)
{
    fail_each(use_plain_pool);
}

TEST_FIBER(an_ordered_pool_out_of_memory)
{
    fail_each(use_ordered_pool);
}

#define VALUES 20

static atomic_int mapped, array_dropped, given, lost;

static void count_array_drop(void *value)
{
    (void)value;
    atomic_fetch_add(&array_dropped, 1);
}

static void count_lost(void *value)
{
    (void)value;
    atomic_fetch_add(&lost, 1);
}

static void map_value(int *in, long *out)
{
    *out = *in;
    atomic_fetch_add(&mapped, 1);
}

typedef rn_batch(long) long_batch;

static int unpack(rn_ctx *ctx, void *arg, long_batch *batch, rn_emitter(long) out)
{
    int err = 0;

    (void)ctx, (void)arg;
    for (size_t i = 0; i < batch->count; i++) {
        if (err == 0)
            err = rn_emit(out, batch->items[i]);
        else
            count_lost(&batch->items[i]);
    }
    free(batch->items);
    return err;
}

static void take_value(long *value)
{
    (void)value;
    atomic_fetch_add(&given, 1);
}

static int no_values(rn_ctx *ctx, void *arg, rn_emitter(long) out)
{
    (void)arg, (void)out;
    return rn_ctx_err(ctx);
}

/* Every element meets one function or one drop, whatever there was no memory for. */
static void use_pipeline_with(rn_chan(int) copies)
{
    static const int values[VALUES];
    rn_pipeline *p = rn_pipeline_new(NULL, NULL);
    rn_stream(int) in = rn_stream_from_array(int, p, values, VALUES, .drop = count_array_drop);
    rn_stream(long) mid = rn_stream_map(long, in, map_value, .concurrency = 2, .ordered = true,
                                        .drop = count_lost);
    rn_stream(long_batch) batches = rn_stream_batch(long_batch, mid, 3, RN_HOUR);
    rn_stream(long) out = rn_stream_flat_map(long, batches, unpack, .drop = count_lost);
    int err;

    rn_stream_for_each(
        rn_stream_merge(out, rn_stream_generate(long, p, no_values, .drop = count_lost)),
        take_value);
    rn_stream_to_chan(rn_stream_from_array(int, p, values, VALUES), copies);
    err = rn_pipeline_run(p);
    expect_code(err);
    rn_pipeline_free(p);
    EXPECT_EQ(rn_close(copies), RN_ECLOSED); /* the pipeline has, or what could not build it */
    EXPECT_EQ(atomic_load(&mapped) + atomic_load(&array_dropped), VALUES);
    EXPECT_EQ(atomic_load(&given) + atomic_load(&lost), atomic_load(&mapped));
    EXPECT(err != 0 || atomic_load(&given) == VALUES);
    atomic_store(&mapped, 0), atomic_store(&array_dropped, 0);
    atomic_store(&given, 0), atomic_store(&lost, 0);
}

static void use_pipeline(void)
{
    rn_chan(int) copies = rn_chan_make(int, VALUES);

    if (copies != NULL)
        use_pipeline_with(copies);
    rn_chan_release(copies);
}

TEST_FIBER(a_pipeline_out_of_memory)
{
    fail_each(use_pipeline);
}

static void use_fans_with(rn_chan(int) in)
{
    rn_fan_out(int) out;
    rn_fan_in(int) all = NULL;
    int err = rn_fan_out_new(&out, in, 2, NULL), more = 0, value, count = 0;

    expect_code(err);
    EXPECT_EQ(err == 0, out != NULL);
    for (int i = 0; i < VALUES; i++)
        EXPECT_EQ(rn_try_send(in, i), 0);
    rn_close(in);
    if (err == 0) {
        more = rn_fan_in_new(&all, (rn_fan_out_chan(out, 0), rn_fan_out_chan(out, 1)),
                             &(rn_fan_in_config){.drop = count_lost, .growing = true});
        expect_code(more);
        EXPECT_EQ(more == 0, all != NULL);
    }
    if (all != NULL) {
        expect_code(rn_fan_in_add(all, in));
        EXPECT_EQ(rn_fan_in_seal(all), 0);
        while (rn_recv(NULL, rn_fan_in_chan(all), &value) == 0)
            count++;
        EXPECT_EQ(count, VALUES);
    }
    rn_fan_in_free(all);
    rn_fan_out_free(out);
}

static void use_fans(void)
{
    rn_chan(int) in = rn_chan_make(int, VALUES);

    if (in != NULL)
        use_fans_with(in);
    rn_chan_release(in);
}

TEST_FIBER(fans_out_of_memory)
{
    fail_each(use_fans);
}

static rn_subscription *subscribe_somehow(rn_pubsub *ps, const char *pattern,
                                          const rn_subscription_config *config)
{
    rn_subscription *sub;
    int err = rn_subscribe(ps, pattern, config, &sub);

    expect_code(err);
    EXPECT_EQ(err == 0, sub != NULL);
    return sub;
}

/* How many messages there are to receive. */
static int receive_what_is_there(rn_subscription *sub)
{
    rn_message m;
    int n = 0;

    while (sub != NULL && rn_subscription_try_recv(sub, &m) == 0)
        n++;
    return n;
}

/* A publish that fails has reached nobody, and one that does not has reached all. */
static void use_pubsub(void)
{
    static const char *const topics[] = {"a", "a.b", "a.b.c", "b"};
    rn_pubsub *ps;
    rn_subscription *subs[4], *late;
    int published = 0, err = rn_pubsub_new(&ps, &(rn_pubsub_config){.retain = 2});

    expect_code(err);
    EXPECT_EQ(err == 0, ps != NULL);
    if (err != 0)
        return;
    subs[0] = subscribe_somehow(ps, ">", NULL);
    subs[1] = subscribe_somehow(ps, "a.*.c", NULL);
    subs[2] = subscribe_somehow(ps, ">", &(rn_subscription_config){.queue = "q"});
    subs[3] = subscribe_somehow(
        ps, "a.b", &(rn_subscription_config){.buffer = 1, .when_full = RN_BLOCK_PUBLISHER});
    for (int i = 0; i < 4; i++) {
        err = rn_publish_bytes(NULL, ps, topics[i], "x", 1);
        expect_code(err);
        published += err == 0;
    }
    late = subscribe_somehow(ps, "a.>", &(rn_subscription_config){.replay = 2});
    EXPECT_EQ(receive_what_is_there(subs[0]), subs[0] == NULL ? 0 : published);
    EXPECT_EQ(receive_what_is_there(subs[2]), subs[2] == NULL ? 0 : published);
    EXPECT(late == NULL || receive_what_is_there(late) >= published - 2);
    for (int i = 0; i < 4; i++)
        rn_subscription_free(subs[i]);
    rn_pubsub_free(ps);
    rn_subscription_free(late);
}

TEST_FIBER(a_pubsub_out_of_memory)
{
    fail_each(use_pubsub);
}
