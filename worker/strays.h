/* Processes that an executor left behind: children of children that made a session of their own.
 * The agent is their subreaper, so they become its children when their parent ends. */
#ifndef WORKER_STRAYS_H
#define WORKER_STRAYS_H

#include <stdbool.h>
#include <sys/types.h>

/* Kill every child of this thread that is not known(context, pid). They are reaped like all
 * children. Does nothing where the kernel does not list children. */
void strays_kill(bool (*known)(const void *context, pid_t pid), const void *context);

#endif
