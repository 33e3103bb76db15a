/*
 * The numbers of a run.
 */
#include "tally.h"

#include <stdio.h>

/*
 * The statuses that xargs uses. Of several kinds of failure the one with the highest number is
 * told.
 */
enum { STATUS_FAILED = 123, STATUS_KILLED = 125, STATUS_NOT_RUN = 126, STATUS_NOT_FOUND = 127 };

void tally_init(struct tally *tally)
{
    *tally = (struct tally){.began = rn_now()};
}

void tally_take(struct tally *tally)
{
    rn_mutex_lock(&tally->lock);
    tally->counts.running++;
    rn_mutex_unlock(&tally->lock);
}

void tally_process_begin(struct tally *tally)
{
    rn_mutex_lock(&tally->lock);
    tally->processes++;
    rn_mutex_unlock(&tally->lock);
}

void tally_process_started(struct tally *tally)
{
    rn_mutex_lock(&tally->lock);
    tally->started++;
    rn_mutex_unlock(&tally->lock);
}

void tally_process_end(struct tally *tally)
{
    rn_mutex_lock(&tally->lock);
    tally->processes--;
    rn_mutex_unlock(&tally->lock);
}

bool tally_saw_processes(struct tally *tally, uint64_t *seen)
{
    bool any;

    rn_mutex_lock(&tally->lock);
    any = tally->processes > 0 || tally->started != *seen;
    *seen = tally->started;
    rn_mutex_unlock(&tally->lock);
    return any;
}

static int status_of(const struct job *job)
{
    switch (job->outcome) {
    case OUTCOME_SUCCESS:
        return 0;
    case OUTCOME_SIGNAL:
        return STATUS_KILLED;
    case OUTCOME_NOT_RUN:
    case OUTCOME_BAD_INPUT:
        return STATUS_NOT_RUN;
    case OUTCOME_NOT_FOUND:
        return STATUS_NOT_FOUND;
    default:
        return STATUS_FAILED;
    }
}

void tally_done(struct tally *tally, const struct job *job)
{
    int status = status_of(job);

    rn_mutex_lock(&tally->lock);
    tally->counts.running--;
    tally->counts.done++;
    if (status != 0)
        tally->counts.failed++;
    if (status > tally->status)
        tally->status = status;
    rn_mutex_unlock(&tally->lock);
}

struct counts tally_counts(struct tally *tally)
{
    struct counts counts;

    rn_mutex_lock(&tally->lock);
    counts = tally->counts;
    rn_mutex_unlock(&tally->lock);
    return counts;
}

int tally_status(struct tally *tally)
{
    int status;

    rn_mutex_lock(&tally->lock);
    status = tally->status;
    rn_mutex_unlock(&tally->lock);
    return status;
}

void tally_summary(struct tally *tally, char *to)
{
    struct counts counts = tally_counts(tally);
    double seconds = (double)(rn_now() - tally->began) / RN_SECOND;
    double rate = seconds > 0 ? (double)counts.done / seconds : 0;

    snprintf(to, SUMMARY_BYTES, "%llu jobs, %llu failed, %.2f s, %.*f jobs/s",
             (unsigned long long)counts.done, (unsigned long long)counts.failed, seconds,
             rate < 100 ? 1 : 0, rate);
}
