/*
 * Thirty queries share three connections: everybody takes one, and gives it back.
 *
 * The last query is in a hurry: it gives up when no connection is free within 10 ms.
 */
#include <runnel.h>

#include <stdatomic.h>
#include <stdio.h>

#define CONNECTIONS 3
#define QUERIES 30

static rn_semaphore *connections;
static atomic_int busy, most_busy, answered;

static void note_busy(int now)
{
    int most = atomic_load(&most_busy);

    while (now > most && !atomic_compare_exchange_weak(&most_busy, &most, now))
        continue;
}

static int query(rn_ctx *ctx, void *arg)
{
    int err = rn_semaphore_acquire(ctx, connections, 1); /* first come, first served */

    (void)arg;
    if (err != 0)
        return err;
    note_busy(atomic_fetch_add(&busy, 1) + 1);
    err = rn_sleep(ctx, 5 * RN_MILLISECOND); /* stands for the real work */
    atomic_fetch_sub(&busy, 1);
    atomic_fetch_add(&answered, 1);
    rn_semaphore_release(connections, 1);
    return err;
}

static int query_in_a_hurry(rn_ctx *parent)
{
    rn_ctx *ctx = rn_ctx_with_timeout(parent, 10 * RN_MILLISECOND);
    int err = rn_semaphore_acquire(ctx, connections, 1);

    if (err == 0)
        rn_semaphore_release(connections, 1);
    rn_ctx_release(ctx);
    return err;
}

static int app(int argc, char **argv)
{
    rn_group *g = rn_group_new(NULL);
    int err = rn_semaphore_new(&connections, CONNECTIONS);

    (void)argc, (void)argv;
    for (int i = 0; err == 0 && i < QUERIES; i++)
        err = rn_group_go(g, query, NULL);
    if (err != 0)
        rn_group_cancel(g, err);
    err = rn_group_wait(g);
    printf("%d queries answered: %s\n", atomic_load(&answered), rn_strerror(err));
    printf("never more than %d at once: %s\n", CONNECTIONS,
           atomic_load(&most_busy) <= CONNECTIONS ? "yes" : "no");

    rn_semaphore_acquire(NULL, connections, CONNECTIONS); /* nobody else gets one */
    printf("in a hurry: %s\n", rn_strerror(query_in_a_hurry(NULL)));
    rn_semaphore_free(connections);
    return err == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    return rn_run(app, argc, argv);
}
