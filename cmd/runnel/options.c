/*
 * The command line. Options end at the first word that is none, so that the command's own options
 * are left alone; the first ::: after that ends the command.
 */
#include "options.h"

#include "duration.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "Usage: runnel [OPTION...] COMMAND [ARG...] [::: INPUT...]\n"
    "\n"
    "Runs COMMAND once for each line of standard input, or for each INPUT after ':::', several\n"
    "at a time. {} in the command and its arguments is replaced by the input, {#} by the job's\n"
    "number; without any {} the input becomes the last argument. No shell is involved unless\n"
    "asked for.\n"
    "\n"
    "  -j, --jobs=N        run N jobs at once (default: one for each processor)\n"
    "  -k, --keep-order    print outputs in the order of the inputs, not as jobs finish\n"
    "  -0, --null          inputs end with a NUL byte, not with a newline\n"
    "      --timeout=D     end each job that runs longer than D (500ms, 10s, 2m, 1h)\n"
    "      --fail-fast     at the first failure end all jobs and exit with its status\n"
    "      --dry-run       print the commands, run nothing\n"
    "      --progress      show progress on a terminal, and a summary at the end\n"
    "      --shell         run 'COMMAND ARG...' by sh -c, where {} is \"$1\"\n"
    "      --help          print this and exit\n"
    "      --version       print the version and exit\n"
    "\n"
    "Exit status: 0 all jobs succeeded, 123 a job failed, 125 one was killed by a signal,\n"
    "126 one could not be executed, 127 a command was not found, 1 runnel itself failed.\n"
    "\n"
    "Example: git ls-files -z | runnel -0 -k -j4 sha256sum\n";

/* Long options without a short form get numbers that no character has. */
enum {
    OPT_TIMEOUT = 256,
    OPT_FAIL_FAST,
    OPT_DRY_RUN,
    OPT_PROGRESS,
    OPT_SHELL,
    OPT_HELP,
    OPT_VERSION
};

static const struct option long_options[] = {
    {"jobs", required_argument, NULL, 'j'},
    {"keep-order", no_argument, NULL, 'k'},
    {"null", no_argument, NULL, '0'},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"fail-fast", no_argument, NULL, OPT_FAIL_FAST},
    {"dry-run", no_argument, NULL, OPT_DRY_RUN},
    {"progress", no_argument, NULL, OPT_PROGRESS},
    {"shell", no_argument, NULL, OPT_SHELL},
    {"help", no_argument, NULL, OPT_HELP},
    {"version", no_argument, NULL, OPT_VERSION},
    {NULL, 0, NULL, 0},
};

/* Says what is wrong and where help is. */
__attribute__((format(printf, 1, 2))) static enum parsed wrong(const char *format, ...)
{
    va_list args;

    fputs("runnel: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputs("\nrunnel: try 'runnel --help'\n", stderr);
    return PARSED_WRONG;
}

/* Prints an answer; a full disk or a closed pipe makes even that fail. */
static enum parsed answer(const char *text)
{
    if (fputs(text, stdout) != EOF && fflush(stdout) == 0)
        return PARSED_DONE;
    perror("runnel: cannot write to standard output");
    return PARSED_WRONG;
}

static enum parsed parse_jobs(struct options *out, const char *word)
{
    char *end;
    unsigned long n = strtoul(word, &end, 10);

    /* strtoul takes signs and blanks, which are no digits. */
    if (*word < '0' || *word > '9' || *end != '\0' || n < 1 || n > JOBS_AT_ONCE_MAX)
        return wrong("-j wants a number from 1 to %d, not '%s'", JOBS_AT_ONCE_MAX, word);
    out->jobs = n;
    return PARSED_RUN;
}

static enum parsed parse_timeout(struct options *out, const char *word)
{
    int err = duration_parse(word, &out->timeout);

    if (err == -ERANGE)
        return wrong("--timeout %s is too long", word);
    if (err != 0)
        return wrong("--timeout wants a duration such as 500ms, 10s, 2m or 1h, not '%s'", word);
    if (out->timeout == 0)
        return wrong("--timeout wants more than 0, not '%s'", word);
    return PARSED_RUN;
}

/* Whether getopt gives this number to an option; each short one has a long form. */
static bool is_option(int number)
{
    const struct option *option = long_options;

    while (option->name != NULL && option->val != number)
        option++;
    return option->name != NULL;
}

/*
 * getopt has returned '?' or ':' : which word was it? Not always the one before optind: in the
 * middle of -xk getopt still stands on that word. But then optopt is a letter of no option.
 */
static enum parsed unknown(int found, char **argv)
{
    const char *word = argv[optind - 1];

    if (found == ':')
        return wrong("option '%s' wants a value", word);
    if (optopt != 0 && !is_option(optopt))
        return wrong("unknown option '-%c'", optopt);
    if (optopt != 0)
        return wrong("option '%s' takes no value", word);
    return wrong("unknown or ambiguous option '%s'", word);
}

static enum parsed parse_option(struct options *out, int found, char **argv)
{
    switch (found) {
    case 'j':
        return parse_jobs(out, optarg);
    case 'k':
        out->keep_order = true;
        return PARSED_RUN;
    case '0':
        out->null = true;
        return PARSED_RUN;
    case OPT_TIMEOUT:
        return parse_timeout(out, optarg);
    case OPT_FAIL_FAST:
        out->fail_fast = true;
        return PARSED_RUN;
    case OPT_DRY_RUN:
        out->dry_run = true;
        return PARSED_RUN;
    case OPT_PROGRESS:
        out->progress = true;
        return PARSED_RUN;
    case OPT_SHELL:
        out->shell = true;
        return PARSED_RUN;
    case OPT_HELP:
        return answer(help);
    case OPT_VERSION:
        return answer("runnel " RN_VERSION "\n");
    default:
        return unknown(found, argv);
    }
}

/* What is left after the options: the command, and the inputs behind a :::. */
static enum parsed parse_words(struct options *out, int count, char **words)
{
    int n = 0;

    while (n < count && strcmp(words[n], ":::") != 0)
        n++;
    if (n == 0)
        return wrong("no command given");
    out->command = words;
    out->command_words = (size_t)n;
    if (n == count)
        return PARSED_RUN;
    words[n] = NULL;
    out->inputs = words + n + 1;
    out->input_count = (size_t)(count - n - 1);
    return PARSED_RUN;
}

enum parsed options_parse(struct options *out, int argc, char **argv)
{
    int found;

    *out = (struct options){0};
    opterr = 0;
    /*
     * '+' stops at the first word that is no option, ':' tells a missing value from an unknown
     * option.
     */
    while ((found = getopt_long(argc, argv, "+:j:k0", long_options, NULL)) != -1) {
        enum parsed parsed = parse_option(out, found, argv);
        if (parsed != PARSED_RUN)
            return parsed;
    }
    return parse_words(out, argc - optind, argv + optind);
}
