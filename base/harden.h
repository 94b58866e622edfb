/* What a process can do for its own safety, because `docker stack deploy` ignores `security_opt`:
 * no new privileges by exec, no core files, not to be traced or read by others. Main thread, first
 * thing. */
#ifndef BASE_HARDEN_H
#define BASE_HARDEN_H

#include "err.h"
#include "problem.h"

/* 0, or with *problem: -EPERM: this is root inside a container; or what the kernel refused. */
NODISCARD int harden_process(struct problem *problem);

#endif
