/*
 * A job: one input, and what became of it.
 *
 * A job is always owned by exactly one fiber, or waits in the printer, so nothing here needs a
 * lock.
 */
#ifndef CMD_JOB_H
#define CMD_JOB_H

#include "output.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How a job went. What code means depends on it. */
enum outcome {
    OUTCOME_SUCCESS,
    OUTCOME_EXIT,      /* code: its exit status, 1..255 */
    OUTCOME_SIGNAL,    /* code: the signal that killed it */
    OUTCOME_TIMEOUT,   /* it ran too long and was ended */
    OUTCOME_ENDED,     /* runnel was told to end, or another job failed */
    OUTCOME_NOT_FOUND, /* code: the error of the start; likewise below */
    OUTCOME_NOT_RUN,   /* it cannot be executed: permission, format, size */
    OUTCOME_BAD_INPUT, /* the input has a zero byte, which no argument can hold */
    OUTCOME_NOT_BEGUN, /* no process or descriptor could be had */
    OUTCOME_OUTPUT     /* code: why its output could not be kept; it was ended */
};

struct job {
    uint64_t number; /* from 1 */
    enum outcome outcome;
    int code;
    char *program;     /* that was not run, where it differs from job to job; owned */
    char *interpreter; /* OUTCOME_NOT_FOUND: what is missing, when it is not the command; owned */
    struct output out, err;
    bool too_long; /* input is only the beginning: no argument may be so long */
    size_t length; /* of input, without the zero byte that ends it */
    char input[];
};

/* Returns a job that owns a copy of the input, or NULL when out of memory. */
struct job *job_new(uint64_t number, const char *input, size_t length);
void job_free(struct job *job, struct store *store);

/* Writes `job 7 (input "x")`. */
enum { JOB_NAME_BYTES = 140 };
void job_name(const struct job *job, char *to);

/* Writes the name and how the job failed, without a newline. */
enum { JOB_REPORT_BYTES = 400 };
void job_report(const struct job *job, const char *command, char *to);

/* The exit status that --fail-fast takes from a failed job. */
int job_status(const struct job *job);

#endif
