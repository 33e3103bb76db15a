/* What a busy connection needs; see work.h. */
#include "work.h"

#include "server.h"

#include <stdlib.h>

int work_construct(void *arg, void *object)
{
    rn_http_server *s = arg;
    struct work *work = object;
    struct pieces *pieces = &work->request.head.pieces;

    pieces->room = s->config.header_count_max;
    pieces->fields = calloc(pieces->room, sizeof *pieces->fields);
    work->request.match.values = calloc(s->router.params_max + 1, sizeof(struct text));
    work->input.buffer = work->input_buffer;
    work->input.size = sizeof work->input_buffer;
    work_reset(work);
    if (pieces->fields != NULL && work->request.match.values != NULL)
        return 0;
    work_destroy(arg, object);
    return -ENOMEM;
}

void work_destroy(void *arg, void *object)
{
    struct work *work = object;

    (void)arg;
    work->input.begin = work->input.end = 0;
    work_reset(work);
    free(work->request.head.pieces.fields);
    free(work->request.match.values);
}

/* A buffer from malloc is not needed any more when the rest fits the work's own. */
static void shrink_input(struct work *work)
{
    struct input *in = &work->input;
    size_t left = in->end - in->begin;

    if (in->buffer == work->input_buffer || left > sizeof work->input_buffer)
        return;
    memcpy(work->input_buffer, in->buffer + in->begin, left);
    free(in->buffer);
    *in = (struct input){work->input_buffer, sizeof work->input_buffer, 0, 0, left};
}

void work_reset(struct work *work)
{
    free(work->old_input);
    work->old_input = NULL;
    work->input.floor = 0;
    if (work->input.begin == work->input.end)
        work->input.begin = work->input.end = 0;
    shrink_input(work);
    arena_reset(&work->arena);
    fields_reset(&work->response.fields);
}

/* A new buffer, with twice the room; the old one stays if there are texts in it. */
static int grow_input(struct work *work, size_t bytes)
{
    struct input *in = &work->input;
    size_t left = in->end - in->begin, size = in->size;
    char *old = in->buffer;

    while (size - left < bytes || size == in->size)
        size *= 2;
    char *buffer = malloc(size);
    if (buffer == NULL)
        return -ENOMEM;
    memcpy(buffer, old + in->begin, left);
    if (old != work->input_buffer && in->floor > 0 && work->old_input == NULL)
        work->old_input = old;
    else if (old != work->input_buffer)
        free(old);
    *in = (struct input){buffer, size, 0, 0, left};
    return 0;
}

int work_make_room(struct work *work, size_t bytes)
{
    struct input *in = &work->input;
    size_t left = in->end - in->begin;

    if (in->size - in->end >= bytes)
        return 0;
    if (in->size - in->floor - left < bytes)
        return grow_input(work, bytes);
    memmove(in->buffer + in->floor, in->buffer + in->begin, left);
    in->begin = in->floor;
    in->end = in->floor + left;
    return 0;
}
