/*
 * What the files of the pipeline share: its parts, and who calls whom.
 *
 *   stage     one box of the program's drawing; stages in a list, in the order of building
 *   stream    one output of a stage, and the input of another: what a user's handle points to
 *   segment   stages that share their fibers: a head, and the stages that were fused to it
 *   lane      one stage on one fiber of its segment; only a head has several
 *   inlet     where an element goes next: the lane of a fused stage, or an edge
 *   edge      the channel in front of a head
 *
 * Building (pipeline_build.c) makes stages and streams. Start (pipeline.c) cuts them into segments
 * and makes the rest, once; nothing of that changes until the pipeline is freed. Then elements run
 * (pipeline_run.c): a fiber takes one from its edge or source and passes it on, call by call, until
 * it is refused, kept, or sent to another edge.
 *
 * Invariants:
 *   - An element has one owner: a fiber's stack or scratch, a channel, or the function that it was
 *     given. Whoever gives one to an inlet, by take, does not own it any more, whatever take
 *     returns.
 *   - Codes travel up the calls: 0, RN_ECLOSED ("enough"), or why the pipeline ends. After a lane
 *     has returned one it takes nothing more.
 *   - A segment's end is its last fiber's: it closes and drains the edge in front, and ends the
 *     edges and channels behind. So ends travel down by closing, and "enough" travels up, by
 *     closing too, and by ending the context of a segment that nobody wants any more.
 */
#ifndef RUNNEL_KIT_PIPELINE_PARTS_H
#define RUNNEL_KIT_PIPELINE_PARTS_H

#include "mutex_class.h"

#include <runnel/ctx.h>
#include <runnel/debug.h>
#include <runnel/pipeline.h>
#include <runnel/wait_group.h>

#include <stdatomic.h>

#define DETAIL_BYTES 200 /* of the sentence for what is wrong with a stage */
#define CHUNK_MAX 16     /* elements received at once */

struct stage;
struct segment;
struct lane;

enum stage_kind {
    KIND_GENERATE,
    KIND_FROM_ARRAY,
    KIND_FROM_CHAN,
    KIND_MAP,
    KIND_FILTER,
    KIND_FLAT_MAP,
    KIND_BATCH,
    KIND_THROTTLE,
    KIND_MERGE,
    KIND_FOR_EACH,
    KIND_REDUCE,
    KIND_TO_CHAN
};

struct inlet {
    int (*take)(struct inlet *to, rn_ctx *ctx, void *element);
    struct stage *stage;       /* that it leads to */
    _Atomic(uint64_t) dropped; /* elements that were lost on their way here */
};

struct edge {
    struct inlet inlet; /* first: an inlet is cast to it */
    struct rn_chan *chan;
    atomic_size_t producers; /* streams that lead here and have not ended */
    atomic_bool abandoned;   /* the reader has said "enough", or has ended */
};

struct lane {
    struct inlet inlet; /* first: an inlet is cast to it */
    struct stage *stage;
    struct segment *segment;
    struct inlet *next;   /* behind the stage; NULL: nothing, or several */
    _Atomic(uint64_t) in; /* written by the lane's fiber only, as out */
    _Atomic(uint64_t) out;
    _Atomic(uint64_t) fiber; /* of a head's lane: its number, once it runs */
    int code;                /* not 0: it takes nothing more */
    bool ordered, has_turn;
    uint64_t seq;     /* ordered: the number of its element */
    uint32_t emitted; /* since the start, to yield now and then */
    void *scratch;    /* what a function makes, and a tee's copies behind it */
    void *copy;
    void *chunk; /* a head's: what it has received */
    void *items; /* a batch's: what it has gathered */
    size_t count;
};

struct segment {
    rn_pipeline *pipeline;
    struct segment *next;
    struct stage *head;
    rn_ctx *ctx;        /* ends with the pipeline's, and when nobody wants more of the segment */
    const char *name;   /* of its fibers */
    atomic_size_t live; /* fibers that have not ended */
    atomic_bool ended;  /* one of its fibers has met "enough" */
    /*
     * Ordered: the baton has the number of the next element, and who holds it may receive that; a
     * gate holds a token when it is the turn of an element of that number, modulo the fibers, to be
     * passed on. With n fibers, each at one element, n gates are enough.
     */
    struct rn_chan *baton;
    struct rn_chan **gates;
};

struct rn_stream {
    rn_pipeline *pipeline;
    struct stage *producer;
    struct stage *consumer; /* NULL: leads nowhere yet */
    struct rn_stream *next; /* the producer's next output */
    struct rn_stream *next_input;
    int (*copy)(void *element); /* of a tee */
    struct inlet *to;           /* from start on */
    atomic_bool closed;         /* the consumer wants nothing more */
};

struct stage {
    rn_pipeline *pipeline;
    struct stage *next;
    enum stage_kind kind;
    const char *name;
    rn_stage_options opt;
    rn_stage_function fn;
    size_t in_size, out_size;
    struct stage *made_by; /* the stage whose .drop the elements of its output have */
    struct rn_stream *inputs, *outputs;
    size_t input_count;

    const char *array; /* from_array, and how many of it have been taken */
    size_t array_count, array_taken;
    struct rn_chan *chan; /* from_chan, to_chan; retained */
    void *total;          /* reduce */
    rn_limiter *limiter;  /* throttle */
    size_t batch_max;
    rn_duration batch_timeout;

    struct segment *segment; /* from start on */
    struct edge *edge;       /* a head's; NULL for a source */
    struct lane *lanes;
    size_t lane_count;
    size_t chunk_room; /* elements that a lane receives at once */
};

struct rn_pipeline {
    rn_exhibit exhibit;
    rn_pipeline_config config;
    rn_ctx *ctx;
    struct stage *stages, **last_stage;
    struct segment *segments;
    size_t stage_count;
    int build_err; /* the first, with its sentence */
    char detail[DETAIL_BYTES];

    atomic_bool started;
    atomic_bool planned;     /* lanes and edges are there to be counted */
    atomic_bool interrupted; /* a stage ended early because the context did */
    rn_wait_group live;      /* fibers, and start itself */
    rn_wait_group launch;    /* 1 until every fiber has been started, or could not be */
    atomic_size_t fibers;

    MUTEX(lock, pipeline_lock); /* guards the writing of first, and of started */
    atomic_int first;           /* the pipeline's error */
    atomic_int start_err;
};

/* pipeline.c */
void pipeline_fail(rn_pipeline *p, const char *stage, int err);
void pipeline_misuse(const char *sentence) __attribute__((noreturn, cold));

/* pipeline_build.c */
const char *stage_kind_name(enum stage_kind kind);

/* pipeline_plan.c */
int pipeline_plan(rn_pipeline *p);
void pipeline_unplan(rn_pipeline *p);

/* pipeline_run.c */
void lane_prepare(struct lane *lane);
void edge_prepare(struct edge *edge, struct stage *reader);
void lane_run(void *lane);
void lane_end(struct lane *lane, int err);
void stage_drop(const struct stage *made_by, void *element);
void stage_drop_rest_of_array(struct stage *s);
void stage_close_chan(struct stage *s, int cause);

/* The element at index of an array of elements of size bytes. */
static inline void *element_at(void *array, size_t size, size_t index)
{
    return (char *)array + index * size;
}

#endif
