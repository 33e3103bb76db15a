/*
 * Policy: an array of layers. A call goes inwards by recursion, a step for each layer.
 *
 * The object never changes but for its counters, so that calls share nothing else. A step, rn_next,
 * lives on the stack of the layer around it.
 *
 * Compiled with the public headers only.
 */
#include <runnel/debug.h>
#include <runnel/policy.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ORDER_BYTES_MAX 128 /* of it, in a dump */

struct rn_policy {
    rn_policy_config config;
    size_t count; /* layers */
    _Atomic(uint64_t) calls;
    _Atomic(uint64_t) failed;
    _Atomic(uint64_t) entered[RN_POLICY_LAYERS_MAX];
    _Atomic(uint64_t) refused[RN_POLICY_LAYERS_MAX];
    rn_exhibit exhibit;
};

/* What is inside a layer: the next one, or the call. */
struct rn_next {
    rn_policy *policy;
    size_t index; /* of the next layer; count: the call */
    rn_attempt_fn *fn;
    void *arg;
    rn_attempt *attempt;
};

static void count(_Atomic(uint64_t) *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed); /* a counter orders nothing */
}

static uint64_t total(_Atomic(uint64_t) *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* ---- the layers: each does its part around what is next ---- */

/* The layer around next lets nothing through. */
static int refuse(const rn_next *next, int err)
{
    count(&next->policy->refused[next->index - 1]);
    return err;
}

static int attempt_next(rn_ctx *ctx, void *arg, rn_attempt *attempt)
{
    rn_next inner = *(const rn_next *)arg;

    inner.attempt = attempt;
    return rn_policy_next(ctx, &inner);
}

static int pass_retry(rn_ctx *ctx, const rn_layer *layer, const rn_next *next)
{
    rn_next inner = *next;

    return rn_retry_execute(ctx, layer->retry, attempt_next, &inner);
}

static int pass_breaker(rn_ctx *ctx, const rn_layer *layer, const rn_next *next)
{
    rn_permit permit;
    int err = rn_breaker_allow(layer->breaker, &permit);

    if (err != 0) {
        if (permit.state != RN_BREAKER_HALF_OPEN) /* there, a probe may end at any moment */
            next->attempt->retry_after = permit.retry_after;
        return refuse(next, err);
    }
    err = rn_policy_next(ctx, next);
    rn_breaker_done(layer->breaker, permit, err);
    return err;
}

static int pass_limiter(rn_ctx *ctx, const rn_layer *layer, const rn_next *next)
{
    int err = rn_limiter_wait(ctx, layer->limiter, layer->n);

    return err != 0 ? refuse(next, err) : rn_policy_next(ctx, next);
}

static int pass_semaphore(rn_ctx *ctx, const rn_layer *layer, const rn_next *next)
{
    int err = rn_semaphore_acquire(ctx, layer->semaphore, layer->n);

    if (err != 0)
        return refuse(next, err);
    err = rn_policy_next(ctx, next);
    rn_semaphore_release(layer->semaphore, layer->n);
    return err;
}

static int pass_timeout(rn_ctx *ctx, const rn_layer *layer, const rn_next *next)
{
    rn_ctx *limited = rn_ctx_with_timeout(ctx, layer->timeout);
    int err;

    if (limited == NULL)
        return refuse(next, -ENOMEM);
    err = rn_policy_next(limited, next);
    rn_ctx_release(limited);
    return err;
}

static int pass_custom(rn_ctx *ctx, const rn_layer *layer, const rn_next *next)
{
    return layer->fn(ctx, layer->arg, next->attempt, next);
}

static const struct {
    const char *name;
    int (*pass)(rn_ctx *ctx, const rn_layer *layer, const rn_next *next);
} kinds[] = {[RN_LAYER_RETRY] = {"retry", pass_retry},
             [RN_LAYER_BREAKER] = {"breaker", pass_breaker},
             [RN_LAYER_LIMITER] = {"limiter", pass_limiter},
             [RN_LAYER_SEMAPHORE] = {"semaphore", pass_semaphore},
             [RN_LAYER_TIMEOUT] = {"timeout", pass_timeout},
             [RN_LAYER_CUSTOM] = {"custom", pass_custom}};

/* ---- a call ---- */

int rn_policy_next(rn_ctx *ctx, const rn_next *next)
{
    rn_policy *p = next->policy;
    const rn_layer *layer = &p->config.layers[next->index];
    rn_next inner = *next;

    if (next->index == p->count)
        return next->fn(ctx, next->arg, next->attempt);
    count(&p->entered[next->index]);
    inner.index++;
    return kinds[layer->kind].pass(ctx, layer, &inner);
}

int rn_policy_execute(rn_ctx *ctx, rn_policy *p, rn_attempt_fn *fn, void *arg)
{
    const rn_policy_config *c = &p->config;
    rn_attempt attempt = {.number = 1};
    const rn_next outermost = {.policy = p, .fn = fn, .arg = arg, .attempt = &attempt};
    rn_time began = c->on_done != NULL ? rn_clock_now(c->clock) : 0;
    int err = rn_ctx_err(ctx);

    if (err != 0)
        return err;
    count(&p->calls);
    err = rn_policy_next(ctx, &outermost);
    if (err < 0)
        count(&p->failed);
    if (c->on_done != NULL)
        c->on_done(c->events_arg, err, rn_clock_now(c->clock) - began);
    return err;
}

/* ---- looking at it ---- */

static const char *name_of(const rn_layer *layer)
{
    return layer->kind == RN_LAYER_CUSTOM ? layer->name : kinds[layer->kind].name;
}

/* Appends as much of more as fits; counts all of it. */
static size_t append(char *text, size_t size, size_t used, const char *more)
{
    if (used < size)
        snprintf(text + used, size - used, "%s", more);
    return used + strlen(more);
}

size_t rn_policy_order(const rn_policy *p, char *text, size_t size)
{
    size_t used = append(text, size, 0, "");

    for (size_t i = 0; i < p->count; i++) {
        if (i > 0)
            used = append(text, size, used, " > ");
        used = append(text, size, used, name_of(&p->config.layers[i]));
    }
    return used;
}

const rn_layer *rn_policy_layer(const rn_policy *p, size_t i)
{
    return i < p->count ? &p->config.layers[i] : NULL;
}

void rn_policy_stats_read(rn_policy *p, rn_policy_stats *out)
{
    *out = (rn_policy_stats){.calls = total(&p->calls), .failed = total(&p->failed)};
    for (size_t i = 0; i < p->count; i++) {
        out->layers[i].entered = total(&p->entered[i]);
        out->layers[i].refused = total(&p->refused[i]);
    }
}

static void describe(const rn_exhibit *exhibit, char *text, size_t size)
{
    rn_policy *p = (rn_policy *)((char *)(uintptr_t)exhibit - offsetof(rn_policy, exhibit));
    char order[ORDER_BYTES_MAX];

    rn_policy_order(p, order, sizeof order);
    snprintf(text, size, "%s, %llu calls, %llu failed", order, (unsigned long long)total(&p->calls),
             (unsigned long long)total(&p->failed));
}

/* ---- making ---- */

static bool has_part(const rn_layer *layer)
{
    switch (layer->kind) {
    case RN_LAYER_RETRY:
        return layer->retry != NULL;
    case RN_LAYER_BREAKER:
        return layer->breaker != NULL;
    case RN_LAYER_LIMITER:
        return layer->limiter != NULL;
    case RN_LAYER_SEMAPHORE:
        return layer->semaphore != NULL;
    case RN_LAYER_CUSTOM:
        return layer->fn != NULL && layer->name != NULL;
    default:
        return true;
    }
}

static int check_layer(const rn_layer *layer, size_t i)
{
    if ((unsigned)layer->kind > RN_LAYER_CUSTOM)
        return rn_error_with(-EINVAL, "policy: .layers[%zu] is of kind %d: there is none", i,
                             (int)layer->kind);
    if (!has_part(layer))
        return rn_error_with(-EINVAL, "policy: .layers[%zu] is a %s layer with a part that is NULL",
                             i, kinds[layer->kind].name);
    if ((layer->kind == RN_LAYER_LIMITER || layer->kind == RN_LAYER_SEMAPHORE) && layer->n == 0)
        return rn_error_with(-EINVAL, "policy: .layers[%zu] is a %s layer that takes 0 of it", i,
                             kinds[layer->kind].name);
    if (layer->kind == RN_LAYER_TIMEOUT && layer->timeout <= 0)
        return rn_error_with(-EINVAL,
                             "policy: .layers[%zu] is a timeout of %lld: it must be more than 0", i,
                             (long long)layer->timeout);
    return 0;
}

/* How many layers there are, none behind a gap; negative if one is wrong. */
static int check(const rn_policy_config *c)
{
    int layers = 0, err = 0;

    for (size_t i = 0; err == 0 && i < RN_POLICY_LAYERS_MAX; i++) {
        if (c->layers[i].kind == RN_LAYER_NONE)
            continue;
        if ((size_t)layers != i)
            return rn_error_with(-EINVAL, "policy: .layers[%d] is empty, but .layers[%zu] is not",
                                 layers, i);
        layers++;
        err = check_layer(&c->layers[i], i);
    }
    return err != 0 ? err : layers;
}

int rn_policy_new(rn_policy **out, const rn_policy_config *config)
{
    static const rn_policy_config none = {.name = NULL};
    const rn_policy_config *c = config == NULL ? &none : config;
    int layers = check(c);
    rn_policy *p;

    *out = NULL;
    if (layers < 0)
        return layers;
    p = calloc(1, sizeof *p);
    if (p == NULL)
        return -ENOMEM;
    p->config = *c;
    p->count = (size_t)layers;
    if (c->name != NULL) {
        p->exhibit = (rn_exhibit){.kind = "policy", .name = c->name, .describe = describe};
        rn_exhibit_show(&p->exhibit);
    }
    *out = p;
    return 0;
}

void rn_policy_free(rn_policy *p)
{
    if (p != NULL && p->exhibit.name != NULL)
        rn_exhibit_hide(&p->exhibit);
    free(p);
}
