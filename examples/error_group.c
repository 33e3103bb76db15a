/*
 * A group of a hundred fetches, ten at a time: the first error cancels the others, and is what
 * waiting returns.
 */
#include <runnel.h>

#include <stdatomic.h>
#include <stdio.h>

#define PAGES 100
#define AT_ONCE 10
#define BROKEN 42

static atomic_int running, most, begun;

static void note_begin(void)
{
    int now = atomic_fetch_add(&running, 1) + 1, seen = atomic_load(&most);

    while (now > seen && !atomic_compare_exchange_weak(&most, &seen, now))
        ;
    atomic_fetch_add(&begun, 1);
}

static int fetch(rn_ctx *ctx, void *arg)
{
    int page = *(int *)arg;
    int err;

    note_begin();
    err = rn_sleep(ctx, 10 * RN_MILLISECOND); /* the others' wait ends when one has failed */
    if (err == 0 && page == BROKEN)
        err = -EHOSTUNREACH;
    atomic_fetch_sub(&running, 1);
    return err;
}

static int app(int argc, char **argv)
{
    rn_group *g;
    int err, tried = 0;

    (void)argc, (void)argv;
    err = rn_group_new_with(&g, NULL, &(rn_group_options){.limit = AT_ONCE});
    for (int page = 1; err == 0 && page <= PAGES; page++, tried++)
        err = rn_group_go_copy(g, fetch, &page); /* waits for room; an error once one has failed */
    printf("starting page %d: %s\n", tried, rn_strerror(err));
    err = rn_group_wait(g);
    printf("the group: %s\n", rn_strerror(err));
    printf("%d of %d begun, at most %d at once\n", atomic_load(&begun), PAGES, atomic_load(&most));
    return 0;
}

int main(int argc, char **argv)
{
    rn_clock_virtual(0); /* one worker, and exact times: the output is always the same */
    return rn_run(app, argc, argv);
}
