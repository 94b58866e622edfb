/* Usable CPUs. Of the quotas of our control groups the smallest counts. */
#include "cpus.h"

#include "cgroup.h"

#include <ctype.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NO_LIMIT UINT32_MAX

/* Quota and period in microseconds; a negative quota is none. */
static uint32_t quota_cpus(long long quota, long long period)
{
    if (quota <= 0 || period <= 0)
        return NO_LIMIT;
    const long long cpus = quota / period + (quota % period != 0);
    return cpus < NO_LIMIT ? (uint32_t)cpus : NO_LIMIT;
}

/* The first line of a small file. False: there is none. */
static bool read_line(const char *path, char *line, int size)
{
    FILE *const file = fopen(path, "re");

    if (file == NULL)
        return false;
    const bool got = fgets(line, size, file) != NULL;
    fclose(file);
    return got;
}

static long long read_number(const char *folder, const char *name)
{
    char path[PATH_MAX + 32];
    char line[64];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return read_line(path, line, sizeof(line)) ? strtoll(line, NULL, 10) : -1;
}

/* Version 2: "max 100000" or "150000 100000". */
static uint32_t unified_limit(const char *folder)
{
    char path[PATH_MAX + 16];
    char line[64];
    char *rest = line;

    snprintf(path, sizeof(path), "%s/cpu.max", folder);
    if (!read_line(path, line, sizeof(line)) || !isdigit((unsigned char)line[0]))
        return NO_LIMIT;
    const long long quota = strtoll(line, &rest, 10);
    return quota_cpus(quota, strtoll(rest, NULL, 10));
}

static uint32_t legacy_limit(const char *folder)
{
    return quota_cpus(read_number(folder, "cpu.cfs_quota_us"),
                      read_number(folder, "cpu.cfs_period_us"));
}

static bool take_smallest(void *context, const char *folder, bool unified)
{
    uint32_t *const smallest = context;
    const uint32_t here = unified ? unified_limit(folder) : legacy_limit(folder);

    *smallest = here < *smallest ? here : *smallest;
    return false;
}

uint32_t cpus_quota(const char *root)
{
    uint32_t smallest = NO_LIMIT;

    cgroup_visit(root, "cpu", take_smallest, &smallest);
    return smallest;
}

/* The mask of the kernel can be larger than cpu_set_t: try twice the size until it fits. */
static uint32_t affinity_cpus(void)
{
    for (int cpus = 1024; cpus <= 1 << 16; cpus *= 2) {
        const size_t size = CPU_ALLOC_SIZE(cpus);
        cpu_set_t *const set = CPU_ALLOC(cpus);

        if (set == NULL)
            break;
        const bool fits = sched_getaffinity(0, size, set) == 0;
        const int count = fits ? CPU_COUNT_S(size, set) : 0;
        CPU_FREE(set);
        if (fits)
            return count > 0 ? (uint32_t)count : 1;
    }
    return 1;
}

uint32_t cpus_usable(const char *root)
{
    const uint32_t affinity = affinity_cpus();
    const uint32_t quota = cpus_quota(root);
    const uint32_t usable = quota < affinity ? quota : affinity;

    return usable > 0 ? usable : 1;
}
