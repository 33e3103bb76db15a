/*
 * bench-http-load - many clients of an HTTP server in one process, the same for every server.
 *
 *     bench-http-load idle PORT CONNECTIONS
 *         one request on each, then nothing: prints a line when all were answered, ends when
 *         standard input does
 *     bench-http-load active PORT CONNECTIONS SECONDS
 *         one request on its way on each, all the time: prints requests a second, and the slowest
 *         connection's requests over the median's
 *
 * All answers are as long as the first one, so only that is looked into. It runs on the last
 * processor, so that the server has the others.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    EVENTS = 512,
    CONNECTING_MAX = 64, /* at once, so that no listener's queue overflows */
    READ_BYTES = 16384,
    STUCK_MS = 20000 /* without any answer: something is wrong */
};

static const char request[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

struct connection {
    int fd;
    size_t received; /* of the answer that is on its way */
    uint64_t answers;
};

static struct connection *connections;
static size_t count, answer_size;
static int epoll;

static void expect(int ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "bench-http-load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void prepare(void)
{
    struct rlimit limit;
    cpu_set_t set;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    CPU_ZERO(&set);
    CPU_SET((size_t)sysconf(_SC_NPROCESSORS_ONLN) - 1, &set);
    sched_setaffinity(0, sizeof set, &set);
}

/* ---- one connection ---- */

static void ask(struct connection *c)
{
    expect(write(c->fd, request, sizeof request - 1) == (ssize_t)sizeof request - 1, "write");
}

/* A reset at the end leaves no connection behind that waits for its time. */
static void begin(struct connection *c, int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct linger reset = {.l_onoff = 1};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    int on = 1;

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    expect(c->fd >= 0, "socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    expect(connect(c->fd, (struct sockaddr *)&at, sizeof at) == 0, "connect");
    expect(epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event) == 0, "epoll_ctl");
    ask(c);
}

static void learn_size(char *answer, size_t n)
{
    char *end, *length;

    answer[n] = 0;
    end = strstr(answer, "\r\n\r\n");
    length = strcasestr(answer, "\r\nContent-Length:");
    expect(strncmp(answer, "HTTP/1.1 200", 12) == 0 && end != NULL && length != NULL, "answer");
    answer_size = (size_t)(end + 4 - answer) + strtoul(length + 17, NULL, 10);
}

/* Reads what came; true when that ends an answer. */
static int answered(struct connection *c)
{
    static char buffer[READ_BYTES + 1];
    ssize_t n = read(c->fd, buffer, READ_BYTES);

    expect(n > 0, "the server closed a connection");
    if (answer_size == 0)
        learn_size(buffer, (size_t)n);
    c->received += (size_t)n;
    expect(c->received <= answer_size, "an answer of another length");
    if (c->received < answer_size)
        return 0;
    c->received = 0;
    c->answers++;
    return 1;
}

/* ---- all of them ---- */

/* Handles what came within ms; returns how many answers ended, each of which again is a request. */
static size_t turn(int ms, int again)
{
    struct epoll_event events[EVENTS];
    size_t done = 0;
    int n = epoll_wait(epoll, events, EVENTS, ms);

    for (int i = 0; i < n; i++) {
        struct connection *c = events[i].data.ptr;
        if (!answered(c))
            continue;
        done++;
        if (again)
            ask(c);
    }
    expect(n > 0 || ms < STUCK_MS, "no answer for a long time");
    return done;
}

/* Every connection makes its first request, and gets its answer. */
static void connect_all(int port)
{
    size_t begun = 0, first = 0;

    while (first < count) {
        for (; begun < count && begun < first + CONNECTING_MAX; begun++)
            begin(&connections[begun], port);
        turn(STUCK_MS, 0);
        while (first < begun && connections[first].answers > 0)
            first++;
    }
}

static void stay_idle(int port)
{
    char byte;

    connect_all(port);
    printf("%zu\n", count);
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        continue;
}

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void stay_active(int port, double seconds)
{
    uint64_t *each = calloc(count, sizeof *each), total = 0;
    int64_t start, elapsed;

    connect_all(port);
    for (size_t i = 0; i < count; i++) {
        connections[i].answers = 0;
        ask(&connections[i]);
    }
    start = now_ms();
    while ((elapsed = now_ms() - start) < (int64_t)(seconds * 1000))
        total += turn(STUCK_MS, 1);
    for (size_t i = 0; i < count; i++)
        each[i] = connections[i].answers;
    qsort(each, count, sizeof *each, by_number);
    printf("%.0f %.3f\n", (double)total * 1000 / (double)elapsed,
           (double)each[0] / (double)(each[count / 2] > 0 ? each[count / 2] : 1));
    free(each);
}

int main(int argc, char **argv)
{
    if (argc < 4 || (count = strtoul(argv[3], NULL, 10)) == 0) {
        fputs("usage: bench-http-load idle PORT CONNECTIONS | active PORT CONNECTIONS SECONDS\n",
              stderr);
        return 2;
    }
    prepare();
    connections = calloc(count, sizeof *connections);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    expect(connections != NULL && epoll >= 0, "start");
    if (strcmp(argv[1], "active") == 0 && argc == 5)
        stay_active(atoi(argv[2]), atof(argv[4]));
    else
        stay_idle(atoi(argv[2]));
    return 0;
}
