/* How many processors this process may use: affinity, then cgroup v2 or v1 quota. Linux. */
#define _GNU_SOURCE
#include "os/os.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PATH_BYTES_MAX 512

static int affinity_cpus(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return CPU_COUNT(&set);
    long online = sysconf(_SC_NPROCESSORS_ONLN); /* more CPUs than a cpu_set_t holds */
    return online > 0 ? (int)online : 1;
}

/* The CPUs that quota per period buys, rounded up; 0: no limit. */
static int quota_cpus(long long quota, long long period)
{
    return quota > 0 && period > 0 ? (int)((quota + period - 1) / period) : 0;
}

static int read_two(const char *path, long long *a, long long *b)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    int n = fscanf(file, "%lld %lld", a, b);
    fclose(file);
    return n < 0 ? 0 : n;
}

static int v2_quota_at(const char *root, const char *group)
{
    char path[2 * PATH_BYTES_MAX + 64];
    long long quota = 0, period = 0;
    snprintf(path, sizeof path, "%s/sys/fs/cgroup%s/cpu.max", root, group);
    return read_two(path, &quota, &period) == 2 ? quota_cpus(quota, period) : 0;
}

static int v1_quota_at(const char *root, const char *group)
{
    char path[2 * PATH_BYTES_MAX + 64];
    long long quota = 0, period = 0, unused;
    snprintf(path, sizeof path, "%s/sys/fs/cgroup/cpu%s/cpu.cfs_quota_us", root, group);
    if (read_two(path, &quota, &unused) < 1)
        return 0;
    snprintf(path, sizeof path, "%s/sys/fs/cgroup/cpu%s/cpu.cfs_period_us", root, group);
    return read_two(path, &period, &unused) >= 1 ? quota_cpus(quota, period) : 0;
}

/* The tightest limit from this group up to the root. group is cut short on the way. */
static int tightest(const char *root, char *group,
                    int (*quota_at)(const char *root, const char *group))
{
    int least = 0;
    for (;;) {
        int cpus = quota_at(root, group);
        if (cpus > 0 && (least == 0 || cpus < least))
            least = cpus;
        char *slash = strrchr(group, '/');
        if (slash == NULL)
            return least;
        *slash = 0;
    }
}

/* A line of /proc/self/cgroup: "0::/path" (v2) or "4:cpu,cpuacct:/path" (v1). */
static int line_quota(const char *root, char *line)
{
    char *controllers = strchr(line, ':');
    char *group = controllers == NULL ? NULL : strchr(controllers + 1, ':');
    if (group == NULL)
        return 0;
    *group++ = 0;
    group[strcspn(group, "\n")] = 0;
    if (controllers[1] == 0)
        return tightest(root, group, v2_quota_at);
    for (char *word = strtok(controllers + 1, ","); word != NULL; word = strtok(NULL, ","))
        if (strcmp(word, "cpu") == 0)
            return tightest(root, group, v1_quota_at);
    return 0;
}

int os_quota_cpus(const char *root)
{
    char line[PATH_BYTES_MAX], path[PATH_BYTES_MAX + 64];
    int least = 0;

    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    while (fgets(line, sizeof line, file) != NULL) {
        int cpus = line_quota(root, line);
        if (cpus > 0 && (least == 0 || cpus < least))
            least = cpus;
    }
    fclose(file);
    return least;
}

int os_cpus(void)
{
    int cpus = affinity_cpus();
    int quota = os_quota_cpus("");
    if (quota > 0 && quota < cpus)
        cpus = quota;
    return cpus > 0 ? cpus : 1;
}
