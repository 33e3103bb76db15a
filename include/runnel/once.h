/*
 * rn_once - something that is done exactly once, by whoever comes first.
 *
 *     static rn_once once;                   the zero value is ready; there is no destroy
 *
 *     int err = rn_once_do(&once, load_tables, NULL);
 *     if (err != 0)
 *         return err;                        what load_tables returned, the same for every caller
 *
 * rn_once_value(T) is a once that also makes a value of type T:
 *
 *     static int open_db(void *path, sqlite3 **db) { return sqlite3_open(path, db) ? -EIO : 0; }
 *
 *     static rn_once_value(sqlite3 *) connection;
 *
 *     int err = rn_once_value_get(&connection, open_db, "app.db", &db);
 *
 * Lifetime
 * 1. The zero value has not run. It must not be copied or moved while in use.
 * 2. The function runs once even when it fails; its result, and its value, are remembered.
 * 3. The value is the program's; the once does not free it.
 * 4. Calling a once from inside its own function ends the process with a message.
 *
 * At once  every call, from any number of fibers and threads.
 */
#ifndef RUNNEL_ONCE_H
#define RUNNEL_ONCE_H

#include <runnel/error.h>
#include <stdint.h>

RN_BEGIN_DECLS

/* All of it is the library's. The first words are here so that a done once costs a load. */
typedef struct rn_once {
    uint32_t rn_done_; /* 1: the function has run, and rn_result_ is what it returned */
    uint32_t rn_lock_;
    int rn_result_;
    uint32_t rn_reserved_;
    uint64_t rn_private_[4];
} rn_once;

/* The type of a once with a value. Give it a name (typedef) to use it in more than one place. */
#define rn_once_value(T)                                                                           \
    struct {                                                                                       \
        rn_once once;                                                                              \
        __typeof__(T) value;                                                                       \
    }

/* Fails to compile unless fn makes a T and out is a place for one, or NULL. */
#define RN_ONCE_CHECK(T, fn_type, out_type)                                                        \
    _Static_assert(__builtin_types_compatible_p(fn_type, int (*)(void *, T *)),                    \
                   "the function does not make the once's type of value");                         \
    _Static_assert(__builtin_types_compatible_p(out_type, T *) ||                                  \
                       __builtin_types_compatible_p(out_type, void *),                             \
                   "the pointer is not to the once's type of value")

/*
 * rn_once_do, rn_once_run - call fn(arg) if nobody has before; wait while another caller's fn runs.
 *
 * rn_once_do is rn_once_run with the look at what is done inlined.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   the fiber while fn runs elsewhere.
 * Order    the end of fn happens before any call returns.
 * Returns  what fn returned, for the first caller and all later ones.
 * Cost     a load once done.
 */
static inline int rn_once_do(rn_once *o, int (*fn)(void *arg), void *arg);
RN_API int rn_once_run(rn_once *o, int (*fn)(void *arg), void *arg);

static inline int rn_once_do(rn_once *o, int (*fn)(void *arg), void *arg)
{
    if (__builtin_expect(__atomic_load_n(&o->rn_done_, __ATOMIC_ACQUIRE) == 1, 1)) /* E43 */
        return o->rn_result_;
    return rn_once_run(o, fn, arg);
}

/*
 * rn_once_value_get, rn_once_run_into - the same for a function that also makes a value.
 *
 * rn_once_value_get(&o, fn, arg, &value) is typed: o is an rn_once_value(T), fn an int (*)(void *,
 * T *), which stores the value through its second argument. The value is zero before it runs. Every
 * call copies it to *value, also when fn failed; value may be NULL. The untyped form passes the
 * place for the value on to fn.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   the fiber while fn runs elsewhere.
 * Order    the end of fn happens before any call returns.
 * Returns  what fn returned, for the first caller and all later ones.
 * Cost     a load, and the copy, once done.
 * See      examples/once.c
 */
#define rn_once_value_get(o, fn, arg, out)                                                         \
    __extension__({                                                                                \
        __typeof__(o) rn_o_ = (o);                                                                 \
        RN_ONCE_CHECK(__typeof__(rn_o_->value), __typeof__(&*(fn)), __typeof__(out));              \
        __typeof__(rn_o_->value) *rn_out_ = (out);                                                 \
        int rn_err_ = __atomic_load_n(&rn_o_->once.rn_done_, __ATOMIC_ACQUIRE) == 1                \
                          ? rn_o_->once.rn_result_                                                 \
                          : rn_once_run_into(&rn_o_->once, (int (*)(void *, void *))(fn), (arg),   \
                                             &rn_o_->value);                                       \
        if (rn_out_ != (void *)0)                                                                  \
            *rn_out_ = rn_o_->value;                                                               \
        rn_err_;                                                                                   \
    })
RN_API int rn_once_run_into(rn_once *o, int (*fn)(void *arg, void *value), void *arg, void *value);

RN_END_DECLS

#endif
