/*
 * Pieces of text, and what bytes HTTP allows where.
 */
#ifndef RN_HTTP_TEXT_H
#define RN_HTTP_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

/* Part of a larger text; no zero after it unless somebody says so. */
struct text {
    char *at;
    size_t length;
};

/* What a byte may be part of. */
enum byte_kind {
    BYTE_TOKEN = 1,  /* methods and names of fields */
    BYTE_VALUE = 2,  /* values of fields: visible, space, tab, and beyond ASCII */
    BYTE_TARGET = 4, /* targets: visible ASCII but "#", which no client sends */
    BYTE_HOST = 8    /* a host and its port */
};

extern const uint8_t byte_kinds[256];

static inline bool text_is(const char *at, size_t length, enum byte_kind kind)
{
    for (size_t i = 0; i < length; i++)
        if (!(byte_kinds[(unsigned char)at[i]] & kind))
            return false;
    return true;
}

static inline bool text_equal(struct text a, const char *b, size_t length)
{
    return a.length == length && memcmp(a.at, b, length) == 0;
}

/* Whether a is the word, which is in lower case, whatever a's case. */
static inline bool text_is_word(struct text a, const char *word)
{
    return strncasecmp(a.at, word, a.length) == 0 && word[a.length] == 0;
}

/* Without spaces and tabs at both ends. */
static inline struct text text_trim(struct text a)
{
    while (a.length > 0 && (*a.at == ' ' || *a.at == '\t'))
        a.at++, a.length--;
    while (a.length > 0 && (a.at[a.length - 1] == ' ' || a.at[a.length - 1] == '\t'))
        a.length--;
    return a;
}

/* The next element of a list that commas separate; false at its end. Elements may be empty. */
bool text_next(struct text *list, struct text *element);

/* 0..15, or -1. */
int text_hex_digit(char c);

/* Writes n in decimal; returns its length, 20 at most. */
size_t text_decimal(char *to, uint64_t n);

/*
 * Decodes %XX, and "+" as a space when asked to. to may be from. Returns the length, or -1 for a %
 * without two digits and for a zero byte.
 */
int64_t text_decode(char *to, const char *from, size_t length, bool plus);

#endif
