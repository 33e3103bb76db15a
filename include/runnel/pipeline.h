/*
 * rn_pipeline - streams of values through stages: sources, functions, ends.
 *
 * rn_stream(T) is what flows from one stage to the next. Each stage takes a stream and gives one,
 * and its function is checked against the types on both sides: a mismatch does not compile.
 *
 *     static void square(const int *n, long *out) { *out = (long)*n * *n; }
 *     static bool even(const long *n) { return *n % 2 == 0; }
 *     static void print(long *n) { printf("%ld\n", *n); }
 *
 *     rn_pipeline *p = rn_pipeline_new(ctx, NULL);
 *     rn_stream(int) numbers = rn_stream_from_array(int, p, values, 10);
 *     rn_stream(long) squares = rn_stream_map(long, numbers, square);
 *
 *     rn_stream_for_each(rn_stream_filter(squares, even), print);
 *     err = rn_pipeline_run(p);              the first error of any stage, or of building
 *     rn_pipeline_free(p);
 *
 * Functions come in two shapes. The plain one is above. The full one, for what can fail, waits or
 * needs an argument, is given the context first, then the stage's .arg, and returns a code:
 *
 *     static int fetch(rn_ctx *ctx, void *arg, struct url *url, struct page *page) { ... }
 *
 *     pages = rn_stream_map(struct page, urls, fetch, .arg = &proxy, .concurrency = 8,
 *                           .ordered = true);
 *
 * 0 goes on. RN_ECLOSED says "enough": the stage takes nothing more, what it gave before flows on,
 * all that only served it stops, and that is no error. Any other code is the pipeline's error, and
 * ends all its stages. (A filter's function returns 1 to keep, 0 to refuse, or such a code.)
 *
 * Where stages run: a stage of concurrency 1 runs on the fiber of the stage before it, as a call,
 * which costs next to nothing. It gets a fiber of its own, and a channel in front, by .buffer: give
 * one to a stage that waits, so that the stages before it go on meanwhile. A stage of concurrency n
 * has n fibers, and the stage behind it a fiber of its own, so that no function but those with a
 * .concurrency is ever called twice at once. Fibers are named after the stages they run, as in
 * "numbers|square|even|print".
 *
 * Lifetime
 * 1. A pipeline belongs to who made it, who frees it. free cancels what still runs and waits for
 *    it: no fiber outlives it, wherever it was.
 * 2. NULL is a pipeline, and a stream, for which there was no memory: all calls take it, and run
 *    returns -ENOMEM. Whatever is wrong with a stage is said once, by start or run.
 * 3. Each stream leads to one place; rn_stream_tee makes a second of the same elements. Streams are
 *    the pipeline's, and end with it.
 * 4. Elements are copied as bytes. A function owns the element that it is given, whatever it
 *    returns; a filter's function and .copy only look. What a function has put into *out counts if
 *    it returns 0. What is given to rn_emit is the pipeline's, whatever that returns.
 * 5. An element that will reach no function any more is given to the .drop of the stage that made
 *    it (of each item for a batch), and so is what a filter refuses. Each element thus meets one
 *    function, one channel, or one .drop.
 *
 * At once  building: by one. start, run, wait, cancel, stats: any number of fibers and threads.
 */
#ifndef RUNNEL_PIPELINE_H
#define RUNNEL_PIPELINE_H

#include <runnel/chan.h>
#include <runnel/ctx.h>
#include <runnel/error.h>
#include <runnel/fiber.h>
#include <runnel/time.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

RN_BEGIN_DECLS

typedef struct rn_pipeline rn_pipeline;
typedef struct rn_limiter rn_limiter;
struct rn_stream;
struct rn_emitter;

/* The types of a stream of T, and of the place where a function emits values of T. */
#define rn_stream(T) __typeof__(__typeof__(T)(*)(struct rn_stream *))
#define rn_emitter(T) __typeof__(__typeof__(T)(*)(struct rn_emitter *))

/* The untyped stream under a typed one, and the types of the elements. */
#define rn_stream_untyped(stream) (__extension__(struct rn_stream *)(stream))
#define RN_STREAM_ELEMENT(stream) __typeof__((stream)((struct rn_stream *)0))
#define RN_EMITTER_ELEMENT(out) __typeof__((out)((struct rn_emitter *)0))

/* What a batch stage gives: the items are the receiver's, who frees the array with free(). */
#define rn_batch(T)                                                                                \
    struct {                                                                                       \
        __typeof__(T) *items;                                                                      \
        size_t count;                                                                              \
    }

/* How a pipeline is made; zero is the default of each field. */
typedef struct rn_pipeline_config {
    const char *name; /* shown in dumps, as an exhibit; must outlive the pipeline */
    /* Called once, with the stage's name and its code, for the error that ends the pipeline. */
    void (*on_error)(void *arg, const char *stage, int err);
    /* Called as each stage ends, with what went through it. */
    void (*on_end)(void *arg, const char *stage, uint64_t in, uint64_t out);
    void *events_arg;
    size_t stack_size; /* of each fiber; default RUNNEL_STACK */
} rn_pipeline_config;

/*
 * What each stage can be told, as further arguments: .name = "fetch", .concurrency = 8. Zero is the
 * default of each field; those that a stage has no use for are -EINVAL.
 */
typedef struct rn_stage_options {
    const char *name; /* in dumps and events; must outlive the pipeline; default: the function's */
    void *arg;        /* for a function of the full shape */
    size_t concurrency; /* calls of the function at once; default 1 */
    /*
     * With concurrency: elements leave in the order in which they came, and no more than
     * .concurrency are between the two.
     */
    bool ordered;
    size_t buffer; /* elements that may wait in front; default: 64 if it needs fibers of its own */
    /* Called for each element that this stage made and that reaches no function any more. */
    void (*drop)(void *element);
    /*
     * tee: called on each bytewise copy, to make it one of its own: a reference more, a duplicate
     * of what it points to. Not 0 is the pipeline's error; that copy is not dropped.
     */
    int (*copy)(void *element);
    bool leave_open;     /* to_chan: do not close the channel at the end */
    const rn_site *site; /* where the stage was built: the macros' */
} rn_stage_options;

/* ---- under the macros ---- */

/* A stage's function of either shape. */
typedef struct rn_stage_function {
    void (*fn)(void);
    bool plain;
} rn_stage_function;

/* In each macro: the stream is evaluated once, and its elements and sizes are checked. */
#define RN_STAGE_FITS(T) _Static_assert(_Alignof(T) <= 16, "elements are aligned to 16 at most")

/* Whether fn is of this type; whether with an element to change, or one only to read. */
#define RN_STAGE_IS(fn, ...) __builtin_types_compatible_p(__typeof__(*(fn)), __VA_ARGS__)
#define RN_MAP_IS(T, R, fn)                                                                        \
    (RN_STAGE_IS(fn, int(rn_ctx *, void *, T *, R *)) ||                                           \
     RN_STAGE_IS(fn, int(rn_ctx *, void *, const T *, R *)))
#define RN_MAP_IS_PLAIN(T, R, fn)                                                                  \
    (RN_STAGE_IS(fn, void(T *, R *)) || RN_STAGE_IS(fn, void(const T *, R *)))
#define RN_FILTER_IS(T, fn)                                                                        \
    (RN_STAGE_IS(fn, int(rn_ctx *, void *, const T *)) ||                                          \
     RN_STAGE_IS(fn, int(rn_ctx *, void *, T *)))
#define RN_FILTER_IS_PLAIN(T, fn) (RN_STAGE_IS(fn, bool(const T *)) || RN_STAGE_IS(fn, bool(T *)))
#define RN_EACH_IS(T, fn) RN_FILTER_IS(T, fn)
#define RN_EACH_IS_PLAIN(T, fn) (RN_STAGE_IS(fn, void(T *)) || RN_STAGE_IS(fn, void(const T *)))
#define RN_EMITS(T, R, fn)                                                                         \
    (RN_STAGE_IS(fn, int(rn_ctx *, void *, T *, rn_emitter(R))) ||                                 \
     RN_STAGE_IS(fn, int(rn_ctx *, void *, const T *, rn_emitter(R))))
#define RN_REDUCE_IS(T, total, fn)                                                                 \
    (RN_STAGE_IS(fn, int(rn_ctx *, void *, __typeof__(*(total)) *, T *)) ||                        \
     RN_STAGE_IS(fn, int(rn_ctx *, void *, __typeof__(*(total)) *, const T *)))
#define RN_REDUCE_IS_PLAIN(T, total, fn)                                                           \
    (RN_STAGE_IS(fn, void(__typeof__(*(total)) *, T *)) ||                                         \
     RN_STAGE_IS(fn, void(__typeof__(*(total)) *, const T *)))

#define RN_STAGE_FN(fn_, is_plain)                                                                 \
    ((rn_stage_function){.fn = (void (*)(void))(fn_), .plain = (is_plain)})
#define RN_STAGE_OPTIONS(what, ...) (&(rn_stage_options){.site = RN_SITE(what), __VA_ARGS__})

/* ---- the pipeline ---- */

/*
 * rn_pipeline_new - begin a pipeline below a context.
 *
 * ctx may be NULL; it ends the pipeline when it ends. config may be NULL.
 *
 * Caller   any thread or fiber.
 * Returns  the pipeline, or NULL when out of memory, which all calls take.
 */
RN_API rn_pipeline *rn_pipeline_new(rn_ctx *ctx, const rn_pipeline_config *config);

/*
 * rn_pipeline_start - start every stage.
 *
 * For a pipeline that ends in a channel which the caller receives from; otherwise rn_pipeline_run.
 * When it fails nothing ran, the channels at the pipeline's ends are closed with the code as cause,
 * and run and wait return it too.
 *
 * Caller   any thread or fiber.
 * Blocks   never.
 * Returns  0         started (also when it was before)
 *          -EINVAL   something is wrong with a stage: rn_error_detail says what
 *          -ENOMEM   out of memory or stacks, then or while building
 * See      rn_stream_to_chan, examples/pipeline_cancel.c
 */
RN_API int rn_pipeline_start(rn_pipeline *p);

/*
 * rn_pipeline_run - start every stage, unless that is done, and wait until the last has ended.
 *
 * Caller   any thread or fiber that is not of the pipeline.
 * Blocks   the fiber until every stage has ended; the pipeline's context shortens that.
 * Order    everything the stages did happens before it returns.
 * Returns  0            every source was worked off, or a stage said "enough"
 *          -EINVAL      something is wrong with a stage: rn_error_detail says what
 *          -ENOMEM      out of memory or stacks
 *          -ECANCELED   the context was cancelled before the end
 *          -ETIMEDOUT   its deadline passed before the end
 *          -EDEADLK     called from one of the pipeline's functions
 *          otherwise    the first code of a stage's function, or the cause of rn_pipeline_cancel
 * See      rn_pipeline_start, examples/pipeline.c
 */
RN_API int rn_pipeline_run(rn_pipeline *p);

/*
 * rn_pipeline_wait - wait until the last stage has ended.
 *
 * Caller   any thread or fiber that is not of the pipeline.
 * Blocks   the fiber until then, or until ctx ends; the pipeline then goes on.
 * Returns  as rn_pipeline_run, or why ctx has ended; 0 for one that was not started
 */
RN_API int rn_pipeline_wait(rn_ctx *ctx, rn_pipeline *p);

/*
 * rn_pipeline_cancel - end every stage. NULL is fine.
 *
 * cause counts as the pipeline's error if it has none yet; 0 stands for -ECANCELED.
 *
 * Caller   any thread or fiber; also the pipeline's functions.
 * Blocks   never.
 */
RN_API void rn_pipeline_cancel(rn_pipeline *p, int cause);

/*
 * rn_pipeline_free - cancel what still runs, wait for it, free all. NULL is fine.
 *
 * Elements on their way are dropped. Ends the process when called from one of the pipeline's
 * functions.
 *
 * Caller   any thread or fiber that is not of the pipeline; nobody else may be in a call on it.
 * Blocks   the fiber until every stage has ended.
 */
RN_API void rn_pipeline_free(rn_pipeline *p);

/* What went through a stage. When all has ended: in + dropped is the out of the stage before. */
typedef struct rn_stage_stats {
    const char *name;
    const char *kind;   /* "map" */
    uint64_t in;        /* elements that its function was given, or that it took */
    uint64_t out;       /* elements that it gave to what is behind it */
    uint64_t dropped;   /* elements lost on their way into it, because the pipeline ended */
    size_t waiting;     /* gauge: elements in its buffer */
    size_t concurrency; /* fibers that may call its function at once */
    bool own_fiber;     /* false: it runs on the fiber of the stage before */
} rn_stage_stats;

/* What a pipeline does. */
typedef struct rn_pipeline_stats {
    size_t stages;
    size_t fibers;    /* gauge: that have not ended */
    uint64_t in;      /* elements that the sources gave */
    uint64_t out;     /* elements that reached the ends */
    uint64_t dropped; /* the sum over the stages */
    int err;          /* the pipeline's error so far */
} rn_pipeline_stats;

/*
 * rn_pipeline_stats_read, rn_pipeline_stage_stats_read - fill in *out; for all, or for one stage.
 *
 * Stages are numbered from 0 in the order in which they were built. Before start all is 0.
 *
 * Caller   any thread or fiber.
 * Returns  stage_stats_read: 0, or -EINVAL when there is no such stage
 */
RN_API void rn_pipeline_stats_read(rn_pipeline *p, rn_pipeline_stats *out);
RN_API int rn_pipeline_stage_stats_read(rn_pipeline *p, size_t stage, rn_stage_stats *out);

/* ---- sources ---- */

/*
 * rn_stream_generate, rn_stream_generate_untyped - the values that a function emits.
 *
 * rn_stream_generate(T, p, fn, options...). fn is int fn(rn_ctx *ctx, void *arg, rn_emitter(T) out)
 * and calls rn_emit(out, value); the stream ends when it returns. With .concurrency = n it is
 * called n times at once, and the stream ends when all have returned.
 *
 * Caller   who builds the pipeline.
 * Returns  the stream; NULL when there was no memory.
 */
#define rn_stream_generate(T, p, fn, ...)                                                          \
    __extension__({                                                                                \
        RN_STAGE_FITS(T);                                                                          \
        _Static_assert(RN_STAGE_IS(fn, int(rn_ctx *, void *, rn_emitter(T))),                      \
                       "the function is not int (rn_ctx *, void *, rn_emitter(T))");               \
        (rn_stream(T)) rn_stream_generate_untyped((p), sizeof(T), RN_STAGE_FN(fn, false),          \
                                                  RN_STAGE_OPTIONS(fn, __VA_ARGS__));              \
    })
RN_API struct rn_stream *rn_stream_generate_untyped(rn_pipeline *p, size_t size,
                                                    rn_stage_function fn,
                                                    const rn_stage_options *opt);

/*
 * rn_emit, rn_emit_untyped - give one value to what is behind this stage, waiting for room.
 *
 * rn_emit(out, value) is typed. From a function that was given out, on its own fiber, before it
 * returns. In an ordered stage the first one waits for the stage's turn.
 *
 * Caller   a function of rn_stream_generate or rn_stream_flat_map.
 * Blocks   the fiber until there is room, or the pipeline ends.
 * Returns  0            taken
 *          RN_ECLOSED   nobody wants more
 *          otherwise    the pipeline is ending: its error, -ECANCELED or -ETIMEDOUT
 *          On every error the value was dropped, and so will be all that follow: return the code.
 */
#define rn_emit(out, ...)                                                                          \
    __extension__({                                                                                \
        RN_EMITTER_ELEMENT(out) rn_value_ = (__VA_ARGS__);                                         \
        rn_emit_untyped((struct rn_emitter *)(out), &rn_value_);                                   \
    })
RN_API int rn_emit_untyped(struct rn_emitter *out, void *value);

/*
 * rn_stream_from_array, rn_stream_from_array_untyped - the n elements of an array.
 *
 * rn_stream_from_array(T, p, array, n, options...). The array is not copied: it must stay as it is
 * until the pipeline has ended. With .drop the elements are the pipeline's from this call on; those
 * that are never sent are dropped where they lie.
 *
 * Caller   who builds the pipeline.
 * Returns  the stream; NULL when there was no memory.
 */
#define rn_stream_from_array(T, p, array, n, ...)                                                  \
    __extension__({                                                                                \
        RN_STAGE_FITS(T);                                                                          \
        _Static_assert(__builtin_types_compatible_p(__typeof__((array)[0]), T),                    \
                       "the array's elements are not T");                                          \
        (rn_stream(T)) rn_stream_from_array_untyped((p), (array), (n), sizeof(T),                  \
                                                    RN_STAGE_OPTIONS(from_array, __VA_ARGS__));    \
    })
RN_API struct rn_stream *rn_stream_from_array_untyped(rn_pipeline *p, const void *array, size_t n,
                                                      size_t size, const rn_stage_options *opt);

/*
 * rn_stream_from_chan, rn_stream_from_chan_untyped - what is received from a channel.
 *
 * rn_stream_from_chan(p, ch, options...). The stream ends when the channel is closed and empty. No
 * value is received before the one before it was taken by what is behind; what was not received
 * stays in the channel.
 *
 * Caller   who builds the pipeline.
 * Returns  the stream; NULL when there was no memory.
 */
#define rn_stream_from_chan(p, ch, ...)                                                            \
    __extension__({                                                                                \
        __auto_type rn_chan_ = (ch);                                                               \
        RN_STAGE_FITS(RN_ELEMENT(rn_chan_));                                                       \
        (rn_stream(RN_ELEMENT(rn_chan_))) rn_stream_from_chan_untyped(                             \
            (p), rn_chan_untyped(rn_chan_), sizeof(RN_ELEMENT(rn_chan_)),                          \
            RN_STAGE_OPTIONS(from_chan, __VA_ARGS__));                                             \
    })
RN_API struct rn_stream *rn_stream_from_chan_untyped(rn_pipeline *p, struct rn_chan *ch,
                                                     size_t size, const rn_stage_options *opt);

/* ---- stages ---- */

/*
 * rn_stream_map, rn_stream_map_untyped - each element through a function of T * and R *.
 *
 * rn_stream_map(R, stream, fn, options...). fn is void fn(T *in, R *out), or int fn(rn_ctx *ctx,
 * void *arg, T *in, R *out); *out is not initialised.
 *
 * Caller   who builds the pipeline.
 * Returns  the stream of R; NULL when there was no memory.
 */
#define rn_stream_map(R, stream, fn, ...)                                                          \
    __extension__({                                                                                \
        __auto_type rn_stream_ = (stream);                                                         \
        RN_STAGE_FITS(R);                                                                          \
        _Static_assert(RN_MAP_IS_PLAIN(RN_STREAM_ELEMENT(rn_stream_), R, fn) ||                    \
                           RN_MAP_IS(RN_STREAM_ELEMENT(rn_stream_), R, fn),                        \
                       "the function does not map the stream's elements to R");                    \
        (rn_stream(R)) rn_stream_map_untyped(                                                      \
            rn_stream_untyped(rn_stream_), sizeof(R),                                              \
            RN_STAGE_FN(fn, RN_MAP_IS_PLAIN(RN_STREAM_ELEMENT(rn_stream_), R, fn)),                \
            RN_STAGE_OPTIONS(fn, __VA_ARGS__));                                                    \
    })
RN_API struct rn_stream *rn_stream_map_untyped(struct rn_stream *stream, size_t size,
                                               rn_stage_function fn, const rn_stage_options *opt);

/*
 * rn_stream_filter, rn_stream_filter_untyped - the elements that a function keeps.
 *
 * rn_stream_filter(stream, fn, options...). fn is bool fn(const T *element), or int fn(rn_ctx *ctx,
 * void *arg, const T *element): positive keeps, 0 refuses, negative is a code.
 *
 * Caller   who builds the pipeline.
 * Returns  the stream; NULL when there was no memory.
 */
#define rn_stream_filter(stream, fn, ...)                                                          \
    __extension__({                                                                                \
        __auto_type rn_stream_ = (stream);                                                         \
        _Static_assert(RN_FILTER_IS_PLAIN(RN_STREAM_ELEMENT(rn_stream_), fn) ||                    \
                           RN_FILTER_IS(RN_STREAM_ELEMENT(rn_stream_), fn),                        \
                       "the function does not judge the stream's elements");                       \
        (__typeof__(rn_stream_))rn_stream_filter_untyped(                                          \
            rn_stream_untyped(rn_stream_),                                                         \
            RN_STAGE_FN(fn, RN_FILTER_IS_PLAIN(RN_STREAM_ELEMENT(rn_stream_), fn)),                \
            RN_STAGE_OPTIONS(fn, __VA_ARGS__));                                                    \
    })
RN_API struct rn_stream *rn_stream_filter_untyped(struct rn_stream *stream, rn_stage_function fn,
                                                  const rn_stage_options *opt);

/*
 * rn_stream_flat_map, rn_stream_flat_map_untyped - for each element what a function emits.
 *
 * rn_stream_flat_map(R, stream, fn, options...). fn is int fn(rn_ctx *ctx, void *arg, T *in,
 * rn_emitter(R) out) and calls rn_emit(out, value) any number of times. Ordered: the first emit
 * waits until all that came before is through, so what is parallel is the work up to it.
 *
 * Caller   who builds the pipeline.
 * Returns  the stream of R; NULL when there was no memory.
 */
#define rn_stream_flat_map(R, stream, fn, ...)                                                     \
    __extension__({                                                                                \
        __auto_type rn_stream_ = (stream);                                                         \
        RN_STAGE_FITS(R);                                                                          \
        _Static_assert(RN_EMITS(RN_STREAM_ELEMENT(rn_stream_), R, fn),                             \
                       "the function does not take the stream's elements and emit R");             \
        (rn_stream(R))                                                                             \
            rn_stream_flat_map_untyped(rn_stream_untyped(rn_stream_), sizeof(R),                   \
                                       RN_STAGE_FN(fn, false), RN_STAGE_OPTIONS(fn, __VA_ARGS__)); \
    })
RN_API struct rn_stream *rn_stream_flat_map_untyped(struct rn_stream *stream, size_t size,
                                                    rn_stage_function fn,
                                                    const rn_stage_options *opt);

/*
 * rn_stream_batch, rn_stream_batch_untyped - elements n at a time, or what came within a time.
 *
 * rn_stream_batch(B, stream, n, timeout, options...), where B is an rn_batch(T) (by a typedef, as
 * each rn_batch(T) written out is a type of its own). A batch is given on when it has n items, when
 * timeout nanoseconds of the runtime's clock have passed since its first item came, or at the end
 * of the stream; never an empty one. RN_FOREVER: no timeout. With one the stage has a fiber of its
 * own.
 *
 * Caller   who builds the pipeline.
 * Returns  the stream of B; NULL when there was no memory.
 */
#define rn_stream_batch(B, stream, n, timeout, ...)                                                \
    __extension__({                                                                                \
        __auto_type rn_stream_ = (stream);                                                         \
        _Static_assert(__builtin_types_compatible_p(__typeof__(((B *)0)->items),                   \
                                                    RN_STREAM_ELEMENT(rn_stream_) *) &&            \
                           __builtin_types_compatible_p(__typeof__(((B *)0)->count), size_t) &&    \
                           sizeof(B) == 2 * sizeof(size_t) && __builtin_offsetof(B, items) == 0,   \
                       "the type is not an rn_batch of the stream's elements");                    \
        (rn_stream(B)) rn_stream_batch_untyped(rn_stream_untyped(rn_stream_), (n), (timeout),      \
                                               RN_STAGE_OPTIONS(batch, __VA_ARGS__));              \
    })
RN_API struct rn_stream *rn_stream_batch_untyped(struct rn_stream *stream, size_t n,
                                                 rn_duration timeout, const rn_stage_options *opt);

/*
 * rn_stream_throttle, rn_stream_throttle_untyped - no faster than a rate limiter lets through.
 *
 * rn_stream_throttle(stream, limiter, options...). Waits for one token an element. The limiter may
 * be shared with others, and must outlive the pipeline.
 *
 * Caller   who builds the pipeline.
 * Returns  the stream; NULL when there was no memory.
 * See      runnel/limiter.h
 */
#define rn_stream_throttle(stream, limiter, ...)                                                   \
    __extension__({                                                                                \
        __auto_type rn_stream_ = (stream);                                                         \
        (__typeof__(rn_stream_))rn_stream_throttle_untyped(                                        \
            rn_stream_untyped(rn_stream_), (limiter), RN_STAGE_OPTIONS(throttle, __VA_ARGS__));    \
    })
RN_API struct rn_stream *rn_stream_throttle_untyped(struct rn_stream *stream, rn_limiter *limiter,
                                                    const rn_stage_options *opt);

/*
 * rn_stream_tee, rn_stream_tee_untyped - a second stream of the same elements.
 *
 * rn_stream_tee(stream, options...): the stream that it is given and the one that it returns lead
 * to two places; further calls make further ones. All go at the pace of the slowest, but one that
 * said "enough" holds up nobody. Elements with a .drop need a .copy. .name and the like belong to
 * the stages behind it.
 *
 * Caller   who builds the pipeline.
 * Returns  the second stream; NULL when there was no memory.
 */
#define rn_stream_tee(stream, ...)                                                                 \
    __extension__({                                                                                \
        __auto_type rn_stream_ = (stream);                                                         \
        (__typeof__(rn_stream_))rn_stream_tee_untyped(rn_stream_untyped(rn_stream_),               \
                                                      RN_STAGE_OPTIONS(tee, __VA_ARGS__));         \
    })
RN_API struct rn_stream *rn_stream_tee_untyped(struct rn_stream *stream,
                                               const rn_stage_options *opt);

/*
 * rn_stream_merge, rn_stream_merge_n, rn_stream_merge_untyped - several streams as one.
 *
 * rn_stream_merge(stream, stream, ...) of the same type; rn_stream_merge_n(streams, n) of an array.
 * Elements come as they are ready; the stream ends when all have ended. Their .drop must be the
 * same.
 *
 * Caller   who builds the pipeline.
 * Returns  the stream; NULL when there was no memory.
 */
#define rn_stream_merge(stream, ...)                                                               \
    __extension__({                                                                                \
        __auto_type rn_stream_ = (stream);                                                         \
        __typeof__(rn_stream_) rn_streams_[] = {rn_stream_, __VA_ARGS__};                          \
        (__typeof__(rn_stream_))rn_stream_merge_untyped(rn_streams_, sizeof rn_streams_ /          \
                                                                         sizeof rn_streams_[0]);   \
    })
#define rn_stream_merge_n(streams, n)                                                              \
    ((rn_stream(RN_STREAM_ELEMENT((streams)[0])))rn_stream_merge_untyped((streams), (n)))
RN_API struct rn_stream *rn_stream_merge_untyped(const void *streams, size_t n);

/* ---- ends ---- */

/*
 * rn_stream_for_each, rn_stream_for_each_untyped - each element to a function, as an end.
 *
 * rn_stream_for_each(stream, fn, options...). fn is void fn(T *element), or int fn(rn_ctx *ctx,
 * void *arg, T *element).
 *
 * Caller   who builds the pipeline.
 */
#define rn_stream_for_each(stream, fn, ...)                                                        \
    __extension__({                                                                                \
        __auto_type rn_stream_ = (stream);                                                         \
        _Static_assert(RN_EACH_IS_PLAIN(RN_STREAM_ELEMENT(rn_stream_), fn) ||                      \
                           RN_EACH_IS(RN_STREAM_ELEMENT(rn_stream_), fn),                          \
                       "the function does not take the stream's elements");                        \
        rn_stream_for_each_untyped(                                                                \
            rn_stream_untyped(rn_stream_),                                                         \
            RN_STAGE_FN(fn, RN_EACH_IS_PLAIN(RN_STREAM_ELEMENT(rn_stream_), fn)),                  \
            RN_STAGE_OPTIONS(fn, __VA_ARGS__));                                                    \
    })
RN_API void rn_stream_for_each_untyped(struct rn_stream *stream, rn_stage_function fn,
                                       const rn_stage_options *opt);

/*
 * rn_stream_reduce, rn_stream_reduce_untyped - all elements into one value, as an end.
 *
 * rn_stream_reduce(stream, &total, fn, options...). fn is void fn(A *total, T *element), or int
 * fn(rn_ctx *ctx, void *arg, A *total, T *element). The value stays the caller's, and can be read
 * once run or wait has returned.
 *
 * Caller   who builds the pipeline.
 */
#define rn_stream_reduce(stream, total, fn, ...)                                                   \
    __extension__({                                                                                \
        __auto_type rn_stream_ = (stream);                                                         \
        __auto_type rn_total_ = (total);                                                           \
        _Static_assert(RN_REDUCE_IS_PLAIN(RN_STREAM_ELEMENT(rn_stream_), rn_total_, fn) ||         \
                           RN_REDUCE_IS(RN_STREAM_ELEMENT(rn_stream_), rn_total_, fn),             \
                       "the function does not reduce the stream's elements to *total");            \
        rn_stream_reduce_untyped(                                                                  \
            rn_stream_untyped(rn_stream_), rn_total_,                                              \
            RN_STAGE_FN(fn, RN_REDUCE_IS_PLAIN(RN_STREAM_ELEMENT(rn_stream_), rn_total_, fn)),     \
            RN_STAGE_OPTIONS(fn, __VA_ARGS__));                                                    \
    })
RN_API void rn_stream_reduce_untyped(struct rn_stream *stream, void *total, rn_stage_function fn,
                                     const rn_stage_options *opt);

/*
 * rn_stream_to_chan, rn_stream_to_chan_untyped - each element to a channel, as an end.
 *
 * rn_stream_to_chan(stream, ch, options...). The channel is retained until the pipeline is freed,
 * and closed when the stream has ended, unless .leave_open; the cause (rn_close_cause) is the
 * pipeline's error, or RN_ECLOSED. When the receiver closes it, that says "enough". A value in the
 * channel is the channel's: give that a drop of its own.
 *
 * Caller   who builds the pipeline.
 */
#define rn_stream_to_chan(stream, ch, ...)                                                         \
    __extension__({                                                                                \
        __auto_type rn_stream_ = (stream);                                                         \
        __auto_type rn_chan_ = (ch);                                                               \
        _Static_assert(                                                                            \
            __builtin_types_compatible_p(RN_STREAM_ELEMENT(rn_stream_), RN_ELEMENT(rn_chan_)),     \
            "the channel's elements are not the stream's");                                        \
        rn_stream_to_chan_untyped(rn_stream_untyped(rn_stream_), rn_chan_untyped(rn_chan_),        \
                                  RN_STAGE_OPTIONS(to_chan, __VA_ARGS__));                         \
    })
RN_API void rn_stream_to_chan_untyped(struct rn_stream *stream, struct rn_chan *ch,
                                      const rn_stage_options *opt);

RN_END_DECLS

#endif
