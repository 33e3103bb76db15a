/*
 * What the command line asks for.
 */
#ifndef CMD_OPTIONS_H
#define CMD_OPTIONS_H

#include <runnel.h>
#include <stdbool.h>
#include <stddef.h>

enum { JOBS_AT_ONCE_MAX = 65535 };

struct options {
    size_t jobs;          /* -j; 0: as many as the runtime has workers */
    bool keep_order;      /* -k */
    bool null;            /* -0 */
    bool fail_fast;       /* --fail-fast */
    bool dry_run;         /* --dry-run */
    bool progress;        /* --progress */
    bool shell;           /* --shell */
    rn_duration timeout;  /* --timeout; 0: none */
    char **command;       /* the words of the command, ended by NULL; points into argv */
    size_t command_words; /* at least 1 */
    char **inputs;        /* what follows :::, or NULL to read standard input */
    size_t input_count;
};

/* What options_parse found: a run to do, or an answer that was given already. */
enum parsed { PARSED_RUN, PARSED_DONE, PARSED_WRONG };

/*
 * Reads the command line into *out. --help and --version are answered here (PARSED_DONE); wrong
 * usage is explained on standard error (PARSED_WRONG). argv is reordered nowhere; a ::: in it is
 * replaced by NULL.
 */
enum parsed options_parse(struct options *out, int argc, char **argv);

#endif
