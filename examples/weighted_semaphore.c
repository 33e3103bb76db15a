/*
 * Videos are encoded at once as far as 100 MB of memory go round; each takes what it needs.
 *
 * The first error ends the group: those that still wait for memory give up, and nothing is left
 * taken.
 */
#include <runnel.h>

#include <stdio.h>

#define MEMORY_MB 100

static rn_semaphore *memory;

static int encode(rn_ctx *ctx, void *arg)
{
    size_t *megabytes = arg;
    int err = rn_semaphore_acquire(ctx, memory, *megabytes);

    if (err == -EINVAL)
        printf("%s\n", rn_error_detail());
    if (err != 0)
        return err;
    err = rn_sleep(ctx, 10 * RN_MILLISECOND); /* stands for the real work */
    rn_semaphore_release(memory, *megabytes);
    return err;
}

static void encode_all(const char *what, const size_t *megabytes, size_t count)
{
    rn_group *g = rn_group_new(NULL);
    int err;

    for (size_t i = 0; i < count; i++)
        rn_group_go_copy(g, encode, &megabytes[i]);
    err = rn_group_wait(g); /* the first error, once every fiber has ended */
    printf("%s: %s, %zu MB free\n", what, rn_strerror(err), rn_semaphore_available(memory));
}

static int app(int argc, char **argv)
{
    const size_t clips[] = {40, 60, 30, 80, 10, 100, 20, 50};
    const size_t films[] = {70, 90, 120, 60};

    (void)argc, (void)argv;
    if (rn_semaphore_new_with(&memory, MEMORY_MB, &(rn_semaphore_config){.name = "memory"}) != 0)
        return 1;
    encode_all("clips", clips, sizeof clips / sizeof *clips);
    encode_all("films", films, sizeof films / sizeof *films);
    rn_semaphore_free(memory);
    return 0;
}

int main(int argc, char **argv)
{
    return rn_run(app, argc, argv);
}
