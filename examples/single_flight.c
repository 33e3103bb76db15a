/*
 * A hundred fibers ask for three users at once; each user is loaded once, and all who asked share
 * the result. Who cannot wait so long leaves, and the load goes on for the others.
 *
 * The clock is virtual: the load ends when everybody has asked.
 */
#include <runnel.h>

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define CALLERS 100

struct user {
    char greeting[40];
};

typedef rn_single_flight(struct user) users_t;

static const char *const names[] = {"ada", "edsger", "grace"};
static atomic_int loads, answers;

/* Stands for a query. */
static int load(rn_ctx *ctx, void *arg, const void *key, size_t key_size, struct user *user)
{
    int err = rn_sleep(ctx, 300 * RN_MILLISECOND);

    (void)arg;
    atomic_fetch_add(&loads, 1);
    snprintf(user->greeting, sizeof user->greeting, "hello, %.*s", (int)key_size,
             (const char *)key);
    return err;
}

struct caller {
    users_t users;
    const char *name;
};

static int call(rn_ctx *ctx, void *arg)
{
    struct caller *c = arg;
    struct user user;
    int err = rn_single_flight_do(ctx, c->users, c->name, strlen(c->name), &user);

    if (err == 0 && strcmp(user.greeting + strlen("hello, "), c->name) == 0)
        atomic_fetch_add(&answers, 1);
    return err;
}

static int app(int argc, char **argv)
{
    rn_ctx *soon = rn_ctx_with_timeout(NULL, 100 * RN_MILLISECOND);
    rn_group *g = rn_group_new(NULL);
    users_t users;
    int err = rn_single_flight_new(&users, load, NULL, NULL);

    (void)argc, (void)argv;
    for (int i = 0; err == 0 && i < CALLERS; i++)
        rn_group_go_copy(g, call, &(struct caller){users, names[i % 3]});
    if (err == 0)
        printf("one in a hurry: %s\n", rn_strerror(call(soon, &(struct caller){users, names[0]})));
    err = rn_group_wait(g);
    printf("%d answers, %d loads\n", atomic_load(&answers), atomic_load(&loads));
    rn_single_flight_free(users);
    rn_ctx_release(soon);
    return err == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    rn_clock_virtual(0);
    return rn_run(app, argc, argv);
}
