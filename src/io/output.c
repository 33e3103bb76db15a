/* What a program prints, as one piece of memory: rn_process_output. */
#include "sched/detail.h"
#include "wait/ctx.h"

#include <errno.h>
#include <runnel/process.h>
#include <signal.h>
#include <stdlib.h>

#define ROOM_MIN 4096 /* bytes of the first allocation; doubles */

/* Invariant: size < room, so that the final zero byte fits. */
struct output {
    char *text;
    size_t size;
    size_t room;
    size_t limit; /* SIZE_MAX: none */
};

static int make_room(struct output *o)
{
    if (o->size + 1 < o->room)
        return 0;
    size_t room = o->room == 0 ? ROOM_MIN : o->room * 2;
    char *text = room > o->room ? realloc(o->text, room) : NULL;
    if (text == NULL)
        return -ENOMEM;
    o->text = text;
    o->room = room;
    return 0;
}

/* 0 at the end of the output. */
static int collect(rn_ctx *ctx, rn_fd from, struct output *o)
{
    for (;;) {
        int err = make_room(o);
        if (err != 0)
            return err;
        ssize_t n = rn_fd_read(ctx, from, o->text + o->size, o->room - o->size - 1);
        if (n <= 0)
            return (int)n;
        o->size += (size_t)n;
        if (o->size > o->limit)
            return -EFBIG;
    }
}

static int run(rn_ctx *ctx, rn_process *p, struct output *o, rn_process_status *status)
{
    int err = collect(ctx, rn_process_stdout(p), o);
    if (err != 0 && ctx_err(ctx) == 0)
        rn_process_kill(p, SIGKILL);
    int ended = rn_process_wait(ctx, p, status);
    return err != 0 ? err : ended;
}

int rn_process_output(rn_ctx *ctx, const rn_process_options *opt, size_t limit, char **text,
                      size_t *size, rn_process_status *status)
{
    rn_process_options with_pipe = *opt;
    struct output o = {.limit = limit != 0 ? limit : SIZE_MAX};
    rn_process *p;
    int err;

    *text = NULL;
    if (opt->in.kind == RN_STDIO_PIPE || opt->err.kind == RN_STDIO_PIPE) {
        error_detail_set("nobody would be at this end of a pipe");
        return -EINVAL;
    }
    with_pipe.out = (rn_stdio){.kind = RN_STDIO_PIPE};
    if ((err = ctx_err(ctx)) != 0 || (err = rn_process_start(&p, &with_pipe)) != 0)
        return err;
    err = run(ctx, p, &o, status);
    rn_process_free(p);
    if (err != 0) {
        free(o.text);
        return err;
    }
    o.text[o.size] = 0;
    *text = o.text;
    if (size != NULL)
        *size = o.size;
    return 0;
}
