/*
 * The command with its places for the input: {} and {#}.
 *
 * Immutable once made, so every worker may expand it at once.
 */
#ifndef CMD_COMMAND_H
#define CMD_COMMAND_H

#include "job.h"
#include "options.h"

struct command {
    char **words;
    size_t count;
    bool *varies; /* word i has a place */
    bool appends; /* no word has {}: the input becomes the last argument */
    char *path;   /* where the program was found, owned; NULL: PATH is searched for each job */
    char *script; /* with --shell: the text that words[2] points to, owned */
};

/* Returns 0 or -ENOMEM. The words stay the options'. */
int command_init(struct command *command, const struct options *options);
void command_free(struct command *command);

/* Whether every job runs the same program, whatever its input. */
bool command_is_one_program(const struct command *command);

/*
 * The arguments of one job, ended by NULL, in one piece of memory that the caller frees. They may
 * point into the command and into job->input. NULL when out of memory.
 */
char **command_expand(const struct command *command, const struct job *job);

/*
 * The interpreter that a script names in its first line, to be freed; NULL when it names none. For
 * a message: the system says the same when a command does not exist and when its interpreter does
 * not.
 */
char *command_interpreter(const struct command *command, char *const *argv);

/*
 * A job's arguments as one line that a shell would read back, newline included; NULL when out of
 * memory.
 */
char *command_print(const struct command *command, const struct job *job);

#endif
