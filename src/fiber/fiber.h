/*
 * The fiber's control block. It lives at the top of the fiber's own stack, so that a spawn
 * allocates nothing; for a plain thread that calls the library, and for a worker's own loop, it is
 * made elsewhere.
 *
 * Who may touch what: a field without a remark belongs to the running fiber itself, or, while the
 * fiber is not running, to whoever holds the right to make it run (a queue, a waker).
 */
#ifndef RN_FIBER_FIBER_H
#define RN_FIBER_FIBER_H

#include "base/atomic.h"
#include "base/lock_class.h"
#include "fiber/watch.h"
#include "switch.h"

#include <runnel/fiber.h>

struct slab;
struct worker;

enum fiber_kind {
    FIBER_STACK, /* a fiber with a stack of its own */
    FIBER_LOOP,  /* a worker's scheduling loop, on the thread's stack */
    FIBER_THREAD /* a plain thread that waits on a futex */
};

enum fiber_state { FIBER_FREE, FIBER_LIVE };

struct fiber {
    struct context context; /* valid while not running */
    struct fiber *next;     /* link of the queue that holds it */
    struct worker *pinned;  /* the only worker that may run it, or NULL */
    uint8_t kind;           /* enum fiber_kind */
    bool fresh;             /* has never run */
    bool pin;               /* becomes pinned where it first runs */
    atomic_u8 state;        /* enum fiber_state; written by who owns the fiber, read by dumps */
    /* enum wait_reason; WAIT_NONE while running or runnable; read by dumps */
    atomic_u8 reason;
    atomic_u32 woken; /* FIBER_THREAD: the futex it sleeps on */

    _Atomic(struct wait *) wait; /* the wait that ctx may interrupt, or NULL; see wait/ctx.c */
    struct rn_ctx *ctx;          /* its own context, or NULL */
    struct watch watch;          /* links it to ctx */

    void (*fn)(void *arg);
    void *arg;
    const rn_site *site;
    const char *name;
    uint64_t id;
    void (*leave)(struct fiber *fiber); /* called on the fiber as it ends, or NULL */
    void **locals;                      /* RN_LOCALS values, or NULL */
    char *detail;                       /* the last failure's sentence, or NULL */
    struct held *held;                  /* mutexes that it holds, or NULL; see sched/held.h */
    lock_set mutexes; /* RUNNEL_LOCK_ORDER: classes of the library's that it holds */

    struct slab *slab; /* FIBER_STACK: where the stack belongs */
    uint32_t slot;

    void *tsan; /* the sanitizers' idea of this stack; see fiber/annotate.h */
    void *asan_fake;
    const void *loop_low; /* FIBER_LOOP: the thread's own stack */
    size_t loop_bytes;
    unsigned valgrind;
};

/* The usable part of the fiber's stack, lowest address and size. FIBER_STACK only. */
void *fiber_stack_low(const struct fiber *fiber);
size_t fiber_stack_bytes(const struct fiber *fiber);

#endif
