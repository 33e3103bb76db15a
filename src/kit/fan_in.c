/*
 * Fan-in: a fiber for each input, and one output channel.
 *
 * Invariants:
 *   - open counts the inputs that have not ended, and one more while inputs may be added. Who takes
 *     it to 0 closes the output; then nothing is added any more.
 *   - A value is a fiber's from its receive to the end of its send. Both end with the fan-in's
 *     context, which ends with the output: so no fiber stays behind.
 *
 * A fiber passes one value on at a time, and several when they are there already: what is received
 * is what may be lost when all ends, so it takes no more than CHUNK_MAX.
 *
 * Compiled with the public headers only.
 */
#include <runnel/debug.h>
#include <runnel/fan_in.h>
#include <runnel/fiber.h>
#include <runnel/mutex.h>
#include <runnel/wait_group.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_MAX 16 /* values that a fiber holds */

struct rn_fan_in {
    rn_exhibit exhibit;
    rn_fan_in_config config;
    size_t size; /* of a value */
    rn_ctx *ctx;
    struct rn_chan *output;
    rn_wait_group live; /* fibers */

    atomic_size_t open;
    atomic_bool sealed;
    _Atomic(uint64_t) in, out, dropped;
};

struct input {
    struct rn_fan_in *fan;
    struct rn_chan *chan; /* retained */
    char *values;         /* room for CHUNK_MAX */
};

/* ---- fibers ---- */

static void drop(struct rn_fan_in *fan, char *values, size_t n)
{
    for (size_t i = 0; fan->config.drop != NULL && i < n; i++)
        fan->config.drop(values + i * fan->size);
    atomic_fetch_add(&fan->dropped, n);
}

/* Sends n values. False when it cannot go on: then those that are left over are dropped. */
static bool pass_on(struct rn_fan_in *fan, char *values, size_t n)
{
    ptrdiff_t sent = rn_chan_send_n(fan->ctx, fan->output, values, n);
    size_t done = sent < 0 ? 0 : (size_t)sent;

    atomic_fetch_add(&fan->out, done);
    if (done == n)
        return true;
    drop(fan, values + done * fan->size, n - done);
    return false;
}

/* Closes the output for good, and ends whatever still waits for an input. */
static void close_output(struct rn_fan_in *fan, int cause)
{
    rn_chan_close_with(fan->output, cause);
    rn_ctx_cancel(fan->ctx, RN_ECLOSED);
}

/* The last one to close closes the output. */
static void close_one(struct rn_fan_in *fan)
{
    if (atomic_fetch_sub(&fan->open, 1) == 1)
        close_output(fan, RN_ECLOSED);
}

static void input_free(struct input *in)
{
    rn_chan_release(in->chan);
    free(in->values);
    free(in);
}

static void run(void *arg)
{
    struct input *in = arg;
    struct rn_fan_in *fan = in->fan;
    bool passed = true;
    ptrdiff_t n = 0;

    while (passed && (n = rn_chan_recv_n(fan->ctx, in->chan, in->values, CHUNK_MAX)) > 0) {
        atomic_fetch_add(&fan->in, (uint64_t)n);
        passed = pass_on(fan, in->values, (size_t)n);
    }
    if (!passed || n != RN_ECLOSED)
        close_output(fan, rn_ctx_err(fan->ctx) == 0 ? RN_ECLOSED : rn_ctx_err(fan->ctx));
    else if (fan->config.on_input_end != NULL)
        fan->config.on_input_end(fan->config.events_arg, in->chan);
    input_free(in);
    close_one(fan);
    rn_wait_group_done(&fan->live);
}

/* Closes the output when the context ends while there may be no input to notice. */
static void guard(void *arg)
{
    struct rn_fan_in *fan = arg;

    rn_ctx_wait(fan->ctx);
    close_output(fan, rn_ctx_err(fan->ctx));
    rn_wait_group_done(&fan->live);
}

/* ---- inputs ---- */

static int start(struct rn_fan_in *fan, void (*fn)(void *arg), void *arg)
{
    const rn_go_options opt = {.name = fan->config.name == NULL ? "fan_in" : fan->config.name,
                               .ctx = fan->ctx};
    int err;

    rn_wait_group_add(&fan->live, 1);
    err = rn_go_with(&opt, fn, arg);
    if (err != 0)
        rn_wait_group_done(&fan->live);
    return err;
}

/* Starts a fiber for one more input, for which open counts already. */
static int begin_input(struct rn_fan_in *fan, struct rn_chan *ch)
{
    struct input *in = calloc(1, sizeof *in);
    int err = -ENOMEM;

    if (in == NULL)
        return err;
    rn_chan_retain_untyped(ch);
    in->fan = fan;
    in->chan = ch;
    in->values = malloc(CHUNK_MAX * fan->size + 1);
    if (in->values != NULL)
        err = start(fan, run, in);
    if (err != 0)
        input_free(in);
    return err;
}

/* Counts one more input unless the output is closed or about to be. */
static bool open_one(struct rn_fan_in *fan)
{
    size_t n = atomic_load(&fan->open);

    while (n != 0 && !atomic_compare_exchange_weak(&fan->open, &n, n + 1))
        ;
    return n != 0;
}

int rn_fan_in_add_untyped(struct rn_fan_in *fan, struct rn_chan *ch)
{
    int err;

    if (ch == NULL)
        return rn_error_with(-EINVAL, "fan_in: the channel to add is NULL");
    if (!fan->config.growing)
        return rn_error_with(-EINVAL, "fan_in: .growing is false: nothing can be added");
    if (atomic_load(&fan->sealed) || rn_ctx_err(fan->ctx) != 0 ||
        rn_chan_close_cause(fan->output) != 0 || !open_one(fan))
        return RN_ECLOSED;
    err = begin_input(fan, ch);
    if (err != 0)
        close_one(fan);
    return err;
}

int rn_fan_in_seal_untyped(struct rn_fan_in *fan)
{
    if (atomic_exchange(&fan->sealed, true))
        return RN_ECLOSED;
    close_one(fan);
    return 0;
}

/* ---- making and freeing ---- */

static struct rn_chan *input_at(const void *inputs, size_t i)
{
    struct rn_chan *ch;

    memcpy(&ch, (const char *)inputs + i * sizeof ch, sizeof ch);
    return ch;
}

static void describe(const rn_exhibit *exhibit, char *text, size_t size)
{
    rn_fan_in_stats stats;

    rn_fan_in_stats_read_untyped((struct rn_fan_in *)exhibit, &stats);
    snprintf(text, size, "%zu inputs, %llu in, %llu out, %llu dropped", stats.inputs,
             (unsigned long long)stats.in, (unsigned long long)stats.out,
             (unsigned long long)stats.dropped);
}

static int make_parts(struct rn_fan_in *fan)
{
    const rn_fan_in_config *c = &fan->config;
    int err = rn_chan_new(
        &fan->output, fan->size,
        &(rn_chan_options){.capacity = c->buffer, .drop = c->drop, .name = c->name});

    if (err != 0)
        return err;
    fan->ctx = rn_ctx_with_cancel(c->ctx);
    return fan->ctx == NULL ? -ENOMEM : 0;
}

/* While it adds inputs one more is counted, so that the output is not closed in between. */
static int begin_inputs(struct rn_fan_in *fan, const void *inputs, size_t n)
{
    int err = 0;

    for (size_t i = 0; err == 0 && i < n; i++) {
        open_one(fan);
        err = begin_input(fan, input_at(inputs, i));
        if (err != 0)
            close_one(fan);
    }
    return err;
}

static int check(const rn_fan_in_config *config, size_t size, const void *inputs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (input_at(inputs, i) == NULL)
            return rn_error_with(-EINVAL, "fan_in: input number %zu is NULL", i);
    if (config->buffer > PTRDIFF_MAX / 2 / (size + 1))
        return rn_error_with(-EINVAL, "fan_in: .buffer is %zu: too many for values of %zu bytes",
                             config->buffer, size);
    return 0;
}

int rn_fan_in_new_untyped(struct rn_fan_in **out, size_t size, const void *inputs, size_t n,
                          const rn_fan_in_config *config)
{
    static const rn_fan_in_config defaults;
    struct rn_fan_in *fan;
    int err;

    *out = NULL;
    config = config == NULL ? &defaults : config;
    err = check(config, size, inputs, n);
    if (err != 0)
        return err;
    fan = calloc(1, sizeof *fan);
    if (fan == NULL)
        return -ENOMEM;
    fan->config = *config;
    fan->size = size;
    atomic_init(&fan->open, 1);
    fan->exhibit = (rn_exhibit){.kind = "fan-in", .name = config->name, .describe = describe};
    if (config->name != NULL)
        rn_exhibit_show(&fan->exhibit);
    err = make_parts(fan);
    if (err == 0 && config->growing)
        err = start(fan, guard, fan);
    if (err == 0)
        err = begin_inputs(fan, inputs, n);
    if (err != 0) {
        rn_fan_in_free_untyped(fan);
        return err;
    }
    if (!config->growing)
        rn_fan_in_seal_untyped(fan);
    *out = fan;
    return 0;
}

void rn_fan_in_free_untyped(struct rn_fan_in *fan)
{
    if (fan == NULL)
        return;
    if (fan->ctx != NULL)
        rn_ctx_cancel(fan->ctx, 0);
    rn_wait_group_wait(NULL, &fan->live);
    if (fan->config.name != NULL)
        rn_exhibit_hide(&fan->exhibit);
    if (fan->output != NULL)
        rn_chan_close_with(fan->output, -ECANCELED); /* for who has retained it */
    rn_chan_release(fan->output);
    rn_ctx_release(fan->ctx);
    free(fan);
}

struct rn_chan *rn_fan_in_chan_untyped(struct rn_fan_in *fan)
{
    return fan == NULL ? NULL : fan->output;
}

void rn_fan_in_stats_read_untyped(struct rn_fan_in *fan, rn_fan_in_stats *out)
{
    size_t open = atomic_load(&fan->open);

    *out = (rn_fan_in_stats){.in = atomic_load(&fan->in),
                             .out = atomic_load(&fan->out),
                             .dropped = atomic_load(&fan->dropped)};
    out->inputs = open - (open > 0 && !atomic_load(&fan->sealed) ? 1 : 0);
}
