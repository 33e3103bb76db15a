/*
 * A chat room by publish-subscribe: "chat :7000" serves until Ctrl-C (try it with nc localhost
 * 7000); "chat" serves on a free port, and two guests of its own talk there.
 *
 * One that does not keep up loses the oldest lines of its own buffer; nobody waits for it.
 */
#include <runnel.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define LINGER (10 * RN_SECOND) /* for the last lines to one that has left */

struct chat {
    rn_pubsub *room;
    rn_fd fd; /* the listener; in the copy that each client has, its connection */
    rn_subscription *mail;
};

static void say(struct chat *c, const char *name, const char *verb, const char *line)
{
    char text[1100];
    int n = snprintf(text, sizeof text, "%s%s%s\n", name, verb, line);
    rn_publish_bytes(NULL, c->room, "room", text, (size_t)n);
}

/* Its result is never 0, so that it ends linger, too. */
static int deliver(rn_ctx *ctx, void *arg)
{
    struct chat *c = arg;
    rn_message m;
    ssize_t n = 0;

    while (n >= 0 && rn_subscription_recv(ctx, c->mail, &m) == 0) {
        if (m.missed > 0)
            rn_fd_write(ctx, c->fd, "...\n", 4);
        n = rn_fd_write(ctx, c->fd, m.data, m.size); /* fails once the client is gone */
    }
    return RN_ECLOSED;
}

/* Ends deliver, which one that reads nothing any more would keep for ever. */
static int linger(rn_ctx *ctx, void *unused)
{
    (void)unused;
    rn_sleep(ctx, LINGER);
    return -ETIMEDOUT;
}

static int attend(rn_ctx *ctx, void *arg)
{
    struct chat *c = arg; /* this fiber's own copy */
    rn_subscription_config config = {.when_full = RN_DROP_OLDEST};
    rn_group *delivery = rn_group_new(ctx);
    rn_reader *in;
    char name[32], *line;

    rn_reader_new(&in, c->fd, &(rn_reader_config){.limit = 1000});
    if (in != NULL && rn_reader_line(ctx, in, &line) >= 0 &&
        rn_subscribe(c->room, "room", &config, &c->mail) == 0) {
        snprintf(name, sizeof name, "%s", line);
        rn_group_go(delivery, deliver, c);
        say(c, name, " comes in", "");
        while (rn_reader_line(ctx, in, &line) >= 0)
            say(c, name, ": ", line);
        say(c, name, " leaves", "");
        rn_subscription_drain(c->mail); /* the last lines, for one that only ended its own */
        rn_group_go(delivery, linger, NULL);
    }
    rn_group_wait(delivery);
    rn_subscription_free(c->mail);
    rn_reader_free(in);
    return rn_fd_close(c->fd);
}

static int serve(rn_ctx *ctx, void *arg)
{
    struct chat client = *(struct chat *)arg;
    rn_group *clients = rn_group_new(ctx);
    int err = 0;

    while (err == 0) {
        err = rn_accept(ctx, ((struct chat *)arg)->fd, &client.fd);
        if (err == -EMFILE || err == -ENFILE)
            err = rn_sleep(ctx, 100 * RN_MILLISECOND); /* until some have left */
        else if (err == 0 && rn_group_go_copy(clients, attend, &client) != 0)
            rn_fd_close(client.fd);
    }
    rn_group_wait(clients);
    return err;
}

struct guest {
    const char *name;
    rn_fd conn;
    rn_reader *in;
};

static const char song[] = "Ann: la la la la la la la la la la la la la la la la la la la la la";

/* Types a line, unless it is NULL, and prints what comes, up to the line last, but for the song. */
static void act(struct guest *g, const char *line, const char *last)
{
    char text[100], *heard = "";

    if (line != NULL)
        rn_fd_write(NULL, g->conn, text, (size_t)snprintf(text, sizeof text, "%s\n", line));
    while (strcmp(heard, last) != 0 && rn_reader_line(NULL, g->in, &heard) >= 0) {
        if (strcmp(heard, song) != 0)
            printf("%s hears \"%s\"\n", g->name, heard);
    }
}

static int meet(rn_fd listener)
{
    struct guest ann = {.name = "Ann"}, bob = {.name = "Bob"};
    char at[RN_ADDRESS_TEXT];
    rn_address local;

    rn_net_set(listener, RN_NET_WRITE_BUFFER, 4096); /* what waits, waits in the server */
    if (rn_net_local(listener, &local) != 0 || rn_address_text(&local, at) == NULL ||
        rn_dial(NULL, at, NULL, &ann.conn) != 0 || rn_reader_new(&ann.in, ann.conn, NULL) != 0 ||
        rn_dial(NULL, at, NULL, &bob.conn) != 0 || rn_reader_new(&bob.in, bob.conn, NULL) != 0)
        return 1;
    act(&ann, "Ann", "Ann comes in");
    act(&bob, "Bob", "Bob comes in");
    act(&ann, "hello Bob", "Ann: hello Bob");
    act(&bob, "hello Ann", "Bob: hello Ann");
    for (int i = 0; i < 20000; i++)
        act(&ann, song + strlen("Ann: "), song); /* Bob does not listen, and loses some of it */
    act(&bob, NULL, "...");
    rn_fd_close(bob.conn);
    act(&ann, NULL, "Bob leaves");
    rn_fd_close(ann.conn);
    rn_reader_free(ann.in);
    rn_reader_free(bob.in);
    return 0;
}

static int app(int argc, char **argv)
{
    rn_ctx *ctx = rn_ctx_with_signals(NULL, SIGINT, SIGTERM);
    rn_group *server = rn_group_new(ctx);
    struct chat c = {0};
    int err = rn_listen(ctx, argc > 1 ? argv[1] : "127.0.0.1:0", NULL, &c.fd);

    if (err != 0) {
        fprintf(stderr, "%s\n", rn_error_detail());
    } else if (rn_pubsub_new(&c.room, NULL) == 0 && rn_group_go(server, serve, &c) == 0 &&
               argc == 1) {
        err = meet(c.fd);
        rn_group_cancel(server, 0);
    }
    rn_group_wait(server);
    rn_pubsub_free(c.room);
    rn_fd_close(c.fd);
    rn_ctx_release(ctx);
    return err != 0;
}

int main(int argc, char **argv)
{
    return rn_run(app, argc, argv);
}
