/*
 * Where jobs come from.
 */
#include "input.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    BLOCK_BYTES = 64 * 1024,
    ARGUMENT_PAGES_MAX = 32 /* the kernel's limit on one argument, its end included */
};

int input_open(struct input *input, const struct options *options)
{
    *input = (struct input){
        .list = options->inputs,
        .list_left = options->input_count,
        .delimiter = options->null ? '\0' : '\n',
        .input_max = ARGUMENT_PAGES_MAX * (size_t)sysconf(_SC_PAGESIZE) - 1,
    };
    if (input->list != NULL)
        return 0;
    input->room = BLOCK_BYTES;
    input->buffer = malloc(input->room);
    if (input->buffer == NULL)
        return -ENOMEM;
    /* The mode of standard input is other programs' business too. */
    return rn_fd_open_shared(&input->handle, STDIN_FILENO);
}

void input_close(struct input *input)
{
    if (input->handle.handle != 0)
        rn_fd_release(input->handle);
    free(input->buffer);
}

static int next_of_list(struct input *input, struct job **out)
{
    const char *word;

    if (input->list_left == 0)
        return RN_ECLOSED;
    word = *input->list++;
    input->list_left--;
    *out = job_new(++input->number, word, strlen(word));
    return *out != NULL ? 0 : -ENOMEM;
}

/* Moves what is unread to the front and makes the buffer larger if it is full of one input. */
static int make_room(struct input *input)
{
    size_t unread = input->end - input->begin;
    char *larger;

    memmove(input->buffer, input->buffer + input->begin, unread);
    input->begin = 0;
    input->end = unread;
    if (unread < input->room)
        return 0;
    larger = realloc(input->buffer, 2 * input->room);
    if (larger == NULL)
        return -ENOMEM;
    input->buffer = larger;
    input->room *= 2;
    return 0;
}

/* Reads more. Returns 0 (also at the end of the file, which sets ended) or a negative code. */
static int read_more(rn_ctx *ctx, struct input *input)
{
    int err = input->end < input->room ? 0 : make_room(input);
    ssize_t n;

    if (err != 0)
        return err;
    n = rn_fd_read(ctx, input->handle, input->buffer + input->end, input->room - input->end);
    if (n < 0)
        return (int)n;
    input->end += (size_t)n;
    input->ended = n == 0;
    return 0;
}

/*
 * Finds the end of the input that begins at begin; returns its length, or -1 when it has not been
 * read.
 */
static ptrdiff_t find_end(const struct input *input, size_t searched)
{
    const char *from = input->buffer + input->begin;
    const char *at = memchr(from + searched, input->delimiter,
                            input->end - input->begin - searched);

    return at != NULL ? at - from : -1;
}

/* Throws away what belongs to the input that was too long, its delimiter included. */
static int skip_rest(rn_ctx *ctx, struct input *input)
{
    ptrdiff_t length;
    int err;

    while ((length = find_end(input, 0)) < 0) {
        input->begin = input->end = 0;
        if (input->ended)
            return 0;
        if ((err = read_more(ctx, input)) != 0)
            return err;
    }
    input->begin += (size_t)length + 1;
    return 0;
}

/* Hands out length bytes as a job and skips the delimiter behind them. */
static int take(struct input *input, size_t length, struct job **out)
{
    *out = job_new(++input->number, input->buffer + input->begin, length);
    if (*out == NULL)
        return -ENOMEM;
    input->begin += length;
    if (input->begin < input->end && input->buffer[input->begin] == input->delimiter)
        input->begin++;
    return 0;
}

/* An input that no argument can hold: the job gets its beginning, to be named by. */
static int take_too_long(rn_ctx *ctx, struct input *input, struct job **out)
{
    int err = take(input, input->input_max, out);

    if (err != 0)
        return err;
    (*out)->too_long = true;
    err = skip_rest(ctx, input);
    if (err != 0) {
        free(*out);
        *out = NULL;
    }
    return err;
}

static int next_of_file(rn_ctx *ctx, struct input *input, struct job **out)
{
    ptrdiff_t length;
    size_t unread;
    int err;

    for (size_t searched = 0; (length = find_end(input, searched)) < 0; searched = unread) {
        unread = input->end - input->begin;
        if (unread > input->input_max)
            return take_too_long(ctx, input, out);
        if (input->ended)
            return unread > 0 ? take(input, unread, out) : RN_ECLOSED;
        if ((err = read_more(ctx, input)) != 0)
            return err;
    }
    if ((size_t)length > input->input_max)
        return take_too_long(ctx, input, out);
    return take(input, (size_t)length, out);
}

int input_next(rn_ctx *ctx, struct input *input, struct job **out)
{
    int err = rn_ctx_err(ctx);

    if (err != 0)
        return err;
    return input->list != NULL ? next_of_list(input, out) : next_of_file(ctx, input, out);
}
