/*
 * rn_chan - typed channels between fibers, threads, or both.
 *
 * rn_chan(T) is a type: a variable, a struct member, a parameter or a return type. Sending the
 * wrong type does not compile. T may be any type but an array; wrap an array in a struct. Under the
 * macros lie functions on struct rn_chan * and void *, for generic code and other languages.
 *
 *     rn_chan(struct job) jobs = rn_chan_make(struct job, 20);
 *
 *     err = rn_send(ctx, jobs, (struct job){ .id = 1, .n = 2 });
 *     while (rn_recv(ctx, jobs, &job) == 0)
 *         work(&job);
 *     rn_close(jobs);
 *     rn_chan_release(jobs);
 *
 * Lifetime
 * 1. A channel is reference-counted: make returns one reference, retain adds one, release drops
 *    one.
 * 2. Whoever waits on a channel must hold a reference, or know somebody who does until the wait is
 *    over.
 * 3. Elements still buffered when the last reference goes are given to the drop callback, if there
 *    is one.
 * 4. Capacity 0 is a rendezvous: a send returns when a receiver has the value.
 * 5. A NULL channel blocks for ever (until ctx ends), and is never chosen in a select.
 *
 * At once  every call, from any number of fibers and threads.
 */
#ifndef RUNNEL_CHAN_H
#define RUNNEL_CHAN_H

#include <runnel/error.h>
#include <stdbool.h>
#include <stddef.h>

RN_BEGIN_DECLS

typedef struct rn_ctx rn_ctx;
struct rn_chan;

/* The type of a channel of T: a pointer to a function that returns T and is never called. */
#define rn_chan(T) __typeof__(__typeof__(T)(*)(struct rn_chan *))

/* How to make a channel; zero is the default of each field. */
typedef struct rn_chan_options {
    size_t capacity;             /* elements; 0: rendezvous */
    void (*drop)(void *element); /* called for each element that nobody will receive */
    const char *name;            /* shown in dumps; must outlive the channel */
} rn_chan_options;

/* The untyped channel under a typed one, and the type of its elements. */
#define rn_chan_untyped(ch) (__extension__(struct rn_chan *)(ch))
#define RN_ELEMENT(ch) __typeof__((ch)((struct rn_chan *)0))

/* Fails to compile unless *ptr is an element of ch; its value is ptr as void *. */
#define RN_ELEMENT_PTR(ch, ptr)                                                                    \
    ((void *)((char *)(ptr) +                                                                      \
              0 * sizeof(struct {                                                                  \
                  int rn_unused_;                                                                  \
                  _Static_assert(__builtin_types_compatible_p(__typeof__(*(ptr)), RN_ELEMENT(ch)), \
                                 "the pointer's type is not the channel's element type");          \
              })))

/*
 * rn_chan_make, rn_chan_make_with - make a channel of T.
 *
 * rn_chan_make(T, capacity); rn_chan_make_with(T, &(rn_chan_options){ ... }).
 *
 * Caller   any thread or fiber.
 * Returns  the channel, or NULL when out of memory or when the size overflows (rn_error_detail says
 *          which). rn_chan_new gives the code.
 */
#define rn_chan_make(T, capacity_)                                                                 \
    (__extension__(rn_chan(T)) rn_chan_make_untyped(sizeof(T), (capacity_)))
#define rn_chan_make_with(T, ...)                                                                  \
    (__extension__(rn_chan(T)) rn_chan_make_untyped_with(sizeof(T), (__VA_ARGS__)))
RN_API struct rn_chan *rn_chan_make_untyped(size_t element_size, size_t capacity);
RN_API struct rn_chan *rn_chan_make_untyped_with(size_t element_size, const rn_chan_options *opt);

/*
 * rn_chan_new - make an untyped channel and say what was wrong.
 *
 * Caller   any thread or fiber.
 * Returns  0         *out is the channel
 *          -EINVAL   element_size * capacity overflows or is beyond PTRDIFF_MAX
 *          -ENOMEM   out of memory
 */
RN_API int rn_chan_new(struct rn_chan **out, size_t element_size, const rn_chan_options *opt);

/*
 * rn_send, rn_chan_send - put one value in the channel, waiting for room.
 *
 * rn_send(ctx, ch, value) is typed; rn_chan_send copies element_size bytes from value. The caller's
 * copy stays the caller's.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   the fiber, not its worker, until there is room, the channel closes, or ctx ends.
 * Order    the send happens before the matching receive returns; on a rendezvous also the other
 *          way.
 * Returns  0            the value is in the channel or delivered
 *          RN_ECLOSED   closed before or during the wait
 *          -ECANCELED   ctx was cancelled
 *          -ETIMEDOUT   ctx's deadline passed
 *          On every error the value was not sent.
 * Cost     no allocation; one lock.
 */
#define rn_send(ctx, ch, ...)                                                                      \
    __extension__({                                                                                \
        RN_ELEMENT(ch) rn_value_ = (__VA_ARGS__);                                                  \
        rn_chan_send((ctx), rn_chan_untyped(ch), &rn_value_);                                      \
    })
RN_API int rn_chan_send(rn_ctx *ctx, struct rn_chan *ch, const void *value);

/*
 * rn_recv, rn_chan_recv - take one value out of the channel, waiting for one.
 *
 * value may be NULL to throw the value away (the drop callback then gets it).
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   the fiber until there is a value, the channel is closed and empty, or ctx ends.
 * Returns  0            *value is the oldest value
 *          RN_ECLOSED   closed, and every value was received
 *          -ECANCELED   ctx was cancelled
 *          -ETIMEDOUT   ctx's deadline passed
 *          -ENOMEM      value is NULL, elements have more than 256 bytes, and there is no room for
 *                       one
 *          On every error no value was taken and *value is untouched.
 * Cost     no allocation; one lock.
 */
#define rn_recv(ctx, ch, value) rn_chan_recv((ctx), rn_chan_untyped(ch), RN_ELEMENT_PTR(ch, value))
RN_API int rn_chan_recv(rn_ctx *ctx, struct rn_chan *ch, void *value);

/*
 * rn_try_send, rn_chan_try_send - send if that needs no waiting.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Returns  0            sent
 *          -EAGAIN      it would wait (also on a NULL channel)
 *          RN_ECLOSED   closed
 */
#define rn_try_send(ch, ...)                                                                       \
    __extension__({                                                                                \
        RN_ELEMENT(ch) rn_value_ = (__VA_ARGS__);                                                  \
        rn_chan_try_send(rn_chan_untyped(ch), &rn_value_);                                         \
    })
RN_API int rn_chan_try_send(struct rn_chan *ch, const void *value);

/*
 * rn_try_recv, rn_chan_try_recv - receive if that needs no waiting.
 *
 * Never misses a value or a close that happened before the call. value may be NULL, as in rn_recv.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Returns  0            received
 *          -EAGAIN      it would wait (also on a NULL channel)
 *          RN_ECLOSED   closed, and every value was received
 *          -ENOMEM      as rn_recv
 */
#define rn_try_recv(ch, value) rn_chan_try_recv(rn_chan_untyped(ch), RN_ELEMENT_PTR(ch, value))
RN_API int rn_chan_try_recv(struct rn_chan *ch, void *value);

/*
 * rn_send_n, rn_chan_send_n - send n values from an array, in order.
 *
 * Moves as many as fit under one lock, and waits for room for the rest. Other senders' values may
 * come in between.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   until all are sent, the channel closes, or ctx ends.
 * Returns  how many were sent: n, or fewer (from the front) when it ended early; when none could be
 *          sent, RN_ECLOSED, -ECANCELED or -ETIMEDOUT. 0 only for n = 0.
 */
#define rn_send_n(ctx, ch, array, n)                                                               \
    rn_chan_send_n((ctx), rn_chan_untyped(ch), RN_ELEMENT_PTR(ch, array), (n))
RN_API ptrdiff_t rn_chan_send_n(rn_ctx *ctx, struct rn_chan *ch, const void *values, size_t n);

/*
 * rn_recv_n, rn_chan_recv_n - receive between 1 and n values into an array.
 *
 * Waits for the first value only, then takes what is there. With NULL for the array they are thrown
 * away one by one, and the drop callback gets them.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   until there is one value, the channel is closed and empty, or ctx ends.
 * Returns  how many were received (1..n; 0 only for n = 0), or as rn_recv RN_ECLOSED, -ECANCELED,
 *          -ETIMEDOUT or -ENOMEM.
 */
#define rn_recv_n(ctx, ch, array, n)                                                               \
    rn_chan_recv_n((ctx), rn_chan_untyped(ch), RN_ELEMENT_PTR(ch, array), (n))
RN_API ptrdiff_t rn_chan_recv_n(rn_ctx *ctx, struct rn_chan *ch, void *values, size_t n);

/*
 * rn_close, rn_chan_close - no more values; wakes everyone who waits.
 *
 * Buffered values can still be received. Blocked senders return RN_ECLOSED and keep their value.
 *
 * Caller   any thread or fiber.
 * Returns  0            closed by this call
 *          RN_ECLOSED   it was closed already
 *          -EINVAL      ch is NULL
 */
#define rn_close(ch) rn_chan_close(rn_chan_untyped(ch))
RN_API int rn_chan_close(struct rn_chan *ch);

/*
 * rn_close_with, rn_chan_close_with - close and leave a cause that both sides can read.
 *
 * Caller   any thread or fiber.
 * Returns  as rn_close.
 */
#define rn_close_with(ch, cause) rn_chan_close_with(rn_chan_untyped(ch), (cause))
RN_API int rn_chan_close_with(struct rn_chan *ch, int cause);

/*
 * rn_close_cause, rn_chan_close_cause - the cause given to the close.
 *
 * Caller   any thread or fiber.
 * Returns  the cause; RN_ECLOSED when closed without one; 0 while open or NULL.
 */
#define rn_close_cause(ch) rn_chan_close_cause(rn_chan_untyped(ch))
RN_API int rn_chan_close_cause(struct rn_chan *ch);

/*
 * rn_len, rn_cap, rn_waiters - values buffered; room in all; fibers and threads that wait.
 *
 * A snapshot: it may be old by the time it is read. All are 0 for NULL.
 *
 * Caller   any thread or fiber.
 */
#define rn_len(ch) rn_chan_len(rn_chan_untyped(ch))
#define rn_cap(ch) rn_chan_cap(rn_chan_untyped(ch))
#define rn_waiters(ch) rn_chan_waiters(rn_chan_untyped(ch))
RN_API size_t rn_chan_len(struct rn_chan *ch);
RN_API size_t rn_chan_cap(struct rn_chan *ch);
RN_API size_t rn_chan_waiters(struct rn_chan *ch);

/*
 * rn_chan_retain, rn_chan_release - add and drop a reference; both take typed channels too.
 *
 * retain evaluates to its argument. Releasing NULL is fine.
 *
 * Caller   any thread or fiber.
 */
#define rn_chan_retain(ch)                                                                         \
    __extension__({                                                                                \
        __typeof__(ch) rn_chan_ = (ch);                                                            \
        rn_chan_retain_untyped(rn_chan_untyped(rn_chan_));                                         \
        rn_chan_;                                                                                  \
    })
#define rn_chan_release(ch) rn_chan_release_untyped(rn_chan_untyped(ch))
RN_API void rn_chan_retain_untyped(struct rn_chan *ch);
RN_API void rn_chan_release_untyped(struct rn_chan *ch);

RN_END_DECLS

#endif
