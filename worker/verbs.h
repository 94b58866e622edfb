/* The verbs of scoop-worker: each reads its own settings from argv[1...] (argv[0] is "scoop-worker VERB", for messages)
 * and returns the exit code: 0 done, 1 failed, 2 usage. Main thread. */
#ifndef WORKER_VERBS_H
#define WORKER_VERBS_H

/* Be the agent of a broker on this machine, by hand: `scoop-worker run --broker ipc:///run/x/workers`. */
int verb_run(int argc, char **argv);

#endif
