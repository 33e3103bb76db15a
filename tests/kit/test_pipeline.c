/*
 * Pipeline: every kind of source, stage and end, concurrency, order, what is wrong with building,
 * counters, names. How it stops is in test_pipeline_stop.c.
 */
#include "streams.h"
#include "sync/waiting.h"

#include <runnel/group.h>

#define ITEMS 100

typedef rn_stream(int) int_stream;

/* ---- functions of both shapes ---- */

static void square(const int *n, long *out)
{
    *out = (long)*n * *n;
}

static int square_fully(rn_ctx *ctx, void *arg, int *n, long *out)
{
    (void)ctx;
    *out = (long)*n * *n + (arg == NULL ? 0 : *(long *)arg);
    return 0;
}

static bool even(const long *n)
{
    return *n % 2 == 0;
}

static bool divides(int *n)
{
    return *n % 3 == 0;
}

static int multiple(rn_ctx *ctx, void *arg, const int *n)
{
    (void)ctx;
    return *n % *(int *)arg == 0;
}

static void add(long *total, const long *n)
{
    *total += *n;
}

static int add_fully(rn_ctx *ctx, void *arg, long *total, int *n)
{
    (void)ctx, (void)arg;
    *total += *n;
    return 0;
}

static int count_to(rn_ctx *ctx, void *arg, rn_emitter(int) out)
{
    int err = 0;

    (void)ctx;
    for (int i = 0; err == 0 && i < *(int *)arg; i++)
        err = rn_emit(out, i);
    return err;
}

/* Emits n copies of n. */
static int repeat(rn_ctx *ctx, void *arg, int *n, rn_emitter(int) out)
{
    int err = 0;

    (void)ctx, (void)arg;
    for (int i = 0; err == 0 && i < *n; i++)
        err = rn_emit(out, *n);
    return err;
}

/* What an end has seen. */
struct seen {
    int values[4 * ITEMS];
    int count;
};

static int see(rn_ctx *ctx, void *arg, int *n)
{
    struct seen *seen = arg;

    (void)ctx;
    EXPECT(seen->count < 4 * ITEMS);
    seen->values[seen->count++] = *n;
    return 0;
}

static int zero_to[ITEMS];

static const int *numbers(void)
{
    for (int i = 0; i < ITEMS; i++)
        zero_to[i] = i;
    return zero_to;
}

static void run_and_free(rn_pipeline *p)
{
    EXPECT_EQ(rn_pipeline_run(p), 0);
    expect_conserved(p);
    rn_pipeline_free(p);
    await_live(1);
}

static void expect_counting(const struct seen *seen, int n)
{
    EXPECT_EQ(seen->count, n);
    for (int i = 0; i < n; i++)
        EXPECT_EQ(seen->values[i], i);
}

/* ---- sources and ends ---- */

TEST_FIBER(an_array_through_map_and_filter_to_one_value)
{
    rn_pipeline *p = rn_pipeline_new(NULL, NULL);
    rn_stream(int) n = rn_stream_from_array(int, p, numbers(), ITEMS);
    long total = 0;

    rn_stream_reduce(rn_stream_filter(rn_stream_map(long, n, square), even), &total, add);
    run_and_free(p);
    EXPECT_EQ(total, 161700); /* of 0, 2, ..., 98 */
}

TEST_FIBER(functions_of_the_full_shape_have_an_argument)
{
    rn_pipeline *p = rn_pipeline_new(NULL, NULL);
    int_stream n = rn_stream_from_array(int, p, numbers(), ITEMS);
    int divisor = 50;
    long total = 0, more = 1000;

    n = rn_stream_filter(n, multiple, .arg = &divisor);
    rn_stream_reduce(rn_stream_map(long, n, square_fully, .arg = &more), &total, add);
    run_and_free(p);
    EXPECT_EQ(total, 1000 + 3500);
}

TEST_FIBER(a_function_emits)
{
    rn_pipeline *p = rn_pipeline_new(NULL, NULL);
    struct seen seen = {.count = 0};
    int n = ITEMS;

    rn_stream_for_each(rn_stream_generate(int, p, count_to, .arg = &n), see, .arg = &seen);
    run_and_free(p);
    expect_counting(&seen, ITEMS);
}

TEST_FIBER(several_fibers_emit)
{
    rn_pipeline *p = rn_pipeline_new(NULL, NULL);
    int n = ITEMS;
    long total = 0;

    rn_stream_reduce(rn_stream_generate(int, p, count_to, .arg = &n, .concurrency = 5), &total,
                     add_fully);
    run_and_free(p);
    EXPECT_EQ(total, 5 * ITEMS * (ITEMS - 1) / 2);
}

static void feed(void *arg)
{
    int_chan ch = *(int_chan *)arg;

    for (int i = 0; i < ITEMS; i++)
        EXPECT_EQ(rn_send(NULL, ch, i), 0);
    rn_close(ch);
}

TEST_FIBER(from_a_channel_to_a_channel)
{
    rn_pipeline *p = rn_pipeline_new(NULL, NULL);
    int_chan in = rn_chan_make(int, 3), out = rn_chan_make(int, 0);
    int n, count = 0;

    rn_stream_to_chan(rn_stream_from_chan(p, in), out);
    EXPECT_EQ(rn_go_copy(feed, &in), 0);
    EXPECT_EQ(rn_pipeline_start(p), 0);
    EXPECT_EQ(rn_pipeline_start(p), 0);
    while (rn_recv(NULL, out, &n) == 0)
        EXPECT_EQ(n, count++);
    EXPECT_EQ(count, ITEMS);
    EXPECT_EQ(rn_close_cause(out), RN_ECLOSED);
    EXPECT_EQ(rn_pipeline_wait(NULL, p), 0);
    run_and_free(p); /* run after start waits only */
    rn_chan_release(in);
    rn_chan_release(out);
}

TEST_FIBER(a_channel_can_be_left_open)
{
    rn_pipeline *p = rn_pipeline_new(NULL, NULL);
    int_chan out = rn_chan_make(int, ITEMS + 1);

    rn_stream_to_chan(rn_stream_from_array(int, p, numbers(), ITEMS), out, .leave_open = true);
    run_and_free(p);
    EXPECT_EQ(rn_len(out), ITEMS);
    EXPECT_EQ(rn_try_send(out, 1), 0);
    rn_chan_release(out);
}

TEST(plain_threads_build_and_wait_too)
{
    rn_pipeline *p = rn_pipeline_new(NULL, NULL);
    struct seen seen = {.count = 0};
    int_stream n = rn_stream_from_array(int, p, numbers(), ITEMS);

    rn_stream_for_each(n, see, .arg = &seen, .buffer = 4);
    EXPECT_EQ(rn_pipeline_run(p), 0);
    expect_counting(&seen, ITEMS);
    rn_pipeline_free(p);
    EXPECT_EQ(rn_stop(), 0);
}

TEST_FIBER(nothing_in_nothing_out)
{
    rn_pipeline *p = rn_pipeline_new(NULL, NULL);
    long total = 7;

    EXPECT_EQ(rn_pipeline_run(p), 0); /* not even a stage */
    rn_pipeline_free(p);
    p = rn_pipeline_new(NULL, NULL);
    rn_stream_reduce(rn_stream_from_array(int, p, numbers(), 0), &total, add_fully);
    run_and_free(p);
    EXPECT_EQ(total, 7);
}

/* ---- flat_map, tee, merge ---- */

TEST_FIBER(flat_map_gives_none_or_many)
{
    rn_pipeline *p = rn_pipeline_new(NULL, NULL);
    struct seen seen = {.count = 0};
    int_stream n = rn_stream_from_array(int, p, numbers(), 5);

    rn_stream_for_each(rn_stream_flat_map(int, n, repeat), see, .arg = &seen);
    run_and_free(p);
    EXPECT_EQ(seen.count, 1 + 2 + 3 + 4);
    EXPECT_EQ(seen.values[0], 1);
    EXPECT_EQ(seen.values[9], 4);
}

static void tee_and_merge(size_t buffer)
{
    rn_pipeline *p = rn_pipeline_new(NULL, NULL);
    struct seen seen = {.count = 0};
    int_stream n = rn_stream_from_array(int, p, numbers(), ITEMS);
    int_stream second = rn_stream_tee(n), third = rn_stream_tee(n);
    long total = 0;
    int divisor = 2;

    n = rn_stream_filter(n, divides, .buffer = buffer);
    second = rn_stream_filter(second, multiple, .arg = &divisor);
    rn_stream_for_each(rn_stream_merge(n, second), see, .arg = &seen);
    rn_stream_reduce(third, &total, add_fully, .buffer = buffer);
    EXPECT_EQ(rn_pipeline_run(p), 0);
    EXPECT_EQ(seen.count, 34 + 50);
    EXPECT_EQ(total, ITEMS * (ITEMS - 1) / 2);
    rn_pipeline_free(p);
}

TEST_FIBER(a_tee_gives_everything_to_all_and_a_merge_brings_it_together)
{
    tee_and_merge(0);
    tee_and_merge(1);
    tee_and_merge(100);
}

TEST_FIBER(an_array_of_streams_is_merged)
{
    rn_pipeline *p = rn_pipeline_new(NULL, NULL);
    int_stream streams[4];
    long total = 0;

    for (int i = 0; i < 4; i++)
        streams[i] = rn_stream_from_array(int, p, numbers(), ITEMS);
    rn_stream_reduce(rn_stream_merge_n(streams, 4), &total, add_fully);
    EXPECT_EQ(rn_pipeline_run(p), 0);
    EXPECT_EQ(total, 4 * ITEMS * (ITEMS - 1) / 2);
    rn_pipeline_free(p);
}

/* ---- batches ---- */

typedef rn_batch(int) int_batch;

struct batches {
    size_t sizes[ITEMS];
    rn_time at[ITEMS];
    size_t count;
    int next; /* the item that must come */
};

static int see_batch(rn_ctx *ctx, void *arg, int_batch *batch)
{
    struct batches *seen = arg;

    (void)ctx;
    EXPECT(batch->count > 0);
    for (size_t i = 0; i < batch->count; i++)
        EXPECT_EQ(batch->items[i], seen->next++);
    seen->at[seen->count] = rn_now();
    seen->sizes[seen->count++] = batch->count;
    free(batch->items);
    return 0;
}

TEST_FIBER(batches_are_full_but_for_the_last)
{
    for (int items = 0; items <= 20; items++) {
        for (int timed = 0; timed < 2; timed++) {
            rn_pipeline *p = rn_pipeline_new(NULL, NULL);
            int_stream n = rn_stream_from_array(int, p, numbers(), (size_t)items);
            struct batches seen = {.count = 0};
            rn_stream_for_each(rn_stream_batch(int_batch, n, 5, timed != 0 ? RN_HOUR : RN_FOREVER),
                               see_batch, .arg = &seen);
            EXPECT_EQ(rn_pipeline_run(p), 0);
            EXPECT_EQ(seen.count, (items + 4) / 5);
            EXPECT_EQ(seen.next, items);
            for (size_t i = 0; i < seen.count; i++)
                EXPECT_EQ(seen.sizes[i], i < (size_t)items / 5 ? 5 : items % 5);
            rn_pipeline_free(p);
        }
    }
}

/* One at 0, 10 and 20 ms; then at 100, and six at once at 200. */
static int emit_in_time(rn_ctx *ctx, void *arg, rn_emitter(int) out)
{
    static const int at_ms[] = {0, 10, 20, 100, 200, 200, 200, 200, 200, 200};
    int err = 0;

    (void)arg;
    for (int i = 0; err == 0 && i < 10; i++) {
        rn_duration left = at_ms[i] * RN_MILLISECOND - rn_now();
        err = left > 0 ? rn_sleep(ctx, left) : 0;
        if (err == 0)
            err = rn_emit(out, i);
    }
    return err != 0 ? err : rn_sleep(ctx, RN_SECOND);
}

TEST_VIRTUAL(a_batchs_timer_starts_at_its_first_item_and_no_batch_is_empty)
{
    rn_pipeline *p = rn_pipeline_new(NULL, NULL);
    int_stream n = rn_stream_generate(int, p, emit_in_time);
    struct batches seen = {.count = 0};

    rn_stream_for_each(rn_stream_batch(int_batch, n, 5, 50 * RN_MILLISECOND), see_batch,
                       .arg = &seen);
    run_and_free(p);
    EXPECT_EQ(seen.count, 4);
    EXPECT_EQ(seen.sizes[0], 3);
    EXPECT_EQ(seen.at[0], 50 * RN_MILLISECOND);
    EXPECT_EQ(seen.sizes[1], 1);
    EXPECT_EQ(seen.at[1], 150 * RN_MILLISECOND);
    EXPECT_EQ(seen.sizes[2], 5);
    EXPECT_EQ(seen.at[2], 200 * RN_MILLISECOND);
    EXPECT_EQ(seen.sizes[3], 1);
    EXPECT_EQ(seen.at[3], 250 * RN_MILLISECOND);
}

/* ---- concurrency and order ---- */

/* Calls at once, and the most that there were. */
struct meter {
    atomic_int now, most;
    atomic_int *open; /* waits until it is so */
    int opens;
};

static void meter_in(struct meter *m)
{
    int now = atomic_fetch_add(&m->now, 1) + 1, most = atomic_load(&m->most);

    while (now > most && !atomic_compare_exchange_weak(&m->most, &most, now))
        ;
}

static int wait_and_copy(rn_ctx *ctx, void *arg, int *n, int *out)
{
    struct meter *m = arg;

    meter_in(m);
    for (int i = *n % 7; i >= 0; i--)
        rn_yield();
    while (m->open != NULL && atomic_load(m->open) < m->opens && rn_ctx_err(ctx) == 0)
        rn_yield();
    *out = *n;
    atomic_fetch_sub(&m->now, 1);
    return 0;
}

static void expect_permutation(struct seen *seen, int n)
{
    bool there[4 * ITEMS] = {false};

    EXPECT_EQ(seen->count, n);
    for (int i = 0; i < n; i++) {
        EXPECT(seen->values[i] >= 0 && seen->values[i] < n && !there[seen->values[i]]);
        there[seen->values[i]] = true;
    }
}

static void map_by(size_t concurrency, bool ordered, size_t buffer)
{
    rn_pipeline *p = rn_pipeline_new(NULL, NULL);
    int_stream n = rn_stream_from_array(int, p, numbers(), ITEMS);
    struct seen seen = {.count = 0};
    struct meter meter = {.now = 0};

    n = rn_stream_map(int, n, wait_and_copy, .arg = &meter, .concurrency = concurrency,
                      .ordered = ordered, .buffer = buffer);
    rn_stream_for_each(n, see, .arg = &seen);
    run_and_free(p);
    if (ordered || concurrency == 1)
        expect_counting(&seen, ITEMS);
    else
        expect_permutation(&seen, ITEMS);
    EXPECT(atomic_load(&meter.most) <= (int)concurrency);
}

TEST_FIBER(each_stage_has_its_own_concurrency_and_may_keep_the_order)
{
    for (size_t n = 1; n < 20; n = n * 2 + 1) {
        map_by(n, false, 0);
        map_by(n, true, 0);
        map_by(n, true, 1);
        map_by(n, false, 200);
    }
}

/* Returns once as many calls as there are to be have begun. */
static int wait_for_others(rn_ctx *ctx, void *arg, int *n, int *out)
{
    struct meter *m = arg;

    atomic_fetch_add(&m->now, 1);
    while (atomic_load(&m->now) < m->opens && rn_ctx_err(ctx) == 0)
        rn_yield();
    *out = *n;
    return 0;
}

TEST_FIBER(as_many_calls_run_at_once_as_the_concurrency_says)
{
    for (int ordered = 0; ordered < 2; ordered++) {
        rn_pipeline *p = rn_pipeline_new(NULL, NULL);
        int_stream n = rn_stream_from_array(int, p, numbers(), ITEMS);
        struct meter meter = {.opens = 7}; /* fewer would wait for ever */
        long total = 0;
        n = rn_stream_map(int, n, wait_for_others, .arg = &meter, .concurrency = 7,
                          .ordered = ordered != 0);
        rn_stream_reduce(n, &total, add_fully);
        run_and_free(p);
        EXPECT_EQ(total, ITEMS * (ITEMS - 1) / 2);
    }
}

static bool is_at_yield(const int *n)
{
    for (int i = *n % 5; i >= 0; i--)
        rn_yield();
    return *n % 3 == 0;
}

static int repeat_later(rn_ctx *ctx, void *arg, int *n, rn_emitter(int) out)
{
    for (int i = *n % 5; i >= 0; i--)
        rn_yield();
    (void)arg;
    int err = 0;
    for (int i = 0; err == 0 && i < *n % 3; i++) {
        err = rn_emit(out, *n);
        rn_yield();
    }
    return rn_ctx_err(ctx) != 0 ? -ECANCELED : err;
}

TEST_FIBER(filters_and_flat_maps_keep_the_order_too)
{
    rn_pipeline *p = rn_pipeline_new(NULL, NULL);
    int_stream n = rn_stream_from_array(int, p, numbers(), ITEMS);
    int_stream other = rn_stream_tee(n);
    struct seen filtered = {.count = 0}, emitted = {.count = 0};

    n = rn_stream_filter(n, is_at_yield, .concurrency = 4, .ordered = true);
    rn_stream_for_each(n, see, .arg = &filtered);
    other = rn_stream_flat_map(int, other, repeat_later, .concurrency = 6, .ordered = true);
    rn_stream_for_each(other, see, .arg = &emitted);
    EXPECT_EQ(rn_pipeline_run(p), 0);
    rn_pipeline_free(p);
    EXPECT_EQ(filtered.count, 34);
    for (int i = 0; i < 34; i++)
        EXPECT_EQ(filtered.values[i], 3 * i);
    EXPECT_EQ(emitted.count, 99);
    for (int i = 1; i < 99; i++)
        EXPECT(emitted.values[i] >= emitted.values[i - 1]);
}

/* The first waits at a gate; how many of the others are begun meanwhile? */
static int wait_if_first(rn_ctx *ctx, void *arg, int *n, int *out)
{
    struct meter *m = arg;

    (void)ctx;
    atomic_fetch_add(&m->now, 1);
    while (*n == 0 && atomic_load(m->open) < m->opens)
        rn_yield();
    *out = *n;
    return 0;
}

TEST_FIBER(ordered_bounds_what_is_in_flight_to_its_concurrency)
{
    rn_pipeline *p = rn_pipeline_new(NULL, NULL);
    int_stream n = rn_stream_from_array(int, p, numbers(), ITEMS);
    struct seen seen = {.count = 0};
    atomic_int open = 0;
    struct meter meter = {.open = &open, .opens = 1};

    n = rn_stream_map(int, n, wait_if_first, .arg = &meter, .concurrency = 4, .ordered = true);
    rn_stream_for_each(n, see, .arg = &seen);
    EXPECT_EQ(rn_pipeline_start(p), 0);
    await_count(&meter.now, 4);
    for (int i = 0; i < 1000; i++)
        rn_yield();
    EXPECT_EQ(atomic_load(&meter.now), 4); /* 0 and the three behind it */
    EXPECT_EQ(seen.count, 0);
    atomic_store(&open, 1);
    run_and_free(p);
    expect_counting(&seen, ITEMS);
}

TEST_FIBER(unordered_passes_the_slow_by)
{
    rn_pipeline *p = rn_pipeline_new(NULL, NULL);
    int_stream n = rn_stream_from_array(int, p, numbers(), ITEMS);
    struct seen seen = {.count = 0};
    atomic_int open = 0;
    struct meter meter = {.open = &open, .opens = 1};

    n = rn_stream_map(int, n, wait_if_first, .arg = &meter, .concurrency = 2);
    rn_stream_for_each(n, see, .arg = &seen);
    EXPECT_EQ(rn_pipeline_start(p), 0);
    await_count(&meter.now, ITEMS);
    atomic_store(&open, 1);
    run_and_free(p);
    /* The last of the others was begun, and may have been on its way still. */
    EXPECT(seen.values[ITEMS - 1] == 0 || seen.values[ITEMS - 2] == 0);
}

/* The fibers of the functions on both sides of a map. */
static int note_fiber(rn_ctx *ctx, void *arg, int *n, int *out)
{
    (void)ctx;
    atomic_store((_Atomic(uint64_t) *)arg, rn_fiber_id());
    *out = *n;
    return 0;
}

TEST_FIBER(a_stage_has_a_fiber_of_its_own_by_buffer_only)
{
    for (size_t buffer = 0; buffer < 2; buffer++) {
        rn_pipeline *p = rn_pipeline_new(NULL, NULL);
        int_stream n = rn_stream_from_array(int, p, numbers(), 1);
        _Atomic(uint64_t) first = 0, second = 0;
        long total = 0;
        rn_stage_stats stats;
        n = rn_stream_map(int, n, note_fiber, .arg = &first);
        n = rn_stream_map(int, n, note_fiber, .arg = &second, .buffer = buffer);
        rn_stream_reduce(n, &total, add_fully);
        EXPECT_EQ(rn_pipeline_run(p), 0);
        EXPECT_EQ(atomic_load(&first) == atomic_load(&second), buffer == 0);
        EXPECT_EQ(rn_pipeline_stage_stats_read(p, 2, &stats), 0);
        EXPECT_EQ(stats.own_fiber, buffer != 0);
        rn_pipeline_free(p);
    }
}

/* ---- counters, names, events ---- */

TEST_FIBER(each_stage_counts)
{
    rn_pipeline *p = rn_pipeline_new(NULL, NULL);
    int_stream n = rn_stream_from_array(int, p, numbers(), ITEMS, .name = "numbers");
    rn_pipeline_stats all;
    rn_stage_stats s;
    long total = 0;

    rn_stream_reduce(rn_stream_filter(n, divides), &total, add_fully, .buffer = 7, .name = "sum");
    EXPECT_EQ(rn_pipeline_stage_stats_read(p, 0, &s), -EINVAL);
    EXPECT_EQ(rn_pipeline_run(p), 0);
    EXPECT_EQ(rn_pipeline_stage_stats_read(p, 0, &s), 0);
    EXPECT_STR(s.name, "numbers");
    EXPECT_STR(s.kind, "from_array");
    EXPECT_EQ(s.out, ITEMS);
    EXPECT_EQ(rn_pipeline_stage_stats_read(p, 1, &s), 0);
    EXPECT_STR(s.name, "divides");
    EXPECT_EQ(s.in, ITEMS);
    EXPECT_EQ(s.out, 34);
    EXPECT_EQ(rn_pipeline_stage_stats_read(p, 2, &s), 0);
    EXPECT_STR(s.name, "sum");
    EXPECT_EQ(s.in, 34);
    EXPECT_EQ(rn_pipeline_stage_stats_read(p, 3, &s), -EINVAL);
    rn_pipeline_stats_read(p, &all);
    EXPECT_EQ(all.stages, 3);
    EXPECT_EQ(all.fibers, 0);
    EXPECT_EQ(all.in, ITEMS);
    EXPECT_EQ(all.out, 34);
    EXPECT_EQ(all.dropped + (uint64_t)all.err, 0);
    rn_pipeline_free(p);
}

static void dump_and_leave(void *arg)
{
    (void)arg;
    await_waiting("chan receive", 2);
    rn_dump(1);
    exit(0);
}

TEST_DIES(a_dump_shows_stages_and_pipeline,
          "\"even\\|add\" .chan receive., started at .*test_pipeline.c.*"
          "\"from_chan\\|square_fully\" .*"
          "pipeline \"demo\" \\[4 stages on 2 fibers, 0 in, 0 out, 0 dropped\\]",
          0)
{
    rn_pipeline *p = rn_pipeline_new(NULL, &(rn_pipeline_config){.name = "demo"});
    int_chan never = rn_chan_make(int, 0);
    rn_stream(long) squares = rn_stream_map(long, rn_stream_from_chan(p, never), square_fully);
    long total = 0;

    rn_stream_reduce(rn_stream_filter(squares, even, .buffer = 1), &total, add);
    rn_go(dump_and_leave, NULL);
    rn_pipeline_run(p);
}

static void note_end(void *arg, const char *stage, uint64_t in, uint64_t out)
{
    char *text = arg;

    snprintf(text + strlen(text), 200 - strlen(text), "%s %d %d; ", stage, (int)in, (int)out);
}

TEST_FIBER(the_end_of_each_stage_is_told)
{
    char text[200] = "";
    rn_pipeline *p = rn_pipeline_new(NULL,
                                     &(rn_pipeline_config){.on_end = note_end, .events_arg = text});
    long total = 0;

    rn_stream_reduce(rn_stream_filter(rn_stream_from_array(int, p, numbers(), 10), divides), &total,
                     add_fully);
    run_and_free(p);
    EXPECT_STR(text, "from_array 0 10; divides 10 4; add_fully 4 0; ");
}

/* ---- what is wrong with building ---- */

static void expect_wrong(rn_pipeline *p, const char *sentence)
{
    EXPECT_EQ(rn_pipeline_run(p), -EINVAL);
    EXPECT_STR(rn_error_detail(), sentence);
    EXPECT_EQ(rn_error_with(0, "%s", ""), 0);
    EXPECT_EQ(rn_pipeline_start(p), -EINVAL);
    EXPECT_STR(rn_error_detail(), sentence);
    EXPECT_EQ(rn_pipeline_wait(NULL, p), -EINVAL);
    rn_pipeline_free(p);
}

static long nowhere;

TEST_FIBER(a_stream_that_leads_nowhere_is_said)
{
    rn_pipeline *p = rn_pipeline_new(NULL, NULL);

    rn_stream_filter(rn_stream_from_array(int, p, numbers(), 10), divides);
    expect_wrong(p, "filter \"divides\": a stream of it leads nowhere: end it with "
                    "rn_stream_for_each, rn_stream_reduce or rn_stream_to_chan");
}

TEST_FIBER(a_stream_that_leads_to_two_places_is_said)
{
    rn_pipeline *p = rn_pipeline_new(NULL, NULL);
    int_stream n = rn_stream_from_array(int, p, numbers(), 10);

    rn_stream_reduce(n, &nowhere, add_fully);
    rn_stream_reduce(n, &nowhere, add_fully, .name = "again");
    expect_wrong(p,
                 "reduce \"again\": the stream of \"from_array\" leads to \"add_fully\" already: "
                 "make a second with rn_stream_tee");
}

TEST_FIBER(a_stream_of_another_pipeline_is_said)
{
    rn_pipeline *p = rn_pipeline_new(NULL, NULL), *q = rn_pipeline_new(NULL, NULL);
    int_stream mine = rn_stream_from_array(int, p, numbers(), 10);
    int_stream other = rn_stream_from_array(int, q, numbers(), 10);

    rn_stream_reduce(rn_stream_merge(mine, other), &nowhere, add_fully);
    expect_wrong(p, "merge \"merge\": the stream of \"from_array\" is another pipeline's");
    rn_pipeline_free(q);
}

#define EXPECT_WRONG(sentence, ...)                                                                \
    do {                                                                                           \
        rn_pipeline *p = rn_pipeline_new(NULL, NULL);                                              \
        int_stream n = rn_stream_from_array(int, p, numbers(), 10);                                \
        (void)(__VA_ARGS__);                                                                       \
        expect_wrong(p, sentence);                                                                 \
    } while (0)

TEST_FIBER(options_that_make_no_sense_are_said)
{
    EXPECT_WRONG("reduce \"add_fully\": .concurrency is of no use to this kind of stage",
                 rn_stream_reduce(n, &nowhere, add_fully, .concurrency = 2));
    EXPECT_WRONG("for_each \"see\": .ordered is of no use to this kind of stage",
                 rn_stream_for_each(n, see, .ordered = true));
    EXPECT_WRONG("from_array \"x\": .buffer is of no use to this kind of stage",
                 ((void)n, rn_stream_from_array(int, p, numbers(), 1, .buffer = 1, .name = "x")));
    EXPECT_WRONG("filter \"divides\": .drop is of no use to this kind of stage",
                 rn_stream_filter(n, divides, .drop = token_drop));
    EXPECT_WRONG("filter \"divides\": .arg is of no use to this kind of stage",
                 rn_stream_filter(n, divides, .arg = p));
    EXPECT_WRONG("map \"square\": .leave_open is of no use to this kind of stage",
                 rn_stream_map(long, n, square, .leave_open = true));
    EXPECT_WRONG("map \"square\": .copy is of no use to this kind of stage",
                 rn_stream_map(long, n, square, .copy = token_copy));
    EXPECT_WRONG("map \"square\": .concurrency is 1000001: allowed are 1 to 1000000",
                 rn_stream_map(long, n, square, .concurrency = 1000001));
    EXPECT_WRONG(
        "map \"square\": .buffer is 18446744073709551615: too many for elements of 4 bytes",
        rn_stream_map(long, n, square, .buffer = SIZE_MAX));
    EXPECT_WRONG("batch \"batch\": n is 0: allowed are 1 to 1844674407370955161",
                 rn_stream_batch(int_batch, n, 0, RN_SECOND));
    EXPECT_WRONG("batch \"batch\": timeout is 0: allowed are 1 ns to RN_FOREVER",
                 rn_stream_batch(int_batch, n, 10, 0));
    EXPECT_WRONG("throttle \"throttle\": the limiter is NULL", rn_stream_throttle(n, NULL));
    EXPECT_WRONG("tee of \"from_array\": takes no option but .copy", rn_stream_tee(n, .buffer = 1));
    EXPECT_WRONG("merge: stream number 1 is NULL", rn_stream_merge(n, NULL));
}

TEST_FIBER(tees_and_merges_of_owners_are_checked)
{
    EXPECT_WRONG("tee of \"batch\": .copy is NULL: elements with a .drop, and batches, need one",
                 rn_stream_tee(rn_stream_batch(int_batch, n, 1, RN_FOREVER)));
    EXPECT_WRONG("merge: the streams of \"from_array\" and \"t\" differ in .drop",
                 rn_stream_merge(n, rn_stream_from_array(int, p, (int *)NULL, 0, .drop = token_drop,
                                                         .name = "t")));
}

TEST_FIBER(a_pipeline_without_memory_is_taken_by_all)
{
    rn_pipeline *p = NULL;
    int_stream n = rn_stream_from_array(int, p, numbers(), 10);
    int_chan out = rn_chan_make(int, 0);
    rn_stage_stats stage;
    rn_pipeline_stats stats;
    int value;

    n = rn_stream_merge(n, rn_stream_generate(int, p, count_to));
    n = rn_stream_tee(rn_stream_filter(n, divides));
    rn_stream_to_chan(n, out);
    rn_stream_for_each(rn_stream_batch(int_batch, n, 1, 1), see_batch);
    rn_stream_reduce(rn_stream_map(long, n, square), &nowhere, add);
    EXPECT_EQ(rn_pipeline_start(p), -ENOMEM);
    EXPECT_EQ(rn_recv(NULL, out, &value), RN_ECLOSED);
    EXPECT_EQ(rn_close_cause(out), -ENOMEM);
    EXPECT_EQ(rn_pipeline_run(p), -ENOMEM);
    EXPECT_EQ(rn_pipeline_wait(NULL, p), -ENOMEM);
    EXPECT_EQ(rn_pipeline_stage_stats_read(p, 0, &stage), -EINVAL);
    rn_pipeline_stats_read(p, &stats);
    EXPECT_EQ(stats.stages, 0);
    rn_pipeline_cancel(p, 0);
    rn_pipeline_free(p);
    rn_chan_release(out);
}

TEST_FIBER(a_start_that_fails_closes_the_channel_at_the_end)
{
    rn_pipeline *p = rn_pipeline_new(NULL, &(rn_pipeline_config){.stack_size = 1});
    int_chan out = rn_chan_make(int, 0);
    int_stream n = rn_stream_from_array(int, p, numbers(), 10);
    int value;

    rn_stream_to_chan(rn_stream_filter(n, divides, .concurrency = 3), out);
    EXPECT_EQ(rn_pipeline_start(p), -EINVAL);
    EXPECT_EQ(rn_recv(NULL, out, &value), RN_ECLOSED);
    EXPECT_EQ(rn_close_cause(out), -EINVAL);
    EXPECT_EQ(rn_pipeline_wait(NULL, p), -EINVAL);
    rn_pipeline_free(p);
    rn_chan_release(out);
}
