/*
 * Pipeline, running: how elements get through the stages, and how ends and "enough" do. The parts
 * and their invariants are in pipeline_parts.h.
 *
 * A fused stage costs two calls through pointers: its take, and the program's function. Each
 * element that crosses an edge is sent by itself, so that none waits for a batch to fill; they are
 * received as many at a time as there are, but one at a time by several fibers, so that one does
 * not sit on the work of the others.
 *
 * Rejected: checking the context at every stage. Sources and edges do, and what waits; the calls in
 * between run to their end.
 */
#include "pipeline_parts.h"

#include <runnel/fiber.h>
#include <runnel/limiter.h>
#include <runnel/select.h>

#include <stdlib.h>
#include <string.h>

#define EMITS_BEFORE_YIELD 128 /* a power of two */

/* ---- counting and losing ---- */

/* A counter that only one fiber writes. */
static inline void count_up(_Atomic(uint64_t) *counter)
{
    uint64_t n = atomic_load_explicit(counter, memory_order_relaxed);

    atomic_store_explicit(counter, n + 1, memory_order_relaxed);
}

struct any_batch {
    char *items;
    size_t count;
};

void stage_drop(const struct stage *made_by, void *element)
{
    if (made_by->kind == KIND_BATCH) {
        const struct stage *of_items = made_by->inputs->producer->made_by;
        struct any_batch *batch = element;
        for (size_t i = 0; i < batch->count; i++)
            stage_drop(of_items, element_at(batch->items, of_items->out_size, i));
        free(batch->items);
    } else if (made_by->opt.drop != NULL) {
        made_by->opt.drop(element);
    }
}

/* What the elements on their way into s are made by. */
static const struct stage *maker_in_front(const struct stage *s)
{
    return s->inputs->producer->made_by;
}

static void count_lost(struct inlet *to)
{
    atomic_fetch_add_explicit(&to->dropped, 1, memory_order_relaxed);
}

static void lose(struct inlet *to, void *element)
{
    count_lost(to);
    stage_drop(maker_in_front(to->stage), element);
}

/* An element that the lane's stage has given out, and that gets nowhere. */
static void lose_output(struct lane *lane, void *element)
{
    for (struct rn_stream *out = lane->stage->outputs; out != NULL; out = out->next)
        count_lost(out->to);
    stage_drop(lane->stage->made_by, element);
}

/* ---- turns of ordered fibers ---- */

static int await_turn(struct lane *lane)
{
    struct segment *seg = lane->segment;
    char token;
    int err = rn_chan_recv(seg->ctx, seg->gates[lane->seq % seg->head->lane_count], &token);

    lane->has_turn = err == 0;
    return err;
}

static void pass_turn(struct lane *lane)
{
    struct segment *seg = lane->segment;
    char token = 0;

    lane->has_turn = false;
    rn_chan_try_send(seg->gates[(lane->seq + 1) % seg->head->lane_count], &token);
}

/* Whether an element may leave an ordered stage; waits until all before it have. */
static int may_pass(struct lane *lane)
{
    int err = lane->has_turn ? 0 : await_turn(lane);

    return err == 0 && atomic_load(&lane->segment->ended) ? RN_ECLOSED : err;
}

/* ---- passing on ---- */

/* A copy of the element for one of a tee's further outputs. */
static int pass_copy(struct lane *lane, rn_ctx *ctx, struct rn_stream *out, const void *element)
{
    int err = 0;

    memcpy(lane->copy, element, lane->stage->out_size);
    if (out->copy != NULL)
        err = out->copy(lane->copy);
    if (err != 0) {
        count_lost(out->to);
        pipeline_fail(lane->stage->pipeline, lane->stage->name, err);
        return err;
    }
    return out->to->take(out->to, ctx, lane->copy);
}

/* RN_ECLOSED closes that output only. */
static int settle_output(struct rn_stream *out, int err)
{
    if (err == RN_ECLOSED)
        atomic_store(&out->closed, true);
    return err == RN_ECLOSED ? 0 : err;
}

static bool all_closed(const struct rn_stream *outputs)
{
    for (const struct rn_stream *out = outputs; out != NULL; out = out->next)
        if (!atomic_load(&out->closed))
            return false;
    return true;
}

/* To every output: copies to the further ones, then the element itself to the first. */
static int pass_to_all(struct lane *lane, rn_ctx *ctx, void *element)
{
    struct rn_stream *first = lane->stage->outputs;
    int err = 0, last;

    for (struct rn_stream *out = first->next; out != NULL; out = out->next) {
        if (err != 0 || atomic_load(&out->closed))
            count_lost(out->to);
        else
            err = settle_output(out, pass_copy(lane, ctx, out, element));
    }
    if (err != 0 || atomic_load(&first->closed)) {
        lose(first->to, element);
        last = 0;
    } else {
        last = settle_output(first, first->to->take(first->to, ctx, element));
    }
    err = err == 0 ? last : err;
    return err == 0 && all_closed(first) ? RN_ECLOSED : err;
}

/* Gives the element to what is behind the lane's stage. */
static int pass(struct lane *lane, rn_ctx *ctx, void *element)
{
    int err;

    count_up(&lane->out);
    if (lane->ordered && (err = may_pass(lane)) != 0) {
        lose_output(lane, element);
        return err;
    }
    if (lane->next != NULL)
        return lane->next->take(lane->next, ctx, element);
    return pass_to_all(lane, ctx, element);
}

/* A function's own code: an error of the pipeline, unless it only says that all ends. */
static int judge(struct lane *lane, rn_ctx *ctx, int err)
{
    if (err != 0 && err != RN_ECLOSED && rn_ctx_err(ctx) == 0)
        pipeline_fail(lane->stage->pipeline, lane->stage->name, err);
    return err;
}

/* ---- emitting ---- */

struct rn_emitter {
    struct lane *lane;
    rn_ctx *ctx;
    int code; /* of the emit that failed: all later ones do */
};

/* Lets others run now and then: a fused pipeline may never wait. */
static inline void breathe(struct lane *lane)
{
    if ((++lane->emitted & (EMITS_BEFORE_YIELD - 1)) == 0)
        rn_yield();
}

int rn_emit_untyped(struct rn_emitter *out, void *value)
{
    breathe(out->lane);
    if (out->code == 0)
        out->code = rn_ctx_err(out->ctx);
    if (out->code != 0) {
        count_up(&out->lane->out);
        lose_output(out->lane, value);
    } else {
        out->code = pass(out->lane, out->ctx, value);
    }
    return out->code;
}

/* What came of a function that emitted: why its emits failed goes before its own code. */
static int judge_emitter(struct rn_emitter *out, int err)
{
    return out->code != 0 ? out->code : judge(out->lane, out->ctx, err);
}

/* ---- taking, by kind of stage ---- */

typedef void plain_map_fn(void *in, void *out);
typedef int map_fn(rn_ctx *ctx, void *arg, void *in, void *out);
typedef bool plain_filter_fn(void *element);
typedef int filter_fn(rn_ctx *ctx, void *arg, void *element);
typedef void plain_each_fn(void *element);
typedef int each_fn(rn_ctx *ctx, void *arg, void *element);
typedef int flat_map_fn(rn_ctx *ctx, void *arg, void *in, struct rn_emitter *out);
typedef int generate_fn(rn_ctx *ctx, void *arg, struct rn_emitter *out);
typedef void plain_reduce_fn(void *total, void *element);
typedef int reduce_fn(rn_ctx *ctx, void *arg, void *total, void *element);

/* The lane that takes here, unless it has ended: then the element is lost, and it is NULL. */
static inline struct lane *lane_taking(struct inlet *to, void *element)
{
    struct lane *lane = (struct lane *)to;

    if (__builtin_expect(lane->code == 0, 1))
        return lane;
    lose(to, element);
    return NULL;
}

static inline int settle(struct lane *lane, int err)
{
    if (__builtin_expect(err != 0, 0))
        lane->code = err;
    return err;
}

static int take_map(struct inlet *to, rn_ctx *ctx, void *element)
{
    struct lane *lane = lane_taking(to, element);
    int err = 0;

    if (lane == NULL)
        return ((struct lane *)to)->code;
    const struct stage *s = lane->stage;
    count_up(&lane->in);
    if (s->fn.plain)
        ((plain_map_fn *)s->fn.fn)(element, lane->scratch);
    else
        err = judge(lane, ctx, ((map_fn *)s->fn.fn)(ctx, s->opt.arg, element, lane->scratch));
    return settle(lane, err != 0 ? err : pass(lane, ctx, lane->scratch));
}

static int take_filter(struct inlet *to, rn_ctx *ctx, void *element)
{
    struct lane *lane = lane_taking(to, element);
    int verdict;

    if (lane == NULL)
        return ((struct lane *)to)->code;
    const struct stage *s = lane->stage;
    count_up(&lane->in);
    if (s->fn.plain)
        verdict = ((plain_filter_fn *)s->fn.fn)(element);
    else
        verdict = ((filter_fn *)s->fn.fn)(ctx, s->opt.arg, element);
    if (verdict > 0)
        return settle(lane, pass(lane, ctx, element));
    stage_drop(s->made_by, element);
    return settle(lane, judge(lane, ctx, verdict));
}

static int take_flat_map(struct inlet *to, rn_ctx *ctx, void *element)
{
    struct lane *lane = lane_taking(to, element);

    if (lane == NULL)
        return ((struct lane *)to)->code;
    const struct stage *s = lane->stage;
    struct rn_emitter out = {.lane = lane, .ctx = ctx};
    count_up(&lane->in);
    int err = ((flat_map_fn *)s->fn.fn)(ctx, s->opt.arg, element, &out);
    return settle(lane, judge_emitter(&out, err));
}

static int take_for_each(struct inlet *to, rn_ctx *ctx, void *element)
{
    struct lane *lane = lane_taking(to, element);

    if (lane == NULL)
        return ((struct lane *)to)->code;
    const struct stage *s = lane->stage;
    count_up(&lane->in);
    if (!s->fn.plain)
        return settle(lane, judge(lane, ctx, ((each_fn *)s->fn.fn)(ctx, s->opt.arg, element)));
    ((plain_each_fn *)s->fn.fn)(element);
    return 0;
}

static int take_reduce(struct inlet *to, rn_ctx *ctx, void *element)
{
    struct lane *lane = lane_taking(to, element);

    if (lane == NULL)
        return ((struct lane *)to)->code;
    const struct stage *s = lane->stage;
    count_up(&lane->in);
    if (!s->fn.plain)
        return settle(
            lane, judge(lane, ctx, ((reduce_fn *)s->fn.fn)(ctx, s->opt.arg, s->total, element)));
    ((plain_reduce_fn *)s->fn.fn)(s->total, element);
    return 0;
}

static int take_throttle(struct inlet *to, rn_ctx *ctx, void *element)
{
    struct lane *lane = lane_taking(to, element);

    if (lane == NULL)
        return ((struct lane *)to)->code;
    int err = rn_limiter_wait(ctx, lane->stage->limiter, 1);
    if (err != 0) {
        lose(to, element);
        return settle(lane, judge(lane, ctx, err));
    }
    count_up(&lane->in);
    return settle(lane, pass(lane, ctx, element));
}

static int take_merge(struct inlet *to, rn_ctx *ctx, void *element)
{
    struct lane *lane = lane_taking(to, element);

    if (lane == NULL)
        return ((struct lane *)to)->code;
    count_up(&lane->in);
    return settle(lane, pass(lane, ctx, element));
}

static int take_to_chan(struct inlet *to, rn_ctx *ctx, void *element)
{
    struct lane *lane = lane_taking(to, element);

    if (lane == NULL)
        return ((struct lane *)to)->code;
    int err = rn_chan_send(ctx, lane->stage->chan, element);
    if (err != 0)
        lose(to, element);
    else
        count_up(&lane->in);
    return settle(lane, err);
}

static int take_edge(struct inlet *to, rn_ctx *ctx, void *element)
{
    int err = rn_chan_send(ctx, ((struct edge *)to)->chan, element);

    if (err != 0)
        lose(to, element);
    return err;
}

/* ---- batches ---- */

static int begin_batch(struct lane *lane, rn_ctx *ctx)
{
    const struct stage *s = lane->stage;

    lane->count = 0;
    lane->items = malloc(s->batch_max * s->in_size);
    return lane->items == NULL ? judge(lane, ctx, -ENOMEM) : 0;
}

/* Passes on what was gathered, if anything was. */
static int end_batch(struct lane *lane, rn_ctx *ctx)
{
    struct any_batch batch = {lane->items, lane->count};

    lane->items = NULL;
    if (batch.items == NULL)
        return 0;
    if (rn_ctx_err(ctx) == 0)
        return pass(lane, ctx, &batch);
    count_up(&lane->out);
    lose_output(lane, &batch);
    return rn_ctx_err(ctx);
}

static int take_batch(struct inlet *to, rn_ctx *ctx, void *element)
{
    struct lane *lane = lane_taking(to, element);
    int err;

    if (lane == NULL)
        return ((struct lane *)to)->code;
    const struct stage *s = lane->stage;
    if (lane->items == NULL && (err = begin_batch(lane, ctx)) != 0) {
        lose(to, element);
        return settle(lane, err);
    }
    count_up(&lane->in);
    memcpy(element_at(lane->items, s->in_size, lane->count++), element, s->in_size);
    return lane->count < s->batch_max ? 0 : settle(lane, end_batch(lane, ctx));
}

/* ---- ends ---- */

static void edge_end_producer(struct edge *edge)
{
    if (atomic_fetch_sub(&edge->producers, 1) == 1)
        rn_chan_close(edge->chan);
}

void stage_close_chan(struct stage *s, int cause)
{
    if (!s->opt.leave_open)
        rn_chan_close_with(s->chan, cause == 0 ? RN_ECLOSED : cause);
}

/* Why the pipeline ends early; 0 if it does not. */
static int why(rn_pipeline *p)
{
    int err = atomic_load(&p->first);

    return err != 0 || !atomic_load(&p->interrupted) ? err : rn_ctx_err(p->ctx);
}

static void tell_end(struct stage *s)
{
    const rn_pipeline_config *config = &s->pipeline->config;
    uint64_t in = 0, out = 0;

    if (config->on_end == NULL)
        return;
    for (size_t i = 0; i < s->lane_count; i++) {
        in += atomic_load_explicit(&s->lanes[i].in, memory_order_relaxed);
        out += atomic_load_explicit(&s->lanes[i].out, memory_order_relaxed);
    }
    config->on_end(config->events_arg, s->name, in, out);
}

/* Ends a stage, all of whose fibers are through, and those that are fused behind it. */
static void stage_end(struct stage *s)
{
    struct segment *seg = s->segment;

    if (s->kind == KIND_BATCH)
        end_batch(&s->lanes[0], seg->ctx);
    if (s->kind == KIND_FROM_ARRAY)
        stage_drop_rest_of_array(s);
    if (s->kind == KIND_TO_CHAN)
        stage_close_chan(s, why(s->pipeline));
    tell_end(s);
    for (struct rn_stream *out = s->outputs; out != NULL; out = out->next) {
        if (out->consumer->edge != NULL)
            edge_end_producer(out->consumer->edge);
        else
            stage_end(out->consumer);
    }
}

void stage_drop_rest_of_array(struct stage *s)
{
    for (; s->opt.drop != NULL && s->array_taken < s->array_count; s->array_taken++) {
        if (s->lanes != NULL)
            count_lost(&s->lanes[0].inlet);
        s->opt.drop((void *)(s->array + s->array_taken * s->out_size));
    }
}

/* ---- "enough" ---- */

/* Whether anything behind s still wants elements. */
static bool wanted(const struct stage *s)
{
    if (s->outputs == NULL)
        return true;
    for (const struct rn_stream *out = s->outputs; out != NULL; out = out->next)
        if (!atomic_load(&out->closed) && (out->consumer->edge != NULL || wanted(out->consumer)))
            return true;
    return false;
}

/*
 * Says "enough" for the stage behind the edge. Senders fail, other readers too; and who has nobody
 * else to work for ends.
 */
static void edge_abandon(struct edge *edge)
{
    struct rn_stream *in = edge->inlet.stage->inputs;

    if (atomic_exchange(&edge->abandoned, true))
        return;
    rn_chan_close(edge->chan);
    if (atomic_load(&edge->producers) == 0)
        return;
    for (struct rn_stream *i = in; i != NULL; i = i->next_input)
        atomic_store(&i->closed, true);
    for (; in != NULL; in = in->next_input)
        if (!wanted(in->producer->segment->head))
            rn_ctx_cancel(in->producer->segment->ctx, RN_ECLOSED);
}

static void edge_drain(struct edge *edge, void *place)
{
    while (rn_chan_try_recv(edge->chan, place) == 0)
        lose(&edge->inlet, place);
}

/* The last fiber of a segment has ended. */
static void segment_end(struct segment *seg)
{
    struct stage *head = seg->head;

    if (head->edge != NULL) {
        edge_abandon(head->edge);
        edge_drain(head->edge, head->lanes[0].chunk);
    }
    stage_end(head);
}

void lane_end(struct lane *lane, int err)
{
    struct segment *seg = lane->segment;
    rn_pipeline *p = seg->pipeline;

    if (err != 0 && err != RN_ECLOSED && rn_ctx_err(p->ctx) != 0)
        atomic_store(&p->interrupted, true);
    else if (err != 0 && err != RN_ECLOSED && rn_ctx_err(seg->ctx) == 0)
        pipeline_fail(p, seg->head->name, err); /* it could not wait: no memory for a timer */
    if (atomic_fetch_sub(&seg->live, 1) == 1)
        segment_end(seg);
    atomic_fetch_sub(&p->fibers, 1);
    rn_wait_group_done(&p->live);
}

/* ---- fibers ---- */

static int run_generate(struct lane *lane, rn_ctx *ctx)
{
    const struct stage *s = lane->stage;
    struct rn_emitter out = {.lane = lane, .ctx = ctx};
    int err = ((generate_fn *)s->fn.fn)(ctx, s->opt.arg, &out);

    return judge_emitter(&out, err);
}

static int run_array(struct lane *lane, rn_ctx *ctx)
{
    struct stage *s = lane->stage;
    int err = 0;

    while (err == 0 && s->array_taken < s->array_count) {
        breathe(lane);
        err = rn_ctx_err(ctx);
        if (err != 0)
            break;
        memcpy(lane->scratch, s->array + s->array_taken++ * s->out_size, s->out_size);
        err = pass(lane, ctx, lane->scratch);
    }
    return err;
}

static int run_chan(struct lane *lane, rn_ctx *ctx)
{
    int err = 0;

    while (err == 0 && (err = rn_chan_recv(ctx, lane->stage->chan, lane->scratch)) == 0)
        err = pass(lane, ctx, lane->scratch);
    return err; /* RN_ECLOSED: the end, by the channel or by what is behind */
}

/* Gives what was received to the stage's function. */
static int take_chunk(struct lane *lane, rn_ctx *ctx, size_t n)
{
    struct stage *s = lane->stage;
    int err = 0;

    for (size_t i = 0; i < n; i++) {
        void *element = element_at(lane->chunk, s->in_size, i);
        if (err == 0 && atomic_load(&lane->segment->ended))
            err = RN_ECLOSED;
        if (err == 0)
            err = lane->inlet.take(&lane->inlet, ctx, element);
        else
            lose(&lane->inlet, element);
    }
    return err;
}

static void segment_enough(struct segment *seg)
{
    atomic_store(&seg->ended, true);
    edge_abandon(seg->head->edge);
}

static int run_edge(struct lane *lane, rn_ctx *ctx)
{
    struct stage *s = lane->stage;
    int err = 0;

    while (err == 0) {
        ptrdiff_t n = rn_chan_recv_n(ctx, s->edge->chan, lane->chunk, s->chunk_room);
        if (n < 0)
            return n == RN_ECLOSED ? 0 : (int)n;
        err = take_chunk(lane, ctx, (size_t)n);
    }
    if (err == RN_ECLOSED)
        segment_enough(lane->segment);
    return err;
}

/* Receives the next element and its number. RN_ECLOSED: there are no more. */
static int recv_numbered(struct lane *lane, rn_ctx *ctx)
{
    struct segment *seg = lane->segment;
    int err = rn_chan_recv(ctx, seg->baton, &lane->seq);

    if (err != 0)
        return err;
    err = atomic_load(&seg->ended) ? RN_ECLOSED
                                   : rn_chan_recv(ctx, lane->stage->edge->chan, lane->chunk);
    if (err != 0)
        rn_chan_close(seg->baton);
    else
        rn_chan_try_send(seg->baton, &(uint64_t){lane->seq + 1});
    return err;
}

static int run_ordered(struct lane *lane, rn_ctx *ctx)
{
    int err, turn;

    while ((err = recv_numbered(lane, ctx)) == 0) {
        err = lane->inlet.take(&lane->inlet, ctx, lane->chunk);
        turn = lane->has_turn ? 0 : await_turn(lane);
        if (turn != 0)
            return turn;
        if (err == RN_ECLOSED)
            segment_enough(lane->segment);
        pass_turn(lane);
        if (err != 0)
            return err;
    }
    return err;
}

/* Gathers until the batch is full, its time is up, or nothing more comes, which is not 0. */
static int gather(struct lane *lane, rn_ctx *ctx)
{
    const struct stage *s = lane->stage;
    rn_time deadline = rn_time_add(rn_now(), s->batch_timeout);
    int err = 0;

    while (err == 0 && lane->count < s->batch_max) {
        rn_duration left = deadline - rn_now();
        void *place = element_at(lane->items, s->in_size, lane->count);
        int code = 0;
        if (left <= 0)
            break;
        err = rn_chan_try_recv(s->edge->chan, place);
        if (err == -EAGAIN) {
            rn_case cases[] = {
                {.kind = RN_CASE_RECV, .chan = s->edge->chan, .value = place, .code = &code},
                rn_on_timeout(left)};
            int fired = rn_select_n(ctx, cases, 2, 0);
            if (fired == 1)
                return 0;
            err = fired < 0 ? fired : code;
        }
        if (err == 0) {
            count_up(&lane->in);
            lane->count++;
        }
    }
    return err;
}

/* Batches with a timeout; those without are gathered by take_batch. */
static int run_batch(struct lane *lane, rn_ctx *ctx)
{
    struct stage *s = lane->stage;
    int err = 0, input = 0;

    while (err == 0 && input == 0) {
        err = rn_chan_recv(ctx, s->edge->chan, lane->chunk);
        if (err != 0)
            return err;
        err = begin_batch(lane, ctx);
        if (err != 0) {
            lose(&lane->inlet, lane->chunk);
            return err;
        }
        memcpy(lane->items, lane->chunk, s->in_size);
        count_up(&lane->in);
        lane->count = 1;
        input = gather(lane, ctx);
        err = end_batch(lane, ctx);
    }
    return err != 0 ? err : input;
}

static int run(struct lane *lane, rn_ctx *ctx)
{
    struct stage *s = lane->stage;

    switch (s->kind) {
    case KIND_GENERATE:
        return run_generate(lane, ctx);
    case KIND_FROM_ARRAY:
        return run_array(lane, ctx);
    case KIND_FROM_CHAN:
        return run_chan(lane, ctx);
    case KIND_BATCH:
        return s->batch_timeout != RN_FOREVER ? run_batch(lane, ctx) : run_edge(lane, ctx);
    default:
        return lane->ordered ? run_ordered(lane, ctx) : run_edge(lane, ctx);
    }
}

void lane_run(void *arg)
{
    struct lane *lane = arg;

    rn_pipeline *p = lane->segment->pipeline;
    int err;

    atomic_store(&lane->fiber, rn_fiber_id());
    rn_wait_group_wait(NULL, &p->launch);
    err = atomic_load(&p->start_err);
    lane_end(lane, err != 0 ? err : run(lane, lane->segment->ctx));
}

void lane_prepare(struct lane *lane)
{
    static int (*const takes[])(struct inlet * to, rn_ctx * ctx, void *element) = {
        [KIND_MAP] = take_map,           [KIND_FILTER] = take_filter,
        [KIND_FLAT_MAP] = take_flat_map, [KIND_BATCH] = take_batch,
        [KIND_THROTTLE] = take_throttle, [KIND_MERGE] = take_merge,
        [KIND_FOR_EACH] = take_for_each, [KIND_REDUCE] = take_reduce,
        [KIND_TO_CHAN] = take_to_chan};

    lane->inlet.take = takes[lane->stage->kind];
    lane->inlet.stage = lane->stage;
}

void edge_prepare(struct edge *edge, struct stage *reader)
{
    edge->inlet.take = take_edge;
    edge->inlet.stage = reader;
    atomic_init(&edge->producers, reader->input_count);
}
