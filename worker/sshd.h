/* Names in the private folder that the verbs sshd and serve share, below their run folder. */
#ifndef WORKER_SSHD_H
#define WORKER_SSHD_H

#define SSHD_FOLDER "worker"
#define SSHD_LOCK   "agent.lock" /* held by the agent, see takeover.h */
#define SSHD_LOG    "log"        /* FIFO: lines for the container's log */

#endif
