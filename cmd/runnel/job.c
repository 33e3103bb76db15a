/*
 * A job: one input, and what became of it.
 */
#include "job.h"

#include "quote.h"
#include "stop.h"

#include <runnel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    INPUT_SHOWN_BYTES = 100, /* of an input in a message */
    STATUS_TIMEOUT = 124,    /* as timeout(1) */
    STATUS_NOT_RUN = 126,
    STATUS_NOT_FOUND = 127,
    STATUS_SIGNAL = 128 /* plus the signal, as shells say it */
};

struct job *job_new(uint64_t number, const char *input, size_t length)
{
    struct job *job = malloc(sizeof(*job) + length + 1);

    if (job == NULL)
        return NULL;
    *job = (struct job){.number = number, .length = length};
    memcpy(job->input, input, length);
    job->input[length] = '\0';
    return job;
}

void job_free(struct job *job, struct store *store)
{
    if (job == NULL)
        return;
    output_free(&job->out, store);
    output_free(&job->err, store);
    free(job->program);
    free(job->interpreter);
    free(job);
}

void job_name(const struct job *job, char *to)
{
    char input[INPUT_SHOWN_BYTES];

    quote_message(input, sizeof(input), job->input, job->length);
    snprintf(to, JOB_NAME_BYTES, "job %llu (input %s)", (unsigned long long)job->number, input);
}

/* Out of memory is the only reason that has nothing to do with the temporary file. */
static void describe_unkept(int code, char *to, size_t room)
{
    const char *folder = store_folder();
    char word[INPUT_SHOWN_BYTES];

    quote_message(word, sizeof(word), folder, strlen(folder));
    snprintf(to, room, "ended, its output cannot be kept%s%s: %s", code == -ENOMEM ? "" : " in ",
             code == -ENOMEM ? "" : word, rn_strerror(code));
}

static void describe_unstarted(const struct job *job, const char *command, char *to, size_t room)
{
    char word[INPUT_SHOWN_BYTES], interpreter[INPUT_SHOWN_BYTES];

    if (job->too_long) { /* there is no command to name: only the template for one */
        snprintf(to, room, "its input is too long to be an argument");
        return;
    }
    if (job->program != NULL)
        command = job->program;
    quote_message(word, sizeof(word), command, strlen(command));
    if (job->interpreter == NULL) {
        snprintf(to, room, "cannot run %s: %s", word, rn_strerror(job->code));
        return;
    }
    quote_message(interpreter, sizeof(interpreter), job->interpreter, strlen(job->interpreter));
    snprintf(to, room, "cannot run %s: its interpreter %s: %s", word, interpreter,
             rn_strerror(job->code));
}

static void describe(const struct job *job, const char *command, char *to, size_t room)
{
    char signal[SIGNAL_NAME_BYTES];

    switch (job->outcome) {
    case OUTCOME_EXIT:
        snprintf(to, room, "exit status %d", job->code);
        break;
    case OUTCOME_SIGNAL:
        signal_name(job->code, signal);
        snprintf(to, room, "killed by %s", signal);
        break;
    case OUTCOME_TIMEOUT:
        snprintf(to, room, "timed out");
        break;
    case OUTCOME_ENDED:
        snprintf(to, room, "ended before it was done");
        break;
    case OUTCOME_OUTPUT:
        describe_unkept(job->code, to, room);
        break;
    case OUTCOME_BAD_INPUT:
        snprintf(to, room, "a NUL byte cannot be part of an argument (see -0)");
        break;
    default:
        describe_unstarted(job, command, to, room);
    }
}

void job_report(const struct job *job, const char *command, char *to)
{
    char name[JOB_NAME_BYTES], what[JOB_REPORT_BYTES - JOB_NAME_BYTES - 2];

    job_name(job, name);
    describe(job, command, what, sizeof(what));
    snprintf(to, JOB_REPORT_BYTES, "%s: %s", name, what);
}

int job_status(const struct job *job)
{
    switch (job->outcome) {
    case OUTCOME_SUCCESS:
        return 0;
    case OUTCOME_EXIT:
        return job->code;
    case OUTCOME_SIGNAL:
        return STATUS_SIGNAL + job->code;
    case OUTCOME_TIMEOUT:
        return STATUS_TIMEOUT;
    case OUTCOME_NOT_FOUND:
        return STATUS_NOT_FOUND;
    case OUTCOME_NOT_RUN:
    case OUTCOME_BAD_INPUT:
        return STATUS_NOT_RUN;
    default:
        return 1;
    }
}
