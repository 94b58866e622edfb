/* One agent per host: the newest one. A lock file says who that is; a newcomer ends the holder
 * and takes its place, because a broker that starts an agent knows nothing of the older one. The
 * lock is a record lock of fcntl(2): the kernel names its holder, no child inherits it, and it
 * ends with the process however that ends. */
#ifndef WORKER_TAKEOVER_H
#define WORKER_TAKEOVER_H

#include "base/err.h"
#include "base/problem.h"

#include <stdint.h>
#include <sys/types.h>

/* Take the lock `path`, if need be from its holder: SIGTERM, and SIGKILL after `patience_ms`.
 * Waits for that, and a second more. 0, -EBUSY: the holder does not die, or what open() gave,
 * with *problem. The lock lives until this process ends. */
NODISCARD int takeover_acquire(const char *path, int64_t patience_ms, struct problem *problem);

/* Who holds it; 0: nobody. */
pid_t takeover_holder(const char *path);

#endif
