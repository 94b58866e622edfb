/* An agent that ends with the login that started it: `scoop run --hosts`. */
#ifndef WORKER_ATTACHED_H
#define WORKER_ATTACHED_H

#include "agent.h"
#include "base/err.h"

/* Be the agent in a child process until standard input ends: then it is told to leave, and killed
 * if it does not. SIGTERM, SIGINT and SIGHUP end it as well. Returns the agent's exit code. Call it
 * from the main thread, while no other thread exists. */
NODISCARD int attached_run(const struct agent_config *config);

#endif
