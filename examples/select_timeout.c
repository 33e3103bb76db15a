/*
 * Waiting for an answer, but not for ever: select with a timeout, once too slow and once in time.
 */
#include <runnel.h>

#include <stdio.h>

struct request {
    rn_duration takes;
    rn_chan(int) reply;
};

static int answer(rn_ctx *ctx, void *arg)
{
    struct request *r = arg;
    int err = rn_sleep(ctx, r->takes);

    return err != 0 ? err : rn_send(ctx, r->reply, 42);
}

static void ask(const char *question, rn_duration takes)
{
    rn_group *g = rn_group_new(NULL);
    rn_chan(int) reply = rn_chan_make(int, 0);
    int value;

    rn_group_go_copy(g, answer, &(struct request){takes, reply});
    switch (rn_select(NULL, rn_on_recv(reply, &value), rn_on_timeout(50 * RN_MILLISECOND))) {
    case 0:
        printf("%s: %d\n", question, value);
        break;
    case 1:
        printf("%s: no answer within 50 ms\n", question);
        break;
    }
    rn_group_cancel(g, 0); /* whoever is still at it can stop */
    rn_group_wait(g);
    rn_chan_release(reply);
}

static int app(int argc, char **argv)
{
    (void)argc, (void)argv;
    ask("the meaning of life", 10 * RN_SECOND);
    ask("six times seven", RN_MILLISECOND);
    return 0;
}

int main(int argc, char **argv)
{
    return rn_run(app, argc, argv);
}
