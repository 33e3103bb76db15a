/*
 * The printer: whoever has its lock is the only one that writes to standard output and standard
 * error.
 *
 * A job's output is written in one piece: its standard output, then its standard error, then the
 * line that reports its failure. In order, a finished job waits in a ring until all before it are
 * printed; the window bounds how far jobs may be ahead of the one that is printed next.
 *
 * Once standard output cannot be written, no job is started any more, those that run are ended, and
 * each job whose output is lost is named. When only the reader is gone (a closed pipe), that is how
 * pipelines end: the first such job is named, and how many more there were is said at the end.
 */
#ifndef CMD_PRINTER_H
#define CMD_PRINTER_H

#include "job.h"
#include "progress.h"
#include "sink.h"
#include "stop.h"
#include "tally.h"

#include <runnel.h>

#define PROGRESS_PERIOD (100 * RN_MILLISECOND)

struct printer_setup {
    const char *program; /* what the jobs run, for messages */
    size_t window;       /* 0: print as jobs finish; otherwise in order, for so many jobs at once */
    bool progress;
    uint64_t total; /* jobs in all; 0: not known */
    struct store *store;
    struct tally *tally;
    struct stop *stop;
};

struct printer {
    struct printer_setup setup; /* constant; window is that of the ring */
    rn_chan(char) tickets;      /* in order: one for each job that may be taken; otherwise NULL */
    rn_mutex lock;              /* guards the rest; held also while a reader is slow */
    struct sink out, err;
    int out_err; /* what the first failure of out was; nothing is written to it since */
    bool pipe_closed;
    uint64_t unnamed; /* behind a closed pipe: jobs that were ended, or whose output is lost */
    struct progress progress;
    struct job **ring; /* in order: job n waits in ring[n % window] */
    uint64_t next;     /* in order: the job to be printed next */
};

/* Returns 0 or -ENOMEM. */
int printer_init(struct printer *printer, const struct printer_setup *setup);
void printer_free(struct printer *printer);

/* Waits until the window has room for one more job. Returns 0 or ctx's code. */
int printer_admit(rn_ctx *ctx, struct printer *printer);

/* Prints a job that is over, now or when its turn has come, and frees it. */
void printer_job(struct printer *printer, struct job *job);

/* Writes a line to standard error; "runnel: " before and a newline behind are added. */
__attribute__((format(printf, 2, 3))) void printer_say(struct printer *printer, const char *format,
                                                       ...);

bool printer_shows_progress(const struct printer *printer);
void printer_draw(struct printer *printer);

/* After the last job: prints what still waits, and the summary. */
void printer_finish(struct printer *printer);

#endif
