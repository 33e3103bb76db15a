/*
 * The progress line: one line on a terminal, drawn over itself, taken away before anything else is
 * written.
 */
#ifndef CMD_PROGRESS_H
#define CMD_PROGRESS_H

#include "sink.h"
#include "tally.h"

struct progress {
    struct sink *terminal; /* NULL: there is none, and nothing is drawn */
    bool shown;
    uint64_t total; /* jobs in all; 0: not known */
};

/* Draws the line anew. */
void progress_draw(rn_ctx *ctx, struct progress *progress, struct tally *tally);
/* Takes it away, if it is there. */
void progress_hide(rn_ctx *ctx, struct progress *progress);

#endif
