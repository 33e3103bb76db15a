/*
 * What a connection needs while it has a request: buffers, and the memory of request and response.
 * An idle connection has none of it.
 */
#ifndef RN_HTTP_WORK_H
#define RN_HTTP_WORK_H

#include "arena.h"
#include "body.h"
#include "date.h"
#include "fields.h"
#include "head.h"
#include "router.h"

#include <runnel/http_request.h>
#include <runnel/http_response.h>

#define INPUT_BYTES 8192  /* that are read at once; a larger head gets more */
#define OUTPUT_BYTES 8192 /* of answers that wait to go out together */

struct conn;

/* What has come and was not used: from begin to end. Below floor are texts of the request. */
struct input {
    char *buffer;
    size_t size, floor, begin, end;
};

struct rn_http_request {
    struct conn *conn;
    struct head head;
    struct target target;
    struct body body;
    struct match match;
    const char **params; /* values of the pattern's names, each with a zero byte at its end */
    rn_time began;       /* when the head was whole */
};

/* How far an answer is. */
enum response_stage {
    RESPONSE_OPEN,      /* nothing of it is on its way */
    RESPONSE_STREAMING, /* the head is */
    RESPONSE_WHOLE      /* all of it is */
};

struct rn_http_response {
    struct conn *conn;
    enum response_stage stage;
    int status;
    struct fields fields;
    int64_t content_length; /* as the handler set it; -1: not */
    bool has_date;          /* the handler set one */
    bool has_status;        /* likewise */
    bool close;             /* the connection ends with this answer */
    bool head_only;         /* for HEAD */
    bool chunked;
    uint64_t written; /* bytes of the body, the buffer included */
    uint64_t unsent;  /* bytes at the end that the socket did not take, when it failed */
    size_t buffered;  /* bytes of the body in buffer */
    int err;          /* why it could not be sent: the connection carries nothing more */
    int cut;          /* why it ends early, or nothing may follow it: what is finished goes out */
    char buffer[RN_HTTP_BUFFER];
};

struct work {
    struct input input;
    size_t output; /* bytes in output_buffer */
    struct arena arena;
    struct date date;
    struct rn_http_request request;
    struct rn_http_response response;
    char *old_input; /* from malloc: holds the request's head, when the input has moved on */
    char input_buffer[INPUT_BYTES];
    char output_buffer[OUTPUT_BYTES];
};

/* The callbacks of a pool of these; arg is the server. */
int work_construct(void *arg, void *object);
void work_destroy(void *arg, void *object);

/* Forgets the request, and keeps what has come of the next. */
void work_reset(struct work *work);

/*
 * Makes room for at least so many bytes behind the input, moving it; what is below floor stays
 * where it is. 0, or -ENOMEM.
 */
int work_make_room(struct work *work, size_t bytes);

#endif
