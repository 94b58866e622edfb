#include "cgroup.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

struct visit {
    cgroup_visitor *visit;
    void *context;
};

/* `group` and its parents below `mount`, the innermost first. */
static bool visit_upwards(const struct visit *v, const char *mount, const char *group, bool unified)
{
    char folder[PATH_MAX];
    const size_t mount_length = strlen(mount);
    char *slash = NULL;

    snprintf(folder, sizeof(folder), "%s%s", mount, strcmp(group, "/") == 0 ? "" : group);
    for (;;) {
        if (v->visit(v->context, folder, unified))
            return true;
        slash = strrchr(folder, '/');
        if (strlen(folder) <= mount_length || slash == NULL)
            return false;
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
static bool visit_line(const struct visit *v, const char *root, const char *controller, char *line)
{
    char mount[PATH_MAX];
    char *const controllers = strchr(line, ':');
    char *const group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;

    if (group == NULL)
        return false;
    *group = '\0';
    group[1 + strcspn(group + 1, "\n")] = '\0';
    if (controllers[1] == '\0') {
        snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup", root);
        return visit_upwards(v, mount, group + 1, true);
    }
    if (!lists(controllers + 1, controller))
        return false;
    /* Mounted as "cpu,cpuacct", with "cpu" as a link to it, or as "cpu". */
    snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup/%s", root, controller);
    return visit_upwards(v, mount, group + 1, false);
}

void cgroup_visit(const char *root, const char *controller, cgroup_visitor *visit, void *context)
{
    const struct visit v = {visit, context};
    char path[PATH_MAX];
    char line[PATH_MAX];
    bool enough = false;

    snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
    FILE *const file = fopen(path, "re");
    if (file == NULL)
        return;
    while (!enough && fgets(line, sizeof(line), file) != NULL)
        enough = visit_line(&v, root, controller, line);
    fclose(file);
}
