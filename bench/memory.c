/*
 * What a parked fiber costs. The twin of go/memory.go.
 */
#include "common.h"

#include <runnel.h>
#include <stdio.h>
#include <string.h>

enum { PARKED = 1000000 };

struct meeting {
    rn_chan(long) ch;
    rn_wait_group parked, ended;
};

/* One field of /proc/self/status, in KiB. */
static double status_kib(const char *field)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    double kib = 0;

    bench_check(f != NULL);
    while (fgets(line, sizeof line, f) != NULL) {
        size_t n = strlen(field);
        if (strncmp(line, field, n) == 0 && line[n] == ':')
            sscanf(line + n + 1, "%lf", &kib);
    }
    fclose(f);
    return kib;
}

static void wait_for_close(void *arg)
{
    struct meeting *m = arg;
    long v;

    rn_wait_group_done(&m->parked);
    bench_check(rn_recv(NULL, m->ch, &v) == RN_ECLOSED);
    rn_wait_group_done(&m->ended);
}

/* A million fibers wait on one channel. The clock stops when all have reached it. */
void case_parked(void)
{
    struct meeting m = {.ch = rn_chan_make(long, 0)};
    double rss = status_kib("VmRSS"), tables = status_kib("VmPTE");
    int64_t start = bench_now(), elapsed;

    bench_check(m.ch != NULL);
    rn_wait_group_add(&m.parked, PARKED);
    rn_wait_group_add(&m.ended, PARKED);
    for (int i = 0; i < PARKED; i++)
        bench_check(rn_go(wait_for_close, &m) == 0);
    bench_check(rn_wait_group_wait(NULL, &m.parked) == 0);
    elapsed = bench_now() - start;

    rss = status_kib("VmRSS") - rss;
    tables = status_kib("VmPTE") - tables;
    bench_report("parked_ms", (double)elapsed / 1e6);
    bench_report("parked_bytes", rss * 1024 / PARKED);
    bench_report("parked_bytes_tables", (rss + tables) * 1024 / PARKED);
    rn_close(m.ch);
    bench_check(rn_wait_group_wait(NULL, &m.ended) == 0);
    rn_chan_release(m.ch);
}
