/*
 * The two pipes from a running process, read at once into the job's two outputs.
 */
#ifndef CMD_STREAMS_H
#define CMD_STREAMS_H

#include "job.h"

#include <runnel.h>

enum { STREAMS = 2 };

struct streams {
    rn_fd from[STREAMS]; /* none when it has ended */
    struct output *to[STREAMS];
    struct store *store;
    int err; /* why the rest is read only to be thrown away; 0: it is not */
};

void streams_init(struct streams *streams, struct job *job, struct store *store,
                  rn_process *process);

/*
 * Reads until both have ended. Returns 0, ctx's code when that ended first, or why nothing is kept.
 */
int streams_read(rn_ctx *ctx, struct streams *streams);

/* Reads what is there, waiting for nothing. */
void streams_read_ready(struct streams *streams);

#endif
