/*
 * Plain threads: each that waits here has a stand-in, a struct fiber without a stack, made at first
 * use and freed when the thread ends. It parks on a futex.
 */
#include "base/check.h"
#include "sched/detail.h"
#include "sched/held.h"
#include "sched/local.h"
#include "sched/sched.h"

#include <pthread.h>
#include <stdlib.h>

static pthread_key_t key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;

static __thread struct fiber *stand_in;

static void forget(void *arg)
{
    struct fiber *fiber = arg;
    stand_in = fiber; /* destroyers may ask for it */
    locals_destroy(fiber);
    detail_free(fiber);
    held_free(fiber);
    stand_in = NULL;
    free(fiber);
}

static void make_key(void)
{
    CHECK(pthread_key_create(&key, forget) == 0, "no thread-specific key is left");
}

void thread_forget(void)
{
    struct fiber *fiber = stand_in;
    if (fiber == NULL)
        return;
    pthread_setspecific(key, NULL);
    forget(fiber);
}

struct fiber *thread_stand_in(bool make)
{
    static const rn_site site = {"the program", 0, "thread"};

    if (stand_in == NULL && make) {
        pthread_once(&key_once, make_key);
        struct fiber *fiber = calloc(1, sizeof *fiber);
        CHECK(fiber != NULL, "out of memory for a thread that waits");
        fiber->kind = FIBER_THREAD;
        fiber->site = &site;
        fiber->name = site.function;
        stand_in = fiber;
        pthread_setspecific(key, fiber);
    }
    return stand_in;
}

int ensure_runtime(void)
{
    if (worker_here() != NULL)
        return 0;
    check_not_forked();
    return likely(load_acquire(&sched.state) == SCHED_ON) ? 0 : rn_start();
}

struct fiber *thread_here(void)
{
    int err = ensure_runtime();

    if (unlikely(err != 0)) {
        const char *detail = rn_error_detail();
        fatal("the runtime could not start: %s%s%s", rn_strerror(err), *detail == 0 ? "" : ": ",
              detail);
    }
    return thread_stand_in(true);
}

struct fiber *fiber_here(void)
{
    struct worker *worker = worker_here();
    return likely(worker != NULL) ? worker->current : thread_here();
}

bool park_possible(void)
{
    return worker_here() != NULL || (stand_in != NULL && load_acquire(&sched.state) == SCHED_ON);
}

void thread_park(struct fiber *self, park_commit *commit, void *arg, enum wait_reason reason)
{
    if (unlikely(self->held != NULL))
        held_park(self, reason);
    store_relaxed(&self->reason, (uint8_t)reason);
    commit(arg);
    lock_class_expect_none("a thread goes to sleep");
    while (load_acquire(&self->woken) == 0) /* E13 */
        os_futex_wait(&self->woken, 0, -1);
    store_relaxed(&self->woken, 0);
    store_relaxed(&self->reason, WAIT_NONE);
}

void thread_after_fork(void)
{
    if (load_acquire(&sched.state) != SCHED_OFF) /* otherwise nothing of it is in the parent */
        forked_note();
    here_worker = NULL;
}
