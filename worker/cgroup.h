/* The control groups of this process, of both versions.
 *
 * /proc/self/cgroup names them as the *host* sees them; inside a container its own group is often
 * mounted at the root instead. So the named group and all its parents are looked at, those that
 * exist. */
#ifndef WORKER_CGROUP_H
#define WORKER_CGROUP_H

#include <stdbool.h>

/* A folder of a group, which need not exist; `unified`: of version 2. True: seen enough. */
typedef bool cgroup_visitor(void *context, const char *folder, bool unified);

/* Show `visit` the groups that count for `controller` ("cpu", "memory"): each named one and then its
 * parents. Below `root` ("" on a real system; tests pass a folder of fixtures). */
void cgroup_visit(const char *root, const char *controller, cgroup_visitor *visit, void *context);

#endif
