/*
 * A hundred requests, four at a time, are rendered into buffers that are used over and over: hardly
 * more of them are made than are used at the same time.
 */
#include <runnel.h>

#include <stdio.h>
#include <stdlib.h>

#define REQUESTS 100
#define AT_ONCE 4

struct buffer {
    char *text;
    size_t room;
};

typedef rn_object_pool(struct buffer) buffer_pool;

static int make_buffer(void *arg, void *object)
{
    struct buffer *b = object;

    (void)arg;
    b->room = 16 * 1024;
    b->text = malloc(b->room);
    return b->text == NULL ? -ENOMEM : 0;
}

static void free_buffer(void *arg, void *object)
{
    (void)arg;
    free(((struct buffer *)object)->text);
}

static int render(rn_ctx *ctx, void *arg)
{
    buffer_pool buffers = *(buffer_pool *)arg;
    struct buffer *b;
    int err = rn_object_pool_get(buffers, &b);

    if (err != 0)
        return err;
    snprintf(b->text, b->room, "<h1>Hello</h1>");
    err = rn_sleep(ctx, RN_MILLISECOND); /* stands for sending it */
    rn_object_pool_put(buffers, b);
    return err;
}

static int app(int argc, char **argv)
{
    rn_group *g = rn_group_new(NULL);
    buffer_pool buffers;
    rn_object_pool_stats stats;
    int err = rn_object_pool_new(&buffers, &(rn_object_pool_config){.construct = make_buffer,
                                                                    .destroy = free_buffer,
                                                                    .bytes_max = 1024 * 1024,
                                                                    .object_bytes = 16 * 1024});
    (void)argc, (void)argv;
    rn_group_set_limit(g, AT_ONCE);
    for (int i = 0; err == 0 && i < REQUESTS; i++)
        err = rn_group_go(g, render, &buffers);
    err = rn_group_wait(g);
    rn_object_pool_stats_read(buffers, &stats);
    printf("%d requests, more than %d buffers: %s\n", (int)stats.gets, REQUESTS / 2,
           stats.made > REQUESTS / 2 ? "yes" : "no");
    rn_object_pool_age(buffers);
    rn_object_pool_age(buffers); /* nobody used them in between: they go */
    rn_object_pool_stats_read(buffers, &stats);
    printf("left after two ageings: %d\n", (int)stats.idle);
    rn_object_pool_free(buffers);
    return err == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    return rn_run(app, argc, argv);
}
