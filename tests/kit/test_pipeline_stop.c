/*
 * How pipelines stop: by an error, by "enough", by their context, by free; and that nothing is left
 * then, neither a fiber nor an element.
 */
#include "streams.h"
#include "sync/waiting.h"

#include <runnel/limiter.h>
#include <sys/resource.h>

#define ITEMS 300

typedef rn_stream(struct token) token_stream;
typedef rn_stream(int) int_stream;
typedef rn_chan(struct token) token_chan;
typedef rn_batch(struct token) token_batch;

/* A stage's argument: what it does at the n-th element, counted over all its fibers. */
struct act {
    int at;   /* from 1; 0: never */
    int code; /* what it returns then */
    atomic_int calls;
};

static int code_now(struct act *act)
{
    return act != NULL && atomic_fetch_add(&act->calls, 1) + 1 == act->at ? act->code : 0;
}

static int make(rn_ctx *ctx, void *arg, rn_emitter(struct token) out)
{
    int err = 0;

    (void)ctx;
    for (int i = 0; err == 0 && i < ITEMS; i++)
        if ((err = code_now(arg)) == 0)
            err = rn_emit(out, token_new(i));
    return err;
}

/* The same for ever, and without asking what became of it. */
static int make_stubbornly(rn_ctx *ctx, void *arg, rn_emitter(struct token) out)
{
    (void)arg;
    while (rn_ctx_err(ctx) == 0)
        rn_emit(out, token_new(0));
    return 0;
}

static int change(rn_ctx *ctx, void *arg, struct token *in, struct token *out)
{
    int err = code_now(arg);

    (void)ctx;
    if (err == 0)
        *out = token_new(in->id);
    token_done(in);
    return err;
}

static int keep(rn_ctx *ctx, void *arg, const struct token *t)
{
    int err = code_now(arg);

    (void)ctx;
    return err != 0 ? err : t->id % 5 != 0;
}

static int doubled(rn_ctx *ctx, void *arg, struct token *in, rn_emitter(struct token) out)
{
    int err = code_now(arg), id = in->id;

    (void)ctx;
    token_done(in);
    for (int i = 0; err == 0 && i < 2; i++)
        err = rn_emit(out, token_new(id));
    return err;
}

static int unpack(rn_ctx *ctx, void *arg, token_batch *batch, rn_emitter(struct token) out)
{
    int err = code_now(arg);

    (void)ctx;
    for (size_t i = 0; i < batch->count; i++) {
        if (err == 0)
            err = rn_emit(out, batch->items[i]);
        else
            token_drop(&batch->items[i]);
    }
    free(batch->items);
    return err;
}

static int use(rn_ctx *ctx, void *arg, struct token *t)
{
    int err = code_now(arg);

    (void)ctx;
    token_done(t);
    return err;
}

static void use_plainly(struct token *t)
{
    token_done(t);
}

static void use_batch(token_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        token_done(&batch->items[i]);
    free(batch->items);
}

static int count_calls(rn_ctx *ctx, void *arg, int *n)
{
    (void)ctx, (void)n;
    return arg == NULL ? -EINVAL : 0;
}

enum { STAGES = 6 };

/* A line of all kinds: each stage's act, buffer and concurrency. */
struct line {
    struct act acts[STAGES];
    size_t buffer, concurrency;
    bool ordered;
    token_chan to; /* NULL: for_each */
};

static void build(rn_pipeline *p, struct line *l)
{
    token_stream s = rn_stream_generate(struct token, p, make, .arg = &l->acts[0],
                                        .drop = token_drop);

    s = rn_stream_map(struct token, s, change, .arg = &l->acts[1], .drop = token_drop,
                      .buffer = l->buffer, .concurrency = l->concurrency, .ordered = l->ordered);
    s = rn_stream_filter(s, keep, .arg = &l->acts[2], .buffer = l->buffer);
    s = rn_stream_flat_map(struct token, s, doubled, .arg = &l->acts[3], .drop = token_drop,
                           .concurrency = l->concurrency, .ordered = l->ordered);
    rn_stream(token_batch)
        b = rn_stream_batch(token_batch, s, 7, l->buffer == 0 ? RN_FOREVER : RN_HOUR);
    s = rn_stream_flat_map(struct token, b, unpack, .arg = &l->acts[4], .drop = token_drop,
                           .buffer = l->buffer);
    if (l->to != NULL)
        rn_stream_to_chan(s, l->to);
    else
        rn_stream_for_each(s, use, .arg = &l->acts[5]);
}

/* Everything in the end: nothing runs, nothing is lost, the counters agree. */
static void finish(rn_pipeline *p)
{
    expect_conserved(p);
    rn_pipeline_free(p);
    await_live(1);
    expect_tokens_settled();
}

static void every_shape(void (*scenario)(struct line *line, int variant), int variants)
{
    for (int variant = 0; variant < variants; variant++)
        for (int shape = 0; shape < 6; shape++) {
            struct line line = {.buffer = (size_t)shape % 3 * 2,
                                .concurrency = shape < 2 ? 1 : 3,
                                .ordered = shape >= 4};
            scenario(&line, variant);
        }
}

/* ---- the first error ---- */

struct told {
    const char *stage;
    int err;
    int times;
};

static void tell(void *arg, const char *stage, int err)
{
    struct told *told = arg;

    *told = (struct told){stage, err, told->times + 1};
}

static void fail_at(struct line *line, int variant)
{
    static const char *const names[] = {"make", "change", "keep", "doubled", "unpack", "use"};
    struct told told = {.times = 0};
    rn_pipeline *p = rn_pipeline_new(NULL,
                                     &(rn_pipeline_config){.on_error = tell, .events_arg = &told});
    int stage = variant % STAGES;

    line->acts[stage].at = 1 + variant / STAGES * 11;
    line->acts[stage].code = -EIO;
    build(p, line);
    EXPECT_EQ(rn_pipeline_run(p), -EIO);
    EXPECT_EQ(rn_pipeline_run(p), -EIO); /* again */
    EXPECT_STR(told.stage, names[stage]);
    EXPECT_EQ(told.err, -EIO);
    EXPECT_EQ(told.times, 1);
    finish(p);
}

TEST_FIBER(the_first_error_stops_every_stage)
{
    every_shape(fail_at, STAGES * 4);
}

static int fail_later(rn_ctx *ctx, void *arg, struct token *t)
{
    (void)arg;
    token_done(t);
    rn_ctx_wait(ctx); /* until the other has failed */
    return -EPERM;
}

TEST_FIBER(an_error_after_the_first_does_not_count)
{
    rn_pipeline *p = rn_pipeline_new(NULL, NULL);
    struct act act = {.at = 20, .code = 77};
    token_stream s = rn_stream_generate(struct token, p, make, .drop = token_drop);
    token_stream other = rn_stream_tee(s, .copy = token_copy);

    rn_stream_for_each(s, fail_later, .buffer = 100);
    rn_stream_for_each(other, use, .arg = &act, .buffer = 1);
    EXPECT_EQ(rn_pipeline_run(p), 77);
    rn_pipeline_free(p);
    await_live(1);
    expect_tokens_settled();
}

/* ---- "enough" ---- */

static void enough_at(struct line *line, int variant)
{
    rn_pipeline *p = rn_pipeline_new(NULL, NULL);
    int stage = variant % STAGES;

    line->acts[stage].at = 1 + variant / STAGES * 11;
    line->acts[stage].code = RN_ECLOSED;
    build(p, line);
    EXPECT_EQ(rn_pipeline_run(p), 0);
    finish(p);
}

TEST_FIBER(enough_at_any_stage_is_no_error)
{
    every_shape(enough_at, STAGES * 4);
}

static int until_ten(rn_ctx *ctx, void *arg, const int *n)
{
    (void)ctx, (void)arg;
    return *n < 10 ? 1 : RN_ECLOSED;
}

static int naturals(rn_ctx *ctx, void *arg, rn_emitter(int) out)
{
    int err = 0;

    (void)ctx, (void)arg;
    for (int i = 0; err == 0; i++)
        err = rn_emit(out, i);
    return err;
}

static int yield_and_copy(rn_ctx *ctx, void *arg, int *n, int *out)
{
    (void)ctx, (void)arg;
    for (int i = *n % 3; i >= 0; i--)
        rn_yield();
    *out = *n;
    return 0;
}

static int count_in_order(rn_ctx *ctx, void *arg, int *n)
{
    (void)ctx;
    EXPECT_EQ(*n, (*(int *)arg)++);
    return 0;
}

TEST_FIBER(what_came_before_enough_flows_on)
{
    for (size_t concurrency = 1; concurrency < 6; concurrency++) {
        rn_pipeline *p = rn_pipeline_new(NULL, NULL);
        int_stream n = rn_stream_generate(int, p, naturals);
        int next = 0;

        n = rn_stream_filter(n, until_ten, .concurrency = concurrency, .ordered = true);
        n = rn_stream_map(int, n, yield_and_copy, .concurrency = 3, .ordered = true);
        rn_stream_for_each(n, count_in_order, .arg = &next);
        EXPECT_EQ(rn_pipeline_run(p), 0);
        EXPECT_EQ(next, 10);
        rn_pipeline_free(p);
        await_live(1);
    }
}

/* Emits one, and then waits for something that never comes. */
static int emit_and_wait(rn_ctx *ctx, void *arg, rn_emitter(struct token) out)
{
    int err = rn_emit(out, token_new(1));

    (void)arg;
    return err != 0 ? err : rn_ctx_wait(ctx);
}

TEST_FIBER(enough_reaches_a_source_that_waits)
{
    rn_pipeline *p = rn_pipeline_new(NULL, NULL);
    struct act act = {.at = 1, .code = RN_ECLOSED};
    token_stream a = rn_stream_generate(struct token, p, emit_and_wait, .drop = token_drop);
    token_stream b = rn_stream_generate(struct token, p, emit_and_wait, .drop = token_drop,
                                        .concurrency = 3);

    rn_stream_for_each(rn_stream_merge(rn_stream_filter(a, keep, .buffer = 3), b), use, .arg = &act,
                       .buffer = 1);
    EXPECT_EQ(rn_pipeline_run(p), 0);
    rn_pipeline_free(p);
    await_live(1);
    expect_tokens_settled();
}

static void branch(size_t buffer, size_t other_buffer, int first_at, int second_at)
{
    rn_pipeline *p = rn_pipeline_new(NULL, NULL);
    struct act first = {.at = first_at, .code = RN_ECLOSED};
    struct act second = {.at = second_at, .code = RN_ECLOSED};
    token_stream s = rn_stream_generate(struct token, p, make, .drop = token_drop);
    token_stream t = rn_stream_tee(s, .copy = token_copy);

    s = rn_stream_map(struct token, s, change, .drop = token_drop, .buffer = buffer);
    rn_stream_for_each(s, use, .arg = &first);
    rn_stream_for_each(t, use, .arg = &second, .buffer = other_buffer);
    EXPECT_EQ(rn_pipeline_run(p), 0);
    EXPECT_EQ(atomic_load(&first.calls), first_at == 0 ? ITEMS : first_at);
    EXPECT_EQ(atomic_load(&second.calls), second_at == 0 ? ITEMS : second_at);
    rn_pipeline_free(p);
    await_live(1);
    expect_tokens_settled();
}

TEST_FIBER(a_branch_that_has_enough_holds_up_nobody)
{
    for (size_t buffer = 0; buffer < 3; buffer++)
        for (size_t other = 0; other < 3; other++) {
            branch(buffer, other, 10, 0);
            branch(buffer, other, 0, 10);
            branch(buffer, other, 20, 10);
            branch(buffer, other, 10, 20);
            branch(buffer, other, 0, 0);
        }
}

TEST_FIBER(a_stubborn_source_ends_too)
{
    rn_pipeline *p = rn_pipeline_new(NULL, NULL);
    struct act act = {.at = 5, .code = RN_ECLOSED};
    token_stream s = rn_stream_generate(struct token, p, make_stubbornly, .drop = token_drop);

    rn_stream_for_each(s, use, .arg = &act, .buffer = 1);
    EXPECT_EQ(rn_pipeline_run(p), 0);
    finish(p);
}

/* ---- the receiver of a channel ---- */

static void receive_some(struct line *line, int variant)
{
    rn_pipeline *p = rn_pipeline_new(NULL, NULL);
    struct token t;
    bool closes = variant % 2 == 0;

    line->to = rn_chan_make_with(struct token,
                                 &(rn_chan_options){.capacity = line->buffer, .drop = token_drop});
    build(p, line);
    EXPECT_EQ(rn_pipeline_start(p), 0);
    for (int i = 0; i < variant * 3; i++) {
        EXPECT_EQ(rn_recv(NULL, line->to, &t), 0);
        token_done(&t);
    }
    if (closes) {
        rn_close(line->to);
        EXPECT_EQ(rn_pipeline_wait(NULL, p), 0);
        expect_conserved(p);
    }
    rn_pipeline_free(p);
    rn_chan_release(line->to);
    await_live(1);
    expect_tokens_settled();
}

TEST_FIBER(nothing_is_left_wherever_the_receiver_stops)
{
    every_shape(receive_some, 30);
}

TEST_FIBER(the_channels_cause_is_the_pipelines_error)
{
    rn_pipeline *p = rn_pipeline_new(NULL, NULL);
    struct act act = {.at = 3, .code = -EIO};
    token_chan out = rn_chan_make_with(struct token,
                                       &(rn_chan_options){.capacity = 5, .drop = token_drop});
    struct token t;

    rn_stream_to_chan(rn_stream_generate(struct token, p, make, .arg = &act, .drop = token_drop),
                      out);
    EXPECT_EQ(rn_pipeline_start(p), 0);
    for (int i = 0; i < 2; i++) {
        EXPECT_EQ(rn_recv(NULL, out, &t), 0);
        token_done(&t);
    }
    EXPECT_EQ(rn_recv(NULL, out, &t), RN_ECLOSED);
    EXPECT_EQ(rn_close_cause(out), -EIO);
    EXPECT_EQ(rn_pipeline_wait(NULL, p), -EIO);
    finish(p);
    rn_chan_release(out);
}

/* ---- the context, cancel, free ---- */

static int cancel_at(rn_ctx *ctx, void *arg, struct token *t)
{
    (void)ctx;
    if (t->id == 10)
        rn_ctx_cancel(arg, -EIO);
    token_done(t);
    return 0;
}

TEST_FIBER(the_context_stops_every_stage)
{
    for (size_t concurrency = 1; concurrency < 4; concurrency++) {
        rn_ctx *ctx = rn_ctx_with_cancel(NULL);
        rn_pipeline *p = rn_pipeline_new(ctx, NULL);
        token_stream s = rn_stream_generate(struct token, p, make_stubbornly, .drop = token_drop);

        s = rn_stream_map(struct token, s, change, .drop = token_drop, .concurrency = concurrency);
        s = rn_stream_merge(s, rn_stream_generate(struct token, p, make, .drop = token_drop));
        rn_stream_for_each(s, cancel_at, .arg = ctx);
        EXPECT_EQ(rn_pipeline_run(p), -ECANCELED);
        rn_pipeline_free(p);
        rn_ctx_release(ctx);
        await_live(1);
        expect_tokens_settled();
    }
}

TEST_VIRTUAL(a_deadline_stops_every_stage)
{
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, RN_SECOND);
    rn_pipeline *p = rn_pipeline_new(ctx, NULL);
    token_stream s = rn_stream_generate(struct token, p, emit_and_wait, .drop = token_drop);

    rn_stream_for_each(rn_stream_batch(token_batch, s, 10, RN_MINUTE), use_batch);
    EXPECT_EQ(rn_pipeline_run(p), -ETIMEDOUT);
    EXPECT_EQ(rn_now(), RN_SECOND);
    finish(p);
    rn_ctx_release(ctx);
}

TEST_FIBER(a_context_that_has_ended_lets_nothing_through)
{
    rn_ctx *ctx = rn_ctx_with_cancel(NULL);
    rn_pipeline *p = rn_pipeline_new(ctx, NULL);
    struct line line = {.concurrency = 2};

    rn_ctx_cancel(ctx, 0);
    build(p, &line);
    EXPECT_EQ(rn_pipeline_run(p), -ECANCELED);
    EXPECT_EQ(atomic_load(&line.acts[5].calls), 0);
    finish(p);
    rn_ctx_release(ctx);
}

TEST_FIBER(cancel_gives_a_cause)
{
    rn_pipeline *p = rn_pipeline_new(NULL, NULL);

    rn_stream_for_each(
        rn_stream_generate(struct token, p, make_stubbornly, .drop = token_drop, .concurrency = 2),
        use_plainly);
    EXPECT_EQ(rn_pipeline_start(p), 0);
    await_count(&tokens_done, 1);
    rn_pipeline_cancel(p, -EPIPE);
    rn_pipeline_cancel(p, 0);
    EXPECT_EQ(rn_pipeline_wait(NULL, p), -EPIPE);
    finish(p);
}

TEST_FIBER(a_wait_can_be_given_up)
{
    rn_pipeline *p = rn_pipeline_new(NULL, NULL);
    rn_ctx *ended = rn_ctx_with_cancel(NULL), *late = rn_ctx_with_timeout(NULL, RN_MILLISECOND);

    EXPECT_EQ(rn_pipeline_wait(NULL, p), 0); /* not started */
    rn_stream_for_each(rn_stream_generate(struct token, p, emit_and_wait, .drop = token_drop),
                       use_plainly);
    EXPECT_EQ(rn_pipeline_start(p), 0);
    rn_ctx_cancel(ended, 0);
    EXPECT_EQ(rn_pipeline_wait(ended, p), -ECANCELED);
    EXPECT_EQ(rn_pipeline_wait(late, p), -ETIMEDOUT);
    rn_pipeline_free(p); /* while it runs */
    await_live(1);
    rn_ctx_release(ended);
    rn_ctx_release(late);
    expect_tokens_settled();
}

static void free_somewhere(struct line *line, int variant)
{
    rn_pipeline *p = rn_pipeline_new(NULL, NULL);

    build(p, line);
    if (variant > 0)
        EXPECT_EQ(rn_pipeline_start(p), 0);
    for (int i = 0; i < variant * variant; i++)
        rn_yield();
    rn_pipeline_free(p);
    await_live(1);
    expect_tokens_settled();
}

TEST_FIBER(free_may_come_at_any_time)
{
    every_shape(free_somewhere, 20);
}

/* ---- who lets go of what ---- */

static void array_until(size_t count, int stop)
{
    static struct token tokens[10];
    rn_pipeline *p = rn_pipeline_new(NULL, NULL);
    struct act act = {.at = stop, .code = RN_ECLOSED};

    for (size_t i = 0; i < count; i++)
        tokens[i] = token_new((int)i);
    rn_stream_for_each(rn_stream_from_array(struct token, p, tokens, count, .drop = token_drop),
                       use, .arg = &act);
    if (stop >= 0)
        EXPECT_EQ(rn_pipeline_run(p), 0);
    rn_pipeline_free(p);
    expect_tokens_settled();
}

#if !UNDER_ASAN && !UNDER_TSAN /* they need a great deal of address space */
static int count_call(rn_ctx *ctx, void *arg, rn_emitter(struct token) out)
{
    (void)ctx, (void)out;
    atomic_fetch_add((atomic_int *)arg, 1);
    return 0;
}

/* Its first fibers can be had, and others cannot. */
TEST_FIBER(a_start_that_fails_has_called_nothing)
{
    enum { SOURCES = 500, STACK_BYTES = 8 << 20 };
    struct rlimit scarce = {(rlim_t)1 << 30, RLIM_INFINITY};
    rn_pipeline *p = rn_pipeline_new(NULL, &(rn_pipeline_config){.stack_size = STACK_BYTES});
    token_chan in = rn_chan_make(struct token, 1);
    atomic_int calls = 0;
    struct token t = token_new(1);

    if (getenv("TEST_EMULATOR") == NULL) { /* qemu does not hold the program to RLIMIT_AS */
        EXPECT_EQ(rn_send(NULL, in, t), 0);
        rn_stream_for_each(rn_stream_from_chan(p, in), use);
        for (int i = 0; i < SOURCES; i++)
            rn_stream_for_each(rn_stream_generate(struct token, p, count_call, .arg = &calls), use);
        EXPECT_EQ(setrlimit(RLIMIT_AS, &scarce), 0);
        EXPECT_EQ(rn_pipeline_start(p), -ENOMEM);
        EXPECT_EQ(rn_pipeline_wait(NULL, p), -ENOMEM);
        EXPECT_EQ(atomic_load(&calls), 0);
        EXPECT_EQ(rn_try_recv(in, &t), 0);
    }
    token_done(&t);
    rn_pipeline_free(p);
    rn_chan_release(in);
}
#endif

TEST_FIBER(an_array_with_drop_is_the_pipelines)
{
    for (int stop = -1; stop < 11; stop++)
        array_until(10, stop);
    struct token t = token_new(1);
    rn_stream_from_array(struct token, (rn_pipeline *)NULL, &t, 1, .drop = token_drop);
    expect_tokens_settled();
}

TEST_FIBER(a_channel_keeps_what_was_not_received)
{
    rn_pipeline *p = rn_pipeline_new(NULL, NULL);
    token_chan in = rn_chan_make(struct token, 10);
    struct act act = {.at = 4, .code = RN_ECLOSED};
    struct token t;

    for (int i = 0; i < 10; i++)
        EXPECT_EQ(rn_try_send(in, token_new(i)), 0);
    rn_stream_for_each(rn_stream_from_chan(p, in, .drop = token_drop), use, .arg = &act);
    EXPECT_EQ(rn_pipeline_run(p), 0);
    EXPECT_EQ(rn_len(in), 6);
    while (rn_try_recv(in, &t) == 0)
        token_done(&t);
    rn_chan_release(in);
    finish(p);
}

static int no_copy(void *element)
{
    return ((struct token *)element)->id == 5 ? -ENOSPC : token_copy(element);
}

TEST_FIBER(a_copy_that_fails_ends_the_pipeline)
{
    rn_pipeline *p = rn_pipeline_new(NULL, NULL);
    token_stream s = rn_stream_generate(struct token, p, make, .drop = token_drop);

    rn_stream_for_each(rn_stream_tee(s, .copy = no_copy), use_plainly);
    rn_stream_for_each(rn_stream_tee(s, .copy = token_copy), use_plainly);
    rn_stream_for_each(s, use_plainly);
    EXPECT_EQ(rn_pipeline_run(p), -ENOSPC);
    EXPECT_EQ(atomic_load(&tokens_done), 15);
    rn_pipeline_free(p);
    expect_tokens_settled();
}

/* ---- throttle ---- */

TEST_VIRTUAL(throttle_waits_for_the_limiter)
{
    rn_pipeline *p = rn_pipeline_new(NULL, NULL);
    rn_limiter *l;
    static int values[100];

    EXPECT_EQ(rn_limiter_new(&l, &(rn_limiter_config){.per_second = 10, .burst = 1}), 0);
    rn_stream_for_each(
        rn_stream_throttle(rn_stream_from_array(int, p, values, 100), l, .name = "ten a second"),
        count_calls, .arg = p);
    EXPECT_EQ(rn_pipeline_run(p), 0);
    EXPECT_EQ((rn_now() + RN_MILLISECOND) / (10 * RN_MILLISECOND), 990);
    expect_conserved(p);
    rn_pipeline_free(p);
    rn_limiter_free(l);
}

TEST_VIRTUAL(a_throttle_fails_with_its_limiter)
{
    rn_ctx *ctx = rn_ctx_with_timeout(NULL, 950 * RN_MILLISECOND);
    rn_pipeline *p = rn_pipeline_new(ctx, NULL);
    token_stream s = rn_stream_generate(struct token, p, make, .drop = token_drop);
    rn_limiter *l;

    EXPECT_EQ(rn_limiter_new(&l, &(rn_limiter_config){.per_second = 10, .burst = 5}), 0);
    rn_stream_for_each(rn_stream_throttle(s, l), use_plainly);
    EXPECT_EQ(rn_pipeline_run(p), RN_ERATE); /* it would wait longer than the deadline is away */
    finish(p);
    rn_limiter_free(l);
    rn_ctx_release(ctx);
}

/* ---- misuse ---- */

static int wait_for_itself(rn_ctx *ctx, void *arg, struct token *t)
{
    (void)ctx;
    token_done(t);
    return rn_pipeline_run(arg);
}

TEST_FIBER(a_stage_cannot_wait_for_its_pipeline)
{
    rn_pipeline *p = rn_pipeline_new(NULL, NULL);

    rn_stream_for_each(rn_stream_generate(struct token, p, make, .drop = token_drop),
                       wait_for_itself, .arg = p, .concurrency = 2);
    EXPECT_EQ(rn_pipeline_run(p), -EDEADLK);
    finish(p);
}

static int free_itself(rn_ctx *ctx, void *arg, struct token *t)
{
    (void)ctx, (void)t;
    rn_pipeline_free(arg);
    return 0;
}

TEST_DIES(free_from_a_stage_is_misuse, "rn_pipeline_free was called from a function of the",
          SIGABRT)
{
    rn_pipeline *p = rn_pipeline_new(NULL, NULL);

    rn_stream_for_each(rn_stream_generate(struct token, p, make), free_itself, .arg = p);
    rn_pipeline_run(p);
}

TEST_DIES(a_stage_added_after_the_start_is_misuse, "added to a pipeline that has been started",
          SIGABRT)
{
    static const int numbers[10];
    rn_pipeline *p = rn_pipeline_new(NULL, NULL);

    rn_pipeline_run(p);
    rn_stream_from_array(int, p, numbers, 10);
}
