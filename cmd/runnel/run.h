/*
 * One run of the command: who works, and what they share.
 *
 * Each of up to -j workers is a fiber that takes the next input, runs the job and prints it, all by
 * itself: so a job costs no switch to another fiber, and what waits in memory is what the workers
 * have in hand (and with -k, what the printer's window holds), however long the input is. They take
 * turns at the input, and at the printer.
 */
#ifndef CMD_RUN_H
#define CMD_RUN_H

#include "command.h"
#include "input.h"
#include "options.h"
#include "printer.h"
#include "stop.h"
#include "store.h"
#include "tally.h"
#include "terminal.h"

#include <runnel.h>

struct run {
    const struct options *options; /* constant, as the next three */
    struct command command;
    size_t workers_max;
    int null; /* /dev/null, the standard input of every job; -1: not open */
    struct store store;
    struct tally tally;
    struct stop stop;
    struct printer printer;
    struct terminal terminal;
    rn_group *workers;
    rn_mutex shortage;   /* held by the one worker that tries again to start a process */
    rn_mutex turn;       /* held also while waiting for input: it is one worker's turn */
    struct input input;  /* guarded by turn */
    size_t worker_count; /* guarded by turn */
};

/* Does it all, and returns as stop_verdict does. */
bool run_all(const struct options *options, int *out);

/*
 * Takes the next job, waiting for input, and sees to it that somebody else takes the one after
 * that. Returns NULL when there is no more to do.
 */
struct job *run_take(struct run *run);

#endif
