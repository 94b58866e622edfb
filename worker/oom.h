/* Was it the kernel that ended a process, because memory had run out? Nothing says so of one process,
 * but our control group counts such ends. */
#ifndef WORKER_OOM_H
#define WORKER_OOM_H

#include <stdbool.h>
#include <stdint.h>

struct oom {
    int fd;        /* of the file that counts; -1: none here */
    uint64_t seen; /* ends that were counted before, or that oom_took_one() has told */
};

/* `root`: "" on a real system. */
void oom_open(struct oom *oom, const char *root);

/* For a process that SIGKILL has ended, which nobody of us sent. True: since the last call, or
 * oom_open(), the kernel has ended one more than such calls were answered with true. It may have been
 * a command below another executor: the counter does not say whom. */
bool oom_took_one(struct oom *oom);

/* Fine when there is none. */
void oom_close(struct oom *oom);

#endif
