/*
 * Standard output or standard error, written whole by one fiber.
 */
#include "sink.h"

#include <sys/stat.h>
#include <unistd.h>

int sink_open(struct sink *sink, int number)
{
    struct stat status;

    *sink = (struct sink){.number = number, .is_terminal = isatty(number) == 1, .line = sink};
    if (fstat(number, &status) != 0)
        return -EBADF;
    sink->never_waits = S_ISREG(status.st_mode) || (S_ISCHR(status.st_mode) && !sink->is_terminal);
    return sink->never_waits ? 0 : rn_fd_open_shared(&sink->handle, number);
}

void sink_close(struct sink *sink)
{
    if (sink->handle.handle != 0)
        rn_fd_release(sink->handle);
}

static bool is_one_file(int a, int b)
{
    struct stat first, second;

    return fstat(a, &first) == 0 && fstat(b, &second) == 0 && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

/* A terminal has several names (/dev/tty is one), and hardly anybody writes to two of them. */
void sink_join(struct sink *sink, struct sink *other)
{
    if ((sink->is_terminal && other->is_terminal) || is_one_file(sink->number, other->number))
        sink->line = other;
}

bool sink_is_in_line(const struct sink *sink)
{
    return sink->line->in_line;
}

void sink_line_erased(struct sink *sink)
{
    sink->line->in_line = false;
}

/* One write, in part perhaps. */
static ssize_t write_some(rn_ctx *ctx, struct sink *sink, const char *bytes, size_t size)
{
    ssize_t n;

    if (!sink->never_waits)
        return rn_fd_write(ctx, sink->handle, bytes, size);
    n = write(sink->number, bytes, size);
    return n >= 0 ? n : errno == EINTR ? 0 : -errno;
}

int sink_write(rn_ctx *ctx, struct sink *sink, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t n = write_some(ctx, sink, bytes, size);
        if (n < 0)
            return (int)n;
        if (n > 0)
            sink->line->in_line = bytes[n - 1] != '\n';
        bytes += n;
        size -= (size_t)n;
    }
    return 0;
}
