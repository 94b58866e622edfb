/* A private folder for what a program writes at run time: key copies, configuration, sockets. It
 * belongs to this user and is closed to all others, whatever its parent is (a tmpfs of a container
 * is open to everybody). Main thread, at start. */
#ifndef BASE_RUNDIR_H
#define BASE_RUNDIR_H

#include "err.h"
#include "problem.h"

#include <sys/types.h>

/* Room for a path below a run folder; short enough that a socket's path fits as well. */
#define RUNDIR_PATH_MAX 200

/* Make (or take over from an earlier run) the folder parent/name with mode 0700; `parent` is made
 * too when it is not there. 0 and the path, or with *problem: -ENAMETOOLONG, -EPERM: somebody
 * else's, no folder, or a link, or what mkdir gave. */
NODISCARD int rundir_make(const char *parent,
                          const char *name,
                          char path[RUNDIR_PATH_MAX],
                          struct problem *problem);

/* Write folder/name anew with this mode and content. 0, or a negative errno with *problem. */
NODISCARD int rundir_write(
    const char *folder, const char *name, const char *text, mode_t mode, struct problem *problem);

/* folder/name as a path. -ENAMETOOLONG. */
NODISCARD int rundir_path(const char *folder,
                          const char *name,
                          char path[RUNDIR_PATH_MAX],
                          struct problem *problem);

#endif
