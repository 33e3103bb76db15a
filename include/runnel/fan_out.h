/*
 * rn_fan_out - the values of one channel, each to one of several.
 *
 *     rn_fan_out(struct order) desks;
 *
 *     err = rn_fan_out_new(&desks, orders, 3, &(rn_fan_out_config){ .ctx = ctx });
 *     for (size_t i = 0; i < 3; i++)
 *         rn_group_go_copy(g, serve, &(struct desk){ rn_fan_out_chan(desks, i) });
 *     err = rn_group_wait(g);              each ends by RN_ECLOSED when the orders are through
 *     rn_fan_out_free(desks);
 *
 * Which output gets a value: the first that has room or a receiver, in turn when several have
 * (RN_FAN_OUT_READY); strictly one after the other, waiting for each (RN_FAN_OUT_IN_TURN); or
 * always the same for values of one key, so that these keep their order (.key).
 *
 * To give each value to all, make a stream of the channel and tee it (runnel/pipeline.h):
 *
 *     rn_stream(T) one = rn_stream_from_chan(p, in), two = rn_stream_tee(one);
 *     rn_stream_to_chan(one, a), rn_stream_to_chan(two, b);
 *
 * Lifetime
 * 1. A fan-out belongs to who made it, who frees it. free ends its fiber and waits for it.
 * 2. The input is retained until the fan-out is freed, and not closed. At most one value that has
 *    left it is on its way.
 * 3. The outputs are the fan-out's; who uses one after free retains it. They are closed when the
 *    input is closed and empty, with RN_ECLOSED as cause, or when .ctx ends, with its error.
 * 4. A receiver closes its output to say that it wants no more: the others get the rest, but with
 *    .key, where the values that were for it are dropped. When all have closed, the fan-out ends.
 * 5. A value on its way when it ends goes to .drop. So does what is left in an output when its last
 *    reference goes.
 *
 * At once  every call but new and free, from any number of fibers and threads.
 */
#ifndef RUNNEL_FAN_OUT_H
#define RUNNEL_FAN_OUT_H

#include <runnel/chan.h>
#include <runnel/ctx.h>
#include <runnel/error.h>
#include <stddef.h>
#include <stdint.h>

RN_BEGIN_DECLS

struct rn_fan_out;

/* The type of a fan-out of a channel of T. */
#define rn_fan_out(T) __typeof__(__typeof__(T)(*)(struct rn_fan_out *))

/* The untyped fan-out under a typed one, and the type of its elements. */
#define rn_fan_out_untyped(fan) (__extension__(struct rn_fan_out *)(fan))
#define RN_FAN_OUT_ELEMENT(fan) __typeof__((fan)((struct rn_fan_out *)0))

/* Which output gets a value. */
typedef enum rn_fan_out_policy {
    RN_FAN_OUT_READY,  /* the next one that can take it without waiting */
    RN_FAN_OUT_IN_TURN /* the next one, waiting for it */
} rn_fan_out_policy;

/* How to make one; zero is the default of each field. */
typedef struct rn_fan_out_config {
    rn_ctx *ctx;              /* ends it; retained; default: none */
    size_t buffer;            /* values that may wait in each output; default 0: handed over */
    rn_fan_out_policy policy; /* default: RN_FAN_OUT_READY */
    /* When not NULL, a value goes to output number key(value) modulo their number. */
    uint64_t (*key)(const void *value);
    const char *name; /* of its fiber and the outputs, in dumps; must outlive it */
    /* Called for each value that nobody will receive. */
    void (*drop)(void *value);
    /* Called when the receiver of an output was found to have closed it. */
    void (*on_output_closed)(void *arg, size_t output);
    void *events_arg;
} rn_fan_out_config;

/*
 * rn_fan_out_new, rn_fan_out_new_untyped - distribute a channel to n new ones.
 *
 * rn_fan_out_new(&fan, in, n, config) is typed; config may be NULL.
 *
 * Caller   any thread or fiber.
 * Returns  0         *out is the fan-out, running
 *          -EINVAL   in is NULL, n is 0 or beyond 1,000,000, .buffer is too large, an unknown
 *                    policy, or .key with a policy (see rn_error_detail)
 *          -ENOMEM   out of memory or stacks
 *          On every error *out is NULL, which rn_fan_out_free takes, and nothing was received.
 * See      rn_fan_out_chan, examples/fan_out_in.c
 */
#define rn_fan_out_new(out, in, n, ...)                                                            \
    __extension__({                                                                                \
        __auto_type rn_chan_ = (in);                                                               \
        _Static_assert(                                                                            \
            __builtin_types_compatible_p(RN_ELEMENT(rn_chan_), RN_FAN_OUT_ELEMENT(*(out))),        \
            "the channel's elements are not the fan-out's");                                       \
        struct rn_fan_out *rn_fan_ = NULL;                                                         \
        int rn_err_ = rn_fan_out_new_untyped(&rn_fan_, sizeof(RN_FAN_OUT_ELEMENT(*(out))),         \
                                             rn_chan_untyped(rn_chan_), (n), (__VA_ARGS__));       \
        *(out) = (__typeof__(*(out)))rn_fan_;                                                      \
        rn_err_;                                                                                   \
    })
RN_API int rn_fan_out_new_untyped(struct rn_fan_out **out, size_t size, struct rn_chan *in,
                                  size_t n, const rn_fan_out_config *config);

/*
 * rn_fan_out_chan, rn_fan_out_chan_untyped - output number i, from 0, typed.
 *
 * Caller   any thread or fiber.
 * Returns  the channel, the fan-out's own; NULL when there is none of that number, or for NULL.
 */
#define rn_fan_out_chan(fan, i)                                                                    \
    (__extension__(rn_chan(RN_FAN_OUT_ELEMENT(fan)))                                               \
         rn_fan_out_chan_untyped(rn_fan_out_untyped(fan), (i)))
RN_API struct rn_chan *rn_fan_out_chan_untyped(struct rn_fan_out *fan, size_t i);

/* What a fan-out does. When it has ended: in is out + dropped. */
typedef struct rn_fan_out_stats {
    size_t outputs;   /* gauge: that take values */
    uint64_t in;      /* values received from the input */
    uint64_t out;     /* values put into outputs */
    uint64_t dropped; /* values that got neither */
} rn_fan_out_stats;

/*
 * rn_fan_out_stats_read - fill in *out.
 *
 * Caller   any thread or fiber.
 */
#define rn_fan_out_stats_read(fan, out) rn_fan_out_stats_read_untyped(rn_fan_out_untyped(fan), out)
RN_API void rn_fan_out_stats_read_untyped(struct rn_fan_out *fan, rn_fan_out_stats *out);

/*
 * rn_fan_out_free - end it and free it. NULL is fine.
 *
 * Caller   any thread or fiber; nobody else may be in a call on it, or receive from an output
 *          without a reference.
 * Blocks   the fiber until its fiber has ended, which waits for nothing by then.
 */
#define rn_fan_out_free(fan) rn_fan_out_free_untyped(rn_fan_out_untyped(fan))
RN_API void rn_fan_out_free_untyped(struct rn_fan_out *fan);

RN_END_DECLS

#endif
