/*
 * The same sender on an unbuffered and on a buffered channel: a rendezvous makes it wait for each
 * receive, a buffer lets it run ahead until that is full.
 */
#include <runnel.h>

#include <stdio.h>

#define VALUES 5

static rn_time began;

static int elapsed_ms(void)
{
    return (int)((rn_now() - began) / RN_MILLISECOND);
}

static int send_all(rn_ctx *ctx, void *arg)
{
    rn_chan(int) ch = *(rn_chan(int) *)arg;
    int err = 0;

    for (int i = 1; err == 0 && i <= VALUES; i++) {
        err = rn_send(ctx, ch, i);
        printf("  %3d ms  sent %d\n", elapsed_ms(), i);
    }
    rn_close(ch);
    return err;
}

/* The receiver is slow: 10 ms before each value. */
static int show(const char *title, size_t capacity)
{
    rn_group *g = rn_group_new(NULL);
    rn_chan(int) ch = rn_chan_make(int, capacity);
    int value, err;

    printf("%s\n", title);
    began = rn_now();
    rn_group_go_copy(g, send_all, &ch);
    do {
        rn_sleep(NULL, 10 * RN_MILLISECOND);
    } while (rn_recv(NULL, ch, &value) == 0);
    err = rn_group_wait(g);
    rn_chan_release(ch);
    return err;
}

static int app(int argc, char **argv)
{
    int err;

    (void)argc, (void)argv;
    err = show("unbuffered: each send waits for its receive", 0);
    return err != 0 ? err : show("buffered, room for 3: the sender runs ahead", 3);
}

int main(int argc, char **argv)
{
    rn_clock_virtual(0); /* the times are exact, and take none */
    return rn_run(app, argc, argv);
}
