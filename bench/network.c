/*
 * Network: an echo server of 64-byte messages on 100 connections, driven by bench-echo-peer. What
 * counts is the server's processor time for each round trip: wall time says more about the other
 * programs of the machine.
 */
#include "common.h"

#include <runnel.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { CONNECTIONS = 100, ROUND_TRIPS = 100000, NETWORK_ROUNDS = 3 };

static int echo(rn_ctx *ctx, void *arg)
{
    rn_fd *conn = arg;
    char buffer[4096];
    ssize_t n;

    while ((n = rn_fd_read(ctx, *conn, buffer, sizeof buffer)) > 0)
        bench_check(rn_fd_write(ctx, *conn, buffer, (size_t)n) == n);
    bench_check(n == 0);
    return rn_fd_close(*conn);
}

static int64_t cpu_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec * RN_SECOND + now.tv_nsec;
}

static rn_process *start_peer(uint16_t port)
{
    char number[16], connections[16], round_trips[16];
    const char *peer = getenv("BENCH_ECHO_PEER");
    char *argv[] = {(char *)(uintptr_t)peer, "client", number, connections, round_trips, NULL};
    rn_process *p;

    snprintf(number, sizeof number, "%u", port);
    snprintf(connections, sizeof connections, "%d", CONNECTIONS);
    snprintf(round_trips, sizeof round_trips, "%d", ROUND_TRIPS);
    bench_check(peer != NULL); /* run.sh sets it */
    bench_check(rn_process_start(&p, &(rn_process_options){.argv = argv}) == 0);
    return p;
}

/* Processor microseconds for each round trip. */
static double echo_round(rn_fd listener, uint16_t port)
{
    rn_process *peer = start_peer(port);
    rn_process_status status;
    rn_group *g = rn_group_new(NULL);
    rn_fd conn;
    int64_t before = cpu_now();

    for (int i = 0; i < CONNECTIONS; i++) {
        bench_check(rn_accept(NULL, listener, &conn) == 0);
        bench_check(rn_group_go_copy(g, echo, &conn) == 0);
    }
    bench_check(rn_group_wait(g) == 0);
    double us = (double)(cpu_now() - before) / (double)RN_MICROSECOND / ROUND_TRIPS;
    bench_check(rn_process_wait(NULL, peer, &status) == 0 && status.code == 0);
    rn_process_free(peer);
    return us;
}

void case_tcp_echo(void)
{
    double each[NETWORK_ROUNDS];
    rn_fd listener;
    rn_address local;

    bench_check(rn_listen(NULL, "127.0.0.1:0", NULL, &listener) == 0);
    bench_check(rn_net_local(listener, &local) == 0);
    for (int i = 0; i < NETWORK_ROUNDS; i++)
        each[i] = echo_round(listener, rn_address_port(&local));
    rn_fd_close(listener);
    bench_report("tcp_echo_cpu", bench_median(each, NETWORK_ROUNDS));
}
