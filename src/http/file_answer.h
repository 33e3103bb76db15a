/*
 * A file as an answer: conditions, ranges, and the bytes.
 */
#ifndef RN_HTTP_FILE_ANSWER_H
#define RN_HTTP_FILE_ANSWER_H

#include <runnel/http_request.h>
#include <runnel/http_response.h>
#include <sys/stat.h>

struct file_answer {
    rn_fd file;
    struct stat stat;          /* of the file; a regular one */
    const char *type;          /* Content-Type */
    const char *cache_control; /* or NULL */
};

/* As rn_http_send_fd. */
int file_answer_send(rn_ctx *ctx, rn_http_request *req, rn_http_response *res,
                     const struct file_answer *answer);

#endif
