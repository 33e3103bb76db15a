/*
 * rn_fan_in - what several channels receive, in one.
 *
 *     rn_fan_in(struct event) all;
 *
 *     err = rn_fan_in_new(&all, (disk, network, timer), &(rn_fan_in_config){ .ctx = ctx });
 *     while (rn_recv(ctx, rn_fan_in_chan(all), &event) == 0)
 *         handle(&event);                  ends when all three are closed and empty
 *     rn_fan_in_free(all);
 *
 * A fiber for each input passes its values on as they come: each input's keep their order, those of
 * different inputs come as they are ready. With .growing further channels can be added while it
 * runs, until rn_fan_in_seal.
 *
 * Lifetime
 * 1. A fan-in belongs to who made it, who frees it. free ends its fibers and waits for them: none
 *    outlives it, wherever the receiver stopped.
 * 2. Inputs are retained until they have ended or the fan-in has; it closes none of them. What it
 *    has not received stays in them.
 * 3. The output is the fan-in's; who receives from it after free retains it. It is closed when all
 *    inputs are closed and empty, with RN_ECLOSED as cause, or when .ctx ends, with its error.
 * 4. A value on its way, when the context ends, the receiver closes the output, or free comes, goes
 *    to .drop. So does what is left in the output, when its last reference goes.
 *
 * At once  every call but new and free, from any number of fibers and threads.
 */
#ifndef RUNNEL_FAN_IN_H
#define RUNNEL_FAN_IN_H

#include <runnel/chan.h>
#include <runnel/ctx.h>
#include <runnel/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

RN_BEGIN_DECLS

struct rn_fan_in;

/* The type of a fan-in of channels of T. */
#define rn_fan_in(T) __typeof__(__typeof__(T)(*)(struct rn_fan_in *))

/* The untyped fan-in under a typed one, and the type of its elements. */
#define rn_fan_in_untyped(fan) (__extension__(struct rn_fan_in *)(fan))
#define RN_FAN_IN_ELEMENT(fan) __typeof__((fan)((struct rn_fan_in *)0))

/* How to make one; zero is the default of each field. */
typedef struct rn_fan_in_config {
    rn_ctx *ctx;      /* ends it; retained; default: none */
    size_t buffer;    /* values that may wait for the receiver; default 0: handed over */
    bool growing;     /* more inputs may be added: the output stays open until rn_fan_in_seal */
    const char *name; /* of its fibers and the output, in dumps; must outlive it */
    /* Called for each value that nobody will receive. */
    void (*drop)(void *value);
    /* Called when an input has ended: closed and empty. */
    void (*on_input_end)(void *arg, struct rn_chan *input);
    void *events_arg;
} rn_fan_in_config;

/*
 * rn_fan_in_new, rn_fan_in_new_n, rn_fan_in_new_untyped - make a fan-in of channels.
 *
 * rn_fan_in_new(&fan, (ch, ch, ...), config) takes channels of the fan-in's type as a list in
 * parentheses, rn_fan_in_new_n(&fan, channels, n, config) an array of them, also an empty one.
 * config may be NULL.
 *
 * Caller   any thread or fiber.
 * Returns  0         *out is the fan-in, receiving
 *          -EINVAL   .buffer is too large, or an input is NULL (see rn_error_detail)
 *          -ENOMEM   out of memory or stacks
 *          On every error *out is NULL, which rn_fan_in_free takes. What was received by then went
 *          to .drop.
 * See      rn_fan_in_chan, examples/fan_in_generic.c
 */
#define rn_fan_in_new(out, channels, ...)                                                          \
    __extension__({                                                                                \
        rn_chan(RN_FAN_IN_ELEMENT(*(out))) rn_inputs_[] = {RN_FAN_IN_LIST channels};               \
        rn_fan_in_new_n((out), rn_inputs_, sizeof rn_inputs_ / sizeof rn_inputs_[0], __VA_ARGS__); \
    })
#define rn_fan_in_new_n(out, inputs, n, ...)                                                       \
    __extension__({                                                                                \
        _Static_assert(__builtin_types_compatible_p(__typeof__((inputs)[0]),                       \
                                                    rn_chan(RN_FAN_IN_ELEMENT(*(out)))),           \
                       "the channels' elements are not the fan-in's");                             \
        struct rn_fan_in *rn_fan_ = NULL;                                                          \
        int rn_err_ = rn_fan_in_new_untyped(&rn_fan_, sizeof(RN_FAN_IN_ELEMENT(*(out))), (inputs), \
                                            (n), (__VA_ARGS__));                                   \
        *(out) = (__typeof__(*(out)))rn_fan_;                                                      \
        rn_err_;                                                                                   \
    })
#define RN_FAN_IN_LIST(...) __VA_ARGS__
RN_API int rn_fan_in_new_untyped(struct rn_fan_in **out, size_t size, const void *inputs, size_t n,
                                 const rn_fan_in_config *config);

/*
 * rn_fan_in_add, rn_fan_in_add_untyped - receive from one more channel from now on.
 *
 * rn_fan_in_add(fan, ch) is typed.
 *
 * Caller   any thread or fiber; also .on_input_end.
 * Blocks   never.
 * Returns  0            added
 *          RN_ECLOSED   it was sealed, or it has ended, or the receiver closed the output
 *          -EINVAL      ch is NULL, or the fan-in was not made .growing (see rn_error_detail)
 *          -ENOMEM      out of memory or stacks
 */
#define rn_fan_in_add(fan, ch)                                                                     \
    __extension__({                                                                                \
        __auto_type rn_fan_ = (fan);                                                               \
        rn_chan(RN_FAN_IN_ELEMENT(rn_fan_)) rn_chan_ = (ch);                                       \
        rn_fan_in_add_untyped(rn_fan_in_untyped(rn_fan_), rn_chan_untyped(rn_chan_));              \
    })
RN_API int rn_fan_in_add_untyped(struct rn_fan_in *fan, struct rn_chan *ch);

/*
 * rn_fan_in_seal - no further inputs: the output closes when those that there are have ended.
 *
 * Caller   any thread or fiber.
 * Returns  0            sealed by this call
 *          RN_ECLOSED   it was before, or was not made .growing
 */
#define rn_fan_in_seal(fan) rn_fan_in_seal_untyped(rn_fan_in_untyped(fan))
RN_API int rn_fan_in_seal_untyped(struct rn_fan_in *fan);

/*
 * rn_fan_in_chan, rn_fan_in_chan_untyped - the output, typed.
 *
 * To receive from, also in a select; closing it says that the receiver wants no more.
 *
 * Caller   any thread or fiber.
 * Returns  the channel, the fan-in's own; NULL for NULL.
 */
#define rn_fan_in_chan(fan)                                                                        \
    (__extension__(rn_chan(RN_FAN_IN_ELEMENT(fan))) rn_fan_in_chan_untyped(rn_fan_in_untyped(fan)))
RN_API struct rn_chan *rn_fan_in_chan_untyped(struct rn_fan_in *fan);

/* What a fan-in does. When it has ended: in is out + dropped. */
typedef struct rn_fan_in_stats {
    size_t inputs;    /* gauge: that have not ended */
    uint64_t in;      /* values received from the inputs */
    uint64_t out;     /* values put into the output */
    uint64_t dropped; /* values that got neither */
} rn_fan_in_stats;

/*
 * rn_fan_in_stats_read - fill in *out.
 *
 * Caller   any thread or fiber.
 */
#define rn_fan_in_stats_read(fan, out) rn_fan_in_stats_read_untyped(rn_fan_in_untyped(fan), out)
RN_API void rn_fan_in_stats_read_untyped(struct rn_fan_in *fan, rn_fan_in_stats *out);

/*
 * rn_fan_in_free - end it and free it. NULL is fine.
 *
 * Caller   any thread or fiber; nobody else may be in a call on it, or receive from its output
 *          without a reference.
 * Blocks   the fiber until its fibers have ended, which wait for nothing by then.
 */
#define rn_fan_in_free(fan) rn_fan_in_free_untyped(rn_fan_in_untyped(fan))
RN_API void rn_fan_in_free_untyped(struct rn_fan_in *fan);

RN_END_DECLS

#endif
