/*
 * Pipeline, building: stages and streams, and what can be wrong with them. The parts are in
 * pipeline_parts.h.
 *
 * What is wrong is kept in the pipeline, the first with its sentence, and said by start. A stage
 * that was told something wrong is made all the same, so that what is built on it is too.
 */
#include "pipeline_parts.h"

#include <runnel/error.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONCURRENCY_MAX 1000000
#define BUFFER_DEFAULT 64 /* elements */

/* What a kind of stage can be told. */
enum { CAN_CONCURRENCY = 1, CAN_ORDER = 2, CAN_BUFFER = 4, CAN_DROP = 8, CAN_LEAVE_OPEN = 16 };

static const struct kind {
    const char *name;
    unsigned can;
} kinds[] = {
    [KIND_GENERATE] = {"generate", CAN_CONCURRENCY | CAN_DROP},
    [KIND_FROM_ARRAY] = {"from_array", CAN_DROP},
    [KIND_FROM_CHAN] = {"from_chan", CAN_DROP},
    [KIND_MAP] = {"map", CAN_CONCURRENCY | CAN_ORDER | CAN_BUFFER | CAN_DROP},
    [KIND_FILTER] = {"filter", CAN_CONCURRENCY | CAN_ORDER | CAN_BUFFER},
    [KIND_FLAT_MAP] = {"flat_map", CAN_CONCURRENCY | CAN_ORDER | CAN_BUFFER | CAN_DROP},
    [KIND_BATCH] = {"batch", CAN_BUFFER},
    [KIND_THROTTLE] = {"throttle", CAN_BUFFER},
    [KIND_MERGE] = {"merge", CAN_BUFFER},
    [KIND_FOR_EACH] = {"for_each", CAN_CONCURRENCY | CAN_BUFFER},
    [KIND_REDUCE] = {"reduce", CAN_BUFFER},
    [KIND_TO_CHAN] = {"to_chan", CAN_BUFFER | CAN_LEAVE_OPEN},
};

const char *stage_kind_name(enum stage_kind kind)
{
    return kinds[kind].name;
}

/* ---- what is wrong ---- */

__attribute__((format(printf, 3, 4))) static void wrong(rn_pipeline *p, int err, const char *format,
                                                        ...)
{
    va_list args;

    if (p->build_err != 0)
        return;
    p->build_err = err;
    va_start(args, format);
    vsnprintf(p->detail, sizeof p->detail, format, args);
    va_end(args);
}

static void refuse_option(struct stage *s, bool given, unsigned capability, const char *field)
{
    if (given && (kinds[s->kind].can & capability) == 0)
        wrong(s->pipeline, -EINVAL, "%s \"%s\": %s is of no use to this kind of stage",
              kinds[s->kind].name, s->name, field);
}

static void check_options(struct stage *s)
{
    const rn_stage_options *o = &s->opt;

    refuse_option(s, o->concurrency > 1, CAN_CONCURRENCY, ".concurrency");
    refuse_option(s, o->ordered, CAN_ORDER, ".ordered");
    refuse_option(s, o->buffer != 0, CAN_BUFFER, ".buffer");
    refuse_option(s, o->drop != NULL, CAN_DROP, ".drop");
    refuse_option(s, o->copy != NULL, 0, ".copy");
    refuse_option(s, o->leave_open, CAN_LEAVE_OPEN, ".leave_open");
    refuse_option(s, o->arg != NULL && (s->fn.plain || s->fn.fn == NULL), 0, ".arg");
    if (o->concurrency > CONCURRENCY_MAX)
        wrong(s->pipeline, -EINVAL, "%s \"%s\": .concurrency is %zu: allowed are 1 to %d",
              kinds[s->kind].name, s->name, o->concurrency, CONCURRENCY_MAX);
    if (o->buffer > PTRDIFF_MAX / 2 / (s->in_size + 1))
        wrong(s->pipeline, -EINVAL, "%s \"%s\": .buffer is %zu: too many for elements of %zu bytes",
              kinds[s->kind].name, s->name, o->buffer, s->in_size);
}

/* ---- stages and streams ---- */

static struct rn_stream *stream_make(struct stage *producer)
{
    struct rn_stream *stream = calloc(1, sizeof *stream), **last = &producer->outputs;

    if (stream == NULL) {
        wrong(producer->pipeline, -ENOMEM, "out of memory for a stream");
        return NULL;
    }
    while (*last != NULL)
        last = &(*last)->next;
    *last = stream;
    stream->pipeline = producer->pipeline;
    stream->producer = producer;
    return stream;
}

/* A stage without inputs; NULL when out of memory, which the pipeline then knows. */
static struct stage *stage_make(rn_pipeline *p, enum stage_kind kind, rn_stage_function fn,
                                size_t out_size, const rn_stage_options *opt)
{
    struct stage *s;

    if (atomic_load(&p->started))
        pipeline_misuse("a stage was added to a pipeline that has been started");
    s = calloc(1, sizeof *s);
    if (s == NULL) {
        wrong(p, -ENOMEM, "out of memory for a stage");
        return NULL;
    }
    *p->last_stage = s;
    p->last_stage = &s->next;
    p->stage_count++;
    s->pipeline = p;
    s->kind = kind;
    s->fn = fn;
    s->opt = *opt;
    s->out_size = out_size;
    s->made_by = s;
    s->name = opt->name != NULL   ? opt->name
              : opt->site != NULL ? opt->site->function
                                  : kinds[kind].name;
    if (s->opt.concurrency == 0)
        s->opt.concurrency = 1;
    return s;
}

static void connect(struct stage *s, struct rn_stream *stream)
{
    struct rn_stream **last = &s->inputs;

    if (stream->consumer != NULL) {
        wrong(s->pipeline, -EINVAL,
              "%s \"%s\": the stream of \"%s\" leads to \"%s\" already: make a second with "
              "rn_stream_tee",
              kinds[s->kind].name, s->name, stream->producer->name, stream->consumer->name);
        return;
    }
    if (stream->pipeline != s->pipeline) {
        wrong(s->pipeline, -EINVAL, "%s \"%s\": the stream of \"%s\" is another pipeline's",
              kinds[s->kind].name, s->name, stream->producer->name);
        return;
    }
    while (*last != NULL)
        last = &(*last)->next_input;
    *last = stream;
    stream->consumer = s;
    s->input_count++;
}

/* A stage behind a stream. out_size 0 with passes_on: its elements are those of the stream. */
static struct stage *stage_behind(struct rn_stream *stream, enum stage_kind kind,
                                  rn_stage_function fn, size_t out_size, bool passes_on,
                                  const rn_stage_options *opt)
{
    struct stage *s, *before;

    if (stream == NULL)
        return NULL;
    before = stream->producer;
    s = stage_make(stream->pipeline, kind, fn, passes_on ? before->out_size : out_size, opt);
    if (s == NULL)
        return NULL;
    s->in_size = before->out_size;
    if (passes_on)
        s->made_by = before->made_by;
    connect(s, stream);
    check_options(s);
    if (s->opt.buffer == 0 && (s->opt.concurrency > 1 || before->opt.concurrency > 1))
        s->opt.buffer = BUFFER_DEFAULT;
    return s;
}

static struct rn_stream *output(struct stage *s)
{
    return s == NULL ? NULL : stream_make(s);
}

static const rn_stage_function no_function;

/* ---- sources ---- */

static struct stage *source(rn_pipeline *p, enum stage_kind kind, rn_stage_function fn, size_t size,
                            const rn_stage_options *opt)
{
    struct stage *s = p == NULL ? NULL : stage_make(p, kind, fn, size, opt);

    if (s != NULL)
        check_options(s);
    return s;
}

struct rn_stream *rn_stream_generate_untyped(rn_pipeline *p, size_t size, rn_stage_function fn,
                                             const rn_stage_options *opt)
{
    return output(source(p, KIND_GENERATE, fn, size, opt));
}

/* Drops n elements that no pipeline has room for. */
static void drop_array(const char *array, size_t n, size_t size, void (*drop)(void *element))
{
    for (size_t i = 0; drop != NULL && i < n; i++)
        drop((void *)(array + i * size));
}

struct rn_stream *rn_stream_from_array_untyped(rn_pipeline *p, const void *array, size_t n,
                                               size_t size, const rn_stage_options *opt)
{
    struct stage *s = source(p, KIND_FROM_ARRAY, no_function, size, opt);

    if (s == NULL) {
        drop_array(array, n, size, opt->drop);
        return NULL;
    }
    s->array = array;
    s->array_count = n;
    return output(s);
}

struct rn_stream *rn_stream_from_chan_untyped(rn_pipeline *p, struct rn_chan *ch, size_t size,
                                              const rn_stage_options *opt)
{
    struct stage *s = source(p, KIND_FROM_CHAN, no_function, size, opt);

    if (s == NULL)
        return NULL;
    s->chan = ch;
    rn_chan_retain_untyped(ch);
    return output(s);
}

/* ---- stages ---- */

struct rn_stream *rn_stream_map_untyped(struct rn_stream *stream, size_t size, rn_stage_function fn,
                                        const rn_stage_options *opt)
{
    return output(stage_behind(stream, KIND_MAP, fn, size, false, opt));
}

struct rn_stream *rn_stream_filter_untyped(struct rn_stream *stream, rn_stage_function fn,
                                           const rn_stage_options *opt)
{
    return output(stage_behind(stream, KIND_FILTER, fn, 0, true, opt));
}

struct rn_stream *rn_stream_flat_map_untyped(struct rn_stream *stream, size_t size,
                                             rn_stage_function fn, const rn_stage_options *opt)
{
    return output(stage_behind(stream, KIND_FLAT_MAP, fn, size, false, opt));
}

struct rn_stream *rn_stream_batch_untyped(struct rn_stream *stream, size_t n, rn_duration timeout,
                                          const rn_stage_options *opt)
{
    struct stage *s = stage_behind(stream, KIND_BATCH, no_function, sizeof(rn_batch(char)), false,
                                   opt);

    if (s == NULL)
        return NULL;
    if (n == 0 || n > PTRDIFF_MAX / (s->in_size + 1))
        wrong(s->pipeline, -EINVAL, "batch \"%s\": n is %zu: allowed are 1 to %zu", s->name, n,
              PTRDIFF_MAX / (s->in_size + 1));
    if (timeout <= 0)
        wrong(s->pipeline, -EINVAL, "batch \"%s\": timeout is %lld: allowed are 1 ns to RN_FOREVER",
              s->name, (long long)timeout);
    s->batch_max = n;
    s->batch_timeout = timeout;
    if (timeout != RN_FOREVER && s->opt.buffer == 0)
        s->opt.buffer = BUFFER_DEFAULT;
    return output(s);
}

struct rn_stream *rn_stream_throttle_untyped(struct rn_stream *stream, rn_limiter *limiter,
                                             const rn_stage_options *opt)
{
    struct stage *s = stage_behind(stream, KIND_THROTTLE, no_function, 0, true, opt);

    if (s == NULL)
        return NULL;
    if (limiter == NULL)
        wrong(s->pipeline, -EINVAL, "throttle \"%s\": the limiter is NULL", s->name);
    s->limiter = limiter;
    return output(s);
}

/* Whether a bytewise copy of such an element is none of its own. */
static bool is_owner(const struct stage *made_by)
{
    return made_by->kind == KIND_BATCH || made_by->opt.drop != NULL;
}

struct rn_stream *rn_stream_tee_untyped(struct rn_stream *stream, const rn_stage_options *opt)
{
    struct rn_stream *second;

    if (stream == NULL)
        return NULL;
    if (atomic_load(&stream->pipeline->started))
        pipeline_misuse("a stage was added to a pipeline that has been started");
    if (opt->name != NULL || opt->arg != NULL || opt->concurrency != 0 || opt->ordered ||
        opt->buffer != 0 || opt->drop != NULL || opt->leave_open)
        wrong(stream->pipeline, -EINVAL, "tee of \"%s\": takes no option but .copy",
              stream->producer->name);
    if (opt->copy == NULL && is_owner(stream->producer->made_by))
        wrong(stream->pipeline, -EINVAL,
              "tee of \"%s\": .copy is NULL: elements with a .drop, and batches, need one",
              stream->producer->name);
    second = stream_make(stream->producer);
    if (second != NULL)
        second->copy = opt->copy;
    return second;
}

static bool same_drop(const struct stage *a, const struct stage *b)
{
    if (a->kind == KIND_BATCH && b->kind == KIND_BATCH && a->inputs != NULL && b->inputs != NULL)
        return same_drop(a->inputs->producer->made_by, b->inputs->producer->made_by);
    return a->kind != KIND_BATCH && b->kind != KIND_BATCH && a->opt.drop == b->opt.drop;
}

static void connect_all(struct stage *s, const char *streams, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct rn_stream *stream;
        memcpy(&stream, streams + i * sizeof stream, sizeof stream);
        if (stream == NULL) {
            wrong(s->pipeline, -EINVAL, "merge: stream number %zu is NULL", i);
            continue;
        }
        if (stream->producer->out_size != s->in_size ||
            !same_drop(stream->producer->made_by, s->made_by))
            wrong(s->pipeline, -EINVAL, "merge: the streams of \"%s\" and \"%s\" differ in .drop",
                  s->made_by->name, stream->producer->made_by->name);
        connect(s, stream);
    }
}

/* The first of n streams that there was memory for. */
static struct rn_stream *first_stream(const char *streams, size_t n)
{
    struct rn_stream *stream = NULL;

    for (size_t i = 0; i < n && stream == NULL; i++)
        memcpy(&stream, streams + i * sizeof stream, sizeof stream);
    return stream;
}

struct rn_stream *rn_stream_merge_untyped(const void *streams, size_t n)
{
    struct rn_stream *first = first_stream(streams, n);
    struct stage *s;

    if (first == NULL)
        return NULL;
    s = stage_make(first->pipeline, KIND_MERGE, no_function, first->producer->out_size,
                   &(rn_stage_options){.buffer = BUFFER_DEFAULT});
    if (s == NULL)
        return NULL;
    s->in_size = s->out_size;
    s->made_by = first->producer->made_by;
    connect_all(s, streams, n);
    return output(s);
}

/* ---- ends ---- */

void rn_stream_for_each_untyped(struct rn_stream *stream, rn_stage_function fn,
                                const rn_stage_options *opt)
{
    stage_behind(stream, KIND_FOR_EACH, fn, 0, false, opt);
}

void rn_stream_reduce_untyped(struct rn_stream *stream, void *total, rn_stage_function fn,
                              const rn_stage_options *opt)
{
    struct stage *s = stage_behind(stream, KIND_REDUCE, fn, 0, false, opt);

    if (s != NULL)
        s->total = total;
}

void rn_stream_to_chan_untyped(struct rn_stream *stream, struct rn_chan *ch,
                               const rn_stage_options *opt)
{
    struct stage *s = stage_behind(stream, KIND_TO_CHAN, no_function, 0, false, opt);

    if (s == NULL) {
        if (!opt->leave_open)
            rn_chan_close_with(ch, -ENOMEM); /* nobody will send: who receives must learn of it */
        return;
    }
    s->chan = ch;
    rn_chan_retain_untyped(ch);
}
