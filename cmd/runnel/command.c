/*
 * The command with its places for the input.
 */
#define _GNU_SOURCE
#include "command.h"

#include "quote.h"
#include "script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NUMBER_BYTES = 24, FIRST_LINE_BYTES = 256 };

static const char input_place[] = "{}", number_place[] = "{#}";

/* With --shell the words are: sh -c SCRIPT sh {}, and the script finds the input in "$1". */
enum { SHELL_WORDS = 5 };

static bool has(const char *word, const char *place)
{
    return strstr(word, place) != NULL;
}

static int take_words(struct command *c, char *const *words, size_t count)
{
    bool input = false;

    c->words = calloc(count, sizeof(*c->words));
    c->varies = calloc(count, sizeof(*c->varies));
    if (c->words == NULL || c->varies == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        c->words[i] = words[i];
        c->varies[i] = has(words[i], input_place) || has(words[i], number_place);
        input = input || has(words[i], input_place);
    }
    c->count = count;
    c->appends = !input;
    return 0;
}

static int take_script(struct command *c, const struct options *options)
{
    c->script = script_new(options->command, options->command_words);
    if (c->script == NULL)
        return -ENOMEM;
    return take_words(c, (char *[SHELL_WORDS]){"sh", "-c", c->script, "sh", (char *)input_place},
                      SHELL_WORDS);
}

bool command_is_one_program(const struct command *c)
{
    return !c->varies[0];
}

/* The first executable file of this name on PATH; NULL when there is none, or no memory. */
static char *find_program(const char *name)
{
    const char *from = getenv("PATH"), *end;
    char *path = NULL;

    for (; from != NULL; from = *end != '\0' ? end + 1 : NULL) {
        struct stat status;
        end = strchrnul(from, ':');
        if (asprintf(&path, "%.*s/%s", (int)(end - from), end > from ? from : ".", name) < 0)
            return NULL;
        if (access(path, X_OK) == 0 && stat(path, &status) == 0 && S_ISREG(status.st_mode))
            return path;
        free(path);
    }
    return NULL;
}

/* PATH is searched once, not by each job: a failed exec costs more than the rest of the search. */
static void resolve(struct command *c)
{
    if (command_is_one_program(c) && strchr(c->words[0], '/') == NULL)
        c->path = find_program(c->words[0]);
}

int command_init(struct command *c, const struct options *options)
{
    int err;

    *c = (struct command){0};
    err = options->shell ? take_script(c, options)
                         : take_words(c, options->command, options->command_words);
    if (err == 0)
        resolve(c);
    else
        command_free(c);
    return err;
}

void command_free(struct command *c)
{
    free(c->words);
    free(c->varies);
    free(c->path);
    free(c->script);
    *c = (struct command){0};
}

/*
 * What the places stand for in one job; input is NULL for the script, whose text no input may
 * enter.
 */
struct values {
    const char *input;
    char number[NUMBER_BYTES];
};

/*
 * Finds the next place in word. Returns where it begins, and its length and value; NULL when none
 * is left.
 */
static const char *next_place(const char *word, const struct values *values, size_t *length,
                              const char **value)
{
    for (; (word = strchr(word, '{')) != NULL; word++) {
        if (word[1] == '}' && values->input != NULL) {
            *length = sizeof(input_place) - 1;
            *value = values->input;
            return word;
        }
        if (word[1] == '#' && word[2] == '}') {
            *length = sizeof(number_place) - 1;
            *value = values->number;
            return word;
        }
    }
    return NULL;
}

/* Writes word with its places filled, unless to is NULL. Returns its length without the end. */
static size_t fill(char *to, const char *word, const struct values *values)
{
    size_t total = 0, length;
    const char *place, *value;

    while ((place = next_place(word, values, &length, &value)) != NULL) {
        size_t before = (size_t)(place - word), size = strlen(value);
        if (to != NULL) {
            memcpy(to + total, word, before);
            memcpy(to + total + before, value, size);
        }
        total += before + size;
        word = place + length;
    }
    if (to != NULL)
        strcpy(to + total, word);
    return total + strlen(word);
}

/* A word that is nothing but {} needs no copy. */
static bool is_input(const char *word)
{
    return strcmp(word, input_place) == 0;
}

char **command_expand(const struct command *c, const struct job *job)
{
    struct values values = {.input = c->script == NULL ? job->input : NULL};
    char **argv, *text;
    size_t bytes = 0;

    snprintf(values.number, sizeof(values.number), "%llu", (unsigned long long)job->number);
    for (size_t i = 0; i < c->count; i++)
        if (c->varies[i] && !is_input(c->words[i]))
            bytes += fill(NULL, c->words[i], &values) + 1;
    argv = malloc((c->count + 2) * sizeof(*argv) + bytes);
    if (argv == NULL)
        return NULL;
    text = (char *)(argv + c->count + 2);
    for (size_t i = 0; i < c->count; i++) {
        if (!c->varies[i]) {
            argv[i] = c->words[i];
        } else if (is_input(c->words[i])) {
            argv[i] = (char *)job->input;
        } else {
            argv[i] = text;
            text += fill(text, c->words[i], &values) + 1;
        }
    }
    argv[c->count] = c->appends ? (char *)job->input : NULL;
    argv[c->count + 1] = NULL;
    return argv;
}

char *command_interpreter(const struct command *c, char *const *argv)
{
    static const char blanks[] = " \t", ends[] = " \t\n";
    const char *path = c->path != NULL ? c->path : argv[0];
    char line[FIRST_LINE_BYTES], *name = NULL;
    FILE *file = strchr(path, '/') != NULL ? fopen(path, "re") : NULL;

    if (file != NULL && fgets(line, sizeof(line), file) != NULL && strncmp(line, "#!", 2) == 0) {
        const char *from = line + 2 + strspn(line + 2, blanks);
        name = strndup(from, strcspn(from, ends));
    }
    if (file != NULL)
        fclose(file);
    return name;
}

char *command_print(const struct command *c, const struct job *job)
{
    char **argv = command_expand(c, job), *line, *to;
    size_t bytes = 1;

    if (argv == NULL)
        return NULL;
    for (size_t i = 0; argv[i] != NULL; i++)
        bytes += quote_shell_room(argv[i]) + 1;
    line = to = malloc(bytes);
    if (line != NULL)
        to = quote_shell_command(to, argv[0]);
    for (size_t i = 1; line != NULL && argv[i] != NULL; i++) {
        *to++ = ' ';
        to = quote_shell(to, argv[i]);
    }
    if (line != NULL)
        strcpy(to, "\n");
    free(argv);
    return line;
}
