#include "worker/cpus.h"

#include "base/err.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* One fixture: what /proc/self/cgroup says, and files below /sys/fs/cgroup. */
struct quota_case {
    char name[40];
    char groups[160];
    char files[4][2][64];
    uint32_t cpus;
};

ParameterizedTestParameters(cpus, follow_the_quota_of_the_control_group)
{
    static struct quota_case cases[] = {
        {"no control group at all", "", {{""}}, UINT32_MAX},
        {"unlimited", "0::/\n", {{"cpu.max", "max 100000\n"}}, UINT32_MAX},
        {"one CPU", "0::/\n", {{"cpu.max", "100000 100000\n"}}, 1},
        {"rounded up", "0::/\n", {{"cpu.max", "150000 100000\n"}}, 2},
        {"a tenth is one", "0::/\n", {{"cpu.max", "10000 100000\n"}}, 1},
        {"own group", "0::/a/b\n", {{"a/b/cpu.max", "300000 100000\n"}}, 3},
        {"parent is stricter",
         "0::/a/b\n",
         {{"a/b/cpu.max", "300000 100000\n"}, {"a/cpu.max", "200000 100000\n"}},
         2},
        {"path of the host, mounted at the root",
         "0::/docker/7f\n",
         {{"cpu.max", "200000 100000\n"}},
         2},
        {"version 1",
         "4:memory:/x\n3:cpu,cpuacct:/x\n",
         {{"cpu/x/cpu.cfs_quota_us", "250000\n"}, {"cpu/x/cpu.cfs_period_us", "100000\n"}},
         3},
        {"version 1, unlimited",
         "3:cpu,cpuacct:/x\n",
         {{"cpu/x/cpu.cfs_quota_us", "-1\n"}, {"cpu/x/cpu.cfs_period_us", "100000\n"}},
         UINT32_MAX},
        {"cpuset is not cpu",
         "3:cpuset,cpuacct:/x\n",
         {{"cpu/x/cpu.cfs_quota_us", "100000\n"}, {"cpu/x/cpu.cfs_period_us", "100000\n"}},
         UINT32_MAX},
        {"both versions",
         "2:cpu:/\n0::/\n",
         {{"cpu/cpu.cfs_quota_us", "400000\n"},
          {"cpu/cpu.cfs_period_us", "100000\n"},
          {"cpu.max", "300000 100000\n"}},
         3},
        {"nonsense does not limit", "0::/\nx\n:\n", {{"cpu.max", "lots\n"}}, UINT32_MAX},
        {"zero does not limit", "0::/\n", {{"cpu.max", "0 0\n"}}, UINT32_MAX},
    };
    return cr_make_param_array(struct quota_case, cases, COUNT_OF(cases));
}

static void write_file(const char *root, const char *below, const char *name, const char *text)
{
    char path[512];

    snprintf(path, sizeof(path), "%s%s/%s", root, below, name);
    for (char *at = strchr(path + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
        *at = '\0';
        mkdir(path, 0700);
        *at = '/';
    }
    FILE *const file = fopen(path, "we");
    cr_assert_not_null(file, "%s", path);
    fputs(text, file);
    fclose(file);
}

ParameterizedTest(struct quota_case *c, cpus, follow_the_quota_of_the_control_group)
{
    char root[] = "/tmp/scoop-cpus-XXXXXX";
    char remove[64];

    cr_assert_not_null(mkdtemp(root));
    write_file(root, "/proc/self", "cgroup", c->groups);
    for (size_t i = 0; i < COUNT_OF(c->files) && c->files[i][0][0] != '\0'; i++)
        write_file(root, "/sys/fs/cgroup", c->files[i][0], c->files[i][1]);
    cr_assert_eq(cpus_quota(root), c->cpus, "%s: %u", c->name, cpus_quota(root));
    snprintf(remove, sizeof(remove), "rm -r %s", root);
    cr_assert_eq(system(remove), 0);
}

Test(cpus, are_at_least_one)
{
    cr_assert_geq(cpus_usable(""), 1);
    cr_assert_geq(cpus_usable("/nonexistent"), 1);
}
