/* A private cluster, for as long as this process lives: a broker on ipc:// sockets in a fresh folder
 * of this machine, and one worker beside it, or workers on other hosts that the broker starts over
 * the user's ssh and that reach it by TCP.
 *
 * A supervisor process starts, watches and stops both. It ends when local_stop() is called or when
 * this process is gone in any way (kill -9 too); then broker and worker end with it and the folder
 * is removed. Main thread. */
#ifndef CLI_LOCAL_H
#define CLI_LOCAL_H

#include "base/err.h"
#include "base/problem.h"

#include <stdbool.h>
#include <sys/types.h>

struct local_hosts {
    const char *list; /* HOST[:SLOTS],... */
    const char *ssh;
    const char *remote;   /* the command there that becomes the worker */
    bool tunnel;          /* they reach this machine through their logins */
    const char *external; /* this machine as they reach it; NULL: where their logins come from */
};

struct local_config {
    const struct local_hosts *hosts; /* NULL: one worker on this machine */
    unsigned slots;                  /* tasks at a time; 0: the worker decides (usable CPUs) */
    const char *programs;            /* folder of programs that may run; NULL: none but builtins */
};

struct local {
    char broker[128]; /* URL for clients */
    pid_t supervisor;
    int lifeline; /* the supervisor ends when this closes */
};

/* Start it and wait until the broker listens. scoop-broker and scoop-worker are found beside this
 * executable. A negative errno with *problem, and nothing is left behind. */
NODISCARD int
local_start(const struct local_config *config, struct local *out, struct problem *problem);

/* Has the supervisor ended? It has said why on stderr. After `true` only local_stop() may follow.
 */
bool local_has_ended(struct local *local);

/* Stop everything, wait until it is gone. */
void local_stop(struct local *local);

#endif
