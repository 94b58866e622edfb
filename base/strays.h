/* Processes that a child left behind: its children, which made a session of their own. To the
 * subreaper, or process 1, they become children when their parent ends. */
#ifndef BASE_STRAYS_H
#define BASE_STRAYS_H

#include <stdbool.h>
#include <sys/types.h>

/* Kill every child of this thread that is not known(context, pid). They are reaped like all
 * children. Does nothing where the kernel does not list children. */
void strays_kill(bool (*known)(const void *context, pid_t pid), const void *context);

#endif
