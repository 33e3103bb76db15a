/*
 * The two pipes from a running process.
 *
 * Each wake-up reads both until they have nothing: the end of a process closes both, and most
 * processes write little, so one wake-up is all that most jobs cost.
 */
#include "streams.h"

#include <poll.h>
#include <unistd.h>

enum { READ_BYTES = 16 * 1024 };

void streams_init(struct streams *s, struct job *job, struct store *store, rn_process *process)
{
    *s = (struct streams){
        .from = {rn_process_stdout(process), rn_process_stderr(process)},
        .to = {&job->out, &job->err},
        .store = store,
    };
}

/*
 * Once an output cannot be kept, the rest is still read, so that the process does not hang
 * meanwhile.
 */
static void keep(struct streams *s, int i, const char *bytes, size_t size)
{
    if (s->err == 0)
        s->err = output_append(s->to[i], s->store, bytes, size);
}

static void read_ready(struct streams *s, int i)
{
    char buffer[READ_BYTES];
    int fd = s->from[i].handle != 0 ? rn_fd_number(s->from[i]) : -EBADF;

    while (fd >= 0) {
        ssize_t n = read(fd, buffer, sizeof(buffer));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0)
            break;
        keep(s, i, buffer, (size_t)n);
    }
    s->from[i] = (rn_fd){0};
}

void streams_read_ready(struct streams *s)
{
    for (int i = 0; i < STREAMS; i++)
        read_ready(s, i);
}

static rn_case case_for(rn_fd fd)
{
    return fd.handle != 0 ? rn_on_fd(fd, RN_READABLE) : (rn_case){.kind = RN_CASE_NONE};
}

/* Whether nobody holds the other end any more: what is in the pipe is all that there will be. */
static bool has_ended(rn_fd from)
{
    struct pollfd look = {.fd = from.handle != 0 ? rn_fd_number(from) : -EBADF};

    return look.fd < 0 || (poll(&look, 1, 0) == 1 && (look.revents & POLLHUP) != 0);
}

/*
 * Where both ctx and the streams have ended the streams came first, as far as anybody can tell:
 * this process may have been stopped for a while (Ctrl-Z), and learns of both at once.
 */
int streams_read(rn_ctx *ctx, struct streams *s)
{
    while (s->err == 0 && (s->from[0].handle != 0 || s->from[1].handle != 0)) {
        int fired = rn_select(ctx, case_for(s->from[0]), case_for(s->from[1]));
        if (fired < 0 && !(has_ended(s->from[0]) && has_ended(s->from[1])))
            return fired;
        streams_read_ready(s);
    }
    return s->err;
}
