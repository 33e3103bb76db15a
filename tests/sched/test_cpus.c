/*
 * How many workers there are: what affinity leaves, what the quotas of cgroup v2 and v1 buy, and
 * RUNNEL_WORKERS before both.
 */
/* ctest: WORKERS=1 */
#include "core.h"
#include "os/os.h"
#include "test.h"

#include <limits.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- affinity ---- */

static void allow(const cpu_set_t *set)
{
    EXPECT_EQ(sched_setaffinity(0, sizeof *set, set), 0);
}

/* The first n of the processors that this process may use. */
static cpu_set_t first_cpus(int n)
{
    cpu_set_t all, some;

    CPU_ZERO(&some);
    EXPECT_EQ(sched_getaffinity(0, sizeof all, &all), 0);
    for (int cpu = 0; CPU_COUNT(&some) < n && cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &all))
            CPU_SET(cpu, &some);
    return some;
}

TEST(affinity_limits_the_workers)
{
    cpu_set_t one = first_cpus(1);

    unsetenv("RUNNEL_WORKERS");
    allow(&one);
    EXPECT_EQ(os_cpus(), 1);
    EXPECT_EQ(rn_start(), 0);
    EXPECT_EQ(rn_workers(), 1);
    EXPECT_EQ(rn_stop(), 0);
}

TEST(without_limits_each_processor_has_a_worker)
{
    cpu_set_t all = first_cpus(INT_MAX);
    int quota = os_quota_cpus("");

    unsetenv("RUNNEL_WORKERS");
    EXPECT_EQ(rn_start(), 0);
    EXPECT_EQ(rn_workers(), quota > 0 && quota < CPU_COUNT(&all) ? quota : CPU_COUNT(&all));
    EXPECT_EQ(rn_stop(), 0);
}

TEST(runnel_workers_goes_before_affinity)
{
    cpu_set_t one = first_cpus(1);

    setenv("RUNNEL_WORKERS", "3", 1);
    allow(&one);
    EXPECT_EQ(rn_start(), 0);
    EXPECT_EQ(rn_workers(), 3);
    EXPECT_EQ(rn_stop(), 0);
}

/* ---- quotas, read from a tree of files ---- */

static char root[] = "/tmp/runnel-test-XXXXXX";

static void make_folders(char *path)
{
    for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = 0;
        mkdir(path, 0700);
        *slash = '/';
    }
}

static void put(const char *name, const char *text)
{
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s%s", root, name);
    make_folders(path);
    FILE *file = fopen(path, "we");
    EXPECT(file != NULL);
    EXPECT(fputs(text, file) >= 0);
    EXPECT_EQ(fclose(file), 0);
}

static void clear(void)
{
    char command[PATH_MAX];

    snprintf(command, sizeof command, "rm -r '%s'", root);
    EXPECT_EQ(system(command), 0);
    EXPECT_EQ(mkdir(root, 0700), 0);
}

static void begin(void)
{
    EXPECT(mkdtemp(root) != NULL);
}

static void end(void)
{
    clear();
    EXPECT_EQ(rmdir(root), 0);
}

TEST(version_2_quotas_are_rounded_up)
{
    begin();
    EXPECT_EQ(os_quota_cpus(root), 0); /* no cgroups at all */
    put("/proc/self/cgroup", "0::/a\n");
    EXPECT_EQ(os_quota_cpus(root), 0);
    put("/sys/fs/cgroup/a/cpu.max", "max 100000\n");
    EXPECT_EQ(os_quota_cpus(root), 0);
    put("/sys/fs/cgroup/a/cpu.max", "200000 100000\n");
    EXPECT_EQ(os_quota_cpus(root), 2);
    put("/sys/fs/cgroup/a/cpu.max", "200001 100000\n");
    EXPECT_EQ(os_quota_cpus(root), 3);
    put("/sys/fs/cgroup/a/cpu.max", "1000 100000\n");
    EXPECT_EQ(os_quota_cpus(root), 1);
    put("/sys/fs/cgroup/a/cpu.max", "nonsense\n");
    EXPECT_EQ(os_quota_cpus(root), 0);
    end();
}

TEST(the_tightest_group_on_the_way_up_counts)
{
    begin();
    put("/proc/self/cgroup", "0::/a/b/c\n");
    put("/sys/fs/cgroup/a/b/c/cpu.max", "500000 100000\n");
    EXPECT_EQ(os_quota_cpus(root), 5);
    put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    EXPECT_EQ(os_quota_cpus(root), 5);
    put("/sys/fs/cgroup/a/cpu.max", "150000 50000\n");
    EXPECT_EQ(os_quota_cpus(root), 3);
    put("/sys/fs/cgroup/cpu.max", "100000 50000\n"); /* as in a container with a namespace */
    EXPECT_EQ(os_quota_cpus(root), 2);
    put("/proc/self/cgroup", "0::/\n");
    EXPECT_EQ(os_quota_cpus(root), 2);
    end();
}

TEST(version_1_quotas_are_found_by_their_controller)
{
    begin();
    put("/proc/self/cgroup", "7:memory:/m\n4:cpu,cpuacct:/a/b\n1:name=systemd:/\n");
    EXPECT_EQ(os_quota_cpus(root), 0);
    put("/sys/fs/cgroup/cpu/a/b/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu/a/b/cpu.cfs_period_us", "100000\n");
    EXPECT_EQ(os_quota_cpus(root), 0);
    put("/sys/fs/cgroup/cpu/a/b/cpu.cfs_quota_us", "350000\n");
    EXPECT_EQ(os_quota_cpus(root), 4);
    put("/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "100000\n");
    put("/sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "50000\n");
    EXPECT_EQ(os_quota_cpus(root), 2);
    put("/sys/fs/cgroup/cpu/m/cpu.cfs_quota_us", "50000\n"); /* the group of another controller */
    put("/sys/fs/cgroup/cpu/m/cpu.cfs_period_us", "50000\n");
    EXPECT_EQ(os_quota_cpus(root), 2);
    end();
}

TEST(the_tighter_of_both_versions_counts)
{
    begin();
    put("/proc/self/cgroup", "2:cpu:/a\n0::/b\n");
    put("/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "300000\n");
    put("/sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n");
    put("/sys/fs/cgroup/b/cpu.max", "200000 100000\n");
    EXPECT_EQ(os_quota_cpus(root), 2);
    put("/sys/fs/cgroup/b/cpu.max", "400000 100000\n");
    EXPECT_EQ(os_quota_cpus(root), 3);
    end();
}
