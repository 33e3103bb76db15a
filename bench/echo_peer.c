/*
 * bench-echo-peer - the other side of tcp_echo, the same for every server that is measured; and the
 * floor under it, a raw epoll loop without any library.
 *
 *     bench-echo-peer client PORT CONNECTIONS ROUND_TRIPS
 *     bench-echo-peer server                   measures itself with the client and prints as a case
 *
 * The client keeps one message of 64 bytes on its way in each connection. It runs on the last
 * processor, so that the server has the others.
 */
#include <arpa/inet.h>
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
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGE_BYTES = 64, EVENTS = 128, CONNECTIONS = 100, ROUND_TRIPS = 100000, ROUNDS = 3 };

static void expect(int ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    exit(1);
}

static void watch(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    expect(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
}

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* ---- the client ---- */

static void stay_on_last_cpu(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)sysconf(_SC_NPROCESSORS_ONLN) - 1, &set);
    sched_setaffinity(0, sizeof set, &set);
}

static void client(int port, int connections, long round_trips)
{
    struct sockaddr_in at = loopback(port);
    char message[MESSAGE_BYTES] = {0};
    struct epoll_event events[EVENTS];
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    long sent = 0, received = 0;

    stay_on_last_cpu();
    for (int i = 0; i < connections; i++, sent++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        expect(connect(fd, (struct sockaddr *)&at, sizeof at) == 0, "connect");
        watch(epoll, fd);
        expect(write(fd, message, sizeof message) == MESSAGE_BYTES, "write");
    }
    while (received < round_trips) {
        int n = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++, received++) {
            expect(read(events[i].data.fd, message, sizeof message) == MESSAGE_BYTES, "read");
            if (sent++ < round_trips)
                expect(write(events[i].data.fd, message, sizeof message) == MESSAGE_BYTES, "write");
        }
    }
}

/* ---- the floor ---- */

static pid_t start_client(int port)
{
    char number[16], path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    pid_t pid;

    expect(n > 0, "/proc/self/exe");
    path[n] = 0;
    snprintf(number, sizeof number, "%d", port);
    if ((pid = fork()) == 0) {
        execl(path, path, "client", number, "100", "100000", NULL);
        _exit(1);
    }
    return pid;
}

static void serve(int listener, int connections)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event events[EVENTS];
    char buffer[4096];

    for (int i = 0; i < connections; i++)
        watch(epoll, accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
    while (connections > 0) {
        int n = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            ssize_t got = read(events[i].data.fd, buffer, sizeof buffer);
            if (got > 0) {
                expect(write(events[i].data.fd, buffer, (size_t)got) == got, "write");
            } else {
                close(events[i].data.fd);
                connections--;
            }
        }
    }
    close(epoll);
}

static int64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec * 1000000000ll + now.tv_nsec;
}

static void server(void)
{
    struct sockaddr_in at = loopback(0);
    socklen_t length = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), status;

    expect(bind(listener, (struct sockaddr *)&at, sizeof at) == 0, "bind");
    expect(listen(listener, CONNECTIONS) == 0, "listen");
    getsockname(listener, (struct sockaddr *)&at, &length);
    for (int round = 0; round < ROUNDS; round++) {
        pid_t pid = start_client(ntohs(at.sin_port));
        int64_t before = cpu_ns();
        serve(listener, CONNECTIONS);
        printf("tcp_echo_cpu %.3f\n", (double)(cpu_ns() - before) / 1000 / ROUND_TRIPS);
        expect(waitpid(pid, &status, 0) == pid && status == 0, "client");
    }
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "client") == 0) {
        client(atoi(argv[2]), atoi(argv[3]), atol(argv[4]));
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "server") == 0) {
        server();
        return 0;
    }
    fputs("usage: bench-echo-peer client PORT CONNECTIONS ROUND_TRIPS | server\n", stderr);
    return 2;
}
