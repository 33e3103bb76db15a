/*
 * The sentence behind a failure, for rn_error_detail: kept with the fiber or thread whose call
 * failed.
 */
#ifndef RN_SCHED_DETAIL_H
#define RN_SCHED_DETAIL_H

struct fiber;

/*
 * Keeps a sentence for the caller's rn_error_detail. Never fails: without memory the sentence is
 * lost. Does not start the runtime, so that the failure to start can be explained.
 */
__attribute__((format(printf, 1, 2))) void error_detail_set(const char *format, ...);

/* Frees what a fiber that ends has kept. */
void detail_free(struct fiber *fiber);

#endif
