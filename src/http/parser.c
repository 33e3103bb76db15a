/*
 * The seam to llhttp (8 and later) or http-parser (2.9); see parser.h.
 *
 * Both have the same callbacks, which get a piece in one or several parts, one behind the other.
 */
#include "parser.h"

#if RUNNEL_LLHTTP
#include <llhttp.h>
typedef llhttp_t parser;
typedef llhttp_settings_t settings;
#else
#include <http_parser.h>
typedef http_parser parser;
typedef http_parser_settings settings;
#endif

#define STOP 1 /* what a callback returns to make the library stop */

struct cutting {
    struct pieces *pieces;
    char *head; /* the library gives pointers to const into it */
    bool whole;
    bool too_many;
    bool torn; /* a piece came in parts that do not touch */
};

static void add_part(struct cutting *c, struct text *piece, const char *at, size_t length)
{
    char *part = c->head + (at - c->head);

    if (piece->at == NULL)
        piece->at = part;
    c->torn |= piece->at + piece->length != part;
    piece->length += length;
}

static int on_url(parser *p, const char *at, size_t length)
{
    struct cutting *c = p->data;
    add_part(c, &c->pieces->target, at, length);
    return 0;
}

/* A name goes on where its last part ended, as long as its field has no value. */
static int on_name(parser *p, const char *at, size_t length)
{
    struct cutting *c = p->data;
    struct pieces *pieces = c->pieces;
    struct field *last = pieces->count == 0 ? NULL : &pieces->fields[pieces->count - 1];
    char *part = c->head + (at - c->head);

    if (last == NULL || last->value.at != NULL || last->name.at + last->name.length != part) {
        if (pieces->count == pieces->room) {
            c->too_many = true;
            return STOP;
        }
        last = &pieces->fields[pieces->count++];
        memset(last, 0, sizeof *last);
    }
    add_part(c, &last->name, at, length);
    return 0;
}

static int on_value(parser *p, const char *at, size_t length)
{
    struct cutting *c = p->data;

    if (c->pieces->count == 0)
        return STOP;
    add_part(c, &c->pieces->fields[c->pieces->count - 1].value, at, length);
    return 0;
}

/* The body is none of the library's business: it stops here. */
static int on_headers_complete(parser *p)
{
    struct cutting *c = p->data;
    c->whole = true;
#if RUNNEL_LLHTTP
    return HPE_PAUSED;
#else
    http_parser_pause(p, 1);
    return 0;
#endif
}

static const settings callbacks = {
    .on_url = on_url,
    .on_header_field = on_name,
    .on_header_value = on_value,
    .on_headers_complete = on_headers_complete,
};

/* Runs the library; returns its code. */
static int run(parser *p, struct cutting *c, const char *head, size_t size)
{
#if RUNNEL_LLHTTP
    llhttp_init(p, HTTP_REQUEST, &callbacks);
    p->data = c;
    return (int)llhttp_execute(p, head, size);
#else
    http_parser_init(p, HTTP_REQUEST);
    p->data = c;
    http_parser_execute(p, &callbacks, head, size);
    return (int)HTTP_PARSER_ERRNO(p);
#endif
}

enum parsed parser_cut(struct pieces *pieces, char *head, size_t size)
{
    struct cutting c = {.pieces = pieces, .head = head};
    parser p;

    pieces->target = (struct text){NULL, 0};
    pieces->count = 0;
    int code = run(&p, &c, head, size);
    if (c.too_many)
        return PARSED_TOO_MANY_FIELDS;
    if (code == HPE_INVALID_METHOD)
        return PARSED_UNKNOWN_METHOD;
    if (code != HPE_PAUSED || !c.whole || c.torn || p.http_major != 1)
        return PARSED_MALFORMED;
    pieces->minor = p.http_minor;
    return PARSED_WHOLE;
}
