/*
 * Finds the open ports of a host: a group dials them all, a hundred at once.
 *
 *     port_scan HOST [FIRST LAST]     for instance port_scan localhost 1 1024
 *     port_scan                       opens a port of its own and looks around it
 */
#include <runnel.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define AT_ONCE 100
#define PATIENCE (2 * RN_SECOND) /* for a port that does not answer at all */

static bool is_open[65536]; /* each fiber writes the one of its port */

struct probe {
    const char *host;
    int port;
};

static int probe(rn_ctx *ctx, void *arg)
{
    struct probe *p = arg;
    rn_ctx *patience = rn_ctx_with_timeout(ctx, PATIENCE);
    char address[300];
    rn_fd conn;

    snprintf(address, sizeof address, "%s:%d", p->host, p->port);
    int err = rn_dial(patience, address, NULL, &conn);
    rn_ctx_release(patience);
    is_open[p->port] = err == 0;
    if (err == 0)
        return rn_fd_close(conn);
    if (err == -ECONNREFUSED || err == -ETIMEDOUT)
        return 0;
    if (err != -ECANCELED)
        fprintf(stderr, "%s\n", rn_error_detail()); /* no such host, no route, ... */
    return err;                                     /* ends the others, too */
}

static int scan(const char *host, int first, int last)
{
    rn_group *g;
    int n = 0, err = rn_group_new_with(&g, NULL, &(rn_group_options){.limit = AT_ONCE});

    for (int port = first; err == 0 && port <= last; port++)
        err = rn_group_go_copy(g, probe, &(struct probe){host, port});
    if ((err = rn_group_wait(g)) != 0)
        return err;
    for (int port = first; port <= last; port++)
        if (is_open[port] && ++n)
            printf("%s:%d is open\n", host, port);
    printf("%d of %d ports are open\n", n, last - first + 1);
    return 0;
}

static int app(int argc, char **argv)
{
    rn_address local;
    rn_fd own = {0};
    int first = argc > 2 ? atoi(argv[2]) : 1, last = argc > 3 ? atoi(argv[3]) : 1024, err;

    if (argc > 1)
        return first < 0 || last > 65535 || scan(argv[1], first, last) != 0;
    if ((err = rn_listen(NULL, "127.0.0.1:0", NULL, &own)) == 0 &&
        (err = rn_net_local(own, &local)) == 0) {
        int port = rn_address_port(&local);
        printf("listening on %d\n", port);
        err = scan("127.0.0.1", port - 400, port + 400 < 65536 ? port + 400 : 65535);
    }
    rn_fd_close(own);
    return err != 0;
}

int main(int argc, char **argv)
{
    return rn_run(app, argc, argv);
}
