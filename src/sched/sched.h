/*
 * What the files of sched/ share: the worker, the scheduler's globals, and what each file offers
 * the others. Nothing above sched/ includes this; there it is park.h, timer.h, poller.h.
 */
#ifndef RN_SCHED_SCHED_H
#define RN_SCHED_SCHED_H

#include "fiber/stack.h"
#include "here.h"
#include "os/os.h"
#include "sched/park.h"
#include "sched/runq.h"
#include "sched/timer_heap.h"

#define WORKERS_MAX 1024      /* workers and spares together */
#define SPARES_MAX 256        /* workers beyond the configured number */
#define HOUSEKEEPING_TICKS 64 /* dispatches between two looks at timers, poller, inject queue */
#define INJECT_SHARE 128      /* fibers a worker takes from the inject queue at once */
#define INJECT_TURN 8         /* the same, when local ones wait */
#define BUDGET_OPERATIONS 256 /* operations without a park before a fiber yields */
#define IDS_AT_ONCE 1024      /* fiber numbers a worker takes at once */
#define SPIN_NS_MAX 50000     /* how long a worker looks for work before it sleeps */

/* Reasons for a worker to go through its loop before the next fiber. */
enum {
    ATTENTION_INBOX = 1, /* pinned fibers wait in the inbox */
    ATTENTION_POLL = 2,  /* the monitor found timers or descriptors overdue */
    ATTENTION_STOP = 4   /* the runtime stops */
};

/* What a worker is doing, for the monitor and the dump. */
enum worker_mode {
    WORKER_ABSENT,  /* no thread yet */
    WORKER_BUSY,    /* runs fibers or looks for some */
    WORKER_BLOCKED, /* inside rn_blocking */
    WORKER_IDLE,    /* in the idle list */
    WORKER_SPARE    /* a spare that retired; sleeps until it is needed again */
};

/* A worker that does not switch. What it has may be taken, all of it. */
enum stuck {
    STUCK_NOT,
    STUCK_BLOCKED, /* its thread sleeps in a call: another worker may use its processor */
    STUCK_HOG      /* its fiber computes */
};

struct worker {
    struct runq runq;

    /* The owner's alone. */
    cache_aligned struct fiber *current;
    park_commit *after; /* to be called on the other side of the switch in progress */
    void *after_arg;
    struct fiber *came_from;
    struct trace_ring *trace; /* RUNNEL_DEBUG=trace: what it did last; otherwise NULL */
    uint32_t budget;
    uint32_t index; /* in sched.workers */
    uint64_t random;
    uint64_t id_next, id_end;
    struct fiber loop;
    struct os_thread thread;
    void *fault_stack;
    uint32_t pinned;       /* live fibers pinned here */
    bool counted_spinning; /* in spinning_count; set by the waker too, before the wake */
    bool pinned_turn;      /* pinned fibers and the others take turns */
    bool woken;            /* by a publisher, and has found nothing yet */
    uint32_t wake_skip;    /* chances to wake somebody that are let pass */
    int64_t spin_ns;       /* how long it looks for work while nobody has any */
    rn_time looked;        /* when it last looked in vain */
    rn_time stole;         /* when it last stole */
    bool in_poller; /* idle in the poller, not on its futex; guarded by the idle list's lock */
    struct stack_cache stacks;

    /* Written by the owner, read by others. */
    cache_aligned atomic_u32 tick; /* dispatches */
    uint32_t next_poll; /* the tick by which all who waited at the last poll had a turn */
    atomic_u8 mode;     /* enum worker_mode */
    atomic_u64 started, ended, steals;

    /* Written by others. */
    cache_aligned atomic_u32 attention; /* ATTENTION_ bits */
    atomic_u32 stuck; /* enum stuck: why it does not switch; set by monitor or rn_blocking */
    atomic_u32 sleep; /* futex: 1 asleep, 0 awake */
    struct list_node idle_node; /* in idle list; guarded by its lock */
    bool idle_linked;           /* guarded by the idle list's lock */
    SPINLOCK(inbox_lock, worker_inbox_lock);
    struct chain inbox; /* pinned fibers; guarded by inbox_lock */
    struct timer_heap *timers;

    /* The monitor's. */
    uint32_t seen_tick;
    uint32_t seen_for; /* looks since the tick last moved */
    int64_t seen_cpu;  /* the thread's processor time then; of a hog, when it last computed */
    uint32_t hog_for;  /* looks since a hog last computed */
};

/* Whose runtime it is. */
enum sched_state { SCHED_OFF, SCHED_STARTING, SCHED_ON, SCHED_STOPPING };

extern struct sched {
    atomic_u32 state;      /* enum sched_state */
    bool run_owned;        /* rn_run made it */
    atomic_u32 main_alive; /* 1: rn_run's function has not returned: deadlocks are reported */
    int target;            /* workers that should be running fibers */
    struct worker *workers[WORKERS_MAX]; /* grows only; count is published after the slot */
    atomic_u32 count;
    atomic_u32 active; /* workers that are neither stuck nor retired */
    atomic_u32 hogs;   /* that are STUCK_HOG */
    atomic_u64 next_id;
    atomic_u64 wakes, compensations, stalls, polls;
    atomic_u64 robberies; /* twice the times the monitor emptied a queue; odd while it does */
    atomic_u64 foreign_started;
    atomic_u32 blocking; /* fibers inside rn_blocking */
    uint32_t debug;      /* DEBUG_ bits */
} sched;

enum { DEBUG_DUMP = 1, DEBUG_STALL = 2, DEBUG_LEAK = 4, DEBUG_LOCK = 8, DEBUG_TRACE = 16 };

/* ---- worker.c ---- */
struct worker *worker_new(uint32_t index);
void worker_free(struct worker *worker);
void worker_main(void *worker);
/* Whether the thread was a worker, and runs thread-local destructors now. */
bool worker_has_ended(void);
/* The next fiber of its own queue, with a control block, or NULL. Owner. */
struct fiber *worker_next(struct worker *worker);
/* Takes fibers over into the worker's own queue. Owner. */
void worker_adopt(struct worker *worker, struct chain *chain);

/* ---- spawn.c: worker NULL on a plain thread ---- */
uint64_t fiber_next_id(struct worker *worker);
/* A stack, not written to. 0 or -ENOMEM, with a detail. */
int fiber_reserve(struct worker *worker, struct fiber **out, size_t stack_bytes);

/* The fields of a new fiber that most leave as they are. */
static inline void fiber_clear(struct fiber *fiber, uint64_t id)
{
    fiber->id = id;
    fiber->pinned = NULL;
    fiber->pin = false;
    fiber->leave = NULL;
    fiber->ctx = NULL;
    fiber->locals = NULL;
    fiber->detail = NULL;
    fiber->held = NULL;
    lock_set_clear(&fiber->mutexes);
    store_relaxed(&fiber->reason, WAIT_NONE);
    store_relaxed(&fiber->wait, NULL);
}

/* ---- inject.c: the shared queue, for plain threads, overflow and retiring workers ---- */
void inject_push(struct chain *chain);
uint32_t inject_pop(struct chain *out, uint32_t most);
bool inject_empty(void);
void inject_reset(void);

/* ---- idle.c: who sleeps, who is woken ---- */
extern atomic_u32 idle_count;     /* workers in the idle list */
extern atomic_u32 spinning_count; /* workers that look for work, woken ones included */
extern atomic_i64
    idle_poll_until; /* when the worker in the poller wakes by itself; 0: nobody is there */
/* To be called after work was made visible; the pair of the check before sleeping. */
static inline void idle_work_added(void);
void idle_wake_maybe(void);
void idle_wake_one(void);
void idle_wake_worker(struct worker *worker);
/* Sleeps until there may be work. False when the runtime stops. */
bool idle_sleep(struct worker *worker);
void idle_timer_added(rn_time when);
void idle_timers_orphaned(struct worker *worker);
/* Takes a chance at somebody else's work; true when it is worth looking at the queues again. */
bool steal_work(struct worker *worker);
/* The worker has found something to run. */
void spin_end(struct worker *worker);
void timers_run_all(void);
bool work_anywhere(void);
rn_time idle_next_timer(void); /* the earliest timer of all workers */
/*
 * Idle workers sleep while nobody waits in the poller: one of them must be woken to take its place.
 */
bool idle_poller_missing(void);
void idle_reset(void);

static inline void idle_work_added(void)
{
    fence_light(); /* E4: the work is visible, or the sleeper's fence_heavy sees it */
    if (unlikely(load_relaxed(&idle_count) != 0) && load_relaxed(&spinning_count) == 0)
        idle_wake_maybe();
}

/* ---- monitor.c ---- */
int monitor_start(void);
void monitor_stop(void);
void monitor_wake(void);
void monitor_ask_dump(void); /* safe in a signal handler */

/* ---- spare.c: workers in place of stuck ones ---- */
void spare_wake(void); /* one more worker, woken or started */
bool spare_should_retire(struct worker *worker);
bool spare_retire(struct worker *worker); /* sleeps; false when the runtime stops */
bool spare_missing(void);                 /* there are too few workers that are not stuck */
void worker_stick(struct worker *worker, enum stuck why);
/* For another reason than before: it blocks instead of computing, or the other way round. */
void worker_stuck_otherwise(struct worker *worker, enum stuck before, enum stuck now);
void worker_unstick(struct worker *worker);
int worker_spawn_thread(struct worker *worker);
void spare_quiesce(void);

/* ---- thread.c: plain threads ---- */
struct fiber *thread_here(void);
void thread_park(struct fiber *self, park_commit *commit, void *arg, enum wait_reason reason);
void thread_forget(void);
struct fiber *thread_stand_in(bool make); /* does not start the runtime; NULL when there is none */
void thread_after_fork(void);

/* ---- env.c ---- */
struct env {
    int workers;
    size_t stack;
    uint32_t debug;
};
int env_read(struct env *out); /* 0 or -EINVAL with a detail */

/* ---- given by debug/ ---- */
/*
 * Called by a worker about to sleep, and by the monitor: reports and exits when no fiber can run
 * again.
 */
void deadlock_check(void);
/* Takes over bad accesses and last words; once. */
int debug_start(void);
void debug_stop(void);
/* A fiber has held its worker for so long while work waited. */
void stall_report(struct worker *worker, unsigned ms);
/* Fibers that are alive although rn_run ends. */
void leak_report(void);

#endif
