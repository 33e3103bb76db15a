/*
 * Get or compute: many fibers ask for a few results; each is computed by whoever misses it first
 * and found by the rest. And a count for each word, changed in one step by everybody.
 */
#include <runnel.h>

#include <stdio.h>

#define FIBERS 100
#define NUMBERS 5

static rn_map(int, long) factorials;
static rn_map(const char *, int) asked;

static int count_up(void *arg, const int *old, int *value)
{
    (void)arg;
    *value = old == NULL ? 1 : *old + 1;
    return RN_MAP_STORE;
}

static long factorial(int n)
{
    return n <= 1 ? 1 : n * factorial(n - 1);
}

/* What is there, or what this fiber computes, or what another stored meanwhile. */
static long get_or_compute(int n)
{
    long result;

    if (rn_map_load(factorials, n, &result) != 0)
        rn_map_load_or_store(factorials, n, factorial(n), &result);
    return result;
}

static int ask(rn_ctx *ctx, void *arg)
{
    int n = 10 + *(int *)arg % NUMBERS;

    (void)ctx;
    rn_map_compute(asked, n % 2 == 0 ? "even" : "odd", count_up, NULL);
    return get_or_compute(n) == factorial(n) ? 0 : -EIO;
}

static int print_result(void *arg, const int *n, const long *result)
{
    char(*lines)[40] = arg;

    snprintf(lines[*n - 10], 40, "%d! = %ld", *n, *result);
    return 0;
}

static int app(int argc, char **argv)
{
    rn_group *g = rn_group_new(NULL);
    char lines[NUMBERS][40] = {""};
    int even, odd, err;

    (void)argc, (void)argv;
    rn_map_new(&factorials, NULL);
    rn_map_new(&asked, NULL);
    for (int i = 0; i < FIBERS; i++)
        rn_group_go_copy(g, ask, &i);
    err = rn_group_wait(g);
    rn_map_range(factorials, print_result, lines); /* in no order */
    for (int i = 0; i < NUMBERS; i++)
        puts(lines[i]);
    rn_map_load(asked, "even", &even);
    rn_map_load(asked, "odd", &odd);
    printf("asked for even numbers %d times, for odd ones %d times\n", even, odd);
    rn_map_free(factorials);
    rn_map_free(asked);
    return err == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    return rn_run(app, argc, argv);
}
