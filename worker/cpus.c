/* Usable CPUs. /proc/self/cgroup names our control group as the *host* sees it; inside a
 * container its own group is often mounted at the root instead. So the named group and all its
 * parents are read, those that exist: the smallest quota counts. */
#include "cpus.h"

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

/* The smallest limit of `group` and its parents below `mount`. */
static uint32_t
smallest_limit(const char *mount, const char *group, uint32_t (*limit)(const char *))
{
    char folder[PATH_MAX];
    const size_t mount_length = strlen(mount);
    uint32_t smallest = NO_LIMIT;
    char *slash = NULL;

    snprintf(folder, sizeof(folder), "%s%s", mount, strcmp(group, "/") == 0 ? "" : group);
    for (;;) {
        const uint32_t here = limit(folder);

        smallest = here < smallest ? here : smallest;
        slash = strrchr(folder, '/');
        if (strlen(folder) <= mount_length || slash == NULL)
            return smallest;
        *slash = '\0';
    }
}

/* Is `name` one of the words of "cpu,cpuacct"? */
static bool lists(const char *controllers, const char *name)
{
    const size_t length = strlen(name);

    for (const char *at = controllers; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, name, length) == 0 && (at[length] == ',' || at[length] == '\0'))
            return true;
    }
    return false;
}

/* One line of /proc/self/cgroup: "NUMBER:CONTROLLERS:GROUP"; no controllers: version 2. */
static uint32_t line_limit(const char *root, char *line)
{
    char mount[PATH_MAX];
    char *const controllers = strchr(line, ':');
    char *const group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;

    if (group == NULL)
        return NO_LIMIT;
    *group = '\0';
    group[1 + strcspn(group + 1, "\n")] = '\0';
    if (controllers[1] == '\0') {
        snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup", root);
        return smallest_limit(mount, group + 1, unified_limit);
    }
    if (!lists(controllers + 1, "cpu"))
        return NO_LIMIT;
    /* Mounted as "cpu,cpuacct", with "cpu" as a link to it, or as "cpu". */
    snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup/cpu", root);
    return smallest_limit(mount, group + 1, legacy_limit);
}

uint32_t cpus_quota(const char *root)
{
    char path[PATH_MAX];
    char line[PATH_MAX];
    uint32_t smallest = NO_LIMIT;

    snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
    FILE *const file = fopen(path, "re");
    if (file == NULL)
        return NO_LIMIT;
    while (fgets(line, sizeof(line), file) != NULL) {
        const uint32_t here = line_limit(root, line);

        smallest = here < smallest ? here : smallest;
    }
    fclose(file);
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
