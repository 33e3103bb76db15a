/*
 * A worker: takes jobs, runs one at a time, prints them.
 */
#ifndef CMD_WORKER_H
#define CMD_WORKER_H

#include <runnel.h>

/* The fiber; arg is the struct run. ctx ends when running jobs are to be ended. */
int work(rn_ctx *ctx, void *arg);

#endif
