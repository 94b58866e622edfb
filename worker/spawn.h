/* Starting the process of an executor. */
#ifndef WORKER_SPAWN_H
#define WORKER_SPAWN_H

#include "base/err.h"
#include "executor.h"

#include <stdint.h>

/* Raise the limit of open files as far as so many executors need it and the system lets us. */
void spawn_expect(uint32_t executors);

/* Make the channel, bell and pipes, add them to its epoll_fd, and start the process: session of its
 * own, stdin from /dev/null, no core file, no new privileges, reaper of its descendants,
 * preferred by the kernel when memory runs out, killed when this thread ends. What was opened is left in `executor` also on
 * error: executor_free(). Negative errno. */
NODISCARD int spawn_executor(struct executor *executor);

#endif
