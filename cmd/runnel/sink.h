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
};

/* Returns 0 or a negative code. */
int sink_open(struct sink *sink, int number);
void sink_close(struct sink *sink);

/* Writes all bytes. Returns 0, ctx's code, or what writing said (-EPIPE, -ENOSPC, ...). */
int sink_write(rn_ctx *ctx, struct sink *sink, const char *bytes, size_t size);

#endif
