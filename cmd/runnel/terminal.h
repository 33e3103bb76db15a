/*
 * Jobs that want the terminal.
 *
 * A job has a process group of its own, so the kernel stops it when it reads from the terminal
 * (SIGTTIN) or changes it (SIGTTOU), and whoever waits for it would wait for ever without knowing
 * why. Only SIGCHLD tells of a stop, and it comes at the end of each job too, which would cost each
 * of them a wake-up; so this looks every now and again, and only where there is a terminal.
 */
#ifndef CMD_TERMINAL_H
#define CMD_TERMINAL_H

#include "job.h"

#include <runnel.h>

#define TERMINAL_LOOK_PERIOD (500 * RN_MILLISECOND)

/* A job whose process runs; it lies on the stack of the worker that attends to it. */
struct terminal_job {
    struct terminal_job *next, **link;
    const struct job *job;
    int pid;
};

struct terminal {
    bool exists; /* constant; where it is false the rest is not used */
    rn_mutex lock;
    struct terminal_job *jobs; /* guarded by lock */
};

void terminal_init(struct terminal *terminal);

/* A process was started for the job; it is over. */
void terminal_enter(struct terminal *terminal, struct terminal_job *entry, const struct job *job,
                    const rn_process *process);
void terminal_leave(struct terminal *terminal, struct terminal_job *entry);

/*
 * A job that was stopped and was not named before: its name (JOB_NAME_BYTES) and the signal. False
 * when there is none.
 */
bool terminal_find_stopped(struct terminal *terminal, char *name, int *signal);

#endif
