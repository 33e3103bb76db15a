/* The fields of an answer's head; see fields.h. */
#include "fields.h"

#include <runnel/error.h>
#include <stdlib.h>

void fields_reset(struct fields *fields)
{
    if (fields->text != NULL && fields->text != fields->first)
        free(fields->text);
    fields->text = fields->first;
    fields->used = fields->mark = 0;
    fields->size = sizeof fields->first;
}

static int make_room(struct fields *fields, size_t bytes)
{
    size_t size = fields->size;
    char *grown;

    if (bytes <= fields->size - fields->used)
        return 0;
    if (bytes > FIELDS_BYTES_MAX - fields->used)
        return rn_error_with(-ENOMEM, "http response: more than 64 KiB of fields");
    while (size - fields->used < bytes)
        size *= 2;
    grown = realloc(fields->text == fields->first ? NULL : fields->text, size);
    if (grown == NULL)
        return -ENOMEM;
    if (fields->text == fields->first)
        memcpy(grown, fields->first, fields->used);
    fields->text = grown;
    fields->size = size;
    return 0;
}

int fields_add(struct fields *fields, const char *name, const char *value, size_t length)
{
    size_t name_length = name == NULL ? 0 : strlen(name);

    if (name_length == 0 || !text_is(name, name_length, BYTE_TOKEN))
        return rn_error_with(-EINVAL, "http response: \"%s\" is no name of a field",
                             name == NULL ? "" : name);
    if (value == NULL || !text_is(value, length, BYTE_VALUE))
        return rn_error_with(-EINVAL, "http response: the value of %s has a control character",
                             name);
    int err = make_room(fields, name_length + length + 4);
    if (err != 0)
        return err;
    char *at = fields->text + fields->used;
    memcpy(at, name, name_length);
    memcpy(at + name_length, ": ", 2);
    memcpy(at + name_length + 2, value, length);
    memcpy(at + name_length + 2 + length, "\r\n", 2);
    fields->used += name_length + length + 4;
    return 0;
}

void fields_remove(struct fields *fields, const char *name, size_t bytes)
{
    size_t name_length = strlen(name), at = 0;

    while (at < bytes) {
        char *line = fields->text + at;
        size_t length = (size_t)((char *)memchr(line, '\n', fields->used - at) - line) + 1;
        if (strncasecmp(line, name, name_length) != 0 || line[name_length] != ':') {
            at += length;
            continue;
        }
        memmove(line, line + length, fields->used - at - length);
        fields->used -= length;
        if (at < fields->mark)
            fields->mark -= length;
        bytes -= length;
    }
}

void fields_mark(struct fields *fields)
{
    fields->mark = fields->used;
}

/* Not "Content-*": Content-Security-Policy, for one, speaks of every answer. */
void fields_back(struct fields *fields)
{
    static const char *const of_content[] = {
        "Content-Type",  "Content-Encoding",    "Content-Language", "Content-Location",
        "Content-Range", "Content-Disposition", "Content-MD5",      "Content-Digest",
        "ETag",          "Last-Modified",       "Accept-Ranges",    "Date",
    };

    fields->used = fields->mark;
    for (size_t i = 0; i < sizeof of_content / sizeof *of_content; i++)
        fields_remove(fields, of_content[i], fields->used);
}
