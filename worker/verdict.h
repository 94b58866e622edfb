/* What the end of an executor means for the task that it was running. */
#ifndef WORKER_VERDICT_H
#define WORKER_VERDICT_H

#include "executor.h"
#include "report.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

/* How a process ended. */
struct ending {
    int status;          /* waitpid()'s */
    struct rusage usage; /* of the whole process, and of the children that it waited for */
    bool out_of_memory;  /* the kernel ended it, as far as can be known: see oom.h */
};

/* "signal 11 (Segmentation fault)" or "exit status 3"; returns the code that stands for it: 128
 * + signal, or the exit status. `status` is waitpid()'s. */
uint32_t verdict_status(int status, char *text, size_t size);

/* Log the end of this executor, before its tasks are taken out. */
void verdict_log(const struct executor *executor, const struct ending *ending);

/* Did its program end before it reached scoop_init(), because it cannot be started on this host at all (a
 * library is missing, it is of another architecture)? Then why, in one line for people. */
bool verdict_cannot_start(const struct executor *executor,
                          const struct ending *ending,
                          const char *host,
                          char *text,
                          size_t size);

/* Report how `task`, the oldest one of an executor that ended, ended with it: crashed (with what the
 * process had used and the end of stderr), over its limit, revoked, or refused with its program. False, and nothing is reported: it had no part in
 * the end, as far as is known, and runs elsewhere. */
NODISCARD bool verdict_report(struct report *report,
                              const struct executor *executor,
                              struct task *task,
                              const struct ending *ending);

#endif
