/* Lists of hosts and of how many tasks each runs at a time, in the forms in which people and batch
 * systems write them:
 *
 *   a:2,b,red[00-04,7]:4     --hosts: names separated by commas, ranges in brackets
 *   a 2                      a host file: one a line; # begins a comment
 *   red[00-04] and 2(x3),1   SLURM_JOB_NODELIST and SLURM_TASKS_PER_NODE
 *   a                        PBS_NODEFILE: one a line, as often as it has tasks
 *
 * A host without a number runs as many tasks as it has usable CPUs. A host that stands there more
 * than once is one host with the sum. Names are letters, digits and ._-@ (user@host); no IPv6
 * literals. Pure: any thread. */
#ifndef BASE_HOSTLIST_H
#define BASE_HOSTLIST_H

#include "blob.h"
#include "err.h"
#include "problem.h"

#include <stddef.h>
#include <stdint.h>

#define HOSTLIST_MAX      1024 /* hosts */
#define HOSTLIST_NAME_MAX 256  /* bytes of a name, its zero byte included */
#define HOSTLIST_SLOTS    1024 /* tasks of a host, at most */

struct hostlist_host {
    char name[HOSTLIST_NAME_MAX];
    uint32_t slots; /* 0: as many as it has usable CPUs */
};

/* Owned by the caller: hostlist_fini(). All zero is an empty list. */
struct hostlist {
    struct hostlist_host *hosts;
    size_t count;
};

/* All of them append to `list` and return 0, or with *problem naming the thing, the value and what
 * is allowed: -EINVAL: malformed, or no host in it; -E2BIG: more than HOSTLIST_MAX,
 * also of one piece with brackets that names the same ones again; -ENOMEM. What
 * is in the list after an error is not said; free it. */
NODISCARD int hostlist_add(struct hostlist *list, const char *text, struct problem *problem);
NODISCARD int hostlist_add_file(struct hostlist *list, const char *text, struct problem *problem);
NODISCARD int hostlist_add_nodes(struct hostlist *list, const char *text, struct problem *problem);
NODISCARD int hostlist_add_slurm(struct hostlist *list,
                                 const char *nodes,
                                 const char *tasks, /* NULL: a task for each usable CPU */
                                 struct problem *problem);

/* Append the list in the first of the forms. -ENOMEM. */
NODISCARD int hostlist_write(const struct hostlist *list, struct blob *out);

void hostlist_fini(struct hostlist *list);

#endif
