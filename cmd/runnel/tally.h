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
    uint64_t processes;   /* guarded by lock: being started, or not known to have ended */
    uint64_t started;     /* guarded by lock: processes so far, the ended ones included */
    int status;           /* guarded by lock: what runnel exits with if nothing else happens */
};

void tally_init(struct tally *tally);

/* A job was taken; it has its outcome. */
void tally_take(struct tally *tally);
void tally_done(struct tally *tally, const struct job *job);

/* A process is about to be started; it was; it is gone, or could not be started. */
void tally_process_begin(struct tally *tally);
void tally_process_started(struct tally *tally);
void tally_process_end(struct tally *tally);

/*
 * Whether there is a process whose end could make room for another, or there was one since the last
 * look. One that is just being started counts: it holds descriptors already. *seen is the caller's,
 * 0 before its first look.
 */
bool tally_saw_processes(struct tally *tally, uint64_t *seen);

struct counts tally_counts(struct tally *tally);
int tally_status(struct tally *tally);

/* Writes the closing line, without a newline. */
enum { SUMMARY_BYTES = 120 };
void tally_summary(struct tally *tally, char *to);

#endif
