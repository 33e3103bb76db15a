/*
 * The numbers of a run: how many jobs run, are done, failed; and the exit status that follows from
 * them.
 */
#ifndef CMD_TALLY_H
#define CMD_TALLY_H

#include "job.h"

#include <runnel.h>

struct counts {
    uint64_t running; /* jobs that were taken and have no outcome yet */
    uint64_t done;    /* jobs that have one, failed ones included */
    uint64_t failed;
};

struct tally {
    rn_time began;
    rn_mutex lock;
    struct counts counts; /* guarded by lock */
    uint64_t processes;   /* guarded by lock: started, and not known to have ended */
    int status;           /* guarded by lock: what runnel exits with if nothing else happens */
};

void tally_init(struct tally *tally);

/* A job was taken; it has its outcome. */
void tally_take(struct tally *tally);
void tally_done(struct tally *tally, const struct job *job);

/* A process was started (1), is gone (-1). */
void tally_process(struct tally *tally, int change);
/* Whether any process is there whose end could make room for another. */
bool tally_has_processes(struct tally *tally);

struct counts tally_counts(struct tally *tally);
int tally_status(struct tally *tally);

/* Writes the closing line, without a newline. */
enum { SUMMARY_BYTES = 120 };
void tally_summary(struct tally *tally, char *to);

#endif
