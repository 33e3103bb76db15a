/*
 * Descriptors have their turn however many there are: more pairs of fibers than a run queue
 * holds pass events back and forth, and none may starve. All of it is on one worker and what
 * is compared are counts, so neither speed nor the kernel's scheduler matters. ThreadSanitizer, so
 * slow that the monitor puts spare workers beside that one, only looks for races.
 */
#include "core.h"
#include "io.h"
#include "test.h"

#include <sys/eventfd.h>
#include <sys/resource.h>

#define FIBERS 6000         /* half of them is more than RUNQ_SLOTS */
#define TURNS 20            /* of each, on the average */
#define STARVING_ONE_IN 100 /* a spare worker may have let some overtake others */

static struct place {
    rn_fd fd;
    int number;
    struct place *partner;
    atomic_int taken; /* events, by its fiber */
    atomic_int given; /* by its partner's, at first by the test */
} places[FIBERS];
static atomic_int total;
static int enough;

/* An event for the place, unless one is on its way. */
static void give(struct place *p)
{
    if (atomic_load(&p->given) != atomic_load(&p->taken))
        return;
    atomic_fetch_add(&p->given, 1);
    EXPECT_EQ(eventfd_write(p->number, 1), 0);
}

/* Answers each event with one for the partner, so that the two always have something to do. */
static void take_events(void *arg)
{
    struct place *p = *(struct place **)arg;
    uint64_t count;

    while (atomic_load(&total) < enough) {
        EXPECT_EQ(rn_fd_read(NULL, p->fd, &count, sizeof count), sizeof count);
        atomic_fetch_add(&p->taken, 1);
        atomic_fetch_add(&total, 1);
        give(p->partner);
    }
    give(p->partner); /* who may have begun to wait before it was enough */
}

/* How many descriptors there may be, an even number up to what is wanted. */
static int room_for(int wanted)
{
    struct rlimit limit;

    EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return limit.rlim_cur < (rlim_t)wanted + 100 ? (int)(limit.rlim_cur - 100) & ~1 : wanted;
}

static int descriptors_in_turn(int argc, char **argv)
{
    int n = room_for(fibers_at_once(UNDER_TSAN ? 400 : FIBERS)), starving = 0;

    (void)argc, (void)argv;
    enough = n * TURNS;
    for (int i = 0; i < n; i++) {
        struct place *p = &places[i];
        p->partner = &places[i ^ 1];
        p->number = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);
        EXPECT_EQ(rn_fd_open(&p->fd, p->number), 0);
        EXPECT_EQ(rn_go_copy(take_events, &p), 0);
    }
    for (int i = 0; i < n; i++)
        give(&places[i]);
    await_live(1);
    for (int i = 0; i < n; i++) {
        starving += atomic_load(&places[i].taken) < TURNS / 4;
        rn_fd_close(places[i].fd);
    }
    if (stats_now().compensations == 0)
        EXPECT_EQ(starving, 0);
    EXPECT(UNDER_TSAN || starving <= n / STARVING_ONE_IN);
    return 0;
}

TEST(descriptors_do_not_starve)
{
    setenv("RUNNEL_WORKERS", "1", 1);
    EXPECT_EQ(rn_run(descriptors_in_turn, 0, NULL), 0);
}
