/*
 * rn_map - a concurrent hash map, whose readers neither lock nor slow each other.
 *
 * rn_map(K, V) is a type. K is an integer type, const char * (the text counts, not the pointer),
 * rn_map_bytes (any bytes), or a type that is compared as its bytes: a pointer, a struct without
 * padding. V is any type but an array. Keys and values are copied in; a wrong type does not
 * compile.
 *
 *     rn_map(const char *, long) hits;
 *
 *     err = rn_map_new(&hits, NULL);
 *     err = rn_map_store(hits, "/index", 1);
 *     if (rn_map_load(hits, "/index", &n) == 0)            -ENOENT: it is not there
 *         printf("%ld\n", n);
 *     err = rn_map_compute(hits, path, count_up, NULL);    one step, whoever else is at it
 *     rn_map_free(hits);
 *
 * What load gives is a copy. A value that owns something (memory, a descriptor) is looked at in
 * place instead, for as long as it is held; .drop destroys it when it has left the map and nobody
 * holds it any more:
 *
 *     const struct session *s = rn_map_acquire(sessions, id);      NULL: it is not there
 *     ...                                                          may wait, may be deleted
 *     rn_map_release(sessions, s);
 *
 * Lifetime
 * 1. A map belongs to who made it, who frees it when nobody uses it and nothing is held.
 * 2. A value that was stored is the map's. On every error it was not taken and stays the caller's.
 * 3. A value that was replaced, deleted, cleared, or is left when the map is freed, goes to .drop
 *    once, after the last release. .drop runs under no lock, on whichever fiber or thread came
 *    last, at once or, when the kernel has suspended a reader, as soon as that goes on.
 * 4. A map with .drop never copies values out: load, and what would return an old value, give
 *    -EINVAL.
 * 5. A value does not change while it is in the map; storing puts another in its place.
 *
 * Keys are hashed with a secret of each map, so nobody who chooses keys can make them collide.
 *
 * At once  every call but free, from any number of fibers and threads, also from callbacks.
 */
#ifndef RUNNEL_MAP_H
#define RUNNEL_MAP_H

#include <runnel/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

RN_BEGIN_DECLS

struct rn_map;

/* Any bytes, as a key. */
typedef struct rn_map_bytes {
    const void *data;
    size_t size;
} rn_map_bytes;

/* What an untyped map's keys are: it decides what range passes on. */
enum rn_map_kind {
    RN_MAP_FIXED,   /* key_size bytes */
    RN_MAP_INTEGER, /* the same, converted by the typed forms */
    RN_MAP_STRING,  /* const char *: up to the NUL */
    RN_MAP_BYTES    /* rn_map_bytes */
};

#define RN_MAP_KIND(k)                                                                             \
    _Generic((k), _Bool : 1, char : 1, signed char : 1, unsigned char : 1, short : 1,              \
             unsigned short : 1, int : 1, unsigned : 1, long : 1, unsigned long : 1,               \
             long long : 1, unsigned long long : 1, char * : 2, const char * : 2,                  \
             rn_map_bytes : 3, default : 0)

/* The value of an integer, 0 for any other type. */
#define RN_MAP_WORD(k)                                                                             \
    _Generic((k), _Bool                                                                            \
             : (k), char                                                                           \
             : (k), signed char                                                                    \
             : (k), unsigned char                                                                  \
             : (k), short                                                                          \
             : (k), unsigned short                                                                 \
             : (k), int                                                                            \
             : (k), unsigned                                                                       \
             : (k), long                                                                           \
             : (k), unsigned long                                                                  \
             : (k), long long                                                                      \
             : (k), unsigned long long                                                             \
             : (k), default : 0)

/*
 * The type of a map: a pointer to a function that is never called. V can be had back from what it
 * returns, the size and the kind of K from the array's length; K is in the type for checking.
 */
#define RN_MAP_OF(V, range_fn, shape)                                                              \
    __typeof__(__typeof__(V) *(*(*)(struct rn_map *, range_fn))[shape])
#define RN_MAP_RANGE_FN(K, V) int (*)(void *, const __typeof__(K) *, const __typeof__(V) *)
#define rn_map(K, V)                                                                               \
    RN_MAP_OF(V, RN_MAP_RANGE_FN(K, V), sizeof(K) * 4 + RN_MAP_KIND(*(__typeof__(K) *)0))

/* The untyped map under a typed one, the type of its values, size and kind of its keys. */
#define rn_map_untyped(m) (__extension__(struct rn_map *)(m))
#define RN_MAP_VALUE(m) __typeof__(***(m)((struct rn_map *)0, 0))
#define RN_MAP_SHAPE(m) (sizeof(*(m)((struct rn_map *)0, 0)) / sizeof(void *))

#define RN_MAP_KEY_FITS(m, k)                                                                      \
    (RN_MAP_KIND(k) != 0                                                                           \
         ? RN_MAP_SHAPE(m) % 4 == RN_MAP_KIND(k)                                                   \
         : __builtin_types_compatible_p(__typeof__(m), rn_map(__typeof__(k), RN_MAP_VALUE(m))))

static inline rn_map_bytes rn_map_key_at(int kind, const void *at, size_t size,
                                         const uint64_t *word)
{
    rn_map_bytes key = {at, size};

    if (kind == RN_MAP_INTEGER) {
        key.data = word; /* its low bytes come first, on every processor that runnel knows */
    } else if (kind == RN_MAP_STRING) {
        __builtin_memcpy(&key.data, at, sizeof key.data);
        key.size = __builtin_strlen((const char *)key.data);
    } else if (kind == RN_MAP_BYTES) {
        __builtin_memcpy(&key, at, sizeof key);
    }
    return key;
}

/* Declares rn_key_, the key as bytes, and what it points into. */
#define RN_MAP_TAKE_KEY(m, key)                                                                    \
    __auto_type rn_k_ = (key);                                                                     \
    _Static_assert(RN_MAP_KEY_FITS(m, rn_k_), "the key's type is not the map's");                  \
    uint64_t rn_word_ = (uint64_t)RN_MAP_WORD(rn_k_);                                              \
    rn_map_bytes rn_key_ = rn_map_key_at(RN_MAP_KIND(rn_k_), &rn_k_, RN_MAP_SHAPE(m) / 4, &rn_word_)

/* ptr as void *; fails to compile unless it is a pointer to T, or NULL. */
#define RN_MAP_POINTER(T, ptr)                                                                     \
    __extension__({                                                                                \
        _Static_assert(__builtin_types_compatible_p(__typeof__(ptr), __typeof__(T) *) ||           \
                           __builtin_types_compatible_p(__typeof__(ptr), void *),                  \
                       "the pointer is not to the map's value type");                              \
        (void *)(ptr);                                                                             \
    })

/* How to make a map; zero is the default of each field. */
typedef struct rn_map_config {
    const char *name; /* shown in dumps; must outlive the map */
    /* Destroys a value, once nobody can see it. Default: values own nothing. */
    void (*drop)(void *arg, void *value);
    /* Whether two values are equal, for compare_and_swap and _delete. Default: the same bytes. */
    bool (*equal)(void *arg, const void *a, const void *b);
    void *arg; /* of both */
    /*
     * Called when the table has grown, with how many segments it has now; on the fiber or thread
     * whose call it was, under no lock. Values that leave are told to .drop.
     */
    void (*on_grown)(void *arg, uint64_t segments);
    void *events_arg;
} rn_map_config;

/*
 * rn_map_new, rn_map_new_untyped - make a map.
 *
 * rn_map_new(&m, &(rn_map_config){ ... }) is typed; config may be NULL. In the untyped form
 * key_size counts for fixed and integer keys only. Values are aligned to the largest power of two
 * that divides their size, up to 16.
 *
 * Caller   any thread or fiber.
 * Returns  0         *out is the map
 *          -EINVAL   a size is beyond 1 GiB, a fixed key has no bytes, or the kind is unknown
 *          -ENOMEM   out of memory
 *          On every error *out is NULL, which rn_map_free takes.
 */
#define rn_map_new(out, ...)                                                                       \
    __extension__({                                                                                \
        struct rn_map *rn_map_ = (struct rn_map *)0;                                               \
        int rn_err_ = rn_map_new_untyped(&rn_map_, RN_MAP_SHAPE(*(out)) % 4,                       \
                                         RN_MAP_SHAPE(*(out)) / 4, sizeof(RN_MAP_VALUE(*(out))),   \
                                         (__VA_ARGS__));                                           \
        *(out) = (__typeof__(*(out)))rn_map_;                                                      \
        rn_err_;                                                                                   \
    })
RN_API int rn_map_new_untyped(struct rn_map **out, unsigned kind, size_t key_size,
                              size_t value_size, const rn_map_config *config);

/*
 * rn_map_free, rn_map_free_untyped - drop every value and free the map; NULL is fine.
 *
 * A value that is still held ends the process with a message.
 *
 * Caller   any thread or fiber, once, when no other call is running.
 * Blocks   never for long: until values that were deleted just before have been dropped.
 */
#define rn_map_free(m) rn_map_free_untyped(rn_map_untyped(m))
RN_API void rn_map_free_untyped(struct rn_map *m);

/*
 * rn_map_load, rn_map_load_untyped - copy the value of a key.
 *
 * rn_map_load(m, key, &value) is typed; value may be NULL, to see whether the key is there.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Order    the store of the value happens before load returns it.
 * Returns  0         *value is a copy of the value
 *          -ENOENT   the key is not there; *value is untouched
 *          -EINVAL   the map has .drop, and value is not NULL: use rn_map_acquire
 * Cost     no lock, no allocation, no write to memory that another thread uses.
 * See      rn_map_acquire
 */
#define rn_map_load(m, key, value)                                                                 \
    __extension__({                                                                                \
        RN_MAP_TAKE_KEY(m, key);                                                                   \
        rn_map_load_untyped(rn_map_untyped(m), rn_key_, RN_MAP_POINTER(RN_MAP_VALUE(m), value));   \
    })
RN_API int rn_map_load_untyped(struct rn_map *m, rn_map_bytes key, void *value);

/*
 * rn_map_acquire, rn_map_acquire_untyped - hold the value of a key, to look at it in place.
 *
 * rn_map_acquire(m, key) is typed: it returns a const V *. The value stays valid until
 * rn_map_release, also when it is replaced or deleted meanwhile.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Returns  the value, which the caller releases; NULL: the key is not there.
 * Cost     as load, and one locked instruction in the value's own line; so is release.
 */
#define rn_map_acquire(m, key)                                                                     \
    __extension__({                                                                                \
        RN_MAP_TAKE_KEY(m, key);                                                                   \
        (const RN_MAP_VALUE(m) *)rn_map_acquire_untyped(rn_map_untyped(m), rn_key_);               \
    })
RN_API const void *rn_map_acquire_untyped(struct rn_map *m, rn_map_bytes key);

/*
 * rn_map_release, rn_map_release_untyped - give back what acquire returned; NULL is fine.
 *
 * Caller   any thread or fiber, once for each acquire; it need not be the one that acquired.
 */
#define rn_map_release(m, held)                                                                    \
    rn_map_release_untyped(rn_map_untyped(m), RN_MAP_POINTER(const RN_MAP_VALUE(m), held))
RN_API void rn_map_release_untyped(struct rn_map *m, const void *held);

/*
 * rn_map_store, rn_map_store_untyped - set the value of a key, whether it is there or not.
 *
 * rn_map_store(m, key, value) is typed.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Order    the store happens before a load that returns the value.
 * Returns  0         stored
 *          -ENOMEM   out of memory
 *          -EINVAL   the key is beyond 1 GiB, or not of the map's size (untyped)
 *          On every error the value was not taken.
 * Cost     one allocation, one lock of a part of the map.
 */
#define rn_map_store(m, key, ...)                                                                  \
    __extension__({                                                                                \
        RN_MAP_TAKE_KEY(m, key);                                                                   \
        RN_MAP_VALUE(m) rn_value_ = (__VA_ARGS__);                                                 \
        rn_map_store_untyped(rn_map_untyped(m), rn_key_, &rn_value_);                              \
    })
RN_API int rn_map_store_untyped(struct rn_map *m, rn_map_bytes key, const void *value);

/*
 * rn_map_load_or_store, rn_map_load_or_store_untyped - the value of a key, stored if it is missing.
 *
 * rn_map_load_or_store(m, key, value, &actual) is typed; *actual, which may be NULL, receives a
 * copy of what is there afterwards.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Returns  0         stored
 *          -EEXIST   the key was there: the value was not taken
 *          -ENOMEM   out of memory
 *          -EINVAL   the map has .drop, and actual is not NULL: use rn_map_acquire_or_store; or as
 *                    rn_map_store
 */
#define rn_map_load_or_store(m, key, value, actual)                                                \
    __extension__({                                                                                \
        RN_MAP_TAKE_KEY(m, key);                                                                   \
        RN_MAP_VALUE(m) rn_value_ = (value);                                                       \
        rn_map_load_or_store_untyped(rn_map_untyped(m), rn_key_, &rn_value_,                       \
                                     RN_MAP_POINTER(RN_MAP_VALUE(m), actual));                     \
    })
RN_API int rn_map_load_or_store_untyped(struct rn_map *m, rn_map_bytes key, const void *value,
                                        void *actual);

/*
 * rn_map_acquire_or_store, rn_map_acquire_or_store_untyped - the same, holding what is there.
 *
 * rn_map_acquire_or_store(m, key, value, &held) is typed: held is a const V *, to be released.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Returns  0         stored; *held is the value
 *          -EEXIST   the key was there: the value was not taken; *held is the one that is there
 *          -ENOMEM   out of memory; *held is NULL
 *          -EINVAL   as rn_map_store; *held is NULL
 */
#define rn_map_acquire_or_store(m, key, value, held)                                               \
    __extension__({                                                                                \
        RN_MAP_TAKE_KEY(m, key);                                                                   \
        RN_MAP_VALUE(m) rn_value_ = (value);                                                       \
        const void *rn_held_;                                                                      \
        int rn_err_ = rn_map_acquire_or_store_untyped(rn_map_untyped(m), rn_key_, &rn_value_,      \
                                                      &rn_held_);                                  \
        *(const RN_MAP_VALUE(m) **)RN_MAP_POINTER(const RN_MAP_VALUE(m) *,                         \
                                                  held) = (const RN_MAP_VALUE(m) *)rn_held_;       \
        rn_err_;                                                                                   \
    })
RN_API int rn_map_acquire_or_store_untyped(struct rn_map *m, rn_map_bytes key, const void *value,
                                           const void **held);

/*
 * rn_map_swap, rn_map_swap_untyped - set the value of a key and get the one before.
 *
 * rn_map_swap(m, key, value, &old) is typed; old may be NULL.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Returns  1         replaced; *old is a copy of the value before
 *          0         stored: the key was not there; *old is untouched
 *          -ENOMEM   out of memory
 *          -EINVAL   the map has .drop, and old is not NULL; or as rn_map_store
 *          On every error the value was not taken.
 */
#define rn_map_swap(m, key, value, old)                                                            \
    __extension__({                                                                                \
        RN_MAP_TAKE_KEY(m, key);                                                                   \
        RN_MAP_VALUE(m) rn_value_ = (value);                                                       \
        rn_map_swap_untyped(rn_map_untyped(m), rn_key_, &rn_value_,                                \
                            RN_MAP_POINTER(RN_MAP_VALUE(m), old));                                 \
    })
RN_API int rn_map_swap_untyped(struct rn_map *m, rn_map_bytes key, const void *value, void *old);

/*
 * rn_map_load_and_delete, rn_map_load_and_delete_untyped - take a key out and copy its value.
 *
 * rn_map_load_and_delete(m, key, &old) is typed; old may be NULL.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Returns  0         deleted; *old is a copy of the value
 *          -ENOENT   the key was not there; *old is untouched
 *          -EINVAL   the map has .drop, and old is not NULL
 * Cost     one lock of a part of the map.
 */
#define rn_map_load_and_delete(m, key, old)                                                        \
    __extension__({                                                                                \
        RN_MAP_TAKE_KEY(m, key);                                                                   \
        rn_map_load_and_delete_untyped(rn_map_untyped(m), rn_key_,                                 \
                                       RN_MAP_POINTER(RN_MAP_VALUE(m), old));                      \
    })
RN_API int rn_map_load_and_delete_untyped(struct rn_map *m, rn_map_bytes key, void *old);

/*
 * rn_map_delete - take a key out.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Returns  0         deleted
 *          -ENOENT   the key was not there
 */
#define rn_map_delete(m, key) rn_map_load_and_delete(m, key, (void *)0)

/*
 * rn_map_compare_and_swap, rn_map_compare_and_swap_untyped - set a value if it is the expected one.
 *
 * rn_map_compare_and_swap(m, key, expected, value) is typed. Without .equal, values are compared as
 * bytes: those of a struct include its padding.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Returns  0         replaced
 *          -ENOENT   the key is not there
 *          -EAGAIN   it is, with another value: look again
 *          -ENOMEM   out of memory
 *          On every error the value was not taken.
 */
#define rn_map_compare_and_swap(m, key, expected, ...)                                             \
    __extension__({                                                                                \
        RN_MAP_TAKE_KEY(m, key);                                                                   \
        RN_MAP_VALUE(m) rn_expected_ = (expected);                                                 \
        RN_MAP_VALUE(m) rn_value_ = (__VA_ARGS__);                                                 \
        rn_map_compare_and_swap_untyped(rn_map_untyped(m), rn_key_, &rn_expected_, &rn_value_);    \
    })
RN_API int rn_map_compare_and_swap_untyped(struct rn_map *m, rn_map_bytes key, const void *expected,
                                           const void *value);

/*
 * rn_map_compare_and_delete, rn_map_compare_and_delete_untyped - take a key out if its value is so.
 *
 * rn_map_compare_and_delete(m, key, expected) is typed; values are compared as above.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Returns  0         deleted
 *          -ENOENT   the key is not there
 *          -EAGAIN   it is, with another value
 */
#define rn_map_compare_and_delete(m, key, ...)                                                     \
    __extension__({                                                                                \
        RN_MAP_TAKE_KEY(m, key);                                                                   \
        RN_MAP_VALUE(m) rn_expected_ = (__VA_ARGS__);                                              \
        rn_map_compare_and_delete_untyped(rn_map_untyped(m), rn_key_, &rn_expected_);              \
    })
RN_API int rn_map_compare_and_delete_untyped(struct rn_map *m, rn_map_bytes key,
                                             const void *expected);

/* What the function of rn_map_compute wants; a negative code keeps, too. */
enum { RN_MAP_KEEP, RN_MAP_STORE, RN_MAP_DELETE };

/*
 * rn_map_compute, rn_map_compute_untyped - make a key's value from the one before, in one step.
 *
 * rn_map_compute(m, key, fn, arg) is typed: it calls fn(arg, old, value), where old is a const V *,
 * NULL when the key is not there, and value a V * to fill in, zero before, for RN_MAP_STORE. fn
 * runs under no lock, may wait, and may use the map. When another changed the key meanwhile, what
 * fn made is given to .drop and fn is called again with what is there now; so it should do nothing
 * but compute.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Order    one that stored happens before the next call of fn for the key.
 * Returns  RN_MAP_KEEP     nothing was changed
 *          RN_MAP_STORE    *value was stored
 *          RN_MAP_DELETE   the key is not there any more
 *          -ENOMEM         out of memory; nothing was changed
 *          -EINVAL         as rn_map_store, or fn returned another number
 *          others          what fn returned, when negative: nothing was changed
 */
#define rn_map_compute(m, key, fn, arg)                                                            \
    __extension__({                                                                                \
        RN_MAP_TAKE_KEY(m, key);                                                                   \
        _Static_assert(                                                                            \
            __builtin_types_compatible_p(                                                          \
                __typeof__(&*(fn)), int (*)(void *, const RN_MAP_VALUE(m) *, RN_MAP_VALUE(m) *)),  \
            "the function's types are not the map's");                                             \
        rn_map_compute_untyped(rn_map_untyped(m), rn_key_,                                         \
                               (int (*)(void *, const void *, void *))(fn), (arg));                \
    })
RN_API int rn_map_compute_untyped(struct rn_map *m, rn_map_bytes key,
                                  int (*fn)(void *arg, const void *old, void *value), void *arg);

/*
 * rn_map_clear, rn_map_clear_untyped - take every key out, in one step.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Returns  0         nothing is there of what was before
 *          -ENOMEM   out of memory; nothing was changed
 */
#define rn_map_clear(m) rn_map_clear_untyped(rn_map_untyped(m))
RN_API int rn_map_clear_untyped(struct rn_map *m);

/*
 * rn_map_len, rn_map_len_untyped - how many keys there are.
 *
 * Caller   any thread or fiber.
 * Returns  the number; while others change the map, one that it had or nearly had.
 */
#define rn_map_len(m) rn_map_len_untyped(rn_map_untyped(m))
RN_API size_t rn_map_len_untyped(struct rn_map *m);

/*
 * rn_map_range, rn_map_range_untyped - call a function for each key and value.
 *
 * rn_map_range(m, fn, arg) is typed: it calls fn(arg, key, value), where key is a const K * and
 * value a const V *, both valid during the call. It goes on while fn returns 0. A key that is there
 * from the beginning to the end comes exactly once; one that is stored or deleted meanwhile comes
 * once or not at all. fn runs under no lock, may wait, and may use the map.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Returns  0        every key has been passed
 *          others   what fn returned, when not 0
 * Cost     no allocation; up to 192 values are held at a time.
 */
#define rn_map_range(m, fn, arg)                                                                   \
    __extension__({                                                                                \
        _Static_assert(                                                                            \
            __builtin_types_compatible_p(                                                          \
                __typeof__(m), RN_MAP_OF(RN_MAP_VALUE(m), __typeof__(&*(fn)), RN_MAP_SHAPE(m))),   \
            "the function's types are not the map's");                                             \
        rn_map_range_untyped(rn_map_untyped(m), (int (*)(void *, const void *, const void *))(fn), \
                             (arg));                                                               \
    })
RN_API int rn_map_range_untyped(struct rn_map *m,
                                int (*fn)(void *arg, const void *key, const void *value),
                                void *arg);

/* Counters since the map was made; gauges say so. */
typedef struct rn_map_stats {
    uint64_t keys;      /* gauge */
    uint64_t stored;    /* keys that came */
    uint64_t replaced;  /* values that took the place of another */
    uint64_t deleted;   /* keys that went, cleared ones too */
    uint64_t undropped; /* gauge: with .drop: values out of the map that are still held */
    uint64_t segments;  /* gauge: parts, each with a lock of its own for writers */
    uint64_t bytes;     /* gauge: of the table, without keys and values */
} rn_map_stats;

/*
 * rn_map_stats_read, rn_map_stats_read_untyped - fill in *out; each number is exact by itself.
 *
 * Caller   any thread or fiber.
 */
#define rn_map_stats_read(m, out) rn_map_stats_read_untyped(rn_map_untyped(m), (out))
RN_API void rn_map_stats_read_untyped(struct rn_map *m, rn_map_stats *out);

RN_END_DECLS

#endif
