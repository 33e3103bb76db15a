/*
 * What every fiber is doing, a line each. Allocates nothing and takes only the stack pool's lock,
 * so that it can be called when things have gone wrong.
 */
#include "debug/dump.h"

#include "fiber/stack.h"
#include "os/os.h"
#include "sched/sched.h"

#include <runnel/debug.h>
#include <stdio.h>

#define LINE_BYTES_MAX 512

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

/* A racy look: a fiber that is just ending may be shown, or missed. */
void dump_fiber(int fd, const struct fiber *fiber)
{
    char line[LINE_BYTES_MAX];
    struct fiber *f = (struct fiber *)fiber;
    const rn_site *site = f->site;
    unsigned reason = load_relaxed(&f->reason);
    const char *doing = reason == WAIT_NONE ? "running or ready" : wait_reason_name(reason);
    int n;

    if (site->line > 0)
        n = snprintf(line, sizeof line, "fiber %llu \"%s\" [%s], started at %s:%d\n",
                     (unsigned long long)f->id, f->name, doing, site->file, site->line);
    else
        n = snprintf(line, sizeof line, "fiber %llu \"%s\" [%s], started by %s\n",
                     (unsigned long long)f->id, f->name, doing, site->file);
    if (n > 0)
        write_line(fd, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

static void dump_one(struct fiber *fiber, void *arg)
{
    struct dump *dump = arg;
    dump_fiber(dump->fd, fiber);
    dump->count++;
}

int rn_dump(int fd)
{
    struct dump dump = {.fd = fd};
    stack_each(dump_one, &dump);
    return dump.count;
}
