/*
 * Pipelines at random: any graph of stages, with any buffers and concurrency, stopped anywhere.
 *
 * A graph is drawn from a seed, and with it what must come out, by plain loops over arrays. Left
 * alone, each end gets just that, in order where everything before it keeps the order. Stopped by
 * an error, "enough", a cancel, a free or a receiver, on a fiber or on a plain thread, no end gets
 * anything else. In both cases every token that went in came out once or was dropped once, and no
 * fiber is left. A failure says its seed: PIPELINE_SEED=n runs that one alone.
 *
 * ctest: TIMEOUT=300
 */
#include "base/random.h"
#include "streams.h"

#include <pthread.h>

#define SEEDS 3000
#define SOURCES_MAX 3
#define STREAMS_MAX 5
#define STAGES_MAX 30
#define ITEMS_MAX 40
#define EXPECTED_MAX 4000 /* a graph does not grow beyond that */
#define IDS 64

typedef rn_stream(struct token) token_stream;
typedef rn_chan(struct token) token_chan;
typedef rn_batch(struct token) token_batch;

/* A stream under way, and what is to come of it. */
struct open {
    token_stream stream;
    int *ids, count;
    bool in_order;
};

struct graph;

struct step {
    struct graph *graph;
    int a, b;
};

struct end {
    struct graph *graph;
    int *expected, count;
    bool in_order;
    int *got, got_count; /* of ids, or the ids as they came */
    token_chan chan;     /* NULL: for_each */
    int stops_after;     /* -1: never */
    pthread_t thread;
    bool on_thread;
    atomic_int done;
};

enum stop { STOP_NEVER, STOP_ERROR, STOP_ENOUGH, STOP_CANCEL, STOP_CONTEXT, STOP_FREE, STOPS };

struct graph {
    uint64_t random;
    rn_pipeline *p;
    rn_ctx *ctx, *feeding;
    enum stop stop;
    int stop_at; /* calls of functions */
    atomic_int calls;
    struct open open[STREAMS_MAX];
    int open_count;
    struct step steps[STAGES_MAX];
    int step_count;
    struct end ends[STREAMS_MAX];
    int end_count;
    token_chan chans[SOURCES_MAX];
    pthread_t feeders[SOURCES_MAX];
    struct token *arrays[SOURCES_MAX];
    int source_count, feeder_count;
};

static uint64_t seed;

static void say_seed(void)
{
    fprintf(stderr, "PIPELINE_SEED=%llu\n", (unsigned long long)seed);
}

/* An expectation that fails says the seed; a deadlock's report does too, by the pipeline's name. */
#define test_failed(...) (say_seed(), test_failed(__VA_ARGS__))

static int below(struct graph *g, int n)
{
    return (int)random_below(&g->random, (uint32_t)n);
}

/* ---- functions ---- */

/* Called by each function: what it is to return, from a certain call on. */
static int call(struct graph *g)
{
    int n = atomic_fetch_add(&g->calls, 1) + 1;

    if (n % 7 == 0)
        rn_yield();
    if (n != g->stop_at)
        return 0;
    if (g->stop == STOP_CANCEL)
        rn_pipeline_cancel(g->p, -EPIPE);
    if (g->stop == STOP_CONTEXT)
        rn_ctx_cancel(g->ctx, 0);
    return g->stop == STOP_ERROR ? -EIO : g->stop == STOP_ENOUGH ? RN_ECLOSED : 0;
}

static int mapped(const struct step *s, int id)
{
    return (id * s->a + s->b) % IDS;
}

static bool kept(const struct step *s, int id)
{
    return id % (s->a + 1) != s->b % (s->a + 1);
}

static int copies(const struct step *s, int id)
{
    return (id + s->a) % 3;
}

static int map(rn_ctx *ctx, void *arg, struct token *in, struct token *out)
{
    struct step *s = arg;
    int err = call(s->graph);

    (void)ctx;
    if (err == 0)
        *out = token_new(mapped(s, in->id));
    token_done(in);
    return err;
}

static int filter(rn_ctx *ctx, void *arg, const struct token *t)
{
    struct step *s = arg;
    int err = call(s->graph);

    (void)ctx;
    return err != 0 ? err : kept(s, t->id);
}

static int flat_map(rn_ctx *ctx, void *arg, struct token *in, rn_emitter(struct token) out)
{
    struct step *s = arg;
    int err = call(s->graph), id = in->id;

    (void)ctx;
    token_done(in);
    for (int i = copies(s, id); err == 0 && i > 0; i--)
        err = rn_emit(out, token_new(id));
    return err;
}

static int unpack(rn_ctx *ctx, void *arg, token_batch *batch, rn_emitter(struct token) out)
{
    struct step *s = arg;
    int err = call(s->graph);

    (void)ctx;
    EXPECT(batch->count > 0 && batch->count <= (size_t)s->a);
    for (size_t i = 0; i < batch->count; i++) {
        if (err == 0)
            err = rn_emit(out, batch->items[i]);
        else
            token_drop(&batch->items[i]);
    }
    free(batch->items);
    return err;
}

static int generate(rn_ctx *ctx, void *arg, rn_emitter(struct token) out)
{
    struct step *s = arg;
    int err = 0;

    (void)ctx;
    for (int i = 0; err == 0 && i < s->a; i++)
        if ((err = call(s->graph)) == 0)
            err = rn_emit(out, token_new(i));
    return err;
}

static int use(rn_ctx *ctx, void *arg, struct token *t)
{
    struct end *end = arg;
    int err = call(end->graph);

    (void)ctx;
    EXPECT(end->got_count < end->count);
    end->got[end->got_count++] = t->id;
    token_done(t);
    return err;
}

/* ---- receivers and feeders, on fibers and threads ---- */

static void receive(void *arg)
{
    struct end *end = arg;
    struct token t;

    while (end->got_count != end->stops_after && rn_recv(NULL, end->chan, &t) == 0) {
        EXPECT(end->got_count < end->count);
        end->got[end->got_count++] = t.id;
        token_done(&t);
    }
    rn_close(end->chan);
    rn_chan_release(end->chan);
    atomic_store(&end->done, 1);
}

static void *receive_on_thread(void *arg)
{
    receive(arg);
    return NULL;
}

struct feeder {
    token_chan ch;
    rn_ctx *ctx;
    int count;
};

static void *feed_on_thread(void *arg)
{
    struct feeder *f = arg;

    for (int i = 0; i < f->count; i++) {
        struct token t = token_new(i);
        if (rn_send(f->ctx, f->ch, t) != 0) {
            token_drop(&t);
            break;
        }
    }
    rn_close(f->ch);
    free(f);
    return NULL;
}

/* ---- drawing a graph ---- */

static struct step *new_step(struct graph *g, int a, int b)
{
    EXPECT(g->step_count < STAGES_MAX);
    struct step *s = &g->steps[g->step_count++];

    *s = (struct step){g, a, b};
    return s;
}

static void add_source(struct graph *g)
{
    struct open *o = &g->open[g->open_count++];
    int n = below(g, ITEMS_MAX), i = g->source_count++, kind = below(g, 3);

    *o = (struct open){.ids = calloc((size_t)n + 1, sizeof(int)), .count = n, .in_order = true};
    for (int id = 0; id < n; id++)
        o->ids[id] = id;
    if (kind == 0) {
        o->stream = rn_stream_generate(struct token, g->p, generate, .arg = new_step(g, n, 0),
                                       .drop = token_drop);
    } else if (kind == 1) {
        g->arrays[i] = calloc((size_t)n + 1, sizeof(struct token));
        for (int id = 0; id < n; id++)
            g->arrays[i][id] = token_new(id);
        o->stream = rn_stream_from_array(struct token, g->p, g->arrays[i], (size_t)n,
                                         .drop = token_drop);
    } else {
        struct feeder *f = malloc(sizeof *f);
        g->chans[i] = rn_chan_make_with(
            struct token, &(rn_chan_options){.capacity = (size_t)below(g, 4), .drop = token_drop});
        *f = (struct feeder){g->chans[i], g->feeding, n};
        EXPECT_EQ(pthread_create(&g->feeders[g->feeder_count++], NULL, feed_on_thread, f), 0);
        o->stream = rn_stream_from_chan(g->p, g->chans[i], .drop = token_drop);
    }
}

static void keep_filtered(struct open *o, const struct step *s)
{
    int n = 0;

    for (int i = 0; i < o->count; i++)
        if (kept(s, o->ids[i]))
            o->ids[n++] = o->ids[i];
    o->count = n;
}

static void multiply(struct open *o, const struct step *s)
{
    int *ids = calloc((size_t)o->count * 2 + 1, sizeof(int)), n = 0;

    for (int i = 0; i < o->count; i++)
        for (int c = copies(s, o->ids[i]); c > 0; c--)
            ids[n++] = o->ids[i];
    free(o->ids);
    o->ids = ids;
    o->count = n;
}

/* A stage with any concurrency and buffer behind o. */
static void add_stage(struct graph *g, struct open *o)
{
    size_t concurrency = (size_t)(below(g, 2) == 0 ? 1 : 1 + below(g, 4));
    size_t buffer = (size_t)(below(g, 2) == 0 ? 0 : 1 + below(g, 20));
    bool ordered = below(g, 2) == 0;
    struct step *s = new_step(g, 1 + below(g, 5), below(g, 5));
    rn_stream(token_batch) b;

    o->in_order = o->in_order && (ordered || concurrency == 1);
    switch (below(g, 4)) {
    case 0:
        o->stream = rn_stream_map(struct token, o->stream, map, .arg = s, .drop = token_drop,
                                  .concurrency = concurrency, .buffer = buffer, .ordered = ordered);
        for (int i = 0; i < o->count; i++)
            o->ids[i] = mapped(s, o->ids[i]);
        break;
    case 1:
        o->stream = rn_stream_filter(o->stream, filter, .arg = s, .concurrency = concurrency,
                                     .buffer = buffer, .ordered = ordered);
        keep_filtered(o, s);
        break;
    case 2:
        o->stream = rn_stream_flat_map(struct token, o->stream, flat_map, .arg = s,
                                       .drop = token_drop, .concurrency = concurrency,
                                       .buffer = buffer, .ordered = ordered);
        multiply(o, s);
        break;
    default:
        b = rn_stream_batch(token_batch, o->stream, (size_t)s->a,
                            below(g, 2) == 0 ? RN_FOREVER : RN_MILLISECOND, .buffer = buffer);
        o->stream = rn_stream_flat_map(struct token, b, unpack, .arg = s, .drop = token_drop,
                                       .concurrency = concurrency, .ordered = ordered);
    }
}

static void add_tee(struct graph *g, struct open *o)
{
    struct open *second = &g->open[g->open_count++];

    *second = *o;
    second->ids = calloc((size_t)o->count + 1, sizeof(int));
    memcpy(second->ids, o->ids, (size_t)o->count * sizeof(int));
    second->stream = rn_stream_tee(o->stream, .copy = token_copy);
}

static void add_merge(struct graph *g)
{
    struct open *a = &g->open[g->open_count - 2], *b = a + 1;

    a->stream = rn_stream_merge(a->stream, b->stream);
    a->ids = realloc(a->ids, (size_t)(a->count + b->count + 1) * sizeof(int));
    memcpy(a->ids + a->count, b->ids, (size_t)b->count * sizeof(int));
    a->count += b->count;
    a->in_order = false;
    free(b->ids);
    g->open_count--;
}

static void add_end(struct graph *g, struct open *o)
{
    struct end *end = &g->ends[g->end_count++];

    *end = (struct end){.graph = g, .expected = o->ids, .count = o->count, .in_order = o->in_order};
    end->got = calloc((size_t)o->count + 1, sizeof(int));
    end->stops_after = -1;
    if (below(g, 2) == 0) {
        rn_stream_for_each(o->stream, use, .arg = end,
                           .buffer = (size_t)(below(g, 2) == 0 ? 0 : below(g, 10)));
        return;
    }
    if (g->stop != STOP_NEVER && below(g, 2) == 0)
        end->stops_after = below(g, o->count + 1);
    end->chan = rn_chan_make_with(
        struct token, &(rn_chan_options){.capacity = (size_t)below(g, 5), .drop = token_drop});
    rn_stream_to_chan(o->stream, rn_chan_retain(end->chan));
    end->on_thread = below(g, 3) == 0;
}

static void draw(struct graph *g)
{
    int sources = 1 + below(g, SOURCES_MAX), stages = below(g, 12);

    for (int i = 0; i < sources; i++)
        add_source(g);
    for (int i = 0; i < stages; i++) {
        struct open *o = &g->open[below(g, g->open_count)];
        int what = below(g, 8);
        if (what == 0 && g->open_count < STREAMS_MAX)
            add_tee(g, o);
        else if (what == 1 && g->open_count > 1)
            add_merge(g);
        else if (o->count * 2 < EXPECTED_MAX)
            add_stage(g, o);
    }
    for (int i = 0; i < g->open_count; i++)
        add_end(g, &g->open[i]);
}

/* ---- running it ---- */

static int by_value(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* What came is what was expected; or, of a pipeline that was stopped, a part of it. */
static void check_end(struct end *end, bool all)
{
    int at = 0;

    if (!end->in_order) {
        qsort(end->got, (size_t)end->got_count, sizeof(int), by_value);
        qsort(end->expected, (size_t)end->count, sizeof(int), by_value);
    }
    if (all || end->in_order) {
        EXPECT(!all || end->got_count == end->count);
        EXPECT(memcmp(end->got, end->expected, (size_t)end->got_count * sizeof(int)) == 0);
        return;
    }
    for (int i = 0; i < end->got_count; i++, at++) {
        while (at < end->count && end->expected[at] < end->got[i])
            at++;
        EXPECT(at < end->count && end->expected[at] == end->got[i]);
    }
}

static void start_receivers(struct graph *g)
{
    for (int i = 0; i < g->end_count; i++) {
        struct end *end = &g->ends[i];
        if (end->chan == NULL)
            continue;
        if (end->on_thread)
            EXPECT_EQ(pthread_create(&end->thread, NULL, receive_on_thread, end), 0);
        else
            EXPECT_EQ(rn_go(receive, end), 0);
    }
}

static void finish_ends(struct graph *g)
{
    for (int i = 0; i < g->end_count; i++) {
        struct end *end = &g->ends[i];
        if (end->chan != NULL) {
            await_count(&end->done, 1);
            if (end->on_thread)
                EXPECT_EQ(pthread_join(end->thread, NULL), 0);
        }
        check_end(end, g->stop == STOP_NEVER);
        rn_chan_release(end->chan);
        free(end->expected);
        free(end->got);
    }
}

static void finish_sources(struct graph *g)
{
    rn_ctx_cancel(g->feeding, 0);
    for (int i = 0; i < g->feeder_count; i++)
        EXPECT_EQ(pthread_join(g->feeders[i], NULL), 0);
    for (int i = 0; i < g->source_count; i++) {
        rn_chan_release(g->chans[i]);
        free(g->arrays[i]);
    }
    rn_ctx_release(g->feeding);
    rn_ctx_release(g->ctx);
}

static int ended[STOPS][2]; /* how often without and with an error */
static int with_drops;

static void check_result(struct graph *g, int err)
{
    static const int codes[STOPS] = {
        [STOP_ERROR] = -EIO, [STOP_CANCEL] = -EPIPE, [STOP_CONTEXT] = -ECANCELED};
    rn_pipeline_stats stats;

    EXPECT(err == 0 || err == codes[g->stop]);
    rn_pipeline_stats_read(g->p, &stats);
    EXPECT(g->stop != STOP_NEVER || stats.dropped == 0);
    EXPECT_EQ(stats.fibers, 0);
    ended[g->stop][err != 0]++;
    with_drops += stats.dropped != 0;
}

static void run_graph(void)
{
    struct graph *g = calloc(1, sizeof *g);
    char name[40];

    snprintf(name, sizeof name, "PIPELINE_SEED=%llu", (unsigned long long)seed);

    g->random = seed * 0x9e3779b97f4a7c15u + 1;
    g->ctx = rn_ctx_with_cancel(NULL);
    g->feeding = rn_ctx_with_cancel(NULL);
    g->p = rn_pipeline_new(g->ctx, &(rn_pipeline_config){.name = name});
    g->stop = (enum stop)below(g, STOPS);
    g->stop_at = g->stop == STOP_NEVER ? -1 : 1 + below(g, 200);
    draw(g);
    start_receivers(g);
    if (g->stop == STOP_FREE) {
        EXPECT_EQ(rn_pipeline_start(g->p), 0);
        for (int i = below(g, 300); i > 0; i--)
            rn_yield();
    } else {
        check_result(g, rn_pipeline_run(g->p));
    }
    rn_pipeline_free(g->p);
    finish_ends(g);
    finish_sources(g);
    await_live(1);
    expect_tokens_settled();
    free(g);
}

TEST_FIBER(any_pipeline_gives_what_the_model_does_and_loses_nothing)
{
    const char *wanted = getenv("PIPELINE_SEED");
    int n = rounds(SEEDS);

    for (int i = 1; i <= n; i++) {
        seed = wanted != NULL ? strtoull(wanted, NULL, 10) : (uint64_t)i;
        run_graph();
    }
    for (int stop = 0; wanted == NULL && stop < STOP_FREE; stop++) { /* the seeds see all of it */
        EXPECT(ended[stop][0] > 0);
        EXPECT((ended[stop][1] > 0) == (stop != STOP_NEVER && stop != STOP_ENOUGH));
    }
    EXPECT(wanted != NULL || with_drops > n / 20);
}

/* The same with seeds that differ from run to run. */
TEST_FIBER(any_pipeline_of_this_moment_does_too)
{
    uint64_t first = (uint64_t)rn_now();
    int n = rounds(SEEDS / 10);

    for (int i = 0; i < n; i++) {
        seed = first + (uint64_t)i;
        run_graph();
    }
}
