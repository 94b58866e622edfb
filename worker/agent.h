/* The agent: the one process per host that holds tasks for a broker and supervises the executors
 * that run them. Source: docs/PROTOCOL.md sections 3, 4 and 6. */
#ifndef WORKER_AGENT_H
#define WORKER_AGENT_H

#include "base/err.h"

#include <stdint.h>

/* Everything is borrowed while agent_run() lasts. */
struct agent_config {
    /* of the broker's worker socket: "tcp://broker:5556", "ipc:///run/x/workers" */
    const char *endpoint;
    const char *server_key; /* CURVE, Z85 text of 40 characters each: the broker's public key, */
    /* and this agent's own pair; all NULL for ipc://, none NULL for tcp:// */
    const char *public_key;
    const char *secret_key;
    uint32_t slots;          /* executors that run at the same time: 1 ... WIRE_SLOTS_MAX */
    const char *programs;    /* folders to look for programs in, separated by ':' */
    uint64_t task_memory;    /* that a task may have, in bytes; 0: no limit */
    uint32_t executor_tasks; /* an executor is replaced after so many; 0: never */
    const char *resources;   /* what this host has for tasks, see base/needs.h */
    unsigned may;            /* BOUNDS_...: what programs may ask for, see bounds.h */
    const char *hide;     /* files and folders that nothing here needs to read, separated by ':' */
    const char *hide_too; /* one more; NULL: none */
    uint32_t grace_ms;    /* how long running tasks may take after SIGTERM */
    uint32_t gone_ms;     /* leave when there was no link for so long; 0: never */
};

/* Be the agent until it is told to leave: SIGTERM or SIGINT drain (a second one ends at once).
 * Takes over SIGTERM, SIGINT, SIGCHLD and SIGPIPE of the process, reaps all its children, and
 * becomes their subreaper. Call it from the main thread, while no other thread exists. Log lines
 * say what happens. Returns an exit code: 0 left in order, 1 refused by the broker, no broker
 * for gone_ms, or something else went wrong (logged). */
NODISCARD int agent_run(const struct agent_config *config);

#endif
