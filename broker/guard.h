/* The parent of a broker: starts it, and anew as soon as a signal ends it or its loop stands still.
 * In a container that is process 1, and saves the seconds that an orchestrator takes to notice, to
 * wait, to start another container and to find that healthy; the address stays the same, too.
 *
 * A broker that ends by itself ends the guard, with the same exit code: it was asked to, or it has
 * said why it cannot go on, and the orchestrator decides. The guard itself does so little that
 * nothing of it can fail: no threads, no files, no memory but one shared page. SIGKILL of the guard
 * ends the broker. */
#ifndef BROKER_GUARD_H
#define BROKER_GUARD_H

#include "base/err.h"
#include "base/problem.h"

#include <stdbool.h>

/* What the broker's loop shows the guard: a count of turns, in memory that both have. */
struct pulse;

/* Called before the process has threads. Returns 0 in each broker that is started, with its *pulse;
 * and 1 in the guard when all is over, with the *exit_code that the process is to end with. Or, in
 * the guard, a negative errno with *problem. */
NODISCARD int guard_run(struct pulse **pulse, int *exit_code, struct problem *problem);

/* One turn of the loop. The first one begins the watch: reading a journal may take long. */
void guard_beat(struct pulse *pulse);

#endif
