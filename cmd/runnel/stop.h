/*
 * The ways in which a run ends early. Three contexts, ended one after the other:
 *
 * taking    no job is started any more
 * running   jobs that run are ended
 * printing  nothing is printed any more
 *
 * Why taking ended decides how runnel itself exits: the first cause wins.
 */
#ifndef CMD_STOP_H
#define CMD_STOP_H

#include <runnel.h>
#include <stdbool.h>

struct stop {
    rn_ctx *taking, *running, *printing;
    rn_chan(int) signals;
    bool pipe_kills;  /* SIGPIPE has its default effect on this process */
    bool signal_ends; /* a signal has ended running jobs; only stop_by_signal knows of it */
};

/* A cause for "exit with this status"; one for a signal is RN_ESIGNAL - signal. */
#define STOP_STATUS(status) (-20000 - (status))

/* Returns 0 or a negative code. Signals that are ignored already (as by nohup) stay so. */
int stop_init(struct stop *stop);
void stop_free(struct stop *stop);

/* Starts no job any more; the second also ends those that run. */
void stop_taking(struct stop *stop, int cause);
void stop_running(struct stop *stop, int cause);

/* Whether jobs may still be started. */
bool stop_is_taking(const struct stop *stop);

/* Waits for a signal until ctx ends. Returns it, or a negative code. */
int stop_wait_signal(rn_ctx *ctx, struct stop *stop);

/*
 * What a signal asked for: the first, the second and the third ask for more and more. When
 * something else has ended the running jobs, the first asks for what the second would have: only
 * who insists twice loses what is still to be printed.
 */
enum stopped { STOPPED_TAKING, STOPPED_RUNNING, STOPPED_PRINTING };

/* Does what the signal asks for. For one fiber. */
enum stopped stop_by_signal(struct stop *stop, int signal);

/* How runnel is to exit: true and a signal, or false and a status (or whatever fallback is). */
bool stop_verdict(const struct stop *stop, int fallback, int *out);

/* Writes a signal's name as messages have it: SIGINT, or signal 34. */
enum { SIGNAL_NAME_BYTES = 24 };
void signal_name(int signal, char *to);

/* Dies of a signal, so that whoever waits sees it; returns only when that does not work. */
void stop_die(int signal);

#endif
