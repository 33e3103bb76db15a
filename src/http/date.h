/*
 * The time of day as HTTP writes it, made once a second.
 */
#ifndef RN_HTTP_DATE_H
#define RN_HTTP_DATE_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#define DATE_BYTES 29 /* "Sun, 06 Nov 1994 08:49:37 GMT" */

struct date {
    time_t second; /* that text is of; 0: none */
    char text[DATE_BYTES + 1];
};

/* The text for a second; with a zero byte at its end. */
void date_text(time_t second, char text[DATE_BYTES + 1]);

/* Reads a date of a request, in any of HTTP's three forms; false: it is none. */
bool date_read(const char *text, time_t *out);

/* The text for now. */
const char *date_now(struct date *date);

#endif
