/*
 * Signals from outside, Linux. The contract is os/os.h.
 *
 * The handler counts the signal and makes an eventfd readable; everything else happens later, in
 * the poller's turn. Invariant: a handler of ours is installed only while the eventfd is open.
 *
 * The callers of take, ignore and give_back hold a lock of theirs.
 */
#define _GNU_SOURCE
#include "os/os.h"

#include "base/spinlock.h"

#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

static atomic_i32 event = -1; /* the eventfd */
static atomic_u32 handlers;   /* handlers that run */
static atomic_u32 counts[OS_SIGNAL_MAX + 1];
static atomic_i32 owner; /* the process that installed the handlers */

static struct sigaction before[OS_SIGNAL_MAX + 1];
static enum { AS_BEFORE, TAKEN, IGNORED } now[OS_SIGNAL_MAX + 1];

/* In the child of a plain fork nobody reads the event: the signal has its usual effect there. */
static void die_of(int number)
{
    sigset_t only;

    signal(number, SIG_DFL);
    sigemptyset(&only);
    sigaddset(&only, number);
    raise(number);
    pthread_sigmask(SIG_UNBLOCK, &only, NULL);
}

static void on_signal(int number)
{
    int saved = errno;
    uint64_t one = 1;

    if (getpid() != load_relaxed(&owner)) {
        die_of(number);
        errno = saved;
        return;
    }
    add_seq(&handlers, 1);
    add_seq(&counts[number], 1);
    int fd = load_seq(&event); /* E20: after the handler is counted */
    if (fd >= 0 && write(fd, &one, sizeof one) < 0)
        errno = saved; /* full, and so readable */
    sub_seq(&handlers, 1);
    errno = saved;
}

bool os_signal_valid(int number)
{
    struct sigaction any;

    if (number < 1 || number > OS_SIGNAL_MAX || number == SIGKILL || number == SIGSTOP ||
        number == SIGSEGV || number == SIGBUS || number == SIGFPE || number == SIGILL)
        return false;
    return sigaction(number, NULL, &any) == 0; /* the C library keeps some for itself */
}

int os_signal_open(void)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return -errno;
    store_relaxed(&owner, getpid());
    store_seq(&event, fd);
    return fd;
}

void os_signal_detach(void)
{
    for (int number = 1; number <= OS_SIGNAL_MAX; number++) {
        if (now[number] == TAKEN)
            os_signal_give_back(number);
        store_relaxed(&counts[number], 0);
    }
    store_seq(&event, -1); /* E20: a handler sees -1, or is counted and waited for */
    for (unsigned spins = 0; load_seq(&handlers) != 0; spins++)
        spin_wait(spins);
}

static void change(int number, void (*handler)(int), int state)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART | SA_ONSTACK};

    sigfillset(&action.sa_mask); /* handlers do not nest */
    sigaction(number, &action, now[number] == AS_BEFORE ? &before[number] : NULL);
    now[number] = state;
}

void os_signal_take(int number)
{
    change(number, on_signal, TAKEN);
}

void os_signal_ignore(int number)
{
    change(number, SIG_IGN, IGNORED);
}

void os_signal_give_back(int number)
{
    if (now[number] != AS_BEFORE)
        sigaction(number, &before[number], NULL);
    now[number] = AS_BEFORE;
}

void os_signal_drain(void)
{
    uint64_t unused;
    int fd = load_seq(&event);
    if (fd >= 0 && read(fd, &unused, sizeof unused) < 0)
        return; /* somebody else has drained it */
}

uint32_t os_signal_count(int number)
{
    return swap_seq(&counts[number], 0);
}
