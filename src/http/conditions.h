/*
 * Conditional requests: what a client has of a file, against what the file is now.
 */
#ifndef RN_HTTP_CONDITIONS_H
#define RN_HTTP_CONDITIONS_H

#include "date.h"

#include <runnel/http_request.h>
#include <stdbool.h>
#include <sys/stat.h>

#define ETAG_BYTES 48

/* What tells one state of a file from another. */
struct validators {
    char etag[ETAG_BYTES]; /* as in the field */
    time_t modified;
    char modified_text[DATE_BYTES + 1];
};

/*
 * Of a file as it is at the time now. Who changes it twice within a tick of the file system's clock
 * leaves no trace of the second time, so the ETag of a file that was changed just now is weak.
 */
void validators_make(struct validators *v, const struct stat *file, const struct timespec *now);

/*
 * Judges If-Match, If-Unmodified-Since, If-None-Match and If-Modified-Since, in the order of
 * RFC 9110 (13.2.2), for GET or HEAD. 200: send it; 304 or 412.
 */
int conditions_status(const rn_http_request *req, const struct validators *v);

/* Whether If-Range lets a Range field count: there is none, or it is of this very state. */
bool conditions_range_counts(const rn_http_request *req, const struct validators *v);

#endif
