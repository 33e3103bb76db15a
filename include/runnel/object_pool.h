/*
 * rn_object_pool - objects that are used over and over instead of being made each time.
 *
 * rn_object_pool(T) is the type of a pool of T. The pool makes the objects; who gets one gives it
 * back, and the next to get it finds it as .reset left it.
 *
 *     rn_object_pool(struct buffer) buffers;
 *     struct buffer *b;
 *
 *     err = rn_object_pool_new(&buffers, &(rn_object_pool_config){ .reset = empty_buffer });
 *     if ((err = rn_object_pool_get(buffers, &b)) == 0) {
 *         ...
 *         rn_object_pool_put(buffers, b);
 *     }
 *     rn_object_pool_free(buffers);
 *
 * Each worker, and each plain thread, has a cache of its own; one that is empty takes half of
 * another's. The object that was put last is used first.
 *
 * Objects that are not needed go: at the second ageing after its last use an idle object is
 * destroyed. The pool ages once in each .ageing_period, when one of its calls finds that time has
 * passed; a pool that nobody uses ages by rn_object_pool_age.
 *
 * Lifetime
 * 1. A pool belongs to who made it, who frees it when nobody uses it and every object is back.
 * 2. An object is its user's from get to put or discard. Putting back what is not out of this pool
 *    ends the process with a message.
 * 3. .construct runs once for each object, .reset at each put, .destroy once, when the object is
 *    not kept: after the second ageing, beyond .bytes_max, at discard, or at free. They run under
 *    no lock, on the fiber or thread whose call it was.
 *
 * At once  every call but free, from any number of fibers and threads, also from callbacks.
 */
#ifndef RUNNEL_OBJECT_POOL_H
#define RUNNEL_OBJECT_POOL_H

#include <runnel/clock.h>
#include <runnel/error.h>
#include <runnel/time.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

RN_BEGIN_DECLS

struct rn_object_pool;

/* The type of a pool: a pointer to a function that returns a T * and is never called. */
#define rn_object_pool(T) __typeof__(__typeof__(T) *(*)(struct rn_object_pool *))

/* The untyped pool under a typed one, and the type of its objects. */
#define rn_object_pool_untyped(pool) (__extension__(struct rn_object_pool *)(pool))
#define RN_POOLED(pool) __typeof__(*(pool)((struct rn_object_pool *)0))

/* ptr as void *; fails to compile unless it is a pointer to T. */
#define RN_POOLED_POINTER(T, ptr)                                                                  \
    __extension__({                                                                                \
        _Static_assert(__builtin_types_compatible_p(__typeof__(ptr), __typeof__(T) *),             \
                       "the pointer is not to the pool's type");                                   \
        (void *)(ptr);                                                                             \
    })

/* How to make a pool; zero is the default of each field. */
typedef struct rn_object_pool_config {
    const char *name; /* shown in dumps; must outlive the pool */
    /* Makes an object of zeroed memory usable: 0, or the code that get is to return. */
    int (*construct)(void *arg, void *object);
    void (*reset)(void *arg, void *object);   /* makes it as good as new, when it is put back */
    void (*destroy)(void *arg, void *object); /* undoes construct */
    void *arg;                                /* of the three */
    rn_duration ageing_period; /* default 1 minute; RN_FOREVER: by rn_object_pool_age only */
    size_t bytes_max;          /* of idle objects; default: no limit */
    size_t object_bytes;       /* what an object counts with all that it owns; default its size */
    /*
     * Objects that lie idle are made unusable, and looked at again when they are taken out: a
     * program that uses an object after putting it back is ended with a message. It costs a pass
     * over the object at each end. Builds without NDEBUG always do. Under AddressSanitizer, idle
     * objects are poisoned in any build.
     */
    bool poison;
    /*
     * Events, on the fiber or thread whose call it was, under no lock. on_made: no idle object was
     * found, and get made one (err 0) or could not (what get returns). on_refused: put destroyed
     * one, for .bytes_max. on_aged: an ageing destroyed so many, at least one.
     */
    void (*on_made)(void *arg, int err);
    void (*on_refused)(void *arg);
    void (*on_aged)(void *arg, size_t objects);
    void *events_arg;
    const rn_clock *clock; /* for ageing; default the runtime's */
} rn_object_pool_config;

/*
 * rn_object_pool_new, rn_object_pool_new_untyped - make an empty pool.
 *
 * rn_object_pool_new(&pool, &(rn_object_pool_config){ ... }) is typed; config may be NULL. Objects
 * are aligned to 16 bytes at most.
 *
 * Caller   any thread or fiber.
 * Returns  0         *out is the pool
 *          -EINVAL   .ageing_period is negative, the size is 0 or beyond 1 GiB, or .bytes_max is
 *                    less than one object counts
 *          -ENOMEM   out of memory
 *          On every error *out is NULL, which rn_object_pool_free takes.
 */
#define rn_object_pool_new(out, ...)                                                               \
    __extension__({                                                                                \
        _Static_assert(_Alignof(RN_POOLED(*(out))) <= 16, "objects are aligned to 16 at most");    \
        struct rn_object_pool *rn_pool_ = (struct rn_object_pool *)0;                              \
        int rn_err_ = rn_object_pool_new_untyped(&rn_pool_, sizeof(RN_POOLED(*(out))),             \
                                                 (__VA_ARGS__));                                   \
        *(out) = (__typeof__(*(out)))rn_pool_;                                                     \
        rn_err_;                                                                                   \
    })
RN_API int rn_object_pool_new_untyped(struct rn_object_pool **out, size_t object_size,
                                      const rn_object_pool_config *config);

/*
 * rn_object_pool_free, rn_object_pool_free_untyped - destroy every object and free the pool.
 *
 * NULL is fine. An object that is not back ends the process with a message.
 *
 * Caller   any thread or fiber, once, when no other call is running.
 */
#define rn_object_pool_free(pool) rn_object_pool_free_untyped(rn_object_pool_untyped(pool))
RN_API void rn_object_pool_free_untyped(struct rn_object_pool *pool);

/*
 * rn_object_pool_get, rn_object_pool_get_untyped - take an object, or make one.
 *
 * rn_object_pool_get(pool, &object) is typed: object is a T *.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Order    the put of an object happens before the get that returns it.
 * Returns  0         *object is the caller's until put or discard
 *          -ENOMEM   out of memory
 *          others    what .construct returned
 *          On every error *object is NULL.
 * Cost     no lock and no allocation while the cache has one.
 */
#define rn_object_pool_get(pool, object)                                                           \
    __extension__({                                                                                \
        RN_POOLED(pool) **rn_out_ = (RN_POOLED(pool) **)RN_POOLED_POINTER(RN_POOLED(pool) *,       \
                                                                          object);                 \
        void *rn_object_;                                                                          \
        int rn_err_ = rn_object_pool_get_untyped(rn_object_pool_untyped(pool), &rn_object_);       \
        *rn_out_ = (RN_POOLED(pool) *)rn_object_;                                                  \
        rn_err_;                                                                                   \
    })
RN_API int rn_object_pool_get_untyped(struct rn_object_pool *pool, void **object);

/*
 * rn_object_pool_put, rn_object_pool_put_untyped - give an object back; NULL is fine.
 *
 * Caller   any thread or fiber; it need not be the one that got it.
 * Cost     no lock; .reset.
 */
#define rn_object_pool_put(pool, object)                                                           \
    rn_object_pool_put_untyped(rn_object_pool_untyped(pool),                                       \
                               RN_POOLED_POINTER(RN_POOLED(pool), object))
RN_API void rn_object_pool_put_untyped(struct rn_object_pool *pool, void *object);

/*
 * rn_object_pool_discard, rn_object_pool_discard_untyped - destroy an object that is of no more
 * use, in place of putting it back; NULL is fine.
 *
 * Caller   any thread or fiber; it need not be the one that got it.
 */
#define rn_object_pool_discard(pool, object)                                                       \
    rn_object_pool_discard_untyped(rn_object_pool_untyped(pool),                                   \
                                   RN_POOLED_POINTER(RN_POOLED(pool), object))
RN_API void rn_object_pool_discard_untyped(struct rn_object_pool *pool, void *object);

/*
 * rn_object_pool_age, rn_object_pool_age_untyped - age the pool now.
 *
 * What has been idle since the ageing before is destroyed; twice in a row empties the pool.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Returns  how many objects were destroyed; 0 also while another call is ageing the pool.
 */
#define rn_object_pool_age(pool) rn_object_pool_age_untyped(rn_object_pool_untyped(pool))
RN_API size_t rn_object_pool_age_untyped(struct rn_object_pool *pool);

/* Counters since the pool was made; gauges say so. */
typedef struct rn_object_pool_stats {
    uint64_t gets;
    uint64_t puts;
    uint64_t made;      /* objects constructed */
    uint64_t destroyed; /* of those */
    uint64_t stolen;    /* objects that went from one cache to another */
    uint64_t refused;   /* destroyed at put, for .bytes_max */
    uint64_t aged;      /* destroyed by ageing */
    uint64_t idle;      /* gauge: objects in the pool */
} rn_object_pool_stats;

/*
 * rn_object_pool_stats_read, rn_object_pool_stats_read_untyped - fill in *out; each number is exact
 * by itself.
 *
 * Caller   any thread or fiber.
 */
#define rn_object_pool_stats_read(pool, out)                                                       \
    rn_object_pool_stats_read_untyped(rn_object_pool_untyped(pool), (out))
RN_API void rn_object_pool_stats_read_untyped(struct rn_object_pool *pool,
                                              rn_object_pool_stats *out);

RN_END_DECLS

#endif
