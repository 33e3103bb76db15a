/*
 * The head of a request: found in what has come, cut into pieces, and held against RFC 9112.
 *
 * Parsers are lenient, each in its own way, and a request that two servers in a row understand
 * differently is how a second one is smuggled in. So whatever is not as the RFC has it is refused:
 * bare CR and LF, folded lines, space before a colon, NUL and other control characters, every
 * doubt about where the body ends or whose host is meant.
 */
#ifndef RN_HTTP_HEAD_H
#define RN_HTTP_HEAD_H

#include "parser.h"

/* What a head may be at most. */
struct head_limits {
    size_t target_bytes;
    size_t field_bytes; /* of all lines after the first */
    size_t fields;
};

/* Where the search for the end of a head is; zero at its beginning. */
struct head_scan {
    size_t begin;       /* of the request line, behind the empty lines that are allowed before it */
    size_t line;        /* where the line begins that has not ended */
    size_t at;          /* no line end between line and here */
    size_t fields_at;   /* where the second line begins; 0: not reached */
    size_t lines;       /* that have ended, after the first */
    size_t empty_lines; /* before the first */
};

#define HEAD_WANTS_MORE (-1)

/*
 * Goes on searching; data is all that has come since the scan began. Returns HEAD_WANTS_MORE, 0
 * when the head is whole (scan->at is its length), or the status that refuses it.
 */
int head_scan(struct head_scan *scan, const char *data, size_t size,
              const struct head_limits *limits);

/* A head that was accepted. Every text in it ends with a zero byte. */
struct head {
    struct text method;
    struct pieces pieces;
    int64_t content_length; /* -1: not given */
    bool chunked;
    bool expects; /* waits for "100 Continue" */
    bool keep;    /* the client wants to keep the connection */
};

/*
 * Understands the head that a scan has found whole. head->pieces.fields and .room are the caller's.
 * Returns 0, or the status that refuses it; then the method and the target are there if they could
 * be read.
 */
int head_read(struct head *head, const struct head_scan *scan, char *data,
              const struct head_limits *limits);

#endif
