/*
 * Single flight: sharing, contexts of callers and of the work, forgetting, whose the results are,
 * counters, misuse; and a stress of fibers and plain threads with conservation of results.
 */
#include "core.h"
#include "kit/dump_text.h"
#include "test.h"

#include <pthread.h>
#include <runnel/group.h>
#include <runnel/single_flight.h>

/* What the function does, and how many results there are in the world. */
struct world {
    atomic_int calls;
    atomic_int gate;     /* the function returns when it is not 0 */
    atomic_int begun;    /* calls that got that far */
    atomic_int canceled; /* calls whose context ended */
    atomic_int err;      /* what it returns */
    bool obeys;          /* an ended context ends it */
};

static atomic_int owned; /* results made and not yet dropped */

struct value {
    int *number; /* on the heap; each has one owner */
};

static int make_value(struct value *v, int number)
{
    v->number = malloc(sizeof *v->number);
    EXPECT(v->number != NULL);
    *v->number = number;
    atomic_fetch_add(&owned, 1);
    return 0;
}

static int copy_value(void *to, const void *from)
{
    return make_value(to, *((const struct value *)from)->number);
}

static void drop_value(void *v)
{
    free(((struct value *)v)->number);
    atomic_fetch_sub(&owned, 1);
}

static int work(rn_ctx *ctx, void *arg, const void *key, size_t key_size, struct value *result)
{
    struct world *w = arg;
    int n = atomic_fetch_add(&w->calls, 1) + 1, err = atomic_load(&w->err);

    (void)key, (void)key_size;
    EXPECT(result->number == NULL);
    atomic_fetch_add(&w->begun, 1);
    while (atomic_load(&w->gate) == 0 && !(w->obeys && rn_ctx_err(ctx) != 0))
        rn_yield();
    if (rn_ctx_err(ctx) != 0)
        atomic_fetch_add(&w->canceled, 1);
    return err != 0 ? err : make_value(result, n);
}

typedef rn_single_flight(struct value) flight_t;

static const rn_single_flight_config owning = {.copy = copy_value, .drop = drop_value};

static flight_t flight_of(struct world *w)
{
    flight_t sf;

    EXPECT_EQ(rn_single_flight_new(&sf, work, w, &owning), 0);
    return sf;
}

static rn_single_flight_stats stats_of(flight_t sf)
{
    rn_single_flight_stats stats;

    rn_single_flight_stats_read(sf, &stats);
    return stats;
}

/* Asks for a key, and expects a result. */
struct asker {
    flight_t sf;
    rn_ctx *ctx;
    const char *key;
    int expect_err, expect_number; /* number 0: any */
    atomic_int *finished;
};

static void ask(void *arg)
{
    struct asker *a = arg;
    struct value v = {NULL};
    int err = rn_single_flight_do(a->ctx, a->sf, a->key, strlen(a->key), &v);

    EXPECT_EQ(err, a->expect_err);
    if (err == 0) {
        EXPECT(a->expect_number == 0 || *v.number == a->expect_number);
        drop_value(&v);
    }
    atomic_fetch_add(a->finished, 1);
}

static void ask_on_fiber(const struct asker *a)
{
    EXPECT_EQ(rn_go_copy(ask, a), 0);
}

/* Returns when n have joined a call. */
static void await_shared(flight_t sf, uint64_t n)
{
    while (stats_of(sf).shared < n)
        rn_yield();
}

/* ---- sharing ---- */

static void many_ask(rn_ctx *ctx)
{
    struct world w = {0};
    flight_t sf = flight_of(&w);
    atomic_int finished = 0;

    for (int i = 0; i < 100; i++)
        ask_on_fiber(&(struct asker){sf, ctx, "key", 0, 1, &finished});
    await_shared(sf, 99);
    EXPECT_EQ(stats_of(sf).running, 1);
    atomic_store(&w.gate, 1);
    await_count(&finished, 100);
    EXPECT_EQ(atomic_load(&w.calls), 1);
    EXPECT_EQ(stats_of(sf).asked, 100);
    EXPECT_EQ(stats_of(sf).started, 1);
    EXPECT_EQ(stats_of(sf).running, 0);
    EXPECT_EQ(atomic_load(&owned), 0);                     /* each owned its copy, and dropped it */
    ask(&(struct asker){sf, ctx, "key", 0, 2, &finished}); /* afterwards: a new call */
    rn_single_flight_free(sf);
    EXPECT_EQ(atomic_load(&owned), 0);
}

TEST_FIBER(many_who_ask_share_one_call)
{
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);

    many_ask(NULL);
    many_ask(ctx);
    rn_ctx_release(ctx);
}

TEST_FIBER(keys_are_told_apart)
{
    struct world w = {0};
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    flight_t sf = flight_of(&w);
    static char keys[1000][24];
    atomic_int finished = 0;
    struct value v;

    for (int i = 0; i < 1000; i++) { /* enough to make the table grow */
        char key[24];
        snprintf(key, sizeof key, "a longer key, %d", i);
        ask_on_fiber(&(struct asker){sf, ctx, strcpy(keys[i], key), 0, 0, &finished});
    }
    await_count(&w.begun, 1000);
    EXPECT_EQ(stats_of(sf).running, 1000);
    EXPECT_EQ(stats_of(sf).shared, 0);
    atomic_store(&w.gate, 1);
    await_count(&finished, 1000);
    EXPECT_EQ(rn_single_flight_do(NULL, sf, "", 0, &v), 0); /* an empty key is one too */
    drop_value(&v);
    EXPECT_EQ(rn_single_flight_do(NULL, sf, "a\0b", 3, &v), 0);
    drop_value(&v);
    EXPECT_EQ(atomic_load(&w.calls), 1002);
    rn_single_flight_free(sf);
    rn_ctx_release(ctx);
}

TEST_FIBER(an_error_is_shared_too)
{
    struct world w = {.err = -EIO};
    flight_t sf = flight_of(&w);
    atomic_int finished = 0;

    for (int i = 0; i < 10; i++)
        ask_on_fiber(&(struct asker){sf, NULL, "key", -EIO, 0, &finished});
    await_shared(sf, 9);
    atomic_store(&w.gate, 1);
    await_count(&finished, 10);
    EXPECT_EQ(stats_of(sf).failed, 1);
    rn_single_flight_free(sf);
}

static int square(rn_ctx *ctx, void *arg, const void *key, size_t key_size, long *result)
{
    int n;

    (void)ctx, (void)arg;
    EXPECT_EQ(key_size, sizeof n);
    memcpy(&n, key, sizeof n);
    *result = (long)n * n;
    return 0;
}

TEST(plain_results_need_neither_copy_nor_drop)
{
    rn_single_flight(long) squares;
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    long result = 0;

    EXPECT_EQ(rn_single_flight_new(&squares, square, NULL, NULL), 0);
    for (int i = 0; i < 100; i++) {
        EXPECT_EQ(rn_single_flight_do(i % 2 == 0 ? ctx : NULL, squares, &i, sizeof i, &result), 0);
        EXPECT_EQ(result, i * i);
    }
    rn_single_flight_free(squares);
    rn_ctx_release(ctx);
    EXPECT_EQ(rn_stop(), 0);
}

/* ---- contexts ---- */

TEST_FIBER(a_callers_context_ends_only_its_own_wait)
{
    struct world w = {.obeys = true};
    flight_t sf = flight_of(&w);
    rn_ctx *first = rn_ctx_with_cancel(NULL), *second = rn_ctx_with_cancel(NULL);
    atomic_int left = 0, finished = 0;

    ask_on_fiber(&(struct asker){sf, first, "key", -ECANCELED, 0, &left});
    await_count(&w.begun, 1);
    ask_on_fiber(&(struct asker){sf, second, "key", -ECANCELED, 0, &left});
    ask_on_fiber(&(struct asker){sf, NULL, "key", 0, 1, &finished});
    await_shared(sf, 2);
    rn_ctx_cancel(first, 0); /* also the one that started it */
    rn_ctx_cancel(second, 0);
    await_count(&left, 2);
    EXPECT_EQ(atomic_load(&w.canceled), 0);
    atomic_store(&w.gate, 1);
    await_count(&finished, 1);
    EXPECT_EQ(stats_of(sf).left, 2);
    EXPECT_EQ(stats_of(sf).abandoned, 0);
    rn_single_flight_free(sf);
    rn_ctx_release(first);
    rn_ctx_release(second);
    EXPECT_EQ(atomic_load(&owned), 0);
}

TEST_FIBER(when_the_last_has_left_the_work_is_cancelled_and_its_result_dropped)
{
    struct world w = {0};
    flight_t sf = flight_of(&w);
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    atomic_int left = 0, finished = 0;

    for (int i = 0; i < 3; i++)
        ask_on_fiber(&(struct asker){sf, ctx, "key", -ECANCELED, 0, &left});
    await_count(&w.begun, 1);
    await_shared(sf, 2);
    rn_ctx_cancel(ctx, 0);
    await_count(&left, 3);
    EXPECT_EQ(stats_of(sf).abandoned, 1);
    EXPECT_EQ(stats_of(sf).running, 1); /* it has not noticed yet */
    ask_on_fiber(&(struct asker){sf, NULL, "key", 0, 2, &finished});
    await_count(&w.begun, 2); /* who comes now does not join it */
    atomic_store(&w.gate, 1);
    await_count(&finished, 1);
    rn_single_flight_free(sf);
    EXPECT_EQ(atomic_load(&w.canceled), 1);
    EXPECT_EQ(atomic_load(&owned), 0);
    rn_ctx_release(ctx);
}

TEST_VIRTUAL(a_deadline_ends_the_wait)
{
    struct world w = {.obeys = true};
    flight_t sf = flight_of(&w);
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, 0);
    struct value v;

    EXPECT_EQ(rn_single_flight_do(ctx, sf, "key", 3, &v), -ETIMEDOUT); /* it asked nothing */
    EXPECT_EQ(stats_of(sf).asked, 0);
    rn_ctx_release(ctx);
    rn_single_flight_free(sf);
}

static int sleep_long(rn_ctx *ctx, void *arg, const void *key, size_t key_size, int *result)
{
    (void)arg, (void)key, (void)key_size;
    *result = 1;
    return rn_sleep(ctx, RN_HOUR);
}

TEST_VIRTUAL(a_deadline_passes_during_the_wait)
{
    rn_single_flight(int) sf;
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, RN_SECOND);
    int result = 0;

    EXPECT_EQ(rn_single_flight_new(&sf, sleep_long, NULL, NULL), 0);
    EXPECT_EQ(rn_single_flight_do(ctx, sf, "key", 3, &result), -ETIMEDOUT);
    EXPECT_EQ(rn_now(), RN_SECOND);
    EXPECT_EQ(result, 0);
    rn_single_flight_free(sf); /* the work was cancelled with the last who waited */
    EXPECT_EQ(rn_now(), RN_SECOND);
    rn_ctx_release(ctx);
}

TEST_FIBER(free_cancels_what_was_abandoned_and_waits)
{
    struct world w = {.obeys = true};
    rn_ctx *parent = rn_ctx_with_cancel(NULL), *ctx = rn_ctx_with_cancel(NULL);
    rn_single_flight_config config = owning;
    atomic_int left = 0;
    flight_t sf;

    config.ctx = parent;
    EXPECT_EQ(rn_single_flight_new(&sf, work, &w, &config), 0);
    ask_on_fiber(&(struct asker){sf, ctx, "a", -ECANCELED, 0, &left});
    await_count(&w.begun, 1);
    rn_ctx_cancel(ctx, 0);
    await_count(&left, 1);
    rn_single_flight_free(sf);
    EXPECT_EQ(atomic_load(&w.canceled), 1);
    EXPECT_EQ(rn_ctx_err(parent), 0);
    rn_ctx_release(ctx);
    rn_ctx_release(parent);
    EXPECT_EQ(atomic_load(&owned), 0);
}

TEST_FIBER(the_parent_context_reaches_the_work)
{
    struct world w = {.obeys = true, .err = -ECANCELED};
    rn_ctx *parent = rn_ctx_with_cancel(NULL), *ctx = rn_ctx_with_cancel(NULL);
    rn_single_flight_config config = owning;
    atomic_int finished = 0;
    flight_t sf;

    config.ctx = parent;
    EXPECT_EQ(rn_single_flight_new(&sf, work, &w, &config), 0);
    ask_on_fiber(&(struct asker){sf, ctx, "a", -ECANCELED, 0, &finished});
    ask_on_fiber(&(struct asker){sf, NULL, "b", -ECANCELED, 0, &finished});
    await_count(&w.begun, 2);
    rn_ctx_cancel(parent, 0);
    await_count(&finished, 2);
    EXPECT_EQ(atomic_load(&w.canceled), 2);
    rn_single_flight_free(sf);
    rn_ctx_release(ctx);
    rn_ctx_release(parent);
}

/* ---- forgetting ---- */

TEST_FIBER(after_forget_the_next_starts_anew)
{
    struct world w = {0};
    flight_t sf = flight_of(&w);
    atomic_int finished = 0;

    EXPECT(!rn_single_flight_forget(sf, "key", 3));
    ask_on_fiber(&(struct asker){sf, NULL, "key", 0, 1, &finished});
    await_count(&w.begun, 1);
    EXPECT(rn_single_flight_forget(sf, "key", 3));
    EXPECT(!rn_single_flight_forget(sf, "key", 3));
    ask_on_fiber(&(struct asker){sf, NULL, "key", 0, 2, &finished});
    await_count(&w.begun, 2);
    ask_on_fiber(&(struct asker){sf, NULL, "key", 0, 2, &finished}); /* joins the second */
    await_shared(sf, 1);
    atomic_store(&w.gate, 1);
    await_count(&finished, 3);
    EXPECT_EQ(stats_of(sf).forgotten, 1);
    rn_single_flight_free(sf);
    EXPECT_EQ(atomic_load(&owned), 0);
}

/* ---- results ---- */

static int fail_to_copy(void *to, const void *from)
{
    (void)to, (void)from;
    return -ENOMEM;
}

struct outcomes {
    flight_t sf;
    atomic_int ok, failed;
};

static void ask_and_count(void *arg)
{
    struct outcomes *o = *(struct outcomes **)arg;
    struct value v = {NULL};
    int err = rn_single_flight_do(NULL, o->sf, "key", 3, &v);

    EXPECT(err == 0 || err == -ENOMEM);
    if (err == 0)
        drop_value(&v);
    atomic_fetch_add(err == 0 ? &o->ok : &o->failed, 1);
}

TEST_FIBER(a_copy_that_fails_fails_that_caller)
{
    struct world w = {.gate = 1};
    struct outcomes o = {0};
    struct outcomes *shared = &o;

    EXPECT_EQ(
        rn_single_flight_new(&o.sf, work, &w,
                             &(rn_single_flight_config){.copy = fail_to_copy, .drop = drop_value}),
        0);
    ask_and_count(&shared);
    EXPECT_EQ(atomic_load(&o.ok), 1); /* alone, it gets the original */
    atomic_store(&w.gate, 0);
    for (int i = 0; i < 5; i++)
        EXPECT_EQ(rn_go_copy(ask_and_count, &shared), 0);
    await_shared(o.sf, 4);
    atomic_store(&w.gate, 1);
    while (atomic_load(&o.ok) + atomic_load(&o.failed) < 6)
        rn_yield();
    EXPECT(atomic_load(&o.failed) >= 4); /* the last may get the original */
    rn_single_flight_free(o.sf);
    EXPECT_EQ(atomic_load(&owned), 0);
}

/* ---- events, dumps, misuse, configuration ---- */

struct log {
    atomic_int begins, ends;
    int waiting, err;
};

static void note_begin(void *arg, const void *key, size_t key_size)
{
    EXPECT(key_size == 3 && memcmp(key, "key", 3) == 0);
    atomic_fetch_add(&((struct log *)arg)->begins, 1);
}

static void note_end(void *arg, const void *key, size_t key_size, int err, size_t waiting)
{
    struct log *log = arg;

    EXPECT(key_size == 3 && memcmp(key, "key", 3) == 0);
    log->err = err;
    log->waiting = (int)waiting;
    atomic_fetch_add(&log->ends, 1);
}

TEST_FIBER(events_and_dumps_tell_what_runs)
{
    struct world w = {.err = -EIO};
    struct log log = {0};
    atomic_int finished = 0;
    char text[30000];
    flight_t sf;

    EXPECT_EQ(rn_single_flight_new(&sf, work, &w,
                                   &(rn_single_flight_config){.on_begin = note_begin,
                                                              .on_end = note_end,
                                                              .events_arg = &log,
                                                              .name = "users"}),
              0);
    for (int i = 0; i < 5; i++)
        ask_on_fiber(&(struct asker){sf, NULL, "key", -EIO, 0, &finished});
    await_shared(sf, 4);
    await_count(&w.begun, 1);
    dump_text(text, sizeof text);
    EXPECT(strstr(text, "single flight \"users\" [1 running, 1 started, 4 shared]") != NULL);
    atomic_store(&w.gate, 1);
    await_count(&finished, 5);
    EXPECT_EQ(atomic_load(&log.begins), 1);
    EXPECT_EQ(atomic_load(&log.ends), 1);
    EXPECT_EQ(log.err, -EIO);
    EXPECT_EQ(log.waiting, 5);
    rn_single_flight_free(sf);
}

typedef rn_single_flight(int) int_flight;

static int_flight recursive;

static int ask_again(rn_ctx *ctx, void *arg, const void *key, size_t key_size, int *result)
{
    int inner = 0;

    EXPECT_EQ(rn_single_flight_do(ctx, recursive, key, key_size, &inner), -EDEADLK);
    if (arg != NULL)
        return 0;
    if (key_size == 1) { /* another key is fine */
        EXPECT_EQ(rn_single_flight_do(ctx, recursive, "longer", 6, &inner), 0);
    }
    *result = inner + 1;
    return 0;
}

static void ask_recursively(rn_ctx *ctx)
{
    int result = 0;

    EXPECT_EQ(rn_single_flight_new(&recursive, ask_again, NULL, NULL), 0);
    EXPECT_EQ(rn_single_flight_do(ctx, recursive, "k", 1, &result), 0);
    EXPECT_EQ(result, 2);
    rn_single_flight_free(recursive);
}

TEST(the_function_cannot_wait_for_itself)
{
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);

    ask_recursively(NULL); /* on a plain thread */
    ask_recursively(ctx);  /* on a fiber */
    rn_ctx_release(ctx);
    EXPECT_EQ(rn_stop(), 0);
}

static int free_it(rn_ctx *ctx, void *arg, const void *key, size_t key_size, int *result)
{
    (void)ctx, (void)arg, (void)key, (void)key_size, (void)result;
    rn_single_flight_free(recursive);
    return 0;
}

TEST_DIES(freeing_from_the_function_ends_the_process, "free was called from the function", SIGABRT)
{
    int result;

    EXPECT_EQ(rn_single_flight_new(&recursive, free_it, NULL, NULL), 0);
    rn_single_flight_do(NULL, recursive, "k", 1, &result);
}

TEST(what_is_wrong_is_named)
{
    int_flight sf = recursive;
    struct rn_single_flight *untyped;

    EXPECT_EQ(
        rn_single_flight_new(&sf, ask_again, NULL, &(rn_single_flight_config){.drop = drop_value}),
        -EINVAL);
    EXPECT(sf == NULL);
    EXPECT_STR(rn_error_detail(), "single flight: .drop is set, but not .copy: callers would share "
                                  "what each of them drops");
    EXPECT_EQ(rn_single_flight_new(&sf, ask_again, NULL,
                                   &(rn_single_flight_config){.stack_size = (size_t)2 << 30}),
              -EINVAL);
    EXPECT(sf == NULL);
    EXPECT(strstr(rn_error_detail(), "single flight: .stack_size is 2147483648: allowed are 3276"));
    EXPECT_EQ(rn_single_flight_new_untyped(&untyped, SIZE_MAX, NULL, NULL, NULL), -EINVAL);
    EXPECT(strstr(rn_error_detail(), "bytes is too large") != NULL);
    rn_single_flight_free(sf);
}

/* ---- stress ---- */

#define PEERS 24
#define THREADS 4
#define STRESS_KEYS 3

struct peer {
    flight_t sf;
    int seed, times;
    atomic_int *served, *left, *finished;
};

static int work_or_fail(rn_ctx *ctx, void *arg, const void *key, size_t key_size,
                        struct value *result)
{
    int n = atomic_fetch_add((atomic_int *)arg, 1);

    (void)key, (void)key_size;
    for (int i = 0; i < n % 5; i++)
        rn_yield();
    if (rn_ctx_err(ctx) != 0 && n % 2 == 0)
        return -ECANCELED;
    return n % 7 == 0 ? -EIO : make_value(result, n);
}

static void ask_often(void *arg)
{
    struct peer *p = arg;
    unsigned state = (unsigned)p->seed;

    for (int i = 0; i < p->times; i++) {
        struct value v = {NULL};
        char key = (char)('a' + rand_r(&state) % STRESS_KEYS);
        int kind = rand_r(&state) % 4;
        rn_ctx *ctx = kind == 0 ? NULL : rn_ctx_with_timeout(NULL, kind * 5 * RN_MICROSECOND);
        int err = rn_single_flight_do(ctx, p->sf, &key, 1, &v);
        EXPECT(err == 0 || err == -EIO || err == -ECANCELED || err == -ETIMEDOUT);
        EXPECT((err == 0) == (v.number != NULL));
        if (err == 0)
            drop_value(&v);
        if (rand_r(&state) % 8 == 0)
            rn_single_flight_forget(p->sf, &key, 1);
        atomic_fetch_add(err == -ETIMEDOUT ? p->left : p->served, 1);
        rn_ctx_release(ctx);
    }
    atomic_fetch_add(p->finished, 1);
}

static void *ask_on_thread(void *arg)
{
    ask_often(arg);
    return NULL;
}

TEST(fibers_and_threads_lose_no_result)
{
    atomic_int calls = 0, served = 0, left = 0, finished = 0;
    pthread_t threads[THREADS];
    struct peer peers[THREADS];
    rn_single_flight_stats stats;
    flight_t sf;
    int times = rounds(300);

    EXPECT_EQ(rn_single_flight_new(&sf, work_or_fail, &calls, &owning), 0);
    for (int i = 0; i < PEERS; i++)
        EXPECT_EQ(rn_go_copy(ask_often, &(struct peer){sf, i, times, &served, &left, &finished}),
                  0);
    for (int i = 0; i < THREADS; i++) {
        peers[i] = (struct peer){sf, 100 + i, times, &served, &left, &finished};
        EXPECT_EQ(pthread_create(&threads[i], NULL, ask_on_thread, &peers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    await_count(&finished, PEERS + THREADS);
    stats = stats_of(sf);
    rn_single_flight_free(sf);
    EXPECT_EQ(atomic_load(&owned), 0);
    EXPECT_EQ(stats.started, atomic_load(&calls));
    EXPECT(stats.asked <= (uint64_t)(PEERS + THREADS) * (uint64_t)times);
    EXPECT_EQ(atomic_load(&served) + atomic_load(&left), (PEERS + THREADS) * times);
    EXPECT_EQ(rn_stop(), 0);
}
