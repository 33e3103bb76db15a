/*
 * The script that --shell runs.
 *
 * The input never becomes part of the script's text: it is the script's first parameter, and {}
 * becomes a reference to it. So no input, whatever is in it, can be read as code. What the
 * reference must look like depends on the quotes around it: "$1" outside of any, ${1} within "..."
 * and $((...)), '"$1"' within '...'. A misjudged context (a here-document, say) costs a stray quote
 * or a split word, but never runs the input. What the shell itself reads as an expression it may:
 * bash runs a[$(...)] within $((...)).
 *
 * Rejected: pasting the quoted input into the text. Within "..." the quotes would be plain
 * characters, and $(...) in the input would run.
 */
#include "script.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { NESTING_MAX = 64 };

/*
 * Where the reader stands: what encloses the next character, innermost last. '\0': the script
 * itself; '\'' and '"': quotes; '(': a command substitution or subshell; '$': its ( comes next;
 * '`': one in backquotes; '{': ${...} within double quotes; '#': a comment; '+': each ( of
 * $((...)), and those within.
 */
struct reader {
    char inside[NESTING_MAX];
    size_t depth;
};

static char innermost(const struct reader *r)
{
    return r->depth == 0 ? '\0' : r->inside[r->depth - 1];
}

/* Deeper than the limit the reader stays where it is: see the head of this file. */
static void enter(struct reader *r, char what)
{
    if (r->depth < NESTING_MAX)
        r->inside[r->depth++] = what;
}

static void leave(struct reader *r)
{
    if (r->depth > 0)
        r->depth--;
}

static bool in_backquotes(const struct reader *r)
{
    return memchr(r->inside, '`', r->depth) != NULL;
}

static bool ends_word(char c)
{
    return c == '\0' || strchr(" \t\n;&|()`", c) != NULL;
}

/* One character in double quotes (or in ${...} there). */
static void read_quoted(struct reader *r, const char *at)
{
    char inside = innermost(r);

    if (*at == '"')
        inside == '"' ? leave(r) : enter(r, '"');
    else if (*at == '`')
        in_backquotes(r) ? leave(r) : enter(r, '`');
    else if (at[0] == '$' && at[1] == '(')
        enter(r, '$'); /* the parenthesis itself follows */
    else if (at[0] == '$' && at[1] == '{')
        enter(r, '{');
    else if (*at == '}' && inside == '{')
        leave(r);
}

/* The ( of a substitution, a subshell, or arithmetic: $(( and what is nested there. */
static void read_parenthesis(struct reader *r, const char *at, char before)
{
    enter(r, (before == '$' ? at[1] == '(' : innermost(r) == '+') ? '+' : '(');
}

/* One character outside of quotes: of the script, of a substitution, of a subshell. */
static void read_plain(struct reader *r, const char *at, char before)
{
    char c = *at;

    if (c == '\'' || c == '"' || (c == '#' && ends_word(before)))
        enter(r, c);
    else if (c == '`')
        innermost(r) == '`' ? leave(r) : enter(r, '`');
    else if (c == '(')
        read_parenthesis(r, at, before);
    else if (c == ')' && (innermost(r) == '(' || innermost(r) == '+'))
        leave(r);
}

/* Moves the reader over the character at *at, which stands behind `before` and is not escaped. */
static void read_one(struct reader *r, const char *at, char before)
{
    switch (innermost(r)) {
    case '$':
        leave(r); /* what follows is as outside of quotes */
        read_parenthesis(r, at, before);
        break;
    case '\'':
        if (*at == '\'')
            leave(r);
        break;
    case '#':
        if (*at == '\n')
            leave(r);
        break;
    case '"':
    case '{':
        read_quoted(r, at);
        break;
    default:
        read_plain(r, at, before);
    }
}

/* Whether a backslash takes away the meaning of the character behind it here. */
static bool escapes(const struct reader *r)
{
    return innermost(r) != '\'' && innermost(r) != '#';
}

static const char *reference(const struct reader *r)
{
    switch (innermost(r)) {
    case '\'':
        return "'\"$1\"'";
    case '"':
    case '{':
    case '+':
        return "${1}";
    default:
        return "\"$1\"";
    }
}

/*
 * The words with blanks between them, and {} at the end if there is none: what the user means to
 * run.
 */
static char *join(char *const *words, size_t count)
{
    size_t bytes = sizeof(" {}");
    bool input = false;
    char *text, *to;

    for (size_t i = 0; i < count; i++)
        bytes += strlen(words[i]) + 1;
    text = to = malloc(bytes);
    if (text == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        input = input || strstr(words[i], "{}") != NULL;
        to = stpcpy(to, words[i]);
        if (i + 1 < count)
            to = stpcpy(to, " ");
    }
    strcpy(to, input ? "" : " {}");
    return text;
}

/*
 * A backslash must not reach the reference that replaces the {} behind it. Within double quotes it
 * is a character of its own; outside of quotes \{ is only another way to write {.
 */
static char *put_backslash(char *to, const struct reader *r)
{
    bool quoted = innermost(r) == '"' || innermost(r) == '{';

    return quoted ? stpcpy(to, "\\\\") : to;
}

/* Writes text to `to` with each {} replaced, and ends it. */
static void translate(char *to, const char *text)
{
    struct reader reader = {.depth = 0};
    char before = '\0';

    while (*text != '\0') {
        if (strncmp(text, "{}", 2) == 0) {
            to = stpcpy(to, reference(&reader));
            before = '}';
            text += 2;
        } else if (*text == '\\' && escapes(&reader) && strncmp(text + 1, "{}", 2) == 0) {
            to = put_backslash(to, &reader);
            before = *text++;
        } else if (*text == '\\' && escapes(&reader) && text[1] != '\0') {
            *to++ = *text++;
            *to++ = *text++;
            before = '\\';
        } else {
            read_one(&reader, text, before);
            before = *to++ = *text++;
        }
    }
    *to = '\0';
}

char *script_new(char *const *words, size_t count)
{
    char *text = join(words, count), *script;

    if (text == NULL)
        return NULL;
    script = malloc(3 * strlen(text) + 1); /* {} grows from 2 to at most 6 bytes */
    if (script != NULL)
        translate(script, text);
    free(text);
    return script;
}
