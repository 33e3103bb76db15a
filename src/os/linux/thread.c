/* Threads, futexes and fences, Linux. The contract is os/os.h. */
#define _GNU_SOURCE
#include "os/os.h"

#include "base/asym.h"
#include "base/check.h"
#include "base/spinlock.h"
#include "pause.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SPIN_STEPS_MAX 40    /* steps before the processor is yielded */
#define SPIN_DOUBLINGS_MAX 6 /* the longest step: 64 pauses, about a microsecond */
#define NS_PER_S 1000000000ll
#define RANDOM_BYTES_MAX 256 /* what getrandom gives whole */

/* The longest single wait; callers look again. */
#if defined(__SANITIZE_THREAD__)
#define WAIT_NS_MAX (NS_PER_S / 20)
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WAIT_NS_MAX (NS_PER_S / 20)
#endif
#endif
#ifndef WAIT_NS_MAX
#define WAIT_NS_MAX (3600 * NS_PER_S)
#endif

void spin_wait(unsigned spins)
{
    if (spins >= SPIN_STEPS_MAX) {
        check_not_forked(); /* who held it at the fork is in the parent */
        sched_yield();
        return;
    }
    unsigned pauses = 1u << (spins < SPIN_DOUBLINGS_MAX ? spins : SPIN_DOUBLINGS_MAX);
    for (unsigned i = 0; i < pauses; i++)
        arch_pause();
}

static int membarrier(int command)
{
    return (int)syscall(SYS_membarrier, command, 0, 0);
}

static void settle(void)
{
    bool fenced = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) != 0 ||
                  membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0;
    store_release(&asym_fenced, fenced); /* E22: membarrier is registered */
}

void fence_settle(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, settle);
}

void os_init(void)
{
    fence_settle();
}

void fence_heavy(void)
{
    if (load_acquire(&asym_fenced)) /* E22 */
        fence_full();
    else
        membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
}

struct start {
    void (*main)(void *arg);
    void *arg;
    char name[16];
};

static void *thread_main(void *arg)
{
    struct start start = *(struct start *)arg;
    free(arg);
    pthread_setname_np(pthread_self(), start.name);
    start.main(start.arg);
    return NULL;
}

int os_thread_start(struct os_thread *out, void (*main)(void *arg), void *arg, const char *name)
{
    struct start *start = malloc(sizeof *start);
    pthread_t thread;
    sigset_t blocked, before;

    if (start == NULL)
        return -ENOMEM;
    start->main = main;
    start->arg = arg;
    for (size_t i = 0; i < sizeof start->name; i++) {
        start->name[i] = i + 1 < sizeof start->name ? *name : 0;
        name += *name != 0;
    }
    sigfillset(&blocked);
    sigdelset(&blocked, SIGSEGV);
    sigdelset(&blocked, SIGBUS);
    sigdelset(&blocked, SIGFPE);
    sigdelset(&blocked, SIGILL);
    sigdelset(&blocked, SIGTRAP);
    sigdelset(&blocked, SIGABRT);
    sigdelset(&blocked, SIGPROF);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    int err = pthread_create(&thread, NULL, thread_main, start);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (err != 0) {
        free(start);
        return -err;
    }
    out->handle = (uint64_t)thread;
    return 0;
}

void os_thread_join(struct os_thread thread)
{
    check_not_forked(); /* it is in the parent */
    pthread_join((pthread_t)thread.handle, NULL);
}

int64_t os_thread_cpu_ns(struct os_thread thread)
{
    struct timespec used;
    clockid_t clock;

    if (pthread_getcpuclockid((pthread_t)thread.handle, &clock) != 0 ||
        clock_gettime(clock, &used) != 0)
        return -1;
    return used.tv_sec * NS_PER_S + used.tv_nsec;
}

void os_yield(void)
{
    sched_yield();
}

/*
 * As the number of links of the directory that lists them: reading that directory would pass over
 * threads while others end.
 */
int os_thread_count(void)
{
    struct stat status;

    return stat("/proc/self/task", &status) == 0 ? (int)status.st_nlink - 2 : -errno;
}

/*
 * Never without a limit: ThreadSanitizer puts the handlers of signals off until the call has
 * returned, and a wait without a limit goes on inside the kernel after a signal.
 */
int os_futex_wait(atomic_u32 *word, uint32_t value, int64_t timeout_ns)
{
    int64_t limit = timeout_ns < 0 ? WAIT_NS_MAX : timeout_ns;
    struct timespec timeout = {.tv_sec = (time_t)(limit / NS_PER_S),
                               .tv_nsec = (long)(limit % NS_PER_S)};
    long rc = syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, &timeout, NULL, 0);
    return rc != 0 && errno == ETIMEDOUT && timeout_ns >= 0 ? -ETIMEDOUT : 0;
}

void os_futex_wake(atomic_u32 *word, int count)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

void os_random(void *out, size_t bytes)
{
    char *at = out;

    for (size_t i = 0; i < bytes; i += sizeof(uint64_t)) { /* should the kernel have none to give */
        uint64_t word = ((uint64_t)os_now() + i) * 0x9e3779b97f4a7c15ull ^ (uintptr_t)&at;
        memcpy(at + i, &word, bytes - i < sizeof word ? bytes - i : sizeof word);
    }
    for (ssize_t got = 0; bytes > 0 && got >= 0; bytes -= (size_t)got, at += got)
        got = getrandom(at, bytes < RANDOM_BYTES_MAX ? bytes : RANDOM_BYTES_MAX, GRND_NONBLOCK);
}

void os_at_fork_child(void (*fn)(void))
{
    pthread_atfork(NULL, NULL, fn);
}

int64_t os_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}
