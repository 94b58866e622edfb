/* What a process can do for its own safety, because `docker stack deploy` ignores `security_opt`:
 * no new privileges by exec, no core files, not to be traced or read by others. Main thread, first
 * thing; child processes inherit the first two. */
#ifndef BASE_HARDEN_H
#define BASE_HARDEN_H

#include "err.h"
#include "problem.h"

#include <stdbool.h>
#include <sys/types.h>

/* Every image of ours carries this empty file, so we know "in a container of ours" from "on a
 * machine that happens to be a container", where root is the machine's owner. */
#define HARDEN_IMAGE_MARK "/etc/scoop-image"

/* 0, or with *problem: -EPERM: this is root inside one of our images; or what the kernel refused.
 */
NODISCARD int harden_process(struct problem *problem);

/* Descriptors 0, 1 and 2 that the caller left closed are opened on /dev/null, the wrong way round:
 * to use them fails, as it did, but no socket or file of ours gets their number and is then taken
 * for the standard input or written to as the standard output. harden_process() does this too. */
void harden_standard_files(void);

/* The rule about root alone: is `uid` root where the file `mark` exists? */
bool harden_refuses(uid_t uid, const char *mark);

#endif
