/*
 * A pipeline: 1 to 10, squared, the even ones. Prints "4 16 36 64 100".
 *
 * Each stage is a function; its types are checked against those of the stage before it.
 */
#include <runnel.h>

#include <stdio.h>

static int count(rn_ctx *ctx, void *arg, rn_emitter(int) out)
{
    int err = 0;

    (void)ctx, (void)arg;
    for (int i = 1; err == 0 && i <= 10; i++)
        err = rn_emit(out, i);
    return err;
}

static void square(const int *n, int *squared)
{
    *squared = *n * *n;
}

static bool is_even(const int *n)
{
    return *n % 2 == 0;
}

static void print(int *n)
{
    static const char *separator = "";

    printf("%s%d", separator, *n);
    separator = " ";
}

static int app(int argc, char **argv)
{
    rn_pipeline *p = rn_pipeline_new(NULL, NULL);
    rn_stream(int) numbers = rn_stream_generate(int, p, count);
    rn_stream(int) squares = rn_stream_map(int, numbers, square);
    int err;

    (void)argc, (void)argv;
    rn_stream_for_each(rn_stream_filter(squares, is_even), print);
    err = rn_pipeline_run(p); /* the first error of any stage, or of building */
    printf("\n");
    rn_pipeline_free(p);
    return err == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    return rn_run(app, argc, argv);
}
