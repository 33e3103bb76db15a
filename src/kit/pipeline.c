/*
 * Pipeline: from making to freeing. Building, planning and running have files of their own; the
 * parts and their invariants are in pipeline_parts.h.
 *
 * live counts the fibers, and start itself while it is at work, so that a wait at that moment waits
 * for both. first is the error that counts; interrupted says that a stage ended early although
 * there is none, because the context did.
 *
 * Compiled with the public headers only.
 */
#include "pipeline_parts.h"

#include <runnel/error.h>
#include <runnel/fiber.h>

#include <stdio.h>
#include <stdlib.h>

void pipeline_misuse(const char *sentence)
{
    fprintf(stderr, "runnel: %s\n", sentence);
    abort();
}

/* ---- making ---- */

static void describe(const rn_exhibit *exhibit, char *text, size_t size)
{
    rn_pipeline *p = (rn_pipeline *)exhibit;
    rn_pipeline_stats stats;

    rn_pipeline_stats_read(p, &stats);
    snprintf(text, size, "%zu stages on %zu fibers, %llu in, %llu out, %llu dropped", stats.stages,
             stats.fibers, (unsigned long long)stats.in, (unsigned long long)stats.out,
             (unsigned long long)stats.dropped);
}

rn_pipeline *rn_pipeline_new(rn_ctx *ctx, const rn_pipeline_config *config)
{
    rn_pipeline *p = calloc(1, sizeof *p);

    if (p == NULL)
        return NULL;
    if (config != NULL)
        p->config = *config;
    p->ctx = rn_ctx_with_cancel(ctx);
    if (p->ctx == NULL) {
        free(p);
        return NULL;
    }
    p->last_stage = &p->stages;
    p->exhibit = (rn_exhibit){.kind = "pipeline", .name = p->config.name, .describe = describe};
    if (p->config.name != NULL)
        rn_exhibit_show(&p->exhibit);
    return p;
}

/* ---- errors ---- */

/* True for the first. */
static bool note_error(rn_pipeline *p, int err)
{
    rn_mutex_lock(&p->lock);
    bool first = p->first == 0;
    if (first)
        atomic_store(&p->first, err);
    rn_mutex_unlock(&p->lock);
    return first;
}

void pipeline_fail(rn_pipeline *p, const char *stage, int err)
{
    if (note_error(p, err) && p->config.on_error != NULL)
        p->config.on_error(p->config.events_arg, stage, err);
    rn_ctx_cancel(p->ctx, err);
}

void rn_pipeline_cancel(rn_pipeline *p, int cause)
{
    if (p == NULL)
        return;
    note_error(p, cause == 0 ? -ECANCELED : cause);
    rn_ctx_cancel(p->ctx, cause);
}

/* What became of a pipeline that has ended; what was wrong with building is said again. */
static int result(rn_pipeline *p)
{
    int first = atomic_load(&p->first);

    if (first != 0 && first == p->build_err && p->detail[0] != 0)
        return rn_error_with(first, "%s", p->detail);
    return first != 0 || !atomic_load(&p->interrupted) ? first : rn_ctx_err(p->ctx);
}

/* ---- starting ---- */

static int check(rn_pipeline *p)
{
    if (p->build_err != 0)
        return p->build_err;
    for (struct stage *s = p->stages; s != NULL; s = s->next)
        for (struct rn_stream *out = s->outputs; out != NULL; out = out->next)
            if (out->consumer == NULL) {
                p->build_err = -EINVAL;
                snprintf(p->detail, sizeof p->detail,
                         "%s \"%s\": a stream of it leads nowhere: end it with rn_stream_for_each, "
                         "rn_stream_reduce or rn_stream_to_chan",
                         stage_kind_name(s->kind), s->name);
                return -EINVAL;
            }
    return 0;
}

/* Nothing runs or will: lets go of the elements, and tells those who wait at the ends. */
static void dispose(rn_pipeline *p, int cause)
{
    for (struct stage *s = p->stages; s != NULL; s = s->next) {
        if (s->kind == KIND_FROM_ARRAY)
            stage_drop_rest_of_array(s);
        if (s->kind == KIND_TO_CHAN)
            stage_close_chan(s, cause);
    }
}

/*
 * Starts the fibers of a segment; those that cannot be had end at once, in order. The others wait
 * until all are there.
 */
static void launch(rn_pipeline *p, struct segment *seg)
{
    const rn_go_options opt = {
        .name = seg->name, .stack_size = p->config.stack_size, .ctx = seg->ctx};
    const rn_site *site = seg->head->opt.site;

    for (size_t i = 0; i < seg->head->opt.concurrency; i++) {
        int err = atomic_load(&p->start_err);
        if (err == 0)
            err = rn_go_at(site, &opt, lane_run, &seg->head->lanes[i], 0);
        if (err == 0)
            continue;
        if (atomic_exchange(&p->start_err, err) == 0)
            pipeline_fail(p, seg->head->name, err);
        lane_end(&seg->head->lanes[i], err);
    }
}

static void start(rn_pipeline *p)
{
    int err = check(p);

    if (err == 0)
        err = pipeline_plan(p);
    if (err != 0) {
        atomic_store(&p->start_err, err);
        note_error(p, err);
        dispose(p, err);
        return;
    }
    for (struct segment *seg = p->segments; seg != NULL; seg = seg->next) {
        rn_wait_group_add(&p->live, (int)seg->head->opt.concurrency);
        atomic_fetch_add(&p->fibers, seg->head->opt.concurrency);
    }
    atomic_store(&p->planned, true);
    rn_wait_group_add(&p->launch, 1);
    for (struct segment *seg = p->segments; seg != NULL; seg = seg->next)
        launch(p, seg);
    rn_wait_group_done(&p->launch);
}

int rn_pipeline_start(rn_pipeline *p)
{
    if (p == NULL)
        return -ENOMEM;
    rn_mutex_lock(&p->lock);
    bool begins = !atomic_load(&p->started);
    if (begins) {
        rn_wait_group_add(&p->live, 1);
        atomic_store(&p->started, true);
    }
    rn_mutex_unlock(&p->lock);
    if (begins) {
        start(p);
        rn_wait_group_done(&p->live);
    }
    return atomic_load(&p->start_err) == 0 ? 0 : result(p);
}

/* ---- waiting and freeing ---- */

/* Whether the caller is one of the pipeline's fibers, which would wait for itself. */
static bool is_own_fiber(rn_pipeline *p)
{
    uint64_t fiber = rn_fiber_id();

    if (fiber == 0 || !atomic_load(&p->planned))
        return false;
    for (const struct segment *seg = p->segments; seg != NULL; seg = seg->next)
        for (size_t i = 0; i < seg->head->lane_count; i++)
            if (atomic_load(&seg->head->lanes[i].fiber) == fiber)
                return true;
    return false;
}

int rn_pipeline_wait(rn_ctx *ctx, rn_pipeline *p)
{
    int err;

    if (p == NULL)
        return -ENOMEM;
    if (!atomic_load(&p->started))
        return 0;
    if (is_own_fiber(p))
        return -EDEADLK;
    err = rn_wait_group_wait(ctx, &p->live);
    return err != 0 ? err : result(p);
}

int rn_pipeline_run(rn_pipeline *p)
{
    rn_pipeline_start(p); /* its error is the pipeline's */
    return rn_pipeline_wait(NULL, p);
}

static void free_stages(rn_pipeline *p)
{
    struct stage *s;
    struct rn_stream *out;

    while ((s = p->stages) != NULL) {
        p->stages = s->next;
        while ((out = s->outputs) != NULL) {
            s->outputs = out->next;
            free(out);
        }
        rn_chan_release(s->chan);
        free(s);
    }
}

void rn_pipeline_free(rn_pipeline *p)
{
    if (p == NULL)
        return;
    if (is_own_fiber(p))
        pipeline_misuse("rn_pipeline_free was called from a function of the pipeline");
    if (atomic_load(&p->started)) {
        rn_ctx_cancel(p->ctx, 0);
        rn_wait_group_wait(NULL, &p->live);
    } else {
        dispose(p, p->build_err != 0 ? p->build_err : -ECANCELED);
    }
    if (p->config.name != NULL)
        rn_exhibit_hide(&p->exhibit);
    pipeline_unplan(p);
    free_stages(p);
    rn_ctx_release(p->ctx);
    free(p);
}

/* ---- counters ---- */

static void add_stage(const struct stage *s, rn_stage_stats *out)
{
    for (size_t i = 0; i < s->lane_count; i++) {
        const struct lane *lane = &s->lanes[i];
        out->in += atomic_load_explicit(&lane->in, memory_order_relaxed);
        out->out += atomic_load_explicit(&lane->out, memory_order_relaxed);
        out->dropped += atomic_load_explicit(&lane->inlet.dropped, memory_order_relaxed);
    }
    if (s->edge != NULL)
        out->dropped += atomic_load_explicit(&s->edge->inlet.dropped, memory_order_relaxed);
}

void rn_pipeline_stats_read(rn_pipeline *p, rn_pipeline_stats *out)
{
    *out = (rn_pipeline_stats){0};
    if (p == NULL || !atomic_load(&p->planned))
        return;
    out->stages = p->stage_count;
    out->fibers = atomic_load(&p->fibers);
    out->err = atomic_load(&p->first);
    for (const struct stage *s = p->stages; s != NULL; s = s->next) {
        rn_stage_stats stage = {0};
        add_stage(s, &stage);
        out->in += s->inputs == NULL ? stage.out : 0;
        out->out += s->outputs == NULL ? stage.in : 0;
        out->dropped += stage.dropped;
    }
}

int rn_pipeline_stage_stats_read(rn_pipeline *p, size_t stage, rn_stage_stats *out)
{
    const struct stage *s = p == NULL || !atomic_load(&p->planned) ? NULL : p->stages;

    *out = (rn_stage_stats){0};
    while (s != NULL && stage-- > 0)
        s = s->next;
    if (s == NULL)
        return -EINVAL;
    *out = (rn_stage_stats){.name = s->name,
                            .kind = stage_kind_name(s->kind),
                            .waiting = s->edge == NULL ? 0 : rn_chan_len(s->edge->chan),
                            .concurrency = s->opt.concurrency,
                            .own_fiber = s->segment->head == s};
    add_stage(s, out);
    return 0;
}
