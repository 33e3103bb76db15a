/*
 * What every fiber is doing, a line each, and what the program's objects say of themselves.
 * Allocates nothing and takes only the stack pool's lock and the exhibits', so that it can be
 * called when things have gone wrong.
 */
#include "debug/dump.h"

#include "base/spinlock.h"
#include "fiber/stack.h"
#include "os/os.h"
#include "sched/sched.h"
#include "sched/trace.h"

#include <runnel/debug.h>
#include <stdio.h>

#define LINE_BYTES_MAX 512

/* describe is called under the lock, so that an exhibit that is hidden is not being read. */
static struct {
    SPINLOCK(lock, exhibits_lock);
    rn_exhibit *first; /* guarded by lock */
} exhibits;

struct dump {
    int fd;
    int count;
};

static void write_line(int fd, const char *text, size_t length)
{
    if (fd == 2)
        os_complain(text, length);
    else
        os_write_all(fd, text, length);
}

static void dump_line(int fd, uint64_t id, const char *name, const char *doing, const rn_site *site)
{
    char line[LINE_BYTES_MAX], origin[ORIGIN_BYTES_MAX];
    fiber_origin(site, origin);
    int n = snprintf(line, sizeof line, "fiber %llu \"%s\" [%s], %s\n", (unsigned long long)id,
                     name, doing, origin);
    if (n > 0)
        write_line(fd, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

static const char *const awake = "running or ready";

/*
 * A racy look: a fiber that is just ending may be shown, or missed;
 * one that is just beginning may be shown twice.
 *
 * When it has ended, its stack may be trimmed under the look, and then it reads as zeros: so each
 * pointer is read once.
 */
bool dump_fiber(int fd, const struct fiber *fiber)
{
    struct fiber *f = (struct fiber *)fiber;
    const rn_site *site = peek_owned(&f->site);
    const char *name = peek_owned(&f->name);
    unsigned reason = load_relaxed(&f->reason);

    if (site == NULL || name == NULL)
        return false;
    dump_line(fd, f->id, name, reason == WAIT_NONE ? awake : wait_reason_name(reason), site);
    return true;
}

void dump_unborn(int fd, uint64_t id, const rn_site *site)
{
    dump_line(fd, id, site->function, awake, site);
}

static void dump_one(struct fiber *fiber, void *arg)
{
    struct dump *dump = arg;
    dump->count += dump_fiber(dump->fd, fiber);
}

static void dump_seed(const struct seed *seed, void *arg)
{
    struct dump *dump = arg;
    dump_unborn(dump->fd, load_relaxed(&seed->id), load_relaxed(&seed->site));
    dump->count++;
}

static void dump_exhibit(int fd, const rn_exhibit *exhibit)
{
    char text[LINE_BYTES_MAX / 2] = "";
    char line[LINE_BYTES_MAX];

    exhibit->describe(exhibit, text, sizeof text);
    int n = snprintf(line, sizeof line, "%s \"%s\" [%s]\n", exhibit->kind, exhibit->name, text);
    if (n > 0)
        write_line(fd, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

static void trace_line(uint32_t worker, int64_t ago, const char *event, uint64_t what,
                       const char *reason, void *arg)
{
    const int *fd = arg;
    char line[LINE_BYTES_MAX], number[24] = "";
    int n;

    if (what != 0)
        snprintf(number, sizeof number, " %llu", (unsigned long long)what);
    n = snprintf(line, sizeof line, "worker %u, %.3f ms ago: %s%s%s%s%s\n", worker,
                 (double)ago / RN_MILLISECOND, event, number, reason == NULL ? "" : " [",
                 reason == NULL ? "" : reason, reason == NULL ? "" : "]");
    if (n > 0)
        write_line(*fd, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

void dump_trace(int fd)
{
    trace_each(trace_line, &fd);
}

int rn_dump(int fd)
{
    struct dump dump = {.fd = fd};

    uint32_t workers = load_acquire(&sched.count);
    for (uint32_t i = 0; i < workers; i++) /* first: one that begins meanwhile is not missed */
        runq_each_seed(&sched.workers[i]->runq, dump_seed, &dump);
    stack_each(dump_one, &dump);
    spin_lock(&exhibits.lock);
    for (const rn_exhibit *e = exhibits.first; e != NULL; e = e->rn_next)
        dump_exhibit(fd, e);
    spin_unlock(&exhibits.lock);
    dump_trace(fd);
    return dump.count;
}

void rn_exhibit_show(rn_exhibit *exhibit)
{
    spin_lock(&exhibits.lock);
    exhibit->rn_prev = NULL;
    exhibit->rn_next = exhibits.first;
    if (exhibits.first != NULL)
        exhibits.first->rn_prev = exhibit;
    exhibits.first = exhibit;
    spin_unlock(&exhibits.lock);
}

void rn_exhibit_hide(rn_exhibit *exhibit)
{
    spin_lock(&exhibits.lock);
    if (exhibit->rn_prev != NULL)
        exhibit->rn_prev->rn_next = exhibit->rn_next;
    else
        exhibits.first = exhibit->rn_next;
    if (exhibit->rn_next != NULL)
        exhibit->rn_next->rn_prev = exhibit->rn_prev;
    spin_unlock(&exhibits.lock);
}
