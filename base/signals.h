/* The signals that end a process: SIGTERM and SIGINT, taken where its loop waits and not in a handler. Main thread, before
 * any other is started: those inherit what is blocked. */
#ifndef BASE_SIGNALS_H
#define BASE_SIGNALS_H

#include "err.h"

#include <signal.h>

/* Block them, and `also` (such as SIGCHLD; 0: none). Returns the set, for sigwait(). */
sigset_t signals_block(int also);

/* The same, and a signalfd for them: does not block, and is closed on exec. Owned by the caller (close). Or -errno. */
NODISCARD int signals_open(int also);

#endif
