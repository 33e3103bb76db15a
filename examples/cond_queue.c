/*
 * A bounded queue of a mutex and two conditions, as one writes it where channels do not fit: here
 * the most urgent item leaves first.
 */
#include <runnel.h>

#include <stdio.h>

#define ROOM 4
#define ITEMS 100

static struct {
    rn_mutex lock; /* guards the rest */
    rn_cond changed_up, changed_down;
    int items[ROOM], count;
} queue;

static int put(rn_ctx *ctx, int item)
{
    int err = 0;

    rn_mutex_lock(&queue.lock);
    while (err == 0 && queue.count == ROOM) /* a loop: another may have been faster */
        err = rn_cond_wait(ctx, &queue.changed_down, &queue.lock);
    if (err == 0)
        queue.items[queue.count++] = item;
    rn_mutex_unlock(&queue.lock);
    rn_cond_signal(&queue.changed_up);
    return err;
}

static int take_largest(rn_ctx *ctx, int *item)
{
    int err = 0, best = 0;

    rn_mutex_lock(&queue.lock);
    while (err == 0 && queue.count == 0)
        err = rn_cond_wait(ctx, &queue.changed_up, &queue.lock);
    for (int i = 1; err == 0 && i < queue.count; i++)
        best = queue.items[i] > queue.items[best] ? i : best;
    if (err == 0) {
        *item = queue.items[best];
        queue.items[best] = queue.items[--queue.count];
    }
    rn_mutex_unlock(&queue.lock);
    rn_cond_signal(&queue.changed_down);
    return err;
}

static int produce(rn_ctx *ctx, void *arg)
{
    int err = 0;

    for (int i = *(int *)arg; err == 0 && i <= ITEMS; i += 2)
        err = put(ctx, i);
    return err;
}

static int app(int argc, char **argv)
{
    rn_group *g = rn_group_new(NULL);
    int item, sum = 0;

    (void)argc, (void)argv;
    rn_group_go_copy(g, produce, &(int){1}); /* the odd ones */
    rn_group_go_copy(g, produce, &(int){2}); /* the even ones */
    for (int i = 0; i < ITEMS && take_largest(rn_group_ctx(g), &item) == 0; i++)
        sum += item;
    printf("%d items through a queue of %d, their sum is %d\n", ITEMS, ROOM, sum);
    return rn_group_wait(g);
}

int main(int argc, char **argv)
{
    return rn_run(app, argc, argv);
}
