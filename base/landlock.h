/* Landlock: a thread gives up, for itself and for all that it starts, what it will not need. Linux 5.13
 * and later, where the kernel has it switched on; libc knows no calls for it, so they are made here. What is to be given up is
 * collected in a *ruleset*, a descriptor, and takes effect by landlock_enter(). A call of an older kernel
 * has fewer things to give up: the comments say from which version of Landlock on.
 * Source: landlock(7). Any thread. */
#ifndef BASE_LANDLOCK_H
#define BASE_LANDLOCK_H

#include "err.h"

#include <stddef.h>

/* Needed to tell what may be read without forbidding to move files elsewhere. */
#define LANDLOCK_ABI_FILES 2
/* Needed to keep signals in. */
#define LANDLOCK_ABI_SCOPE 6

/* Version of Landlock that the kernel has. 0: none. */
int landlock_abi(void);

/* A ruleset: signals reach only processes that entered together with this one, or that such have started; the
 * same holds for tracing, of any version. *ruleset is owned by the caller. -ENOTSUP: below
 * LANDLOCK_ABI_SCOPE it only keeps tracing in, or there is no Landlock; else a negative errno. */
NODISCARD int landlock_scope(int *ruleset);

/* A ruleset: files at and below `hidden` (absolute paths; those that are not there are skipped) cannot be opened
 * for reading; folders can be listed. It says what may be read, so what is created later beside a
 * hidden path, or beside a folder above it, is hidden too. *ruleset as above, -1: nothing is there to be
 * hidden. -ENOTSUP: there is no Landlock, or below LANDLOCK_ABI_FILES. */
NODISCARD int landlock_hide(const char *const *hidden, size_t count, int *ruleset);

/* A ruleset: nothing but this can be read, listed or executed (`read`), or changed as well (`write`): paths of
 * files or folders, ended by NULL; those that are not there are skipped. -ENOTSUP: as landlock_hide(). */
NODISCARD int landlock_reach(const char *const *read, const char *const *write, int *ruleset);

/* Give it up. The process must have no new privileges (base/harden.h). May be called between fork and
 * exec. Negative errno. */
NODISCARD int landlock_enter(int ruleset);

#endif
