/*
 * Pipeline, planning: cuts the stages into segments, and makes lanes and edges. The parts are in
 * pipeline_parts.h.
 *
 * Stages were built from the sources on, so one pass in that order knows of each stage what is in
 * front of it. pipeline_unplan takes away what was made, also of a plan that failed half-way.
 *
 * The names of fibers are kept until the process ends, each text once: a dump may read one while
 * its fiber is just ending, after the pipeline has been waited for.
 */
#include "pipeline_parts.h"

#include <runnel/error.h>

#include <stdlib.h>
#include <string.h>

#define NAME_BYTES_MAX 120
#define NAMES_MAX 4096 /* different ones; beyond that a fiber has its head's name only */
#define ALIGNMENT 16   /* malloc keeps to it */

/* ---- names ---- */

struct name {
    struct name *next;
    char text[];
};

static struct {
    MUTEX(lock, pipeline_names); /* guards the rest */
    struct name *first;
    size_t count;
} names;

static const char *keep_name_locked(const char *text)
{
    struct name *n = names.first;

    while (n != NULL && strcmp(n->text, text) != 0)
        n = n->next;
    if (n == NULL && names.count < NAMES_MAX &&
        (n = malloc(sizeof *n + strlen(text) + 1)) != NULL) {
        strcpy(n->text, text);
        n->next = names.first;
        names.first = n;
        names.count++;
    }
    return n == NULL ? NULL : n->text;
}

__attribute__((destructor)) static void free_names(void)
{
    for (struct name *n = names.first, *next; n != NULL; n = next) {
        next = n->next;
        free(n);
    }
    names.first = NULL;
}

/* The names of a segment's stages, as "numbers|square|even". */
static const char *segment_name(const struct segment *seg)
{
    char text[NAME_BYTES_MAX + 1] = "";
    const char *kept;
    size_t used = 0;

    for (const struct stage *s = seg->pipeline->stages; s != NULL; s = s->next) {
        size_t n = strlen(s->name);
        if (s->segment != seg || used + n + 1 > NAME_BYTES_MAX)
            continue;
        if (used > 0)
            text[used++] = '|';
        memcpy(text + used, s->name, n + 1);
        used += n;
    }
    rn_mutex_lock(&names.lock);
    kept = keep_name_locked(text);
    rn_mutex_unlock(&names.lock);
    return kept == NULL ? stage_kind_name(seg->head->kind) : kept;
}

/* ---- segments ---- */

/* Whether a stage has fibers of its own: it is a source, or it needs an edge in front. */
static bool is_head(const struct stage *s)
{
    return s->inputs == NULL || s->opt.buffer != 0;
}

static struct segment *segment_make(rn_pipeline *p, struct stage *head)
{
    struct segment *seg = calloc(1, sizeof *seg);

    if (seg == NULL)
        return NULL;
    seg->next = p->segments;
    p->segments = seg;
    seg->pipeline = p;
    seg->head = head;
    seg->ctx = rn_ctx_with_cancel(p->ctx);
    atomic_init(&seg->live, head->opt.concurrency);
    return seg->ctx == NULL ? NULL : seg;
}

static int make_gates(struct segment *seg, size_t n)
{
    int err = rn_chan_new(&seg->baton, sizeof(uint64_t), &(rn_chan_options){.capacity = 1});

    seg->gates = calloc(n, sizeof(struct rn_chan *));
    if (seg->gates == NULL)
        return -ENOMEM;
    for (size_t i = 0; err == 0 && i < n; i++)
        err = rn_chan_new(&seg->gates[i], 1, &(rn_chan_options){.capacity = 1});
    if (err != 0)
        return err;
    rn_chan_try_send(seg->baton, &(uint64_t){0});
    return rn_chan_try_send(seg->gates[0], "");
}

/* ---- lanes and edges ---- */

static size_t rounded(size_t size)
{
    return (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* How many elements a head receives at once; by several fibers one, so that none hoards. */
static size_t chunk_room(const struct stage *s)
{
    if (s->edge == NULL)
        return 0;
    if (s->opt.concurrency > 1)
        return 1;
    return s->opt.buffer < CHUNK_MAX ? s->opt.buffer : CHUNK_MAX;
}

/* A lane's memory: what its stage makes, a copy of that for a tee, and what it receives. */
static int lane_make_memory(struct lane *lane)
{
    const struct stage *s = lane->stage;
    size_t out = rounded(s->out_size);
    char *memory = malloc(2 * out + s->chunk_room * s->in_size + 1);

    if (memory == NULL)
        return -ENOMEM;
    lane->scratch = memory;
    lane->copy = memory + out;
    lane->chunk = memory + 2 * out;
    return 0;
}

static int make_lanes(struct stage *s)
{
    size_t n = s->edge != NULL || s->inputs == NULL ? s->opt.concurrency : 1;
    int err = 0;

    s->lanes = calloc(n, sizeof *s->lanes);
    if (s->lanes == NULL)
        return -ENOMEM;
    s->lane_count = n;
    for (size_t i = 0; err == 0 && i < n; i++) {
        struct lane *lane = &s->lanes[i];
        lane->stage = s;
        lane->segment = s->segment;
        lane->ordered = s->segment->gates != NULL && s->edge != NULL;
        lane_prepare(lane);
        err = lane_make_memory(lane);
    }
    return err;
}

static int make_edge(struct stage *s)
{
    s->edge = calloc(1, sizeof *s->edge);
    if (s->edge == NULL)
        return -ENOMEM;
    edge_prepare(s->edge, s);
    return rn_chan_new(&s->edge->chan, s->in_size,
                       &(rn_chan_options){.capacity = s->opt.buffer, .name = s->name});
}

static int plan_stage(rn_pipeline *p, struct stage *s)
{
    bool head = is_head(s);
    int err = 0;

    s->segment = head ? segment_make(p, s) : s->inputs->producer->segment;
    if (s->segment == NULL)
        return -ENOMEM;
    if (head && s->inputs != NULL)
        err = make_edge(s);
    if (err == 0 && s->opt.ordered && s->opt.concurrency > 1)
        err = make_gates(s->segment, s->opt.concurrency);
    s->chunk_room = chunk_room(s);
    return err != 0 ? err : make_lanes(s);
}

static void connect(struct stage *s)
{
    for (struct rn_stream *out = s->outputs; out != NULL; out = out->next) {
        struct stage *to = out->consumer;
        out->to = to->edge != NULL ? &to->edge->inlet : &to->lanes[0].inlet;
    }
    for (size_t i = 0; i < s->lane_count; i++)
        if (s->outputs != NULL && s->outputs->next == NULL)
            s->lanes[i].next = s->outputs->to;
}

int pipeline_plan(rn_pipeline *p)
{
    int err = 0;

    for (struct stage *s = p->stages; err == 0 && s != NULL; s = s->next)
        err = plan_stage(p, s);
    if (err != 0)
        return err;
    for (struct stage *s = p->stages; s != NULL; s = s->next)
        connect(s);
    for (struct segment *seg = p->segments; seg != NULL; seg = seg->next)
        seg->name = segment_name(seg);
    return 0;
}

/* ---- taking it away ---- */

static void free_lanes_and_edge(struct stage *s)
{
    for (size_t i = 0; i < s->lane_count; i++)
        free(s->lanes[i].scratch);
    free(s->lanes);
    if (s->edge != NULL)
        rn_chan_release(s->edge->chan);
    free(s->edge);
    s->lanes = NULL;
    s->lane_count = 0;
    s->edge = NULL;
}

static void free_segment(struct segment *seg)
{
    for (size_t i = 0; seg->gates != NULL && i < seg->head->opt.concurrency; i++)
        rn_chan_release(seg->gates[i]);
    free(seg->gates);
    rn_chan_release(seg->baton);
    rn_ctx_release(seg->ctx);
    free(seg);
}

void pipeline_unplan(rn_pipeline *p)
{
    struct segment *seg;

    for (struct stage *s = p->stages; s != NULL; s = s->next)
        free_lanes_and_edge(s);
    while ((seg = p->segments) != NULL) {
        p->segments = seg->next;
        free_segment(seg);
    }
}
