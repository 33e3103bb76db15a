/*
 * Fan-out: one fiber that receives from the input and sends each value to one of the outputs.
 *
 * Invariant: the fiber alone knows which outputs are closed, and which is next; others read
 * counters. A value is the fiber's from its receive to the end of its send.
 *
 * Rejected: a fiber for each output, all receiving from the input: then a value that was received
 * for an output that is closed meanwhile could go to no other.
 *
 * Compiled with the public headers only.
 */
#include <runnel/debug.h>
#include <runnel/fan_out.h>
#include <runnel/fiber.h>
#include <runnel/select.h>
#include <runnel/wait_group.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define OUTPUTS_MAX 1000000

struct rn_fan_out {
    rn_exhibit exhibit;
    rn_fan_out_config config;
    rn_ctx *ctx;
    struct rn_chan *input; /* retained */
    size_t n;
    struct rn_chan **outputs;
    rn_wait_group live; /* the fiber */

    /* The fiber's own. */
    void *value;
    rn_case *cases; /* a send to each output; RN_CASE_NONE: closed */
    size_t next;

    atomic_size_t open;
    _Atomic(uint64_t) in, out, dropped;
};

/* ---- the fiber ---- */

static bool is_open(const struct rn_fan_out *fan, size_t i)
{
    return fan->cases[i].kind != RN_CASE_NONE;
}

/* The receiver of output i wants no more. */
static void note_closed(struct rn_fan_out *fan, size_t i)
{
    fan->cases[i].kind = RN_CASE_NONE;
    atomic_fetch_sub(&fan->open, 1);
    if (fan->config.on_output_closed != NULL)
        fan->config.on_output_closed(fan->config.events_arg, i);
}

static int drop(struct rn_fan_out *fan, int err)
{
    if (fan->config.drop != NULL)
        fan->config.drop(fan->value);
    atomic_fetch_add(&fan->dropped, 1);
    return err;
}

static size_t after(const struct rn_fan_out *fan, size_t i)
{
    return i + 1 == fan->n ? 0 : i + 1;
}

/* What came of a send to output i: -EAGAIN when another one must be tried. */
static int settle(struct rn_fan_out *fan, size_t i, int err)
{
    if (err == RN_ECLOSED) {
        note_closed(fan, i);
        return -EAGAIN;
    }
    if (err == 0)
        fan->next = after(fan, i);
    return err;
}

/* To the first output, from the next one on, that takes it at once. */
static int try_each(struct rn_fan_out *fan)
{
    size_t i = fan->next;

    for (size_t tried = 0; tried < fan->n; tried++, i = after(fan, i)) {
        int err = is_open(fan, i) ? rn_chan_try_send(fan->outputs[i], fan->value) : -EAGAIN;
        if (err != -EAGAIN && (err = settle(fan, i, err)) != -EAGAIN)
            return err;
    }
    return -EAGAIN;
}

/* To whichever takes it first. */
static int await_any(struct rn_fan_out *fan)
{
    int code = 0, i;

    for (size_t each = 0; each < fan->n; each++)
        fan->cases[each].code = &code;
    i = rn_select_n(fan->ctx, fan->cases, fan->n, 0);
    return i < 0 ? i : settle(fan, (size_t)i, code);
}

static int send_ready(struct rn_fan_out *fan)
{
    int err = -EAGAIN;

    while (err == -EAGAIN && atomic_load(&fan->open) != 0) {
        err = try_each(fan);
        if (err == -EAGAIN && atomic_load(&fan->open) != 0)
            err = await_any(fan);
    }
    return err == -EAGAIN ? RN_ECLOSED : err;
}

static int send_in_turn(struct rn_fan_out *fan)
{
    int err = -EAGAIN;

    while (err == -EAGAIN && atomic_load(&fan->open) != 0) {
        if (is_open(fan, fan->next))
            err = settle(fan, fan->next,
                         rn_chan_send(fan->ctx, fan->outputs[fan->next], fan->value));
        else
            fan->next = after(fan, fan->next);
    }
    return err == -EAGAIN ? RN_ECLOSED : err;
}

/* 0 also for a value whose receiver is gone, as long as there are others. */
static int send_by_key(struct rn_fan_out *fan)
{
    size_t i = (size_t)(fan->config.key(fan->value) % fan->n);
    int err = is_open(fan, i) ? rn_chan_send(fan->ctx, fan->outputs[i], fan->value) : -EAGAIN;

    if (err == RN_ECLOSED)
        note_closed(fan, i);
    if (err == RN_ECLOSED || err == -EAGAIN)
        return drop(fan, atomic_load(&fan->open) == 0 ? RN_ECLOSED : 0);
    if (err != 0)
        return drop(fan, err);
    atomic_fetch_add(&fan->out, 1);
    return 0;
}

static int pass_on(struct rn_fan_out *fan)
{
    int err;

    if (fan->config.key != NULL)
        return send_by_key(fan);
    err = fan->config.policy == RN_FAN_OUT_IN_TURN ? send_in_turn(fan) : send_ready(fan);
    if (err != 0)
        return drop(fan, err);
    atomic_fetch_add(&fan->out, 1);
    return 0;
}

static void close_all(struct rn_fan_out *fan, int cause)
{
    for (size_t i = 0; i < fan->n; i++)
        rn_chan_close_with(fan->outputs[i], cause);
}

static void run(void *arg)
{
    struct rn_fan_out *fan = arg;
    int err = 0;

    while (err == 0 && (err = rn_chan_recv(fan->ctx, fan->input, fan->value)) == 0) {
        atomic_fetch_add(&fan->in, 1);
        err = pass_on(fan);
    }
    close_all(fan, err);
    atomic_store(&fan->open, 0);
    rn_wait_group_done(&fan->live);
}

/* ---- making and freeing ---- */

static void describe(const rn_exhibit *exhibit, char *text, size_t size)
{
    rn_fan_out_stats stats;

    rn_fan_out_stats_read_untyped((struct rn_fan_out *)exhibit, &stats);
    snprintf(text, size, "%zu outputs, %llu in, %llu out, %llu dropped", stats.outputs,
             (unsigned long long)stats.in, (unsigned long long)stats.out,
             (unsigned long long)stats.dropped);
}

static int make_outputs(struct rn_fan_out *fan, size_t size)
{
    const rn_fan_out_config *c = &fan->config;
    int err = 0;

    fan->outputs = calloc(fan->n, sizeof(struct rn_chan *));
    fan->cases = calloc(fan->n, sizeof(rn_case));
    if (fan->outputs == NULL || fan->cases == NULL)
        return -ENOMEM;
    for (size_t i = 0; err == 0 && i < fan->n; i++) {
        err = rn_chan_new(
            &fan->outputs[i], size,
            &(rn_chan_options){.capacity = c->buffer, .drop = c->drop, .name = c->name});
        fan->cases[i] = (rn_case){
            .kind = RN_CASE_SEND, .chan = fan->outputs[i], .value = fan->value};
    }
    return err;
}

static int start(struct rn_fan_out *fan)
{
    const rn_go_options opt = {.name = fan->config.name == NULL ? "fan_out" : fan->config.name,
                               .ctx = fan->ctx};
    int err;

    rn_wait_group_add(&fan->live, 1);
    err = rn_go_with(&opt, run, fan);
    if (err != 0)
        rn_wait_group_done(&fan->live);
    return err;
}

static int make_parts(struct rn_fan_out *fan, size_t size)
{
    int err;

    fan->ctx = rn_ctx_with_cancel(fan->config.ctx);
    fan->value = malloc(size + 1);
    if (fan->ctx == NULL || fan->value == NULL)
        return -ENOMEM;
    err = make_outputs(fan, size);
    return err != 0 ? err : start(fan);
}

static int check(const rn_fan_out_config *c, size_t size, const struct rn_chan *in, size_t n)
{
    if (in == NULL)
        return rn_error_with(-EINVAL, "fan_out: the input is NULL");
    if (n == 0 || n > OUTPUTS_MAX)
        return rn_error_with(-EINVAL, "fan_out: n is %zu: allowed are 1 to %d", n, OUTPUTS_MAX);
    if (c->buffer > PTRDIFF_MAX / 2 / (size + 1))
        return rn_error_with(-EINVAL, "fan_out: .buffer is %zu: too many for values of %zu bytes",
                             c->buffer, size);
    if ((unsigned)c->policy > RN_FAN_OUT_IN_TURN)
        return rn_error_with(-EINVAL, "fan_out: .policy is %d: allowed are 0 to %d", (int)c->policy,
                             RN_FAN_OUT_IN_TURN);
    if (c->key != NULL && c->policy != RN_FAN_OUT_READY)
        return rn_error_with(-EINVAL, "fan_out: .policy is %d: with .key allowed is 0",
                             (int)c->policy);
    return 0;
}

int rn_fan_out_new_untyped(struct rn_fan_out **out, size_t size, struct rn_chan *in, size_t n,
                           const rn_fan_out_config *config)
{
    static const rn_fan_out_config defaults;
    struct rn_fan_out *fan;
    int err;

    *out = NULL;
    config = config == NULL ? &defaults : config;
    err = check(config, size, in, n);
    if (err != 0)
        return err;
    fan = calloc(1, sizeof *fan);
    if (fan == NULL)
        return -ENOMEM;
    fan->config = *config;
    fan->n = n;
    fan->input = in;
    rn_chan_retain_untyped(in);
    atomic_init(&fan->open, n);
    fan->exhibit = (rn_exhibit){.kind = "fan-out", .name = config->name, .describe = describe};
    if (config->name != NULL)
        rn_exhibit_show(&fan->exhibit);
    err = make_parts(fan, size);
    if (err == 0)
        *out = fan;
    else
        rn_fan_out_free_untyped(fan);
    return err;
}

void rn_fan_out_free_untyped(struct rn_fan_out *fan)
{
    if (fan == NULL)
        return;
    if (fan->ctx != NULL)
        rn_ctx_cancel(fan->ctx, 0);
    rn_wait_group_wait(NULL, &fan->live);
    if (fan->config.name != NULL)
        rn_exhibit_hide(&fan->exhibit);
    for (size_t i = 0; fan->outputs != NULL && i < fan->n; i++)
        rn_chan_release(fan->outputs[i]);
    rn_chan_release(fan->input);
    rn_ctx_release(fan->ctx);
    free(fan->outputs);
    free(fan->cases);
    free(fan->value);
    free(fan);
}

struct rn_chan *rn_fan_out_chan_untyped(struct rn_fan_out *fan, size_t i)
{
    return fan == NULL || i >= fan->n ? NULL : fan->outputs[i];
}

void rn_fan_out_stats_read_untyped(struct rn_fan_out *fan, rn_fan_out_stats *out)
{
    *out = (rn_fan_out_stats){.outputs = atomic_load(&fan->open),
                              .in = atomic_load(&fan->in),
                              .out = atomic_load(&fan->out),
                              .dropped = atomic_load(&fan->dropped)};
}
