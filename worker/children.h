/* The last act of a process that is the reaper of its descendants. */
#ifndef WORKER_CHILDREN_H
#define WORKER_CHILDREN_H

#include <stdint.h>

/* SIGKILL all children, and those that become ours because of that, until there are none; at
 * most `patience_ms`. */
void children_kill(int64_t patience_ms);

#endif
