/* The memory of an executor, against the limit of a task.
 *
 * It is looked at, resident pages and those of its descendants together, some times a second. The
 * kernel's own limits do other things: RLIMIT_AS and RLIMIT_DATA count what is reserved, touched or not, make
 * allocations fail in the middle of code that does not expect it, and know nothing of child
 * processes; a control group of its own needs rights that an agent in a container does not have.
 * So a limit is exceeded for up to MEMORY_FAR_MS, or MEMORY_NEAR_MS above half of it, before it
 * strikes; what a task can touch in that time must fit the host. Pages that processes share after
 * a fork count in each of them.
 *
 * An executor above the limit gets no more tasks. If the task that ran goes on while it stays
 * above, it is killed for that task. What earlier tasks leaked is not held against it: the first
 * time, in a process that others had used, it is run again as if it had not begun. An idle one is
 * replaced, which is what becomes of leaks. */
#ifndef WORKER_MEMORY_H
#define WORKER_MEMORY_H

#include "executor.h"

#include <stdint.h>
#include <sys/types.h>

/* Between two looks. */
#define MEMORY_FAR_MS  50
#define MEMORY_NEAR_MS 10

/* Processes below one executor that are counted. */
#define MEMORY_PROCESSES_MAX 256

/* Resident bytes of a process and its descendants. 0: there is none. */
uint64_t memory_of(pid_t pid);

/* Look at this one if it is time to. Returns when that is again; INT64_MAX: when it has a task. */
int64_t memory_check(struct executor *executor, int64_t now_ms);

#endif
