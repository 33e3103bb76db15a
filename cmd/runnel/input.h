/*
 * Where jobs come from: standard input, cut at newlines or NUL bytes, or a list of words.
 *
 * Standard input is read as needed, in blocks; no more than one block and one input are in memory.
 * Every line is a job, an empty one too; a last line without its end is one. Nothing is trimmed: a
 * carriage return stays.
 */
#ifndef CMD_INPUT_H
#define CMD_INPUT_H

#include "job.h"
#include "options.h"

struct input {
    char *const *list; /* what is left of the words after :::, or NULL */
    size_t list_left;

    rn_fd handle; /* standard input; none with a list */
    char delimiter;
    bool ended;   /* nothing more can be read */
    char *buffer; /* bytes begin..end-1 are read and not handed out */
    size_t begin, end, room;
    size_t input_max; /* the longest input that can be an argument */
    uint64_t number;  /* of the last job handed out */
};

/* Returns 0 or a negative code (no memory, or standard input cannot be read). */
int input_open(struct input *input, const struct options *options);
void input_close(struct input *input);

/*
 * Makes the next job, waiting for input until ctx ends.
 * Returns 0, RN_ECLOSED at the end of the inputs, ctx's code, or what reading said.
 */
int input_next(rn_ctx *ctx, struct input *input, struct job **out);

#endif
