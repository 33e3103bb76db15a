/*
 * Text made safe. Nothing here allocates: callers bring the room.
 */
#include "quote.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Bytes that mean nothing to any shell, wherever they stand in a word. */
static bool is_plain(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("_-./:=@%+,", c) != NULL);
}

static bool is_control(unsigned char c)
{
    return c < 0x20 || c == 0x7f;
}

static bool all(const char *word, bool (*is)(unsigned char c))
{
    while (*word != '\0' && is((unsigned char)*word))
        word++;
    return *word == '\0';
}

static bool is_printable(unsigned char c)
{
    return !is_control(c);
}

size_t quote_shell_room(const char *word)
{
    return 4 * strlen(word) + 4; /* \ooo for each byte, $'' around, the end */
}

static char *put(char *to, const char *text)
{
    return stpcpy(to, text);
}

static char *quote_single(char *to, const char *word)
{
    *to++ = '\'';
    for (; *word != '\0'; word++) {
        if (*word == '\'')
            to = put(to, "'\\'");
        *to++ = *word;
    }
    return put(to, "'");
}

static char *quote_dollar(char *to, const char *word)
{
    to = put(to, "$'");
    for (; *word != '\0'; word++) {
        unsigned char c = (unsigned char)*word;
        if (c == '\n')
            to = put(to, "\\n");
        else if (c == '\t')
            to = put(to, "\\t");
        else if (is_control(c))
            to += sprintf(to, "\\%03o", c);
        else {
            if (c == '\'' || c == '\\')
                *to++ = '\\';
            *to++ = *word;
        }
    }
    return put(to, "'");
}

char *quote_shell(char *to, const char *word)
{
    if (*word != '\0' && all(word, is_plain))
        return put(to, word);
    if (all(word, is_printable))
        return quote_single(to, word);
    return quote_dollar(to, word);
}

/* Those of sh, bash, ksh and zsh that are plain; quotes take their meaning away. */
static bool is_reserved(const char *word)
{
    static const char *const reserved[] = {
        "if",      "then", "elif",     "else",   "fi",        "case",      "esac", "for",
        "select",  "do",   "while",    "until",  "repeat",    "done",      "in",   "time",
        "foreach", "end",  "function", "coproc", "namespace", "nocorrect",
    };

    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
        if (strcmp(word, reserved[i]) == 0)
            return true;
    return false;
}

char *quote_shell_command(char *to, const char *word)
{
    bool misread = strchr(word, '=') != NULL || is_reserved(word);

    return misread && all(word, is_plain) ? quote_single(to, word) : quote_shell(to, word);
}

/* How long the UTF-8 character is that begins with this byte; 0: none does. */
static size_t utf8_expected(unsigned char first)
{
    if (first < 0x80)
        return 1;
    if (first < 0xc2 || first > 0xf4)
        return 0;
    return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* The length of the valid UTF-8 character at bytes, or 0. */
static size_t utf8_length(const unsigned char *bytes, size_t length)
{
    size_t n = utf8_expected(bytes[0]);

    if (n > length)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
    /* Overlong forms, surrogates, and what lies beyond U+10FFFF. */
    if ((bytes[0] == 0xe0 && bytes[1] < 0xa0) || (bytes[0] == 0xed && bytes[1] > 0x9f) ||
        (bytes[0] == 0xf0 && bytes[1] < 0x90) || (bytes[0] == 0xf4 && bytes[1] > 0x8f))
        return 0;
    /* The C1 controls, which some terminals obey. */
    if (bytes[0] == 0xc2 && bytes[1] < 0xa0)
        return 0;
    return n;
}

/*
 * Writes one character, escaped where it needs to be, into out (8 bytes). Returns the bytes it
 * read.
 */
static size_t escape(char *out, const unsigned char *bytes, size_t length)
{
    size_t n = utf8_length(bytes, length);

    if (n == 0 || (n == 1 && is_control(bytes[0]) && bytes[0] != '\n' && bytes[0] != '\t')) {
        snprintf(out, 8, "\\x%02x", bytes[0]);
        return 1;
    }
    if (bytes[0] == '\n' || bytes[0] == '\t') {
        snprintf(out, 8, "\\%c", bytes[0] == '\n' ? 'n' : 't');
        return 1;
    }
    if (bytes[0] == '"' || bytes[0] == '\\') {
        snprintf(out, 8, "\\%c", bytes[0]);
        return 1;
    }
    memcpy(out, bytes, n);
    out[n] = '\0';
    return n;
}

void quote_message(char *to, size_t room, const char *bytes, size_t length)
{
    const unsigned char *at = (const unsigned char *)bytes, *end = at + length;
    char *last = to + room - sizeof("...\""); /* what must stay free for the end */

    *to++ = '"';
    while (at < end) {
        char one[8];
        size_t read = escape(one, at, (size_t)(end - at));
        if (to + strlen(one) > last) {
            to = put(to, "...");
            break;
        }
        to = put(to, one);
        at += read;
    }
    put(to, "\"");
}
