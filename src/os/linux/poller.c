/*
 * The poller, Linux: epoll, and an eventfd to interrupt it. The contract is os/os.h.
 *
 * Several threads may wait in one poller: the kernel gives an edge to one of them.
 */
#define _GNU_SOURCE
#include "os/os.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX 128
#define WAKE_TAG UINT64_MAX /* no handle: its index is out of range */
#define NS_PER_S 1000000000ll
#define NS_PER_MS 1000000ll
#define MS_MAX 86400000ll /* a day; epoll_wait takes an int */

/*
 * 1: there is only epoll_wait, which knows milliseconds: the kernel is older than 5.11, or a
 * sandbox refuses a call that is younger than its list, with whatever code it likes.
 */
static atomic_u32 coarse;

int os_poller_open(struct os_poller *poller)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = WAKE_TAG};
    int err;

    poller->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (poller->epoll < 0)
        return -errno;
    poller->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (poller->wake < 0) {
        err = -errno;
        close(poller->epoll);
        return err;
    }
    if (epoll_ctl(poller->epoll, EPOLL_CTL_ADD, poller->wake, &event) != 0) {
        err = -errno;
        os_poller_close(poller);
        return err;
    }
    return 0;
}

void os_poller_close(struct os_poller *poller)
{
    close(poller->wake);
    close(poller->epoll);
}

int os_poller_add(struct os_poller *poller, int fd, uint64_t tag)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.u64 = tag};
    return epoll_ctl(poller->epoll, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

void os_poller_remove(struct os_poller *poller, int fd)
{
    epoll_ctl(poller->epoll, EPOLL_CTL_DEL, fd, NULL);
}

/* Rounds up: a timer must not find itself a fraction of a millisecond early, again and again. */
static int wait_coarse(int epoll, struct epoll_event *events, int room, int64_t timeout_ns)
{
    int64_t ms = timeout_ns < 0 ? -1 : timeout_ns / NS_PER_MS + (timeout_ns % NS_PER_MS != 0);
    return epoll_wait(epoll, events, room, (int)(ms > MS_MAX ? MS_MAX : ms));
}

static int wait_fine(int epoll, struct epoll_event *events, int room, int64_t timeout_ns)
{
    struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / NS_PER_S),
                               .tv_nsec = (long)(timeout_ns % NS_PER_S)};
    int n = epoll_pwait2(epoll, events, room, &timeout, NULL);
    return n >= 0 ? n : -errno;
}

/*
 * How many events came; negative: none. A call that fails at once, each time, would make the
 * sleeper spin: so any failure but an interruption is taken to be there to stay.
 */
static int wait_once(int epoll, struct epoll_event *events, int room, int64_t timeout_ns)
{
    if (timeout_ns > 0 && load_relaxed(&coarse) == 0) {
        int n = wait_fine(epoll, events, room, timeout_ns);
        if (n >= 0 || n == -EINTR)
            return n;
        store_relaxed(&coarse, 1);
    }
    return wait_coarse(epoll, events, room, timeout_ns);
}

static int translate(uint32_t events)
{
    int out = 0;

    if (events & (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        out |= OS_READABLE;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        out |= OS_WRITABLE;
    return out;
}

/* An interrupted wait returns early, with nothing: the caller looks at its clock anyway. */
int os_poller_wait(struct os_poller *poller, struct os_event *events, int room, int64_t timeout_ns)
{
    struct epoll_event raw[EVENTS_MAX];
    int kept = 0;
    int n = wait_once(poller->epoll, raw, room < EVENTS_MAX ? room : EVENTS_MAX, timeout_ns);

    for (int i = 0; i < n; i++)
        if (raw[i].data.u64 == WAKE_TAG && timeout_ns == 0)
            os_poller_wake(poller); /* meant for somebody who waits, or is about to */
        else if (raw[i].data.u64 != WAKE_TAG)
            events[kept++] = (struct os_event){
                .tag = raw[i].data.u64,
                .events = translate(raw[i].events),
                .final = (raw[i].events & (EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0};
    return kept;
}

void os_poller_await(struct os_poller *poller, int64_t timeout_ns)
{
    struct pollfd one = {.fd = poller->epoll, .events = POLLIN};
    struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / NS_PER_S),
                               .tv_nsec = (long)(timeout_ns % NS_PER_S)};

    ppoll(&one, 1, timeout_ns < 0 ? NULL : &timeout, NULL); /* whatever it says, one looks again */
}

/* Edge-triggered, so that nobody needs to read the counter; it is full after 2^64 wakes. */
void os_poller_wake(struct os_poller *poller)
{
    uint64_t one = 1;
    if (write(poller->wake, &one, sizeof one) < 0)
        return; /* only when the counter is full, and then it is readable */
}
