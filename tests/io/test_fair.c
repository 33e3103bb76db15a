/*
 * Descriptors have their turn however many there are: a driver keeps an event on its way to each of
 * more fibers than a run queue holds, and none of them may starve. What is compared are counts, so
 * how fast all of it is does not matter.
 */
#include "core.h"
#include "io.h"
#include "test.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#define FIBERS 3000                 /* more than RUNQ_SLOTS */
#define TURNS (UNDER_TSAN ? 8 : 20) /* of each, on the average */

static struct place {
    rn_fd fd;
    int number;
    atomic_int taken; /* events, by the fiber */
    int given;        /* by the driver */
} places[FIBERS];
static atomic_int total;

static void take_events(void *arg)
{
    struct place *p = *(struct place **)arg;
    uint64_t count;

    while (rn_fd_read(NULL, p->fd, &count, sizeof count) == sizeof count) {
        atomic_fetch_add(&p->taken, 1);
        atomic_fetch_add(&total, 1);
    }
}

/* As clients do that ask again once they have an answer. */
static void *drive(void *arg)
{
    int n = *(int *)arg;

    for (int i = 0; atomic_load(&total) < n * TURNS; i = (i + 1) % n) {
        struct place *p = &places[i];
        if (p->given != atomic_load(&p->taken))
            continue;
        p->given++;
        EXPECT_EQ(eventfd_write(p->number, 1), 0);
    }
    return NULL;
}

/* How many descriptors there may be, up to what is wanted. */
static int room_for(int wanted)
{
    struct rlimit limit;

    EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return limit.rlim_cur < (rlim_t)wanted + 100 ? (int)limit.rlim_cur - 100 : wanted;
}

TEST_FIBER(no_descriptor_starves)
{
    int n = room_for(fibers_at_once(FIBERS)), least = INT_MAX;
    pthread_t driver;

    for (int i = 0; i < n; i++) {
        struct place *p = &places[i];
        p->number = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        EXPECT_EQ(rn_fd_open(&p->fd, p->number), 0);
        EXPECT_EQ(rn_go_copy(take_events, &p), 0);
    }
    EXPECT_EQ(pthread_create(&driver, NULL, drive, &n), 0);
    while (atomic_load(&total) < n * TURNS)
        rn_yield();
    pthread_join(driver, NULL);
    for (int i = 0; i < n; i++) {
        int taken = atomic_load(&places[i].taken);
        least = taken < least ? taken : least;
        rn_fd_close(places[i].fd);
    }
    EXPECT(least >= TURNS / 4);
    await_live(1);
}
