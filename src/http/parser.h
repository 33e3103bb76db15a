/*
 * The seam to the library that parses heads: llhttp, or its predecessor http-parser.
 *
 * It is given a whole head and cuts it into pieces; nothing is copied. Only parser.c knows which
 * library it is. What it lets pass and RFC 9112 does not is head.c's business, as is the framing of
 * the body.
 */
#ifndef RN_HTTP_PARSER_H
#define RN_HTTP_PARSER_H

#include "text.h"

struct field {
    struct text name, value;
};

/* What a head consists of. */
struct pieces {
    struct text target;
    struct field *fields; /* room for so many: */
    size_t room;
    size_t count;
    int minor; /* of the version, 1.x */
};

enum parsed { PARSED_WHOLE, PARSED_MALFORMED, PARSED_UNKNOWN_METHOD, PARSED_TOO_MANY_FIELDS };

/* head is a request's head from its method to the empty line at its end, both included. */
enum parsed parser_cut(struct pieces *pieces, char *head, size_t size);

#endif
