/*
 * Standard output or standard error, written whole by one fiber. Their mode is left alone, since
 * other programs share them.
 */
#ifndef CMD_SINK_H
#define CMD_SINK_H

#include <runnel.h>
#include <stdbool.h>
#include <stddef.h>

struct sink {
    int number;
    bool never_waits; /* a file or a device such as /dev/null: plain write(2) does */
    bool is_terminal;
    rn_fd handle;
    bool in_line;      /* the last byte written was no newline */
    struct sink *line; /* whose in_line counts: itself, or the sink that it was joined to */
};

/* Returns 0 or a negative code. */
int sink_open(struct sink *sink, int number);
void sink_close(struct sink *sink);

/*
 * If both lead to one place, as with 2>&1 or on a terminal, what one writes moves the other's line
 * too. Neither may be moved in memory any more.
 */
void sink_join(struct sink *sink, struct sink *other);

/* Whether what is written next continues a line. */
bool sink_is_in_line(const struct sink *sink);
/* What stood on the line was erased. */
void sink_line_erased(struct sink *sink);

/* Writes all bytes. Returns 0, ctx's code, or what writing said (-EPIPE, -ENOSPC, ...). */
int sink_write(rn_ctx *ctx, struct sink *sink, const char *bytes, size_t size);

#endif
