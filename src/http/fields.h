/*
 * The fields of an answer's head, as the text that is sent.
 */
#ifndef RN_HTTP_FIELDS_H
#define RN_HTTP_FIELDS_H

#include "text.h"

#define FIELDS_FIRST_BYTES 512 /* without asking malloc */
#define FIELDS_BYTES_MAX (64 * 1024)

struct fields {
    char *text; /* lines "Name: value\r\n" */
    size_t used, size;
    size_t mark; /* up to here they are kept when a handler fails */
    char first[FIELDS_FIRST_BYTES];
};

/* Makes it empty. It must have been zero, or reset, before. */
void fields_reset(struct fields *fields);

/* 0, -EINVAL with a sentence, or -ENOMEM. */
int fields_add(struct fields *fields, const char *name, const char *value, size_t length);

/* Takes away the fields of a name that begin within the first `bytes`. */
void fields_remove(struct fields *fields, const char *name, size_t bytes);

/* From here on, fields are those of a handler, or of a middleware further in. */
void fields_mark(struct fields *fields);

/* Takes away those behind the mark, those that speak of the content, and Date. */
void fields_back(struct fields *fields);

#endif
